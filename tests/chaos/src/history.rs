//! A [`History`]: what one process called, was told and did, line by line, in the order in which it happened.
//!
//! Leans on serde. Each line is one write at the end of a file that only this process writes, so a kill can tear no line but the
//! last, and that one is not believed. The times are of the monotonic clock, which is the same for all processes of a machine.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::clock;

/// Something that one process says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Microseconds of the monotonic clock.
    pub(crate) at: u64,
    /// The number of the process: the parent's is 0.
    pub(crate) by: u32,
    #[serde(flatten)]
    pub(crate) fact: Fact,
}

/// What a line says. A call is told before it is made, an answer after it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub(crate) enum Fact {
    // -- by the parent
    /// The parent begins, for the first time or again. `wall` is the same instant by the wall clock, `seq` the last
    /// transition of the database by then.
    Session { boot: String, seed: u64, wall: i64, seq: i64 },
    /// The chaos has lasted so long by now, over all sessions.
    Pulse { chaos_ms: u64 },
    /// A process was started.
    Spawned { process: u32, pid: u32, role: Role, lease_ms: u64 },
    /// A signal is about to be sent.
    Signalled { process: u32, signal: Signal },
    /// A process is gone: how, which transition of the database was the last one by then, how many jobs its workers still hold by
    /// the books and whether they are still listed.
    Reaped { process: u32, code: Option<i32>, signal: Option<i32>, seq: i64, running: i64, listed: i64 },
    /// The rows of a dead process were free so long after it was gone. `clean`: another worker lived all that time, and nobody stood
    /// still who might have held the write lock.
    Freed { process: u32, micros: u64, clean: bool },
    /// What a process holds now.
    Sample { process: u32, fds: u64, threads: u64 },
    /// No faults from here on.
    Healed,
    /// Nothing is left to do.
    Drained,

    // -- by those who enqueue
    /// A job is about to be enqueued, not before this long from now.
    Called { mark: u64, task: String, hash: u64, delay_ms: u64 },
    /// It is stored, the queue says.
    Acked { mark: u64, job: i64 },
    /// It is not stored, or may be.
    Denied { mark: u64, kind: String, may_be_stored: bool },
    /// A person asks for a change of a job.
    Asked { verb: Verb, job: i64 },
    /// It was done.
    Done { verb: Verb, job: i64 },
    /// It was refused.
    Declined { verb: Verb, job: i64, kind: String, may_be_stored: bool },

    // -- by workers
    /// A worker has started, or has come back under a new number (which it is not told).
    Started { worker: i64 },
    /// The first line of a task. `wall` is the wall clock then.
    Start { job: i64, attempt: u32, task: String, mark: u64, hash: u64, wall: i64, scheduled_at: i64 },
    /// The last line of a task.
    End { job: i64, attempt: u32, how: How },
    /// The process is about to end itself, in this attempt.
    Abort { job: i64, attempt: u32 },
    /// The worker was told that a job has completed,
    Completed { job: i64 },
    /// that an attempt has failed and another follows after a wait,
    Retrying { job: i64, attempt: u32, wait_ms: u64 },
    /// that a job has failed for good,
    Failed { job: i64, attempt: u32 },
    /// that a task has cancelled its job,
    Cancelled { job: i64 },
    /// that a result came too late,
    Refused { job: i64, attempt: u32 },
    /// that a dead worker's jobs are free,
    Rescued { worker: i64, jobs: usize },
    /// that it was itself taken for dead,
    LeaseLost { worker: i64 },
    /// that the store failed,
    Trouble { kind: String },
    /// that it has stopped.
    Stopped { released: usize },

    /// The last line of a process that ends by itself: why.
    Bye { trouble: Option<String> },
}

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Worker,
    /// Enqueues through qdjobs, and is a person's hand now and then.
    Enqueuer,
    /// Inserts by plain SQL, on a connection that knows nothing of qdjobs.
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

/// What the parent does to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Signal {
    Kill,
    Stop,
    Cont,
    Term,
}

/// What a person asks for.
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
pub(crate) enum How {
    Good,
    Error,
    Panic,
    /// Early, since it was told to stop.
    Early,
    /// Its own transaction has committed with the completion in it.
    Committed,
    /// Its own transaction was not committed.
    NotCommitted,
}

/// Where one process says what happens.
#[derive(Debug)]
pub(crate) struct History {
    file: File,
    by: u32,
}

impl History {
    /// Of the process numbered `by`, in the directory `dir`: goes on where it ended.
    pub(crate) fn open(dir: &Path, by: u32, role: &str) -> std::io::Result<History> {
        let path = dir.join(format!("{by:06}-{role}.jsonl"));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let history = History { file, by };
        if history.file.metadata()?.len() > 0 {
            // Ends a line that was torn by a kill: by itself it stays unreadable.
            (&history.file).write_all(b"\n")?;
        }
        Ok(history)
    }

    /// Says it, in one write. A history with a hole proves nothing, so a process that cannot write it ends.
    pub(crate) fn say(&self, fact: Fact) {
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

/// All lines of all processes in `dir`, in the order of their times. Lines torn by a kill are left out.
pub(crate) fn read(dir: &Path) -> std::io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let text = std::fs::read_to_string(entry?.path())?;
        lines.extend(parse(&text)?);
    }
    // Stable: lines of one process at the same microsecond stay in their order.
    lines.sort_by_key(|line: &Line| line.at);
    Ok(lines)
}

/// The lines of one file. Only the last of a session may be unreadable: of the file, or before a line that begins a session.
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
    fn a_line_torn_by_a_kill_is_not_believed_and_the_others_are() {
        let line = |fact| serde_json::to_string(&Line { at: 1, by: 0, fact }).unwrap() + "\n";
        let whole = line(Fact::Acked { mark: 1 << 40, job: 7 });
        let session = line(Fact::Session { boot: String::new(), seed: 1, wall: 2, seq: 0 });
        let torn = format!("{whole}{}", &line(Fact::Healed)[..10]);
        assert_eq!(parse(&torn).unwrap().len(), 1);
        assert_eq!(parse(&format!("{torn}\n{session}{whole}")).unwrap().len(), 3);
        assert!(parse(&format!("{torn}\n{whole}")).is_err(), "a hole in the middle proves nothing");
    }
}
