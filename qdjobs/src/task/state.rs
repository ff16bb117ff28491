//! A shared value of the worker that a task takes with `#[state]`: [`State`].
//!
//! The values are added by `Worker::state` in `worker/options.rs`, and held in `context/states.rs`.
//!
//! Depends on the context, which contains the values.

use std::any::TypeId;

use crate::context::JobContext;
use crate::model::task_error::TaskError;

/// A type that a task can take with `#[state]`: one value, shared by all threads of a worker.
///
/// Implemented for every owned type that is `Send` and `Sync`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be task state",
    label = "shared by all the threads of a worker, so it must be `Send` and `Sync`",
    note = "put it into a `Mutex`, or use a pool: a `rusqlite::Connection`, for one, is `Send` and not `Sync`",
    note = "instead of an `Rc` take an `Arc`; a shared trait object is an `Arc<dyn Trait + Send + Sync>`"
)]
pub trait State: Sized {
    #[doc(hidden)]
    fn get(ctx: &JobContext) -> Result<&Self, TaskError>;

    #[doc(hidden)]
    fn type_id() -> TypeId;
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> State for T {
    fn get(ctx: &JobContext) -> Result<&T, TaskError> {
        // A worker checks at its start that no state is missing. But a test may run a task without a worker.
        ctx.state::<T>().ok_or_else(|| {
            TaskError::retry(format!(
                "this worker has no state of type `{}`; pass one to `Worker::state`",
                std::any::type_name::<T>()
            ))
        })
    }

    fn type_id() -> TypeId {
        TypeId::of::<T>()
    }
}

/// A [`State`] that a task takes by value: each attempt gets a clone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be task state that is taken by value",
    label = "each attempt gets a clone, so it must be `Clone`, `Send` and `Sync`",
    note = "take a reference: `&{Self}`",
    note = "or pass an `Arc` to `Worker::state`, and take `Arc<{Self}>`",
    note = "instead of an `Rc` take an `Arc`; a shared trait object is an `Arc<dyn Trait + Send + Sync>`"
)]
pub trait StateByValue: Sized {
    #[doc(hidden)]
    fn clone_of(ctx: &JobContext) -> Result<Self, TaskError>;

    #[doc(hidden)]
    fn type_id() -> TypeId;
}

#[diagnostic::do_not_recommend]
impl<T: State + Clone + 'static> StateByValue for T {
    fn clone_of(ctx: &JobContext) -> Result<T, TaskError> {
        T::get(ctx).cloned()
    }

    fn type_id() -> TypeId {
        TypeId::of::<T>()
    }
}

/// The type behind the reference of a parameter that is marked with `#[ctx]`: [`JobContext`], by any name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the job's context",
    label = "`#[ctx]` marks a parameter whose type is another name of `&JobContext`",
    note = "take `&JobContext`; a shared value of the worker is marked with `#[state]`"
)]
pub trait TaskContext: Sized {
    #[doc(hidden)]
    fn of(ctx: &JobContext) -> &Self;
}

impl TaskContext for JobContext {
    fn of(ctx: &JobContext) -> &JobContext {
        ctx
    }
}
