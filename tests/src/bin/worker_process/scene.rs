//! What a victim shares with its tasks: where the database is, and where to say what happened.
//!
//! Leans on std and rusqlite. No task and no mode stands here.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use qdjobs::rusqlite::Connection;
use qdjobs::{Event, JobContext};

use crate::Fallible;

#[derive(Clone)]
pub(crate) struct Scene {
    db: PathBuf,
    pub(crate) ledger: Option<Arc<File>>,
}

impl Scene {
    pub(crate) fn of(db: &str) -> Scene {
        Scene { db: db.into(), ledger: None }
    }

    /// One write a line, so that a kill cannot tear it and processes cannot mix theirs.
    pub(crate) fn say(&self, what: std::fmt::Arguments<'_>) {
        // An error's text has several lines.
        let what = what.to_string().replace('\n', " ");
        let line = format!("{} {} {what}\n", micros(), std::process::id());
        // Nobody listens any more: then it does not matter.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
        if let Some(mut ledger) = self.ledger.as_deref() {
            let _ = ledger.write_all(line.as_bytes());
        }
    }

    pub(crate) fn begun(&self, ctx: &JobContext) {
        self.say(format_args!("start {} {} {}", ctx.job_id(), ctx.attempt(), ctx.task_name()));
    }

    pub(crate) fn ended(&self, ctx: &JobContext) {
        self.say(format_args!("end {} {}", ctx.job_id(), ctx.attempt()));
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        match event {
            Event::WorkerStarted { worker, .. } => self.say(format_args!("started {}", worker.0)),
            Event::Completed { id, .. } => self.say(format_args!("completed {id}")),
            Event::Retrying { id, attempt, error, .. } => {
                self.say(format_args!("retrying {id} {attempt} {error}"));
            }
            Event::Failed { id, attempt, error, .. } => {
                self.say(format_args!("failed {id} {attempt} {error}"))
            }
            Event::ResultDiscarded { id, attempt } => self.say(format_args!("refused {id} {attempt}")),
            Event::Rescued { worker, jobs } => self.say(format_args!("rescued {} {jobs}", worker.0)),
            Event::LeaseLost { worker } => self.say(format_args!("lost {}", worker.0)),
            Event::StoreError { error } => self.say(format_args!("trouble {:?} {error}", error.kind())),
            Event::WorkerStopped { released, .. } => self.say(format_args!("stopped {released}")),
            _ => {}
        }
    }

    pub(crate) fn connect(&self) -> Fallible<Connection> {
        let conn = Connection::open(&self.db)?;
        conn.busy_timeout(Duration::from_secs(10))?;
        Ok(conn)
    }

    /// Where the test opens the gate of this attempt.
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

/// As [`wait_for_file`], while the thread is free for others.
pub(crate) async fn file_is_there(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
