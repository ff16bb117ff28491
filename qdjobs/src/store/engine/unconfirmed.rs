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
    /// Workers whose registration failed for their process.
    pub(crate) workers: Vec<WorkerId>,
}

impl Unconfirmed {
    pub(crate) fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.workers.is_empty()
    }

    /// Notes what a lost transaction has claimed and registered.
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

    /// Gives back what is there, if it is there. Only in a transaction that cannot begin before the lost one
    /// is over: else the lost one could land after it.
    ///
    /// A claim is compared by all that it is (job, attempt and worker), so that no other claim is touched. It
    /// leaves no trace in the history, since nothing has started.
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
