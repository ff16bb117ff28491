//! How jobs go: when a handler begins, what the dice say of it, and how it ends.
//!
//! Leans on the stepped worker. What becomes of the job afterwards is the product's business.

use std::time::Duration;

use super::super::model::{End, Verdict};
use super::super::process::Handler;
use super::super::trace::note;
use super::World;
use crate::task::{TaskError, TaskErrorKind};
use crate::worker::testing::guarded;

impl World<'_> {
    pub(super) fn begin(&mut self, index: usize, dispatcher: usize) -> Verdict {
        let Some(life) = &mut self.processes[index].life else { return Ok(()) };
        let Some(running) = life.worker.as_mut().and_then(|worker| worker.begin(dispatcher)) else {
            return Ok(());
        };
        let claim = running.claim();
        let timed = running.job().task_name.ends_with("timed");
        let lease = self.plan.lease.as_micros() as u64;
        let lasts = match self.dice.below(if self.heals { 12 } else { 20 }) {
            _ if self.plan.long && self.dice.once_in(2) => self.dice.below(2 * lease),
            0..8 => 0,
            8..12 => self.dice.below(1_000_000),
            12..18 => self.dice.below(lease),
            // Hangs, in a thread that nobody can end: the job is not begun again in this process before it returns.
            _ if timed => 6_000_000 + self.dice.below(60_000_000),
            _ => lease + self.dice.below(11 * lease),
        };
        let result = format!("\"{}:{}:{}\"", claim.id, claim.attempt, claim.worker);
        let outcome = match self.dice.below(20) {
            0..12 => Ok(result),
            12 | 13 if self.heals => Ok(result),
            12..15 => Err(TaskError::retry("went wrong")),
            15 => Err(TaskError::retry_in(Duration::from_secs(self.dice.below(5)), "busy")),
            16 => Err(TaskError::permanent("never")),
            17 => Err(TaskError::cancel("no use")),
            18 => guarded(|| std::panic::resume_unwind(Box::new("a task panics"))),
            _ => Ok(result),
        };
        note!(
            self.trace,
            "  begins {} attempt {} of {}, for {lasts} us",
            claim.id,
            claim.attempt,
            claim.worker
        );
        if lasts > 10 * lease {
            self.trace.saw("ran for ten leases");
        }
        self.model.begins((claim.id.0, i64::from(claim.attempt)), claim.worker.0)?;
        let ends_at = self.now + Duration::from_micros(lasts);
        let listens = self.dice.once_in(2);
        if self.dice.once_in(4) {
            running.progress(0.5);
        }
        life.handlers.push(Handler {
            dispatcher,
            running,
            begun: self.now,
            ends_at,
            outcome: Some(outcome),
            listens,
        });
        Ok(())
    }

    pub(super) fn end(&mut self, index: usize, at: usize) {
        let Some(life) = &mut self.processes[index].life else { return };
        let Some(worker) = &mut life.worker else { return };
        let Handler { dispatcher, running, outcome, ends_at, .. } = life.handlers.swap_remove(at);
        let outcome = match outcome {
            Some(outcome) if self.now >= ends_at => outcome,
            _ => {
                self.trace.saw("ended when told to");
                Err(TaskError::retry("told to stop"))
            }
        };
        let claim = running.claim();
        let end = match &outcome {
            Ok(result) => End::Ok(result.clone()),
            Err(failure) => match failure.kind() {
                TaskErrorKind::Permanent => End::Permanent,
                TaskErrorKind::Cancel => End::Cancelled,
                _ => End::Failed,
            },
        };
        note!(self.trace, "  ends {} attempt {}: {end:?}", claim.id, claim.attempt);
        if running.is_settled() {
            self.trace.saw("ended after its timeout");
        }
        self.model.ends((claim.id.0, i64::from(claim.attempt)), end);
        worker.end(dispatcher, running, outcome);
    }
}

impl Handler {
    /// When it ends.
    pub(in super::super) fn ends(&self) -> Duration {
        if self.listens && self.running.stop_reason().is_some() { self.begun } else { self.ends_at }
    }
}
