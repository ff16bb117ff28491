//! The promises of *release*: the jobs of a worker that stops or is dead.

use crate::bench::*;

pub(crate) fn a_worker_that_is_alive_is_never_proven_dead(bench: &Bench) {
    bench.held_job(ANN);
    bench.advance(86_400 * SECOND);
    assert!(!bench.store.is_proven_dead(ANN));
}

pub(crate) fn the_jobs_of_a_dead_worker_are_due_again_with_a_crash_counted(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let other = bench.held_job(BOB);
    bench.advance(SECOND);
    assert_eq!(answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap().jobs, 1);
    let job = bench.job(claim.id);
    assert_eq!((job.status, job.attempt, job.worker_id), (Status::Pending, 1, None));
    assert_eq!((job.crash_count, job.retry_count), (1, 0));
    assert_eq!((job.scheduled_at, job.started_at), (START, Some(START)), "in its place");
    let attempt = bench.attempts(claim.id).pop().unwrap();
    assert_eq!((attempt.attempt, attempt.worker_id, attempt.outcome), (1, ANN, AttemptOutcome::Crashed));
    assert_eq!((attempt.started_at, attempt.ended_at), (START, bench.now()));
    assert!(attempt.error.is_some() && attempt.error == job.error, "{attempt:?}");
    assert_eq!(bench.job(other.id).status, Status::Running, "of a worker that lives");
    assert_eq!(bench.claim_one(BOB), Claim { id: claim.id, attempt: 2, worker: BOB });
}

pub(crate) fn a_release_of_a_dead_worker_succeeds_once_and_removes_the_worker(bench: &Bench) {
    bench.held_job(ANN);
    assert_eq!(bench.workers().len(), 1);
    assert_eq!(answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap().jobs, 1);
    assert!(bench.workers().is_empty());
    assert_eq!(answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap().jobs, 0);
    assert_eq!(
        answer(bench.store.release_worker(CAT, Release::ProvenDead)).unwrap().jobs,
        0,
        "never heard of"
    );
}

pub(crate) fn an_end_by_the_last_crash_is_lost_to_the_attempt_that_crashed(bench: &Bench) {
    bench.register_worker(BOB);
    let mut claim = bench.held_job(ANN);
    for _ in 1..Job::CRASHES_MAX {
        answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
        bench.register_worker(ANN);
        claim = bench.claim_one(ANN);
    }
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    let failed = bench.job(claim.id);
    assert_eq!(failed.status, Status::Failed);
    let response = answer(bench.ask(BOB, vec![bench.finish_of(claim, complete())], want(0))).unwrap();
    assert_eq!(response.lost, [claim], "it was released as dead, and comes back too late");
    assert_eq!(format!("{:?}", bench.job(claim.id)), format!("{failed:?}"));
}

pub(crate) fn a_silent_worker_with_a_newer_heartbeat_is_left_alone(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let heartbeats = || bench.workers().iter().find(|state| state.id == ANN).map(|state| state.heartbeats);
    let seen = heartbeats().unwrap();
    answer(bench.store.heartbeat(ANN)).unwrap();
    assert_eq!(
        answer(bench.store.release_worker(ANN, Release::Silent { heartbeats: seen })).unwrap().jobs,
        0
    );
    assert_eq!(bench.job(claim.id).worker_id, Some(ANN));
    assert_eq!(
        answer(bench.store.release_worker(ANN, Release::Silent { heartbeats: heartbeats().unwrap() }))
            .unwrap()
            .jobs,
        1
    );
    assert_eq!(heartbeats(), None);
    assert_eq!(
        answer(bench.store.release_worker(ANN, Release::Silent { heartbeats: seen })).unwrap().jobs,
        0,
        "it is not on the list any more"
    );
}

pub(crate) fn a_stale_claim_cannot_finish_a_released_job(bench: &Bench) {
    let stale = bench.held_job(ANN);
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    assert_eq!(
        kind(answer(bench.ask(ANN, vec![bench.finish_of(stale, complete())], want(1)))),
        ErrorKind::LeaseLost
    );
    assert_eq!(bench.job(stale.id).status, Status::Pending);
    // Nor in the request of a worker that is registered, nor while another worker runs the job.
    bench.register_worker(BOB);
    let held = bench.claim_one(BOB);
    let response = answer(bench.ask(BOB, vec![bench.finish_of(stale, complete())], want(0))).unwrap();
    assert_eq!(response.lost, [stale]);
    assert_eq!(bench.finish(held, complete()).worker_id, Some(BOB));
}

pub(crate) fn a_worker_released_as_dead_claims_nothing_and_its_waiting_claim_is_refused(bench: &Bench) {
    bench.register_worker(ANN);
    let waiting_claim = bench.wait_to_claim(ANN, waiting());
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    assert_eq!(kind(answer(waiting_claim)), ErrorKind::LeaseLost);
    let id = bench.insert_one(job());
    assert_eq!(kind(answer(bench.ask(ANN, vec![], want(1)))), ErrorKind::LeaseLost);
    assert_eq!(bench.job(id).status, Status::Pending);
}

pub(crate) fn a_worker_that_stops_releases_all_and_no_failure_is_counted(bench: &Bench) {
    bench.register_worker(ANN);
    let stored = bench.insert(vec![job(), job(), job()]);
    let claimed = bench.claim(ANN, want(2));
    bench.advance(SECOND);
    assert_eq!(answer(bench.store.release_worker(ANN, Release::ByWorker)).unwrap().jobs, 2);
    for id in ids(&claimed) {
        let job = bench.job(id);
        assert_eq!((job.status, job.attempt, job.worker_id), (Status::Pending, 1, None));
        assert_eq!((job.retry_count, job.crash_count, job.error), (0, 0, None));
        assert_eq!((job.scheduled_at, job.started_at), (START, Some(START)));
        let attempt = bench.attempts(id).pop().unwrap();
        assert_eq!((attempt.outcome, attempt.ended_at), (AttemptOutcome::Released, bench.now()));
    }
    assert!(bench.workers().is_empty());
    assert_eq!(answer(bench.store.release_worker(ANN, Release::ByWorker)).unwrap().jobs, 0);
    assert_eq!(
        answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap().jobs,
        0,
        "there is nothing left to release"
    );
    bench.register_worker(BOB);
    assert_eq!(ids(&bench.claim(BOB, want(9))), stored, "each in its place in the line");
}

pub(crate) fn a_release_by_the_worker_answers_its_waiting_claim_with_nothing(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let waiting_claim = bench.wait_to_claim(ANN, waiting());
    assert_eq!(answer(bench.store.release_worker(ANN, Release::ByWorker)).unwrap().jobs, 1);
    let response = answer(waiting_claim).unwrap();
    assert!(response.claimed.is_empty() && response.lost.is_empty(), "not even what it has just given back");
    assert_eq!(kind(answer(bench.ask(ANN, vec![], want(1)))), ErrorKind::LeaseLost);
    assert_eq!(bench.job(claim.id).status, Status::Pending);
}
