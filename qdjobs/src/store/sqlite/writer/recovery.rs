//! Decides when the writer tries again after a transaction failed as a whole: [`Recovery`].
//!
//! Opens no connection: `commit.rs` does. What is released after a commit with an unknown result is in
//! `engine/unconfirmed.rs`. Which errors halt the store instead is decided in `connection/error.rs`.
//!
//! Depends on the engine.

use std::time::Duration;

use crate::store::engine::unconfirmed::Unconfirmed;

/// The pause before the next try, and the longest one if it fails again and again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// The connection failed in a commit, or in the middle of a transaction. It is opened anew before it is
    /// used: that ends the lost transaction for certain.
    pub(super) is_broken: bool,
    /// What a lost commit may have left. Given back under the write lock of a new connection.
    pub(super) unconfirmed: Unconfirmed,
    /// The pause before the next try.
    pub(super) pause: Duration,
    /// Until then, what is due is left alone; in real time.
    not_before: Option<Duration>,
}

impl Recovery {
    /// A transaction has failed at `now`; its connection must not be used again if it `is_broken`.
    pub(super) fn has_failed(&mut self, is_broken: bool, now: Duration) {
        self.is_broken |= is_broken;
        self.pause = (self.pause * 2).clamp(PAUSE.0, PAUSE.1);
        self.not_before = Some(now + self.pause);
    }

    /// A transaction has succeeded, and gave back what was unconfirmed.
    pub(super) fn has_succeeded(&mut self) {
        *self = Recovery { is_broken: self.is_broken, ..Recovery::default() };
    }

    /// How long what is due is left alone.
    pub(super) fn rest(&self, now: Duration) -> Option<Duration> {
        self.not_before.map(|until| until.saturating_sub(now)).filter(|rest| !rest.is_zero())
    }
}
