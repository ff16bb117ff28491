//! The writing connection of this process: [`Writer`] decides when to look for due jobs, how long to sleep,
//! and halts the store.
//!
//! The store halts when `connection/error.rs` calls an error fatal. `commit.rs` has the transaction,
//! `insert_alone.rs` a single job, `recovery.rs` the next try after a failure. `upkeep.rs` has the full disk,
//! `checkpointer.rs` the write-ahead log, `fairness.rs` the pauses for other processes. Which thread works
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
mod recovery;
#[cfg(test)]
mod tests;
pub(super) mod thread;
mod upkeep;

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;

use self::fairness::Fairness;
use self::local_workers::LocalWorkers;
use self::recovery::Recovery;
use self::upkeep::Upkeep;
use crate::model::clock::{Clock, Timestamp};
use crate::model::error::{Error, ErrorKind};
use crate::store::engine::requests::{RequestQueue, Sleep};
use crate::store::engine::waiters::Waiters;
use crate::store::sqlite::connection::open::SqliteOptions;
use crate::store::sqlite::connection::{error, migrate, open};
use crate::store::sqlite::files::worker_locks::WorkerLocks;
use crate::store::sqlite::health::HealthRecord;
use crate::store::sqlite::queries;
#[cfg(test)]
use crate::store::sqlite::testing::stepped;
use crate::store::sqlite::wakeup::poll::ChangePoll;
use crate::store::sqlite::wakeup::socket::WakeSockets;

pub(in crate::store::sqlite) struct Writer {
    conn: Connection,
    path: PathBuf,
    options: SqliteOptions,
    clock: Clock,
    pub(in crate::store::sqlite) request_queue: Arc<RequestQueue>,
    /// Who waits in this process.
    waiters: Waiters,
    workers: LocalWorkers,
    sockets: WakeSockets,
    change_poll: ChangePoll,
    fairness: Fairness,
    upkeep: Upkeep,
    recovery: Recovery,
    /// Batches of a single request, in a row.
    pub(in crate::store::sqlite) singles: usize,
}

impl Writer {
    pub(in crate::store::sqlite) fn new(
        conn: Connection,
        path: PathBuf,
        options: SqliteOptions,
        clock: Clock,
        request_queue: Arc<RequestQueue>,
        worker_locks: Arc<WorkerLocks>,
        health: Arc<HealthRecord>,
    ) -> Writer {
        let workers = LocalWorkers::new(worker_locks);
        let upkeep = Upkeep::new(&path, workers.dir(), &options, clock.clone(), health);
        let sockets = WakeSockets::new(workers.dir().to_owned());
        let change_poll = ChangePoll::new(upkeep.checkpointer.path(), &request_queue);
        #[cfg(test)]
        let (change_poll, sockets) = stepped::disconnect_wakeups(change_poll, sockets, &clock);
        Writer {
            conn,
            path,
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

    /// How long to sleep when no request waits: until there is a chore for the disk; and, if somebody waits,
    /// until a job is due or it is time to look at what others wrote. A process in which nobody waits sleeps
    /// for good in the end.
    pub(in crate::store::sqlite) fn sleep(&self) -> Sleep {
        if self.request_queue.is_halted() {
            return Sleep::default();
        }
        if self.must_recover() {
            // In real time, whatever the queue's clock says: it is the disk that is waited for.
            return Sleep { limit: Some(self.recovery.pause), ..Sleep::default() };
        }
        let chores = self.upkeep.sleep();
        if self.waiters.is_empty() {
            return Sleep { limit: chores, ..Sleep::default() };
        }
        let due = self.waiters.wakes_at().filter(|_| !self.upkeep.refuses_jobs());
        let rest = self.recovery.rest(self.clock.elapsed());
        let due = due.and_then(|_| self.waiters.next_look(&self.clock).max(rest));
        let sleep = self.change_poll.sleep();
        Sleep { limit: due.into_iter().chain(sleep.limit).chain(chores).min(), ..sleep }
    }

    /// Nothing waits to be written: does what is to be done for the disk, and looks for due jobs and for what
    /// others wrote. Begins a transaction only if somebody here waits for that.
    pub(in crate::store::sqlite) fn look(&mut self) {
        if self.request_queue.is_halted() {
            return self.end_all();
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
        let others_committed = self.change_poll.poll(&self.conn);
        // What cannot be read is left to the transaction, whose error says why.
        if self.is_due() || (others_committed && self.is_concerned().unwrap_or(true)) {
            self.write(Vec::new(), others_committed);
        }
    }

    /// Whether a job is due that may be made ready. On a full disk that would take room from what runs, and
    /// no job is claimed.
    fn is_due(&self) -> bool {
        self.waiters.is_due(self.clock.now())
            && self.recovery.rest(self.clock.elapsed()).is_none()
            && !self.upkeep.refuses_jobs()
    }

    /// Whether what others wrote matters to anybody who waits here. Reads only: a program that keeps writing
    /// tables of its own into this file must not compete with this process for the lock each time.
    fn is_concerned(&mut self) -> rusqlite::Result<bool> {
        self.sockets.refresh(&self.conn)?;
        self.waiters.set_next_due(queries::finish::next_due(&self.conn)?);
        if migrate::refuse_newer_schema(&self.conn).is_err() {
            // The transaction says so.
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

    /// Whether a transaction has to come though no request waits: there is something to give back, or
    /// somebody waits and the connection has failed.
    fn must_recover(&self) -> bool {
        !self.recovery.unconfirmed.is_empty() || (self.recovery.is_broken && !self.waiters.is_empty())
    }

    /// Whether the next transaction has more to do than its requests ask for.
    fn has_more_to_do(&self) -> bool {
        self.recovery.is_broken
            || !self.recovery.unconfirmed.is_empty()
            || self.request_queue.is_halted()
            || self.upkeep.is_full
    }

    /// Whether there is something to do later though nobody asks: the thread must not sleep for good.
    pub(in crate::store::sqlite) fn has_chores(&self) -> bool {
        self.must_recover() || self.upkeep.has_chores()
    }

    /// The next instant at which a job is due, as far as it is known.
    pub(in crate::store::sqlite) fn next_due(&self) -> Option<Timestamp> {
        self.waiters.next_due()
    }

    /// Draws from an error what it means for all that is to come.
    fn consider(&mut self, error: &Error) {
        if error.is_fatal() {
            self.halt(error);
        } else if error.kind() == ErrorKind::StorageFull {
            self.upkeep.has_no_room();
        }
    }

    /// Halts the store, since going on could lose what was answered before (see [`error::is_fatal`]). Nothing
    /// is written any more and no file is changed. Everybody who waits or asks from now on gets an error at
    /// once.
    pub(in crate::store::sqlite) fn halt(&mut self, first: &Error) {
        self.request_queue.halt(error::halted(first));
        if !self.conn.is_autocommit() {
            // Drops what was written and the lock; this writes nothing.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        self.end_all();
    }

    /// Ends every wait, since the store has halted.
    fn end_all(&mut self) {
        let Some(halted) = self.request_queue.halted() else { return };
        open::disable_close_checkpoint(&self.conn);
        self.waiters.end_all(&halted);
    }

    /// Between two transactions: leaves the lock to others now and then, and the log no longer than it may
    /// be.
    pub(in crate::store::sqlite) fn leave_room_for_others(&mut self) {
        if self.request_queue.is_halted() {
            return;
        }
        if let Err(error) = self.upkeep.between_transactions(&self.conn, !self.workers.is_empty()) {
            self.consider(&error);
        }
        self.fairness.pause(self.clock.monotonic(), self.sockets.is_only_process());
    }

    /// Ends what the writer has beside its connection.
    pub(in crate::store::sqlite) fn close(&mut self) {
        self.sockets.close();
        self.change_poll.close();
    }
}
