//! The promises about suspected poison jobs: those with which a worker has died.

use crate::bench::*;

/// A job with which a worker has died, of each of `jobs`.
fn suspected(bench: &Bench, jobs: Vec<NewJob>) -> Vec<JobId> {
    const DEAD: WorkerId = WorkerId(0xdead);
    let stored = bench.insert(jobs);
    bench.register_worker(DEAD);
    let tasks = Arc::new(TaskSet::new(["mail", "ping"]));
    assert_eq!(bench.claim(DEAD, ClaimRequest { tasks, ..want(stored.len()) }).len(), stored.len());
    assert_eq!(answer(bench.store.release_worker(DEAD, Release::ProvenDead)).unwrap().jobs, stored.len());
    assert!(stored.iter().all(|id| bench.job(*id).crash_count == 1));
    stored
}

pub(crate) fn a_worker_holds_one_suspected_job_at_a_time_beside_others(bench: &Bench) {
    let jobs = suspected(bench, vec![job(); 3]);
    bench.register_worker(BOB);
    bench.register_worker(CAT);
    bench.advance(SECOND);
    let others = bench.insert(vec![job(), job()]);
    let claimed = bench.claim(BOB, want(9));
    assert_eq!(ids(&claimed), [jobs[0], others[0], others[1]]);
    assert_eq!(bench.claim(BOB, want(9)), []);
    assert_eq!(ids(&bench.claim(CAT, want(9))), [jobs[1]], "another worker may hold one too");
    let finish = bench.finish_of(claimed[1].claim, complete());
    assert_eq!(answer(bench.ask(BOB, vec![finish], want(9))).unwrap().claimed, [], "that was none");
    let finish = bench.finish_of(claimed[0].claim, complete());
    assert_eq!(given(bench.ask(BOB, vec![finish], want(9))), [jobs[2]]);
}

pub(crate) fn suspected_jobs_are_claimed_in_the_order_of_all_jobs(bench: &Bench) {
    bench.register_worker(ANN);
    let ranked = |priority| with(|job| job.priority = priority);
    let early = bench.insert_one(task("unheard_of"));
    let jobs = suspected(bench, vec![ranked(0), ranked(1), ranked(-1)]);
    let others = bench.insert(vec![ranked(2), ranked(1), ranked(0)]);
    assert_eq!(bench.claim_one(ANN).id, others[0]);
    assert_eq!(ids(&bench.claim(ANN, want(9))), [jobs[1], others[1], others[2]]);
    assert_eq!(bench.job(early).status, Status::Pending);
}

pub(crate) fn a_suspected_job_behind_the_limit_is_not_claimed(bench: &Bench) {
    bench.register_worker(ANN);
    let suspected_job = suspected(bench, vec![with(|job| job.priority = -1)])[0];
    let others = bench.insert(vec![job(), job()]);
    assert_eq!(bench.claim(ANN, want(0)), []);
    assert_eq!(ids(&bench.claim(ANN, want(2))), others);
    assert_eq!(bench.job(suspected_job).status, Status::Pending);
    assert_eq!(ids(&bench.claim(ANN, want(2))), [suspected_job]);
}

pub(crate) fn suspected_jobs_are_claimed_over_all_tasks_and_queues_wanted_and_no_others(bench: &Bench) {
    bench.register_worker(ANN);
    let of = |name: &str, queue: &str, priority| {
        let mut job = task(name);
        (job.queue, job.priority) = (queue.into(), priority);
        job
    };
    let jobs = suspected(
        bench,
        vec![of("ping", "a", 9), of("mail", "a", 1), of("mail", "b", 2), of("mail", "c", 3)],
    );
    let from = |queues: &[&str]| {
        let queues = queues.iter().map(|queue| (*queue).to_owned()).collect::<Vec<_>>();
        ClaimRequest { queues: Some(queues.into()), ..want(9) }
    };
    assert_eq!(bench.claim(ANN, from(&["d"])), []);
    assert_eq!(ids(&bench.claim(ANN, from(&["a", "b"]))), [jobs[2]]);
}

pub(crate) fn a_crash_is_counted_for_the_suspected_job_of_a_dead_worker_alone(bench: &Bench) {
    let jobs = suspected(bench, vec![job(), job()]);
    bench.register_worker(BOB);
    bench.advance(SECOND);
    let others = bench.insert(vec![job(), job()]);
    assert_eq!(ids(&bench.claim(BOB, want(9))), [jobs[0], others[0], others[1]]);
    let stored_at = bench.now();
    bench.advance(SECOND);
    assert_eq!(answer(bench.store.release_worker(BOB, Release::ProvenDead)).unwrap().jobs, 3);
    let counted = bench.job(jobs[0]);
    assert_eq!((counted.status, counted.crash_count, counted.retry_count), (Status::Pending, 2, 0));
    assert_eq!((counted.scheduled_at, counted.worker_id), (bench.now(), None));
    assert_eq!(bench.outcomes(jobs[0]), [(1, AttemptOutcome::Crashed), (2, AttemptOutcome::Crashed)]);
    for id in &others {
        let job = bench.job(*id);
        assert_eq!((job.status, job.crash_count, job.retry_count, job.error), (Status::Pending, 0, 0, None));
        assert_eq!((job.scheduled_at, job.attempt, job.worker_id), (stored_at, 1, None), "in its place");
        let attempt = bench.attempts(*id).pop().unwrap();
        assert_eq!((attempt.attempt, attempt.outcome), (1, AttemptOutcome::Released));
        let error = attempt.error.unwrap();
        assert!(error.contains("the worker died") && error.contains(&format!("job {}", jobs[0])), "{error}");
    }
    // So they are claimed at once, together, beside one suspected job.
    bench.register_worker(CAT);
    assert_eq!(ids(&bench.claim(CAT, want(9))), [jobs[1], others[0], others[1]]);
}

pub(crate) fn a_job_is_failed_with_its_third_crash_and_says_so(bench: &Bench) {
    let id = bench.insert_one(job());
    let wait = bench.store.wait_for(id);
    for (number, worker) in [ANN, BOB, CAT].into_iter().enumerate() {
        bench.register_worker(worker);
        assert_eq!(bench.job(id).status, Status::Pending);
        assert_eq!(bench.claim_one(worker).attempt, number as u32 + 1);
        bench.advance(SECOND);
        let released = answer(bench.store.release_worker(worker, Release::ProvenDead)).unwrap();
        let failed: Vec<_> = released.failed.iter().map(|job| (job.id, job.status)).collect();
        let last = [(id, Status::Failed)];
        assert_eq!((released.jobs, &failed[..]), (1, if worker == CAT { &last[..] } else { &[] }));
    }
    let job = bench.job(id);
    assert_eq!((job.status, job.crash_count, job.retry_count, job.attempt), (Status::Failed, 3, 0, 3));
    assert_eq!((job.completed_at, job.worker_id), (Some(bench.now()), Some(CAT)));
    let error = job.error.unwrap();
    assert!(error.starts_with("the worker died 3 times while it ran this job"), "{error}");
    let attempts = bench.attempts(id);
    assert!(attempts.iter().all(|attempt| attempt.outcome == AttemptOutcome::Crashed));
    assert_eq!((attempts.len(), attempts[2].error.as_ref()), (3, Some(&error)));
    assert_eq!(answer(wait).unwrap().status, Status::Failed);
    bench.register_worker(ANN);
    bench.advance(3600 * SECOND);
    assert_eq!(bench.claim(ANN, want(9)), []);
}

pub(crate) fn a_retry_by_hand_ends_the_suspicion(bench: &Bench) {
    let jobs = suspected(bench, vec![job(), job(), job()]);
    bench.register_worker(ANN);
    let held = bench.claim_one(ANN);
    bench.finish(held, fail());
    bench.command(JobCommand::Cancel(jobs[1])).unwrap();
    for id in &jobs[..2] {
        let job = bench.command(JobCommand::Retry(*id)).unwrap();
        assert_eq!((job.crash_count, job.attempt), (0, 1 + u32::from(*id == held.id)));
    }
    assert_eq!(
        ids(&bench.claim(ANN, want(9))),
        jobs,
        "one suspected job, and two that are not suspected any more"
    );
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    assert_eq!(jobs.iter().map(|id| bench.job(*id).crash_count).collect::<Vec<_>>(), [0, 0, 2]);
}

pub(crate) fn a_suspected_job_stays_suspected_through_a_retry_or_a_release(bench: &Bench) {
    let jobs = suspected(bench, vec![job(); 4]);
    bench.register_worker(ANN);
    bench.register_worker(BOB);
    // Below a microsecond, a wait is none: the job is due at once.
    let none = Duration::from_nanos(1);
    for verdict in [
        retry(SECOND),
        postpone(SECOND),
        release(SECOND, true),
        release(Duration::ZERO, false),
        retry(none),
        release(none, true),
    ] {
        bench.finish(bench.claim_one(ANN), verdict);
        let held = bench.claim(BOB, want(9));
        assert_eq!(held.len(), 1, "those that are due are suspected");
        bench.finish(held[0].claim, release(Duration::ZERO, false));
    }
    let left = bench.claim_one(ANN);
    answer(bench.store.release_worker(ANN, Release::ByWorker)).unwrap();
    bench.advance(SECOND);
    for _ in 0..4 {
        let held = bench.claim(BOB, want(9));
        assert_eq!(held.len(), 1);
        assert_eq!(bench.claim(BOB, want(9)), []);
        bench.finish(held[0].claim, complete());
    }
    assert!(jobs.contains(&left.id) && bench.counts().of(Status::Completed) == 4);
}

pub(crate) fn a_waiting_claim_is_answered_when_its_worker_may_hold_the_next_suspected_job(bench: &Bench) {
    for verdict in [complete(), fail(), retry(SECOND), release(SECOND, true), release(SECOND, false)] {
        let [first, second] = suspected(bench, vec![job(), job()])[..] else { panic!("two jobs") };
        bench.register_worker(ANN);
        let held = bench.claim_one(ANN);
        assert_eq!(held.id, first);
        let waiting_claim = bench.wait_to_claim(ANN, waiting());
        bench.finish(held, verdict);
        let next = answer(waiting_claim).unwrap().claimed;
        assert_eq!(ids(&next), [second]);
        bench.finish(next[0].claim, complete());
        if bench.job(first).status == Status::Pending {
            bench.command(JobCommand::Cancel(first)).unwrap();
        }
    }
}

pub(crate) fn a_waiting_claim_is_answered_when_another_dispatcher_of_its_worker_completes_a_suspected_job(
    bench: &Bench,
) {
    let jobs = suspected(bench, vec![task("ping"), job()]);
    bench.register_worker(ANN);
    let pings = || ClaimRequest { tasks: Arc::new(TaskSet::new(["ping"])), ..want(9) };
    let held = bench.claim(ANN, pings())[0].claim;
    let mails = bench.wait_to_claim(ANN, waiting());
    let response = answer(bench.ask(ANN, vec![bench.finish_of(held, complete())], pings())).unwrap();
    assert_eq!((response.lost, response.claimed), (vec![], vec![]));
    assert_eq!(given(mails), [jobs[1]]);
}

pub(crate) fn suspected_jobs_that_are_released_wake_each_worker_that_holds_none(bench: &Bench) {
    bench.register_worker(CAT);
    let stored = bench.insert(vec![job(); 3]);
    bench.claim(CAT, want(3));
    bench.register_worker(ANN);
    bench.register_worker(BOB);
    let waiting_claims = [bench.wait_to_claim(ANN, waiting()), bench.wait_to_claim(BOB, waiting())];
    answer(bench.store.release_worker(CAT, Release::ProvenDead)).unwrap();
    assert_eq!(waiting_claims.map(given), [[stored[0]], [stored[1]]]);
    let waiting_claim = bench.wait_to_claim(ANN, waiting());
    bench.register_worker(CAT);
    assert_eq!(ids(&bench.claim(CAT, want(9))), [stored[2]]);
    bench.still_waits(&waiting_claim);
}
