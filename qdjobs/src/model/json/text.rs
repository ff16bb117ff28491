//! Looks into valid JSON text without reading it into values: [`depth`], [`compact`], [`wide_integer`],
//! [`lost_integer`].
//!
//! Which values are refused when they are written is decided in `strict.rs` and `format.rs`.
//!
//! Depends on the standard library. A value of serde_json would have lost what is looked for: it holds a large
//! integer as a float, sorts the members of an object, and its parser has a limit of depth.

use std::collections::HashMap;

/// A piece of JSON text outside of strings: a string, a number, or another byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'t> {
    /// With its quotes.
    Text(&'t str),
    Number(&'t str),
    /// A bracket, a comma, a colon, a space, or a letter of `true`, `false` or `null`.
    Other(u8),
}

/// The tokens of valid JSON text.
struct Tokens<'t>(&'t str);

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        let text = self.0;
        let (token, len) = match *text.as_bytes().first()? {
            b'"' => {
                let len = text_len(text);
                (Token::Text(text.get(..len)?), len)
            }
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let len = text.bytes().take_while(|byte| is_part(byte)).count();
                (Token::Number(text.get(..len)?), len)
            }
            // In valid JSON, only strings have characters of several bytes.
            byte => (Token::Other(byte), 1),
        };
        self.0 = text.get(len..)?;
        Some(token)
    }
}

/// The length of the string at the start of the text, with its quotes.
fn text_len(text: &str) -> usize {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return at + 1,
            // The next byte is escaped, so it does not end the string.
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    text.len()
}

/// The depth of nested arrays and objects.
pub(crate) fn depth(json: &str) -> usize {
    let (mut levels, mut most) = (0_usize, 0);
    for token in Tokens(json) {
        match token {
            Token::Other(b'[' | b'{') => {
                levels += 1;
                most = most.max(levels);
            }
            Token::Other(b']' | b'}') => levels = levels.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// The text without the spaces between its tokens.
pub(crate) fn compact(json: &str) -> String {
    let mut compact = String::with_capacity(json.len());
    for token in Tokens(json) {
        match token {
            Token::Text(text) | Token::Number(text) => compact.push_str(text),
            Token::Other(byte) if byte.is_ascii_whitespace() => {}
            Token::Other(byte) => compact.push(byte.into()),
        }
    }
    compact
}

/// The first integer that does not fit into 64 bits, and the path to it, for example `lines[2].count`.
pub(crate) fn wide_integer(json: &str) -> Option<(String, String)> {
    let mut place = Place::default();
    Tokens(json).find_map(|token| match token {
        Token::Number(number) if is_wide_integer(number) => Some((place.path(), number.to_owned())),
        token => {
            place.pass(token);
            None
        }
    })
}

/// The first integer in `given` that became another number in `read_back`, the text of the values that were read:
/// a float holds large integers only roughly. A number that has gone, or has become a text, is no such number.
pub(crate) fn lost_integer(given: &str, read_back: &str) -> Option<(String, String)> {
    let rough: Vec<_> = numbers(given).filter(|(_, number)| is_rough_as_float(number)).collect();
    if rough.is_empty() {
        return None;
    }
    let found: HashMap<String, &str> = numbers(read_back).collect();
    let is_lost = |(path, number): &(String, &str)| found.get(path).is_some_and(|found| found != number);
    rough.into_iter().find(is_lost).map(|(path, number)| (path, number.to_owned()))
}

/// The numbers of a text with the paths to them.
fn numbers(json: &str) -> impl Iterator<Item = (String, &str)> {
    let mut place = Place::default();
    Tokens(json).filter_map(move |token| match token {
        Token::Number(number) => Some((place.path(), number)),
        token => {
            place.pass(token);
            None
        }
    })
}

/// Whether a float holds another number than this integer.
fn is_rough_as_float(number: &str) -> bool {
    let exact: Result<i128, _> = number.parse();
    exact.is_ok_and(|exact| number.parse().is_ok_and(|float: f64| float as i128 != exact))
}

fn is_wide_integer(number: &str) -> bool {
    !number.contains(['.', 'e', 'E']) && number.parse::<i64>().is_err() && number.parse::<u64>().is_err()
}

/// Where a reader of tokens is: one step for each array and object around it.
#[derive(Debug, Default)]
struct Place<'t>(Vec<Step<'t>>);

#[derive(Debug)]
enum Step<'t> {
    /// The position in an array.
    Element(usize),
    /// The name of a member with its quotes. While `is_name`, the next string is one.
    Member { name: &'t str, is_name: bool },
}

impl<'t> Place<'t> {
    fn pass(&mut self, token: Token<'t>) {
        match (token, self.0.last_mut()) {
            (Token::Other(b'['), _) => self.0.push(Step::Element(0)),
            (Token::Other(b'{'), _) => self.0.push(Step::Member { name: "", is_name: true }),
            (Token::Other(b']' | b'}'), _) => drop(self.0.pop()),
            (Token::Other(b','), Some(Step::Element(at))) => *at += 1,
            (Token::Other(b','), Some(Step::Member { is_name, .. })) => *is_name = true,
            (Token::Text(text), Some(Step::Member { name, is_name: is_name @ true })) => {
                (*name, *is_name) = (text, false);
            }
            _ => {}
        }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.0 {
            match step {
                Step::Element(at) => path.push_str(&format!("[{at}]")),
                Step::Member { name, .. } => {
                    let name = serde_json::from_str(name).unwrap_or_else(|_| (*name).to_owned());
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(&name);
                }
            }
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_texts() {
        for (json, levels) in
            [("1", 0), ("[]", 1), (r#"{"a": [[], {}], "b": [[[1]]]}"#, 4), (r#"["[[[\"[[[", "\\", [0]]"#, 2)]
        {
            assert_eq!(depth(json), levels, "{json}");
        }
        assert_eq!(depth(&"[".repeat(100_000)), 100_000);
    }

    #[test]
    fn compact_removes_spaces_outside_of_texts_alone() {
        let spaced = " { \"a b\" : [ 1.50 , -2e+3,\n\ttrue ,null ] , \"\\\" : \" : \" \\\\ ä\" } ";
        let expected = "{\"a b\":[1.50,-2e+3,true,null],\"\\\" : \":\" \\\\ ä\"}";
        assert_eq!(compact(spaced), expected);
        for json in ["0", "\"\"", "{}", "[[],{\"x\":\"y\"}]"] {
            assert_eq!(compact(json), json);
        }
    }

    #[test]
    fn a_wide_integer_is_found_with_its_path() {
        for (json, found) in [
            ("18446744073709551615", None),
            ("-9223372036854775808", None),
            (
                r#"{"a": 1e40, "b": 18446744073709551616.0, "18446744073709551616": "18446744073709551616"}"#,
                None,
            ),
            ("18446744073709551616", Some(("", "18446744073709551616"))),
            (r#"{"a": 1, "b": -9223372036854775809}"#, Some(("b", "-9223372036854775809"))),
            (
                r#"{"a": [1, {"x": 2}], "b\"": {"c": [[], [0, 99999999999999999999]]}}"#,
                Some(("b\".c[1][1]", "99999999999999999999")),
            ),
        ] {
            let found = found.map(|(path, number)| (path.to_owned(), number.to_owned()));
            assert_eq!(wide_integer(json), found, "{json}");
        }
    }

    #[test]
    fn an_integer_that_a_float_holds_roughly_is_found_with_its_path() {
        let odd = "9007199254740993";
        for (given, read_back, path) in [
            (r#"{"a": [9007199254740993]}"#, r#"{"a":[9007199254740992.0]}"#, Some("a[0]")),
            (r#"{"a": [9007199254740993]}"#, r#"{"a":[9007199254740993]}"#, None),
            (r#"{"a": [9007199254740993]}"#, r#"{"a":["0x20000000000001"]}"#, None),
            (r#"{"a": [1], "b": 9007199254740993}"#, r#"{"a":[1]}"#, None),
            // A power of two, and a number that was given as a float.
            (r#"{"a": 18014398509481984, "b": 9007199254740993.0}"#, r#"{"a":0.5,"b":0.5}"#, None),
        ] {
            let found = path.map(|path| (path.to_owned(), odd.to_owned()));
            assert_eq!(lost_integer(given, read_back), found, "{given}");
        }
    }
    #[test]
    fn a_hundred_thousand_large_numbers_are_compared_in_one_pass() {
        let list = |end: &str| format!("[{}{end}]", "1234567890123456789,".repeat(50_000));
        assert_eq!(lost_integer(&list("7"), &list("7")), None);
        let (path, _) = lost_integer(&list("9007199254740993"), &list("9007199254740992.0")).unwrap();
        assert_eq!(path, "[50000]");
    }
}
