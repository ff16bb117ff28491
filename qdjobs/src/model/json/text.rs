//! Looks into valid JSON text without reading it into values: [`depth`], [`compact`], [`wide_integer`],
//! [`lost_integer`], [`member_paths`], [`is_same`].
//!
//! Which values are refused when they are written is decided in `strict.rs` and `format.rs`.
//!
//! Depends on `members.rs` and serde_json. A value of serde_json would have lost what is looked for: it holds a large
//! integer as a float, sorts the members of an object, and its parser has a limit of depth.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use serde_json::value::RawValue;

use super::members::Members;

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
/// `name_of` returns the name under which an outer member of `given` is in `read_back`.
pub(crate) fn lost_integer(
    given: &str,
    read_back: &str,
    name_of: impl Fn(&str) -> Option<&'static str>,
) -> Option<(String, String)> {
    let rough: Vec<_> = numbers(given).filter(|(_, number)| is_rough_as_float(number)).collect();
    if rough.is_empty() {
        return None;
    }
    let found: HashMap<String, &str> =
        numbers(read_back).map(|(place, number)| (place.path(), number)).collect();
    let is_lost = |(place, number): &(Place<'_>, &str)| {
        found.get(&place.path_by(&name_of)).is_some_and(|found| !is_same_number(number, found))
    };
    rough.into_iter().find(is_lost).map(|(place, number)| (place.path(), number.to_owned()))
}

/// The numbers of a text with their places.
fn numbers(json: &str) -> impl Iterator<Item = (Place<'_>, &str)> {
    let mut place = Place::default();
    Tokens(json).filter_map(move |token| match token {
        Token::Number(number) => Some((place.clone(), number)),
        token => {
            place.pass(token);
            None
        }
    })
}

/// Whether an `f32` holds another number than this integer. Each integer that it holds, an `f64` holds, too.
fn is_rough_as_float(number: &str) -> bool {
    // As many digits have all integers below 2^24.
    const DIGITS_EXACT: usize = 7;
    let is_integer = !number.contains(['.', 'e', 'E']);
    let held = |exact: i128| number.parse().is_ok_and(|float: f32| float as i128 == exact);
    is_integer && number.len() > DIGITS_EXACT && !number.parse().is_ok_and(held)
}

/// Whether a number that was written by a type is this integer.
fn is_same_number(integer: &str, written: &str) -> bool {
    let is_float_of = |float: f64| float.fract() == 0.0 && format!("{float:.0}") == integer;
    match written.contains(['.', 'e', 'E']) {
        true => written.parse().is_ok_and(is_float_of),
        false => written == integer,
    }
}

/// The paths to all members of all objects, for example `lines[2].count`.
pub(crate) fn member_paths(json: &str) -> HashSet<String> {
    let mut place = Place::default();
    let paths = Tokens(json).filter_map(|token| {
        let is_name = place.awaits_name() && matches!(token, Token::Text(_));
        place.pass(token);
        is_name.then(|| place.path())
    });
    paths.collect()
}

/// Whether two texts are the same JSON. They can differ in spaces, in the order of members, and in how a float or a
/// string is written. Other than values of serde_json, they cannot differ in an integer of more than 64 bits, or in the
/// first of two members of one name.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    // The values first, because they have a limit of depth.
    one == other || (is_same_value(one, other) && is_same_text(one.trim_ascii(), other.trim_ascii()))
}

fn is_same_value(one: &str, other: &str) -> bool {
    let value = |json: &str| serde_json::from_str::<Value>(json).ok();
    value(one).is_some_and(|one| value(other) == Some(one))
}

/// As [`is_same`], for texts without spaces around them, and with a limit of depth.
fn is_same_text(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    match (one.as_bytes().first(), other.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => {
            let is_same = |((name, one), (other_name, other)): ((String, &RawValue), (String, &RawValue))| {
                name == other_name && is_same_text(one.get(), other.get())
            };
            let (one, other) = (members(one), members(other));
            one.len() == other.len() && std::iter::zip(one, other).all(is_same)
        }
        (Some(b'['), Some(b'[')) => {
            let elements = |json| serde_json::from_str::<Vec<&RawValue>>(json).unwrap_or_default();
            let (one, other) = (elements(one), elements(other));
            let is_same = |(one, other): (&RawValue, &RawValue)| is_same_text(one.get(), other.get());
            one.len() == other.len() && std::iter::zip(one, other).all(is_same)
        }
        (Some(b'-' | b'0'..=b'9'), _) if is_wide_integer(one) || is_wide_integer(other) => false,
        _ => is_same_value(one, other),
    }
}

/// The members of an object, sorted by name. Those of one name keep their order.
fn members(json: &str) -> Vec<(String, &RawValue)> {
    let mut members = serde_json::from_str(json).map(|Members(members)| members).unwrap_or_default();
    members.sort_by(|(one, _): &(String, &RawValue), (other, _)| one.cmp(other));
    members
}

fn is_wide_integer(number: &str) -> bool {
    !number.contains(['.', 'e', 'E']) && number.parse::<i64>().is_err() && number.parse::<u64>().is_err()
}

/// Where a reader of tokens is: one step for each array and object around it.
#[derive(Clone, Debug, Default)]
struct Place<'t>(Vec<Step<'t>>);

#[derive(Clone, Debug)]
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

    /// Whether the next string is the name of a member.
    fn awaits_name(&self) -> bool {
        matches!(self.0.last(), Some(Step::Member { is_name: true, .. }))
    }

    fn path(&self) -> String {
        self.path_by(|_| None)
    }

    /// The path with another name of the outer member.
    fn path_by(&self, name_of: impl Fn(&str) -> Option<&'static str>) -> String {
        let mut path = String::new();
        for step in &self.0 {
            match step {
                Step::Element(at) => path.push_str(&format!("[{at}]")),
                Step::Member { name, .. } => {
                    let name = serde_json::from_str(name).unwrap_or_else(|_| (*name).to_owned());
                    let other = if path.is_empty() { name_of(&name) } else { None };
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(other.unwrap_or(&name));
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
            assert_eq!(lost_integer(given, read_back, |_| None), found, "{given}");
        }
    }

    #[test]
    fn a_written_float_is_compared_with_an_integer_by_its_digits() {
        for (integer, written, is_same) in [
            ("16777217", "16777217.0", true),
            ("16777217", "16777216.0", false),
            ("16777217", "1.6777217e7", true),
            ("16777217", "16777217", true),
            ("16777217", "16777217.5", false),
            ("-9007199254740993", "-9007199254740992.0", false),
            ("18446744073709551617", "1.8446744073709552e19", false),
            ("340282366920938463463374607431768211457", "3.402823669209385e38", false),
            ("340282366920938463463374607431768211457", "340282366920938463463374607431768211457", true),
        ] {
            assert_eq!(is_same_number(integer, written), is_same, "{integer} {written}");
        }
        let renamed = |name: &str| (name == "old").then_some("new");
        let lost = |given, read_back| lost_integer(given, read_back, renamed).map(|(path, _)| path);
        assert_eq!(lost(r#"{"old": [16777217]}"#, r#"{"new":[16777216.0]}"#).as_deref(), Some("old[0]"));
        assert_eq!(lost(r#"{"in": {"old": 16777217}}"#, r#"{"in":{"new":16777216.0}}"#), None);
    }

    #[test]
    fn the_paths_to_all_members_are_found() {
        let json = r#"{"a": [{"b": "c"}, {"d\"": {}}], "e": {"f": 1, "g": null}}"#;
        let mut paths: Vec<String> = member_paths(json).into_iter().collect();
        paths.sort();
        assert_eq!(paths, ["a", "a[0].b", "a[1].d\"", "e", "e.f", "e.g"]);
        assert!(member_paths(r#"["a", {}, 1]"#).is_empty());
    }

    #[test]
    fn a_hundred_thousand_large_numbers_are_compared_in_one_pass() {
        let list = |end: &str| format!("[{}{end}]", "1234567890123456789,".repeat(50_000));
        assert_eq!(lost_integer(&list("7"), &list("7"), |_| None), None);
        let (path, _) =
            lost_integer(&list("9007199254740993"), &list("9007199254740992.0"), |_| None).unwrap();
        assert_eq!(path, "[50000]");
    }
}
