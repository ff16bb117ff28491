//! Panics: each is a failed attempt, and nothing else.

use std::collections::BTreeMap;

use crate::worker_process::{LogLine, WorkerProcess};
use crate::workspace::Workspace;

const SLOTS: usize = 4;

/// The most jobs of these tasks that ran at the same time.
fn most_at_once(log_file: &[LogLine], tasks: &[&str]) -> usize {
    let mut running = BTreeMap::new();
    let mut most = 0;
    for line in log_file {
        if line.is("start") && tasks.contains(&line.words[2].as_str()) {
            running.insert(line.number(0), ());
        } else if line.is("end") {
            running.remove(&line.number(0));
        }
        most = most.max(running.len());
    }
    most
}

/// All slots of both dispatchers panic at once, each slot twice.
#[test]
fn a_panic_in_every_slot_fails_each_attempt_and_costs_no_slot() {
    let workspace = Workspace::new();
    let mut worker = WorkerProcess::worker(&workspace, ["--concurrency", "4", "--async-concurrency", "4"]);
    for local in [false, true] {
        let on_threads = if local { "gated_boom_local" } else { "gated_boom" };
        let jobs = [[(on_threads, "{}"); SLOTS], [("gated_boom_async", "{}"); SLOTS]].concat();
        let jobs = workspace.insert_once(&jobs);
        for &id in &jobs {
            worker.wait("every slot to be taken", |line| line.is_start_of(id, 1));
        }
        jobs.iter().for_each(|&id| workspace.open_gate(id, 1));
        for &id in &jobs {
            let failed =
                worker.wait("the panic to be reported", |line| line.is("failed") && line.number(0) == id);
            assert_eq!(failed.words[2..].join(" "), "the task panicked: boom");
        }
    }
    assert_eq!(workspace.counts(), "failed 16");
    assert_eq!(workspace.one::<i64>("SELECT sum(attempt) FROM qdjobs_jobs", []), 16);
    let outcomes: Vec<String> =
        workspace.all("SELECT outcome || ' ' || error FROM qdjobs_attempts ORDER BY job_id", []);
    assert_eq!(outcomes, ["failed the task panicked: boom"; 16]);

    // As many as before run at once, and not one more: the third of a dispatcher's four jobs would wait
    // forever for a slot that is gone.
    let more = [[("gated", "{}"); SLOTS + 2], [("gated_async", "{}"); SLOTS + 2]].concat();
    let more = workspace.insert_once(&more);
    for task in ["gated", "gated_async"] {
        worker
            .wait_nth(SLOTS, "all slots to be taken again", |line| line.is("start") && line.words[2] == task);
    }
    more.iter().for_each(|&id| workspace.open_gate(id, 1));
    workspace.wait_drained();
    assert_eq!(workspace.counts(), "completed 12, failed 16");
    let log_file = workspace.read_log();
    assert_eq!(most_at_once(&log_file, &["gated"]), SLOTS);
    assert_eq!(most_at_once(&log_file, &["gated_async"]), SLOTS);
    assert!(!worker.has_ended());
    assert!(workspace.starts().values().all(|&times| times == 1));
    workspace.assert_sound();
}

/// A retry after a panic counts as a retry and not as a crash.
#[test]
fn a_panic_is_retried_like_any_failure_and_counts_no_crash() {
    let workspace = Workspace::new();
    let mut worker = WorkerProcess::worker(&workspace, ["--concurrency", "2"]);
    let job = workspace.insert(&[("boom", r#"{"times": 2}"#)])[0];
    for attempt in 1..=3 {
        worker.wait("the next attempt", |line| line.is_start_of(job, attempt));
    }
    workspace.wait_drained();
    workspace.assert_all_completed();
    let counted: String =
        workspace.one("SELECT attempt || ' ' || retry_count || ' ' || crash_count FROM qdjobs_jobs", []);
    assert_eq!(counted, "3 2 0");
}
