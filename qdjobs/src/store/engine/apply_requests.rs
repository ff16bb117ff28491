//! The verbs *finish*, *release* and *command*, the same in every store: which finishes are repetitions and
//! which are lost.
//!
//! Does not decide what a death means for the jobs of its worker: it passes them to `model/crash_count.rs`.
//! The new values of a row are in `leave_running.rs`. Which commands are allowed is decided in
//! `store/command.rs`. Answers nobody.
//!
//! Depends on the transaction and the model.

use super::leave_running::Leaving;
use super::transaction::{Effects, Transaction};
use crate::model::clock::Timestamp;
use crate::model::crash_count::{Beside, SUSPECTED_FROM, count_crash};
use crate::model::error::Result;
use crate::model::job::{Job, Status, WorkerId};
use crate::store::{FinishedJob, JobCommand, Release, Released, not_found};

/// The result of the finish of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FinishResult {
    /// The verdict was written: the job has left `running`.
    Written,
    /// The job had already ended under exactly this claim, in this status. Nothing was written.
    EndedBefore(Status),
    /// The history already has this attempt with this outcome: the finish was written before, and its answer
    /// was lost. Nothing was written.
    Repeated,
    /// The claim was lost. Nothing was written.
    Lost,
}

/// Writes a finished job, if its claim still holds the job.
///
/// A repeated finish and a lost claim differ also in the recorded outcome. If a worker was presumed dead, the
/// history records its attempt as released. A late completion of that attempt is lost, so the worker learns
/// that the job runs again.
pub(crate) fn finish<T: Transaction>(
    tx: &mut T,
    job: &FinishedJob,
    effects: &mut Effects,
) -> Result<FinishResult> {
    let leaving = Leaving::finished(job, tx.now());
    if leave(tx, &leaving, effects)? {
        return Ok(FinishResult::Written);
    }
    if let Some(status) = tx.end_under(job.claim)? {
        // The task may have completed the job in its own transaction. So the calls that wait for this job are
        // checked.
        effects.ended.push(job.claim.id);
        return Ok(FinishResult::EndedBefore(status));
    }
    match leaving.outcome {
        Some(outcome) if tx.has_attempt(job.claim, outcome)? => Ok(FinishResult::Repeated),
        _ => Ok(FinishResult::Lost),
    }
}

/// Takes one job out of `running` and records the effects; `false` if its claim is lost.
pub(super) fn leave<T: Transaction>(
    tx: &mut T,
    leaving: &Leaving<'_>,
    effects: &mut Effects,
) -> Result<bool> {
    let has_left = tx.leave_running(leaving)?;
    if has_left {
        effects.has_left(leaving);
    }
    Ok(has_left)
}

/// Releases the jobs of a worker and removes the worker. Does nothing if another process has done so, or if
/// the silent worker has sent a heartbeat since.
pub(super) fn release_worker<T: Transaction>(
    tx: &mut T,
    worker: WorkerId,
    why: Release,
    effects: &mut Effects,
) -> Result<Released> {
    if let Release::Silent { heartbeats } = why
        && tx.heartbeats(worker)? != Some(heartbeats)
    {
        return Ok(Released::default());
    }
    let is_dead = why != Release::ByWorker;
    effects.gone.push(worker);
    if !tx.remove_worker(worker, is_dead)? {
        return Ok(Released::default());
    }
    let mut held = tx.held_by(worker)?;
    held.sort_unstable_by_key(|job| job.claim.id);
    let mut released = Released { jobs: held.len(), failed: Vec::new() };
    if !is_dead {
        for job in &held {
            leave(tx, &Leaving::released(job), effects)?;
        }
        return Ok(released);
    }
    let suspicions: Vec<_> = held.iter().map(|job| (job.claim.id, job.suspicion)).collect();
    // All of them were claimed before this death. If the clock was set back, no time tells which death is which.
    let beside = match held.iter().map(|job| job.started_at).max() {
        Some(since) if since <= tx.now() => tx.held_beside(worker, since)?,
        Some(_) => tx.held_beside(worker, Timestamp::MIN)?,
        None => Beside::default(),
    };
    // In the order of the ids, as `held`.
    let crashes = count_crash(&suspicions, beside, tx.crashes_max());
    for (job, crash) in held.iter().zip(crashes.values()) {
        leave(tx, &Leaving::crashed(job, crash), effects)?;
    }
    // After all crashes are recorded: this death, too, is shared. The jobs of the other workers of the process are
    // released later, and then find the cause.
    for (id, _) in crashes.iter().filter(|(_, crash)| crash.suspicion.is_none()) {
        effects.ready += tx.clear_crashes_shared_with(*id)?;
        released.failed.extend(tx.job(*id)?);
    }
    Ok(released)
}

/// Releases running jobs that no registered worker holds, as a person in a database shell can make them.
pub(super) fn release_orphans<T: Transaction>(tx: &mut T, effects: &mut Effects) -> Result<()> {
    for orphan in tx.orphans()? {
        let leaving = Leaving { outcome: None, ..Leaving::released(&orphan) };
        leave(tx, &leaving, effects)?;
    }
    Ok(())
}

/// Releases all running jobs and removes all workers, in a database that no worker uses.
pub(crate) fn release_all<T: Transaction>(tx: &mut T, workers: &[WorkerId]) -> Result<()> {
    let mut effects = Effects::default();
    for worker in workers {
        release_worker(tx, *worker, Release::ByWorker, &mut effects)?;
    }
    release_orphans(tx, &mut effects)
}

/// Changes one job by hand. Returns the changed job; if it is deleted, the job as it was.
pub(super) fn command<T: Transaction>(tx: &mut T, command: JobCommand, effects: &mut Effects) -> Result<Job> {
    let id = command.id();
    let job = tx.job_to_change(id)?.ok_or_else(|| not_found(id))?;
    command.permit(job.status, job.scheduled_at <= tx.now())?;
    tx.command(command)?;
    // Check the waiters of this job again: the job may have ended or been deleted.
    effects.ended.push(id);
    // A suspected poison job that leaves the line no longer keeps those behind it.
    let left_line = job.status == Status::Pending && job.crash_count >= SUSPECTED_FROM;
    effects.ready += usize::from(matches!(command, JobCommand::Retry(_)) || left_line);
    if matches!(command, JobCommand::Delete(_)) {
        return Ok(job);
    }
    tx.job(id)?.ok_or_else(|| not_found(id))
}
