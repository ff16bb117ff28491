//! Rules about single jobs: claims, leases, ends and times.

use super::attempts::Outcome;
use super::{Case, Findings, Run};
use crate::history::{Fact, Verb};
use crate::tasks::has_timeout;

/// I3
pub(super) fn attempts_grow_and_start_once(case: &Case<'_>, findings: &mut Findings) {
    for (job, timeline) in &case.timelines {
        let mut begun = 0;
        for claim in &timeline.claims {
            findings.expect(claim.attempt == begun + 1, || {
                format!("job {job}: transition {} claims attempt {} after {begun}", claim.seq, claim.attempt)
            });
            if claim.outcome != Outcome::Unbegun {
                begun = claim.attempt;
            }
        }
    }
    for ((job, attempt), runs) in &case.runs {
        findings.expect(runs.len() == 1, || {
            let by: Vec<u32> = runs.iter().map(|run| run.process).collect();
            format!("attempt {attempt} of job {job} started {} times, in the processes {by:?}", runs.len())
        });
        let claims = case.timelines.get(job).map(|timeline| timeline.claims.as_slice()).unwrap_or_default();
        for run in runs {
            let claimed = claims.iter().any(|claim| {
                claim.attempt == i64::from(*attempt)
                    && claim.outcome != Outcome::Unbegun
                    && case.owners.get(&claim.worker) == Some(&run.process)
            });
            findings.expect(claimed, || {
                format!(
                    "attempt {attempt} of job {job} started in process {}, which never held it",
                    run.process
                )
            });
        }
    }
}

/// I4
pub(super) fn leases_do_not_overlap(case: &Case<'_>, findings: &mut Findings) {
    for (job, timeline) in &case.timelines {
        findings
            .expect(timeline.invalid.is_empty(), || format!("job {job}: {}", timeline.invalid.join("; ")));
        // In the order of the claims: a process that was stopped may have begun its attempt after the
        // next one.
        let mut before: Option<(&Run, Outcome)> = None;
        for claim in timeline.claims.iter().filter(|claim| claim.outcome != Outcome::Unbegun) {
            let runs = u32::try_from(claim.attempt).ok().and_then(|attempt| case.runs.get(&(*job, attempt)));
            let Some(run) = runs.and_then(|runs| runs.first()) else { continue };
            if let Some((earlier, outcome)) = before {
                let over = case.over(earlier).unwrap_or(u64::MAX);
                // Its lease expired, it was given back at a stop, or it timed out: its code
                // may continue, and its results are discarded.
                let taken = matches!(outcome, Outcome::Crashed { .. } | Outcome::Released);
                findings.expect(over <= run.start || taken || has_timeout(&run.task), || {
                    format!(
                        "attempt {} of job {job} began at {} while the one before ran until {over}, which ended as {outcome:?}",
                        claim.attempt, run.start
                    )
                });
            }
            before = Some((run, claim.outcome));
        }
    }
}

/// I5
pub(super) fn ended_is_ended(case: &Case<'_>, findings: &mut Findings) {
    for (job, timeline) in &case.timelines {
        findings
            .expect(timeline.invalid.is_empty(), || format!("job {job}: {}", timeline.invalid.join("; ")));
        for (old, new) in &timeline.by_command {
            let verb = match new.map(|new| new.status) {
                None => Verb::Delete,
                Some(qdjobs::Status::Cancelled) => Verb::Cancel,
                Some(_) => Verb::Retry,
            };
            findings.expect(case.asked.contains(&(verb, *job)), || {
                format!("job {job} was {} and is {new:?} without a command", old.status)
            });
        }
    }
}

/// I8
pub(super) fn nothing_starts_early(case: &Case<'_>, findings: &mut Findings) {
    for ((job, attempt), runs) in &case.runs {
        for run in runs {
            findings.expect(run.wall >= run.scheduled_at, || {
                format!("attempt {attempt} of job {job} began {} us early", run.scheduled_at - run.wall)
            });
            let called = case.calls.get(&run.mark).filter(|_| !may_be_due_earlier(case, *job));
            if let Some(called) = called {
                findings.expect(run.start >= called.at + called.delay_ms * 1_000, || {
                    format!("attempt {attempt} of job {job} began before the delay of its enqueue was over")
                });
            }
        }
    }
    // After a failure: not before the announced wait.
    for line in &case.evidence.lines {
        let Fact::Retrying { job, attempt, wait_ms } = line.fact else { continue };
        let runs = |attempt| case.runs.get(&(job, attempt)).and_then(|runs| runs.first());
        let (Some(failed), Some(next)) = (runs(attempt), runs(attempt + 1)) else { continue };
        if let Some(end) = failed.end.filter(|_| !may_be_due_earlier(case, job) && !has_timeout(&failed.task))
        {
            findings.expect(next.start >= end + wait_ms * 1_000, || {
                format!("attempt {} of job {job} began before the wait of {wait_ms} ms was over", attempt + 1)
            });
        }
    }
}

/// Whether a command may have made it due.
fn may_be_due_earlier(case: &Case<'_>, job: i64) -> bool {
    case.asked.contains(&(Verb::Retry, job))
}
