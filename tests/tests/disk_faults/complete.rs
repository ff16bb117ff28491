//! A task that completes its own job in a transaction of the program, while each operation of that transaction fails in turn: its
//! row and the completion are there together or not at all.
//!
//! Leans on `room` and on a real worker. The fault strikes the task's own connection alone, as a process of its own has it.

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};

use qdjobs::prelude::*;
use qdjobs::rusqlite::{Connection, TransactionBehavior};
use qdjobs::{Event, Status, Worker};
use qdjobs_sim_disk::{Disk, Fault, FaultDuration, as_process};

use crate::room::{PATIENCE, Room, assert_no_thread_panicked};

/// Whose connection the task's is.
const TASK: u32 = 9;

/// The fault that a task works under.
#[derive(Clone)]
struct Trial {
    disk: Disk,
    path: PathBuf,
    nth: u64,
    fault: Fault,
    /// Told whether the commit succeeded.
    told: Sender<bool>,
}

#[task("disk.pay", retries = 0)]
fn pay(ctx: &JobContext, #[state] trial: &Trial) -> Result<String, TaskError> {
    as_process(TASK, || {
        trial.disk.fail_process(TASK, trial.nth, trial.fault, FaultDuration::Once);
        let paid = pay_in_a_transaction(ctx, trial);
        let _ = trial.told.send(paid.is_ok());
        paid.map(|()| "the function's own".into())
    })
}

fn pay_in_a_transaction(ctx: &JobContext, trial: &Trial) -> Result<(), TaskError> {
    let mut conn = Connection::open(&trial.path).map_err(TaskError::permanent)?;
    conn.busy_timeout(PATIENCE).map_err(TaskError::permanent)?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(TaskError::permanent)?;
    tx.execute("INSERT INTO payments (job) VALUES (?1)", [ctx.job_id().0]).map_err(TaskError::permanent)?;
    ctx.complete_in(&tx, &"in the transaction").map_err(TaskError::permanent)?;
    tx.commit().map_err(TaskError::permanent)
}

/// One job under one fault; answers whether the fault struck.
fn pay_once(nth: u64, fault: Fault) -> bool {
    let room = Room::new(nth);
    let queue = JobQueue::with_store(room.open());
    room.connect().unwrap().execute_batch("CREATE TABLE payments (job INTEGER)").unwrap();
    let ((told, hears), (ended, ends)) = (channel(), channel());
    let trial = Trial { disk: room.disk.clone(), path: room.path(), nth, fault, told };
    let worker = Worker::new(&queue).task::<Pay>().state(trial).on_event(move |event| {
        if let Event::Completed { .. } | Event::Failed { .. } | Event::ResultDiscarded { .. } = event {
            let _ = ended.send(());
        }
    });
    let worker = worker.start().unwrap();
    let id = Pay::new().enqueue(&queue).unwrap().id();
    let paid = hears.recv_timeout(PATIENCE).expect("the task says how it went");
    ends.recv_timeout(PATIENCE).expect("the job ends");
    let struck = room.disk.failures() > 0;
    room.disk.clear_faults();
    worker.stop().unwrap();
    drop(queue);

    let queue = JobQueue::with_store(room.open());
    room.assert_sound();
    let job = queue.get(id).unwrap().unwrap();
    let count = "SELECT count(*) FROM payments WHERE job = ?1";
    let payments: i64 = room.connect().unwrap().query_row(count, [id.0], |row| row.get(0)).unwrap();
    let what = format!("operation {nth}, {fault:?}, commit succeeded: {paid}, {job:?}");
    assert_eq!(payments == 1, job.status == Status::Completed, "{what}");
    assert!(payments == 1 || (!paid && job.status == Status::Failed), "{what}");
    if payments == 1 {
        assert_eq!(job.result.as_deref(), Some("\"in the transaction\""), "{what}");
    }
    struck
}

#[test]
fn a_completion_in_the_tasks_own_transaction_stands_or_falls_with_its_rows_whatever_fails() {
    for fault in [Fault::Any, Fault::Full] {
        let struck = (1..).take_while(|nth| pay_once(*nth, fault)).count();
        assert!(struck > 5, "{fault:?} struck {struck} operations");
    }
    assert_no_thread_panicked();
}
