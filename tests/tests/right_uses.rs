//! Right uses of `#[task]` in great number: each compiles, is enqueued, runs on a worker, and returns the
//! expected result to the caller that waits.
//!
//! The wrong uses are in `corpus.rs`. What the values of options mean is tested in `api`.
//!
//! Depends on the memory store and a worker.
#![deny(warnings)]
#![allow(
    clippy::needless_borrows_for_generic_args,
    clippy::unwrap_used,
    clippy::zero_repeat_side_effects,
    reason = "arguments are written in each form that a caller can have; a test fails by panicking"
)]

#[path = "right_uses/options.rs"]
mod options;
#[path = "right_uses/params.rs"]
mod params;
#[path = "right_uses/results.rs"]
mod results;
#[path = "right_uses/targets.rs"]
mod targets;

use qdjobs::JobHandle;
use qdjobs::prelude::*;
use serde::de::DeserializeOwned;

/// A queue in memory with a worker that runs all tasks of this file.
struct Running {
    queue: JobQueue,
    worker: Option<WorkerHandle>,
}

impl Running {
    fn new() -> Running {
        let queue = JobQueue::in_memory();
        let worker = Worker::new(&queue).state(41_u64).state(std::sync::Arc::new("shared".to_owned()));
        let worker = worker.state(std::sync::Arc::<str>::from("text"));
        let worker = worker
            .state::<std::sync::Arc<dyn Fn(&str) -> usize + Send + Sync>>(std::sync::Arc::new(str::len));
        Running { worker: Some(worker.start().unwrap()), queue }
    }

    /// Enqueues the job, and waits for its result.
    #[track_caller]
    fn result<T: Task>(&self, task: T) -> T::Output
    where
        T::Output: DeserializeOwned,
    {
        // Also through the text of the params, as a worker of another process reads them.
        let text = serde_json::to_string(&task).unwrap();
        let task: T = serde_json::from_str(&text).unwrap();
        let handle: JobHandle<T::Output> = task.request().enqueue(&self.queue).unwrap();
        handle.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.stop().unwrap();
        }
    }
}
