//! What the process shares with its tasks: the path of the database, and the log of what happened.
//!
//! Depends on std and rusqlite. Tasks and modes never come in.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use qdjobs::rusqlite::Connection;
use qdjobs::{Event, JobContext};

use crate::Fallible;

#[derive(Clone)]
pub(crate) struct Shared {
    db: PathBuf,
    pub(crate) log: Option<Arc<File>>,
}

impl Shared {
    pub(crate) fn of(db: &str) -> Shared {
        Shared { db: db.into(), log: None }
    }

    /// One write for each line, so that a kill cannot truncate it and processes cannot mix theirs.
    pub(crate) fn report(&self, what: std::fmt::Arguments<'_>) {
        // An error text has several lines.
        let what = what.to_string().replace('\n', " ");
        let line = format!("{} {} {what}\n", micros(), std::process::id());
        // If the test no longer reads, the line does not matter.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
        if let Some(mut log) = self.log.as_deref() {
            let _ = log.write_all(line.as_bytes());
        }
    }

    pub(crate) fn begun(&self, ctx: &JobContext) {
        self.report(format_args!("start {} {} {}", ctx.job_id(), ctx.attempt(), ctx.task_name()));
    }

    pub(crate) fn ended(&self, ctx: &JobContext) {
        self.report(format_args!("end {} {}", ctx.job_id(), ctx.attempt()));
    }

    pub(crate) fn report_event(&self, event: &Event<'_>) {
        match event {
            Event::WorkerStarted { worker, .. } => self.report(format_args!("started {}", worker.0)),
            Event::Completed { id, .. } => self.report(format_args!("completed {id}")),
            Event::Retrying { id, attempt, error, .. } => {
                self.report(format_args!("retrying {id} {attempt} {error}"));
            }
            Event::Failed { id, attempt, error, .. } => {
                self.report(format_args!("failed {id} {attempt} {error}"))
            }
            Event::Postponed { id, .. } => self.report(format_args!("postponed {id}")),
            Event::ResultDiscarded { id, attempt, .. } => {
                self.report(format_args!("discarded {id} {attempt}"))
            }
            Event::Rescued { worker, jobs } => self.report(format_args!("rescued {} {jobs}", worker.0)),
            Event::LeaseLost { worker } => self.report(format_args!("lease-lost {}", worker.0)),
            Event::StoreError { error } => {
                self.report(format_args!("store-error {:?} {error}", error.kind()))
            }
            Event::WorkerStopping { .. } => self.report(format_args!("waits-to-stop")),
            Event::WorkerStopped { released, .. } => self.report(format_args!("stopped {released}")),
            _ => {}
        }
    }

    pub(crate) fn connect(&self) -> Fallible<Connection> {
        let conn = Connection::open(&self.db)?;
        conn.busy_timeout(Duration::from_secs(10))?;
        Ok(conn)
    }

    /// The file whose creation opens the gate of this attempt.
    pub(crate) fn gate(&self, ctx: &JobContext) -> PathBuf {
        self.db.with_file_name(format!("gate-{}-{}", ctx.job_id(), ctx.attempt()))
    }
}

pub(crate) fn micros() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros())
}

pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

pub(crate) fn wait_for_file(path: &Path) {
    while !path.exists() {
        pause(Duration::from_millis(2));
    }
}

/// As [`wait_for_file`], without blocking the thread.
pub(crate) async fn file_is_there(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
