//! The checker: what the evidence must show, whatever was done to the processes.
//!
//! Depends on the evidence alone: it starts nothing and reads no clock and no file, so each rule is tested on
//! small hand-made histories, good and bad. One file for each group of rules; [`RULES`] is the list.

mod attempts;
mod claims;
mod final_state;
mod poison;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use crate::evidence::{Change, Evidence, Process, State};
use crate::history::{Fact, Signal, Verb};
use crate::summary::Spread;
use attempts::{Claim, Outcome};
pub(crate) use final_state::DRAIN_MAX;
use poison::Search;

/// A violation of a rule.
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

/// A rule: its name, its statement, and the function that checks it; `None` for what the product does not
/// have.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) statement: &'static str,
    check_fn: Option<fn(&Case<'_>, &mut Findings)>,
}

/// All rules, by the names that the report prints.
pub(crate) const RULES: &[Rule] = &[
    rule(
        "I1",
        "what was acknowledged is stored: jobs, results, commands",
        stored::nothing_acknowledged_is_lost,
    ),
    rule(
        "I2",
        "each job that is stored or runs was enqueued once, with these params",
        stored::there_are_no_phantoms,
    ),
    rule(
        "I3",
        "attempt numbers grow with each claim, and each attempt starts once",
        claims::attempts_grow_and_start_once,
    ),
    rule(
        "I4",
        "one worker at a time holds a job, and it runs once at a time unless its worker lost it",
        claims::leases_do_not_overlap,
    ),
    rule("I5", "a job that has ended changes only by a command", claims::ended_is_ended),
    rule(
        "I6",
        "an effect in the completing transaction is stored once if the job completed, otherwise never",
        attempts::effects_are_exactly_once,
    ),
    rule(
        "I7",
        "every start has one outcome, counts and limits agree, and the job ends as its task does",
        attempts::starts_are_accounted_for,
    ),
    rule("I8", "no job starts before its scheduled time", claims::nothing_starts_early),
    Rule {
        name: "I9",
        statement: "one job for each tick of a schedule: there are no schedules yet",
        check_fn: None,
    },
    rule(
        "I10",
        "once the faults are over, everything is done by the deadline",
        final_state::everything_drains,
    ),
    rule("I11", "the file is sound, and counts equal a recount", final_state::the_file_is_sound),
    Rule {
        name: "I12",
        statement: "jobs of one serial key one after the other: there are no serial keys yet",
        check_fn: None,
    },
    rule(
        "I13",
        "each idempotency key has one job, and every enqueue with the key returns it",
        stored::one_job_for_each_idempotency_key,
    ),
    rule(
        "I14",
        "a process that stops in good order leaves no job running",
        final_state::a_clean_stop_leaves_nothing,
    ),
    rule(
        "I15",
        "the idle log is bounded; open files and threads of surviving processes do not grow",
        final_state::nothing_grows,
    ),
    rule(
        "I16",
        "an unconfirmed job is stored or not, and stays so; a job reported as not stored is not",
        stored::unconfirmed_is_resolved_once,
    ),
    rule(
        "S1",
        "a death counts a crash for each job of the worker; suspected jobs are held in groups that are halved; what a poison job explains no longer counts",
        poison::only_poison_jobs_fail_by_crashes,
    ),
    rule("E1", "a process ends only on request", final_state::no_process_ends_unasked),
];

const fn rule(name: &'static str, statement: &'static str, check_fn: fn(&Case<'_>, &mut Findings)) -> Rule {
    Rule { name, statement, check_fn: Some(check_fn) }
}

impl Rule {
    /// Whether the product has the feature that the rule is about.
    pub(crate) fn is_implemented(&self) -> bool {
        self.check_fn.is_some()
    }
}

/// Violations, and how much was checked: a rule that checked nothing has proven nothing.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    rule: &'static str,
    pub(crate) violations: Vec<Violation>,
    /// For each rule, the number of comparisons.
    pub(crate) checked: BTreeMap<&'static str, u64>,
}

impl Findings {
    /// How many comparisons a rule has made.
    pub(crate) fn checked(&self, rule: &Rule) -> u64 {
        self.checked.get(rule.name).copied().unwrap_or(0)
    }

    /// One comparison, which must hold.
    fn expect(&mut self, holds: bool, text: impl FnOnce() -> String) {
        *self.checked.entry(self.rule).or_default() += 1;
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
    /// Each job's transitions, from the log.
    timelines: BTreeMap<i64, Timeline>,
    /// Attempts, as the tasks recorded them.
    runs: BTreeMap<(i64, u32), Vec<Run>>,
    /// Enqueue calls, by mark.
    calls: HashMap<u64, EnqueueCall>,
    /// Commands that were sent.
    asked: HashSet<(Verb, i64)>,
    /// When a process was first killed, or began to abort.
    fatal: HashMap<u32, u64>,
    /// The search for poison jobs, from the log.
    search: Search,
}

/// The transitions of a job, from the log.
#[derive(Debug, Default)]
struct Timeline {
    mark: Option<u64>,
    claims: Vec<Claim>,
    /// Changes by command: from which state to which.
    by_command: Vec<(State, Option<State>)>,
    /// The last state in the log; `None` once deleted.
    last: Option<State>,
    /// Whether it has ever completed.
    completed: bool,
    /// Transitions that no verb of the queue makes.
    invalid: Vec<String>,
    /// Retries and crashes since a command last reset them.
    retries: i64,
    crashes: i64,
}

/// One run of a task, as it recorded itself.
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
struct EnqueueCall {
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
            timelines: BTreeMap::new(),
            runs: BTreeMap::new(),
            calls: HashMap::new(),
            asked: HashSet::new(),
            fatal: HashMap::new(),
            search: Search::through(&evidence.log),
        };
        for step in &evidence.log {
            match step.change {
                Change::Insert { job, mark, new } => {
                    case.timelines.insert(job, Timeline { mark, last: Some(new), ..Timeline::default() });
                }
                Change::Update { job, old, new } if case.search.explained.contains(&step.seq) => {
                    case.timelines.entry(job).or_default().explain(step.seq, old, new);
                }
                Change::Update { job, old, new } => {
                    case.timelines.entry(job).or_default().advance(step.seq, step.wall, old, Some(new));
                }
                Change::Delete { job, old } => {
                    case.timelines.entry(job).or_default().advance(step.seq, step.wall, old, None);
                }
                Change::RegisterWorker { .. } | Change::Forget { .. } => {}
            }
        }
        for line in &evidence.lines {
            match &line.fact {
                Fact::EnqueueCalled { mark, task, hash, delay_ms } => {
                    // A transaction that is tried again enqueues its follow-up again.
                    let called =
                        EnqueueCall { at: line.at, task: task.clone(), hash: *hash, delay_ms: *delay_ms };
                    case.calls.entry(*mark).or_insert(called);
                }
                Fact::TaskStarted { job, attempt, task, mark, hash, wall, scheduled_at } => {
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
                Fact::TaskEnded { job, attempt, .. } => {
                    let runs = case.runs.get_mut(&(*job, *attempt)).into_iter().flatten();
                    runs.filter(|run| run.process == line.by).for_each(|run| run.end = Some(line.at));
                }
                Fact::CommandCalled { verb, job } => {
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

    /// When the run was certainly over; `None` if that is not known.
    fn over(&self, run: &Run) -> Option<u64> {
        let gone = || {
            let fatal = self.fatal.get(&run.process).copied();
            fatal.or_else(|| self.processes.get(&run.process).and_then(|process| process.gone))
        };
        run.end.or_else(gone)
    }
}

/// Checks every rule.
pub(crate) fn check(evidence: &Evidence) -> Findings {
    let case = Case::new(evidence);
    let mut findings = Findings::default();
    for rule in RULES {
        if let Some(check_fn) = rule.check_fn {
            findings.rule = rule.name;
            check_fn(&case, &mut findings);
        }
    }
    findings
}

/// From the kill of a worker, or its abort, to the first record of the next attempt of each job that it held.
pub(crate) fn restarts(evidence: &Evidence) -> Spread {
    let case = Case::new(evidence);
    let mut times = Vec::new();
    for (job, timeline) in &case.timelines {
        for pair in timeline.claims.windows(2) {
            let [dead, next] = pair else { continue };
            let killed = case.owners.get(&dead.worker).and_then(|process| case.fatal.get(process));
            let next = u32::try_from(next.attempt).ok().and_then(|attempt| case.runs.get(&(*job, attempt)));
            let next = next.and_then(|runs| runs.first());
            if let (Outcome::Crashed { .. }, Some(killed), Some(next)) = (dead.outcome, killed, next) {
                // Its lease had expired while it was stopped, and it was killed later: this
                // is no rescue after a death.
                times.extend(next.start.checked_sub(*killed).map(Duration::from_micros));
            }
        }
    }
    Spread::of(times)
}
