//! User code that blocks every thread it can get: the lease is kept all the same, since nothing of it depends on those threads.

use std::time::{Duration, Instant};

use crate::scene::Scene;
use crate::worker_process::WorkerProcess;

const LEASE: Duration = Duration::from_secs(1);
const LEASES: u32 = 5;

#[test]
fn a_worker_whose_threads_and_runtime_are_all_busy_keeps_its_jobs_for_five_leases() {
    let scene = Scene::alone();
    let options = ["--concurrency", "2", "--async-concurrency", "8", "--lease", "1000"];
    let mut busy = WorkerProcess::worker(&scene, options);
    let held = format!(r#"{{"ms": {}}}"#, (LEASE * LEASES).as_millis());
    let held = held.as_str();
    // Every thread for `fn` tasks, the executor's two, and the runtime's own.
    let jobs = [("spin", held), ("spin", held), ("spin_async", held), ("spin_async", held), ("choke", held)];
    let jobs = scene.insert(&jobs);
    for &id in &jobs {
        busy.wait("all threads to be busy", |said| said.is_start_of(id, 1));
    }
    let begun = Instant::now();
    // One who could run them all, and would.
    let mut other = WorkerProcess::worker(&scene, options);
    let probe = scene.insert(&[("noop", r#"{"n": 1}"#)])[0];
    other.wait("it to work", |said| said.is_start_of(probe, 1));
    scene.wait_drained();
    let took = begun.elapsed();
    println!("busy on all threads for {took:.2?}, with a lease of {LEASE:?}");
    assert!(took > LEASE * (LEASES - 1), "the jobs ended before that proves anything: {took:?}");
    scene.assert_all_completed();
    let starts = scene.starts();
    assert!(starts.values().all(|&times| times == 1), "run twice: {starts:?}");
    let said = [busy.said(), other.said()].concat();
    let strange: Vec<_> = said
        .iter()
        .filter(|said| ["rescued", "lost", "refused", "trouble"].contains(&said.what.as_str()))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    let crashes: i64 = scene.one("SELECT sum(crash_count) + sum(retry_count) FROM qdjobs_jobs", []);
    assert_eq!(crashes, 0);
    // Not only not taken: it has beaten meanwhile, in spite of everything.
    let heartbeats: i64 = scene.one("SELECT heartbeats FROM qdjobs_workers WHERE pid = ?1", [busy.pid()]);
    assert!(heartbeats >= i64::from(LEASES), "{heartbeats} heartbeats");
}
