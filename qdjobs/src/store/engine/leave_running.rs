//! The new values of a job's row when it leaves `running`, for every store: [`Leaving`].
//!
//! Decides no transition: `model/retry.rs` and `model/crash_count.rs` have decided it before. A store only writes
//! the values: `sqlite/queries/finish.rs`, `memory/state.rs`. Answers nobody.
//!
//! Depends on the model.

use std::borrow::Cow;
use std::time::Duration;

use crate::model::clock::{Timestamp, after_at_latest};
use crate::model::crash_count::{Crash, Suspicion};
use crate::model::job::{AttemptOutcome, Status, clip_error};
use crate::model::retry::Verdict;
use crate::store::{Claim, FinishedJob, Ticket};

/// How one job leaves `running`: its task ended, its worker stops, or its worker died.
#[derive(Debug)]
pub(crate) struct Leaving<'a> {
    /// The claim that ends.
    pub(crate) claim: Claim,
    /// When the attempt started.
    pub(crate) started_at: Timestamp,
    /// The status of the job afterwards.
    pub(crate) next: Next<'a>,
    /// What is counted against the job.
    pub(crate) counts: Counted,
    /// How the attempt ended. `None` if it is not recorded; its number is then used again.
    pub(crate) outcome: Option<AttemptOutcome>,
    /// The error or reason of the attempt, in its stored form.
    pub(crate) error: Option<Cow<'a, str>>,
}

/// The status of a job after it has left `running`.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// `completed`, with its result.
    Completed {
        /// JSON text.
        result: &'a str,
    },
    /// `failed` or `cancelled`, with the attempt's error.
    Ended(Status),
    /// `pending`.
    Pending {
        /// When it is due. `None` keeps its `scheduled_at` and thus its place in the queue.
        scheduled_at: Option<Timestamp>,
        /// Whether it is due. The store decides from its crash count whether it is a suspected poison job.
        is_due: bool,
    },
}

/// What is counted for a job that leaves `running`. With all but `Nothing`, the error of the attempt becomes the
/// error of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Nothing,
    ErrorAlone,
    Retry,
    /// A crash. A job that stays suspected keeps this `max_suspected` or gets it.
    Crash {
        max_suspected: Option<i64>,
    },
}

/// A running job of a worker that is released.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) claim: Claim,
    pub(crate) suspicion: Suspicion,
    pub(crate) started_at: Timestamp,
}

impl<'a> Leaving<'a> {
    /// The end that the worker's verdict requests.
    pub(crate) fn finished(job: &'a FinishedJob, now: Timestamp) -> Leaving<'a> {
        let FinishedJob { claim, ticket, began_after, verdict } = job;
        let leaving = |next, outcome, error| Leaving {
            claim: *claim,
            started_at: ticket.started_at(*began_after, now),
            next,
            counts: Counted::Nothing,
            outcome: Some(outcome),
            error,
        };
        let due_after = |wait: Duration| {
            let at = after_at_latest(now, wait);
            Next::Pending { scheduled_at: Some(at), is_due: at <= now }
        };
        match verdict {
            Verdict::Complete { result } => {
                leaving(Next::Completed { result }, AttemptOutcome::Completed, None)
            }
            Verdict::Fail { error } => {
                leaving(Next::Ended(Status::Failed), AttemptOutcome::Failed, Some(clip_error(error)))
            }
            Verdict::Cancel { reason } => {
                leaving(Next::Ended(Status::Cancelled), AttemptOutcome::Cancelled, Some(clip_error(reason)))
            }
            Verdict::Retry { wait, error } => {
                let retry = leaving(due_after(*wait), AttemptOutcome::Failed, Some(clip_error(error)));
                Leaving { counts: Counted::Retry, ..retry }
            }
            Verdict::Postpone { wait, error } => {
                let postponed = leaving(due_after(*wait), AttemptOutcome::Released, Some(clip_error(error)));
                Leaving { counts: Counted::ErrorAlone, ..postponed }
            }
            Verdict::Release { wait, started } => {
                let at = (!wait.is_zero()).then(|| after_at_latest(now, *wait));
                // A claimed job was due. Without a wait, it is still due.
                let next = Next::Pending { scheduled_at: at, is_due: at.is_none_or(|at| at <= now) };
                let release = leaving(next, AttemptOutcome::Released, None);
                Leaving { outcome: release.outcome.filter(|_| *started), ..release }
            }
        }
    }

    /// Whether the attempt needs no row of its own, because the job's row contains all of it: a success at the
    /// first attempt.
    pub(crate) fn is_first_success(&self) -> bool {
        self.claim.attempt == 1 && self.outcome == Some(AttemptOutcome::Completed)
    }

    /// Undoes a claim that no worker knows of.
    pub(crate) fn unclaimed(claim: Claim, ticket: Ticket) -> Leaving<'a> {
        Leaving {
            claim,
            started_at: ticket.claimed_at(),
            next: Next::Pending { scheduled_at: None, is_due: true },
            counts: Counted::Nothing,
            outcome: None,
            error: None,
        }
    }

    /// Releases the job with its worker, without a failure.
    pub(crate) fn released(held: &Held) -> Leaving<'a> {
        Leaving {
            claim: held.claim,
            started_at: held.started_at,
            next: Next::Pending { scheduled_at: None, is_due: true },
            counts: Counted::Nothing,
            outcome: Some(AttemptOutcome::Released),
            error: None,
        }
    }

    /// Releases the job of a dead worker and counts a crash for it. The job keeps its place in the queue.
    pub(crate) fn crashed(held: &Held, crash: &'a Crash) -> Leaving<'a> {
        let next = match crash.suspicion {
            Some(_) => Next::Pending { scheduled_at: None, is_due: true },
            None => Next::Ended(Status::Failed),
        };
        let max_suspected = crash.suspicion.and_then(|it| it.max_suspected);
        let counts = if crash.is_counted { Counted::Crash { max_suspected } } else { Counted::ErrorAlone };
        Leaving {
            claim: held.claim,
            started_at: held.started_at,
            next,
            counts,
            outcome: Some(AttemptOutcome::Crashed),
            error: Some(Cow::Borrowed(&crash.error)),
        }
    }

    /// The error that becomes the error of the job; `None` if the job keeps its error.
    pub(crate) fn job_error(&self) -> Option<&str> {
        let changes = matches!(self.next, Next::Ended(_)) || self.counts != Counted::Nothing;
        self.error.as_deref().filter(|_| changes)
    }
}
