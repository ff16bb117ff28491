//! Tasks: the attribute `#[task]`, the trait [`Task`], params, state and results.
//!
//! This file only re-exports. `param.rs` has the requirement on a parameter and reads params from JSON,
//! `encode.rs` writes their text. `check_params.rs` checks those of a task named by a string. `registry.rs`
//! finds tasks by name. `output.rs` handles return types. `option_checks.rs` checks the options of a task
//! at compile time. `macro_support.rs` has what generated code calls.
//!
//! Depends on the model, on the context of a running task, and on the request for a job. Stores nothing and
//! runs nothing.

mod attribute;
mod check_params;
mod def;
pub(crate) mod encode;
mod future_kind;
#[doc(hidden)]
pub mod macro_support;
mod option_checks;
mod output;
mod param;
pub(crate) mod registry;
mod state;
mod task_trait;
#[cfg(test)]
mod tests;

pub use attribute::task;
pub(crate) use check_params::check_params;
#[cfg(feature = "tokio")]
pub(crate) use def::SharedFuture;
pub(crate) use def::{LocalFuture, Run};
pub use def::{ParamInfo, StateInfo, TaskDef, TaskOptions};
pub use output::{IntoTaskError, TaskFailure, TaskOutput, TaskReturn};
pub use param::TaskParam;
pub use state::{State, StateByValue, TaskContext};
pub use task_trait::Task;

pub use crate::model::task_error::{TaskError, TaskErrorKind};
