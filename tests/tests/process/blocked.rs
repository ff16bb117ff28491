//! User code that blocks every thread it can: the lease is kept all the same, since it depends on none of
//! those threads.

use std::time::{Duration, Instant};

use crate::worker_process::WorkerProcess;
use crate::workspace::Workspace;

const LEASE: Duration = Duration::from_secs(1);
const LEASES: u32 = 5;

#[test]
fn a_worker_whose_threads_and_runtime_are_all_busy_keeps_its_jobs_for_five_leases() {
    let workspace = Workspace::alone();
    let options = ["--concurrency", "2", "--async-concurrency", "8", "--lease", "1000"];
    let mut busy = WorkerProcess::worker(&workspace, options);
    let held = format!(r#"{{"ms": {}}}"#, (LEASE * LEASES).as_millis());
    let held = held.as_str();
    // Every thread for `fn` tasks, the executor's two threads, and the runtime's own.
    let jobs =
        [("spin", held), ("spin", held), ("spin_async", held), ("spin_async", held), ("block_runtime", held)];
    let jobs = workspace.insert(&jobs);
    for &id in &jobs {
        busy.wait("all threads to be busy", |line| line.is_start_of(id, 1));
    }
    let begun = Instant::now();
    // A second worker that could run all of them.
    let mut other = WorkerProcess::worker(&workspace, options);
    let probe = workspace.insert(&[("noop", r#"{"n": 1}"#)])[0];
    other.wait("it to run a job", |line| line.is_start_of(probe, 1));
    workspace.wait_drained();
    let took = begun.elapsed();
    println!("busy on all threads for {took:.2?}, with a lease of {LEASE:?}");
    assert!(took > LEASE * (LEASES - 1), "the jobs ended too early to prove anything: {took:?}");
    workspace.assert_all_completed();
    let starts = workspace.starts();
    assert!(starts.values().all(|&times| times == 1), "run twice: {starts:?}");
    let log = [busy.log(), other.log()].concat();
    let strange: Vec<_> = log
        .iter()
        .filter(|line| ["rescued", "lease-lost", "discarded", "store-error"].contains(&line.what.as_str()))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    let crashes: i64 = workspace.one("SELECT sum(crash_count) + sum(retry_count) FROM qdjobs_jobs", []);
    assert_eq!(crashes, 0);
    // The worker was not only left alone: it has sent heartbeats meanwhile.
    let heartbeats: i64 = workspace.one("SELECT heartbeats FROM qdjobs_workers WHERE pid = ?1", [busy.pid()]);
    assert!(heartbeats >= i64::from(LEASES), "{heartbeats} heartbeats");
}
