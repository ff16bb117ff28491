//! Answers reads on a thread and connection of its own, without waiting for the writer: [`Reader`].
//!
//! The SQL of the reads is in `queries/sql.rs`, the conversion of rows in `queries/rows.rs`. Filters and page
//! sizes are in `store/read.rs`.
//!
//! Depends on both files of `queries`. Nothing that writes comes in.
//!
//! Each read is one or two statements, and no cursor stays open between reads: an open cursor keeps the
//! write-ahead log from being truncated. A read is short, with two exceptions. The counts read every job. A
//! list with a filter that matches few jobs may read a long history.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::model::clock::Clock;
use crate::model::error::Result;
use crate::model::job::{Attempt, AttemptOutcome, Job, JobId, Status};
use crate::store::engine::requests::RequestQueue;
use crate::store::sqlite::connection::{error, open};
use crate::store::sqlite::files::open_files::OpenFiles;
use crate::store::sqlite::queries::{self, rows, sql};
use crate::store::sqlite::tools::backup;
use crate::store::{Counts, Cursor, Filter, Page, Reply, WorkerState};
use crate::sync::mpsc;

/// A read with its reply, in the order of the trait.
#[derive(Debug)]
pub(super) enum Question {
    Get(JobId, Reply<Option<Job>>),
    Attempts(JobId, Reply<Vec<Attempt>>),
    List(Filter, Reply<Page>),
    Counts(Reply<Counts>),
    Workers(Reply<Vec<WorkerState>>),
    /// A copy of the file that is open, into a new file.
    Backup(PathBuf, Reply<()>),
}

/// The reading connection, and the questions that wait for it.
pub(super) struct Reader {
    conn: Connection,
    files: Arc<OpenFiles>,
    clock: Clock,
    request_queue: Arc<RequestQueue>,
    questions: mpsc::Receiver<Question>,
}

impl Reader {
    pub(super) fn new(
        conn: Connection,
        files: Arc<OpenFiles>,
        clock: Clock,
        request_queue: Arc<RequestQueue>,
        questions: mpsc::Receiver<Question>,
    ) -> Reader {
        Reader { conn, files, clock, request_queue, questions }
    }

    /// Runs the reader thread: answers questions until the store drops its sender.
    pub(super) fn run(self) {
        while let Ok(question) = self.questions.recv() {
            self.answer(question);
        }
    }

    /// The next question, if one waits.
    #[cfg(test)]
    pub(super) fn next_question(&self) -> Option<Question> {
        self.questions.try_recv().ok()
    }

    pub(super) fn answer(&self, question: Question) {
        let conn = &self.conn;
        match question {
            Question::Get(id, reply) => self.reply(rows::job_by_id(conn, id), reply),
            Question::Attempts(id, reply) => self.reply(attempts(conn, id), reply),
            Question::List(filter, reply) => self.reply(list(conn, &self.clock, &filter), reply),
            Question::Counts(reply) => self.reply(counts(conn), reply),
            Question::Workers(reply) => self.reply(queries::workers::workers(conn), reply),
            Question::Backup(to, reply) => reply.send(self.backup(&to)),
        }
    }

    /// Copies the file that this connection has open, whatever its name is by now.
    fn backup(&self, to: &Path) -> Result<()> {
        // The copy is a write for SQLite.
        open::set_pragma(&self.conn, "query_only", 0)?;
        let copied = backup::copy(&self.conn, self.files.database(), to);
        open::set_pragma(&self.conn, "query_only", 1)?;
        copied
    }

    fn reply<T>(&self, read: rusqlite::Result<T>, reply: Reply<T>) {
        let answer = self.files.check(true).and_then(|()| read.map_err(error::before_commit(&self.conn)));
        if let Err(error) = &answer
            && error.is_fatal()
        {
            // Nothing more is written to a damaged file, whose reads continue as far as possible. A file that is not
            // that of its name is not read either.
            self.request_queue.halt(error::halted(error));
        }
        reply.send(answer);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.request_queue.is_halted() {
            open::disable_close_checkpoint(&self.conn);
        }
    }
}

/// The recorded attempts. A success at the first attempt, or in a transaction of the task itself, has no record:
/// it is derived from the job's own row.
fn attempts(conn: &Connection, id: JobId) -> rusqlite::Result<Vec<Attempt>> {
    let mut attempts: Vec<Attempt> =
        conn.prepare_cached(sql::ATTEMPTS)?.query_map([id.0], rows::attempt)?.collect::<Result<_, _>>()?;
    if let Some(job) = rows::job_by_id(conn, id)?
        && job.status == Status::Completed
        && !attempts.iter().any(|attempt| attempt.attempt == job.attempt)
        && let (Some(started_at), Some(ended_at), Some(worker)) =
            (job.started_at, job.completed_at, job.worker_id)
    {
        let outcome = AttemptOutcome::Completed;
        attempts.push(Attempt {
            attempt: job.attempt,
            started_at,
            ended_at,
            worker_id: worker,
            outcome,
            error: None,
        });
    }
    Ok(attempts)
}

fn counts(conn: &Connection) -> rusqlite::Result<Counts> {
    let mut statement = conn.prepare_cached(sql::COUNTS)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    let counted = rows.filter_map(|row| {
        row.map(|(status, n)| status.parse().ok().map(|status| (status, n as u64))).transpose()
    });
    counted.collect::<Result<Vec<_>, _>>().map(Counts::new)
}

/// A page of jobs, newest first. The conditions are fixed texts, and the values are bound.
fn list(conn: &Connection, clock: &Clock, filter: &Filter) -> rusqlite::Result<Page> {
    let mut conditions = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let mut bind = |condition: &'static str, value: Value| {
        conditions.push(condition);
        values.push(value);
    };
    if let Some(Cursor(after)) = filter.after {
        bind("id < ?", Value::Integer(after.0));
    }
    if let Some(task_name) = &filter.task_name {
        bind("task_name = ?", Value::Text(task_name.clone()));
    }
    if let Some(queue) = &filter.queue {
        bind("queue = ?", Value::Text(queue.clone()));
    }
    if filter.scheduled {
        bind("scheduled_at > ?", Value::Integer(clock.now().as_microsecond()));
    }
    if filter.retrying {
        conditions.push("retry_count > 0");
    }
    if filter.scheduled || filter.retrying {
        conditions.push("status = 'pending'");
    }
    // The status is a literal, so that SQLite can use the partial index of a rare status.
    conditions.extend(filter.status.map(|status| match status {
        Status::Pending => "status = 'pending'",
        Status::Running => "status = 'running'",
        Status::Completed => "status = 'completed'",
        Status::Failed => "status = 'failed'",
        Status::Cancelled => "status = 'cancelled'",
    }));
    let size = filter.page_size();
    values.push(Value::Integer(size as i64 + 1));
    let clause =
        if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    let text = format!("SELECT {} FROM qdjobs_jobs {clause} ORDER BY id DESC LIMIT ?", sql::JOB_COLUMNS);
    let mut statement = conn.prepare_cached(&text)?;
    let jobs = statement.query_map(params_from_iter(values), rows::job)?.collect::<Result<_, _>>()?;
    Ok(Page::cut(jobs, size))
}
