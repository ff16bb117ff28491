//! Stops at inconvenient moments: of tasks that never end, during the start, again and again under load, and cut short.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::choices::Choices;
use crate::scene::{Scene, Spread};
use crate::signals::{MARGIN, assert_nothing_beside_the_file, workers};
use crate::worker_process::WorkerProcess;

/// In each kind of task, each way never to return: at most the grace and a moment, and every job goes back.
#[test]
fn no_task_that_never_ends_keeps_the_process_from_ending() {
    let scene = Scene::alone();
    let grace = Duration::from_millis(300);
    let mut worker = WorkerProcess::worker(&scene, ["--grace", "300", "--concurrency", "16"]);
    let blocking = ["park", "sleep", "spin", "lock"];
    let hangs = ["hang", "hang_async", "hang_local"].map(|task| {
        let pending = (task != "hang").then_some("pending");
        blocking.into_iter().chain(pending).map(move |how| (task, format!(r#"{{"how": "{how}"}}"#)))
    });
    let hangs: Vec<_> = hangs.into_iter().flatten().collect();
    let jobs: Vec<_> = hangs.iter().map(|(task, params)| (*task, params.as_str())).collect();
    let jobs = scene.insert_once(&jobs);
    assert_eq!(jobs.len(), 14);
    for &id in &jobs {
        worker.wait("all to hang", |said| said.is_start_of(id, 1));
    }
    let asked = Instant::now();
    worker.signal(Signal::TERM);
    worker.wait_success();
    let took = asked.elapsed();
    println!(
        "SIGTERM with a grace of {grace:?} and {} tasks that never end: gone after {took:.2?}",
        jobs.len()
    );
    assert!(took >= grace && took < grace + MARGIN, "{took:?}");
    let stands: Vec<String> = scene.all(
        "SELECT status || ' attempt ' || attempt || ' retries ' || retry_count || ' crashes ' || crash_count
         FROM qdjobs_jobs",
        [],
    );
    assert_eq!(stands, ["pending attempt 1 retries 0 crashes 0"; 14]);
    let outcomes: Vec<String> = scene.all("SELECT outcome FROM qdjobs_attempts", []);
    assert_eq!(outcomes, ["released"; 14]);
    assert_eq!(workers(&scene), 0);
    scene.assert_sound();
    assert_nothing_beside_the_file(&scene);
}

/// A deployment, fifty times over: the next process starts, then the one before is told to go, while jobs come and run.
#[test]
fn fifty_rolling_restarts_under_load_cost_no_job_an_attempt() {
    let scene = Scene::new();
    let options = ["--concurrency", "3", "--grace", "60000"];
    let restarts = crate::number_from_env("QDJOBS_RESTARTS").unwrap_or(50);
    let mut enqueued = 0;
    let mut worker = WorkerProcess::worker(&scene, options);
    let mut leaving: Option<WorkerProcess> = None;
    for round in 0..restarts {
        let slow = format!(r#"{{"ms": {}}}"#, 10 + round % 7 * 15);
        let jobs = [
            [("noop", r#"{"n": 1}"#); 3],
            [("slow", slow.as_str()); 3],
            [("sleepy", slow.as_str()), ("sleepy_local", slow.as_str()), ("patient", slow.as_str())],
        ];
        enqueued += scene.insert_once(&jobs.concat()).len();
        let next = WorkerProcess::worker_soon(&scene, options);
        worker.signal(Signal::TERM);
        // It ends while the next one starts and works; two are never enough to wait for both.
        if let Some(mut gone) = leaving.replace(std::mem::replace(&mut worker, next)) {
            gone.wait_success();
        }
        worker.wait("the next to start", |said| said.is("started"));
    }
    scene.wait_drained();
    worker.signal(Signal::TERM);
    worker.wait_success();
    leaving.iter_mut().for_each(WorkerProcess::wait_success);
    scene.assert_all_completed();
    let starts = scene.starts();
    assert_eq!(starts.len(), enqueued);
    assert!(starts.values().all(|&times| times == 1), "run twice: {starts:?}");
    let wrong: Vec<String> = scene.all(
        "SELECT id || ' attempt ' || attempt || ' retries ' || retry_count || ' crashes ' || crash_count FROM qdjobs_jobs
         WHERE attempt <> 1 OR retry_count <> 0 OR crash_count <> 0",
        [],
    );
    assert!(wrong.is_empty(), "an attempt was lost: {wrong:?}");
    assert_eq!(scene.one::<i64>("SELECT count(*) FROM qdjobs_attempts", []), 0);
    let ledger = scene.read_ledger();
    let worked: BTreeSet<u32> = ledger.iter().filter(|said| said.is("start")).map(|said| said.pid).collect();
    println!("{enqueued} jobs by {} of {} processes, one after the other", worked.len(), restarts + 1);
    assert!(worked.len() as u64 > restarts / 2, "most had nothing to do when they were told to go");
    assert_eq!(ledger.iter().filter(|said| said.is("stopped")).count(), restarts as usize + 1);
    let strange: Vec<_> = ledger
        .iter()
        .filter(|said| ["rescued", "lost", "refused", "trouble", "failed"].contains(&said.what.as_str()))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert_eq!(workers(&scene), 0);
    assert_nothing_beside_the_file(&scene);
}

/// Before the signal is caught the process dies of it, with nothing begun; from then on it stops in peace.
#[test]
fn a_signal_during_the_start_ends_the_process_and_costs_no_job_an_attempt() {
    let scene = Scene::alone();
    let mut choices = Choices::new();
    let jobs = scene.insert_once(&[("slow", r#"{"ms": 5}"#); 60]);
    let mut ends = Vec::new();
    let (mut by_signal, mut in_peace) = (0, 0);
    // A shell that runs this in the background has SIGINT ignored, and so have all children until they ask for it.
    let int_is_ignored = ignored_signals() >> (Signal::INT.as_raw() - 1) & 1 == 1;
    for round in 0..30 {
        let mut worker = WorkerProcess::worker_soon(&scene, ["--concurrency", "2", "--grace", "60000"]);
        // At once, in the loader, in the opening of the file, in the worker's own start, and when that is over.
        match [Some(1), Some(1_500), Some(6_000), Some(40_000), None][round / 2 % 5] {
            Some(end) => std::thread::sleep(Duration::from_micros(choices.below(end))),
            None => drop(worker.wait("its worker to start", |said| said.is("started"))),
        }
        let signal = if round % 2 == 0 || int_is_ignored { Signal::TERM } else { Signal::INT };
        let asked = Instant::now();
        worker.signal(signal);
        let status = worker.wait_exit();
        ends.push(asked.elapsed());
        match status.signal() {
            Some(number) if number == signal.as_raw() => {
                by_signal += 1;
                assert_eq!(worker.last_words().iter().filter(|said| said.is("start")).count(), 0);
            }
            _ => {
                in_peace += 1;
                assert!(status.success(), "{status}");
            }
        }
        let running: i64 = scene.one("SELECT count(*) FROM qdjobs_jobs WHERE status = 'running'", []);
        assert_eq!(running, 0);
    }
    let ends = Spread::of(ends);
    println!("signals during the start: {by_signal} died of it, {in_peace} stopped; ended after {ends}");
    assert!(by_signal > 0 && in_peace > 0, "one of the two ends was never seen");
    assert!(ends.worst() < MARGIN + Duration::from_secs(1));
    let mut last = WorkerProcess::worker(&scene, ["--concurrency", "2"]);
    scene.wait_drained();
    last.signal(Signal::TERM);
    last.wait_success();
    scene.assert_all_completed();
    let starts = scene.starts();
    assert!(jobs.iter().all(|id| starts[id] == 1), "{starts:?}");
    assert_eq!(scene.one::<i64>("SELECT sum(retry_count) + sum(crash_count) FROM qdjobs_jobs", []), 0);
    assert_eq!(workers(&scene), 0, "those that died of the signal are cleared away by the next");
}

/// The signals that this process ignores, a bit each; none where the system does not say.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// `kill -9` at any moment of a stop: what it had written stands, and what it had not is freed by the next.
#[test]
fn a_stop_that_is_killed_half_way_loses_no_job() {
    let scene = Scene::new();
    let mut choices = Choices::new();
    let mut killed = 0;
    for _ in 0..12 {
        let jobs =
            [[("slow", r#"{"ms": 30}"#); 4], [("patient", r#"{"ms": 60}"#); 4], [("noop", r#"{"n": 1}"#); 4]];
        scene.insert_once(&jobs.concat());
        let mut worker = WorkerProcess::worker(&scene, ["--concurrency", "3", "--grace", "40"]);
        worker.wait("jobs to run", |said| said.is("start"));
        worker.signal(Signal::TERM);
        std::thread::sleep(Duration::from_micros(choices.below(120_000)));
        killed += usize::from(!worker.has_ended());
        worker.kill();
        scene.assert_sound();
    }
    println!("{killed} of 12 stops were cut short");
    assert!(killed > 0, "all stops were over before they were killed");
    let _worker = WorkerProcess::worker(&scene, ["--concurrency", "3"]);
    scene.wait_drained();
    scene.assert_all_completed();
    assert_eq!(scene.one::<i64>("SELECT sum(retry_count) FROM qdjobs_jobs", []), 0);
}
