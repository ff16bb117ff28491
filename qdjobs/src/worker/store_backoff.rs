//! Pauses after the store refused or failed a claim request, and when a stop gives up: [`StoreBackoff`].
//!
//! The wait before the retry of a job is decided in `model/retry.rs`. When the writer of a store tries again
//! is in `store/sqlite/writer/recovery.rs`.
//!
//! Depends on the error type. The caller passes the time.

use std::time::Duration;

use crate::model::error::{Error, ErrorKind};

/// The first pause after a failed request, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How long a stopping worker tries to store its last results, from the end of its last job. If the store
/// fails for longer, the worker gives up, and another worker rescues those jobs.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// The failures of the store since the last request that succeeded.
#[derive(Default)]
pub(super) struct StoreBackoff {
    failing_since: Option<Duration>,
    until: Option<Duration>,
    pause: Duration,
    last: Option<Error>,
}

impl StoreBackoff {
    /// A request failed.
    pub(super) fn failed(&mut self, error: Error, now: Duration) {
        self.pause = (self.pause * 2).clamp(PAUSE.0, PAUSE.1);
        self.failing_since.get_or_insert(now);
        self.until = Some(now + self.pause);
        self.last = Some(error);
    }

    /// A request succeeded.
    pub(super) fn succeeded(&mut self) {
        *self = StoreBackoff::default();
    }

    /// Restarts the deadline: results that are stored from now on get the full time, even if the store has
    /// failed before.
    pub(super) fn restart_deadline(&mut self, now: Duration) {
        if let Some(since) = &mut self.failing_since {
            *since = now;
        }
    }

    /// Whether a request has failed and none has succeeded since. Does not read the clock.
    pub(super) fn is_failing(&self) -> bool {
        self.until.is_some()
    }

    /// The rest of the pause.
    pub(super) fn pause(&self, now: Duration) -> Option<Duration> {
        self.until.map(|until| until.saturating_sub(now)).filter(|left| !left.is_zero())
    }

    /// Whether no request will ever succeed again.
    pub(super) fn is_halted(&self) -> bool {
        self.last.as_ref().is_some_and(|error| error.kind() == ErrorKind::StoreHalted)
    }

    /// Whether the store accepts no further request of this process.
    pub(super) fn is_refused(&self) -> bool {
        self.last.as_ref().is_some_and(|error| {
            matches!(error.kind(), ErrorKind::Closed | ErrorKind::NewerSchema | ErrorKind::StoreHalted)
        })
    }

    /// Whether a stopping worker should give up.
    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        self.failing_since.is_some_and(|since| now.saturating_sub(since) > GIVE_UP_AFTER)
    }

    /// Takes the error of the last failure.
    pub(super) fn take_error(&mut self) -> Error {
        self.last.take().unwrap_or_else(|| {
            Error::new(ErrorKind::Storage, "the store has failed")
                .help("check `JobQueue::health()` and the system log")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_does_not_give_up_for_failures_from_before_the_last_job_ended() {
        let mut backoff = StoreBackoff::default();
        let seconds = Duration::from_secs;
        backoff.failed(Error::new(ErrorKind::Busy, "locked"), seconds(1));
        assert!(!backoff.is_overdue(seconds(11)) && backoff.is_overdue(seconds(12)));
        backoff.restart_deadline(seconds(60));
        backoff.failed(Error::new(ErrorKind::Busy, "locked"), seconds(62));
        assert!(!backoff.is_overdue(seconds(70)) && backoff.is_overdue(seconds(71)));
        backoff.succeeded();
        backoff.restart_deadline(seconds(80));
        assert!(!backoff.is_overdue(seconds(200)));
    }
}
