//! A simulation of several workers on one file: one thread takes every step, in an order that a seed
//! determines.
//!
//! A seed draws the kinds of disruption (`plan.rs`). `world.rs` runs the steps, `process.rs` has one process,
//! `model.rs` checks each committed state, `trace.rs` has the lines of a run. After the chaos all faults end,
//! and every job must end by a deadline.
//!
//! It runs the product's own code. Writer, reader, dispatchers and supervisor are those that the product's
//! threads call. SQLite is real, on a simulated disk (the crate `qdjobs-sim-disk`); the clock is simulated.
//!
//! ```text
//! cargo test -p qdjobs --lib sim                          the kept seeds, and some fresh ones
//! QDJOBS_SIM_SEEDS=20000 cargo test -p qdjobs --lib sim   many fresh ones
//! QDJOBS_SEED=7 cargo test -p qdjobs --lib sim            one seed, with its trace
//! ```
//!
//! Depends on everything. Nothing depends on it.

mod model;
mod plan;
mod process;
mod trace;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use self::plan::Disruption;
use self::trace::Trace;
use self::world::World;
use crate::model::rng::Rng;

/// The seeds that every test runs, and how many fresh ones it adds.
const KEPT: u64 = 150;
const FRESH: u64 = 50;

/// The cases that the seeds together have to reach. If one is missing, the simulation does not test what it
/// should.
const SEEN: &[&str] = &[
    "a fault struck",
    "a rescue was written before the end of a job",
    "a store halted",
    "a worker reported a store error",
    "a worker lost its lease",
    "cancelled by hand",
    "cancelled by the task",
    "crashed",
    "deleted",
    "died before the answer",
    "died in a step",
    "died with jobs",
    "ended after its timeout",
    "ended when asked to stop",
    "failed by its crashes",
    "insert indeterminate",
    "insert refused",
    "inserted again, and was stored",
    "inserted again, and was not stored",
    "inserted by plain SQL",
    "late result discarded",
    "power failed in a step",
    "ran for ten leases",
    "released",
    "released unstarted",
    "rescue of a dead worker",
    "rescue of a living worker",
    "rescued jobs",
    "retried by hand",
    "retrying",
    "worker released itself",
];

type Seen = BTreeMap<&'static str, u64>;

/// Runs a seed; the error says which check failed.
fn run(seed: u64, trace: &Trace) -> Result<(), String> {
    let ran = catch_unwind(AssertUnwindSafe(|| World::new(seed, trace).run()));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned())
    })
}

/// Runs seeds and counts the cases seen. Panics with the end of the trace of the first seed that fails.
fn run_all(seeds: &[u64]) -> Seen {
    let mut seen = Seen::new();
    for &seed in seeds {
        let trace = Trace::default();
        if let Err(failure) = run(seed, &trace) {
            let lines = trace.lines().join("\n");
            panic!(
                "{lines}\n\n{failure}\n\nrun it again: QDJOBS_SEED={seed} cargo test -p qdjobs --lib sim -- --nocapture"
            );
        }
        trace.seen().into_iter().for_each(|(case, times)| *seen.entry(case).or_default() += times);
    }
    seen
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
#[expect(clippy::print_stdout, reason = "the cases seen, for whoever reads the output of the run")]
fn whatever_happens_the_promises_hold_and_all_is_drained_after_it() {
    let fresh = Rng::new().next() >> 16;
    let fresh = fresh..fresh + variable("QDJOBS_SIM_SEEDS").unwrap_or(FRESH);
    println!("the seeds 1 to {KEPT}, and {fresh:?}");
    let seeds: Vec<u64> = (1..=KEPT).chain(fresh).collect();
    let (left, right) = seeds.split_at(seeds.len() / 2);
    // Two at a time: seeds share nothing.
    let (mut seen, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| run_all(right));
        (run_all(left), other.join())
    });
    let other = other.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    other.into_iter().for_each(|(case, times)| *seen.entry(case).or_default() += times);
    for (case, times) in &seen {
        println!("{times:8} {case}");
    }
    let disruptions = Disruption::ALL.map(Disruption::name);
    let missing: Vec<_> = disruptions.iter().chain(SEEN).filter(|case| !seen.contains_key(*case)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}

#[test]
#[expect(clippy::print_stdout, reason = "the trace that was asked for")]
fn the_seed_that_is_asked_for() {
    let Some(seed) = variable("QDJOBS_SEED") else { return };
    let trace = Trace::whole();
    let held = run(seed, &trace);
    println!("{}\n{:x}", trace.lines().join("\n"), trace.hash());
    held.unwrap();
}

#[test]
fn a_seed_determines_the_whole_run() {
    for seed in 1..=10 {
        let [once, twice] = [(); 2].map(|()| {
            let trace = Trace::default();
            run(seed, &trace).unwrap();
            trace.hash()
        });
        assert_eq!(once, twice, "seed {seed}");
    }
}
