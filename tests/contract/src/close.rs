//! The promises of *notify*, *statement*, *publish* and *close*.

use crate::bench::*;

pub(crate) fn a_notify_changes_nothing(bench: &Bench) {
    bench.register_worker(ANN);
    let waiting_claim = bench.wait_to_claim(ANN, waiting());
    bench.store.notify();
    bench.still_waits(&waiting_claim);
    let id = bench.insert_one(job());
    assert_eq!(given(waiting_claim), [id]);
}

pub(crate) fn no_statement_stores_what_an_insert_would_refuse(bench: &Bench) {
    assert!(bench.store.statement(Foreign::Insert(&[bad()])).is_err());
    match bench.store.statement(Foreign::Insert(&[job()])) {
        Ok(statement) => assert!(!statement.sql.is_empty() && !statement.json.is_empty()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Config),
    }
    assert_eq!(bench.counts().total(), 0, "a statement is only written down");
}

pub(crate) fn published_options_of_a_task_change_no_job_inserted_here(bench: &Bench) {
    let id = bench.insert_one(job());
    let card = TaskDefaults { name: "mail".into(), queue: "elsewhere".into(), priority: 9, max_retries: 9 };
    for _ in 0..2 {
        answer(bench.store.publish_tasks(vec![card.clone()])).unwrap();
    }
    for id in [id, bench.insert_one(job())] {
        let job = bench.job(id);
        assert_eq!((job.queue.as_str(), job.priority, job.max_retries), ("default", 0, 3));
    }
}

pub(crate) fn a_store_has_a_name(bench: &Bench) {
    assert!(!bench.store.name().is_empty());
}

pub(crate) fn what_was_asked_before_the_close_is_answered(bench: &Bench) {
    let asked: Vec<_> = (0..50).map(|_| bench.store.insert(vec![job()])).collect();
    bench.store.close();
    for pending in asked {
        answer(pending).unwrap();
    }
}

pub(crate) fn a_closed_store_refuses_every_request(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let waiting_claim = bench.wait_to_claim(ANN, waiting());
    let wait = bench.store.wait_for(claim.id);
    bench.store.close();
    bench.store.close();
    assert_eq!(kind(answer(waiting_claim)), ErrorKind::Closed);
    assert_eq!(kind(answer(wait)), ErrorKind::Closed);
    let store = &bench.store;
    let defaults = TaskDefaults { name: "mail".into(), queue: "q".into(), priority: 1, max_retries: 1 };
    let refused = [
        kind(answer(store.insert(vec![job()]))),
        kind(answer(store.register_worker(WorkerInfo::new(BOB, "host", 7)))),
        kind(answer(bench.ask(ANN, vec![], want(1)))),
        kind(answer(bench.ask(ANN, vec![], waiting()))),
        kind(answer(store.heartbeat(ANN))),
        kind(answer(store.release_worker(ANN, Release::ProvenDead))),
        kind(answer(store.release_worker(ANN, Release::ByWorker))),
        kind(answer(store.command(JobCommand::Cancel(claim.id)))),
        kind(answer(store.cancel_waiting_claims(ANN))),
        kind(answer(store.wait_for(claim.id))),
        kind(answer(store.publish_tasks(vec![defaults]))),
        kind(store.insert_blocking(vec![job()])),
        kind(answer(store.get(claim.id))),
        kind(answer(store.attempts(claim.id))),
        kind(answer(store.list(Filter::default()))),
        kind(answer(store.workers())),
        kind(answer(store.counts())),
    ];
    assert_eq!(refused, [ErrorKind::Closed; 17]);
    // These have no answer; they must only be harmless.
    store.notify();
    store.report_progress(Arc::new(ProgressSlot::new(claim)));
}
