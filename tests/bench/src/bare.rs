//! The engine to compare with: what a careful programmer would write by hand with rusqlite if speed were all
//! that counted.
//!
//! One thread owns the writing connection. Requests that arrive during a commit share the next one, and one
//! statement stores sixteen of their jobs. A slot hands in the jobs it has finished and gets its next
//! ones in the same transaction; new jobs go to idle slots in the transaction that stores them. It has the
//! schema, columns, indexes and settings of qdjobs, and claims the same number of jobs ahead. It leaves out:
//! types, leases, heartbeats, stopping, schedules, timeouts, retries, panics, history, other processes,
//! errors of one caller alone.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{JoinHandle, spawn};

use qdjobs::rusqlite::{CachedStatement, Connection, ToSql, params};

use crate::Result;
use crate::pool::Tally;

/// Jobs claimed ahead, for all slots together: as many as qdjobs claims at most.
const AHEAD: usize = 1_024;

/// The most requests in one transaction.
const BATCH: usize = 2_048;

/// The worker number in this engine's claims.
const WORKER: i64 = 1;

/// All columns that qdjobs writes for a new job. Binds task_name, name, params, queue, priority, max_retries,
/// scheduled_at, created_at, metadata, availability.
const INSERT: &str = "
    INSERT INTO qdjobs_jobs
        (task_name, name, params, queue, priority, max_retries, scheduled_at, created_at, metadata, availability)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// The number of jobs that a single statement stores: as many as qdjobs stores at most.
const MANY: usize = 16;

/// Stores params of more than [`INLINE`] bytes. Binds job_id, params.
const INSERT_PARAMS: &str = "INSERT INTO qdjobs_params (job_id, params) VALUES (?1, ?2)";

/// The longest params, in bytes, that the schema keeps in the job's own row.
const INLINE: usize = 500;

/// Binds worker, now, task_name, queue, limit.
const CLAIM: &str = "
    UPDATE qdjobs_jobs SET status = 'running', attempt = attempt + 1, worker_id = ?1, started_at = ?2
    WHERE id IN (SELECT id FROM qdjobs_jobs INDEXED BY qdjobs_ready
                 WHERE status = 'pending' AND availability = 1 AND task_name = ?3 AND queue = ?4
                 ORDER BY priority DESC, scheduled_at, id LIMIT ?5)
    RETURNING id, attempt, coalesce(params, (SELECT params FROM qdjobs_params WHERE job_id = qdjobs_jobs.id))";

/// Binds id, attempt, worker, result, now.
const FINISH: &str = "
    UPDATE qdjobs_jobs SET status = 'completed', result = ?4, completed_at = ?5
    WHERE id = ?1 AND status = 'running' AND attempt = ?2 AND worker_id = ?3";

/// A request to the writing thread.
enum Request {
    /// Params of new jobs, and the caller that waits for their commit.
    Insert(Vec<String>, SyncSender<()>),
    /// A slot is idle, after it has run these jobs.
    Claim(usize, Vec<Done>),
    Stop,
}

/// A claimed job.
struct Job {
    done: Done,
    params: String,
}

/// What identifies a claim when it is finished.
struct Done {
    id: i64,
    attempt: i64,
}

/// The engine, running.
pub(crate) struct Bare {
    requests: Sender<Request>,
    writer: JoinHandle<Result<()>>,
    slots: Vec<JoinHandle<()>>,
}

/// Stores jobs, from any thread.
#[derive(Clone)]
pub(crate) struct Caller(Sender<Request>);

impl Caller {
    /// Stores jobs; returns after their commit.
    pub(crate) fn insert(&self, jobs: Vec<String>) -> Result<()> {
        let (reply, stored) = sync_channel(1);
        self.0.send(Request::Insert(jobs, reply)).map_err(|_| "the bare engine has ended")?;
        Ok(stored.recv()?)
    }
}

impl Bare {
    /// Starts the engine on a connection, for the jobs of `task`. The handler gets the params. Completed
    /// jobs are counted after their commit.
    pub(crate) fn start(
        conn: Connection,
        task: &'static str,
        slots: usize,
        tally: &Arc<Tally>,
        handler: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Bare> {
        let (sender, requests) = channel();
        let handler = Arc::new(handler);
        let mut job_senders = Vec::new();
        let mut threads = Vec::new();
        for slot in 0..slots {
            let (job_sender, jobs) = channel();
            job_senders.push(job_sender);
            let (sender, handler) = (sender.clone(), handler.clone());
            threads.push(spawn(move || work(slot, &sender, &jobs, &*handler)));
        }
        let writer = Writer { conn, task, job_senders, tally: tally.clone() };
        Ok(Bare { requests: sender, writer: spawn(move || writer.run(&requests)), slots: threads })
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller(self.requests.clone())
    }

    /// Stops once every job that the slots hold is finished.
    pub(crate) fn stop(self) -> Result<()> {
        self.requests.send(Request::Stop).map_err(|_| "the bare engine has ended")?;
        self.writer.join().map_err(|_| "the bare writer has panicked")??;
        self.slots.into_iter().try_for_each(|slot| slot.join().map_err(|_| "a bare slot has panicked"))?;
        Ok(())
    }
}

/// The loop of one slot.
fn work(slot: usize, requests: &Sender<Request>, jobs: &Receiver<Vec<Job>>, handler: &dyn Fn(&str)) {
    let mut done = Vec::new();
    while requests.send(Request::Claim(slot, done)).is_ok() {
        let Ok(jobs) = jobs.recv() else { return };
        done = jobs
            .into_iter()
            .map(|job| {
                handler(&job.params);
                job.done
            })
            .collect();
    }
}

struct Writer {
    conn: Connection,
    task: &'static str,
    /// Where each slot waits for jobs.
    job_senders: Vec<Sender<Vec<Job>>>,
    tally: Arc<Tally>,
}

impl Writer {
    fn run(self, requests: &Receiver<Request>) -> Result<()> {
        let mut insert = Insert::on(&self.conn, self.task)?;
        let mut claim = self.conn.prepare_cached(CLAIM)?;
        let mut finish = self.conn.prepare_cached(FINISH)?;
        let [mut begin, mut commit] =
            [self.conn.prepare_cached("BEGIN IMMEDIATE")?, self.conn.prepare_cached("COMMIT")?];
        let mut idle: Vec<usize> = Vec::new();
        let mut stopping = false;
        while !(stopping && idle.len() == self.job_senders.len()) {
            let Ok(first) = requests.recv() else { return Ok(()) };
            let now = micros();
            let (mut callers, mut new) = (Vec::new(), Vec::new());
            let mut finished = 0;
            begin.execute([])?;
            for request in std::iter::once(first).chain(requests.try_iter()).take(BATCH) {
                match request {
                    Request::Insert(jobs, caller) => {
                        new.extend(jobs);
                        callers.push(caller);
                    }
                    Request::Claim(slot, done) => {
                        for Done { id, attempt } in &done {
                            let changed = finish.execute(params![id, attempt, WORKER, "null", now])?;
                            assert_eq!(changed, 1, "job {id} was not ours");
                        }
                        finished += done.len() as u64;
                        idle.push(slot);
                    }
                    Request::Stop => stopping = true,
                }
            }
            insert.jobs(&new, now)?;
            let given = if stopping { Vec::new() } else { self.claim_for_idle(&mut claim, &mut idle, now)? };
            commit.execute([])?;
            // A caller or slot that is gone needs no answer.
            for caller in &callers {
                let _ = caller.send(());
            }
            given.into_iter().for_each(|(slot, jobs)| drop(self.job_senders[slot].send(jobs)));
            self.tally.add(finished);
        }
        Ok(())
    }

    /// Claims jobs for the idle slots and divides them among the slots.
    fn claim_for_idle(
        &self,
        claim: &mut CachedStatement<'_>,
        idle: &mut Vec<usize>,
        now: i64,
    ) -> Result<Vec<(usize, Vec<Job>)>> {
        if idle.is_empty() {
            return Ok(Vec::new());
        }
        let limit = idle.len() * (AHEAD / self.job_senders.len()).max(1);
        let rows = claim.query_map(params![WORKER, now, self.task, "default", limit as i64], |row| {
            Ok(Job { done: Done { id: row.get(0)?, attempt: row.get(1)? }, params: row.get(2)? })
        })?;
        let jobs = rows.collect::<std::result::Result<Vec<Job>, _>>()?;
        let each = jobs.len().div_ceil(idle.len()).max(1);
        let mut given = Vec::new();
        let mut jobs = jobs.into_iter();
        loop {
            let share: Vec<Job> = jobs.by_ref().take(each).collect();
            let Some(slot) = (!share.is_empty()).then(|| idle.pop()).flatten() else { return Ok(given) };
            given.push((slot, share));
        }
    }
}

/// Stores jobs on a connection without an engine, each in its own commit; calls `stored` after each.
pub(crate) fn insert_alone(
    conn: &Connection,
    task: &'static str,
    jobs: impl IntoIterator<Item = String>,
    mut stored: impl FnMut(),
) -> Result<()> {
    let mut insert = Insert::on(conn, task)?;
    for text in jobs {
        insert.job(&text, micros())?;
        stored();
    }
    Ok(())
}

/// Stores jobs of a task with statements that are prepared once.
struct Insert<'c> {
    conn: &'c Connection,
    task: &'static str,
    one: CachedStatement<'c>,
    many: CachedStatement<'c>,
}

impl<'c> Insert<'c> {
    fn on(conn: &'c Connection, task: &'static str) -> Result<Insert<'c>> {
        let further = ", (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)".repeat(MANY - 1);
        let many = conn.prepare_cached(&format!("{INSERT}{further}"))?;
        Ok(Insert { conn, task, one: conn.prepare_cached(INSERT)?, many })
    }

    fn jobs(&mut self, jobs: &[String], now: i64) -> Result<()> {
        for group in jobs.chunks(MANY) {
            if group.len() == MANY && group.iter().all(|text| text.len() <= INLINE) {
                self.many(group, now)?;
            } else {
                group.iter().try_for_each(|text| self.job(text, now))?;
            }
        }
        Ok(())
    }

    fn job(&mut self, text: &str, now: i64) -> Result<()> {
        let inline = (text.len() <= INLINE).then_some(text);
        self.one.execute(params![self.task, NOTHING, inline, "default", 0, 3, now, now, NOTHING, true])?;
        if inline.is_none() {
            let id = self.conn.last_insert_rowid();
            self.conn.prepare_cached(INSERT_PARAMS)?.execute(params![id, text])?;
        }
        Ok(())
    }

    fn many(&mut self, jobs: &[String], now: i64) -> Result<()> {
        let task: &dyn ToSql = &self.task;
        let rows = jobs.iter().flat_map(|text| -> [&dyn ToSql; 10] {
            [task, &NOTHING, text, &"default", &0, &3, &now, &now, &NOTHING, &true]
        });
        self.many.execute(rows.collect::<Vec<_>>().as_slice())?;
        Ok(())
    }
}

/// The value of a column that is left out.
const NOTHING: Option<&str> = None;

fn micros() -> i64 {
    qdjobs::Clock::system().now().as_microsecond()
}
