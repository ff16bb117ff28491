//! Whether the future of an `async fn` task is `Send`, found out without asking for it.
//!
//! Leans on the record of a task. Polls nothing.
//!
//! A bound would make "no" an error, and a macro sees no types. So the expansion calls a method that exists twice
//! under one name: on [`Probe`] itself for `Send` futures, and through [`ProbeLocal`] for all. Rust takes the
//! inherent one where it applies. The two return different boxes, and the type of the box is a constant that tells.

use std::future::Future;

use super::{LocalFuture, Run, SharedFuture, TaskError};
use crate::context::JobContext;
use crate::model::retry::Outcome;

/// A future that is about to be boxed.
#[doc(hidden)]
#[derive(Debug)]
pub struct Probe<F>(pub F);

impl<F: Future<Output = Outcome> + Send + 'static> Probe<F> {
    /// The box of a `Send` future.
    pub fn boxed(self) -> SharedFuture {
        Box::pin(self.0)
    }
}

#[doc(hidden)]
pub trait ProbeLocal {
    /// The box of any other.
    fn boxed(self) -> LocalFuture;
}

impl<F: Future<Output = Outcome> + 'static> ProbeLocal for Probe<F> {
    fn boxed(self) -> LocalFuture {
        Box::pin(self.0)
    }
}

/// One of the two boxes.
#[doc(hidden)]
pub trait Boxed: Sized {
    const IS_SHARED: bool;

    /// Only called on the box that is it; the other one answers with an error that nobody sees.
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

/// Chooses by the type of the box that `probe` would return; it is never called.
#[doc(hidden)]
pub const fn run_async<B: Boxed>(
    _probe: fn(JobContext, String) -> B,
    shared: fn(JobContext, String) -> SharedFuture,
    local: fn(JobContext, String) -> LocalFuture,
) -> Run {
    if B::IS_SHARED { Run::Async(shared) } else { Run::AsyncLocal(local) }
}
