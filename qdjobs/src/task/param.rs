//! How parameters become JSON and come back: [`TaskParam`], and [`Object`], out of which a task's params are read.
//!
//! Leans on serde and on the record of a task. Knows no job and no worker. What is generic over a task is kept to
//! calls of what is not: these lines are compiled once, and a program has hundreds of tasks.

use std::borrow::Borrow;

use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::encode::too_deep;
use super::{ParamInfo, TaskError};
use crate::model::error::{Error, ErrorKind, ParamProblem, Result};
use crate::model::job::{JSON_DEPTH_MAX, NAME_BYTES_MAX, check_size};
use crate::model::suggest::suggest;
use crate::task::TaskDef;

/// A value that can be a parameter of a task: stored as JSON, read back later, perhaps by another process.
///
/// Every type has it that is `Serialize`, `Deserialize` and owns what it holds. A value that could be written and not be read
/// back is refused when the job is enqueued: an integer of more than 64 bits, a float that is none of the numbers, and what
/// is nested deeper than [`JSON_DEPTH_MAX`].
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

/// The params of one job while they are read: each parameter takes its value out, or leaves a flaw.
///
/// The first flaw fails a run; all of them answer a caller who asks before anything is stored.
#[derive(Debug)]
pub struct Object {
    values: Map<String, Value>,
    flaws: Vec<(&'static str, Flaw)>,
}

/// What is wrong with one parameter.
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

    /// The value under the parameter's name or one of its earlier ones.
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

    /// What was read, or the first flaw in words for a job's error.
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

/// Reads one parameter with a function of the user's, or serde's.
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

/// As [`take_with`], for a parameter that may be left out.
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

/// Writes one parameter that a function of the user's turned into JSON.
#[doc(hidden)]
pub fn put_with<M: SerializeMap>(
    value: Result<Value, serde_json::Error>,
    key: &'static str,
    map: &mut M,
) -> Result<(), M::Error> {
    map.serialize_entry(key, &value.map_err(M::Error::custom)?)
}

/// Begins the JSON object of a params struct.
#[doc(hidden)]
pub fn object<S: Serializer>(serializer: S, count: usize) -> Result<S::SerializeMap, S::Error> {
    serializer.serialize_map(Some(count))
}

/// A params struct out of any format.
#[doc(hidden)]
pub fn read<'de, D: Deserializer<'de>, P>(
    deserializer: D,
    read: fn(&mut Object) -> Option<P>,
) -> Result<P, D::Error> {
    let values = serde::Deserialize::deserialize(deserializer)?;
    Object::new(values).finish(read).map_err(D::Error::custom)
}

/// The params of a job that is about to run. A failure is an ordinary failed attempt: a newer worker may read what
/// this one cannot.
#[doc(hidden)]
pub fn decode<P>(json: &str, read: fn(&mut Object) -> Option<P>) -> Result<P, TaskError> {
    let values = serde_json::from_str(json)
        .map_err(|error| TaskError::retry(format!("the params are not a JSON object: {error}")))?;
    Object::new(values).finish(read).map_err(TaskError::retry)
}

/// As [`decode`], giving the text back to the allocator before an async task begins its waits.
#[doc(hidden)]
pub fn decode_owned<P>(json: String, read: fn(&mut Object) -> Option<P>) -> Result<P, TaskError> {
    decode(&json, read)
}

/// Lends the inside of an optional parameter as the type it was borrowed as.
#[doc(hidden)]
pub fn lend<T: ToOwned + ?Sized>(owned: &Option<T::Owned>) -> Option<&T> {
    owned.as_ref().map(Borrow::borrow)
}

/// Everything that is wrong with `values` as the params of a task.
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
            .push(ParamProblem::new("…", format!("{more} further members are no parameters of the task")));
    }
    problems
}

/// Unknown parameters that are told one by one, and letters that are told of a wrong value: whoever sends a mebibyte of
/// nonsense need not get more than that back.
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

/// serde says what it found first; a caller wants to read first what to write.
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
        None if params.is_empty() => "the task takes none".to_owned(),
        None => format!("the task takes {}", names().collect::<Vec<_>>().join(", ")),
    };
    ParamProblem::new(clip(key, NAME_BYTES_MAX), format!("not a parameter of the task; {help}"))
}

/// The one door for params that come as text, over HTTP, from a shell or by name: refuses what the task could not
/// read, before anything is stored, and answers the text to store.
pub fn check_params(def: &TaskDef, json: &str) -> Result<String> {
    check_size("params", json)?;
    let invalid = |message: String| Error::new(ErrorKind::InvalidParams, message);
    let values: Value = serde_json::from_str(json)
        .map_err(|error| invalid(format!("the params of `{}` are not JSON: {error}", def.name)))?;
    let Value::Object(values) = values else {
        let found = kind_of(&values);
        return Err(invalid(format!("the params of `{}` are {found} and not a JSON object", def.name))
            .help("write an object with one member a parameter: {\"name\": value}"));
    };
    // The object itself is the first level.
    if values.values().any(|value| is_deeper(value, JSON_DEPTH_MAX - 1)) {
        return Err(too_deep(def));
    }
    let problems = (def.check)(&values);
    if !problems.is_empty() {
        return Err(invalid(format!("the params do not fit the task `{}`", def.name)).with_problems(problems));
    }
    let text = Value::Object(values).to_string();
    // Escapes may be longer than what they stand for.
    check_size("params", &text)?;
    Ok(text)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Whether arrays and objects are nested in `value` to more than `levels` levels. The parser's own limit is twice
/// ours, so this ends.
fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper(item, levels - 1)),
        Value::Object(map) => levels == 0 || map.values().any(|item| is_deeper(item, levels - 1)),
        _ => false,
    }
}
