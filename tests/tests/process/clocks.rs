//! The wall clock jumps under running workers: leases, timeouts and running jobs are unaffected, scheduled
//! jobs follow it.
//!
//! Uses libfaketime, which changes only the wall clock of the real program. Where it is missing, the tests
//! are skipped.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use crate::signals::freeze;
use crate::worker_process::{LogLine, WorkerProcess};
use crate::workspace::Workspace;

const LEASE: Duration = Duration::from_secs(3);

/// Where distributions install it.
const LIBRARIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// A wall clock that can be set, for the processes that are started with it.
struct WallClock {
    faketime: &'static str,
    offset: PathBuf,
}

impl WallClock {
    fn of(workspace: &Workspace) -> Option<WallClock> {
        let Some(faketime) = LIBRARIES.iter().copied().find(|path| std::path::Path::new(path).exists())
        else {
            crate::skip("libfaketime (Debian's package `faketime`) is not installed");
            return None;
        };
        let clock = WallClock { faketime, offset: workspace.path("offset") };
        clock.set("+0");
        Some(clock)
    }

    /// Sets it to the true time plus this offset.
    fn set(&self, offset: &str) {
        let new = self.offset.with_extension("new");
        std::fs::write(&new, offset).unwrap();
        std::fs::rename(new, &self.offset).unwrap();
    }

    fn worker<'a>(&self, workspace: &Workspace, options: impl IntoIterator<Item = &'a str>) -> WorkerProcess {
        let mut command = Command::new(env!("CARGO_BIN_EXE_worker_process"));
        command
            .env("LD_PRELOAD", self.faketime)
            .env("FAKETIME_TIMESTAMP_FILE", &self.offset)
            // Read the file each time.
            .env("FAKETIME_NO_CACHE", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
        let mut worker = WorkerProcess::worker_by(&mut command, workspace, options);
        worker.wait("its worker to start", |line| line.is("started"));
        worker
    }
}

fn now_micros() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64
}

const HOUR: i64 = 3_600_000_000;

/// A job that is due this many microseconds after now, by the true time.
fn schedule(workspace: &Workspace, after: i64) -> i64 {
    let insert = "INSERT INTO qdjobs_jobs (task_name, params, max_retries, scheduled_at) VALUES ('noop', '{\"n\": 1}', 0, ?1)";
    workspace.sql.execute(insert, [now_micros() + after]).unwrap();
    workspace.sql.last_insert_rowid()
}

#[test]
fn jumps_of_the_wall_clock_affect_no_lease_and_no_timeout_of_running_jobs() {
    let workspace = Workspace::alone();
    let Some(clock) = WallClock::of(&workspace) else { return };
    let options = ["--concurrency", "4", "--lease", "3000"];
    let mut workers = [0; 2].map(|_| clock.worker(&workspace, options));
    // These run for as long as the clock jumps.
    let held = workspace.insert_once(&[[("gated", "{}"); 3], [("gated_async", "{}"); 3]].concat());
    workspace.wait("SELECT count(*) FROM qdjobs_jobs WHERE status = 'running'", [], held.len() as i64);
    let mut timed = Vec::new();
    for offset in ["+1d", "-1d", "+10y", "-10y", "+0"] {
        // One job exceeds its timeout of two seconds after exactly that time; the other has time for much
        // more.
        let runs_out = workspace.insert_once(&[("timed", r#"{"ms": 600000}"#)])[0];
        let in_time = workspace.insert_once(&[("gated_timed", "{}")])[0];
        wait_for_any(&mut workers, |line| line.is_start_of(runs_out, 1));
        wait_for_any(&mut workers, |line| line.is_start_of(in_time, 1));
        clock.set(offset);
        let moved = Instant::now();
        wait_for_any(&mut workers, |line| line.is("failed") && line.number(0) == runs_out);
        let took = moved.elapsed();
        workspace.open_gate(in_time, 1);
        wait_for_any(&mut workers, |line| line.is("completed") && line.number(0) == in_time);
        timed.push(took);
        assert!(took < Duration::from_secs(2) + 4 * LEASE, "{offset}: timed out after {took:?}");
        let error: String = workspace.one("SELECT error FROM qdjobs_jobs WHERE id = ?1", [runs_out]);
        assert_eq!(error, "timed out after 2s", "{offset}");
    }
    println!("a timeout of 2 s, across jumps of the wall clock: {timed:.2?}");
    held.iter().for_each(|&id| workspace.open_gate(id, 1));
    workspace.wait_drained();
    assert_eq!(workspace.counts(), "completed 11, failed 5");
    let starts = workspace.starts();
    assert!(starts.values().all(|&times| times == 1), "run twice: {starts:?}");
    let log_file = workspace.read_log();
    let strange = |what: &str| ["rescued", "lease-lost", "discarded", "store-error"].contains(&what);
    let strange: Vec<_> = log_file.iter().filter(|line| strange(&line.what)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    // The workers' own times must show the jumps; otherwise this test has proven nothing.
    let years: Vec<i64> =
        log_file.iter().map(|line| (line.micros - now_micros()) / (365 * 24 * HOUR)).collect();
    assert!(years.contains(&9) || years.contains(&10), "never ten years ahead");
    assert!(years.contains(&-9) || years.contains(&-10), "never ten years back");
    workspace.assert_sound();
}

/// Waits until one of them has reported such a line.
fn wait_for_any(workers: &mut [WorkerProcess; 2], wanted: impl Fn(&LogLine) -> bool) -> LogLine {
    let until = Instant::now() + crate::worker_process::DEADLINE;
    loop {
        for worker in workers.iter_mut() {
            if let Some(line) = worker.log().iter().find(|line| wanted(line)) {
                return line.clone();
            }
        }
        assert!(Instant::now() < until, "nothing within the deadline");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A worker that watches others does so by a time that no jump changes. By a wall clock that goes back it
/// would wait for a day.
#[test]
fn a_stopped_worker_is_presumed_dead_after_its_lease_though_the_wall_clock_goes_back() {
    let workspace = Workspace::alone();
    let Some(clock) = WallClock::of(&workspace) else { return };
    let mut frozen = WorkerProcess::worker(&workspace, ["--concurrency", "1", "--lease", "3000"]);
    let number = frozen.number();
    let job = workspace.insert_once(&[("gated", "{}")])[0];
    frozen.wait("the job to start", |line| line.is_start_of(job, 1));
    let mut observer = clock.worker(&workspace, ["--concurrency", "1", "--lease", "3000"]);
    freeze(&workspace, &frozen);
    let stopped = Instant::now();
    // A day back after each heartbeat of the observer: between two of its heartbeats it has looked at the
    // others.
    let heartbeats = |observer: &mut WorkerProcess| -> i64 {
        workspace.one("SELECT heartbeats FROM qdjobs_workers WHERE id = ?1", [observer.number()])
    };
    let (mut beaten, mut days) = (heartbeats(&mut observer), 0);
    while !observer.log().iter().any(|line| line.is("rescued") && line.number(0) == number) {
        assert!(stopped.elapsed() < crate::worker_process::DEADLINE, "never presumed dead, {days} days back");
        let now = heartbeats(&mut observer);
        if now > beaten {
            beaten = now;
            days += 1;
            clock.set(&format!("-{days}d"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let taken = stopped.elapsed();
    println!("presumed dead after {taken:.2?}, with a lease of {LEASE:?} and a wall clock {days} days back");
    assert!(days > 0, "the clock was never set back");
    // The lease counts from the last heartbeat, which may have been a third of a lease before the stop.
    assert!(taken > LEASE * 6 / 10, "{taken:?}");
    workspace.open_gate(job, 2);
    observer.wait("the job to start again", |line| line.is_start_of(job, 2));
    workspace.wait_drained();
    workspace.assert_all_completed();
    assert!(
        !observer
            .log()
            .iter()
            .any(|line| ["lease-lost", "discarded", "store-error"].contains(&line.what.as_str()))
    );
}

#[test]
fn scheduled_jobs_follow_the_wall_clock_forward_and_back() {
    let workspace = Workspace::new();
    let Some(clock) = WallClock::of(&workspace) else { return };
    let mut worker = clock.worker(&workspace, ["--lease", "3000"]);
    // The clock is set back: what would be due now by the true time is not due, nor an hour later.
    clock.set("-1d");
    let soon = schedule(&workspace, 200_000);
    let tomorrow = schedule(&workspace, 23 * HOUR);
    let probe = workspace.insert_once(&[("gated", "{}")])[0];
    workspace.open_gate(probe, 1);
    worker.wait("a job to complete by the clock of yesterday", |line| {
        line.is("completed") && line.number(0) == probe
    });
    let told = worker.wait("it", |line| line.is("start") && line.number(0) == probe);
    assert!(told.micros < now_micros() - 20 * HOUR, "the clock was not set back");
    let later = Instant::now() + 2 * LEASE;
    while Instant::now() < later {
        assert!(!worker.log().iter().any(|line| line.is("start") && line.number(0) != probe));
        std::thread::sleep(Duration::from_millis(50));
    }
    // The clock is set right: the first is overdue.
    clock.set("+0");
    worker.wait("the first", |line| line.is_start_of(soon, 1));
    assert!(!worker.log().iter().any(|line| line.is("start") && line.number(0) == tomorrow));
    // The clock is set forward: so is the second.
    clock.set("+1d");
    worker.wait("the second", |line| line.is_start_of(tomorrow, 1));
    workspace.wait_drained();
    workspace.assert_all_completed();
    assert!(
        !worker
            .log()
            .iter()
            .any(|line| ["lease-lost", "discarded", "store-error"].contains(&line.what.as_str()))
    );
}
