//! A [`History`]: what one process called, was answered and did, one line each, in order.
//!
//! Depends on serde. Each line is one write at the end of a file that only this process writes, so a kill can
//! truncate only the last line, and that one is ignored. Times are of the monotonic clock, which is the same
//! for all processes of a machine.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::clock;

/// One record of one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Microseconds of the monotonic clock.
    pub(crate) at: u64,
    /// The number of the process: the parent's is 0.
    pub(crate) by: u32,
    #[serde(flatten)]
    pub(crate) fact: Fact,
}

/// What happened. A call is recorded before it is made, an answer after it has arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub(crate) enum Fact {
    // -- by the parent
    /// The parent begins, for the first time or again. `wall` is the same instant by the wall clock,
    /// `seq` the last transition of the database by then.
    Session { boot: String, seed: u64, wall: i64, seq: i64 },
    /// How long the faults have lasted, over all sessions.
    FaultTime { fault_ms: u64 },
    /// A process was started.
    Spawned { process: u32, pid: u32, role: Role, lease_ms: u64 },
    /// A signal is about to be sent.
    Signalled { process: u32, signal: Signal },
    /// A process has ended: how, the last transition of the database by then, how many jobs its workers
    /// still hold in the database and how many of them are still registered.
    Reaped { process: u32, code: Option<i32>, signal: Option<i32>, seq: i64, running: i64, listed: i64 },
    /// The rows of a dead process were free, this long after its end. `clean`: another worker was up all
    /// that time, and no process was stopped that might have held the write lock.
    Freed { process: u32, micros: u64, clean: bool },
    /// What a process holds now.
    Sample { process: u32, fds: u64, threads: u64 },
    /// No faults from here on.
    FaultsOver,
    /// Nothing is left to do.
    Drained,

    // -- by processes that enqueue
    /// A job is about to be enqueued, due not before this long from now.
    EnqueueCalled { mark: u64, task: String, hash: u64, delay_ms: u64 },
    /// The queue reports that it is stored.
    EnqueueAcked { mark: u64, job: i64 },
    /// The queue reports that it is not stored, or may be.
    EnqueueFailed { mark: u64, kind: String, may_be_stored: bool },
    /// A command on a job is about to be sent.
    CommandCalled { verb: Verb, job: i64 },
    /// The command was carried out.
    CommandDone { verb: Verb, job: i64 },
    /// The command was refused.
    CommandRefused { verb: Verb, job: i64, kind: String, may_be_stored: bool },

    // -- by workers
    /// A worker has started, or has registered again under a new number (which is not reported to it).
    WorkerStarted { worker: i64 },
    /// The first statement of a task. `wall` is the wall clock then.
    TaskStarted { job: i64, attempt: u32, task: String, mark: u64, hash: u64, wall: i64, scheduled_at: i64 },
    /// The last statement of a task.
    TaskEnded { job: i64, attempt: u32, end: TaskEnd },
    /// The process is about to abort, in this attempt.
    Abort { job: i64, attempt: u32 },
    /// The worker reports that a job has completed,
    Completed { job: i64 },
    /// that an attempt has failed and another follows after a wait,
    Retrying { job: i64, attempt: u32, wait_ms: u64 },
    /// that a job has failed for good,
    Failed { job: i64, attempt: u32 },
    /// that a task has cancelled its job,
    Cancelled { job: i64 },
    /// that a result came too late,
    ResultDiscarded { job: i64, attempt: u32 },
    /// that the jobs of a dead worker are free,
    Rescued { worker: i64, jobs: usize },
    /// that its own lease has expired,
    LeaseLost { worker: i64 },
    /// that the store failed,
    StoreError { kind: String },
    /// that it has stopped.
    WorkerStopped { released: usize },

    /// The last line of a process that ends by itself: the error, if any.
    Exit { error: Option<String> },
}

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Worker,
    /// Enqueues through qdjobs, and sends commands now and then.
    Enqueuer,
    /// Inserts by plain SQL, on a connection that does not use qdjobs.
    Inserter,
}

impl Role {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Role::Worker => "worker",
            Role::Enqueuer => "enqueuer",
            Role::Inserter => "inserter",
        }
    }
}

/// A signal from the parent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Signal {
    Kill,
    Stop,
    Cont,
    Term,
}

/// A command on a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verb {
    Retry,
    Cancel,
    Delete,
}

/// How a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TaskEnd {
    Good,
    Error,
    Panic,
    /// Early, since `should_stop` was true.
    Early,
    /// Its own transaction has committed, with the completion in it.
    Committed,
    /// Its own transaction was not committed.
    NotCommitted,
}

/// The file to which one process appends its records.
#[derive(Debug)]
pub(crate) struct History {
    file: File,
    by: u32,
}

impl History {
    /// The history of the process numbered `by`, in the directory `dir`; continues where it ended.
    pub(crate) fn open(dir: &Path, by: u32, role: &str) -> std::io::Result<History> {
        let path = dir.join(format!("{by:06}-{role}.jsonl"));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let history = History { file, by };
        if history.file.metadata()?.len() > 0 {
            // Ends a line that a kill has truncated: alone on its line it stays unreadable.
            (&history.file).write_all(b"\n")?;
        }
        Ok(history)
    }

    /// Appends it, in one write. A history with a gap proves nothing, so a process that cannot append
    /// exits.
    pub(crate) fn append(&self, fact: Fact) {
        let line = Line { at: clock::monotonic_micros(), by: self.by, fact };
        let written = serde_json::to_string(&line).map_err(std::io::Error::from).and_then(|mut text| {
            text.push('\n');
            (&self.file).write_all(text.as_bytes())
        });
        if written.is_err() {
            std::process::exit(NO_HISTORY);
        }
    }
}

/// The exit code of a process that could not write its history.
pub(crate) const NO_HISTORY: i32 = 71;

/// All lines of all processes in `dir`, ordered by time, without the lines that a kill has truncated.
pub(crate) fn read(dir: &Path) -> std::io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let text = std::fs::read_to_string(entry?.path())?;
        lines.extend(parse(&text)?);
    }
    // Stable: lines of one process at the same microsecond keep their order.
    lines.sort_by_key(|line: &Line| line.at);
    Ok(lines)
}

/// The lines of one file. Only the last line of a session may be unreadable: the last of the file, or the one
/// before a line that begins a session.
fn parse(text: &str) -> std::io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut torn = None;
    for piece in text.lines().filter(|piece| !piece.is_empty()) {
        let line = serde_json::from_str::<Line>(piece);
        let is_damaged = match &line {
            Ok(line) => torn.is_some() && !matches!(line.fact, Fact::Session { .. }),
            Err(_) => torn.is_some(),
        };
        if is_damaged {
            return Err(std::io::Error::other(format!("a history is damaged: {torn:?}")));
        }
        torn = line.as_ref().err().map(|_| piece);
        lines.extend(line);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_truncated_by_a_kill_is_ignored_and_the_others_are_read() {
        let line = |fact| serde_json::to_string(&Line { at: 1, by: 0, fact }).unwrap() + "\n";
        let whole = line(Fact::EnqueueAcked { mark: 1 << 40, job: 7 });
        let session = line(Fact::Session { boot: String::new(), seed: 1, wall: 2, seq: 0 });
        let torn = format!("{whole}{}", &line(Fact::FaultsOver)[..10]);
        assert_eq!(parse(&torn).unwrap().len(), 1);
        assert_eq!(parse(&format!("{torn}\n{session}{whole}")).unwrap().len(), 3);
        assert!(parse(&format!("{torn}\n{whole}")).is_err(), "a hole in the middle proves nothing");
    }
}
