//! Power cuts at random moments of random workloads.
//!
//! Depends on `workload`, which knows what has to be stored afterwards.

use std::hash::{BuildHasher, RandomState};

use qdjobs::store::sqlite::Durability;

use crate::workload::{Found, Workload};
use crate::workspace::{Seed, assert_no_thread_panicked, number};

/// Workloads in the short form; half with the same seeds each time, half with new ones.
const RUNS: u64 = 240;

/// The sum over many workloads.
#[derive(Debug, Default)]
struct Figures {
    cuts: u64,
    /// Of them, how many came during a step that then had no certain answer.
    unconfirmed: u64,
    confirmed: usize,
    lost: usize,
    /// Workloads in which something confirmed was lost.
    runs_with_loss: u64,
    present: usize,
    absent: usize,
}

impl Figures {
    fn add(&mut self, found: Found) {
        self.cuts += 1;
        self.unconfirmed += u64::from(found.present + found.absent > 0);
        self.confirmed += found.confirmed;
        self.lost += found.lost;
        self.runs_with_loss += u64::from(found.lost > 0);
        self.present += found.present;
        self.absent += found.absent;
    }
}

/// One workload with one power cut, or two, or three.
fn run_seed(seed: u64, durability: Durability) -> Found {
    let _seed = Seed(seed);
    let mut workload = Workload::new(seed, durability);
    // Some are cut while the file is created, most later.
    let reach = if workload.rng.once_in(8) { 30 } else { 500 };
    let nth = 1 + workload.rng.below(reach);
    workload.workspace.disk.cut_power_at(nth);
    workload.run(60);
    if !workload.workspace.disk.is_off() {
        workload.workspace.disk.cut_power();
    }
    let found = workload.recover();
    workload.drain();
    found
}

fn run_all(cuts: u64, durability: Durability) -> Figures {
    let mut figures = Figures::default();
    if let Some(seed) = number("QDJOBS_SEED") {
        figures.add(run_seed(seed, durability));
        return figures;
    }
    let fresh = RandomState::new().hash_one(0) >> 16;
    for seed in (0..cuts / 2).chain(fresh..fresh + cuts.div_ceil(2)) {
        figures.add(run_seed(seed, durability));
    }
    figures
}

#[expect(clippy::print_stdout, reason = "the figures are the output of the long form")]
fn print(what: &str, figures: &Figures) {
    println!("power cuts, {what}: {figures:?}");
}

#[test]
fn a_power_cut_loses_nothing_confirmed_and_keeps_nothing_that_certainly_failed() {
    let cuts = number("QDJOBS_POWER_LOSSES").unwrap_or(RUNS);
    let figures = run_all(cuts, Durability::Full);
    print("durability full", &figures);
    assert_eq!(figures.lost, 0);
    assert_no_thread_panicked();
    if figures.cuts >= RUNS {
        // Enough cuts during a commit, and both outcomes of that: otherwise this has proven nothing.
        assert!(figures.unconfirmed * 20 > figures.cuts, "{figures:?}");
        assert!(figures.present > 0 && figures.absent > 0, "{figures:?}");
    }
}

#[test]
fn without_syncs_a_power_cut_loses_the_last_commits_and_never_harms_the_file() {
    let cuts = number("QDJOBS_POWER_LOSSES").unwrap_or(RUNS) / 4;
    let figures = run_all(cuts, Durability::Relaxed);
    print("durability relaxed", &figures);
    assert_no_thread_panicked();
    if figures.cuts >= RUNS / 4 {
        assert!(figures.runs_with_loss * 10 > figures.cuts, "the disk loses too little: {figures:?}");
    }
}
