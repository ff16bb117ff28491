//! The orders in which threads may come: the library's own code, with every lock, wake-up and channel under the hand of `shuttle`,
//! which chooses who goes on at each of them.
//!
//! ```text
//! cargo test -p qdjobs-shuttle                                  # about a minute
//! QDJOBS_ORDERS=20000 cargo test -p qdjobs-shuttle              # so many orders for each test
//! QDJOBS_SEED=7 cargo test -p qdjobs-shuttle -- --nocapture     # the same orders again
//! ```
//!
//! A caller who is never answered, a thread that sleeps for good, a lock taken in a circle: each is a deadlock, which `shuttle`
//! reports with the order that led to it. There are no timeouts here: who sleeps for "at most a second" sleeps until he is woken, so
//! that no second look hides a lost wake-up. SQLite is the real one, its file in memory.

#![expect(clippy::print_stdout, reason = "the seed is what a failure is repeated with")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

extern crate qdjobs_shuttle as qdjobs;

mod explore;
mod memory;
mod pending;
mod sqlite;
mod worker;
