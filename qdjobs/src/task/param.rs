//! How parameters are written to JSON and read back: [`TaskParam`], the requirement on their types, and
//! [`Object`].
//!
//! The text of whole params, and which values are refused when it is written, is in `encode.rs`. Which
//! parameters a task has, and how they are stored, is decided in `qdjobs-macros/src/signature/`.
//!
//! Depends on serde and on the description of a task. Knows no job and no worker.
//!
//! Code that is generic over a task only calls code that is not. A program has hundreds of tasks, and the
//! rest is compiled once.

use std::borrow::Borrow;

use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::def::ParamInfo;
use crate::model::error::ParamProblem;
use crate::model::job::NAME_BYTES_MAX;
use crate::model::suggest::suggest;
use crate::model::task_error::TaskError;

/// A type that can be a parameter of a task: it is stored as JSON and read back later.
///
/// Implemented for every owned type that implements `Serialize` and `Deserialize`. If a value could be
/// written but not read back, `enqueue` refuses it. Such values are an integer of more than 64 bits, a float
/// that is not finite, and data that is nested deeper than
/// [`Job::JSON_DEPTH_MAX`](crate::Job::JSON_DEPTH_MAX).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a task parameter",
    label = "stored with the job, so it must be written to JSON and read back",
    note = "for a type of your own add `#[derive(serde::Serialize, serde::Deserialize)]`",
    note = "for a connection, a client or other shared state mark the parameter with `#[state]`"
)]
pub trait TaskParam: Sized {
    #[doc(hidden)]
    fn put<M: SerializeMap>(&self, key: &'static str, map: &mut M) -> Result<(), M::Error>;

    #[doc(hidden)]
    fn take(object: &mut Object, info: &'static ParamInfo) -> Option<Self>;

    #[doc(hidden)]
    fn take_or(object: &mut Object, info: &'static ParamInfo, default: fn() -> Self) -> Option<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> TaskParam for T {
    fn put<M: SerializeMap>(&self, key: &'static str, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(key, self)
    }

    fn take(object: &mut Object, info: &'static ParamInfo) -> Option<T> {
        take_with(object, info, serde_json::from_value)
    }

    fn take_or(object: &mut Object, info: &'static ParamInfo, default: fn() -> T) -> Option<T> {
        take_with_or(object, info, serde_json::from_value, default)
    }
}

/// The params of one job while they are read. Each parameter takes its value out, or records a flaw.
///
/// An attempt fails with the first flaw. A check before the job is stored reports all of them.
#[derive(Debug)]
pub struct Object {
    values: Map<String, Value>,
    flaws: Vec<(&'static str, Flaw)>,
}

/// A problem with one parameter.
#[derive(Debug)]
enum Flaw {
    Missing { ty: &'static str },
    Wrong(serde_json::Error),
    Twice(&'static str),
}

impl Object {
    fn new(values: Map<String, Value>) -> Object {
        Object { values, flaws: Vec::new() }
    }

    /// The value under the parameter's name or one of its earlier names.
    fn value(&mut self, info: &'static ParamInfo) -> Option<Value> {
        let mut found = self.values.remove(info.name);
        for alias in info.aliases {
            match (self.values.remove(*alias), &found) {
                (Some(_), Some(_)) => self.flaws.push((info.name, Flaw::Twice(alias))),
                (Some(value), None) => found = Some(value),
                (None, _) => {}
            }
        }
        found
    }

    fn note<T>(&mut self, info: &'static ParamInfo, read: Result<T, serde_json::Error>) -> Option<T> {
        read.map_err(|error| self.flaws.push((info.name, Flaw::Wrong(error)))).ok()
    }

    /// The params, or the first flaw as the text of a job's error.
    fn finish<P>(mut self, read: fn(&mut Object) -> Option<P>) -> Result<P, String> {
        let params = read(&mut self);
        match (self.flaws.first(), params) {
            (None, Some(params)) => Ok(params),
            (Some((name, Flaw::Missing { .. })), _) => Err(format!("missing parameter `{name}`")),
            (Some((name, Flaw::Wrong(error))), _) => Err(format!("parameter `{name}`: {error}")),
            (Some((name, Flaw::Twice(alias))), _) => Err(format!("parameter `{name}`: {}", twice(alias))),
            (None, None) => Err("the parameters could not be read".to_owned()),
        }
    }
}

fn twice(alias: &str) -> String {
    format!("given twice, the second time as `{alias}`")
}

/// Reads one parameter with a function of the user or of serde.
#[doc(hidden)]
pub fn take_with<T>(
    object: &mut Object,
    info: &'static ParamInfo,
    read: impl FnOnce(Value) -> Result<T, serde_json::Error>,
) -> Option<T> {
    match object.value(info) {
        Some(value) => object.note(info, read(value)),
        None => {
            object.flaws.push((info.name, Flaw::Missing { ty: info.ty }));
            None
        }
    }
}

/// As [`take_with`], for an optional parameter.
#[doc(hidden)]
pub fn take_with_or<T>(
    object: &mut Object,
    info: &'static ParamInfo,
    read: impl FnOnce(Value) -> Result<T, serde_json::Error>,
    default: impl FnOnce() -> T,
) -> Option<T> {
    match object.value(info) {
        Some(value) => object.note(info, read(value)),
        None => Some(default()),
    }
}

/// Writes one parameter that a function of the user has converted to JSON.
#[doc(hidden)]
pub fn put_with<M: SerializeMap>(
    value: Result<Value, serde_json::Error>,
    key: &'static str,
    map: &mut M,
) -> Result<(), M::Error> {
    map.serialize_entry(key, &value.map_err(M::Error::custom)?)
}

/// Starts the JSON object of a params struct.
#[doc(hidden)]
pub fn object<S: Serializer>(serializer: S, count: usize) -> Result<S::SerializeMap, S::Error> {
    serializer.serialize_map(Some(count))
}

/// Reads a params struct from any format of serde.
#[doc(hidden)]
pub fn read<'de, D: Deserializer<'de>, P>(
    deserializer: D,
    read: fn(&mut Object) -> Option<P>,
) -> Result<P, D::Error> {
    let values = serde::Deserialize::deserialize(deserializer)?;
    Object::new(values).finish(read).map_err(D::Error::custom)
}

/// Reads the params of a job before its task runs. An error fails the attempt, and the job is retried: a
/// newer worker may be able to read the params.
#[doc(hidden)]
pub fn decode<P>(json: &str, read: fn(&mut Object) -> Option<P>) -> Result<P, TaskError> {
    let values = serde_json::from_str(json)
        .map_err(|error| TaskError::retry(format!("the params are not a JSON object: {error}")))?;
    Object::new(values).finish(read).map_err(TaskError::retry)
}

/// As [`decode`], and frees the text before an async task waits.
#[doc(hidden)]
pub fn decode_owned<P>(json: String, read: fn(&mut Object) -> Option<P>) -> Result<P, TaskError> {
    decode(&json, read)
}

/// Borrows the value of an optional parameter as the type that the function takes.
#[doc(hidden)]
pub fn lend<T: ToOwned + ?Sized>(owned: &Option<T::Owned>) -> Option<&T> {
    owned.as_ref().map(Borrow::borrow)
}

/// All problems with `values` as the params of a task.
#[doc(hidden)]
pub fn check<P>(
    values: &Map<String, Value>,
    params: &'static [ParamInfo],
    read: fn(&mut Object) -> Option<P>,
) -> Vec<ParamProblem> {
    let mut object = Object::new(values.clone());
    drop(read(&mut object));
    let flaws = object.flaws.iter();
    let mut problems: Vec<ParamProblem> =
        flaws.map(|(name, flaw)| ParamProblem::new(*name, clip(&flaw.words(), LETTERS_MAX))).collect();
    problems.extend(object.values.keys().take(UNKNOWN_MAX).map(|key| unknown(key, params)));
    if let Some(more @ 1..) = object.values.len().checked_sub(UNKNOWN_MAX) {
        problems
            .push(ParamProblem::new("…", format!("{more} further members are not parameters of the task")));
    }
    problems
}

/// The most unknown parameters that are listed, and the most characters of a wrong value. So the error for 1
/// MiB of invalid input stays short.
const UNKNOWN_MAX: usize = 20;
const LETTERS_MAX: usize = 500;

fn clip(text: &str, letters: usize) -> String {
    let end = text.char_indices().nth(letters).map_or(text.len(), |(at, _)| at);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

impl Flaw {
    fn words(&self) -> String {
        match self {
            Flaw::Missing { ty } => format!("missing; expected {ty}"),
            Flaw::Wrong(error) => expected_found(&error.to_string()),
            Flaw::Twice(alias) => twice(alias),
        }
    }
}

/// The message of serde with the expected type first.
fn expected_found(error: &str) -> String {
    let parts = error.strip_prefix("invalid type: ").or_else(|| error.strip_prefix("invalid value: "));
    match parts.and_then(|parts| parts.rsplit_once(", expected ")) {
        Some((found, expected)) => format!("expected {expected}, found {found}"),
        None => error.to_owned(),
    }
}

fn unknown(key: &str, params: &'static [ParamInfo]) -> ParamProblem {
    let names = || params.iter().map(|param| param.name);
    let help = match suggest(key, names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if params.is_empty() => "the task has no parameters".to_owned(),
        None => format!("the task takes {}", names().collect::<Vec<_>>().join(", ")),
    };
    ParamProblem::new(clip(key, NAME_BYTES_MAX), format!("not a parameter of the task; {help}"))
}
