//! What holds when an answer is lost after the commit: the caller repeats its request with the same
//! arguments.

use crate::bench::*;

pub(crate) fn of_an_insert_with_a_key_the_repetition_gets_the_same_ids(bench: &Bench) {
    let jobs = || vec![keyed("a"), keyed("b")];
    let ids = bench.insert(jobs());
    assert_eq!(bench.insert(jobs()), ids);
    assert_eq!(bench.counts().total(), 2);
}

pub(crate) fn of_an_insert_without_a_key_the_repetition_stores_again(bench: &Bench) {
    let id = bench.insert_one(job());
    assert!(bench.insert_one(job()) > id);
    assert_eq!(bench.counts().total(), 2, "nothing distinguishes the two: use a key");
}

pub(crate) fn of_a_registration_the_repetition_changes_nothing(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let before = bench.workers();
    bench.register_worker(ANN);
    assert_eq!(bench.workers(), before);
    assert_eq!(bench.finish(claim, complete()).status, Status::Completed);
}

pub(crate) fn of_published_options_the_repetition_changes_nothing(bench: &Bench) {
    let options = TaskDefaults { name: "mail".into(), queue: "q".into(), priority: 1, max_retries: 1 };
    for _ in 0..2 {
        answer(bench.store.publish_tasks(vec![options.clone()])).unwrap();
    }
}

pub(crate) fn of_a_claim_the_jobs_stay_with_the_worker_until_it_is_released(bench: &Bench) {
    bench.register_worker(ANN);
    let stored = bench.insert(vec![job(), job(), job()]);
    bench.claim(ANN, want(2));
    assert_eq!(ids(&bench.claim(ANN, want(2))), stored[2..], "the repetition gets others");
    assert_eq!(bench.release_worker(ANN, Release::ByWorker), 3);
    bench.register_worker(BOB);
    assert_eq!(ids(&bench.claim(BOB, want(9))), stored);
}

pub(crate) fn of_a_cancel_of_waiting_claims_the_repetition_is_answered(bench: &Bench) {
    bench.register_worker(ANN);
    let waiting_claim = bench.wait_to_claim(ANN, waiting());
    for _ in 0..2 {
        answer(bench.store.cancel_waiting_claims(ANN)).unwrap();
    }
    assert_eq!(given(waiting_claim), []);
}

pub(crate) fn of_a_heartbeat_the_repetition_counts_again(bench: &Bench) {
    bench.register_worker(ANN);
    assert_eq!([(); 2].map(|()| bench.heartbeat(ANN)), [Heartbeat::new(true); 2]);
    assert_eq!(bench.workers()[0].heartbeats, 2, "only whether the number grows has a meaning");
}

pub(crate) fn of_a_finish_the_repetition_changes_nothing_and_is_not_lost(bench: &Bench) {
    let hour = 3600 * SECOND;
    for verdict in [complete(), fail(), cancel(), retry(hour), postpone(hour), release(hour, true)] {
        let claim = bench.held_job(ANN);
        let before = format!("{:?}", bench.finish(claim, verdict.clone()));
        let attempts = bench.attempts(claim.id);
        assert!(!bench.is_lost(claim, verdict.clone()), "{verdict:?}");
        assert_eq!(format!("{:?}", bench.job(claim.id)), before);
        assert_eq!(bench.attempts(claim.id), attempts);
    }
}

pub(crate) fn of_a_release_before_the_start_the_repetition_is_lost_and_changes_nothing(bench: &Bench) {
    // It leaves no trace that would distinguish it from a claim that was lost. The worker does nothing about
    // it.
    let claim = bench.held_job(ANN);
    let verdict = release(3600 * SECOND, false);
    let before = format!("{:?}", bench.finish(claim, verdict.clone()));
    assert!(bench.is_lost(claim, verdict));
    assert_eq!(format!("{:?}", bench.job(claim.id)), before);
}

pub(crate) fn of_a_release_of_a_worker_the_repetition_releases_nothing(bench: &Bench) {
    for why in [Release::ByWorker, Release::ProvenDead, Release::Silent { heartbeats: 0 }] {
        let claim = bench.held_job(ANN);
        assert_eq!([(); 2].map(|()| bench.release_worker(ANN, why)), [1, 0]);
        let job = bench.command(JobCommand::Delete(claim.id)).unwrap();
        assert_eq!((job.status, job.crash_count), (Status::Pending, u32::from(why != Release::ByWorker)));
    }
}

pub(crate) fn of_a_command_the_repetition_is_refused_and_changes_nothing(bench: &Bench) {
    let id = bench.insert_one(job());
    let commands = [
        (JobCommand::Cancel(id), ErrorKind::Conflict),
        (JobCommand::Retry(id), ErrorKind::Conflict),
        (JobCommand::Delete(id), ErrorKind::NotFound),
    ];
    for (command, refused) in commands {
        bench.command(command).unwrap();
        let before = format!("{:?}", bench.find(id));
        assert_eq!(kind(bench.command(command)), refused, "{command:?}");
        assert_eq!(format!("{:?}", bench.find(id)), before);
    }
}

pub(crate) fn of_a_wait_the_repetition_gets_the_same_end(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let waits = [(); 2].map(|()| bench.store.wait_for(claim.id));
    let ended = format!("{:?}", bench.finish(claim, complete()));
    for wait in waits.into_iter().chain([bench.store.wait_for(claim.id)]) {
        assert_eq!(format!("{:?}", answer(wait).unwrap()), ended);
    }
}
