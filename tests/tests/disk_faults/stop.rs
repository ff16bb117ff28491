//! A sync that fails under a queue with a worker: the store stops for good, says so to everybody, and what it confirmed before is
//! there after a power cut.

use std::sync::mpsc::{Sender, channel};

use qdjobs::prelude::*;
use qdjobs::store::NewJob;
use qdjobs::store::sqlite::Durability;
use qdjobs::store::{HealthState, Store};
use qdjobs::{ErrorKind, Event, JobQueue, Status, StopReason};
use qdjobs_sim_disk::{Disk, Fault, FaultDuration, Op, as_process};

use crate::room::{PATIENCE, Room, answer};

#[task("stop.note")]
fn note(_number: u32) {}

/// Says that it runs, and why it is told to stop.
#[task("stop.wait")]
async fn wait_to_be_told(ctx: &JobContext, #[state] told: &Sender<Option<StopReason>>) {
    told.send(None).unwrap();
    told.send(Some(ctx.stopped().await)).unwrap();
}

#[test]
fn after_a_sync_that_failed_nothing_more_is_promised_and_what_was_promised_is_there() {
    let room = Room::new(3);
    let queue = JobQueue::with_store(room.open());
    let ((heard, told), (listener, events)) = (channel::<Option<StopReason>>(), channel());
    let worker = Worker::new(&queue).task::<WaitToBeTold>().state(heard).on_event(move |event| {
        if let Event::StoreHalted { error } = event {
            listener.send(error.to_string()).unwrap();
        }
    });
    let worker = worker.start().unwrap();
    let running = WaitToBeTold.enqueue(&queue).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), None);
    let confirmed = Note::new(1).enqueue(&queue).unwrap().id();

    room.disk.fail(1, Fault::Io(Op::Sync), FaultDuration::Once);
    let doubtful = Note::new(2).enqueue(&queue).unwrap_err();
    assert!(doubtful.may_be_stored(), "{doubtful:?}");
    // The disk says that all is well again, and it is not believed.
    room.disk.clear_faults();
    let refused = Note::new(3).enqueue(&queue).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StoreHalted, "{refused:?}");
    assert!(!refused.may_be_stored());
    assert_eq!(running.wait().unwrap_err().kind(), ErrorKind::StoreHalted);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Some(StopReason::StoreHalted));
    assert!(events.recv_timeout(PATIENCE).unwrap().contains("restart the program"));
    assert!(matches!(queue.health().state, HealthState::Halted { .. }));
    // Reads go on.
    assert!(queue.get(confirmed).unwrap().is_some());

    // Nobody writes any more, whatever is asked, and neither does the end.
    let changes = room.disk.changes();
    assert_eq!(queue.cancel(confirmed).unwrap_err().kind(), ErrorKind::StoreHalted);
    assert_eq!(worker.stop().unwrap_err().kind(), ErrorKind::StoreHalted);
    assert!(events.recv_timeout(PATIENCE).is_err(), "it was told once");
    drop((running, queue));
    assert_eq!(room.disk.changes(), changes);

    room.disk.cut_power();
    room.disk.power_on();
    as_process(1, || {
        let store = room.open();
        room.assert_sound();
        let queue = JobQueue::with_store(store.clone());
        assert!(queue.get(confirmed).unwrap().is_some());
        assert!(queue.health().is_ok());
        answer(store.cancel_waiting_claims(qdjobs::WorkerId(1))).unwrap();
    });
}

/// Ends while the disk fails at one of the writes that this takes.
#[task("stop.end")]
fn end(nth: u64, #[state] disk: &Disk) {
    disk.fail(nth, Fault::Io(Op::Write), FaultDuration::Once);
}

#[test]
fn a_write_that_fails_in_a_commit_is_doubtful_and_the_queue_goes_on_by_itself() {
    let room = Room::new(4);
    let queue = JobQueue::with_store(room.open());
    let (heard, troubles) = channel();
    let worker =
        Worker::new(&queue).task::<Note>().task::<End>().state(room.disk.clone()).on_event(move |event| {
            if let Event::StoreError { error } = event {
                heard.send((error.kind(), error.may_be_stored())).unwrap();
            }
        });
    let worker = worker.start().unwrap();
    Note::new(1).enqueue(&queue).unwrap().wait_timeout(PATIENCE).unwrap();

    let mut doubtful = 0;
    for nth in 1.. {
        // Wherever it strikes: at the enqueue, at the claim that shares its commit, at the finish.
        room.disk.fail(nth, Fault::Io(Op::Write), FaultDuration::Once);
        let job = match Note::new(nth as u32).enqueue(&queue) {
            Ok(job) => job,
            Err(error) => {
                assert!(room.disk.failures() > 0 && error.may_be_stored(), "{error:?}");
                doubtful += 1;
                Note::new(nth as u32).enqueue(&queue).unwrap()
            }
        };
        job.wait_timeout(PATIENCE).unwrap();
        let struck = room.disk.failures();
        room.disk.clear_faults();
        if struck == 0 {
            break;
        }
    }
    assert!(doubtful > 5, "{doubtful} writes of an enqueue failed");

    let mut written_again = 0;
    for nth in 1.. {
        troubles.try_iter().for_each(drop);
        let job = End::new(nth).enqueue(&queue).unwrap();
        job.wait_timeout(PATIENCE).unwrap();
        let struck = room.disk.failures();
        room.disk.clear_faults();
        if struck == 0 {
            break;
        }
        // The worker heard that the end of its job is in doubt, and the job has ended: once, by its only attempt.
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
fn a_sync_that_fails_in_a_checkpoint_stops_a_relaxed_queue_whose_log_is_not_safe_without_it() {
    let room = Room::new(5);
    let store = room.try_open(Durability::Relaxed).unwrap();
    // Opening has written the log back, so the first commit begins it anew and syncs its head.
    answer(store.insert(vec![NewJob::new("stop.note", "{}")])).unwrap();
    room.disk.fail(1, Fault::Io(Op::Sync), FaultDuration::Once);
    let insert = |_| {
        let jobs = (0..100).map(|_| NewJob::new("stop.note", "{}")).collect();
        answer(store.insert(jobs))
    };
    let refused = (0..100).map(insert).find_map(Result::err).expect("a checkpoint is made on the way");
    assert_eq!((refused.kind(), refused.may_be_stored()), (ErrorKind::StoreHalted, false), "{refused}");
    assert_eq!(room.disk.failures(), 1);
    // What the process alone has survived is there, since nothing was written from the log into the file.
    drop(store);
    room.disk.kill(0);
    as_process(1, || {
        room.open();
        room.assert_sound();
    });
}
