//! Decides which return types a task may have: [`TaskReturn`], [`TaskOutput`] and [`IntoTaskError`].
//!
//! [`TaskReturn`] splits a `Result` into result and error. The other two are the requirements on these. The
//! macro decides by the written type whether a task returns a `Result` (`qdjobs-macros/src/signature/output.rs`).
//! What a failure means for the job is decided in `model/retry.rs`.
//!
//! Depends on serde and on the model.

use std::error::Error as StdError;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::json;
use crate::model::outcome::{Outcome, result_json};
use crate::model::task_error::TaskError;

/// The return type of a task that is written as `Result<..>`.
///
/// Implemented for the standard `Result` only. Every other return type is the result itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is named `Result`, but it is not the standard `Result`",
    label = "expected `std::result::Result`",
    note = "return `std::result::Result<T, E>`, or rename your type"
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

/// A type that can be the result of a task: it is stored as JSON, and read back by callers that wait for the
/// job. Implemented for every owned type that implements `Serialize` and `Deserialize`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a task",
    label = "stored with the job, so it must be written to JSON and read back",
    note = "for a type of your own add `#[derive(serde::Serialize, serde::Deserialize)]`; its texts are `String`, not `&'static str`",
    note = "the key of a map must also be `Eq` and `Hash`, or `Ord`",
    note = "for a type of another crate enable the `serde` feature of that crate",
    note = "if it is an error, return `Result<(), {Self}>`; if it is an alias of a `Result`, write `Result<..>`"
)]
pub trait TaskOutput: Sized {
    #[doc(hidden)]
    fn outcome(&self) -> Outcome;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> TaskOutput for T {
    fn outcome(&self) -> Outcome {
        // Permanent: another attempt would return the same.
        result_json(json::write_result(self)).map_err(TaskError::permanent)
    }
}

/// A return type that is not written as `Result<..>`.
///
/// `Result` implements `Serialize`, too: behind an alias, an `Err` would be stored as a success. A macro does
/// not see what an alias stands for. So the generated code reads `IS_RESULT`, which exists twice: as an
/// inherent constant for `Result`, and in [`Plain`] for every type. Rust prefers the inherent one.
#[doc(hidden)]
#[derive(Debug)]
pub struct Written<T>(PhantomData<T>);

impl<T, E> Written<Result<T, E>> {
    pub const IS_RESULT: bool = true;
}

/// See [`Written`].
#[doc(hidden)]
pub trait Plain {
    const IS_RESULT: bool = false;
}

impl<T> Plain for Written<T> {}

/// A type that can be the error of a task: any standard error, a text, a boxed error, an `anyhow::Error`, or
/// a [`TaskError`].
///
/// For an error type of your own that is not a standard error, implement it yourself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a task",
    label = "stored with the failed attempt, so it must be an error or a text",
    note = "implement `std::error::Error` for it, or return `qdjobs::TaskError`"
)]
pub trait IntoTaskError {
    /// Converts the error to a [`TaskError`].
    fn into_task_error(self) -> TaskError;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Box<dyn StdError>>> IntoTaskError for E {
    fn into_task_error(self) -> TaskError {
        TaskError::from_error(&*self.into())
    }
}

/// The requirement on the error of a task, as the compiler names it: every [`IntoTaskError`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a task",
    label = "stored with the failed attempt, so it must be an error or a text",
    note = "implement `std::error::Error` for it, or return `qdjobs::TaskError`",
    note = "a text is a `String` or a `&'static str`; a boxed error is a `Box<dyn std::error::Error>`"
)]
pub trait TaskFailure {
    #[doc(hidden)]
    fn failed(self) -> Outcome;
}

#[diagnostic::do_not_recommend]
impl<E: IntoTaskError> TaskFailure for E {
    fn failed(self) -> Outcome {
        Err(self.into_task_error())
    }
}

/// A type of errors.
///
/// A boxed error that is `Send` is not convertible to a `Box<dyn Error>` for the compiler, and an
/// implementation of its own would overlap with the one for all errors. So the generated code calls `unsend`,
/// which exists twice: as an inherent function for such boxes, and in [`OtherError`] for every type. Rust
/// prefers the inherent one.
#[doc(hidden)]
#[derive(Debug)]
pub struct Caught<E>(PhantomData<E>);

/// The type of the errors of a task with this return type.
#[doc(hidden)]
pub type ErrorOf<R> = Caught<<R as TaskReturn>::Error>;

impl Caught<Box<dyn StdError + Send + Sync>> {
    pub fn unsend(error: Box<dyn StdError + Send + Sync>) -> Box<dyn StdError> {
        error
    }
}

impl Caught<Box<dyn StdError + Send>> {
    pub fn unsend(error: Box<dyn StdError + Send>) -> Box<dyn StdError> {
        error
    }
}

/// See [`Caught`].
#[doc(hidden)]
pub trait OtherError {
    type Error;

    fn unsend(error: Self::Error) -> Self::Error;
}

impl<E> OtherError for Caught<E> {
    type Error = E;

    fn unsend(error: E) -> E {
        error
    }
}
