//! Turns that fail, the pauses between them, and when to give up: [`StoreBackoff`].
//!
//! Pure: the time comes in.

use std::time::Duration;

use crate::model::error::{Error, ErrorKind};

/// Pauses after a turn that failed, from the first to the longest.
const TROUBLE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A stop gives up on writing its last finishes when the store has failed for so long since the last job ended: they are rescued.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Turns that fail, and the pauses between them.
#[derive(Default)]
pub(super) struct StoreBackoff {
    since: Option<Duration>,
    until: Option<Duration>,
    wait: Duration,
    last: Option<Error>,
}

impl StoreBackoff {
    pub(super) fn met(&mut self, error: Error, now: Duration) {
        self.wait = (self.wait * 2).clamp(TROUBLE.0, TROUBLE.1);
        self.since.get_or_insert(now);
        self.until = Some(now + self.wait);
        self.last = Some(error);
    }

    pub(super) fn over(&mut self) {
        *self = StoreBackoff::default();
    }

    /// What is to be written from now on gets all the time there is, however long the store has failed before.
    pub(super) fn begin_anew(&mut self, now: Duration) {
        if let Some(since) = &mut self.since {
            *since = now;
        }
    }

    /// Whether a turn has failed and none has succeeded since; asks nobody for the time.
    pub(super) fn is_there(&self) -> bool {
        self.until.is_some()
    }

    /// What is left of the pause.
    pub(super) fn pause(&self, now: Duration) -> Option<Duration> {
        self.until.map(|until| until.saturating_sub(now)).filter(|left| !left.is_zero())
    }

    /// Whether no turn will ever succeed again.
    pub(super) fn is_final(&self) -> bool {
        self.last.as_ref().is_some_and(|error| error.kind() == ErrorKind::StoreHalted)
    }

    /// Whether the store takes nothing more from this process.
    pub(super) fn is_refused(&self) -> bool {
        self.last.as_ref().is_some_and(|error| {
            matches!(error.kind(), ErrorKind::Closed | ErrorKind::NewerSchema | ErrorKind::StoreHalted)
        })
    }

    /// Whether it has lasted too long for a worker that only wants to write what has ended.
    pub(super) fn is_hopeless(&self, now: Duration) -> bool {
        self.since.is_some_and(|since| now.saturating_sub(since) > LAST_WORDS)
    }

    pub(super) fn last_words(&mut self) -> Error {
        self.last.take().unwrap_or_else(|| Error::new(ErrorKind::Storage, "the store has failed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_trouble_is_no_reason_to_give_up_what_has_ended_since() {
        let mut backoff = StoreBackoff::default();
        let seconds = Duration::from_secs;
        backoff.met(Error::new(ErrorKind::Busy, "locked"), seconds(1));
        assert!(!backoff.is_hopeless(seconds(11)) && backoff.is_hopeless(seconds(12)));
        backoff.begin_anew(seconds(60));
        backoff.met(Error::new(ErrorKind::Busy, "locked"), seconds(62));
        assert!(!backoff.is_hopeless(seconds(70)) && backoff.is_hopeless(seconds(71)));
        backoff.over();
        backoff.begin_anew(seconds(80));
        assert!(!backoff.is_hopeless(seconds(200)));
    }
}
