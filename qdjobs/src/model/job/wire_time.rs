//! The text of an instant in JSON over HTTP: ISO 8601 in UTC with six digits and no offset.
//!
//! Which fields are instants is in `stored_job.rs` and `attempt.rs`.
//!
//! Depends on the clock's types and on serde. Existing clients read this format, so it does not change.

use serde::ser::{Serialize, Serializer};

use crate::model::clock::Timestamp;

/// An instant as ISO 8601 in UTC, with six digits and no offset.
pub(crate) fn wire_time(at: Timestamp) -> String {
    format!("{at:.6}").trim_end_matches('Z').to_owned()
}

/// [`wire_time`] for `#[serde(serialize_with)]`.
pub(crate) fn serialize_wire_time<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&wire_time(*at))
}

/// [`wire_time`] of an instant that may be missing, for `#[serde(serialize_with)]`.
pub(crate) fn serialize_wire_time_if_any<S: Serializer>(
    at: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.map(wire_time).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_on_the_wire_have_six_digits_and_no_offset() {
        let at: Timestamp = "2026-11-23T16:40:39.336066Z".parse().unwrap();
        assert_eq!(wire_time(at), "2026-11-23T16:40:39.336066");
        assert_eq!(wire_time(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000000");
    }
}
