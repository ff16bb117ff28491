//! The promises of *claim*: which jobs, in which order, and what a claim holds.

use crate::bench::*;

pub(crate) fn a_claim_is_the_token_of_the_running_job(bench: &Bench) {
    bench.register_worker(ANN);
    let new = with(|job| {
        job.params = r#"{"to":"ann"}"#.into();
        job.name = Some("Greeting".into());
        job.queue = "quick".into();
        job.priority = 7;
        job.max_retries = 5;
        job.metadata = Some("{}".into());
        job.idempotency_key = Some("greeting-1".into());
    });
    let id = bench.insert_one(new.clone());
    bench.advance(SECOND);
    let claimed = bench.claim(ANN, want(9));
    let now = bench.now();
    let expected = ClaimedJob {
        claim: Claim { id, attempt: 1, worker: ANN },
        ticket: Ticket::new(now),
        task_name: "mail".into(),
        params: new.params,
        name: new.name,
        queue: new.queue,
        priority: 7,
        retry_count: 0,
        max_retries: 5,
        created_at: START,
        scheduled_at: START,
        claimed_at: now,
        metadata: new.metadata,
        idempotency_key: new.idempotency_key,
    };
    assert_eq!(claimed, [expected]);
    let job = bench.job(id);
    assert_eq!((job.status, job.attempt, job.worker_id), (Status::Running, 1, Some(ANN)));
    assert_eq!((job.started_at, job.completed_at), (Some(now), None));
}

pub(crate) fn a_job_without_a_name_of_its_own_is_claimed_without_one(bench: &Bench) {
    bench.register_worker(ANN);
    bench.insert_one(job());
    assert_eq!(bench.claim(ANN, want(1))[0].name, None);
}

pub(crate) fn higher_priority_goes_first_then_earlier_due_then_lower_id(bench: &Bench) {
    bench.register_worker(ANN);
    let ranked = |priority, seconds| {
        with(|job| {
            job.priority = priority;
            job.run_at = RunAt::After(SECOND * seconds);
        })
    };
    let ids_given = bench.insert(vec![
        ranked(0, 2),
        ranked(0, 1),
        ranked(-5, 0),
        ranked(9, 3),
        ranked(0, 1),
        ranked(9, 0),
    ]);
    bench.advance(3 * SECOND);
    let order: Vec<JobId> = [5, 3, 1, 4, 0, 2].map(|at| ids_given[at]).into();
    let one_by_one: Vec<JobId> = (0..3).map(|_| bench.claim_one(ANN).id).collect();
    assert_eq!(one_by_one, order[..3]);
    assert_eq!(ids(&bench.claim(ANN, want(9))), order[3..]);
}

pub(crate) fn one_order_holds_over_all_queues_and_tasks_wanted(bench: &Bench) {
    bench.register_worker(ANN);
    let of = |name: &str, queue: &str, priority| {
        let mut job = task(name);
        job.queue = queue.into();
        job.priority = priority;
        job
    };
    let stored =
        bench.insert(vec![of("mail", "a", 1), of("ping", "b", 3), of("mail", "b", 2), of("ping", "a", 4)]);
    let wanted = ClaimRequest {
        tasks: Arc::new(TaskSet::new(["ping", "mail"])),
        queues: Some(["b".to_owned(), "a".to_owned()].into()),
        ..want(9)
    };
    assert_eq!(ids(&bench.claim(ANN, wanted)), [3, 1, 2, 0].map(|at| stored[at]));
}

pub(crate) fn a_limit_cuts_the_line_behind_the_first_of_all_queues_and_tasks(bench: &Bench) {
    let low = bench.insert_one(with(|job| job.queue = "a".into()));
    let high = bench.insert_one(with(|job| (job.queue, job.priority) = ("b".into(), 5)));
    bench.register_worker(ANN);
    assert_eq!(ids(&bench.claim(ANN, want(1))), [high]);
    assert_eq!(ids(&bench.claim(ANN, want(1))), [low]);
}

pub(crate) fn a_claim_takes_only_wanted_tasks_from_wanted_queues(bench: &Bench) {
    bench.register_worker(ANN);
    let elsewhere = bench.insert_one(with(|job| job.queue = "other".into()));
    let unknown = bench.insert_one(task("unheard_of"));
    let mine = bench.insert_one(job());
    let from = |queues: &[&str]| {
        let queues = queues.iter().map(|queue| (*queue).to_owned()).collect::<Vec<_>>();
        ClaimRequest { queues: Some(queues.into()), ..want(9) }
    };
    assert_eq!(bench.claim(ANN, from(&[])), []);
    assert_eq!(bench.claim(ANN, ClaimRequest { tasks: Arc::default(), ..want(9) }), []);
    assert_eq!(ids(&bench.claim(ANN, from(&["default"]))), [mine]);
    assert_eq!(ids(&bench.claim(ANN, want(9))), [elsewhere], "no queues means all queues");
    assert_eq!(bench.job(unknown).status, Status::Pending);
}

pub(crate) fn a_claim_takes_no_more_than_its_limit(bench: &Bench) {
    bench.register_worker(ANN);
    let stored = bench.insert(vec![job(); 5]);
    assert_eq!(bench.claim(ANN, want(0)), []);
    assert_eq!(ids(&bench.claim(ANN, want(3))), stored[..3]);
    assert_eq!(ids(&bench.claim(ANN, want(3))), stored[3..]);
    assert_eq!(bench.claim(ANN, want(3)), []);
}

pub(crate) fn a_scheduled_job_is_not_claimed_a_microsecond_early(bench: &Bench) {
    bench.register_worker(ANN);
    let id = bench.insert_one(delayed(SECOND));
    bench.advance(SECOND - MICRO);
    assert_eq!(bench.claim(ANN, want(1)), []);
    bench.advance(MICRO);
    assert_eq!(ids(&bench.claim(ANN, want(1))), [id]);
}

pub(crate) fn two_workers_never_hold_one_job(bench: &Bench) {
    const JOBS: usize = 200;
    let stored = bench.insert(vec![job(); JOBS]);
    let workers: Vec<WorkerId> = (1..=4).map(WorkerId).collect();
    workers.iter().for_each(|worker| bench.register_worker(*worker));
    let mut claimed: Vec<JobId> = std::thread::scope(|scope| {
        let each = |worker| {
            let mut mine = Vec::new();
            loop {
                let more = bench.claim(worker, want(7));
                if more.is_empty() {
                    return mine;
                }
                mine.extend(ids(&more));
            }
        };
        let threads: Vec<_> = workers.iter().map(|worker| scope.spawn(move || each(*worker))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    claimed.sort();
    assert_eq!(claimed, stored, "each job once");
}
