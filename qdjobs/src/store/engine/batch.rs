//! Decides how many requests and rows one transaction takes, and records what the transaction has done:
//! [`Batch`].
//!
//! The order of its steps is in `transaction_steps.rs`. Waiting requests are held in `requests.rs`. Runs
//! nothing.
//!
//! Depends on the requests.

use std::collections::VecDeque;

use super::requests::Request;
use super::transaction::Effects;
use crate::model::clock::Timestamp;
use crate::model::job::WorkerId;
use crate::store::{ClaimResponse, lease_lost};

/// The most rows of one transaction, about 20 ms of work. So no caller waits much longer than one commit for
/// the requests of others. A larger request gets a transaction of its own.
pub(super) const BATCH_ROWS_MAX: usize = 4_096;

/// The number of waiting requests, oldest first, that share the next transaction: at least one.
pub(crate) fn requests_that_fit(waiting: &VecDeque<Request>) -> usize {
    let mut rows = 0;
    let fits = |request: &&Request| {
        rows = request.rows().saturating_add(rows);
        rows <= BATCH_ROWS_MAX
    };
    waiting.iter().take_while(fits).count().max(1).min(waiting.len())
}

/// The state of one transaction before its commit.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Whether something other than these requests may have made jobs ready, ended jobs or removed workers.
    /// Then all waiting calls are checked.
    pub(crate) look: bool,
    pub(crate) effects: Effects,
    /// The next instant at which a job is due, if the transaction has read it.
    pub(super) next_due: Option<Option<Timestamp>>,
    /// How many due jobs were made ready.
    pub(super) promoted: usize,
    /// How many requests were applied, from the first one.
    pub(super) applied: usize,
    /// Workers that could not be registered.
    pub(crate) refused: Vec<WorkerId>,
    /// The claim requests. They claim after all requests were applied, so they see what these stored.
    pub(super) claims: Vec<Claiming>,
    /// Whether a job was finished. If it was a suspected poison job, its worker may now hold others.
    pub(super) spent: bool,
}

/// A claim request that has written its finished jobs and has not claimed yet.
#[derive(Debug)]
pub(super) struct Claiming {
    /// The index of the request.
    pub(super) at: usize,
    pub(super) may_claim: bool,
    pub(super) may_wait: bool,
    pub(super) response: ClaimResponse,
}

impl Batch {
    pub(crate) fn new(look: bool) -> Batch {
        Batch { look, ..Batch::default() }
    }

    /// Records the next instant at which a job is due, for a job that was stored without the other steps.
    /// `None` if it could not be read.
    pub(crate) fn read_next_due(&mut self, next_due: Option<Option<Timestamp>>) {
        self.next_due = next_due;
    }

    /// How many other processes have something to do after the commit: one for each job that became ready and
    /// is not claimed; all of them if a job stored here is now the next one to become due.
    pub(crate) fn others_to_wake(&self) -> usize {
        let is_next = self.effects.due.is_some() && self.next_due == Some(self.effects.due);
        if is_next { usize::MAX } else { self.effects.left_over() }
    }

    /// The approximate number of rows that the transaction with these requests has written.
    pub(crate) fn rows_written(&self, requests: &[Request]) -> usize {
        self.promoted + self.effects.claimed + requests.iter().map(Request::rows_written).sum::<usize>()
    }

    /// Makes earlier requests of this worker in this batch neither claim nor wait. They are still answered.
    pub(super) fn claim_nothing_for(&mut self, worker: WorkerId, requests: &[Request]) {
        for claiming in &mut self.claims {
            if matches!(&requests[claiming.at], Request::Claim(call) if call.args.worker == worker) {
                (claiming.may_claim, claiming.may_wait) = (false, false);
            }
        }
    }

    /// Refuses earlier requests of a dead worker in this batch that could wait, like its waiting claims.
    pub(super) fn refuse_waiting_of(&mut self, dead: WorkerId, requests: &mut [Request]) {
        self.claims.retain(|claiming| match &mut requests[claiming.at] {
            Request::Claim(call) if claiming.may_wait && call.args.worker == dead => {
                call.decide(Err(lease_lost(dead)));
                false
            }
            _ => true,
        });
    }
}
