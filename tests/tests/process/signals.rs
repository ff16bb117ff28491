//! Signals: a stop that is asked for, a stop that is insisted on, and a process that stands still.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use crate::scene::Scene;
use crate::worker_process::WorkerProcess;

/// What a stop may take beyond the grace.
pub(crate) const MARGIN: Duration = Duration::from_secs(2);

pub(crate) fn workers(scene: &Scene) -> i64 {
    scene.one("SELECT count(*) FROM qdjobs_workers", [])
}

/// Neither a lock nor a socket stays behind.
pub(crate) fn assert_nothing_beside_the_file(scene: &Scene) {
    let left = std::fs::read_dir(scene.path("jobs.db-workers"));
    assert!(left.is_err(), "left behind: {:?}", left.unwrap().collect::<Vec<_>>());
}

/// Stops the process, at a moment at which it does not hold the database's write lock.
pub(crate) fn freeze(scene: &Scene, worker: &WorkerProcess) {
    scene.while_nobody_writes(|| {
        worker.signal(Signal::STOP);
        // Answers when the last of its threads stands still. Its end would be left for others to hear of.
        let id = WaitId::Pid(Pid::from_raw(worker.pid() as i32).unwrap());
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = waitid(id, options).unwrap().unwrap();
        assert!(status.stopped(), "it has ended instead of standing still: {status:?}");
    });
}

#[test]
fn sigterm_lets_what_runs_end_and_starts_nothing_more() {
    let scene = Scene::new();
    let mut worker = WorkerProcess::worker(&scene, ["--concurrency", "2", "--grace", "20000"]);
    let jobs = scene.insert(&[
        ("slow", r#"{"ms": 300}"#),
        ("slow", r#"{"ms": 300}"#),
        ("sleepy", r#"{"ms": 300}"#),
        ("slow", r#"{"ms": 1}"#),
        ("slow", r#"{"ms": 1}"#),
    ]);
    for &id in &jobs[..3] {
        worker.wait("the first three to start", |said| said.is_start_of(id, 1));
    }
    worker.signal(Signal::TERM);
    worker.wait_success();
    let statuses: Vec<String> = scene.all("SELECT status FROM qdjobs_jobs ORDER BY id", []);
    assert_eq!(statuses, ["completed", "completed", "completed", "pending", "pending"]);
    assert_eq!(scene.one::<i64>("SELECT max(attempt) FROM qdjobs_jobs WHERE status = 'pending'", []), 0);
    assert_eq!(scene.one::<i64>("SELECT count(*) FROM qdjobs_attempts", []), 0);
    assert_eq!(workers(&scene), 0);
    scene.assert_sound();
    assert_nothing_beside_the_file(&scene);
}

#[test]
fn sigterm_gives_back_what_outlasts_the_grace_and_no_retry_is_lost() {
    let scene = Scene::alone();
    let grace = Duration::from_millis(400);
    let mut worker = WorkerProcess::worker(&scene, ["--concurrency", "4", "--grace", "400"]);
    // None of them may be retried: what counted as a failure would end the job.
    let jobs = ["slow", "patient", "sleepy", "sleepy_local"].map(|task| (task, r#"{"ms": 600000}"#));
    let jobs = scene.insert(&jobs);
    scene.sql.execute("UPDATE qdjobs_jobs SET max_retries = 0", []).unwrap();
    for &id in &jobs {
        worker.wait("all to start", |said| said.is_start_of(id, 1));
    }
    let asked = Instant::now();
    worker.signal(Signal::TERM);
    worker.wait_success();
    let took = asked.elapsed();
    println!("SIGTERM with a grace of {grace:?} and jobs that outlast it: gone after {took:.2?}");
    assert!(took > grace && took < grace + MARGIN, "{took:?}");
    let stands: Vec<String> = scene.all(
        "SELECT task_name || ' ' || status || ' attempt ' || attempt || ' retries ' || retry_count || ' crashes '
             || crash_count FROM qdjobs_jobs ORDER BY id",
        [],
    );
    let given_back = |task: &str| format!("{task} pending attempt 1 retries 0 crashes 0");
    assert_eq!(stands, ["slow", "patient", "sleepy", "sleepy_local"].map(given_back));
    let outcomes: Vec<String> = scene.all("SELECT outcome FROM qdjobs_attempts ORDER BY job_id", []);
    assert_eq!(outcomes, ["released"; 4]);
    assert_eq!(workers(&scene), 0);
    let last = worker.last_words();
    assert_eq!(last.iter().find(|said| said.is("stopped")).map(|said| said.number(0)), Some(4));
    scene.assert_sound();
}

/// While one worker drains, another one that lives beside it for five leases has no reason to think it dead.
#[test]
fn a_worker_that_ends_its_last_job_for_five_leases_after_sigterm_is_not_taken_for_dead() {
    const LEASE: Duration = Duration::from_secs(1);
    const LEASES: u32 = 5;
    let scene = Scene::alone();
    let options = ["--concurrency", "2", "--lease", "1000", "--grace", "600000"];
    let mut draining = WorkerProcess::worker(&scene, options);
    let job = scene.insert_once(&[("gated", "{}")])[0];
    draining.wait("the job to start", |said| said.is_start_of(job, 1));
    // One who could run it as well, and would.
    let mut other = WorkerProcess::worker(&scene, options);
    let heartbeats = |worker: &mut WorkerProcess| -> i64 {
        scene.one("SELECT heartbeats FROM qdjobs_workers WHERE id = ?1", [worker.number()])
    };
    draining.signal(Signal::TERM);
    let asked = Instant::now();
    let before = [heartbeats(&mut draining), heartbeats(&mut other)];
    while asked.elapsed() < LEASE * LEASES {
        std::thread::sleep(LEASE / 10);
        assert!(
            !other.said().iter().any(|said| said.is("rescued")),
            "taken for dead after {:?}",
            asked.elapsed()
        );
    }
    // Both have lived through it: one watched, and the other let itself be seen.
    for (worker, before) in [&mut draining, &mut other].into_iter().zip(before) {
        assert!(heartbeats(worker) - before >= i64::from(LEASES));
    }
    // It drains indeed: whatever comes now is run by the other alone.
    let probes = scene.insert_once(&[("noop", r#"{"n": 1}"#); 20]);
    for &id in &probes {
        other.wait("the other one to run what comes now", |said| said.is_start_of(id, 1));
    }
    let stands =
        "SELECT status || ' attempt ' || attempt || ' worker ' || worker_id FROM qdjobs_jobs WHERE id = ?1";
    assert_eq!(scene.one::<String>(stands, [job]), format!("running attempt 1 worker {}", draining.number()));
    scene.open_gate(job, 1);
    draining.wait_success();
    scene.wait_drained();
    scene.assert_all_completed();
    let counted = "SELECT attempt || ' retries ' || retry_count || ' crashes ' || crash_count FROM qdjobs_jobs WHERE id = ?1";
    assert_eq!(scene.one::<String>(counted, [job]), "1 retries 0 crashes 0");
    assert_eq!(scene.one::<i64>("SELECT count(*) FROM qdjobs_attempts", []), 0);
    assert!(scene.starts().values().all(|&times| times == 1));
    let ledger = scene.read_ledger();
    let strange = |what: &str| ["rescued", "lost", "refused", "trouble", "failed"].contains(&what);
    let strange: Vec<_> = ledger.iter().filter(|said| strange(&said.what)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    other.end();
    assert_eq!(workers(&scene), 0);
}

#[test]
fn a_second_sigterm_ends_the_process_at_once() {
    let scene = Scene::alone();
    let mut worker = WorkerProcess::worker(&scene, ["--concurrency", "2", "--grace", "600000"]);
    let job = scene.insert(&[("hang", r#"{"how": "park"}"#)])[0];
    worker.wait("the job to start", |said| said.is_start_of(job, 1));
    let first = Instant::now();
    // Two signals that arrive together are one, and nobody says when the first was heard: insist.
    while !worker.has_ended() {
        assert!(first.elapsed() < MARGIN, "a second signal does not end it");
        worker.signal(Signal::TERM);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(worker.wait_exit().code(), Some(128 + Signal::TERM.as_raw()));
    // As after any sudden end, the next worker frees what it left.
    let left: i64 = scene.one("SELECT count(*) FROM qdjobs_jobs WHERE status = 'running'", []);
    assert_eq!(left, 1);
    let mut next = WorkerProcess::worker(&scene, []);
    next.wait("the job to start again", |said| said.is_start_of(job, 2));
}

/// Both kinds of end: a plain result, and a transaction of the task's own. They arrive while the second attempt runs, when
/// nothing but the fence can tell them apart.
#[test]
fn a_worker_that_stood_still_beyond_its_lease_is_refused_and_comes_back_under_a_new_number() {
    let scene = Scene::new();
    let options = ["--concurrency", "2", "--lease", "3000"];
    let mut frozen = WorkerProcess::worker(&scene, options);
    let number = frozen.number();
    let jobs = scene.insert(&[("gated", "{}"), ("gated_effect", "{}")]);
    let [plain, effect] = [jobs[0], jobs[1]];
    for id in [plain, effect] {
        frozen.wait("the first attempts", |said| said.is_start_of(id, 1));
    }
    // Each of them may hold one of the jobs with which a worker seems to have died.
    let mut others = [0; 2].map(|_| WorkerProcess::worker(&scene, options));
    freeze(&scene, &frozen);
    let stopped = Instant::now();
    scene.wait("SELECT count(*) FROM qdjobs_jobs WHERE status = 'running' AND attempt = 2", [], 2);
    let taken = stopped.elapsed();
    println!("a worker that stands still, with a lease of 3 s: its jobs ran elsewhere after {taken:.2?}");
    // The lease counts from the last heartbeat, which may have come a third of it before the stop.
    assert!(taken > Duration::from_millis(1_800), "taken before the lease was over: {taken:?}");

    frozen.signal(Signal::CONT);
    frozen.wait("it to notice", |said| said.is("lost") && said.number(0) == number);
    for id in [plain, effect] {
        scene.open_gate(id, 1);
    }
    frozen.wait("its result to be refused", |said| said.is("refused") && said.number(0) == plain);
    let refused = frozen.wait("its transaction to be refused", |said| said.is("no-commit"));
    assert_eq!(refused.words, [effect.to_string(), "1".into(), "LeaseLost".into()]);
    assert_eq!(scene.counts(), "running 2", "the second attempts go on");
    for id in [plain, effect] {
        scene.open_gate(id, 2);
    }
    scene.wait_drained();
    scene.assert_all_completed();
    assert_eq!(scene.all::<String>("SELECT result FROM qdjobs_jobs ORDER BY id", []), ["2", "2"]);
    assert_eq!(scene.all::<i64>("SELECT attempt FROM effects", []), [2]);

    // It works on, under a number that is its own.
    for other in &mut others {
        other.signal(Signal::TERM);
        other.wait_success();
    }
    let more = scene.insert(&[("noop", r#"{"n": 1}"#); 10]);
    scene.wait_drained();
    scene.assert_all_completed();
    let by: Vec<i64> = scene.all("SELECT DISTINCT worker_id FROM qdjobs_jobs WHERE id >= ?1", [more[0]]);
    let now: i64 = scene.one("SELECT id FROM qdjobs_workers WHERE pid = ?1", [frozen.pid()]);
    assert_eq!(by, [now]);
    assert_ne!(now, number);
    assert_eq!(frozen.said().iter().filter(|said| said.is("lost")).count(), 1, "it comes back once");
    frozen.signal(Signal::TERM);
    frozen.wait_success();
    assert_eq!(workers(&scene), 0);
    assert_nothing_beside_the_file(&scene);
}

#[test]
fn a_worker_that_comes_back_does_not_run_a_job_beside_its_own_earlier_attempt() {
    let scene = Scene::new();
    let mut frozen = WorkerProcess::worker(&scene, ["--concurrency", "2", "--lease", "3000"]);
    let job = scene.insert(&[("gated", "{}")])[0];
    frozen.wait("the first attempt", |said| said.is_start_of(job, 1));
    // One who frees the job, but cannot run it.
    let mut other = WorkerProcess::worker(&scene, ["--tasks", "noop", "--lease", "3000"]);
    freeze(&scene, &frozen);
    other.wait("it to be taken for dead", |said| said.is("rescued"));
    other.signal(Signal::TERM);
    other.wait_success();
    frozen.signal(Signal::CONT);
    frozen.wait("it to notice", |said| said.is("lost"));
    // Both slots are tried: were the job to start now, it would do so before these.
    let probes = scene.insert(&[("noop", r#"{"n": 1}"#); 5]);
    frozen.wait_nth(probes.len(), "other jobs to run meanwhile", |said| {
        said.is("start") && said.words[2] == "noop"
    });
    assert!(!frozen.said().iter().any(|said| said.is_start_of(job, 2)), "run twice at once in one process");
    scene.open_gate(job, 1);
    frozen.wait("its late result to be refused", |said| said.is("refused"));
    scene.open_gate(job, 2);
    scene.wait_drained();
    scene.assert_all_completed();
    assert_eq!(scene.one::<String>("SELECT result FROM qdjobs_jobs WHERE id = ?1", [job]), "2");
    assert_eq!(scene.starts()[&job], 2);
    frozen.signal(Signal::TERM);
    frozen.wait_success();
}
