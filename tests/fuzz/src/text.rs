//! What is said about hostile input must not be hostile itself: [`is_readable`].
//!
//! Leans on nothing.

/// Longest text of an error. What a stranger wrote is shown in part.
const BYTES_MAX: usize = 48 << 10;

/// Fails unless `text` can be shown on a terminal and stored in a log: no control characters but tabs and the ends of lines, and not
/// much longer than what there is to say.
pub(crate) fn is_readable(text: &str) {
    assert!(text.len() <= BYTES_MAX, "{} bytes: {:.200}", text.len(), text);
    if let Some(odd) = text.chars().find(|&letter| letter.is_control() && !matches!(letter, '\n' | '\t')) {
        panic!("a control character ({odd:?}) in {text:?}");
    }
}
