//! Decides which job is handed out next and when it starts; settles jobs that have ended or exceeded their
//! timeout.
//!
//! Does not decide which thread takes the job: any free thread, since all wait on one condition variable
//! (`thread_pool.rs`). `claims.rs` sends finished jobs to the store. Who notices an exceeded timeout is in
//! `supervisor/timeouts.rs`.
//!
//! Depends on `execution.rs`, `abandoned.rs` and the state of the [`Dispatcher`].

use std::sync::Arc;
use std::time::Duration;

use crate::context::StopReason;
use crate::model::event::Event;
use crate::model::job::JobId;
use crate::model::retry::{Outcome, Verdict};
use crate::sync::{MutexGuard, PoisonError};

use super::super::abandoned::Place;
use super::super::execution::{Execution, FinishReport};
use super::super::job_source::JobSource;
use super::{Dispatcher, State};

/// If an abandoned attempt of a job still runs in this process, a new claim of the job is released with this
/// wait.
const STILL_RUNNING_WAIT: Duration = Duration::from_secs(5);

impl JobSource for Dispatcher {
    fn next(&self, finished: Option<(Arc<Execution>, Outcome)>) -> Option<Arc<Execution>> {
        let mut state = match finished {
            Some((execution, outcome)) => self.finish(execution, outcome)?,
            None => self.lock(),
        };
        loop {
            if let Some(execution) = self.begin_next(&mut state) {
                drop(state);
                self.emit_start(&execution);
                return Some(execution);
            }
            if state.closed {
                return None;
            }
            state = self.job_ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    #[cfg(feature = "tokio")]
    fn finished(&self, execution: Arc<Execution>, outcome: Outcome) {
        drop(self.finish(execution, outcome));
    }

    #[cfg(any(test, feature = "tokio"))]
    fn dropped(&self, id: JobId) {
        self.abandoned_ended(&mut self.lock(), id);
    }
}

impl Dispatcher {
    /// Settles an execution, and sends the result to the store if no request is in flight. `None` if it was
    /// settled before and another thread has taken its place.
    pub(in crate::worker) fn finish(
        &self,
        execution: Arc<Execution>,
        outcome: Outcome,
    ) -> Option<MutexGuard<'_, State>> {
        let (id, report) = (execution.id(), execution.finish(&self.shared, outcome));
        // The execution keeps the queue open, and a stop continues as soon as no job is running. So drop it
        // first.
        drop(execution);
        let mut state = self.lock();
        match report {
            Some(report) => {
                self.record(&mut state, id, report);
                Some(self.send_finished(state))
            }
            // It was settled under this lock, so `abandoned` already has its place.
            None => (self.abandoned_ended(&mut state, id) == Place::Occupied).then_some(state),
        }
    }

    /// Called when the task of an abandoned execution has ended or its future is dropped.
    fn abandoned_ended(&self, state: &mut State, id: JobId) -> Place {
        let place = state.abandoned.remove(id);
        if place == Place::Occupied {
            // One more job can run.
            self.wake(state);
        }
        place
    }

    /// Records a settled execution. The caller sends it to the store, or wakes the thread that does.
    pub(super) fn record(&self, state: &mut State, id: JobId, report: FinishReport) {
        state.running.remove(&id);
        if state.closed {
            state.backoff.restart_deadline(self.shared.elapsed());
            let released = matches!(report.finish.verdict, Verdict::Release { started: true, .. });
            state.released += usize::from(released);
        }
        state.claim_limit.job_ended(report.ended.run_time);
        state.finished.push(report);
        if state.running.is_empty() {
            self.idle.notify_all();
        }
    }

    /// Reports the start of a job. Called without the lock, since a listener is user code.
    pub(super) fn emit_start(&self, execution: &Execution) {
        let job = execution.ctx.job();
        self.shared.emit(&Event::AttemptStarted {
            id: job.claim.id,
            task_name: execution.task.name,
            queue: &job.queue,
            attempt: job.claim.attempt,
        });
    }

    /// Begins the next claimed job.
    pub(super) fn begin_next(&self, state: &mut State) -> Option<Arc<Execution>> {
        while !state.suspended && !state.closed {
            let unstarted = state.unstarted.pop_front()?;
            // An earlier attempt may still run here: it is abandoned, or the worker lost its lease and then
            // claimed the job again.
            let id = unstarted.job.claim.id;
            if state.abandoned.contains(id) || state.running.contains_key(&id) {
                state.finished.push(FinishReport::unstarted(&unstarted.job, STILL_RUNNING_WAIT));
                self.wake(state);
                continue;
            }
            match Execution::begin(&self.shared, unstarted) {
                Ok(execution) => {
                    state.running.insert(execution.id(), execution.clone());
                    if let Some(deadline) = execution.deadline {
                        self.supervisor.wake_by(deadline);
                    }
                    return Some(execution);
                }
                Err(report) => {
                    state.finished.push(*report);
                    self.wake(state);
                }
            }
        }
        None
    }

    /// Settles the executions whose timeout ends by `now`, and returns the next deadline.
    pub(in crate::worker) fn time_out(self: &Arc<Dispatcher>, now: Duration) -> Option<Duration> {
        let overdue = self.lock().running(|execution| execution.deadline.is_some_and(|at| at <= now));
        // Called without the lock, because a custom backoff is user code.
        let overdue: Vec<_> = overdue
            .into_iter()
            .map(|execution| (execution.timeout_verdict(&self.shared), execution))
            .collect();
        let mut state = self.lock();
        let settle = |(verdict, execution): (Verdict, Arc<Execution>)| {
            self.end_early(&mut state, &execution, execution.settle(&self.shared, verdict));
            execution
        };
        let overdue: Vec<_> = overdue.into_iter().map(settle).collect();
        let next = state.running.values().filter_map(|execution| execution.deadline).min();
        drop(state);
        overdue.iter().for_each(|execution| execution.announce(StopReason::TimedOut));
        next
    }

    /// Whether the timeout of a running job ends before `at`.
    pub(in crate::worker) fn has_deadline_before(&self, at: Duration) -> bool {
        self.lock().running.values().any(|execution| execution.deadline.is_some_and(|it| it < at))
    }

    /// Records the report of an execution that was settled before its task ended, if it was not settled
    /// before.
    pub(super) fn end_early(
        self: &Arc<Dispatcher>,
        state: &mut State,
        execution: &Execution,
        report: Option<FinishReport>,
    ) {
        if let Some(report) = report {
            self.abandon(state, execution);
            self.record(state, execution.id(), report);
            self.wake(state);
        }
    }

    /// Abandons the thread or the future of an execution that was settled before its task ended. The job does
    /// not begin again in this process until the task ends. A future is dropped as soon as no thread polls
    /// it.
    pub(super) fn abandon(self: &Arc<Dispatcher>, state: &mut State, execution: &Execution) {
        if !self.pool.takes_jobs() {
            state.abandoned.insert(execution.id(), Place::Replaced);
            // If the executor does not have the future yet, it drops the future when it gets it.
            execution.abort();
            return;
        }
        // A thread cannot be ended from outside, so a new one replaces it. At most as many threads are
        // replaced as the pool has. Otherwise, the number of threads would have no limit.
        let replaced = state.abandoned.count(Place::Replaced);
        let spawns = replaced < self.pool.size() && !state.closed;
        let spawned = spawns && self.pool.spawn_thread(&self.as_job_source()).is_ok();
        state.abandoned.insert(execution.id(), if spawned { Place::Replaced } else { Place::Occupied });
    }
}
