//! Whether and when a job runs again: [`Backoff`], and the one decision [`Verdict::of`].
//!
//! Pure: leans on `job` and on the task's error, reads no clock, draws no random number of its own.

use std::time::Duration;

use crate::task::{TaskError, TaskErrorKind};

/// The wait before each retry.
///
/// The waits are upper ends: the actual wait is drawn evenly between [`Backoff::FLOOR`] and the upper end ("full
/// jitter", M. Brooker, *Exponential Backoff and Jitter*, AWS Architecture Blog 2015), so that jobs that failed together
/// do not come back together. [`Backoff::Fixed`] and [`Backoff::Custom`] are taken as they are.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Backoff {
    /// `first`, then each time `factor` as much, never more than `max`; with full jitter.
    Exponential {
        /// The upper end of the first wait.
        first: Duration,
        /// What each wait's upper end is multiplied by; at least 1.
        factor: f64,
        /// The largest upper end.
        max: Duration,
    },
    /// The same wait each time, without jitter.
    Fixed(Duration),
    /// A function from the number of the retry (1 for the first) to the wait, without jitter.
    Custom(fn(u32) -> Duration),
}

impl Backoff {
    /// The default: 1 s, 2 s, 4 s, … up to one hour.
    pub const DEFAULT: Backoff = Backoff::exponential(Duration::from_secs(1), 2.0, Duration::from_secs(3600));

    /// The shortest wait that jitter may choose. Without it every backoff would now and then retry at once, against
    /// a service that has just failed.
    pub const FLOOR: Duration = Duration::from_millis(500);

    /// Exponential backoff with full jitter.
    pub const fn exponential(first: Duration, factor: f64, max: Duration) -> Backoff {
        Backoff::Exponential { first, factor, max }
    }

    /// The wait before retry number `retry` (1 for the first); `chance` is an even draw from `0.0..1.0`.
    ///
    /// ```
    /// # use qdjobs::Backoff; use std::time::Duration;
    /// let backoff = Backoff::DEFAULT;
    /// assert_eq!(backoff.wait(4, 0.9999).as_secs(), 7);   // just under 1 s doubled three times
    /// assert!(backoff.wait(4, 0.0) >= Backoff::FLOOR);
    /// assert!(backoff.wait(1000, 0.9999) <= Duration::from_secs(3600));
    /// ```
    pub fn wait(&self, retry: u32, chance: f64) -> Duration {
        match *self {
            Backoff::Fixed(wait) => wait,
            Backoff::Custom(wait) => wait(retry),
            Backoff::Exponential { first, factor, max } => {
                // In floating seconds, where overflow is infinity and the cap still holds.
                let growth = factor.max(1.0).powi(retry.saturating_sub(1).min(i32::MAX as u32) as i32);
                let upper = (first.as_secs_f64() * growth).min(max.as_secs_f64());
                let floor = Self::FLOOR.as_secs_f64().min(upper);
                Duration::from_secs_f64(floor + (upper - floor) * chance.clamp(0.0, 1.0))
            }
        }
    }
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff::DEFAULT
    }
}

/// What is to become of a job whose attempt ended. Decided here, written by a store, changed by nobody between.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// Done: `completed`, with its result as JSON text.
    Complete {
        /// The result as JSON text.
        result: String,
    },
    /// Back to `pending`, due after `wait`; counts as a retry.
    Retry {
        /// From the end of the attempt to the next.
        wait: Duration,
        /// The attempt's error.
        error: String,
    },
    /// `failed`, for good.
    Fail {
        /// The attempt's error.
        error: String,
    },
    /// `cancelled`, by the task itself.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Back to `pending`, as if it had not been claimed: the worker stops, or may not run it now. Never counts as
    /// a retry.
    Release {
        /// From now to when it may be claimed again.
        wait: Duration,
        /// Whether the task had begun: a job that was only held ahead keeps its attempt number.
        started: bool,
    },
}

/// How an attempt ended: the result as JSON text, or the failure.
pub type Outcome = Result<String, TaskError>;

/// The limits a job's fate is decided by.
#[derive(Clone, Copy, Debug)]
pub struct RetryBudget {
    /// Retries used so far.
    pub retry_count: u32,
    /// Retries allowed.
    pub max_retries: u32,
    /// The wait before the next.
    pub backoff: Backoff,
}

impl Verdict {
    /// Decides what becomes of a job: the only place that maps an outcome to a status.
    ///
    /// `jitter` is an even draw from `0.0..1.0`.
    pub fn of(outcome: Outcome, budget: RetryBudget, jitter: f64) -> Verdict {
        let failure = match outcome {
            Ok(result) => return Verdict::Complete { result },
            Err(failure) => failure,
        };
        let exhausted = budget.retry_count >= budget.max_retries;
        match failure.kind() {
            TaskErrorKind::Cancel => Verdict::Cancel { reason: failure.into_text() },
            TaskErrorKind::Permanent => Verdict::Fail { error: failure.into_text() },
            _ if exhausted => Verdict::Fail { error: failure.into_text() },
            TaskErrorKind::RetryIn(wait) => Verdict::Retry { wait, error: failure.into_text() },
            TaskErrorKind::Retry => Verdict::Retry {
                wait: budget.backoff.wait(budget.retry_count + 1, jitter),
                error: failure.into_text(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(retry_count: u32, max_retries: u32) -> RetryBudget {
        RetryBudget { retry_count, max_retries, backoff: Backoff::Fixed(Duration::from_secs(7)) }
    }

    #[test]
    fn a_failure_is_retried_until_the_budget_is_spent() {
        let failed = || Err(TaskError::retry("boom"));
        let retry = Verdict::Retry { wait: Duration::from_secs(7), error: "boom".into() };
        assert_eq!(Verdict::of(failed(), budget(0, 2), 0.5), retry);
        assert_eq!(Verdict::of(failed(), budget(1, 2), 0.5), retry);
        assert_eq!(Verdict::of(failed(), budget(2, 2), 0.5), Verdict::Fail { error: "boom".into() });
    }

    #[test]
    fn a_permanent_failure_spends_no_retry_and_a_cancel_is_no_failure() {
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
        // A backoff shorter than the floor stays as it was asked for.
        let quick = Backoff::exponential(Duration::from_millis(10), 1.0, Duration::from_millis(10));
        assert_eq!(quick.wait(1, 0.3), Duration::from_millis(10));
    }
}
