//! The encoding of header lines: [`text`] for a subject, [`mailboxes`] for a list of addresses.
//!
//! lettre encodes the other headers. Its lines for these two are as long as their longest part that has no
//! space, and a list of addresses without names has no such space at all. A server refuses a line of more
//! than 998 bytes for good, and RFC 5322 recommends at most 78.
//!
//! Depends on lettre for the type of a header, and on base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::Mailbox;
use lettre::message::header::{HeaderName, HeaderValue};

/// The longest line that contains a place to fold it.
const LINE_BYTES_MAX: usize = 78;

/// The longest word that is written as it is: after `Subject: ` it still fits into a line.
const WORD_BYTES_MAX: usize = 64;

/// The bytes of an encoded word before its encoding. With 56 bytes of base64 and 12 of frame, it fits into a
/// line after `Subject: `, and is shorter than the 75 bytes that RFC 2047 allows.
const ENCODED_BYTES_MAX: usize = 42;

/// A header with a text. Characters that a header cannot contain are encoded.
pub(super) fn text(name: &'static str, value: &str) -> HeaderValue {
    let mut line = Line::new(name);
    if is_plain(value) {
        value.split(' ').for_each(|word| line.push(word));
    } else {
        encoded_words(value).iter().for_each(|word| line.push(word));
    }
    line.header(value)
}

/// A header with a list of addresses. `raw` is the same list in lettre's own form.
pub(super) fn mailboxes(name: &'static str, list: &[Mailbox], raw: &str) -> HeaderValue {
    let mut line = Line::new(name);
    for (at, mailbox) in list.iter().enumerate() {
        let comma = if at + 1 < list.len() { "," } else { "" };
        match mailbox.name.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
            None => line.push(&format!("{}{comma}", mailbox.email)),
            Some(name) => {
                display_name(name).iter().for_each(|word| line.push(word));
                line.push(&format!("<{}>{comma}", mailbox.email));
            }
        }
    }
    line.header(raw)
}

/// The words of a display name: as they are, as one quoted string, or encoded.
fn display_name(name: &str) -> Vec<String> {
    let is_atom = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b' ');
    if is_plain(name) && name.bytes().all(is_atom) {
        return name.split(' ').map(str::to_owned).collect();
    }
    let quoted = format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    let is_printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if quoted.len() <= WORD_BYTES_MAX && name.bytes().all(is_printable) && !name.contains("=?") {
        return vec![quoted];
    }
    encoded_words(name)
}

/// Whether a text can be written as it is and folded at its spaces. A text that looks like an encoded word
/// would be decoded by its reader.
fn is_plain(text: &str) -> bool {
    let is_word = |word: &str| {
        (1..=WORD_BYTES_MAX).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic())
    };
    text.split(' ').all(is_word) && !text.contains("=?")
}

/// The text as encoded words of RFC 2047. The spaces between them are not part of the text.
fn encoded_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut part = String::new();
    for character in text.chars() {
        if part.len() + character.len_utf8() > ENCODED_BYTES_MAX {
            words.push(encoded_word(&part));
            part.clear();
        }
        part.push(character);
    }
    if !part.is_empty() {
        words.push(encoded_word(&part));
    }
    words
}

fn encoded_word(part: &str) -> String {
    format!("=?utf-8?b?{}?=", STANDARD.encode(part))
}

/// The value of a header, folded between its words.
struct Line {
    name: &'static str,
    value: String,
    /// The length of the last line, with the name of the header if it is the first one.
    length: usize,
}

impl Line {
    fn new(name: &'static str) -> Line {
        Line { name, value: String::new(), length: name.len() + ": ".len() }
    }

    /// Appends a word, on the next line if this one has no room for it.
    fn push(&mut self, word: &str) {
        if !self.value.is_empty() {
            if self.length + " ".len() + word.len() > LINE_BYTES_MAX {
                self.value.push_str("\r\n");
                self.length = 0;
            }
            self.value.push(' ');
            self.length += " ".len();
        }
        self.value.push_str(word);
        self.length += word.len();
    }

    fn header(self, raw: &str) -> HeaderValue {
        let name = HeaderName::new_from_ascii_str(self.name);
        HeaderValue::dangerous_new_pre_encoded(name, raw.to_owned(), self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lettre::message::header::Headers;

    fn written(header: HeaderValue) -> String {
        let mut headers = Headers::new();
        headers.insert_raw(header);
        headers.to_string()
    }

    #[test]
    fn a_plain_text_is_readable_and_folded_at_its_spaces() {
        assert_eq!(written(text("Subject", "Hello World")), "Subject: Hello World\r\n");
        let long = written(text("Subject", &"word ".repeat(40).trim_end().replace("word", "words")));
        assert!(long.lines().count() > 2 && long.lines().all(|line| line.len() <= 78), "{long}");
        assert_eq!(long.replace("\r\n ", " ").trim_end(), format!("Subject: {}", ["words"; 40].join(" ")));
    }

    #[test]
    fn a_text_that_a_header_cannot_contain_is_encoded() {
        for value in [
            "Grüße",
            "=?utf-8?q?looks_encoded?=",
            "two  spaces",
            " a space before",
            "a space after ",
            &"x".repeat(5_000),
            &" ".repeat(2_000),
            &"ü€😀".repeat(300),
        ] {
            let header = written(text("Subject", value));
            assert!(header.is_ascii() && header.trim_end().lines().all(|line| line.len() <= 78), "{header}");
            let decoded: Vec<u8> = header["Subject: ".len()..]
                .split_whitespace()
                .flat_map(|word| {
                    assert!(word.len() <= 75, "{word}");
                    let word = word.strip_prefix("=?utf-8?b?").unwrap().strip_suffix("?=").unwrap();
                    // Each word is text by itself: no character is divided between two.
                    String::from_utf8(STANDARD.decode(word).unwrap()).unwrap().into_bytes()
                })
                .collect();
            assert_eq!(String::from_utf8(decoded).unwrap(), value);
        }
    }

    #[test]
    fn names_are_quoted_or_encoded_as_they_need_it() {
        for (name, shown) in [
            ("Ann", "Ann"),
            ("Ann Baker", "Ann Baker"),
            ("Baker, Ann", "\"Baker, Ann\""),
            ("Ann \"A\" \\ Baker", "\"Ann \\\"A\\\" \\\\ Baker\""),
            ("Dr. Baker", "\"Dr. Baker\""),
            ("Bäcker", "=?utf-8?b?QsOkY2tlcg==?="),
            ("=?utf-8?b?QQ==?=", "=?utf-8?b?PT91dGYtOD9iP1FRPT0/PQ==?="),
            ("a\tb", "=?utf-8?b?YQli?="),
        ] {
            let mailbox = Mailbox::new(Some(name.to_owned()), "ann@example.com".parse().unwrap());
            let header = written(mailboxes("To", &[mailbox], ""));
            assert_eq!(header, format!("To: {shown} <ann@example.com>\r\n"));
        }
    }
}
