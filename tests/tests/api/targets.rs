//! Transactions as targets: a savepoint for a completion, and a transaction with the clock of a queue.
//!
//! Depends on the public interface alone. What a transaction stores and refuses is tested beside it.

use std::error::Error;
use std::path::PathBuf;

use qdjobs::prelude::*;
use qdjobs::rusqlite::{Connection, TransactionBehavior};
use qdjobs::{Clock, Job, JobId, Timestamp};

use crate::support::{Soon, seconds};

/// The database file, in which the task has its transaction.
struct Db(PathBuf);

#[task("targets.savepoint")]
fn complete_in_a_savepoint(ctx: &JobContext, #[state] db: &Db) -> Result<i64, Box<dyn Error>> {
    let mut conn = Connection::open(&db.0)?;
    let mut tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let savepoint = tx.savepoint()?;
    ctx.complete_in(&savepoint, &1)?;
    savepoint.commit()?;
    tx.commit()?;
    Ok(2)
}

#[test]
fn a_savepoint_is_a_target_for_a_completion_too() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("jobs.db");
    let queue = JobQueue::open(&db).unwrap();
    let _worker = Worker::new(&queue).task::<CompleteInASavepoint>().state(Db(db)).start().unwrap();
    let handle = CompleteInASavepoint.enqueue(&queue).unwrap();
    assert_eq!(handle.soon().unwrap(), 1, "the result of the completion, and not of the function");
}

#[test]
fn a_job_enqueued_in_a_transaction_on_a_queue_has_the_instants_of_the_queues_clock() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("jobs.db");
    let clock = Clock::manual(Timestamp::UNIX_EPOCH + seconds(60));
    let queue = JobQueue::options().clock(clock.clone()).open(&db).unwrap();
    let mut conn = Connection::open(&db).unwrap();
    let tx = conn.transaction().unwrap();
    let now = CompleteInASavepoint.enqueue(queue.on(&tx)).unwrap();
    let later = CompleteInASavepoint.delay(seconds(5)).enqueue(queue.on(&tx)).unwrap();
    tx.commit().unwrap();
    let stored = |id: JobId| -> Job { queue.get(id).unwrap().unwrap() };
    let (now, later) = (stored(now), stored(later));
    assert_eq!((now.created_at, now.scheduled_at), (clock.now(), clock.now()));
    assert_eq!((later.created_at, later.scheduled_at), (clock.now(), clock.now() + seconds(5)));
}
