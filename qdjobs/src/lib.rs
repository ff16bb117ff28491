//! qdjobs
extern crate self as qdjobs;

mod context;
mod error;
mod job;
mod nearest;
mod queue;
mod registry;
mod request;
mod retry;
pub mod store;
mod task;
mod time;
pub use context::{Cancelled, JobContext, StopReason};
pub use error::*;
pub use job::*;
pub use queue::*;
pub use registry::Registry;
pub use request::{Enqueue, JobRequest};
pub use retry::*;
#[doc(hidden)]
pub use task::private as __private;
pub use task::*;
pub use time::{Clock, Timestamp};

/// What most programs import: `use qdjobs::prelude::*;`.
pub mod prelude {
    pub use crate::{
        AsyncQueue, Enqueue, JobContext, JobHandle, JobQueue, JobRequest, Task, TaskError, task,
    };
}
