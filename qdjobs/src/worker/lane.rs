//! A [`Lane`]: the tasks of one kind, the jobs claimed for them, and the dispatcher that keeps the crew supplied.
//!
//! Leans on the store's contract. The dispatcher hands in finishes and asks for jobs in one turn, so that each finish shares
//! its commit with the next claim; while a turn is being committed, finishes gather for the next one. With nothing to do it
//! leaves one standing turn with the store and sleeps.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::context::StopReason;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::job::JobId;
use crate::retry::{Outcome, Verdict};
use crate::store::{Claimed, Pending, TaskSet, Turn, Turned, Want};

use super::attempt::{Attempt, Done, Shop, release};
use super::crew::Crew;
use super::steward::StewardBell;

/// Jobs are claimed ahead of free threads by what the crew ends within this time: thousands of short jobs share a commit, a
/// two-second job is never held back from other workers.
const AHEAD: Duration = Duration::from_millis(10);

/// Most jobs claimed ahead: they would all wait for the rescue if the process died.
const AHEAD_MAX: usize = 1_024;

/// A job claimed ahead that has waited for so long was a misjudgement: it goes back.
const AHEAD_PATIENCE: Duration = Duration::from_secs(1);

/// Pauses after a turn that failed, from the first to the longest.
const TROUBLE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A stop gives up on writing its last finishes after this long: they are rescued.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// After its grace a stop tells tasks to end, and gives those that listen this long to do so.
pub(super) const PARTING: Duration = Duration::from_millis(500);

/// A job whose earlier attempt still hangs in this process is given back for this long.
const HANGING: Duration = Duration::from_secs(5);

pub(super) struct Lane {
    shop: Arc<Shop>,
    steward: StewardBell,
    tasks: Arc<TaskSet>,
    queues: Option<Arc<[String]>>,
    pub(super) crew: Crew,
    /// One lock for the whole lane: a crew member takes it once a job, to hand in one and take the next.
    state: Mutex<State>,
    /// Rung when a job waits for a crew member.
    work: Condvar,
    /// Rung when the dispatcher has something to do.
    stirred: Condvar,
    /// Rung when nothing runs any more.
    idle: Condvar,
    dispatcher: Mutex<Option<JoinHandle<Result<()>>>>,
}

#[derive(Default)]
struct State {
    /// Claimed, not begun.
    waiting: VecDeque<Claimed>,
    waiting_since: Option<Instant>,
    running: HashMap<JobId, Arc<Attempt>>,
    /// Ended, not yet handed in.
    done: Vec<Done>,
    /// Jobs whose abandoned attempts still hang in threads of this process.
    hanging: HashSet<JobId>,
    /// Moving average of what a job takes, in seconds.
    average: f64,
    stirred: bool,
    closed: bool,
    /// Begin nothing: the lease may be lost.
    suspended: bool,
    /// Begun, and given back since the worker stops.
    released: usize,
}

/// A turn that is under way.
struct Flight {
    pending: Pending<Turned>,
    turn: Turn,
    told: Vec<(&'static str, Duration)>,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

impl Lane {
    pub(super) fn start(
        shop: Arc<Shop>,
        steward: StewardBell,
        tasks: Arc<TaskSet>,
        queues: Option<Arc<[String]>>,
        crew: Crew,
    ) -> Result<Arc<Lane>> {
        let lane = Arc::new(Lane {
            shop,
            steward,
            tasks,
            queues,
            crew,
            state: Mutex::default(),
            work: Condvar::new(),
            stirred: Condvar::new(),
            idle: Condvar::new(),
            dispatcher: Mutex::default(),
        });
        Crew::start(&lane)?;
        let dispatches = lane.clone();
        let thread =
            std::thread::Builder::new().name("qdjobs-lane".into()).spawn(move || dispatches.dispatch());
        let thread = thread.map_err(|error| {
            Error::new(ErrorKind::Setup, format!("a worker's thread cannot be started: {error}"))
        })?;
        *lane.dispatcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(lane)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of the program's own runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stir(&self, state: &mut State) {
        if !std::mem::replace(&mut state.stirred, true) {
            self.stirred.notify_one();
        }
    }

    // -- for the crew

    /// Hands in what has ended and takes the next job; waits for one. `None` when there will be none.
    pub(super) fn next(&self, ended: Option<(Arc<Attempt>, Outcome)>) -> Option<Arc<Attempt>> {
        // The attempt, which keeps the queue open, ends here: whoever stops the worker goes on as soon as nothing runs.
        let done = ended.map(|(attempt, outcome)| (attempt.id(), attempt.settle(&self.shop, outcome)));
        let mut state = self.lock();
        if let Some((id, done)) = done {
            self.hand_in(&mut state, id, done);
        }
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

    /// Hands in what has ended on the executor.
    #[cfg(feature = "tokio")]
    pub(super) fn ended(&self, attempt: Arc<Attempt>, outcome: Outcome) {
        let (id, done) = (attempt.id(), attempt.settle(&self.shop, outcome));
        // It keeps the queue open, and whoever stops the worker goes on as soon as nothing runs.
        drop(attempt);
        let mut state = self.lock();
        self.hand_in(&mut state, id, done);
    }

    /// An abandoned attempt has come to its end after all.
    pub(super) fn returned(&self, id: JobId) {
        self.lock().hanging.remove(&id);
    }

    fn hand_in(&self, state: &mut State, id: JobId, done: Option<Done>) {
        state.running.remove(&id);
        if let Some(done) = done {
            let given_back = matches!(done.finish.verdict, Verdict::Release { started: true, .. });
            state.released += usize::from(state.closed && given_back);
            let ran = done.ran.as_secs_f64();
            // The first job sets the average, an eighth of each later one moves it.
            state.average =
                if state.average == 0.0 { ran } else { state.average + (ran - state.average) / 8.0 };
            state.done.push(done);
        }
        self.stir(state);
        if state.running.is_empty() {
            self.idle.notify_all();
        }
    }

    fn begin_next(&self, state: &mut State) -> Option<Arc<Attempt>> {
        while !state.suspended && !state.closed {
            let job = state.waiting.pop_front()?;
            if state.waiting.is_empty() {
                state.waiting_since = None;
            }
            // Running still, if this worker was taken for dead and got the job back.
            if state.hanging.contains(&job.claim.id) || state.running.contains_key(&job.claim.id) {
                state.done.push(release(&job, HANGING));
                self.stir(state);
                continue;
            }
            match Attempt::begin(&self.shop, job) {
                Ok(attempt) => {
                    state.running.insert(attempt.id(), attempt.clone());
                    if let Some(deadline) = attempt.deadline {
                        self.steward.wake_by(deadline);
                    }
                    return Some(attempt);
                }
                Err(done) => {
                    state.done.push(done);
                    self.stir(state);
                }
            }
        }
        None
    }

    // -- for the steward

    /// Ends what is overdue at `now`; the next deadline.
    pub(super) fn expire(self: &Arc<Lane>, now: Duration) -> Option<Duration> {
        let mut state = self.lock();
        let overdue: Vec<Arc<Attempt>> = state
            .running
            .values()
            .filter(|attempt| attempt.deadline.is_some_and(|at| at <= now))
            .cloned()
            .collect();
        for attempt in overdue {
            if let Some(done) = attempt.expire(&self.shop) {
                self.abandon(&mut state, &attempt);
                self.hand_in(&mut state, attempt.id(), Some(done));
            }
        }
        state.running.values().filter_map(|attempt| attempt.deadline).min()
    }

    /// Whether something is overdue before `at`.
    pub(super) fn has_deadline_before(&self, at: Duration) -> bool {
        self.lock().running.values().any(|attempt| attempt.deadline.is_some_and(|deadline| deadline < at))
    }

    /// Goes on without the thread or the future of an attempt that has been decided over its head.
    fn abandon(self: &Arc<Lane>, state: &mut State, attempt: &Attempt) {
        #[cfg(feature = "tokio")]
        if let Some(job) = attempt.future.get() {
            job.cancel();
            return;
        }
        // A thread cannot be ended from outside. As many as the lane is wide are replaced; more would be a leak without end.
        if state.hanging.len() < self.crew.size() && !state.closed && Crew::hire(self).is_ok() {
            state.hanging.insert(attempt.id());
            attempt.replaced.store(true, std::sync::atomic::Ordering::Release);
        }
    }

    /// Begins nothing more, or goes on. What runs is told that the lease may be lost.
    pub(super) fn suspend(&self, suspended: bool) {
        let mut state = self.lock();
        if suspended && !state.suspended {
            state.running.values().for_each(|attempt| attempt.tell_to_stop(StopReason::LeaseLost));
        }
        state.suspended = suspended;
        // There is room again, or none any more: the dispatcher asks for jobs by it.
        self.stir(&mut state);
        drop(state);
        self.work.notify_all();
    }

    /// Forgets what was claimed under a lost number; what runs is told, and its result will be refused.
    pub(super) fn lease_lost(&self) {
        let mut state = self.lock();
        state.running.values().for_each(|attempt| attempt.tell_to_stop(StopReason::LeaseLost));
        state.waiting.clear();
        state.waiting_since = None;
        self.stir(&mut state);
    }

    /// The worker goes on under a new number: what was refused may be asked for again.
    pub(super) fn renumbered(&self) {
        self.stir(&mut self.lock());
    }

    // -- for the stop, in its order

    /// Claims nothing more, begins nothing more, and gives back what has not begun.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.give_back_waiting(&mut state);
        self.stir(&mut state);
        drop(state);
        self.work.notify_all();
    }

    /// Waits until nothing runs, at most until `until`.
    pub(super) fn wait_idle(&self, until: Instant) {
        let state = self.lock();
        let left = until.saturating_duration_since(now());
        let running = |state: &mut State| !state.running.is_empty();
        drop(self.idle.wait_timeout_while(state, left, running).unwrap_or_else(PoisonError::into_inner));
    }

    /// Tells what still runs to end.
    pub(super) fn tell_to_stop(&self) {
        self.lock().running.values().for_each(|attempt| attempt.tell_to_stop(StopReason::Stopping));
    }

    /// Gives back what still runs; answers how many jobs this stop gave back, with those that ended early by themselves.
    pub(super) fn release_running(self: &Arc<Lane>) -> usize {
        let mut state = self.lock();
        let running: Vec<Arc<Attempt>> = state.running.values().cloned().collect();
        for attempt in running {
            if let Some(done) = attempt.give_back(&self.shop) {
                self.abandon(&mut state, &attempt);
                self.hand_in(&mut state, attempt.id(), Some(done));
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
        self.crew.close();
        written
    }

    fn give_back_waiting(&self, state: &mut State) {
        let waiting = std::mem::take(&mut state.waiting);
        state.done.extend(waiting.iter().map(|job| release(job, Duration::ZERO)));
        state.waiting_since = None;
    }

    // -- the dispatcher

    fn dispatch(self: Arc<Lane>) -> Result<()> {
        let waker = Waker::from(Arc::new(Stir(Arc::downgrade(&self))));
        let mut turn: Option<Flight> = None;
        let mut standing: Option<Flight> = None;
        let mut trouble = Trouble::default();
        loop {
            for flight in [&mut turn, &mut standing] {
                if let Some(answer) = flight.as_mut().and_then(|flight| poll(&mut flight.pending, &waker))
                    && let Some(flight) = flight.take()
                {
                    self.landed(flight, answer, &mut trouble);
                }
            }
            if trouble.is_hopeless() && self.lock().closed {
                return Err(trouble.last_words());
            }
            let mut state = self.lock();
            if state.closed
                && state.done.is_empty()
                && state.running.is_empty()
                && turn.is_none()
                && standing.is_none()
            {
                return Ok(());
            }
            let now = now();
            if state.waiting_since.is_some_and(|since| now.duration_since(since) > AHEAD_PATIENCE) {
                self.give_back_waiting(&mut state);
            }
            let pause = trouble.pause(now);
            if pause.is_none() && turn.is_none() {
                let promised = standing.as_ref().map_or(0, |flight| flight.turn.want.limit);
                let room = self.room(&state).saturating_sub(promised);
                if !state.done.is_empty() {
                    turn = Some(self.submit(&mut state, room, false));
                    continue;
                }
                if room > 0 && standing.is_none() {
                    standing = Some(self.submit(&mut state, room, true));
                    continue;
                }
            }
            self.sleep(state, pause);
        }
    }

    /// How many more jobs this lane can hold.
    fn room(&self, state: &State) -> usize {
        if state.closed || state.suspended {
            return 0;
        }
        let size = self.crew.size();
        let ahead = if !self.crew.takes() || state.average <= 0.0 {
            0
        } else {
            ((size as f64 * AHEAD.as_secs_f64() / state.average) as usize).min(AHEAD_MAX)
        };
        // A crew member that hangs beyond replacement still takes a place.
        (size + ahead).saturating_sub(state.running.len() + state.waiting.len())
    }

    fn submit(&self, state: &mut State, limit: usize, stand: bool) -> Flight {
        let done = std::mem::take(&mut state.done);
        let (finishes, told) = done.into_iter().map(|done| (done.finish, (done.task_name, done.ran))).unzip();
        let want = Want { limit, tasks: self.tasks.clone(), queues: self.queues.clone(), stand };
        let turn = Turn { worker: self.shop.worker(), done: Arc::new(finishes), want };
        Flight { pending: self.shop.queue.store().turn(turn.clone()), turn, told }
    }

    fn landed(self: &Arc<Lane>, flight: Flight, answer: Result<Turned>, trouble: &mut Trouble) {
        let Flight { turn, told, .. } = flight;
        match answer {
            Ok(turned) => {
                trouble.over();
                self.announce(&turn, &told, &turned);
                self.arrived(turned.claimed);
            }
            Err(error) if error.kind() == ErrorKind::LeaseLost => {
                for finish in turn.done.iter() {
                    self.shop.tell(&Event::Refused { id: finish.claim.id, attempt: finish.claim.attempt });
                }
                // If the number has changed meanwhile, the next turn shows the new one.
                self.steward.lease_lost(turn.worker);
                trouble.met(error, now());
            }
            Err(error) => {
                self.shop.tell(&Event::Trouble { error: &error });
                let again = turn.done.iter().zip(told);
                let again =
                    again.map(|(finish, (task_name, ran))| Done { finish: finish.clone(), task_name, ran });
                let mut state = self.lock();
                state.done.extend(again);
                trouble.met(error, now());
            }
        }
    }

    fn arrived(self: &Arc<Lane>, claimed: Vec<Claimed>) {
        if claimed.is_empty() {
            return;
        }
        let mut state = self.lock();
        let many = claimed.len();
        state.waiting.extend(claimed);
        state.waiting_since.get_or_insert_with(now);
        if state.closed {
            return self.give_back_waiting(&mut state);
        }
        if self.crew.takes() {
            drop(state);
            // Each member that is free takes one; those at work look again when they have ended.
            if many == 1 {
                self.work.notify_one()
            } else {
                self.work.notify_all()
            }
            return;
        }
        while let Some(attempt) = self.begin_next(&mut state) {
            drop(state);
            self.crew.begin(self, attempt);
            state = self.lock();
        }
    }

    /// Tells what has become of jobs, now that it is stored.
    fn announce(&self, turn: &Turn, told: &[(&'static str, Duration)], turned: &Turned) {
        for (finish, &(task_name, ran)) in turn.done.iter().zip(told) {
            let (id, attempt) = (finish.claim.id, finish.claim.attempt);
            let event = match &finish.verdict {
                _ if turned.lost.contains(&finish.claim) => Event::Refused { id, attempt },
                Verdict::Complete { .. } => Event::Completed { id, task_name, ran },
                Verdict::Retry { wait, error } => {
                    Event::Retrying { id, task_name, attempt, error, wait: *wait }
                }
                Verdict::Fail { error } => Event::Failed { id, task_name, attempt, error },
                Verdict::Cancel { reason } => Event::Cancelled { id, task_name, reason },
                Verdict::Release { .. } => continue,
            };
            self.shop.tell(&event);
        }
    }

    fn sleep(&self, mut state: MutexGuard<'_, State>, pause: Option<Duration>) {
        // Only what was claimed ahead and a pause after trouble are measured in time; everything else stirs.
        let patience = state.waiting_since.map(|_| AHEAD_PATIENCE);
        let quiet = |state: &mut State| !state.stirred;
        let mut state = match pause.into_iter().chain(patience).min() {
            Some(nap) => {
                self.stirred.wait_timeout_while(state, nap, quiet).unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                state = self.stirred.wait_while(state, quiet).unwrap_or_else(PoisonError::into_inner);
                state
            }
        };
        state.stirred = false;
    }
}

/// Real time, for pauses and patience that no test needs to hold.
#[expect(clippy::disallowed_methods, reason = "pauses towards the operating system, in real time")]
pub(super) fn now() -> Instant {
    Instant::now()
}

fn poll(pending: &mut Pending<Turned>, waker: &Waker) -> Option<Result<Turned>> {
    match Pin::new(pending).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// Stirs the dispatcher when an answer is there.
struct Stir(Weak<Lane>);

impl Wake for Stir {
    fn wake(self: Arc<Self>) {
        if let Some(lane) = self.0.upgrade() {
            let mut state = lane.lock();
            lane.stir(&mut state);
        }
    }
}

/// Turns that fail, and the pauses between them.
#[derive(Default)]
struct Trouble {
    since: Option<Instant>,
    until: Option<Instant>,
    wait: Duration,
    last: Option<Error>,
}

impl Trouble {
    fn met(&mut self, error: Error, now: Instant) {
        self.wait = (self.wait * 2).clamp(TROUBLE.0, TROUBLE.1);
        self.since.get_or_insert(now);
        self.until = Some(now + self.wait);
        self.last = Some(error);
    }

    fn over(&mut self) {
        *self = Trouble::default();
    }

    fn pause(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    fn is_hopeless(&self) -> bool {
        let closed = self.last.as_ref().is_some_and(|error| error.kind() == ErrorKind::Closed);
        closed || self.since.is_some_and(|since| now().duration_since(since) > LAST_WORDS)
    }

    fn last_words(&mut self) -> Error {
        self.last.take().unwrap_or_else(|| Error::new(ErrorKind::Storage, "the store has failed"))
    }
}
