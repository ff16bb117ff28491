//! Rules about what is stored: nothing that was acknowledged is lost, and nothing exists that was not
//! enqueued.

use std::collections::{HashMap, HashSet};

use qdjobs::Status;

use super::attempts::Outcome;
use super::{Case, Findings};
use crate::history::{Fact, Verb};
use crate::tasks::{KEYED, completes_itself};

/// I1
pub(super) fn nothing_acknowledged_is_lost(case: &Case<'_>, findings: &mut Findings) {
    for line in &case.evidence.lines {
        match line.fact {
            Fact::EnqueueAcked { mark, job } => {
                let timeline = case.timelines.get(&job).filter(|timeline| timeline.mark == Some(mark));
                // Deletions are checked by I5.
                let kept = timeline
                    .is_some_and(|timeline| timeline.last.is_none() || case.evidence.jobs.contains_key(&job));
                findings.expect(kept, || {
                    format!("job {job} with mark {mark} was acknowledged, but is not stored")
                });
            }
            Fact::CommandDone { verb, job } => {
                let by_command = case
                    .timelines
                    .get(&job)
                    .map(|timeline| timeline.by_command.as_slice())
                    .unwrap_or_default();
                let done = by_command.iter().any(|(_, new)| match new.map(|new| new.status) {
                    None => verb == Verb::Delete,
                    Some(Status::Cancelled) => verb == Verb::Cancel,
                    Some(_) => verb == Verb::Retry,
                });
                // A scheduled job is only due sooner, which the log does not show.
                findings.expect(done || verb == Verb::Retry, || {
                    format!("{verb:?} of job {job} was acknowledged, but did not happen")
                });
            }
            Fact::Completed { job } => {
                expect_outcome(case, findings, job, None, "completed", |it| it == Outcome::Completed)
            }
            Fact::Failed { job, attempt } => {
                // By its own end, or reported by the worker that rescued it for the last
                // time.
                let failed = |it| matches!(it, Outcome::Failed | Outcome::Crashed { last: true });
                expect_outcome(case, findings, job, Some(attempt), "failed", failed);
            }
            Fact::Retrying { job, attempt, .. } => {
                expect_outcome(case, findings, job, Some(attempt), "failed", |it| it.is_reported());
            }
            Fact::Cancelled { job } => {
                expect_outcome(case, findings, job, None, "cancelled", |it| it == Outcome::Cancelled)
            }
            Fact::ResultDiscarded { job, attempt } => {
                let claims =
                    case.timelines.get(&job).map(|timeline| timeline.claims.as_slice()).unwrap_or_default();
                let accepted = claims.iter().find(|claim| {
                    claim.attempt == i64::from(attempt)
                        && claim.outcome == Outcome::Completed
                        && case.owners.get(&claim.worker) == Some(&line.by)
                });
                // A completion in the task's own transaction counts, and only the returned
                // value came too late: the job was deleted meanwhile, or the worker's lease
                // expired.
                let row = case.evidence.jobs.get(&job);
                let by_itself = row.is_none_or(|row| completes_itself(&row.task));
                findings.expect(accepted.is_none() || by_itself, || {
                    format!("attempt {attempt} of job {job} was discarded, but completed the job")
                });
            }
            _ => {}
        }
    }
    // The rows equal the log.
    for (job, timeline) in &case.timelines {
        let row = case.evidence.jobs.get(job).map(|row| row.state);
        findings.expect(row == timeline.last, || {
            format!("job {job} is {row:?}, the log has {:?}", timeline.last)
        });
    }
}

/// The log must have such an outcome of the job.
fn expect_outcome(
    case: &Case<'_>,
    findings: &mut Findings,
    job: i64,
    attempt: Option<u32>,
    reported: &str,
    is_it: impl Fn(Outcome) -> bool,
) {
    let claims = case.timelines.get(&job).map(|timeline| timeline.claims.as_slice()).unwrap_or_default();
    let found = claims.iter().any(|claim| {
        is_it(claim.outcome) && attempt.is_none_or(|attempt| i64::from(attempt) == claim.attempt)
    });
    findings.expect(found, || {
        format!("a worker reported that job {job} has {reported}, but the log does not have it")
    });
}

/// I2
pub(super) fn there_are_no_phantoms(case: &Case<'_>, findings: &mut Findings) {
    let mut marks: HashMap<u64, i64> = HashMap::new();
    for (job, timeline) in &case.timelines {
        let called = timeline.mark.and_then(|mark| case.calls.get(&mark));
        findings.expect(called.is_some(), || {
            format!("job {job} with mark {:?} was never enqueued", timeline.mark)
        });
        if let Some(other) = timeline.mark.and_then(|mark| marks.insert(mark, *job)) {
            findings.expect(false, || format!("jobs {other} and {job} come from one call"));
        }
    }
    for (job, row) in &case.evidence.jobs {
        let called = row.mark.and_then(|mark| case.calls.get(&mark));
        let same = called.is_some_and(|called| called.task == row.task && Some(called.hash) == row.hash);
        findings.expect(same, || {
            format!("job {job} of `{}` is stored with other params than it was called with", row.task)
        });
    }
    for ((job, attempt), runs) in &case.runs {
        for run in runs {
            let called = case.calls.get(&run.mark);
            let same = called.is_some_and(|called| called.task == run.task && called.hash == run.hash);
            let own = case.timelines.get(job).is_some_and(|timeline| timeline.mark == Some(run.mark));
            findings.expect(same && own, || {
                format!("attempt {attempt} of job {job} ran with params that were not enqueued for it")
            });
        }
    }
}

/// I16
pub(super) fn unconfirmed_is_resolved_once(case: &Case<'_>, findings: &mut Findings) {
    let stored: HashSet<u64> = case.timelines.values().filter_map(|timeline| timeline.mark).collect();
    for line in &case.evidence.lines {
        if let Fact::EnqueueFailed { mark, ref kind, may_be_stored } = line.fact {
            // With an idempotency key another call may have stored it.
            findings.expect(may_be_stored || mark & KEYED != 0 || !stored.contains(&mark), || {
                format!(
                    "the enqueue with mark {mark} was refused ({kind}) as certainly not stored, but is stored"
                )
            });
        }
    }
    // Whatever was stored, acknowledged or not, stays until a command deletes it.
    for (job, timeline) in &case.timelines {
        let there = case.evidence.jobs.contains_key(job);
        findings.expect(there == timeline.last.is_some(), || {
            format!("job {job} is {} the table, the log disagrees", if there { "in" } else { "not in" })
        });
    }
}

/// I13
pub(super) fn one_job_for_each_idempotency_key(case: &Case<'_>, findings: &mut Findings) {
    let mut jobs: HashMap<u64, HashSet<i64>> = HashMap::new();
    let unique = |mark: u64| mark & KEYED != 0;
    for (job, timeline) in &case.timelines {
        if let Some(mark) = timeline.mark.filter(|mark| unique(*mark)) {
            jobs.entry(mark).or_default().insert(*job);
        }
    }
    for line in &case.evidence.lines {
        match line.fact {
            Fact::EnqueueAcked { mark, job } if unique(mark) => {
                jobs.entry(mark).or_default().insert(job);
            }
            _ => {}
        }
    }
    for (mark, jobs) in jobs {
        findings
            .expect(jobs.len() == 1, || format!("the idempotency key of mark {mark} has the jobs {jobs:?}"));
    }
}
