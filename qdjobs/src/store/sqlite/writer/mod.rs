//! The writing connection of this process: [`Writer`] decides when to look for due jobs, how long to sleep,
//! and halts the store.
//!
//! The store halts when `connection/error.rs` calls an error fatal. `commit.rs` has the transaction,
//! `insert_alone.rs` a single job, `recovery.rs` the next try after a failure. `upkeep.rs` has the full disk,
//! `checkpointer.rs` and `log_marker.rs` the write-ahead log, `fairness.rs` the pauses for other processes. Which thread works
//! here is decided in `thread.rs`.
//!
//! Depends on the engine for what a transaction does, and on the queries. Runs no job and no caller's code:
//! an answer wakes its waiter, which goes on elsewhere.
//!
//! ```text
//!   callers ──push──▶ request queue ──take──▶ [ BEGIN · requests · claims · COMMIT ] ──▶ answers ──▶ wake-ups
//!                           ▲                                                              │
//!                           └────── the next batch gathers while this one commits ◀────────┘
//! ```

pub(super) mod checkpointer;
mod commit;
mod fairness;
mod insert_alone;
mod local_workers;
mod log_marker;
mod recovery;
#[cfg(test)]
mod tests;
pub(super) mod thread;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use self::fairness::Fairness;
use self::local_workers::LocalWorkers;
use self::recovery::Recovery;
use self::upkeep::Upkeep;
use crate::model::clock::{Clock, Timestamp};
use crate::model::error::{Error, ErrorKind, Result};
use crate::store::engine::requests::{RequestQueue, Sleep};
use crate::store::engine::waiters::Waiters;
use crate::store::sqlite::connection::open::SqliteOptions;
use crate::store::sqlite::connection::{error, migrate, open};
use crate::store::sqlite::files::open_files::OpenFiles;
use crate::store::sqlite::files::worker_locks::WorkerLocks;
use crate::store::sqlite::health::HealthRecord;
use crate::store::sqlite::queries;
#[cfg(test)]
use crate::store::sqlite::testing::stepped;
use crate::store::sqlite::wakeup::poll::ChangePoll;
use crate::store::sqlite::wakeup::socket::WakeSockets;

/// How often a process with waiting calls or workers looks whether its files are still those of their names,
/// if it writes nothing.
const FILES_EVERY: Duration = Duration::from_millis(500);

pub(in crate::store::sqlite) struct Writer {
    conn: Connection,
    files: Arc<OpenFiles>,
    /// When the files were last looked at, in elapsed time.
    files_checked: Duration,
    options: SqliteOptions,
    clock: Clock,
    pub(in crate::store::sqlite) request_queue: Arc<RequestQueue>,
    /// The waiting calls of this process.
    waiters: Waiters,
    workers: LocalWorkers,
    sockets: WakeSockets,
    change_poll: ChangePoll,
    fairness: Fairness,
    upkeep: Upkeep,
    recovery: Recovery,
    /// The number of consecutive batches with a single request.
    pub(in crate::store::sqlite) singles: usize,
}

impl Writer {
    pub(in crate::store::sqlite) fn new(
        conn: Connection,
        files: Arc<OpenFiles>,
        options: SqliteOptions,
        clock: Clock,
        request_queue: Arc<RequestQueue>,
        worker_locks: Arc<WorkerLocks>,
        health: Arc<HealthRecord>,
    ) -> Writer {
        let workers = LocalWorkers::new(worker_locks);
        let upkeep = Upkeep::new(files.database(), workers.dir(), &options, clock.clone(), health);
        let sockets = WakeSockets::new(workers.dir().to_owned());
        let change_poll = ChangePoll::new(upkeep.checkpointer.log(), &request_queue);
        #[cfg(test)]
        let (change_poll, sockets) = stepped::disconnect_wakeups(change_poll, sockets, &clock);
        Writer {
            conn,
            files,
            files_checked: Duration::ZERO,
            options,
            clock,
            request_queue,
            waiters: Waiters::default(),
            workers,
            sockets,
            change_poll,
            fairness: Fairness::default(),
            upkeep,
            recovery: Recovery::default(),
            singles: 0,
        }
    }

    /// How long to sleep when no request waits. The thread wakes for upkeep of the disk. If a call waits, it
    /// also wakes when a job is due and for the next poll of other commits. If no call waits and no upkeep is
    /// left, it sleeps without a limit.
    pub(in crate::store::sqlite) fn sleep(&self) -> Sleep {
        if self.request_queue.is_halted() {
            return Sleep::default();
        }
        if self.must_recover() {
            // In real time, even with a manual clock, because the pause waits for the disk.
            return Sleep { limit: Some(self.recovery.pause), ..Sleep::default() };
        }
        let chores = self.upkeep.sleep().into_iter().chain(self.files_sleep()).min();
        if self.waiters.is_empty() {
            return Sleep { limit: chores, ..Sleep::default() };
        }
        let due = self.waiters.wakes_at().filter(|_| !self.upkeep.refuses_jobs());
        let rest = self.recovery.rest(self.clock.elapsed());
        let due = due.and_then(|_| self.waiters.next_look(&self.clock, self.clock.now()).max(rest));
        let sleep = self.change_poll.sleep();
        Sleep { limit: due.into_iter().chain(sleep.limit).chain(chores).min(), ..sleep }
    }

    /// Called when no request waits. Does the upkeep of the disk, and looks for due jobs and for commits of
    /// other connections. Begins a transaction only if a waiting call may need it.
    pub(in crate::store::sqlite) fn look(&mut self) {
        if self.request_queue.is_halted() {
            return self.end_all();
        }
        if self.files_sleep().is_some_and(|left| left.is_zero())
            && let Err(error) = self.check_files()
        {
            return self.consider(&error);
        }
        if self.must_recover() {
            return self.write(Vec::new(), true);
        }
        if let Err(error) = self.upkeep.write_back(&self.conn) {
            self.consider(&error);
        }
        if self.upkeep.has_room_again() {
            return self.write(Vec::new(), true);
        }
        if self.upkeep.is_mark_due() {
            self.write(Vec::new(), false);
        }
        let others_committed = self.change_poll.poll(&self.conn);
        // If the read fails, the transaction fails, too, and reports the error.
        if self.is_due() || (others_committed && self.is_concerned().unwrap_or(true)) {
            self.write(Vec::new(), others_committed);
        }
    }

    /// How long until the files have to be looked at. In real time, even with a manual clock.
    fn files_sleep(&self) -> Option<Duration> {
        let is_used = !self.waiters.is_empty() || !self.workers.is_empty();
        is_used.then(|| (self.files_checked + FILES_EVERY).saturating_sub(self.clock.elapsed()))
    }

    /// An error if the files are no longer those of their names.
    fn check_files(&mut self) -> Result<()> {
        let thorough = self.looks_at_files();
        self.files.check(thorough)
    }

    /// Whether it is time to look at the files although no name beside them has changed.
    fn looks_at_files(&mut self) -> bool {
        let now = self.clock.elapsed();
        let looks = now >= self.files_checked + FILES_EVERY;
        if looks {
            self.files_checked = now;
        }
        looks
    }

    /// Whether a job is due that may be made ready. On a full disk, no job is claimed, and making jobs ready
    /// would take space from running jobs.
    fn is_due(&self) -> bool {
        self.waiters.is_due(self.clock.now())
            && self.recovery.rest(self.clock.elapsed()).is_none()
            && !self.upkeep.refuses_jobs()
    }

    /// Whether commits of other connections matter to a waiting call. It only reads: another program may
    /// write its own tables in this file all the time. This process must not compete with it for the write
    /// lock.
    fn is_concerned(&mut self) -> rusqlite::Result<bool> {
        self.sockets.refresh(&self.conn)?;
        self.waiters.set_next_due(queries::finish::next_due(&self.conn)?);
        if migrate::refuse_newer_schema(&self.conn).is_err() {
            // The transaction then reports the error.
            return Ok(true);
        }
        if self.waiters.has_waits() || self.is_due() {
            return Ok(true);
        }
        for claim in self.waiters.claims() {
            let is_registered = queries::workers::is_registered(&self.conn, claim.worker)?;
            if !is_registered || queries::claim::has_ready(&self.conn, claim)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a transaction is needed although no request waits: unconfirmed claims must be released, or the
    /// connection has failed and a call waits.
    fn must_recover(&self) -> bool {
        !self.recovery.unconfirmed.is_empty() || (self.recovery.is_broken && !self.waiters.is_empty())
    }

    /// Whether the next transaction has work in addition to its requests.
    fn has_more_to_do(&self) -> bool {
        self.recovery.is_broken
            || !self.recovery.unconfirmed.is_empty()
            || self.request_queue.is_halted()
            || self.upkeep.is_full
    }

    /// Whether upkeep or a recovery is due later, so that the thread must not sleep without a limit.
    pub(in crate::store::sqlite) fn has_chores(&self) -> bool {
        self.must_recover() || self.upkeep.has_chores()
    }

    /// The next known instant at which a job is due.
    pub(in crate::store::sqlite) fn next_due(&self) -> Option<Timestamp> {
        self.waiters.next_due()
    }

    /// Halts the store after a fatal error, and releases the disk reserve after a full disk.
    fn consider(&mut self, error: &Error) {
        if error.is_fatal() {
            self.halt(error);
        } else if error.kind() == ErrorKind::StorageFull {
            self.upkeep.has_no_room();
        }
    }

    /// Halts the store, because further writes could lose confirmed ones (see [`error::is_fatal`]). No file
    /// is changed any more. Every waiting call and every later request gets an error at once.
    pub(in crate::store::sqlite) fn halt(&mut self, first: &Error) {
        self.request_queue.halt(error::halted(first));
        if !self.conn.is_autocommit() {
            // Discards the transaction and releases the lock. A rollback writes nothing.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        self.end_all();
    }

    /// Halts the store after a panic inside a transaction.
    pub(in crate::store::sqlite) fn halt_after_panic(&mut self) {
        self.halt(&error::panicked(&self.conn));
    }

    /// Ends every wait, since the store has halted.
    fn end_all(&mut self) {
        let Some(halted) = self.request_queue.halted() else { return };
        if halted.is_fatal() {
            self.save_log();
        }
        open::disable_close_checkpoint(&self.conn);
        self.waiters.end_all(&halted);
    }

    /// If only the log was removed, writes its commits into the database, which is still the one of its name.
    /// This process alone has them.
    fn save_log(&mut self) {
        if self.files.lacks_only_its_log() {
            // If this fails, the jobs can still be copied by a backup.
            let _ = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
    }

    /// Called between two transactions. Leaves the lock to other processes at times, and limits the size of
    /// the log.
    pub(in crate::store::sqlite) fn leave_room_for_others(&mut self) {
        if self.request_queue.is_halted() {
            return;
        }
        if let Err(error) = self.upkeep.between_transactions(&self.conn, !self.workers.is_empty()) {
            self.consider(&error);
        }
        self.fairness.pause(self.clock.monotonic(), self.sockets.is_only_process());
    }

    /// Closes the socket and the change poll.
    pub(in crate::store::sqlite) fn close(&mut self) {
        if self.files.check(true).is_err() {
            self.save_log();
            // If the log alone was replaced, SQLite would remove the new one by its name.
            open::disable_close_checkpoint(&self.conn);
        }
        self.sockets.close();
        self.change_poll.close();
    }
}
