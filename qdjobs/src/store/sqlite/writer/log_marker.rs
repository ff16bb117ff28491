//! Decides when a mark is written into the write-ahead log: [`LogMarker`].
//!
//! What a mark is for, and its bytes, are in `connection/log_mark.rs`. The writer calls it through `upkeep.rs`.
//!
//! Depends on `log_mark` and on `files/log.rs`.
//!
//! SQLite begins the log anew in a commit that follows a checkpoint of the whole log. The first transaction
//! after a checkpoint of this process writes the mark. The automatic checkpoints of SQLite, also those of other
//! programs, are seen after the next commit, at the salts of the log: then the transaction after it writes the
//! mark, or a transaction of its own does so when nothing is written for a while.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use crate::store::sqlite::connection::log_mark;
use crate::store::sqlite::files::log::{self, Salts};

/// A mark gets a transaction of its own if none was written for this time.
const PATIENCE: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(in crate::store::sqlite) struct LogMarker {
    path: PathBuf,
    /// Opened when it is first read, and kept open.
    log: Option<File>,
    /// The salts of the log that has a mark.
    marked: Option<Salts>,
    /// The next transaction writes a mark.
    is_wanted: bool,
    /// The current transaction has written one.
    is_written: bool,
    /// The log has a commit and no mark: since then, or since a mark was last tried.
    overdue: Option<Duration>,
}

impl LogMarker {
    /// A marker of the log at `path`, whose database has just been opened and its log marked.
    pub(in crate::store::sqlite) fn of(path: &Path) -> LogMarker {
        let mut marker = LogMarker {
            path: path.to_owned(),
            log: None,
            marked: None,
            is_wanted: false,
            is_written: false,
            overdue: None,
        };
        marker.marked = marker.salts();
        marker
    }

    /// Called after a checkpoint of the whole log: the next commit begins a new one.
    pub(super) fn is_written_back(&mut self) {
        self.is_wanted = true;
    }

    /// Whether the next transaction writes a mark.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// How long until a mark gets a transaction of its own.
    pub(super) fn sleep(&self, now: Duration) -> Option<Duration> {
        self.overdue.map(|since| (since + PATIENCE).saturating_sub(now))
    }

    /// Whether a mark gets a transaction of its own now. If that fails, it is tried again later.
    pub(super) fn is_due(&mut self, now: Duration) -> bool {
        let is_due = self.sleep(now).is_some_and(|left| left.is_zero());
        if is_due {
            self.overdue = Some(now);
        }
        is_due
    }

    /// Writes the mark in the current transaction, if it is wanted.
    pub(super) fn mark(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        if self.is_wanted {
            log_mark::write(conn)?;
        }
        self.is_written = self.is_wanted;
        Ok(())
    }

    /// Called after a commit.
    pub(super) fn has_committed(&mut self, now: Duration) {
        let salts = self.salts();
        if std::mem::take(&mut self.is_written) {
            self.marked = salts;
            (self.is_wanted, self.overdue) = (false, None);
        } else if salts.is_some() && salts != self.marked {
            self.is_wanted = true;
            self.overdue.get_or_insert(now);
        }
    }

    /// The salts of the log; `None` if it has none, or is not a file of this machine.
    fn salts(&mut self) -> Option<Salts> {
        if self.log.is_none() {
            self.log = File::open(&self.path).ok();
        }
        self.log.as_ref().and_then(log::salts)
    }
}
