//! Checks the options of a task at compile time, if they are constants and not literals.
//!
//! The macro checks literals itself (`qdjobs-macros/src/options/`), with the same rules. The queue that a
//! caller sets for one job is checked in `model/job/checks.rs`.
//!
//! Depends on the backoff and the limits of names.
//!
//! Each function returns the message of the compile error, which the generated code passes to `panic!`. A
//! panic inside of these functions would show their path in the error.

use std::time::Duration;

use crate::model::job::NAME_BYTES_MAX;
use crate::model::retry::Backoff;

/// Whether jobs can have this queue.
#[doc(hidden)]
pub const fn queue_problem(name: &str) -> Option<&'static str> {
    let bytes = name.as_bytes();
    let mut fits = !bytes.is_empty() && bytes.len() <= NAME_BYTES_MAX && bytes[0].is_ascii_alphanumeric();
    let mut at = 0;
    while fits && at < bytes.len() {
        fits = bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'_' | b'.' | b':' | b'/' | b'-');
        at += 1;
    }
    if fits {
        return None;
    }
    Some(
        "this cannot be the name of a queue\nhelp: use 1 to 100 of the characters A-Z a-z 0-9 _ . : / - and begin \
         with a letter or a digit",
    )
}

/// Whether an attempt can have this timeout.
#[doc(hidden)]
pub const fn timeout_problem(limit: Duration) -> Option<&'static str> {
    if limit.is_zero() {
        return Some(
            "a timeout of zero would end every attempt immediately\nhelp: for no timeout, remove the option",
        );
    }
    None
}

/// Whether a wait can grow by this factor.
#[doc(hidden)]
pub const fn factor_problem(factor: f64) -> Option<&'static str> {
    // Not `factor < 1.0`, which is false for NaN.
    if factor >= 1.0 && factor <= f64::MAX {
        return None;
    }
    Some("the factor of an exponential backoff must be a number of at least 1\nhelp: factor = 2")
}

/// Whether the waits of this backoff are possible.
#[doc(hidden)]
pub const fn backoff_problem(backoff: Backoff) -> Option<&'static str> {
    let Backoff::Exponential { first, factor, max } = backoff else { return None };
    if first.is_zero() {
        return Some(
            "the first wait of an exponential backoff is zero, and zero does not grow\nhelp: use a first wait of \
             at least one millisecond",
        );
    }
    if max.as_nanos() < first.as_nanos() {
        return Some(
            "the longest wait of an exponential backoff is shorter than its first wait\nhelp: exchange them, or \
             set a longer `max`; its default is one hour",
        );
    }
    factor_problem(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::check_name;

    #[test]
    fn a_queue_is_refused_at_compile_time_if_and_only_if_enqueue_would_refuse_it() {
        let long = ["a".repeat(NAME_BYTES_MAX), "a".repeat(NAME_BYTES_MAX + 1)];
        let names = ["a", "0/x-y_z.b::c", "", "a b", "-a", ".a", "ü", "a\0", "a\n", &long[0], &long[1]];
        for name in names {
            assert_eq!(queue_problem(name).is_none(), check_name("queue", name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn a_timeout_of_zero_is_refused() {
        assert!(timeout_problem(Duration::ZERO).is_some());
        assert!(timeout_problem(Duration::from_nanos(1)).is_none());
    }

    #[test]
    fn a_backoff_that_cannot_grow_is_refused() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(9));
        for (backoff, is_right) in [
            (Backoff::DEFAULT, true),
            (Backoff::exponential(short, 1.0, short), true),
            (Backoff::exponential(long, 2.0, short), false),
            (Backoff::exponential(short, 0.9, long), false),
            (Backoff::exponential(short, f64::NAN, long), false),
            (Backoff::exponential(short, f64::INFINITY, long), false),
            (Backoff::exponential(Duration::ZERO, 2.0, long), false),
            (Backoff::Fixed(Duration::ZERO), true),
        ] {
            assert_eq!(backoff_problem(backoff).is_none(), is_right, "{backoff:?}");
        }
    }
}
