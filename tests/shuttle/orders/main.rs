//! Thread orders: run_jobs the library with every lock, wake-up and channel from `shuttle`, which chooses the
//! thread that continues at each of them.
//!
//! ```text
//! export RUSTFLAGS="--cfg qdjobs_shuttle" CARGO_TARGET_DIR=target/shuttle
//! cargo test -p qdjobs-shuttle                                  # about a minute
//! QDJOBS_ORDERS=20000 cargo test -p qdjobs-shuttle              # this many orders for each test
//! QDJOBS_SEED=7 cargo test -p qdjobs-shuttle -- --nocapture     # repeats the orders of a seed
//! ```
//!
//! A caller without an answer, a thread that sleeps forever, a circle of locks: each is a deadlock, and
//! `shuttle` reports it with the order that led to it. Timeouts never fire here: a wait for "at most a
//! second" ends only by a wake-up, so that no timeout hides a lost wake-up. SQLite is the real one; its file
//! is in memory.
//!
//! Depends on the public interface of `qdjobs` alone. Nothing that needs tokio or real time comes in.

#![cfg_attr(qdjobs_shuttle, expect(clippy::print_stdout, reason = "the seed repeats a failure"))]
#![cfg_attr(qdjobs_shuttle, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

#[cfg(qdjobs_shuttle)]
mod explore;
#[cfg(qdjobs_shuttle)]
mod memory;
#[cfg(qdjobs_shuttle)]
mod pending;
#[cfg(qdjobs_shuttle)]
mod sqlite;
#[cfg(qdjobs_shuttle)]
mod worker;

/// Shows in the output of a build without the cfg that these tests did not run, and how to run them.
#[cfg(not(qdjobs_shuttle))]
#[test]
#[ignore = "run: RUSTFLAGS=\"--cfg qdjobs_shuttle\" CARGO_TARGET_DIR=target/shuttle cargo test -p qdjobs-shuttle"]
fn thread_orders() {
    panic!("this build uses the threads of std; build it with RUSTFLAGS=\"--cfg qdjobs_shuttle\"");
}
