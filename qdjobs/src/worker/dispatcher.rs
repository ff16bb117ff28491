//! A [`Dispatcher`]: the tasks of one kind, the jobs claimed for them, and the dispatcher that keeps the pool supplied.
//!
//! Leans on the store's contract. FinishWriter are handed in and jobs asked for in one turn, so that each finish shares its
//! commit with the next claim; while a turn is being committed, finishes gather for the next one. With nothing to do the
//! dispatcher leaves one standing turn with the store.
//!
//! The dispatcher sees to all this, but not every step waits for it: a pool member whose job has ended submits the turn
//! itself if none is under way, and a job that answers the standing turn is laid out for the pool by the thread that brings
//! it. So a single job costs no wake-up of a thread in between.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::context::StopReason;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::event::Event;
use crate::model::job::JobId;
use crate::model::retry::{Outcome, Verdict};
use crate::store::{ClaimRequest, ClaimResponse, ClaimedJob, Pending, TaskSet};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, thread};

use super::execution::{Execution, FinishReport, WorkerShared, release};
use super::in_flight::{InFlight, Sent};
use super::pool::Pool;
use super::store_backoff::StoreBackoff;
use super::supervisor::SupervisorHandle;

/// Jobs are claimed ahead of free threads by what the pool ends within this time: thousands of short jobs share a commit, a
/// two-second job is never held back from other workers.
const AHEAD: Duration = Duration::from_millis(10);

/// Most jobs claimed ahead: they would all wait for the rescue if the process died.
const AHEAD_MAX: usize = 1_024;

/// Most jobs asked for in one turn: the first begin while the next are claimed, and no other caller waits for the claim of
/// thousands.
const CLAIM_MAX: usize = 512;

/// A job claimed ahead that has waited for so long was a misjudgement: it goes back.
const AHEAD_PATIENCE: Duration = Duration::from_secs(1);

/// After its grace a stop tells tasks to end, and gives those that listen this long to do so.
pub(super) const PARTING: Duration = Duration::from_millis(500);

/// A job whose earlier attempt still hangs in this process is given back for this long.
const HANGING: Duration = Duration::from_secs(5);

pub(super) struct Dispatcher {
    shared: Arc<WorkerShared>,
    supervisor: SupervisorHandle,
    tasks: Arc<TaskSet>,
    queues: Option<Arc<[String]>>,
    pub(super) pool: Pool,
    /// One lock for the whole dispatcher: a pool member takes it once a job, to hand in one and take the next.
    state: Mutex<State>,
    /// Rung when a job waits for a pool member.
    work: Condvar,
    /// Rung when the dispatcher has something to do.
    woken: Condvar,
    /// Rung when nothing runs any more.
    idle: Condvar,
    dispatcher: Mutex<Option<thread::JoinHandle<Result<()>>>>,
    /// Wakes for the answer to the turn that hands in, and to the one that stands.
    answered: Waker,
    served: Waker,
}

#[derive(Default)]
pub(super) struct State {
    /// ClaimedJob, not begun.
    waiting: VecDeque<WaitingJob>,
    /// As the clock's elapsed time, like all patience here.
    waiting_since: Option<Duration>,
    running: HashMap<JobId, Arc<Execution>>,
    /// Ended, not yet handed in.
    done: Vec<FinishReport>,
    /// The turn that hands in what has ended.
    turn: InFlight,
    /// The turn that waits for work.
    standing: InFlight,
    backoff: StoreBackoff,
    /// Jobs whose abandoned attempts have not come to their end in this process. None of them is among those that run.
    hanging: HashMap<JobId, Place>,
    /// Moving average of what a job takes, in seconds.
    average: f64,
    woken: bool,
    closed: bool,
    /// Begin nothing: the lease may be lost.
    suspended: bool,
    /// Begun, and given back since the worker stops.
    released: usize,
}

/// A job that is claimed and not begun.
struct WaitingJob {
    job: ClaimedJob,
    /// When its claim was answered, on the monotonic clock.
    claimed: Duration,
}

/// What has become of the place in the pool that an abandoned attempt had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The attempt still takes it.
    Taken,
    /// Another thread has it, or none was taken.
    Free,
}

impl State {
    /// Some of what runs, in the order of their numbers: the map's own order is another one in each process.
    fn running(&self, which: impl Fn(&Execution) -> bool) -> Vec<Arc<Execution>> {
        let mut found: Vec<_> = self.running.values().filter(|attempt| which(attempt)).cloned().collect();
        found.sort_unstable_by_key(|attempt| attempt.id());
        found
    }

    fn in_flight(&mut self, stand: bool) -> &mut InFlight {
        if stand { &mut self.standing } else { &mut self.turn }
    }
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

impl Dispatcher {
    pub(super) fn new(
        shared: Arc<WorkerShared>,
        supervisor: SupervisorHandle,
        tasks: Arc<TaskSet>,
        queues: Option<Arc<[String]>>,
        pool: Pool,
    ) -> Arc<Dispatcher> {
        Arc::new_cyclic(|dispatcher: &Weak<Dispatcher>| Dispatcher {
            shared,
            supervisor,
            tasks,
            queues,
            pool,
            state: Mutex::default(),
            work: Condvar::new(),
            woken: Condvar::new(),
            idle: Condvar::new(),
            dispatcher: Mutex::default(),
            answered: Waker::from(Arc::new(WakeDispatcher(dispatcher.clone()))),
            served: Waker::from(Arc::new(Serve(dispatcher.clone()))),
        })
    }

    /// Starts its threads. One that could not start all of them is to be closed and joined as any other.
    pub(super) fn start(self: &Arc<Dispatcher>) -> Result<()> {
        Pool::start(self)?;
        let dispatches = self.clone();
        let thread =
            thread::Builder::new().name("qdjobs-dispatch".into()).spawn(move || dispatches.dispatch());
        let thread = thread.map_err(|error| {
            Error::new(ErrorKind::Config, format!("a worker's thread cannot be started: {error}"))
        })?;
        *self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// Never together with the supervisor's bell the other way round: a dispatcher rings it under this lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, state: &mut State) {
        if !std::mem::replace(&mut state.woken, true) {
            self.woken.notify_one();
        }
    }

    // -- for the pool

    /// Hands in what has ended and takes the next job; waits for one. `None` when there will be none, or none for this member: its
    /// place was given to another while it hung.
    pub(super) fn next(&self, ended: Option<(Arc<Execution>, Outcome)>) -> Option<Arc<Execution>> {
        let mut state = match ended {
            Some((attempt, outcome)) => self.ended(attempt, outcome)?,
            None => self.lock(),
        };
        loop {
            if let Some(attempt) = self.begin_next(&mut state) {
                return Some(attempt);
            }
            if state.closed {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As [`next`](Dispatcher::next), for a member that has ended nothing and does not wait.
    #[cfg(test)]
    pub(super) fn try_next(&self) -> Option<Arc<Execution>> {
        self.begin_next(&mut self.lock())
    }

    /// What those who wait on this dispatcher wait for: whether the dispatcher is called, and whether a member of the pool finds a
    /// job.
    #[cfg(test)]
    pub(super) fn calls(&self) -> (bool, bool) {
        let state = self.lock();
        (state.woken, !state.waiting.is_empty() && !state.suspended && !state.closed)
    }

    /// The dispatcher has woken.
    #[cfg(test)]
    pub(super) fn note_woken(&self) {
        self.lock().woken = false;
    }

    /// Whether nothing runs.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.lock().running.is_empty()
    }

    /// Hands in what has ended, and submits it if no turn is under way. `None` if it was decided before, and its place given away.
    pub(super) fn ended(&self, attempt: Arc<Execution>, outcome: Outcome) -> Option<MutexGuard<'_, State>> {
        let (id, done) = (attempt.id(), attempt.settle(&self.shared, outcome));
        // It keeps the queue open, and whoever stops the worker goes on as soon as nothing runs.
        drop(attempt);
        let mut state = self.lock();
        match done {
            Some(done) => {
                self.hand_in(&mut state, id, done);
                Some(self.submit_done(state))
            }
            // Whoever decided it did so under this lock, and has noted where it is by now.
            None => (self.has_returned(&mut state, id) == Place::Taken).then_some(state),
        }
    }

    /// An abandoned attempt has come to its end after all.
    #[cfg(any(test, feature = "tokio"))]
    pub(super) fn returned(&self, id: JobId) {
        self.has_returned(&mut self.lock(), id);
    }

    fn has_returned(&self, state: &mut State, id: JobId) -> Place {
        let place = state.hanging.remove(&id).unwrap_or(Place::Taken);
        if place == Place::Taken {
            // There is room again.
            self.wake(state);
        }
        place
    }

    /// Notes what has ended; the caller sees to it that it is submitted.
    fn hand_in(&self, state: &mut State, id: JobId, done: FinishReport) {
        state.running.remove(&id);
        if state.closed {
            state.backoff.begin_anew(self.shared.elapsed());
            let given_back = matches!(done.finish.verdict, Verdict::Release { started: true, .. });
            state.released += usize::from(given_back);
        }
        let ran = done.ran.as_secs_f64();
        // The first job sets the average, an eighth of each later one moves it.
        state.average = if state.average == 0.0 { ran } else { state.average + (ran - state.average) / 8.0 };
        state.done.push(done);
        if state.running.is_empty() {
            self.idle.notify_all();
        }
    }

    fn begin_next(&self, state: &mut State) -> Option<Arc<Execution>> {
        while !state.suspended && !state.closed {
            let WaitingJob { job, claimed } = state.waiting.pop_front()?;
            if state.waiting.is_empty() {
                state.waiting_since = None;
            }
            // Running still, if this worker was taken for dead and got the job back.
            if state.hanging.contains_key(&job.claim.id) || state.running.contains_key(&job.claim.id) {
                state.done.push(release(&job, HANGING));
                self.wake(state);
                continue;
            }
            match Execution::begin(&self.shared, job, claimed) {
                Ok(attempt) => {
                    state.running.insert(attempt.id(), attempt.clone());
                    if let Some(deadline) = attempt.deadline {
                        self.supervisor.wake_by(deadline);
                    }
                    return Some(attempt);
                }
                Err(done) => {
                    state.done.push(*done);
                    self.wake(state);
                }
            }
        }
        None
    }

    // -- for the supervisor

    /// Ends what is overdue at `now`; the next deadline.
    pub(super) fn expire(self: &Arc<Dispatcher>, now: Duration) -> Option<Duration> {
        let overdue = self.lock().running(|attempt| attempt.deadline.is_some_and(|at| at <= now));
        // Without the lock: a custom backoff is the program's own code.
        let overdue: Vec<_> =
            overdue.into_iter().map(|attempt| (attempt.overdue(&self.shared), attempt)).collect();
        let mut state = self.lock();
        for (verdict, attempt) in overdue {
            if let Some(done) = attempt.expire(&self.shared, verdict) {
                self.abandon(&mut state, &attempt);
                self.hand_in(&mut state, attempt.id(), done);
                self.wake(&mut state);
            }
        }
        state.running.values().filter_map(|attempt| attempt.deadline).min()
    }

    /// Whether something is overdue before `at`.
    pub(super) fn has_deadline_before(&self, at: Duration) -> bool {
        self.lock().running.values().any(|attempt| attempt.deadline.is_some_and(|deadline| deadline < at))
    }

    /// Goes on without the thread or the future of an attempt that has been decided over its head. Its job begins here no more until
    /// it has come to its end: a future is dropped as soon as it is in no poll.
    fn abandon(self: &Arc<Dispatcher>, state: &mut State, attempt: &Execution) {
        if !self.pool.takes() {
            state.hanging.insert(attempt.id(), Place::Free);
            // One that is not there yet is dropped as soon as it is.
            #[cfg(feature = "tokio")]
            if let Some(job) = attempt.future.get() {
                job.cancel();
            }
            return;
        }
        // A thread cannot be ended from outside. As many as the dispatcher is wide are replaced; more would be a leak without end.
        let replaced = state.hanging.values().filter(|place| **place == Place::Free).count();
        let spawned = replaced < self.pool.size() && !state.closed && Pool::spawn_thread(self).is_ok();
        state.hanging.insert(attempt.id(), if spawned { Place::Free } else { Place::Taken });
    }

    /// Begins nothing more, or goes on. What runs is told that the lease may be lost.
    pub(super) fn suspend(&self, suspended: bool) {
        let mut state = self.lock();
        if suspended && !state.suspended {
            state.running.values().for_each(|attempt| attempt.tell_to_stop(StopReason::LeaseLost));
        }
        state.suspended = suspended;
        // There is room again, or none any more: the dispatcher asks for jobs by it.
        self.wake(&mut state);
        drop(state);
        self.work.notify_all();
    }

    /// Forgets what was claimed under a lost number; what runs is told, and its result will be refused.
    pub(super) fn lease_lost(&self) {
        let mut state = self.lock();
        state.running.values().for_each(|attempt| attempt.tell_to_stop(StopReason::LeaseLost));
        state.waiting.clear();
        state.waiting_since = None;
        self.wake(&mut state);
    }

    /// The store has stopped for good: begins nothing more, and forgets what was claimed, since its end could not be stored.
    pub(super) fn store_stopped(&self, error: &Error) {
        let mut state = self.lock();
        state.running.values().for_each(|attempt| attempt.tell_to_stop(StopReason::StoreHalted));
        state.suspended = true;
        state.waiting.clear();
        state.waiting_since = None;
        state.backoff.met(error.repeat(), self.shared.elapsed());
        self.wake(&mut state);
    }

    /// The worker goes on under a new number: what was refused may be asked for again.
    pub(super) fn renumbered(&self) {
        self.wake(&mut self.lock());
    }

    // -- for the stop, in its order

    /// Claims nothing more, begins nothing more, and gives back what has not begun.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.backoff.begin_anew(self.shared.elapsed());
        self.give_back_waiting(&mut state);
        self.wake(&mut state);
        drop(state);
        self.work.notify_all();
    }

    /// Waits until nothing runs, at most until `until` of the clock's elapsed time.
    pub(super) fn wait_idle(&self, until: Duration) {
        let state = self.lock();
        let left = until.saturating_sub(self.shared.elapsed());
        let running = |state: &mut State| !state.running.is_empty();
        drop(self.idle.wait_timeout_while(state, left, running).unwrap_or_else(PoisonError::into_inner));
    }

    /// Tells what still runs to end.
    pub(super) fn tell_to_stop(&self) {
        self.lock().running.values().for_each(|attempt| attempt.tell_to_stop(StopReason::WorkerStopping));
    }

    /// Gives back what still runs; answers how many jobs this stop gave back, with those that ended early by themselves.
    pub(super) fn release_running(self: &Arc<Dispatcher>) -> usize {
        let mut state = self.lock();
        for attempt in state.running(|_| true) {
            if let Some(done) = attempt.give_back(&self.shared) {
                self.abandon(&mut state, &attempt);
                self.hand_in(&mut state, attempt.id(), done);
                self.wake(&mut state);
            }
        }
        state.released
    }

    /// Waits until everything is handed in.
    pub(super) fn join(&self) -> Result<()> {
        let thread = self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        let written = thread.map_or(Ok(()), |thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(Error::new(ErrorKind::Storage, "a worker's dispatcher has panicked")))
        });
        self.pool.close();
        written
    }

    fn give_back_waiting(&self, state: &mut State) {
        let waiting = std::mem::take(&mut state.waiting);
        state.done.extend(waiting.iter().map(|waiting| release(&waiting.job, Duration::ZERO)));
        state.waiting_since = None;
    }

    // -- the dispatcher

    fn dispatch(self: Arc<Dispatcher>) -> Result<()> {
        loop {
            match self.step() {
                Step::Again => {}
                Step::Sleep(state, limit) => self.sleep(state, limit),
                Step::Over(written) => return written,
            }
        }
    }

    /// One thing of what the dispatcher has to do.
    pub(super) fn step(self: &Arc<Dispatcher>) -> Step<'_> {
        let mut state = self.lock();
        if let Some((leg, answer)) = state.turn.poll(&self.answered) {
            drop(state);
            self.landed(leg, answer);
            return Step::Again;
        }
        if let Some((leg, answer)) = state.standing.poll(&self.served) {
            drop(state);
            self.landed(leg, answer);
            return Step::Again;
        }
        let now = self.shared.elapsed();
        if state.closed {
            if state.backoff.is_refused() || (state.running.is_empty() && state.backoff.is_hopeless(now)) {
                return Step::Over(Err(state.backoff.last_words()));
            }
            let away = !state.turn.is_grounded() || !state.standing.is_grounded();
            if state.done.is_empty() && state.running.is_empty() && !away {
                return Step::Over(Ok(()));
            }
        }
        if state.waiting_since.is_some_and(|since| now.saturating_sub(since) > AHEAD_PATIENCE) {
            self.give_back_waiting(&mut state);
            // So much for what a job takes. By the average of before, the very turn that gives them back would claim them again, and
            // an idle worker next door would never have them.
            state.average = state.average.max(AHEAD_PATIENCE.as_secs_f64());
        }
        if state.backoff.is_final() {
            // There is nothing to ask for and nothing to hand in until the worker stops.
            return Step::Sleep(state, None);
        }
        state = self.submit_done(state);
        let pause = state.backoff.pause(now);
        if pause.is_none() && state.turn.is_grounded() && state.standing.is_grounded() {
            let room = self.room(&state);
            if room > 0 {
                drop(self.submit(state, room, true));
                return Step::Again;
            }
        }
        // Only what was claimed ahead and a pause after backoff are measured in time; everything else stirs.
        let patience = state.waiting_since.map(|_| AHEAD_PATIENCE);
        let limit = pause.into_iter().chain(patience).min();
        Step::Sleep(state, limit)
    }

    /// How many jobs to ask for: as many more as this dispatcher can hold, within reason.
    fn room(&self, state: &State) -> usize {
        if state.closed || state.suspended {
            return 0;
        }
        let size = self.pool.size();
        let ahead = if !self.pool.takes() || state.average <= 0.0 {
            0
        } else {
            ((size as f64 * AHEAD.as_secs_f64() / state.average) as usize).min(AHEAD_MAX)
        };
        // A pool member that hangs beyond replacement still takes a place.
        let stuck = state.hanging.values().filter(|place| **place == Place::Taken).count();
        (size + ahead).saturating_sub(state.running.len() + state.waiting.len() + stuck).min(CLAIM_MAX)
    }

    /// Submits the turn that hands in what has ended, if there is something and none is under way.
    fn submit_done<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if state.done.is_empty() || !state.turn.is_grounded() || self.is_in_trouble(&state) {
            return state;
        }
        let room = self.room(&state).saturating_sub(state.standing.limit());
        self.submit(state, room, false)
    }

    /// Whether a turn that failed has to be paused after; asks for the time only if there is backoff.
    fn is_in_trouble(&self, state: &State) -> bool {
        state.backoff.is_final()
            || state.backoff.is_there() && state.backoff.pause(self.shared.elapsed()).is_some()
    }

    /// Submits a turn. Not under the lock: a store may answer while it takes the turn, this one or another of this dispatcher.
    fn submit<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        limit: usize,
        stand: bool,
    ) -> MutexGuard<'a, State> {
        let done = if stand { Vec::new() } else { std::mem::take(&mut state.done) };
        *state.in_flight(stand) = InFlight::Boarding { limit };
        drop(state);
        let (finishes, told) = done.into_iter().map(|done| (done.finish, (done.task_name, done.ran))).unzip();
        let turn = ClaimRequest {
            worker: self.shared.worker(),
            finished: Arc::new(finishes),
            limit,
            tasks: self.tasks.clone(),
            queues: self.queues.clone(),
            wait: stand,
        };
        let pending = self.shared.queue.store().claim(turn.clone());
        let mut state = self.lock();
        *state.in_flight(stand) = InFlight::Away(Sent { pending, turn, told });
        let waker = if stand { &self.served } else { &self.answered };
        if let Some((leg, answer)) = state.in_flight(stand).poll(waker) {
            // It is there already.
            self.leave_to_dispatcher(&mut state, stand, leg, answer);
        }
        if stand && state.closed {
            // The stop that closed the dispatcher meanwhile may have recalled what stood before this did.
            drop(state);
            drop(self.shared.queue.store().cancel_waiting_claims(self.shared.worker()));
            state = self.lock();
        }
        state
    }

    fn landed(self: &Arc<Dispatcher>, leg: Sent, answer: Result<ClaimResponse>) {
        let Sent { turn, told, .. } = leg;
        match answer {
            Ok(mut turned) => {
                let claimed = std::mem::take(&mut turned.claimed);
                let mut state = self.lock();
                state.backoff.over();
                // The pool goes on while its finishes are told.
                self.arrived(state, claimed);
                self.announce(&turn, &told, &turned);
            }
            Err(error) if error.kind() == ErrorKind::StoreHalted => {
                // What was to be handed in is lost with all else that this process knows; the restart runs it again.
                self.lock().backoff.met(error, self.shared.elapsed());
                self.supervisor.store_stopped();
            }
            Err(error) => {
                if error.kind() == ErrorKind::LeaseLost {
                    // If the number has changed meanwhile, the next turn shows the new one. It hands in the same finishes, each under
                    // its own claim: the store says of each what has become of it.
                    self.supervisor.lease_lost(turn.worker);
                } else {
                    self.shared.tell(&Event::StoreError { error: &error });
                }
                let again = turn.finished.iter().zip(told);
                let again = again.map(|(finish, (task_name, ran))| FinishReport {
                    finish: finish.clone(),
                    task_name,
                    ran,
                });
                let mut state = self.lock();
                state.done.extend(again);
                state.backoff.met(error, self.shared.elapsed());
            }
        }
    }

    /// The standing turn is answered, on the thread that brings the answer: jobs are laid out for the pool at once. All else
    /// is left to the dispatcher.
    fn serve(self: &Arc<Dispatcher>) {
        let mut state = self.lock();
        if self.pool.takes()
            && let Some((leg, answer)) = state.standing.poll(&self.served)
        {
            match answer {
                Ok(turned) => {
                    state.backoff.over();
                    self.wake(&mut state);
                    return self.arrived(state, turned.claimed);
                }
                answer => return self.leave_to_dispatcher(&mut state, true, leg, answer),
            }
        }
        self.wake(&mut state);
    }

    fn leave_to_dispatcher(&self, state: &mut State, stand: bool, leg: Sent, answer: Result<ClaimResponse>) {
        *state.in_flight(stand) = InFlight::Away(Sent { pending: Pending::ready(answer), ..leg });
        self.wake(state);
    }

    fn arrived<'a>(self: &'a Arc<Dispatcher>, mut state: MutexGuard<'a, State>, claimed: Vec<ClaimedJob>) {
        if claimed.is_empty() {
            return;
        }
        let many = claimed.len();
        let at = self.shared.monotonic();
        state.waiting.extend(claimed.into_iter().map(|job| WaitingJob { job, claimed: at }));
        state.waiting_since.get_or_insert_with(|| self.shared.elapsed());
        if state.closed {
            return self.give_back_waiting(&mut state);
        }
        if self.pool.takes() {
            drop(state);
            // Each member that is free takes one; those at work look again when they have ended.
            if many == 1 {
                self.work.notify_one()
            } else {
                self.work.notify_all()
            }
            return;
        }
        let room = self.room(&state);
        if room > 0 && state.turn.is_grounded() && state.standing.is_grounded() {
            // More are claimed while these begin.
            state = self.submit(state, room, true);
        }
        while let Some(attempt) = self.begin_next(&mut state) {
            drop(state);
            self.pool.begin(self, attempt);
            state = self.lock();
        }
    }

    /// Tells what has become of jobs, now that it is stored.
    fn announce(&self, turn: &ClaimRequest, told: &[(&'static str, Duration)], turned: &ClaimResponse) {
        for (finish, &(task_name, ran)) in turn.finished.iter().zip(told) {
            let (id, attempt) = (finish.claim.id, finish.claim.attempt);
            let event = match &finish.verdict {
                // In a transaction of the task's own, whatever it said afterwards.
                _ if turned.completed.contains(&finish.claim) => {
                    Event::Completed { id, task_name, run_time: ran }
                }
                Verdict::Release { .. } => continue,
                _ if turned.lost.contains(&finish.claim) => Event::ResultDiscarded { id, attempt },
                Verdict::Complete { .. } => Event::Completed { id, task_name, run_time: ran },
                Verdict::Retry { wait, error } => {
                    Event::Retrying { id, task_name, attempt, error, wait: *wait }
                }
                Verdict::Fail { error } => Event::Failed { id, task_name, attempt, error },
                Verdict::Cancel { reason } => Event::Cancelled { id, task_name, reason },
            };
            self.shared.tell(&event);
        }
    }

    fn sleep(&self, state: MutexGuard<'_, State>, limit: Option<Duration>) {
        let quiet = |state: &mut State| !state.woken;
        let mut state = match limit {
            Some(sleep) => {
                self.woken.wait_timeout_while(state, sleep, quiet).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.woken.wait_while(state, quiet).unwrap_or_else(PoisonError::into_inner),
        };
        state.woken = false;
    }
}

/// What a step of the dispatcher came to.
pub(super) enum Step<'a> {
    /// There may be more to do.
    Again,
    /// Nothing is to be done until something stirs, or for so long. Under the lock, so that nothing is missed in between.
    Sleep(MutexGuard<'a, State>, Option<Duration>),
    /// All is handed in, and nothing comes any more.
    Over(Result<()>),
}

/// Stirs the dispatcher when an answer is there.
struct WakeDispatcher(Weak<Dispatcher>);

impl Wake for WakeDispatcher {
    fn wake(self: Arc<Self>) {
        if let Some(dispatcher) = self.0.upgrade() {
            let mut state = dispatcher.lock();
            dispatcher.wake(&mut state);
        }
    }
}

/// Lays out what the standing turn has brought.
struct Serve(Weak<Dispatcher>);

impl Wake for Serve {
    fn wake(self: Arc<Self>) {
        if let Some(dispatcher) = self.0.upgrade() {
            dispatcher.serve();
        }
    }
}
