//! qdjobs
extern crate self as qdjobs;

mod chance;
mod context;
mod error;
mod event;
mod job;
mod lease;
mod nearest;
mod queue;
mod registry;
mod request;
mod retry;
pub mod store;
mod task;
mod time;
mod worker;

pub use context::{Cancelled, JobContext, StopReason};
pub use error::*;
pub use event::Event;
pub use job::*;
pub use queue::*;
pub use registry::Registry;
pub use request::{Enqueue, JobRequest};
pub use retry::*;
pub use rusqlite;
#[doc(hidden)]
pub use task::private as __private;
pub use task::{
    IntoTaskError, LocalFuture, Own, ParamInfo, Run, SharedFuture, State, StateInfo, Task, TaskDef, TaskError,
    TaskErrorKind, TaskOptions, TaskOutput, TaskParam, TaskReturn, ViaBox, ViaStd, check_params, task,
};
pub use time::{Clock, Timestamp};
pub use worker::{Worker, WorkerHandle};

/// What most programs import: `use qdjobs::prelude::*;`.
pub mod prelude {
    pub use crate::{
        AsyncQueue, Enqueue, JobContext, JobHandle, JobQueue, JobRequest, Task, TaskError, Worker,
        WorkerHandle, task,
    };
}
