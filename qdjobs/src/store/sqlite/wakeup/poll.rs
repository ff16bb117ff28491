//! How a waiting process learns that another connection has written, when nobody rings at its door: [`ChangePoll`].
//!
//! Leans on rusqlite for `PRAGMA data_version`, which changes with each commit of another connection, and on `watch` for the
//! news that the file was touched. Plain inserts by programs without qdjobs are found this way and no other.
//!
//! The news of a change comes when it is written; it can be seen only once it is committed, a sync later. So after the news
//! the file is looked at in short steps. A process that has just written sets no watch yet, since its own next commit would
//! trip it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use crate::store::engine::requests::{RequestQueue, Sleep};

#[cfg(target_os = "linux")]
use super::inotify::Watch;

/// How often to look where the platform does not tell of changes. Half of this is the median wait of a plainly inserted job
/// there; one look costs 1 to 2 microseconds, the wake-up for it ten times that.
const LOOK: Duration = Duration::from_millis(25);

/// How often to look beside a watch: for file systems that take one and then tell nothing.
const LOOK_BESIDE: Duration = Duration::from_millis(250);

/// How long after the last work a watch is set. It is also the least time between two looks at the work of others, however
/// fast they write.
const SETTLE: Duration = Duration::from_millis(1);

/// Looks after news: the first step, each later one half as long again, and the end. On a disk whose sync takes longer the
/// look beside the watch finds the commit, or the next news do.
const STEP: Duration = Duration::from_micros(60);
const STEPS_END: Duration = Duration::from_millis(40);

#[derive(Debug)]
pub(in crate::store::sqlite) struct ChangePoll {
    #[cfg(target_os = "linux")]
    watch: Watch,
    #[cfg(target_os = "linux")]
    request_queue: Arc<RequestQueue>,
    /// `PRAGMA data_version` at the last look, if what it told of has been seen to.
    seen: Option<i64>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// This process has just worked.
    Settling,
    /// The platform tells of changes.
    Watching,
    /// Something was written; it will be committed, or was of no interest.
    Expecting { step: Duration, waited: Duration },
    /// The platform tells nothing, or the last look came to nothing.
    Blind,
}

impl ChangePoll {
    /// For the database whose write-ahead log is `log`; news are told to `request_queue`.
    pub(in crate::store::sqlite) fn new(log: &Path, request_queue: &Arc<RequestQueue>) -> ChangePoll {
        #[cfg(not(target_os = "linux"))]
        let _ = (log, request_queue);
        ChangePoll {
            #[cfg(target_os = "linux")]
            watch: Watch::new(log, request_queue),
            #[cfg(target_os = "linux")]
            request_queue: request_queue.clone(),
            seen: None,
            phase: Phase::Settling,
        }
    }

    /// News come from a simulation.
    #[cfg(test)]
    pub(in crate::store::sqlite) fn simulate(&mut self) {
        #[cfg(target_os = "linux")]
        {
            self.watch.simulated = true;
        }
    }

    /// Until the next look.
    pub(in crate::store::sqlite) fn sleep(&self) -> Sleep {
        let (limit, news) = match self.phase {
            Phase::Settling => (SETTLE, false),
            Phase::Watching => (LOOK_BESIDE, true),
            // News that come meanwhile are of the same commit, or of one that the watch set anew will tell.
            Phase::Expecting { step, .. } => (step, false),
            Phase::Blind => (LOOK, false),
        };
        Sleep { limit: Some(limit), news }
    }

    /// This process has written something itself.
    pub(in crate::store::sqlite) fn has_worked(&mut self) {
        self.phase = Phase::Settling;
    }

    /// After a sleep: whether another connection has committed since the last look.
    pub(in crate::store::sqlite) fn look(&mut self, conn: &Connection) -> bool {
        // The watch before the look: what is committed between the two is seen by the look.
        self.phase = match self.phase {
            Phase::Settling | Phase::Blind => self.set_watch(),
            Phase::Watching if self.has_news() => {
                self.set_watch();
                Phase::Expecting { step: STEP, waited: Duration::ZERO }
            }
            Phase::Expecting { step, waited } if waited < STEPS_END => {
                Phase::Expecting { step: step * 3 / 2, waited: waited + step }
            }
            Phase::Watching | Phase::Expecting { .. } => Phase::Watching,
        };
        let committed = self.others_committed(conn);
        if committed {
            self.phase = Phase::Settling;
        }
        committed
    }

    /// Whether another connection has committed since this was last asked.
    pub(in crate::store::sqlite) fn others_committed(&mut self, conn: &Connection) -> bool {
        let version = conn
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)));
        // A database that cannot be read is looked at by the next transaction, which says so.
        version.is_ok_and(|version| self.seen.replace(version) != Some(version))
    }

    /// Whether an answer that others have committed means that they have, and not that nobody has looked yet.
    pub(in crate::store::sqlite) fn has_looked(&self) -> bool {
        self.seen.is_some()
    }

    /// What the last look told of could not be seen to: the next one tells of it again, after a pause.
    pub(in crate::store::sqlite) fn forget(&mut self) {
        self.seen = None;
        self.phase = Phase::Blind;
    }

    #[cfg(target_os = "linux")]
    fn set_watch(&mut self) -> Phase {
        if self.watch.set() { Phase::Watching } else { Phase::Blind }
    }

    #[cfg(not(target_os = "linux"))]
    fn set_watch(&mut self) -> Phase {
        Phase::Blind
    }

    #[cfg(target_os = "linux")]
    fn has_news(&self) -> bool {
        self.request_queue.take_news()
    }

    #[cfg(not(target_os = "linux"))]
    fn has_news(&self) -> bool {
        false
    }

    /// Ends the watch.
    pub(in crate::store::sqlite) fn close(&mut self) {
        #[cfg(target_os = "linux")]
        self.watch.close();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_commit_of_another_connection_wakes_whoever_watches_and_is_then_seen() {
        let dir = crate::store::sqlite::scratch("change_poll");
        let path = dir.join("some.db");
        let (ours, other) = (Connection::open(&path).unwrap(), Connection::open(&path).unwrap());
        ours.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE it (n)").unwrap();
        other.execute_batch("INSERT INTO it VALUES (1)").unwrap();
        let request_queue = Arc::new(RequestQueue::default());
        let mut change_poll = ChangePoll::new(&dir.join("some.db-wal"), &request_queue);
        change_poll.look(&ours);
        while change_poll.look(&ours) {}
        assert!(change_poll.sleep().news, "{change_poll:?}");

        let writing = std::thread::spawn(move || other.execute_batch("INSERT INTO it VALUES (2)").unwrap());
        // Without a limit: it ends by the news, or never. They may come long before the commit can be seen.
        request_queue.wait(Sleep { limit: None, news: true });
        while !change_poll.look(&ours) {
            request_queue.wait(Sleep { news: false, ..change_poll.sleep() });
        }
        writing.join().unwrap();
        change_poll.close();
        drop(ours);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
