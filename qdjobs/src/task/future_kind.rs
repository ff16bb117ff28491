//! Detects at compile time whether the future of an `async fn` task is `Send`.
//!
//! Which threads poll it is decided in `worker/thread_pool.rs`. Polls no future.
//!
//! Depends on the description of a task.
//!
//! A bound would turn "not `Send`" into an error, and a macro sees no types. So the expansion calls a method
//! that exists twice: as an inherent method of [`Probe`] for `Send` futures, and in [`ProbeLocal`] for all.
//! Rust prefers the inherent method where it applies. The two methods return different boxes, whose type
//! selects the [`Run`].

use std::future::Future;

use super::def::{LocalFuture, Run, SharedFuture};
use crate::context::JobContext;
use crate::model::outcome::Outcome;
use crate::model::task_error::TaskError;

/// A future to be boxed.
#[doc(hidden)]
#[derive(Debug)]
pub struct Probe<F>(pub F);

impl<F: Future<Output = Outcome> + Send + 'static> Probe<F> {
    /// Boxes a `Send` future.
    pub fn boxed(self) -> SharedFuture {
        Box::pin(self.0)
    }
}

#[doc(hidden)]
pub trait ProbeLocal {
    /// Boxes any other future.
    fn boxed(self) -> LocalFuture;
}

impl<F: Future<Output = Outcome> + 'static> ProbeLocal for Probe<F> {
    fn boxed(self) -> LocalFuture {
        Box::pin(self.0)
    }
}

/// One of the two boxes: [`SharedFuture`] or [`LocalFuture`].
#[doc(hidden)]
pub trait Boxed: Sized {
    const IS_SHARED: bool;

    /// Called on a shared future only. For the other box it returns an error that is never seen.
    fn shared(self) -> SharedFuture;

    fn local(self) -> LocalFuture;
}

impl Boxed for SharedFuture {
    const IS_SHARED: bool = true;

    fn shared(self) -> SharedFuture {
        self
    }

    fn local(self) -> LocalFuture {
        self
    }
}

impl Boxed for LocalFuture {
    const IS_SHARED: bool = false;

    fn shared(self) -> SharedFuture {
        Box::pin(std::future::ready(Err(TaskError::retry("this task must stay on one thread"))))
    }

    fn local(self) -> LocalFuture {
        self
    }
}

/// Selects the [`Run`] by the type of box that `probe` returns. `probe` is not called.
#[doc(hidden)]
pub const fn run_async<B: Boxed>(
    _probe: fn(JobContext, String) -> B,
    shared: fn(JobContext, String) -> SharedFuture,
    local: fn(JobContext, String) -> LocalFuture,
) -> Run {
    if B::IS_SHARED { Run::Async(shared) } else { Run::AsyncLocal(local) }
}
