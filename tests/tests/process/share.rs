//! Processes that share one file, and its one lock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::scene::{Scene, Spread};
use crate::worker_process::{Said, WorkerProcess};

#[test]
fn two_workers_share_the_jobs_and_run_each_of_them_once() {
    let scene = Scene::new();
    let workers = [0; 2].map(|_| WorkerProcess::worker(&scene, ["--concurrency", "2"]));
    // Long enough for each to look several times whether the other is alive.
    let jobs = scene.insert(&[("slow", r#"{"ms": 20}"#); 300]);
    let more = scene.insert(&[("sleepy", r#"{"ms": 20}"#); 100]);
    scene.wait_drained();
    scene.assert_all_completed();
    let starts = scene.starts();
    assert_eq!(starts.len(), jobs.len() + more.len());
    assert!(starts.values().all(|&times| times == 1), "run twice: {starts:?}");
    assert_calm(&scene);
    let mut shares: BTreeMap<u32, usize> = BTreeMap::new();
    for said in scene.read_ledger().iter().filter(|said| said.is("end")) {
        *shares.entry(said.pid).or_default() += 1;
    }
    println!("400 jobs by two processes: {shares:?}");
    assert!(workers.iter().all(|worker| shares.get(&worker.pid()).is_some_and(|&share| share >= 40)));
}

#[test]
fn a_worker_whose_beats_were_held_up_ends_what_it_runs_and_goes_on_when_they_are_answered() {
    let scene = Scene::new();
    let mut worker = WorkerProcess::worker(&scene, ["--concurrency", "1", "--lease", "3000"]);
    let job = scene.insert(&[("patient", r#"{"ms": 600000}"#)])[0];
    scene.sql.execute("UPDATE qdjobs_jobs SET max_retries = 0", []).unwrap();
    worker.wait("the job to start", |said| said.is_start_of(job, 1));
    // Somebody else writes for longer than the lease: for all the worker knows, it is being taken for dead.
    scene.while_nobody_writes(|| {
        worker.wait("it to be told to stop", |said| said.is("stopping") && said.number(0) == job);
    });
    // Nobody has taken it for dead: the job went back to the queue, and no retry is lost.
    worker.wait("the job to start again", |said| said.is_start_of(job, 2));
    assert_eq!(scene.one::<i64>("SELECT retry_count + crash_count FROM qdjobs_jobs", []), 0);
    let outcomes: Vec<String> = scene.all("SELECT outcome FROM qdjobs_attempts", []);
    assert_eq!(outcomes, ["released"]);
    assert!(!worker.said().iter().any(|said| said.is("lost") || said.is("refused")));
}

#[test]
fn workers_that_all_wait_for_the_lock_do_not_take_each_other_for_dead() {
    let scene = Scene::alone();
    let mut workers =
        [0; 3].map(|_| WorkerProcess::worker(&scene, ["--concurrency", "1", "--lease", "3000"]));
    scene.insert(&[("slow", r#"{"ms": 20}"#); 12]);
    scene.wait_drained();
    // Nobody's heartbeats get through for three leases, as when a process was stopped with the lock in its hands.
    scene.while_nobody_writes(|| std::thread::sleep(Duration::from_secs(9)));
    scene.insert(&[("slow", r#"{"ms": 20}"#); 12]);
    scene.wait_drained();
    scene.assert_all_completed();
    for worker in &mut workers {
        assert!(
            !worker.said().iter().any(|said| said.is("lost") || said.is("rescued")),
            "{:?}",
            worker.said()
        );
    }
}

#[test]
fn what_a_worker_has_claimed_ahead_and_cannot_begin_goes_to_one_that_is_idle() {
    let scene = Scene::new();
    let mut busy = WorkerProcess::worker(&scene, ["--concurrency", "1"]);
    // Jobs that take no time, as far as it knows: it will claim ahead.
    scene.insert_once(&[("noop", r#"{"n": 1}"#); 100]);
    scene.wait_drained();
    let gated = scene.insert_once(&[("gated", "{}")])[0];
    busy.wait("its only thread to be taken", |said| said.is_start_of(gated, 1));
    let jobs = scene.insert_once(&[("noop", r#"{"n": 2}"#); 5]);
    scene.wait("SELECT count(*) FROM qdjobs_jobs WHERE status = 'running'", [], 1 + jobs.len() as i64);
    let mut idle = WorkerProcess::worker(&scene, ["--concurrency", "1"]);
    for &id in &jobs {
        idle.wait("the jobs that wait elsewhere", |said| said.is_start_of(id, 1));
    }
    scene.open_gate(gated, 1);
    scene.wait_drained();
    scene.assert_all_completed();
    assert_calm(&scene);
    assert!(scene.starts().values().all(|&times| times == 1));
}

/// Eight processes fall upon what is there at the same moment.
#[test]
fn in_a_storm_of_claims_by_eight_processes_each_job_runs_exactly_once() {
    let scene = Scene::new();
    let each = crate::number_from_env("QDJOBS_STORM_JOBS").unwrap_or(2_500);
    let jobs = 8 * each;
    let tx = scene.sql.unchecked_transaction().unwrap();
    // Four kinds of pairs of task and queue, and two priorities: the claims have something to merge.
    tx.execute(
        "WITH RECURSIVE job (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM job WHERE n < ?1)
         INSERT INTO qdjobs_jobs (task_name, queue, priority, max_retries, params)
         SELECT iif(n % 5 = 0, 'sleepy', 'noop'), iif(n % 2 = 0, 'even', 'odd'), n % 3 = 0, 0, json_object('n', n, 'ms', 1)
         FROM job",
        [jobs as i64],
    )
    .unwrap();
    tx.commit().unwrap();
    let begun = Instant::now();
    let options = ["--concurrency", "2", "--async-concurrency", "50"];
    let mut workers = [0; 8].map(|_| WorkerProcess::worker_soon(&scene, options));
    scene.wait_drained();
    println!("{jobs} jobs by eight processes in {:.2?}", begun.elapsed());
    workers.iter_mut().for_each(WorkerProcess::end);
    scene.assert_all_completed();
    let starts = scene.starts();
    assert_eq!(starts.len() as u64, jobs);
    let twice: Vec<_> = starts.iter().filter(|&(_, &times)| times != 1).collect();
    assert!(twice.is_empty(), "run twice: {twice:?}");
    assert_eq!(scene.one::<i64>("SELECT max(attempt) + max(crash_count) FROM qdjobs_jobs", []), 1);
    assert_calm(&scene);
    let mut shares: BTreeMap<u32, usize> = BTreeMap::new();
    for said in scene.read_ledger().iter().filter(|said| said.is("start")) {
        *shares.entry(said.pid).or_default() += 1;
    }
    println!("their shares: {:?}", shares.values().collect::<Vec<_>>());
    assert!(shares.len() >= 4, "no storm: {shares:?}");
}

/// Everybody who may write into one file at once: workers, enqueuers through qdjobs, programs that only know SQL, and an
/// application whose transactions read first and keep the lock for a while.
#[test]
fn no_enqueuer_of_any_kind_is_ever_told_that_the_database_is_locked() {
    let scene = Scene::new();
    let _workers = [0; 3].map(|_| WorkerProcess::worker(&scene, ["--concurrency", "2"]));
    let db = scene.db();
    let jobs = crate::number_from_env("QDJOBS_MIXED_JOBS").unwrap_or(150);
    let n = jobs.to_string();
    let mut writers: Vec<WorkerProcess> = [
        vec!["enqueue", db, "noop", &n],
        vec!["enqueue", db, "slow", &n],
        vec!["enqueue", db, "effect", &n],
        vec!["insert", db, "noop", &n],
        vec!["insert", db, "noop", &n],
        vec!["scribble", db, &n, "2"],
        vec!["scribble", db, "20", "40"],
    ]
    .into_iter()
    .map(|args| WorkerProcess::start(&scene, args))
    .collect();
    let python = PYTHON_INSERTS.replace("JOBS", &n);
    let has_python = crate::measure::python_is_there();
    if has_python {
        let mut command = std::process::Command::new("python3");
        writers.push(WorkerProcess::spawn(command.args(["-c", &python, db]), &scene));
    }
    let mut waits: Vec<Spread> = Vec::new();
    let mut acked = 0;
    for mut writer in writers {
        // An error that one of them meets ends it, and is in what it leaves behind.
        writer.wait_success();
        let words = writer.last_words();
        assert!(words.iter().any(|said| said.is("bye")), "{words:?}");
        let took = |said: &Said| Duration::from_micros((said.micros - said.number(1)).unsigned_abs());
        let took: Vec<Duration> = words.iter().filter(|said| said.is("acked")).map(took).collect();
        acked += took.len() as u64;
        if !took.is_empty() {
            waits.push(Spread::of(took));
        }
    }
    for (who, waits) in ["qdjobs", "qdjobs", "qdjobs", "SQL", "SQL", "Python"].iter().zip(waits) {
        println!("an enqueue by {who} while all write: {waits}");
    }
    assert_eq!(acked, jobs * if has_python { 6 } else { 5 });
    scene.wait_drained();
    scene.assert_all_completed();
    assert_eq!(scene.one::<i64>("SELECT count(*) FROM effects WHERE job < 0", []), 20 + jobs as i64);
    assert_calm(&scene);
}

/// As Python's sqlite3 does it by itself: a transaction that begins without a lock, and five seconds of patience.
const PYTHON_INSERTS: &str = r#"
import os, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])
for i in range(JOBS):
    before = time.time_ns() // 1000
    row = db.execute("INSERT INTO qdjobs_jobs (task_name, params) VALUES ('noop', ?)", ('{"n": %d}' % i,)).lastrowid
    db.commit()
    print(time.time_ns() // 1000, os.getpid(), "acked", row, before, flush=True)
print(time.time_ns() // 1000, os.getpid(), "bye", flush=True)
"#;

/// Nobody was taken for dead, and nobody met an error.
fn assert_calm(scene: &Scene) {
    let strange = |what: &str| ["rescued", "lost", "refused", "trouble", "failed"].contains(&what);
    let ledger = scene.read_ledger();
    let strange: Vec<_> = ledger.iter().filter(|said| strange(&said.what)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}
