//! What a task gives back: [`TaskReturn`] takes the return type apart, [`TaskOutput`] and [`IntoTaskError`] say what
//! may be inside.
//!
//! Leans on serde and on the task's error. What a failure means for the job is decided in `retry`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::error::Error as StdError;
use std::path::PathBuf;

use serde::Serialize;

use super::TaskError;
use crate::model::clock::Timestamp;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{JSON_BYTES_MAX, JobId};
use crate::model::retry::Outcome;

/// A type that a task can return: `Result`, and the plain types that stand for a success.
///
/// A closed list and not every `Serialize`: `Result` is that as well, and an `Err` would be stored as a success. For
/// a type of your own return `Result<MyType, MyError>`.
#[diagnostic::on_unimplemented(
    message = "a task cannot return `{Self}`",
    label = "neither a `Result` nor one of the plain types",
    note = "for your own type return `Result<{Self}, E>`: it says whether the job succeeded",
    note = "plain types are `()`, `bool`, numbers, `String`, `Option`, `Vec`, maps, sets, tuples and `serde_json::Value`"
)]
pub trait TaskReturn {
    /// What a caller who waits for the job gets.
    type Output;
    /// What a failed attempt is told from.
    type Error;

    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Output, Self::Error>;
}

impl<T, E> TaskReturn for Result<T, E> {
    type Output = T;
    type Error = E;

    fn into_result(self) -> Result<T, E> {
        self
    }
}

macro_rules! plain_returns {
    ($([$($param:ident)*] $ty:ty,)*) => {$(
        impl<$($param),*> TaskReturn for $ty {
            type Output = Self;
            type Error = Infallible;

            fn into_result(self) -> Result<Self, Infallible> {
                Ok(self)
            }
        }
    )*};
}

plain_returns! {
    [] (), [] bool, [] char, [] String, [] PathBuf, [] serde_json::Value, [] JobId, [] Timestamp,
    [] u8, [] u16, [] u32, [] u64, [] usize, [] i8, [] i16, [] i32, [] i64, [] isize, [] f32, [] f64,
    [T] Option<T>, [T] Box<T>, [T] Vec<T>, [T] VecDeque<T>, [T S] HashSet<T, S>, [T] BTreeSet<T>,
    [K V S] HashMap<K, V, S>, [K V] BTreeMap<K, V>,
    [A] (A,), [A B] (A, B), [A B C] (A, B, C), [A B C D] (A, B, C, D),
}

/// A value that can be the result of a job: written to JSON when the task is done.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a task",
    label = "stored with the job, so it must be written to JSON",
    note = "for a type of your own add `#[derive(serde::Serialize)]`, and `Deserialize` for who waits for it"
)]
pub trait TaskOutput: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize> TaskOutput for T {}

/// An error that a task can return: any standard error, a text, a boxed error, `anyhow::Error`, [`TaskError`].
///
/// `Via` only tells the ways apart by which a type gets here, so that they never overlap; the compiler fills it in.
/// For an error type that is none of these implement `IntoTaskError` (without an argument).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a task",
    label = "stored with the failed attempt, so it must be an error or a text",
    note = "implement `std::error::Error` for it, or return `qdjobs::TaskError`"
)]
pub trait IntoTaskError<Via = Own> {
    /// The failure of the attempt.
    fn into_task_error(self) -> TaskError;
}

/// The way of [`IntoTaskError`] for types that implement it themselves.
#[derive(Debug)]
pub enum Own {}

/// The way of [`IntoTaskError`] for standard errors, texts, and everything else that becomes a `Box<dyn Error>`.
#[derive(Debug)]
pub enum ViaStd {}

/// The way of [`IntoTaskError`] for boxed errors that are also `Send`, which the standard library does not convert.
#[derive(Debug)]
pub enum ViaBox {}

#[diagnostic::do_not_recommend]
impl<E: Into<Box<dyn StdError>>> IntoTaskError<ViaStd> for E {
    fn into_task_error(self) -> TaskError {
        TaskError::from_error(&*self.into())
    }
}

#[diagnostic::do_not_recommend]
impl IntoTaskError<ViaBox> for Box<dyn StdError + Send + Sync> {
    fn into_task_error(self) -> TaskError {
        TaskError::from_error(&*self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoTaskError<ViaBox> for Box<dyn StdError + Send> {
    fn into_task_error(self) -> TaskError {
        TaskError::from_error(&*self)
    }
}

/// What a task returned, as the outcome of its attempt.
#[doc(hidden)]
pub fn finish<R: TaskOutput, E: IntoTaskError<Via>, Via>(result: Result<R, E>) -> Outcome {
    let result = result.map_err(E::into_task_error)?;
    // Another attempt would return the same.
    result_json(&result).map_err(TaskError::permanent)
}

/// The text of a result, within what a row should hold.
pub(crate) fn result_json<R: Serialize + ?Sized>(result: &R) -> Result<String> {
    let text = serde_json::to_string(result).map_err(|error| {
        let message = format!("the task is done, but its result cannot be written as JSON: {error}");
        Error::new(ErrorKind::InvalidInput, message).help("JSON has text keys and finite numbers only")
    })?;
    if text.len() > JSON_BYTES_MAX {
        let message = format!(
            "the task is done, but its result has {} bytes of JSON, more than {JSON_BYTES_MAX}",
            text.len()
        );
        let help = "store the data in a file or a table of your own and return its name or id";
        return Err(Error::new(ErrorKind::TooLarge, message).help(help));
    }
    Ok(text)
}
