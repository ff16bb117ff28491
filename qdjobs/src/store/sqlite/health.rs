//! Collects the facts of a health report: [`HealthRecord`], in which the writer notes errors, checkpoints and
//! a full disk.
//!
//! Does not decide when the disk counts as full: see `writer/upkeep.rs`. Whether the store has halted is
//! noted in the request queue, which refuses requests by it.
//!
//! Depends on `store::health`. SQLite never comes in.
//!
//! A health report costs no query: the writer notes what it finds anyway, and the report reads these notes.

use std::path::{Path, PathBuf};

use crate::model::clock::Timestamp;
use crate::model::error::Error;
use crate::store::{Checkpoint, Failure, Health, HealthState, SqliteHealth};
use crate::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct HealthRecord {
    log: PathBuf,
    world_readable: bool,
    wal_reset_bug: bool,
    /// Locked to write or read a field, never during a statement.
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    full_since: Option<Timestamp>,
    last_checkpoint: Option<Checkpoint>,
    /// The frame at which the last checkpoint was blocked, and when a checkpoint was first blocked there.
    blocked: Option<(u64, Timestamp)>,
    last_error: Option<Failure>,
}

impl HealthRecord {
    /// For the database at `path`, whose log is `log`. `wal_reset_bug` states whether the linked SQLite has that
    /// bug.
    pub(super) fn of(path: &Path, log: &Path, wal_reset_bug: bool) -> HealthRecord {
        let world_readable = is_world_readable(path);
        HealthRecord { log: log.to_owned(), world_readable, wal_reset_bug, notes: Mutex::default() }
    }

    /// Notes how far a checkpoint got: to the end of the log, or to a frame that a reader still needs.
    pub(super) fn note_checkpoint(&self, at: Timestamp, pages: u64, written_back: u64, busy: bool) {
        let blocked = busy || written_back < pages;
        let mut notes = self.lock();
        let since = notes.blocked.filter(|(frame, _)| *frame == written_back).map_or(at, |(_, since)| since);
        notes.blocked = blocked.then_some((written_back, since));
        notes.last_checkpoint = Some(Checkpoint { at, pages, written_back, blocked });
    }

    /// Notes that a whole transaction has failed.
    pub(super) fn note_failure(&self, at: Timestamp, error: &Error) {
        self.lock().last_error = Some(Failure { at, error: error.to_string() });
    }

    /// Notes whether the disk is full.
    pub(super) fn note_full(&self, full: bool, now: Timestamp) {
        let mut notes = self.lock();
        notes.full_since = full.then(|| notes.full_since.unwrap_or(now));
    }

    /// The health report. `halted` is the reason if the store has halted.
    pub(super) fn health(&self, halted: Option<Error>) -> Health {
        // Only the size of the log is read. Opening and closing the log would drop SQLite's locks.
        let wal_bytes = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        let notes = self.lock();
        let state = match (halted, notes.full_since) {
            (Some(halted), _) => HealthState::Halted { reason: halted.to_string() },
            (None, Some(since)) => HealthState::StorageFull { since },
            (None, None) => HealthState::Ok,
        };
        let sqlite = SqliteHealth {
            wal_bytes,
            last_checkpoint: notes.last_checkpoint.clone(),
            checkpoint_blocked_since: notes.blocked.map(|(_, since)| since),
            world_readable: self.world_readable,
            wal_reset_bug: self.wal_reset_bug,
        };
        Health { state, last_error: notes.last_error.clone(), sqlite: Some(sqlite) }
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(unix)]
fn is_world_readable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn is_world_readable(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_blocked_since_the_first_checkpoint_that_got_no_further() {
        let health = HealthRecord::of(Path::new("none.db"), Path::new("none.db-wal"), false);
        let at = |second| Timestamp::from_second(second).unwrap();
        let blocked_since = || health.health(None).sqlite.unwrap().checkpoint_blocked_since;
        for (second, pages, written_back, since) in [
            (1, 10, 10, None),
            (2, 20, 15, Some(2)),
            (3, 30, 15, Some(2)),
            (9, 40, 15, Some(2)),
            (10, 50, 30, Some(10)),
            (11, 60, 60, None),
        ] {
            health.note_checkpoint(at(second), pages, written_back, false);
            assert_eq!(blocked_since(), since.map(at), "at {second}");
        }
    }
}
