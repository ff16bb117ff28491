//! The verbs that are the same in every store: *finish*, *release* and *command*, in terms of a transaction.
//!
//! Depends on the transaction and the model. Decides which finishes are repetitions and which are lost, and
//! for which jobs of a dead worker a crash is counted. Answers nobody.

use super::leaving::Leaving;
use super::transaction::{Effects, Transaction};
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{Job, Status, WorkerId};
use crate::model::poison::attribute_crash;
use crate::store::{FinishedJob, JobCommand, Release, Released, not_found};

/// What the finish of one job did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FinishResult {
    /// The job has left `running`, as the verdict says.
    Written,
    /// The job had ended under this very claim, whichever way; nothing was written.
    EndedBefore(Status),
    /// The history has this attempt of this worker, ended as this verdict says: the finish was written
    /// before, and its answer was lost.
    Repeated,
    /// The claim was lost; nothing was written.
    Lost,
}

/// Writes a finished job, if its claim still holds the job.
///
/// The outcome, too, distinguishes a repetition from a lost claim. An attempt that was released since its
/// worker was presumed dead is in the history as released. Its completion comes too late, and the worker must
/// know that the job runs again.
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
        // Its task completed it in a transaction of its own, perhaps: those who wait for the end are
        // answered.
        effects.ended.push(job.claim.id);
        return Ok(FinishResult::EndedBefore(status));
    }
    match leaving.outcome {
        Some(outcome) if tx.has_attempt(job.claim, outcome)? => Ok(FinishResult::Repeated),
        _ => Ok(FinishResult::Lost),
    }
}

/// Takes one job out of `running`; `false` if its claim is lost.
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

/// Releases what a worker holds and removes the worker. Nothing, if another process was quicker or a silent
/// worker was heard.
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
    let now = tx.now();
    let attribution = is_dead.then(|| {
        let counted: Vec<_> = held.iter().map(|job| (job.claim.id, job.crash_count)).collect();
        attribute_crash(&counted, tx.crashes_max())
    });
    let mut released = Released { jobs: held.len(), failed: Vec::new() };
    for job in &held {
        let id = job.claim.id;
        let crash = attribution.as_ref().and_then(|it| it.crashes.get(&id));
        let leaving = match crash {
            Some(crash) => Leaving::crashed(job, crash, now),
            None => Leaving::released(job, attribution.as_ref().map(|it| it.released_note.as_str())),
        };
        leave(tx, &leaving, effects)?;
        if crash.is_some_and(|crash| crash.is_last) {
            released.failed.extend(tx.job(id)?);
        }
    }
    Ok(released)
}

/// Changes one job as a person asked; the job as it is afterwards, or as it was if it is deleted.
pub(super) fn command<T: Transaction>(tx: &mut T, command: JobCommand, effects: &mut Effects) -> Result<Job> {
    let id = command.id();
    let job = tx.job(id)?.ok_or_else(|| not_found(id))?;
    command.permit(job.status, job.scheduled_at <= tx.now())?;
    tx.command(command)?;
    // Those who wait for its end look at it again: it may have ended, or be gone.
    effects.ended.push(id);
    effects.ready += usize::from(matches!(command, JobCommand::Retry(_)));
    if matches!(command, JobCommand::Delete(_)) {
        return Ok(job);
    }
    tx.job(id)?.ok_or_else(|| not_found(id))
}

/// The error for a worker that is not registered: presumed dead, released, or never registered.
pub(super) fn lease_lost(worker: WorkerId) -> Error {
    Error::new(ErrorKind::LeaseLost, format!("worker {worker} is not registered; its lease may have expired"))
        .help("register a new worker under another id")
}
