//! Decides how many jobs a dispatcher asks for at once, including those claimed ahead of free threads:
//! [`ClaimLimit`].
//!
//! Also decides after which wait a job claimed ahead is released. When a request is sent is decided in
//! `dispatcher/claims.rs`.
//!
//! Depends on std alone. Its input is the average run time of the jobs and the size of the pool.

use std::time::Duration;

/// As many jobs are claimed ahead of free threads as the pool finishes within this time. So thousands of
/// short jobs share one commit, and a job of two seconds remains available to other workers.
const AHEAD: Duration = Duration::from_millis(10);

/// The most jobs that are claimed ahead. If the process dies, all of them wait for a rescue.
const AHEAD_MAX: usize = 1_024;

/// The most jobs of one claim request. The first jobs begin while the next ones are claimed, and other
/// callers of the store do not wait until thousands are claimed.
const CLAIM_MAX: usize = 512;

/// A job that was claimed ahead and has waited for this time is released: it was claimed too early.
pub(super) const AHEAD_WAIT_MAX: Duration = Duration::from_secs(1);

/// Limits the size of a claim by the average run time of the jobs.
#[derive(Default)]
pub(super) struct ClaimLimit {
    /// The moving average of the run time, in seconds; 0 before the first job has ended.
    average: f64,
}

impl ClaimLimit {
    /// Counts the run time of a job that has ended.
    pub(super) fn job_ended(&mut self, run_time: Duration) {
        let run_time = run_time.as_secs_f64();
        // The first job sets the average; each later one moves it by an eighth.
        self.average =
            if self.average == 0.0 { run_time } else { self.average + (run_time - self.average) / 8.0 };
    }

    /// Called when jobs claimed ahead have waited for [`AHEAD_WAIT_MAX`], so running jobs take at least that
    /// long. With the old average, the request that releases these jobs would claim them again, and an idle
    /// worker would never get them.
    pub(super) fn claimed_too_early(&mut self) {
        self.average = self.average.max(AHEAD_WAIT_MAX.as_secs_f64());
    }

    /// How many jobs to request when `held` jobs are already claimed. Only a pool whose free threads take
    /// jobs (`takes_jobs`) can hold jobs ahead.
    pub(super) fn room(&self, pool_size: usize, takes_jobs: bool, held: usize) -> usize {
        let ahead = if !takes_jobs || self.average <= 0.0 {
            0
        } else {
            ((pool_size as f64 * AHEAD.as_secs_f64() / self.average) as usize).min(AHEAD_MAX)
        };
        (pool_size + ahead).saturating_sub(held).min(CLAIM_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_jobs_are_claimed_ahead_and_long_ones_are_not() {
        let mut limit = ClaimLimit::default();
        assert_eq!(limit.room(4, true, 0), 4);
        limit.job_ended(Duration::from_micros(100));
        assert_eq!(limit.room(4, true, 0), 4 + 400);
        assert_eq!(limit.room(4, true, 403), 1);
        assert_eq!(limit.room(4, true, 500), 0);
        assert_eq!(limit.room(4, false, 0), 4);
        limit.claimed_too_early();
        assert_eq!(limit.room(4, true, 1), 3);
    }

    #[test]
    fn the_average_follows_the_jobs_and_no_request_asks_for_more_than_the_limit() {
        let mut limit = ClaimLimit::default();
        limit.job_ended(Duration::from_nanos(1));
        assert_eq!(limit.room(4, true, 0), CLAIM_MAX);
        assert_eq!(limit.room(4, true, AHEAD_MAX + 3), 1);
        limit.job_ended(Duration::from_secs(8));
        assert_eq!(limit.room(200, true, 0), 201);
    }
}
