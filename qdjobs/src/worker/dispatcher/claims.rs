//! Sends finished jobs and claim requests to the store, and handles its responses and errors.
//!
//! After the store has committed a request, the events of its finished jobs are emitted here. How many jobs a
//! request asks for is decided in `claim_ahead.rs`, the pause after a failure in `store_backoff.rs`.
//! `next_job.rs` hands out the claimed jobs; the pool decides which thread takes one.
//!
//! Depends on the store's contract and on the state of the [`Dispatcher`].

use std::sync::Arc;

use crate::model::error::{ErrorKind, Result};
use crate::model::event::Event;
use crate::model::retry::Verdict;
use crate::store::{ClaimRequest, ClaimResponse, ClaimedJob, Pending};
use crate::sync::MutexGuard;

use super::super::abandoned::Place;
use super::super::execution::{EndedAttempt, FinishReports, UnstartedJob};
use super::super::in_flight::{InFlight, Sent};
use super::{Dispatcher, State};

impl Dispatcher {
    /// How many jobs to request: as many as the pool can run soon in addition.
    pub(super) fn room(&self, state: &State) -> usize {
        if state.closed || state.suspended {
            return 0;
        }
        // An abandoned execution whose thread was not replaced still occupies a place.
        let occupied = state.abandoned.count(Place::Occupied);
        let held = state.running.len() + state.unstarted.len() + occupied;
        state.claim_limit.room(self.pool.size(), self.pool.takes_jobs(), held)
    }

    /// Sends the finished jobs to the store, if there are any. Waits if such a request is in flight or the
    /// store has just failed.
    pub(super) fn send_finished<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if state.finished.is_empty() || !state.finish_request.is_idle() || self.is_pausing(&state) {
            return state;
        }
        let room = self.room(&state).saturating_sub(state.waiting_claim.limit());
        self.send(state, room, false)
    }

    /// Whether requests must wait after a failure. Reads the clock only after a failure.
    fn is_pausing(&self, state: &State) -> bool {
        state.backoff.is_halted()
            || state.backoff.is_failing() && state.backoff.pause(self.shared.elapsed()).is_some()
    }

    /// Sends a request: the finished jobs, or a waiting claim. Releases the lock meanwhile, because the store
    /// may deliver a response to this dispatcher before the call returns.
    pub(super) fn send<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        limit: usize,
        wait: bool,
    ) -> MutexGuard<'a, State> {
        let finished = if wait { FinishReports::default() } else { std::mem::take(&mut state.finished) };
        *state.request(wait) = InFlight::Sending { limit };
        drop(state);
        let request = ClaimRequest {
            worker: self.shared.worker_id(),
            finished: Arc::new(finished.jobs),
            limit,
            tasks: self.tasks.clone(),
            queues: self.queues.clone(),
            wait,
        };
        let pending = self.shared.queue.store().claim(request.clone());
        let mut state = self.lock();
        *state.request(wait) = InFlight::Sent(Sent { pending, request, ended: finished.ended });
        let waker = if wait { &self.wait_waker } else { &self.finish_waker };
        if let Some((sent, response)) = state.request(wait).poll(waker) {
            // The response has arrived already.
            self.leave_to_thread(&mut state, wait, sent, response);
        }
        if wait && state.closed {
            // The stop has closed the dispatcher meanwhile. It may have cancelled waiting claims before this
            // one reached the store.
            drop(state);
            drop(self.shared.queue.store().cancel_waiting_claims(self.shared.worker_id()));
            state = self.lock();
        }
        state
    }

    /// Handles a response, on the dispatcher's thread.
    pub(super) fn receive(self: &Arc<Dispatcher>, sent: Sent, response: Result<ClaimResponse>) {
        let Sent { request, ended, .. } = sent;
        match response {
            Ok(mut response) => {
                let claimed = std::mem::take(&mut response.claimed);
                let mut state = self.lock();
                state.backoff.succeeded();
                // The pool starts these jobs while the events are emitted.
                self.take_claimed(state, claimed);
                self.emit_results(&request, &ended, &response);
            }
            Err(error) if error.kind() == ErrorKind::StoreHalted => {
                // The finished jobs of this request are lost. They run again after a restart.
                self.lock().backoff.failed(error, self.shared.elapsed());
                self.supervisor.wake();
            }
            Err(error) => {
                if error.kind() == ErrorKind::LeaseLost {
                    // If the worker already has a new id, the next request uses it. That request sends the
                    // same finished jobs again, each with its own claim, and the store answers for each of
                    // them.
                    self.supervisor.lease_lost(request.worker);
                } else {
                    self.shared.emit(&Event::StoreError { error: &error });
                }
                let mut state = self.lock();
                state.finished.jobs.extend_from_slice(&request.finished);
                state.finished.ended.extend(ended);
                state.backoff.failed(error, self.shared.elapsed());
            }
        }
    }

    /// Handles the response to the waiting claim, on the thread that delivers it: threads of the pool can
    /// take its jobs at once. Everything else is left to the dispatcher's thread.
    pub(super) fn receive_waiting(self: &Arc<Dispatcher>) {
        let mut state = self.lock();
        if self.pool.takes_jobs()
            && let Some((sent, response)) = state.waiting_claim.poll(&self.wait_waker)
        {
            match response {
                Ok(response) => {
                    state.backoff.succeeded();
                    self.wake(&mut state);
                    return self.take_claimed(state, response.claimed);
                }
                response => return self.leave_to_thread(&mut state, true, sent, response),
            }
        }
        self.wake(&mut state);
    }

    fn leave_to_thread(&self, state: &mut State, wait: bool, sent: Sent, response: Result<ClaimResponse>) {
        *state.request(wait) = InFlight::Sent(Sent { pending: Pending::ready(response), ..sent });
        self.wake(state);
    }

    /// Passes claimed jobs to the pool.
    fn take_claimed<'a>(
        self: &'a Arc<Dispatcher>,
        mut state: MutexGuard<'a, State>,
        claimed: Vec<ClaimedJob>,
    ) {
        if claimed.is_empty() {
            return;
        }
        let count = claimed.len();
        let (claimed_at, waits_since) = (self.shared.monotonic(), self.shared.elapsed());
        let unstarted = claimed.into_iter().map(|job| UnstartedJob { job, claimed_at, waits_since });
        state.unstarted.extend(unstarted);
        if state.closed {
            return state.release_unstarted();
        }
        if self.pool.takes_jobs() {
            drop(state);
            // Each free thread takes one job; a busy thread takes the next when its job has ended.
            if count == 1 {
                self.job_ready.notify_one()
            } else {
                self.job_ready.notify_all()
            }
            return;
        }
        let room = self.room(&state);
        if room > 0 && !state.has_request() {
            // The store claims further jobs while these begin.
            state = self.send(state, room, true);
        }
        while let Some(execution) = self.begin_next(&mut state) {
            drop(state);
            self.emit_start(&execution);
            self.pool.begin(self.as_job_source(), execution);
            state = self.lock();
        }
    }

    /// Emits the events of finished jobs, now that they are stored.
    fn emit_results(&self, request: &ClaimRequest, ended: &[EndedAttempt], response: &ClaimResponse) {
        for (finish, ended) in request.finished.iter().zip(ended) {
            let &EndedAttempt { task_name, ref queue, run_time } = ended;
            let (id, attempt) = (finish.claim.id, finish.claim.attempt);
            let event = match &finish.verdict {
                // The task completed the job in its own transaction, so its return value does not count.
                _ if response.completed.contains(&finish.claim) => {
                    Event::Completed { id, task_name, queue, attempt, run_time }
                }
                // Its start was not reported either.
                Verdict::Release { started: false, .. } => continue,
                _ if response.lost.contains(&finish.claim) => {
                    Event::ResultDiscarded { id, task_name, queue, attempt }
                }
                Verdict::Complete { .. } => Event::Completed { id, task_name, queue, attempt, run_time },
                Verdict::Retry { wait, error } => {
                    Event::Retrying { id, task_name, queue, attempt, error, wait: *wait }
                }
                Verdict::Postpone { wait, error } => {
                    Event::Postponed { id, task_name, queue, attempt, error, wait: *wait }
                }
                Verdict::Fail { error } => Event::Failed { id, task_name, queue, attempt, error },
                Verdict::Cancel { reason } => Event::Cancelled { id, task_name, queue, attempt, reason },
                Verdict::Release { .. } => Event::Released { id, task_name, queue, attempt },
            };
            self.shared.emit(&event);
        }
    }
}
