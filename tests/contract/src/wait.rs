//! The promises of *wait*: the end of a job.

use crate::bench::*;

pub(crate) fn a_wait_for_an_end_is_answered_with_the_job_as_it_ended(bench: &Bench) {
    for (verdict, status) in [
        (complete(), Status::Completed),
        (fail(), Status::Failed),
        (Verdict::Cancel { reason: "no".into() }, Status::Cancelled),
    ] {
        let claim = bench.held_job(ANN);
        let waits = [bench.store.wait_for(claim.id), bench.store.wait_for(claim.id)];
        bench.finish(claim, verdict);
        for wait in waits {
            let job = answer(wait).unwrap();
            assert_eq!((job.id, job.status, job.completed_at), (claim.id, status, Some(START)));
        }
        assert_eq!(answer(bench.store.wait_for(claim.id)).unwrap().status, status, "at once if it has ended");
    }
}

pub(crate) fn a_wait_is_answered_with_the_end_though_a_person_changes_the_job_at_once(bench: &Bench) {
    for next in [JobCommand::Delete, JobCommand::Retry] {
        let id = bench.insert_one(job());
        let wait = bench.store.wait_for(id);
        let answers = [JobCommand::Cancel(id), next(id)].map(|command| bench.store.command(command));
        answers.into_iter().for_each(|job| drop(answer(job).unwrap()));
        assert_eq!(answer(wait).unwrap().status, Status::Cancelled);
    }
}

pub(crate) fn a_retry_and_a_release_are_no_end(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let wait = bench.store.wait_for(claim.id);
    bench.finish(claim, retry(Duration::ZERO));
    bench.finish(bench.claim_one(ANN), release(Duration::ZERO, true));
    bench.claim_one(ANN);
    answer(bench.store.release_worker(ANN, Release::ProvenDead)).unwrap();
    bench.settle();
    assert!(wait.try_take().is_none());
    bench.command(JobCommand::Cancel(claim.id)).unwrap();
    assert_eq!(answer(wait).unwrap().status, Status::Cancelled);
}

pub(crate) fn a_wait_for_a_missing_job_is_refused_now_or_later(bench: &Bench) {
    let id = bench.insert_one(job());
    assert_eq!(kind(answer(bench.store.wait_for(JobId(id.0 + 1_000_000)))), ErrorKind::NotFound);
    let wait = bench.store.wait_for(id);
    bench.command(JobCommand::Delete(id)).unwrap();
    assert_eq!(kind(answer(wait)), ErrorKind::NotFound);
    assert_eq!(kind(answer(bench.store.wait_for(id))), ErrorKind::NotFound);
}
