//! Why a value cannot be stored as JSON, and where it is: [`Flaw`], [`Unstorable`]; and what is found while a value is
//! written by which [`Rules`]: [`Found`].
//!
//! What is a flaw is decided in `strict.rs` and `format.rs`.
//!
//! Depends on std and serde.

use std::cell::{Cell, RefCell};
use std::fmt;

/// A value that cannot be stored: where it is in the whole, and why.
#[derive(Debug)]
pub(crate) struct Unstorable {
    /// The names of members and the positions in arrays that lead to the value, for example `lines[2].price`.
    /// Empty for the whole.
    pub(crate) path: String,
    pub(crate) flaw: Flaw,
}

/// Why a value cannot be stored.
#[derive(Debug)]
pub(crate) enum Flaw {
    /// A NaN or an infinity, by its name.
    NotFinite(&'static str),
    /// `Some` of a value that is written as `null`, and would be read as `None`.
    SomeNull,
    /// An integer that does not fit into 64 bits.
    TooWide(String),
    /// Nested deeper than every reader accepts.
    TooDeep,
    /// serde_json or the `Serialize` implementation of a type refuses it.
    Other(serde_json::Error),
}

/// The name of a float that is not finite.
pub(super) fn name_of(float: f64) -> &'static str {
    if float.is_nan() { "a NaN" } else { "an infinity" }
}

/// The most steps of a path that are shown.
const STEPS_SHOWN: usize = 8;

/// What is no flaw, although it is one in most places, and how floats are written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    /// `Some` of a value that is written as `null`.
    pub(super) takes_null: bool,
    /// An integer that does not fit into 64 bits.
    pub(super) takes_wide: bool,
    /// Writes each digit of an `f32`, for a comparison. Usually it is written with as few digits as its type needs to
    /// read it back, so 123456792 is written as 123456790.
    pub(super) exact_floats: bool,
}

/// What was found while a value is written.
#[derive(Default)]
pub(super) struct Found {
    /// The first flaw, which stops the serializer with an error that is never shown.
    pub(super) flaw: Cell<Option<Flaw>>,
    pub(super) rules: Rules,
    /// The raw JSON that is written next is in a `Some`.
    pub(super) raw_in_some: Cell<bool>,
    /// The way to the value that was refused, from the inside out: it is only known as the error passes.
    steps: RefCell<Vec<String>>,
}

impl Found {
    pub(super) fn by(rules: Rules) -> Found {
        Found { rules, ..Found::default() }
    }

    pub(super) fn stop<E: serde::ser::Error>(&self, flaw: Flaw) -> E {
        self.flaw.set(Some(flaw));
        E::custom("a value that cannot be stored")
    }

    /// Records that the error has passed a member or an element.
    pub(super) fn passed<T, E>(&self, written: Result<T, E>, step: impl FnOnce() -> String) -> Result<T, E> {
        if written.is_err() {
            self.steps.borrow_mut().push(step());
        }
        written
    }

    /// What was found, or an `error` of the serializer.
    pub(super) fn into_unstorable(self, error: serde_json::Error) -> Unstorable {
        Unstorable { path: self.path(), flaw: self.flaw.take().unwrap_or(Flaw::Other(error)) }
    }

    fn path(&self) -> String {
        let steps = self.steps.borrow();
        let mut path: String = steps.iter().rev().take(STEPS_SHOWN).map(String::as_str).collect();
        if steps.len() > STEPS_SHOWN {
            path.push('…');
        }
        path.strip_prefix('.').map(str::to_owned).unwrap_or(path)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::NotFinite(name) => write!(f, "{name} cannot be stored: JSON has only finite numbers"),
            Flaw::SomeNull => {
                f.write_str(
                "`Some` of a value that JSON writes as `null`, such as `None` or `()`, cannot be stored: it would be \
                 read back as `None`",
            )
            }
            Flaw::TooWide(number) => write!(f, "{number} is an integer of more than 64 bits"),
            Flaw::TooDeep => {
                write!(f, "nested deeper than {} levels", crate::model::job::JSON_DEPTH_MAX)
            }
            Flaw::Other(error) => error.fmt(f),
        }
    }
}

/// What to do about data that is too large or nested too deep for a job.
pub(crate) const KEEP_ELSEWHERE: &str =
    "keep the data in a file or a table of your own, and store only its name or id with the job";

impl Flaw {
    /// What to do about it.
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Flaw::NotFinite(_) => {
                "find out why the number is not finite; if it may be missing, use an `Option` with `None`"
            }
            Flaw::SomeNull => "use an enum with one variant for each case",
            Flaw::TooWide(_) => "use a string: JSON integers are read with 64 bits",
            Flaw::TooDeep => KEEP_ELSEWHERE,
            Flaw::Other(_) => {
                "use a value that its type can serialize; the keys of a map must be strings; `#[with(path)]` sets another \
                 format for a parameter"
            }
        }
    }
}
