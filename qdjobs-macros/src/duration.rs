//! Parses durations in option values: `"30s"`, `"1h30m"`, `"250ms"`.
//!
//! Which options take a duration, and the messages for a bad one, are in `options/values.rs`.
//!
//! Depends on the standard library only.
//!
//! Not parsed with the calendar library of the runtime, for four reasons. It accepts `"5 sec ago"`, it
//! rejects `"1d"`, and it has no help for `"30"`. Every crate with a task would compile it for the build host
//! as well.

use std::time::Duration;

/// The units, longest first, with their milliseconds and the other words for them.
const UNITS: [(&str, u64, &[&str]); 5] = [
    ("d", 86_400_000, &["day", "days", "D"]),
    ("h", 3_600_000, &["hr", "hrs", "hour", "hours", "H"]),
    ("m", 60_000, &["min", "mins", "minute", "minutes", "M"]),
    ("s", 1_000, &["sec", "secs", "second", "seconds", "S"]),
    ("ms", 1, &["msec", "msecs", "milli", "millis", "millisecond", "milliseconds"]),
];

/// Parses a sum of integers with units, from days to milliseconds, each unit at most once: `"1h30m"`. The
/// error is the message of the compile error.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    parse_strictly(text).map_err(|(problem, help)| {
        let help = match repaired(text) {
            Some(meant) => format!("write \"{meant}\""),
            None => help,
        };
        format!("invalid duration: {problem}\nhelp: {help}")
    })
}

/// Parses the text, or returns what is wrong and what to write in general.
fn parse_strictly(text: &str) -> Result<Duration, (String, String)> {
    let mut rest = text;
    if rest.trim().is_empty() {
        return Err((
            "the string is empty".to_owned(),
            "write a number and a unit, as in \"30s\"".to_owned(),
        ));
    }
    let mut sum = 0u64;
    // The place of the last unit in the list: the next one is behind it.
    let mut last = None;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit());
        if number.is_empty() {
            let separated = rest.starts_with(|c: char| c.is_whitespace() || c == ',');
            let what = if separated {
                format!("`{text}` contains a space or a comma")
            } else {
                format!("`{rest}` does not begin with a number")
            };
            return Err((what, example("30")));
        }
        let (unit, after) = split(after, char::is_alphabetic);
        if unit.is_empty() {
            let (shown, what) =
                if after.starts_with('.') { (rest, "is not an integer") } else { (number, "has no unit") };
            return Err((format!("`{shown}` {what}"), example(number)));
        }
        let Some(at) = UNITS.iter().position(|(known, ..)| *known == unit) else {
            return Err((format!("`{unit}` is not a unit"), "the units are ms, s, m, h and d".to_owned()));
        };
        if last == Some(at) {
            return Err((format!("the unit `{unit}` is used more than once"), example(number)));
        }
        if last > Some(at) {
            return Err((format!("`{unit}` is longer than the unit before it"), example(number)));
        }
        let added = number.parse::<u64>().ok().and_then(|n| n.checked_mul(UNITS[at].1)?.checked_add(sum));
        let Some(added) = added else {
            return Err((format!("`{text}` is too long"), "use a shorter duration".to_owned()));
        };
        (sum, last, rest) = (added, Some(at), after);
    }
    Ok(Duration::from_millis(sum))
}

/// What is probably meant: with spaces, commas or longer words for the units, in another order, or with a
/// unit twice.
fn repaired(text: &str) -> Option<String> {
    let mut counts = [None::<u64>; UNITS.len()];
    let mut rest = text.trim_matches(is_separator);
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit());
        let (unit, after) = split(after.trim_start(), char::is_alphabetic);
        let at = UNITS.iter().position(|(known, _, words)| *known == unit || words.contains(&unit))?;
        counts[at] = Some(counts[at].unwrap_or(0).checked_add(number.parse().ok()?)?);
        rest = after.trim_start_matches(is_separator);
    }
    let parts =
        counts.iter().zip(UNITS).filter_map(|(count, (unit, ..))| Some(format!("{}{unit}", (*count)?)));
    let meant: String = parts.collect();
    (meant != text && parse_strictly(&meant).is_ok()).then_some(meant)
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || c == ','
}

/// The text up to the first character that is not `part`, and the rest.
fn split(text: &str, part: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !part(c)).unwrap_or(text.len()))
}

fn example(number: &str) -> String {
    format!("write \"{number}s\", \"{number}m\" or \"{number}h\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_units_are_parsed() {
        for (text, millis) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("1m5s20ms", 65_020),
            ("2d", 172_800_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn the_error_of_an_invalid_duration_says_what_to_write() {
        for (text, problem, help) in [
            ("30", "`30` has no unit", "write \"30s\", \"30m\" or \"30h\""),
            ("1h30", "`30` has no unit", "write \"30s\", \"30m\" or \"30h\""),
            ("", "the string is empty", "write a number and a unit, as in \"30s\""),
            (" ", "the string is empty", "write a number and a unit, as in \"30s\""),
            ("1.5h", "`1.5h` is not an integer", "write \"1s\", \"1m\" or \"1h\""),
            ("5 sec ago", "`5` has no unit", "write \"5s\", \"5m\" or \"5h\""),
            ("3weeks", "`weeks` is not a unit", "the units are ms, s, m, h and d"),
            ("5secs", "`secs` is not a unit", "write \"5s\""),
            ("5 minutes", "`5` has no unit", "write \"5m\""),
            ("5M", "`M` is not a unit", "write \"5m\""),
            ("-5s", "`-5s` does not begin with a number", "write \"30s\", \"30m\" or \"30h\""),
            ("99999999999999999999d", "`99999999999999999999d` is too long", "use a shorter duration"),
            ("1h 30m", "`1h 30m` contains a space or a comma", "write \"1h30m\""),
            ("1h, 30 m", "`1h, 30 m` contains a space or a comma", "write \"1h30m\""),
            (" 30s", "` 30s` contains a space or a comma", "write \"30s\""),
            ("30s ", "`30s ` contains a space or a comma", "write \"30s\""),
            ("1m1m", "the unit `m` is used more than once", "write \"2m\""),
            ("1m2s1m", "`m` is longer than the unit before it", "write \"2m2s\""),
            ("30m1h", "`h` is longer than the unit before it", "write \"1h30m\""),
        ] {
            assert_eq!(parse(text), Err(format!("invalid duration: {problem}\nhelp: {help}")), "{text}");
        }
    }
}
