//! Tasks: the attribute `#[task]`, the trait [`Task`](task_trait::Task) of each params struct, and the
//! requirements on parameters, state and results.
//!
//! Depends on the model, on the context of a running task, and on the request for a job. Stores nothing and
//! runs nothing. Generated code uses `macro_support` alone. This file only re-exports.

mod attribute;
mod check_params;
mod def;
mod encode;
mod future_kind;
#[doc(hidden)]
pub mod macro_support;
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
pub use output::{IntoTaskError, Own, TaskOutput, TaskReturn, ViaBox, ViaStd};
pub use param::TaskParam;
pub use state::State;
pub use task_trait::Task;

pub use crate::model::task_error::{TaskError, TaskErrorKind};
