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

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Parses a sum of integers with units, in any order: `"1h30m"`. The error is the message of the compile
/// error.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let invalid = |what: String| Err(format!("invalid duration: {what}"));
    let mut rest = text.trim();
    if rest.is_empty() {
        return invalid("the string is empty\nhelp: write a number and a unit, as in \"30s\"".to_owned());
    }
    let mut millis = 0u64;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        if number.is_empty() {
            return invalid(format!("`{rest}` does not begin with a number\nhelp: {}", example("30")));
        }
        let letters = after.len() - after.trim_start_matches(char::is_alphabetic).len();
        let (unit, after) = after.split_at(letters);
        if unit.is_empty() {
            let what = if after.starts_with('.') { "is not an integer" } else { "has no unit" };
            let shown = if after.starts_with('.') { rest } else { number };
            return invalid(format!("`{shown}` {what}\nhelp: {}", example(number)));
        }
        let Some((_, size)) = UNITS.iter().find(|(known, _)| *known == unit) else {
            return invalid(format!("`{unit}` is not a unit\nhelp: the units are ms, s, m, h and d"));
        };
        let sum = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*size)?.checked_add(millis));
        let Some(sum) = sum else {
            return invalid(format!("`{text}` is too long\nhelp: use a shorter duration"));
        };
        (millis, rest) = (sum, after.trim_start());
    }
    Ok(Duration::from_millis(millis))
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
            ("1h 30m", 5_400_000),
            ("2d", 172_800_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn the_error_of_an_invalid_duration_says_what_to_write() {
        for (text, message) in [
            ("30", "invalid duration: `30` has no unit\nhelp: write \"30s\", \"30m\" or \"30h\""),
            ("", "invalid duration: the string is empty\nhelp: write a number and a unit, as in \"30s\""),
            ("1.5h", "invalid duration: `1.5h` is not an integer\nhelp: write \"1s\", \"1m\" or \"1h\""),
            ("5 sec ago", "invalid duration: `5` has no unit\nhelp: write \"5s\", \"5m\" or \"5h\""),
            ("3weeks", "invalid duration: `weeks` is not a unit\nhelp: the units are ms, s, m, h and d"),
            (
                "-5s",
                "invalid duration: `-5s` does not begin with a number\nhelp: write \"30s\", \"30m\" or \
                 \"30h\"",
            ),
            (
                "99999999999999999999d",
                "invalid duration: `99999999999999999999d` is too long\nhelp: use a shorter duration",
            ),
        ] {
            assert_eq!(parse(text), Err(message.to_owned()), "{text}");
        }
    }
}
