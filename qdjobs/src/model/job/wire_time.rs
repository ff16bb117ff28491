//! The text of an instant in JSON over HTTP: ISO 8601 in UTC with six digits and no offset.
//!
//! Which fields are instants is in `stored_job.rs` and `attempt.rs`.
//!
//! Depends on the clock's types and on serde. Existing clients read this format, so it does not change.

use serde::de::{Deserialize, Deserializer, Error as _};
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

/// An instant without an offset is in UTC. One with an offset, as other programs write it, is read too.
pub(crate) fn parse_wire_time(text: &str) -> Result<Timestamp, jiff::Error> {
    text.parse().or_else(|_| format!("{text}Z").parse())
}

/// [`parse_wire_time`] for `#[serde(deserialize_with)]`.
pub(crate) fn deserialize_wire_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Timestamp, D::Error> {
    parse_wire_time(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// [`parse_wire_time`] of an instant that may be missing, for `#[serde(deserialize_with)]`.
pub(crate) fn deserialize_wire_time_if_any<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse_wire_time(&text)).transpose().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_on_the_wire_have_six_digits_and_no_offset() {
        let at: Timestamp = "2026-11-23T16:40:39.336066Z".parse().unwrap();
        assert_eq!(wire_time(at), "2026-11-23T16:40:39.336066");
        assert_eq!(wire_time(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000000");
        for text in [&*wire_time(at), "2026-11-23T16:40:39.336066Z", "2026-11-23T17:40:39.336066+01:00"] {
            assert_eq!(parse_wire_time(text).unwrap(), at);
        }
        parse_wire_time("yesterday").unwrap_err();
    }
}
