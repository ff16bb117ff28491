//! The processes under test: a worker, an enqueuer, an inserter. The same program as the parent, called with
//! `child <role> …`.
//!
//! Each records a call in its history before the call, and the answer after it. Depends on the tasks and the
//! public interface of qdjobs.

use std::collections::VecDeque;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use qdjobs::rusqlite::{self, Connection, TransactionBehavior};
use qdjobs::{Event, JobId, JobQueue, Worker};

use crate::Result;
use crate::calls::{Call, Calls, connect};
use crate::history::{Fact, History, Role, Verb};
use crate::run_dir;
use crate::tasks::{CRASHES_MAX, TaskState, kind_word};

/// The exit code of a child whose parent has gone.
const ORPHAN_EXIT_CODE: i32 = 70;

/// How a child is configured; on the command line as one JSON text.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct ChildConfig {
    pub(crate) role: Role,
    pub(crate) process: u32,
    pub(crate) dir: PathBuf,
    pub(crate) seed: u64,
    /// For a worker.
    pub(crate) lease_ms: u64,
    pub(crate) shutdown_timeout_ms: u64,
    pub(crate) concurrency: usize,
    /// For the processes that enqueue: jobs a second, and the only task to enqueue.
    pub(crate) rate: u64,
    pub(crate) task: Option<String>,
}

/// Runs the child, from the argument after `child`.
pub(crate) fn run(config: &str) -> Result<()> {
    let config: ChildConfig = serde_json::from_str(config)?;
    let stop_requested = exit_with_parent();
    let history =
        Arc::new(History::open(&run_dir::histories(&config.dir), config.process, config.role.word())?);
    let lived = match config.role {
        Role::Worker => work(&config, &history),
        Role::Enqueuer => enqueue(&config, &history, &stop_requested),
        Role::Inserter => insert(&config, &history, &stop_requested),
    };
    // `database is locked` is an expected end while a stopped process holds the write lock.
    let error = lived.as_ref().err().map(|error| match error.downcast_ref::<qdjobs::Error>() {
        Some(error) => kind_word(error.kind()),
        None if is_busy(error.downcast_ref()) => "Busy".to_owned(),
        None => error.to_string(),
    });
    history.append(Fact::Exit { error });
    lived
}

/// Ends with the parent, however the parent ends. Returns a flag that is set when the parent asks for a stop,
/// by a byte.
fn exit_with_parent() -> Arc<AtomicBool> {
    #[cfg(target_os = "linux")]
    {
        // This also ends a stopped process. It fails only where it is forbidden; then the end of the
        // input has to do.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
    let asked = Arc::new(AtomicBool::new(false));
    let raise = asked.clone();
    std::thread::spawn(move || {
        let mut byte = [0];
        while std::io::stdin().read(&mut byte).is_ok_and(|read| read > 0) {
            raise.store(true, Ordering::Release);
        }
        std::process::exit(ORPHAN_EXIT_CODE);
    });
    asked
}

// -- worker

fn work(config: &ChildConfig, history: &Arc<History>) -> Result<()> {
    let db = run_dir::database(&config.dir);
    let queue = JobQueue::options().max_crashes(CRASHES_MAX).open(&db)?;
    let statement = history.clone();
    Worker::new(&queue)
        .concurrency(config.concurrency)
        .async_concurrency(64)
        .lease(Duration::from_millis(config.lease_ms))
        .shutdown_timeout(Duration::from_millis(config.shutdown_timeout_ms))
        .state(TaskState { db, history: history.clone() })
        .on_event(move |event| tell(&statement, event))
        .run()?;
    Ok(())
}

fn tell(history: &History, event: &Event<'_>) {
    history.append(match *event {
        Event::WorkerStarted { worker, .. } => Fact::WorkerStarted { worker: worker.0 },
        Event::Completed { id, .. } => Fact::Completed { job: id.0 },
        Event::Retrying { id, attempt, wait, .. } => {
            Fact::Retrying { job: id.0, attempt, wait_ms: wait.as_millis() as u64 }
        }
        Event::Failed { id, attempt, .. } => Fact::Failed { job: id.0, attempt },
        Event::Cancelled { id, .. } => Fact::Cancelled { job: id.0 },
        Event::ResultDiscarded { id, attempt, .. } => Fact::ResultDiscarded { job: id.0, attempt },
        Event::Rescued { worker, jobs } => Fact::Rescued { worker: worker.0, jobs },
        Event::LeaseLost { worker } => Fact::LeaseLost { worker: worker.0 },
        Event::StoreError { error } => Fact::StoreError { kind: kind_word(error.kind()) },
        Event::WorkerStopped { released, .. } => Fact::WorkerStopped { released },
        _ => return,
    });
}

// -- processes that enqueue

/// The jobs that a process has stored, for an occasional cancel, retry or delete.
#[derive(Debug, Default)]
struct Recent(VecDeque<i64>);

impl Recent {
    fn add(&mut self, job: i64) {
        self.0.push_back(job);
        if self.0.len() > 150 {
            self.0.pop_front();
        }
    }

    fn draw(&self, calls: &mut Calls) -> Option<i64> {
        (!self.0.is_empty()).then(|| self.0[calls.rng.usize(0..self.0.len())])
    }
}

/// Enqueues through qdjobs from two threads, in each way there is.
fn enqueue(config: &ChildConfig, history: &History, ended: &AtomicBool) -> Result<()> {
    let queue = JobQueue::open(run_dir::database(&config.dir))?;
    std::thread::scope(|scope| {
        let threads = [1, 2].map(|thread| {
            let queue = &queue;
            scope.spawn(move || enqueue_thread(config, thread, history, queue, ended))
        });
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })
}

fn enqueue_thread(
    config: &ChildConfig,
    thread: u64,
    history: &History,
    queue: &JobQueue,
    ended: &AtomicBool,
) -> Result<()> {
    let mut conn = connect(&run_dir::database(&config.dir))?;
    let mut calls = Calls::new(config.process, thread, config.seed, config.task.as_deref());
    let mut recent = Recent::default();
    while !ended.load(Ordering::Acquire) {
        match calls.rng.u32(0..100) {
            0..72 => one_by_one(&calls.next(), history, queue, &mut recent)?,
            72..80 if config.task.is_none() => once_for_all(&mut calls, history, queue)?,
            80..86 => in_bulk(&mut calls, history, queue, &mut recent)?,
            86..93 => in_a_transaction(&mut calls, history, &mut conn, &mut recent)?,
            _ if config.task.is_none() => by_command(&mut calls, history, queue, &recent),
            _ => {}
        }
        calls.pace(&conn, config.rate / 2)?;
    }
    Ok(())
}

fn one_by_one(call: &Call, history: &History, queue: &JobQueue, recent: &mut Recent) -> Result<()> {
    let mark = call.work.mark;
    call.append(history);
    let stored = match call.typed() {
        Some(request) => request.enqueue(queue).map(|job| job.id()),
        None => call.request()?.enqueue(queue).map(|job| job.id()),
    };
    match stored {
        Ok(JobId(job)) => {
            history.append(Fact::EnqueueAcked { mark, job });
            recent.add(job);
        }
        Err(error) => denied(history, mark, &error),
    }
    Ok(())
}

/// A job that other processes enqueue too, at about this time: the first stores it, and all get the same id.
fn once_for_all(calls: &mut Calls, history: &History, queue: &JobQueue) -> Result<()> {
    let call = calls.shared();
    let mark = call.work.mark;
    call.append(history);
    match call.request()?.idempotency_key(format!("shared-{mark}")).enqueue(queue) {
        Ok(job) => history.append(Fact::EnqueueAcked { mark, job: job.id().0 }),
        Err(error) => denied(history, mark, &error),
    }
    Ok(())
}

fn in_bulk(calls: &mut Calls, history: &History, queue: &JobQueue, recent: &mut Recent) -> Result<()> {
    let batch: Vec<Call> = (0..calls.rng.usize(2..20)).map(|_| calls.next()).collect();
    batch.iter().for_each(|call| call.append(history));
    let requests = batch.iter().map(Call::request).collect::<qdjobs::Result<Vec<_>>>()?;
    match queue.enqueue_all(requests) {
        Ok(ids) => {
            for (call, JobId(job)) in batch.iter().zip(ids) {
                history.append(Fact::EnqueueAcked { mark: call.work.mark, job });
                recent.add(job);
            }
        }
        Err(error) => batch.iter().for_each(|call| denied(history, call.work.mark, &error)),
    }
    Ok(())
}

/// In the program's own transaction, which it sometimes rolls back.
fn in_a_transaction(
    calls: &mut Calls,
    history: &History,
    conn: &mut Connection,
    recent: &mut Recent,
) -> Result<()> {
    let batch: Vec<Call> = (0..calls.rng.usize(1..5)).map(|_| calls.next()).collect();
    batch.iter().for_each(|call| call.append(history));
    let take_back = calls.rng.u32(0..4) == 0;
    let requests = batch.iter().map(Call::request).collect::<qdjobs::Result<Vec<_>>>()?;
    let mut requests = requests.into_iter();
    let committed = transact(conn, take_back, |tx| {
        requests.by_ref().map(|request| Ok(request.enqueue(tx).map(|JobId(job)| job)?)).collect()
    });
    settle(&batch, committed, history, recent);
    Ok(())
}

/// The outcome of a transaction that stored these calls.
enum Transacted {
    Committed(Vec<i64>),
    TakenBack,
    Failed { kind: String, may_be_stored: bool },
}

fn transact(
    conn: &mut Connection,
    take_back: bool,
    store: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<Vec<i64>>,
) -> Transacted {
    // Before the commit nothing is stored; an error in the commit other than "locked" leaves the outcome
    // open.
    let failed = |error: &rusqlite::Error, in_commit: bool| Transacted::Failed {
        kind: if is_busy(Some(error)) { "Busy".into() } else { error.to_string() },
        may_be_stored: in_commit && !is_busy(Some(error)),
    };
    let tx = match conn.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(tx) => tx,
        Err(error) => return failed(&error, false),
    };
    let ids = match store(&tx) {
        Ok(ids) => ids,
        Err(error) => return Transacted::Failed { kind: error.to_string(), may_be_stored: false },
    };
    if take_back {
        return tx.rollback().map_or_else(|error| failed(&error, false), |()| Transacted::TakenBack);
    }
    match tx.commit() {
        Ok(()) => Transacted::Committed(ids),
        Err(error) => failed(&error, true),
    }
}

fn settle(batch: &[Call], transacted: Transacted, history: &History, recent: &mut Recent) {
    let deny = |kind: &str, may_be_stored| {
        for call in batch {
            history.append(Fact::EnqueueFailed {
                mark: call.work.mark,
                kind: kind.to_owned(),
                may_be_stored,
            });
        }
    };
    match transacted {
        Transacted::Committed(ids) => {
            for (call, job) in batch.iter().zip(ids) {
                history.append(Fact::EnqueueAcked { mark: call.work.mark, job });
                recent.add(job);
            }
        }
        Transacted::TakenBack => deny("TakenBack", false),
        Transacted::Failed { kind, may_be_stored } => deny(&kind, may_be_stored),
    }
}

fn denied(history: &History, mark: u64, error: &qdjobs::Error) {
    history.append(Fact::EnqueueFailed {
        mark,
        kind: kind_word(error.kind()),
        may_be_stored: error.may_be_stored(),
    });
}

/// Sends a random command, as a person would.
fn by_command(calls: &mut Calls, history: &History, queue: &JobQueue, recent: &Recent) {
    let Some(job) = recent.draw(calls) else { return };
    let verb = [Verb::Retry, Verb::Retry, Verb::Cancel, Verb::Delete][calls.rng.usize(0..4)];
    history.append(Fact::CommandCalled { verb, job });
    let done = match verb {
        Verb::Retry => queue.retry(JobId(job)),
        Verb::Cancel => queue.cancel(JobId(job)),
        Verb::Delete => queue.delete(JobId(job)),
    };
    history.append(match done {
        Ok(_) => Fact::CommandDone { verb, job },
        Err(error) => Fact::CommandRefused {
            verb,
            job,
            kind: kind_word(error.kind()),
            may_be_stored: error.may_be_stored(),
        },
    });
}

/// Inserts as a program in any language may.
fn insert(config: &ChildConfig, history: &History, ended: &AtomicBool) -> Result<()> {
    const INSERT: &str = "INSERT INTO qdjobs_jobs (task_name, params, name) VALUES (?1, ?2, ?3)";
    const INSERT_LATER: &str = "INSERT INTO qdjobs_jobs (task_name, params, name, scheduled_at)
        VALUES (?1, ?2, ?3, CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) * 1000 + ?4)";
    let mut conn = connect(&run_dir::database(&config.dir))?;
    let mut calls = Calls::new(config.process, 3, config.seed, config.task.as_deref());
    let mut recent = Recent::default();
    let insert_one = |conn: &Connection, call: &Call| -> rusqlite::Result<i64> {
        let (params, name) = (call.params().to_string(), call.work.mark.to_string());
        if call.delay.is_zero() {
            conn.prepare_cached(INSERT)?.execute((call.task, params, name))?;
        } else {
            // This clock has whole milliseconds, rounded down: that must not shorten the delay.
            let delay = call.delay.as_micros() as i64 + 2_000;
            conn.prepare_cached(INSERT_LATER)?.execute((call.task, params, name, delay))?;
        }
        Ok(conn.last_insert_rowid())
    };
    while !ended.load(Ordering::Acquire) {
        match calls.rng.u32(0..100) {
            0..75 => {
                let call = calls.next();
                let mark = call.work.mark;
                call.append(history);
                history.append(match insert_one(&conn, &call) {
                    Ok(job) => {
                        recent.add(job);
                        Fact::EnqueueAcked { mark, job }
                    }
                    // The statement is its own transaction.
                    Err(error) => Fact::EnqueueFailed {
                        mark,
                        kind: error.to_string(),
                        may_be_stored: !is_busy(Some(&error)),
                    },
                });
            }
            75..97 => {
                let batch: Vec<Call> = (0..calls.rng.usize(1..15)).map(|_| calls.next()).collect();
                batch.iter().for_each(|call| call.append(history));
                let take_back = calls.rng.u32(0..4) == 0;
                let transacted = transact(&mut conn, take_back, |tx| {
                    Ok(batch.iter().map(|call| insert_one(tx, call)).collect::<rusqlite::Result<_>>()?)
                });
                settle(&batch, transacted, history, &mut recent);
            }
            _ if config.task.is_none() => {
                if let Some(job) = recent.draw(&mut calls) {
                    delete_by_sql(&conn, history, job);
                }
            }
            _ => {}
        }
        calls.pace(&conn, config.rate)?;
    }
    Ok(())
}

fn delete_by_sql(conn: &Connection, history: &History, job: i64) {
    let verb = Verb::Delete;
    history.append(Fact::CommandCalled { verb, job });
    let sql = "DELETE FROM qdjobs_jobs WHERE id = ?1 AND status <> 'running'";
    history.append(match conn.execute(sql, [job]) {
        Ok(1..) => Fact::CommandDone { verb, job },
        Ok(0) => Fact::CommandRefused { verb, job, kind: "Conflict".into(), may_be_stored: false },
        Err(error) => {
            Fact::CommandRefused { verb, job, kind: error.to_string(), may_be_stored: !is_busy(Some(&error)) }
        }
    });
}

fn is_busy(error: Option<&rusqlite::Error>) -> bool {
    error.and_then(rusqlite::Error::sqlite_error_code) == Some(rusqlite::ErrorCode::DatabaseBusy)
}

/// The path of this program.
pub(crate) fn program() -> std::io::Result<PathBuf> {
    std::env::current_exe().map(|path| Path::new(&path).to_owned())
}
