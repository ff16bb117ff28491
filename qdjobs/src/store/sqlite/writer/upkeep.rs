//! Decides when the disk counts as full, and takes care of the log and the disk reserve between transactions:
//! [`Upkeep`].
//!
//! The reserve file and its size are in `files/disk_reserve.rs`. That nothing is claimed on a full disk is
//! decided in `sqlite/transaction.rs`. When the log is written back is decided in `checkpointer.rs`.
//!
//! Depends on the checkpointer, the reserve and the health record.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::checkpointer::Checkpointer;
use crate::model::clock::{Clock, Timestamp};
use crate::model::error::{Error, Result};
use crate::store::sqlite::connection::open::SqliteOptions;
use crate::store::sqlite::files::disk_reserve::DiskReserve;
use crate::store::sqlite::health::HealthRecord;

pub(super) struct Upkeep {
    clock: Clock,
    health: Arc<HealthRecord>,
    pub(super) checkpointer: Checkpointer,
    pub(super) reserve: DiskReserve,
    /// The last write found no room.
    pub(super) is_full: bool,
}

impl Upkeep {
    /// For the database at `path`, with a reserve in `dir`.
    pub(super) fn new(
        path: &Path,
        dir: &Path,
        options: &SqliteOptions,
        clock: Clock,
        health: Arc<HealthRecord>,
    ) -> Upkeep {
        let checkpointer = Checkpointer::of(path, options.durability, clock.clone(), health.clone());
        let reserve = DiskReserve::new(dir, options.disk_reserve);
        Upkeep { clock, health, checkpointer, reserve, is_full: false }
    }

    /// Until there is something to do: the log to be written back, or the disk to be looked at for room.
    pub(super) fn sleep(&self) -> Option<Duration> {
        let write_back = self.checkpointer.sleep(self.clock.monotonic());
        let write_back = write_back.and_then(|wait| self.clock.sleep(wait));
        write_back.into_iter().chain(self.reserve.sleep(self.clock.elapsed())).min()
    }

    /// Whether there is something to do later: the thread must not sleep for good.
    pub(super) fn has_chores(&self) -> bool {
        self.reserve.is_released() || self.checkpointer.sleep(self.clock.monotonic()).is_some()
    }

    /// Whether the disk is full, so that nothing is stored or claimed beside what runs.
    pub(super) fn refuses_jobs(&self) -> bool {
        self.reserve.is_released()
    }

    /// A quiet moment: writes the log back if there is enough.
    pub(super) fn write_back(&mut self, conn: &Connection) -> Result<()> {
        let written = self.checkpointer.write_back(conn, self.clock.monotonic());
        self.note(written)
    }

    /// Between two transactions: keeps the log below its ceiling, and looks at the reserve.
    pub(super) fn between_transactions(&mut self, conn: &Connection, has_workers: bool) -> Result<()> {
        let cut = self.checkpointer.cut(conn, self.clock.monotonic());
        let noted = self.note(cut);
        self.reserve.check(self.clock.elapsed(), has_workers);
        if self.reserve.is_released() {
            self.note_full(true);
        }
        noted
    }

    /// Whether the disk has room again.
    pub(super) fn has_room_again(&mut self) -> bool {
        let has_room = self.reserve.try_restore(self.clock.elapsed());
        if has_room {
            self.note_full(false);
        }
        has_room
    }

    /// A transaction was committed that wrote about so many rows.
    pub(super) fn has_written(&mut self, rows: usize) {
        if !self.reserve.is_released() {
            self.note_full(false);
        }
        self.checkpointer.has_grown(rows, self.clock.monotonic());
    }

    /// A write found no room: gives the reserve to what runs.
    pub(super) fn has_no_room(&mut self) {
        self.reserve.release(self.clock.elapsed());
        self.note_full(true);
    }

    /// A transaction failed as a whole.
    pub(super) fn has_failed(&self, error: &Error, at: Timestamp) {
        self.health.note_failure(at, error);
    }

    /// The last failure that the health record has.
    #[cfg(test)]
    pub(super) fn last_error(&self) -> Option<crate::store::health::Failure> {
        self.health.health(None).last_error
    }

    /// Notes a failure beside the transactions, and gives it back for what it says of the disk.
    fn note(&self, step: Result<()>) -> Result<()> {
        step.inspect_err(|error| self.health.note_failure(self.clock.now(), error))
    }

    fn note_full(&mut self, is_full: bool) {
        if self.is_full != is_full || is_full {
            self.is_full = is_full;
            self.health.note_full(is_full, self.clock.now());
        }
    }
}
