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
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::def::{ParamInfo, TaskDef};
use crate::model::error::{Error, ErrorKind, ParamProblem};
use crate::model::job::NAME_BYTES_MAX;
use crate::model::json::{self, Unstorable};
use crate::model::suggest::suggest;
use crate::model::task_error::TaskError;

/// A type that can be a parameter of a task: it is stored as JSON and read back later.
///
/// Implemented for every owned type that implements `Serialize` and `Deserialize`. If a value would not be read
/// back as it was, `enqueue` refuses it. Such values are an integer of more than 64 bits, a float that is not
/// finite, `Some` of a value that is written as `null`, and data that is nested deeper than
/// [`Job::JSON_DEPTH_MAX`](crate::Job::JSON_DEPTH_MAX).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a task parameter",
    label = "stored with the job, so it must be written to JSON and read back",
    note = "for a type of your own add `#[derive(serde::Serialize, serde::Deserialize)]`",
    note = "for a type of another crate enable the `serde` feature of that crate, or use `#[with(path)]`",
    note = "for a connection, a client or other shared state mark the parameter with `#[state]`",
    note = "the job's context is `&JobContext`; under another name mark it with `#[ctx]`"
)]
pub trait TaskParam: Sized {
    #[doc(hidden)]
    fn put<M: SerializeMap>(&self, key: &'static str, map: &mut M) -> Result<(), M::Error>;

    #[doc(hidden)]
    fn take(object: &mut Object, info: &'static ParamInfo) -> Option<Self>;

    #[doc(hidden)]
    fn take_or(object: &mut Object, info: &'static ParamInfo, default: fn() -> Self) -> Option<Self>;

    // Arrays of more than 32 items, which serde does not write. The macro calls these for the type of an item.

    #[doc(hidden)]
    fn put_array<M: SerializeMap>(items: &[Self], key: &'static str, map: &mut M) -> Result<(), M::Error>;

    #[doc(hidden)]
    fn put_array_option<M: SerializeMap>(
        items: Option<&[Self]>,
        key: &'static str,
        map: &mut M,
    ) -> Result<(), M::Error>;

    #[doc(hidden)]
    fn take_array<const N: usize>(object: &mut Object, info: &'static ParamInfo) -> Option<[Self; N]>;

    #[doc(hidden)]
    fn take_array_or<const N: usize>(
        object: &mut Object,
        info: &'static ParamInfo,
        default: fn() -> [Self; N],
    ) -> Option<[Self; N]>;

    #[doc(hidden)]
    fn take_array_option<const N: usize>(
        object: &mut Object,
        info: &'static ParamInfo,
        default: fn() -> Option<[Self; N]>,
    ) -> Option<Option<[Self; N]>>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> TaskParam for T {
    fn put<M: SerializeMap>(&self, key: &'static str, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(key, self)
    }

    fn take(object: &mut Object, info: &'static ParamInfo) -> Option<T> {
        take_with(object, info, from_raw)
    }

    fn take_or(object: &mut Object, info: &'static ParamInfo, default: fn() -> T) -> Option<T> {
        take_with_or(object, info, from_raw, default)
    }

    fn put_array<M: SerializeMap>(items: &[T], key: &'static str, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(key, items)
    }

    fn put_array_option<M: SerializeMap>(
        items: Option<&[T]>,
        key: &'static str,
        map: &mut M,
    ) -> Result<(), M::Error> {
        map.serialize_entry(key, &items)
    }

    fn take_array<const N: usize>(object: &mut Object, info: &'static ParamInfo) -> Option<[T; N]> {
        take_with(object, info, array)
    }

    fn take_array_or<const N: usize>(
        object: &mut Object,
        info: &'static ParamInfo,
        default: fn() -> [T; N],
    ) -> Option<[T; N]> {
        take_with_or(object, info, array, default)
    }

    fn take_array_option<const N: usize>(
        object: &mut Object,
        info: &'static ParamInfo,
        default: fn() -> Option<[T; N]>,
    ) -> Option<Option<[T; N]>> {
        let read = |value: &RawValue| match value.get() {
            "null" => Ok(None),
            _ => array(value).map(Some),
        };
        take_with_or(object, info, read, default)
    }
}

/// Reads an array of any length.
fn array<T: DeserializeOwned, const N: usize>(value: &RawValue) -> Result<[T; N], serde_json::Error> {
    let items: Vec<T> = from_raw(value)?;
    let found = items.len();
    items.try_into().map_err(|_| {
        let message = format_args!("invalid length {found}, expected an array of length {N}");
        <serde_json::Error as serde::de::Error>::custom(message)
    })
}

/// The params of one job while they are read. Each parameter takes its value out, or records a flaw.
///
/// The values are pieces of the JSON text, so that a type reads exactly what was written: the order of a map, raw
/// JSON, and every digit.
#[derive(Debug)]
pub struct Object {
    members: Vec<(String, Box<RawValue>)>,
    flaws: Vec<(&'static str, Flaw)>,
}

/// A problem with one parameter.
#[derive(Debug)]
enum Flaw {
    Missing { ty: &'static str },
    Wrong(serde_json::Error),
    Twice(String),
}

/// The members of a JSON object in the order of the text, also those that it has twice.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

impl Object {
    fn parse(json: &str) -> Result<Object, serde_json::Error> {
        let Members(members) = serde_json::from_str(json)?;
        Ok(Object { members, flaws: Vec::new() })
    }

    /// The value under the parameter's name or one of its earlier names.
    fn value(&mut self, info: &'static ParamInfo) -> Option<Box<RawValue>> {
        let is_own = |member: &str| member == info.name || info.aliases.contains(&member);
        let (mut found, mut twice) = (None, None);
        for (name, value) in self.members.extract_if(.., |(member, _)| is_own(member)) {
            if found.replace(value).is_some() {
                twice.get_or_insert(name);
            }
        }
        self.flaws.extend(twice.map(|name| (info.name, Flaw::Twice(name))));
        found
    }

    fn note<T>(&mut self, info: &'static ParamInfo, read: Result<T, serde_json::Error>) -> Option<T> {
        read.map_err(|error| self.flaws.push((info.name, Flaw::Wrong(error)))).ok()
    }

    /// The first flaw, as one sentence.
    fn first_flaw(&self) -> Option<String> {
        self.flaws.first().map(|(name, flaw)| match flaw {
            Flaw::Missing { .. } => format!("missing parameter `{name}`"),
            flaw => format!("parameter `{name}`: {}", flaw.words()),
        })
    }

    /// All problems with the params of a task. At most [`UNKNOWN_MAX`] unknown members are listed.
    fn problems(&self, params: &'static [ParamInfo]) -> Vec<ParamProblem> {
        let flaws = self.flaws.iter();
        let mut problems: Vec<ParamProblem> =
            flaws.map(|(name, flaw)| ParamProblem::new(*name, clip(&flaw.words(), LETTERS_MAX))).collect();
        problems.extend(self.members.iter().take(UNKNOWN_MAX).map(|(key, _)| unknown(key, params)));
        if let Some(more @ 1..) = self.members.len().checked_sub(UNKNOWN_MAX) {
            let more = format!("{more} further members are not parameters of the task");
            problems.push(ParamProblem::new("…", more));
        }
        problems
    }
}

/// Reads one parameter with a function of the user or of serde.
#[doc(hidden)]
pub fn take_with<T>(
    object: &mut Object,
    info: &'static ParamInfo,
    read: impl FnOnce(&RawValue) -> Result<T, serde_json::Error>,
) -> Option<T> {
    match object.value(info) {
        Some(value) => object.note(info, read(&value)),
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
    read: impl FnOnce(&RawValue) -> Result<T, serde_json::Error>,
    default: impl FnOnce() -> T,
) -> Option<T> {
    match object.value(info) {
        Some(value) => object.note(info, read(&value)),
        None => Some(default()),
    }
}

fn from_raw<T: DeserializeOwned>(value: &RawValue) -> Result<T, serde_json::Error> {
    serde_json::from_str(value.get())
}

/// The expression of `#[default(expression)]` of the parameter with this number.
#[doc(hidden)]
pub trait ParamDefault<const AT: usize> {
    type Value;

    fn value() -> Self::Value;
}

/// The type that is stored for a slice, under a name that the macro can write with the spans of the slice.
#[doc(hidden)]
pub trait Slice {
    type List;
}

impl<T> Slice for [T] {
    type List = Vec<T>;
}

/// The items of an optional array.
#[doc(hidden)]
pub fn items<T, const N: usize>(array: &Option<[T; N]>) -> Option<&[T]> {
    array.as_ref().map(<[T; N]>::as_slice)
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
    let values: Map<String, Value> = Deserialize::deserialize(deserializer)?;
    let raw = |(name, value)| Ok((name, serde_json::value::to_raw_value(&value)?));
    let members: Result<Vec<_>, serde_json::Error> = values.into_iter().map(raw).collect();
    let mut object = Object { members: members.map_err(D::Error::custom)?, flaws: Vec::new() };
    match (read(&mut object), object.first_flaw()) {
        (Some(params), None) => Ok(params),
        (_, flaw) => {
            Err(D::Error::custom(flaw.unwrap_or_else(|| "the parameters could not be read".to_owned())))
        }
    }
}

/// Reads the params of a job before its task runs. Params that do not fit as a whole are left to other workers,
/// since a worker of another version may be able to read them.
#[doc(hidden)]
pub fn decode<P>(json: &str, def: &TaskDef, read: fn(&mut Object) -> Option<P>) -> Result<P, TaskError> {
    // No version of a task reads anything but an object.
    let Ok(mut object) = Object::parse(json) else {
        return Err(TaskError::permanent(misfit(def, json, NO_OBJECT_HELP)));
    };
    match read(&mut object) {
        Some(params) if object.flaws.is_empty() && object.members.is_empty() => Ok(params),
        _ => Err(TaskError::unreadable(misfit(def, json, MISFIT_HELP))),
    }
}

/// As [`decode`], and frees the text before an async task waits.
#[doc(hidden)]
pub fn decode_owned<P>(
    json: String,
    def: &TaskDef,
    read: fn(&mut Object) -> Option<P>,
) -> Result<P, TaskError> {
    decode(&json, def, read)
}

/// What to do if a worker of another version may be able to read the params.
const MISFIT_HELP: &str = "workers of other versions may be able to read these params, so the job is left to them for \
                           about an hour. To run it with this version, add `#[default]` to a parameter that is missing, \
                           add `#[alias(\"old\")]` to one that was renamed, and keep one that was removed as an `Option`. \
                           If the job has failed meanwhile, then call `queue.retry(id)`";

/// What to do if no version of a task can read the params.
const NO_OBJECT_HELP: &str =
    "no version of the task can read these params, so the job has failed: delete it, and enqueue it again";

/// The error of a job whose params do not fit: every problem, where the task is, and what mends it.
#[cold]
fn misfit(def: &TaskDef, json: &str, help: &'static str) -> String {
    let message = format!("the params do not fit the task `{}` at {}", def.name, def.place());
    Error::new(ErrorKind::InvalidParams, message).with_problems((def.check)(json)).help(help).to_string()
}

/// Borrows the value of an optional parameter as the type that the function takes.
#[doc(hidden)]
pub fn lend<T: ToOwned + ?Sized>(owned: &Option<T::Owned>) -> Option<&T> {
    owned.as_ref().map(Borrow::borrow)
}

/// All problems with a text as the params of a task.
#[doc(hidden)]
pub fn check<P: Serialize + DeserializeOwned>(
    json: &str,
    params: &'static [ParamInfo],
    read: fn(&mut Object) -> Option<P>,
) -> Vec<ParamProblem> {
    let mut object = match Object::parse(json) {
        Ok(object) => object,
        Err(error) => return vec![ParamProblem::new("params", format!("not a JSON object: {error}"))],
    };
    let read_back = read(&mut object).map(|params| json::write_and_read(&params));
    let mut problems = object.problems(params);
    if problems.is_empty() {
        problems.extend(read_back.and_then(|read_back| change(json, read_back)));
    }
    problems
}

/// How the values that were read differ from what was given.
fn change(given: &str, read_back: Result<String, Unstorable>) -> Option<ParamProblem> {
    match read_back {
        // A type can read a value that it cannot write.
        Err(refused) => Some(ParamProblem::new(refused.path, refused.flaw.to_string())),
        Ok(read_back) => json::lost_integer(given, &read_back).map(|(path, number)| {
            let problem =
                format!(
                    "{number} would be read as another number: the type of the parameter, for example a float, does \
                     not hold it exactly; pass a number that it holds"
                );
            ParamProblem::new(path, problem)
        }),
    }
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
            Flaw::Wrong(error) => expected_found(&without_position(error)),
            Flaw::Twice(name) => format!("given twice, the second time as `{name}`"),
        }
    }
}

/// The message of serde without the line and column in the value, which the reader of the params does not see.
fn without_position(error: &serde_json::Error) -> String {
    let (text, position) =
        (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    text.strip_suffix(&position).map(str::to_owned).unwrap_or(text)
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
