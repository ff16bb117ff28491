//! The checker: what the evidence must show, whatever was done to the processes.
//!
//! Leans on the evidence alone: starts nothing, reads no clock and no file, so each rule is tested on small histories made by hand,
//! good and bad. One file for each group of rules; [`RULES`] is the list.

mod account;
mod end;
mod life;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use crate::evidence::{Change, Evidence, Process, State};
use crate::history::{Fact, Signal, Verb};
use crate::summary::Spread;
use account::{Claim, Outcome};
pub(crate) use end::DRAIN_MAX;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.text)
    }
}

/// A rule: its name, what it says, and the function that looks; none for what the product does not have.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) says: &'static str,
    look: Option<fn(&Case<'_>, &mut Findings)>,
}

/// All rules, by the names that the design gives them.
pub(crate) const RULES: &[Rule] = &[
    rule(
        "I1",
        "what was acknowledged is there: jobs, results, changes by hand",
        stored::nothing_acknowledged_is_lost,
    ),
    rule("I2", "what is stored or runs was enqueued, once, with these params", stored::there_are_no_phantoms),
    rule("I3", "attempts grow with each claim, and each starts once", life::attempts_grow_and_start_once),
    rule(
        "I4",
        "a job is held by one worker at a time, and runs once at a time unless it was taken from its worker",
        life::leases_do_not_overlap,
    ),
    rule("I5", "a job that has ended stays as it is, but for a person's hand", life::ended_is_ended),
    rule(
        "I6",
        "an effect in the completing transaction is there once if the job completed, and else not",
        account::effects_are_exactly_once,
    ),
    rule(
        "I7",
        "every start has one outcome, counts and limits agree, and the job ends as its task says",
        account::starts_are_accounted_for,
    ),
    rule("I8", "nothing starts before its time", life::nothing_starts_early),
    Rule { name: "I9", says: "one job for each tick of a schedule: there are no schedules yet", look: None },
    rule("I10", "once the faults are over, everything is done by the deadline", end::everything_drains),
    rule("I11", "the file is sound, and counts are what a recount gives", end::the_file_is_sound),
    Rule {
        name: "I12",
        says: "jobs of one serial key one after the other: there are no serial keys yet",
        look: None,
    },
    rule(
        "I13",
        "there is one job for each idempotency key, and everybody who enqueues it gets that one",
        stored::one_job_for_each_unique_key,
    ),
    rule("I14", "a process that ends well leaves nothing running", end::a_good_end_leaves_nothing),
    rule(
        "I15",
        "the log is bounded once it is quiet; open files and threads of those who live on do not grow",
        end::nothing_grows,
    ),
    rule(
        "I16",
        "what may be stored is there or not, and then stays so; what is not stored is not",
        stored::doubt_is_resolved_once,
    ),
    rule(
        "S1",
        "a worker holds one suspect at a time, and if it dies that one alone is blamed; with the last crash the job has failed",
        account::suspects_are_isolated,
    ),
    rule("E1", "a process ends only when it is told to", end::nobody_ends_unasked),
];

const fn rule(name: &'static str, says: &'static str, look: fn(&Case<'_>, &mut Findings)) -> Rule {
    Rule { name, says, look: Some(look) }
}

impl Rule {
    /// Whether the product has what it is about.
    pub(crate) fn is_looked_at(&self) -> bool {
        self.look.is_some()
    }
}

/// Violations, and how much was looked at: a rule that looked at nothing has proven nothing.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    rule: &'static str,
    pub(crate) violations: Vec<Violation>,
    /// By rule, the things that were compared.
    pub(crate) looked: BTreeMap<&'static str, u64>,
}

impl Findings {
    /// How many things a rule has looked at.
    pub(crate) fn looked(&self, rule: &Rule) -> u64 {
        self.looked.get(rule.name).copied().unwrap_or(0)
    }

    /// One thing was looked at: it must hold.
    fn must(&mut self, holds: bool, text: impl FnOnce() -> String) {
        *self.looked.entry(self.rule).or_default() += 1;
        if !holds {
            self.violations.push(Violation { rule: self.rule, text: text() });
        }
    }
}

/// The evidence, arranged.
pub(crate) struct Case<'e> {
    evidence: &'e Evidence,
    processes: BTreeMap<u32, Process>,
    owners: HashMap<i64, u32>,
    /// Each job's life by the log.
    lives: BTreeMap<i64, Life>,
    /// Attempts as the tasks told them.
    runs: BTreeMap<(i64, u32), Vec<Run>>,
    /// What was called, by mark.
    calls: HashMap<u64, Called>,
    /// What people asked for.
    asked: HashSet<(Verb, i64)>,
    /// When a process was first killed, or began to end itself.
    fatal: HashMap<u32, u64>,
}

/// A job by the log.
#[derive(Debug, Default)]
struct Life {
    mark: Option<u64>,
    claims: Vec<Claim>,
    /// Changes by hand: from which status to which, with the number of the transition.
    by_hand: Vec<(State, Option<State>)>,
    /// As the log leaves it; none once it is deleted.
    last: Option<State>,
    /// Whether it has ever completed.
    completed: bool,
    /// Transitions that no verb of the queue makes.
    strange: Vec<String>,
    /// Retries and crashes since a person last gave it a fresh budget.
    retries: i64,
    crashes: i64,
}

/// One run of a task, by its own word.
#[derive(Clone, Debug)]
struct Run {
    process: u32,
    start: u64,
    end: Option<u64>,
    wall: i64,
    scheduled_at: i64,
    mark: u64,
    hash: u64,
    task: String,
}

#[derive(Clone, Debug)]
struct Called {
    at: u64,
    task: String,
    hash: u64,
    delay_ms: u64,
}

impl<'e> Case<'e> {
    pub(crate) fn new(evidence: &'e Evidence) -> Case<'e> {
        let mut case = Case {
            evidence,
            processes: evidence.processes(),
            owners: evidence.owners(),
            lives: BTreeMap::new(),
            runs: BTreeMap::new(),
            calls: HashMap::new(),
            asked: HashSet::new(),
            fatal: HashMap::new(),
        };
        for step in &evidence.log {
            match step.change {
                Change::Insert { job, mark, new } => {
                    case.lives.insert(job, Life { mark, last: Some(new), ..Life::default() });
                }
                Change::Update { job, old, new } => {
                    case.lives.entry(job).or_default().go_on(step.seq, step.wall, old, Some(new));
                }
                Change::Delete { job, old } => {
                    case.lives.entry(job).or_default().go_on(step.seq, step.wall, old, None);
                }
                Change::RegisterWorker { .. } | Change::Forget { .. } => {}
            }
        }
        for line in &evidence.lines {
            match &line.fact {
                Fact::Called { mark, task, hash, delay_ms } => {
                    // A transaction that is tried again calls its follow-up again.
                    let called = Called { at: line.at, task: task.clone(), hash: *hash, delay_ms: *delay_ms };
                    case.calls.entry(*mark).or_insert(called);
                }
                Fact::Start { job, attempt, task, mark, hash, wall, scheduled_at } => {
                    case.runs.entry((*job, *attempt)).or_default().push(Run {
                        process: line.by,
                        start: line.at,
                        end: None,
                        wall: *wall,
                        scheduled_at: *scheduled_at,
                        mark: *mark,
                        hash: *hash,
                        task: task.clone(),
                    });
                }
                Fact::End { job, attempt, .. } => {
                    let runs = case.runs.get_mut(&(*job, *attempt)).into_iter().flatten();
                    runs.filter(|run| run.process == line.by).for_each(|run| run.end = Some(line.at));
                }
                Fact::Asked { verb, job } => {
                    case.asked.insert((*verb, *job));
                }
                Fact::Signalled { process, signal: Signal::Kill } => {
                    case.fatal.entry(*process).or_insert(line.at);
                }
                Fact::Abort { .. } => {
                    case.fatal.entry(line.by).or_insert(line.at);
                }
                _ => {}
            }
        }
        case
    }

    /// When the run was surely over; none if nobody knows.
    fn over(&self, run: &Run) -> Option<u64> {
        let gone = || {
            let fatal = self.fatal.get(&run.process).copied();
            fatal.or_else(|| self.processes.get(&run.process).and_then(|process| process.gone))
        };
        run.end.or_else(gone)
    }
}

/// Looks at everything.
pub(crate) fn check(evidence: &Evidence) -> Findings {
    let case = Case::new(evidence);
    let mut findings = Findings::default();
    for rule in RULES {
        if let Some(look) = rule.look {
            findings.rule = rule.name;
            look(&case, &mut findings);
        }
    }
    findings
}

/// From the kill of a worker, or its own end, to the first line of the next attempt of each job that it held.
pub(crate) fn restarts(evidence: &Evidence) -> Spread {
    let case = Case::new(evidence);
    let mut times = Vec::new();
    for (job, life) in &case.lives {
        for pair in life.claims.windows(2) {
            let [dead, next] = pair else { continue };
            let killed = case.owners.get(&dead.worker).and_then(|process| case.fatal.get(process));
            let next = u32::try_from(next.attempt).ok().and_then(|attempt| case.runs.get(&(*job, attempt)));
            let next = next.and_then(|runs| runs.first());
            if let (Outcome::Crashed { .. }, Some(killed), Some(next)) = (dead.outcome, killed, next) {
                // Taken for dead while it stood still, and killed later: no death was waited for.
                times.extend(next.start.checked_sub(*killed).map(Duration::from_micros));
            }
        }
    }
    Spread::of(times)
}
