//! The types of the reads: [`Filter`] and [`Page`] of a list, its page size and [`Cursor`], and [`Counts`].
//!
//! Does not read: see `sqlite/reader.rs` and `memory/state.rs`. A read job is in `model/job/stored_job.rs`.
//!
//! Depends on the model. Names no database.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{Job, JobId, Status};

/// Which jobs to list. A job must match all conditions that are set.
///
/// ```
/// use qdjobs::store::Filter;
/// use qdjobs::{JobQueue, Status};
///
/// let queue = JobQueue::in_memory();
/// let page = queue.list(Filter::new().status(Status::Failed).task_name("send_email").limit(20))?;
/// assert!(page.jobs.is_empty());
/// # Ok::<(), qdjobs::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Filter {
    /// Jobs in this status.
    pub status: Option<Status>,
    /// Jobs of this task.
    pub task_name: Option<String>,
    /// Jobs in this queue.
    pub queue: Option<String>,
    /// Pending jobs whose `scheduled_at` is in the future.
    pub scheduled: bool,
    /// Pending jobs that have used at least one retry.
    pub retrying: bool,
    /// The page after this cursor: the `next` of the previous page.
    pub after: Option<Cursor>,
    /// The size of a page; [`Filter::LIMIT_DEFAULT`] if `None`, [`Filter::LIMIT_MAX`] at most.
    pub limit: Option<usize>,
}

impl Filter {
    /// The size of a page unless the caller sets another.
    pub const LIMIT_DEFAULT: usize = 100;
    /// The largest page. A whole page is in memory.
    pub const LIMIT_MAX: usize = 1000;

    /// All jobs.
    pub fn new() -> Filter {
        Filter::default()
    }

    /// Only jobs in this status.
    pub fn status(self, status: Status) -> Filter {
        Filter { status: Some(status), ..self }
    }

    /// Only jobs of this task.
    pub fn task_name(self, name: impl Into<String>) -> Filter {
        Filter { task_name: Some(name.into()), ..self }
    }

    /// Only jobs in this queue.
    pub fn queue(self, name: impl Into<String>) -> Filter {
        Filter { queue: Some(name.into()), ..self }
    }

    /// Only pending jobs whose `scheduled_at` is in the future.
    pub fn scheduled(self) -> Filter {
        Filter { scheduled: true, ..self }
    }

    /// Only pending jobs that have used at least one retry.
    pub fn retrying(self) -> Filter {
        Filter { retrying: true, ..self }
    }

    /// The page after this cursor: the `next` of the previous page.
    pub fn after(self, cursor: Cursor) -> Filter {
        Filter { after: Some(cursor), ..self }
    }

    /// At most this many jobs; [`Filter::LIMIT_MAX`] at most.
    pub fn limit(self, jobs: usize) -> Filter {
        Filter { limit: Some(jobs), ..self }
    }

    pub(crate) fn page_size(&self) -> usize {
        self.limit.unwrap_or(Self::LIMIT_DEFAULT).clamp(1, Self::LIMIT_MAX)
    }
}

/// A position in a list, where the next page begins.
///
/// It is opaque. Its text (`Display`) can be sent to a client and parsed again (`FromStr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(pub(crate) JobId);

impl Cursor {
    /// The position after `job` in a list that contains it.
    pub fn after(job: &Job) -> Cursor {
        Cursor(job.id)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Cursor> {
        // Accepts only what `Display` writes: `+7` and `007` would be further texts of the same position.
        let id = text.parse::<i64>().ok().filter(|id| *id >= 0 && id.to_string() == text);
        id.map(|id| Cursor(JobId(id))).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidInput,
                format!("`{}` is not a cursor of a list", text.escape_debug()),
            )
            .help("pass the `next` of the previous page unchanged; pass no cursor for the first page")
        })
    }
}

/// A page of jobs, newest first.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Pass it as [`Filter::after`] to get the next page; `None` on the last page.
    pub next: Option<Cursor>,
}

impl Page {
    /// Truncates `jobs` to a page. The caller reads `size + 1` jobs; the extra one shows that a further page
    /// follows.
    pub(crate) fn cut(mut jobs: Vec<Job>, size: usize) -> Page {
        let more = jobs.len() > size;
        jobs.truncate(size);
        let next = if more { jobs.last().map(Cursor::after) } else { None };
        Page { jobs, next }
    }
}

/// The number of jobs by status. Every status has an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts(BTreeMap<Status, u64>);

impl Counts {
    pub(crate) fn new(counted: impl IntoIterator<Item = (Status, u64)>) -> Counts {
        let mut counts: BTreeMap<Status, u64> = Status::ALL.map(|status| (status, 0)).into();
        counts.extend(counted);
        Counts(counts)
    }

    /// The number of jobs in `status`.
    pub fn of(&self, status: Status) -> u64 {
        self.0.get(&status).copied().unwrap_or(0)
    }

    /// The number of all jobs.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_its_own_text_and_nothing_else() {
        let cursor = Cursor(JobId(42));
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for text in ["", "-1", "+7", "007", "x", "9223372036854775808", "1 "] {
            let error = text.parse::<Cursor>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        }
    }
}
