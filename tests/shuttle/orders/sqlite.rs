//! The store in a file: the writing thread, callers that write for themselves, the reading thread, turns that stand, and the close.

use std::sync::Arc;
use std::sync::Mutex as StdMutex;

use qdjobs::store::Verdict;
use qdjobs::store::{ClaimRequest, FinishedJob, Store, WorkerInfo};
use qdjobs::{ErrorKind, Job, JobId, Status, WorkerId, rusqlite};
use shuttle::sync::mpsc;
use shuttle::thread;

use crate::explore::{File, explore, job, standing};

/// Each opens and closes a database, and most of them make the reserve of a worker.
const ORDERS: usize = 150;

const WORKER: WorkerId = WorkerId(1);

/// Another connection, which sees what is committed and nothing else. Its lock is never held where threads change places.
struct Eye(StdMutex<rusqlite::Connection>);

impl Eye {
    fn on(file: &File) -> Arc<Eye> {
        Arc::new(Eye(StdMutex::new(rusqlite::Connection::open(file.path()).unwrap())))
    }

    fn count(&self, condition: &str) -> usize {
        let sql = format!("SELECT count(*) FROM qdjobs_jobs WHERE {condition}");
        let conn = self.0.lock().unwrap();
        conn.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap() as usize
    }

    fn sees(&self, id: JobId) -> bool {
        self.count(&format!("id = {id}")) == 1
    }
}

#[test]
fn every_caller_is_answered_once_and_not_before_the_commit() {
    explore(ORDERS, || {
        let file = File::new();
        let (store, eye) = (file.open(), Eye::on(&file));
        // So that a caller may write for itself.
        let mut ids: Vec<JobId> = (0..3).flat_map(|_| store.insert_blocking(job()).unwrap()).collect();
        let callers: Vec<_> = (0..3)
            .map(|caller| {
                let (store, eye) = (store.clone(), eye.clone());
                thread::spawn(move || {
                    let rounds = 0..2;
                    let insert = |_| {
                        let stored = if caller == 0 {
                            store.insert(job()).wait()
                        } else {
                            store.insert_blocking(job())
                        };
                        let id = stored.unwrap()[0];
                        assert!(eye.sees(id), "{id} was answered and is not in the file");
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
fn turns_that_stand_are_answered_when_jobs_are_stored() {
    explore(ORDERS, || {
        let file = File::new();
        let store = file.open();
        let workers: Vec<_> = (1..=2)
            .map(|number| {
                let store = store.clone();
                thread::spawn(move || {
                    let worker = WorkerId(number);
                    store.register_worker(WorkerInfo::new(worker, "host", 1)).wait().unwrap();
                    let turned = store.claim(standing(worker)).wait().unwrap();
                    turned.claimed.into_iter().map(|claimed| claimed.claim.id).collect::<Vec<_>>()
                })
            })
            .collect();
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let store = store.clone();
                thread::spawn(move || store.insert_blocking(job()).unwrap()[0])
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
fn a_turn_that_stands_ends_when_its_worker_is_recalled() {
    explore(ORDERS, || {
        let file = File::new();
        let store = file.open();
        store.register_worker(WorkerInfo::new(WORKER, "host", 1)).wait().unwrap();
        let (submitted, is_submitted) = mpsc::channel();
        let standing = {
            let store = store.clone();
            thread::spawn(move || {
                let turn = store.claim(standing(WORKER));
                submitted.send(()).unwrap();
                turn.wait().unwrap().claimed.len()
            })
        };
        // Too early, perhaps; then for certain not.
        store.cancel_waiting_claims(WORKER).wait().unwrap();
        is_submitted.recv().unwrap();
        store.cancel_waiting_claims(WORKER).wait().unwrap();
        assert_eq!(standing.join().unwrap(), 0);
        store.close();
    });
}

#[test]
fn the_end_of_a_job_is_told_to_whoever_waits_for_it() {
    explore(ORDERS, || {
        let file = File::new();
        let store = file.open();
        store.register_worker(WorkerInfo::new(WORKER, "host", 1)).wait().unwrap();
        let id = store.insert_blocking(job()).unwrap()[0];
        let claimed = store.claim(standing(WORKER)).wait().unwrap().claimed.remove(0);
        let waits: Vec<_> = (0..2)
            .map(|_| {
                let store = store.clone();
                thread::spawn(move || store.wait_for(id).wait().unwrap().status)
            })
            .collect();
        let looks = {
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
        let turn = ClaimRequest { finished: Arc::new(vec![finish]), ..standing(WORKER) };
        let turned = store.claim(turn).wait().unwrap();
        assert!(turned.lost.is_empty() && turned.claimed.is_empty());
        for wait in waits {
            assert_eq!(wait.join().unwrap(), Status::Completed);
        }
        assert!(matches!(looks.join().unwrap(), Status::Running | Status::Completed));
        store.close();
    });
}

#[test]
fn a_close_answers_everybody_and_nothing_is_stored_after_it() {
    explore(ORDERS, || {
        let file = File::new();
        let (store, eye) = (file.open(), Eye::on(&file));
        store.register_worker(WorkerInfo::new(WORKER, "host", 1)).wait().unwrap();
        let never = store.insert_blocking(vec![qdjobs::store::NewJob::new("b", "{}")]).unwrap()[0];
        for _ in 0..2 {
            store.insert_blocking(vec![qdjobs::store::NewJob::new("b", "{}")]).unwrap();
        }
        let before = eye.count("true");
        let callers: Vec<_> = (0..2)
            .map(|caller| {
                let store = store.clone();
                thread::spawn(move || {
                    if caller == 0 { store.insert(job()).wait() } else { store.insert_blocking(job()) }
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
        assert_eq!(store.insert_blocking(job()).unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(store.insert(job()).wait().unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(
            eye.count("true"),
            before + stored,
            "what is answered `Closed` is not stored, all else is"
        );
    });
}

#[test]
fn a_close_ends_the_turn_that_stands() {
    explore(ORDERS, || {
        let file = File::new();
        let store = file.open();
        store.register_worker(WorkerInfo::new(WORKER, "host", 1)).wait().unwrap();
        let standing = {
            let store = store.clone();
            thread::spawn(move || store.claim(standing(WORKER)).wait().map(|turned| turned.claimed.len()))
        };
        store.close();
        assert_eq!(standing.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    });
}
