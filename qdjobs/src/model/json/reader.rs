//! A deserializer in front of another one, which notes the members that are no fields of their type: [`Reader`].
//!
//! Which of them are noted is decided in `unknown_fields.rs`.
//!
//! Depends on serde.
//!
//! A derived `Deserialize` passes its fields to `deserialize_struct`, and reads an unknown member by
//! `deserialize_ignored_any`. Only where both are seen, a member is noted. Data that serde buffers, behind `flatten`,
//! `untagged` or an internal tag, and the struct variants of an adjacently tagged enum do not pass the reader so.

use std::cell::RefCell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::unknown_fields::{Here, Owner, Step, UnknownFields};

/// Passes everything on to `inner`.
#[derive(Debug)]
pub struct Reader<'p, D> {
    inner: D,
    at: At<'p>,
}

/// What is read.
#[derive(Clone, Copy, Debug)]
struct At<'p> {
    unknown: &'p UnknownFields,
    role: Role<'p>,
}

#[derive(Clone, Copy, Debug)]
enum Role<'p> {
    /// A value, with the way to it, and with the type whose member it is.
    Value { step: Option<&'p Step<'p>>, owner: Option<Owner> },
    /// The name of a member or of a variant, which is kept here.
    Name(&'p RefCell<String>),
}

impl<'p, D> Reader<'p, D> {
    pub(crate) fn new(inner: D, unknown: &'p UnknownFields) -> Reader<'p, D> {
        Reader { inner, at: At { unknown, role: Role::Value { step: None, owner: None } } }
    }
}

impl<'p> At<'p> {
    fn value<'s>(self, step: &'s Step<'s>, owner: Option<Owner>) -> At<'s>
    where
        'p: 's,
    {
        At { unknown: self.unknown, role: Role::Value { step: Some(step), owner } }
    }

    fn name<'s>(self, name: &'s RefCell<String>) -> At<'s>
    where
        'p: 's,
    {
        // Shown if the name is no text and no number. The buffer is kept from one member to the next.
        let mut unknown = name.borrow_mut();
        unknown.clear();
        unknown.push('…');
        At { unknown: self.unknown, role: Role::Name(name) }
    }

    fn step(self) -> Option<&'p Step<'p>> {
        match self.role {
            Role::Value { step, .. } => step,
            Role::Name(_) => None,
        }
    }

    /// The content of an `Option` or a newtype. It is read, since the outer value is.
    fn content(self) -> At<'p> {
        match self.role {
            Role::Value { step, .. } => At { role: Role::Value { step, owner: None }, ..self },
            Role::Name(_) => self,
        }
    }

    fn keep_name(self, write: impl FnOnce(&mut String)) {
        if let Role::Name(name) = self.role {
            let mut name = name.borrow_mut();
            name.clear();
            write(&mut name);
        }
    }
}

/// The type that reads a value.
#[derive(Clone, Copy, Debug)]
enum Of {
    Fields(Owner),
    Enum(&'static str),
    Other,
}

macro_rules! pass_on {
    ($($method:ident($($arg:ident: $ty:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($arg: $ty,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($arg,)* Watch { visitor, at: self.at, of: Of::Other })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Reader<'_, D> {
    type Error = D::Error;

    pass_on! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_identifier();
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let of = Of::Fields(Owner { type_name: name, is_variant: false, fields });
        self.inner.deserialize_struct(name, fields, Watch { visitor, at: self.at, of })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_enum(name, variants, Watch { visitor, at: self.at, of: Of::Enum(name) })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        if let Role::Value { step: Some(step), owner: Some(owner) } = self.at.role {
            self.at.unknown.note(step, owner);
        }
        self.inner.deserialize_ignored_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// The visitor of a type, which is given readers.
struct Watch<'p, V> {
    visitor: V,
    at: At<'p>,
    of: Of,
}

macro_rules! visit {
    ($($method:ident: $ty:ty,)*) => {$(
        fn $method<E: Error>(self, value: $ty) -> Result<V::Value, E> {
            self.at.keep_name(|name| name.push_str(&value.to_string()));
            self.visitor.$method(value)
        }
    )*};
}

macro_rules! visit_text {
    ($($method:ident: $ty:ty,)*) => {$(
        fn $method<E: Error>(self, value: $ty) -> Result<V::Value, E> {
            self.at.keep_name(|name| name.push_str(&value));
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watch<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    visit! {
        visit_bool: bool, visit_char: char, visit_f32: f32, visit_f64: f64,
        visit_i8: i8, visit_i16: i16, visit_i32: i32, visit_i64: i64, visit_i128: i128,
        visit_u8: u8, visit_u16: u16, visit_u32: u32, visit_u64: u64, visit_u128: u128,
    }

    visit_text! { visit_str: &str, visit_borrowed_str: &'de str, visit_string: String, }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<V::Value, E> {
        self.visitor.visit_bytes(value)
    }

    fn visit_borrowed_bytes<E: Error>(self, value: &'de [u8]) -> Result<V::Value, E> {
        self.visitor.visit_borrowed_bytes(value)
    }

    fn visit_byte_buf<E: Error>(self, value: Vec<u8>) -> Result<V::Value, E> {
        self.visitor.visit_byte_buf(value)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Reader { inner, at: self.at.content() })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Reader { inner, at: self.at.content() })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Elements { inner, at: self.at, count: 0 })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let owner = match self.of {
            Of::Fields(owner) => Some(owner),
            Of::Enum(_) | Of::Other => None,
        };
        self.visitor.visit_map(MembersOf { inner, at: self.at, owner, name: RefCell::default() })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let type_name = match self.of {
            Of::Enum(name) => name,
            Of::Fields(_) | Of::Other => "",
        };
        self.visitor.visit_enum(Variants { inner, at: self.at, type_name })
    }
}

/// A value or a name that is read by a [`Reader`], whatever deserializer it is given.
struct Seed<'p, T> {
    seed: T,
    at: At<'p>,
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<T::Value, D::Error> {
        self.seed.deserialize(Reader { inner, at: self.at })
    }
}

/// The elements of an array.
struct Elements<'p, A> {
    inner: A,
    at: At<'p>,
    /// Elements read before.
    count: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let step = Step { before: self.at.step(), here: Here::Element(self.count) };
        self.count += 1;
        self.inner.next_element_seed(Seed { seed, at: self.at.value(&step, None) })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

/// The members of an object.
struct MembersOf<'p, A> {
    inner: A,
    at: At<'p>,
    owner: Option<Owner>,
    /// The name of the member whose value is read next.
    name: RefCell<String>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for MembersOf<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.inner.next_key_seed(Seed { seed, at: self.at.name(&self.name) })
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        let step = Step { before: self.at.step(), here: Here::Member(self.name.get_mut()) };
        self.inner.next_value_seed(Seed { seed, at: self.at.value(&step, self.owner) })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

/// An enum before its variant is known.
struct Variants<'p, A> {
    inner: A,
    at: At<'p>,
    type_name: &'static str,
}

impl<'de, 'p, A: EnumAccess<'de>> EnumAccess<'de> for Variants<'p, A> {
    type Error = A::Error;
    type Variant = Variant<'p, A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant), A::Error> {
        let name = RefCell::default();
        let (value, inner) = self.inner.variant_seed(Seed { seed, at: self.at.name(&name) })?;
        let name = name.into_inner();
        Ok((value, Variant { inner, at: self.at, type_name: self.type_name, name }))
    }
}

/// The content of a variant.
struct Variant<'p, A> {
    inner: A,
    at: At<'p>,
    type_name: &'static str,
    name: String,
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Variant<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        let step = Step { before: self.at.step(), here: Here::Member(&self.name) };
        self.inner.newtype_variant_seed(Seed { seed, at: self.at.value(&step, None) })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let step = Step { before: self.at.step(), here: Here::Member(&self.name) };
        self.inner.tuple_variant(len, Watch { visitor, at: self.at.value(&step, None), of: Of::Other })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let step = Step { before: self.at.step(), here: Here::Member(&self.name) };
        let of = Of::Fields(Owner { type_name: self.type_name, is_variant: true, fields });
        self.inner.struct_variant(fields, Watch { visitor, at: self.at.value(&step, None), of })
    }
}
