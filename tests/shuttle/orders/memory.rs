//! The memory store: one lock, and answers that are sent after it is released.

use std::sync::Arc;

use qdjobs::store::memory::MemoryStore;
use qdjobs::store::{NewJob, Store, WorkerInfo};
use qdjobs::{ErrorKind, JobId, WorkerId};
use shuttle::thread;

use crate::explore::{clock, explore, new_job, waiting_claim};

const ORDERS: usize = 1_000;

fn register_worker(store: &Arc<MemoryStore>, worker: WorkerId) {
    store.register_worker(WorkerInfo::new(worker, "host", 1)).wait().unwrap();
}

#[test]
fn waiting_claims_are_answered_when_jobs_are_stored() {
    explore(ORDERS, || {
        let store = MemoryStore::new(clock());
        let workers: Vec<_> = (1..=2)
            .map(|number| {
                let store = store.clone();
                thread::spawn(move || {
                    register_worker(&store, WorkerId(number));
                    store.claim(waiting_claim(WorkerId(number))).wait().unwrap().claimed.remove(0).claim.id
                })
            })
            .collect();
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let store = store.clone();
                thread::spawn(move || store.insert_blocking(new_job()).unwrap()[0])
            })
            .collect();
        let stored = callers.into_iter().map(|caller| caller.join().unwrap()).max();
        assert_eq!(stored, Some(JobId(2)));
        let mut claimed: Vec<JobId> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        claimed.sort();
        assert_eq!(claimed, [JobId(1), JobId(2)]);
    });
}

#[test]
fn a_close_answers_every_caller() {
    explore(ORDERS, || {
        let store = MemoryStore::new(clock());
        register_worker(&store, WorkerId(1));
        let waits = {
            let store = store.clone();
            thread::spawn(move || {
                store.claim(waiting_claim(WorkerId(1))).wait().map(|response| response.claimed.len())
            })
        };
        let never = store.insert_blocking(vec![NewJob::new("b", "{}")]).unwrap()[0];
        let ends = {
            let store = store.clone();
            thread::spawn(move || store.wait_for(never).wait().map(drop).unwrap_err().kind())
        };
        store.close();
        assert_eq!(waits.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(ends.join().unwrap(), ErrorKind::Closed);
    });
}
