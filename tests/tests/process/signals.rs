//! Signals: a requested stop, a second request, and a stopped process.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use crate::worker_process::{DEADLINE, WorkerProcess, is_ignored};
use crate::workspace::Workspace;

/// How long a stop may take beyond the shutdown timeout.
pub(crate) const MARGIN: Duration = Duration::from_secs(2);

pub(crate) fn workers(workspace: &Workspace) -> i64 {
    workspace.one("SELECT count(*) FROM qdjobs_workers", [])
}

/// Neither a lock file nor a socket remains.
pub(crate) fn assert_no_files_beside(workspace: &Workspace) {
    let left = std::fs::read_dir(workspace.path("jobs.db-workers"));
    assert!(left.is_err(), "left behind: {:?}", left.unwrap().collect::<Vec<_>>());
}

/// Stops the process, at a moment when it does not hold the database's write lock.
pub(crate) fn freeze(workspace: &Workspace, worker: &WorkerProcess) {
    workspace.while_nobody_writes(|| {
        worker.signal(Signal::STOP);
        // Returns when the last of its threads has stopped. Its end stays to be waited for.
        let id = WaitId::Pid(Pid::from_raw(worker.pid() as i32).unwrap());
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = waitid(id, options).unwrap().unwrap();
        assert!(status.stopped(), "it has ended instead of stopping: {status:?}");
    });
}

#[test]
fn sigterm_lets_running_jobs_end_and_starts_no_more() {
    let workspace = Workspace::new();
    let mut worker = WorkerProcess::worker(&workspace, ["--concurrency", "2", "--shutdown-timeout", "20000"]);
    let jobs = workspace.insert(&[
        ("slow", r#"{"ms": 300}"#),
        ("slow", r#"{"ms": 300}"#),
        ("sleepy", r#"{"ms": 300}"#),
        ("slow", r#"{"ms": 1}"#),
        ("slow", r#"{"ms": 1}"#),
    ]);
    for &id in &jobs[..3] {
        worker.wait("the first three to start", |line| line.is_start_of(id, 1));
    }
    worker.signal(Signal::TERM);
    worker.wait_success();
    let statuses: Vec<String> = workspace.all("SELECT status FROM qdjobs_jobs ORDER BY id", []);
    assert_eq!(statuses, ["completed", "completed", "completed", "pending", "pending"]);
    assert_eq!(workspace.one::<i64>("SELECT max(attempt) FROM qdjobs_jobs WHERE status = 'pending'", []), 0);
    assert_eq!(workspace.one::<i64>("SELECT count(*) FROM qdjobs_attempts", []), 0);
    assert_eq!(workers(&workspace), 0);
    workspace.assert_sound();
    assert_no_files_beside(&workspace);
}

#[test]
fn sigterm_gives_back_jobs_that_outlast_the_shutdown_timeout_and_no_retry_is_lost() {
    let workspace = Workspace::alone();
    let timeout = Duration::from_millis(400);
    let mut worker = WorkerProcess::worker(&workspace, ["--concurrency", "4", "--shutdown-timeout", "400"]);
    // None has a retry: what counted as a failure would end the job.
    let jobs = ["slow", "patient", "sleepy", "sleepy_local"].map(|task| (task, r#"{"ms": 600000}"#));
    let jobs = workspace.insert(&jobs);
    workspace.sql.execute("UPDATE qdjobs_jobs SET max_retries = 0", []).unwrap();
    for &id in &jobs {
        worker.wait("all to start", |line| line.is_start_of(id, 1));
    }
    let asked = Instant::now();
    worker.signal(Signal::TERM);
    worker.wait_success();
    let took = asked.elapsed();
    println!(
        "SIGTERM with a shutdown timeout of {timeout:?} and jobs that outlast it: gone after {took:.2?}"
    );
    assert!(took > timeout && took < timeout + MARGIN, "{took:?}");
    let state_of: Vec<String> = workspace.all(
        "SELECT task_name || ' ' || status || ' attempt ' || attempt || ' retries ' || retry_count || ' crashes '
             || crash_count FROM qdjobs_jobs ORDER BY id",
        [],
    );
    let given_back = |task: &str| format!("{task} pending attempt 1 retries 0 crashes 0");
    assert_eq!(state_of, ["slow", "patient", "sleepy", "sleepy_local"].map(given_back));
    let outcomes: Vec<String> = workspace.all("SELECT outcome FROM qdjobs_attempts ORDER BY job_id", []);
    assert_eq!(outcomes, ["released"; 4]);
    assert_eq!(workers(&workspace), 0);
    let last = worker.into_lines();
    assert_eq!(last.iter().find(|line| line.is("stopped")).map(|line| line.number(0)), Some(4));
    workspace.assert_sound();
}

/// While one worker drains, another one that runs beside it for five leases must not presume it dead.
#[test]
fn a_worker_that_runs_its_last_job_for_five_leases_after_sigterm_is_not_presumed_dead() {
    const LEASE: Duration = Duration::from_secs(1);
    const LEASES: u32 = 5;
    let workspace = Workspace::alone();
    let options = ["--concurrency", "2", "--lease", "1000", "--shutdown-timeout", "600000"];
    let mut draining = WorkerProcess::worker(&workspace, options);
    let job = workspace.insert_once(&[("gated", "{}")])[0];
    draining.wait("the job to start", |line| line.is_start_of(job, 1));
    // A second worker that could run the job as well.
    let mut other = WorkerProcess::worker(&workspace, options);
    let heartbeats = |worker: &mut WorkerProcess| -> i64 {
        workspace.one("SELECT heartbeats FROM qdjobs_workers WHERE id = ?1", [worker.number()])
    };
    draining.signal(Signal::TERM);
    let asked = Instant::now();
    let before = [heartbeats(&mut draining), heartbeats(&mut other)];
    while asked.elapsed() < LEASE * LEASES {
        std::thread::sleep(LEASE / 10);
        assert!(
            !other.log().iter().any(|line| line.is("rescued")),
            "presumed dead after {:?}",
            asked.elapsed()
        );
    }
    // Both sent heartbeats all the time.
    for (worker, before) in [&mut draining, &mut other].into_iter().zip(before) {
        assert!(heartbeats(worker) - before >= i64::from(LEASES));
    }
    // It does drain: the other worker alone runs new jobs.
    let probes = workspace.insert_once(&[("noop", r#"{"n": 1}"#); 20]);
    for &id in &probes {
        other.wait("the other worker to run new jobs", |line| line.is_start_of(id, 1));
    }
    let state_of =
        "SELECT status || ' attempt ' || attempt || ' worker ' || worker_id FROM qdjobs_jobs WHERE id = ?1";
    assert_eq!(
        workspace.one::<String>(state_of, [job]),
        format!("running attempt 1 worker {}", draining.number())
    );
    workspace.open_gate(job, 1);
    draining.wait_success();
    workspace.wait_drained();
    workspace.assert_all_completed();
    let counted = "SELECT attempt || ' retries ' || retry_count || ' crashes ' || crash_count FROM qdjobs_jobs WHERE id = ?1";
    assert_eq!(workspace.one::<String>(counted, [job]), "1 retries 0 crashes 0");
    assert_eq!(workspace.one::<i64>("SELECT count(*) FROM qdjobs_attempts", []), 0);
    assert!(workspace.starts().values().all(|&times| times == 1));
    let log_file = workspace.read_log();
    let strange =
        |what: &str| ["rescued", "lease-lost", "discarded", "store-error", "failed"].contains(&what);
    let strange: Vec<_> = log_file.iter().filter(|line| strange(&line.what)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    other.end();
    assert_eq!(workers(&workspace), 0);
}

/// A worker with a shutdown timeout of ten minutes, and a job that never ends.
fn with_a_job_that_hangs(workspace: &Workspace) -> (WorkerProcess, i64) {
    let mut worker = WorkerProcess::worker(workspace, ["--concurrency", "2", "--shutdown-timeout", "600000"]);
    let job = workspace.insert(&[("hang", r#"{"how": "park"}"#)])[0];
    worker.wait("the job to start", |line| line.is_start_of(job, 1));
    (worker, job)
}

/// Two signals that arrive together are one, unless they are different.
const SIGNALS: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::QUIT];

fn is_status_of_a_signal(code: Option<i32>) -> bool {
    SIGNALS.iter().any(|signal| code == Some(128 + signal.as_raw()))
}

#[test]
fn a_second_signal_releases_the_running_jobs_and_ends_the_process() {
    let workspace = Workspace::alone();
    let (mut worker, job) = with_a_job_that_hangs(&workspace);
    let first = Instant::now();
    SIGNALS[..2].iter().for_each(|signal| worker.signal(*signal));
    assert!(is_status_of_a_signal(worker.wait_exit().code()));
    assert!(first.elapsed() < MARGIN, "{:?}", first.elapsed());
    let state = "SELECT status || ' retries ' || retry_count || ' crashes ' || crash_count FROM qdjobs_jobs";
    assert_eq!(workspace.one::<String>(state, []), "pending retries 0 crashes 0");
    assert_eq!(workers(&workspace), 0);
    let mut next = WorkerProcess::worker(&workspace, []);
    next.wait("the job to start again", |line| line.is_start_of(job, 2));
}

#[test]
fn a_third_signal_ends_the_process_at_once() {
    let workspace = Workspace::alone();
    let (mut worker, job) = with_a_job_that_hangs(&workspace);
    // The release cannot be stored as long as another program holds the write lock.
    workspace.while_nobody_writes(|| {
        SIGNALS.iter().for_each(|signal| worker.signal(*signal));
        assert!(is_status_of_a_signal(worker.wait_exit().code()));
    });
    // As after any sudden end, the next worker frees what it left.
    let left: i64 = workspace.one("SELECT count(*) FROM qdjobs_jobs WHERE status = 'running'", []);
    assert_eq!(left, 1);
    let mut next = WorkerProcess::worker(&workspace, []);
    next.wait("the job to start again", |line| line.is_start_of(job, 2));
}

/// Waits until so many calls of `Worker::run` listen for signals, which begins after the start of the worker.
fn until_listening(process: &WorkerProcess, runs: usize) {
    let until = Instant::now() + DEADLINE;
    let is_listener = |thread: &Path| {
        std::fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim() == "qdjobs-signals")
    };
    // Elsewhere than on Linux, nothing shows it.
    while let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", process.pid())) {
        if threads.flatten().filter(|thread| is_listener(&thread.path())).count() == runs {
            return;
        }
        assert!(Instant::now() < until, "process {} does not listen", process.pid());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A supervisor's loop: see the mode `runs` of the program.
fn supervised<'a>(workspace: &Workspace, kinds: impl IntoIterator<Item = &'a str>) -> WorkerProcess {
    let arguments = ["runs", workspace.db()].map(str::to_owned);
    let arguments = arguments.into_iter().chain(kinds.into_iter().map(str::to_owned));
    let mut command = Command::new(env!("CARGO_BIN_EXE_worker_process"));
    WorkerProcess::spawn(command.args(arguments), workspace)
}

#[test]
fn a_signal_ends_a_process_whose_next_start_fails_or_that_hangs_after_a_run() {
    // One that the process ignored before keeps that effect.
    for signal in [Signal::TERM, Signal::INT, Signal::HUP].into_iter().filter(|signal| !is_ignored(*signal)) {
        for kinds in [&["fail"][..], &["run"], &["run", "fail"], &["fail", "run", "run", "fail", "fail"]] {
            let workspace = Workspace::alone();
            let mut process = supervised(&workspace, kinds.iter().copied());
            for nth in 1..=kinds.iter().filter(|kind| **kind == "run").count() {
                process.wait_nth(nth, "a worker to start", |line| line.is("started"));
                until_listening(&process, 1);
                process.signal(Signal::TERM);
                process.wait_nth(nth, "the run to return", |line| line.is("returned"));
            }
            process.wait("the loop to wait", |line| line.is("waits"));
            process.signal(signal);
            let status = process.wait_exit();
            assert_eq!(status.signal(), Some(signal.as_raw()), "after {kinds:?}: {status}");
            assert_eq!(workers(&workspace), 0);
        }
    }
}

#[test]
fn two_runs_of_a_process_stop_together_and_a_second_signal_releases_the_jobs_of_both() {
    let workspace = Workspace::alone();
    let mut process = supervised(&workspace, ["both", "both"]);
    process.wait_nth(2, "both workers to start", |line| line.is("started"));
    until_listening(&process, 2);
    process.signal(Signal::TERM);
    process.wait_nth(2, "both runs to return", |line| line.is("returned"));

    process.wait_nth(4, "both workers to start again", |line| line.is("started"));
    let jobs = workspace.insert(&[("hang", r#"{"how": "park"}"#); 2]);
    for id in jobs {
        process.wait("the job to start", |line| line.is_start_of(id, 1));
    }
    until_listening(&process, 2);
    SIGNALS[..2].iter().for_each(|signal| process.signal(*signal));
    assert!(is_status_of_a_signal(process.wait_exit().code()));
    let states: Vec<String> = workspace.all(
        "SELECT status || ' retries ' || retry_count || ' crashes ' || crash_count FROM qdjobs_jobs",
        [],
    );
    assert_eq!(states, ["pending retries 0 crashes 0"; 2]);
    assert_eq!(workers(&workspace), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_closed_terminal_stops_a_worker_gracefully_unless_the_process_ignores_its_signal() {
    let workspace = Workspace::alone();
    let mut worker = WorkerProcess::worker(&workspace, ["--shutdown-timeout", "600000"]);
    let job = workspace.insert(&[("gated", "{}")])[0];
    worker.wait("the job to start", |line| line.is_start_of(job, 1));
    until_listening(&worker, 1);
    worker.signal(Signal::HUP);
    worker.wait("it to stop", |line| line.is("waits-to-stop"));
    // The shell and the system both send it, so the second one is no second request.
    worker.signal(Signal::HUP);
    workspace.open_gate(job, 1);
    worker.wait_success();
    workspace.assert_all_completed();
    let attempts = "SELECT attempt || ' crashes ' || crash_count FROM qdjobs_jobs WHERE id = ?1";
    assert_eq!(workspace.one::<String>(attempts, [job]), "1 crashes 0");

    // As by `nohup`.
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap "" HUP; exec "$0" "$@""#, env!("CARGO_BIN_EXE_worker_process")]);
    let mut ignoring = WorkerProcess::worker_by(&mut command, &workspace, []);
    ignoring.wait("its worker to start", |line| line.is("started"));
    until_listening(&ignoring, 1);
    ignoring.signal(Signal::HUP);
    let job = workspace.insert(&[("noop", r#"{"n": 1}"#)])[0];
    ignoring.wait("it to go on", |line| line.is("completed") && line.number(0) == job);
    ignoring.signal(Signal::TERM);
    ignoring.wait_success();
}

/// Both kinds of end: a plain result, and a transaction of the task's own. They arrive while the second
/// attempt runs, when only the fence can tell them apart.
#[test]
fn a_worker_that_was_stopped_beyond_its_lease_is_refused_and_registers_again_under_a_new_number() {
    let workspace = Workspace::new();
    let options = ["--concurrency", "2", "--lease", "3000"];
    let mut frozen = WorkerProcess::worker(&workspace, options);
    let number = frozen.number();
    let jobs = workspace.insert(&[("gated", "{}"), ("gated_effect", "{}")]);
    let [plain, effect] = [jobs[0], jobs[1]];
    for id in [plain, effect] {
        frozen.wait("the first attempts", |line| line.is_start_of(id, 1));
    }
    // Each of them may hold one of the suspected jobs.
    let mut others = [0; 2].map(|_| WorkerProcess::worker(&workspace, options));
    freeze(&workspace, &frozen);
    let stopped = Instant::now();
    workspace.wait("SELECT count(*) FROM qdjobs_jobs WHERE status = 'running' AND attempt = 2", [], 2);
    let taken = stopped.elapsed();
    println!("a stopped worker, with a lease of 3 s: its jobs ran elsewhere after {taken:.2?}");
    // The lease counts from the last heartbeat, which may have been a third of a lease before the stop.
    assert!(taken > Duration::from_millis(1_800), "claimed again before the lease was over: {taken:?}");

    frozen.signal(Signal::CONT);
    frozen.wait("it to notice", |line| line.is("lease-lost") && line.number(0) == number);
    for id in [plain, effect] {
        workspace.open_gate(id, 1);
    }
    frozen.wait("its result to be discarded", |line| line.is("discarded") && line.number(0) == plain);
    let refused = frozen.wait("its transaction to be refused", |line| line.is("no-commit"));
    assert_eq!(refused.words, [effect.to_string(), "1".into(), "LeaseLost".into()]);
    assert_eq!(workspace.counts(), "running 2", "the second attempts continue");
    for id in [plain, effect] {
        workspace.open_gate(id, 2);
    }
    workspace.wait_drained();
    workspace.assert_all_completed();
    assert_eq!(workspace.all::<String>("SELECT result FROM qdjobs_jobs ORDER BY id", []), ["2", "2"]);
    assert_eq!(workspace.all::<i64>("SELECT attempt FROM effects", []), [2]);

    // It continues, under a new number.
    for other in &mut others {
        other.signal(Signal::TERM);
        other.wait_success();
    }
    let more = workspace.insert(&[("noop", r#"{"n": 1}"#); 10]);
    workspace.wait_drained();
    workspace.assert_all_completed();
    let by: Vec<i64> = workspace.all("SELECT DISTINCT worker_id FROM qdjobs_jobs WHERE id >= ?1", [more[0]]);
    let now: i64 = workspace.one("SELECT id FROM qdjobs_workers WHERE pid = ?1", [frozen.pid()]);
    assert_eq!(by, [now]);
    assert_ne!(now, number);
    assert_eq!(
        frozen.log().iter().filter(|line| line.is("lease-lost")).count(),
        1,
        "it registers again once"
    );
    frozen.signal(Signal::TERM);
    frozen.wait_success();
    assert_eq!(workers(&workspace), 0);
    assert_no_files_beside(&workspace);
}

#[test]
fn a_worker_that_registers_again_does_not_run_a_job_beside_its_own_earlier_attempt() {
    let workspace = Workspace::new();
    let mut frozen = WorkerProcess::worker(&workspace, ["--concurrency", "2", "--lease", "3000"]);
    let job = workspace.insert(&[("gated", "{}")])[0];
    frozen.wait("the first attempt", |line| line.is_start_of(job, 1));
    // A worker that frees the job, but cannot run it.
    let mut other = WorkerProcess::worker(&workspace, ["--tasks", "noop", "--lease", "3000"]);
    freeze(&workspace, &frozen);
    other.wait("it to be presumed dead", |line| line.is("rescued"));
    other.signal(Signal::TERM);
    other.wait_success();
    frozen.signal(Signal::CONT);
    frozen.wait("it to notice", |line| line.is("lease-lost"));
    // Both slots are tried: if the job started now, it would do so before these.
    let probes = workspace.insert(&[("noop", r#"{"n": 1}"#); 5]);
    frozen.wait_nth(probes.len(), "other jobs to run meanwhile", |line| {
        line.is("start") && line.words[2] == "noop"
    });
    assert!(!frozen.log().iter().any(|line| line.is_start_of(job, 2)), "run twice at once in one process");
    workspace.open_gate(job, 1);
    frozen.wait("its late result to be discarded", |line| line.is("discarded"));
    workspace.open_gate(job, 2);
    workspace.wait_drained();
    workspace.assert_all_completed();
    assert_eq!(workspace.one::<String>("SELECT result FROM qdjobs_jobs WHERE id = ?1", [job]), "2");
    assert_eq!(workspace.starts()[&job], 2);
    frozen.signal(Signal::TERM);
    frozen.wait_success();
}
