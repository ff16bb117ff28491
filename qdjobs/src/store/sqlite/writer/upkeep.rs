//! Decides when the disk counts as full, and takes care of the log and the disk reserve between transactions:
//! [`Upkeep`].
//!
//! The reserve file and its size are in `files/disk_reserve.rs`. That nothing is claimed on a full disk is
//! decided in `sqlite/transaction.rs`. When the log is written back is decided in `checkpointer.rs`, when it is
//! marked in `log_marker.rs`.
//!
//! Depends on the checkpointer, the marker, the reserve and the health record.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::checkpointer::Checkpointer;
use super::log_marker::LogMarker;
use crate::model::clock::{Clock, Timestamp};
use crate::model::error::{Error, Result};
use crate::store::sqlite::connection::open::SqliteOptions;
use crate::store::sqlite::files::disk_reserve::DiskReserve;
use crate::store::sqlite::health::HealthRecord;

pub(super) struct Upkeep {
    clock: Clock,
    health: Arc<HealthRecord>,
    pub(super) checkpointer: Checkpointer,
    pub(super) log_marker: LogMarker,
    pub(super) reserve: DiskReserve,
    /// The last write found no space.
    pub(super) is_full: bool,
}

impl Upkeep {
    /// The upkeep of the database at `path`, with a disk reserve in `dir`.
    pub(super) fn new(
        path: &Path,
        dir: &Path,
        options: &SqliteOptions,
        clock: Clock,
        health: Arc<HealthRecord>,
    ) -> Upkeep {
        let checkpointer = Checkpointer::of(path, options.durability, clock.clone(), health.clone());
        let log_marker = LogMarker::of(checkpointer.log());
        let reserve = DiskReserve::new(dir, options.disk_reserve);
        Upkeep { clock, health, checkpointer, log_marker, reserve, is_full: false }
    }

    /// How long to sleep until a checkpoint or a mark of the log is due, or until the disk must be checked for
    /// space.
    pub(super) fn sleep(&self) -> Option<Duration> {
        let log = self.log_sleep().and_then(|wait| self.clock.sleep(wait));
        log.into_iter().chain(self.reserve.sleep(self.clock.elapsed())).min()
    }

    fn log_sleep(&self) -> Option<Duration> {
        let now = self.clock.monotonic();
        self.checkpointer.sleep(now).into_iter().chain(self.log_marker.sleep(now)).min()
    }

    /// Whether work is due later, so that the thread must not sleep without a limit.
    pub(super) fn has_chores(&self) -> bool {
        self.reserve.is_released() || self.log_sleep().is_some()
    }

    /// Whether the disk is full, so that no new job is stored or claimed.
    pub(super) fn refuses_jobs(&self) -> bool {
        self.reserve.is_released()
    }

    /// Makes a checkpoint if it is due.
    pub(super) fn write_back(&mut self, conn: &Connection) -> Result<()> {
        let written = self.checkpointer.write_back(conn, self.clock.monotonic());
        self.note(written)
    }

    /// Whether the mark of the log needs a transaction of its own now.
    pub(super) fn is_mark_due(&mut self) -> bool {
        self.log_marker.is_due(self.clock.monotonic()) && !self.refuses_jobs()
    }

    /// Called between two transactions. Limits the size of the log and checks the disk reserve.
    pub(super) fn between_transactions(&mut self, conn: &Connection, has_workers: bool) -> Result<()> {
        let cut = self.checkpointer.cut(conn, self.clock.monotonic());
        let noted = self.note(cut);
        self.reserve.check(self.clock.elapsed(), has_workers);
        if self.reserve.is_released() {
            self.note_full(true);
        }
        noted
    }

    /// Whether the disk has space again.
    pub(super) fn has_room_again(&mut self) -> bool {
        let has_room = self.reserve.try_restore(self.clock.elapsed());
        if has_room {
            self.note_full(false);
        }
        has_room
    }

    /// Records that a transaction with about this many rows was committed.
    pub(super) fn has_written(&mut self, rows: usize) {
        if !self.reserve.is_released() {
            self.note_full(false);
        }
        let now = self.clock.monotonic();
        self.checkpointer.has_grown(rows, now);
        self.log_marker.has_committed(now);
    }

    /// Called when a write found no space. Releases the reserve for running jobs.
    pub(super) fn has_no_room(&mut self) {
        self.reserve.release(self.clock.elapsed());
        self.note_full(true);
    }

    /// Records that a transaction failed as a whole.
    pub(super) fn has_failed(&self, error: &Error, at: Timestamp) {
        self.health.note_failure(at, error);
    }

    /// The last failure in the health record.
    #[cfg(test)]
    pub(super) fn last_error(&self) -> Option<crate::store::health::Failure> {
        self.health.health(None).last_error
    }

    /// Records a failed checkpoint, and returns it, because it shows a problem of the disk. After a checkpoint of
    /// the whole log, the next one is marked.
    fn note(&mut self, checkpoint: Result<bool>) -> Result<()> {
        if checkpoint.inspect_err(|error| self.health.note_failure(self.clock.now(), error))? {
            self.log_marker.is_written_back();
        }
        Ok(())
    }

    fn note_full(&mut self, is_full: bool) {
        if self.is_full != is_full || is_full {
            self.is_full = is_full;
            self.health.note_full(is_full, self.clock.now());
        }
    }
}
