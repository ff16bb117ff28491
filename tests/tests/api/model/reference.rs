//! [`Reference`], the contract once more, in as few words as it takes: what a job's numbers are, who may
//! claim it, which claim holds.
//!
//! Written apart from every store, and much smaller than any.

use std::collections::BTreeMap;

use qdjobs::store::Verdict;
use qdjobs::store::{Claim, JobCommand};
use qdjobs::{Attempt, AttemptOutcome, ErrorKind, Job, JobId, Status, Timestamp, WorkerId};
use qdjobs_contract::START;

use super::ops::{Answers, Draft, MAX_CRASHES, Move, Player, Said, Wish, last_crash};

/// The contract once more, in as few words as it takes.
pub(super) struct Reference {
    pub(super) now: Timestamp,
    pub(super) jobs: BTreeMap<JobId, RefJob>,
    pub(super) last_id: i64,
    /// Each with the heartbeats counted.
    pub(super) workers: BTreeMap<WorkerId, u64>,
    pub(super) waiting_claims: Vec<(usize, WorkerId, Wish)>,
    pub(super) waits: Vec<(usize, JobId)>,
    pub(super) answers: Answers,
}

/// What the reference knows of a job, and all that it is compared by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RefJob {
    pub(super) task: String,
    pub(super) n: u8,
    pub(super) key: Option<String>,
    pub(super) queue: String,
    pub(super) priority: i32,
    pub(super) status: Status,
    pub(super) run_at: Timestamp,
    pub(super) worker_id: Option<WorkerId>,
    pub(super) attempt: u32,
    pub(super) retry_count: u32,
    pub(super) crash_count: u32,
    /// How many suspected jobs may be with one worker together with this one; 0 once it was the only one when
    /// its worker died, and one less each further time.
    pub(super) together: i64,
    /// The attempts that have ended: number, worker and outcome.
    pub(super) history: Vec<(u32, WorkerId, AttemptOutcome)>,
    pub(super) error: Option<String>,
    pub(super) progress: Option<u8>,
}

impl Reference {
    pub(super) fn new() -> Reference {
        Reference {
            now: START,
            jobs: BTreeMap::new(),
            last_id: 0,
            workers: BTreeMap::new(),
            waiting_claims: Vec::new(),
            waits: Vec::new(),
            answers: Answers::new(),
        }
    }

    /// The jobs as a store shows them.
    pub(super) fn sketch(&self) -> BTreeMap<JobId, RefJob> {
        self.jobs.iter().map(|(id, job)| (*id, RefJob { together: i64::MAX, ..job.clone() })).collect()
    }

    pub(super) fn status(&self, id: JobId) -> Option<Status> {
        self.jobs.get(&id).map(|job| job.status)
    }

    pub(super) fn held(&self, claim: Claim) -> Option<&RefJob> {
        let held = |job: &&RefJob| {
            (job.status, job.attempt, job.worker_id) == (Status::Running, claim.attempt, Some(claim.worker))
        };
        self.jobs.get(&claim.id).filter(held)
    }

    pub(super) fn holding(&self, worker: WorkerId) -> usize {
        self.jobs
            .values()
            .filter(|job| job.status == Status::Running && job.worker_id == Some(worker))
            .count()
    }

    pub(super) fn insert(&mut self, drafts: &[Draft]) -> Said {
        if drafts.iter().any(|draft| draft.task.is_none()) {
            return Said::Refused(ErrorKind::InvalidInput);
        }
        let (before, last_id) = (self.jobs.clone(), self.last_id);
        let mut ids = Vec::new();
        for draft in drafts {
            let holder =
                self.jobs.iter().find(|(_, job)| draft.key.is_some() && job.key.as_deref() == draft.key);
            if let Some((&id, job)) = holder {
                if (Some(job.task.as_str()), job.n) != (draft.task, draft.n) {
                    // All or none.
                    (self.jobs, self.last_id) = (before, last_id);
                    return Said::Refused(ErrorKind::Conflict);
                }
                ids.push(id);
                continue;
            }
            self.last_id += 1;
            ids.push(JobId(self.last_id));
            let job = RefJob {
                task: draft.task.unwrap_or_default().to_owned(),
                n: draft.n,
                key: draft.key.map(str::to_owned),
                queue: draft.queue.to_owned(),
                priority: draft.priority,
                status: Status::Pending,
                run_at: self.now + draft.wait,
                worker_id: None,
                attempt: 0,
                retry_count: 0,
                crash_count: 0,
                together: i64::MAX,
                history: Vec::new(),
                error: None,
                progress: None,
            };
            self.jobs.insert(JobId(self.last_id), job);
        }
        Said::Stored(ids)
    }

    /// Of the jobs with two crashes that a worker holds: how many may be together.
    pub(super) fn suspected_with(&self, worker: WorkerId) -> Vec<i64> {
        let holds_it = |job: &&RefJob| (job.status, job.worker_id) == (Status::Running, Some(worker));
        let held = self.jobs.values().filter(holds_it).filter(|job| job.crash_count > 1);
        held.map(|job| job.together.max(1)).collect()
    }

    pub(super) fn claim(&mut self, worker: WorkerId, wish: Wish) -> Vec<Claim> {
        let wanted = |job: &RefJob| {
            wish.tasks.contains(&job.task.as_str()) && wish.queue.is_none_or(|queue| queue == job.queue)
        };
        let due = |job: &RefJob| job.status == Status::Pending && job.run_at <= self.now;
        let mut line: Vec<JobId> =
            self.jobs.iter().filter(|(_, job)| due(job) && wanted(job)).map(|(id, _)| *id).collect();
        line.sort_by_key(|id| (-self.jobs[id].priority, self.jobs[id].run_at, *id));
        // Of the suspected ones, the first ones, as long as all of them agree.
        let mut suspected = self.suspected_with(worker);
        let mut is_full = false;
        line.retain(|id| {
            let job = &self.jobs[id];
            if job.crash_count > 1 {
                suspected.push(job.together.max(1));
                is_full |= suspected.iter().any(|together| *together < suspected.len() as i64);
            }
            job.crash_count < 2 || !is_full
        });
        line.truncate(wish.limit);
        line.into_iter()
            .map(|id| {
                let job = self.jobs.get_mut(&id).unwrap();
                (job.status, job.worker_id, job.progress) = (Status::Running, Some(worker), None);
                job.attempt += 1;
                Claim { id, attempt: job.attempt, worker }
            })
            .collect()
    }

    pub(super) fn finish(&mut self, claim: Claim, verdict: &Verdict) -> bool {
        if self.held(claim).is_none() {
            return self.is_repeated(claim, verdict);
        }
        let now = self.now;
        let job = self.jobs.get_mut(&claim.id).unwrap();
        job.history.extend(outcome_of(verdict).map(|outcome| (claim.attempt, claim.worker, outcome)));
        match verdict.clone() {
            Verdict::Complete { .. } => {
                (job.status, job.error) = (Status::Completed, None);
                job.progress = job.progress.map(|_| 100);
            }
            Verdict::Fail { error } => (job.status, job.error) = (Status::Failed, Some(error)),
            Verdict::Cancel { reason } => (job.status, job.error) = (Status::Cancelled, Some(reason)),
            Verdict::Retry { wait, error } => {
                job.waits(now + wait);
                (job.retry_count, job.error) = (job.retry_count + 1, Some(error));
            }
            Verdict::Postpone { wait, error } => {
                job.waits(now + wait);
                job.error = Some(error);
            }
            Verdict::Release { wait, started } => {
                job.waits(if wait.is_zero() { job.run_at } else { now + wait });
                if !started {
                    job.attempt -= 1;
                }
            }
            other => panic!("the reference knows no {other:?}"),
        }
        true
    }

    /// Such a finish is not lost: it was only asked for twice.
    pub(super) fn is_repeated(&self, claim: Claim, verdict: &Verdict) -> bool {
        let Some(job) = self.jobs.get(&claim.id) else { return false };
        let last = job.history.last().map(|(_, _, outcome)| *outcome);
        let has_ended = job.status.is_ended()
            && (job.attempt, job.worker_id) == (claim.attempt, Some(claim.worker))
            && last != Some(AttemptOutcome::Crashed);
        let is_written = |outcome| job.history.contains(&(claim.attempt, claim.worker, outcome));
        has_ended || outcome_of(verdict).is_some_and(is_written)
    }

    pub(super) fn claim_or_wait(
        &mut self,
        number: usize,
        worker: WorkerId,
        done: &[(Claim, Verdict)],
        wish: Wish,
    ) {
        if !self.workers.contains_key(&worker) {
            self.answers.insert(number, Said::Refused(ErrorKind::LeaseLost));
            return;
        }
        let lost = done
            .iter()
            .filter(|(claim, verdict)| !self.finish(*claim, verdict))
            .map(|(claim, _)| *claim)
            .collect();
        self.settle();
        let claimed = self.claim(worker, wish);
        if wish.waits && done.is_empty() && claimed.is_empty() {
            self.end_waiting(
                |holder, waiting_claims| holder == worker && waiting_claims.tasks == wish.tasks,
                nothing_claimed(),
            );
            self.waiting_claims.push((number, worker, wish));
        } else {
            self.answers.insert(number, Said::Claimed { lost, claimed });
        }
    }

    pub(super) fn end_waiting(&mut self, which: impl Fn(WorkerId, Wish) -> bool, answer: Said) {
        let (gone, rest) = self.waiting_claims.drain(..).partition(|(_, worker, wish)| which(*worker, *wish));
        self.waiting_claims = rest;
        self.answers.extend::<Vec<_>>(gone_with(gone, answer));
    }

    pub(super) fn release_worker(&mut self, worker: WorkerId, crashed: bool) -> Said {
        let holds_it = |job: &RefJob| job.status == Status::Running && job.worker_id == Some(worker);
        let held: Vec<JobId> = self.jobs.iter().filter(|(_, job)| holds_it(job)).map(|(id, _)| *id).collect();
        let outcome = if crashed { AttemptOutcome::Crashed } else { AttemptOutcome::Released };
        for id in &held {
            let job = self.jobs.get_mut(id).unwrap();
            job.history.push((job.attempt, worker, outcome));
            job.waits(job.run_at);
        }
        if crashed {
            self.count_crash(&held);
        }
        self.workers.remove(&worker);
        let answer = if crashed { Said::Refused(ErrorKind::LeaseLost) } else { nothing_claimed() };
        self.end_waiting(|holder, _| holder == worker, answer);
        Said::Released(held.len())
    }

    /// A worker has died with these jobs.
    fn count_crash(&mut self, held: &[JobId]) {
        let suspected = |jobs: &Self| held.iter().filter(|id| jobs.jobs[id].crash_count > 1).count() as i64;
        let before = suspected(self);
        held.iter().for_each(|id| self.jobs.get_mut(id).unwrap().crash_count += 1);
        let (after, mut poison) = (suspected(self), None);
        for id in held {
            let job = self.jobs.get_mut(id).unwrap();
            job.error = Some("the worker that held this job died or was presumed dead".into());
            let was_only_one = before == 1 && job.crash_count > 2;
            let third_time = was_only_one && job.together == -1;
            job.together = match job.crash_count {
                1 => i64::MAX,
                2 => (after / 2).max(1),
                _ if job.together <= 1 => job.together - 1,
                _ => (before.min(job.together) / 2).max(1),
            };
            if job.crash_count >= MAX_CRASHES && (held.len() == 1 || third_time) {
                job.status = Status::Failed;
                job.worker_id = job.history.last().map(|(_, worker, _)| *worker);
                job.error = Some(last_crash(job.crash_count));
                poison = Some(*id);
            }
        }
        if let Some(poison) = poison {
            self.clear(poison);
        }
    }

    /// This job is the cause of its crashes: they are not counted for those that it took with it.
    fn clear(&mut self, poison: JobId) {
        let its = self.jobs[&poison].crashes();
        let its = &its[its.len() - self.jobs[&poison].crash_count as usize..];
        for job in self.jobs.values_mut().filter(|job| !job.status.is_ended()) {
            let shared = job.crashes().iter().filter(|worker| its.contains(worker)).count() as u32;
            job.crash_count = job.crash_count.saturating_sub(shared);
            job.together = if job.crash_count < 2 {
                i64::MAX
            } else if shared > 0 {
                job.together.max(1)
            } else {
                job.together
            };
        }
    }

    pub(super) fn command(&mut self, command: JobCommand) -> Said {
        let (id, now) = (command.id(), self.now);
        let Some(job) = self.jobs.get_mut(&id) else { return Said::Refused(ErrorKind::NotFound) };
        let overdue = job.run_at <= now;
        match (command, job.status) {
            (JobCommand::Retry(_), Status::Pending) if overdue => return Said::Refused(ErrorKind::Conflict),
            (JobCommand::Retry(_), Status::Pending | Status::Failed | Status::Cancelled) => {
                job.waits(now);
                (job.retry_count, job.crash_count, job.together, job.progress) = (0, 0, i64::MAX, None);
            }
            (JobCommand::Cancel(_), Status::Pending) => (job.status, job.error) = (Status::Cancelled, None),
            (JobCommand::Delete(_), status) if status != Status::Running => {
                self.jobs.remove(&id);
                return Said::Job(id, status);
            }
            _ => return Said::Refused(ErrorKind::Conflict),
        }
        Said::Job(id, job.status)
    }

    /// Serves the waiting claims in the order they came, and answers the waits for ends.
    pub(super) fn settle(&mut self) {
        for (number, worker, wish) in std::mem::take(&mut self.waiting_claims) {
            let claimed = self.claim(worker, wish);
            if claimed.is_empty() {
                self.waiting_claims.push((number, worker, wish));
            } else {
                self.answers.insert(number, Said::Claimed { lost: Vec::new(), claimed });
            }
        }
        for (number, id) in std::mem::take(&mut self.waits) {
            match self.status(id) {
                None => drop(self.answers.insert(number, Said::Refused(ErrorKind::NotFound))),
                Some(status) if status.is_ended() => drop(self.answers.insert(number, Said::Job(id, status))),
                Some(_) => self.waits.push((number, id)),
            }
        }
    }
}

impl RefJob {
    pub(super) fn waits(&mut self, due: Timestamp) {
        (self.status, self.worker_id, self.run_at) = (Status::Pending, None, due);
    }

    /// The workers that have died with it, oldest first.
    pub(super) fn crashes(&self) -> Vec<WorkerId> {
        let crashed = self.history.iter().filter(|(.., outcome)| *outcome == AttemptOutcome::Crashed);
        crashed.map(|(_, worker, _)| *worker).collect()
    }

    pub(super) fn of(job: &Job, attempts: &[Attempt]) -> RefJob {
        let ended = |it: &Attempt| (it.attempt, it.worker_id, it.outcome);
        RefJob {
            task: job.task_name.clone(),
            n: if job.params == r#"{"n":1}"# { 1 } else { 2 },
            key: job.idempotency_key.clone(),
            queue: job.queue.clone(),
            priority: job.priority,
            status: job.status,
            run_at: job.scheduled_at,
            worker_id: job.worker_id,
            attempt: job.attempt,
            retry_count: job.retry_count,
            crash_count: job.crash_count,
            together: i64::MAX,
            history: attempts.iter().map(ended).collect(),
            error: job.error.clone(),
            progress: job.progress.as_ref().map(|progress| (progress.fraction * 100.0).round() as u8),
        }
    }
}

/// How an attempt ends by a verdict; `None` if it leaves no trace.
fn outcome_of(verdict: &Verdict) -> Option<AttemptOutcome> {
    match verdict {
        Verdict::Complete { .. } => Some(AttemptOutcome::Completed),
        Verdict::Retry { .. } | Verdict::Fail { .. } => Some(AttemptOutcome::Failed),
        Verdict::Cancel { .. } => Some(AttemptOutcome::Cancelled),
        Verdict::Postpone { .. } => Some(AttemptOutcome::Released),
        Verdict::Release { started, .. } => started.then_some(AttemptOutcome::Released),
        other => panic!("the reference knows no {other:?}"),
    }
}

pub(super) fn nothing_claimed() -> Said {
    Said::Claimed { lost: Vec::new(), claimed: Vec::new() }
}

pub(super) fn gone_with(gone: Vec<(usize, WorkerId, Wish)>, answer: Said) -> Vec<(usize, Said)> {
    gone.into_iter().map(|(number, ..)| (number, answer.clone())).collect()
}

impl Player for Reference {
    fn play(&mut self, number: usize, asked: &Move) -> Answers {
        let at_once = match asked {
            Move::Insert(drafts) => Some(self.insert(drafts)),
            Move::RegisterWorker(worker) => {
                self.workers.entry(*worker).or_insert(0);
                Some(Said::Nothing)
            }
            Move::Claim { worker, done, wish } => {
                self.claim_or_wait(number, *worker, done, *wish);
                None
            }
            Move::CancelWaitingClaims(worker) => {
                self.end_waiting(|holder, _| holder == *worker, nothing_claimed());
                None
            }
            Move::Heartbeat(worker) => {
                self.workers.entry(*worker).and_modify(|heartbeats| *heartbeats += 1);
                let state =
                    |(id, heartbeats): (&WorkerId, &u64)| (*id, *heartbeats, self.holding(*id) as u64);
                Some(Said::Heartbeat {
                    registered: self.workers.contains_key(worker),
                    workers: self.workers.iter().map(state).collect(),
                })
            }
            Move::ReportProgress(claim, done) => {
                if self.held(*claim).is_some() {
                    self.jobs.get_mut(&claim.id).unwrap().progress = Some(*done);
                }
                None
            }
            Move::ReleaseDead(worker) => Some(self.release_worker(*worker, true)),
            Move::ReleaseOwn(worker) => Some(self.release_worker(*worker, false)),
            Move::Command(command) => Some(self.command(*command)),
            Move::WaitFor(id) => {
                self.waits.push((number, *id));
                None
            }
            Move::Advance(by) => {
                self.now += *by;
                None
            }
        };
        self.answers.extend(at_once.map(|said| (number, said)));
        self.settle();
        std::mem::take(&mut self.answers)
    }
}
