//! Writes a value as the JSON text to store, and refuses what would not be read back as it was:
//! [`write_and_read`].
//!
//! What a task may return is decided in `outcome.rs`. What is written of params, and how they are read, is in
//! `task/`. Text that others have written is looked into in `text.rs`. Which members are no fields of their type is noted
//! in `reader.rs`.
//!
//! Depends on serde and serde_json.
//!
//! serde_json writes a NaN as `null`, and `Some(None)` as `null` too. Both are read back as another value. Such
//! values are found while they are written, at the cost of a comparison: a second pass over the text would cost as
//! much as the first.

mod any_format;
mod flaw;
mod format;
mod members;
mod reader;
mod strict;
mod text;
mod unknown_fields;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::any_format::AnyFormat;
use self::flaw::{Flaw, Found, Rules};
pub(crate) use self::flaw::{KEEP_ELSEWHERE, Unstorable};
use self::format::Compact;
pub(crate) use self::members::Members;
pub(crate) use self::reader::Reader;
use self::strict::Strict;
pub(crate) use self::text::{compact, depth, is_same, lost_integer, member_keys, wide_integer};
pub(crate) use self::unknown_fields::{Owner, UnknownField, UnknownFields};

/// The JSON text of a value that is read back as its own type, without spaces.
pub(crate) fn write_and_read<T: Serialize + DeserializeOwned>(value: &T) -> Result<String, Unstorable> {
    write_and_read_by(value, Rules::default())
}

/// The JSON text of data whose reader decides what `null` means.
pub(crate) fn write_as_it_is<T: Serialize + ?Sized>(value: &T) -> Result<String, Unstorable> {
    write_by(value, Rules { takes_null: true, ..Rules::default() })
}

/// As [`write_and_read`], with each digit of an `f32`: not the text to store, but one to compare with.
pub(crate) fn write_exactly<T: Serialize + DeserializeOwned>(value: &T) -> Result<String, Unstorable> {
    write_and_read_by(value, Rules { exact_floats: true, ..Rules::default() })
}

/// As [`write_exactly`], with as few refusals as possible.
pub(crate) fn write_loosely<T: Serialize + ?Sized>(value: &T) -> Result<String, Unstorable> {
    write_by(value, Rules { takes_null: true, takes_wide: true, exact_floats: true })
}

/// The rules of a result, whose integers may have any size: only its own type reads it.
const RESULT: Rules = Rules { takes_null: false, takes_wide: true, exact_floats: false };

/// The JSON text of a result that is read back as its own type.
pub(crate) fn write_result<T: Serialize + DeserializeOwned>(value: &T) -> Result<String, Unstorable> {
    write_and_read_by(value, RESULT)
}

/// The JSON text of a result whose type may not be readable.
pub(crate) fn write_result_unread<T: Serialize + ?Sized>(value: &T) -> Result<String, Unstorable> {
    write_by(value, RESULT)
}

/// Accepts `Some` of a value that is written as `null`, if the type reads it back as such: a type with three states,
/// which leaves the member out for `None`.
fn write_and_read_by<T: Serialize + DeserializeOwned>(value: &T, rules: Rules) -> Result<String, Unstorable> {
    let refused = match write_by(value, rules) {
        Err(refused) if matches!(refused.flaw, Flaw::SomeNull) => refused,
        written => return written,
    };
    let text = write_by(value, Rules { takes_null: true, ..rules })?;
    let read_back: Option<T> = serde_json::from_str(&text).ok();
    match read_back.map(|value| write_by(&value, rules)) {
        Some(Err(again)) if matches!(again.flaw, Flaw::SomeNull) && again.path == refused.path => Ok(text),
        _ => Err(refused),
    }
}

fn write_by<T: Serialize + ?Sized>(value: &T, rules: Rules) -> Result<String, Unstorable> {
    let found = Found::by(rules);
    let mut text = Vec::with_capacity(128);
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, Compact::new(&found));
    let written = value.serialize(Strict::new(&mut serializer, &found));
    let written = written.and_then(|()| String::from_utf8(text).map_err(serde::ser::Error::custom));
    written.map_err(|error| found.into_unstorable(error))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use serde::Serialize;
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Serialize)]
    struct Unit;

    #[derive(Serialize)]
    struct Wrapper<T>(T);

    #[derive(Serialize)]
    struct Member<T> {
        inner: T,
    }

    #[derive(Serialize)]
    enum Choice<T> {
        None,
        One(T),
        Two(T, T),
        Named { inner: T },
    }

    #[derive(Serialize)]
    #[serde(untagged)]
    enum Untagged<T> {
        One(T),
        Nothing,
    }

    fn write<T: Serialize + ?Sized>(value: &T) -> Result<String, Unstorable> {
        write_by(value, Rules::default())
    }

    fn refused<T: Serialize>(value: T) -> String {
        let refused = write(&value).unwrap_err();
        format!("{}: {}", refused.path, refused.flaw)
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused_wherever_it_is() {
        let nan = f64::NAN;
        let cases = [
            (refused(nan), ""),
            (refused(f32::NEG_INFINITY), ""),
            (refused(Some(nan)), ""),
            (refused(vec![1.0, nan]), "[1]"),
            (refused((1.0, Member { inner: [1.0, 2.0, nan] })), "[1].inner[2]"),
            (refused(HashMap::from([("a b", nan)])), "a b"),
            (refused(BTreeMap::from([(7, vec![nan])])), "7[0]"),
            (refused(Wrapper(Wrapper(nan))), ""),
            (refused(Choice::One(nan)), "One"),
            (refused(Choice::Two(1.0, nan)), "Two[1]"),
            (refused(Choice::Named { inner: nan }), "Named.inner"),
            (refused(Untagged::One(nan)), ""),
        ];
        for (found, path) in cases {
            assert!(found.starts_with(&format!("{path}: ")), "{path}: {found}");
            assert!(found.contains("finite"), "{path}: {found}");
        }
        assert!(refused(f64::INFINITY).contains("an infinity"), "{}", refused(f64::INFINITY));
        assert!(refused(nan).contains("a NaN"), "{}", refused(nan));
    }

    #[test]
    fn some_that_would_be_read_as_none_is_refused_wherever_it_is() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let cases = [
            (refused(Some(None::<u8>)), ""),
            (refused(Some(())), ""),
            (refused(Some(Unit)), ""),
            (refused(Some(Value::Null)), ""),
            (refused(Some(Wrapper(None::<u8>))), ""),
            (refused(Some(Box::new(Wrapper(Unit)))), ""),
            (refused(Some(raw("null"))), ""),
            (refused(Some(Untagged::<u8>::Nothing)), ""),
            (refused(Some(Untagged::One(None::<u8>))), ""),
            (refused(vec![Some(Some(1)), None, Some(None)]), "[2]"),
            (refused(Member { inner: Some(Some(None::<u8>)) }), "inner"),
        ];
        for (found, path) in cases {
            assert!(
                found.starts_with(&format!("{path}: ")) && found.contains("read back as `None`"),
                "{found}"
            );
        }
    }

    #[test]
    fn everything_else_is_written_as_serde_json_writes_it() {
        let same = |value: &dyn erased::Check| value.check();
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let values: [&dyn erased::Check; 17] = [
            &json!({"a": [1, -2, 0.5, 1e300, true, null, "x\n\"ä"], "b": {}, "c": {"d": [], "e": [{}, [[]]]}}),
            &None::<u8>,
            &Some(1),
            &Some(Some("x")),
            &Some(vec![None::<u8>]),
            &Some(Member { inner: None::<u8> }),
            &Some([(); 2]),
            &(),
            &Unit,
            &Wrapper('x'),
            &[Choice::None, Choice::One(1), Choice::Two(1, 2), Choice::Named { inner: 3 }],
            &(1_u8, 2_i16, 3_u32, 4_i64, 5_u128, -6_i128, 0.1_f32, f64::MIN_POSITIVE),
            &(u64::MAX, i64::MIN, -0.0, f32::MAX),
            &BTreeMap::from([(u128::MAX, 1)]),
            &HashMap::from([(true, 1)]),
            &serde_json::value::to_raw_value(&[1]).unwrap(),
            &(raw(" {\"a\" : 1.50} "), Some(raw("[null]")), raw("null"), "ä".as_bytes()),
        ];
        values.into_iter().for_each(same);
    }

    mod erased {
        /// A value of any type that can be written.
        pub(super) trait Check {
            fn check(&self);
        }

        impl<T: serde::Serialize> Check for T {
            fn check(&self) {
                assert_eq!(super::write(self).unwrap(), serde_json::to_string(self).unwrap());
            }
        }
    }

    #[test]
    fn a_wide_integer_and_deep_nesting_are_refused() {
        assert!(refused(vec![u128::MAX]).starts_with("[0]: 340282366920938463463374607431768211455 is"));
        assert!(refused(i128::MIN).contains("more than 64 bits"));
        let deep = (0..crate::model::job::JSON_DEPTH_MAX).fold(json!([]), |inner, _| json!([inner]));
        assert_eq!(refused(&deep), "[0][0][0][0][0][0][0][0]…: nested deeper than 64 levels");
        assert!(refused(HashMap::from([(vec![1], 2)])).contains("key must be a string"));
    }
}
