//! Random enqueue calls: jobs of each kind, with their rate.
//!
//! Depends on `tasks`. Both kinds of enqueuing processes use it.

use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use qdjobs::rusqlite::Connection;
use qdjobs::{JobRequest, Task as _};
use serde_json::{Value, json};

use crate::history::{Fact, History};
use crate::tasks::{KEYED, Work};
use crate::{Result, clock};

/// Each task with its share of the jobs and the range of its work in milliseconds.
const TASK_MIX: &[(&str, u32, std::ops::Range<u64>)] = &[
    ("noop", 300, 0..1),
    ("slow", 120, 2..60),
    // Longer than any lease.
    ("slow", 4, 2_000..4_000),
    ("patient", 50, 5..200),
    ("reporting", 40, 5..100),
    ("sleep", 120, 1..400),
    ("sleep", 6, 2_000..5_000),
    ("nap_local", 30, 1..200),
    ("flaky", 50, 0..1),
    ("boom", 30, 0..1),
    ("hopeless", 20, 50..300),
    ("permanent", 15, 0..1),
    ("withdrawn", 15, 0..1),
    ("overdue", 8, 0..20),
    ("overdue_async", 8, 0..20),
    ("effect", 160, 0..40),
    ("effect", 6, 1_000..3_000),
    ("overdue_effect", 10, 0..1),
    ("abort", 3, 0..1),
];

/// Above this number of pending jobs nothing more is enqueued.
const BACKLOG_MAX: i64 = 400;

/// One job to enqueue.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) task: &'static str,
    pub(crate) work: Work,
    pub(crate) delay: Duration,
}

impl Call {
    /// Records that the call is about to be made.
    pub(crate) fn append(&self, history: &History) {
        history.append(Fact::EnqueueCalled {
            mark: self.work.mark,
            task: self.task.to_owned(),
            hash: self.work.hash(self.task),
            delay_ms: self.delay.as_millis() as u64,
        });
    }

    pub(crate) fn params(&self) -> Value {
        json!({ "work": self.work })
    }

    pub(crate) fn request(&self) -> qdjobs::Result<JobRequest<Value>> {
        let request =
            JobRequest::by_name(self.task, &self.params())?.display_name(self.work.mark.to_string());
        Ok(if self.delay.is_zero() { request } else { request.delay(self.delay) })
    }

    /// The same through the task's own type, for one task.
    pub(crate) fn typed(&self) -> Option<JobRequest<u64>> {
        (self.task == "noop").then(|| {
            crate::tasks::Noop::new(self.work.clone())
                .display_name(self.work.mark.to_string())
                .delay(self.delay)
        })
    }
}

/// A random sequence of calls in which no mark occurs twice.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) rng: Rng,
    next_mark: u64,
    task: Option<&'static str>,
}

impl Calls {
    /// For one thread of the process numbered `process`; of one task alone if it is named.
    pub(crate) fn new(process: u32, thread: u64, seed: u64, task: Option<&str>) -> Calls {
        let task = task.and_then(|name| TASK_MIX.iter().map(|(task, ..)| *task).find(|task| *task == name));
        Calls {
            rng: Rng::with_seed(seed ^ thread),
            next_mark: (u64::from(process) << 32) | (thread << 28) | 1,
            task,
        }
    }

    pub(crate) fn next(&mut self) -> Call {
        let rng = &mut self.rng;
        let tasks = || TASK_MIX.iter().filter(|(task, ..)| self.task.is_none_or(|only| only == *task));
        let mut drawn = rng.u32(0..tasks().map(|(_, share, _)| share).sum());
        let mut chosen = &TASK_MIX[0];
        for candidate in tasks() {
            chosen = candidate;
            if drawn < candidate.1 {
                break;
            }
            drawn -= candidate.1;
        }
        let filler = match rng.u32(0..200) {
            // Sometimes one that needs many pages of the file.
            0 => rng.usize(10_000..200_000),
            1..20 => rng.usize(500..5_000),
            _ => rng.usize(0..80),
        };
        let millis = rng.u64(chosen.2.clone());
        let times = rng.u32(1..4) + if chosen.0 == "effect" { rng.u32(0..2) * 4 + rng.u32(0..2) } else { 0 };
        let delay = if rng.u32(0..12) == 0 { rng.u64(50..5_000) } else { 0 };
        let work = Work { mark: self.next_mark, millis, times, filler: "x".repeat(filler) };
        self.next_mark += 1;
        Call { task: chosen.0, work, delay: Duration::from_millis(delay) }
    }

    /// The call that every process makes that makes one in this third of a second or soon after; the same
    /// in all processes.
    pub(crate) fn shared(&mut self) -> Call {
        let about_now = clock::wall_micros().unsigned_abs() / 300_000 - self.rng.u64(0..2);
        let work = Work {
            mark: about_now | KEYED,
            millis: 3,
            times: 1,
            filler: "x".repeat((about_now % 900) as usize),
        };
        Call { task: "slow", work, delay: Duration::ZERO }
    }

    /// Waits for the next call, and for as long as enough jobs are pending.
    pub(crate) fn pace(&mut self, conn: &Connection, per_second: u64) -> Result<()> {
        let mean = 1_000_000 / per_second.max(1);
        std::thread::sleep(Duration::from_micros(self.rng.u64(0..mean * 2)));
        while self.rng.u32(0..10) == 0 && backlog(conn)? >= BACKLOG_MAX {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// How many jobs are pending, at most the limit.
fn backlog(conn: &Connection) -> Result<i64> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM qdjobs_jobs INDEXED BY qdjobs_ready
               WHERE status = 'pending' AND availability = 1 LIMIT ?1)";
    Ok(conn.prepare_cached(sql)?.query_row([BACKLOG_MAX], |row| row.get(0))?)
}

/// A connection as any program may have it.
pub(crate) fn connect(db: &Path) -> Result<Connection> {
    let conn = Connection::open(db)?;
    conn.busy_timeout(Duration::from_secs(30))?;
    Ok(conn)
}
