//! What is stored: nothing that was acknowledged is lost, nothing is there that nobody called.

use std::collections::{HashMap, HashSet};

use qdjobs::Status;

use super::account::Outcome;
use super::{Case, Findings};
use crate::history::{Fact, Verb};
use crate::tasks::{UNIQUE, completes_itself};

/// I1
pub(super) fn nothing_acknowledged_is_lost(case: &Case<'_>, findings: &mut Findings) {
    for line in &case.evidence.lines {
        match line.fact {
            Fact::Acked { mark, job } => {
                let life = case.lives.get(&job).filter(|life| life.mark == Some(mark));
                // Deletions are looked at by I5.
                let kept =
                    life.is_some_and(|life| life.last.is_none() || case.evidence.jobs.contains_key(&job));
                findings
                    .must(kept, || format!("job {job} with mark {mark} was acknowledged, and is not there"));
            }
            Fact::Done { verb, job } => {
                let by_hand = case.lives.get(&job).map(|life| life.by_hand.as_slice()).unwrap_or_default();
                let done = by_hand.iter().any(|(_, new)| match new.map(|new| new.status) {
                    None => verb == Verb::Delete,
                    Some(Status::Cancelled) => verb == Verb::Cancel,
                    Some(_) => verb == Verb::Retry,
                });
                // One that waits for its time is only due sooner, which the log does not show.
                findings.must(done || verb == Verb::Retry, || {
                    format!("{verb:?} of job {job} was acknowledged, and did not happen")
                });
            }
            Fact::Completed { job } => {
                look_for(case, findings, job, None, "completed", |it| it == Outcome::Completed)
            }
            Fact::Failed { job, attempt } => {
                // By its own end, or told by whoever rescued it for the last time.
                let failed = |it| matches!(it, Outcome::Failed | Outcome::Crashed { last: true });
                look_for(case, findings, job, Some(attempt), "failed", failed);
            }
            Fact::Retrying { job, attempt, .. } => {
                look_for(case, findings, job, Some(attempt), "failed", |it| it.is_told());
            }
            Fact::Cancelled { job } => {
                look_for(case, findings, job, None, "cancelled", |it| it == Outcome::Cancelled)
            }
            Fact::Refused { job, attempt } => {
                let claims = case.lives.get(&job).map(|life| life.claims.as_slice()).unwrap_or_default();
                let accepted = claims.iter().find(|claim| {
                    claim.attempt == i64::from(attempt)
                        && claim.outcome == Outcome::Completed
                        && case.owners.get(&claim.worker) == Some(&line.by)
                });
                // What completed in a transaction of the task's own counts, and only what it returned came too late: the job
                // was deleted meanwhile, or its worker taken for dead.
                let row = case.evidence.jobs.get(&job);
                let by_itself = row.is_none_or(|row| completes_itself(&row.task));
                findings.must(accepted.is_none() || by_itself, || {
                    format!("attempt {attempt} of job {job} was refused, and has completed it all the same")
                });
            }
            _ => {}
        }
    }
    // The rows are what the log says.
    for (job, life) in &case.lives {
        let row = case.evidence.jobs.get(job).map(|row| row.state);
        findings.must(row == life.last, || format!("job {job} is {row:?}, the log says {:?}", life.last));
    }
}

/// The log must have such an outcome of the job.
fn look_for(
    case: &Case<'_>,
    findings: &mut Findings,
    job: i64,
    attempt: Option<u32>,
    told: &str,
    is_it: impl Fn(Outcome) -> bool,
) {
    let claims = case.lives.get(&job).map(|life| life.claims.as_slice()).unwrap_or_default();
    let found = claims.iter().any(|claim| {
        is_it(claim.outcome) && attempt.is_none_or(|attempt| i64::from(attempt) == claim.attempt)
    });
    findings
        .must(found, || format!("a worker was told that job {job} has {told}, and the log does not have it"));
}

/// I2
pub(super) fn there_are_no_phantoms(case: &Case<'_>, findings: &mut Findings) {
    let mut marks: HashMap<u64, i64> = HashMap::new();
    for (job, life) in &case.lives {
        let called = life.mark.and_then(|mark| case.calls.get(&mark));
        findings.must(called.is_some(), || format!("job {job} with mark {:?} was never enqueued", life.mark));
        if let Some(other) = life.mark.and_then(|mark| marks.insert(mark, *job)) {
            findings.must(false, || format!("jobs {other} and {job} are of one call"));
        }
    }
    for (job, row) in &case.evidence.jobs {
        let called = row.mark.and_then(|mark| case.calls.get(&mark));
        let same = called.is_some_and(|called| called.task == row.task && Some(called.hash) == row.hash);
        findings.must(same, || {
            format!("job {job} of `{}` is stored with other params than it was called with", row.task)
        });
    }
    for ((job, attempt), runs) in &case.runs {
        for run in runs {
            let called = case.calls.get(&run.mark);
            let same = called.is_some_and(|called| called.task == run.task && called.hash == run.hash);
            let own = case.lives.get(job).is_some_and(|life| life.mark == Some(run.mark));
            findings.must(same && own, || {
                format!("attempt {attempt} of job {job} ran with params that were not enqueued for it")
            });
        }
    }
}

/// I16
pub(super) fn doubt_is_resolved_once(case: &Case<'_>, findings: &mut Findings) {
    let stored: HashSet<u64> = case.lives.values().filter_map(|life| life.mark).collect();
    for line in &case.evidence.lines {
        if let Fact::Denied { mark, ref kind, may_be_stored } = line.fact {
            // With an idempotency key another call may have stored it.
            findings.must(may_be_stored || mark & UNIQUE != 0 || !stored.contains(&mark), || {
                format!(
                    "the enqueue with mark {mark} was refused ({kind}) as certainly not stored, and is stored"
                )
            });
        }
    }
    // Whatever was stored, acknowledged or not, is there until a person deletes it.
    for (job, life) in &case.lives {
        let there = case.evidence.jobs.contains_key(job);
        findings.must(there == life.last.is_some(), || {
            format!("job {job} is {} the table, the log says otherwise", if there { "in" } else { "not in" })
        });
    }
}

/// I13
pub(super) fn one_job_for_each_unique_key(case: &Case<'_>, findings: &mut Findings) {
    let mut jobs: HashMap<u64, HashSet<i64>> = HashMap::new();
    let unique = |mark: u64| mark & UNIQUE != 0;
    for (job, life) in &case.lives {
        if let Some(mark) = life.mark.filter(|mark| unique(*mark)) {
            jobs.entry(mark).or_default().insert(*job);
        }
    }
    for line in &case.evidence.lines {
        match line.fact {
            Fact::Acked { mark, job } if unique(mark) => {
                jobs.entry(mark).or_default().insert(job);
            }
            _ => {}
        }
    }
    for (mark, jobs) in jobs {
        findings
            .must(jobs.len() == 1, || format!("the idempotency key of mark {mark} has the jobs {jobs:?}"));
    }
}
