//! Every store against the one contract. The promises stand in `tests/src/contract.rs`.

use std::sync::Arc;
use std::time::Duration;

use qdjobs::store::memory::MemoryStore;
use qdjobs::store::sqlite::{SqliteOptions, SqliteStore};
use qdjobs::store::{ClaimRequest, Store, TaskSet, WorkerInfo};
use qdjobs::store::{NewJob, RunAt};
use qdjobs::{Clock, WorkerId};
use qdjobs_tests::contract::answer;
use qdjobs_tests::store_contract;
use tempfile::TempDir;

fn memory(clock: Clock) -> (Arc<dyn Store>, ()) {
    (MemoryStore::new(clock), ())
}

/// A new file, in a directory that goes when the test is over.
fn sqlite(clock: Clock) -> (Arc<dyn Store>, TempDir) {
    open(SqliteOptions::default(), clock)
}

pub(crate) fn open(options: SqliteOptions, clock: Clock) -> (Arc<dyn Store>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("jobs.db"), options, clock).unwrap();
    (store, dir)
}

store_contract!(in_memory, memory);
store_contract!(in_a_sqlite_file, sqlite);

/// The one thing a held clock cannot show: that somebody looks again when real time has passed.
#[test]
fn on_the_systems_clock_a_standing_turn_is_answered_when_a_job_is_due() {
    fn look<G>(factory: impl Fn(Clock) -> (Arc<dyn Store>, G)) {
        let clock = Clock::system();
        let (store, _guard) = factory(clock.clone());
        let worker = WorkerId(1);
        answer(store.register_worker(WorkerInfo::new(worker, "host", 7))).unwrap();
        let turn = store.claim(ClaimRequest {
            worker,
            finished: Arc::default(),
            limit: 1,
            tasks: Arc::new(TaskSet::new(["mail"])),
            queues: None,
            wait: true,
        });
        let mut job = NewJob::new("mail", "{}");
        job.run_at = RunAt::After(Duration::from_millis(30));
        answer(store.insert(vec![job])).unwrap();
        let claimed = answer(turn).unwrap().claimed.pop().unwrap();
        assert!(claimed.claimed_at >= claimed.scheduled_at, "not early");
        assert_ne!(claimed.scheduled_at, claimed.created_at);
    }
    look(memory);
    look(sqlite);
}
