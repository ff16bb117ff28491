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
pub use tools::restore::{Restored, restore};
pub use tools::salvage::{Salvage, salvage};

use self::connection::fork_guard::ForkGuard;
use self::connection::log_mark;
use self::connection::open::{self, Machine};
use self::connection::system_sqlite;
use self::files::names;
use self::files::open_files::OpenFiles;
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
use crate::sync::{Mutex, MutexGuard, PoisonError, mpsc, spawn, thread};

/// Jobs in a SQLite database. Several processes may open the same file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    files: Arc<OpenFiles>,
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
        system_sqlite::check();
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
        let given = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let worker_locks = Arc::new(WorkerLocks::beside(&path));
        // Before the database is opened, because opening it writes to it.
        let exclusive_lock = if open::has_wal_reset_bug(machine.sqlite_version) {
            Some(
                lock_exclusively(&worker_locks)
                    .map_err(|error| error.in_database(Some(&path.to_string_lossy())))?,
            )
        } else {
            None
        };
        log_mark::refuse_foreign_log(&path)?;
        let (conn, read, files) = connect(&given, &path, &options)?;
        let files = Arc::new(files);
        let request_queue = Arc::new(RequestQueue::default());
        let subscriber: Arc<dyn ClockSubscriber> = request_queue.clone();
        clock.subscribe(Arc::downgrade(&subscriber));
        drop(subscriber);

        let durability = options.durability;
        let health = Arc::new(HealthRecord::of(&path, &names::log_of(&path), exclusive_lock.is_some()));
        let writer = writer::Writer::new(
            conn,
            files.clone(),
            options,
            clock.clone(),
            request_queue.clone(),
            worker_locks.clone(),
            health.clone(),
        );
        let writer = Arc::new(WriterHandle::new(writer));
        let (questions, asked) = mpsc::channel();
        let reader = Reader::new(read, files.clone(), clock.clone(), request_queue.clone(), asked);
        let threads = Mutex::new(Threads { questions: Some(questions), reader: None, writer: None });
        let name = path.display().to_string();
        let store = SqliteStore {
            path,
            files,
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
        match self.files.check(true) {
            Ok(()) => backup::write(&self.path, to),
            // The file of this name is another one. The connection of the reader still has the right one.
            Err(_) => self.ask(|reply| Question::Backup(to.to_owned(), reply)).wait(),
        }
    }

    /// Halts the store if its files are no longer those of their names.
    fn check_files(&self) -> Result<()> {
        self.files.check(true).inspect_err(|error| self.request_queue.halt(error.repeat()))
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

/// Opens the connections to the database that was given as `name` and is at `path`.
fn connect(
    name: &Path,
    path: &Path,
    options: &SqliteOptions,
) -> Result<(rusqlite::Connection, rusqlite::Connection, OpenFiles)> {
    let before = OpenFiles::of(name, path);
    match connect_once(name, path, options, || {}) {
        // It was replaced. Or its file system gives a file another identity when it is first opened for writing.
        Err(_) if !OpenFiles::of(name, path).is_same_database(&before) => {
            connect_once(name, path, options, || {})
        }
        connected => connected,
    }
}

/// As [`connect`]; an error if the file is replaced meanwhile. Calls `meanwhile` between the two connections, for a
/// test.
fn connect_once(
    name: &Path,
    path: &Path,
    options: &SqliteOptions,
    meanwhile: impl FnOnce(),
) -> Result<(rusqlite::Connection, rusqlite::Connection, OpenFiles)> {
    let before = OpenFiles::of(name, path);
    let conn = open::reopen_writer(path, options)?;
    meanwhile();
    let read = open::reader(path, options)?;
    let files = OpenFiles::of(name, path);
    if !files.is_same_database(&before) {
        // Both would otherwise write back and delete the log of the new file's name.
        open::disable_close_checkpoint(&conn);
        open::disable_close_checkpoint(&read);
        return Err(open::replaced(path));
    }
    Ok((conn, read, files))
}

/// How to link a SQLite without the WAL-reset bug. `Cargo.lock` keeps the old rusqlite even if a newer driver allows
/// a newer one, until `cargo update` runs.
const UPDATE_SQLITE: &str = "link SQLite 3.51.3 or later: enable the feature `bundled`; if the program uses sqlx 0.8, \
                             diesel 2.2 or sea-orm 1, change to sqlx 0.9, diesel 2.3 or sea-orm 2; then run \
                             `cargo update`";

/// Locks the database for this process. Without the lock, the linked SQLite could lose data.
fn lock_exclusively(worker_locks: &WorkerLocks) -> Result<File> {
    let version = rusqlite::version();
    match worker_locks.lock_exclusively() {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(Error::new(
            ErrorKind::Config,
            format!(
                "this database is already open in another process, or by another `JobQueue` of this process, but \
                 SQLite {version} is safe with only one"
            ),
        )
        .help(format!(
            "close the other one, or share one `JobQueue`, which can be cloned; to open several, {UPDATE_SQLITE}. While \
             SQLite {version} is linked, only the queue may write to the file: no other program, and no connection of your \
             own"
        ))),
        Err(error) => Err(Error::new(
            ErrorKind::Config,
            format!(
                "SQLite {version} is safe with only one process, and the database cannot be locked for this one: \
                 {error}"
            ),
        )
        .help(format!(
            "check that this user may write in the folder of the name `<database>-workers`, that the disk has room, and \
             that its file system has file locks; or {UPDATE_SQLITE}"
        ))),
    }
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
        self.check_files()?;
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
            Ok(()) => {
                // An idle queue without workers looks at its files only here and before a write.
                let _ = self.check_files();
                self.health.health(self.request_queue.halted())
            }
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
    use std::sync::atomic::{AtomicUsize, Ordering};
    // Two tests may choose the same name.
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("qdjobs-{name}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[cfg(test)]
mod tests;
