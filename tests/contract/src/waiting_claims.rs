//! The promises of a claim that waits: what answers it, and what does not.

use crate::bench::*;

pub(crate) fn a_claim_that_may_wait_is_answered_at_once_if_there_is_something(bench: &Bench) {
    bench.register_worker(ANN);
    let id = bench.insert_one(job());
    assert_eq!(given(bench.ask(ANN, vec![], waiting())), [id]);
}

pub(crate) fn a_waiting_claim_is_answered_when_a_job_is_stored(bench: &Bench) {
    bench.register_worker(ANN);
    let waiting_claim = bench.wait_to_claim(ANN, waiting());
    let stored = bench.insert(vec![job(), job()]);
    assert_eq!(given(waiting_claim), stored);
}

pub(crate) fn a_waiting_claim_is_answered_the_moment_a_job_is_due(bench: &Bench) {
    bench.register_worker(ANN);
    let waiting_claim = bench.wait_to_claim(ANN, waiting());
    let id = bench.insert_one(delayed(SECOND));
    bench.advance(SECOND - MICRO);
    bench.still_waits(&waiting_claim);
    bench.advance(MICRO);
    assert_eq!(given(waiting_claim), [id]);
}

pub(crate) fn a_waiting_claim_is_answered_when_a_retry_is_due(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.register_worker(BOB);
    bench.finish(claim, retry(2 * SECOND));
    let waiting_claim = bench.wait_to_claim(BOB, waiting());
    bench.advance(2 * SECOND);
    let claimed = answer(waiting_claim).unwrap().claimed;
    assert_eq!((claimed[0].claim.attempt, claimed[0].retry_count), (2, 1));
}

pub(crate) fn a_waiting_claim_is_answered_when_a_job_is_retried_by_hand(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.finish(claim, fail());
    let waiting_claim = bench.wait_to_claim(ANN, waiting());
    bench.command(JobCommand::Retry(claim.id)).unwrap();
    assert_eq!(given(waiting_claim), [claim.id]);
}

pub(crate) fn a_waiting_claim_is_answered_when_a_job_is_released(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.register_worker(BOB);
    let waiting_claim = bench.wait_to_claim(BOB, waiting());
    bench.finish(claim, release(Duration::ZERO, false));
    assert_eq!(given(waiting_claim), [claim.id]);
}

pub(crate) fn a_waiting_claim_is_answered_when_another_worker_is_released(bench: &Bench) {
    let (of_ann, of_bob) = (bench.held_job(ANN), bench.held_job(BOB));
    bench.register_worker(CAT);
    let waiting_claim = bench.wait_to_claim(CAT, waiting());
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    assert_eq!(given(waiting_claim), [of_ann.id]);
    let waiting_claim = bench.wait_to_claim(CAT, waiting());
    answer(bench.store.release_worker(BOB, Release::ByWorker)).unwrap();
    assert_eq!(given(waiting_claim), [of_bob.id]);
}

pub(crate) fn a_waiting_claim_waits_on_when_it_cannot_take_what_is_stored(bench: &Bench) {
    bench.register_worker(ANN);
    let waiting_claim =
        bench.wait_to_claim(ANN, ClaimRequest { queues: Some(["default".to_owned()].into()), ..waiting() });
    bench.insert(vec![task("unheard_of"), with(|job| job.queue = "other".into()), delayed(3600 * SECOND)]);
    bench.still_waits(&waiting_claim);
    let id = bench.insert_one(job());
    assert_eq!(given(waiting_claim), [id]);
}

pub(crate) fn a_waiting_claim_takes_no_more_than_its_limit(bench: &Bench) {
    bench.register_worker(ANN);
    let waiting_claim = bench.wait_to_claim(ANN, ClaimRequest { limit: 2, ..waiting() });
    let stored = bench.insert(vec![job(); 3]);
    assert_eq!(given(waiting_claim), stored[..2]);
    assert_eq!(bench.job(stored[2]).status, Status::Pending);
}

pub(crate) fn of_two_waiting_claims_one_gets_the_job(bench: &Bench) {
    bench.register_worker(ANN);
    bench.register_worker(BOB);
    let waiting_claims = [bench.wait_to_claim(ANN, waiting()), bench.wait_to_claim(BOB, waiting())];
    let id = bench.insert_one(job());
    bench.settle();
    let answers: Vec<Option<Vec<JobId>>> = waiting_claims
        .iter()
        .map(|waiting_claim| waiting_claim.try_take().map(|response| ids(&response.unwrap().claimed)))
        .collect();
    assert!(answers.contains(&Some(vec![id])) && answers.contains(&None), "{answers:?}");
}

pub(crate) fn one_claim_waits_for_a_worker_and_its_set_of_tasks(bench: &Bench) {
    bench.register_worker(ANN);
    bench.register_worker(BOB);
    let of = |name: &str| ClaimRequest { tasks: Arc::new(TaskSet::new([name])), ..waiting() };
    let older = bench.wait_to_claim(ANN, of("mail"));
    let pings = bench.wait_to_claim(ANN, of("ping"));
    let other = bench.wait_to_claim(BOB, of("mail"));
    let newer = bench.wait_to_claim(ANN, of("mail"));
    assert_eq!(given(older), [], "its successor ended it");
    let stored = bench.insert(vec![task("mail"), task("mail"), task("ping")]);
    assert_eq!(given(pings), [stored[2]]);
    let limited = [given(other), given_or_nothing(bench, newer)].concat();
    assert_eq!(limited, stored[..2], "the oldest waiting claim takes all it may");
}

/// What a waiting claim got, if it got anything.
fn given_or_nothing(bench: &Bench, waiting_claim: Pending<ClaimResponse>) -> Vec<JobId> {
    bench.settle();
    waiting_claim.try_take().map(|response| ids(&response.unwrap().claimed)).unwrap_or_default()
}

pub(crate) fn a_cancel_ends_the_waiting_claims_of_one_worker_with_nothing(bench: &Bench) {
    bench.register_worker(ANN);
    bench.register_worker(BOB);
    let pings = ClaimRequest { tasks: Arc::new(TaskSet::new(["ping"])), ..waiting() };
    let of_ann = [bench.wait_to_claim(ANN, waiting()), bench.wait_to_claim(ANN, pings)];
    let of_bob = bench.wait_to_claim(BOB, waiting());
    answer(bench.store.cancel_waiting_claims(ANN)).unwrap();
    for waiting_claim in of_ann {
        let response = answer(waiting_claim).unwrap();
        assert!(response.claimed.is_empty() && response.lost.is_empty());
    }
    bench.still_waits(&of_bob);
    let id = bench.insert_one(job());
    assert_eq!(given(of_bob), [id]);
    assert_eq!(bench.claim(ANN, want(1)), [], "a worker without waiting claims is still registered");
}

pub(crate) fn a_claim_with_finished_jobs_never_waits(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let stale = Claim { attempt: 9, ..claim };
    for (shown, lost) in [(stale, vec![stale]), (claim, vec![])] {
        let response = answer(bench.ask(ANN, vec![bench.finish_of(shown, complete())], waiting())).unwrap();
        assert_eq!((response.lost, response.claimed), (lost, vec![]));
    }
}

pub(crate) fn a_claim_finishes_first_and_may_claim_what_it_freed(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let freed = bench.finish_of(claim, retry(Duration::ZERO));
    let response = answer(bench.ask(ANN, vec![freed], want(1))).unwrap();
    assert_eq!(response.claimed[0].claim, Claim { attempt: 2, ..claim });
}
