//! The promises of *finish*: what each verdict makes of a job, and which claims are lost.

use crate::bench::*;

pub(crate) fn a_completed_job_keeps_its_result(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.advance(SECOND);
    let began = bench.now();
    bench.advance(2 * SECOND);
    let finish = FinishedJob { began_after: SECOND, ..bench.finish_of(claim, complete()) };
    let response = answer(bench.ask(ANN, vec![finish], want(0))).unwrap();
    assert!(response.lost.is_empty());
    let job = bench.job(claim.id);
    assert_eq!((job.status, job.result.as_deref()), (Status::Completed, Some(r#"{"sent":true}"#)));
    assert_eq!((job.error.as_deref(), job.worker_id, job.attempt), (None, Some(ANN), 1));
    assert_eq!((job.started_at, job.completed_at), (Some(began), Some(bench.now())));
    assert_eq!(job.duration(), Some(2 * SECOND), "from the task's beginning, not from the claim");
}

pub(crate) fn a_success_at_the_first_attempt_has_a_history_too(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.advance(SECOND);
    bench.finish(claim, complete());
    let attempts = bench.attempts(claim.id);
    let [only] = attempts.as_slice() else { panic!("one attempt, not {attempts:?}") };
    assert_eq!((only.attempt, only.worker_id, only.outcome), (1, ANN, AttemptOutcome::Completed));
    assert_eq!((only.started_at, only.ended_at, only.error.as_deref()), (bench.now(), bench.now(), None));
}

pub(crate) fn a_completion_brings_reported_progress_to_its_end(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.report(claim, 0.5, "half");
    let done = bench.finish(claim, complete());
    assert_eq!(done.progress, Some(Progress::new(1.0, Some("half".into()))));
}

pub(crate) fn a_failed_attempt_waits_for_its_retry_and_says_why(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let job = bench.finish(claim, retry(30 * SECOND));
    assert_eq!((job.status, job.retry_count, job.attempt), (Status::Pending, 1, 1));
    assert_eq!(job.scheduled_at, START.checked_add(30 * SECOND).unwrap());
    assert_eq!((job.error.as_deref(), job.worker_id), (Some("boom"), None));
    assert_eq!((job.started_at, job.completed_at), (Some(START), None));
    bench.advance(30 * SECOND - MICRO);
    assert_eq!(bench.claim(ANN, want(1)), []);
    bench.advance(MICRO);
    let again = bench.claim(ANN, want(1)).pop().unwrap();
    assert_eq!((again.claim.attempt, again.retry_count), (2, 1));
    assert_eq!(bench.job(claim.id).error.as_deref(), Some("boom"), "until this attempt says something else");
}

pub(crate) fn a_success_clears_the_error_and_history_keeps_it(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.finish(claim, retry(Duration::ZERO));
    let done = bench.finish(bench.claim_one(ANN), complete());
    assert_eq!((done.error, done.retry_count, done.attempt), (None, 1, 2));
    let attempts = bench.attempts(claim.id);
    assert_eq!(attempts[0].error.as_deref(), Some("boom"));
    assert_eq!(bench.outcomes(claim.id), [(1, AttemptOutcome::Failed), (2, AttemptOutcome::Completed)]);
}

pub(crate) fn a_wait_past_the_end_of_the_calendar_ends_there(bench: &Bench) {
    for verdict in [retry(Duration::MAX), postpone(Duration::MAX), release(Duration::MAX, true)] {
        let claim = bench.held_job(ANN);
        let job = bench.finish(claim, verdict);
        assert_eq!(job.status, Status::Pending);
        assert_eq!(job.scheduled_at.as_microsecond(), Timestamp::MAX.as_microsecond());
        bench.command(JobCommand::Delete(claim.id)).unwrap();
    }
}

pub(crate) fn a_wait_shorter_than_an_instant_can_tell_is_none(bench: &Bench) {
    for verdict in [retry(Duration::from_nanos(1)), release(Duration::from_nanos(999), true)] {
        let claim = bench.held_job(ANN);
        let done = vec![bench.finish_of(claim, verdict)];
        assert_eq!(given(bench.ask(ANN, done, want(1))), [claim.id], "in the same request");
        bench.finish(Claim { attempt: 2, ..claim }, complete());
    }
}

pub(crate) fn a_failed_job_stays_failed_and_says_why(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.report(claim, 0.5, "half");
    let job = bench.finish(claim, fail());
    assert_eq!((job.status, job.error.as_deref()), (Status::Failed, Some("broken")));
    assert_eq!((job.completed_at, job.worker_id, job.retry_count), (Some(START), Some(ANN), 0));
    assert_eq!(job.progress.map(|progress| progress.fraction), Some(0.5), "it came so far");
    assert_eq!(bench.outcomes(claim.id), [(1, AttemptOutcome::Failed)]);
    bench.advance(3600 * SECOND);
    assert_eq!(bench.claim(ANN, want(1)), []);
}

pub(crate) fn a_task_may_cancel_its_own_job(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let job = bench.finish(claim, Verdict::Cancel { reason: "not wanted".into() });
    assert_eq!((job.status, job.error.as_deref()), (Status::Cancelled, Some("not wanted")));
    assert_eq!(job.completed_at, Some(START));
    assert_eq!(bench.outcomes(claim.id), [(1, AttemptOutcome::Cancelled)]);
}

pub(crate) fn a_released_job_loses_no_retry(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let job = bench.finish(claim, release(SECOND, true));
    assert_eq!((job.status, job.retry_count, job.crash_count, job.error), (Status::Pending, 0, 0, None));
    assert_eq!((job.attempt, job.worker_id, job.started_at), (1, None, Some(START)));
    let attempt = bench.attempts(claim.id).pop().unwrap();
    assert_eq!((attempt.outcome, attempt.error), (AttemptOutcome::Released, None));
    bench.advance(SECOND - MICRO);
    assert_eq!(bench.claim(ANN, want(1)), []);
    bench.advance(MICRO);
    assert_eq!(bench.claim_one(ANN).attempt, 2);
}

pub(crate) fn a_postponed_job_loses_no_retry_and_shows_why(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let job = bench.finish(claim, postpone(SECOND));
    assert_eq!((job.status, job.retry_count, job.crash_count), (Status::Pending, 0, 0));
    assert_eq!((job.attempt, job.worker_id, job.error.as_deref()), (1, None, Some("unreadable")));
    let attempt = bench.attempts(claim.id).pop().unwrap();
    assert_eq!((attempt.outcome, attempt.error.as_deref()), (AttemptOutcome::Released, Some("unreadable")));
    bench.advance(SECOND - MICRO);
    assert_eq!(bench.claim(ANN, want(1)), []);
    bench.advance(MICRO);
    let again = bench.claim_one(ANN);
    assert_eq!(again.attempt, 2);
    let job = bench.finish(again, complete());
    assert_eq!((job.status, job.error), (Status::Completed, None));
}

pub(crate) fn a_job_released_before_it_began_is_as_if_never_claimed(bench: &Bench) {
    let claim = bench.held_job(ANN);
    let job = bench.finish(claim, release(Duration::ZERO, false));
    assert_eq!((job.status, job.attempt, job.retry_count), (Status::Pending, 0, 0));
    assert_eq!((job.worker_id, job.started_at, job.error), (None, None, None));
    assert_eq!(bench.attempts(claim.id), []);
    let again = bench.claim_one(ANN);
    assert_eq!(again.attempt, 1);
    bench.finish(again, retry(Duration::ZERO));
    bench.advance(SECOND);
    let third = bench.claim_one(ANN);
    let job = bench.finish(third, release(Duration::ZERO, false));
    assert_eq!((job.attempt, job.retry_count, job.error.as_deref()), (1, 1, Some("boom")));
    assert_eq!(job.started_at, Some(START), "the last attempt is the one before");
}

pub(crate) fn a_release_without_a_wait_keeps_the_place_in_the_line(bench: &Bench) {
    let mut claim = bench.held_job(ANN);
    bench.advance(SECOND);
    bench.insert_one(job());
    bench.advance(SECOND);
    for started in [false, true] {
        assert_eq!(bench.finish(claim, release(Duration::ZERO, started)).scheduled_at, START);
        let first = bench.claim_one(ANN);
        assert_eq!(first.id, claim.id);
        claim = first;
    }
}

pub(crate) fn a_finish_shown_with_another_attempt_or_worker_is_lost(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.register_worker(BOB);
    for stale in [
        Claim { attempt: 0, ..claim },
        Claim { attempt: 2, ..claim },
        Claim { worker: BOB, ..claim },
        Claim { id: JobId(claim.id.0 + 1_000_000), ..claim },
    ] {
        for verdict in [
            complete(),
            retry(SECOND),
            fail(),
            postpone(SECOND),
            release(SECOND, true),
            release(SECOND, false),
        ] {
            assert!(bench.is_lost(stale, verdict), "{stale:?}");
        }
    }
    let job = bench.job(claim.id);
    assert_eq!((job.status, job.attempt, job.worker_id), (Status::Running, 1, Some(ANN)));
    assert_eq!(bench.attempts(claim.id), []);
}

pub(crate) fn a_claim_is_spent_when_its_job_is_pending_again(bench: &Bench) {
    for verdict in [retry(SECOND), postpone(SECOND), release(SECOND, true), release(SECOND, false)] {
        let claim = bench.held_job(ANN);
        let before = format!("{:?}", bench.finish(claim, verdict));
        let attempts = bench.attempts(claim.id);
        assert!(bench.is_lost(claim, complete()));
        assert_eq!(format!("{:?}", bench.job(claim.id)), before);
        assert_eq!(bench.attempts(claim.id), attempts);
    }
}

pub(crate) fn a_finish_of_a_job_that_was_ended_or_deleted_by_hand_is_lost(bench: &Bench) {
    let claim = bench.held_job(ANN);
    bench.finish(claim, retry(SECOND));
    bench.command(JobCommand::Cancel(claim.id)).unwrap();
    assert!(bench.is_lost(claim, complete()), "it has ended, but not under this claim");
    assert_eq!(bench.job(claim.id).status, Status::Cancelled);
    bench.command(JobCommand::Delete(claim.id)).unwrap();
    assert!(bench.is_lost(claim, complete()));
}

pub(crate) fn the_claim_of_an_earlier_attempt_is_lost(bench: &Bench) {
    let first = bench.held_job(ANN);
    bench.finish(first, retry(Duration::ZERO));
    let second = bench.claim_one(ANN);
    assert!(bench.is_lost(first, complete()));
    assert_eq!(bench.job(first.id).status, Status::Running);
    assert_eq!(bench.finish(second, complete()).status, Status::Completed);
}

pub(crate) fn a_lost_finish_spoils_no_other_in_its_request(bench: &Bench) {
    bench.register_worker(ANN);
    bench.insert(vec![job(); 3]);
    let claims: Vec<Claim> = bench.claim(ANN, want(3)).iter().map(|job| job.claim).collect();
    let stale = Claim { attempt: 9, ..claims[1] };
    let done = [claims[0], stale, claims[2]].map(|claim| bench.finish_of(claim, complete()));
    let next = bench.insert_one(job());
    let response = answer(bench.ask(ANN, done.into(), want(1))).unwrap();
    assert_eq!(response.lost, [stale]);
    assert_eq!(ids(&response.claimed), [next]);
    let statuses: Vec<Status> = claims.iter().map(|claim| bench.job(claim.id).status).collect();
    assert_eq!(statuses, [Status::Completed, Status::Running, Status::Completed]);
}

pub(crate) fn a_job_that_ended_under_exactly_this_claim_is_not_lost(bench: &Bench) {
    // Its task may have completed it in a transaction of its own, or the answer to a first finish got lost.
    for verdict in [complete(), fail(), Verdict::Cancel { reason: "no".into() }] {
        let claim = bench.held_job(ANN);
        let job = bench.finish(claim, verdict);
        let completed = if job.status == Status::Completed { vec![claim] } else { Vec::new() };
        let before = format!("{job:?}");
        for repeated in [complete(), retry(SECOND), release(SECOND, true), release(SECOND, false)] {
            let again = vec![bench.finish_of(claim, repeated)];
            let response = answer(bench.ask(ANN, again, want(0))).unwrap();
            assert_eq!((response.lost, &response.completed), (vec![], &completed));
        }
        assert_eq!(format!("{:?}", bench.job(claim.id)), before, "and it stays as it is");
        assert_eq!(bench.attempts(claim.id).len(), 1);
        for stale in [Claim { attempt: 2, ..claim }, Claim { id: JobId(99), ..claim }] {
            assert!(bench.is_lost(stale, complete()), "{stale:?}");
        }
        bench.register_worker(BOB);
        assert!(bench.is_lost(Claim { worker: BOB, ..claim }, complete()), "ended, but not by this worker");
    }
}

pub(crate) fn a_long_error_keeps_its_beginning_and_its_end(bench: &Bench) {
    let error = format!("symptom {} cause", "é".repeat(Job::ERROR_BYTES_MAX));
    let claim = bench.held_job(ANN);
    let job = bench.finish(claim, Verdict::Fail { error });
    let stored = job.error.unwrap();
    assert!(stored.len() <= Job::ERROR_BYTES_MAX);
    assert!(stored.starts_with("symptom") && stored.ends_with("cause"));
    assert_eq!(bench.attempts(claim.id)[0].error, Some(stored));
}

pub(crate) fn nul_in_errors_and_reasons_is_replaced(bench: &Bench) {
    let text = || "a\0b".to_owned();
    for verdict in [
        Verdict::Retry { wait: 3600 * SECOND, error: text() },
        Verdict::Fail { error: text() },
        Verdict::Cancel { reason: text() },
    ] {
        let claim = bench.held_job(ANN);
        assert_eq!(bench.finish(claim, verdict).error.as_deref(), Some("a\u{fffd}b"));
        assert_eq!(bench.attempts(claim.id)[0].error.as_deref(), Some("a\u{fffd}b"));
    }
}

pub(crate) fn a_repeated_finish_is_not_lost_whatever_became_of_the_job(bench: &Bench) {
    let first = bench.held_job(ANN);
    bench.finish(first, retry(Duration::ZERO));
    let second = bench.claim_one(ANN);
    assert!(!bench.is_lost(first, retry(Duration::ZERO)), "it runs again");
    assert!(bench.is_lost(first, complete()), "what it asks for now is not what was written");
    bench.finish(second, fail());
    bench.command(JobCommand::Retry(first.id)).unwrap();
    assert!(!bench.is_lost(second, fail()), "a person has retried it");
    bench.command(JobCommand::Cancel(first.id)).unwrap();
    assert!(!bench.is_lost(first, retry(SECOND)) && !bench.is_lost(second, fail()));
    bench.command(JobCommand::Delete(first.id)).unwrap();
    assert!(bench.is_lost(second, fail()), "nothing is known of it any more");
}
