//! [`Referee`], which fills in the numbers of drawn requests, and counts what the games reach.

use std::cell::RefCell;
use std::collections::BTreeMap;

use qdjobs::store::{Claim, JobCommand};
use qdjobs::{ErrorKind, JobId, Status, WorkerId};

use super::ops::{Answers, Forgery, MAX_CRASHES, Move, Op, Recent, Said, Verb};
use super::reference::{RefJob, Reference};

/// Fills in the numbers of drawn requests, and counts what was reached.
pub(super) struct Referee<'a> {
    pub(super) jobs: Vec<JobId>,
    pub(super) claims: Vec<Claim>,
    pub(super) reached: &'a RefCell<BTreeMap<String, u32>>,
}

impl Referee<'_> {
    /// The move that `op` means now; `None` if it speaks of a claim and there is none yet.
    pub(super) fn fill_in(&self, op: &Op) -> Option<Move> {
        Some(match op {
            Op::Insert(drafts) => Move::Insert(drafts.clone()),
            Op::RegisterWorker(worker) => Move::RegisterWorker(*worker),
            Op::Claim { worker, done, wish } => {
                let shown = done
                    .iter()
                    .filter_map(|(at, how, verdict)| Some((self.claim(*at, *how)?, verdict.clone())));
                let done: Vec<_> = shown.collect();
                // Workers mostly show claims of their own; what they forge is forged against those.
                let worker = done.first().map_or(*worker, |(claim, _)| claim.worker);
                Move::Claim { worker, done, wish: *wish }
            }
            Op::CancelWaitingClaims(worker) => Move::CancelWaitingClaims(*worker),
            Op::Heartbeat(worker) => Move::Heartbeat(*worker),
            Op::ReportProgress(at, how, done) => Move::ReportProgress(self.claim(*at, *how)?, *done),
            Op::ReleaseDead(worker) => Move::ReleaseDead(*worker),
            Op::ReleaseOwn(worker) => Move::ReleaseOwn(*worker),
            Op::Command(verb, at) => {
                let id = self.job(*at);
                Move::Command(match verb {
                    Verb::Retry => JobCommand::Retry(id),
                    Verb::Cancel => JobCommand::Cancel(id),
                    Verb::Delete => JobCommand::Delete(id),
                })
            }
            Op::WaitFor(at) => Move::WaitFor(self.job(*at)),
            Op::Advance(by) => Move::Advance(*by),
        })
    }

    pub(super) fn job(&self, at: Recent) -> JobId {
        at.of(&self.jobs).unwrap_or(JobId(1_000_000))
    }

    pub(super) fn claim(&self, at: Recent, how: Forgery) -> Option<Claim> {
        let claim = at.of(&self.claims)?;
        Some(match how {
            Forgery::None => claim,
            Forgery::Attempt => Claim { attempt: claim.attempt + 1, ..claim },
            Forgery::Worker => Claim { worker: WorkerId(claim.worker.0 % 3 + 1), ..claim },
        })
    }

    pub(super) fn note(&mut self, number: usize, asked: &Move, answers: &Answers) {
        for (of, said) in answers {
            match said {
                Said::Stored(ids) => {
                    let known = ids.iter().filter(|id| self.jobs.contains(id)).count();
                    if known > 0 {
                        self.count("insert repeated".into());
                    }
                    self.jobs.extend(ids);
                }
                Said::Refused(ErrorKind::Conflict) if matches!(asked, Move::Insert(_)) && *of == number => {
                    self.count("insert of a held key".into());
                }
                Said::Claimed { claimed, .. } => self.claims.extend(claimed),
                _ => {}
            }
            let given = matches!(said, Said::Claimed { claimed, .. } if !claimed.is_empty());
            if *of < number && given {
                self.count(format!("a waiting claim served by {}", word(asked)));
            }
        }
    }

    /// Counts which verb meets a job in which status, as the reference has it before the move.
    pub(super) fn look(&self, asked: &Move, before: &Reference) {
        let met = |id| before.status(id).map_or("missing".to_owned(), |status| status.to_string());
        match asked {
            Move::Claim { worker, done, .. } => {
                for (claim, verdict) in done {
                    let verdict = format!("{verdict:?}");
                    let verdict = verdict.split(' ').next().unwrap_or_default();
                    match before.held(*claim) {
                        Some(_) => self.count(format!("{verdict} by its holder")),
                        None => self.count(format!("a stale finish of a {} job", met(claim.id))),
                    }
                }
                if !before.workers.contains_key(worker) {
                    self.count("a claim of an unregistered worker".into());
                }
                let waits = |job: &RefJob| job.status == Status::Pending && job.crash_count > 1;
                if !before.suspected_with(*worker).is_empty() && before.jobs.values().any(waits) {
                    self.count("a suspected job is skipped".into());
                }
            }
            Move::ReportProgress(claim, _) => {
                let held = if before.held(*claim).is_some() { "held" } else { "stale" };
                self.count(format!("progress {held}"));
            }
            Move::ReleaseDead(worker) | Move::ReleaseOwn(worker) => {
                if matches!(asked, Move::ReleaseDead(_)) && before.workers.contains_key(worker) {
                    self.count_crashes(*worker, before);
                }
                let holds = if before.holding(*worker) > 0 { "busy" } else { "idle" };
                let known = if before.workers.contains_key(worker) { holds } else { "unknown" };
                self.count(format!("{} {known}", word(asked)));
            }
            Move::Command(command) => {
                let scheduled = before
                    .jobs
                    .get(&command.id())
                    .is_some_and(|job| job.status == Status::Pending && job.run_at > before.now);
                let status = if scheduled { "scheduled".to_owned() } else { met(command.id()) };
                self.count(format!("{} {status}", word(asked)));
            }
            Move::WaitFor(id) => self.count(format!("wait {}", met(*id))),
            Move::Insert(drafts) => {
                let bad = drafts.iter().any(|draft| draft.task.is_none());
                self.count(format!("insert {}", if bad { "bad" } else { "good" }));
            }
            Move::RegisterWorker(_)
            | Move::CancelWaitingClaims(_)
            | Move::Heartbeat(_)
            | Move::Advance(_) => self.count(word(asked).into()),
        }
    }

    /// Counts whom a death costs what.
    pub(super) fn count_crashes(&self, worker: WorkerId, before: &Reference) {
        let held =
            before.jobs.values().filter(|job| (job.status, job.worker_id) == (Status::Running, Some(worker)));
        let held: Vec<&RefJob> = held.collect();
        let suspected = held.iter().filter(|job| job.crash_count > 1).count();
        if held.len() > 1 && suspected == 0 {
            self.count("a crash of several without a suspected job".into());
        }
        if suspected > 0 && held.len() > suspected {
            self.count("a crash of a suspected job and others".into());
        }
        if let [job] = held[..]
            && job.crash_count >= MAX_CRASHES - 1
        {
            self.count("a crash for the last time".into());
            let shares =
                |other: &&RefJob| other.crashes().iter().any(|worker| job.crashes().contains(worker));
            let others = before.jobs.values().filter(|other| *other != job && !other.status.is_ended());
            if others.filter(shares).any(|other| other.crash_count > 0) {
                self.count("a job whose crashes are explained".into());
            }
        }
    }

    pub(super) fn count(&self, what: String) {
        *self.reached.borrow_mut().entry(what).or_default() += 1;
    }
}

pub(super) fn word(asked: &Move) -> &'static str {
    match asked {
        Move::Insert(_) => "insert",
        Move::RegisterWorker(_) => "register_worker",
        Move::Claim { .. } => "claim",
        Move::CancelWaitingClaims(_) => "cancel_waiting_claims",
        Move::Heartbeat(_) => "heartbeat",
        Move::ReportProgress(..) => "progress",
        Move::ReleaseDead(_) => "release of a dead worker",
        Move::ReleaseOwn(_) => "release by the worker",
        Move::Command(JobCommand::Retry(_)) => "retry",
        Move::Command(JobCommand::Cancel(_)) => "cancel",
        Move::Command(JobCommand::Delete(_)) => "delete",
        Move::WaitFor(_) => "wait",
        Move::Advance(_) => "advance",
    }
}

/// What the fixed seeds have to reach: a generator that comes to none of it proves nothing.
pub(super) const REACHED: &[&str] = &[
    "insert good",
    "insert bad",
    "insert repeated",
    "insert of a held key",
    "register_worker",
    "cancel_waiting_claims",
    "heartbeat",
    "advance",
    "Complete by its holder",
    "Retry by its holder",
    "Fail by its holder",
    "Cancel by its holder",
    "Release by its holder",
    "a stale finish of a pending job",
    "a stale finish of a running job",
    "a stale finish of a completed job",
    "a stale finish of a failed job",
    "a stale finish of a cancelled job",
    "a stale finish of a missing job",
    "a claim of an unregistered worker",
    "a waiting claim served by insert",
    "a waiting claim served by claim",
    "a waiting claim served by release of a dead worker",
    "a waiting claim served by release by the worker",
    "a waiting claim served by retry",
    "a waiting claim served by advance",
    "progress held",
    "progress stale",
    "release of a dead worker busy",
    "a crash of several without a suspected job",
    "a crash of a suspected job and others",
    "a crash for the last time",
    "a job whose crashes are explained",
    "a suspected job is skipped",
    "release of a dead worker idle",
    "release of a dead worker unknown",
    "release by the worker busy",
    "release by the worker idle",
    "release by the worker unknown",
    "retry pending",
    "retry scheduled",
    "retry running",
    "retry completed",
    "retry failed",
    "retry cancelled",
    "retry missing",
    "cancel pending",
    "cancel scheduled",
    "cancel running",
    "cancel completed",
    "cancel failed",
    "cancel cancelled",
    "cancel missing",
    "delete pending",
    "delete scheduled",
    "delete running",
    "delete completed",
    "delete failed",
    "delete cancelled",
    "delete missing",
    "wait pending",
    "wait running",
    "wait completed",
    "wait failed",
    "wait cancelled",
    "wait missing",
];
