//! A job on its way to a queue: [`JobRequest`], its options, and [`Enqueue`], what it can be given to.
//!
//! Leans on `job`. Which database stands behind a target is not known here.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;

use crate::model::clock::Timestamp;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{NewJob, RunAt};
use crate::task::registry::Registry;
use crate::task::{Task, TaskDef, check_params};

/// A job that is not stored yet: a task with its parameters, and options that override the task's own.
///
/// `R` is what the task returns: the type that [`JobHandle::wait`](crate::JobHandle::wait) gives. Made by the option
/// methods of [`Task`], or with [`JobRequest::by_name`]. Whatever is wrong with it is said by
/// [`enqueue`](JobRequest::enqueue), before anything is stored.
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

/// What a job can be enqueued on. The target decides the style of the call:
///
/// | target | the answer |
/// |---|---|
/// | [`JobQueue`](crate::JobQueue) | `Result<JobHandle<R>>`, after the job is durable; blocks for one commit |
/// | [`AsyncQueue`](crate::AsyncQueue) | a future of the same |
/// | `rusqlite::Transaction` (or `Connection`, `Savepoint`) on the same file | `Result<JobId>`; the job is there when *you* commit |
#[diagnostic::on_unimplemented(
    message = "cannot enqueue a job on `{Self}`",
    label = "expected a `JobQueue`, an `AsyncQueue`, or a `rusqlite::Transaction`"
)]
pub trait Enqueue {
    /// What `enqueue` returns for a job whose result is `R`.
    type Answer<R>;

    #[doc(hidden)]
    fn accept<R>(&self, job: Result<NewJob>) -> Self::Answer<R>;
}

/// The tasks of a worker are its own: a request for a job knows no worker.
const REGISTER_HELP: &str = "; a task that only `Worker::register` makes known is enqueued by its type";

impl<R> JobRequest<R> {
    /// A job of the task `def` with these parameters and the task's own options.
    pub(crate) fn new(def: &'static TaskDef, params: Result<String>) -> JobRequest<R> {
        let job = params.map(|params| NewJob {
            queue: def.options.queue.to_owned(),
            priority: def.options.priority,
            max_retries: def.options.retries,
            ..NewJob::new(def.name, params)
        });
        JobRequest { job, result: PhantomData }
    }

    /// A job of the task named `name` with `params`, for callers who do not have the task's type: the same checks, made
    /// now instead of by the compiler. `R` is whatever the result is to be read as; [`serde_json::Value`] takes any.
    ///
    /// An unknown name, and each missing, unknown or ill-typed parameter, is told by the error; nothing is stored.
    ///
    /// The name is looked up among the tasks that are linked into this program. One that only
    /// [`Worker::register`](crate::Worker::register) makes known is known to that worker alone: enqueue it by its type.
    ///
    /// ```
    /// use qdjobs::prelude::*;
    /// # use serde_json::json;
    /// #[task("by_name.greet")]
    /// fn greet(name: &str) -> String {
    ///     format!("Hello {name}")
    /// }
    /// let wrong = JobRequest::<serde_json::Value>::by_name("by_name.greet", &json!({"nam": "Ann"})).unwrap_err();
    /// assert_eq!(wrong.problems().len(), 2); // `name` is missing, and `nam` is not known
    /// ```
    pub fn by_name(name: &str, params: &(impl Serialize + ?Sized)) -> Result<JobRequest<R>> {
        let linked = Registry::linked();
        let def = linked.get(name).ok_or_else(|| linked.unknown_here(name, REGISTER_HELP))?;
        let text = serde_json::to_string(params).map_err(|error| {
            Error::new(ErrorKind::InvalidParams, format!("the params cannot be written as JSON: {error}"))
                .help("pass a struct, a map with text keys, or `serde_json::json!({ … })`")
        })?;
        Ok(JobRequest::new(def, Ok(check_params(def, &text)?)))
    }

    /// Not before this long after it was stored.
    pub fn delay(self, wait: Duration) -> Self {
        self.set(|job| job.run_at = RunAt::After(wait))
    }

    /// Not before this instant; at once if it has passed.
    pub fn at(self, at: Timestamp) -> Self {
        self.set(|job| job.run_at = RunAt::At(at))
    }

    /// Higher first; 0 unless the task says otherwise.
    pub fn priority(self, priority: i32) -> Self {
        self.set(|job| job.priority = priority)
    }

    /// The queue it waits in.
    pub fn queue(self, queue: impl Into<String>) -> Self {
        self.set(|job| job.queue = queue.into())
    }

    /// How often it may be retried after its first attempt.
    pub fn retries(self, max_retries: u32) -> Self {
        self.set(|job| job.max_retries = max_retries)
    }

    /// A name to show to people instead of the task's.
    pub fn display_name(self, name: impl Into<String>) -> Self {
        self.set(|job| job.name = Some(name.into()))
    }

    /// Anything that serialises to a JSON object, kept with the job for the caller's own use.
    pub fn metadata(mut self, metadata: impl Serialize) -> Self {
        let text = serde_json::to_value(metadata).map_err(|error| error.to_string()).and_then(|value| {
            if value.is_object() { Ok(value.to_string()) } else { Err("it is not a JSON object".to_owned()) }
        });
        match text {
            Ok(text) => self.set(|job| job.metadata = Some(text)),
            Err(why) => {
                if self.job.is_ok() {
                    self.job = Err(Error::new(
                        ErrorKind::InvalidInput,
                        format!("the metadata cannot be stored: {why}"),
                    )
                    .help("pass a struct, a map with text keys, or `serde_json::json!({ … })`"));
                }
                self
            }
        }
    }

    /// At most one job of the database has this key, 1 to 200 bytes: enqueueing the same task and params with it again answers
    /// the job that is there, whatever its status, and stores nothing. So a call whose answer got lost can be repeated, from
    /// any process.
    ///
    /// The params are the same if they are the same JSON, in whatever order; a parameter that is left out is not the same as
    /// its default written out. The other options of the repeated call change nothing. The key for another task or other params
    /// is refused with [`ErrorKind::Conflict`], until the job that holds it is deleted.
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        self.set(|job| job.idempotency_key = Some(key.into()))
    }

    /// Stores the job; see [`Enqueue`] for the targets and what they answer.
    pub fn enqueue<Q: Enqueue + ?Sized>(self, target: &Q) -> Q::Answer<R> {
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
