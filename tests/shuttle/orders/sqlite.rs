//! The SQLite store: the writer thread, callers that write inline, the reader thread, waiting claims, and the
//! close.

use std::sync::Arc;
use std::sync::Mutex as StdMutex;

use qdjobs::store::Verdict;
use qdjobs::store::{ClaimRequest, FinishedJob, Store, WorkerInfo};
use qdjobs::{ErrorKind, Job, JobId, Status, WorkerId, rusqlite};
use shuttle::sync::mpsc;
use shuttle::thread;

use crate::explore::{File, explore, new_job, waiting_claim};

/// Each order opens and closes a database, and most of them create the disk reserve of a worker.
const ORDERS: usize = 150;

const WORKER: WorkerId = WorkerId(1);

/// Another connection, which sees only what is committed. Its lock is never held where threads are switched.
struct Observer(StdMutex<rusqlite::Connection>);

impl Observer {
    fn on(file: &File) -> Arc<Observer> {
        Arc::new(Observer(StdMutex::new(rusqlite::Connection::open(file.path()).unwrap())))
    }

    fn count(&self, condition: &str) -> usize {
        let sql = format!("SELECT count(*) FROM qdjobs_jobs WHERE {condition}");
        let conn = self.0.lock().unwrap();
        conn.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap() as usize
    }

    fn contains(&self, id: JobId) -> bool {
        self.count(&format!("id = {id}")) == 1
    }
}

#[test]
fn every_caller_is_answered_once_and_not_before_the_commit() {
    explore(ORDERS, || {
        let file = File::new();
        let (store, observer) = (file.open(), Observer::on(&file));
        // So that a caller may write inline.
        let mut ids: Vec<JobId> = (0..3).flat_map(|_| store.insert_blocking(new_job()).unwrap()).collect();
        let callers: Vec<_> = (0..3)
            .map(|caller| {
                let (store, observer) = (store.clone(), observer.clone());
                thread::spawn(move || {
                    let rounds = 0..2;
                    let insert = |_| {
                        let stored = if caller == 0 {
                            store.insert(new_job()).wait()
                        } else {
                            store.insert_blocking(new_job())
                        };
                        let id = stored.unwrap()[0];
                        assert!(observer.contains(id), "{id} was answered but is not in the file");
                        id
                    };
                    rounds.map(insert).collect::<Vec<_>>()
                })
            })
            .collect();
        ids.extend(callers.into_iter().flat_map(|caller| caller.join().unwrap()));
        ids.sort();
        assert_eq!(ids, (1..=9).map(JobId).collect::<Vec<_>>());
        store.close();
    });
}

#[test]
fn waiting_claims_are_answered_when_jobs_are_stored() {
    explore(ORDERS, || {
        let file = File::new();
        let store = file.open();
        let workers: Vec<_> = (1..=2)
            .map(|number| {
                let store = store.clone();
                thread::spawn(move || {
                    let worker = WorkerId(number);
                    store.register_worker(WorkerInfo::new(worker, "host", 1)).wait().unwrap();
                    let response = store.claim(waiting_claim(worker)).wait().unwrap();
                    response.claimed.into_iter().map(|claimed| claimed.claim.id).collect::<Vec<_>>()
                })
            })
            .collect();
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let store = store.clone();
                thread::spawn(move || store.insert_blocking(new_job()).unwrap()[0])
            })
            .collect();
        let mut claimed: Vec<JobId> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        let mut stored: Vec<JobId> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        claimed.sort();
        stored.sort();
        assert_eq!(claimed, stored);
        store.close();
    });
}

#[test]
fn a_waiting_claim_ends_when_the_claims_of_its_worker_are_cancelled() {
    explore(ORDERS, || {
        let file = File::new();
        let store = file.open();
        store.register_worker(WorkerInfo::new(WORKER, "host", 1)).wait().unwrap();
        let (submitted, is_submitted) = mpsc::channel();
        let waiting_claim = {
            let store = store.clone();
            thread::spawn(move || {
                let claim = store.claim(waiting_claim(WORKER));
                submitted.send(()).unwrap();
                claim.wait().unwrap().claimed.len()
            })
        };
        // The first call may come too early; the second does not.
        store.cancel_waiting_claims(WORKER).wait().unwrap();
        is_submitted.recv().unwrap();
        store.cancel_waiting_claims(WORKER).wait().unwrap();
        assert_eq!(waiting_claim.join().unwrap(), 0);
        store.close();
    });
}

#[test]
fn every_waiter_of_a_job_is_answered_when_it_ends() {
    explore(ORDERS, || {
        let file = File::new();
        let store = file.open();
        store.register_worker(WorkerInfo::new(WORKER, "host", 1)).wait().unwrap();
        let id = store.insert_blocking(new_job()).unwrap()[0];
        let claimed = store.claim(waiting_claim(WORKER)).wait().unwrap().claimed.remove(0);
        let waits: Vec<_> = (0..2)
            .map(|_| {
                let store = store.clone();
                thread::spawn(move || store.wait_for(id).wait().unwrap().status)
            })
            .collect();
        let read = {
            let store = store.clone();
            thread::spawn(move || store.get(id).wait().unwrap().unwrap().status)
        };
        let verdict = Verdict::Complete { result: "null".into() };
        let finish = FinishedJob {
            claim: claimed.claim,
            ticket: claimed.ticket,
            began_after: std::time::Duration::ZERO,
            verdict,
        };
        let request = ClaimRequest { finished: Arc::new(vec![finish]), ..waiting_claim(WORKER) };
        let response = store.claim(request).wait().unwrap();
        assert!(response.lost.is_empty() && response.claimed.is_empty());
        for wait in waits {
            assert_eq!(wait.join().unwrap(), Status::Completed);
        }
        assert!(matches!(read.join().unwrap(), Status::Running | Status::Completed));
        store.close();
    });
}

#[test]
fn a_close_answers_every_caller_and_nothing_is_stored_after_it() {
    explore(ORDERS, || {
        let file = File::new();
        let (store, observer) = (file.open(), Observer::on(&file));
        store.register_worker(WorkerInfo::new(WORKER, "host", 1)).wait().unwrap();
        let never = store.insert_blocking(vec![qdjobs::store::NewJob::new("b", "{}")]).unwrap()[0];
        for _ in 0..2 {
            store.insert_blocking(vec![qdjobs::store::NewJob::new("b", "{}")]).unwrap();
        }
        let before = observer.count("true");
        let callers: Vec<_> = (0..2)
            .map(|caller| {
                let store = store.clone();
                thread::spawn(move || {
                    if caller == 0 {
                        store.insert(new_job()).wait()
                    } else {
                        store.insert_blocking(new_job())
                    }
                })
            })
            .collect();
        let waits = {
            let store = store.clone();
            thread::spawn(move || store.wait_for(never).wait().map(|job: Job| job.status))
        };
        let closes: Vec<_> = (0..2)
            .map(|_| {
                let store = store.clone();
                thread::spawn(move || store.close())
            })
            .collect();
        let stored = callers.into_iter().map(|caller| match caller.join().unwrap() {
            Ok(ids) => ids.len(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Closed);
                0
            }
        });
        let stored: usize = stored.sum();
        assert_eq!(waits.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
        closes.into_iter().for_each(|close| close.join().unwrap());
        assert_eq!(store.insert_blocking(new_job()).unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(store.insert(new_job()).wait().unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(
            observer.count("true"),
            before + stored,
            "an insert answered with `Closed` is not stored, every other one is"
        );
    });
}

#[test]
fn a_close_ends_a_waiting_claim() {
    explore(ORDERS, || {
        let file = File::new();
        let store = file.open();
        store.register_worker(WorkerInfo::new(WORKER, "host", 1)).wait().unwrap();
        let waiting_claim = {
            let store = store.clone();
            thread::spawn(move || {
                store.claim(waiting_claim(WORKER)).wait().map(|response| response.claimed.len())
            })
        };
        store.close();
        assert_eq!(waiting_claim.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    });
}
