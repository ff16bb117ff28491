//! Polls the futures of `async fn` tasks on a few threads, and starts one more when all are stuck in a poll:
//! [`Executor`].
//!
//! Does not choose the next job: see `dispatcher/next_job.rs`. tokio's sockets and timers are in
//! `reactor.rs`.
//!
//! Depends on tokio only for the reactor, which each thread enters. Depends on `execution.rs` and
//! `job_source.rs`, and not on the dispatcher.
//!
//! One more thread starts when all threads are stuck inside a poll and futures wait. So a task that blocks
//! takes a thread and stalls no other task; a runtime with a fixed number of threads cannot promise that.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::JobId;
use crate::model::panic::caught;
use crate::queue::inside_task;
use crate::sync::no_thread;
use crate::task::{Run, SharedFuture};

use super::execution::{Abort, Execution, panicked};
use super::job_source::JobSource;
use super::reactor::ReactorHandle;

/// The number of threads while no task blocks.
const THREADS: usize = 2;

/// The most threads when tasks block.
const THREADS_MAX: usize = 512;

/// If futures wait and no poll has begun for this time, all threads are stuck. One more is then started.
const STUCK: Duration = Duration::from_millis(10);

/// How long a thread beyond the usual number waits for work before it ends.
const LINGER: Duration = Duration::from_secs(1);

/// Polls futures on threads of its own.
#[derive(Debug)]
pub(super) struct Executor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Notified when a future has to be polled.
    work: Condvar,
    /// Notified, if the stall watcher sleeps, when futures wait and no thread is free.
    crowded: Condvar,
    /// Notified only at the end, so that nothing else shortens the watcher's wait.
    closing: Condvar,
    reactor: tokio::runtime::Handle,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Arc<AsyncJob>>,
    threads: usize,
    idle: usize,
    /// The number of polls that have begun. If it does not grow while futures wait, all threads are stuck.
    polls: u64,
    watcher_asleep: bool,
    closed: bool,
}

/// A poll is due. The job is in the queue, or the thread that polls it adds it to the queue afterwards.
const QUEUED: u8 = 1;

/// A thread polls the job, or has made its last poll. Meanwhile, no other thread adds the job to the queue: a
/// second thread could only wait for the first. So each wake of a task that blocks would occupy one more
/// thread.
const POLLED: u8 = 2;

/// A job on the executor.
struct AsyncJob {
    id: JobId,
    /// `None` once the job has ended or its future was dropped.
    running: Mutex<Option<Running>>,
    /// [`QUEUED`], [`POLLED`], both or none.
    turn: AtomicU8,
    aborted: AtomicBool,
    executor: Arc<Shared>,
}

/// What a job needs while it runs. It is dropped at the end of the job: the execution holds the job as its
/// abort handle, so neither would ever be dropped otherwise.
struct Running {
    future: SharedFuture,
    jobs: Arc<dyn JobSource>,
    execution: Arc<Execution>,
}

impl std::fmt::Debug for AsyncJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncJob").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Executor {
    pub(super) fn start(reactor: &ReactorHandle) -> Result<Executor> {
        let missing = || {
            Error::new(ErrorKind::Config, "a worker with async tasks needs a tokio runtime")
                .help("pass a runtime to `Worker::runtime`")
        };
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            crowded: Condvar::new(),
            closing: Condvar::new(),
            reactor: reactor.runtime().ok_or_else(missing)?.clone(),
        });
        for _ in 0..THREADS {
            shared.spawn_thread(&mut shared.lock())?;
        }
        let watcher = shared.clone();
        std::thread::Builder::new()
            .name("qdjobs-stall".into())
            .spawn(move || watcher.watch_for_stalls())
            .map_err(|error| no_thread("qdjobs-stall", error))?;
        Ok(Executor(shared))
    }

    /// Starts the future of a job.
    pub(super) fn spawn(&self, jobs: Arc<dyn JobSource>, execution: Arc<Execution>) {
        let Run::Async(run) = execution.task.run else { return };
        let (ctx, params) = (execution.ctx.clone(), execution.ctx.job().params.clone());
        // The call that creates the future is user code. So it runs inside the first poll, where the executor
        // catches panics.
        let future: SharedFuture = Box::pin(async move { run(ctx, params).await });
        let job = Arc::new(AsyncJob {
            id: execution.id(),
            running: Mutex::new(Some(Running { future, jobs, execution: execution.clone() })),
            turn: AtomicU8::new(0),
            aborted: AtomicBool::new(false),
            executor: self.0.clone(),
        });
        execution.set_abort_handle(job.clone());
        if execution.is_settled() {
            // The job timed out before it had an abort handle.
            job.abort();
        } else {
            job.enqueue();
        }
    }

    /// Ends the idle threads at once, and the others after their current poll.
    pub(super) fn close(&self) {
        self.0.lock().closed = true;
        self.0.work.notify_all();
        self.0.crowded.notify_all();
        self.0.closing.notify_all();
    }
}

/// If a worker cannot start, no dispatcher closes its executor.
impl Drop for Executor {
    fn drop(&mut self) {
        self.close();
    }
}

impl Abort for AsyncJob {
    fn abort(self: Arc<AsyncJob>) {
        self.aborted.store(true, Ordering::Release);
        // The drop of a future is user code. Through the queue, it runs on a thread of the executor, without
        // a lock of the dispatcher.
        self.enqueue();
    }
}

impl AsyncJob {
    /// Asks for a poll. No wake is lost, in any state of the job:
    ///
    /// - none: the job is added to the queue;
    /// - `QUEUED`: its poll has not begun yet, and will see what this wake announces;
    /// - `POLLED`: after the poll, the thread that polls it finds `QUEUED` set and adds it to the queue.
    ///
    /// Each step is one atomic read-modify-write, even if it changes nothing. So the poll that answers a wake
    /// sees everything that was done before that wake.
    fn enqueue(self: Arc<AsyncJob>) {
        if self.turn.fetch_or(QUEUED, Ordering::AcqRel) == 0 {
            self.push();
        }
    }

    fn push(self: Arc<AsyncJob>) {
        let executor = self.executor.clone();
        let mut state = executor.lock();
        state.ready.push_back(self);
        if state.idle > 0 {
            executor.work.notify_one();
        } else {
            executor.wake_watcher(&mut state);
        }
    }

    fn poll(self: Arc<AsyncJob>) {
        // Set before the poll, and before `aborted` is read. So a wake from here on requests another poll.
        self.turn.swap(POLLED, Ordering::AcqRel);
        // Never contended: a job is in the queue at most once, and never while a thread polls it.
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Running { future, execution, .. }) = running.as_mut() else { return };
        let outcome = if self.aborted.load(Ordering::Acquire) {
            None
        } else {
            let waker = Waker::from(self.clone());
            let mut cx = Context::from_waker(&waker);
            let store = execution.ctx.queue().store();
            match caught(|| inside_task::run(store, || future.as_mut().poll(&mut cx))) {
                Ok(Poll::Pending) => {
                    drop(running);
                    if self.turn.fetch_and(!POLLED, Ordering::AcqRel) & QUEUED != 0 {
                        self.push();
                    }
                    return;
                }
                Ok(Poll::Ready(outcome)) => Some(outcome),
                Err(panic) => Some(Err(panicked(&panic))),
            }
        };
        // `POLLED` stays set: a wake after the end has no effect.
        let Some(Running { future, jobs, execution }) = running.take() else { return };
        drop(running);
        // The drop of a future is user code, too.
        let _ = caught(|| drop(future));
        match outcome {
            Some(outcome) => jobs.finished(execution, outcome),
            None => jobs.dropped(execution.id()),
        }
    }
}

impl Wake for AsyncJob {
    fn wake(self: Arc<AsyncJob>) {
        self.enqueue();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn_thread(self: &Arc<Shared>, state: &mut State) -> Result<()> {
        let shared = self.clone();
        std::thread::Builder::new()
            .name("qdjobs-async".into())
            .spawn(move || shared.poll_jobs())
            .map_err(|error| no_thread("qdjobs-async", error))?;
        state.threads += 1;
        Ok(())
    }

    /// The loop of one thread.
    fn poll_jobs(self: Arc<Shared>) {
        let _in_reactor = self.reactor.enter();
        let mut state = self.lock();
        loop {
            // Done after `close`, too: the last poll of an aborted job drops its future.
            if let Some(job) = state.ready.pop_front() {
                state.polls += 1;
                if state.idle == 0 && !state.ready.is_empty() {
                    self.wake_watcher(&mut state);
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
            let idle = |state: &mut State| state.ready.is_empty() && !state.closed;
            let timed_out;
            (state, timed_out) = if state.threads > THREADS {
                let (state, timeout) =
                    self.work.wait_timeout_while(state, LINGER, idle).unwrap_or_else(PoisonError::into_inner);
                (state, timeout.timed_out())
            } else {
                (self.work.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner), false)
            };
            state.idle -= 1;
            // Other threads may have ended meanwhile; the usual number must remain.
            if timed_out && state.threads > THREADS {
                break;
            }
        }
        state.threads -= 1;
    }

    fn wake_watcher(&self, state: &mut State) {
        if std::mem::take(&mut state.watcher_asleep) {
            self.crowded.notify_one();
        }
    }

    /// The loop of the stall watcher: starts a thread when futures wait and no thread has begun a poll for a
    /// while. It sleeps unless all threads are busy.
    fn watch_for_stalls(self: Arc<Shared>) {
        let mut state = self.lock();
        while !state.closed {
            let uncrowded = |state: &mut State| (state.idle > 0 || state.ready.is_empty()) && !state.closed;
            state.watcher_asleep = true;
            state = self.crowded.wait_while(state, uncrowded).unwrap_or_else(PoisonError::into_inner);
            state.watcher_asleep = false;
            let polls = state.polls;
            let open = |state: &mut State| !state.closed;
            state =
                self.closing.wait_timeout_while(state, STUCK, open).unwrap_or_else(PoisonError::into_inner).0;
            let stuck = state.polls == polls && state.idle == 0 && !state.ready.is_empty();
            if stuck && !state.closed && state.threads < THREADS_MAX {
                // If the operating system refuses a thread, the futures wait for the existing threads.
                let _ = self.spawn_thread(&mut state);
            }
        }
    }
}
