//! A job before it is stored: [`NewJob`], its defaults, its due time, and the checks that every store runs.
//!
//! The allowed characters and sizes of a single value are in `checks.rs`. The options that a caller sets are
//! in `queue/request.rs`.
//!
//! Depends on `checks.rs` and on the clock's arithmetic. Knows no SQL and no task.

use std::time::Duration;

use super::checks::{DEFAULT_QUEUE, DEFAULT_RETRIES, check_display_name, check_key, check_name, check_size};
use crate::model::clock::{FAR_FUTURE_MICROS, Timestamp, after};
use crate::model::error::{Error, ErrorKind, Result};

/// When a job becomes due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunAt {
    /// At once.
    #[default]
    Now,
    /// After this duration, counted from the moment at which the job is stored.
    After(Duration),
    /// At this instant; at once if it has passed.
    At(Timestamp),
}

/// A job that is to be stored: the form in which an [`Enqueue`](crate::Enqueue) target and a
/// [`Store`](crate::store::Store) receive it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NewJob {
    /// The task's name.
    pub task_name: String,
    /// The parameters: the text of a JSON object with one member for each parameter.
    pub params: String,
    /// The display name; `None` for the task's name.
    pub name: Option<String>,
    /// The queue.
    pub queue: String,
    /// The priority; higher first.
    pub priority: i32,
    /// The number of retries after the first attempt.
    pub max_retries: u32,
    /// When the job becomes due.
    pub run_at: RunAt,
    /// The caller's own data: the text of a JSON object.
    pub metadata: Option<String>,
    /// The idempotency key: at most one job of a database has it.
    pub idempotency_key: Option<String>,
}

impl NewJob {
    /// A job of the task `task_name` with `params`, the text of a JSON object, and default options. Checks
    /// nothing; see [`NewJob::check`].
    pub fn new(task_name: impl Into<String>, params: impl Into<String>) -> NewJob {
        NewJob {
            task_name: task_name.into(),
            params: params.into(),
            name: None,
            queue: DEFAULT_QUEUE.to_owned(),
            priority: 0,
            max_retries: DEFAULT_RETRIES,
            run_at: RunAt::Now,
            metadata: None,
            idempotency_key: None,
        }
    }

    /// Refuses names, keys, sizes and instants outside their range.
    ///
    /// Every store calls it before it writes. So an invalid job is refused alone, before it shares a
    /// transaction with others. It does not parse the params: `check_params` has checked text from outside,
    /// and typed params are always JSON.
    pub fn check(&self, now: Timestamp) -> Result<()> {
        check_name("task", &self.task_name)?;
        check_name("queue", &self.queue)?;
        self.name.as_deref().map_or(Ok(()), check_display_name)?;
        check_size("params", &self.params)?;
        if let Some(metadata) = &self.metadata {
            check_size("metadata", metadata)?;
        }
        self.idempotency_key.as_deref().map_or(Ok(()), check_key)?;
        self.scheduled_at(now).map(drop)
    }

    /// The instant at which the job becomes due, for a store whose clock reads `now`.
    pub fn scheduled_at(&self, now: Timestamp) -> Result<Timestamp> {
        let at = match self.run_at {
            RunAt::Now => Some(now),
            RunAt::After(wait) => after(now, wait),
            RunAt::At(at) => Some(at).filter(|at| (0..=FAR_FUTURE_MICROS).contains(&at.as_microsecond())),
        };
        at.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidInput,
                "a job cannot be scheduled before 1970 or after the year 9999",
            )
            .help(
                "check the value and its unit: `delay` takes the time from now to the start, and `at` an instant",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::JSON_BYTES_MAX;

    #[test]
    fn names_sizes_and_instants_outside_their_range_are_refused() {
        let now = Timestamp::UNIX_EPOCH;
        let job = || NewJob::new("send_email", "{}");
        assert!(job().check(now).is_ok());
        for (bad, kind) in [
            (NewJob { task_name: "a b".into(), ..job() }, ErrorKind::InvalidInput),
            (NewJob { task_name: String::new(), ..job() }, ErrorKind::InvalidInput),
            (NewJob { task_name: "a\0".into(), ..job() }, ErrorKind::InvalidInput),
            (NewJob { queue: "q".repeat(101), ..job() }, ErrorKind::InvalidInput),
            (NewJob { name: Some(String::new()), ..job() }, ErrorKind::InvalidInput),
            (NewJob { name: Some("a\0b".into()), ..job() }, ErrorKind::InvalidInput),
            (NewJob { params: " ".repeat(JSON_BYTES_MAX + 1), ..job() }, ErrorKind::TooLarge),
            (NewJob { run_at: RunAt::After(Duration::MAX), ..job() }, ErrorKind::InvalidInput),
            (NewJob { run_at: RunAt::At(Timestamp::MIN), ..job() }, ErrorKind::InvalidInput),
            (NewJob { idempotency_key: Some(String::new()), ..job() }, ErrorKind::InvalidInput),
            (NewJob { idempotency_key: Some("a\0b".into()), ..job() }, ErrorKind::InvalidInput),
        ] {
            assert_eq!(bad.check(now).unwrap_err().kind(), kind);
        }
    }
}
