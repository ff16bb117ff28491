//! The members of JSON objects that are no fields of the type that reads them: [`UnknownField`], and how they are
//! noted while the type is read: [`UnknownFields`].
//!
//! How a reader sees them is in `reader.rs`. What they mean for the params of a job is decided in `task/param.rs`.
//!
//! Depends on `text.rs`.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;

use super::text::member_key;

/// A type with named fields: a struct, or a variant of an enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The name of the struct or enum.
    pub(crate) type_name: &'static str,
    pub(crate) is_variant: bool,
    /// The names under which it reads its fields.
    pub(crate) fields: &'static [&'static str],
}

/// A member that is no field of the type that reads the object.
#[derive(Debug)]
pub(crate) struct UnknownField {
    /// The way from the value that was read to the member, for example `[2].letter.cc`.
    pub(crate) path: String,
    /// Of the path without positions in arrays, from the outer object on: see [`member_key`].
    pub(crate) key: u64,
    pub(crate) name: String,
    pub(crate) owner: Owner,
}

/// Collects the unknown fields of one value.
#[derive(Debug, Default)]
pub(crate) struct UnknownFields {
    /// The key of the value.
    key: u64,
    fields: RefCell<Vec<UnknownField>>,
    further: Cell<usize>,
}

/// The most that are collected. Further ones are only counted, since each is compared with those before.
const FIELDS_MAX: usize = 100;

/// One step of the way to a value; the steps before it are borrowed from the reader of the outer value.
#[derive(Debug)]
pub(super) struct Step<'p> {
    pub(super) before: Option<&'p Step<'p>>,
    pub(super) here: Here<'p>,
}

#[derive(Debug)]
pub(super) enum Here<'p> {
    /// The name of a member or of a variant.
    Member(&'p str),
    Element(usize),
}

impl UnknownFields {
    /// Of the value of an outer member.
    pub(crate) fn of_member(name: &str) -> UnknownFields {
        UnknownFields { key: member_key(0, name), ..UnknownFields::default() }
    }

    /// Notes that the value at this place is ignored. If the type declares a field of this name, it ignores the value
    /// on purpose. Of equal fields, for example of all items in a list, the first one is noted.
    #[cold]
    pub(super) fn note(&self, step: &Step<'_>, owner: Owner) {
        let Here::Member(name) = step.here else { return };
        if owner.fields.contains(&name) {
            return;
        }
        let mut fields = self.fields.borrow_mut();
        if fields.iter().any(|noted| noted.name == name && noted.owner == owner) {
            return;
        }
        if fields.len() == FIELDS_MAX {
            self.further.update(|further| further + 1);
        } else {
            let (path, key) = (step.path(), step.key(self.key));
            fields.push(UnknownField { path, key, name: name.to_owned(), owner });
        }
    }

    /// The fields, and the number of further ones.
    pub(crate) fn into_fields(self) -> (Vec<UnknownField>, usize) {
        (self.fields.into_inner(), self.further.get())
    }
}

impl Step<'_> {
    fn key(&self, value: u64) -> u64 {
        let around = self.before.map_or(value, |before| before.key(value));
        match self.here {
            Here::Member(name) => member_key(around, name),
            Here::Element(_) => around,
        }
    }

    fn path(&self) -> String {
        let mut path = self.before.map(Step::path).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = match self.here {
            Here::Member(name) => write!(path, ".{name}"),
            Here::Element(at) => write!(path, "[{at}]"),
        };
        path
    }
}
