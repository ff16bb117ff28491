//! Decides who is answered, and in which order, once a transaction is committed or has failed: [`Waiters`].
//!
//! Those who wait in this process are claims for jobs, and callers for the end of a job. Decides nothing that
//! is stored. Before the commit answers are only noted; [`after_commit`](Waiters::after_commit) is the only
//! place that answers and forgets.
//!
//! Depends on the requests and the transaction.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::apply_requests::lease_lost;
use super::batch::Batch;
use super::requests::{Call, Request, WaitForEnd};
use super::transaction::{Effects, Transaction};
use super::unconfirmed::Unconfirmed;
use crate::model::clock::{Clock, Timestamp};
use crate::model::error::{Error, Result};
use crate::model::job::{Job, JobId, WorkerId};
use crate::store::{ClaimRequest, ClaimResponse, ProgressSlot};

/// The waiting calls of this process.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    /// Waiting claims, oldest first.
    claims: Vec<WaitingClaim>,
    /// Calls that wait for the end of a job.
    ends: BTreeMap<JobId, Vec<WaitForEnd>>,
    /// The jobs in `ends` that have a recorded answer. Kept as a list, because `ends` can be very large.
    noted: Vec<JobId>,
    /// The next instant at which a job is due, as far as it is known.
    next_due: Option<Timestamp>,
}

type WaitingClaim = Call<ClaimRequest, ClaimResponse>;

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
        for call in self.claims {
            match failed {
                None => call.send(),
                Some(error) => call.fail(error),
            }
        }
        self.cancelled.into_iter().for_each(Call::send);
        again
    }
}

// Called inside a transaction, which may run again.
impl Waiters {
    /// Discards the answers that a transaction has recorded.
    pub(super) fn reset(&mut self) {
        self.claims.iter_mut().for_each(Call::reset);
        for id in self.noted.drain(..) {
            self.ends.get_mut(&id).into_iter().flatten().for_each(|call| call.reset());
        }
    }

    pub(super) fn waits_for(&self, id: JobId) -> bool {
        self.ends.contains_key(&id)
    }

    /// The jobs for whose end a call waits.
    pub(super) fn waited_for(&self) -> impl Iterator<Item = JobId> {
        self.ends.keys().copied()
    }

    /// Records an answer for the calls that wait for the end of a job and have none.
    pub(super) fn note_end(&mut self, id: JobId, answer: impl Fn() -> Result<Job>) {
        for call in self.ends.get_mut(&id).into_iter().flatten().filter(|call| !call.is_decided()) {
            call.decide(answer());
            if self.noted.last() != Some(&id) {
                self.noted.push(id);
            }
        }
    }

    /// Records an answer for each waiting claim of a worker.
    pub(super) fn end_claims_of(&mut self, worker: WorkerId, answer: impl Fn() -> Result<ClaimResponse>) {
        let of_worker = |call: &&mut WaitingClaim| call.args.worker == worker;
        self.claims.iter_mut().filter(of_worker).for_each(|call| call.decide(answer()));
    }

    /// Refuses the waiting claims whose workers are no longer registered: released in this batch, or by
    /// another process.
    pub(super) fn refuse_unregistered<T: Transaction>(&mut self, tx: &mut T) -> Result<()> {
        let mut last = None;
        for call in self.claims.iter_mut().filter(|call| !call.is_decided()) {
            // Most processes have one worker with several waiting claims.
            let is_registered = match last {
                Some((worker, known)) if worker == call.args.worker => known,
                _ => tx.is_registered(call.args.worker)?,
            };
            last = Some((call.args.worker, is_registered));
            if !is_registered {
                call.decide(Err(lease_lost(call.args.worker)));
            }
        }
        Ok(())
    }

    /// Claims jobs for the waiting claims, oldest first, and records the answers.
    pub(super) fn claim<T: Transaction>(&mut self, tx: &mut T, effects: &mut Effects) -> Result<()> {
        for call in self.claims.iter_mut().filter(|call| !call.is_decided()) {
            match tx.claim(&call.args) {
                Ok(claimed) if claimed.is_empty() => {}
                Ok(claimed) => {
                    effects.claimed += claimed.len();
                    call.decide(Ok(ClaimResponse { claimed, ..ClaimResponse::default() }));
                }
                Err(error) => {
                    call.decide(Err(error.repeat()));
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

// Called after a transaction has ended.
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
        for id in self.noted.drain(..) {
            self.ends.get_mut(&id).into_iter().flatten().for_each(|call| call.reset());
        }
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

    /// Makes claims wait without a transaction, if they finish nothing and `has_nothing` is true. Returns the
    /// other requests.
    pub(crate) fn try_wait(
        &mut self,
        requests: Vec<Request>,
        has_nothing: impl Fn(&ClaimRequest) -> bool,
    ) -> Vec<Request> {
        let mut rest = Vec::new();
        for request in requests {
            match request {
                Request::Claim(call) if has_nothing(&call.args) => {
                    self.wait(call).into_iter().for_each(Call::send);
                }
                request => rest.push(request),
            }
        }
        rest
    }

    /// Ends every wait with `error`, because this process will write nothing more.
    pub(crate) fn end_all(&mut self, error: &Error) {
        let ends = std::mem::take(&mut self.ends).into_values().flatten();
        ends.for_each(|call| call.fail(error));
        self.claims.drain(..).for_each(|call| call.fail(error));
    }

    /// Makes a claim wait. Ends and returns the earlier waiting claim of the same worker for the same tasks.
    fn wait(&mut self, call: WaitingClaim) -> Option<WaitingClaim> {
        let is_same = |before: &WaitingClaim| {
            before.args.worker == call.args.worker && before.args.tasks == call.args.tasks
        };
        let before = self.claims.iter().position(is_same).map(|at| self.claims.remove(at));
        self.claims.push(call);
        before.map(|mut before| {
            before.decide(Ok(ClaimResponse::default()));
            before
        })
    }

    fn take_ends(&mut self) -> Vec<WaitForEnd> {
        let noted = std::mem::take(&mut self.noted);
        noted.iter().filter_map(|id| self.ends.remove(id)).flatten().collect()
    }

    fn take_decided(&mut self) -> Vec<WaitingClaim> {
        self.claims.extract_if(.., |call| call.is_decided()).collect()
    }

    fn take_decided_of(&mut self, worker: WorkerId) -> Vec<WaitingClaim> {
        self.claims.extract_if(.., |call| call.is_decided() && call.args.worker == worker).collect()
    }
}

// How long a store may sleep.
impl Waiters {
    pub(crate) fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.ends.is_empty()
    }

    /// Whether a call waits for the end of a job.
    pub(crate) fn has_waits(&self) -> bool {
        !self.ends.is_empty()
    }

    pub(crate) fn has_claims(&self) -> bool {
        !self.claims.is_empty()
    }

    /// The waiting claims, oldest first.
    pub(crate) fn claims(&self) -> impl Iterator<Item = &ClaimRequest> {
        self.claims.iter().map(|call| &call.args)
    }

    /// The next instant at which a job is due, as far as it is known.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.next_due
    }

    pub(crate) fn set_next_due(&mut self, next_due: Option<Timestamp>) {
        self.next_due = next_due;
    }

    /// Whether a job has become due since the next instant was read.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.next_due.is_some_and(|due| due <= now)
    }

    /// The instant at which a waiting claim may have something to claim, if nothing else happens.
    pub(crate) fn wakes_at(&self) -> Option<Timestamp> {
        if self.claims.is_empty() { None } else { self.next_due }
    }

    /// How long until [`wakes_at`](Waiters::wakes_at); `None` if nothing is due, or if the clock wakes its
    /// subscribers itself. `now` is read from the clock of the transactions, which may be that of a server.
    pub(crate) fn next_look(&self, clock: &Clock, now: Timestamp) -> Option<Duration> {
        let wait = self.wakes_at()?.duration_since(now).try_into().unwrap_or(Duration::ZERO);
        clock.sleep(wait)
    }
}
