//! A simulation of several workers on one file: every step in one thread, in an order that a seed says.
//!
//! What runs is the product's own code: the writer, the reader, the dispatchers and the supervisor are the ones that its threads
//! call, over a real SQLite on a simulated disk (the crate `qdjobs-sim-disk`) and a simulated clock. A seed draws which troubles
//! it may meet (`plan`), chaos follows, then everything is healed and must drain by a deadline (`world`). What callers were
//! told and handlers did is kept by a model that judges each state of the books (`model`).
//!
//! ```text
//! cargo test -p qdjobs --lib sim                          the seeds that are kept, and some fresh ones
//! QDJOBS_SIM_SEEDS=20000 cargo test -p qdjobs --lib sim   many fresh ones
//! QDJOBS_SEED=7 cargo test -p qdjobs --lib sim            one seed, with its trace
//! ```
//!
//! Leans on everything. Nothing leans on it.

mod model;
mod plan;
mod process;
mod trace;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use self::plan::Trouble;
use self::trace::Trace;
use self::world::World;
use crate::model::rng::Rng;

/// Seeds that every run goes through, and fresh ones beside them.
const KEPT: u64 = 150;
const FRESH: u64 = 50;

/// What a run has to have seen at least once, or it has not looked where it should.
const SEEN: &[&str] = &[
    "a rescue was written before the end of a job",
    "a fault struck",
    "a store stopped for good",
    "came back under a new number",
    "cancelled by hand",
    "cancelled by the task",
    "crashed",
    "deleted",
    "died before it heard",
    "died in a step",
    "died with jobs",
    "ended after its timeout",
    "ended when told to",
    "failed after three crashes",
    "insert indeterminate",
    "insert refused",
    "late result refused",
    "leave",
    "power went in a step",
    "ran for ten leases",
    "released",
    "released unstarted",
    "rescue of the dead",
    "rescue of the living",
    "rescued jobs",
    "retried by hand",
    "retrying",
    "stored again, and was",
    "stored again, and was not",
    "stored by plain SQL",
    "worker met trouble",
];

type Seen = BTreeMap<&'static str, u64>;

/// Runs a seed; the report of what did not hold.
fn run(seed: u64, trace: &Trace) -> Result<(), String> {
    let ran = catch_unwind(AssertUnwindSafe(|| World::new(seed, trace).run()));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned())
    })
}

/// Runs seeds and counts what was seen; panics with the end of the trace of the first that fails.
fn run_all(seeds: &[u64]) -> Seen {
    let mut seen = Seen::new();
    for &seed in seeds {
        let trace = Trace::default();
        if let Err(broken) = run(seed, &trace) {
            let lines = trace.lines().join("\n");
            panic!(
                "{lines}\n\n{broken}\n\nagain: QDJOBS_SEED={seed} cargo test -p qdjobs --lib sim -- --nocapture"
            );
        }
        trace.seen().into_iter().for_each(|(what, times)| *seen.entry(what).or_default() += times);
    }
    seen
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
#[expect(clippy::print_stdout, reason = "what was seen, for whoever looks at the run")]
fn whatever_happens_the_promises_hold_and_all_is_drained_after_it() {
    let fresh = Rng::new().next() >> 16;
    let fresh = fresh..fresh + variable("QDJOBS_SIM_SEEDS").unwrap_or(FRESH);
    println!("the seeds 1 to {KEPT}, and {fresh:?}");
    let seeds: Vec<u64> = (1..=KEPT).chain(fresh).collect();
    let (left, right) = seeds.split_at(seeds.len() / 2);
    // Two at a time, since seeds do not know each other.
    let (mut seen, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| run_all(right));
        (run_all(left), other.join())
    });
    let other = other.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    other.into_iter().for_each(|(what, times)| *seen.entry(what).or_default() += times);
    for (what, times) in &seen {
        println!("{times:8} {what}");
    }
    let troubles = Trouble::ALL.map(Trouble::name);
    let missing: Vec<_> = troubles.iter().chain(SEEN).filter(|what| !seen.contains_key(*what)).collect();
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
fn a_seed_tells_everything() {
    for seed in 1..=10 {
        let [once, twice] = [(); 2].map(|()| {
            let trace = Trace::default();
            run(seed, &trace).unwrap();
            trace.hash()
        });
        assert_eq!(once, twice, "seed {seed}");
    }
}
