//! Every target over its committed seeds, and over inputs near them: the short form of fuzzing, for each
//! change.
//!
//! The long form is in `libfuzzer/`. Each run has a new seed and prints it; `QDJOBS_SEED` repeats one, and
//! `QDJOBS_INPUTS=50` makes it fifty times as many inputs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use qdjobs_fuzz::{Rng, TARGETS};

/// The seed of every run, besides the new one.
const FIXED: u64 = 1;

/// Reads the committed seeds of a target, each with its path.
fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
    seeds.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn check(target: &str, inputs: u64) {
    let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let mut near = Vec::new();
    for (path, seed) in seeds(target) {
        on_input(&format!("the seed {}", path.display()), || run(&seed));
        near.push(seed);
    }
    let variable = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let inputs = inputs * variable("QDJOBS_INPUTS").unwrap_or(1);
    for seed in [FIXED, variable("QDJOBS_SEED").unwrap_or_else(|| RandomState::new().hash_one(0))] {
        let mut rng = Rng::new(seed);
        for number in 0..inputs {
            let input = rng.input(&near);
            on_input(&format!("QDJOBS_SEED={seed}, input {number}: {}", input.escape_ascii()), || {
                run(&input)
            });
        }
    }
}

/// The names in a folder, sorted, without their extension.
fn names(folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<String> = files.map(|file| name(file.unwrap().path())).collect();
    names.sort();
    names
}

/// libFuzzer's programs are not built here: they need a C++ compiler.
#[test]
fn each_target_has_a_program_for_libfuzzer_and_a_folder_of_seeds() {
    let mut targets = TARGETS.map(|(name, _)| name.to_owned());
    targets.sort();
    assert_eq!(names("seeds"), targets);
    assert_eq!(names("libfuzzer/fuzz_targets"), targets);
    let manifest =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/libfuzzer/Cargo.toml")).unwrap();
    for target in &targets {
        let program = format!("[[bin]]\nname = \"{target}\"\npath = \"fuzz_targets/{target}.rs\"\n");
        assert!(manifest.contains(&program), "{target}");
        let path = format!("{}/libfuzzer/fuzz_targets/{target}.rs", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(path).unwrap();
        assert!(source.contains(&format!("qdjobs_fuzz::{target}")), "{source}");
    }
}

/// Prints the input that broke a promise.
#[expect(clippy::print_stderr, reason = "a failed test prints its input")]
fn on_input(input: &str, run: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        eprintln!("{input}");
        resume_unwind(panic);
    }
}

#[test]
fn words_are_parsed_correctly_or_refused() {
    check("words", 5_000);
}

#[test]
fn params_that_pass_the_check_can_be_run_and_no_others_are_stored() {
    check("params", 150);
}

#[test]
fn a_store_accepts_what_the_check_accepts_and_reads_it_back() {
    check("jobs", 100);
}

#[test]
fn every_http_request_is_answered_and_every_change_is_reported() {
    check("http", 400);
}

#[test]
fn both_stores_give_the_same_answers_to_any_sequence_of_requests() {
    check("workflow", 30);
}

#[test]
fn a_changed_file_is_used_or_refused_unchanged_and_nothing_panics() {
    check("file", 12);
}
