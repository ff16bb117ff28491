//! A task that completes its own job in the program's transaction, while each operation of that transaction
//! fails in turn: its row and the completion are stored together or not at all.
//!
//! Depends on `workspace` and a real worker. The fault happens only to the task's own connection, as if it
//! were another process.

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};

use qdjobs::prelude::*;
use qdjobs::rusqlite::{Connection, TransactionBehavior};
use qdjobs::{Event, Status, Worker};
use qdjobs_sim_disk::{Disk, Fault, FaultDuration, as_process};

use crate::workspace::{DEADLINE, Workspace, assert_no_thread_panicked};

/// The process of the task's connection.
const TASK: u32 = 9;

/// The fault during a task.
#[derive(Clone)]
struct Trial {
    disk: Disk,
    path: PathBuf,
    nth: u64,
    fault: Fault,
    /// Reports whether the commit succeeded.
    reported: Sender<bool>,
}

#[task("disk.pay", retries = 0)]
fn pay(ctx: &JobContext, #[state] trial: &Trial) -> Result<String, TaskError> {
    as_process(TASK, || {
        trial.disk.fail_process(TASK, trial.nth, trial.fault, FaultDuration::Once);
        let paid = pay_in_a_transaction(ctx, trial);
        let _ = trial.reported.send(paid.is_ok());
        paid.map(|()| "by the return value".into())
    })
}

fn pay_in_a_transaction(ctx: &JobContext, trial: &Trial) -> Result<(), TaskError> {
    let mut conn = Connection::open(&trial.path).map_err(TaskError::permanent)?;
    conn.busy_timeout(DEADLINE).map_err(TaskError::permanent)?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(TaskError::permanent)?;
    tx.execute("INSERT INTO payments (job) VALUES (?1)", [ctx.job_id().0]).map_err(TaskError::permanent)?;
    ctx.complete_in(&tx, &"in the transaction").map_err(TaskError::permanent)?;
    tx.commit().map_err(TaskError::permanent)
}

/// One job under one fault; returns whether the fault happened.
fn pay_once(nth: u64, fault: Fault) -> bool {
    let workspace = Workspace::new(nth);
    let queue = JobQueue::with_store(workspace.open());
    workspace.connect().unwrap().execute_batch("CREATE TABLE payments (job INTEGER)").unwrap();
    let ((reported, paid_rx), (ended, ended_rx)) = (channel(), channel());
    let trial = Trial { disk: workspace.disk.clone(), path: workspace.path(), nth, fault, reported };
    let worker = Worker::new(&queue).task::<Pay>().state(trial).on_event(move |event| {
        if let Event::Completed { .. } | Event::Failed { .. } | Event::ResultDiscarded { .. } = event {
            let _ = ended.send(());
        }
    });
    let worker = worker.start().unwrap();
    let id = Pay::new().enqueue(&queue).unwrap().id();
    let paid = paid_rx.recv_timeout(DEADLINE).expect("the task reports its commit");
    ended_rx.recv_timeout(DEADLINE).expect("the job ends");
    let happened = workspace.disk.failures() > 0;
    workspace.disk.clear_faults();
    worker.stop().unwrap();
    drop(queue);

    let queue = JobQueue::with_store(workspace.open());
    workspace.assert_sound();
    let job = queue.get(id).unwrap().unwrap();
    let count = "SELECT count(*) FROM payments WHERE job = ?1";
    let payments: i64 = workspace.connect().unwrap().query_row(count, [id.0], |row| row.get(0)).unwrap();
    let what = format!("operation {nth}, {fault:?}, commit succeeded: {paid}, {job:?}");
    assert_eq!(payments == 1, job.status == Status::Completed, "{what}");
    assert!(payments == 1 || (!paid && job.status == Status::Failed), "{what}");
    if payments == 1 {
        assert_eq!(job.result.as_deref(), Some("\"in the transaction\""), "{what}");
    }
    happened
}

#[test]
fn a_completion_in_the_tasks_own_transaction_is_stored_with_its_rows_or_not_at_all() {
    for fault in [Fault::Any, Fault::Full] {
        let happened = (1..).take_while(|nth| pay_once(*nth, fault)).count();
        assert!(happened > 5, "{fault:?} happened at {happened} operations");
    }
    assert_no_thread_panicked();
}
