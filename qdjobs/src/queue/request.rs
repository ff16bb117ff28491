//! The options of a job before it is enqueued, by type or by name: [`JobRequest`].
//!
//! Does not check the values of options: see `model/job/new_job.rs`. Storing is in `enqueue.rs`. Params by
//! name are checked in `task/check_params.rs`.
//!
//! Depends on the model, the tasks, and the contract's `enqueue`. Knows no queue and no database.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::model::clock::Timestamp;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{NewJob, RunAt};
use crate::model::json;
use crate::store::Enqueue;

/// What to do about metadata that is not a JSON object.
const OBJECT_HELP: &str =
    "pass a struct with named fields, a map with text keys, or `serde_json::json!({ … })`";
use crate::task::encode::encode_by_name;
use crate::task::registry::Registry;
use crate::task::{Task, TaskDef, check_params};

/// A job before it is enqueued: a task with its parameters, and options that override those of the task.
///
/// `R` is the result type of the task; [`JobHandle::wait`](crate::JobHandle::wait) returns it. The option
/// methods of [`Task`] and [`JobRequest::by_name`] make a request. If the request contains an error,
/// [`enqueue`](JobRequest::enqueue) returns it and stores nothing.
#[must_use = "a job does nothing until it is enqueued"]
pub struct JobRequest<R> {
    job: Result<NewJob>,
    result: PhantomData<fn() -> R>,
}

impl<R> fmt::Debug for JobRequest<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRequest").field("job", &self.job).finish()
    }
}

/// A further cause of an unknown name: a request does not know the registry of a worker.
const REGISTER_HELP: &str = "; a task that only `Worker::register` adds must be enqueued by its type";

impl<R> JobRequest<R> {
    /// A job of the task `def` with these parameters and the options of the task.
    pub(crate) fn new(def: &'static TaskDef, params: Result<String>) -> JobRequest<R> {
        let job = params.map(|params| NewJob {
            queue: def.options.queue.to_owned(),
            priority: def.options.priority,
            max_retries: def.options.retries,
            ..NewJob::new(def.name, params)
        });
        JobRequest { job, result: PhantomData }
    }

    /// A job of the task named `name`, for callers that do not have the task's type.
    ///
    /// The params are checked now instead of by the compiler. The error lists each parameter that is missing,
    /// unknown or of the wrong type. `R` is the type of the result; [`serde_json::Value`] accepts any.
    ///
    /// The name is looked up among the tasks that are linked into this program. A task that only
    /// [`Worker::register`](crate::Worker::register) adds is not found here: enqueue it by its type.
    ///
    /// ```
    /// use qdjobs::prelude::*;
    /// # use serde_json::json;
    /// #[task("by_name.greet")]
    /// fn greet(name: &str) -> String {
    ///     format!("Hello {name}")
    /// }
    /// let wrong = JobRequest::<serde_json::Value>::by_name("by_name.greet", &json!({"nam": "Ann"})).unwrap_err();
    /// assert_eq!(wrong.problems().len(), 2); // `name` is missing, and `nam` is unknown
    /// ```
    pub fn by_name(name: &str, params: &(impl Serialize + ?Sized)) -> Result<JobRequest<R>> {
        let linked = Registry::linked();
        let def = linked.get(name).ok_or_else(|| linked.unknown_here(name, REGISTER_HELP))?;
        let text = encode_by_name(def, params)?;
        Ok(JobRequest::new(def, Ok(check_params(def, &text)?)))
    }

    /// Delays the job by this duration, counted from the moment at which it is stored.
    pub fn delay(self, wait: Duration) -> Self {
        self.set(|job| job.run_at = RunAt::After(wait))
    }

    /// Schedules the job for this instant; it is due at once if the instant has passed.
    pub fn at(self, at: Timestamp) -> Self {
        self.set(|job| job.run_at = RunAt::At(at))
    }

    /// Sets the priority; jobs with a higher priority run first. The default is that of the task.
    pub fn priority(self, priority: i32) -> Self {
        self.set(|job| job.priority = priority)
    }

    /// Sets the queue. The default is that of the task.
    pub fn queue(self, queue: impl Into<String>) -> Self {
        self.set(|job| job.queue = queue.into())
    }

    /// Sets the number of retries after the first attempt. The default is that of the task.
    pub fn retries(self, max_retries: u32) -> Self {
        self.set(|job| job.max_retries = max_retries)
    }

    /// Sets the display name, which is shown instead of the task's name: 1 to 100 bytes.
    pub fn display_name(self, name: impl Into<String>) -> Self {
        self.set(|job| job.name = Some(name.into()))
    }

    /// Stores the caller's own data with the job: any value that serializes to a JSON object.
    pub fn metadata(mut self, metadata: impl Serialize) -> Self {
        let text = json::write_as_it_is(&metadata).map_err(|refused| match &*refused.path {
            "" => (refused.flaw.to_string(), refused.flaw.help()),
            path => (format!("`{path}`: {}", refused.flaw), refused.flaw.help()),
        });
        let object = text.and_then(|text| match text.trim_ascii_start().starts_with('{') {
            true => Ok(text),
            false => Err(("it is not a JSON object".to_owned(), OBJECT_HELP)),
        });
        match object {
            Ok(text) => self.set(|job| job.metadata = Some(text)),
            Err((why, help)) => {
                if self.job.is_ok() {
                    self.job = Err(Error::new(
                        ErrorKind::InvalidInput,
                        format!("the metadata cannot be stored: {why}"),
                    )
                    .help(help));
                }
                self
            }
        }
    }

    /// Sets the idempotency key, 1 to 200 bytes: at most one job of the database has it.
    ///
    /// If the same task and params are enqueued again with the key, nothing is stored. The call returns the
    /// id of the stored job, which can have any status. So you can safely repeat a call until it returns an
    /// answer, from any process.
    ///
    /// Params are the same if they are equal as JSON; the order of members and the spaces do not matter. A missing
    /// parameter differs from one that is set to its default. Other options of the repeated call are ignored.
    /// If the job under the key has another task or other params, the call fails with
    /// [`ErrorKind::Conflict`]. A key is free again when its job is deleted.
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        self.set(|job| job.idempotency_key = Some(key.into()))
    }

    /// The same request, with a result of any JSON. So jobs of tasks with different results can be collected
    /// for [`JobQueue::enqueue_all`](crate::JobQueue::enqueue_all).
    ///
    /// A [`Value`] holds integers of 64 bits, and a larger one as a float. A result with larger ones is read exactly by
    /// its own type, with [`JobQueue::handle`](crate::JobQueue::handle), or as the text
    /// [`Job::result`](crate::Job::result).
    pub fn any_result(self) -> JobRequest<Value> {
        JobRequest { job: self.job, result: PhantomData }
    }

    /// Stores the job. [`Enqueue`] lists the targets and what each returns.
    pub fn enqueue<Q: Enqueue>(self, target: Q) -> Q::Answer<R> {
        target.accept(self.job)
    }

    pub(crate) fn into_job(self) -> Result<NewJob> {
        self.job
    }

    fn set(mut self, change: impl FnOnce(&mut NewJob)) -> Self {
        if let Ok(job) = &mut self.job {
            change(job);
        }
        self
    }
}

impl<T: Task> From<T> for JobRequest<T::Output> {
    fn from(params: T) -> JobRequest<T::Output> {
        params.request()
    }
}
