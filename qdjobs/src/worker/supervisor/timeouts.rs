//! Notices that a running attempt has exceeded its timeout, by the monotonic clock: [`TimeoutDuty`].
//!
//! `dispatcher/next_job.rs` settles such an attempt, and goes on without its thread or future.
//!
//! Depends on the dispatchers.

use std::time::Duration;

use super::duty::{Duty, NextRun, Supervised};

pub(super) struct TimeoutDuty;

impl Duty for TimeoutDuty {
    fn step(&mut self, worker: &mut Supervised, now: Duration) -> NextRun {
        let deadlines = worker.dispatchers.iter().filter_map(|dispatcher| dispatcher.time_out(now));
        deadlines.min().map_or(NextRun::NEVER, NextRun::at)
    }

    fn needs_store(&self) -> bool {
        false
    }
}
