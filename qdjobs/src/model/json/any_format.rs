//! The JSON text of a value that any format of serde reads: [`AnyFormat`].
//!
//! From JSON, it is the text itself, with every digit, the order of members, and members that exist twice. From
//! another format, the text is written anew.
//!
//! Depends on serde, serde_json and `flaw.rs`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::flaw::{Flaw, name_of};

/// JSON text.
pub(crate) struct AnyFormat(pub(crate) String);

/// The name by which a deserializer of serde_json knows that the text is wanted. It then returns an object with a
/// single member of this name. To other deserializers it is the name of a newtype.
const RAW: &str = "$serde_json::private::RawValue";

impl<'de> Deserialize<'de> for AnyFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AnyFormat, D::Error> {
        deserializer.deserialize_newtype_struct(RAW, TextVisitor)
    }
}

struct TextVisitor;

fn text<T: serde::Serialize + ?Sized, E: Error>(value: &T) -> Result<AnyFormat, E> {
    serde_json::to_string(value).map(AnyFormat).map_err(E::custom)
}

macro_rules! visit {
    ($($method:ident: $ty:ty,)*) => {$(
        fn $method<E: Error>(self, value: $ty) -> Result<AnyFormat, E> {
            text(&value)
        }
    )*};
}

impl<'de> Visitor<'de> for TextVisitor {
    type Value = AnyFormat;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    visit! {
        visit_bool: bool, visit_str: &str,
        visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128,
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<AnyFormat, E> {
        match value.is_finite() {
            true => text(&value),
            // It would become `null`.
            false => Err(E::custom(Flaw::NotFinite(name_of(value)))),
        }
    }

    fn visit_none<E: Error>(self) -> Result<AnyFormat, E> {
        text(&())
    }

    fn visit_unit<E: Error>(self) -> Result<AnyFormat, E> {
        text(&())
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<AnyFormat, D::Error> {
        AnyFormat::deserialize(inner)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<AnyFormat, D::Error> {
        inner.deserialize_any(TextVisitor)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<AnyFormat, A::Error> {
        let mut json = String::from("[");
        while let Some(AnyFormat(element)) = seq.next_element()? {
            json.push_str(if json.len() > 1 { "," } else { "" });
            json.push_str(&element);
        }
        json.push(']');
        Ok(AnyFormat(json))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyFormat, A::Error> {
        let mut json = String::from("{");
        while let Some(key) = map.next_key::<String>()? {
            if key == RAW {
                let raw = RawValue::from_string(map.next_value()?).map_err(A::Error::custom)?;
                return Ok(AnyFormat(raw.get().to_owned()));
            }
            let (AnyFormat(key), AnyFormat(value)) = (text(&key)?, map.next_value()?);
            json.push_str(if json.len() > 1 { "," } else { "" });
            json.push_str(&key);
            json.push(':');
            json.push_str(&value);
        }
        json.push('}');
        Ok(AnyFormat(json))
    }
}
