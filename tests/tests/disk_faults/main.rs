//! The SQLite store on a disk that fails: power cuts, failing operations, no space, corruption.
//!
//! Each test has its own simulated disk (`tests/sim_disk`) in its own directory, so they run side by side.
//! The clock of the queue is manual. A seed determines what happens; a failure prints it:
//!
//! ```sh
//! cargo test -p qdjobs-tests --test disk_faults                        # a few hundred power cuts, each
//! fault
//! QDJOBS_POWER_LOSSES=2000 cargo test -p qdjobs-tests --test disk_faults --release -- --nocapture   # the
//! long form
//! QDJOBS_SEED=17 cargo test -p qdjobs-tests --test disk_faults power   # repeats one workload
//! ```

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod autocommit;
mod cases;
mod complete_in;
mod corruption;
mod each_operation;
mod failed_sync;
mod fork;
mod group_commit;
mod power_loss;
mod short_reads;
mod workload;
mod workspace;
