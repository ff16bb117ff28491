//! The one writer: gather, begin, apply each request, commit once, and only then answer.
//!
//! Leans on `verbs` for the statements, on `request_queue` for what waits and on `change_poll` for what others wrote. Owns the only
//! connection that writes. Jobs are never run here, and no caller's code: a reply wakes its waiter, which goes on elsewhere.
//!
//! ```text
//!   callers ──push──▶ request_queue ──take──▶ [ BEGIN · verbs · claims for the standing · COMMIT ] ──▶ answers ──▶ doorbells
//!                       ▲                                                                        │
//!                       └─────────── the next batch gathers while this one commits ◀─────────────┘
//! ```
//!
//! Which thread does this is the business of `writer`.

mod apply;
pub(super) mod checkpointer;
mod fairness;
#[cfg(test)]
mod tests;
pub(super) mod thread;
mod unconfirmed;
mod waiters;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use self::checkpointer::Checkpointer;
use self::fairness::Fairness;
use self::unconfirmed::Unconfirmed;
use crate::model::clock::{Clock, Timestamp, whole_micros};
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{Job, JobId, NewJob, Status, WorkerId};
use crate::store::engine::requests::{Request, RequestQueue, Sleep};
use crate::store::not_found;
use crate::store::sqlite::connection::error::{self, BusyRetry};
use crate::store::sqlite::connection::open::SqliteOptions;
use crate::store::sqlite::connection::{migrate, open};
use crate::store::sqlite::files::disk_reserve::DiskReserve;
use crate::store::sqlite::files::worker_locks::WorkerLocks;
use crate::store::sqlite::health::HealthRecord;
use crate::store::sqlite::queries::rows;
use crate::store::sqlite::queries::{self, FinishResult};
#[cfg(test)]
use crate::store::sqlite::testing::stepped;
use crate::store::sqlite::wakeup::poll::ChangePoll;
use crate::store::sqlite::wakeup::socket::WakeSockets;
use crate::store::{Claim, ClaimRequest, ClaimResponse, JobCommand, ProgressSlot, Release, Released, Reply};

/// How soon the writer tries again by itself after a transaction has failed, and how much later at most if that fails, too.
const MEND: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

pub(in crate::store::sqlite) struct Writer {
    conn: Connection,
    path: PathBuf,
    options: SqliteOptions,
    clock: Clock,
    pub(in crate::store::sqlite) request_queue: Arc<RequestQueue>,
    worker_locks: Arc<WorkerLocks>,
    sockets: WakeSockets,
    /// Turns that wait for work, oldest first.
    standing: Vec<(ClaimRequest, Reply<ClaimResponse>)>,
    /// Callers that wait for the end of a job.
    watchers: HashMap<JobId, Vec<Reply<Job>>>,
    change_poll: ChangePoll,
    pub(in crate::store::sqlite) next_due: Option<Timestamp>,
    /// The connection failed in a commit: it must be opened anew before it is trusted.
    broken: bool,
    /// What that commit may have left behind.
    unconfirmed: Unconfirmed,
    /// The pause before the next try to mend this, or to make ready what is due.
    mend: Duration,
    /// What is due is left alone until then, since a transaction has just failed; by the disk's time.
    due_again: Option<Duration>,
    /// Workers of this process that are on the list.
    registered: HashSet<WorkerId>,
    health: Arc<HealthRecord>,
    fairness: Fairness,
    checkpointer: Checkpointer,
    disk_reserve: DiskReserve,
    /// The last write found no room.
    full: bool,
    /// Batches of a single request, in a row.
    pub(in crate::store::sqlite) lonely: usize,
}

/// Says to one caller how its request went, once the commit has succeeded or failed.
type Answer = Box<dyn FnOnce(std::result::Result<(), &Error>)>;

/// One transaction in the making.
struct Batch {
    now: Timestamp,
    answers: Vec<Answer>,
    /// Turns that may claim, after everything else in the batch has been applied: so they see what it stored.
    turns: Vec<(ClaimRequest, ClaimResponse, Reply<ClaimResponse>)>,
    /// Jobs that have ended in this batch.
    ended: Vec<JobId>,
    /// Callers who began to wait in this batch.
    watch: Vec<(JobId, Reply<Job>)>,
    /// Ends of jobs that are to be told, and to whom: a commit that fails has not told them, and they wait on.
    told: Vec<(JobId, Result<Job>, Vec<Reply<Job>>)>,
    /// Workers that are off the list with this batch, and the sockets of those that are dead.
    left: Vec<(WorkerId, Option<String>)>,
    /// Jobs that became claimable in this batch.
    ready: usize,
    /// Claims made in this batch.
    claims: Vec<Claim>,
    /// Workers that come onto the list with this batch.
    registered: Vec<WorkerId>,
    /// Whether a worker has spent claims in this batch: with that of a suspect it may hold another.
    spent: bool,
    /// Whether something else than this batch may have made jobs claimable.
    look: bool,
}

impl Batch {
    /// Turns of a dead worker that came earlier in this batch and would stand are told what they would have been told standing.
    fn refuse_standing_of(&mut self, dead: WorkerId) {
        let stands = |turn: &ClaimRequest| turn.worker == dead && turn.may_wait();
        let (standing, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.turns).into_iter().partition(|(turn, ..)| stands(turn));
        self.turns = others;
        standing.into_iter().for_each(|(_, _, reply)| self.keep(Err(taken_for_dead()), reply));
    }

    /// Keeps an answer until the commit. If that fails, a request that failed by itself hears why, unless that was for something
    /// that is undone by it: a key that was taken, a worker that was taken for dead.
    fn keep<T: 'static>(&mut self, answer: Result<T>, reply: Reply<T>) {
        self.answers.push(Box::new(move |commit| {
            let is_undone = match &answer {
                Ok(_) => true,
                Err(own) => matches!(own.kind(), ErrorKind::Conflict | ErrorKind::LeaseLost),
            };
            reply.send(match commit {
                Err(shared) if is_undone => Err(shared.repeat()),
                _ => answer,
            });
        }));
    }

    /// The turns of a worker that came earlier in this batch are answered, and neither claim nor stand: it wants nothing more, or
    /// is no longer on the list.
    fn claim_nothing_for(&mut self, worker: WorkerId) {
        for (turn, ..) in self.turns.iter_mut().filter(|(turn, ..)| turn.worker == worker) {
            turn.limit = 0;
            turn.wait = false;
        }
    }
}

impl Writer {
    pub(in crate::store::sqlite) fn new(
        conn: Connection,
        path: PathBuf,
        options: SqliteOptions,
        clock: Clock,
        request_queue: Arc<RequestQueue>,
        worker_locks: Arc<WorkerLocks>,
        health: Arc<HealthRecord>,
    ) -> Writer {
        let sockets = WakeSockets::new(worker_locks.dir().to_owned());
        let checkpointer = Checkpointer::of(&path, options.durability, clock.clone(), health.clone());
        let change_poll = ChangePoll::new(checkpointer.path(), &request_queue);
        let disk_reserve = DiskReserve::new(worker_locks.dir(), options.disk_reserve);
        #[cfg(test)]
        let (change_poll, sockets) = stepped::disconnect_wakeups(change_poll, sockets, &clock);
        Writer {
            conn,
            path,
            options,
            clock,
            request_queue,
            worker_locks,
            sockets,
            standing: Vec::new(),
            watchers: HashMap::new(),
            change_poll,
            next_due: None,
            broken: false,
            unconfirmed: Unconfirmed::default(),
            mend: Duration::ZERO,
            due_again: None,
            registered: HashSet::new(),
            health,
            fairness: Fairness::default(),
            checkpointer,
            disk_reserve,
            full: false,
            lonely: 0,
        }
    }

    /// How long to sleep when nothing waits: until the log is to be written back or it is time to look
    /// whether the disk has room again; and until something is due or it is time to
    /// look, if somebody waits for it. A process without waiting workers sleeps for good in the end.
    pub(in crate::store::sqlite) fn sleep(&self) -> Sleep {
        if self.request_queue.is_stopped() {
            return Sleep::default();
        }
        if self.must_mend() {
            // The disk's time, whatever the queue's clock says.
            return Sleep { limit: Some(self.mend), ..Sleep::default() };
        }
        let write_back =
            self.checkpointer.sleep(self.clock.monotonic()).and_then(|wait| self.clock.sleep(wait));
        let chores = write_back.into_iter().chain(self.disk_reserve.sleep(self.clock.elapsed())).min();
        if self.standing.is_empty() && self.watchers.is_empty() {
            return Sleep { limit: chores, ..Sleep::default() };
        }
        let due = self.next_due.filter(|_| !self.standing.is_empty() && !self.disk_reserve.is_released());
        let due = due.and_then(|due| {
            let wait = due.duration_since(self.clock.now()).try_into().unwrap_or(Duration::ZERO);
            self.clock.sleep(wait).max(self.rest())
        });
        let sleep = self.change_poll.sleep();
        Sleep { limit: due.into_iter().chain(sleep.limit).chain(chores).min(), ..sleep }
    }

    /// How long what is due is left alone, after a transaction that failed.
    fn rest(&self) -> Option<Duration> {
        self.due_again.map(|again| again.saturating_sub(self.clock.elapsed())).filter(|rest| !rest.is_zero())
    }

    /// Whether something is due that may be made ready. On a full disk that would take of the room for what runs, and no job is
    /// claimed there.
    fn is_due(&self) -> bool {
        self.next_due.is_some_and(|due| due <= self.clock.now())
            && self.rest().is_none()
            && !self.disk_reserve.is_released()
    }

    /// Nothing waits: sees to the log, and looks for what became due or was written by others; begins a transaction only if
    /// there is something for those who wait here.
    pub(in crate::store::sqlite) fn look(&mut self) {
        if self.request_queue.is_stopped() {
            return self.end_all();
        }
        if self.must_mend() {
            return self.write(Vec::new(), true);
        }
        let written_back = self.checkpointer.write_back(&self.conn, self.clock.monotonic());
        self.mind(written_back);
        if self.disk_reserve.try_restore(self.clock.elapsed()) {
            // There is room again.
            self.note_room(false);
            return self.write(Vec::new(), true);
        }
        let others = self.change_poll.poll(&self.conn);
        let due = self.is_due();
        // What cannot be read is left to the transaction, which says why.
        if due || (others && self.is_concerned().unwrap_or(true)) {
            self.write(Vec::new(), others);
        }
    }

    /// Whether the connection is to be opened anew though nobody asks for anything: there is something to take back, or
    /// somebody waits.
    fn must_mend(&self) -> bool {
        !self.unconfirmed.is_empty()
            || (self.broken && !(self.standing.is_empty() && self.watchers.is_empty()))
    }

    /// Whether there is something to do later though nobody asks: the thread must not sleep for good.
    pub(in crate::store::sqlite) fn has_chores(&self) -> bool {
        self.must_mend()
            || self.disk_reserve.is_released()
            || self.checkpointer.sleep(self.clock.monotonic()).is_some()
    }

    /// A transaction has failed as a whole, and is over.
    fn has_failed(&mut self, error: &Error, now: Timestamp) {
        self.health.note_failure(now, error);
        self.broken |= error.may_be_stored() || !self.conn.is_autocommit();
        self.mend = (self.mend * 2).clamp(MEND.0, MEND.1);
        self.due_again = Some(self.clock.elapsed() + self.mend);
        self.weigh(error);
    }

    /// Draws from an error what it means for all that is to come.
    fn weigh(&mut self, error: &Error) {
        if error.is_fatal() {
            self.stop(error);
        } else if error.kind() == ErrorKind::StorageFull {
            self.disk_reserve.release(self.clock.elapsed());
            self.note_room(true);
        }
    }

    fn note_room(&mut self, full: bool) {
        if self.full != full || full {
            self.full = full;
            self.health.note_full(full, self.clock.now());
        }
    }

    /// Hears what a step beside the transactions says of the disk.
    fn mind(&mut self, step: Result<()>) {
        if let Err(error) = step {
            self.health.note_failure(self.clock.now(), &error);
            self.weigh(&error);
        }
    }

    /// Stops for good, since going on could lose what was answered before (see [`error::is_fatal`]). Nothing is written any more,
    /// no file is changed, and everybody is told so at once: whoever is here now, and whoever comes later.
    pub(in crate::store::sqlite) fn stop(&mut self, first: &Error) {
        self.request_queue.stop(error::halted(first));
        if !self.conn.is_autocommit() {
            // Forgets what is written and lets go of the lock; this writes nothing.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        self.end_all();
    }

    /// Tells all who wait here that the store has stopped.
    fn end_all(&mut self) {
        let Some(stopped) = self.request_queue.stopped() else { return };
        open::disable_close_checkpoint(&self.conn);
        self.refuse_those_who_wait(&stopped);
    }

    /// Whether what others wrote matters to anybody who waits here. Reads only: a program that writes tables of its own into
    /// the same file all the time must not meet us at the lock each time.
    fn is_concerned(&mut self) -> rusqlite::Result<bool> {
        self.sockets.refresh(&self.conn)?;
        self.next_due = queries::next_due(&self.conn)?;
        if migrate::refuse_newer_schema(&self.conn).is_err() {
            // The transaction says so.
            return Ok(true);
        }
        if !self.watchers.is_empty() || self.is_due() {
            return Ok(true);
        }
        for (turn, _) in &self.standing {
            if !queries::is_registered(&self.conn, turn.worker)? || queries::has_ready(&self.conn, turn)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Between two transactions: leaves the lock open to others now and then, and the log no longer than it may be.
    pub(in crate::store::sqlite) fn leave_room_for_others(&mut self) {
        if self.request_queue.is_stopped() {
            return;
        }
        let cut = self.checkpointer.cut(&self.conn, self.clock.monotonic());
        self.mind(cut);
        self.look_at_the_reserve();
        self.fairness.pause(self.clock.monotonic(), self.sockets.is_only_process());
    }

    fn look_at_the_reserve(&mut self) {
        self.disk_reserve.check(self.clock.elapsed(), !self.worker_locks.is_empty());
        if self.disk_reserve.is_released() {
            self.note_room(true);
        }
    }

    /// Ends what the writer has beside its connection.
    pub(in crate::store::sqlite) fn close(&mut self) {
        self.sockets.close();
        self.change_poll.close();
    }

    /// Writes what a caller brings who is alone here. A single job is stored by one statement, which is a transaction of its own
    /// and spares five others, if nobody in this process waits for jobs.
    pub(in crate::store::sqlite) fn write_one(&mut self, request: Request) {
        match request {
            Request::Insert(jobs, reply) if self.is_unattended() && queries::is_one_row(&jobs) => {
                self.store(jobs, reply);
            }
            request => self.write(vec![request], false),
        }
    }

    fn is_unattended(&self) -> bool {
        self.standing.is_empty() && self.watchers.is_empty() && !self.must_be_mended()
    }

    /// Whether the next transaction has more to do than what is asked of it.
    fn must_be_mended(&self) -> bool {
        self.broken || !self.unconfirmed.is_empty() || self.request_queue.is_stopped() || self.full
    }

    fn store(&mut self, jobs: Vec<NewJob>, reply: Reply<Vec<JobId>>) {
        let now = self.clock.now();
        let at = match jobs[0].scheduled_at(now) {
            Ok(at) => at,
            Err(error) => return reply.send(Err(error)),
        };
        self.change_poll.note_own_write();
        self.fairness.begin(self.clock.monotonic());
        let stored = self.at_the_lock(|conn| {
            queries::insert_alone(conn, &jobs[0], at, now)
                .map_err(|error| error::in_commit(error, !conn.is_autocommit()))
        });
        let id = match stored {
            Ok(Some(id)) => id,
            // A later version wants more of a writer than this one knows: a transaction of the usual kind says so.
            Ok(None) => return self.write(vec![Request::Insert(jobs, reply)], true),
            Err(error) => {
                // The connection may be another one from now on.
                self.change_poll.report_again();
                self.has_failed(&error, now);
                return reply.send(Err(error));
            }
        };
        self.checkpointer.has_grown(1, self.clock.monotonic());
        if at > now {
            let at = whole_micros(at);
            self.next_due = Some(self.next_due.map_or(at, |due| due.min(at)));
        }
        // After the commit: whoever began to wait before it is on the list by now.
        if self.change_poll.others_committed(&self.conn) && self.hear_of_others().is_err() {
            self.change_poll.report_again();
        }
        reply.send(Ok(vec![id]));
        if at <= now {
            self.sockets.wake_others(1);
        }
    }

    /// Reads what others may have changed that matters beside their jobs; of what goes wrong the next transaction speaks.
    fn hear_of_others(&mut self) -> Result<()> {
        migrate::refuse_newer_schema(&self.conn)?;
        self.next_due = queries::next_due(&self.conn).map_err(error::before_commit)?;
        self.sockets.refresh(&self.conn).map_err(error::before_commit)
    }

    /// Writes the requests in one transaction and answers them; with `look`, as if others had written.
    pub(in crate::store::sqlite) fn write(&mut self, mut requests: Vec<Request>, look: bool) {
        if let Some(stopped) = self.request_queue.stopped() {
            self.end_all();
            return requests.into_iter().for_each(|request| self.refuse(request, &stopped));
        }
        if self.disk_reserve.is_released() {
            requests = refuse_inserts(requests);
            if requests.is_empty() && !look {
                return;
            }
        }
        if !look && !requests.is_empty() {
            requests = self.let_stand(requests);
            if requests.is_empty() {
                return;
            }
        }
        self.change_poll.note_own_write();
        self.fairness.begin(self.clock.monotonic());
        self.lonely = if requests.len() > 1 { 0 } else { self.lonely + 1 };
        let mut batch = Batch {
            now: self.clock.now(),
            answers: Vec::with_capacity(requests.len()),
            turns: Vec::new(),
            ended: Vec::new(),
            watch: Vec::new(),
            told: Vec::new(),
            left: Vec::new(),
            ready: 0,
            claims: Vec::new(),
            registered: Vec::new(),
            spent: false,
            look,
        };
        let mut requests = requests.into_iter();
        let written = self.begin().and_then(|()| {
            // Asked under the lock, where it costs no lock of its own and nobody can come in between.
            let looked = self.change_poll.has_baseline();
            let others = self.change_poll.others_committed(&self.conn) || look;
            batch.look = others;
            if others {
                if looked {
                    self.fairness.meet(self.clock.monotonic());
                }
                // One of them may be of a later version, and have raised the schema beyond this one.
                migrate::refuse_newer_schema(&self.conn)?;
                // Among other things, somebody may have come or gone.
                self.sockets.refresh(&self.conn).map_err(error::before_commit)?;
            }
            if !self.unconfirmed.is_empty() {
                batch.ready +=
                    self.unconfirmed.settle(&self.conn, batch.now).map_err(error::before_commit)?;
                batch.left.extend(self.unconfirmed.workers.iter().map(|worker| (*worker, None)));
                batch.look = true;
            }
            for request in requests.by_ref() {
                self.apply(request, &mut batch)?;
            }
            self.promote(&mut batch)?;
            self.serve(&mut batch)?;
            self.tell_watchers(&mut batch, others)?;
            self.next_due = queries::next_due(&self.conn).map_err(error::before_commit)?;
            let committed = self.conn.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
            committed.map(drop).map_err(|error| error::in_commit(error, !self.conn.is_autocommit()))
        });
        if let Err(error) = &written {
            // What others had written was not seen to.
            self.change_poll.report_again();
            if !self.conn.is_autocommit() {
                // Whatever this says, the error to tell is the one above.
                let _ = self.conn.execute_batch("ROLLBACK");
            }
            if error.may_be_stored() {
                self.unconfirmed.claims.append(&mut batch.claims);
                self.unconfirmed.workers.append(&mut batch.registered);
            }
            // Who waits for the end of a job waits on.
            for (id, reply) in batch.watch.drain(..) {
                self.watchers.entry(id).or_default().push(reply);
            }
            for (id, _, replies) in batch.told.drain(..) {
                self.watchers.entry(id).or_default().extend(replies);
            }
            // Nobody will show these numbers again; their proof of life would only use up files.
            batch.registered.iter().for_each(|worker| self.worker_locks.release(*worker));
            self.has_failed(error, batch.now);
            // Those whose turn never came are told the same, and not that the queue was closed.
            requests.for_each(|request| self.refuse(request, error));
            // A turn that could not claim is told so: its worker asks again, after a pause.
            for (_, _, reply) in batch.turns.drain(..) {
                reply.send(Err(error.repeat()));
            }
            if error.kind() == ErrorKind::NewerSchema {
                self.refuse_those_who_wait(error);
            }
        }
        if written.is_ok() {
            self.unconfirmed = Unconfirmed::default();
            self.mend = Duration::ZERO;
            self.due_again = None;
            if !self.disk_reserve.is_released() {
                self.note_room(false);
            }
            if !batch.registered.is_empty() {
                self.disk_reserve.check_soon();
                self.clear_up();
            }
            self.registered.extend(batch.registered);
            let rows = batch.ready + batch.claims.len() + batch.ended.len();
            self.checkpointer.has_grown(rows, self.clock.monotonic());
            // Before the answers, so that nothing is left when a stop returns; after the commit, since a proof of life that is
            // gone before the worker is off the list would make it look dead.
            for (worker, wake_socket) in &batch.left {
                self.worker_locks.release(*worker);
                self.registered.remove(worker);
                wake_socket.iter().for_each(|wake_socket| self.sockets.remove_stale(wake_socket));
            }
            if !batch.left.is_empty() && self.worker_locks.is_empty() {
                // Nobody here waits for work any more. Not left to the end of the store, which a task that hangs may outlive.
                self.sockets.close();
                self.disk_reserve.remove_if_unused();
            }
        }
        for (_, job, replies) in batch.told {
            for reply in replies {
                reply.send(job.as_ref().map(Job::clone).map_err(Error::repeat));
            }
        }
        for answer in batch.answers {
            answer(written.as_ref().map(drop));
        }
        // After the answers: nobody is woken for what a crash could still take back.
        if written.is_ok() && batch.ready > batch.claims.len() {
            self.sockets.wake_others(batch.ready - batch.claims.len());
        }
    }

    /// Refuses a request that was not applied.
    fn refuse(&mut self, request: Request, error: &Error) {
        match &request {
            // A cancel_waiting_claims needs no database, and a worker that stops waits for it.
            Request::CancelWaitingClaims(worker, _) => self.end_standing(|turn| turn.worker == *worker),
            // It is not on the list, and leaves no proof of its life.
            Request::RegisterWorker(card, _) if !self.registered.contains(&card.id) => {
                self.worker_locks.release(card.id)
            }
            _ => {}
        }
        request.refuse(error);
    }

    /// Removes what processes have left beside the database that died on their way onto the list. What cannot be read counts as
    /// listed, and stays.
    fn clear_up(&mut self) {
        if self.sockets.refresh(&self.conn).is_ok() {
            self.sockets.remove_unregistered();
        }
        self.worker_locks
            .remove_unregistered(|worker| queries::is_registered(&self.conn, worker).unwrap_or(true));
    }

    /// Leaves turns standing that bring nothing and for which there is nothing, without a transaction: each job that comes alone is
    /// followed by one. Gives back the rest.
    fn let_stand(&mut self, requests: Vec<Request>) -> Vec<Request> {
        let brings_nothing = |turn: &ClaimRequest| turn.may_wait() && turn.limit > 0;
        if !requests.iter().all(|it| matches!(it, Request::Claim(turn, _) if brings_nothing(turn))) {
            return requests;
        }
        // What cannot be read is left to the transaction, which says why.
        let Ok(next_due) = queries::next_due(&self.conn) else { return requests };
        self.next_due = next_due;
        let mut rest = Vec::new();
        for request in requests {
            match request {
                Request::Claim(turn, reply) if self.has_nothing_for(&turn) => self.stand(turn, reply),
                request => rest.push(request),
            }
        }
        rest
    }

    /// Whether a turn can only wait.
    fn has_nothing_for(&self, turn: &ClaimRequest) -> bool {
        !self.must_be_mended()
            && self.next_due.is_none_or(|due| due > self.clock.now())
            && queries::is_registered(&self.conn, turn.worker).unwrap_or(false)
            && !queries::has_ready(&self.conn, turn).unwrap_or(true)
    }

    fn begin(&mut self) -> Result<()> {
        if self.broken {
            self.conn = open::reopen_writer(&self.path, &self.options)?;
            self.broken = false;
        }
        self.at_the_lock(error::begin_immediate)
    }

    /// Takes a step that needs the lock, as soon as it is free and not left to others.
    fn at_the_lock<T>(&mut self, mut step: impl FnMut(&Connection) -> Result<T>) -> Result<T> {
        let (rest, tried) = (Cell::new(Duration::ZERO), Cell::new(Duration::ZERO));
        let taken = BusyRetry::new(self.options.busy_timeout).retry(|| {
            rest.set(rest.get() + self.fairness.keep_rest(self.clock.monotonic(), self.clock.now()));
            tried.set(self.clock.monotonic());
            step(&self.conn)
        });
        self.fairness.has_begun(tried.get(), rest.get());
        taken
    }
}

/// Refuses what would take room, and gives back the rest.
fn refuse_inserts(requests: Vec<Request>) -> Vec<Request> {
    let (inserts, rest): (Vec<_>, Vec<_>) =
        requests.into_iter().partition(|request| matches!(request, Request::Insert(..)));
    inserts.into_iter().for_each(|insert| insert.refuse(&error::storage_full()));
    rest
}

fn taken_for_dead() -> Error {
    Error::new(ErrorKind::LeaseLost, "this worker was taken for dead, and its jobs were freed")
        .help("register_worker again under a new number")
}
