//! Every store against the one contract. The promises stand in `tests/src/contract.rs`.

use std::sync::Arc;

use qdjobs::Clock;
use qdjobs::store::Store;
use qdjobs::store::memory::MemoryStore;
use qdjobs::store::sqlite::{Durability, SqliteOptions, SqliteStore};
use qdjobs_tests::store_contract;
use tempfile::TempDir;

pub(crate) fn memory(clock: Clock) -> (Arc<dyn Store>, ()) {
    (MemoryStore::new(clock), ())
}

/// A new file, in a directory that goes when the test is over.
fn sqlite(clock: Clock) -> (Arc<dyn Store>, TempDir) {
    open(SqliteOptions::default(), clock)
}

/// The same without syncs, for tests of many steps: what they prove does not depend on the power.
pub(crate) fn sqlite_relaxed(clock: Clock) -> (Arc<dyn Store>, TempDir) {
    let mut options = SqliteOptions::default();
    options.durability = Durability::Relaxed;
    open(options, clock)
}

fn open(options: SqliteOptions, clock: Clock) -> (Arc<dyn Store>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("jobs.db"), options, clock).unwrap();
    (store, dir)
}

store_contract!(in_memory, memory);
store_contract!(in_a_sqlite_file, sqlite);
