//! The verbs of the engine in one SQLite transaction, and that nothing is claimed on a full disk.
//!
//! [`SqliteTransaction`] also decides how many due jobs one transaction makes ready. When the disk counts as
//! full is decided in `writer/upkeep.rs`. Statements are in `queries/`, their order in a transaction in
//! `engine/transaction_steps.rs`. Begins and commits nothing: the writer does, or a caller with a connection
//! of its own.
//!
//! Depends on the queries.

use rusqlite::Connection;

use super::connection::error;
use super::queries::finish::LeaveWriter;
use super::queries::insert::Insert;
use super::queries::{self, rows, sql};
use crate::model::clock::Timestamp;
use crate::model::crash_count::{Beside, CRASHES_MAX};
use crate::model::error::{Error, Result};
use crate::model::job::{AttemptOutcome, Job, JobId, NewJob, Progress, Status, WorkerId};
use crate::store::engine::leave_running::{Held, Leaving};
use crate::store::engine::transaction::{Effects, Transaction};
use crate::store::{Claim, ClaimRequest, ClaimedJob, JobCommand, TaskDefaults, WorkerInfo};

/// The number of jobs that one statement makes ready, and the number of such statements in one transaction.
/// So a million jobs that are due at once do not delay every other request.
const PROMOTE_MAX: usize = 1_000;
const PROMOTE_ROUNDS: usize = 4;

/// A transaction that has begun on a connection. The statements of frequent verbs are prepared once for all
/// requests.
pub(super) struct SqliteTransaction<'c> {
    conn: &'c Connection,
    now: Timestamp,
    /// The crash count at which a job fails, at the earliest.
    pub(super) crashes_max: u32,
    /// The socket that wakes this process, for workers that register.
    pub(super) wake_socket: Option<String>,
    /// The disk is full: due jobs are not made ready and no job is claimed, because it could not be finished.
    pub(super) is_full: bool,
    /// The sockets of processes whose workers this transaction releases as dead.
    pub(super) dead_sockets: Vec<String>,
    insert: Option<Insert<'c>>,
    leave: Option<LeaveWriter<'c>>,
    /// A savepoint could not be ended, so a commit would store what a refused request has written.
    has_leftovers: bool,
    /// Whether suspected poison jobs wait. Read once, after everything but the claims is written.
    has_suspected: Option<bool>,
}

impl<'c> SqliteTransaction<'c> {
    pub(super) fn on(conn: &'c Connection, now: Timestamp) -> SqliteTransaction<'c> {
        SqliteTransaction {
            conn,
            now,
            crashes_max: CRASHES_MAX,
            wake_socket: None,
            is_full: false,
            dead_sockets: Vec::new(),
            insert: None,
            leave: None,
            has_leftovers: false,
            has_suspected: None,
        }
    }

    fn step(&self, sql: &str) -> Result<()> {
        let step = self.conn.prepare_cached(sql).and_then(|mut step| step.execute([]));
        step.map(drop).map_err(error::before_commit(self.conn))
    }
}

/// Returns a writer. The first call prepares its statement.
fn writer_of<'a, 'c, W>(
    slot: &'a mut Option<W>,
    conn: &'c Connection,
    on: impl FnOnce(&'c Connection) -> rusqlite::Result<W>,
) -> Result<&'a mut W> {
    let writer = match slot.take() {
        Some(writer) => writer,
        None => on(conn).map_err(error::before_commit(conn))?,
    };
    Ok(slot.insert(writer))
}

impl Transaction for SqliteTransaction<'_> {
    const TOGETHER_MAX: usize = sql::ROWS_OF_MANY;

    fn now(&self) -> Timestamp {
        self.now
    }

    fn crashes_max(&self) -> u32 {
        self.crashes_max
    }

    /// After some faults, SQLite has rolled back the transaction. If the file is damaged, what this
    /// transaction has read may be wrong, too.
    fn is_alive(&self, error: &Error) -> bool {
        !error.is_fatal() && !self.has_leftovers && !self.conn.is_autocommit()
    }

    fn alone<A>(&mut self, several: bool, verb: impl FnOnce(&mut Self) -> Result<A>) -> Result<A> {
        if !several {
            return verb(self);
        }
        self.step("SAVEPOINT request")?;
        let done = verb(self);
        // If SQLite has rolled back the whole transaction, the savepoint no longer exists.
        if self.conn.is_autocommit() {
            return done;
        }
        let undone = if done.is_err() { self.step("ROLLBACK TO request") } else { Ok(()) };
        let ended = undone.and_then(|()| self.step("RELEASE request"));
        self.has_leftovers |= ended.is_err();
        done.and_then(|answer| ended.map(|()| answer))
    }

    fn is_one_statement(&self, jobs: &[NewJob]) -> bool {
        queries::insert::is_one_row(jobs)
    }

    fn insert(&mut self, jobs: &[NewJob], effects: &mut Effects) -> Result<Vec<JobId>> {
        let now = self.now;
        let insert = writer_of(&mut self.insert, self.conn, Insert::on)?;
        insert.jobs(jobs, now, |id, stored| effects.is_stored(id, stored.availability, stored.scheduled_at))
    }

    fn insert_together(&mut self, jobs: &[&NewJob], effects: &mut Effects) -> Result<Vec<JobId>> {
        let now = self.now;
        let insert = writer_of(&mut self.insert, self.conn, Insert::on)?;
        insert.prefix(jobs, now, |id, stored| effects.is_stored(id, stored.availability, stored.scheduled_at))
    }

    fn publish_tasks(&mut self, tasks: &[TaskDefaults]) -> Result<()> {
        queries::insert::publish_tasks(self.conn, tasks).map_err(error::before_commit(self.conn))
    }

    fn register_worker(&mut self, worker: &WorkerInfo) -> Result<bool> {
        let socket = self.wake_socket.as_deref();
        queries::workers::register_worker(self.conn, worker, socket, self.now)
            .map_err(error::before_commit(self.conn))
    }

    fn is_registered(&mut self, worker: WorkerId) -> Result<bool> {
        queries::workers::is_registered(self.conn, worker).map_err(error::before_commit(self.conn))
    }

    fn has_suspected(&mut self) -> Result<bool> {
        if let Some(known) = self.has_suspected {
            return Ok(known);
        }
        let found = !self.is_full
            && queries::claim::has_suspected(self.conn).map_err(error::before_commit(self.conn))?;
        Ok(*self.has_suspected.insert(found))
    }

    fn claim(&mut self, wanted: &ClaimRequest) -> Result<Vec<ClaimedJob>> {
        if self.is_full {
            return Ok(Vec::new());
        }
        let suspected = self.has_suspected()?;
        queries::claim::claim(self.conn, wanted, suspected, self.now).map_err(error::before_commit(self.conn))
    }

    fn heartbeat(&mut self, worker: WorkerId) -> Result<bool> {
        queries::workers::heartbeat(self.conn, worker).map_err(error::before_commit(self.conn))
    }

    fn orphans(&mut self) -> Result<Vec<Held>> {
        queries::workers::orphans(self.conn, self.now).map_err(error::before_commit(self.conn))
    }

    fn heartbeats(&mut self, worker: WorkerId) -> Result<Option<u64>> {
        queries::workers::heartbeats(self.conn, worker).map_err(error::before_commit(self.conn))
    }

    fn report_progress(&mut self, claim: Claim, progress: &Progress) -> Result<()> {
        queries::progress::report_progress(self.conn, claim, progress)
            .map_err(error::before_commit(self.conn))
    }

    fn leave_running(&mut self, leaving: &Leaving<'_>) -> Result<bool> {
        let leave = writer_of(&mut self.leave, self.conn, LeaveWriter::on)?;
        leave.write(leaving, self.now).map_err(error::before_commit(self.conn))
    }

    fn end_under(&mut self, claim: Claim) -> Result<Option<Status>> {
        queries::finish::end_under(self.conn, claim).map_err(error::before_commit(self.conn))
    }

    fn has_attempt(&mut self, claim: Claim, outcome: AttemptOutcome) -> Result<bool> {
        queries::finish::has_attempt(self.conn, claim, outcome).map_err(error::before_commit(self.conn))
    }

    fn promote(&mut self, effects: &mut Effects) -> Result<()> {
        let rounds = if self.is_full { 0 } else { PROMOTE_ROUNDS };
        for _ in 0..rounds {
            let promoted = queries::finish::promote(self.conn, self.now, PROMOTE_MAX);
            let promoted = promoted.map_err(error::before_commit(self.conn))?;
            effects.ready += promoted;
            if promoted < PROMOTE_MAX {
                break;
            }
        }
        Ok(())
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>> {
        queries::finish::next_due(self.conn).map_err(error::before_commit(self.conn))
    }

    fn remove_worker(&mut self, worker: WorkerId, is_dead: bool) -> Result<bool> {
        if is_dead {
            // Read before its row is deleted.
            let socket =
                queries::workers::wake_socket(self.conn, worker).map_err(error::before_commit(self.conn))?;
            self.dead_sockets.extend(socket);
        }
        queries::workers::remove_worker(self.conn, worker).map_err(error::before_commit(self.conn))
    }

    fn held_by(&mut self, worker: WorkerId) -> Result<Vec<Held>> {
        queries::workers::held_by(self.conn, worker, self.now).map_err(error::before_commit(self.conn))
    }

    fn held_beside(&mut self, worker: WorkerId, since: Timestamp) -> Result<Beside> {
        queries::workers::held_beside(self.conn, worker, since).map_err(error::before_commit(self.conn))
    }

    fn clear_crashes_shared_with(&mut self, poison: JobId) -> Result<usize> {
        queries::workers::clear_crashes_shared_with(self.conn, poison)
            .map_err(error::before_commit(self.conn))
    }

    fn command(&mut self, command: JobCommand) -> Result<()> {
        queries::command::command(self.conn, command, self.now).map_err(error::before_commit(self.conn))
    }

    fn job(&mut self, id: JobId) -> Result<Option<Job>> {
        rows::job_by_id(self.conn, id).map_err(error::before_commit(self.conn))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::availability::Availability;
    use crate::model::clock::Clock;
    use crate::model::crash_count::Suspicion;
    use crate::model::job::RunAt;
    use crate::store::engine::batch::Batch;
    use crate::store::engine::requests::{Call, Request};
    use crate::store::engine::transaction_steps::run;
    use crate::store::engine::waiters::Waiters;
    use crate::store::sqlite::connection::open::{self, SqliteOptions};
    use crate::store::sqlite::scratch;
    use crate::store::{Pending, ProgressSlot, Reply, TaskSet};

    fn availability_of(conn: &Connection, id: i64) -> i64 {
        let read = "SELECT availability FROM qdjobs_jobs WHERE id = ?1";
        conn.query_row(read, [id], |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_sql_computes_for_many_rows_is_what_is_decided_for_one() {
        let dir = scratch("availability");
        let conn = open::writer(&dir.join("jobs.db"), &SqliteOptions::default()).unwrap();
        let now = Clock::system().now();
        let second = Duration::from_secs(1_000);
        let mut id = 0;
        for at in [now.checked_sub(second).unwrap(), now.checked_add(second).unwrap()] {
            // By the trigger for a plain INSERT.
            id += 1;
            let plain = "INSERT INTO qdjobs_jobs (task_name, scheduled_at) VALUES ('a', ?1)";
            conn.execute(plain, [at.as_microsecond()]).unwrap();
            assert_eq!(availability_of(&conn, id), Availability::of(at, now, false) as i64);
            for crash_count in [0_u32, 1, 2, 7] {
                // By the promotion.
                id += 1;
                let scheduled = "
                    INSERT INTO qdjobs_jobs
                        (task_name, queue, priority, max_retries, scheduled_at, availability, crash_count)
                    VALUES ('a', 'default', 0, 3, ?1, 0, ?2)";
                conn.execute(scheduled, [at.as_microsecond(), crash_count.into()]).unwrap();
                queries::finish::promote(&conn, now, 10).unwrap();
                let decided =
                    Availability::of(at, now, Suspicion { crash_count, max_suspected: None }.is_suspected());
                assert_eq!(availability_of(&conn, id), decided as i64, "{crash_count}");
            }
        }
        drop(conn);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    fn call<Q, A>(args: Q) -> (Call<Q, A>, Pending<A>) {
        let (reply, pending): (Reply<A>, _) = Pending::new();
        (Call::new(args, reply), pending)
    }

    /// Runs requests in one transaction. Returns the progress slots to submit again, or nothing if it is
    /// rolled back.
    fn transact(
        conn: &Connection,
        waiters: &mut Waiters,
        requests: &mut [Request],
        commit: bool,
    ) -> Vec<Arc<ProgressSlot>> {
        let mut batch = Batch::new(false);
        let now = Clock::system().now();
        conn.execute_batch("BEGIN").unwrap();
        run(&mut SqliteTransaction::on(conn, now), requests, waiters, &mut batch).unwrap();
        if commit {
            conn.execute_batch("COMMIT").unwrap();
            return waiters.after_commit(requests, batch).send();
        }
        conn.execute_batch("ROLLBACK").unwrap();
        Vec::new()
    }

    fn claim_request(wait: bool) -> ClaimRequest {
        ClaimRequest { wait, ..ClaimRequest::new(WorkerId(1), Arc::new(TaskSet::new(["a"])), 1) }
    }

    #[test]
    fn due_jobs_that_cannot_be_made_ready_are_not_tried_again_at_once() {
        let dir = scratch("stuck");
        let conn = open::writer(&dir.join("jobs.db"), &SqliteOptions::default()).unwrap();
        let now = Clock::system().now();
        let mut waiters = Waiters::default();
        let mut transact = |now: Timestamp, is_full: bool, requests: &mut [Request]| {
            let mut batch = Batch::new(true);
            let mut tx = SqliteTransaction::on(&conn, now);
            tx.is_full = is_full;
            run(&mut tx, requests, &mut waiters, &mut batch).unwrap();
            assert!(waiters.after_commit(requests, batch).send().is_empty());
            waiters.next_due()
        };
        let due = now.checked_add(Duration::from_secs(9)).unwrap();
        let later = NewJob { run_at: RunAt::At(due), ..NewJob::new("a", "{}") };
        let (insert, _stored) = call(vec![later]);
        let due = crate::model::clock::whole_micros(due);
        assert_eq!(transact(now, false, &mut [Request::Insert(insert)]), Some(due));
        assert!(transact(due, true, &mut []) > Some(due), "the disk is full");
        assert_eq!(transact(due, false, &mut []), None);
        drop(conn);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_transaction_that_runs_again_answers_once_and_as_its_last_run_decided() {
        let dir = scratch("again");
        let conn = open::writer(&dir.join("jobs.db"), &SqliteOptions::default()).unwrap();
        let now = Clock::system().now();
        let worker = WorkerId(1);
        let claim = claim_request;
        let mut waiters = Waiters::default();
        let mut transact = |requests: &mut [Request], commit: bool| {
            assert!(transact(&conn, &mut waiters, requests, commit).is_empty());
        };
        let (register, registered) = call(WorkerInfo::new(worker, "host", 7));
        let (waits, waiting) = call(claim(true));
        let mut first = [Request::RegisterWorker(register), Request::Claim(waits)];
        transact(&mut first, false);
        assert!(registered.try_take().is_none());
        transact(&mut first, true);
        registered.wait().unwrap();
        assert!(waiting.try_take().is_none());

        let later = NewJob { run_at: RunAt::After(Duration::from_secs(9)), ..NewJob::new("a", "{}") };
        let (insert, stored) = call(vec![NewJob::new("a", "{}"), NewJob::new("a", "{}"), later]);
        let (asks, claimed) = call(claim(false));
        let (wait, ended) = call(JobId(1));
        let mut second = [Request::Insert(insert), Request::Claim(asks), Request::WaitFor(Box::new(wait))];
        for commit in [false, false, true] {
            assert!(stored.try_take().is_none() && waiting.try_take().is_none());
            transact(&mut second, commit);
        }
        assert_eq!(stored.wait().unwrap(), [1, 2, 3].map(JobId));
        let ids = |claimed: Pending<crate::store::ClaimResponse>| {
            claimed.wait().unwrap().claimed.iter().map(|job| job.claim.id.0).collect::<Vec<_>>()
        };
        assert_eq!((ids(waiting), ids(claimed)), (vec![1], vec![2]), "the one that waited first");
        assert!(ended.try_take().is_none(), "it waits on");
        assert!(waiters.has_waits() && !waiters.has_claims() && waiters.next_due() > Some(now));
        drop(conn);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn another_process_is_woken_for_what_this_one_has_stored_and_not_claimed() {
        let dir = scratch("left-over");
        let conn = open::writer(&dir.join("jobs.db"), &SqliteOptions::default()).unwrap();
        let mut waiters = Waiters::default();
        let (register, _) = call(WorkerInfo::new(WorkerId(1), "host", 7));
        let (insert, _) = call(vec![NewJob::new("b", "{}"); 2]);
        transact(
            &conn,
            &mut waiters,
            &mut [Request::RegisterWorker(register), Request::Insert(insert)],
            true,
        );
        let mut left_over = |stored: &[&str], claimed: &[&str], limit: usize| {
            let (insert, _) = call(stored.iter().map(|task| NewJob::new(*task, "{}")).collect());
            let tasks = Arc::new(TaskSet::new(claimed.iter().copied()));
            let (claim, _) = call(ClaimRequest::new(WorkerId(1), tasks, limit));
            let mut batch = Batch::new(false);
            let mut requests = [Request::Insert(insert), Request::Claim(claim)];
            let now = Clock::system().now();
            run(&mut SqliteTransaction::on(&conn, now), &mut requests, &mut waiters, &mut batch).unwrap();
            (batch.effects.claimed, batch.others_to_wake())
        };
        assert_eq!(left_over(&["a"], &["a"], 1), (1, 0));
        assert_eq!(left_over(&["a"], &["b"], 1), (1, 1), "the claimed job is an older one");
        assert_eq!(left_over(&["c", "c"], &["b", "c"], 2), (2, 1), "one of each");
        let mut stores_for_later = |seconds: u64| {
            let run_at = RunAt::After(Duration::from_secs(seconds));
            let (insert, _) = call(vec![NewJob { run_at, ..NewJob::new("a", "{}") }]);
            let mut batch = Batch::new(false);
            let now = Clock::system().now();
            let mut tx = SqliteTransaction::on(&conn, now);
            run(&mut tx, &mut [Request::Insert(insert)], &mut waiters, &mut batch).unwrap();
            batch.others_to_wake()
        };
        assert_eq!(
            [100, 200, 50].map(&mut stores_for_later),
            [usize::MAX, 0, usize::MAX],
            "the next one due"
        );
        drop(conn);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_claim_that_finds_its_job_only_in_a_run_that_is_rolled_back_waits() {
        let dir = scratch("forgets");
        let conn = open::writer(&dir.join("jobs.db"), &SqliteOptions::default()).unwrap();
        let mut waiters = Waiters::default();
        let (register, _) = call(WorkerInfo::new(WorkerId(1), "host", 7));
        let (insert, _) = call(vec![NewJob::new("a", "{}")]);
        transact(
            &conn,
            &mut waiters,
            &mut [Request::RegisterWorker(register), Request::Insert(insert)],
            true,
        );
        let (asks, claimed) = call(claim_request(true));
        let mut requests = [Request::Claim(asks)];
        transact(&conn, &mut waiters, &mut requests, false);
        // Another process takes the job between the two runs.
        conn.execute("DELETE FROM qdjobs_jobs", []).unwrap();
        transact(&conn, &mut waiters, &mut requests, true);
        assert!(claimed.try_take().is_none() && waiters.has_claims());
        drop(conn);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn of_a_transaction_that_runs_again_the_latest_progress_is_stored_once() {
        let dir = scratch("progress");
        let conn = open::writer(&dir.join("jobs.db"), &SqliteOptions::default()).unwrap();
        let mut waiters = Waiters::default();
        let (register, _) = call(WorkerInfo::new(WorkerId(1), "host", 7));
        let (insert, _) = call(vec![NewJob::new("a", "{}")]);
        let (asks, claimed) = call::<_, crate::store::ClaimResponse>(claim_request(false));
        let mut first = [Request::RegisterWorker(register), Request::Insert(insert), Request::Claim(asks)];
        transact(&conn, &mut waiters, &mut first, true);
        let claim = claimed.wait().unwrap().claimed[0].claim;
        let fraction =
            || -> f64 { conn.query_row("SELECT progress FROM qdjobs_jobs", [], |row| row.get(0)).unwrap() };

        let slot = Arc::new(ProgressSlot::new(claim));
        assert!(slot.set(Progress::new(0.1, None)));
        let mut requests = [Request::report_progress(slot.clone())];
        transact(&conn, &mut waiters, &mut requests, false);
        assert!(!slot.set(Progress::new(0.2, None)), "the request that waits will write it");
        transact(&conn, &mut waiters, &mut requests, false);
        assert!(transact(&conn, &mut waiters, &mut requests, true).is_empty(), "nothing is left to write");
        assert_eq!((fraction(), slot.peek()), (0.2, None));

        // A value that comes between the last run and the answers is submitted again.
        assert!(slot.set(Progress::new(0.3, None)));
        let mut requests = [Request::report_progress(slot.clone())];
        let mut batch = Batch::new(false);
        let now = Clock::system().now();
        run(&mut SqliteTransaction::on(&conn, now), &mut requests, &mut waiters, &mut batch).unwrap();
        assert!(!slot.set(Progress::new(0.4, None)));
        let again = waiters.after_commit(&mut requests, batch).send();
        assert_eq!((fraction(), again.len()), (0.3, 1));
        let mut requests = [Request::report_progress(again[0].clone())];
        assert!(transact(&conn, &mut waiters, &mut requests, true).is_empty());
        assert_eq!(fraction(), 0.4);
        drop(conn);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
