//! Single words that users write: durations, statuses, numbers of jobs.
//!
//! The grammar of durations belongs to the macro crate, which no program can link: its file is compiled here
//! a second time.

use qdjobs::{JobId, Status};

use crate::text::is_readable;

#[path = "../../../qdjobs-macros/src/duration.rs"]
mod duration;

/// Parses the bytes as each kind of word.
pub fn words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    read_duration(&text);
    match text.parse::<Status>() {
        Ok(status) => assert_eq!(status.as_str(), text),
        Err(error) => {
            assert!(Status::ALL.iter().all(|status| status.as_str() != text));
            is_readable(&error.to_string());
        }
    }
    if let Ok(id) = text.parse::<JobId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}

fn read_duration(text: &str) {
    match (duration::parse(text), millis(text)) {
        (Ok(read), Some(millis)) => {
            assert_eq!(read.as_millis(), millis, "{text:?}");
            assert_eq!(duration::parse(&format!("{millis}ms")), Ok(read), "{text:?}");
        }
        (Err(error), None) => assert!(error.starts_with("invalid duration: "), "{error}"),
        (read, millis) => panic!("{text:?} is read as {read:?}, and means {millis:?} ms"),
    }
}

/// The grammar written a second time, by runs of letters: a number and a unit, repeated, each unit shorter than the
/// one before it.
fn millis(text: &str) -> Option<u128> {
    let letters: Vec<char> = text.chars().collect();
    let runs = letters.chunk_by(|left, right| left.is_ascii_digit() == right.is_ascii_digit());
    let runs: Vec<String> = runs.map(String::from_iter).collect();
    let (mut sum, mut last) = (0_u128, u128::MAX);
    for run in runs.chunks(2) {
        let [number, unit] = run else { return None };
        let size = match unit.as_str() {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let millis = number.parse::<u128>().ok()?.checked_mul(size)?;
        sum = sum.checked_add(millis).filter(|sum| *sum <= u128::from(u64::MAX) && size < last)?;
        last = size;
    }
    (!runs.is_empty()).then_some(sum)
}
