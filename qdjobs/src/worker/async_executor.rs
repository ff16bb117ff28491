//! Where `async fn` tasks are polled: the [`Executor`], and the [`Reactor`] that their timers and sockets stand on.
//!
//! Leans on tokio for the reactor, and for nothing else: the jobs are polled by threads of our own, which become more
//! when all of them are stuck inside a poll. So a handler that blocks takes a thread, and stalls no other handler; a runtime with a
//! fixed number of threads cannot promise that.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::context::JobContext;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::JobId;
use crate::model::retry::Outcome;
use crate::task::{LocalFuture, Run, SharedFuture, TaskError};

use super::dispatcher::Dispatcher;
use super::execution::{Execution, panicked};

/// Threads that poll while nobody blocks.
const THREADS: usize = 2;

/// Most threads, when handlers block.
const THREADS_MAX: usize = 512;

/// All threads stuck for so long, with jobs waiting to be polled: one more thread is started.
const STUCK: Duration = Duration::from_millis(10);

/// How long a thread beyond the usual number waits for work before it ends.
const LINGER: Duration = Duration::from_secs(1);

/// The tokio runtime behind the awaits of tasks: the program's, or one of our own.
#[derive(Debug)]
pub(super) struct Reactor {
    handle: Option<tokio::runtime::Handle>,
    own: Option<tokio::runtime::Runtime>,
}

impl Reactor {
    /// `given`, or a runtime of one thread if the worker `needs` one.
    pub(super) fn new(given: Option<tokio::runtime::Handle>, needs: bool) -> Result<Reactor> {
        if given.is_some() || !needs {
            return Ok(Reactor { handle: given, own: None });
        }
        let built = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("qdjobs-reactor")
            .enable_all()
            .build();
        let own = built.map_err(|error| {
            Error::new(ErrorKind::Config, format!("the runtime for async tasks cannot be started: {error}"))
                .help("pass one of your own with `Worker::runtime`")
        })?;
        Ok(Reactor { handle: Some(own.handle().clone()), own: Some(own) })
    }

    pub(super) fn handle(&self) -> Option<tokio::runtime::Handle> {
        self.handle.clone()
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        if let Some(own) = self.own.take() {
            // Dropped inside an async context, a runtime may not block to end its threads.
            own.shutdown_background();
        }
    }
}

/// Polls jobs on a few threads.
#[derive(Debug)]
pub(super) struct Executor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Rung when a job wants to be polled.
    work: Condvar,
    /// Rung, if the watch sleeps, when jobs wait and no thread is free: the watch then looks whether one becomes so.
    crowded: Condvar,
    /// Rung only at the end, so that the watch can sleep through what is rung for others.
    closing: Condvar,
    reactor: tokio::runtime::Handle,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Arc<Job>>,
    threads: usize,
    idle: usize,
    /// Polls begun so far: standing still while jobs wait means that all threads are stuck.
    polls: u64,
    watch_asleep: bool,
    closed: bool,
}

/// A turn is due: the job is in the queue, or will be put there by the thread that polls it.
const QUEUED: u8 = 1;

/// A thread polls the job, or has polled it for the last time. Nobody else puts it into the queue: a second thread could do no
/// more than wait for the first, and a handler that blocks would take one with each wake.
const POLLED: u8 = 2;

/// A job on the executor.
pub(super) struct Job {
    id: JobId,
    /// Gone when the job has ended or was cancelled.
    live: Mutex<Option<Live>>,
    /// [`QUEUED`], [`POLLED`], both or none.
    turn: AtomicU8,
    cancelled: AtomicBool,
    shared: Arc<Shared>,
}

/// What a job holds on to while it runs. The attempt knows its job in turn: kept any longer, they would keep each other.
struct Live {
    future: SharedFuture,
    dispatcher: Arc<Dispatcher>,
    attempt: Arc<Execution>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Executor {
    pub(super) fn start(reactor: &Reactor) -> Result<Executor> {
        let missing = || Error::new(ErrorKind::Config, "a worker with async tasks needs a runtime");
        let reactor = reactor.handle().ok_or_else(missing)?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            crowded: Condvar::new(),
            closing: Condvar::new(),
            reactor,
        });
        for _ in 0..THREADS {
            shared.spawn_thread(&mut shared.lock())?;
        }
        let watches = shared.clone();
        std::thread::Builder::new()
            .name("qdjobs-watch".into())
            .spawn(move || watches.watch())
            .map_err(no_thread)?;
        Ok(Executor(shared))
    }

    /// Starts a job.
    pub(super) fn spawn(&self, dispatcher: Arc<Dispatcher>, attempt: Arc<Execution>) {
        let Run::Async(run) = attempt.task.run else { return };
        let (ctx, params) = (attempt.ctx.clone(), attempt.ctx.job().params.clone());
        // The first line of the future is the program's own code already, so it is made inside its first poll's guard.
        let future: SharedFuture = Box::pin(async move { run(ctx, params).await });
        let job = Arc::new(Job {
            id: attempt.id(),
            live: Mutex::new(Some(Live { future, dispatcher, attempt: attempt.clone() })),
            turn: AtomicU8::new(0),
            cancelled: AtomicBool::new(false),
            shared: self.0.clone(),
        });
        // Set once, here.
        let _ = attempt.future.set(job.clone());
        if attempt.is_settled() {
            // It ran out of time before it was here.
            job.cancel();
        } else {
            job.enqueue();
        }
    }

    /// Ends the threads that are free; those in a poll end after it.
    pub(super) fn close(&self) {
        self.0.lock().closed = true;
        self.0.work.notify_all();
        self.0.crowded.notify_all();
        self.0.closing.notify_all();
    }
}

/// Of a worker that could not be started: no dispatcher closes it.
impl Drop for Executor {
    fn drop(&mut self) {
        self.close();
    }
}

impl Job {
    /// Asks for a turn. No wake is lost, whatever the turn is when it comes:
    ///
    /// - none: the job goes into the queue;
    /// - `QUEUED`: its poll is still to begin, and takes this wake with it;
    /// - `POLLED`: the thread that polls it finds `QUEUED` set when it gives the turn up, and puts it into the queue itself.
    ///
    /// Each step changes the one number by a read and a write at once, even if it changes nothing: so what was done before a
    /// wake is seen by the poll that answers it.
    fn enqueue(self: Arc<Job>) {
        if self.turn.fetch_or(QUEUED, Ordering::AcqRel) == 0 {
            self.push();
        }
    }

    fn push(self: Arc<Job>) {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        state.ready.push_back(self);
        if state.idle > 0 {
            shared.work.notify_one();
        } else {
            shared.crowded(&mut state);
        }
    }

    /// Drops the future: at once, or after the poll it is in.
    pub(super) fn cancel(self: &Arc<Job>) {
        self.cancelled.store(true, Ordering::Release);
        // Through the queue, so that the program's own drops run on an executor's thread and under no lock of the dispatcher's.
        self.clone().enqueue();
    }

    fn poll(self: Arc<Job>) {
        // Before the poll, and before the look at whether the job is cancelled: what comes from here on asks for another turn.
        self.turn.swap(POLLED, Ordering::AcqRel);
        // Nobody else has it: a job is in the queue once, and not while it is polled.
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Live { future, .. }) = live.as_mut() else { return };
        let outcome = if self.cancelled.load(Ordering::Acquire) {
            None
        } else {
            let waker = Waker::from(self.clone());
            let mut cx = Context::from_waker(&waker);
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx))) {
                Ok(Poll::Pending) => {
                    drop(live);
                    if self.turn.fetch_and(!POLLED, Ordering::AcqRel) & QUEUED != 0 {
                        self.push();
                    }
                    return;
                }
                Ok(Poll::Ready(outcome)) => Some(outcome),
                Err(panic) => Some(Err(panicked(&*panic))),
            }
        };
        // The turn is never given up: a wake that comes after the end asks in vain.
        let Some(Live { future, dispatcher, attempt }) = live.take() else { return };
        drop(live);
        // A future's drop is the program's own code too.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
        match outcome {
            Some(outcome) => drop(dispatcher.ended(attempt, outcome)),
            None => dispatcher.returned(attempt.id()),
        }
    }
}

impl Wake for Job {
    fn wake(self: Arc<Job>) {
        self.enqueue();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn crowded(&self, state: &mut State) {
        if std::mem::take(&mut state.watch_asleep) {
            self.crowded.notify_one();
        }
    }

    fn spawn_thread(self: &Arc<Shared>, state: &mut State) -> Result<()> {
        let works = self.clone();
        std::thread::Builder::new()
            .name("qdjobs-async".into())
            .spawn(move || works.work())
            .map_err(no_thread)?;
        state.threads += 1;
        Ok(())
    }

    /// One thread's working life.
    fn work(self: Arc<Shared>) {
        let _in_reactor = self.reactor.enter();
        let mut state = self.lock();
        loop {
            // In the end too: what was cancelled is dropped by its last poll.
            if let Some(job) = state.ready.pop_front() {
                state.polls += 1;
                if state.idle == 0 && !state.ready.is_empty() {
                    self.crowded(&mut state);
                }
                drop(state);
                job.poll();
                state = self.lock();
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let none = |state: &mut State| state.ready.is_empty() && !state.closed;
            let timed_out;
            (state, timed_out) = if state.threads > THREADS {
                let (state, timeout) =
                    self.work.wait_timeout_while(state, LINGER, none).unwrap_or_else(PoisonError::into_inner);
                (state, timeout.timed_out())
            } else {
                (self.work.wait_while(state, none).unwrap_or_else(PoisonError::into_inner), false)
            };
            state.idle -= 1;
            // Others may have left meanwhile, and the last ones must not.
            if timed_out && state.threads > THREADS {
                break;
            }
        }
        state.threads -= 1;
    }

    /// Starts a thread when jobs wait and no thread has begun a poll for a while. Asleep unless all threads are busy.
    fn watch(self: Arc<Shared>) {
        let mut state = self.lock();
        while !state.closed {
            let uncrowded = |state: &mut State| (state.idle > 0 || state.ready.is_empty()) && !state.closed;
            state.watch_asleep = true;
            state = self.crowded.wait_while(state, uncrowded).unwrap_or_else(PoisonError::into_inner);
            state.watch_asleep = false;
            let polls = state.polls;
            let open = |state: &mut State| !state.closed;
            state =
                self.closing.wait_timeout_while(state, STUCK, open).unwrap_or_else(PoisonError::into_inner).0;
            let stuck = state.polls == polls && state.idle == 0 && !state.ready.is_empty();
            if stuck && !state.closed && state.threads < THREADS_MAX {
                // If the system gives no further thread, the jobs wait for the ones there are.
                let _ = self.spawn_thread(&mut state);
            }
        }
    }
}

fn no_thread(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Config, format!("a thread for async tasks cannot be started: {error}"))
        .help("raise the process's limit of threads")
}

/// Runs a future that cannot leave its thread, here, until it ends or its job is decided without it.
pub(super) fn run_here(
    reactor: &tokio::runtime::Handle,
    ctx: &JobContext,
    future: impl FnOnce() -> LocalFuture,
) -> Outcome {
    let (mut future, mut decided) = (future(), std::pin::pin!(ctx.decided()));
    let raced = std::future::poll_fn(|cx| {
        if let Poll::Ready(outcome) = future.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        // Nobody sees this error: what becomes of the job is decided.
        decided.as_mut().poll(cx).map(|()| Err(TaskError::retry("the task was given up on")))
    });
    reactor.block_on(raced)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::pool::Pool;
    use super::*;
    use crate::prelude::*;

    /// Nothing here takes so long unless it hangs.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Where the blocking jobs of one test meet it.
    #[derive(Clone)]
    struct Door {
        arrived: mpsc::Sender<Waker>,
        open: Arc<(Mutex<bool>, Condvar)>,
    }

    impl Door {
        fn new() -> (Door, mpsc::Receiver<Waker>) {
            let (arrived, arrivals) = mpsc::channel();
            (Door { arrived, open: Arc::default() }, arrivals)
        }

        fn open(&self) {
            *self.open.0.lock().unwrap() = true;
            self.open.1.notify_all();
        }
    }

    /// Blocks its first poll until the door opens; ends with the second.
    #[task("tests.executor.block")]
    async fn block(#[state] door: &Door) -> u32 {
        let mut polls = 0;
        std::future::poll_fn(|cx| {
            polls += 1;
            if polls == 1 {
                door.arrived.send(cx.waker().clone()).unwrap();
                drop(door.open.1.wait_while(door.open.0.lock().unwrap(), |open| !*open).unwrap());
                return Poll::Pending;
            }
            Poll::Ready(polls)
        })
        .await
    }

    #[task("tests.executor.pass")]
    async fn pass() {}

    /// Nobody but its test has this worker.
    fn executor(worker: &WorkerHandle) -> &Shared {
        let mut dispatchers = worker.running.as_ref().unwrap().dispatchers.iter();
        let executor = dispatchers.find_map(|dispatcher| match &dispatcher.pool {
            Pool::Executor { executor, .. } => Some(executor),
            _ => None,
        });
        &executor.unwrap().0
    }

    fn threads(worker: &WorkerHandle) -> usize {
        executor(worker).lock().threads
    }

    fn blocked(queue: &JobQueue, arrivals: &mpsc::Receiver<Waker>, jobs: usize) -> Vec<Waker> {
        queue.enqueue_all((0..jobs).map(|_| Block::new())).unwrap();
        arrivals.iter().take(jobs).collect()
    }

    #[test]
    fn a_wake_of_a_job_that_blocks_in_its_poll_takes_no_thread_and_is_not_lost() {
        const JOBS: usize = 32;
        let queue = JobQueue::in_memory();
        let (door, arrivals) = Door::new();
        let worker = Worker::new(&queue).task::<Block>().task::<Pass>().state(door.clone()).start().unwrap();
        let wakers = blocked(&queue, &arrivals, JOBS);
        for _ in 0..3 {
            wakers.iter().for_each(Waker::wake_by_ref);
            // A job that is run after the wakes: whatever they started has had its turn before.
            Pass::new().enqueue(&queue).unwrap().wait().unwrap();
        }
        let used = threads(&worker);
        door.open();
        // Each was woken during its first poll, by nobody after it.
        for job in queue.list(crate::store::Filter::default()).unwrap().jobs {
            queue.handle::<serde_json::Value>(job.id).wait_timeout(PATIENCE).unwrap();
        }
        // A machine that is slow to start a thread gets a few more than it needs.
        assert!(used <= JOBS + JOBS / 2, "{used} threads");
        worker.stop().unwrap();
    }

    #[test]
    fn a_job_that_is_given_up_on_while_it_blocks_in_its_poll_is_dropped_after_it() {
        struct Dropped(mpsc::Sender<()>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        #[derive(Clone)]
        struct Drops(mpsc::Sender<()>);
        #[crate::task("tests.executor.overrun", timeout = "50ms", retries = 0)]
        async fn overrun(#[state] door: &Door, #[state] drops: &Drops) {
            let _dropped = Dropped(drops.0.clone());
            std::future::poll_fn(|cx| {
                door.arrived.send(cx.waker().clone()).unwrap();
                drop(door.open.1.wait_while(door.open.0.lock().unwrap(), |open| !*open).unwrap());
                Poll::<()>::Pending
            })
            .await
        }
        let queue = JobQueue::in_memory();
        let (door, _arrivals) = Door::new();
        let (dropped, drops) = mpsc::channel();
        let worker =
            Worker::new(&queue).task::<Overrun>().state(door.clone()).state(Drops(dropped)).start().unwrap();
        let refused = Overrun::new().enqueue(&queue).unwrap().wait().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::JobFailed);
        assert!(drops.try_recv().is_err());
        door.open();
        drops.recv_timeout(PATIENCE).unwrap();
        worker.stop().unwrap();
    }

    #[test]
    fn threads_that_were_needed_for_a_while_leave_and_the_usual_ones_stay() {
        const JOBS: usize = 6;
        let queue = JobQueue::in_memory();
        let (door, arrivals) = Door::new();
        let worker = Worker::new(&queue).task::<Block>().state(door.clone()).start().unwrap();
        let wakers = blocked(&queue, &arrivals, JOBS);
        assert!(threads(&worker) >= JOBS);
        door.open();
        wakers.iter().for_each(Waker::wake_by_ref);
        let executor = executor(&worker);
        let mut state = executor.lock();
        while state.threads > THREADS {
            state = executor.closing.wait_timeout(state, STUCK).unwrap().0;
        }
        // Nothing tells that no further one will leave: they get longer than they would wait.
        state = executor.closing.wait_timeout_while(state, 2 * LINGER, |_| true).unwrap().0;
        assert_eq!(state.threads, THREADS);
        drop(state);
        worker.stop().unwrap();
    }
}
