//! The promises of the reads.

use crate::bench::*;

pub(crate) fn what_was_answered_is_seen_by_the_next_read(bench: &Bench) {
    for n in 1..=20 {
        let id = bench.insert_one(job());
        assert_eq!(bench.job(id).id, id);
        assert_eq!(bench.counts().total(), n);
    }
}

pub(crate) fn a_job_that_is_not_there_has_no_row_and_no_history(bench: &Bench) {
    assert!(bench.find(JobId(1)).is_none());
    assert_eq!(bench.attempts(JobId(1)), []);
    assert_eq!(bench.list(|_| ()), []);
}

pub(crate) fn a_history_is_oldest_first_and_without_the_running_attempt(bench: &Bench) {
    let claim = bench.held_job(ANN);
    assert_eq!(bench.attempts(claim.id), []);
    bench.finish(claim, retry(Duration::ZERO));
    bench.finish(bench.claim_one(ANN), release(Duration::ZERO, true));
    bench.claim_one(ANN);
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    bench.register_worker(BOB);
    let last = bench.claim_one(BOB);
    let over = [(1, AttemptOutcome::Failed), (2, AttemptOutcome::Released), (3, AttemptOutcome::Crashed)];
    assert_eq!(bench.outcomes(claim.id), over);
    bench.finish(last, complete());
    assert_eq!(bench.outcomes(claim.id).last(), Some(&(4, AttemptOutcome::Completed)));
}

pub(crate) fn a_list_is_newest_first_and_filters_by_all_conditions(bench: &Bench) {
    bench.register_worker(ANN);
    let of = |name: &str, queue: &str| {
        let mut job = task(name);
        job.queue = queue.into();
        job
    };
    let stored = bench.insert(vec![of("mail", "a"), of("ping", "a"), of("ping", "b"), of("mail", "b")]);
    let at = |places: &[usize]| places.iter().map(|place| stored[*place]).collect::<Vec<_>>();
    assert_eq!(bench.list(|_| ()), at(&[3, 2, 1, 0]));
    assert_eq!(bench.list(|filter| filter.task_name = Some("ping".into())), at(&[2, 1]));
    assert_eq!(bench.list(|filter| filter.queue = Some("a".into())), at(&[1, 0]));
    bench.claim_one(ANN);
    assert_eq!(bench.list(|filter| filter.status = Some(Status::Running)), at(&[0]));
    let all_three = |filter: &mut Filter| {
        filter.status = Some(Status::Pending);
        filter.task_name = Some("ping".into());
        filter.queue = Some("b".into());
    };
    assert_eq!(bench.list(all_three), at(&[2]));
    assert_eq!(bench.list(|filter| filter.queue = Some("nowhere".into())), []);
    let contradiction = |filter: &mut Filter| {
        filter.status = Some(Status::Running);
        filter.scheduled = true;
    };
    assert_eq!(bench.list(contradiction), []);
}

pub(crate) fn scheduled_and_retrying_jobs_can_be_told_apart(bench: &Bench) {
    let retried = bench.held_job(ANN);
    bench.finish(retried, retry(SECOND));
    let scheduled = bench.insert_one(delayed(2 * SECOND));
    let released = bench.insert_one(job());
    bench.finish(bench.claim_one(ANN), release(Duration::ZERO, true));
    assert_eq!(bench.list(|filter| filter.scheduled = true), [scheduled, retried.id]);
    assert_eq!(bench.list(|filter| filter.retrying = true), [retried.id], "{released} has not failed");
    bench.advance(SECOND);
    assert_eq!(bench.list(|filter| filter.scheduled = true), [scheduled]);
    assert_eq!(bench.list(|filter| filter.retrying = true), [retried.id], "due, and still not run again");
}

pub(crate) fn pages_by_key_neither_repeat_nor_skip(bench: &Bench) {
    let mut expected = bench.insert(vec![job(); 10]);
    expected.reverse();
    let mut read = Vec::new();
    let mut filter = Filter::default();
    filter.limit = Some(4);
    for sizes in [4, 4, 2] {
        // Jobs stored between two pages are newer than both, so they move nothing.
        bench.insert_one(task("unheard_of"));
        filter.task_name = Some("mail".into());
        let page = bench.page(filter.clone());
        assert_eq!(page.jobs.len(), sizes);
        read.extend(page.jobs.iter().map(|job| job.id));
        filter.after = page.next;
    }
    assert_eq!(read, expected);
    assert_eq!(filter.after, None, "the last page says so");
}

pub(crate) fn a_page_that_ends_with_the_last_job_is_the_last(bench: &Bench) {
    bench.insert(vec![job(); 4]);
    let mut filter = Filter::default();
    filter.limit = Some(4);
    assert_eq!(bench.page(filter).next, None);
}

pub(crate) fn a_page_holds_a_hundred_jobs_unless_told_and_never_more_than_a_thousand(bench: &Bench) {
    bench.insert(vec![job(); Filter::LIMIT_MAX + 1]);
    assert_eq!(bench.list(|_| ()).len(), Filter::LIMIT_DEFAULT);
    assert_eq!(bench.list(|filter| filter.limit = Some(usize::MAX)).len(), Filter::LIMIT_MAX);
    assert_eq!(bench.list(|filter| filter.limit = Some(0)).len(), 1, "a page of nothing would never end");
}

pub(crate) fn counts_show_every_status(bench: &Bench) {
    for status in Status::ALL {
        assert_eq!(bench.counts().of(status), 0);
    }
    for verdict in [complete(), complete(), fail(), Verdict::Cancel { reason: "no".into() }] {
        let claim = bench.held_job(ANN);
        bench.finish(claim, verdict);
    }
    bench.held_job(ANN);
    bench.insert(vec![job(), job(), delayed(SECOND)]);
    let counts = bench.counts();
    assert_eq!(Status::ALL.map(|status| counts.of(status)), [3, 1, 2, 1, 1]);
    assert_eq!(counts.total(), 8);
}

pub(crate) fn workers_are_listed_oldest_first_with_what_they_hold(bench: &Bench) {
    bench.register_worker(CAT);
    bench.advance(SECOND);
    bench.held_job(ANN);
    let listed: Vec<_> =
        bench.workers().iter().map(|worker| (worker.id, worker.heartbeats, worker.running)).collect();
    assert_eq!(listed, [(CAT, 0, 0), (ANN, 0, 1)]);
}
