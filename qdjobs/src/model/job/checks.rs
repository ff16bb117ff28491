//! Checks single values of a job: allowed characters, lengths and sizes, with their limits and defaults.
//!
//! Does not decide which fields of a job are checked: `new_job.rs` calls these checks. Which job holds an
//! idempotency key is found by the stores.
//!
//! Depends on the crate's error type.

use std::borrow::Cow;

use crate::model::error::{Error, ErrorKind, Result};

/// The queue of a job if neither the task nor the caller names one.
pub(crate) const DEFAULT_QUEUE: &str = "default";

/// The number of retries of a job if neither the task nor the caller sets it.
pub(crate) const DEFAULT_RETRIES: u32 = 3;

/// The longest params, result or metadata of a job, in bytes of JSON text.
pub(crate) const JSON_BYTES_MAX: usize = 1 << 20;

/// The deepest nesting of arrays and objects in params. Every JSON reader accepts this depth.
pub(crate) const JSON_DEPTH_MAX: usize = 64;

/// The longest stored error text, in bytes.
pub(crate) const ERROR_BYTES_MAX: usize = 8 << 10;

/// The longest name of a task, a queue or a job, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 100;

/// The longest idempotency key, in bytes.
pub(crate) const IDEMPOTENCY_KEY_BYTES_MAX: usize = 200;

/// The number of worker crashes at which a job fails, at the earliest, unless the queue sets another.
pub(crate) const CRASHES_MAX: u32 = 3;

/// Checks the name of a task or a queue: 1 to 100 bytes of `A-Z a-z 0-9 _ . : / -`, beginning with a letter
/// or a digit.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte));
    if fits {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    let more = if shown.len() < name.len() { "…" } else { "" };
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("`{}{more}` cannot be the name of a {what}", shown.escape_debug()),
    )
    .help(format!(
        "use 1 to {NAME_BYTES_MAX} of the characters A-Z a-z 0-9 _ . : / - and begin with a letter or a digit"
    )))
}

/// Checks a display name: 1 to 100 bytes without NUL.
///
/// Other control characters are allowed: a display name is a text for people. NUL is refused, because some
/// databases cannot store it.
pub(crate) fn check_display_name(name: &str) -> Result<()> {
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "the display name of a job must have 1 to {NAME_BYTES_MAX} bytes, but it has {}",
                name.len()
            ),
        )
        .help("use 1 to 100 bytes; put longer text in the metadata"));
    }
    if name.contains('\0') {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the display name `{}` of a job contains a NUL character", name.escape_debug()),
        )
        .help("remove the character"));
    }
    Ok(())
}

/// Checks an idempotency key: 1 to 200 bytes without control characters.
pub(crate) fn check_key(key: &str) -> Result<()> {
    if (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && !key.chars().any(char::is_control) {
        return Ok(());
    }
    let message = if (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) {
        format!("the idempotency key `{}` of a job contains a control character", key.escape_debug())
    } else {
        format!(
            "the idempotency key of a job must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes, but it has {}",
            key.len()
        )
    };
    Err(Error::new(ErrorKind::InvalidInput, message).help(format!(
        "use 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes without control characters, for example `welcome-42`"
    )))
}

/// Refuses JSON text that exceeds [`JSON_BYTES_MAX`].
pub(crate) fn check_size(what: &str, json: &str) -> Result<()> {
    if json.len() <= JSON_BYTES_MAX {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::TooLarge,
        format!("the {what} of a job have {} bytes of JSON, more than {JSON_BYTES_MAX}", json.len()),
    )
    .help("store the data in a file or a table of your own and pass its name or id"))
}

/// A text of a task in the form in which every store keeps it. U+FFFD replaces each NUL, which some databases
/// cannot store.
pub(crate) fn stored_text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// An error text in the form in which every store keeps it: as [`stored_text`], and at most
/// [`ERROR_BYTES_MAX`] bytes long. A longer text loses its middle: the symptom is at the beginning, and the
/// causes are at the end.
pub(crate) fn clip_error(text: &str) -> Cow<'_, str> {
    let text = stored_text(text);
    if text.len() <= ERROR_BYTES_MAX {
        return text;
    }
    let half = (ERROR_BYTES_MAX - 40) / 2;
    let boundary = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at += 1;
        }
        at
    };
    // Each end may grow by the rest of one character, which is at most three bytes. The 40 spare bytes cover
    // that.
    let (head, tail) = (boundary(half), boundary(text.len() - half));
    Cow::Owned(format!("{}\n… {} bytes left out …\n{}", &text[..head], tail - head, &text[tail..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_keeps_its_beginning_and_its_end() {
        let text = format!("symptom {} cause", "ü".repeat(ERROR_BYTES_MAX));
        let clipped = clip_error(&text);
        assert!(
            clipped.len() <= ERROR_BYTES_MAX && clipped.starts_with("symptom") && clipped.ends_with("cause")
        );
        assert_eq!(clip_error("short"), "short");
    }

    #[test]
    fn nul_is_replaced_in_texts_before_they_are_clipped() {
        assert_eq!(clip_error("a\0b\0"), "a\u{fffd}b\u{fffd}");
        // One byte becomes three: the limit holds for what is stored.
        assert!(clip_error(&"\0".repeat(ERROR_BYTES_MAX)).len() <= ERROR_BYTES_MAX);
        assert!(matches!(stored_text("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn keys_outside_their_range_are_refused() {
        for key in ["a", "order 12/ü", &"k".repeat(200)] {
            check_key(key).unwrap();
        }
        for key in ["", &"k".repeat(201), &"ü".repeat(101), "a\nb", "a\0b"] {
            assert_eq!(check_key(key).unwrap_err().kind(), ErrorKind::InvalidInput, "{key:?}");
        }
    }

    #[test]
    fn nul_is_refused_in_every_name() {
        for refused in [check_name("queue", "a\0b"), check_display_name("a\0b")] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        check_display_name("two\nlines").unwrap();
    }
}
