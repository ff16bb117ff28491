//! What the tests of queue and worker share: a [`Room`] with a database of its own, the [`Events`] of a worker, a [`Gate`]
//! at which tasks wait for their test.
//!
//! Nothing here sleeps: an event is awaited, and [`eventually`] is for what no event tells. A wait that takes [`PATIENCE`]
//! has failed.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use qdjobs::rusqlite::Connection;
use qdjobs::store::Filter;
use qdjobs::{
    Clock, ErrorKind, Event, Job, JobContext, JobHandle, JobId, JobQueue, Timestamp, Worker, WorkerHandle,
    WorkerId,
};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

/// Far more than anything here takes, on a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A clock that stands still, on a day in 2026.
pub(crate) fn held_clock() -> Clock {
    Clock::manual(Timestamp::from_second(1_790_000_000).unwrap())
}

/// A directory with a database in it, gone at the end of the test.
pub(crate) struct Room {
    dir: tempfile::TempDir,
}

impl Room {
    pub(crate) fn new() -> Room {
        Room { dir: tempfile::tempdir().unwrap() }
    }

    /// A room with an open queue.
    pub(crate) fn with_queue() -> (Room, JobQueue) {
        let room = Room::new();
        let queue = JobQueue::open(room.db()).unwrap();
        (room, queue)
    }

    /// A room with an open queue whose time the test holds.
    pub(crate) fn with_held_time() -> (Room, JobQueue, Clock) {
        let (room, clock) = (Room::new(), held_clock());
        let queue = JobQueue::options().clock(clock.clone()).open(room.db()).unwrap();
        (room, queue, clock)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.dir.path().join("jobs.db")
    }

    /// The names of the files in the room, in their order.
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
    conn.busy_timeout(PATIENCE).unwrap();
    conn.execute_batch("PRAGMA synchronous = FULL").unwrap();
    conn
}

/// What a worker told, with everything that is only lent to a listener made one's own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Started(Vec<String>),
    Completed(JobId),
    Retrying { id: JobId, attempt: u32, error: String, wait: Duration },
    Failed { id: JobId, attempt: u32, error: String },
    Cancelled { id: JobId, reason: String },
    Refused { id: JobId, attempt: u32 },
    Rescued { worker: WorkerId, jobs: usize },
    LeaseLost(WorkerId),
    Trouble(ErrorKind),
    StoreStopped(ErrorKind),
    Stopped { released: usize },
    Other,
}

impl From<&Event<'_>> for Told {
    fn from(event: &Event<'_>) -> Told {
        match *event {
            Event::WorkerStarted { tasks, .. } => {
                Told::Started(tasks.iter().map(ToString::to_string).collect())
            }
            Event::Completed { id, .. } => Told::Completed(id),
            Event::Retrying { id, attempt, error, wait, .. } => {
                Told::Retrying { id, attempt, error: error.into(), wait }
            }
            Event::Failed { id, attempt, error, .. } => Told::Failed { id, attempt, error: error.into() },
            Event::Cancelled { id, reason, .. } => Told::Cancelled { id, reason: reason.into() },
            Event::ResultDiscarded { id, attempt } => Told::Refused { id, attempt },
            Event::Rescued { worker, jobs } => Told::Rescued { worker, jobs },
            Event::LeaseLost { worker } => Told::LeaseLost(worker),
            Event::StoreError { error } => Told::Trouble(error.kind()),
            Event::StoreHalted { error } => Told::StoreStopped(error.kind()),
            Event::WorkerStopped { released, .. } => Told::Stopped { released },
            _ => Told::Other,
        }
    }
}

/// What a worker tells, in order.
pub(crate) struct Events(Receiver<Told>);

impl Events {
    /// The next event that is `wanted`; passes over the others.
    pub(crate) fn until(&self, wanted: impl Fn(&Told) -> bool) -> Told {
        let mut passed = Vec::new();
        loop {
            match self.0.recv_timeout(PATIENCE) {
                Ok(told) if wanted(&told) => return told,
                Ok(told) => passed.push(told),
                Err(_) => panic!("the event did not come; these did: {passed:?}"),
            }
        }
    }

    /// Waits for exactly this event.
    pub(crate) fn expect(&self, told: Told) {
        self.until(|it| *it == told);
    }

    pub(crate) fn try_next(&self, wait: Duration) -> Option<Told> {
        self.0.recv_timeout(wait).ok()
    }
}

/// Starts a worker whose events can be awaited.
pub(crate) fn watch(worker: Worker) -> (WorkerHandle, Events) {
    let (told, events) = channel();
    // The other end is gone when the test no longer listens.
    let worker = worker.on_event(move |event| drop(told.send(event.into())));
    (worker.start().unwrap(), Events(events))
}

/// Where tasks wait until their test lets them pass. Goes to the tasks as `#[state]`.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Hinge>);

struct Hinge {
    arrivals: Sender<JobId>,
    open: Semaphore,
}

/// Tells the test who has arrived at its gate.
pub(crate) struct Arrivals(Receiver<JobId>);

impl Gate {
    pub(crate) fn new() -> (Gate, Arrivals) {
        let (arrivals, arrived) = channel();
        (Gate(Arc::new(Hinge { arrivals, open: Semaphore::new(0) })), Arrivals(arrived))
    }

    pub(crate) async fn pass(&self, ctx: &JobContext) {
        // A test that no longer listens lets everybody pass below.
        let _ = self.0.arrivals.send(ctx.job_id());
        if let Ok(pass) = self.0.open.acquire().await {
            pass.forget();
        }
    }

    pub(crate) fn pass_blocking(&self, ctx: &JobContext) {
        block_on(self.pass(ctx));
    }

    /// Lets so many pass, now or later.
    pub(crate) fn admit(&self, many: usize) {
        self.0.open.add_permits(many);
    }

    /// Stands open from now on.
    pub(crate) fn open(&self) {
        self.0.open.close();
    }
}

impl Arrivals {
    pub(crate) fn next(&self) -> JobId {
        self.0.recv_timeout(PATIENCE).expect("nobody has come to the gate")
    }

    pub(crate) fn take(&self, many: usize) -> Vec<JobId> {
        (0..many).map(|_| self.next()).collect()
    }

    pub(crate) fn nobody_else(&self) -> bool {
        self.0.try_recv().is_err()
    }
}

/// Lines that tasks write and their test reads. Goes to the tasks as `#[state]`.
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

/// The smallest executor: what is awaited here works on any.
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

/// A wait that a test can lose.
pub(crate) trait Soon<R> {
    /// The job's end, within [`PATIENCE`].
    fn soon(&self) -> qdjobs::Result<R>;
}

impl<R: DeserializeOwned> Soon<R> for JobHandle<R> {
    fn soon(&self) -> qdjobs::Result<R> {
        self.wait_timeout(PATIENCE)
    }
}

/// Looks until `fact` gives something: for what no event tells.
pub(crate) fn eventually<T>(fact: impl Fn() -> Option<T>) -> T {
    let clock = Clock::system();
    let until = clock.monotonic() + PATIENCE;
    loop {
        if let Some(it) = fact() {
            return it;
        }
        assert!(clock.monotonic() < until, "it has not come true");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// A condition of `Filter`, which has to be begun from its default.
pub(crate) fn filter(set: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter::default();
    set(&mut filter);
    filter
}

pub(crate) fn job(queue: &JobQueue, id: JobId) -> Job {
    queue.get(id).unwrap().expect("the job is there")
}
