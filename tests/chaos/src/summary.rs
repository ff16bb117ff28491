//! The report in words: what was done, what was measured, which rules were checked and which are broken. It
//! is printed, and kept in the run directory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::Result;
use crate::check::{self, Findings, RULES};
use crate::evidence::{Evidence, FileFacts, file_facts};
use crate::history::{Fact, Role, Signal};
use crate::run_dir::RunDir;

/// How many violations of one rule are printed: the first are the most useful.
const SHOWN_MAX: usize = 12;

/// What a run has to include, besides breaking no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// Faults of each kind, and each rule checked at least once: otherwise nothing is proven.
    EachFault,
    /// Dead workers were rescued within this time.
    Rescues { within: Duration },
    /// Nothing: the run was too short.
    Nothing,
}

impl Requirement {
    /// What is missing, in words.
    fn missing(self, evidence: &Evidence, findings: &Findings) -> Vec<String> {
        match self {
            Requirement::Nothing => Vec::new(),
            Requirement::Rescues { within } => {
                let rescues = rescues(evidence, true);
                let late = rescues.worst() >= within || rescues.0.is_empty();
                late.then(|| format!("a dead worker's jobs must be free within {within:?}"))
                    .into_iter()
                    .collect()
            }
            Requirement::EachFault => {
                let idle = RULES.iter().filter(|rule| rule.is_implemented() && findings.checked(rule) == 0);
                let idle = idle.map(|rule| format!("{} has checked nothing", rule.name));
                let sent = |wanted: Signal| {
                    evidence
                        .lines
                        .iter()
                        .any(|line| matches!(line.fact, Fact::Signalled { signal, .. } if signal == wanted))
                };
                let faults = [Signal::Kill, Signal::Stop, Signal::Term].into_iter();
                let missing =
                    faults.filter(|signal| !sent(*signal)).map(|it| format!("no process got {it:?}"));
                let unknown =
                    evidence.file.fresh.is_none().then(|| "it is unknown what a fresh worker holds".into());
                idle.chain(missing).chain(unknown).collect()
            }
        }
    }
}

/// Checks the run directory, prints and keeps the report; returns whether every promise was kept and the
/// requirement was met.
pub(crate) fn check_and_report(run_dir: &RunDir, file: FileFacts, requirement: Requirement) -> Result<bool> {
    let evidence = Evidence::read(run_dir, file)?;
    let findings = check::check(&evidence);
    let text = summary(&evidence, &findings);
    println!("{text}");
    std::fs::write(run_dir.dir().join("summary.txt"), &text)?;
    let missing = requirement.missing(&evidence, &findings);
    if !missing.is_empty() {
        println!("not enough: {}", missing.join(", "));
    }
    Ok(findings.violations.is_empty() && missing.is_empty())
}

/// Checks once more what an earlier run left.
pub(crate) fn recheck(run_dir: &RunDir) -> Result<bool> {
    check_and_report(run_dir, file_facts(run_dir)?, Requirement::Nothing)
}

/// Whole minutes and seconds.
pub(crate) fn duration(time: Duration) -> String {
    format!("{}:{:02} min", time.as_secs() / 60, time.as_secs() % 60)
}

fn summary(evidence: &Evidence, findings: &Findings) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_counts(&mut text, evidence);
    let _ = write_measures(&mut text, evidence);
    let _ = write_rules(&mut text, findings);
    text
}

fn write_counts(text: &mut String, evidence: &Evidence) -> std::fmt::Result {
    let processes = evidence.processes();
    let count =
        |wanted: &dyn Fn(&Fact) -> bool| evidence.lines.iter().filter(|line| wanted(&line.fact)).count();
    let signals = |wanted: Signal, of: &dyn Fn(Role) -> bool| {
        count(&|fact| {
            matches!(fact, Fact::Signalled { process, signal } if *signal == wanted
                && processes.get(process).is_some_and(|it| of(it.role)))
        })
    };
    let worker = |role: Role| role == Role::Worker;
    let other = |role: Role| role != Role::Worker;
    let fault_time = evidence.lines.iter().filter_map(|line| match line.fact {
        Fact::FaultTime { fault_ms } => Some(fault_ms),
        _ => None,
    });
    let fault_time = Duration::from_millis(fault_time.max().unwrap_or(0));
    let seeds: Vec<String> = evidence
        .lines
        .iter()
        .filter_map(|line| match line.fact {
            Fact::Session { seed, .. } => Some(seed.to_string()),
            _ => None,
        })
        .collect();
    writeln!(text, "{} of faults, seeds {}", duration(fault_time), seeds.join(", "))?;
    writeln!(
        text,
        "processes   {} workers, {} enqueuers",
        processes.values().filter(|it| worker(it.role)).count(),
        processes.values().filter(|it| other(it.role)).count()
    )?;
    for (name, of) in [("workers", &worker as &dyn Fn(Role) -> bool), ("enqueuers", &other)] {
        writeln!(
            text,
            "{name:<11} {} killed, {} stopped, {} asked to stop",
            signals(Signal::Kill, of),
            signals(Signal::Stop, of),
            signals(Signal::Term, of)
        )?;
    }
    writeln!(
        text,
        "workers     {} aborted by a task, {} registered again after a lost lease, {} rescued others, {} stopped in order",
        count(&|fact| matches!(fact, Fact::Abort { .. })),
        count(&|fact| matches!(fact, Fact::LeaseLost { .. })),
        count(&|fact| matches!(fact, Fact::Rescued { .. })),
        count(&|fact| matches!(fact, Fact::WorkerStopped { .. })),
    )?;
    writeln!(
        text,
        "enqueues    {} called, {} acknowledged, {} refused as not stored, {} may be stored",
        count(&|fact| matches!(fact, Fact::EnqueueCalled { .. })),
        count(&|fact| matches!(fact, Fact::EnqueueAcked { .. })),
        count(&|fact| matches!(fact, Fact::EnqueueFailed { may_be_stored: false, .. })),
        count(&|fact| matches!(fact, Fact::EnqueueFailed { may_be_stored: true, .. })),
    )?;
    writeln!(
        text,
        "commands    {} sent, {} done, {} refused",
        count(&|fact| matches!(fact, Fact::CommandCalled { .. })),
        count(&|fact| matches!(fact, Fact::CommandDone { .. })),
        count(&|fact| matches!(fact, Fact::CommandRefused { .. })),
    )?;
    let mut statuses: BTreeMap<&str, usize> = BTreeMap::new();
    for row in evidence.jobs.values() {
        *statuses.entry(row.state.status.as_str()).or_default() += 1;
    }
    let statuses: Vec<String> = statuses.iter().map(|(status, jobs)| format!("{jobs} {status}")).collect();
    writeln!(text, "jobs        {}", statuses.join(", "))?;
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for row in evidence.attempts.values() {
        *outcomes.entry(&row.outcome).or_default() += 1;
    }
    let outcomes: Vec<String> =
        outcomes.iter().map(|(outcome, attempts)| format!("{attempts} {outcome}")).collect();
    writeln!(
        text,
        "attempts    {} begun; recorded {}",
        count(&|fact| matches!(fact, Fact::TaskStarted { .. })),
        outcomes.join(", ")
    )?;
    writeln!(
        text,
        "results     {} accepted, {} refused as too late",
        count(&|fact| matches!(
            fact,
            Fact::Completed { .. } | Fact::Failed { .. } | Fact::Retrying { .. } | Fact::Cancelled { .. }
        )),
        count(&|fact| matches!(fact, Fact::ResultDiscarded { .. })),
    )?;
    let mut errors: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &evidence.lines {
        match &line.fact {
            Fact::StoreError { kind } | Fact::Exit { error: Some(kind) } => {
                *errors.entry(kind).or_default() += 1
            }
            _ => {}
        }
    }
    writeln!(text, "errors      {errors:?}")
}

fn write_measures(text: &mut String, evidence: &Evidence) -> std::fmt::Result {
    writeln!(text, "\nrescue      from the end of a killed process to its rows being free")?;
    writeln!(text, "            other workers up all the time: {}", rescues(evidence, true))?;
    writeln!(text, "            no other worker, or a stopped process: {}", rescues(evidence, false))?;
    writeln!(text, "restart     from the kill to the next attempt's start: {}", check::restarts(evidence))?;
    let ends: Vec<u64> = evidence
        .lines
        .iter()
        .filter(|line| matches!(line.fact, Fact::Completed { .. }))
        .map(|line| line.at)
        .collect();
    if let (Some(first), Some(last)) = (ends.first(), ends.last()) {
        let seconds = (last - first) as f64 / 1e6;
        writeln!(text, "throughput  {:.0} completed jobs a second", ends.len() as f64 / seconds.max(1.0))?;
    }
    writeln!(
        text,
        "log         {} KiB when idle; a fresh worker has (files, threads) {:?}",
        evidence.file.wal_bytes >> 10,
        evidence.file.fresh
    )
}

fn write_rules(text: &mut String, findings: &Findings) -> std::fmt::Result {
    writeln!(text)?;
    for rule in RULES {
        let checked = findings.checked(rule);
        let broken: Vec<_> = findings.violations.iter().filter(|it| it.rule == rule.name).collect();
        let verdict = match (rule.is_implemented(), broken.len()) {
            (false, _) => "not there  ".to_owned(),
            (true, 0) => format!("ok {checked:>8}"),
            (true, broken) => format!("BROKEN {broken:>4}"),
        };
        writeln!(text, "{:<4} {verdict}  {}", rule.name, rule.statement)?;
        for violation in broken.iter().take(SHOWN_MAX) {
            writeln!(text, "        {}", violation.text)?;
        }
    }
    Ok(())
}

fn rescues(evidence: &Evidence, wanted: bool) -> Spread {
    Spread::of(evidence.lines.iter().filter_map(|line| match line.fact {
        Fact::Freed { micros, clean, .. } if clean == wanted => Some(Duration::from_micros(micros)),
        _ => None,
    }))
}

/// Median and worst, in words.
#[derive(Debug)]
pub(crate) struct Spread(Vec<Duration>);

impl Spread {
    pub(crate) fn of(times: impl IntoIterator<Item = Duration>) -> Spread {
        let mut times: Vec<Duration> = times.into_iter().collect();
        times.sort_unstable();
        Spread(times)
    }

    fn worst(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let at = |share: f64| self.0[((self.0.len() - 1) as f64 * share) as usize];
        let [median, p95, worst] = [0.5, 0.95, 1.0].map(at);
        write!(f, "median {median:.2?}, p95 {p95:.2?}, worst {worst:.2?} of {}", self.0.len())
    }
}
