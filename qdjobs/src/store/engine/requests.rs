//! What waits for the writing thread: [`Request`] and the [`RequestQueue`] that gathers it, where the thread sleeps.
//!
//! Leans on std. The commit in flight is the window in which the next batch gathers; there is no timer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::model::clock::ClockSubscriber;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{Job, JobId, NewJob, WorkerId};
use crate::store::{
    ClaimRequest, ClaimResponse, Heartbeat, JobCommand, ProgressSlot, Release, Released, Reply, TaskDefaults,
    WorkerInfo,
};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A request to the writing thread, in the order of a job's life.
#[derive(Debug)]
pub(crate) enum Request {
    Insert(Vec<NewJob>, Reply<Vec<JobId>>),
    PublishTasks(Vec<TaskDefaults>, Reply<()>),
    RegisterWorker(WorkerInfo, Reply<()>),
    Claim(ClaimRequest, Reply<ClaimResponse>),
    CancelWaitingClaims(WorkerId, Reply<()>),
    Heartbeat(WorkerId, Reply<Heartbeat>),
    ReportProgress(Arc<ProgressSlot>),
    ReleaseWorker(WorkerId, Release, Reply<Released>),
    Command(JobCommand, Reply<Job>),
    WaitFor(JobId, Reply<Job>),
    /// Another connection may have written, or a manual clock has advanced.
    Look,
    /// Every request before this one is answered; none comes after it.
    Close,
}

impl Request {
    /// Answers a request that was not applied, since the transaction it would have been part of is over.
    pub(crate) fn refuse(self, error: &Error) {
        match self {
            Request::Insert(_, reply) => reply.send(Err(error.repeat())),
            Request::PublishTasks(_, reply) => reply.send(Err(error.repeat())),
            Request::RegisterWorker(_, reply) => reply.send(Err(error.repeat())),
            Request::Claim(_, reply) => reply.send(Err(error.repeat())),
            // Needs no database: the waiting claims are ended by whoever refuses this.
            Request::CancelWaitingClaims(_, reply) => reply.send(Ok(())),
            Request::Heartbeat(_, reply) => reply.send(Err(error.repeat())),
            // Cleared, so that the next value is submitted again.
            Request::ReportProgress(slot) => slot.clear(),
            Request::ReleaseWorker(_, _, reply) => reply.send(Err(error.repeat())),
            Request::Command(_, reply) => reply.send(Err(error.repeat())),
            Request::WaitFor(_, reply) => reply.send(Err(error.repeat())),
            Request::Look | Request::Close => {}
        }
    }

    /// About how many rows it writes.
    fn rows(&self) -> usize {
        match self {
            Request::Insert(jobs, _) => jobs.len(),
            Request::Claim(claim, _) => claim.finished.len().saturating_add(claim.limit),
            _ => 1,
        }
    }

    /// About what it holds in memory while it waits.
    fn bytes(&self) -> usize {
        match self {
            Request::Insert(jobs, _) => jobs.iter().map(bytes_of).sum(),
            _ => 256,
        }
    }
}

/// About what a job holds in memory: its texts, and what a job without any takes.
fn bytes_of(job: &NewJob) -> usize {
    let options = [&job.name, &job.metadata, &job.idempotency_key];
    let options: usize = options.into_iter().flatten().map(String::len).sum();
    job.task_name.len() + job.params.len() + job.queue.len() + options + 256
}

/// Most bytes that may wait. More means that the disk is slower than the callers for a long time: they are told so at
/// once, rather than blocked or kept until memory ends.
const BYTES_MAX: usize = 256 << 20;

/// Most rows written in one transaction, so that no caller waits for strangers much longer than one commit takes: some twenty
/// milliseconds. A single request may be larger; it is then alone.
const BATCH_ROWS_MAX: usize = 4_096;

#[derive(Debug)]
pub(crate) struct RequestQueue {
    /// [`BYTES_MAX`], but in a test.
    bytes_max: usize,
    /// Held for a push or a swap, never while SQLite works.
    state: Mutex<State>,
    /// Rung when something arrives while the writing thread sleeps.
    arrived: Condvar,
    /// Whether the store has stopped for good: asked once a batch, without the lock.
    is_stopped: AtomicBool,
}

impl Default for RequestQueue {
    fn default() -> RequestQueue {
        RequestQueue {
            bytes_max: BYTES_MAX,
            state: Mutex::default(),
            arrived: Condvar::default(),
            is_stopped: AtomicBool::default(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Request>,
    bytes: usize,
    asleep: bool,
    /// The file has changed since the last [`RequestQueue::take_file_change`]. Kept, since the change may be reported before
    /// the thread that waits for it sleeps.
    file_changed: bool,
    /// To be woken though no request waits.
    woken: bool,
    closed: bool,
    /// What every request is refused with, once the store has stopped for good.
    stopped: Option<Error>,
}

/// How long the writing thread sleeps when nothing waits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sleep {
    /// `None` until it is woken.
    pub(crate) limit: Option<Duration>,
    /// Whether [`RequestQueue::note_file_change`] wakes it.
    pub(crate) wakes_on_change: bool,
}

impl RequestQueue {
    /// Leaves a request; hands it back as an error if it cannot wait here. The request's reply is answered by being dropped
    /// in the first case, so callers get one answer either way.
    pub(crate) fn push(&self, request: Request) -> Result<()> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::new(ErrorKind::Closed, "the queue is closed")
                .help("keep a JobQueue for as long as you use it"));
        }
        if let Some(stopped) = &state.stopped
            && !matches!(request, Request::Close)
        {
            return Err(stopped.repeat());
        }
        let bytes = request.bytes();
        if matches!(request, Request::Insert(..)) && state.bytes > 0 && state.bytes + bytes > self.bytes_max {
            return Err(Error::new(
                ErrorKind::Overloaded,
                format!("{} MiB of jobs already wait to be written", state.bytes >> 20),
            )
            .help("the disk is slower than the enqueues: slow them down, or look at what keeps the disk"));
        }
        state.closed = matches!(request, Request::Close);
        state.bytes += bytes;
        state.waiting.push_back(request);
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Sleeps until something waits, somebody stirs, or the sleep is over.
    pub(crate) fn wait(&self, sleep: Sleep) {
        let mut state = self.lock();
        let quiet = |state: &mut State| {
            state.waiting.is_empty() && !state.woken && !(sleep.wakes_on_change && state.file_changed)
        };
        if quiet(&mut state) {
            state.asleep = true;
            state = match sleep.limit {
                None => self.arrived.wait_while(state, quiet).unwrap_or_else(PoisonError::into_inner),
                Some(limit) => {
                    self.arrived
                        .wait_timeout_while(state, limit, quiet)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
            state.asleep = false;
        }
        state.woken = false;
    }

    /// Whether the thread would be woken, or not sleep at all, if its sleep were `sleep`.
    #[cfg(test)]
    pub(crate) fn wakes(&self, sleep: Sleep) -> bool {
        let state = self.lock();
        !state.waiting.is_empty() || state.woken || (sleep.wakes_on_change && state.file_changed)
    }

    /// Notes that the thread goes to sleep, or has woken: what [`wait`](RequestQueue::wait) does at its two ends.
    #[cfg(test)]
    pub(crate) fn set_asleep(&self, asleep: bool) {
        let mut state = self.lock();
        state.asleep = asleep && state.waiting.is_empty();
        state.woken &= asleep;
    }

    /// Takes what waits, oldest first; empty if nothing does.
    pub(crate) fn take(&self) -> Vec<Request> {
        let mut state = self.lock();
        let mut rows = 0;
        let fits = |request: &&Request| {
            rows = request.rows().saturating_add(rows);
            rows <= BATCH_ROWS_MAX
        };
        let many = state.waiting.iter().take_while(fits).count().max(1).min(state.waiting.len());
        let batch: Vec<Request> = state.waiting.drain(..many).collect();
        state.bytes = if state.waiting.is_empty() {
            0
        } else {
            state.bytes - batch.iter().map(Request::bytes).sum::<usize>()
        };
        batch
    }

    /// Whether the writing thread sleeps, nothing waits for it, and more would be accepted.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.lock();
        state.asleep && state.waiting.is_empty() && !state.closed && state.stopped.is_none()
    }

    /// Refuses everything from now on but the close, with `stopped`; the first who says so is heard. The writing thread is
    /// woken, to refuse what waits.
    pub(crate) fn stop(&self, stopped: Error) {
        let mut state = self.lock();
        state.stopped.get_or_insert(stopped);
        state.woken = true;
        self.is_stopped.store(true, Ordering::Release);
        drop(state);
        self.arrived.notify_one();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    /// What every request is refused with, if the store has stopped for good.
    pub(crate) fn stopped(&self) -> Option<Error> {
        if self.is_stopped() { self.lock().stopped.as_ref().map(Error::repeat) } else { None }
    }

    /// Asks the writing thread to look for what others have written.
    pub(crate) fn look(&self) {
        // A closed queue has no thread left that could look.
        let _ = self.push(Request::Look);
    }

    /// Wakes the writing thread, to look at the time.
    pub(crate) fn wake(&self) {
        self.lock().woken = true;
        self.arrived.notify_one();
    }

    /// Notes that the file has changed: wakes the writing thread if its sleep says so.
    #[cfg(target_os = "linux")]
    pub(crate) fn note_file_change(&self) {
        self.lock().file_changed = true;
        self.arrived.notify_one();
    }

    /// Whether the file has changed since the last call.
    #[cfg(target_os = "linux")]
    pub(crate) fn take_file_change(&self) -> bool {
        std::mem::take(&mut self.lock().file_changed)
    }

    /// Accepts nothing more, and drops what waits, which answers it: there is no writer any more.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClockSubscriber for RequestQueue {
    fn clock_advanced(&self) {
        self.look();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Timestamp;
    use crate::model::retry::Verdict;
    use crate::store::{Claim, FinishedJob, Pending, Ticket};

    #[test]
    fn a_transaction_takes_what_fits_and_a_large_request_goes_alone() {
        let request_queue = RequestQueue::default();
        for jobs in [1, BATCH_ROWS_MAX / 2, BATCH_ROWS_MAX / 2, 3 * BATCH_ROWS_MAX, 1] {
            let jobs = vec![NewJob::new("a", "{}"); jobs];
            request_queue.push(Request::Insert(jobs, Pending::new().0)).unwrap();
        }
        let taken: Vec<usize> = std::iter::repeat_with(|| request_queue.take().len()).take(5).collect();
        assert_eq!(taken, [2, 1, 1, 1, 0]);
        assert_eq!(request_queue.lock().bytes, 0);
    }

    #[test]
    fn what_waits_is_counted_with_all_that_its_callers_have_written_and_too_much_is_refused_at_once() {
        let request_queue = RequestQueue { bytes_max: 10_000, ..RequestQueue::default() };
        let push = |job: &NewJob| request_queue.push(Request::Insert(vec![job.clone()], Pending::new().0));
        let long = || Some("x".repeat(4_000));
        let job = NewJob::new("a", "{}");
        let metadata = NewJob { metadata: long(), ..job.clone() };
        let idempotency_key = NewJob { idempotency_key: long(), ..job.clone() };
        let name = NewJob { name: long(), ..job.clone() };
        let params = NewJob { params: "x".repeat(4_000), ..job.clone() };
        for large in [metadata, idempotency_key, name, params] {
            push(&large).unwrap();
            push(&large).unwrap();
            let refused = push(&large).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Overloaded);
            push(&job).unwrap();
            request_queue.push(Request::CancelWaitingClaims(WorkerId(1), Pending::new().0)).unwrap();
            assert_eq!(
                request_queue.take().len(),
                4,
                "what was accepted is there, and what frees room always is"
            );
        }
        // A single one may be larger than all that may wait.
        push(&NewJob { params: "x".repeat(20_000), ..job.clone() }).unwrap();
        assert_eq!(push(&job).unwrap_err().kind(), ErrorKind::Overloaded);
        request_queue.take();
        push(&job).unwrap();
    }

    #[test]
    fn a_worker_may_ask_for_as_many_jobs_as_a_number_can_say() {
        let request_queue = RequestQueue::default();
        for _ in 0..2 {
            let claim = Claim { id: JobId(1), attempt: 1, worker: WorkerId(1) };
            let ticket = Ticket::new(Timestamp::UNIX_EPOCH, false);
            let verdict = Verdict::Complete { result: "null".into() };
            let finished = FinishedJob { claim, ticket, began_after: Duration::ZERO, verdict };
            let request = ClaimRequest {
                worker: WorkerId(1),
                finished: Arc::new(vec![finished]),
                limit: usize::MAX,
                tasks: Arc::default(),
                queues: None,
                wait: false,
            };
            request_queue.push(Request::Claim(request, Pending::new().0)).unwrap();
        }
        request_queue.push(Request::CancelWaitingClaims(WorkerId(1), Pending::new().0)).unwrap();
        assert_eq!([(); 4].map(|()| request_queue.take().len()), [1, 1, 1, 0]);
    }
}
