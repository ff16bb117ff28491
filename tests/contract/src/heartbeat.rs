//! The promises of *heartbeat*.

use crate::bench::*;

pub(crate) fn a_heartbeat_counts_and_every_worker_is_read_oldest_first(bench: &Bench) {
    bench.register_worker(BOB);
    bench.advance(SECOND);
    let claim = bench.held_job(ANN);
    bench.heartbeat(ANN);
    assert_eq!(bench.heartbeat(ANN), Heartbeat::new(true));
    let workers = bench.workers();
    let [bob, ann] = workers.as_slice() else { panic!("two workers, not {workers:?}") };
    assert_eq!((bob.id, bob.host.as_str(), bob.pid, bob.heartbeats, bob.running), (BOB, "host", 7, 0, 0));
    assert_eq!((ann.id, ann.heartbeats, ann.running), (ANN, 2, 1));
    assert_eq!((bob.started_at, ann.started_at), (START, START.checked_add(SECOND).unwrap()));
    bench.finish(claim, complete());
    assert_eq!(bench.workers()[1].running, 0);
}

pub(crate) fn the_heartbeat_of_a_worker_released_as_dead_answers_that_it_is_not_registered(bench: &Bench) {
    bench.held_job(ANN);
    bench.register_worker(BOB);
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    assert_eq!(bench.heartbeat(ANN), Heartbeat::new(false));
    let workers: Vec<WorkerId> = bench.workers().iter().map(|worker| worker.id).collect();
    assert_eq!(workers, [BOB], "a heartbeat registers nobody");
}
