//! The tokio runtime for the sockets and timers of `async fn` tasks: [`Reactor`] and [`ReactorHandle`].
//!
//! It is the program's runtime or one of the worker's own. It polls only futures that are not `Send`, on the
//! thread that calls [`run_local`](ReactorHandle::run_local); `async_executor.rs` polls all others.
//!
//! Depends on tokio if the feature `tokio` is on; without it both types are empty.

#[cfg(feature = "tokio")]
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

use crate::context::JobContext;
#[cfg(feature = "tokio")]
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::retry::Outcome;
use crate::task::{LocalFuture, TaskError};

/// The runtime, for as long as the worker runs.
#[derive(Debug, Default)]
pub(super) struct Reactor {
    handle: ReactorHandle,
    #[cfg(feature = "tokio")]
    own: Option<Runtime>,
}

/// Access to the runtime, for threads that run tasks.
#[derive(Clone, Debug, Default)]
pub(super) struct ReactorHandle {
    #[cfg(feature = "tokio")]
    runtime: Option<Handle>,
}

impl Reactor {
    /// Uses `given`. If there is none and `needed`, starts a runtime of one thread.
    #[cfg(feature = "tokio")]
    pub(super) fn new(given: Option<Handle>, needed: bool) -> Result<Reactor> {
        let is_undriven = |given: &Handle| given.runtime_flavor() == RuntimeFlavor::CurrentThread;
        if given.as_ref().is_some_and(is_undriven) {
            return Err(Error::new(
                ErrorKind::Config,
                "the runtime given to the worker is a current-thread runtime, which makes progress only while a thread is \
                 inside of its `block_on`",
            )
            .help(
                "pass the handle of a multi-thread runtime, or do not call `Worker::runtime`: the worker then has a \
                 runtime of its own",
            ));
        }
        if given.is_some() || !needed {
            return Ok(Reactor { handle: ReactorHandle { runtime: given }, own: None });
        }
        let built =
            Builder::new_multi_thread().worker_threads(1).thread_name("qdjobs-reactor").enable_all().build();
        let own = built.map_err(|error| {
            Error::new(ErrorKind::Config, format!("the runtime for async tasks cannot be started: {error}"))
                .help(
                    "check the limits of threads and open files, or pass a runtime that the program already has to \
                     `Worker::runtime`",
                )
        })?;
        Ok(Reactor { handle: ReactorHandle { runtime: Some(own.handle().clone()) }, own: Some(own) })
    }

    pub(super) fn handle(&self) -> ReactorHandle {
        self.handle.clone()
    }
}

#[cfg(feature = "tokio")]
impl Drop for Reactor {
    fn drop(&mut self) {
        if let Some(own) = self.own.take() {
            // `Worker::stop` may be called inside an async context. There, a drop that waits for the threads
            // of the runtime would panic.
            own.shutdown_background();
        }
    }
}

impl ReactorHandle {
    #[cfg(feature = "tokio")]
    pub(super) fn runtime(&self) -> Option<&Handle> {
        self.runtime.as_ref()
    }

    /// Runs a future that is not `Send` on this thread, until it ends or its job is settled.
    #[cfg(feature = "tokio")]
    pub(super) fn run_local(&self, ctx: &JobContext, future: impl FnOnce() -> LocalFuture) -> Outcome {
        use std::task::Poll;

        let Some(runtime) = self.runtime() else { return unsupported() };
        let (mut future, mut decided) = (future(), std::pin::pin!(ctx.decided()));
        let raced = std::future::poll_fn(|cx| {
            if let Poll::Ready(outcome) = future.as_mut().poll(cx) {
                return Poll::Ready(outcome);
            }
            // This error is never stored, because the verdict on the job is final.
            decided.as_mut().poll(cx).map(|()| Err(TaskError::retry("the job is settled already")))
        });
        runtime.block_on(raced)
    }

    #[cfg(not(feature = "tokio"))]
    pub(super) fn run_local(&self, _ctx: &JobContext, _future: impl FnOnce() -> LocalFuture) -> Outcome {
        unsupported()
    }
}

/// The outcome of a task that this worker cannot run. `Worker::start` refuses such tasks, so no job gets it.
pub(super) fn unsupported() -> Outcome {
    Err(TaskError::retry("this worker cannot run this kind of task"))
}
