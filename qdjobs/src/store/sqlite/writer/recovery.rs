//! Decides when the writer tries again after a transaction failed as a whole: [`Recovery`].
//!
//! Opens no connection: `commit.rs` does. What is released after a commit with an unknown result is in
//! `engine/unconfirmed.rs`. Which errors halt the store instead is decided in `connection/error.rs`.
//!
//! Depends on the engine.

use std::time::Duration;

use crate::store::engine::unconfirmed::Unconfirmed;

/// The pause before the next try, and the longest pause after repeated failures.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// Whether the connection failed in a commit or inside a transaction. It is opened again before its next
    /// use, which certainly ends the lost transaction.
    pub(super) is_broken: bool,
    /// What a lost commit may have stored. It is released under the write lock of a new connection.
    pub(super) unconfirmed: Unconfirmed,
    /// The pause before the next try.
    pub(super) pause: Duration,
    /// Until this real time, due jobs are not made ready.
    not_before: Option<Duration>,
}

impl Recovery {
    /// Records that a transaction has failed at `now`. If the connection `is_broken`, it must not be used
    /// again.
    pub(super) fn has_failed(&mut self, is_broken: bool, now: Duration) {
        self.is_broken |= is_broken;
        self.pause = (self.pause * 2).clamp(PAUSE.0, PAUSE.1);
        self.not_before = Some(now + self.pause);
    }

    /// Records that a transaction has succeeded and has released everything unconfirmed.
    pub(super) fn has_succeeded(&mut self) {
        *self = Recovery { is_broken: self.is_broken, ..Recovery::default() };
    }

    /// How long due jobs are still not made ready.
    pub(super) fn rest(&self, now: Duration) -> Option<Duration> {
        self.not_before.map(|until| until.saturating_sub(now)).filter(|rest| !rest.is_zero())
    }
}
