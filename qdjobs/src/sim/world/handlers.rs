//! How the tasks of a simulated run go: when one begins, how long it runs and how it ends.
//!
//! What becomes of a job afterwards is decided by the product.
//!
//! Depends on the stepped worker.

use std::time::Duration;

use super::super::model::{Check, TaskEnd};
use super::super::process::PlannedRun;
use super::super::trace::note;
use super::{Phase, World};
use crate::model::retry::Outcome;
use crate::task::{TaskError, TaskErrorKind};
use crate::worker::testing::guarded;

impl World<'_> {
    pub(super) fn begin(&mut self, index: usize, dispatcher: usize) -> Check {
        let Some(live) = &mut self.processes[index].live else { return Ok(()) };
        let Some(job) = live.worker.as_mut().and_then(|worker| worker.begin(dispatcher)) else {
            return Ok(());
        };
        let claim = job.claim();
        let lasts = self.run_time(job.job().task_name.ends_with("timed"));
        let outcome = self.outcome(format!("\"{}:{}:{}\"", claim.id, claim.attempt, claim.worker));
        note!(
            self.trace,
            "  begins {} attempt {} of {}, for {lasts} us",
            claim.id,
            claim.attempt,
            claim.worker
        );
        if lasts > 10 * self.plan.lease.as_micros() as u64 {
            self.trace.saw("ran for ten leases");
        }
        self.model.attempt_begins((claim.id.0, i64::from(claim.attempt)), claim.worker.0)?;
        let ends_at = self.now + Duration::from_micros(lasts);
        let obeys_stop = self.rng.once_in(2);
        if self.rng.once_in(4) {
            job.progress(0.5);
        }
        let run =
            PlannedRun { dispatcher, job, began: self.now, ends_at, outcome: Some(outcome), obeys_stop };
        if let Some(live) = &mut self.processes[index].live {
            live.runs.push(run);
        }
        Ok(())
    }

    /// How long a task runs, in microseconds.
    fn run_time(&mut self, timed: bool) -> u64 {
        let lease = self.plan.lease.as_micros() as u64;
        match self.rng.below(if self.phase == Phase::Chaos { 20 } else { 12 }) {
            _ if self.plan.long && self.rng.once_in(2) => self.rng.below(2 * lease),
            0..8 => 0,
            8..12 => self.rng.below(1_000_000),
            12..18 => self.rng.below(lease),
            // It hangs on a thread that cannot be ended from outside: the job does not begin again in this
            // process before it returns.
            _ if timed => 6_000_000 + self.rng.below(60_000_000),
            _ => lease + self.rng.below(11 * lease),
        }
    }

    fn outcome(&mut self, result: String) -> Outcome {
        match self.rng.below(20) {
            0..12 => Ok(result),
            12 | 13 if self.phase > Phase::Chaos => Ok(result),
            12..15 => Err(TaskError::retry("an error")),
            15 => Err(TaskError::retry_in(Duration::from_secs(self.rng.below(5)), "busy")),
            16 => Err(TaskError::permanent("a permanent error")),
            17 => Err(TaskError::cancel("no longer needed")),
            18 => guarded(|| std::panic::resume_unwind(Box::new("a task panics"))),
            _ => Ok(result),
        }
    }

    pub(super) fn end(&mut self, index: usize, run: usize) {
        let Some(live) = &mut self.processes[index].live else { return };
        let Some(worker) = &mut live.worker else { return };
        let PlannedRun { dispatcher, job, outcome, ends_at, .. } = live.runs.swap_remove(run);
        let outcome = match outcome {
            Some(outcome) if self.now >= ends_at => outcome,
            _ => {
                self.trace.saw("ended when asked to stop");
                Err(TaskError::retry("asked to stop"))
            }
        };
        let claim = job.claim();
        let end = match &outcome {
            Ok(result) => TaskEnd::Ok(result.clone()),
            Err(failure) => match failure.kind() {
                TaskErrorKind::Permanent => TaskEnd::Permanent,
                TaskErrorKind::Cancel => TaskEnd::Cancelled,
                _ => TaskEnd::Failed,
            },
        };
        note!(self.trace, "  ends {} attempt {}: {end:?}", claim.id, claim.attempt);
        if job.is_settled() {
            self.trace.saw("ended after its timeout");
        }
        self.model.attempt_ends((claim.id.0, i64::from(claim.attempt)), end);
        worker.end(dispatcher, job, outcome);
    }
}

impl PlannedRun {
    /// When it ends.
    pub(in super::super) fn ends(&self) -> Duration {
        if self.obeys_stop && self.job.stop_reason().is_some() { self.began } else { self.ends_at }
    }
}
