//! Stops at inconvenient moments: of tasks that never end, during the start, repeatedly under load, and
//! killed midway.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::rng::Rng;
use crate::signals::{MARGIN, assert_no_files_beside, workers};
use crate::worker_process::{WorkerProcess, is_ignored};
use crate::workspace::{Spread, Workspace};

/// Each way never to return, in each kind of task: the stop takes the shutdown timeout and a moment, and
/// every job is pending again.
#[test]
fn a_task_that_never_ends_does_not_keep_the_process_from_stopping() {
    let workspace = Workspace::alone();
    let timeout = Duration::from_millis(300);
    let mut worker = WorkerProcess::worker(&workspace, ["--shutdown-timeout", "300", "--concurrency", "16"]);
    let blocking = ["park", "sleep", "spin", "lock"];
    let hangs = ["hang", "hang_async", "hang_local"].map(|task| {
        let pending = (task != "hang").then_some("pending");
        blocking.into_iter().chain(pending).map(move |how| (task, format!(r#"{{"how": "{how}"}}"#)))
    });
    let hangs: Vec<_> = hangs.into_iter().flatten().collect();
    let jobs: Vec<_> = hangs.iter().map(|(task, params)| (*task, params.as_str())).collect();
    let jobs = workspace.insert_once(&jobs);
    assert_eq!(jobs.len(), 14);
    for &id in &jobs {
        worker.wait("all to hang", |line| line.is_start_of(id, 1));
    }
    let asked = Instant::now();
    worker.signal(Signal::TERM);
    worker.wait_success();
    let took = asked.elapsed();
    println!(
        "SIGTERM with a shutdown timeout of {timeout:?} and {} tasks that never end: gone after {took:.2?}",
        jobs.len()
    );
    assert!(took >= timeout && took < timeout + MARGIN, "{took:?}");
    let state_of: Vec<String> = workspace.all(
        "SELECT status || ' attempt ' || attempt || ' retries ' || retry_count || ' crashes ' || crash_count
         FROM qdjobs_jobs",
        [],
    );
    assert_eq!(state_of, ["pending attempt 1 retries 0 crashes 0"; 14]);
    let outcomes: Vec<String> = workspace.all("SELECT outcome FROM qdjobs_attempts", []);
    assert_eq!(outcomes, ["released"; 14]);
    assert_eq!(workers(&workspace), 0);
    workspace.assert_sound();
    assert_no_files_beside(&workspace);
}

/// A deployment, fifty times: the next process starts, then the one before is told to stop, while jobs arrive
/// and run.
#[test]
fn fifty_rolling_restarts_under_load_cost_no_job_an_attempt() {
    let workspace = Workspace::new();
    let options = ["--concurrency", "3", "--shutdown-timeout", "60000"];
    let restarts = crate::number_from_env("QDJOBS_RESTARTS").unwrap_or(50);
    let mut enqueued = 0;
    let mut worker = WorkerProcess::worker(&workspace, options);
    let mut leaving: Option<WorkerProcess> = None;
    for round in 0..restarts {
        let slow = format!(r#"{{"ms": {}}}"#, 10 + round % 7 * 15);
        let jobs = [
            [("noop", r#"{"n": 1}"#); 3],
            [("slow", slow.as_str()); 3],
            [("sleepy", slow.as_str()), ("sleepy_local", slow.as_str()), ("patient", slow.as_str())],
        ];
        enqueued += workspace.insert_once(&jobs.concat()).len();
        let next = WorkerProcess::worker_soon(&workspace, options);
        worker.signal(Signal::TERM);
        // It stops while the next one starts and works; only two are ever waited for.
        if let Some(mut gone) = leaving.replace(std::mem::replace(&mut worker, next)) {
            gone.wait_success();
        }
        worker.wait("the next to start", |line| line.is("started"));
    }
    workspace.wait_drained();
    worker.signal(Signal::TERM);
    worker.wait_success();
    leaving.iter_mut().for_each(WorkerProcess::wait_success);
    workspace.assert_all_completed();
    let starts = workspace.starts();
    assert_eq!(starts.len(), enqueued);
    assert!(starts.values().all(|&times| times == 1), "run twice: {starts:?}");
    let wrong: Vec<String> = workspace.all(
        "SELECT id || ' attempt ' || attempt || ' retries ' || retry_count || ' crashes ' || crash_count FROM qdjobs_jobs
         WHERE attempt <> 1 OR retry_count <> 0 OR crash_count <> 0",
        [],
    );
    assert!(wrong.is_empty(), "an attempt was lost: {wrong:?}");
    assert_eq!(workspace.one::<i64>("SELECT count(*) FROM qdjobs_attempts", []), 0);
    let log_file = workspace.read_log();
    let worked: BTreeSet<u32> =
        log_file.iter().filter(|line| line.is("start")).map(|line| line.pid).collect();
    println!("{enqueued} jobs by {} of {} processes, one after the other", worked.len(), restarts + 1);
    assert!(worked.len() as u64 > restarts / 2, "most had nothing to do when they were told to stop");
    assert_eq!(log_file.iter().filter(|line| line.is("stopped")).count(), restarts as usize + 1);
    let strange: Vec<_> = log_file
        .iter()
        .filter(|line| {
            ["rescued", "lease-lost", "discarded", "store-error", "failed"].contains(&line.what.as_str())
        })
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert_eq!(workers(&workspace), 0);
    assert_no_files_beside(&workspace);
}

/// Before the signal is handled the process dies of it, with nothing begun; from then on it stops in good
/// order.
#[test]
fn a_signal_during_the_start_ends_the_process_and_costs_no_job_an_attempt() {
    let workspace = Workspace::alone();
    let mut rng = Rng::new();
    let jobs = workspace.insert_once(&[("slow", r#"{"ms": 5}"#); 60]);
    let mut ends = Vec::new();
    let (mut by_signal, mut in_peace) = (0, 0);
    let int_is_ignored = is_ignored(Signal::INT);
    for round in 0..30 {
        let mut worker =
            WorkerProcess::worker_soon(&workspace, ["--concurrency", "2", "--shutdown-timeout", "60000"]);
        // At once, in the loader, while opening the file, during the worker's start, and after it.
        match [Some(1), Some(1_500), Some(6_000), Some(40_000), None][round / 2 % 5] {
            Some(end) => std::thread::sleep(Duration::from_micros(rng.below(end))),
            None => drop(worker.wait("its worker to start", |line| line.is("started"))),
        }
        let signal = if round % 2 == 0 || int_is_ignored { Signal::TERM } else { Signal::INT };
        let asked = Instant::now();
        worker.signal(signal);
        let status = worker.wait_exit();
        ends.push(asked.elapsed());
        match status.signal() {
            Some(number) if number == signal.as_raw() => {
                by_signal += 1;
                assert_eq!(worker.into_lines().iter().filter(|line| line.is("start")).count(), 0);
            }
            _ => {
                in_peace += 1;
                assert!(status.success(), "{status}");
            }
        }
        let running: i64 = workspace.one("SELECT count(*) FROM qdjobs_jobs WHERE status = 'running'", []);
        assert_eq!(running, 0);
    }
    let ends = Spread::of(ends);
    println!("signals during the start: {by_signal} died of it, {in_peace} stopped; ended after {ends}");
    assert!(by_signal > 0 && in_peace > 0, "one of the two ends never happened");
    assert!(ends.worst() < MARGIN + Duration::from_secs(1));
    let mut last = WorkerProcess::worker(&workspace, ["--concurrency", "2"]);
    workspace.wait_drained();
    last.signal(Signal::TERM);
    last.wait_success();
    workspace.assert_all_completed();
    let starts = workspace.starts();
    assert!(jobs.iter().all(|id| starts[id] == 1), "{starts:?}");
    assert_eq!(workspace.one::<i64>("SELECT sum(retry_count) + sum(crash_count) FROM qdjobs_jobs", []), 0);
    assert_eq!(workers(&workspace), 0, "the next worker releases those that died of the signal");
}

/// `kill -9` at any moment of a stop: what it had written stays, and what it had not is freed by the next
/// worker.
#[test]
fn a_stop_that_is_killed_midway_loses_no_job() {
    let workspace = Workspace::new();
    let mut rng = Rng::new();
    let mut killed = 0;
    // The first jobs in the line may be killed in most rounds, and must not fail for it. The worker that
    // rescues a job decides by its own limit, so the last one needs it too.
    let options = ["--concurrency", "3", "--shutdown-timeout", "40", "--max-crashes", "100"];
    for _ in 0..12 {
        let jobs =
            [[("slow", r#"{"ms": 30}"#); 4], [("patient", r#"{"ms": 60}"#); 4], [("noop", r#"{"n": 1}"#); 4]];
        workspace.insert_once(&jobs.concat());
        let mut worker = WorkerProcess::worker(&workspace, options);
        worker.wait("jobs to run", |line| line.is("start"));
        worker.signal(Signal::TERM);
        std::thread::sleep(Duration::from_micros(rng.below(120_000)));
        killed += usize::from(!worker.has_ended());
        worker.kill();
        workspace.assert_sound();
    }
    println!("{killed} of 12 stops were killed midway");
    assert!(killed > 0, "all stops were over before they were killed");
    let _worker = WorkerProcess::worker(&workspace, options);
    workspace.wait_drained();
    workspace.assert_all_completed();
    assert_eq!(workspace.one::<i64>("SELECT sum(retry_count) FROM qdjobs_jobs", []), 0);
}
