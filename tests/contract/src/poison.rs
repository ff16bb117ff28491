//! The promises about poison jobs, with which each worker dies, and about the search for them.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::bench::*;

/// Registers a worker that claims up to `limit` jobs of `mail` and `ping`, and returns their ids.
fn hold(bench: &Bench, worker: WorkerId, limit: usize) -> Vec<JobId> {
    bench.register_worker(worker);
    let tasks = Arc::new(TaskSet::new(["mail", "ping"]));
    ids(&bench.claim(worker, ClaimRequest { tasks, ..want(limit) }))
}

/// A worker dies. Returns the jobs that have failed by it.
fn die(bench: &Bench, worker: WorkerId) -> Vec<JobId> {
    let released = answer(bench.store.release_worker(worker, Release::ProvenDead)).unwrap();
    released.failed.iter().map(|job| job.id).collect()
}

/// A worker that there was not before, as every real one.
fn new_worker() -> WorkerId {
    static LAST: AtomicI64 = AtomicI64::new(0xdead);
    WorkerId(LAST.fetch_add(1, Ordering::Relaxed))
}

/// A worker takes `limit` jobs and dies. Returns them.
fn die_with(bench: &Bench, limit: usize) -> Vec<JobId> {
    let worker = new_worker();
    let held = hold(bench, worker, limit);
    assert_eq!(die(bench, worker), []);
    held
}

fn crash_counts(bench: &Bench, jobs: &[JobId]) -> Vec<u32> {
    jobs.iter().map(|id| bench.job(*id).crash_count).collect()
}

/// Jobs of which a worker holds one at a time: as many workers as necessary have died with them.
fn suspected(bench: &Bench, jobs: Vec<NewJob>) -> Vec<JobId> {
    let stored = bench.insert(jobs);
    assert_eq!(die_with(bench, stored.len()).len(), stored.len());
    let mut together = stored.len();
    while together > 1 {
        let workers: Vec<WorkerId> = (0..stored.len().div_ceil(together)).map(|_| new_worker()).collect();
        workers.iter().for_each(|worker| _ = hold(bench, *worker, stored.len()));
        workers.iter().for_each(|worker| assert_eq!(die(bench, *worker), []));
        together /= 2;
    }
    if stored.len() == 1 {
        die_with(bench, 1);
    }
    assert!(crash_counts(bench, &stored).into_iter().all(|count| count >= 2));
    stored
}

pub(crate) fn after_one_death_all_jobs_run_again_together_and_in_their_places(bench: &Bench) {
    let jobs = bench.insert(vec![job(); 5]);
    let stored_at = bench.now();
    assert_eq!(die_with(bench, 4), jobs[..4]);
    bench.advance(SECOND);
    bench.register_worker(ANN);
    let held = bench.claim(ANN, want(9));
    assert_eq!(ids(&held), jobs, "those that crashed are still first");
    for (id, crash_count) in jobs.iter().zip([1, 1, 1, 1, 0]) {
        let job = bench.job(*id);
        assert_eq!((job.crash_count, job.retry_count, job.scheduled_at), (crash_count, 0, stored_at));
    }
    for job in held {
        bench.finish(job.claim, complete());
    }
    assert_eq!(crash_counts(bench, &jobs), [1, 1, 1, 1, 0]);
}

pub(crate) fn after_a_second_death_a_worker_holds_half_of_those_that_were_held_at_both(bench: &Bench) {
    let jobs = bench.insert(vec![job(); 8]);
    die_with(bench, 8);
    die_with(bench, 8);
    assert_eq!(crash_counts(bench, &jobs), [2; 8]);
    let others = bench.insert(vec![job(), job()]);
    bench.register_worker(BOB);
    let held = bench.claim(BOB, want(99));
    assert_eq!(ids(&held), [&jobs[..4], &others[..]].concat(), "others are claimed beside them");
    assert_eq!(bench.claim(BOB, want(99)), []);
    let finish = bench.finish_of(held[0].claim, complete());
    assert_eq!(given(bench.ask(BOB, vec![finish], want(99))), [jobs[4]]);
    bench.register_worker(CAT);
    assert_eq!(ids(&bench.claim(CAT, want(2))), jobs[5..7], "another worker, too");
    assert_eq!(ids(&bench.claim(CAT, want(99))), jobs[7..]);
}

pub(crate) fn each_further_death_halves_the_group_for_those_that_were_held(bench: &Bench) {
    let jobs = bench.insert(vec![job(); 8]);
    die_with(bench, 8);
    die_with(bench, 8);
    assert_eq!(hold(bench, BOB, 99), jobs[..4]);
    assert_eq!(die_with(bench, 99), jobs[4..]);
    bench.register_worker(CAT);
    let held = bench.claim(CAT, want(99));
    assert_eq!(ids(&held), jobs[4..6]);
    bench.finish(held[0].claim, complete());
    bench.finish(held[1].claim, complete());
    answer(bench.store.release_worker(BOB, Release::ByWorker)).unwrap();
    // Four of them may be held together, two of the others, and two of both.
    assert_eq!(ids(&bench.claim(CAT, want(3))), jobs[..3]);
    assert_eq!(bench.claim(CAT, want(1))[0].claim.id, jobs[3]);
    assert_eq!(bench.claim(CAT, want(9)), []);
    assert_eq!(die(bench, CAT), []);
    assert_eq!(hold(bench, BOB, 9), jobs[..2]);
}

/// Four jobs of which two may be held together, and behind the first of them one that may be held with no other.
/// Returns them, and the claim of the first one by [`ANN`].
fn closest_in_the_middle(bench: &Bench) -> (Vec<JobId>, JobId, Claim) {
    let ranked = |priority| with(|job| job.priority = priority);
    let jobs = bench.insert(vec![ranked(2), ranked(0), ranked(0), ranked(0)]);
    assert_eq!((die_with(bench, 4), die_with(bench, 4)), (jobs.clone(), jobs.clone()));
    hold(bench, BOB, 9);
    hold(bench, CAT, 9);
    let closest = suspected(bench, vec![ranked(1)])[0];
    for worker in [BOB, CAT] {
        answer(bench.store.release_worker(worker, Release::ByWorker)).unwrap();
    }
    bench.register_worker(ANN);
    let first = bench.claim_one(ANN);
    assert_eq!(first.id, jobs[0]);
    (jobs, closest, first)
}

pub(crate) fn a_job_that_does_not_fit_the_group_is_not_passed_by_others(bench: &Bench) {
    let (_, closest, first) = closest_in_the_middle(bench);
    assert_eq!(bench.claim(ANN, want(9)), [], "one of the others would fit");
    bench.finish(first, complete());
    assert_eq!(ids(&bench.claim(ANN, want(9))), [closest]);
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
    assert!(error.contains("died or was presumed dead 3 times, so the job has failed"), "{error}");
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
        assert_eq!((job.crash_count, job.attempt), (0, 2 + u32::from(*id == held.id)));
    }
    assert_eq!(
        ids(&bench.claim(ANN, want(9))),
        jobs,
        "one suspected job, and two that are not suspected any more"
    );
    assert_eq!(die(bench, ANN), [], "another one may be the cause");
    assert_eq!(crash_counts(bench, &jobs), [1, 1, 3]);
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

pub(crate) fn a_waiting_claim_is_answered_when_another_worker_of_its_process_completes_a_suspected_job(
    bench: &Bench,
) {
    let jobs = suspected(bench, vec![job(); 8]);
    let workers = new_process();
    workers.iter().for_each(|worker| bench.register_worker(*worker));
    let held = bench.claim_one(workers[0]);
    let waiting_claim = bench.wait_to_claim(workers[1], waiting());
    bench.still_waits(&waiting_claim);
    bench.finish(held, complete());
    assert_eq!(given(waiting_claim), [jobs[1]], "one at a time in the process");
    assert_eq!(bench.claim(workers[0], want(9)), []);
}

pub(crate) fn the_workers_of_a_process_hold_as_many_suspected_jobs_together_as_one_may(bench: &Bench) {
    let jobs = bench.insert(vec![job(); 8]);
    (0..2).for_each(|_| assert_eq!(die_with(bench, 8), jobs));
    let workers = new_process();
    workers.iter().for_each(|worker| bench.register_worker(*worker));
    assert_eq!(ids(&bench.claim(workers[0], want(3))), jobs[..3]);
    assert_eq!(ids(&bench.claim(workers[1], want(3))), jobs[3..4], "half of eight");
    assert_eq!(workers.map(|worker| bench.claim(worker, want(3)).len()), [0, 0]);
    bench.register_worker(ANN);
    assert_eq!(ids(&bench.claim(ANN, want(9))), jobs[4..], "another process");
}

pub(crate) fn suspected_jobs_that_are_released_wake_each_worker_that_may_hold_one(bench: &Bench) {
    let stored = suspected(bench, vec![job(); 3]);
    let held = [ANN, BOB, CAT].map(|worker| {
        bench.register_worker(worker);
        bench.claim_one(worker)
    });
    assert_eq!(held.map(|claim| claim.id), stored[..]);
    bench.finish(held[0], complete());
    bench.finish(held[1], complete());
    let waiting_claims = [bench.wait_to_claim(ANN, waiting()), bench.wait_to_claim(BOB, waiting())];
    answer(bench.store.release_worker(CAT, Release::ByWorker)).unwrap();
    let [first, second] = waiting_claims;
    assert_eq!(given(first), [stored[2]]);
    bench.still_waits(&second);
}

pub(crate) fn a_job_that_fails_by_its_crashes_clears_those_that_crashed_with_it(bench: &Bench) {
    let elsewhere = suspected(bench, vec![job()])[0];
    bench.register_worker(BOB);
    assert_eq!(bench.claim_one(BOB).id, elsewhere);
    let jobs = bench.insert(vec![job(); 5]);
    die_with(bench, 5);
    die_with(bench, 5);
    assert_eq!(die_with(bench, 9), jobs[..2]);
    assert_eq!(crash_counts(bench, &jobs), [3, 3, 2, 2, 2]);
    // One of them has ended, and one runs.
    bench.command(JobCommand::Cancel(jobs[4])).unwrap();
    assert_eq!(hold(bench, ANN, 1), jobs[..1]);
    bench.register_worker(CAT);
    let held = bench.claim(CAT, want(9));
    assert_eq!(ids(&held), jobs[1..2]);
    let waiting_claim = bench.wait_to_claim(CAT, ClaimRequest { limit: 9, ..waiting() });
    assert_eq!(die(bench, ANN), jobs[..1]);
    assert_eq!(given(waiting_claim), jobs[2..4], "they may be held together again");
    assert_eq!(crash_counts(bench, &jobs), [4, 0, 0, 0, 2]);
    assert_eq!(bench.outcomes(jobs[1]), [1, 2, 3].map(|attempt| (attempt, AttemptOutcome::Crashed)));
    // Also those that ran meanwhile are suspected no more.
    bench.finish(held[0].claim, release(Duration::ZERO, true));
    answer(bench.store.release_worker(CAT, Release::ByWorker)).unwrap();
    assert_eq!(hold(bench, CAT, 9), jobs[1..4]);
    // This one has crashed with other workers.
    assert_eq!(crash_counts(bench, &[elsewhere]), [2]);
}

pub(crate) fn a_job_that_was_retried_by_hand_clears_only_what_crashed_with_it_since(bench: &Bench) {
    let jobs = bench.insert(vec![job(); 2]);
    die_with(bench, 2);
    die_with(bench, 2);
    bench.command(JobCommand::Cancel(jobs[0])).unwrap();
    bench.command(JobCommand::Retry(jobs[0])).unwrap();
    bench.register_worker(BOB);
    let held = bench.claim(BOB, want(9));
    assert_eq!(ids(&held), jobs);
    bench.finish(held[0].claim, release(Duration::ZERO, false));
    die_with(bench, 1);
    die_with(bench, 1);
    assert_eq!(hold(bench, ANN, 1), jobs[..1]);
    assert_eq!(die(bench, ANN), jobs[..1]);
    assert_eq!(crash_counts(bench, &jobs), [3, 2]);
}

/// Workers take jobs and die of the poison jobs among them, until all jobs have ended. Returns the deaths.
fn search(bench: &Bench, workers: usize, limit: usize, poison: &[JobId]) -> usize {
    let mut deaths = 0;
    loop {
        let names: Vec<WorkerId> = (0..workers).map(|_| new_worker()).collect();
        let held: Vec<Vec<ClaimedJob>> = names
            .iter()
            .map(|name| {
                bench.register_worker(*name);
                bench.claim(*name, want(limit))
            })
            .collect();
        if held.iter().all(Vec::is_empty) {
            return deaths;
        }
        for (worker, held) in names.into_iter().zip(held) {
            if held.iter().any(|job| poison.contains(&job.claim.id)) {
                let failed = die(bench, worker);
                assert!(failed.iter().all(|id| poison.contains(id)), "{failed:?} of {poison:?} have failed");
                deaths += 1;
                continue;
            }
            let finished = held.iter().map(|job| bench.finish_of(job.claim, complete())).collect();
            answer(bench.ask(worker, finished, want(0))).unwrap();
            answer(bench.store.release_worker(worker, Release::ByWorker)).unwrap();
        }
    }
}

pub(crate) fn the_search_for_poison_jobs_takes_about_log_n_deaths_and_fails_no_other_job(bench: &Bench) {
    for (workers, limit, number, places) in [
        (1, 64, 64, &[0][..]),
        (1, 64, 64, &[41]),
        (1, 64, 64, &[63]),
        (1, 9, 64, &[30]),
        (3, 20, 64, &[40]),
        (1, 64, 64, &[0, 1]),
        (1, 64, 64, &[7, 60]),
        (2, 32, 64, &[31, 32]),
        (1, 8, 64, &[5, 20, 21]),
        (4, 16, 64, &[0, 17, 34, 51]),
        // The first job is beside one of them, and then beside the other.
        (1, 2, 3, &[1, 2]),
        (1, 2, 30, &[3, 17]),
        (1, 3, 12, &[1, 3]),
    ] {
        let jobs = bench.insert(vec![job(); number]);
        let poison: Vec<JobId> = places.iter().map(|place| jobs[*place]).collect();
        let deaths = search(bench, workers, limit, &poison);
        for id in jobs {
            let wanted = if poison.contains(&id) { Status::Failed } else { Status::Completed };
            assert_eq!(bench.job(id).status, wanted, "job {id} beside {poison:?}");
        }
        // Two to be suspected, six halves to be the only one, and the last; two more if others are beside it.
        assert!(deaths <= 11 * poison.len(), "{deaths} deaths: {workers} workers, {limit} jobs, {places:?}");
    }
}

/// Two workers that there were not before, of one process.
fn new_process() -> [WorkerId; 2] {
    static LAST: AtomicI64 = AtomicI64::new(1);
    let process = LAST.fetch_add(1, Ordering::Relaxed) << 32;
    [1, 2].map(|number| WorkerId(process | number))
}

/// Each of the two workers serves one queue, in which it always finds the same job.
pub(crate) fn a_job_does_not_fail_for_one_of_another_worker_of_its_process(bench: &Bench) {
    let of = |queue: &str| {
        let mut job = job();
        job.queue = queue.into();
        job
    };
    let from = |queue: &str| ClaimRequest { queues: Some(Arc::from([queue.to_owned()])), ..want(1) };
    for first in [0, 1] {
        let jobs = bench.insert(vec![of("poison"), of("innocent")]);
        let mut deaths = 0;
        while bench.job(jobs[0]).status != Status::Failed {
            assert!(deaths < 4, "{:?} {:?}", bench.job(jobs[0]), bench.job(jobs[1]));
            let workers = new_process();
            workers.iter().for_each(|worker| bench.register_worker(*worker));
            let held = [bench.claim(workers[0], from("poison")), bench.claim(workers[1], from("innocent"))];
            assert!(held.iter().all(|held| held.len() <= 1));
            assert_eq!(ids(&held[0]), jobs[..1]);
            deaths += 1;
            // Released in either order.
            let failed = [workers[first], workers[1 - first]].map(|worker| die(bench, worker)).concat();
            assert!(failed.iter().all(|id| *id == jobs[0]), "{failed:?}");
        }
        assert_eq!(
            deaths, 3,
            "two with both, and one alone: the suspected jobs of a process are counted together"
        );
        let innocent = bench.job(jobs[1]);
        assert_eq!((innocent.status, innocent.crash_count), (Status::Pending, 0));
        bench.command(JobCommand::Cancel(jobs[1])).unwrap();
    }
}

pub(crate) fn jobs_of_all_workers_of_a_dead_process_can_be_its_cause(bench: &Bench) {
    let jobs = bench.insert(vec![task("mail"), task("ping")]);
    let only = |name: &str| ClaimRequest { tasks: Arc::new(TaskSet::new([name])), ..want(1) };
    // The first one has died twice, so that the next death would be its last, were it alone.
    for _ in 0..2 {
        let worker = new_worker();
        bench.register_worker(worker);
        assert_eq!(ids(&bench.claim(worker, only("mail"))), jobs[..1]);
        assert_eq!(die(bench, worker), []);
    }
    // Released in either order, and at last alone.
    for (order, alone) in [([0, 1], false), ([1, 0], false), ([0, 1], true)] {
        let workers = new_process();
        workers.iter().for_each(|worker| bench.register_worker(*worker));
        assert_eq!(ids(&bench.claim(workers[0], only("mail"))), jobs[..1]);
        if !alone {
            assert_eq!(ids(&bench.claim(workers[1], only("ping"))), jobs[1..]);
        }
        let failed = order.map(|at| die(bench, workers[at])).concat();
        assert_eq!(failed, if alone { &jobs[..1] } else { &[] }, "alone: {alone}");
    }
    assert_eq!(bench.job(jobs[1]).crash_count, 0, "explained");
}

/// A worker that was presumed dead goes on in the same process, under another id.
pub(crate) fn a_death_before_the_job_began_is_not_one_of_its_process(bench: &Bench) {
    let jobs = bench.insert(vec![job(), job()]);
    let process = new_process()[0].0;
    let worker = |number: i64| WorkerId(process | (number << 8));
    assert_eq!(hold(bench, worker(1), 2), jobs);
    bench.advance(SECOND);
    assert_eq!(die(bench, worker(1)), []);
    bench.advance(SECOND);
    assert_eq!(hold(bench, worker(2), 2), jobs);
    let neighbor = Claim { id: jobs[1], attempt: 2, worker: worker(2) };
    bench.finish(neighbor, complete());
    bench.advance(SECOND);
    assert_eq!(die(bench, worker(2)), []);
    bench.advance(SECOND);
    assert_eq!(hold(bench, worker(3), 2), jobs[..1]);
    bench.advance(SECOND);
    assert_eq!(die(bench, worker(3)), jobs[..1], "alone, at its third crash");
}

pub(crate) fn the_death_by_which_a_job_fails_counts_for_no_job_of_its_process(bench: &Bench) {
    for order in [[0, 1], [1, 0]] {
        let jobs = bench.insert(vec![task("mail"), task("ping")]);
        let only = |name: &str| ClaimRequest { tasks: Arc::new(TaskSet::new([name])), ..want(1) };
        let mut deaths = 0;
        while bench.job(jobs[0]).status != Status::Failed {
            // The neighbor is a new one each time, so it is never suspected.
            let neighbor = bench.insert_one(task("fresh"));
            let workers = new_process();
            workers.iter().for_each(|worker| bench.register_worker(*worker));
            assert_eq!(ids(&bench.claim(workers[0], only("mail"))), jobs[..1]);
            assert_eq!(ids(&bench.claim(workers[1], only("fresh"))), [neighbor]);
            let failed = order.map(|at| die(bench, workers[at])).concat();
            deaths += 1;
            assert!(deaths <= 5 && failed.iter().all(|id| *id == jobs[0]), "{failed:?}");
            let (found, is_last) = (bench.job(neighbor), !failed.is_empty());
            assert_eq!(
                (found.status, found.crash_count),
                (Status::Pending, u32::from(!is_last)),
                "{order:?}"
            );
            let crashed = bench.attempts(neighbor).iter().map(|it| it.outcome).collect::<Vec<_>>();
            assert_eq!(crashed, [AttemptOutcome::Crashed]);
            bench.command(JobCommand::Cancel(neighbor)).unwrap();
        }
        assert_eq!(deaths, 5, "three as the only suspected one");
        bench.command(JobCommand::Cancel(jobs[1])).unwrap();
    }
}

/// Only a job that failed by this very attempt is the cause of a death.
pub(crate) fn a_job_that_failed_elsewhere_explains_no_later_death_of_its_process(bench: &Bench) {
    let jobs = bench.insert(vec![task("mail"), task("ping")]);
    let only = |name: &str| ClaimRequest { tasks: Arc::new(TaskSet::new([name])), ..want(1) };
    let workers = new_process();
    workers.iter().for_each(|worker| bench.register_worker(*worker));
    assert_eq!(ids(&bench.claim(workers[0], only("mail"))), jobs[..1]);
    assert_eq!(ids(&bench.claim(workers[1], only("ping"))), jobs[1..]);
    // The first worker was presumed dead, and its job ends two other processes.
    assert_eq!(die(bench, workers[0]), []);
    for failed in [&[][..], &jobs[..1]] {
        let elsewhere = new_worker();
        bench.advance(SECOND);
        assert_eq!(hold(bench, elsewhere, 1), jobs[..1]);
        assert_eq!(die(bench, elsewhere), failed);
    }
    assert_eq!(die(bench, workers[1]), []);
    assert_eq!(crash_counts(bench, &jobs), [3, 1]);
}

pub(crate) fn a_job_explains_no_death_of_its_process_at_another_time(bench: &Bench) {
    let jobs = bench.insert(vec![task("mail"), task("ping")]);
    let only = |name: &str| ClaimRequest { tasks: Arc::new(TaskSet::new([name])), ..want(1) };
    let dies_with = |worker, name| {
        bench.register_worker(worker);
        bench.claim(worker, only(name));
        bench.advance(SECOND);
        die(bench, worker)
    };
    let workers = new_process();
    assert_eq!(dies_with(workers[0], "ping"), []);
    bench.advance(SECOND);
    (0..2).for_each(|_| assert_eq!(dies_with(new_worker(), "mail"), []));
    assert_eq!(dies_with(workers[1], "mail"), jobs[..1]);
    assert_eq!(crash_counts(bench, &jobs), [3, 1]);
}

pub(crate) fn a_suspected_job_that_leaves_the_line_keeps_no_waiting_claim_back(bench: &Bench) {
    for leaves_by in ["cancel", "claim"] {
        let (jobs, closest, _) = closest_in_the_middle(bench);
        let waiting_claim = bench.wait_to_claim(ANN, ClaimRequest { limit: 1, ..waiting() });
        if leaves_by == "cancel" {
            bench.command(JobCommand::Cancel(closest)).unwrap();
        } else {
            assert_eq!(hold(bench, BOB, 1), [closest]);
        }
        assert_eq!(given(waiting_claim), [jobs[1]], "{leaves_by}");
        for worker in [ANN, BOB] {
            answer(bench.store.release_worker(worker, Release::ByWorker)).unwrap();
        }
        for id in jobs.into_iter().chain([closest]) {
            if bench.job(id).status == Status::Pending {
                bench.command(JobCommand::Cancel(id)).unwrap();
            }
        }
    }
}
