//! Decides how often to look for commits of other connections, by `PRAGMA data_version`: [`ChangePoll`].
//!
//! What is done about a found commit is decided in `writer/mod.rs`.
//!
//! Depends on rusqlite, on `inotify` and on the requests of the engine. Job statements never come in.
//!
//! `PRAGMA data_version` changes with each commit of another connection. `inotify` reports that the log was
//! written, so that the next poll can be early. Plain inserts by programs without qdjobs are found only in
//! this way.
//!
//! A change is reported when it is written, but it is visible only when it is committed, one sync later. So
//! after a report the file is polled in short steps. A process that has just written adds no watch yet, since
//! its own next commit would trigger it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use crate::store::engine::requests::{RequestQueue, Sleep};

#[cfg(target_os = "linux")]
use super::inotify::InotifyWatch;

/// The poll interval where the platform does not report changes. Half of it is the median wait of a job
/// inserted by plain SQL. One poll costs 1 to 2 microseconds, and the wake-up for it ten times that.
const INTERVAL: Duration = Duration::from_millis(25);

/// The poll interval beside a watch, for file systems that accept a watch and then report nothing.
pub(in crate::store::sqlite) const INTERVAL_WATCHED: Duration = Duration::from_millis(250);

/// How long after its own last write a process adds a watch. It is also the shortest time between two polls,
/// even if other processes write faster.
const AFTER_WRITE: Duration = Duration::from_millis(1);

/// The polls after a reported change: the first step, after which each step is 1.5 times as long, and the
/// total. If the sync of a disk takes longer, the poll beside the watch finds the commit, or the next report
/// does.
const STEP: Duration = Duration::from_micros(60);
const STEPS_TOTAL: Duration = Duration::from_millis(40);

#[derive(Debug)]
pub(in crate::store::sqlite) struct ChangePoll {
    #[cfg(target_os = "linux")]
    watch: InotifyWatch,
    #[cfg(target_os = "linux")]
    request_queue: Arc<RequestQueue>,
    /// `PRAGMA data_version` at the last poll. `None` if a commit it reported has not been processed.
    seen: Option<i64>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// This process has just written.
    AfterWrite,
    /// A watch is set: the platform reports changes.
    Watched,
    /// A change was reported. Its commit follows, or the change was no commit.
    CommitExpected { step: Duration, waited: Duration },
    /// The platform does not report changes, or the last commit could not be processed.
    Unwatched,
}

impl ChangePoll {
    /// For the database whose write-ahead log is `log`. Changes are reported to `request_queue`.
    pub(in crate::store::sqlite) fn new(log: &Path, request_queue: &Arc<RequestQueue>) -> ChangePoll {
        #[cfg(not(target_os = "linux"))]
        let _ = (log, request_queue);
        ChangePoll {
            #[cfg(target_os = "linux")]
            watch: InotifyWatch::new(log, request_queue),
            #[cfg(target_os = "linux")]
            request_queue: request_queue.clone(),
            seen: None,
            phase: Phase::AfterWrite,
        }
    }

    /// Lets a simulation report the changes.
    #[cfg(test)]
    pub(in crate::store::sqlite) fn simulate(&mut self) {
        #[cfg(target_os = "linux")]
        {
            self.watch.simulated = true;
        }
    }

    /// How long to sleep until the next poll, and whether a reported change ends the sleep.
    pub(in crate::store::sqlite) fn sleep(&self) -> Sleep {
        let (limit, wakes_on_change) = match self.phase {
            Phase::AfterWrite => (AFTER_WRITE, false),
            Phase::Watched => (INTERVAL_WATCHED, true),
            // A change reported meanwhile belongs to the same commit, or to one that the new watch reports.
            Phase::CommitExpected { step, .. } => (step, false),
            Phase::Unwatched => (INTERVAL, false),
        };
        Sleep { limit: Some(limit), wakes_on_change }
    }

    /// Notes that this process has written.
    pub(in crate::store::sqlite) fn note_own_write(&mut self) {
        self.phase = Phase::AfterWrite;
    }

    /// After a sleep: whether another connection has committed since the last poll.
    pub(in crate::store::sqlite) fn poll(&mut self, conn: &Connection) -> bool {
        // The watch is added before the poll: the poll sees a commit between the two.
        self.phase = match self.phase {
            Phase::AfterWrite | Phase::Unwatched => self.add_watch(),
            Phase::Watched if self.take_change() => {
                self.add_watch();
                Phase::CommitExpected { step: STEP, waited: Duration::ZERO }
            }
            Phase::CommitExpected { step, waited } if waited < STEPS_TOTAL => {
                Phase::CommitExpected { step: step * 3 / 2, waited: waited + step }
            }
            Phase::Watched | Phase::CommitExpected { .. } => Phase::Watched,
        };
        let committed = self.others_committed(conn);
        if committed {
            self.phase = Phase::AfterWrite;
        }
        committed
    }

    /// Whether another connection has committed since the last call.
    pub(in crate::store::sqlite) fn others_committed(&mut self, conn: &Connection) -> bool {
        let version = conn
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)));
        // If the database cannot be read, the next transaction reports the error.
        version.is_ok_and(|version| self.seen.replace(version) != Some(version))
    }

    /// Whether there is a version to compare with. Without one,
    /// [`others_committed`](ChangePoll::others_committed) returns `true` although no other connection may
    /// have committed.
    pub(in crate::store::sqlite) fn has_baseline(&self) -> bool {
        self.seen.is_some()
    }

    /// Makes the next poll report the last commit again, after a pause. Called when it could not be
    /// processed.
    pub(in crate::store::sqlite) fn report_again(&mut self) {
        self.seen = None;
        self.phase = Phase::Unwatched;
    }

    #[cfg(target_os = "linux")]
    fn add_watch(&mut self) -> Phase {
        if self.watch.add() { Phase::Watched } else { Phase::Unwatched }
    }

    #[cfg(not(target_os = "linux"))]
    fn add_watch(&mut self) -> Phase {
        Phase::Unwatched
    }

    #[cfg(target_os = "linux")]
    fn take_change(&self) -> bool {
        self.request_queue.take_file_change()
    }

    #[cfg(not(target_os = "linux"))]
    fn take_change(&self) -> bool {
        false
    }

    /// Ends the thread of the watch.
    pub(in crate::store::sqlite) fn close(&mut self) {
        #[cfg(target_os = "linux")]
        self.watch.close();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_commit_of_another_connection_wakes_the_waiting_process_and_is_then_found() {
        let dir = crate::store::sqlite::scratch("change_poll");
        let path = dir.join("some.db");
        let (own, other) = (Connection::open(&path).unwrap(), Connection::open(&path).unwrap());
        own.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE numbers (n)").unwrap();
        other.execute_batch("INSERT INTO numbers VALUES (1)").unwrap();
        let request_queue = Arc::new(RequestQueue::default());
        let mut change_poll = ChangePoll::new(&dir.join("some.db-wal"), &request_queue);
        change_poll.poll(&own);
        while change_poll.poll(&own) {}
        assert!(change_poll.sleep().wakes_on_change, "{change_poll:?}");

        let writing =
            std::thread::spawn(move || other.execute_batch("INSERT INTO numbers VALUES (2)").unwrap());
        // Without a limit: only the reported change ends it. The report may come long before the commit is
        // visible.
        request_queue.wait(Sleep { limit: None, wakes_on_change: true });
        while !change_poll.poll(&own) {
            request_queue.wait(Sleep { wakes_on_change: false, ..change_poll.sleep() });
        }
        writing.join().unwrap();
        change_poll.close();
        drop(own);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
