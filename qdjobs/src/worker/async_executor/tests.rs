//! Tests of tasks that block inside a poll: the threads they take, and wakes and timeouts meanwhile.

use std::sync::mpsc;

use super::super::thread_pool::Pool;
use super::*;
use crate::prelude::*;

/// Nothing here takes so long unless it hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Holds the tasks of one test inside their first poll.
#[derive(Clone)]
struct Gate {
    arrived: mpsc::Sender<Waker>,
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    fn new() -> (Gate, mpsc::Receiver<Waker>) {
        let (arrived, arrivals) = mpsc::channel();
        (Gate { arrived, open: Arc::default() }, arrivals)
    }

    /// Sends the waker to the test, then blocks until the gate is open.
    fn pass(&self, waker: &Waker) {
        self.arrived.send(waker.clone()).unwrap();
        drop(self.open.1.wait_while(self.open.0.lock().unwrap(), |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }
}

/// Blocks in its first poll until the gate is open; ends with the second.
#[task("tests.executor.block")]
async fn block(#[state] gate: &Gate) -> u32 {
    let mut polls = 0;
    std::future::poll_fn(|cx| {
        polls += 1;
        if polls == 1 {
            gate.pass(cx.waker());
            return Poll::Pending;
        }
        Poll::Ready(polls)
    })
    .await
}

#[task("tests.executor.pass")]
async fn pass() {}

/// The executor of a worker; each test has a worker of its own.
fn executor(worker: &WorkerHandle) -> &Shared {
    let mut pools = worker.dispatchers().iter().map(|dispatcher| &dispatcher.pool);
    let executor = pools.find_map(|pool| match pool {
        Pool::Executor { executor, .. } => Some(executor),
        _ => None,
    });
    &executor.unwrap().0
}

fn threads(worker: &WorkerHandle) -> usize {
    executor(worker).lock().threads
}

/// Enqueues jobs that block, and returns their wakers once all of them do.
fn blocked(queue: &JobQueue, arrivals: &mpsc::Receiver<Waker>, jobs: usize) -> Vec<Waker> {
    queue.enqueue_all((0..jobs).map(|_| Block::new())).unwrap();
    arrivals.iter().take(jobs).collect()
}

#[test]
fn a_wake_of_a_job_that_blocks_in_its_poll_takes_no_thread_and_is_not_lost() {
    const JOBS: usize = 32;
    let queue = JobQueue::in_memory();
    let (gate, arrivals) = Gate::new();
    let worker = Worker::new(&queue).task::<Block>().task::<Pass>().state(gate.clone()).start().unwrap();
    let wakers = blocked(&queue, &arrivals, JOBS);
    for _ in 0..3 {
        wakers.iter().for_each(Waker::wake_by_ref);
        // A job that runs after the wakes: whatever they started has been polled before it.
        Pass::new().enqueue(&queue).unwrap().wait().unwrap();
    }
    let used = threads(&worker);
    gate.open();
    // Each job was woken during its first poll, and never after it.
    for job in queue.list(crate::store::Filter::default()).unwrap().jobs {
        queue.handle::<serde_json::Value>(job.id).wait_timeout(TIMEOUT).unwrap();
    }
    // A machine that starts threads slowly gets a few more than it needs.
    assert!(used <= JOBS + JOBS / 2, "{used} threads");
    worker.stop().unwrap();
}

#[test]
fn the_future_of_a_job_that_times_out_while_it_blocks_in_its_poll_is_dropped_after_the_poll() {
    struct SendOnDrop(mpsc::Sender<()>);
    impl Drop for SendOnDrop {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    #[derive(Clone)]
    struct Drops(mpsc::Sender<()>);
    #[crate::task("tests.executor.overrun", timeout = "50ms", retries = 0)]
    async fn overrun(#[state] gate: &Gate, #[state] drops: &Drops) {
        let _sends = SendOnDrop(drops.0.clone());
        std::future::poll_fn(|cx| {
            gate.pass(cx.waker());
            Poll::<()>::Pending
        })
        .await
    }
    let queue = JobQueue::in_memory();
    let (gate, _arrivals) = Gate::new();
    let (dropped, drops) = mpsc::channel();
    let worker =
        Worker::new(&queue).task::<Overrun>().state(gate.clone()).state(Drops(dropped)).start().unwrap();
    let failed = Overrun::new().enqueue(&queue).unwrap().wait().unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::JobFailed);
    assert!(drops.try_recv().is_err());
    gate.open();
    drops.recv_timeout(TIMEOUT).unwrap();
    worker.stop().unwrap();
}

#[test]
fn threads_beyond_the_usual_number_end_when_no_task_blocks_and_the_usual_ones_stay() {
    const JOBS: usize = 6;
    let queue = JobQueue::in_memory();
    let (gate, arrivals) = Gate::new();
    let worker = Worker::new(&queue).task::<Block>().state(gate.clone()).start().unwrap();
    let wakers = blocked(&queue, &arrivals, JOBS);
    assert!(threads(&worker) >= JOBS);
    gate.open();
    wakers.iter().for_each(Waker::wake_by_ref);
    let executor = executor(&worker);
    let mut state = executor.lock();
    while state.threads > THREADS {
        state = executor.closing.wait_timeout(state, STUCK).unwrap().0;
    }
    // No event says that no further thread will end, so wait for longer than each of them would.
    state = executor.closing.wait_timeout_while(state, 2 * LINGER, |_| true).unwrap().0;
    assert_eq!(state.threads, THREADS);
    drop(state);
    worker.stop().unwrap();
}
