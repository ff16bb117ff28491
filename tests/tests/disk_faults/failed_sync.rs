//! A sync that fails under a queue with a worker: the store halts for good, reports it to every caller, and
//! what it confirmed before is stored after a power cut.

use std::sync::mpsc::{Sender, channel};

use qdjobs::prelude::*;
use qdjobs::store::sqlite::Durability;
use qdjobs::store::{HealthState, NewJob, Store};
use qdjobs::{ErrorKind, Event, JobQueue, Status, StopReason};
use qdjobs_sim_disk::{Disk, Fault, FaultDuration, Op, as_process};

use crate::workspace::{DEADLINE, Workspace, answer};

#[task("stop.noop")]
fn noop(_number: u32) {}

/// Reports that it runs, and the reason why it has to stop.
#[task("stop.wait")]
async fn wait_for_stop(ctx: &JobContext, #[state] reported: &Sender<Option<StopReason>>) {
    reported.send(None).unwrap();
    reported.send(Some(ctx.stopped().await)).unwrap();
}

#[test]
fn after_a_failed_sync_nothing_more_is_confirmed_and_what_was_confirmed_is_stored() {
    let workspace = Workspace::new(3);
    let queue = JobQueue::with_store(workspace.open());
    let ((heard, reported), (listener, events)) = (channel::<Option<StopReason>>(), channel());
    let worker = Worker::new(&queue).task::<WaitForStop>().state(heard).on_event(move |event| {
        if let Event::StoreHalted { error } = event {
            listener.send(error.to_string()).unwrap();
        }
    });
    let worker = worker.start().unwrap();
    let running = WaitForStop.enqueue(&queue).unwrap();
    assert_eq!(reported.recv_timeout(DEADLINE).unwrap(), None);
    let confirmed = Noop::new(1).enqueue(&queue).unwrap().id();

    workspace.disk.fail(1, Fault::Io(Op::Sync), FaultDuration::Once);
    let unconfirmed = Noop::new(2).enqueue(&queue).unwrap_err();
    assert!(unconfirmed.may_be_stored(), "{unconfirmed:?}");
    // The disk reports success again, but the store no longer trusts it.
    workspace.disk.clear_faults();
    let refused = Noop::new(3).enqueue(&queue).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StoreHalted, "{refused:?}");
    assert!(!refused.may_be_stored());
    assert_eq!(running.wait().unwrap_err().kind(), ErrorKind::StoreHalted);
    assert_eq!(reported.recv_timeout(DEADLINE).unwrap(), Some(StopReason::StoreHalted));
    assert!(events.recv_timeout(DEADLINE).unwrap().contains("restart the program"));
    assert!(matches!(queue.health().state, HealthState::Halted { .. }));
    // Reads continue.
    assert!(queue.get(confirmed).unwrap().is_some());

    // Nothing writes any more, whatever is asked, and neither does the stop.
    let changes = workspace.disk.changes();
    assert_eq!(queue.cancel(confirmed).unwrap_err().kind(), ErrorKind::StoreHalted);
    assert_eq!(worker.stop().unwrap_err().kind(), ErrorKind::StoreHalted);
    assert!(events.recv_timeout(DEADLINE).is_err(), "it is reported once");
    drop((running, queue));
    assert_eq!(workspace.disk.changes(), changes);

    workspace.disk.cut_power();
    workspace.disk.power_on();
    as_process(1, || {
        let store = workspace.open();
        workspace.assert_sound();
        let queue = JobQueue::with_store(store.clone());
        assert!(queue.get(confirmed).unwrap().is_some());
        assert!(queue.health().is_ok());
        answer(store.cancel_waiting_claims(qdjobs::WorkerId(1))).unwrap();
    });
}

/// Ends while the disk fails at one of the writes of the finish.
#[task("stop.end")]
fn end(nth: u64, #[state] disk: &Disk) {
    disk.fail(nth, Fault::Io(Op::Write), FaultDuration::Once);
}

#[test]
fn a_write_that_fails_in_a_commit_is_unconfirmed_and_the_queue_continues_by_itself() {
    let workspace = Workspace::new(4);
    let queue = JobQueue::with_store(workspace.open());
    let (heard, troubles) = channel();
    let worker = Worker::new(&queue).task::<Noop>().task::<End>().state(workspace.disk.clone()).on_event(
        move |event| {
            if let Event::StoreError { error } = event {
                heard.send((error.kind(), error.may_be_stored())).unwrap();
            }
        },
    );
    let worker = worker.start().unwrap();
    Noop::new(1).enqueue(&queue).unwrap().wait_timeout(DEADLINE).unwrap();

    let mut unconfirmed = 0;
    for nth in 1.. {
        // Wherever it happens: at the enqueue, at the claim that shares its commit, at the finish.
        workspace.disk.fail(nth, Fault::Io(Op::Write), FaultDuration::Once);
        let job = match Noop::new(nth as u32).enqueue(&queue) {
            Ok(job) => job,
            Err(error) => {
                assert!(workspace.disk.failures() > 0 && error.may_be_stored(), "{error:?}");
                unconfirmed += 1;
                Noop::new(nth as u32).enqueue(&queue).unwrap()
            }
        };
        job.wait_timeout(DEADLINE).unwrap();
        let happened = workspace.disk.failures();
        workspace.disk.clear_faults();
        if happened == 0 {
            break;
        }
    }
    assert!(unconfirmed > 5, "{unconfirmed} writes of an enqueue failed");

    let mut written_again = 0;
    for nth in 1.. {
        troubles.try_iter().for_each(drop);
        let job = End::new(nth).enqueue(&queue).unwrap();
        job.wait_timeout(DEADLINE).unwrap();
        let happened = workspace.disk.failures();
        workspace.disk.clear_faults();
        if happened == 0 {
            break;
        }
        // The worker was told that the end of its job is unconfirmed, and the job has ended: once, by its
        // only attempt.
        assert_eq!(troubles.try_recv(), Ok((ErrorKind::Indeterminate, true)), "write {nth}");
        let job = queue.get(job.id()).unwrap().unwrap();
        assert_eq!((job.status, job.attempt, job.crash_count), (Status::Completed, 1, 0), "write {nth}");
        written_again += 1;
    }
    assert!(written_again > 1, "{written_again} writes of an end failed");

    assert!(queue.health().is_ok() && queue.health().last_error.is_some());
    worker.stop().unwrap();
    assert_eq!(queue.counts().unwrap().of(Status::Running), 0);
}

#[test]
fn a_sync_that_fails_in_a_checkpoint_halts_a_relaxed_queue_whose_log_is_not_safe_without_it() {
    let workspace = Workspace::new(5);
    let store = workspace.try_open(Durability::Relaxed).unwrap();
    // Opening has checkpointed the log, so the first commit restarts it and syncs its header.
    answer(store.insert(vec![NewJob::new("stop.noop", "{}")])).unwrap();
    workspace.disk.fail(1, Fault::Io(Op::Sync), FaultDuration::Once);
    let insert = |_| {
        let jobs = (0..100).map(|_| NewJob::new("stop.noop", "{}")).collect();
        answer(store.insert(jobs))
    };
    let refused = (0..100).map(insert).find_map(Result::err).expect("a checkpoint is made on the way");
    assert_eq!((refused.kind(), refused.may_be_stored()), (ErrorKind::StoreHalted, false), "{refused}");
    assert_eq!(workspace.disk.failures(), 1);
    // A crash of the process alone loses nothing, since nothing was written from the log to the file.
    drop(store);
    workspace.disk.kill(0);
    as_process(1, || {
        workspace.open();
        workspace.assert_sound();
    });
}
