//! The promises of *insert*: jobs, ids, instants and idempotency keys.

use crate::bench::*;

pub(crate) fn a_stored_job_reads_back_as_it_was_given(bench: &Bench) {
    let at = START.checked_add(Duration::from_micros(90_000_001)).unwrap();
    let mut new = NewJob::new("resize:image", r#"{"path":"a b.png","n":[1,2.5,null]}"#);
    new.name = Some("Ann’s picture".into());
    new.queue = "images/large".into();
    new.priority = i32::MIN;
    new.max_retries = 0;
    new.run_at = RunAt::At(at);
    new.metadata = Some(r#"{"tenant":"ü"}"#.into());
    new.idempotency_key = Some("picture/ü 1".into());
    let id = bench.insert_one(new.clone());
    let job = bench.job(id);
    assert_eq!((job.id, job.status), (id, Status::Pending));
    assert_eq!(
        (&job.task_name, &job.params, Some(&job.name)),
        (&new.task_name, &new.params, new.name.as_ref())
    );
    assert_eq!((&job.queue, job.priority, job.max_retries), (&new.queue, i32::MIN, 0));
    assert_eq!((job.scheduled_at, job.created_at, job.metadata), (at, START, new.metadata));
    assert_eq!(job.idempotency_key, new.idempotency_key);
}

pub(crate) fn params_of_any_size_come_back_as_they_were_given(bench: &Bench) {
    let sized = |bytes: usize| NewJob::new("mail", format!(r#"{{"x":"{}"}}"#, "ü".repeat(bytes / 2)));
    let jobs: Vec<NewJob> = [2, 490, 500, 510, 1_010, 20_000, 1 << 19].map(sized).into();
    let given: Vec<String> = jobs.iter().map(|job| job.params.clone()).collect();
    let ids = bench.insert(jobs);
    let listed = bench.page(Filter::default()).jobs;
    assert!(listed.iter().rev().map(|job| &job.params).eq(&given));
    bench.register_worker(ANN);
    let claimed = bench.claim(ANN, want(9));
    assert!(claimed.iter().map(|job| &job.params).eq(&given));
    let ended: Vec<Job> = claimed.iter().map(|job| bench.finish(job.claim, complete())).collect();
    assert!(ended.iter().map(|job| &job.params).eq(&given));
    assert_eq!(bench.command(JobCommand::Delete(ids[5])).unwrap().params, given[5]);
}

pub(crate) fn a_job_without_options_gets_the_defaults(bench: &Bench) {
    let job = bench.job(bench.insert_one(job()));
    assert_eq!(
        (job.name.as_str(), job.queue.as_str(), job.priority, job.max_retries),
        ("mail", "default", 0, 3)
    );
    assert_eq!((job.attempt, job.retry_count, job.crash_count), (0, 0, 0));
    assert_eq!((job.scheduled_at, job.created_at), (START, START));
    assert_eq!((job.started_at, job.completed_at, job.worker_id), (None, None, None));
    assert_eq!((job.result, job.error, job.progress, job.metadata), (None, None, None, None));
    assert_eq!(job.idempotency_key, None);
}

pub(crate) fn ids_come_in_the_order_of_the_jobs_and_are_never_used_twice(bench: &Bench) {
    let first = bench.insert(vec![task("a"), task("b"), task("c")]);
    let tasks: Vec<String> = first.iter().map(|id| bench.job(*id).task_name).collect();
    assert_eq!(tasks, ["a", "b", "c"]);
    assert!(first.is_sorted());
    bench.command(JobCommand::Delete(first[2])).unwrap();
    let next = bench.insert_one(job());
    assert!(next > first[2], "{next} was used before");
}

pub(crate) fn many_jobs_of_every_kind_come_back_in_their_order_as_they_were_given(bench: &Bench) {
    let jobs = |round: u32| -> Vec<NewJob> {
        let numbered = |n: u32| {
            with(|job| {
                let size = if n.is_multiple_of(7) { 600 } else { 1 };
                job.params = format!(r#"{{"n":{n},"x":"{}"}}"#, "x".repeat(size));
                job.queue = format!("q{}", n % 3);
                job.priority = n as i32;
                job.max_retries = n;
                job.name = n.is_multiple_of(4).then(|| format!("job {n}"));
                job.metadata = n.is_multiple_of(9).then(|| n.to_string());
                job.run_at = RunAt::After(if n.is_multiple_of(5) { SECOND * n } else { Duration::ZERO });
                // Between the keys are more jobs than a store writes at once, and fewer.
                job.idempotency_key = match n {
                    0 | 41 | 43 => Some(format!("key {n}")),
                    60 => Some(format!("round {round}")),
                    _ => None,
                };
            })
        };
        (0..100).map(numbered).collect()
    };
    let first = bench.insert(jobs(1));
    assert!(first.is_sorted());
    for (id, given) in first.iter().zip(jobs(1)) {
        let job = bench.job(*id);
        assert_eq!((job.params, job.queue, job.priority), (given.params, given.queue, given.priority));
        assert_eq!((job.max_retries, job.metadata), (given.max_retries, given.metadata));
        assert_eq!(job.name, given.name.unwrap_or_else(|| "mail".into()));
        assert_eq!(job.idempotency_key, given.idempotency_key);
        let RunAt::After(delay) = given.run_at else { unreachable!("as above") };
        assert_eq!(job.scheduled_at, START.checked_add(delay).unwrap());
    }
    let second = bench.insert(jobs(2));
    for (n, (a, b)) in first.iter().zip(&second).enumerate() {
        assert_eq!(a == b, [0, 41, 43].contains(&n), "job {n}");
    }
    // The last one holds the key of another job.
    let mut refused = jobs(3);
    refused[99].idempotency_key = Some("key 41".into());
    assert_eq!(kind(answer(bench.store.insert(refused))), ErrorKind::Conflict);
    assert_eq!(bench.counts().total(), 197);
}

pub(crate) fn nothing_to_insert_is_no_error(bench: &Bench) {
    assert_eq!(bench.insert(vec![]), []);
    assert_eq!(bench.counts().total(), 0);
}

pub(crate) fn one_bad_job_refuses_its_whole_insert(bench: &Bench) {
    assert_eq!(kind(answer(bench.store.insert(vec![job(), bad(), job()]))), ErrorKind::InvalidInput);
    let huge = with(|job| job.params = " ".repeat(Job::JSON_BYTES_MAX + 1));
    assert_eq!(kind(answer(bench.store.insert(vec![job(), huge]))), ErrorKind::TooLarge);
    assert_eq!(
        kind(answer(bench.store.insert(vec![job(), delayed(Duration::MAX)]))),
        ErrorKind::InvalidInput
    );
    assert_eq!(bench.counts().total(), 0);
}

pub(crate) fn one_bad_job_refuses_its_own_insert_and_no_other(bench: &Bench) {
    // Asked for together, so that a store which gathers requests has them in one transaction.
    let asked: Vec<_> =
        (0..60).map(|n| bench.store.insert(vec![job(), if n % 3 == 1 { bad() } else { job() }])).collect();
    for (n, pending) in asked.into_iter().enumerate() {
        assert_eq!(answer(pending).is_err(), n % 3 == 1, "insert {n}");
    }
    assert_eq!(bench.counts().of(Status::Pending), 80);
}

pub(crate) fn a_delay_counts_from_the_moment_the_job_is_stored(bench: &Bench) {
    let delayed = delayed(90 * SECOND);
    bench.advance(5 * SECOND);
    let job = bench.job(bench.insert_one(delayed));
    assert_eq!(job.scheduled_at, START.checked_add(95 * SECOND).unwrap());
}

pub(crate) fn a_job_for_the_past_is_due_at_once_and_keeps_its_instant(bench: &Bench) {
    bench.register_worker(ANN);
    let past = START.checked_sub(SECOND).unwrap();
    bench.insert_one(job());
    let older = bench.insert_one(with(|job| job.run_at = RunAt::At(past)));
    assert_eq!(bench.job(older).scheduled_at, past);
    assert_eq!(bench.claim_one(ANN).id, older, "it was due first");
}

pub(crate) fn instants_are_stored_as_whole_microseconds(bench: &Bench) {
    bench.advance(Duration::from_nanos(1_999));
    let job = bench.job(bench.insert_one(delayed(Duration::from_nanos(500))));
    assert_eq!(job.created_at, START.checked_add(MICRO).unwrap());
    assert_eq!(job.scheduled_at.as_nanosecond() % 1000, 0);
}

pub(crate) fn a_dropped_answer_cancels_nothing(bench: &Bench) {
    drop(bench.store.insert(vec![job(), job()]));
    bench.settle();
    assert_eq!(bench.counts().of(Status::Pending), 2);
}

pub(crate) fn the_same_job_under_its_key_is_stored_once_whatever_became_of_it(bench: &Bench) {
    let id = bench.insert_one(keyed("k"));
    let again = || {
        // What else the repeated call says changes nothing.
        let mut new = keyed("k");
        (new.priority, new.queue, new.run_at) = (9, "other".into(), RunAt::After(SECOND));
        bench.insert_one(new)
    };
    assert_eq!(again(), id, "pending");
    bench.register_worker(ANN);
    let claim = bench.claim_one(ANN);
    assert_eq!(again(), id, "running");
    bench.finish(claim, complete());
    assert_eq!(again(), id, "completed");
    assert_eq!(bench.counts().total(), 1);
    let job = bench.job(id);
    assert_eq!((job.priority, job.queue.as_str(), job.scheduled_at), (0, "default", START));
    assert!(bench.insert_one(task("mail")) > id);
}

pub(crate) fn params_are_the_same_as_json_and_not_as_text(bench: &Bench) {
    let with_params = |params: &str| {
        let mut job = keyed("k");
        job.params = params.into();
        job
    };
    let id = bench.insert_one(with_params(r#"{"a":1,"b":[2,{"c":3,"d":4}]}"#));
    assert_eq!(bench.insert_one(with_params(r#"{ "b": [2, {"d": 4, "c": 3}], "a": 1 }"#)), id);
    for other in [r#"{"a":1,"b":[2]}"#, r#"{"a":1}"#, r#"{"a":1,"b":[2,{"c":3,"d":4}],"e":null}"#] {
        assert_eq!(
            kind(answer(bench.store.insert(vec![with_params(other)]))),
            ErrorKind::Conflict,
            "{other}"
        );
    }
}

pub(crate) fn large_params_are_compared_as_small_ones_are(bench: &Bench) {
    let of = |blanks: usize, n: u8| {
        let mut job = keyed("k");
        job.params = format!(r#"{{"n":{n},"text":"{}"{}}}"#, "x".repeat(5_000), " ".repeat(blanks));
        job
    };
    let id = bench.insert_one(of(0, 1));
    let repeated = bench.insert(vec![of(9, 1), job(), of(0, 1)]);
    assert!(repeated[1] > id && (repeated[0], repeated[2]) == (id, id), "{repeated:?}");
    assert_eq!(kind(answer(bench.store.insert(vec![of(0, 2)]))), ErrorKind::Conflict);
    assert_eq!(bench.job(id).params.len(), 5_017);
}

pub(crate) fn a_key_held_by_another_job_refuses_its_own_insert_and_no_other(bench: &Bench) {
    let holder = bench.insert_one(keyed("k"));
    let other = || {
        let mut job = task("ping");
        job.idempotency_key = Some("k".into());
        job
    };
    // Asked for together, so that a store which gathers requests has them in one transaction.
    let asked: Vec<_> = (0..30)
        .map(|n| bench.store.insert(if n % 3 == 1 { vec![job(), other()] } else { vec![job(), keyed("k")] }))
        .collect();
    for (n, pending) in asked.into_iter().enumerate() {
        match answer(pending) {
            Ok(ids) => assert!(n % 3 != 1 && ids[1] == holder, "insert {n}"),
            Err(error) => {
                assert!(n % 3 == 1 && error.kind() == ErrorKind::Conflict, "insert {n}: {error}");
                assert!(
                    error.to_string().contains(&format!("job {holder} already has the idempotency key")),
                    "{error}"
                );
            }
        }
    }
    assert_eq!(bench.counts().total(), 21, "all or none of each");
}

pub(crate) fn a_key_is_shared_within_one_insert_by_the_same_job_only(bench: &Bench) {
    let ids = bench.insert(vec![keyed("k"), job(), keyed("k"), keyed("l")]);
    assert_eq!((ids[0], ids[1] > ids[0], ids[3] > ids[1]), (ids[2], true, true));
    assert_eq!(bench.counts().total(), 3);
    let different = with(|job| (job.idempotency_key, job.params) = (Some("m".into()), r#"{"n":1}"#.into()));
    assert_eq!(kind(answer(bench.store.insert(vec![keyed("m"), different]))), ErrorKind::Conflict);
    assert_eq!(bench.counts().total(), 3);
}

pub(crate) fn a_key_is_free_again_when_its_job_is_deleted(bench: &Bench) {
    let first = bench.insert_one(keyed("k"));
    bench.command(JobCommand::Delete(first)).unwrap();
    let mut other = task("ping");
    other.idempotency_key = Some("k".into());
    let second = bench.insert_one(other.clone());
    assert!(second > first);
    assert_eq!(bench.insert_one(other), second);
    assert_eq!(kind(answer(bench.store.insert(vec![keyed("k")]))), ErrorKind::Conflict);
}

pub(crate) fn callers_that_enqueue_one_key_at_once_get_one_job(bench: &Bench) {
    let ids: Vec<JobId> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..50).map(|n| bench.insert_one(keyed(&format!("k{n}")))).collect()))
            .collect();
        let each: Vec<Vec<JobId>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(each.iter().all(|ids| *ids == each[0]), "{each:?}");
        each.into_iter().next().unwrap()
    });
    assert_eq!(bench.counts().total(), 50);
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 50);
}

pub(crate) fn a_name_or_a_key_with_nul_is_refused(bench: &Bench) {
    let named = with(|job| job.name = Some("a\0b".into()));
    let queued = with(|job| job.queue = "a\0b".into());
    for bad in [named, queued, task("a\0b"), keyed("a\0b")] {
        assert_eq!(kind(answer(bench.store.insert(vec![bad]))), ErrorKind::InvalidInput);
    }
    assert_eq!(bench.counts().total(), 0);
}
