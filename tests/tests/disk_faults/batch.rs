//! Faults in the middle of a large group of writes: SQLite then takes the whole transaction back on its own, and whoever goes on
//! writes each further statement in a transaction of its own.
//!
//! Leans on `room`. A group is large when it does not fit in SQLite's cache: part of it is in the log before the commit.

use qdjobs::store::NewJob;
use qdjobs::store::{Pending, Store};
use qdjobs::{ErrorKind, JobId};
use qdjobs_sim_disk::{Fault, FaultDuration, Op};

use crate::room::{Books, Room, answer, assert_no_thread_panicked};

/// One request of this many jobs and bytes is twice the writer's cache.
const JOBS: usize = 32;
const PARAMS_BYTES: usize = 500_000;

/// Which of the callers has it; the others store a small job each.
const LARGE: usize = 8;

fn jobs(n: usize, bytes: usize) -> Vec<NewJob> {
    let text = "x".repeat(bytes);
    (0..n).map(|_| NewJob::new("mail", format!("{{\"text\":\"{text}\"}}"))).collect()
}

/// Lets many callers wait for one commit, and answers what each is told. They gather while another connection holds the lock.
fn gather(room: &Room, store: &dyn Store, fail: impl FnOnce()) -> Vec<qdjobs::Result<Vec<JobId>>> {
    let lock = room.connect().unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting: Vec<Pending<Vec<JobId>>> = (0..2 * LARGE)
        .map(|n| store.insert(if n == LARGE { jobs(JOBS, PARAMS_BYTES) } else { jobs(1, 10) }))
        .collect();
    fail();
    lock.execute_batch("ROLLBACK").unwrap();
    waiting.into_iter().map(answer).collect()
}

/// What is in the file is what was confirmed, and the store goes on.
fn assert_as_told(room: &Room, store: &dyn Store, told: &[qdjobs::Result<Vec<JobId>>]) {
    let confirmed: i64 = told.iter().flatten().map(|ids| ids.len() as i64).sum();
    let stored = |room: &Room| -> i64 {
        let count = "SELECT count(*) FROM qdjobs_jobs WHERE task_name = 'mail'";
        room.connect().unwrap().query_row(count, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(stored(room), confirmed, "{told:?}");
    answer(store.insert(vec![NewJob::new("ping", "{}")])).unwrap();
    let before = Books::of(store).unwrap();
    store.close();
    room.assert_sound();
    assert_eq!(Books::of(&*room.open()).unwrap(), before);
    assert_eq!(stored(room), confirmed);
    assert_no_thread_panicked();
}

#[test]
fn a_disk_that_fills_up_within_a_group_refuses_it_as_a_whole_and_tells_everybody() {
    let room = Room::new(1);
    let store = room.open();
    let told = gather(&room, &*store, || room.disk.set_capacity(Some(room.disk.used() + 2_000_000)));
    assert!(told[LARGE].is_err());
    for error in told.iter().filter_map(|it| it.as_ref().err()) {
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(!error.may_be_stored());
    }
    room.disk.set_capacity(None);
    assert_as_told(&room, &*store, &told);
}

#[test]
fn a_write_that_fails_within_a_group_refuses_it_as_a_whole_and_tells_everybody() {
    // The small ones alone take some two hundred writes, and what does not fit in the cache some four thousand.
    for nth in [500, 1_000, 2_000, 3_500] {
        let room = Room::new(nth);
        let store = room.open();
        let told = gather(&room, &*store, || room.disk.fail(nth, Fault::Io(Op::Write), FaultDuration::Once));
        assert_eq!(room.disk.failures(), 1);
        assert!(told[LARGE].is_err());
        for error in told.iter().filter_map(|it| it.as_ref().err()) {
            assert_eq!(error.kind(), ErrorKind::Storage, "before the commit it is certain: {error}");
        }
        assert_as_told(&room, &*store, &told);
    }
}
