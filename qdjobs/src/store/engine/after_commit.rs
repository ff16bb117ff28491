//! Decides who is answered, and in which order, once a transaction is committed or has failed: [`Answers`].
//!
//! [`after_commit`](Waiters::after_commit) is the only place that answers the calls of a transaction. Which calls wait is in
//! `waiters.rs`; what a request is answered is decided in `transaction_steps.rs`.
//!
//! Depends on the requests, the batch and the waiters.

use std::sync::Arc;

use super::batch::Batch;
use super::requests::{Call, Request, WaitForEnd};
use super::unconfirmed::Unconfirmed;
use super::waiters::{Waiters, WaitingClaim};
use crate::model::error::Error;
use crate::store::{ClaimResponse, ProgressSlot};

/// The answers of a transaction that has ended. [`send`](Answers::send) them after all locks are released,
/// because code that they wake may call the store at once.
#[must_use = "somebody waits for each of these answers"]
#[derive(Debug)]
pub(crate) struct Answers<'r> {
    ends: Vec<WaitForEnd>,
    requests: &'r mut [Request],
    claims: Vec<WaitingClaim>,
    /// Waiting claims that their worker cancelled. They end even if the transaction failed.
    cancelled: Vec<WaitingClaim>,
    failed: Option<Error>,
}

impl Answers<'_> {
    /// Sends the answers. Returns the progress slots that must be submitted again.
    #[must_use = "these slots hold newer values"]
    pub(crate) fn send(self) -> Vec<Arc<ProgressSlot>> {
        let failed = self.failed.as_ref();
        let mut again = Vec::new();
        self.ends.into_iter().for_each(|call| call.send());
        for request in self.requests {
            again.extend(std::mem::replace(request, Request::Look).end(failed));
        }
        self.claims.into_iter().for_each(|call| call.end(failed));
        self.cancelled.into_iter().for_each(Call::send);
        again
    }
}

impl Waiters {
    /// Called after the commit. Takes the recorded answers and keeps the calls that must wait.
    pub(crate) fn after_commit<'r>(&mut self, requests: &'r mut [Request], batch: Batch) -> Answers<'r> {
        self.next_due = match batch.next_due {
            Some(read) => read,
            None => self.next_due.into_iter().chain(batch.effects.due).min(),
        };
        let ends = self.take_ends();
        let mut claims = self.take_decided();
        for request in requests.iter_mut() {
            match request {
                Request::Claim(call) if !call.is_decided() => {
                    if let Request::Claim(call) = std::mem::replace(request, Request::Look) {
                        claims.extend(self.wait(call));
                    }
                }
                Request::WaitFor(call) if !call.is_decided() => {
                    if let Request::WaitFor(call) = std::mem::replace(request, Request::Look) {
                        self.ends.entry(call.args).or_default().push(call);
                    }
                }
                _ => {}
            }
        }
        Answers { ends, requests, claims, cancelled: Vec::new(), failed: None }
    }

    /// Called after the transaction has failed with `error`. If it may be stored, `unconfirmed` records its
    /// claims and registrations. Calls with an answer get the error instead. Calls that wait for the end of a
    /// job keep waiting.
    pub(crate) fn after_failure<'r>(
        &mut self,
        requests: &'r mut [Request],
        batch: &Batch,
        error: &Error,
        unconfirmed: &mut Unconfirmed,
    ) -> Answers<'r> {
        if error.may_be_stored() {
            unconfirmed.note(requests, &self.claims, &batch.effects.registered);
        }
        self.reset_ends();
        let mut cancelled = Vec::new();
        for (at, request) in requests.iter_mut().enumerate() {
            match request {
                // A stopping worker waits for this. Waiting claims exist only in memory, so they can end
                // although the transaction failed.
                Request::CancelWaitingClaims(call) => {
                    self.end_claims_of(call.args, || Ok(ClaimResponse::default()));
                    cancelled.extend(self.take_decided_of(call.args));
                }
                Request::WaitFor(_) if at < batch.applied => {
                    if let Request::WaitFor(mut call) = std::mem::replace(request, Request::Look) {
                        call.reset();
                        self.ends.entry(call.args).or_default().push(call);
                    }
                }
                _ => {}
            }
        }
        let claims = self.take_decided();
        Answers { ends: Vec::new(), requests, claims, cancelled, failed: Some(error.repeat()) }
    }

    /// Refuses requests before any transaction has run them.
    pub(crate) fn refuse<'r>(&mut self, requests: &'r mut [Request], error: &Error) -> Answers<'r> {
        self.after_failure(requests, &Batch::default(), error, &mut Unconfirmed::default())
    }
}
