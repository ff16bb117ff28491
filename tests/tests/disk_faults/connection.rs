//! A job that a program stores on a connection of its own, without a transaction, while each operation fails in turn: what it is
//! told is true of what the next program finds.
//!
//! Leans on `room`. The program dies after its answer, so that the next one finds what stands on the disk, and not what the
//! program would still have cleared away.

use qdjobs::prelude::*;
use qdjobs::{Error, ErrorKind, Filter};
use qdjobs_sim_disk::{Fault, FaultDuration, Op, as_process};

use crate::room::{Room, assert_no_thread_panicked};

const PROGRAM: u32 = 9;
const NEXT: u32 = 10;

#[task("disk.post")]
fn post(_number: u32) {}

/// One job under one fault: whether the fault struck, what the program was told, and whether the job is there.
fn post_once(nth: u64, fault: Fault) -> (bool, Result<(), Error>, bool) {
    let room = Room::new(nth);
    drop(room.open());
    let (struck, told) = as_process(PROGRAM, || {
        let conn = room.connect().unwrap();
        Post::new(1).enqueue(&conn).unwrap();
        room.disk.fail_process(PROGRAM, nth, fault, FaultDuration::Once);
        let told = Post::new(2).enqueue(&conn).map(drop);
        assert!(conn.is_autocommit(), "no transaction is left open: {told:?}");
        let struck = room.disk.failures() > 0;
        room.disk.kill(PROGRAM);
        (struck, told)
    });
    room.disk.clear_faults();
    let jobs = as_process(NEXT, || {
        let queue = JobQueue::with_store(room.open());
        room.assert_sound();
        queue.list(Filter::default()).unwrap().jobs.len()
    });
    assert!((1..=2).contains(&jobs), "{jobs}");
    (struck, told, jobs == 2)
}

#[test]
fn a_job_stored_without_a_transaction_is_there_if_it_is_said_so_and_not_if_it_is_said_not_to_be() {
    for fault in [Fault::Any, Fault::Io(Op::Sync), Fault::Full] {
        let mut doubtful = 0;
        for nth in 1.. {
            let (struck, told, stored) = post_once(nth, fault);
            match &told {
                Ok(()) => assert!(stored, "operation {nth}, {fault:?}"),
                Err(error) if error.may_be_stored() => {
                    assert_eq!(error.kind(), ErrorKind::Indeterminate);
                    doubtful += usize::from(stored);
                }
                Err(error) => assert!(!stored, "operation {nth}, {fault:?}: {error}"),
            }
            if !struck {
                assert!(told.is_ok() && nth > 1, "{fault:?}: {told:?}");
                break;
            }
        }
        assert_eq!(doubtful > 0, fault != Fault::Full, "{fault:?}: some doubt was justified");
    }
    assert_no_thread_panicked();
}
