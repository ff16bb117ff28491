//! Decides how many requests and rows one transaction takes, and records what the transaction has done:
//! [`Batch`].
//!
//! The order of its steps is in `transaction_steps.rs`. Waiting requests are held in `requests.rs`. Runs
//! nothing.
//!
//! Depends on the requests.

use std::collections::VecDeque;

use super::apply_requests::lease_lost;
use super::requests::Request;
use super::transaction::Effects;
use crate::model::clock::Timestamp;
use crate::model::job::WorkerId;
use crate::store::ClaimResponse;

/// Most rows written in one transaction, some twenty milliseconds of work: no caller waits for others much
/// longer than one commit takes. A single request may be larger; it then has a transaction to itself.
pub(super) const BATCH_ROWS_MAX: usize = 4_096;

/// How many of the waiting requests, from the oldest, share one transaction: at least one.
pub(crate) fn requests_that_fit(waiting: &VecDeque<Request>) -> usize {
    let mut rows = 0;
    let fits = |request: &&Request| {
        rows = request.rows().saturating_add(rows);
        rows <= BATCH_ROWS_MAX
    };
    waiting.iter().take_while(fits).count().max(1).min(waiting.len())
}

/// One transaction in the making.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Whether something other than these requests may have changed what those who wait are waiting for.
    pub(crate) look: bool,
    pub(crate) effects: Effects,
    /// The next instant at which a job is due, if the transaction has read it.
    pub(super) next_due: Option<Option<Timestamp>>,
    /// The requests that were applied, counted from the first.
    pub(super) applied: usize,
    /// Workers that could not be registered.
    pub(crate) refused: Vec<WorkerId>,
    /// Claims, made after everything else has been applied: so they see what it stored.
    pub(super) claims: Vec<Claiming>,
    /// Whether a claim was spent: with that of a suspected poison job, its worker may hold another.
    pub(super) spent: bool,
}

/// A claim request whose finished jobs are written, and that has not claimed yet.
#[derive(Debug)]
pub(super) struct Claiming {
    /// The place of the request.
    pub(super) at: usize,
    pub(super) may_claim: bool,
    pub(super) may_wait: bool,
    pub(super) response: ClaimResponse,
}

impl Batch {
    pub(crate) fn new(look: bool) -> Batch {
        Batch { look, ..Batch::default() }
    }

    /// Earlier requests of this worker in this batch are answered, and neither claim nor wait.
    pub(super) fn claim_nothing_for(&mut self, worker: WorkerId, requests: &[Request]) {
        for claiming in &mut self.claims {
            if matches!(&requests[claiming.at], Request::Claim(call) if call.args.worker == worker) {
                (claiming.may_claim, claiming.may_wait) = (false, false);
            }
        }
    }

    /// Earlier requests of a dead worker in this batch that could wait are refused, as its waiting claims
    /// are.
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
