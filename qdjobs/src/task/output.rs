//! Decides which return types a task may have: [`TaskReturn`], [`TaskOutput`] and [`IntoTaskError`].
//!
//! [`TaskReturn`] splits the return type into result and error. The other two are the requirements on these.
//! What a failure means for the job is decided in `model/retry.rs`.
//!
//! Depends on serde and on the model.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::error::Error as StdError;
use std::path::PathBuf;

use serde::Serialize;

use crate::model::clock::Timestamp;
use crate::model::job::JobId;
use crate::model::outcome::{Outcome, result_json};
use crate::model::task_error::TaskError;

/// A type that a task can return: `Result`, or a plain type that means success.
///
/// Only the listed types implement it. `Result` implements `Serialize`, too: if every `Serialize` type were
/// accepted, an `Err` would be stored as a success. For a type of your own, return `Result<MyType, MyError>`.
#[diagnostic::on_unimplemented(
    message = "a task cannot return `{Self}`",
    label = "neither a `Result` nor one of the plain types",
    note = "for your own type return `Result<{Self}, E>`: it says whether the job succeeded",
    note = "plain types are `()`, `bool`, numbers, `String`, `Option`, `Vec`, maps, sets, tuples and `serde_json::Value`"
)]
pub trait TaskReturn {
    /// The result, which a caller that waits for the job receives.
    type Output;
    /// The error of a failed attempt.
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

/// A type that can be the result of a task: it is stored as JSON. Implemented for every `Serialize` type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a task",
    label = "stored with the job, so it must be written to JSON",
    note = "for a type of your own add `#[derive(serde::Serialize)]`, and `Deserialize` for callers that wait for it"
)]
pub trait TaskOutput: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize> TaskOutput for T {}

/// A type that can be the error of a task: any standard error, a text, a boxed error, an `anyhow::Error`, or
/// a [`TaskError`].
///
/// For another error type, implement `IntoTaskError` without a type argument. The parameter `Via` keeps the
/// implementations from overlapping; the compiler infers it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a task",
    label = "stored with the failed attempt, so it must be an error or a text",
    note = "implement `std::error::Error` for it, or return `qdjobs::TaskError`"
)]
pub trait IntoTaskError<Via = Own> {
    /// Converts the error to a [`TaskError`].
    fn into_task_error(self) -> TaskError;
}

/// The `Via` of types that implement [`IntoTaskError`] themselves.
#[derive(Debug)]
pub enum Own {}

/// The `Via` of standard errors, texts, and everything else that converts to a `Box<dyn Error>`.
#[derive(Debug)]
pub enum ViaStd {}

/// The `Via` of boxed errors that are also `Send`, which the standard library does not convert.
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

/// The return value of a task as the outcome of its attempt.
#[doc(hidden)]
pub fn finish<R: TaskOutput, E: IntoTaskError<Via>, Via>(result: Result<R, E>) -> Outcome {
    let result = result.map_err(E::into_task_error)?;
    // Permanent: another attempt would return the same.
    result_json(&result).map_err(TaskError::permanent)
}
