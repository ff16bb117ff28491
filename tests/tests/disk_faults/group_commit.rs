//! Faults in the middle of a large group of writes: SQLite then rolls back the whole transaction by itself,
//! and a writer that continued would write each further statement in its own transaction.
//!
//! Depends on `workspace`. A group is large when it does not fit in SQLite's cache: part of it is in the log
//! before the commit.

use qdjobs::store::{NewJob, Pending, Store};
use qdjobs::{ErrorKind, JobId};
use qdjobs_sim_disk::{Fault, FaultDuration, Op};

use crate::workspace::{StoredState, Workspace, answer, assert_no_thread_panicked};

/// One request with this many jobs and bytes is twice the writer's cache.
const JOBS: usize = 32;
const PARAMS_BYTES: usize = 500_000;

/// Which of the callers sends it; the others store a small job each.
const LARGE: usize = 8;

fn jobs(n: usize, bytes: usize) -> Vec<NewJob> {
    let text = "x".repeat(bytes);
    (0..n).map(|_| NewJob::new("mail", format!("{{\"text\":\"{text}\"}}"))).collect()
}

/// Lets many callers wait for one commit, and returns their answers. They gather while another connection
/// holds the lock.
fn gather(workspace: &Workspace, store: &dyn Store, fail: impl FnOnce()) -> Vec<qdjobs::Result<Vec<JobId>>> {
    let lock = workspace.connect().unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting: Vec<Pending<Vec<JobId>>> = (0..2 * LARGE)
        .map(|n| store.insert(if n == LARGE { jobs(JOBS, PARAMS_BYTES) } else { jobs(1, 10) }))
        .collect();
    fail();
    lock.execute_batch("ROLLBACK").unwrap();
    waiting.into_iter().map(answer).collect()
}

/// The file contains what was confirmed, and the store continues.
fn assert_reported(workspace: &Workspace, store: &dyn Store, reported: &[qdjobs::Result<Vec<JobId>>]) {
    let confirmed: i64 = reported.iter().flatten().map(|ids| ids.len() as i64).sum();
    let stored = |workspace: &Workspace| -> i64 {
        let count = "SELECT count(*) FROM qdjobs_jobs WHERE task_name = 'mail'";
        workspace.connect().unwrap().query_row(count, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(stored(workspace), confirmed, "{reported:?}");
    answer(store.insert(vec![NewJob::new("ping", "{}")])).unwrap();
    let before = StoredState::of(store).unwrap();
    store.close();
    workspace.assert_sound();
    assert_eq!(StoredState::of(&*workspace.open()).unwrap(), before);
    assert_eq!(stored(workspace), confirmed);
    assert_no_thread_panicked();
}

#[test]
fn a_disk_that_fills_up_within_a_group_refuses_the_whole_group_and_answers_every_caller() {
    let workspace = Workspace::new(1);
    let store = workspace.open();
    let reported =
        gather(&workspace, &*store, || workspace.disk.set_capacity(Some(workspace.disk.used() + 2_000_000)));
    assert!(reported[LARGE].is_err());
    for error in reported.iter().filter_map(|it| it.as_ref().err()) {
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(!error.may_be_stored());
    }
    workspace.disk.set_capacity(None);
    assert_reported(&workspace, &*store, &reported);
}

#[test]
fn a_write_that_fails_within_a_group_refuses_the_whole_group_and_answers_every_caller() {
    // The small ones alone take some two hundred writes, and what does not fit in the cache some four
    // thousand.
    for nth in [500, 1_000, 2_000, 3_500] {
        let workspace = Workspace::new(nth);
        let store = workspace.open();
        let reported = gather(&workspace, &*store, || {
            workspace.disk.fail(nth, Fault::Io(Op::Write), FaultDuration::Once)
        });
        assert_eq!(workspace.disk.failures(), 1);
        assert!(reported[LARGE].is_err());
        for error in reported.iter().filter_map(|it| it.as_ref().err()) {
            assert_eq!(error.kind(), ErrorKind::Storage, "before the commit the error is certain: {error}");
        }
        assert_reported(&workspace, &*store, &reported);
    }
}
