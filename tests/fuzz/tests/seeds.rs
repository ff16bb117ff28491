//! Every target over its committed seeds, and over inputs near them: the form of the fuzzing that each change passes.
//!
//! The long form stands in `tests/fuzz`. A fresh seed comes with each run and is printed; `QDJOBS_SEED` repeats one, and
//! `QDJOBS_INPUTS=50` makes it fifty times as many inputs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use qdjobs_fuzz::{Rng, TARGETS};

/// The seed that always comes, beside the fresh one.
const FIXED: u64 = 1;

/// Reads the committed seeds of a target, each with its place.
fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
    seeds.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn hold(target: &str, inputs: u64) {
    let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let mut near = Vec::new();
    for (path, seed) in seeds(target) {
        shown(&format!("the seed {}", path.display()), || run(&seed));
        near.push(seed);
    }
    let told = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let inputs = inputs * told("QDJOBS_INPUTS").unwrap_or(1);
    for seed in [FIXED, told("QDJOBS_SEED").unwrap_or_else(|| RandomState::new().hash_one(0))] {
        let mut luck = Rng::new(seed);
        for number in 0..inputs {
            let input = luck.input(&near);
            shown(&format!("QDJOBS_SEED={seed}, input {number}: {}", input.escape_ascii()), || run(&input));
        }
    }
}

/// Names the input that a promise was broken with.
#[expect(clippy::print_stderr, reason = "this is where a failed test says what it was about")]
fn shown(input: &str, run: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        eprintln!("{input}");
        resume_unwind(panic);
    }
}

#[test]
fn words_are_read_as_they_are_meant_or_refused() {
    hold("words", 5_000);
}

#[test]
fn what_the_check_of_params_admits_the_worker_reads_and_nothing_else_is_stored() {
    hold("params", 150);
}

#[test]
fn a_store_admits_what_the_check_admits_and_reads_it_back() {
    hold("jobs", 100);
}

#[test]
fn whatever_is_asked_over_http_the_service_answers_and_changes_nothing_in_silence() {
    hold("http", 400);
}

#[test]
fn both_stores_give_the_same_answers_to_any_sequence_of_requests() {
    hold("workflow", 30);
}

#[test]
fn a_file_that_somebody_changed_is_used_or_refused_untouched_and_nothing_panics() {
    hold("file", 12);
}
