//! Rules about attempts: each claim of a job, how it ended, and whether all the counts follow from that.

use std::collections::HashMap;

use qdjobs::Status;

use super::{Case, Findings, Timeline};
use crate::evidence::State;
use crate::tasks::{completes_itself, expected_end, has_timeout};

/// A claim of a job by a worker, from the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) attempt: i64,
    pub(super) worker: i64,
    /// The transition that made it; then the one that ended it, with its wall clock.
    pub(super) seq: i64,
    pub(super) over: Option<(i64, i64)>,
    pub(super) outcome: Outcome,
}

/// How a claim ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Running,
    Completed,
    Failed,
    Cancelled,
    /// Failed, and another attempt follows.
    Retried,
    /// Its worker died: the job is pending again, or has failed at the crash limit.
    Crashed {
        last: bool,
    },
    Released,
    /// Given back before the task began: it leaves no row.
    Unbegun,
}

impl Outcome {
    /// The outcome in `qdjobs_attempts`.
    fn word(self) -> Option<&'static str> {
        match self {
            Outcome::Running | Outcome::Unbegun => None,
            Outcome::Completed => Some("completed"),
            Outcome::Failed | Outcome::Retried => Some("failed"),
            Outcome::Cancelled => Some("cancelled"),
            Outcome::Crashed { .. } => Some("crashed"),
            Outcome::Released => Some("released"),
        }
    }

    /// Whether a task has reported it.
    pub(super) fn is_reported(self) -> bool {
        matches!(self, Outcome::Completed | Outcome::Failed | Outcome::Cancelled | Outcome::Retried)
    }
}

impl Timeline {
    /// Applies the next transition.
    pub(super) fn advance(&mut self, seq: i64, wall: i64, old: State, new: Option<State>) {
        if self.last.is_none_or(|last| last != old) {
            self.invalid.push(format!(
                "transition {seq} begins at {old:?}, and the one before ended at {:?}",
                self.last
            ));
        }
        self.last = new;
        match (old.status, new) {
            (Status::Running, Some(new)) => self.end_claim(seq, wall, old, new),
            (Status::Pending, Some(new)) if new.status == Status::Running => self.claim(seq, old, new),
            // A scheduled job is due now: its retries and crashes are reset.
            (Status::Pending, Some(new)) if new.status == Status::Pending && old.worker.is_none() => {
                self.by_command.push((old, Some(new)));
                self.reset_budget(seq, new);
            }
            (Status::Pending, Some(new)) if new.status == Status::Cancelled => {
                self.by_command.push((old, Some(new)))
            }
            (Status::Failed | Status::Cancelled, Some(new)) if new.status == Status::Pending => {
                self.by_command.push((old, Some(new)));
                self.reset_budget(seq, new);
            }
            (Status::Running, None) => self.invalid.push(format!("transition {seq} deletes a running job")),
            (_, None) => self.by_command.push((old, None)),
            (_, Some(new)) => self.invalid.push(format!("transition {seq} leads from {old:?} to {new:?}")),
        }
    }

    /// Applies a transition that counts fewer crashes, because another job has caused them.
    pub(super) fn explain(&mut self, seq: i64, old: State, new: State) {
        if self.last.is_none_or(|last| last != old) {
            self.invalid.push(format!("transition {seq} begins at {old:?}, after {:?}", self.last));
        }
        self.last = Some(new);
        self.crashes = new.crash_count;
    }

    fn claim(&mut self, seq: i64, old: State, new: State) {
        let counts_stay = (old.retry_count, old.crash_count) == (new.retry_count, new.crash_count);
        let Some(worker) = new.worker.filter(|_| old.worker.is_none() && counts_stay) else {
            self.invalid.push(format!("transition {seq} claims {old:?} as {new:?}"));
            return;
        };
        self.claims.push(Claim { attempt: new.attempt, worker, seq, over: None, outcome: Outcome::Running });
    }

    fn end_claim(&mut self, seq: i64, wall: i64, old: State, new: State) {
        let (retried, crashed) = (new.retry_count - old.retry_count, new.crash_count - old.crash_count);
        let outcome = match (new.status, new.attempt - old.attempt, retried, crashed) {
            (Status::Completed, 0, 0, 0) => Outcome::Completed,
            (Status::Failed, 0, 0, 0) => Outcome::Failed,
            (Status::Failed, 0, 0, 1) => Outcome::Crashed { last: true },
            (Status::Cancelled, 0, 0, 0) => Outcome::Cancelled,
            (Status::Pending, 0, 1, 0) => Outcome::Retried,
            (Status::Pending, 0, 0, 1) => Outcome::Crashed { last: false },
            (Status::Pending, 0, 0, 0) => Outcome::Released,
            (Status::Pending, -1, 0, 0) => Outcome::Unbegun,
            _ => {
                self.invalid.push(format!("transition {seq} leads from {old:?} to {new:?}"));
                return;
            }
        };
        let keeps_worker =
            if new.status == Status::Pending { new.worker.is_none() } else { new.worker == old.worker };
        match self.claims.last_mut() {
            Some(claim) if claim.outcome == Outcome::Running && keeps_worker => {
                (claim.outcome, claim.over) = (outcome, Some((seq, wall)));
            }
            _ => self.invalid.push(format!("transition {seq} ends no claim: {old:?} to {new:?}")),
        }
        self.completed |= outcome == Outcome::Completed;
        self.retries += retried;
        self.crashes += crashed;
    }

    /// A command makes a job pending again: its retries and crashes start at zero.
    fn reset_budget(&mut self, seq: i64, new: State) {
        if (new.retry_count, new.crash_count) != (0, 0) {
            self.invalid.push(format!("transition {seq} retries a job and keeps its counts: {new:?}"));
        }
        (self.retries, self.crashes) = (0, 0);
    }
}

/// I7
pub(super) fn starts_are_accounted_for(case: &Case<'_>, findings: &mut Findings) {
    for (job, timeline) in &case.timelines {
        let row = case.evidence.jobs.get(job);
        let begun = timeline.claims.iter().filter(|claim| claim.outcome != Outcome::Unbegun);
        let attempt = timeline.last.map(|last| last.attempt);
        findings.expect(attempt.is_none_or(|attempt| attempt == begun.clone().count() as i64), || {
            format!(
                "job {job} is at attempt {attempt:?} after {} claims that were not given back",
                begun.clone().count()
            )
        });
        let counted = timeline.last.map(|last| (last.retry_count, last.crash_count));
        findings.expect(
            counted.is_none_or(|counted| counted == (timeline.retries, timeline.crashes)),
            || {
                format!(
                    "job {job} counts {counted:?} retries and crashes, by the log {:?}",
                    (timeline.retries, timeline.crashes)
                )
            },
        );
        for claim in &timeline.claims {
            check_claim(case, *job, timeline, claim, findings);
        }
        let Some(row) = row else { continue };
        findings.expect(row.state.retry_count <= row.max_retries, || {
            format!("job {job} was retried {} times, allowed are {}", row.state.retry_count, row.max_retries)
        });
        let last = timeline.claims.last().map(|claim| claim.outcome);
        let by_command = timeline
            .by_command
            .last()
            .is_some_and(|(_, new)| new.is_some_and(|new| new.status == row.state.status));
        let died = matches!(last, Some(Outcome::Crashed { last: true }));
        let expected = expected_end(&row.task).contains(&row.state.status);
        findings.expect(expected || died || (by_command && row.state.status == Status::Cancelled), || {
            format!("job {job} of `{}` ended as {}, which is no end of its task", row.task, row.state.status)
        });
    }
    let mut known: HashMap<(i64, i64), i64> = HashMap::new();
    for (job, timeline) in &case.timelines {
        known.extend(timeline.claims.iter().map(|claim| ((*job, claim.attempt), claim.worker)));
    }
    for ((job, attempt), row) in &case.evidence.attempts {
        findings.expect(known.get(&(*job, *attempt)) == Some(&row.worker), || {
            format!(
                "attempt {attempt} of job {job} by worker {} is recorded, but was never claimed by it",
                row.worker
            )
        });
    }
}

fn check_claim(case: &Case<'_>, job: i64, timeline: &Timeline, claim: &Claim, findings: &mut Findings) {
    let attempt = claim.attempt;
    let runs = u32::try_from(attempt).ok().and_then(|attempt| case.runs.get(&(job, attempt)));
    let own = |process: u32| case.owners.get(&claim.worker) == Some(&process);
    let runs: Vec<_> = runs.into_iter().flatten().filter(|run| own(run.process)).collect();
    let task = case.evidence.jobs.get(&job).map(|row| row.task.as_str());
    if claim.outcome.is_reported() && !task.is_some_and(has_timeout) {
        let deleted = task.is_none() && runs.is_empty();
        findings.expect(deleted || !runs.is_empty(), || {
            format!("attempt {attempt} of job {job} ended as {:?} and never began", claim.outcome)
        });
    }
    // The number of an attempt that was given back belongs to the claim that got it next.
    let used_again = timeline.claims.iter().any(|other| other.attempt == attempt && other.seq > claim.seq);
    if timeline.last.is_none() || used_again {
        return;
    }
    let recorded = case.evidence.attempts.get(&(job, attempt)).filter(|row| row.worker == claim.worker);
    let recorded = recorded.map(|row| row.outcome.as_str());
    // A success at the first attempt, and one in the task's own transaction, is recorded in the job's own row.
    let in_own_row = attempt == 1 || task.is_some_and(completes_itself);
    let wanted = claim.outcome.word().filter(|_| !(claim.outcome == Outcome::Completed && in_own_row));
    findings.expect(recorded == wanted, || {
        format!("attempt {attempt} of job {job} ended as {:?}, on record is {recorded:?}", claim.outcome)
    });
}

/// I6
pub(super) fn effects_are_exactly_once(case: &Case<'_>, findings: &mut Findings) {
    let mut effects: HashMap<i64, Vec<i64>> = HashMap::new();
    for effect in &case.evidence.effects {
        effects.entry(effect.job).or_default().push(effect.attempt);
    }
    let mut follow_ups: HashMap<u64, usize> = HashMap::new();
    for timeline in case.timelines.values() {
        if let Some(mark) = timeline.mark.filter(|mark| mark & crate::tasks::FOLLOWS != 0) {
            *follow_ups.entry(mark).or_default() += 1;
        }
    }
    for (job, timeline) in &case.timelines {
        let Some(called) = timeline.mark.and_then(|mark| case.calls.get(&mark)) else { continue };
        if !completes_itself(&called.task) {
            continue;
        }
        let completing = timeline.claims.iter().find(|claim| claim.outcome == Outcome::Completed);
        let wanted: Vec<i64> = completing.map(|claim| claim.attempt).into_iter().collect();
        let left = effects.remove(job).unwrap_or_default();
        findings.expect(left == wanted, || {
            format!("job {job} left effects of the attempts {left:?}, it was completed by {wanted:?}")
        });
        if called.task == "effect" {
            let follows = timeline.mark.map_or(0, |mark| mark | crate::tasks::FOLLOWS);
            let jobs = follow_ups.get(&follows).copied().unwrap_or(0);
            findings.expect(jobs == wanted.len(), || {
                format!("job {job} completed {} times and has {jobs} follow-ups", wanted.len())
            });
        }
    }
    findings.expect(effects.is_empty(), || format!("effects of jobs that are not known: {effects:?}"));
}
