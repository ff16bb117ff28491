//! Looks into valid JSON text without reading it into values: [`depth`], [`compact`], [`wide_integer`],
//! [`lost_integer`], [`member_keys`], [`is_same`].
//!
//! Which values are refused when they are written is decided in `strict.rs` and `format.rs`.
//!
//! Depends on `members.rs` and serde_json. A value of serde_json would have lost what is looked for: it holds a large
//! integer as a float, sorts the members of an object, and its parser has a limit of depth.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

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
    first_number(json, |_, number| is_wide_integer(number))
}

/// The first number that is `wanted` by its position among all numbers and its text, with the path to it.
fn first_number(json: &str, mut wanted: impl FnMut(usize, &str) -> bool) -> Option<(String, String)> {
    let mut place = Place::new(&|_| None);
    let mut position = 0;
    Tokens(json).find_map(|token| match token {
        Token::Number(number) => {
            position += 1;
            wanted(position - 1, number).then(|| (place.path(), number.to_owned()))
        }
        token => {
            place.pass(token);
            None
        }
    })
}

/// The first integer in `given` that a float has rounded in `read_back`, the text of the values that were read. A
/// number that has gone, has become a text or is another one is not rounded: a type may convert its values. Nor is one in
/// an array that contains the integer elsewhere: a set has another order. `name_of` returns the name under which an
/// outer member of `given` is in `read_back`.
pub(crate) fn lost_integer(
    given: &str,
    read_back: &str,
    name_of: impl Fn(&str) -> Option<&'static str>,
) -> Option<(String, String)> {
    let rough: Vec<_> =
        numbers(given, &name_of).enumerate().filter(|(_, it)| is_rough_as_float(it.text)).collect();
    if rough.is_empty() {
        return None;
    }
    let found: HashMap<u64, &str> = numbers(read_back, &|_| None).map(|it| (it.key, it.text)).collect();
    let kept: HashSet<&str> = found.values().copied().collect();
    let is_lost = |(_, it): &(usize, Number<'_>)| {
        found.get(&it.key).is_some_and(|found| is_rounded(it.text, found))
            && !(it.is_in_array && kept.contains(it.text))
    };
    let (lost, _) = rough.into_iter().find(is_lost)?;
    first_number(given, |position, _| position == lost)
}

/// A number, and where it is in its text.
struct Number<'t> {
    text: &'t str,
    /// Of the path to it.
    key: u64,
    is_in_array: bool,
}

fn numbers<'t>(
    json: &'t str,
    name_of: &dyn Fn(&str) -> Option<&'static str>,
) -> impl Iterator<Item = Number<'t>> {
    let mut place = Place::new(name_of);
    Tokens(json).filter_map(move |token| match token {
        Token::Number(text) => {
            let is_in_array = place.steps.iter().any(|step| matches!(step, Step::Element { .. }));
            Some(Number { text, key: place.key(), is_in_array })
        }
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

/// Whether a number that was written by a type is a rounding of this integer.
fn is_rounded(integer: &str, written: &str) -> bool {
    let Ok(found) = written.parse::<f64>() else { return false };
    let is_near = |near: f64| near == found;
    !is_same_number(integer, written)
        && (integer.parse().is_ok_and(is_near)
            || integer.parse::<f32>().is_ok_and(|near| is_near(near.into())))
}

/// The keys of the paths to all members of all objects, without the positions in arrays: see [`member_key`].
pub(crate) fn member_keys(json: &str) -> HashSet<u64> {
    let mut place = Place { with_positions: false, ..Place::new(&|_| None) };
    let keys = Tokens(json).filter_map(|token| {
        let is_name = place.awaits_name() && matches!(token, Token::Text(_));
        place.pass(token);
        is_name.then(|| place.key())
    });
    keys.collect()
}

/// The key of the path to a member, from that of the object around it; 0 for the outer object. A path itself can be as
/// long as the whole text, and a text can have a hundred thousand of them.
pub(crate) fn member_key(object: u64, name: &str) -> u64 {
    hashed((object, name))
}

fn hashed(step: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    step.hash(&mut hasher);
    hasher.finish()
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
struct Place<'t, 'n> {
    steps: Vec<Step<'t>>,
    /// The name of an outer member by another name of it, for the keys.
    name_of: &'n dyn Fn(&str) -> Option<&'static str>,
    /// Whether the positions in arrays count for the keys.
    with_positions: bool,
}

enum Step<'t> {
    /// The position in an array, whose own key is `array`.
    Element { at: usize, array: u64 },
    /// The name of a member with its quotes, in an object whose own key is `object`. While `is_name`, the next string is
    /// one.
    Member { name: &'t str, is_name: bool, object: u64, key: u64 },
}

impl<'t, 'n> Place<'t, 'n> {
    fn new(name_of: &'n dyn Fn(&str) -> Option<&'static str>) -> Place<'t, 'n> {
        Place { steps: Vec::new(), name_of, with_positions: true }
    }

    fn pass(&mut self, token: Token<'t>) {
        let (around, is_outer) = (self.key(), self.steps.len() == 1);
        match (token, self.steps.last_mut()) {
            (Token::Other(b'['), _) => self.steps.push(Step::Element { at: 0, array: around }),
            (Token::Other(b'{'), _) => {
                self.steps.push(Step::Member { name: "", is_name: true, object: around, key: around });
            }
            (Token::Other(b']' | b'}'), _) => drop(self.steps.pop()),
            (Token::Other(b','), Some(Step::Element { at, .. })) => *at += 1,
            (Token::Other(b','), Some(Step::Member { is_name, .. })) => *is_name = true,
            (Token::Text(text), Some(Step::Member { name, is_name: is_name @ true, object, key })) => {
                (*name, *is_name) = (text, false);
                let own = unquoted(text);
                let other = if is_outer { (self.name_of)(&own) } else { None };
                *key = member_key(*object, other.unwrap_or(&own));
            }
            _ => {}
        }
    }

    /// Whether the next string is the name of a member.
    fn awaits_name(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Member { is_name: true, .. }))
    }

    /// The key of the path.
    fn key(&self) -> u64 {
        match self.steps.last() {
            None => 0,
            Some(Step::Member { key, .. }) => *key,
            Some(Step::Element { at, array }) if self.with_positions => hashed((array, at)),
            Some(Step::Element { array, .. }) => *array,
        }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.steps {
            match step {
                Step::Element { at, .. } => path.push_str(&format!("[{at}]")),
                Step::Member { name, .. } => {
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(&unquoted(name));
                }
            }
        }
        path
    }
}

/// A string of JSON without its quotes and escapes.
fn unquoted(text: &str) -> Cow<'_, str> {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        _ => serde_json::from_str(text).map_or(Cow::Borrowed(text), Cow::Owned),
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
    fn a_member_is_found_by_the_key_of_its_path_without_positions() {
        let keys = member_keys(r#"{"a": [{"b": "c"}, {"d\"": {}}], "e": {"f": 1, "g": null}}"#);
        let key = |names: &[&str]| names.iter().fold(0, |object, name| member_key(object, name));
        let paths: [&[&str]; 6] = [&["a"], &["a", "b"], &["a", "d\""], &["e"], &["e", "f"], &["e", "g"]];
        assert_eq!(keys, paths.map(key).into());
        assert!(member_keys(r#"["a", {}, 1]"#).is_empty());
    }

    #[test]
    fn a_number_that_is_no_rounding_or_has_moved_in_its_array_is_not_lost() {
        let lost = |given, read_back| lost_integer(given, read_back, |_| None).map(|(path, _)| path);
        for (given, read_back) in [
            // A set, whose order is another one.
            (r#"{"ids": [16777217, 16777216]}"#, r#"{"ids":[16777216,16777217]}"#),
            // Seconds that are written as milliseconds, cents that are written as a decimal.
            (r#"{"at": 1700000001}"#, r#"{"at":1700000001000}"#),
            (r#"{"cents": 1234567891}"#, r#"{"cents":12345678.91}"#),
        ] {
            assert_eq!(lost(given, read_back), None, "{given}");
        }
        assert_eq!(
            lost(r#"{"a": 16777217, "b": 16777217}"#, r#"{"a":16777216.0,"b":16777217}"#).as_deref(),
            Some("a")
        );
    }

    #[test]
    fn the_work_does_not_grow_with_the_length_of_the_outer_names() {
        let name = "n".repeat(500_000);
        let json = |number: &str| format!(r#"{{"{name}": [16777217, {}{number}]}}"#, "1, ".repeat(100_000));
        let (path, _) =
            lost_integer(&json("16777217"), &json("16777216.0").replacen("16777217", "5", 1), |_| None)
                .unwrap();
        assert!(path.ends_with("n[100001]"));
        let members = format!(r#"{{"{name}": {{{}"z": 1}}}}"#, r#""a": 1, "#.repeat(60_000));
        assert_eq!(member_keys(&members).len(), 3);
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
