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
use std::collections::HashSet;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::de::StrRead;
use serde_json::value::RawValue;

use super::def::{ParamInfo, TaskDef};
use crate::model::error::{Error, ErrorKind, ParamProblem};
use crate::model::job::NAME_BYTES_MAX;
use crate::model::json::{self, AnyFormat, Members, Owner, Reader, UnknownField, UnknownFields, Unstorable};
use crate::model::suggest::suggest;
use crate::model::task_error::TaskError;

/// A type that can be a parameter of a task: it is stored as JSON and read back later.
///
/// Implemented for every owned type that implements `Serialize` and `Deserialize`. If a value would not be read
/// back as it was, `enqueue` refuses it. Such values are an integer of more than 64 bits, a float that is not
/// finite, `Some` of a value that is written as `null`, and data that is nested deeper than
/// [`Job::JSON_DEPTH_MAX`](crate::Job::JSON_DEPTH_MAX). The written text is not read back, so a type must be able to
/// read what it writes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a task parameter",
    label = "stored with the job, so it must be written to JSON and read back",
    note = "for a type of your own add `#[derive(serde::Serialize, serde::Deserialize)]`; its texts are `String`, not `&'static str`",
    note = "the key of a map must also be `Eq` and `Hash`, or `Ord`",
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
        take_with(object, info, |reader| T::deserialize(reader))
    }

    fn take_or(object: &mut Object, info: &'static ParamInfo, default: fn() -> T) -> Option<T> {
        take_with_or(object, info, |reader| T::deserialize(reader), default)
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
        take_with_or(object, info, array_option, default)
    }
}

/// Reads an array of any length.
fn array<T: DeserializeOwned, const N: usize>(
    reader: ParamReader<'_, '_>,
) -> Result<[T; N], serde_json::Error> {
    of_length(Vec::deserialize(reader)?)
}

fn array_option<T: DeserializeOwned, const N: usize>(
    reader: ParamReader<'_, '_>,
) -> Result<Option<[T; N]>, serde_json::Error> {
    Option::deserialize(reader)?.map(of_length).transpose()
}

fn of_length<T, const N: usize>(items: Vec<T>) -> Result<[T; N], serde_json::Error> {
    let found = items.len();
    items.try_into().map_err(|_| {
        serde_json::Error::custom(format_args!("invalid length {found}, expected an array of length {N}"))
    })
}

/// Reads the text of one parameter, and notes the members of nested objects that are no fields of their types.
#[doc(hidden)]
pub type ParamReader<'r, 't> = Reader<'r, &'r mut serde_json::Deserializer<StrRead<'t>>>;

/// The params of one job while they are read. Each parameter takes its value out, or records a flaw.
///
/// The values are pieces of the JSON text, so that a type reads exactly what was written: the order of a map, raw
/// JSON, and every digit.
#[derive(Debug)]
pub struct Object {
    members: Vec<(String, Box<RawValue>)>,
    flaws: Vec<(&'static str, Flaw)>,
    unknown_fields: Vec<UnknownFieldIn>,
    /// Unknown fields that are only counted.
    further_fields: usize,
}

/// A problem with one parameter.
#[derive(Debug)]
enum Flaw {
    Missing { ty: &'static str },
    Wrong(serde_json::Error),
    Twice(String),
}

/// A member of a nested object that is no field of its type.
#[derive(Debug)]
struct UnknownFieldIn {
    /// The name under which the parameter was given.
    given: String,
    field: UnknownField,
}

impl Object {
    fn parse(json: &str) -> Result<Object, serde_json::Error> {
        let Members(members) = serde_json::from_str(json)?;
        Ok(Object { members, flaws: Vec::new(), unknown_fields: Vec::new(), further_fields: 0 })
    }

    /// The value under the parameter's name or one of its earlier names.
    fn value(&mut self, info: &'static ParamInfo) -> Option<(String, Box<RawValue>)> {
        let is_own = |member: &str| member == info.name || info.aliases.contains(&member);
        let (mut found, mut twice) = (None, None);
        for (name, value) in self.members.extract_if(.., |(member, _)| is_own(member)) {
            if found.is_some() {
                twice.get_or_insert_with(|| name.clone());
            }
            found = Some((name, value));
        }
        self.flaws.extend(twice.map(|name| (info.name, Flaw::Twice(name))));
        found
    }

    fn note_unknown_fields(&mut self, given: &str, unknown: UnknownFields) {
        let (fields, further) = unknown.into_fields();
        self.further_fields += further;
        let of = |field| UnknownFieldIn { given: given.to_owned(), field };
        self.unknown_fields.extend(fields.into_iter().map(of));
    }

    /// Whether everything was read. `own` returns the keys of all members that the params write themselves.
    fn is_read_whole(&self, own: impl FnOnce() -> HashSet<u64>) -> bool {
        self.flaws.is_empty()
            && self.members.is_empty()
            && (self.unknown_fields.is_empty() || self.unknown_fields(&own()).next().is_none())
    }

    /// The unknown fields, without those that their own type writes.
    fn unknown_fields(&self, own: &HashSet<u64>) -> impl Iterator<Item = &UnknownFieldIn> {
        self.unknown_fields.iter().filter(|it| !own.contains(&it.field.key))
    }

    /// All problems with the params of a task. Of unknown members, at most [`UNKNOWN_MAX`] are listed.
    fn problems(&self, params: &'static [ParamInfo], own: &HashSet<u64>) -> Vec<ParamProblem> {
        let flaws = self.flaws.iter();
        let mut problems: Vec<ParamProblem> =
            flaws.map(|(name, flaw)| ParamProblem::new(*name, clip(&flaw.words(), LETTERS_MAX))).collect();
        let listed = |count: usize| (count.min(UNKNOWN_MAX), count.saturating_sub(UNKNOWN_MAX));
        let (few, more) = listed(self.members.len());
        problems.extend(self.members.iter().take(few).map(|(key, _)| unknown(key, params)));
        if more > 0 {
            let more = format!("{more} further members are not parameters of the task");
            problems.push(ParamProblem::new("…", more));
        }
        let fields: Vec<&UnknownFieldIn> = self.unknown_fields(own).collect();
        let (few, more) = listed(fields.len());
        problems.extend(fields.iter().take(few).map(|field| field.problem()));
        if more > 0 {
            let more =
                format!("{} further members are not fields of their types", more + self.further_fields);
            problems.push(ParamProblem::new("…", more));
        }
        problems
    }
}

impl UnknownFieldIn {
    fn problem(&self) -> ParamProblem {
        let UnknownField { path, name, owner: Owner { type_name, is_variant, fields }, .. } = &self.field;
        let variant = if *is_variant { "this variant of " } else { "" };
        let help = match suggest(name, fields.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if fields.is_empty() => "it has none".to_owned(),
            None => format!("it has {}", fields.join(", ")),
        };
        let problem = format!("not a field of {variant}`{type_name}`; {help}");
        ParamProblem::new(clip(&format!("{}{path}", self.given), LETTERS_MAX), clip(&problem, LETTERS_MAX))
    }
}

/// The keys of all members that params write themselves. A type can write a member that it does not read.
#[cold]
fn own_members<P: Serialize>(params: &P) -> HashSet<u64> {
    json::write_loosely(params).map(|json| json::member_keys(&json)).unwrap_or_default()
}

/// Reads one parameter with a function of the user or of serde.
#[doc(hidden)]
pub fn take_with<T>(
    object: &mut Object,
    info: &'static ParamInfo,
    read: impl FnOnce(ParamReader<'_, '_>) -> Result<T, serde_json::Error>,
) -> Option<T> {
    match object.value(info) {
        Some((given, value)) => read_value(object, info, &given, &value, read),
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
    read: impl FnOnce(ParamReader<'_, '_>) -> Result<T, serde_json::Error>,
    default: impl FnOnce() -> T,
) -> Option<T> {
    match object.value(info) {
        Some((given, value)) => read_value(object, info, &given, &value, read),
        None => Some(default()),
    }
}

fn read_value<T>(
    object: &mut Object,
    info: &'static ParamInfo,
    given: &str,
    value: &RawValue,
    read: impl FnOnce(ParamReader<'_, '_>) -> Result<T, serde_json::Error>,
) -> Option<T> {
    let unknown = UnknownFields::of_member(info.name);
    let read = read(Reader::new(&mut serde_json::Deserializer::from_str(value.get()), &unknown));
    object.note_unknown_fields(given, unknown);
    read.map_err(|error| object.flaws.push((info.name, Flaw::Wrong(error)))).ok()
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

/// Reads a params struct from any format of serde, as strictly as the params of a job.
#[doc(hidden)]
pub fn read<'de, D: Deserializer<'de>, P: Serialize>(
    deserializer: D,
    params: &'static [ParamInfo],
    read: fn(&mut Object) -> Option<P>,
) -> Result<P, D::Error> {
    let AnyFormat(json) = Deserialize::deserialize(deserializer)?;
    // Written without reading it back, which would come here again.
    read_whole(&json, params, read, json::write_loosely).map_err(|problems| {
        let lines = problems.iter().map(|it| format!("parameter `{}`: {}", it.param, it.problem));
        D::Error::custom(lines.collect::<Vec<_>>().join("\n"))
    })
}

/// Reads the params of a job before its task runs. Params that do not fit as a whole are left to other workers,
/// since a worker of another version may be able to read them.
#[doc(hidden)]
pub fn decode<P: Serialize>(
    json: &str,
    def: &TaskDef,
    read: fn(&mut Object) -> Option<P>,
) -> Result<P, TaskError> {
    // No version of a task reads anything but an object.
    let Ok(mut object) = Object::parse(json) else {
        return Err(TaskError::permanent(misfit(def, json, NO_OBJECT_HELP)));
    };
    match read(&mut object) {
        Some(params) if object.is_read_whole(|| own_members(&params)) => Ok(params),
        _ => Err(TaskError::unreadable(misfit(def, json, MISFIT_HELP))),
    }
}

/// As [`decode`], and frees the text before an async task waits.
#[doc(hidden)]
pub fn decode_owned<P: Serialize>(
    json: String,
    def: &TaskDef,
    read: fn(&mut Object) -> Option<P>,
) -> Result<P, TaskError> {
    decode(&json, def, read)
}

/// What to do if a worker of another version may be able to read the params.
const MISFIT_HELP: &str = "workers of other versions may be able to read these params, so the job is left to them for \
                           about an hour. To run it with this version, add `#[default]` to a parameter that is missing, \
                           add `#[alias(\"old\")]` to one that was renamed, and keep one that was removed as an `Option`; \
                           for a field of a type, use `#[serde(default)]` and `#[serde(alias = \"old\")]`. \
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
    read_whole(json, params, read, json::write_exactly).err().unwrap_or_default()
}

/// Reads params of which nothing may be left out, and nothing may become another value.
fn read_whole<P: Serialize>(
    json: &str,
    params: &'static [ParamInfo],
    read: fn(&mut Object) -> Option<P>,
    write: fn(&P) -> Result<String, Unstorable>,
) -> Result<P, Vec<ParamProblem>> {
    let refused = |problem: ParamProblem| Err(vec![problem]);
    let mut object = match Object::parse(json) {
        Ok(object) => object,
        Err(error) => return refused(ParamProblem::new("params", format!("not a JSON object: {error}"))),
    };
    let values = read(&mut object);
    let own = match &values {
        Some(values) if !object.unknown_fields.is_empty() => own_members(values),
        _ => HashSet::new(),
    };
    let problems = object.problems(params, &own);
    match values {
        Some(values) if problems.is_empty() => match change(json, params, write(&values)) {
            None => Ok(values),
            Some(problem) => refused(problem),
        },
        _ => Err(problems),
    }
}

/// How the values that were read differ from what was given.
fn change(
    given: &str,
    params: &'static [ParamInfo],
    read_back: Result<String, Unstorable>,
) -> Option<ParamProblem> {
    let name_of =
        |member: &str| params.iter().find(|param| param.aliases.contains(&member)).map(|param| param.name);
    match read_back {
        // A type can read a value that it cannot write.
        Err(refused) => Some(ParamProblem::new(refused.path, refused.flaw.to_string())),
        Ok(read_back) => json::lost_integer(given, &read_back, name_of).map(|(path, number)| {
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
