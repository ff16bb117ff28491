//! The promises of *register*: who may claim.

use crate::bench::*;

pub(crate) fn a_worker_that_is_not_registered_claims_nothing(bench: &Bench) {
    let id = bench.insert_one(job());
    assert_eq!(kind(answer(bench.ask(ANN, vec![], want(1)))), ErrorKind::LeaseLost);
    assert_eq!(kind(answer(bench.ask(ANN, vec![], waiting()))), ErrorKind::LeaseLost);
    assert_eq!(bench.job(id).status, Status::Pending);
}

pub(crate) fn a_worker_that_registers_twice_stays_as_it_is(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.heartbeat(ANN);
    bench.advance(SECOND);
    bench.register_worker(ANN);
    let workers = bench.workers();
    assert_eq!((workers[0].heartbeats, workers[0].started_at, workers[0].running), (1, START, 1));
    assert_eq!(bench.finish(claim, complete()).status, Status::Completed);
}
