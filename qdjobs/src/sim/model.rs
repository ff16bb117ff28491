//! The checks of a simulated run: [`Model`] compares each committed state with what callers were answered and
//! how tasks ended.
//!
//! Reads no database: see `store/sqlite/testing/snapshot.rs`. It checks what is committed and nothing else:
//! how the product got there does not matter.
//!
//! Depends on the snapshots of the stored state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::trace::{Trace, note};
use crate::model::job::WorkerId;
use crate::store::sqlite::testing::snapshot::{JobRow, Snapshot as StoredState};

/// At so many deaths of its worker, a job can fail.
const CRASHES_MAX: i64 = crate::model::crash_count::CRASHES_MAX as i64;

/// The error says which check failed.
pub(super) type Check = Result<(), String>;

/// What the caller of an insert knows about its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InsertAnswer {
    /// Nothing: no answer has arrived, the process died, or the answer was `Indeterminate`.
    Unknown,
    /// The job is stored under this id.
    Stored(i64),
    /// The job is not stored.
    Refused,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TaskEnd {
    Ok(String),
    Failed,
    Permanent,
    Cancelled,
}

/// An attempt that began in some process.
#[derive(Debug)]
struct AttemptRun {
    worker: i64,
    end: Option<TaskEnd>,
}

/// The state of a worker when it is removed.
///
/// `held_up`: whether a disruption may have kept its process from sending heartbeats since the last one was
/// seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkerStatus {
    /// Its process is dead.
    Dead,
    /// It is stopping.
    Stopping { held_up: bool },
    /// It is working.
    Working { held_up: bool },
}

#[derive(Default)]
pub(super) struct Model {
    /// The latest committed state.
    pub(super) state: StoredState,
    /// The latest state that no power cut may undo. After a sync has failed, what a reader sees may be only
    /// in the cache of the operating system until the next sync. No caller was answered for it.
    durable: StoredState,
    answers: BTreeMap<u64, InsertAnswer>,
    /// By job and attempt.
    runs: BTreeMap<(i64, i64), AttemptRun>,
    retried_by_hand: BTreeSet<i64>,
    cancelled_by_hand: BTreeSet<i64>,
    deleted_by_hand: BTreeSet<i64>,
    /// The heartbeats of each worker, and when they were last seen to grow.
    heartbeats: BTreeMap<i64, (i64, Duration)>,
    latest_wall_clock: i64,
}

macro_rules! ensure {
    ($holds:expr, $($otherwise:tt)*) => { if !$holds { return Err(format!($($otherwise)*)); } };
}

impl Model {
    // ---- Callers ----

    pub(super) fn insert_begins(&mut self, tag: u64) {
        self.answers.insert(tag, InsertAnswer::Unknown);
    }

    pub(super) fn insert_answered(&mut self, tag: u64, answer: InsertAnswer) -> Check {
        self.answers.insert(tag, answer);
        match answer {
            InsertAnswer::Stored(id) => {
                ensure!(
                    self.state.jobs.get(&id).is_some_and(|job| tag_of(job) == tag)
                        || self.deleted_by_hand.contains(&id),
                    "job {id} was acknowledged and is not stored"
                );
            }
            InsertAnswer::Refused => {
                ensure!(!self.is_stored(tag), "the job with the tag {tag} was refused and is stored")
            }
            InsertAnswer::Unknown => {}
        }
        Ok(())
    }

    pub(super) fn retry_begins(&mut self, id: i64) {
        self.retried_by_hand.insert(id);
    }

    pub(super) fn cancel_begins(&mut self, id: i64) {
        self.cancelled_by_hand.insert(id);
    }

    pub(super) fn delete_begins(&mut self, id: i64) {
        self.deleted_by_hand.insert(id);
    }

    pub(super) fn may_be_deleted(&self, id: i64) -> bool {
        self.deleted_by_hand.contains(&id)
    }

    pub(super) fn is_stored(&self, tag: u64) -> bool {
        self.state.jobs.values().any(|job| tag_of(job) == tag)
    }

    /// The ids that callers know.
    pub(super) fn known_ids(&self) -> Vec<i64> {
        let stored = |answer: &InsertAnswer| match answer {
            InsertAnswer::Stored(id) => Some(*id),
            _ => None,
        };
        self.answers.values().filter_map(stored).collect()
    }

    pub(super) fn wall_clock_is(&mut self, micros: i64) {
        self.latest_wall_clock = self.latest_wall_clock.max(micros);
    }

    // ---- Tasks and workers ----

    pub(super) fn attempt_begins(&mut self, key: (i64, i64), worker: i64) -> Check {
        let (id, attempt) = key;
        let before = self.runs.insert(key, AttemptRun { worker, end: None });
        ensure!(before.is_none(), "attempt {attempt} of job {id} begins twice");
        let held = self.state.jobs.get(&id).is_some_and(|job| {
            job.status == "running" && job.attempt == attempt && job.worker_id == Some(worker)
        });
        ensure!(
            held || !self.state.workers.contains_key(&worker),
            "worker {worker} is registered and begins attempt {attempt} of job {id}, which it does not hold"
        );
        Ok(())
    }

    pub(super) fn attempt_ends(&mut self, key: (i64, i64), end: TaskEnd) {
        if let Some(run) = self.runs.get_mut(&key) {
            run.end = Some(end);
        }
    }

    /// A worker has emitted that a job is completed.
    pub(super) fn completed_is_emitted(&self, id: i64) -> Check {
        let completed = self.state.jobs.get(&id).is_some_and(|job| job.status == "completed");
        ensure!(
            completed || self.deleted_by_hand.contains(&id),
            "the event says that job {id} is completed, and it is not"
        );
        Ok(())
    }

    // ---- The disk ----

    /// No disk operation has failed: the latest state is durable.
    pub(super) fn state_is_durable(&mut self) {
        self.durable.clone_from(&self.state);
    }

    pub(super) fn power_fails(&mut self) {
        self.state.clone_from(&self.durable);
    }

    // ---- The stored state ----

    /// Checks the next committed state; `status` says what became of a worker that was registered before.
    pub(super) fn check(
        &mut self,
        state: StoredState,
        now: Duration,
        lease: Duration,
        status: impl Fn(i64, Duration) -> WorkerStatus,
        trace: &Trace,
    ) -> Check {
        let orphans = state.orphans();
        ensure!(orphans.is_empty(), "running under workers that are not registered: {orphans:?}");
        check_suspected(&state)?;
        self.check_identities(&state)?;
        for (id, job) in &state.jobs {
            match self.state.jobs.get(id) {
                Some(before) if before == job => {}
                before => self.check_job(*id, before, job, &state, trace)?,
            }
            self.check_attempts(*id, job, &state)?;
        }
        for id in self.state.jobs.keys() {
            ensure!(
                state.jobs.contains_key(id) || self.deleted_by_hand.contains(id),
                "job {id} is gone and nobody deleted it"
            );
        }
        for (key, before) in &self.state.attempts {
            let record = state.attempts.get(key);
            ensure!(
                record == Some(before) || !state.jobs.contains_key(&key.0),
                "the record of attempt {key:?} was {before:?} and is {record:?}"
            );
        }
        self.check_workers(&state, now, lease, status, trace)?;
        self.state = state;
        Ok(())
    }

    /// Each job was inserted by one caller, and is stored once.
    fn check_identities(&self, state: &StoredState) -> Check {
        let mut tags = BTreeMap::new();
        for (id, job) in &state.jobs {
            let tag = tag_of(job);
            let twin = tags.insert(tag, *id);
            ensure!(twin.is_none(), "jobs {twin:?} and {id} are one job, stored twice");
            match self.answers.get(&tag) {
                None => return Err(format!("job {id} is stored and nobody inserted it")),
                Some(InsertAnswer::Refused) => return Err(format!("job {id} was refused and is stored")),
                Some(InsertAnswer::Stored(known)) if known != id => {
                    return Err(format!("job {id} was acknowledged as {known}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks how one job has changed.
    fn check_job(
        &self,
        id: i64,
        before: Option<&JobRow>,
        job: &JobRow,
        state: &StoredState,
        trace: &Trace,
    ) -> Check {
        note!(
            trace,
            "    job {id}: {} attempt {} retries {} crashes {} worker {:?} due {} {:?}",
            job.status,
            job.attempt,
            job.retries,
            job.crashes,
            job.worker_id,
            job.scheduled_at,
            job.error
        );
        ensure!(job.retries <= job.max_retries, "job {id} was retried {} times", job.retries);
        if job.status == "running" {
            ensure!(job.scheduled_at <= self.latest_wall_clock, "job {id} runs before it is due");
        }
        if let Some(before) = before {
            self.check_history(id, before, job)?;
        }
        let run = self.runs.get(&(id, job.attempt));
        let record = state.attempts.get(&(id, job.attempt)).map(|(_, outcome)| outcome.as_str());
        match job.status.as_str() {
            "completed" => {
                trace.saw("completed");
                check_completed(id, job, run)?;
            }
            "failed" => {
                trace.saw("failed");
                check_failed(id, job, run, record, trace)?;
                if record == Some("crashed") {
                    self.check_is_poison(id, before, state)?;
                }
            }
            "cancelled" => {
                let by_task = run.is_some_and(|run| run.end == Some(TaskEnd::Cancelled));
                ensure!(by_task || self.cancelled_by_hand.contains(&id), "job {id} was cancelled by nobody");
                trace.saw(if record == Some("cancelled") {
                    "cancelled by the task"
                } else {
                    "cancelled by hand"
                });
            }
            "pending" if before.is_some() => match record {
                Some("failed") => trace.saw("retrying"),
                Some("crashed") => trace.saw("crashed"),
                Some("released") => trace.saw("released"),
                _ if before.is_some_and(|before| before.attempt > job.attempt) => {
                    trace.saw("released unstarted")
                }
                _ => {}
            },
            "running" => trace.saw("claimed"),
            _ => {}
        }
        Ok(())
    }

    /// A job that has ended changes only by hand, and no counter decreases.
    fn check_history(&self, id: i64, before: &JobRow, job: &JobRow) -> Check {
        let by_hand = self.retried_by_hand.contains(&id);
        if before.has_ended() {
            ensure!(
                before.status != "completed" || job == before,
                "job {id} was completed and is {job:?} now"
            );
            ensure!(by_hand || job == before, "job {id} was {} and is {} now", before.status, job.status);
        }
        let unstarted = job.attempt + 1 == before.attempt && !self.runs.contains_key(&(id, before.attempt));
        ensure!(
            job.attempt >= before.attempt || unstarted,
            "the attempt of job {id} went from {} to {}",
            before.attempt,
            job.attempt
        );
        ensure!(job.retries >= before.retries || by_hand, "job {id} has fewer retries than before");
        Ok(())
    }

    /// Each attempt that has ended is recorded once, except the first one if it succeeded.
    fn check_attempts(&self, id: i64, job: &JobRow, state: &StoredState) -> Check {
        let records: Vec<(i64, &str)> = state
            .attempts
            .range((id, 0)..(id + 1, 0))
            .map(|((_, attempt), (_, outcome))| (*attempt, outcome.as_str()))
            .collect();
        let ended = match job.status.as_str() {
            "running" => job.attempt - 1,
            "completed" if job.attempt == 1 => 0,
            _ => job.attempt,
        };
        let numbers: Vec<i64> = records.iter().map(|(attempt, _)| *attempt).collect();
        ensure!(
            numbers == (1..=ended).collect::<Vec<_>>(),
            "job {id} is {} in its attempt {} and has records of {numbers:?}",
            job.status,
            job.attempt
        );
        let count = |outcome| records.iter().filter(|(_, it)| *it == outcome).count() as i64;
        if !self.retried_by_hand.contains(&id) {
            self.check_crashes(id, job, count("crashed"), state)?;
            let by_crash = state.attempts.get(&(id, job.attempt)).is_some_and(|(_, it)| it == "crashed");
            let failures = count("failed") - i64::from(job.status == "failed" && !by_crash);
            ensure!(job.retries == failures, "job {id} counts {} retries of {failures}", job.retries);
        }
        Ok(())
    }

    /// Each crash is counted, except for those that another job has caused that has failed by them. They are not
    /// subtracted from a job that had ended before.
    fn check_crashes(&self, id: i64, job: &JobRow, recorded: i64, state: &StoredState) -> Check {
        let poison = state.jobs.iter().filter(|(other, row)| {
            let last = state.attempts.get(&(**other, row.attempt));
            **other != id && row.status == "failed" && last.is_some_and(|(_, outcome)| outcome == "crashed")
        });
        let its = crashes_of(state, id);
        let shared = |(other, row): (&i64, &JobRow), part: fn(i64) -> i64| {
            let counted = crashes_of(state, *other).into_iter().rev().take(row.crashes as usize);
            let deaths: BTreeSet<i64> = counted.map(part).collect();
            its.iter().filter(|worker| deaths.contains(&part(**worker))).count() as i64
        };
        let poison: Vec<_> = poison.collect();
        let shared = |part| poison.iter().map(|job| shared(*job, part)).collect::<Vec<_>>();
        // Crashes with the same worker are shared. Those with workers of the same process are if they overlapped.
        let most = recorded - shared(|worker| worker).iter().max().filter(|_| !job.has_ended()).unwrap_or(&0);
        let shared = shared(|worker| worker >> 32);
        let least = recorded - shared.iter().sum::<i64>();
        // What a job explained that was retried or deleted since is not known.
        let is_known = self.retried_by_hand.is_empty() && self.deleted_by_hand.is_empty();
        ensure!(
            job.crashes <= most && (job.crashes >= least || !is_known),
            "job {id} counts {} crashes of {recorded}, of which others explain {shared:?}",
            job.crashes
        );
        Ok(())
    }

    /// The job has failed by its last crash. No other job was with its worker, or that one was the only suspected
    /// job at two deaths before.
    fn check_is_poison(&self, id: i64, before: Option<&JobRow>, state: &StoredState) -> Check {
        let Some(worker) = crashes_of(state, id).pop() else { return Ok(()) };
        let others = self.state.jobs.iter().filter(|(other, row)| {
            let crashed = state.attempts.get(&(**other, row.attempt)).is_some_and(|it| it.1 == "crashed");
            **other != id && crashed && row.worker_id == Some(worker)
        });
        let others: Vec<i64> = others.map(|(other, _)| *other).collect();
        ensure!(
            others.is_empty() || before.is_some_and(|it| it.max_suspected.is_some_and(|max| max < 0)),
            "job {id} has failed by its crashes beside the jobs {others:?}"
        );
        Ok(())
    }

    /// Only a worker that is dead, was held up for its lease, or stops is removed.
    fn check_workers(
        &mut self,
        state: &StoredState,
        now: Duration,
        lease: Duration,
        status: impl Fn(i64, Duration) -> WorkerStatus,
        trace: &Trace,
    ) -> Check {
        for (worker, heartbeats) in &state.workers {
            if self.heartbeats.get(worker).is_none_or(|(before, _)| before != heartbeats) {
                self.heartbeats.insert(*worker, (*heartbeats, now));
            }
        }
        for worker in self.state.workers.keys().filter(|worker| !state.workers.contains_key(worker)) {
            let (_, heartbeat_at) = self.heartbeats.get(worker).copied().unwrap_or_default();
            let silent = now.saturating_sub(heartbeat_at);
            let status = status(*worker, heartbeat_at);
            note!(trace, "    worker {worker} is removed: {status:?}, silent for {silent:?}");
            let held: Vec<_> = self
                .state
                .jobs
                .iter()
                .filter(|(_, job)| job.worker_id == Some(*worker) && !job.has_ended())
                .collect();
            // A worker that releases itself counts no crash.
            let crashed = |(id, job): &(&i64, &JobRow)| {
                state.jobs.get(*id).is_some_and(|after| after.crashes > job.crashes)
            };
            let by_itself = matches!(status, WorkerStatus::Stopping { .. }) && !held.iter().any(crashed);
            let ended = |(id, job): &(&i64, &JobRow)| {
                self.runs.get(&(**id, job.attempt)).is_some_and(|run| run.end.is_some())
            };
            if !by_itself && held.iter().any(ended) {
                trace.saw("a rescue was written before the end of a job");
            }
            match status {
                WorkerStatus::Dead => trace.saw("rescue of a dead worker"),
                WorkerStatus::Stopping { .. } if by_itself => trace.saw("worker released itself"),
                WorkerStatus::Stopping { held_up } | WorkerStatus::Working { held_up } => {
                    trace.saw("rescue of a living worker");
                    ensure!(
                        held_up && silent >= lease * 7 / 8,
                        "worker {worker} was presumed dead after {silent:?} (held up: {held_up})"
                    );
                }
            }
        }
        Ok(())
    }

    /// Whether every job has ended.
    pub(super) fn is_drained(&self) -> bool {
        self.state.jobs.values().all(JobRow::has_ended)
    }

    pub(super) fn open_jobs(&self) -> String {
        let open = self.state.jobs.iter().filter(|(_, job)| !job.has_ended());
        open.map(|(id, job)| format!("\n  job {id}: {job:?}")).collect()
    }

    /// When the last open job is due.
    pub(super) fn last_due(&self) -> i64 {
        let open = self.state.jobs.values().filter(|job| !job.has_ended());
        open.map(|job| job.scheduled_at).max().unwrap_or(0)
    }
}

/// The workers that have died with a job, oldest first.
fn crashes_of(state: &StoredState, id: i64) -> Vec<i64> {
    let attempts = state.attempts.range((id, 0)..(id + 1, 0));
    attempts.filter(|(_, (_, outcome))| outcome == "crashed").map(|(_, (worker, _))| *worker).collect()
}

/// The workers of a process hold no more suspected jobs together than each of them allows.
fn check_suspected(state: &StoredState) -> Check {
    let mut held: BTreeMap<i64, Vec<(i64, i64)>> = BTreeMap::new();
    for (id, job) in state.jobs.iter().filter(|(_, job)| job.status == "running" && job.is_suspected()) {
        let most = job.max_suspected.unwrap_or(1).max(1);
        let first = *WorkerId(job.worker_id.unwrap_or(0)).process().start();
        held.entry(first).or_default().push((*id, most));
    }
    for (first, jobs) in held {
        let most = jobs.iter().map(|(_, most)| *most).min().unwrap_or(1);
        ensure!(jobs.len() as i64 <= most, "the process of worker {first} holds the suspected jobs {jobs:?}");
    }
    Ok(())
}

/// A completed job has the result of the attempt that returned it.
fn check_completed(id: i64, job: &JobRow, run: Option<&AttemptRun>) -> Check {
    let Some(AttemptRun { worker, end: Some(TaskEnd::Ok(result)) }) = run else {
        return Err(format!("job {id} is completed by attempt {}, which did not return Ok", job.attempt));
    };
    ensure!(
        job.result.as_ref() == Some(result) && job.worker_id == Some(*worker),
        "job {id} is completed with {:?} of {:?} and not with {result} of {worker}",
        job.result,
        job.worker_id
    );
    Ok(())
}

/// A failed job had a permanent error, no retry left, or its last allowed crash.
fn check_failed(
    id: i64,
    job: &JobRow,
    run: Option<&AttemptRun>,
    record: Option<&str>,
    trace: &Trace,
) -> Check {
    let spent = job.retries == job.max_retries;
    let permanent = run.is_some_and(|run| run.end == Some(TaskEnd::Permanent));
    // A timeout may end before the first line of the task.
    let timed_out = job.task.ends_with("timed");
    let failed = run.is_some_and(|run| run.end == Some(TaskEnd::Failed));
    let crashed = record == Some("crashed") && job.crashes >= CRASHES_MAX;
    if crashed {
        trace.saw("failed by its crashes");
    }
    ensure!(
        crashed || permanent || (spent && (failed || timed_out)),
        "job {id} failed after {} of {} retries by {run:?}",
        job.retries,
        job.max_retries
    );
    Ok(())
}

fn tag_of(job: &JobRow) -> u64 {
    let digits: String = job.params.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(u64::MAX)
}
