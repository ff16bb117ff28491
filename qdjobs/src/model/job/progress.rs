//! The progress of a running job, as a fraction and a message: [`Progress`].
//!
//! Does not decide when progress is written: see `store/progress.rs`.
//!
//! Depends on `checks.rs` for the form of stored texts. Knows neither the task nor the store.

use super::checks::stored_text;

/// The progress that the task of a running job reported last.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The part that is done, from 0.0 to 1.0.
    pub fraction: f64,
    /// A message from the task about what it is doing.
    pub message: Option<String>,
}

impl Progress {
    /// A fraction, clamped to `0.0..=1.0` (0.0 for NaN), and a message. NUL in the message becomes U+FFFD.
    pub fn new(fraction: f64, message: Option<String>) -> Progress {
        let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        let message = message.map(|message| stored_text(&message).into_owned());
        Progress { fraction, message }
    }
}
