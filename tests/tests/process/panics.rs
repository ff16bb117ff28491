//! Panics: a failed attempt, and nothing else.

use std::collections::BTreeMap;

use crate::scene::Scene;
use crate::worker_process::{Said, WorkerProcess};

const SLOTS: usize = 4;

/// The most jobs of a kind that were between their start and their end at the same time.
fn most_at_once(ledger: &[Said], tasks: &[&str]) -> usize {
    let mut running = BTreeMap::new();
    let mut most = 0;
    for said in ledger {
        if said.is("start") && tasks.contains(&said.words[2].as_str()) {
            running.insert(said.number(0), ());
        } else if said.is("end") {
            running.remove(&said.number(0));
        }
        most = most.max(running.len());
    }
    most
}

/// All slots of both dispatchers panic at once, each slot twice over.
#[test]
fn a_panic_in_every_slot_is_a_failed_attempt_each_and_costs_no_slot() {
    let scene = Scene::new();
    let mut worker = WorkerProcess::worker(&scene, ["--concurrency", "4", "--async-concurrency", "4"]);
    for local in [false, true] {
        let on_threads = if local { "gated_boom_local" } else { "gated_boom" };
        let jobs = [[(on_threads, "{}"); SLOTS], [("gated_boom_async", "{}"); SLOTS]].concat();
        let jobs = scene.insert_once(&jobs);
        for &id in &jobs {
            worker.wait("every slot to be taken", |said| said.is_start_of(id, 1));
        }
        jobs.iter().for_each(|&id| scene.open_gate(id, 1));
        for &id in &jobs {
            let failed =
                worker.wait("the panic to be told", |said| said.is("failed") && said.number(0) == id);
            assert_eq!(failed.words[2..].join(" "), "the task panicked: boom");
        }
    }
    assert_eq!(scene.counts(), "failed 16");
    assert_eq!(scene.one::<i64>("SELECT sum(attempt) FROM qdjobs_jobs", []), 16);
    let outcomes: Vec<String> =
        scene.all("SELECT outcome || ' ' || error FROM qdjobs_attempts ORDER BY job_id", []);
    assert_eq!(outcomes, ["failed the task panicked: boom"; 16]);

    // As many as before run at once, and not one more: the third job of a dispatcher's four would wait for ever for a slot that
    // is gone.
    let more = [[("gated", "{}"); SLOTS + 2], [("gated_async", "{}"); SLOTS + 2]].concat();
    let more = scene.insert_once(&more);
    for task in ["gated", "gated_async"] {
        worker
            .wait_nth(SLOTS, "all slots to be taken again", |said| said.is("start") && said.words[2] == task);
    }
    more.iter().for_each(|&id| scene.open_gate(id, 1));
    scene.wait_drained();
    assert_eq!(scene.counts(), "completed 12, failed 16");
    let ledger = scene.read_ledger();
    assert_eq!(most_at_once(&ledger, &["gated"]), SLOTS);
    assert_eq!(most_at_once(&ledger, &["gated_async"]), SLOTS);
    assert!(!worker.has_ended());
    assert!(scene.starts().values().all(|&times| times == 1));
    scene.assert_sound();
}

/// What is retried after a panic counts a retry and no crash.
#[test]
fn a_panic_is_retried_as_any_failure_is_and_counts_no_crash() {
    let scene = Scene::new();
    let mut worker = WorkerProcess::worker(&scene, ["--concurrency", "2"]);
    let job = scene.insert(&[("boom", r#"{"times": 2}"#)])[0];
    for attempt in 1..=3 {
        worker.wait("the next attempt", |said| said.is_start_of(job, attempt));
    }
    scene.wait_drained();
    scene.assert_all_completed();
    let counted: String =
        scene.one("SELECT attempt || ' ' || retry_count || ' ' || crash_count FROM qdjobs_jobs", []);
    assert_eq!(counted, "3 2 0");
}
