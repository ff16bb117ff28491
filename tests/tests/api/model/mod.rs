//! Random sequences of everything a store can be asked, played by two players who have to agree after each
//! move.
//!
//! [`Reference`] is the contract written once more, apart from every store and much smaller than any.
//! [`Driver`] plays the same moves on a real store. First the memory store is compared with the reference,
//! then the stores in a file with the memory store, down to the last field of every row: one store, and pairs
//! of stores on one file.
//!
//! The fixed seeds always play the same games, and must reach everything listed in [`REACHED`]. One fresh
//! seed comes with each run, and a failure prints it.

mod driver;
mod ops;
mod referee;
mod reference;
mod stores;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use qdjobs::{Clock, WorkerId};
use qdjobs_contract::pair::Split;

use self::driver::Driver;
use self::ops::{Draft, Op, Player, Wish, op};
use self::referee::{REACHED, Referee};
use self::reference::Reference;
use self::stores::{Stores, memory, sqlite, sqlite_pair};

/// Seeds that always run. One that ever found a fault is added here and stays.
const SEEDS: [u64; 4] = [1, 2, 3, 20_261_123];

/// Seeds whose games once showed a difference between two stores.
const REGRESSIONS: [u64; 1] = [3_816_228_516_021_665_792];

/// Plays random games with `seed`, each checked by `game`; a game that fails is shortened and printed.
fn play(seed: u64, games: u32, game: impl Fn(&[Op]) -> Result<(), TestCaseError>) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config =
        Config { cases: games, failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    match runner.run(&prop::collection::vec(op(), 1..100), |ops| game(&ops)) {
        Ok(()) => {}
        Err(TestError::Fail(why, ops)) => panic!("seed {seed}: {why}\nin the game {ops:#?}"),
        Err(TestError::Abort(why)) => panic!("seed {seed} was given up: {why}"),
    }
}

/// A seed that no run had before. The hasher's keys are the only random number of the system that std exposes.
fn fresh_seed() -> u64 {
    RandomState::new().hash_one(0)
}

/// How a game begins: two of the three workers are there. In every second game, one of them has died twice with
/// five jobs.
fn opening(ops: &[Op]) -> Vec<Op> {
    let (first, second) = (WorkerId(1), WorkerId(2));
    let mut opening = vec![Op::RegisterWorker(first), Op::RegisterWorker(second)];
    if ops.len().is_multiple_of(2) {
        let draft =
            Draft { task: Some("mail"), queue: "a", priority: 0, wait: Duration::ZERO, key: None, n: 1 };
        opening.push(Op::Insert(vec![draft; 5]));
        let wish = Wish { limit: 5, tasks: &["mail", "ping"], queue: None, waits: false };
        for _ in 0..2 {
            opening.push(Op::Claim { worker: first, done: Vec::new(), wish });
            opening.extend([Op::ReleaseDead(first), Op::RegisterWorker(first)]);
        }
    }
    opening
}

/// The memory store against the reference: every answer, and of every job what the reference knows.
fn against_the_reference(ops: &[Op], reached: &RefCell<BTreeMap<String, u32>>) -> Result<(), TestCaseError> {
    let mut store = Driver::new(memory);
    let mut reference = Reference::new();
    let mut referee = Referee { jobs: Vec::new(), claims: Vec::new(), reached };
    for (number, op) in opening(ops).iter().chain(ops).enumerate() {
        let Some(asked) = referee.fill_in(op) else { continue };
        referee.look(&asked, &reference);
        let expected = reference.play(number, &asked);
        let said = store.play(number, &asked);
        prop_assert_eq!(&said, &expected, "the answers to move {}: {:?}", number, asked);
        prop_assert_eq!(store.sketch(), reference.sketch(), "the jobs after move {}: {:?}", number, asked);
        referee.note(number, &asked, &said);
    }
    Ok(())
}

/// Another store against the memory store: every answer and everything that can be read.
fn against_the_memory_store(ops: &[Op], factory: impl Fn(Clock) -> Stores) -> Result<(), TestCaseError> {
    let mut memory = Driver::new(memory);
    let mut other = Driver::new(factory);
    let reached = RefCell::default();
    let mut referee = Referee { jobs: Vec::new(), claims: Vec::new(), reached: &reached };
    for (number, op) in opening(ops).iter().chain(ops).enumerate() {
        let Some(asked) = referee.fill_in(op) else { continue };
        let expected = memory.play(number, &asked);
        let said = other.play(number, &asked);
        prop_assert_eq!(&said, &expected, "the answers to move {}: {:?}", number, asked);
        prop_assert_eq!(other.picture(), memory.picture(), "what is read after move {}: {:?}", number, asked);
        referee.note(number, &asked, &said);
    }
    Ok(())
}

#[test]
fn the_memory_store_does_what_the_reference_does() {
    let reached = RefCell::default();
    for seed in SEEDS {
        play(seed, 64, |ops| against_the_reference(ops, &reached));
    }
    let reached = reached.into_inner();
    let missed: Vec<_> = REACHED.iter().filter(|what| !reached.contains_key(**what)).collect();
    assert!(missed.is_empty(), "the games never came to {missed:?}");
    play(fresh_seed(), 64, |ops| against_the_reference(ops, &RefCell::default()));
}

#[test]
fn the_sqlite_store_does_what_the_memory_store_does() {
    for seed in SEEDS {
        play(seed, 8, |ops| against_the_memory_store(ops, sqlite));
    }
    for seed in REGRESSIONS.into_iter().chain([fresh_seed()]) {
        play(seed, 16, |ops| against_the_memory_store(ops, sqlite));
    }
}

#[test]
fn a_pair_of_sqlite_stores_does_what_the_memory_store_does() {
    for split in [Split::CallersAndWorkers, Split::InsertsAndTheRest] {
        for seed in SEEDS.into_iter().chain([fresh_seed()]) {
            play(seed, 4, |ops| against_the_memory_store(ops, sqlite_pair(split)));
        }
    }
}
