//! A serializer in front of another one, which refuses what JSON cannot hold: [`Strict`].
//!
//! What is refused is listed in `mod.rs`. What the text looks like is decided in `format.rs`.
//!
//! Depends on serde.

use std::fmt::Display;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::flaw::{Flaw, Found, name_of};

/// The start of the names by which types of serde_json make themselves known to its serializer.
const SERDE_PRIVATE: &str = "$serde_json::private::";

/// Passes everything on to `inner`, apart from flaws.
pub(super) struct Strict<'f, S> {
    inner: S,
    found: &'f Found,
    /// The value is in a `Some`.
    in_some: bool,
}

impl<'f, S> Strict<'f, S> {
    pub(super) fn new(inner: S, found: &'f Found) -> Strict<'f, S> {
        Strict { inner, found, in_some: false }
    }
}

impl<'f, S: Serializer> Strict<'f, S> {
    /// Passes on a value that is written as `null`.
    fn empty(self, write: impl FnOnce(S) -> Result<S::Ok, S::Error>) -> Result<S::Ok, S::Error> {
        if self.in_some && !self.found.rules.takes_null {
            Err(self.found.stop(Flaw::SomeNull))
        } else {
            write(self.inner)
        }
    }

    fn compound<C>(self, begin: impl FnOnce(S) -> Result<C, S::Error>) -> Result<Compound<'f, C>, S::Error> {
        Ok(Compound { inner: begin(self.inner)?, found: self.found, count: 0, variant: None })
    }

    fn variant<C>(
        self,
        variant: &'static str,
        begin: impl FnOnce(S) -> Result<C, S::Error>,
    ) -> Result<Compound<'f, C>, S::Error> {
        Ok(Compound { variant: Some(variant), ..self.compound(begin)? })
    }
}

/// A value that is written by [`Strict`], whatever serializer it is given to.
struct Inner<'v, 'f, T: ?Sized> {
    value: &'v T,
    found: &'f Found,
    in_some: bool,
}

impl<T: Serialize + ?Sized> Serialize for Inner<'_, '_, T> {
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Strict { inner, found: self.found, in_some: self.in_some })
    }
}

macro_rules! pass_on {
    ($($method:ident: $ty:ty,)*) => {$(
        fn $method(self, value: $ty) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        }
    )*};
}

impl<'f, S: Serializer> Serializer for Strict<'f, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Compound<'f, S::SerializeSeq>;
    type SerializeTuple = Compound<'f, S::SerializeTuple>;
    type SerializeTupleStruct = Compound<'f, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Compound<'f, S::SerializeTupleVariant>;
    type SerializeMap = Compound<'f, S::SerializeMap>;
    type SerializeStruct = Compound<'f, S::SerializeStruct>;
    type SerializeStructVariant = Compound<'f, S::SerializeStructVariant>;

    pass_on! {
        serialize_bool: bool, serialize_char: char, serialize_str: &str, serialize_bytes: &[u8],
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        match value.is_finite() {
            true if self.found.rules.exact_floats => self.inner.serialize_f64(value.into()),
            true => self.inner.serialize_f32(value),
            false => Err(self.found.stop(Flaw::NotFinite(name_of(value.into())))),
        }
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        match value.is_finite() {
            true => self.inner.serialize_f64(value),
            false => Err(self.found.stop(Flaw::NotFinite(name_of(value)))),
        }
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.empty(S::serialize_none)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&Inner { value, found: self.found, in_some: true })
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.empty(S::serialize_unit)
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.empty(|inner| inner.serialize_unit_struct(name))
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    /// Written as the value in it.
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let inner = Inner { value, found: self.found, in_some: self.in_some };
        self.inner.serialize_newtype_struct(name, &inner)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let inner = Inner { value, found: self.found, in_some: false };
        let written = self.inner.serialize_newtype_variant(name, index, variant, &inner);
        self.found.passed(written, || format!(".{variant}"))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.compound(|inner| inner.serialize_seq(len))
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.compound(|inner| inner.serialize_tuple(len))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.compound(|inner| inner.serialize_tuple_struct(name, len))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.variant(variant, |inner| inner.serialize_tuple_variant(name, index, variant, len))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.compound(|inner| inner.serialize_map(len))
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        // serde_json writes a `RawValue` as a struct with a name of its own.
        self.found.raw_in_some.set(self.in_some && !self.found.rules.takes_null);
        self.compound(|inner| inner.serialize_struct(name, len))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.variant(variant, |inner| inner.serialize_struct_variant(name, index, variant, len))
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// An array or an object while it is written.
pub(super) struct Compound<'f, C> {
    inner: C,
    found: &'f Found,
    /// Elements written before.
    count: usize,
    /// The variant of an enum whose fields these are.
    variant: Option<&'static str>,
}

impl<'f, C> Compound<'f, C> {
    fn element<T: ?Sized, E>(
        &mut self,
        value: &T,
        write: impl FnOnce(&mut C, &Inner<'_, 'f, T>) -> Result<(), E>,
    ) -> Result<(), E> {
        let written = write(&mut self.inner, &Inner { value, found: self.found, in_some: false });
        let (count, variant) = (self.count, self.variant);
        self.count += 1;
        self.found.passed(written, || format!("{}[{count}]", of_variant(variant)))
    }

    fn member<T: ?Sized, E>(
        &mut self,
        value: &T,
        name: impl FnOnce() -> String,
        write: impl FnOnce(&mut C, &Inner<'_, 'f, T>) -> Result<(), E>,
    ) -> Result<(), E> {
        let written = write(&mut self.inner, &Inner { value, found: self.found, in_some: false });
        self.found.passed(written, || match name() {
            // The content of a `RawValue`, which is no member.
            private if private.starts_with(SERDE_PRIVATE) => String::new(),
            name => format!("{}.{name}", of_variant(self.variant)),
        })
    }
}

fn of_variant(variant: Option<&str>) -> String {
    variant.map(|variant| format!(".{variant}")).unwrap_or_default()
}

macro_rules! elements {
    ($($of:ident: $method:ident,)*) => {$(
        impl<C: $of> $of for Compound<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                self.element(value, |inner, value| inner.$method(value))
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )*};
}

elements! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field,
}

macro_rules! fields {
    ($($of:ident)*) => {$(
        impl<C: $of> $of for Compound<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), C::Error> {
                self.member(value, || key.to_owned(), |inner, value| inner.serialize_field(key, value))
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
                self.inner.skip_field(key)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )*};
}

fields! { SerializeStruct SerializeStructVariant }

impl<C: SerializeMap> SerializeMap for Compound<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.inner.serialize_key(key)
    }

    /// The key is no longer known here.
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.member(value, || "…".to_owned(), |inner, value| inner.serialize_value(value))
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), C::Error> {
        self.member(value, || key_text(key), |inner, value| inner.serialize_entry(key, value))
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}

/// A key as it is shown in a path.
fn key_text<K: Serialize + ?Sized>(key: &K) -> String {
    match serde_json::to_value(key) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => "…".to_owned(),
    }
}
