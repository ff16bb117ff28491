//! The [`Evidence`]: everything that the checker reads, read once.
//!
//! Depends on plain SQL and the histories; on qdjobs only for the counts that it shows to users, which are
//! compared with a recount.

use std::collections::{BTreeMap, HashMap};

use qdjobs::rusqlite::{Connection, Row};
use qdjobs::{JobQueue, Status};

use crate::Result;
use crate::history::{self, Fact, Line, Role};
use crate::run_dir::{RunDir, one};
use crate::tasks::Work;

/// What all processes left behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// Ordered by time.
    pub(crate) lines: Vec<Line>,
    /// Ordered by commit.
    pub(crate) log: Vec<Step>,
    pub(crate) jobs: BTreeMap<i64, JobRow>,
    pub(crate) attempts: BTreeMap<(i64, i64), AttemptRow>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) file: FileFacts,
}

/// A transition of the database.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) seq: i64,
    /// Microseconds of the wall clock, exact to the millisecond.
    pub(crate) wall: i64,
    pub(crate) change: Change,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    Insert { job: i64, mark: Option<u64>, new: State },
    Update { job: i64, old: State, new: State },
    Delete { job: i64, old: State },
    RegisterWorker { worker: i64, pid: i64 },
    Forget { worker: i64 },
}

/// The fields of a job that the log records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) status: Status,
    pub(crate) attempt: i64,
    pub(crate) worker: Option<i64>,
    pub(crate) retry_count: i64,
    pub(crate) crash_count: i64,
}

/// A job at the end of the run.
#[derive(Clone, Debug)]
pub(crate) struct JobRow {
    pub(crate) task: String,
    /// From its display name.
    pub(crate) mark: Option<u64>,
    /// The hash of the stored params; `None` if they are not those of a task of this program.
    pub(crate) hash: Option<u64>,
    pub(crate) max_retries: i64,
    pub(crate) state: State,
}

/// A row of the attempt history.
#[derive(Clone, Debug)]
pub(crate) struct AttemptRow {
    pub(crate) worker: i64,
    pub(crate) outcome: String,
}

/// The row that a task's own transaction wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effect {
    pub(crate) job: i64,
    pub(crate) attempt: i64,
}

/// The file as a whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileFacts {
    /// The result of `PRAGMA integrity_check`.
    pub(crate) integrity: String,
    pub(crate) foreign_key_errors: i64,
    /// Jobs by status, as the queue counts them.
    pub(crate) counts: BTreeMap<String, i64>,
    /// Bytes in the write-ahead log while all processes are idle.
    pub(crate) wal_bytes: u64,
    /// Open files and threads of a worker that has done nothing, to compare the survivors with.
    pub(crate) fresh: Option<(u64, u64)>,
    /// What remains beside the file after all processes have stopped.
    pub(crate) left_over: Vec<String>,
}

/// A process, as the parent recorded it.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) number: u32,
    pub(crate) pid: u32,
    pub(crate) role: Role,
    /// When it was seen to have ended, or had certainly ended.
    pub(crate) gone: Option<u64>,
    /// The last transition before that.
    pub(crate) last_seq: Option<i64>,
}

impl Evidence {
    /// Reads the run directory; `file` was read before.
    pub(crate) fn read(run_dir: &RunDir, file: FileFacts) -> Result<Evidence> {
        let conn = run_dir.connect()?;
        let mut evidence =
            Evidence { lines: history::read(&run_dir.histories())?, file, ..Evidence::default() };
        read_log(&conn, &mut evidence.log)?;
        read_jobs(&conn, &mut evidence.jobs)?;
        let mut attempts = conn.prepare("SELECT job_id, attempt, worker_id, outcome FROM qdjobs_attempts")?;
        let rows = attempts.query_map([], |row| {
            Ok(((row.get(0)?, row.get(1)?), AttemptRow { worker: row.get(2)?, outcome: row.get(3)? }))
        })?;
        evidence.attempts = rows.collect::<std::result::Result<_, _>>()?;
        let mut effects = conn.prepare("SELECT job, attempt FROM chaos_effects")?;
        let rows = effects.query_map([], |row| Ok(Effect { job: row.get(0)?, attempt: row.get(1)? }))?;
        evidence.effects = rows.collect::<std::result::Result<_, _>>()?;
        Ok(evidence)
    }

    /// The processes by number.
    pub(crate) fn processes(&self) -> BTreeMap<u32, Process> {
        let mut processes: BTreeMap<u32, Process> = BTreeMap::new();
        for line in &self.lines {
            match line.fact {
                Fact::Spawned { process, pid, role, .. } => {
                    let new = Process { number: process, pid, role, gone: None, last_seq: None };
                    processes.insert(process, new);
                }
                Fact::Reaped { process, seq, .. } => {
                    if let Some(dead) = processes.get_mut(&process) {
                        (dead.gone, dead.last_seq) = (Some(line.at), Some(seq));
                    }
                }
                // No child outlives the parent.
                Fact::Session { seq, .. } => {
                    for orphan in processes.values_mut().filter(|it| it.gone.is_none()) {
                        (orphan.gone, orphan.last_seq) = (Some(line.at), Some(seq));
                    }
                }
                _ => {}
            }
        }
        processes
    }

    /// Which process a worker belongs to.
    pub(crate) fn owners(&self) -> HashMap<i64, u32> {
        let mut by_pid: HashMap<u32, Vec<Process>> = HashMap::new();
        for process in self.processes().into_values() {
            by_pid.entry(process.pid).or_default().push(process);
        }
        let owner = |pid: i64, seq: i64| {
            // Pids are used again: the first process that had not ended by then.
            let candidates = by_pid.get(&u32::try_from(pid).ok()?)?;
            let alive = candidates.iter().find(|it| it.last_seq.is_none_or(|last| last >= seq));
            alive.map(|process| process.number)
        };
        let registered = self.log.iter().filter_map(|step| match step.change {
            Change::RegisterWorker { worker, pid } => Some((worker, owner(pid, step.seq)?)),
            _ => None,
        });
        registered.collect()
    }
}

/// Reads the facts of the file, while all processes are idle or have ended.
pub(crate) fn file_facts(run_dir: &RunDir) -> Result<FileFacts> {
    let conn = run_dir.connect()?;
    let integrity: Vec<String> = conn
        .prepare("PRAGMA integrity_check")?
        .query_map([], |row| row.get(0))?
        .collect::<std::result::Result<_, _>>()?;
    let counts = JobQueue::open(run_dir.db())?.counts()?;
    Ok(FileFacts {
        integrity: integrity.join("; "),
        foreign_key_errors: one(&conn, "SELECT count(*) FROM pragma_foreign_key_check")?,
        counts: Status::ALL.iter().map(|&it| (it.as_str().to_owned(), counts.of(it) as i64)).collect(),
        ..FileFacts::default()
    })
}

fn status(row: &Row<'_>, column: usize) -> qdjobs::rusqlite::Result<Status> {
    let text: String = row.get(column)?;
    let known = Status::ALL.iter().find(|status| status.as_str() == text);
    // The CHECK of the table allows no other.
    Ok(known.copied().unwrap_or(Status::Pending))
}

fn read_log(conn: &Connection, log: &mut Vec<Step>) -> Result<()> {
    let mut statement = conn.prepare(
        "SELECT seq, wall, what, job, name, old_status, old_attempt, old_worker_id, old_retry_count, old_crash_count,
                status, attempt, worker_id, retry_count, crash_count FROM chaos_log ORDER BY seq",
    )?;
    let state = |row: &Row<'_>, first: usize| -> qdjobs::rusqlite::Result<State> {
        Ok(State {
            status: status(row, first)?,
            attempt: row.get(first + 1)?,
            worker: row.get(first + 2)?,
            retry_count: row.get(first + 3)?,
            crash_count: row.get(first + 4)?,
        })
    };
    let (old, new) = (5, 10);
    let steps = statement.query_map([], |row| {
        let what: String = row.get(2)?;
        let change = match what.as_str() {
            "insert" => {
                let name: Option<String> = row.get(4)?;
                Change::Insert { job: row.get(3)?, mark: mark(name), new: state(row, new)? }
            }
            "update" => Change::Update { job: row.get(3)?, old: state(row, old)?, new: state(row, new)? },
            "delete" => Change::Delete { job: row.get(3)?, old: state(row, old)? },
            "register_worker" => Change::RegisterWorker { worker: row.get(new + 2)?, pid: row.get(new + 1)? },
            _ => Change::Forget { worker: row.get(new + 2)? },
        };
        Ok(Step { seq: row.get(0)?, wall: row.get(1)?, change })
    })?;
    for step in steps {
        log.push(step?);
    }
    Ok(())
}

fn mark(name: Option<String>) -> Option<u64> {
    name.and_then(|name| name.parse().ok())
}

fn read_jobs(conn: &Connection, jobs: &mut BTreeMap<i64, JobRow>) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Params {
        work: Work,
    }
    let mut statement = conn.prepare(
        "SELECT id, task_name, name, coalesce(params, (SELECT params FROM qdjobs_params WHERE job_id = id)), max_retries,
                status, attempt, worker_id, retry_count, crash_count FROM qdjobs_jobs",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (task, params): (String, String) = (row.get(1)?, row.get(3)?);
        let hash = serde_json::from_str::<Params>(&params).ok().map(|it| it.work.hash(&task));
        let state = State {
            status: status(row, 5)?,
            attempt: row.get(6)?,
            worker: row.get(7)?,
            retry_count: row.get(8)?,
            crash_count: row.get(9)?,
        };
        jobs.insert(
            row.get(0)?,
            JobRow { task, mark: mark(row.get(2)?), hash, max_retries: row.get(4)?, state },
        );
    }
    Ok(())
}
