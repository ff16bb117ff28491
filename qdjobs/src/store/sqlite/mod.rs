//! The store in a SQLite file: [`SqliteStore`], one connection that writes, one thread that reads, and files
//! beside the database.
//!
//! Depends on the contract and the engine. The only folder that names rusqlite. Contains no task and no
//! thread of a worker.

// `connection/` opens connections, `queries/` has the SQL, `writer/` and `reader` the threads. `wakeup/` notices
// commits of others, `files/` has worker locks and the disk reserve, `tools/` backs up, checks and salvages.

mod connection;
mod external_tx;
mod files;
mod health;
mod queries;
mod reader;
#[cfg(test)]
pub(crate) mod testing;
mod tools;
mod transaction;
mod wakeup;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use connection::open::{Durability, SqliteOptions};
pub use tools::check::{Findings, check};
pub use tools::salvage::{Salvage, salvage};

use self::connection::fork_guard::ForkGuard;
use self::connection::open::{self, Machine};
use self::files::worker_locks::WorkerLocks;
use self::health::HealthRecord;
use self::reader::{Question, Reader};
use self::tools::backup;
use self::writer::thread::WriterHandle;
use super::engine::requests::{Call, Request, RequestQueue};
use super::{
    Caps, ClaimRequest, ClaimResponse, Counts, Filter, Foreign, Health, HealthState, Heartbeat, JobCommand,
    Page, Pending, ProgressSlot, Release, Released, Reply, SqlStatement, Store, TaskDefaults, WorkerInfo,
    WorkerState,
};
use crate::model::clock::{Clock, ClockSubscriber};
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::idempotency::check_all;
use crate::model::job::{Attempt, Job, JobId, NewJob, WorkerId};
use crate::sync::{Mutex, MutexGuard, PoisonError, mpsc, thread};

/// Jobs in a SQLite database. Several processes may open the same file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    name: String,
    clock: Clock,
    durability: Durability,
    request_queue: Arc<RequestQueue>,
    writer: Arc<WriterHandle>,
    worker_locks: Arc<WorkerLocks>,
    health: Arc<HealthRecord>,
    threads: Mutex<Threads>,
    fork_guard: ForkGuard,
    /// Locks the database for this process, if the linked SQLite supports only one process safely.
    _exclusive_lock: Option<File>,
}

/// The threads, until the store is closed.
#[derive(Debug, Default)]
struct Threads {
    /// Sends questions to the reader thread, which ends when this is dropped.
    questions: Option<mpsc::Sender<Question>>,
    reader: Option<thread::JoinHandle<()>>,
    writer: Option<thread::JoinHandle<()>>,
}

impl SqliteStore {
    /// Opens the database at `path` and upgrades its schema. Creates the file with mode 0600 if it does not
    /// exist.
    pub fn open(path: &Path, options: SqliteOptions, clock: Clock) -> Result<Arc<SqliteStore>> {
        let (store, reader) = SqliteStore::without_threads(path, options, clock)?;
        let writer = store.writer.clone();
        let writer = spawn("qdjobs-writer", move || writer.run())?;
        store.threads().writer = Some(writer);
        let reader = spawn("qdjobs-reader", move || reader.run())?;
        store.threads().reader = Some(reader);
        Ok(Arc::new(store))
    }

    /// The store without the threads that write and read.
    fn without_threads(path: &Path, options: SqliteOptions, clock: Clock) -> Result<(SqliteStore, Reader)> {
        SqliteStore::on(&Machine::current(), path, options, clock)
    }

    fn on(
        machine: &Machine,
        path: &Path,
        options: SqliteOptions,
        clock: Clock,
    ) -> Result<(SqliteStore, Reader)> {
        open::refuse_special(path)?;
        // Before the first call of SQLite.
        let fork_guard = ForkGuard::acquire()?;
        open::create(path, &options, machine)?;
        // Absolute, because the working directory may change later.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let worker_locks = Arc::new(WorkerLocks::beside(&path));
        // Before the database is opened, because opening it writes to it.
        let exclusive_lock = if open::has_wal_reset_bug(machine.sqlite_version) {
            Some(lock_exclusively(&worker_locks)?)
        } else {
            None
        };
        let conn = open::reopen_writer(&path, &options)?;
        let read = open::reader(&path, &options)?;
        let request_queue = Arc::new(RequestQueue::default());
        let subscriber: Arc<dyn ClockSubscriber> = request_queue.clone();
        clock.subscribe(Arc::downgrade(&subscriber));
        drop(subscriber);

        let durability = options.durability;
        let health = Arc::new(HealthRecord::of(&path, &open::log_of(&path)));
        let writer = writer::Writer::new(
            conn,
            path.clone(),
            options,
            clock.clone(),
            request_queue.clone(),
            worker_locks.clone(),
            health.clone(),
        );
        let writer = Arc::new(WriterHandle::new(writer));
        let (questions, asked) = mpsc::channel();
        let reader = Reader::new(read, clock.clone(), request_queue.clone(), asked);
        let threads = Mutex::new(Threads { questions: Some(questions), reader: None, writer: None });
        let name = path.display().to_string();
        let store = SqliteStore {
            path,
            name,
            clock,
            durability,
            request_queue,
            writer,
            worker_locks,
            health,
            threads,
            fork_guard,
            _exclusive_lock: exclusive_lock,
        };
        Ok((store, reader))
    }

    /// Writes a copy of the database, as of one moment, into a new file; see
    /// [`JobQueue::backup`](crate::JobQueue::backup). Also works when the store has halted.
    pub fn backup(&self, to: &Path) -> Result<()> {
        self.fork_guard.check()?;
        backup::write(&self.path, to)
    }

    /// Submits a request to the writer; answered at once if it is refused.
    fn submit<Q, A>(&self, args: Q, request: impl FnOnce(Call<Q, A>) -> Request) -> Pending<A> {
        if let Err(error) = self.fork_guard.check() {
            return Pending::ready(Err(error));
        }
        let (reply, pending) = Pending::new();
        match self.request_queue.push(request(Call::new(args, reply))) {
            Ok(()) => pending,
            Err(error) => Pending::ready(Err(error)),
        }
    }

    /// Sends a question to the reader thread.
    fn ask<T>(&self, question: impl FnOnce(Reply<T>) -> Question) -> Pending<T> {
        if let Err(error) = self.fork_guard.check() {
            return Pending::ready(Err(error));
        }
        let (reply, pending) = Pending::new();
        if let Some(questions) = &self.threads().questions {
            // If the reader thread has ended, the question is dropped with its reply, which answers `Closed`.
            let _ = questions.send(question(reply));
        }
        pending
    }

    /// Writes on this thread if the writer thread sleeps. Otherwise, sends the jobs to the writer thread.
    fn write_here(&self, jobs: Vec<NewJob>) -> Result<Pending<Vec<JobId>>> {
        self.fork_guard.check()?;
        check_all(&jobs, self.clock.now())?;
        let (reply, stored) = Pending::new();
        if let Some(request) = self.writer.write_here(Request::Insert(Call::new(jobs, reply))) {
            self.request_queue.push(request)?;
        }
        Ok(stored)
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Locks the database for this process. Without the lock, the linked SQLite could lose data.
fn lock_exclusively(worker_locks: &WorkerLocks) -> Result<File> {
    let version = rusqlite::version();
    match worker_locks.lock_exclusively() {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(Error::new(
            ErrorKind::Config,
            format!(
                "another process has this database open, but SQLite {version} supports only one process \
                 safely"
            ),
        )
        .help(
            "close the other process, or use SQLite 3.51.3 or later (rusqlite 0.39 or later with `bundled`)",
        )),
        Err(error) => Err(Error::new(
            ErrorKind::Config,
            format!(
                "SQLite {version} supports only one process safely, and the database cannot be locked for this \
                 process: {error}"
            ),
        )
        .help(
            "check that this user may write beside the database, or use SQLite 3.51.3 or later (rusqlite 0.39 \
             or later with `bundled`)",
        )),
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(work).map_err(|error| {
        Error::new(ErrorKind::Storage, format!("the thread `{name}` cannot be started: {error}"))
            .help("raise the thread limit of the process")
    })
}

impl Store for SqliteStore {
    fn insert(&self, jobs: Vec<NewJob>) -> Pending<Vec<JobId>> {
        let now = self.clock.now();
        if let Err(error) = check_all(&jobs, now) {
            return Pending::ready(Err(error));
        }
        self.submit(jobs, Request::Insert)
    }

    fn insert_blocking(&self, jobs: Vec<NewJob>) -> Result<Vec<JobId>> {
        self.write_here(jobs)?.wait()
    }

    fn publish_tasks(&self, tasks: Vec<TaskDefaults>) -> Pending<()> {
        self.submit(tasks, Request::PublishTasks)
    }

    fn register_worker(&self, worker: WorkerInfo) -> Pending<()> {
        let id = worker.id;
        let is_new = match self.fork_guard.check().and_then(|()| self.worker_locks.acquire(id)) {
            Ok(is_new) => is_new,
            Err(error) => return Pending::ready(Err(error)),
        };
        let (reply, pending) = Pending::new();
        match self.request_queue.push(Request::RegisterWorker(Call::new(worker, reply))) {
            Ok(()) => pending,
            Err(error) => {
                // The worker does not start, so its lock file would only remain.
                if is_new {
                    self.worker_locks.release(id);
                }
                Pending::ready(Err(error))
            }
        }
    }

    fn claim(&self, request: ClaimRequest) -> Pending<ClaimResponse> {
        self.submit(request, Request::Claim)
    }

    fn cancel_waiting_claims(&self, worker: WorkerId) -> Pending<()> {
        self.submit(worker, Request::CancelWaitingClaims)
    }

    fn heartbeat(&self, worker: WorkerId) -> Pending<Heartbeat> {
        self.submit(worker, Request::Heartbeat)
    }

    fn report_progress(&self, slot: Arc<ProgressSlot>) {
        if self.fork_guard.is_own_process() {
            // After the close, no reader needs progress.
            let _ = self.request_queue.push(Request::report_progress(slot));
        }
    }

    fn is_proven_dead(&self, worker: WorkerId) -> bool {
        self.fork_guard.is_own_process() && self.worker_locks.is_proven_dead(worker)
    }

    fn release_worker(&self, worker: WorkerId, why: Release) -> Pending<Released> {
        self.submit((worker, why), Request::ReleaseWorker)
    }

    fn command(&self, command: JobCommand) -> Pending<Job> {
        self.submit(command, |call| Request::Command(Box::new(call)))
    }

    fn wait_for(&self, id: JobId) -> Pending<Job> {
        self.submit(id, |call| Request::WaitFor(Box::new(call)))
    }

    fn get(&self, id: JobId) -> Pending<Option<Job>> {
        self.ask(|reply| Question::Get(id, reply))
    }

    fn attempts(&self, id: JobId) -> Pending<Vec<Attempt>> {
        self.ask(|reply| Question::Attempts(id, reply))
    }

    fn list(&self, filter: Filter) -> Pending<Page> {
        self.ask(|reply| Question::List(filter, reply))
    }

    fn counts(&self) -> Pending<Counts> {
        self.ask(Question::Counts)
    }

    fn workers(&self) -> Pending<Vec<WorkerState>> {
        self.ask(Question::Workers)
    }

    fn notify(&self) {
        if self.fork_guard.is_own_process() {
            self.request_queue.look();
        }
    }

    fn statement(&self, what: Foreign<'_>) -> Result<SqlStatement> {
        external_tx::statement(what, self.clock.now())
    }

    fn caps(&self) -> Caps {
        // Where inotify works, a change is noticed at once. This is the interval of the additional polls.
        Caps::new(true, self.durability == Durability::Full, Some(wakeup::poll::INTERVAL_WATCHED))
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn health(&self) -> Health {
        match self.fork_guard.check() {
            Ok(()) => self.health.health(self.request_queue.halted()),
            Err(error) => {
                Health { state: HealthState::Halted { reason: error.to_string() }, ..Health::default() }
            }
        }
    }

    fn halted(&self) -> Option<Error> {
        self.fork_guard.check().err().or_else(|| self.request_queue.halted())
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn close(&self) {
        if !self.fork_guard.is_own_process() {
            // In a fork, the threads do not exist, and the connections belong to the parent. This copy must
            // neither use nor close them.
            if let Ok(mut threads) = self.threads.try_lock() {
                std::mem::forget(std::mem::take(&mut *threads));
            }
            return std::mem::forget((self.writer.clone(), self.worker_locks.clone()));
        }
        let (reader, writer) = {
            let mut threads = self.threads();
            threads.questions = None;
            (threads.reader.take(), threads.writer.take())
        };
        // Closed one after the other: the last connection to close removes the write-ahead log. If two close
        // at the same time, neither may be the last.
        reader.into_iter().for_each(join);
        // Fails only if the queue is already closed.
        let _ = self.request_queue.push(Request::Close);
        writer.into_iter().for_each(join);
    }
}

/// One of these threads may drop the last handle. It then cannot join itself, and ends on its own. A thread
/// that panicked has already answered its callers.
fn join(thread: thread::JoinHandle<()>) {
    if thread.thread().id() != thread::current().id() {
        let _ = thread.join();
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// A directory for one unit test, which removes it on success.
#[cfg(test)]
pub(crate) fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("qdjobs-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::retry::Verdict;
    use crate::store::engine::leave_running::Leaving;
    use crate::store::engine::transaction::Transaction;
    use crate::store::sqlite::files::worker_locks;
    use crate::store::sqlite::queries::{self, sql};
    use crate::store::sqlite::transaction::SqliteTransaction;
    use crate::store::{FinishedJob, TaskSet};

    #[test]
    fn while_the_database_is_locked_each_caller_gets_busy_and_nothing_is_stored() {
        let dir = scratch("locked");
        let path = dir.join("jobs.db");
        let options = SqliteOptions { busy_timeout: Duration::from_millis(50), ..SqliteOptions::default() };
        let store = SqliteStore::open(&path, options, Clock::system()).unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let refused: Vec<_> = (0..5).map(|_| store.insert(vec![NewJob::new("a", "{}")])).collect();
        for pending in refused {
            assert_eq!(pending.wait().unwrap_err().kind(), ErrorKind::Busy);
        }
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(store.insert(vec![NewJob::new("a", "{}")]).wait().unwrap(), [JobId(1)]);
        store.close();
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_worker_that_is_refused_leaves_no_lock_file_and_a_registered_one_keeps_its_own() {
        let dir = scratch("refused");
        let store =
            SqliteStore::open(&dir.join("jobs.db"), SqliteOptions::default(), Clock::system()).unwrap();
        let register_worker =
            |worker| store.register_worker(WorkerInfo::new(WorkerId(worker), "here", 7)).wait();
        register_worker(1).unwrap();
        store.request_queue.halt(Error::new(ErrorKind::StoreHalted, "the disk is gone"));
        for worker in [1, 2] {
            assert_eq!(register_worker(worker).unwrap_err().kind(), ErrorKind::StoreHalted);
        }
        store.close();
        for worker in [1, 2] {
            assert_eq!(register_worker(worker).unwrap_err().kind(), ErrorKind::Closed);
        }
        assert_eq!(worker_locks::worker_ids(store.worker_locks.dir()), [WorkerId(1)]);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_sqlite_that_is_safe_for_one_process_only_is_refused_beside_another_before_it_writes() {
        let dir = scratch("alone");
        let path = dir.join("jobs.db");
        let open = |sqlite_version| {
            let machine = Machine { sqlite_version, mounts: None };
            SqliteStore::on(&machine, &path, SqliteOptions::default(), Clock::system())
        };
        let bytes =
            || ["jobs.db", "jobs.db-wal"].map(|name| std::fs::metadata(dir.join(name)).unwrap().len());
        let first = open(3_051_002).unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute("INSERT INTO qdjobs_jobs (task_name) VALUES ('a')", []).unwrap();
        let written = bytes();
        assert!(written[1] > 0, "an opening writes the log back and cuts it");
        let refused = open(3_051_002).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Config);
        assert!(refused.to_string().contains("another process has this database open"), "{refused}");
        assert_eq!(bytes(), written);
        drop((first, other));
        drop(open(3_051_002).unwrap());
        let _both = [open(3_051_003).unwrap(), open(3_051_003).unwrap()];
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_database_on_a_network_file_system_is_refused_before_it_is_created_unless_that_is_allowed() {
        let dir = scratch("remote");
        let mounts = Some("31 22 0:40 / / rw,relatime shared:7 - nfs4 files:/jobs rw,vers=4.2\n".to_owned());
        let machine = Machine { sqlite_version: 3_051_003, mounts };
        let open = |options| SqliteStore::on(&machine, &dir.join("jobs.db"), options, Clock::system());
        let refused = open(SqliteOptions::default()).err().unwrap();
        assert!(refused.to_string().contains("nfs4"), "{refused}");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        open(SqliteOptions { allow_network_filesystem: true, ..SqliteOptions::default() }).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// A claim must cost the same with a million finished jobs in the table: no hot statement may read the
    /// whole table.
    #[test]
    fn every_statement_is_sound_and_no_hot_one_reads_the_whole_table() {
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("connection/migrations/0001_jobs.sql")).unwrap();
        for (statement, index) in sql::HOT {
            let mut explained = conn.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
            let none = vec![rusqlite::types::Null; explained.parameter_count()];
            let steps =
                explained.query_map(rusqlite::params_from_iter(none), |row| row.get::<_, String>(3)).unwrap();
            let plan = steps.map(Result::unwrap).collect::<Vec<_>>().join("; ");
            assert!(!plan.contains("SCAN qdjobs_jobs") || plan.contains("USING"), "{statement}\n{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{statement}\n{plan}");
            assert!(plan.contains(index), "{statement}\n{plan}");
        }
    }

    /// A plan that names the right index may still step over many entries: what counts is the work done.
    #[test]
    fn the_search_for_jobs_does_not_step_over_the_jobs_of_a_pair() {
        let steps = |jobs: i64, ready: i64, next: &str| {
            let conn = rusqlite::Connection::open_in_memory().unwrap();
            conn.execute_batch(include_str!("connection/migrations/0001_jobs.sql")).unwrap();
            let fill = "WITH RECURSIVE job (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM job WHERE n < ?1)
                INSERT INTO qdjobs_jobs (task_name, queue, priority, max_retries, scheduled_at, crash_count, availability)
                SELECT 'a', 'default', 0, 3, n, ?2 - 1, ?2 FROM job";
            conn.execute(fill, [jobs, ready]).unwrap();
            let mut next = conn.prepare(next).unwrap();
            assert!(next.exists(["", ""]).unwrap());
            assert!(next.exists(["a", "a"]).unwrap());
            assert!(!next.exists(["a", "default"]).unwrap());
            let mut any = conn.prepare(sql::HAS_SUSPECTED).unwrap();
            assert_eq!(any.exists([]).unwrap(), ready == 2);
            [&next, &any].map(|statement| statement.get_status(rusqlite::StatementStatus::VmStep))
        };
        for (ready, next) in [(1, sql::NEXT_READY_PAIR), (2, sql::NEXT_SUSPECTED_PAIR)] {
            assert_eq!(steps(1_000, ready, next), steps(10, ready, next));
        }
    }

    #[test]
    fn no_hot_statement_is_prepared_again_for_the_values_bound_to_it() {
        let dir = scratch("prepared");
        let conn = open::writer(&dir.join("jobs.db"), &SqliteOptions::default()).unwrap();
        let hot = sql::HOT.iter().map(|(statement, _)| *statement);
        for statement in hot.chain([sql::INSERT, sql::INSERT_KEYED, sql::IS_REGISTERED, sql::HEARTBEAT]) {
            for round in 0..3 {
                let mut prepared = conn.prepare_cached(statement).unwrap();
                for binding in 1..=prepared.parameter_count() {
                    prepared.raw_bind_parameter(binding, (binding + round) as i64).unwrap();
                }
                // Some of these values are refused, which does not matter here.
                let _ = prepared.raw_query().next();
            }
            let prepared = conn.prepare_cached(statement).unwrap();
            let times = |which| prepared.get_status(which);
            assert_eq!(times(rusqlite::StatementStatus::Run), 3, "{statement}");
            assert_eq!(times(rusqlite::StatementStatus::RePrepare), 0, "{statement}");
        }
        drop(conn);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// Each change of a row writes all of it: 500 kB of params in the job's row would be written three times.
    #[test]
    fn large_params_are_written_once_and_neither_by_the_claim_nor_by_the_finish() {
        let dir = scratch("large");
        let conn = open::writer(&dir.join("jobs.db"), &SqliteOptions::default()).unwrap();
        let written = || std::fs::metadata(dir.join("jobs.db-wal")).unwrap().len();
        let now = Clock::system().now();
        let params = format!(r#"{{"x":"{}"}}"#, "x".repeat(500_000));
        // A log that was written back starts again at its beginning.
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let before = written();
        let (id, _) =
            queries::insert::Insert::on(&conn).unwrap().job(&NewJob::new("a", params.as_str()), now).unwrap();
        let stored = written();
        assert!((500_000..600_000).contains(&(stored - before)), "{}", stored - before);
        let want = ClaimRequest::new(WorkerId(1), Arc::new(TaskSet::new(["a"])), 9);
        let claimed = queries::claim::claim(&conn, &want, false, now).unwrap();
        assert_eq!((claimed[0].claim.id, &claimed[0].params), (id, &params));
        let verdict = Verdict::Complete { result: "null".into() };
        let finish = FinishedJob {
            claim: claimed[0].claim,
            ticket: claimed[0].ticket,
            began_after: Duration::ZERO,
            verdict,
        };
        let mut tx = SqliteTransaction::on(&conn, now);
        assert!(tx.leave_running(&Leaving::finished(&finish, now)).unwrap());
        drop(tx);
        assert!(written() - stored < 50_000, "{}", written() - stored);
        drop(conn);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// A list of constants in a CHECK or an index costs a temporary b-tree at each write.
    #[test]
    fn storing_and_finishing_a_job_build_no_temporary_tables() {
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("connection/migrations/0001_jobs.sql")).unwrap();
        let stored = [sql::INSERT, sql::INSERT_KEYED, sql::CLAIM_ONE, sql::REPORT_PROGRESS];
        for statement in stored.into_iter().chain([sql::COMPLETE, sql::END, sql::GIVE_BACK]) {
            let mut explained = conn.prepare(&format!("EXPLAIN {statement}")).unwrap();
            let none = vec![rusqlite::types::Null; explained.parameter_count()];
            let steps =
                explained.query_map(rusqlite::params_from_iter(none), |row| row.get::<_, String>(1)).unwrap();
            assert!(steps.map(Result::unwrap).all(|step| step != "OpenEphemeral"), "{statement}");
        }
    }
}
