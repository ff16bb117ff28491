//! The promises of *command*: what people change by hand.

use crate::bench::*;

pub(crate) fn a_failed_or_cancelled_job_is_retried_by_hand_with_a_fresh_budget(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.finish(claim, retry(Duration::ZERO));
    bench.report(claim, 0.5, "half");
    bench.finish(bench.claim_one(ANN), fail());
    bench.advance(SECOND);
    let job = bench.command(JobCommand::Retry(claim.id)).unwrap();
    assert_eq!((job.status, job.retry_count, job.attempt), (Status::Pending, 0, 2));
    assert_eq!((job.scheduled_at, job.completed_at), (bench.now(), None));
    assert_eq!((job.worker_id, job.result.as_ref(), job.progress.as_ref()), (None, None, None));
    assert_eq!((job.error.as_deref(), job.started_at), (Some("broken"), Some(START)));
    assert_eq!(bench.attempts(claim.id).len(), 2);
    assert_eq!(bench.claim_one(ANN).attempt, 3);
    let cancelled = bench.insert_one(task("mail"));
    bench.command(JobCommand::Cancel(cancelled)).unwrap();
    assert_eq!(bench.command(JobCommand::Retry(cancelled)).unwrap().status, Status::Pending);
}

pub(crate) fn a_job_that_waits_for_its_time_is_due_now_when_retried_by_hand(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.finish(claim, retry(3600 * SECOND));
    let scheduled = bench.insert_one(delayed(3600 * SECOND));
    for id in [claim.id, scheduled] {
        let job = bench.command(JobCommand::Retry(id)).unwrap();
        assert_eq!((job.status, job.scheduled_at, job.retry_count), (Status::Pending, START, 0));
    }
    assert_eq!(ids(&bench.claim(ANN, want(9))), [claim.id, scheduled]);
}

pub(crate) fn a_job_that_is_due_running_or_completed_is_not_retried(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let due = bench.insert_one(job());
    for id in [due, claim.id] {
        assert_eq!(kind(bench.command(JobCommand::Retry(id))), ErrorKind::Conflict);
    }
    bench.finish(claim, complete());
    assert_eq!(kind(bench.command(JobCommand::Retry(claim.id))), ErrorKind::Conflict);
    assert_eq!(bench.job(claim.id).status, Status::Completed);
}

pub(crate) fn a_pending_job_is_cancelled_by_hand_and_not_claimed(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.finish(claim, retry(Duration::ZERO));
    let scheduled = bench.insert_one(delayed(SECOND));
    for id in [claim.id, scheduled] {
        let job = bench.command(JobCommand::Cancel(id)).unwrap();
        assert_eq!((job.status, job.completed_at), (Status::Cancelled, Some(START)));
        assert_eq!((job.error, job.worker_id), (None, None));
    }
    bench.advance(SECOND);
    assert_eq!(bench.claim(ANN, want(9)), []);
    assert_eq!(bench.outcomes(claim.id), [(1, AttemptOutcome::Failed)], "no attempt was made");
}

pub(crate) fn a_job_that_runs_or_has_ended_is_not_cancelled_by_hand(bench: &Bench) {
    let claim = bench.held_job(ANN);
    assert_eq!(kind(bench.command(JobCommand::Cancel(claim.id))), ErrorKind::Conflict);
    for verdict in [complete(), fail(), Verdict::Cancel { reason: "no".into() }] {
        let claim = bench.held_job(BOB);
        let ended = bench.finish(claim, verdict);
        assert_eq!(kind(bench.command(JobCommand::Cancel(claim.id))), ErrorKind::Conflict);
        assert_eq!(bench.job(claim.id).error, ended.error);
    }
    assert_eq!(bench.finish(claim, complete()).status, Status::Completed, "its claim still holds");
}

pub(crate) fn a_deleted_job_is_gone_with_its_history(bench: &Bench) {
    let claim = bench.held_job(ANN);
    assert_eq!(kind(bench.command(JobCommand::Delete(claim.id))), ErrorKind::Conflict, "it is running");
    bench.finish(claim, fail());
    let last_seen = bench.command(JobCommand::Delete(claim.id)).unwrap();
    assert_eq!((last_seen.id, last_seen.status), (claim.id, Status::Failed), "the job as it was");
    assert!(bench.find(claim.id).is_none());
    assert_eq!(bench.attempts(claim.id), []);
    assert_eq!(bench.counts().total(), 0);
    let (due, scheduled) = (bench.insert_one(job()), bench.insert_one(delayed(SECOND)));
    bench.command(JobCommand::Delete(due)).unwrap();
    bench.command(JobCommand::Delete(scheduled)).unwrap();
    bench.advance(SECOND);
    assert_eq!(bench.claim(ANN, want(9)), []);
}

pub(crate) fn a_command_for_a_missing_job_is_refused(bench: &Bench) {
    for command in [JobCommand::Retry(JobId(7)), JobCommand::Cancel(JobId(7)), JobCommand::Delete(JobId(7))] {
        assert_eq!(kind(bench.command(command)), ErrorKind::NotFound);
    }
}

pub(crate) fn each_command_succeeds_or_fails_alone_and_in_order(bench: &Bench) {
    let stored = bench.insert(vec![job(), job()]);
    let [a, b] = [stored[0], stored[1]];
    let commands = [
        JobCommand::Cancel(a),
        JobCommand::Cancel(JobId(99)),
        JobCommand::Cancel(a),
        JobCommand::Retry(a),
        JobCommand::Delete(b),
    ];
    // All of them are submitted before the first is answered, so a store may put them into one transaction.
    let answers = commands.map(|command| bench.store.command(command)).map(answer);
    let kinds = answers.map(|answer| answer.map(|job| job.status).map_err(|error| error.kind()));
    let expected = [
        Ok(Status::Cancelled),
        Err(ErrorKind::NotFound),
        Err(ErrorKind::Conflict),
        Ok(Status::Pending),
        Ok(Status::Pending),
    ];
    assert_eq!(kinds, expected);
    assert!(bench.find(b).is_none());
}
