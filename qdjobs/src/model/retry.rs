//! Decides whether a job is retried and how long the wait is, with its jitter: [`Verdict::of`] and
//! [`Backoff`].
//!
//! Does not handle crashes of a worker: see `crash_count.rs`. A retry by hand is in `store/command.rs`. The new
//! values of the job's row are in `store/engine/leave_running.rs`.
//!
//! Depends on `outcome` and `task_error`. Reads no clock and draws no random number: both are arguments.

use std::time::Duration;

pub(crate) use super::outcome::Outcome;
use super::task_error::TaskErrorKind;

/// The wait before each retry.
///
/// An exponential backoff computes an upper bound. The actual wait is a random value between
/// [`Backoff::FLOOR`] and this bound, so that jobs that failed together are not retried together. (This is
/// "full jitter": M. Brooker, *Exponential Backoff and Jitter*, AWS Architecture Blog 2015.) The waits of
/// [`Backoff::Fixed`] and [`Backoff::Custom`] are exact.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Backoff {
    /// A bound of `first`, multiplied by `factor` at each further retry, up to `max`; with full jitter.
    Exponential {
        /// The upper bound of the first wait.
        first: Duration,
        /// The factor between the bounds of two retries; at least 1.
        factor: f64,
        /// The largest bound.
        max: Duration,
    },
    /// The same wait before each retry, without jitter.
    Fixed(Duration),
    /// A function from the number of the retry (1 for the first) to the wait, without jitter.
    Custom(fn(u32) -> Duration),
}

impl Backoff {
    /// The default: upper bounds of 1 s, 2 s, 4 s, … up to one hour.
    pub const DEFAULT: Backoff = Backoff::exponential(Duration::from_secs(1), 2.0, Duration::from_secs(3600));

    /// The shortest wait of an exponential backoff. Without it, some retries would start at once, against a
    /// service that has just failed.
    pub const FLOOR: Duration = Duration::from_millis(500);

    /// An exponential backoff with full jitter.
    pub const fn exponential(first: Duration, factor: f64, max: Duration) -> Backoff {
        Backoff::Exponential { first, factor, max }
    }

    /// The wait before retry number `retry` (1 for the first). `random` is a uniform number from `0.0..1.0`.
    ///
    /// ```
    /// # use qdjobs::Backoff; use std::time::Duration;
    /// let backoff = Backoff::DEFAULT;
    /// assert_eq!(backoff.wait(4, 0.9999).as_secs(), 7);   // just below 1 s doubled three times
    /// assert!(backoff.wait(4, 0.0) >= Backoff::FLOOR);
    /// assert!(backoff.wait(1000, 0.9999) <= Duration::from_secs(3600));
    /// ```
    pub fn wait(&self, retry: u32, random: f64) -> Duration {
        match *self {
            Backoff::Fixed(wait) => wait,
            Backoff::Custom(wait) => wait(retry),
            Backoff::Exponential { first, factor, max } => {
                // Computed in floating-point seconds: an overflow is infinity, and `max` still applies.
                let growth = factor.max(1.0).powi(retry.saturating_sub(1).min(i32::MAX as u32) as i32);
                let upper = (first.as_secs_f64() * growth).min(max.as_secs_f64());
                let floor = Self::FLOOR.as_secs_f64().min(upper);
                Duration::from_secs_f64(floor + (upper - floor) * random.clamp(0.0, 1.0))
            }
        }
    }
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff::DEFAULT
    }
}

/// What happens to a job whose attempt has ended. [`Verdict::of`] decides it, and a store writes it
/// unchanged.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// The job is `completed`.
    Complete {
        /// The result as JSON text.
        result: String,
    },
    /// The job is `pending` again and due after `wait`; a retry is counted.
    Retry {
        /// The wait from the end of the attempt to the retry.
        wait: Duration,
        /// The error of the attempt.
        error: String,
    },
    /// The job is `failed`.
    Fail {
        /// The error of the attempt.
        error: String,
    },
    /// The job is `cancelled`, as its task requested.
    Cancel {
        /// The reason that the task gave.
        reason: String,
    },
    /// The job is `pending` again and due after `wait`, and no retry is counted: this worker cannot read its
    /// params, and a worker of another version may.
    Postpone {
        /// The wait until it can be claimed again.
        wait: Duration,
        /// What does not fit. It becomes the error of the job until the job is run.
        error: String,
    },
    /// The job is `pending` again, and no retry is counted: the worker stops, or cannot run the job now.
    Release {
        /// The wait until it can be claimed again.
        wait: Duration,
        /// Whether the task had started. If it had not, the attempt number is decremented, too.
        started: bool,
    },
}

/// The retries of a job: how many are used and allowed, and the wait before the next.
#[derive(Clone, Copy, Debug)]
pub struct RetryBudget {
    /// The number of retries used.
    pub retry_count: u32,
    /// The number of retries allowed.
    pub max_retries: u32,
    /// The wait before the next retry.
    pub backoff: Backoff,
    /// The number of earlier attempts that used no retry: released, postponed or crashed.
    pub uncounted: u32,
}

/// The wait before a job whose params cannot be read is claimed again: at first, and at most. It doubles each time.
const UNREADABLE_WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// At each attempt of this number, counted without those that used a retry, a job whose params cannot be read fails.
/// With the waits above, that is after 58 minutes: as long as the workers of two versions may run side by side. Earlier
/// attempts that were released or crashed make it less. After a retry by hand of a job that had used no retry, it
/// begins anew.
const UNREADABLE_MAX: u32 = 20;

/// What happens to a job whose params this worker cannot read.
fn left_to_others(uncounted: u32, error: String) -> Verdict {
    let tries = uncounted % UNREADABLE_MAX;
    if tries + 1 == UNREADABLE_MAX {
        return Verdict::Fail { error };
    }
    let wait = UNREADABLE_WAITS.0.saturating_mul(1 << tries).min(UNREADABLE_WAITS.1);
    Verdict::Postpone { wait, error }
}

impl Verdict {
    /// Decides what happens to a job. No other place maps an outcome to a status.
    ///
    /// `random` is a uniform number from `0.0..1.0`, for the jitter of the backoff.
    pub fn of(outcome: Outcome, budget: RetryBudget, random: f64) -> Verdict {
        let failure = match outcome {
            Ok(result) => return Verdict::Complete { result },
            Err(failure) => failure,
        };
        let exhausted = budget.retry_count >= budget.max_retries;
        match failure.kind() {
            TaskErrorKind::Cancel => Verdict::Cancel { reason: failure.into_text() },
            TaskErrorKind::Permanent => Verdict::Fail { error: failure.into_text() },
            TaskErrorKind::Unreadable => left_to_others(budget.uncounted, failure.into_text()),
            _ if exhausted => Verdict::Fail { error: failure.into_text() },
            TaskErrorKind::RetryIn(wait) => Verdict::Retry { wait, error: failure.into_text() },
            TaskErrorKind::Retry => Verdict::Retry {
                wait: budget.backoff.wait(budget.retry_count + 1, random),
                error: failure.into_text(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::task_error::TaskError;

    fn budget(retry_count: u32, max_retries: u32) -> RetryBudget {
        let backoff = Backoff::Fixed(Duration::from_secs(7));
        RetryBudget { retry_count, max_retries, backoff, uncounted: 0 }
    }

    #[test]
    fn a_failure_is_retried_until_no_retries_are_left() {
        let failed = || Err(TaskError::retry("boom"));
        let retry = Verdict::Retry { wait: Duration::from_secs(7), error: "boom".into() };
        assert_eq!(Verdict::of(failed(), budget(0, 2), 0.5), retry);
        assert_eq!(Verdict::of(failed(), budget(1, 2), 0.5), retry);
        assert_eq!(Verdict::of(failed(), budget(2, 2), 0.5), Verdict::Fail { error: "boom".into() });
    }

    #[test]
    fn the_wait_is_that_of_the_next_retry() {
        let backoff = Backoff::exponential(Duration::from_secs(2), 3.0, Duration::from_secs(100));
        for retry_count in [0, 1, 2] {
            let budget = RetryBudget { backoff, ..budget(retry_count, 9) };
            let wait = backoff.wait(retry_count + 1, 1.0);
            let retry = Verdict::Retry { wait, error: "boom".into() };
            assert_eq!(Verdict::of(Err(TaskError::retry("boom")), budget, 1.0), retry);
        }
    }

    #[test]
    fn a_permanent_failure_uses_no_retry_and_a_cancel_is_not_a_failure() {
        assert_eq!(
            Verdict::of(Err(TaskError::permanent("no")), budget(0, 9), 0.5),
            Verdict::Fail { error: "no".into() }
        );
        assert_eq!(
            Verdict::of(Err(TaskError::cancel("old")), budget(0, 9), 0.5),
            Verdict::Cancel { reason: "old".into() }
        );
    }

    #[test]
    fn params_that_cannot_be_read_cost_no_retry_and_fail_the_job_after_an_hour() {
        let mut waited = Duration::ZERO;
        for uncounted in 0.. {
            // Without any retry, and with retries left.
            let of = |max_retries| {
                let outcome = Err(TaskError::unreadable("new".into()));
                Verdict::of(outcome, RetryBudget { uncounted, ..budget(0, max_retries) }, 0.5)
            };
            assert_eq!(of(0), of(9));
            match of(0) {
                Verdict::Postpone { wait, error } => {
                    assert!(wait >= Duration::from_secs(1) && wait <= Duration::from_secs(300));
                    assert_eq!(error, "new");
                    waited += wait;
                }
                verdict => {
                    assert_eq!(verdict, Verdict::Fail { error: "new".into() });
                    break;
                }
            }
        }
        assert_eq!(waited, Duration::from_secs(58 * 60 + 31));
        // A retry by hand after it has failed, with a worker of the old version still there.
        for uncounted in [20, 40, u32::MAX] {
            let outcome = Err(TaskError::unreadable("new".into()));
            let verdict = Verdict::of(outcome, RetryBudget { uncounted, ..budget(0, 0) }, 0.5);
            assert!(matches!(verdict, Verdict::Postpone { .. }), "{uncounted}: {verdict:?}");
        }
    }

    #[test]
    fn retry_in_overrides_the_backoff_but_not_the_budget() {
        let after_a_minute = || Err(TaskError::retry_in(Duration::from_secs(60), "busy"));
        let retry = Verdict::Retry { wait: Duration::from_secs(60), error: "busy".into() };
        assert_eq!(Verdict::of(after_a_minute(), budget(0, 1), 0.5), retry);
        assert_eq!(Verdict::of(after_a_minute(), budget(1, 1), 0.5), Verdict::Fail { error: "busy".into() });
    }

    #[test]
    fn exponential_waits_grow_stay_in_bounds_and_spread() {
        let backoff = Backoff::exponential(Duration::from_secs(2), 3.0, Duration::from_secs(100));
        let upper = |retry| backoff.wait(retry, 1.0).as_secs_f64();
        assert_eq!([upper(1), upper(2), upper(3), upper(4), upper(5)], [2.0, 6.0, 18.0, 54.0, 100.0]);
        assert_eq!(backoff.wait(3, 0.0), Backoff::FLOOR);
        assert_eq!(backoff.wait(u32::MAX, 1.0), Duration::from_secs(100));
        // A backoff shorter than the floor is not raised to it.
        let quick = Backoff::exponential(Duration::from_millis(10), 1.0, Duration::from_millis(10));
        assert_eq!(quick.wait(1, 0.3), Duration::from_millis(10));
    }
}
