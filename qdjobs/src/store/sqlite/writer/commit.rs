//! Commits one transaction for as many waiting requests as `engine/batch.rs` allows, and opens a broken
//! connection again.
//!
//! The order: admit, begin, read what others changed, run the batch, commit, and only then answer. What
//! happens between begin and commit is in `engine/transaction_steps.rs`. Which errors are fatal is decided in
//! `connection/error.rs`, when the writer tries again in `recovery.rs`.
//!
//! Depends on the engine.

use std::cell::Cell;
use std::time::Duration;

use rusqlite::Connection;

use super::Writer;
use super::local_workers::registering;
use crate::model::clock::Timestamp;
use crate::model::error::{Error, ErrorKind, Result};
use crate::store::engine::after_commit::Answers;
use crate::store::engine::batch::Batch;
use crate::store::engine::requests::Request;
use crate::store::engine::transaction_steps::run;
use crate::store::sqlite::connection::error::{self, BusyRetry};
use crate::store::sqlite::connection::{migrate, open};
use crate::store::sqlite::queries;
use crate::store::sqlite::transaction::SqliteTransaction;

impl Writer {
    /// Writes the requests in one transaction and answers them. With `look`, checks all waiting calls, as
    /// after a commit of another connection.
    pub(in crate::store::sqlite) fn write(&mut self, requests: Vec<Request>, look: bool) {
        let Some(mut requests) = self.admit(requests, look) else { return };
        self.change_poll.note_own_write();
        self.fairness.begin(self.clock.monotonic());
        self.singles = if requests.len() > 1 { 0 } else { self.singles + 1 };
        let now = self.clock.now();
        let mut batch = Batch::new(look);
        match self.transact(&mut requests, &mut batch, now) {
            Ok(dead_sockets) => self.has_committed(&mut requests, batch, &dead_sockets),
            Err(error) => self.has_failed(&mut requests, &batch, &error, now),
        }
    }

    /// Answers the requests that need no transaction. Returns the others; `None` if nothing is left to do.
    fn admit(&mut self, mut requests: Vec<Request>, look: bool) -> Option<Vec<Request>> {
        if let Some(halted) = self.request_queue.halted() {
            self.end_all();
            self.refuse(&mut requests, &halted);
            return None;
        }
        if requests.is_empty() {
            return Some(requests);
        }
        if self.upkeep.refuses_jobs() {
            let is_insert = |request: &mut Request| matches!(request, Request::Insert(_));
            let mut inserts: Vec<Request> = requests.extract_if(.., is_insert).collect();
            self.refuse(&mut inserts, &error::disk_full(&self.conn));
        }
        // A close needs the lock only to give back claims that nobody knows of.
        if !look && !self.must_recover() && requests.iter().all(|it| matches!(it, Request::Close)) {
            return None;
        }
        if !look && requests.iter().all(may_wait) {
            requests = self.let_wait(requests);
        }
        (look || !requests.is_empty()).then_some(requests)
    }

    /// Makes claims wait without a transaction if they finish nothing and no job is ready for them. Such a
    /// claim follows each job that arrives alone. Returns the other requests.
    fn let_wait(&mut self, requests: Vec<Request>) -> Vec<Request> {
        // If the read fails, the transaction fails, too, and reports the error.
        let Ok(next_due) = queries::finish::next_due(&self.conn) else { return requests };
        self.waiters.set_next_due(next_due);
        if self.has_more_to_do() || self.waiters.is_due(self.clock.now()) {
            return requests;
        }
        let conn = &self.conn;
        self.waiters.try_wait(requests, |claim| {
            queries::workers::is_registered(conn, claim.worker).unwrap_or(false)
                && !queries::claim::has_ready(conn, claim).unwrap_or(true)
        })
    }

    /// Runs and commits the transaction. Returns the sockets of workers that it has released as dead.
    fn transact(
        &mut self,
        requests: &mut [Request],
        batch: &mut Batch,
        now: Timestamp,
    ) -> Result<Vec<String>> {
        self.begin()?;
        self.read_others(batch)?;
        self.upkeep.log_marker.mark(&self.conn).map_err(error::before_commit(&self.conn))?;
        let mut tx = SqliteTransaction::on(&self.conn, now);
        tx.crashes_max = self.options.max_crashes;
        tx.is_full = self.upkeep.refuses_jobs();
        if registering(requests).next().is_some() {
            tx.wake_socket = self.sockets.open(&self.request_queue);
        }
        self.recovery.unconfirmed.give_back(&mut tx, batch)?;
        run(&mut tx, requests, &mut self.waiters, batch)?;
        let dead_sockets = std::mem::take(&mut tx.dead_sockets);
        drop(tx);
        // A program that removes the files later removes jobs that are confirmed or not confirmed yet.
        self.check_files()?;
        let committed = self.conn.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        committed.map_err(error::in_commit(&self.conn))?;
        Ok(dead_sockets)
    }

    /// Reads what other connections have committed. Called under the write lock: the reads need no lock of
    /// their own, and no other commit can happen before this one.
    fn read_others(&mut self, batch: &mut Batch) -> Result<()> {
        let has_baseline = self.change_poll.has_baseline();
        batch.look |= self.change_poll.others_committed(&self.conn);
        if batch.look {
            if has_baseline {
                self.fairness.note_others(self.clock.monotonic());
            }
            // A later version of qdjobs may have upgraded the schema.
            migrate::refuse_newer_schema(&self.conn)?;
            // A process may have started or ended.
            self.sockets.refresh(&self.conn).map_err(error::before_commit(&self.conn))?;
        }
        Ok(())
    }

    /// Called after the commit. First updates the files that other processes see, then sends the answers,
    /// then wakes other processes. So nothing is announced that a crash could still undo.
    fn has_committed(&mut self, requests: &mut [Request], batch: Batch, dead_sockets: &[String]) {
        self.recovery.has_succeeded();
        let effects = &batch.effects;
        self.upkeep.has_written(batch.rows_written(requests));
        self.workers.were_refused(batch.refused.iter().copied());
        if !effects.registered.is_empty() {
            self.upkeep.reserve.check_soon();
            self.remove_leftovers();
            self.workers.have_registered(&effects.registered);
        }
        self.workers.are_gone(&effects.gone);
        dead_sockets.iter().for_each(|socket| self.sockets.remove_stale(socket));
        if !effects.gone.is_empty() && self.workers.is_empty() {
            // No worker of this process waits for jobs any more. Closed now and not when the store closes: a
            // task that hangs may delay that forever.
            self.sockets.close();
            self.upkeep.reserve.remove_if_unused();
        }
        let others = batch.others_to_wake();
        let answers = self.waiters.after_commit(requests, batch);
        self.send(answers);
        if others > 0 {
            self.sockets.wake_others(others);
        }
    }

    /// Called after the transaction has failed as a whole.
    pub(super) fn has_failed(
        &mut self,
        requests: &mut [Request],
        batch: &Batch,
        error: &Error,
        now: Timestamp,
    ) {
        // The commits of other connections were not processed.
        self.change_poll.report_again();
        if !self.conn.is_autocommit() {
            // If this fails, too, the connection is opened again. `error` is the one to report.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        self.workers.were_refused(registering(requests));
        let is_broken = error.may_be_stored() || !self.conn.is_autocommit();
        self.recovery.has_failed(is_broken, self.clock.elapsed());
        self.upkeep.has_failed(error, now);
        let answers = self.waiters.after_failure(requests, batch, error, &mut self.recovery.unconfirmed);
        // If this halts the store, the calls that wait for something else are answered first.
        self.consider(error);
        self.send(answers);
        if error.kind() == ErrorKind::NewerSchema {
            self.waiters.end_all(error);
        }
    }

    /// Refuses requests before any transaction has run them.
    fn refuse(&mut self, requests: &mut [Request], error: &Error) {
        self.workers.were_refused(registering(requests));
        let answers = self.waiters.refuse(requests, error);
        self.send(answers);
    }

    /// Sends the answers. Submits progress again if a newer value has arrived.
    pub(super) fn send(&self, answers: Answers<'_>) {
        for slot in answers.send() {
            // A queue that is closed or has halted writes nothing more.
            let _ = self.request_queue.push(Request::report_progress(slot));
        }
    }

    /// Removes the files of processes that died before their workers were registered. If the registration of
    /// a worker cannot be read, its file stays.
    fn remove_leftovers(&mut self) {
        if self.sockets.refresh(&self.conn).is_ok() {
            self.sockets.remove_unregistered();
        }
        let is_registered = |worker| queries::workers::is_registered(&self.conn, worker).unwrap_or(true);
        self.workers.locks.remove_unregistered(is_registered);
    }

    fn begin(&mut self) -> Result<()> {
        if self.recovery.is_broken {
            self.check_files()?;
            self.conn = open::reopen_writer(self.files.database(), &self.options)?;
            self.recovery.is_broken = false;
        }
        self.at_the_lock(error::begin_immediate)
    }

    /// Runs a step that needs the write lock, when the lock is free and no rest for other processes is due.
    pub(super) fn at_the_lock<T>(&mut self, mut step: impl FnMut(&Connection) -> Result<T>) -> Result<T> {
        let (rest, tried) = (Cell::new(Duration::ZERO), Cell::new(Duration::ZERO));
        let taken = BusyRetry::new(self.options.busy_timeout).retry(|| {
            rest.set(rest.get() + self.fairness.keep_rest(self.clock.monotonic(), self.clock.now()));
            tried.set(self.clock.monotonic());
            step(&self.conn)
        });
        self.fairness.has_begun(tried.get(), rest.get());
        taken
    }
}

/// Whether a request is a claim that may wait without a transaction: it finishes nothing and asks for jobs.
fn may_wait(request: &Request) -> bool {
    matches!(request, Request::Claim(call) if call.args.may_wait() && call.args.limit > 0)
}
