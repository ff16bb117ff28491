//! The SQLite store on a disk that fails: power cuts, operations that do not succeed, no room, rot.
//!
//! Each test has a simulated disk of its own (`tests/sim_disk`) in a directory of its own, so they run side by side. The time of
//! the queue is held. What happens is told by a seed, which a failure prints:
//!
//! ```sh
//! cargo test -p qdjobs-tests --test disk                                        # a few hundred power cuts, each fault
//! QDJOBS_POWER_LOSSES=2000 cargo test -p qdjobs-tests --test disk --release -- --nocapture   # the long form, with its figures
//! QDJOBS_SEED=17 cargo test -p qdjobs-tests --test disk power                   # one story again
//! ```

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batch;
mod cases;
mod complete;
mod connection;
mod corruption;
mod fork;
mod nth;
mod power_loss;
mod room;
mod short;
mod stop;
mod story;
