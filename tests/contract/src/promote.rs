//! The promises of *promote*: jobs become due without a request.

use crate::bench::*;

pub(crate) fn a_scheduled_job_becomes_due_by_itself(bench: &Bench) {
    let id = bench.insert_one(delayed(SECOND));
    bench.advance(SECOND - MICRO);
    assert_eq!(bench.list(|filter| filter.scheduled = true), [id]);
    assert_eq!(kind(bench.command(JobCommand::Retry(JobId(id.0 + 1_000_000)))), ErrorKind::NotFound);
    bench.advance(MICRO);
    assert_eq!(bench.list(|filter| filter.scheduled = true), []);
    assert_eq!(kind(bench.command(JobCommand::Retry(id))), ErrorKind::Conflict, "it is due already");
}

pub(crate) fn a_job_that_became_due_is_claimed_after_higher_priorities_and_before_lower(bench: &Bench) {
    bench.register_worker(ANN);
    let ranked = |priority, wait| {
        with(|job| {
            job.priority = priority;
            job.run_at = RunAt::After(wait);
        })
    };
    let stored = bench.insert(vec![ranked(0, SECOND), ranked(1, Duration::ZERO), ranked(-1, Duration::ZERO)]);
    bench.advance(SECOND);
    assert_eq!(ids(&bench.claim(ANN, want(9))), [stored[1], stored[0], stored[2]]);
}
