//! Stores a single job by one statement that is a transaction of its own, while nobody in this process waits.
//!
//! Everything else is written by `commit.rs`. On which thread the statement runs is decided in `thread.rs`.
//!
//! Depends on the engine for the answer. It saves five other statements. If somebody waited, a claim or an
//! end would belong into the same transaction.

use super::Writer;
use crate::model::clock::Timestamp;
use crate::model::error::Result;
use crate::model::job::{JobId, NewJob};
use crate::store::engine::batch::Batch;
use crate::store::engine::requests::Request;
use crate::store::sqlite::connection::{error, migrate};
use crate::store::sqlite::queries::{self, insert::Stored};

impl Writer {
    /// Writes the request of a caller while no other request waits.
    pub(in crate::store::sqlite) fn write_one(&mut self, request: Request) {
        match request {
            Request::Insert(call) if self.is_unattended() && queries::insert::is_one_row(&call.args) => {
                self.insert_alone(Request::Insert(call));
            }
            request => self.write(vec![request], false),
        }
    }

    fn is_unattended(&self) -> bool {
        self.waiters.is_empty() && !self.has_more_to_do() && !self.upkeep.log_marker.is_wanted()
    }

    fn insert_alone(&mut self, mut request: Request) {
        let now = self.clock.now();
        let stored = match job_of(&request).map(|job| job.scheduled_at(now)) {
            Some(Ok(at)) => Stored::at(at, now),
            // No transaction was begun, so only this request has failed.
            Some(Err(error)) => return request.refuse(&error),
            None => return self.write(vec![request], false),
        };
        match self.store(&request, stored, now) {
            Ok(Some(id)) => self.has_stored(request, id, stored),
            // Writers must know a later schema. The usual transaction reports that error.
            Ok(None) => self.write(vec![request], true),
            Err(error) => {
                self.has_failed(std::slice::from_mut(&mut request), &Batch::default(), &error, now);
            }
        }
    }

    fn store(&mut self, request: &Request, stored: Stored, now: Timestamp) -> Result<Option<JobId>> {
        let Some(job) = job_of(request) else { return Ok(None) };
        self.change_poll.note_own_write();
        self.fairness.begin(self.clock.monotonic());
        // The wait for the lock may be long, so the files are looked at after it.
        let (files, thorough) = (self.files.clone(), self.looks_at_files());
        self.at_the_lock(|conn| {
            files.check(thorough)?;
            queries::insert::insert_alone(conn, job, stored, now).map_err(error::in_commit(conn))
        })
    }

    fn has_stored(&mut self, mut request: Request, id: JobId, stored: Stored) {
        self.recovery.has_succeeded();
        self.upkeep.has_written(1);
        if let Request::Insert(call) = &mut request {
            call.decide(Ok(vec![id]));
        }
        let mut batch = Batch::default();
        batch.effects.is_stored(id, stored.availability, stored.scheduled_at);
        // Read after the commit. So every worker of another process that began to wait before the commit is
        // found.
        if self.change_poll.others_committed(&self.conn) && self.read_neighbors().is_err() {
            self.change_poll.report_again();
        }
        if !stored.availability.is_ready() {
            batch.read_next_due(queries::finish::next_due(&self.conn).ok());
        }
        let others = batch.others_to_wake();
        let answers = self.waiters.after_commit(std::slice::from_mut(&mut request), batch);
        self.send(answers);
        if others > 0 {
            self.sockets.wake_others(others);
        }
    }

    /// Reads what other connections may have changed apart from jobs. If a read fails, the next transaction
    /// reports the error.
    fn read_neighbors(&mut self) -> Result<()> {
        migrate::refuse_newer_schema(&self.conn)?;
        let next_due = queries::finish::next_due(&self.conn).map_err(error::before_commit(&self.conn))?;
        self.waiters.set_next_due(next_due);
        self.sockets.refresh(&self.conn).map_err(error::before_commit(&self.conn))
    }
}

/// The single job that a request inserts.
fn job_of(request: &Request) -> Option<&NewJob> {
    match request {
        Request::Insert(call) => call.args.first().filter(|_| call.args.len() == 1),
        _ => None,
    }
}
