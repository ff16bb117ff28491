//! A simulation of several workers on one file: every step in one thread, in an order that a seed says.
//!
//! What runs is the product's own code: the writer, the reader, the dispatchers and the steward are the ones that its threads
//! call, over a real SQLite on a simulated disk (the crate `qdjobs-disk`) and a simulated clock. A seed draws which troubles
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

use self::trace::Trace;
use self::world::World;

/// Seeds that have found something, and some that reach far.
const KEPT: &[u64] = &[1, 2, 3];

/// Fresh seeds of a usual run.
const FRESH: u64 = 200;

/// Runs a seed; the report of what did not hold.
fn run(seed: u64, trace: &Trace) -> Result<(), String> {
    let ran = catch_unwind(AssertUnwindSafe(|| World::new(seed, trace).run()));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned())
    })
}

/// Runs seeds and counts what was seen; panics with the trace of the first that fails.
fn run_all(seeds: impl IntoIterator<Item = u64>) -> BTreeMap<&'static str, u64> {
    let mut seen = BTreeMap::new();
    for seed in seeds {
        let trace = Trace::default();
        if let Err(broken) = run(seed, &trace) {
            let lines = trace.lines().join("\n");
            panic!("{lines}\n\n{broken}\n\nagain: QDJOBS_SEED={seed} cargo test -p qdjobs --lib sim");
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
fn seeds() {
    let start = variable("QDJOBS_SIM_START").unwrap_or(1);
    let n = variable("QDJOBS_SIM_SEEDS").unwrap_or(FRESH);
    let seen = run_all(start..start + n);
    for (what, times) in seen {
        println!("{times:8} {what}");
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the trace that was asked for")]
fn one_seed() {
    let Some(seed) = variable("QDJOBS_SEED") else { return };
    let trace = Trace::whole();
    let held = run(seed, &trace);
    println!("{}\n{:x}", trace.lines().join("\n"), trace.hash());
    held.unwrap();
}

#[test]
fn a_seed_tells_everything() {
    for seed in KEPT {
        let [once, twice] = [(); 2].map(|()| {
            let trace = Trace::default();
            run(*seed, &trace).unwrap();
            trace.hash()
        });
        assert_eq!(once, twice, "seed {seed}");
    }
}
