//! The stored state of the store in memory, and the verbs on it: [`State`] and [`MemoryTransaction`].
//!
//! The order of the verbs in a transaction is in `engine/transaction_steps.rs`. Reads are here too.
//!
//! Depends on the engine and the model. A transaction here cannot fail and undoes nothing: each verb checks
//! before it changes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::model::availability::Availability;
use crate::model::clock::{Timestamp, whole_micros};
use crate::model::crash_count::{Beside, SuspectedGroup, Suspicion};
use crate::model::error::{Error, Result};
use crate::model::idempotency::Holder;
use crate::model::job::{Attempt, AttemptOutcome, Job, JobId, NewJob, Progress, Status, WorkerId};
use crate::store::engine::leave_running::{Counted, Held, Leaving, Next};
use crate::store::engine::transaction::{Effects, Transaction};
use crate::store::{
    Claim, ClaimRequest, ClaimedJob, Counts, Cursor, Filter, JobCommand, Page, TaskDefaults, Ticket,
    WorkerInfo, WorkerState, not_found,
};

/// The stored state.
#[derive(Default)]
pub(super) struct State {
    rows: BTreeMap<JobId, Row>,
    /// The jobs that hold an idempotency key.
    keys: BTreeMap<String, JobId>,
    /// The last assigned id. The id of a deleted job is not used again.
    last_id: i64,
    /// The pending jobs that may be claimed, in claim order.
    ready: BTreeSet<Place>,
    /// The pending jobs that are not due yet, in the order in which they become due.
    scheduled: BTreeSet<(Timestamp, JobId)>,
    workers: BTreeMap<WorkerId, WorkerState>,
}

/// A stored job.
struct Row {
    job: Job,
    /// The display name that the caller gave. If it is `None`, `job.name` is the task's name.
    own_name: Option<String>,
    /// Whether the job may be claimed, while it is pending.
    availability: Availability,
    /// The most suspected poison jobs that the workers of a process hold together with this one.
    max_suspected: Option<i64>,
    /// The attempts that have ended, oldest first.
    history: Vec<Attempt>,
}

/// The sort key of a ready job. Its derived order is the claim order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    priority: Reverse<i32>,
    scheduled_at: Timestamp,
    id: JobId,
}

/// One transaction, under the lock of the state.
pub(super) struct MemoryTransaction<'s> {
    pub(super) state: &'s mut State,
    pub(super) now: Timestamp,
    pub(super) crashes_max: u32,
}

impl Transaction for MemoryTransaction<'_> {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn crashes_max(&self) -> u32 {
        self.crashes_max
    }

    fn is_alive(&self, _: &Error) -> bool {
        true
    }

    /// Each verb checks everything before its first change, so an error has nothing to undo.
    fn alone<A>(&mut self, _: bool, verb: impl FnOnce(&mut Self) -> Result<A>) -> Result<A> {
        verb(self)
    }

    fn is_one_statement(&self, _: &[NewJob]) -> bool {
        true
    }

    fn insert(&mut self, jobs: &[NewJob], effects: &mut Effects) -> Result<Vec<JobId>> {
        let due = jobs.iter().map(|job| job.scheduled_at(self.now)).collect::<Result<Vec<_>>>()?;
        // Checked before the first job is stored, so that all jobs are stored or none.
        jobs.iter().try_for_each(|job| self.state.holder(job).map(drop))?;
        let stored = jobs.iter().zip(due).map(|(job, due)| match self.state.holder(job)? {
            Some(id) => Ok(id),
            None => Ok(self.state.store(job, whole_micros(due), self.now, effects)),
        });
        stored.collect()
    }

    fn publish_tasks(&mut self, _: &[TaskDefaults]) -> Result<()> {
        Ok(())
    }

    fn register_worker(&mut self, worker: &WorkerInfo) -> Result<bool> {
        let is_new = !self.state.workers.contains_key(&worker.id);
        let state = || WorkerState::new(worker.clone(), self.now);
        self.state.workers.entry(worker.id).or_insert_with(state);
        Ok(is_new)
    }

    fn is_registered(&mut self, worker: WorkerId) -> Result<bool> {
        Ok(self.state.workers.contains_key(&worker))
    }

    fn has_suspected(&mut self) -> Result<bool> {
        let suspected = |place: &Place| {
            self.state.rows.get(&place.id).is_some_and(|row| row.availability == Availability::Suspected)
        };
        Ok(self.state.ready.iter().any(suspected))
    }

    fn claim(&mut self, wanted: &ClaimRequest) -> Result<Vec<ClaimedJob>> {
        let ids = self.state.first_ready(wanted);
        Ok(ids.into_iter().filter_map(|id| self.state.start(id, wanted.worker, self.now)).collect())
    }

    fn heartbeat(&mut self, worker: WorkerId) -> Result<bool> {
        let state = self.state.workers.get_mut(&worker);
        Ok(state.map(|state| state.heartbeats += 1).is_some())
    }

    /// Only these verbs change jobs, so there are no orphans.
    fn orphans(&mut self) -> Result<Vec<Held>> {
        Ok(Vec::new())
    }

    fn heartbeats(&mut self, worker: WorkerId) -> Result<Option<u64>> {
        Ok(self.state.workers.get(&worker).map(|state| state.heartbeats))
    }

    fn report_progress(&mut self, claim: Claim, progress: &Progress) -> Result<()> {
        if self.state.holds(claim) {
            self.state.change(claim.id, |row| row.job.progress = Some(progress.clone()));
        }
        Ok(())
    }

    fn leave_running(&mut self, leaving: &Leaving<'_>) -> Result<bool> {
        let holds = self.state.holds(leaving.claim);
        if holds {
            let now = self.now;
            self.state.change(leaving.claim.id, |row| row.leave_running(leaving, now));
        }
        Ok(holds)
    }

    fn end_under(&mut self, claim: Claim) -> Result<Option<Status>> {
        let Some(row) = self.state.rows.get(&claim.id) else { return Ok(None) };
        let last = row.history.last().map(|attempt| (attempt.attempt, attempt.outcome));
        let is_own = row.was_claimed_by(claim) && last != Some((claim.attempt, AttemptOutcome::Crashed));
        Ok(Some(row.job.status).filter(|status| is_own && status.is_ended()))
    }

    fn has_attempt(&mut self, claim: Claim, outcome: AttemptOutcome) -> Result<bool> {
        let is_it = |attempt: &Attempt| {
            (attempt.attempt, attempt.worker_id, attempt.outcome) == (claim.attempt, claim.worker, outcome)
        };
        Ok(self.state.rows.get(&claim.id).is_some_and(|row| row.history.iter().any(is_it)))
    }

    fn promote(&mut self, effects: &mut Effects) -> Result<()> {
        while let Some(&(_, id)) = self.state.scheduled.first().filter(|(due, _)| *due <= self.now) {
            let now = self.now;
            self.state.change(id, |row| {
                row.availability = Availability::of(row.job.scheduled_at, now, row.is_suspected());
            });
            effects.ready += 1;
        }
        Ok(())
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.state.scheduled.first().map(|(due, _)| *due))
    }

    fn remove_worker(&mut self, worker: WorkerId, _: bool) -> Result<bool> {
        Ok(self.state.workers.remove(&worker).is_some())
    }

    fn held_by(&mut self, worker: WorkerId) -> Result<Vec<Held>> {
        let held = |row: &Row| Held {
            claim: Claim { id: row.job.id, attempt: row.job.attempt, worker },
            suspicion: row.suspicion(),
            started_at: row.job.started_at.unwrap_or(self.now),
        };
        Ok(self.state.held_by(worker).map(held).collect())
    }

    fn held_beside(&mut self, worker: WorkerId, since: Timestamp) -> Result<Beside> {
        let is_beside = |other: WorkerId| other != worker && worker.process().contains(&other.0);
        let mut beside = Beside::default();
        let is_own = |job: &Job| job.status == Status::Running && job.worker_id == Some(worker);
        for row in self.state.rows.values().filter(|row| !is_own(&row.job)) {
            let crashed = |attempt: &&Attempt| {
                attempt.outcome == AttemptOutcome::Crashed
                    && is_beside(attempt.worker_id)
                    && attempt.ended_at >= since
            };
            for attempt in row.history.iter().filter(crashed) {
                // The count before that death.
                beside.add(row.job.crash_count.saturating_sub(1));
                beside.has_failed |= row.job.status == Status::Failed && row.job.attempt == attempt.attempt;
            }
            if row.job.status == Status::Running && row.job.worker_id.is_some_and(is_beside) {
                beside.add(row.job.crash_count);
            }
        }
        Ok(beside)
    }

    fn clear_crashes_shared_with(&mut self, poison: JobId) -> Result<usize> {
        let deaths = self.state.rows.get(&poison).map(Row::counted_deaths).unwrap_or_default();
        let shared = |row: &Row| {
            let is_shared = |attempt: &&Attempt| {
                attempt.outcome == AttemptOutcome::Crashed
                    && deaths.iter().any(|death| have_died_together(death, attempt))
            };
            row.history.iter().filter(is_shared).count() as u32
        };
        let others = self.state.rows.values().filter(|row| {
            row.job.id != poison && !row.job.status.is_ended() && row.job.crash_count > 0 && shared(row) > 0
        });
        let others: Vec<(JobId, u32)> = others.map(|row| (row.job.id, shared(row))).collect();
        for &(id, crashes) in &others {
            self.state.change(id, |row| row.subtract_crashes(crashes));
        }
        Ok(others.len())
    }

    fn command(&mut self, command: JobCommand) -> Result<()> {
        let now = self.now;
        match command {
            JobCommand::Retry(id) => drop(self.state.change(id, |row| row.renew(now))),
            JobCommand::Cancel(id) => {
                self.state.change(id, |row| row.end(Status::Cancelled, None, now));
            }
            JobCommand::Delete(id) => self.state.delete(id)?,
        }
        Ok(())
    }

    fn job(&mut self, id: JobId) -> Result<Option<Job>> {
        Ok(self.state.get(id))
    }
}

// insert
impl State {
    /// The id of the stored job under this job's key, if it is the same job.
    fn holder(&self, new: &NewJob) -> Result<Option<JobId>> {
        let holder = new.idempotency_key.as_ref().and_then(|key| self.keys.get(key));
        let Some(Row { job, .. }) = holder.and_then(|id| self.rows.get(id)) else { return Ok(None) };
        let holder = Holder { id: job.id, task_name: job.task_name.clone(), params: job.params.clone() };
        holder.answer_to(new).map(Some)
    }

    fn store(
        &mut self,
        new: &NewJob,
        scheduled_at: Timestamp,
        now: Timestamp,
        effects: &mut Effects,
    ) -> JobId {
        self.last_id += 1;
        let id = JobId(self.last_id);
        let job = Job {
            id,
            name: new.name.clone().unwrap_or_else(|| new.task_name.clone()),
            task_name: new.task_name.clone(),
            params: new.params.clone(),
            queue: new.queue.clone(),
            priority: new.priority,
            status: Status::Pending,
            attempt: 0,
            retry_count: 0,
            max_retries: new.max_retries,
            crash_count: 0,
            scheduled_at,
            created_at: now,
            started_at: None,
            completed_at: None,
            worker_id: None,
            result: None,
            error: None,
            progress: None,
            metadata: new.metadata.clone(),
            idempotency_key: new.idempotency_key.clone(),
        };
        self.keys.extend(job.idempotency_key.clone().map(|key| (key, id)));
        let availability = Availability::of(scheduled_at, now, false);
        effects.is_stored(id, availability, scheduled_at);
        let (own_name, history) = (new.name.clone(), Vec::new());
        self.rows.insert(id, Row { job, own_name, availability, max_suspected: None, history });
        self.enter_line(id);
        id
    }
}

// claim
impl State {
    /// The first jobs in claim order that the request can claim. Of the suspected poison jobs: those up to the
    /// first one that the worker may not hold together with the others.
    fn first_ready(&self, wanted: &ClaimRequest) -> Vec<JobId> {
        // Computed only when a suspected poison job is found, which is rare.
        let mut group = None;
        let mut is_full = false;
        let mut may_hold = |row: &Row| {
            if row.availability != Availability::Suspected {
                return true;
            }
            let group = group.get_or_insert_with(|| self.held_suspected(wanted.worker));
            is_full = is_full || !group.add(row.max_suspected);
            !is_full
        };
        let is_wanted = |place: &&Place| {
            self.rows
                .get(&place.id)
                .is_some_and(|row| wanted.takes(&row.job.task_name, &row.job.queue) && may_hold(row))
        };
        self.ready.iter().filter(is_wanted).take(wanted.limit).map(|place| place.id).collect()
    }

    fn start(&mut self, id: JobId, worker: WorkerId, now: Timestamp) -> Option<ClaimedJob> {
        self.change(id, |Row { job, own_name, .. }| {
            job.status = Status::Running;
            job.attempt += 1;
            job.worker_id = Some(worker);
            job.started_at = Some(now);
            job.progress = None;
            ClaimedJob {
                claim: Claim { id, attempt: job.attempt, worker },
                ticket: Ticket::new(now),
                task_name: job.task_name.clone(),
                params: job.params.clone(),
                name: own_name.clone(),
                queue: job.queue.clone(),
                priority: job.priority,
                retry_count: job.retry_count,
                max_retries: job.max_retries,
                created_at: job.created_at,
                scheduled_at: job.scheduled_at,
                claimed_at: now,
                metadata: job.metadata.clone(),
                idempotency_key: job.idempotency_key.clone(),
            }
        })
    }

    /// The suspected poison jobs that the workers of its process hold.
    fn held_suspected(&self, worker: WorkerId) -> SuspectedGroup {
        let process = worker.process();
        let holds = |job: &Job| {
            job.status == Status::Running && job.worker_id.is_some_and(|other| process.contains(&other.0))
        };
        let held = || self.rows.values().filter(|row| holds(&row.job) && row.is_suspected());
        SuspectedGroup::new(held().count(), held().map(|row| row.max_suspected.unwrap_or(1)).min())
    }

    fn held_by(&self, worker: WorkerId) -> impl Iterator<Item = &Row> {
        let holds = move |job: &Job| job.status == Status::Running && job.worker_id == Some(worker);
        self.rows.values().filter(move |row| holds(&row.job))
    }
}

// finish
impl State {
    /// Whether the job is running under exactly this claim.
    fn holds(&self, claim: Claim) -> bool {
        let is_running = |row: &Row| row.job.status == Status::Running && row.was_claimed_by(claim);
        self.rows.get(&claim.id).is_some_and(is_running)
    }
}

impl Row {
    fn was_claimed_by(&self, claim: Claim) -> bool {
        self.job.attempt == claim.attempt && self.job.worker_id == Some(claim.worker)
    }

    /// Takes a job out of `running`. No other function does.
    fn leave_running(&mut self, leaving: &Leaving<'_>, now: Timestamp) {
        let job = &mut self.job;
        job.started_at = Some(whole_micros(leaving.started_at));
        job.retry_count += u32::from(leaving.counts == Counted::Retry);
        if let Counted::Crash { max_suspected } = leaving.counts {
            job.crash_count += 1;
            self.max_suspected = max_suspected.or(self.max_suspected);
        }
        match leaving.outcome {
            Some(outcome) => self.record(outcome, leaving, now),
            None => self.unclaim(leaving),
        }
        let error = leaving.job_error().map(str::to_owned);
        match leaving.next {
            Next::Completed { result } => {
                self.end(Status::Completed, None, now);
                self.job.result = Some(result.to_owned());
                if let Some(progress) = &mut self.job.progress {
                    progress.fraction = 1.0;
                }
            }
            Next::Ended(status) => self.end(status, error, now),
            Next::Pending { scheduled_at, is_due } => {
                self.job.error = error.or_else(|| self.job.error.take());
                let due = Availability::due(self.is_suspected());
                let availability = if is_due { due } else { Availability::Scheduled };
                self.give_back(scheduled_at.unwrap_or(self.job.scheduled_at), availability);
            }
        }
    }

    /// Writes the ended attempt into the history.
    fn record(&mut self, outcome: AttemptOutcome, leaving: &Leaving<'_>, now: Timestamp) {
        self.history.push(Attempt {
            attempt: leaving.claim.attempt,
            started_at: whole_micros(leaving.started_at),
            ended_at: now,
            worker_id: leaving.claim.worker,
            outcome,
            error: leaving.error.as_deref().map(str::to_owned),
        });
    }

    /// Undoes the claim: the attempt number is decremented, and the previous attempt is the last one again.
    fn unclaim(&mut self, leaving: &Leaving<'_>) {
        self.job.attempt = leaving.claim.attempt.saturating_sub(1);
        self.job.started_at = self.history.last().map(|attempt| attempt.started_at);
    }

    fn give_back(&mut self, scheduled_at: Timestamp, availability: Availability) {
        self.job.status = Status::Pending;
        self.job.worker_id = None;
        self.job.scheduled_at = scheduled_at;
        self.availability = availability;
    }

    fn end(&mut self, status: Status, error: Option<String>, now: Timestamp) {
        self.job.status = status;
        self.job.error = error;
        self.job.completed_at = Some(now);
    }
}

// command
impl State {
    fn delete(&mut self, id: JobId) -> Result<()> {
        self.leave_line(id);
        let row = self.rows.remove(&id).ok_or_else(|| not_found(id))?;
        row.job.idempotency_key.iter().for_each(|key| _ = self.keys.remove(key));
        Ok(())
    }
}

impl Row {
    /// Makes the job due now, with its retry count and crash count at 0. The error stays until an attempt
    /// replaces it.
    fn renew(&mut self, now: Timestamp) {
        (self.job.retry_count, self.job.crash_count, self.max_suspected) = (0, 0, None);
        self.give_back(now, Availability::due(false));
        self.job.completed_at = None;
        self.job.result = None;
        self.job.progress = None;
    }
}

// read
impl State {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, id: JobId) -> Option<Job> {
        self.rows.get(&id).map(|row| row.job.clone())
    }

    pub(super) fn attempts(&self, id: JobId) -> Vec<Attempt> {
        self.rows.get(&id).map(|row| row.history.clone()).unwrap_or_default()
    }

    pub(super) fn page(&self, filter: &Filter, now: Timestamp) -> Page {
        let end = filter.after.map_or(Bound::Unbounded, |Cursor(id)| Bound::Excluded(id));
        let newest_first = self.rows.range((Bound::Unbounded, end)).rev().map(|(_, row)| &row.job);
        let size = filter.page_size();
        Page::cut(newest_first.filter(|job| fits(filter, job, now)).take(size + 1).cloned().collect(), size)
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = BTreeMap::new();
        for row in self.rows.values() {
            *counts.entry(row.job.status).or_default() += 1;
        }
        Counts::new(counts)
    }

    pub(super) fn workers(&self) -> Vec<WorkerState> {
        let with_load = |state: &WorkerState| {
            let running = self.held_by(state.id).count() as u64;
            WorkerState { running, ..state.clone() }
        };
        let mut workers: Vec<WorkerState> = self.workers.values().map(with_load).collect();
        workers.sort_by_key(|state| (state.started_at, state.id));
        workers
    }
}

// The indexes.
impl State {
    /// Changes a stored job and updates the indexes. All changes use it.
    fn change<T>(&mut self, id: JobId, change: impl FnOnce(&mut Row) -> T) -> Option<T> {
        self.leave_line(id);
        let changed = self.rows.get_mut(&id).map(change);
        self.enter_line(id);
        changed
    }

    fn enter_line(&mut self, id: JobId) {
        let Some(row) = self.rows.get(&id).filter(|row| row.job.status == Status::Pending) else { return };
        if row.availability.is_ready() {
            self.ready.insert(row.place());
        } else {
            self.scheduled.insert((row.job.scheduled_at, id));
        }
    }

    fn leave_line(&mut self, id: JobId) {
        if let Some(row) = self.rows.get(&id) {
            self.ready.remove(&row.place());
            self.scheduled.remove(&(row.job.scheduled_at, id));
        }
    }
}

impl Row {
    fn suspicion(&self) -> Suspicion {
        Suspicion { crash_count: self.job.crash_count, max_suspected: self.max_suspected }
    }

    fn is_suspected(&self) -> bool {
        self.suspicion().is_suspected()
    }

    /// The attempts whose crashes are counted for this job: the last ones, since those before a retry by hand are not.
    fn counted_deaths(&self) -> Vec<Attempt> {
        let crashed = self.history.iter().rev().filter(|attempt| attempt.outcome == AttemptOutcome::Crashed);
        crashed.take(self.job.crash_count as usize).cloned().collect()
    }

    /// Counts fewer crashes for a job that has not ended.
    fn subtract_crashes(&mut self, crashes: u32) {
        self.job.crash_count = self.job.crash_count.saturating_sub(crashes);
        self.max_suspected = self.max_suspected.map(|max| max.max(1));
        if !self.is_suspected() {
            self.max_suspected = None;
            if self.availability == Availability::Suspected {
                self.availability = Availability::Available;
            }
        }
    }

    fn place(&self) -> Place {
        let Job { id, priority, scheduled_at, .. } = self.job;
        Place { priority: Reverse(priority), scheduled_at, id }
    }
}

/// Whether two attempts crashed by one death: with the same worker, or at the same time with workers of one process.
fn have_died_together(one: &Attempt, other: &Attempt) -> bool {
    let overlap = one.started_at <= other.ended_at && other.started_at <= one.ended_at;
    // The clock was set back.
    let is_unknown = [one, other].iter().any(|attempt| attempt.ended_at < attempt.started_at);
    one.worker_id == other.worker_id
        || (one.worker_id.process().contains(&other.worker_id.0) && (overlap || is_unknown))
}

fn fits(filter: &Filter, job: &Job, now: Timestamp) -> bool {
    filter.status.is_none_or(|status| job.status == status)
        && filter.task_name.as_ref().is_none_or(|task_name| job.task_name == *task_name)
        && filter.queue.as_ref().is_none_or(|queue| job.queue == *queue)
        && (!filter.scheduled || job.is_scheduled(now))
        && (!filter.retrying || job.is_retrying())
}
