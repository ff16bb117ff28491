//! The calls of this process that wait, for a job to claim or for the end of a job: [`Waiters`].
//!
//! Gives no answer to them before the commit: answers are noted here and given in `after_commit.rs`. Decides
//! nothing that is stored.
//!
//! Depends on the requests and the transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use super::requests::{Call, Request, WaitForEnd};
use super::transaction::{Effects, Transaction};
use crate::model::clock::{Clock, Timestamp};
use crate::model::error::{Error, Result};
use crate::model::job::{Job, JobId, WorkerId};
use crate::store::{ClaimRequest, ClaimResponse, lease_lost};

/// The waiting calls of this process.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    /// Waiting claims, oldest first.
    pub(super) claims: Vec<WaitingClaim>,
    /// Calls that wait for the end of a job.
    pub(super) ends: BTreeMap<JobId, Vec<WaitForEnd>>,
    /// The jobs in `ends` that have a recorded answer. Kept as a list, because `ends` can be very large.
    pub(super) noted: Vec<JobId>,
    /// The next instant at which a job is due, as far as it is known.
    pub(super) next_due: Option<Timestamp>,
}

pub(super) type WaitingClaim = Call<ClaimRequest, ClaimResponse>;

// Called inside a transaction, which may run again.
impl Waiters {
    /// Discards the answers that a transaction has recorded.
    pub(super) fn reset(&mut self) {
        self.claims.iter_mut().for_each(Call::reset);
        self.reset_ends();
    }

    /// Discards the recorded answers of the calls that wait for the end of a job.
    pub(super) fn reset_ends(&mut self) {
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
            let claimed = tx.claim(&call.args)?;
            if !claimed.is_empty() {
                effects.has_claimed(&claimed);
                call.decide(Ok(ClaimResponse { claimed, ..ClaimResponse::default() }));
            }
        }
        Ok(())
    }
}

impl Waiters {
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
    pub(super) fn wait(&mut self, call: WaitingClaim) -> Option<WaitingClaim> {
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

    pub(super) fn take_ends(&mut self) -> Vec<WaitForEnd> {
        let noted = std::mem::take(&mut self.noted);
        noted.iter().filter_map(|id| self.ends.remove(id)).flatten().collect()
    }

    pub(super) fn take_decided(&mut self) -> Vec<WaitingClaim> {
        self.claims.extract_if(.., |call| call.is_decided()).collect()
    }

    pub(super) fn take_decided_of(&mut self, worker: WorkerId) -> Vec<WaitingClaim> {
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
