//! A job that a program stores on its own connection without a transaction, while each operation fails in
//! turn: the answer agrees with what the next program finds.
//!
//! Depends on `workspace`. The program is killed after its answer, so that the next one finds what is on the
//! disk, and not what the program would still have cleaned up.

use qdjobs::prelude::*;
use qdjobs::{Error, ErrorKind, Filter};
use qdjobs_sim_disk::{Fault, FaultDuration, Op, as_process};

use crate::workspace::{Workspace, assert_no_thread_panicked};

const PROGRAM: u32 = 9;
const NEXT: u32 = 10;

#[task("disk.post")]
fn post(_number: u32) {}

/// One job under one fault: whether the fault happened, the answer, and whether the job is stored.
fn post_once(nth: u64, fault: Fault) -> (bool, Result<(), Error>, bool) {
    let workspace = Workspace::new(nth);
    drop(workspace.open());
    let (happened, reported) = as_process(PROGRAM, || {
        let conn = workspace.connect().unwrap();
        Post::new(1).enqueue(&conn).unwrap();
        workspace.disk.fail_process(PROGRAM, nth, fault, FaultDuration::Once);
        let reported = Post::new(2).enqueue(&conn).map(drop);
        assert!(conn.is_autocommit(), "no transaction is left open: {reported:?}");
        let happened = workspace.disk.failures() > 0;
        workspace.disk.kill(PROGRAM);
        (happened, reported)
    });
    workspace.disk.clear_faults();
    let jobs = as_process(NEXT, || {
        let queue = JobQueue::with_store(workspace.open());
        workspace.assert_sound();
        queue.list(Filter::default()).unwrap().jobs.len()
    });
    assert!((1..=2).contains(&jobs), "{jobs}");
    (happened, reported, jobs == 2)
}

#[test]
fn a_job_stored_without_a_transaction_is_stored_exactly_if_the_answer_says_so() {
    for fault in [Fault::Any, Fault::Io(Op::Sync), Fault::Full] {
        let mut unconfirmed = 0;
        for nth in 1.. {
            let (happened, reported, stored) = post_once(nth, fault);
            match &reported {
                Ok(()) => assert!(stored, "operation {nth}, {fault:?}"),
                Err(error) if error.may_be_stored() => {
                    assert_eq!(error.kind(), ErrorKind::Indeterminate);
                    unconfirmed += usize::from(stored);
                }
                Err(error) => assert!(!stored, "operation {nth}, {fault:?}: {error}"),
            }
            if !happened {
                assert!(reported.is_ok() && nth > 1, "{fault:?}: {reported:?}");
                break;
            }
        }
        assert_eq!(unconfirmed > 0, fault != Fault::Full, "{fault:?}: some writes are unconfirmed");
    }
    assert_no_thread_panicked();
}
