//! The requests that wait for a transaction: [`Request`], and [`RequestQueue`], where the writing thread
//! sleeps and is woken.
//!
//! Decides how many bytes may wait; more is refused. How many requests share one transaction is decided in
//! `batch.rs`. What a request does is in `transaction_steps.rs`.
//!
//! Depends on the contract. There is no timer: requests gather while the transaction before them commits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::model::clock::ClockSubscriber;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{Job, JobId, NewJob, Progress, WorkerId};
use crate::store::{
    ClaimRequest, ClaimResponse, Heartbeat, JobCommand, ProgressSlot, Release, Released, Reply, TaskDefaults,
    WorkerInfo,
};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// One call of a verb: its arguments, its reply, and its answer once a transaction has decided it.
///
/// A transaction that runs again decides the answer again. The answer is sent after the commit.
#[derive(Debug)]
pub(crate) struct Call<Q, A> {
    pub(crate) args: Q,
    reply: Reply<A>,
    answer: Option<Result<A>>,
}

impl<Q, A> Call<Q, A> {
    pub(crate) fn new(args: Q, reply: Reply<A>) -> Call<Q, A> {
        Call { args, reply, answer: None }
    }

    /// Records the answer.
    pub(crate) fn decide(&mut self, answer: Result<A>) {
        self.answer = Some(answer);
    }

    /// Discards the answer: the transaction that decided it was not committed.
    pub(crate) fn reset(&mut self) {
        self.answer = None;
    }

    /// The recorded answer.
    pub(crate) fn answer(&self) -> Option<&Result<A>> {
        self.answer.as_ref()
    }

    pub(crate) fn is_decided(&self) -> bool {
        self.answer.is_some()
    }

    /// Sends the answer, after the commit. A call without one is dropped, which answers
    /// [`ErrorKind::Closed`].
    pub(crate) fn send(self) {
        if let Some(answer) = self.answer {
            self.reply.send(answer);
        }
    }

    /// Answers a call of a transaction that failed with `error`. If the call failed alone before, it gets its
    /// own error. But a conflict, a lost lease or a missing job may result from other requests of this
    /// transaction, which the failure undoes. Then the call gets `error`.
    pub(crate) fn fail(self, error: &Error) {
        let is_undone = |own: &Error| {
            matches!(own.kind(), ErrorKind::Conflict | ErrorKind::LeaseLost | ErrorKind::NotFound)
        };
        self.reply.send(Err(match self.answer {
            Some(Err(own)) if !is_undone(&own) => own,
            _ => error.repeat(),
        }));
    }

    /// Answers a call after its transaction has ended.
    pub(super) fn end(self, failed: Option<&Error>) {
        match failed {
            None => self.send(),
            Some(error) => self.fail(error),
        }
    }
}

/// A wait for the end of a job. It is boxed, because a job is large.
pub(crate) type WaitForEnd = Box<Call<JobId, Job>>;

/// Progress to write, and the value that the transaction wrote.
#[derive(Debug)]
pub(crate) struct ProgressReport {
    pub(crate) slot: Arc<ProgressSlot>,
    pub(crate) written: Option<Progress>,
}

impl ProgressReport {
    /// Empties the slot after its transaction has ended. Returns the slot if a newer value arrived during the
    /// transaction, so that it must be submitted again.
    fn end(self, failed: Option<&Error>) -> Option<Arc<ProgressSlot>> {
        match self.written {
            Some(written) if failed.is_none() => self.slot.stored(&written).then_some(self.slot),
            // Cleared, so that the next value is submitted again.
            _ => {
                self.slot.clear();
                None
            }
        }
    }
}

/// A request; the variants are in verb order. Calls whose answer is a job are boxed, because a job is large.
#[derive(Debug)]
pub(crate) enum Request {
    Insert(Call<Vec<NewJob>, Vec<JobId>>),
    PublishTasks(Call<Vec<TaskDefaults>, ()>),
    RegisterWorker(Call<WorkerInfo, ()>),
    Claim(Call<ClaimRequest, ClaimResponse>),
    CancelWaitingClaims(Call<WorkerId, ()>),
    Heartbeat(Call<WorkerId, Heartbeat>),
    ReportProgress(ProgressReport),
    ReleaseWorker(Call<(WorkerId, Release), Released>),
    Command(Box<Call<JobCommand, Job>>),
    WaitFor(WaitForEnd),
    /// Another connection may have written, or a manual clock has advanced.
    Look,
    /// Closes the queue. Every earlier request is answered, and no request follows.
    Close,
}

impl Request {
    pub(crate) fn report_progress(slot: Arc<ProgressSlot>) -> Request {
        Request::ReportProgress(ProgressReport { slot, written: None })
    }

    /// Answers a request after its transaction has ended. Returns a progress slot that must be submitted
    /// again.
    pub(super) fn end(self, failed: Option<&Error>) -> Option<Arc<ProgressSlot>> {
        match self {
            Request::Insert(call) => call.end(failed),
            Request::PublishTasks(call) => call.end(failed),
            Request::RegisterWorker(call) => call.end(failed),
            Request::Claim(call) => call.end(failed),
            // `Waiters` has ended the claims in memory, even if the transaction failed.
            Request::CancelWaitingClaims(call) => call.reply.send(Ok(())),
            Request::Heartbeat(call) => call.end(failed),
            Request::ReportProgress(report) => return report.end(failed),
            Request::ReleaseWorker(call) => call.end(failed),
            Request::Command(call) => call.end(failed),
            Request::WaitFor(call) => call.end(failed),
            Request::Look | Request::Close => {}
        }
        None
    }

    /// Refuses a request before any transaction has run it.
    pub(crate) fn refuse(self, error: &Error) {
        self.end(Some(error));
    }

    /// Discards the answer of a transaction that runs again.
    pub(super) fn reset(&mut self) {
        match self {
            Request::Insert(call) => call.reset(),
            Request::PublishTasks(call) => call.reset(),
            Request::RegisterWorker(call) => call.reset(),
            Request::Claim(call) => call.reset(),
            Request::CancelWaitingClaims(call) => call.reset(),
            Request::Heartbeat(call) => call.reset(),
            Request::ReportProgress(report) => report.written = None,
            Request::ReleaseWorker(call) => call.reset(),
            Request::Command(call) => call.reset(),
            Request::WaitFor(call) => call.reset(),
            Request::Look | Request::Close => {}
        }
    }

    /// The approximate number of rows that the request writes.
    pub(super) fn rows(&self) -> usize {
        match self {
            Request::Insert(call) => call.args.len(),
            Request::Claim(call) => call.args.finished.len().saturating_add(call.args.limit),
            _ => 1,
        }
    }

    /// The approximate number of rows that the decided request has written, apart from the jobs that it
    /// claimed.
    pub(super) fn rows_written(&self) -> usize {
        match self {
            Request::Insert(call) => call.args.len(),
            Request::PublishTasks(call) => call.args.len(),
            Request::Claim(call) => call.args.finished.len(),
            Request::ReleaseWorker(call) => match call.answer() {
                Some(Ok(released)) => released.jobs.saturating_add(1),
                _ => 0,
            },
            Request::RegisterWorker(_)
            | Request::Heartbeat(_)
            | Request::ReportProgress(_)
            | Request::Command(_) => 1,
            Request::CancelWaitingClaims(_) | Request::WaitFor(_) | Request::Look | Request::Close => 0,
        }
    }

    /// The approximate memory of the request, in bytes.
    fn bytes(&self) -> usize {
        match self {
            Request::Insert(call) => call.args.iter().map(bytes_of).sum(),
            _ => 256,
        }
    }
}

/// The approximate memory of a job, in bytes: its texts and a fixed part.
fn bytes_of(job: &NewJob) -> usize {
    let options = [&job.name, &job.metadata, &job.idempotency_key];
    let options: usize = options.into_iter().flatten().map(String::len).sum();
    job.task_name.len() + job.params.len() + job.queue.len() + options + 256
}

/// The most bytes of waiting requests. If more wait, the disk has been slower than the callers for a long
/// time. Further inserts are then refused at once, so that they neither block nor fill the memory.
const BYTES_MAX: usize = 256 << 20;

/// The requests that wait for the writer thread, and the condition on which this thread sleeps.
#[derive(Debug)]
pub(crate) struct RequestQueue {
    /// [`BYTES_MAX`], except in a test.
    bytes_max: usize,
    /// Locked to add or take requests, never during a transaction.
    state: Mutex<State>,
    /// Notified when a request arrives while the writer thread sleeps.
    arrived: Condvar,
    /// Whether the store has halted. Read once per batch, without the lock.
    is_halted: AtomicBool,
}

impl Default for RequestQueue {
    fn default() -> RequestQueue {
        RequestQueue {
            bytes_max: BYTES_MAX,
            state: Mutex::default(),
            arrived: Condvar::default(),
            is_halted: AtomicBool::default(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Request>,
    bytes: usize,
    asleep: bool,
    /// Whether the file has changed since this flag was last read. It is stored, because a change may be
    /// reported before the writer thread sleeps.
    file_changed: bool,
    /// Whether to wake the thread although no request waits.
    woken: bool,
    closed: bool,
    /// The error of every request, once the store has halted.
    halted: Option<Error>,
}

/// Amounts of jobs in an error are rounded up: the sum of what waits and what is added exceeds the limit.
const MIB: usize = 1 << 20;

/// How long the writer thread sleeps when no request waits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sleep {
    /// `None` to sleep until it is woken.
    pub(crate) limit: Option<Duration>,
    /// Whether [`RequestQueue::note_file_change`] wakes it.
    pub(crate) wakes_on_change: bool,
}

impl RequestQueue {
    /// Adds a request for the writer thread, or refuses it.
    pub(crate) fn push(&self, request: Request) -> Result<()> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::new(ErrorKind::Closed, "the queue is closed")
                .help("keep the `JobQueue` alive while handles or workers use it"));
        }
        if let Some(halted) = &state.halted
            && !matches!(request, Request::Close)
        {
            return Err(halted.repeat());
        }
        let bytes = request.bytes();
        if matches!(request, Request::Insert(..)) && state.bytes > 0 && state.bytes + bytes > self.bytes_max {
            return Err(Error::new(
                ErrorKind::Overloaded,
                format!(
                    "{} MiB of jobs already wait to be written, and this call adds {} MiB; the limit is {} MiB; \
                     nothing was stored",
                    state.bytes.div_ceil(MIB),
                    bytes.div_ceil(MIB),
                    self.bytes_max.div_ceil(MIB)
                ),
            )
            .help(
                "repeat the call later, and split a large call; if this happens often, find out what delays the writes: a slow \
                 disk, or another program that holds the write lock",
            ));
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

    /// Sleeps until a request waits, [`wake`](RequestQueue::wake) is called, or the sleep is over.
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

    /// Whether [`wait`](RequestQueue::wait) with this `sleep` would return at once.
    #[cfg(test)]
    pub(crate) fn wakes(&self, sleep: Sleep) -> bool {
        let state = self.lock();
        !state.waiting.is_empty() || state.woken || (sleep.wakes_on_change && state.file_changed)
    }

    /// Records that the thread sleeps or has woken, as [`wait`](RequestQueue::wait) does at its start and
    /// end.
    #[cfg(test)]
    pub(crate) fn set_asleep(&self, asleep: bool) {
        let mut state = self.lock();
        state.asleep = asleep && state.waiting.is_empty();
        state.woken &= asleep;
    }

    /// Takes as many of the waiting requests as `count` returns, oldest first; empty if none wait.
    pub(crate) fn take(&self, count: impl FnOnce(&VecDeque<Request>) -> usize) -> Vec<Request> {
        let mut state = self.lock();
        let many = count(&state.waiting);
        let batch: Vec<Request> = state.waiting.drain(..many).collect();
        state.bytes = if state.waiting.is_empty() {
            0
        } else {
            state.bytes - batch.iter().map(Request::bytes).sum::<usize>()
        };
        batch
    }

    /// Whether the writer thread sleeps, no request waits, and a request would be accepted.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.lock();
        state.asleep && state.waiting.is_empty() && !state.closed && state.halted.is_none()
    }

    /// Refuses every further request, except a close, with `halted`. If called again, it keeps the first
    /// error. Wakes the writer thread, which refuses the waiting requests.
    pub(crate) fn halt(&self, halted: Error) {
        let mut state = self.lock();
        state.halted.get_or_insert(halted);
        state.woken = true;
        self.is_halted.store(true, Ordering::Release);
        drop(state);
        self.arrived.notify_one();
    }

    pub(crate) fn is_halted(&self) -> bool {
        self.is_halted.load(Ordering::Acquire)
    }

    /// The error of every request, if the store has halted.
    pub(crate) fn halted(&self) -> Option<Error> {
        if self.is_halted() { self.lock().halted.as_ref().map(Error::repeat) } else { None }
    }

    /// Asks the writer thread to read the commits of other connections.
    pub(crate) fn look(&self) {
        // A closed queue has no writer thread any more.
        let _ = self.push(Request::Look);
    }

    /// Wakes the writer thread, so that it reads the clock.
    pub(crate) fn wake(&self) {
        self.lock().woken = true;
        self.arrived.notify_one();
    }

    /// Records that the file has changed. Wakes the writer thread if its [`Sleep`] allows it.
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

    /// Closes the queue after the writer thread has ended. Drops the waiting requests, which answers them
    /// with [`ErrorKind::Closed`].
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
    use super::super::batch::{BATCH_ROWS_MAX, requests_that_fit};
    use super::*;
    use crate::model::clock::Timestamp;
    use crate::model::retry::Verdict;
    use crate::store::{Claim, FinishedJob, Pending, Ticket};

    #[test]
    fn a_transaction_takes_what_fits_and_a_large_request_goes_alone() {
        let request_queue = RequestQueue::default();
        for jobs in [1, BATCH_ROWS_MAX / 2, BATCH_ROWS_MAX / 2, 3 * BATCH_ROWS_MAX, 1] {
            let jobs = vec![NewJob::new("a", "{}"); jobs];
            request_queue.push(Request::Insert(Call::new(jobs, Pending::new().0))).unwrap();
        }
        let taken: Vec<usize> =
            std::iter::repeat_with(|| request_queue.take(requests_that_fit).len()).take(5).collect();
        assert_eq!(taken, [2, 1, 1, 1, 0]);
        assert_eq!(request_queue.lock().bytes, 0);
    }

    #[test]
    fn a_queued_request_wakes_the_thread_that_sleeps_without_a_limit() {
        let request_queue = Arc::new(RequestQueue::default());
        let (woken, wakes) = std::sync::mpsc::channel();
        let sleeper = request_queue.clone();
        let thread = std::thread::spawn(move || {
            sleeper.wait(Sleep::default());
            woken.send(()).unwrap();
        });
        while !request_queue.is_quiet() {
            std::thread::yield_now();
        }
        request_queue.push(Request::Look).unwrap();
        wakes.recv_timeout(Duration::from_secs(60)).expect("it is woken");
        thread.join().unwrap();
    }

    #[test]
    fn waiting_jobs_are_counted_with_all_their_texts_and_too_many_bytes_are_refused_at_once() {
        let request_queue = RequestQueue { bytes_max: 10_000, ..RequestQueue::default() };
        let push = |job: &NewJob| {
            request_queue.push(Request::Insert(Call::new(vec![job.clone()], Pending::new().0)))
        };
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
            let told =
                "1 MiB of jobs already wait to be written, and this call adds 1 MiB; the limit is 1 MiB";
            assert!(refused.to_string().starts_with(told), "rounded up: {refused}");
            push(&job).unwrap();
            request_queue
                .push(Request::CancelWaitingClaims(Call::new(WorkerId(1), Pending::new().0)))
                .unwrap();
            assert_eq!(
                request_queue.take(requests_that_fit).len(),
                4,
                "what was accepted is there, and what frees room always is"
            );
        }
        // A single one may be larger than all that may wait.
        push(&NewJob { params: "x".repeat(20_000), ..job.clone() }).unwrap();
        assert_eq!(push(&job).unwrap_err().kind(), ErrorKind::Overloaded);
        request_queue.take(requests_that_fit);
        push(&job).unwrap();
    }

    #[test]
    fn a_call_refused_for_what_the_failed_transaction_did_gets_the_error_of_the_transaction() {
        let error = |kind| Error::new(kind, "");
        for (own, answered) in [
            (ErrorKind::InvalidInput, ErrorKind::InvalidInput),
            (ErrorKind::Conflict, ErrorKind::Storage),
            (ErrorKind::LeaseLost, ErrorKind::Storage),
            (ErrorKind::NotFound, ErrorKind::Storage),
        ] {
            let (reply, pending) = Pending::<()>::new();
            let mut call = Call::new((), reply);
            call.decide(Err(error(own)));
            call.fail(&error(ErrorKind::Storage));
            assert_eq!(pending.wait().unwrap_err().kind(), answered, "{own:?}");
        }
    }

    #[test]
    fn a_worker_may_ask_for_the_largest_number_of_jobs() {
        let request_queue = RequestQueue::default();
        for _ in 0..2 {
            let claim = Claim { id: JobId(1), attempt: 1, worker: WorkerId(1) };
            let ticket = Ticket::new(Timestamp::UNIX_EPOCH);
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
            request_queue.push(Request::Claim(Call::new(request, Pending::new().0))).unwrap();
        }
        request_queue.push(Request::CancelWaitingClaims(Call::new(WorkerId(1), Pending::new().0))).unwrap();
        assert_eq!([(); 4].map(|()| request_queue.take(requests_that_fit).len()), [1, 1, 1, 0]);
    }
}
