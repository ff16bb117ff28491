//! Processes that share one file and its one lock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::worker_process::{LogLine, WorkerProcess};
use crate::workspace::{Spread, Workspace};

#[test]
fn two_workers_share_the_jobs_and_run_each_of_them_once() {
    let workspace = Workspace::new();
    let workers = [0; 2].map(|_| WorkerProcess::worker(&workspace, ["--concurrency", "2"]));
    // Long enough for each to check several times whether the other is alive.
    let jobs = workspace.insert(&[("slow", r#"{"ms": 20}"#); 300]);
    let more = workspace.insert(&[("sleepy", r#"{"ms": 20}"#); 100]);
    workspace.wait_drained();
    workspace.assert_all_completed();
    let starts = workspace.starts();
    assert_eq!(starts.len(), jobs.len() + more.len());
    assert!(starts.values().all(|&times| times == 1), "run twice: {starts:?}");
    assert_no_errors(&workspace);
    let mut shares: BTreeMap<u32, usize> = BTreeMap::new();
    for line in workspace.read_log().iter().filter(|line| line.is("end")) {
        *shares.entry(line.pid).or_default() += 1;
    }
    println!("400 jobs by two processes: {shares:?}");
    assert!(workers.iter().all(|worker| shares.get(&worker.pid()).is_some_and(|&share| share >= 40)));
}

#[test]
fn a_worker_whose_heartbeats_were_delayed_ends_its_jobs_and_continues_when_they_are_answered() {
    let workspace = Workspace::new();
    let mut worker = WorkerProcess::worker(&workspace, ["--concurrency", "1", "--lease", "3000"]);
    let job = workspace.insert(&[("patient", r#"{"ms": 600000}"#)])[0];
    workspace.sql.execute("UPDATE qdjobs_jobs SET max_retries = 0", []).unwrap();
    worker.wait("the job to start", |line| line.is_start_of(job, 1));
    // Another connection writes for longer than the lease: the worker cannot know whether its lease has
    // expired.
    workspace.while_nobody_writes(|| {
        worker.wait("the task to see the stop", |line| line.is("stopping") && line.number(0) == job);
    });
    // Its lease was not taken: the job is pending again, and no retry is lost.
    worker.wait("the job to start again", |line| line.is_start_of(job, 2));
    assert_eq!(workspace.one::<i64>("SELECT retry_count + crash_count FROM qdjobs_jobs", []), 0);
    let outcomes: Vec<String> = workspace.all("SELECT outcome FROM qdjobs_attempts", []);
    assert_eq!(outcomes, ["released"]);
    assert!(!worker.log().iter().any(|line| line.is("lease-lost") || line.is("discarded")));
}

#[test]
fn workers_that_all_wait_for_the_lock_do_not_presume_each_other_dead() {
    let workspace = Workspace::alone();
    let mut workers =
        [0; 3].map(|_| WorkerProcess::worker(&workspace, ["--concurrency", "1", "--lease", "3000"]));
    workspace.insert(&[("slow", r#"{"ms": 20}"#); 12]);
    workspace.wait_drained();
    // No worker's heartbeats are written for three leases, as when a process was stopped while it held the
    // lock.
    workspace.while_nobody_writes(|| std::thread::sleep(Duration::from_secs(9)));
    workspace.insert(&[("slow", r#"{"ms": 20}"#); 12]);
    workspace.wait_drained();
    workspace.assert_all_completed();
    for worker in &mut workers {
        assert!(
            !worker.log().iter().any(|line| line.is("lease-lost") || line.is("rescued")),
            "{:?}",
            worker.log()
        );
    }
}

#[test]
fn jobs_that_a_worker_has_claimed_ahead_and_cannot_begin_go_to_an_idle_one() {
    let workspace = Workspace::new();
    let mut busy = WorkerProcess::worker(&workspace, ["--concurrency", "1"]);
    // Jobs that take no time, as far as the worker knows: it will claim ahead.
    workspace.insert_once(&[("noop", r#"{"n": 1}"#); 100]);
    workspace.wait_drained();
    let gated = workspace.insert_once(&[("gated", "{}")])[0];
    busy.wait("its only thread to be taken", |line| line.is_start_of(gated, 1));
    let jobs = workspace.insert_once(&[("noop", r#"{"n": 2}"#); 5]);
    workspace.wait("SELECT count(*) FROM qdjobs_jobs WHERE status = 'running'", [], 1 + jobs.len() as i64);
    let mut idle = WorkerProcess::worker(&workspace, ["--concurrency", "1"]);
    for &id in &jobs {
        idle.wait("the jobs that waited in the other worker", |line| line.is_start_of(id, 1));
    }
    workspace.open_gate(gated, 1);
    workspace.wait_drained();
    workspace.assert_all_completed();
    assert_no_errors(&workspace);
    assert!(workspace.starts().values().all(|&times| times == 1));
}

/// Eight processes claim the same jobs at the same moment.
#[test]
fn when_eight_processes_claim_at_once_each_job_runs_exactly_once() {
    let workspace = Workspace::new();
    let each = crate::number_from_env("QDJOBS_STORM_JOBS").unwrap_or(2_500);
    let jobs = 8 * each;
    let tx = workspace.sql.unchecked_transaction().unwrap();
    // Four pairs of task and queue, and two priorities: the claims have something to merge.
    tx.execute(
        "WITH RECURSIVE job (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM job WHERE n < ?1)
         INSERT INTO qdjobs_jobs (task_name, queue, priority, max_retries, params)
         SELECT iif(n % 5 = 0, 'sleepy', 'noop'), iif(n % 2 = 0, 'even', 'odd'), n % 3 = 0, 0,
             iif(n % 5 = 0, json_object('ms', 1), json_object('n', n))
         FROM job",
        [jobs as i64],
    )
    .unwrap();
    tx.commit().unwrap();
    let begun = Instant::now();
    let options = ["--concurrency", "2", "--async-concurrency", "50"];
    let mut workers = [0; 8].map(|_| WorkerProcess::worker_soon(&workspace, options));
    workspace.wait_drained();
    println!("{jobs} jobs by eight processes in {:.2?}", begun.elapsed());
    workers.iter_mut().for_each(WorkerProcess::end);
    workspace.assert_all_completed();
    let starts = workspace.starts();
    assert_eq!(starts.len() as u64, jobs);
    let twice: Vec<_> = starts.iter().filter(|&(_, &times)| times != 1).collect();
    assert!(twice.is_empty(), "run twice: {twice:?}");
    assert_eq!(workspace.one::<i64>("SELECT max(attempt) + max(crash_count) FROM qdjobs_jobs", []), 1);
    assert_no_errors(&workspace);
    let mut shares: BTreeMap<u32, usize> = BTreeMap::new();
    for line in workspace.read_log().iter().filter(|line| line.is("start")) {
        *shares.entry(line.pid).or_default() += 1;
    }
    println!("jobs by process: {:?}", shares.values().collect::<Vec<_>>());
    assert!(shares.len() >= 4, "too few processes took part: {shares:?}");
}

/// Everyone who may write to one file at once: workers, enqueuers through qdjobs, programs that only know
/// SQL, and an application whose transactions read first and keep the lock for a while.
#[test]
fn no_enqueuer_of_any_kind_ever_gets_database_is_locked() {
    let workspace = Workspace::new();
    let _workers = [0; 3].map(|_| WorkerProcess::worker(&workspace, ["--concurrency", "2"]));
    let db = workspace.db();
    let jobs = crate::number_from_env("QDJOBS_MIXED_JOBS").unwrap_or(150);
    let n = jobs.to_string();
    let mut writers: Vec<WorkerProcess> = [
        vec!["enqueue", db, "noop", &n],
        vec!["enqueue", db, "slow", &n],
        vec!["enqueue", db, "effect", &n],
        vec!["insert", db, "noop", &n],
        vec!["insert", db, "noop", &n],
        vec!["write-rows", db, &n, "2"],
        vec!["write-rows", db, "20", "40"],
    ]
    .into_iter()
    .map(|args| WorkerProcess::start(&workspace, args))
    .collect();
    let python = PYTHON_INSERTS.replace("JOBS", &n);
    let has_python = crate::latency::python_is_there();
    if has_python {
        let mut command = std::process::Command::new("python3");
        writers.push(WorkerProcess::spawn(command.args(["-c", &python, db]), &workspace));
    }
    let mut waits: Vec<Spread> = Vec::new();
    let mut acked = 0;
    for mut writer in writers {
        // An error of one of them ends it, and is in its output.
        writer.wait_success();
        let words = writer.into_lines();
        assert!(words.iter().any(|line| line.is("done")), "{words:?}");
        let took = |line: &LogLine| Duration::from_micros((line.micros - line.number(1)).unsigned_abs());
        let took: Vec<Duration> = words.iter().filter(|line| line.is("acked")).map(took).collect();
        acked += took.len() as u64;
        if !took.is_empty() {
            waits.push(Spread::of(took));
        }
    }
    for (who, waits) in ["qdjobs", "qdjobs", "qdjobs", "SQL", "SQL", "Python"].iter().zip(waits) {
        println!("an enqueue by {who} while all write: {waits}");
    }
    assert_eq!(acked, jobs * if has_python { 6 } else { 5 });
    workspace.wait_drained();
    workspace.assert_all_completed();
    assert_eq!(workspace.one::<i64>("SELECT count(*) FROM effects WHERE job < 0", []), 20 + jobs as i64);
    assert_no_errors(&workspace);
}

/// As Python's sqlite3 does it by default: a transaction that begins without a lock, and a busy timeout of
/// five seconds.
const PYTHON_INSERTS: &str = r#"
import os, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])
for i in range(JOBS):
    before = time.time_ns() // 1000
    row = db.execute("INSERT INTO qdjobs_jobs (task_name, params) VALUES ('noop', ?)", ('{"n": %d}' % i,)).lastrowid
    db.commit()
    print(time.time_ns() // 1000, os.getpid(), "acked", row, before, flush=True)
print(time.time_ns() // 1000, os.getpid(), "done", flush=True)
"#;

/// No lease expired, and no process reported an error.
fn assert_no_errors(workspace: &Workspace) {
    let strange =
        |what: &str| ["rescued", "lease-lost", "discarded", "store-error", "failed"].contains(&what);
    let log_file = workspace.read_log();
    let strange: Vec<_> = log_file.iter().filter(|line| strange(&line.what)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}
