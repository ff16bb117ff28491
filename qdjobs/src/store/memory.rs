//! The store in memory: the contract in its plainest form.
//!
//! It is the specification that the other stores are compared with, and the store for a program's own tests. Leans on
//! the contract alone. Files, SQL and tasks never come in; nothing survives the process.
//!
//! All of it is one set of `Books` behind one mutex. A verb changes the books; then, under the same lock, the books
//! are settled: due jobs are promoted and standing turns served. The answers this gives to others
//! wait in `Mail` until the lock is free again, since whoever is woken may call straight back.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::mem;
use std::ops::Bound;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{
    Caps, Claim, ClaimRequest, ClaimResponse, ClaimedJob, Counts, Cursor, Filter, FinishedJob, Foreign,
    Heartbeat, JobCommand, Page, Pending, ProgressSlot, Release, Released, Reply, SqlStatement, Store,
    TaskSet, Ticket, WorkerInfo, WorkerState,
};
use crate::model::clock::{Clock, ClockSubscriber, Timestamp, after_at_latest, whole_micros};
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::idempotency::{Holder, check_all};
use crate::model::job::{Attempt, AttemptOutcome, Job, JobId, NewJob, Status, WorkerId, clip_error};
use crate::model::poison::{CRASHES_MAX, Crash, attribute_crash};
use crate::model::retry::Verdict;
use crate::store::not_found;
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, thread};

/// Jobs in the memory of this process: for tests, and for work that may be forgotten.
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    max_crashes: u32,
    /// One mutex for everything, so that each verb is one step to every other: what a transaction is elsewhere.
    books: Mutex<Books>,
    /// Tells the timer that the next due instant is another one, or that the store is closed.
    moved: Condvar,
}

impl MemoryStore {
    /// An empty store whose time is `clock`'s.
    pub fn new(clock: Clock) -> Arc<MemoryStore> {
        MemoryStore::with_max_crashes(clock, CRASHES_MAX)
    }

    /// The same; a job is failed with the crash of this number.
    pub fn with_max_crashes(clock: Clock, max_crashes: u32) -> Arc<MemoryStore> {
        let shared = Arc::new(Shared { clock, max_crashes, books: Mutex::default(), moved: Condvar::new() });
        let bell: Weak<Shared> = Arc::downgrade(&shared);
        shared.clock.subscribe(bell);
        Arc::new(MemoryStore { shared })
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        // The timer holds the books too, and would outlive the last handle.
        self.close();
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("jobs", &self.shared.lock().rows.len()).finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn insert(&self, jobs: Vec<NewJob>) -> Pending<Vec<JobId>> {
        self.shared.answer(|books, now| books.insert(jobs, now))
    }

    fn register_worker(&self, worker: WorkerInfo) -> Pending<()> {
        self.shared.answer(|books, now| {
            books.workers.entry(worker.id).or_insert_with(|| WorkerState::new(worker, now));
            Ok(())
        })
    }

    fn claim(&self, request: ClaimRequest) -> Pending<ClaimResponse> {
        if request.wait
            && let Err(error) = Shared::start_timer(&self.shared)
        {
            return Pending::ready(Err(error));
        }
        let (reply, pending) = Pending::new();
        // A closed store drops the reply, which is the answer `Closed`.
        self.shared.visit(|books, now| books.request(request, reply, now));
        pending
    }

    fn cancel_waiting_claims(&self, worker: WorkerId) -> Pending<()> {
        self.shared.answer(|books, _| {
            books.dismiss(worker, || Ok(ClaimResponse::default()));
            Ok(())
        })
    }

    fn heartbeat(&self, worker: WorkerId) -> Pending<Heartbeat> {
        self.shared.answer(|books, _| Ok(books.heartbeat(worker)))
    }

    fn report_progress(&self, slot: Arc<ProgressSlot>) {
        self.shared.visit(|books, _| books.report_progress(&slot));
    }

    fn release_worker(&self, worker: WorkerId, why: Release) -> Pending<Released> {
        let max_crashes = self.shared.max_crashes;
        self.shared.answer(|books, now| {
            Ok(match why {
                Release::ByWorker => books.release_worker(worker, now),
                Release::ProvenDead => books.rescue(worker, max_crashes, now),
                Release::Silent { heartbeats } => {
                    let still =
                        books.workers.get(&worker).is_some_and(|state| state.heartbeats == heartbeats);
                    if still { books.rescue(worker, max_crashes, now) } else { Released::default() }
                }
            })
        })
    }

    fn command(&self, command: JobCommand) -> Pending<Job> {
        self.shared.answer(|books, now| books.command(command, now))
    }

    fn wait_for(&self, id: JobId) -> Pending<Job> {
        let (reply, pending) = Pending::new();
        self.shared.visit(|books, _| books.ended(id, reply));
        pending
    }

    fn get(&self, id: JobId) -> Pending<Option<Job>> {
        self.shared.answer(|books, _| Ok(books.rows.get(&id).map(|row| row.job.clone())))
    }

    fn attempts(&self, id: JobId) -> Pending<Vec<Attempt>> {
        self.shared
            .answer(|books, _| Ok(books.rows.get(&id).map(|row| row.history.clone()).unwrap_or_default()))
    }

    fn list(&self, filter: Filter) -> Pending<Page> {
        self.shared.answer(|books, now| Ok(books.page(&filter, now)))
    }

    fn counts(&self) -> Pending<Counts> {
        self.shared.answer(|books, _| Ok(books.counts()))
    }

    fn workers(&self) -> Pending<Vec<WorkerState>> {
        self.shared.answer(|books, _| Ok(books.roster()))
    }

    fn notify(&self) {
        // Nothing but these methods can store a job here; looking again is all that the word asks for.
        self.shared.visit(|_, _| ());
    }

    fn statement(&self, _: Foreign<'_>) -> Result<SqlStatement> {
        Err(Error::new(ErrorKind::Config, "the memory store has no SQL")
            .help("open the queue on a database file to use a transaction of your own"))
    }

    fn caps(&self) -> Caps {
        Caps::default()
    }

    fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    fn name(&self) -> &str {
        "memory"
    }

    fn close(&self) {
        let (standing, waiting) = {
            let mut books = self.shared.lock();
            books.closed = true;
            (mem::take(&mut books.standing), mem::take(&mut books.waiting))
        };
        self.shared.moved.notify_all();
        // Replies that are dropped answer `Closed`; not under the lock, as every other answer.
        drop((standing, waiting));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Books> {
        // No code of a caller runs under the lock, so poisoned books are whole ones.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        whole_micros(self.clock.now())
    }

    /// A verb whose answer is there at once.
    fn answer<T>(&self, verb: impl FnOnce(&mut Books, Timestamp) -> Result<T>) -> Pending<T> {
        let (reply, pending) = Pending::new();
        match self.visit(verb) {
            Some(answer) => reply.send(answer),
            None => drop(reply),
        }
        pending
    }

    /// Runs `verb` on the books, settles them, and posts what is due to others; `None` if the store is closed.
    fn visit<T>(&self, verb: impl FnOnce(&mut Books, Timestamp) -> T) -> Option<T> {
        let (answer, mail) = {
            let mut books = self.lock();
            if books.closed {
                return None;
            }
            let now = self.now();
            let awaited = books.awaited();
            let answer = verb(&mut books, now);
            books.settle(now);
            if books.awaited() != awaited {
                self.moved.notify_all();
            }
            (answer, mem::take(&mut books.mail))
        };
        mail.post();
        Some(answer)
    }

    /// Starts the thread that looks again when a scheduled job becomes due, unless it runs or the clock rings by
    /// itself. Only standing turns need it, so a program without workers never pays for it.
    fn start_timer(shared: &Arc<Shared>) -> Result<()> {
        let mut books = shared.lock();
        if books.timer || books.closed || shared.clock.is_manual() {
            return Ok(());
        }
        let timer = shared.clone();
        thread::Builder::new().name("qdjobs-timer".into()).spawn(move || timer.keep_time()).map_err(
            |error| {
                Error::new(
                    ErrorKind::Storage,
                    "the thread that watches for scheduled jobs could not be started",
                )
                .help("raise the limit on threads")
                .caused_by(error)
            },
        )?;
        books.timer = true;
        Ok(())
    }

    /// Sleeps to the next due instant and settles, until the store is closed.
    fn keep_time(&self) {
        loop {
            if self.visit(|_, _| ()).is_none() {
                return;
            }
            let books = self.lock();
            if books.closed {
                return;
            }
            // What moved since the visit is seen here, under the lock that the wait gives up.
            let sleep = books
                .awaited()
                .map(|due| due.duration_since(self.now()).try_into().unwrap_or(Duration::ZERO));
            match sleep.map(|sleep| self.clock.sleep(sleep)) {
                Some(Some(sleep)) => drop(self.moved.wait_timeout(books, sleep)),
                Some(None) | None => drop(self.moved.wait(books)),
            }
        }
    }
}

impl ClockSubscriber for Shared {
    fn clock_advanced(&self) {
        self.visit(|_, _| ());
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the books of a memory store")
    }
}

/// All that the store knows.
#[derive(Default)]
struct Books {
    rows: BTreeMap<JobId, Row>,
    /// Who holds which idempotency key.
    keys: BTreeMap<String, JobId>,
    /// The last id given out: ids are not used again when their jobs are deleted.
    last_id: i64,
    /// The pending jobs that are due, in the order of their claims.
    ready: BTreeSet<Place>,
    /// The pending jobs that are not due yet, by the instant they will be.
    scheduled: BTreeSet<(Timestamp, JobId)>,
    workers: BTreeMap<WorkerId, WorkerState>,
    /// Turns that wait for something to claim, in the order they came.
    standing: Vec<Standing>,
    /// Who waits for the end of which job.
    waiting: BTreeMap<JobId, Vec<Reply<Job>>>,
    mail: Mail,
    /// Whether the timer runs.
    timer: bool,
    closed: bool,
}

/// A job as it is stored.
struct Row {
    job: Job,
    /// The display name as it was given: the job's own shows the task's if there is none.
    own_name: Option<String>,
    /// The attempts that are over, oldest first.
    history: Vec<Attempt>,
}

/// Where a job stands in the line: derived order is the order of claims.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    priority: Reverse<i32>,
    scheduled_at: Timestamp,
    id: JobId,
}

struct Standing {
    request: ClaimRequest,
    reply: Reply<ClaimResponse>,
}

/// Answers that are decided and wait for the lock to be free.
#[derive(Default)]
struct Mail {
    turns: Vec<(Reply<ClaimResponse>, Result<ClaimResponse>)>,
    ends: Vec<(Reply<Job>, Result<Job>)>,
}

impl Mail {
    fn post(self) {
        self.turns.into_iter().for_each(|(reply, answer)| reply.send(answer));
        self.ends.into_iter().for_each(|(reply, answer)| reply.send(answer));
    }
}

// insert
impl Books {
    fn insert(&mut self, jobs: Vec<NewJob>, now: Timestamp) -> Result<Vec<JobId>> {
        check_all(&jobs, now)?;
        let dues = jobs.iter().map(|job| job.scheduled_at(now)).collect::<Result<Vec<_>>>()?;
        // Before the first is stored: all or none.
        jobs.iter().try_for_each(|job| self.repeated(job).map(drop))?;
        let stored = jobs.into_iter().zip(dues).map(|(job, due)| match self.repeated(&job)? {
            Some(id) => Ok(id),
            None => Ok(self.store(job, whole_micros(due), now)),
        });
        stored.collect()
    }

    /// The job that this one repeats, if its key is held.
    fn repeated(&self, new: &NewJob) -> Result<Option<JobId>> {
        let holder = new.idempotency_key.as_ref().and_then(|key| self.keys.get(key));
        let Some(Row { job, .. }) = holder.and_then(|id| self.rows.get(id)) else { return Ok(None) };
        let holder = Holder { id: job.id, task_name: job.task_name.clone(), params: job.params.clone() };
        holder.answer_to(new).map(Some)
    }

    fn store(&mut self, new: NewJob, scheduled_at: Timestamp, now: Timestamp) -> JobId {
        self.last_id += 1;
        let id = JobId(self.last_id);
        let job = Job {
            id,
            name: new.name.clone().unwrap_or_else(|| new.task_name.clone()),
            task_name: new.task_name,
            params: new.params,
            queue: new.queue,
            priority: new.priority,
            status: Status::Pending,
            attempt: 0,
            retry_count: 0,
            max_retries: new.max_retries,
            crash_count: 0,
            scheduled_at,
            created_at: now,
            started_at: None,
            completed_at: None,
            worker_id: None,
            result: None,
            error: None,
            progress: None,
            metadata: new.metadata,
            idempotency_key: new.idempotency_key,
        };
        self.keys.extend(job.idempotency_key.clone().map(|key| (key, id)));
        self.rows.insert(id, Row { job, own_name: new.name, history: Vec::new() });
        self.line_up(id);
        id
    }
}

// claim
impl Books {
    fn request(&mut self, turn: ClaimRequest, reply: Reply<ClaimResponse>, now: Timestamp) {
        if !self.workers.contains_key(&turn.worker) {
            return self.mail.turns.push((reply, Err(not_registered(turn.worker))));
        }
        let mut turned = ClaimResponse::default();
        for finish in turn.finished.iter() {
            if self.holds(finish.claim) {
                self.finish(finish, now);
            } else if !self.has_ended_under(finish.claim) {
                turned.lost.push(finish.claim);
            } else if self.rows.get(&finish.claim.id).is_some_and(|row| row.job.status == Status::Completed) {
                turned.completed.push(finish.claim);
            }
        }
        // Those who wait come first, also for what this very turn gave back.
        self.settle(now);
        turned.claimed = self.claim(&turn, now);
        if turn.may_wait() && turned.claimed.is_empty() {
            self.stand(Standing { request: turn, reply });
        } else {
            self.mail.turns.push((reply, Ok(turned)));
        }
    }

    fn claim(&mut self, want: &ClaimRequest, now: Timestamp) -> Vec<ClaimedJob> {
        let worker = want.worker;
        // One suspect, if it holds none. Asked only when one comes up, of which there are few.
        let mut chosen = false;
        let mut may_hold = |job: &Job| {
            !job.is_suspected() || (!mem::replace(&mut chosen, true) && !self.holds_suspect(worker))
        };
        let wanted = |place: &&Place| {
            self.rows
                .get(&place.id)
                .is_some_and(|row| want.takes(&row.job.task_name, &row.job.queue) && may_hold(&row.job))
        };
        let ids: Vec<JobId> =
            self.ready.iter().filter(wanted).take(want.limit).map(|place| place.id).collect();
        ids.into_iter().filter_map(|id| self.hand_over(id, worker, now)).collect()
    }

    fn hand_over(&mut self, id: JobId, worker: WorkerId, now: Timestamp) -> Option<ClaimedJob> {
        self.change(id, |Row { job, own_name, .. }| {
            job.status = Status::Running;
            job.attempt += 1;
            job.worker_id = Some(worker);
            job.started_at = Some(now);
            job.progress = None;
            ClaimedJob {
                claim: Claim { id, attempt: job.attempt, worker },
                ticket: Ticket::new(now, job.is_suspected()),
                task_name: job.task_name.clone(),
                params: job.params.clone(),
                name: own_name.clone(),
                queue: job.queue.clone(),
                priority: job.priority,
                retry_count: job.retry_count,
                max_retries: job.max_retries,
                created_at: job.created_at,
                scheduled_at: job.scheduled_at,
                claimed_at: now,
                metadata: job.metadata.clone(),
                idempotency_key: job.idempotency_key.clone(),
            }
        })
    }

    /// Lets a turn stand, in the place of one that stood for the same worker and tasks.
    fn stand(&mut self, turn: Standing) {
        let same = |worker: WorkerId, tasks: &TaskSet| {
            worker == turn.request.worker && *tasks == *turn.request.tasks
        };
        if let Some(at) =
            self.standing.iter().position(|older| same(older.request.worker, &older.request.tasks))
        {
            let older = self.standing.remove(at);
            self.mail.turns.push((older.reply, Ok(ClaimResponse::default())));
        }
        self.standing.push(turn);
    }

    /// Ends the standing turns of `worker` with `answer`.
    fn dismiss(&mut self, worker: WorkerId, answer: impl Fn() -> Result<ClaimResponse>) {
        let (of_worker, others): (Vec<_>, Vec<_>) =
            mem::take(&mut self.standing).into_iter().partition(|turn| turn.request.worker == worker);
        self.standing = others;
        self.mail.turns.extend(of_worker.into_iter().map(|turn| (turn.reply, answer())));
    }

    /// What follows from every change and every passing of time: due jobs stand in line, standing turns get them.
    fn settle(&mut self, now: Timestamp) {
        self.promote(now);
        for turn in mem::take(&mut self.standing) {
            let claimed = self.claim(&turn.request, now);
            if claimed.is_empty() {
                self.standing.push(turn);
            } else {
                self.mail.turns.push((turn.reply, Ok(ClaimResponse { claimed, ..ClaimResponse::default() })));
            }
        }
    }
}

// heartbeat, checkpoint
impl Books {
    fn heartbeat(&mut self, worker: WorkerId) -> Heartbeat {
        let state = self.workers.get_mut(&worker);
        Heartbeat::new(state.map(|state| state.heartbeats += 1).is_some())
    }

    fn report_progress(&mut self, slot: &ProgressSlot) {
        let Some(progress) = slot.peek() else { return };
        if self.holds(slot.claim()) {
            self.change(slot.claim().id, |row| row.job.progress = Some(progress.clone()));
        }
        // Also if the claim is lost. A value that came meanwhile is submitted by its own call, which waits for the lock.
        if slot.stored(&progress) {
            self.report_progress(slot);
        }
    }
}

// finish
impl Books {
    /// Writes what became of a job whose claim holds.
    fn finish(&mut self, finish: &FinishedJob, now: Timestamp) {
        let FinishedJob { claim, ticket, began_after, verdict } = finish;
        let started_at = whole_micros(ticket.started_at(*began_after, now));
        self.change(claim.id, |row| row.conclude(verdict, started_at, now));
    }

    /// Whether the job is running in exactly this claim: the fence.
    fn holds(&self, claim: Claim) -> bool {
        self.rows
            .get(&claim.id)
            .is_some_and(|row| row.job.status == Status::Running && row.was_claimed_by(claim))
    }

    /// Whether the job has ended in exactly this claim.
    fn has_ended_under(&self, claim: Claim) -> bool {
        let ended_itself = |row: &Row| {
            let last = row.history.last().map(|attempt| (attempt.attempt, attempt.outcome));
            row.job.status.is_ended()
                && row.was_claimed_by(claim)
                && last != Some((claim.attempt, AttemptOutcome::Crashed))
        };
        self.rows.get(&claim.id).is_some_and(ended_itself)
    }
}

impl Row {
    fn was_claimed_by(&self, claim: Claim) -> bool {
        self.job.attempt == claim.attempt && self.job.worker_id == Some(claim.worker)
    }

    fn conclude(&mut self, verdict: &Verdict, started_at: Timestamp, now: Timestamp) {
        self.job.started_at = Some(started_at);
        match verdict {
            Verdict::Complete { result } => {
                self.record(AttemptOutcome::Completed, None, now);
                self.end(Status::Completed, None, now);
                self.job.result = Some(result.clone());
                if let Some(progress) = &mut self.job.progress {
                    progress.fraction = 1.0;
                }
            }
            Verdict::Retry { wait, error } => {
                let error = clip_error(error).into_owned();
                self.record(AttemptOutcome::Failed, Some(error.clone()), now);
                self.job.retry_count += 1;
                self.job.error = Some(error);
                self.give_back(after_at_latest(now, *wait));
            }
            Verdict::Fail { error } => {
                let error = clip_error(error).into_owned();
                self.record(AttemptOutcome::Failed, Some(error.clone()), now);
                self.end(Status::Failed, Some(error), now);
            }
            Verdict::Cancel { reason } => {
                let reason = clip_error(reason).into_owned();
                self.record(AttemptOutcome::Cancelled, Some(reason.clone()), now);
                self.end(Status::Cancelled, Some(reason), now);
            }
            Verdict::Release { wait, started } => {
                if *started {
                    self.record(AttemptOutcome::Released, None, now);
                } else {
                    self.unclaim();
                }
                // Without a wait it keeps its place in the line.
                let place = self.job.scheduled_at;
                self.give_back(if wait.is_zero() { place } else { after_at_latest(now, *wait) });
            }
        }
    }

    /// Writes the attempt that is over into the history.
    fn record(&mut self, outcome: AttemptOutcome, error: Option<String>, now: Timestamp) {
        // A running job has both; a row that somehow lacked one would be no attempt.
        if let (Some(started_at), Some(worker)) = (self.job.started_at, self.job.worker_id) {
            let attempt = self.job.attempt;
            self.history.push(Attempt {
                attempt,
                started_at,
                ended_at: now,
                worker_id: worker,
                outcome,
                error,
            });
        }
    }

    /// As if the claim had not been: its number is free again, and the last attempt is the one before.
    fn unclaim(&mut self) {
        self.job.attempt -= 1;
        self.job.started_at = self.history.last().map(|attempt| attempt.started_at);
    }

    fn give_back(&mut self, scheduled_at: Timestamp) {
        self.job.status = Status::Pending;
        self.job.worker_id = None;
        self.job.scheduled_at = scheduled_at;
    }

    fn end(&mut self, status: Status, error: Option<String>, now: Timestamp) {
        self.job.status = status;
        self.job.error = error;
        self.job.completed_at = Some(now);
    }
}

// promote
impl Books {
    fn promote(&mut self, now: Timestamp) {
        while let Some(&(due, id)) = self.scheduled.first().filter(|(due, _)| *due <= now) {
            self.scheduled.remove(&(due, id));
            if let Some(row) = self.rows.get(&id) {
                self.ready.insert(row.place());
            }
        }
    }

    /// The instant at which a standing turn may have something to claim, all else being still.
    fn awaited(&self) -> Option<Timestamp> {
        if self.standing.is_empty() { None } else { self.scheduled.first().map(|(due, _)| *due) }
    }
}

// rescue
impl Books {
    fn rescue(&mut self, dead: WorkerId, max_crashes: u32, now: Timestamp) -> Released {
        let crash_count = |id: JobId| self.rows.get(&id).map_or(0, |row| row.job.crash_count);
        let held: Vec<(JobId, u32)> =
            self.held_by(dead).into_iter().map(|id| (id, crash_count(id))).collect();
        let attribute_crash = attribute_crash(&held, max_crashes);
        let freed = self.free(dead, |row| match attribute_crash.crashes.get(&row.job.id) {
            Some(crash) => row.crash(crash, now),
            None => {
                row.record(AttemptOutcome::Released, Some(attribute_crash.released_note.clone()), now);
                row.give_back(row.job.scheduled_at);
            }
        });
        self.dismiss(dead, || Err(not_registered(dead)));
        let last = attribute_crash.crashes.iter().filter(|(_, crash)| crash.is_last).map(|(id, _)| *id);
        let mut last: Vec<JobId> = last.collect();
        last.sort_unstable();
        let failed = last.iter().filter_map(|id| self.rows.get(id)).map(|row| row.job.clone());
        Released { jobs: freed, failed: failed.collect() }
    }

    fn release_worker(&mut self, worker: WorkerId, now: Timestamp) -> Released {
        let freed = self.free(worker, |row| {
            row.record(AttemptOutcome::Released, None, now);
            row.give_back(row.job.scheduled_at);
        });
        self.dismiss(worker, || Ok(ClaimResponse::default()));
        Released { jobs: freed, failed: Vec::new() }
    }

    /// Frees what `worker` holds, as `free` says, and forgets the worker.
    fn free(&mut self, worker: WorkerId, free: impl Fn(&mut Row)) -> usize {
        let held = self.held_by(worker);
        for &id in &held {
            self.change(id, &free);
        }
        self.workers.remove(&worker);
        held.len()
    }

    fn holds_suspect(&self, worker: WorkerId) -> bool {
        self.held_by(worker).iter().any(|id| self.rows.get(id).is_some_and(|row| row.job.is_suspected()))
    }

    fn held_by(&self, worker: WorkerId) -> Vec<JobId> {
        let held = |job: &&Job| job.status == Status::Running && job.worker_id == Some(worker);
        self.rows.values().map(|row| &row.job).filter(held).map(|job| job.id).collect()
    }
}

impl Row {
    fn crash(&mut self, crash: &Crash, now: Timestamp) {
        self.record(AttemptOutcome::Crashed, Some(crash.error.clone()), now);
        self.job.crash_count += 1;
        if crash.is_last {
            return self.end(Status::Failed, Some(crash.error.clone()), now);
        }
        self.job.error = Some(crash.error.clone());
        self.give_back(now);
    }
}

// cancel, and what else people ask for
impl Books {
    fn command(&mut self, command: JobCommand, now: Timestamp) -> Result<Job> {
        let id = command.id();
        let row = self.rows.get(&id).ok_or_else(|| not_found(id))?;
        command.permit(row.job.status, row.job.scheduled_at <= now)?;
        match command {
            JobCommand::Retry(_) => self.change(id, |row| row.renew(now)),
            JobCommand::Cancel(_) => self.change(id, |row| row.end(Status::Cancelled, None, now)),
            JobCommand::Delete(_) => return self.delete(id),
        };
        self.rows.get(&id).map(|row| row.job.clone()).ok_or_else(|| not_found(id))
    }

    fn delete(&mut self, id: JobId) -> Result<Job> {
        self.leave_line(id);
        let row = self.rows.remove(&id).ok_or_else(|| not_found(id))?;
        row.job.idempotency_key.iter().for_each(|key| _ = self.keys.remove(key));
        for reply in self.waiting.remove(&id).unwrap_or_default() {
            self.mail.ends.push((reply, Err(not_found(id))));
        }
        Ok(row.job)
    }

    fn ended(&mut self, id: JobId, reply: Reply<Job>) {
        match self.rows.get(&id) {
            None => self.mail.ends.push((reply, Err(not_found(id)))),
            Some(row) if row.job.status.is_ended() => self.mail.ends.push((reply, Ok(row.job.clone()))),
            Some(_) => self.waiting.entry(id).or_default().push(reply),
        }
    }
}

impl Row {
    /// RunAt now with a fresh budget. The error stays until an attempt says something else.
    fn renew(&mut self, now: Timestamp) {
        self.give_back(now);
        (self.job.retry_count, self.job.crash_count) = (0, 0);
        self.job.completed_at = None;
        self.job.result = None;
        self.job.progress = None;
    }
}

// read
impl Books {
    fn page(&self, filter: &Filter, now: Timestamp) -> Page {
        let end = filter.after.map_or(Bound::Unbounded, |Cursor(id)| Bound::Excluded(id));
        let newest_first = self.rows.range((Bound::Unbounded, end)).rev().map(|(_, row)| &row.job);
        let size = filter.page_size();
        Page::cut(newest_first.filter(|job| fits(filter, job, now)).take(size + 1).cloned().collect(), size)
    }

    fn counts(&self) -> Counts {
        let mut counts = BTreeMap::new();
        for row in self.rows.values() {
            *counts.entry(row.job.status).or_default() += 1;
        }
        Counts::new(counts)
    }

    fn roster(&self) -> Vec<WorkerState> {
        let with_load = |state: &WorkerState| {
            let running = self.held_by(state.id).len() as u64;
            WorkerState { running, ..state.clone() }
        };
        let mut roster: Vec<WorkerState> = self.workers.values().map(with_load).collect();
        roster.sort_by_key(|state| (state.started_at, state.id));
        roster
    }
}

// How rows keep their place.
impl Books {
    /// The one way a stored job changes: its place in the line follows, and who waits for its end hears of it.
    fn change<T>(&mut self, id: JobId, change: impl FnOnce(&mut Row) -> T) -> Option<T> {
        self.leave_line(id);
        let row = self.rows.get_mut(&id)?;
        let changed = change(row);
        if row.job.status.is_ended() {
            for reply in self.waiting.remove(&id).unwrap_or_default() {
                self.mail.ends.push((reply, Ok(row.job.clone())));
            }
        }
        self.line_up(id);
        Some(changed)
    }

    /// Every pending job enters by the calendar; [`promote`](Books::promote) alone says who is due.
    fn line_up(&mut self, id: JobId) {
        if let Some(row) = self.rows.get(&id).filter(|row| row.job.status == Status::Pending) {
            self.scheduled.insert((row.job.scheduled_at, id));
        }
    }

    fn leave_line(&mut self, id: JobId) {
        if let Some(row) = self.rows.get(&id) {
            self.ready.remove(&row.place());
            self.scheduled.remove(&(row.job.scheduled_at, id));
        }
    }
}

impl Row {
    fn place(&self) -> Place {
        let Job { id, priority, scheduled_at, .. } = self.job;
        Place { priority: Reverse(priority), scheduled_at, id }
    }
}

fn fits(filter: &Filter, job: &Job, now: Timestamp) -> bool {
    filter.status.is_none_or(|status| job.status == status)
        && filter.task_name.as_ref().is_none_or(|task_name| job.task_name == *task_name)
        && filter.queue.as_ref().is_none_or(|queue| job.queue == *queue)
        && (!filter.scheduled || job.is_scheduled(now))
        && (!filter.retrying || job.is_retrying())
}

fn not_registered(worker: WorkerId) -> Error {
    Error::new(ErrorKind::LeaseLost, format!("worker {worker} is not registered, or was taken for dead"))
        .help("register_worker again under a new id")
}
