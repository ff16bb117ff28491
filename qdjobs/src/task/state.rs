//! Shared values that a worker hands to its tasks: [`State`].
//!
//! Leans on the context that carries them. Where they come from is the worker's business.

use std::any::TypeId;

use super::TaskError;
use crate::context::JobContext;

/// A value that a task takes with `#[state]`: one for all the threads of a worker.
///
/// Every type has it that is `Send`, `Sync` and owns what it holds.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be task state",
    label = "shared by all the threads of a worker, so it must be `Send` and `Sync`",
    note = "put it into a `Mutex`, or use a pool: a `rusqlite::Connection`, for one, is `Send` and not `Sync`"
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
        // A worker checks at its start that nothing is missing; a test may run a task without one.
        ctx.state::<T>().ok_or_else(|| {
            TaskError::retry(format!("this worker has no state of type `{}`", std::any::type_name::<T>()))
        })
    }

    fn type_id() -> TypeId {
        TypeId::of::<T>()
    }
}
