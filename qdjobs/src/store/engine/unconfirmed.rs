//! What is released after a commit whose result is unknown: [`Unconfirmed`], claims and registrations that
//! nobody knows of.
//!
//! When the writer tries again is decided in `sqlite/writer/recovery.rs`. Which errors leave the result
//! unknown is decided in `sqlite/connection/error.rs`.
//!
//! Depends on the transaction.
//!
//! Callers get [`Indeterminate`](crate::ErrorKind::Indeterminate) and read the job themselves. But a claim
//! that no worker knows of would keep its job running for as long as its worker lives. And a worker whose
//! registration failed for its process would stay registered. Both are given back by the next transaction
//! that succeeds.

use super::apply_requests::{leave, release_worker};
use super::batch::Batch;
use super::leave_running::Leaving;
use super::requests::{Call, Request};
use super::transaction::Transaction;
use crate::model::error::Result;
use crate::model::job::WorkerId;
use crate::store::{Claim, ClaimRequest, ClaimResponse, Release, Ticket};

#[derive(Debug, Default)]
pub(crate) struct Unconfirmed {
    /// Claims that no worker knows of.
    pub(crate) claims: Vec<(Claim, Ticket)>,
    /// Workers that may be registered although their process got an error.
    pub(crate) workers: Vec<WorkerId>,
}

impl Unconfirmed {
    pub(crate) fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.workers.is_empty()
    }

    /// Records the claims and registrations of a commit whose outcome is unknown.
    pub(super) fn note(
        &mut self,
        requests: &[Request],
        waiting: &[Call<ClaimRequest, ClaimResponse>],
        registered: &[WorkerId],
    ) {
        let asked = requests.iter().filter_map(|request| match request {
            Request::Claim(call) => Some(call),
            _ => None,
        });
        let responses = asked.chain(waiting).filter_map(|call| call.answer()?.as_ref().ok());
        self.claims.extend(responses.flat_map(|it| &it.claimed).map(|job| (job.claim, job.ticket)));
        self.workers.extend(registered);
    }

    /// Releases these claims and workers, if they were stored. Call it only in a transaction that cannot
    /// begin before the lost commit is over. Otherwise, the lost commit could be applied after it.
    ///
    /// A claim is compared by job, attempt and worker, so no other claim is changed. The history does not
    /// record it, because no task has started.
    pub(crate) fn give_back<T: Transaction>(&self, tx: &mut T, batch: &mut Batch) -> Result<()> {
        for &(claim, ticket) in &self.claims {
            leave(tx, &Leaving::unclaimed(claim, ticket), &mut batch.effects)?;
        }
        for &worker in &self.workers {
            release_worker(tx, worker, Release::ByWorker, &mut batch.effects)?;
        }
        batch.look |= !self.is_empty();
        Ok(())
    }
}
