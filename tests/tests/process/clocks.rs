//! The wall clock jumps under running workers: leases, timeouts and running jobs take no notice, scheduled jobs follow it.
//!
//! By libfaketime, which lies to the real program about the wall clock alone. Where it is missing, the tests say so.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use crate::scene::Scene;
use crate::signals::freeze;
use crate::worker_process::{Said, WorkerProcess};

const LEASE: Duration = Duration::from_secs(3);

/// Where distributions keep it.
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
    fn of(scene: &Scene) -> Option<WallClock> {
        let Some(faketime) = LIBRARIES.iter().copied().find(|path| std::path::Path::new(path).exists())
        else {
            crate::skip("libfaketime (Debian's package `faketime`) is not installed");
            return None;
        };
        let clock = WallClock { faketime, offset: scene.path("offset") };
        clock.set("+0");
        Some(clock)
    }

    /// Off the true time by so much, from now on.
    fn set(&self, offset: &str) {
        let new = self.offset.with_extension("new");
        std::fs::write(&new, offset).unwrap();
        std::fs::rename(new, &self.offset).unwrap();
    }

    fn worker<'a>(&self, scene: &Scene, options: impl IntoIterator<Item = &'a str>) -> WorkerProcess {
        let mut command = Command::new(env!("CARGO_BIN_EXE_worker_process"));
        command
            .env("LD_PRELOAD", self.faketime)
            .env("FAKETIME_TIMESTAMP_FILE", &self.offset)
            // Look at the file each time.
            .env("FAKETIME_NO_CACHE", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
        let mut worker = WorkerProcess::worker_by(&mut command, scene, options);
        worker.wait("its worker to start", |said| said.is("started"));
        worker
    }
}

fn now_micros() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64
}

const HOUR: i64 = 3_600_000_000;

/// A job that is due `after` so many microseconds by the true time.
fn schedule(scene: &Scene, after: i64) -> i64 {
    let insert = "INSERT INTO qdjobs_jobs (task_name, params, max_retries, scheduled_at) VALUES ('noop', '{\"n\": 1}', 0, ?1)";
    scene.sql.execute(insert, [now_micros() + after]).unwrap();
    scene.sql.last_insert_rowid()
}

#[test]
fn jumps_of_the_wall_clock_take_no_lease_and_no_time_from_running_jobs() {
    let scene = Scene::alone();
    let Some(clock) = WallClock::of(&scene) else { return };
    let options = ["--concurrency", "4", "--lease", "3000"];
    let mut workers = [0; 2].map(|_| clock.worker(&scene, options));
    // For as long as the clock jumps.
    let held = scene.insert_once(&[[("gated", "{}"); 3], [("gated_async", "{}"); 3]].concat());
    scene.wait("SELECT count(*) FROM qdjobs_jobs WHERE status = 'running'", [], held.len() as i64);
    let mut timed = Vec::new();
    for offset in ["+1d", "-1d", "+10y", "-10y", "+0"] {
        // The two seconds of the one are over when they are over, and not before; the other has time for much more.
        let runs_out = scene.insert_once(&[("timed", r#"{"ms": 600000}"#)])[0];
        let in_time = scene.insert_once(&[("gated_timed", "{}")])[0];
        wait_for_any(&mut workers, |said| said.is_start_of(runs_out, 1));
        wait_for_any(&mut workers, |said| said.is_start_of(in_time, 1));
        clock.set(offset);
        let moved = Instant::now();
        wait_for_any(&mut workers, |said| said.is("failed") && said.number(0) == runs_out);
        let took = moved.elapsed();
        scene.open_gate(in_time, 1);
        wait_for_any(&mut workers, |said| said.is("completed") && said.number(0) == in_time);
        timed.push(took);
        assert!(took < Duration::from_secs(2) + 4 * LEASE, "{offset}: timed out after {took:?}");
        let error: String = scene.one("SELECT error FROM qdjobs_jobs WHERE id = ?1", [runs_out]);
        assert_eq!(error, "timed out after 2s", "{offset}");
    }
    println!("a timeout of 2 s, across jumps of the wall clock: {timed:.2?}");
    held.iter().for_each(|&id| scene.open_gate(id, 1));
    scene.wait_drained();
    assert_eq!(scene.counts(), "completed 11, failed 5");
    let starts = scene.starts();
    assert!(starts.values().all(|&times| times == 1), "run twice: {starts:?}");
    let ledger = scene.read_ledger();
    let strange = |what: &str| ["rescued", "lost", "refused", "trouble"].contains(&what);
    let strange: Vec<_> = ledger.iter().filter(|said| strange(&said.what)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    // They have told another time, or this has shown nothing.
    let years: Vec<i64> =
        ledger.iter().map(|said| (said.micros - now_micros()) / (365 * 24 * HOUR)).collect();
    assert!(years.contains(&9) || years.contains(&10), "never ten years ahead");
    assert!(years.contains(&-9) || years.contains(&-10), "never ten years behind");
    scene.assert_sound();
}

/// Waits until one of them has said such a line.
fn wait_for_any(workers: &mut [WorkerProcess; 2], wanted: impl Fn(&Said) -> bool) -> Said {
    let until = Instant::now() + crate::worker_process::PATIENCE;
    loop {
        for worker in workers.iter_mut() {
            if let Some(said) = worker.said().iter().find(|said| wanted(said)) {
                return said.clone();
            }
        }
        assert!(Instant::now() < until, "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whoever judges others does so by a time that no jump changes. A wall clock that goes back would let it wait for a day.
#[test]
fn a_worker_that_stands_still_is_taken_for_dead_after_its_lease_though_the_wall_clock_goes_back() {
    let scene = Scene::alone();
    let Some(clock) = WallClock::of(&scene) else { return };
    let mut frozen = WorkerProcess::worker(&scene, ["--concurrency", "1", "--lease", "3000"]);
    let number = frozen.number();
    let job = scene.insert_once(&[("gated", "{}")])[0];
    frozen.wait("the job to start", |said| said.is_start_of(job, 1));
    let mut judge = clock.worker(&scene, ["--concurrency", "1", "--lease", "3000"]);
    freeze(&scene, &frozen);
    let stopped = Instant::now();
    // A day further back whenever the judge has beaten: between two of its heartbeats it has looked at the others.
    let heartbeats = |judge: &mut WorkerProcess| -> i64 {
        scene.one("SELECT heartbeats FROM qdjobs_workers WHERE id = ?1", [judge.number()])
    };
    let (mut beaten, mut days) = (heartbeats(&mut judge), 0);
    while !judge.said().iter().any(|said| said.is("rescued") && said.number(0) == number) {
        assert!(
            stopped.elapsed() < crate::worker_process::PATIENCE,
            "never taken for dead, {days} days back"
        );
        let now = heartbeats(&mut judge);
        if now > beaten {
            beaten = now;
            days += 1;
            clock.set(&format!("-{days}d"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let taken = stopped.elapsed();
    println!("taken for dead after {taken:.2?}, with a lease of {LEASE:?} and a wall clock {days} days back");
    assert!(days > 0, "the clock was never put back");
    // The lease counts from the last heartbeat, which may have come a third of it before the stop.
    assert!(taken > LEASE * 6 / 10, "{taken:?}");
    scene.open_gate(job, 2);
    judge.wait("the job to start again", |said| said.is_start_of(job, 2));
    scene.wait_drained();
    scene.assert_all_completed();
    assert!(!judge.said().iter().any(|said| ["lost", "refused", "trouble"].contains(&said.what.as_str())));
}

#[test]
fn scheduled_jobs_follow_the_wall_clock_forward_and_back() {
    let scene = Scene::new();
    let Some(clock) = WallClock::of(&scene) else { return };
    let mut worker = clock.worker(&scene, ["--lease", "3000"]);
    // The clock is put back: what would be due now by the true time is not, nor is it an hour later.
    clock.set("-1d");
    let soon = schedule(&scene, 200_000);
    let tomorrow = schedule(&scene, 23 * HOUR);
    let probe = scene.insert_once(&[("gated", "{}")])[0];
    scene.open_gate(probe, 1);
    worker
        .wait("it to work by the clock of yesterday", |said| said.is("completed") && said.number(0) == probe);
    let told = worker.wait("it", |said| said.is("start") && said.number(0) == probe);
    assert!(told.micros < now_micros() - 20 * HOUR, "the clock was not put back");
    let later = Instant::now() + 2 * LEASE;
    while Instant::now() < later {
        assert!(!worker.said().iter().any(|said| said.is("start") && said.number(0) != probe));
        std::thread::sleep(Duration::from_millis(50));
    }
    // It is put right: the first is overdue.
    clock.set("+0");
    worker.wait("the first", |said| said.is_start_of(soon, 1));
    assert!(!worker.said().iter().any(|said| said.is("start") && said.number(0) == tomorrow));
    // It is put forward: so is the second.
    clock.set("+1d");
    worker.wait("the second", |said| said.is_start_of(tomorrow, 1));
    scene.wait_drained();
    scene.assert_all_completed();
    assert!(!worker.said().iter().any(|said| ["lost", "refused", "trouble"].contains(&said.what.as_str())));
}
