//! What the tests of queue and worker share: a [`Workspace`] with a database of its own, the [`Events`] of a
//! worker, a [`Gate`] at which tasks wait for their test.
//!
//! Nothing here sleeps: an event is awaited, and [`eventually`] is for what no event reports. A wait that
//! takes [`DEADLINE`] has failed.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use qdjobs::rusqlite::Connection;
use qdjobs::{
    Clock, ErrorKind, Event, Job, JobContext, JobHandle, JobId, JobQueue, Timestamp, Worker, WorkerHandle,
    WorkerId,
};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

/// Far more than anything here takes, on a busy machine too.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A manual clock, on a day in 2026.
pub(crate) fn manual_clock() -> Clock {
    Clock::manual(Timestamp::from_second(1_790_000_000).unwrap())
}

/// A directory for a database, deleted at the end of the test.
pub(crate) struct Workspace {
    dir: tempfile::TempDir,
}

impl Workspace {
    pub(crate) fn new() -> Workspace {
        Workspace { dir: tempfile::tempdir().unwrap() }
    }

    /// A workspace with an open queue.
    pub(crate) fn with_queue() -> (Workspace, JobQueue) {
        let workspace = Workspace::new();
        let queue = JobQueue::open(workspace.db()).unwrap();
        (workspace, queue)
    }

    /// A workspace with an open queue on a manual clock.
    pub(crate) fn with_manual_clock() -> (Workspace, JobQueue, Clock) {
        let (workspace, clock) = (Workspace::new(), manual_clock());
        let queue = JobQueue::options().clock(clock.clone()).open(workspace.db()).unwrap();
        (workspace, queue, clock)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.dir.path().join("jobs.db")
    }

    /// The names of the files in the workspace, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Another connection to the database: the program's own.
    pub(crate) fn connection(&self) -> Connection {
        connect(&self.db())
    }
}

pub(crate) fn connect(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.busy_timeout(DEADLINE).unwrap();
    conn.execute_batch("PRAGMA synchronous = FULL").unwrap();
    conn
}

/// An event of a worker, with owned copies of everything that the listener only borrows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OwnedEvent {
    WorkerStarted(Vec<String>),
    Started { id: JobId, queue: String, attempt: u32 },
    Completed(JobId),
    Retrying { id: JobId, attempt: u32, error: String, wait: Duration },
    Postponed { id: JobId, attempt: u32, error: String, wait: Duration },
    Failed { id: JobId, attempt: u32, error: String },
    Cancelled { id: JobId, reason: String },
    ResultDiscarded { id: JobId, attempt: u32 },
    Rescued { worker: WorkerId, jobs: usize },
    LeaseLost(WorkerId),
    StoreError(ErrorKind),
    StoreHalted(ErrorKind),
    WorkerStopping,
    StopWaits { jobs: Vec<(JobId, String, String)>, left: Duration },
    WorkerStopped { released: usize },
    Other,
}

impl From<&Event<'_>> for OwnedEvent {
    fn from(event: &Event<'_>) -> OwnedEvent {
        match *event {
            Event::WorkerStarted { tasks, .. } => {
                OwnedEvent::WorkerStarted(tasks.iter().map(ToString::to_string).collect())
            }
            Event::AttemptStarted { id, queue, attempt, .. } => {
                OwnedEvent::Started { id, queue: queue.into(), attempt }
            }
            Event::Completed { id, .. } => OwnedEvent::Completed(id),
            Event::Retrying { id, attempt, error, wait, .. } => {
                OwnedEvent::Retrying { id, attempt, error: error.into(), wait }
            }
            Event::Postponed { id, attempt, error, wait, .. } => {
                OwnedEvent::Postponed { id, attempt, error: error.into(), wait }
            }
            Event::Failed { id, attempt, error, .. } => {
                OwnedEvent::Failed { id, attempt, error: error.into() }
            }
            Event::Cancelled { id, reason, .. } => OwnedEvent::Cancelled { id, reason: reason.into() },
            Event::ResultDiscarded { id, attempt, .. } => OwnedEvent::ResultDiscarded { id, attempt },
            Event::Rescued { worker, jobs } => OwnedEvent::Rescued { worker, jobs },
            Event::LeaseLost { worker } => OwnedEvent::LeaseLost(worker),
            Event::StoreError { error } => OwnedEvent::StoreError(error.kind()),
            Event::StoreHalted { error } => OwnedEvent::StoreHalted(error.kind()),
            Event::WorkerStopping { .. } => OwnedEvent::WorkerStopping,
            Event::StopWaits { jobs, left, .. } => {
                let named = jobs.iter().map(|job| (job.id, job.task_name.into(), job.queue.into()));
                OwnedEvent::StopWaits { jobs: named.collect(), left }
            }
            Event::WorkerStopped { released, .. } => OwnedEvent::WorkerStopped { released },
            _ => OwnedEvent::Other,
        }
    }
}

/// The events of a worker, in order.
pub(crate) struct Events(Receiver<OwnedEvent>);

impl Events {
    /// The next event that is `wanted`; skips the others.
    pub(crate) fn until(&self, wanted: impl Fn(&OwnedEvent) -> bool) -> OwnedEvent {
        let mut passed = Vec::new();
        loop {
            match self.0.recv_timeout(DEADLINE) {
                Ok(event) if wanted(&event) => return event,
                Ok(event) => passed.push(event),
                Err(_) => panic!("the event did not arrive; these did: {passed:?}"),
            }
        }
    }

    /// Waits for exactly this event, and skips the others.
    pub(crate) fn expect(&self, event: OwnedEvent) {
        self.until(|it| *it == event);
    }

    pub(crate) fn try_next(&self, wait: Duration) -> Option<OwnedEvent> {
        self.0.recv_timeout(wait).ok()
    }
}

/// Starts a worker whose events can be awaited.
pub(crate) fn start_with_events(worker: Worker) -> (WorkerHandle, Events) {
    let (sender, events) = channel();
    // The receiver is gone when the test no longer needs events.
    let worker = worker.on_event(move |event| drop(sender.send(event.into())));
    (worker.start().unwrap(), Events(events))
}

/// Where tasks wait until their test lets them pass. Passed to the tasks as `#[state]`.
#[derive(Clone)]
pub(crate) struct Gate(Arc<GateState>);

struct GateState {
    arrivals: Sender<JobId>,
    open: Semaphore,
}

/// Reports to the test which jobs have arrived at its gate.
pub(crate) struct Arrivals(Receiver<JobId>);

impl Gate {
    pub(crate) fn new() -> (Gate, Arrivals) {
        let (arrivals, arrived) = channel();
        (Gate(Arc::new(GateState { arrivals, open: Semaphore::new(0) })), Arrivals(arrived))
    }

    pub(crate) async fn pass(&self, ctx: &JobContext) {
        // A test that no longer receives opens the gate for all.
        let _ = self.0.arrivals.send(ctx.job_id());
        if let Ok(pass) = self.0.open.acquire().await {
            pass.forget();
        }
    }

    pub(crate) fn pass_blocking(&self, ctx: &JobContext) {
        block_on(self.pass(ctx));
    }

    /// Lets this many pass, now or later.
    pub(crate) fn admit(&self, many: usize) {
        self.0.open.add_permits(many);
    }

    /// Lets every job pass from now on.
    pub(crate) fn open(&self) {
        self.0.open.close();
    }
}

impl Arrivals {
    pub(crate) fn next(&self) -> JobId {
        self.0.recv_timeout(DEADLINE).expect("no job has arrived at the gate")
    }

    pub(crate) fn take(&self, many: usize) -> Vec<JobId> {
        (0..many).map(|_| self.next()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.try_recv().is_err()
    }
}

/// Lines that tasks write and their test reads. Passed to the tasks as `#[state]`.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// The smallest executor: what can be awaited here can be awaited on any.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// A wait with a deadline.
pub(crate) trait Soon<R> {
    /// The job's result, within [`DEADLINE`].
    fn soon(&self) -> qdjobs::Result<R>;
}

impl<R: DeserializeOwned> Soon<R> for JobHandle<R> {
    fn soon(&self) -> qdjobs::Result<R> {
        self.wait_timeout(DEADLINE)
    }
}

/// Repeats `fact` until it returns a value: for what no event reports.
pub(crate) fn eventually<T>(fact: impl Fn() -> Option<T>) -> T {
    let clock = Clock::system();
    let until = clock.monotonic() + DEADLINE;
    loop {
        if let Some(it) = fact() {
            return it;
        }
        assert!(clock.monotonic() < until, "the deadline has passed");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

pub(crate) fn job(queue: &JobQueue, id: JobId) -> Job {
    queue.get(id).unwrap().expect("the job exists")
}
