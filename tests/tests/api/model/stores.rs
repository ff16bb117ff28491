//! The stores that games are played on.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use qdjobs::Clock;
use qdjobs::store::Store;
use qdjobs::store::memory::MemoryStore;
use qdjobs::store::sqlite::{Durability, SqliteOptions, SqliteStore};
use qdjobs_contract::pair::{Pair, Split};

use super::ops::MAX_CRASHES;

/// A store, those behind it, and what is kept as long as they are.
pub(super) struct Stores {
    pub(super) store: Arc<dyn Store>,
    pub(super) members: Vec<Arc<dyn Store>>,
    pub(super) guard: Box<dyn Any>,
}

pub(super) fn memory(clock: Clock) -> Stores {
    let store: Arc<dyn Store> = MemoryStore::with_max_crashes(clock, MAX_CRASHES);
    Stores { members: vec![store.clone()], store, guard: Box::new(()) }
}

pub(super) fn sqlite(clock: Clock) -> Stores {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), clock);
    Stores { members: vec![store.clone()], store, guard: Box::new(dir) }
}

pub(super) fn sqlite_pair(split: Split) -> impl Fn(Clock) -> Stores {
    move |clock| {
        let dir = tempfile::tempdir().unwrap();
        let pair = Pair::new(open(dir.path(), clock.clone()), open(dir.path(), clock), split);
        Stores { members: pair.members(), store: Arc::new(pair), guard: Box::new(dir) }
    }
}

/// Without syncs: what is proved here does not depend on the power.
fn open(dir: &Path, clock: Clock) -> Arc<dyn Store> {
    let mut options = SqliteOptions::default();
    (options.durability, options.max_crashes, options.disk_reserve) = (Durability::Relaxed, MAX_CRASHES, 0);
    SqliteStore::open(&dir.join("jobs.db"), options, clock).unwrap()
}
