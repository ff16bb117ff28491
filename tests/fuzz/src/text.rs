//! A message about untrusted input must itself be safe to show: [`is_readable`].
//!
//! Depends on nothing.

/// The longest text of an error. The input's own text is shown only in part.
const BYTES_MAX: usize = 48 << 10;

/// Fails unless `text` is safe for a terminal and a log: no control characters except tabs and line ends, and
/// bounded in length.
pub(crate) fn is_readable(text: &str) {
    assert!(text.len() <= BYTES_MAX, "{} bytes: {:.200}", text.len(), text);
    if let Some(odd) = text.chars().find(|&letter| letter.is_control() && !matches!(letter, '\n' | '\t')) {
        panic!("a control character ({odd:?}) in {text:?}");
    }
}
