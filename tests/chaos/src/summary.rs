//! The verdict in words: what was done, what was measured, which rules were looked at and which are broken. Printed, and kept in the
//! directory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::Result;
use crate::check::{self, Findings, RULES};
use crate::evidence::{Evidence, FileFacts, look_at_file};
use crate::history::{Fact, Role, Signal};
use crate::site::Site;

/// Violations of one rule that are printed: the first tell most.
const SHOWN_MAX: usize = 12;

/// What a run has to have come to, beside having broken no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// There were faults of each kind, and each rule has looked at something: else nothing is proven.
    EachFault,
    /// Dead workers were rescued in time.
    Rescues { within: Duration },
    /// It was too short for more.
    Nothing,
}

impl Demand {
    /// What is missing, in words.
    fn missing(self, evidence: &Evidence, findings: &Findings) -> Vec<String> {
        match self {
            Demand::Nothing => Vec::new(),
            Demand::Rescues { within } => {
                let rescues = rescues(evidence, true);
                let late = rescues.worst() >= within || rescues.0.is_empty();
                late.then(|| format!("a dead worker's jobs must be free within {within:?}"))
                    .into_iter()
                    .collect()
            }
            Demand::EachFault => {
                let idle = RULES.iter().filter(|rule| rule.is_looked_at() && findings.looked(rule) == 0);
                let idle = idle.map(|rule| format!("{} has looked at nothing", rule.name));
                let sent = |wanted: Signal| {
                    evidence
                        .lines
                        .iter()
                        .any(|line| matches!(line.fact, Fact::Signalled { signal, .. } if signal == wanted))
                };
                let faults = [Signal::Kill, Signal::Stop, Signal::Term].into_iter();
                let spared = faults.filter(|signal| !sent(*signal)).map(|it| format!("nobody met {it:?}"));
                let unknown =
                    evidence.file.fresh.is_none().then(|| "nobody knows what a fresh worker holds".into());
                idle.chain(spared).chain(unknown).collect()
            }
        }
    }
}

/// Checks what is at the site, prints and keeps the summary; whether every promise was kept and the run came to what was demanded.
pub(crate) fn prove(site: &Site, file: FileFacts, demand: Demand) -> Result<bool> {
    let evidence = Evidence::read(site, file)?;
    let findings = check::check(&evidence);
    let text = summary(&evidence, &findings);
    println!("{text}");
    std::fs::write(site.dir().join("summary.txt"), &text)?;
    let missing = demand.missing(&evidence, &findings);
    if !missing.is_empty() {
        println!("not enough: {}", missing.join(", "));
    }
    Ok(findings.violations.is_empty() && missing.is_empty())
}

/// Checks once more what an earlier run left.
pub(crate) fn look_again(site: &Site) -> Result<bool> {
    prove(site, look_at_file(site)?, Demand::Nothing)
}

/// Whole minutes and seconds.
pub(crate) fn duration(time: Duration) -> String {
    format!("{}:{:02} min", time.as_secs() / 60, time.as_secs() % 60)
}

fn summary(evidence: &Evidence, findings: &Findings) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_deeds(&mut text, evidence);
    let _ = write_measures(&mut text, evidence);
    let _ = write_rules(&mut text, findings);
    text
}

fn write_deeds(text: &mut String, evidence: &Evidence) -> std::fmt::Result {
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
    let chaos = evidence.lines.iter().filter_map(|line| match line.fact {
        Fact::Pulse { chaos_ms } => Some(chaos_ms),
        _ => None,
    });
    let chaos = Duration::from_millis(chaos.max().unwrap_or(0));
    let seeds: Vec<String> = evidence
        .lines
        .iter()
        .filter_map(|line| match line.fact {
            Fact::Session { seed, .. } => Some(seed.to_string()),
            _ => None,
        })
        .collect();
    writeln!(text, "{} of faults, seeds {}", duration(chaos), seeds.join(", "))?;
    writeln!(
        text,
        "processes   {} workers, {} enqueuers",
        processes.values().filter(|it| worker(it.role)).count(),
        processes.values().filter(|it| other(it.role)).count()
    )?;
    for (name, of) in [("workers", &worker as &dyn Fn(Role) -> bool), ("enqueuers", &other)] {
        writeln!(
            text,
            "{name:<11} {} killed, {} stopped, {} told to end",
            signals(Signal::Kill, of),
            signals(Signal::Stop, of),
            signals(Signal::Term, of)
        )?;
    }
    writeln!(
        text,
        "workers     {} aborted by a task, {} taken for dead and came back, {} rescued others, {} stopped well",
        count(&|fact| matches!(fact, Fact::Abort { .. })),
        count(&|fact| matches!(fact, Fact::LeaseLost { .. })),
        count(&|fact| matches!(fact, Fact::Rescued { .. })),
        count(&|fact| matches!(fact, Fact::Stopped { .. })),
    )?;
    writeln!(
        text,
        "enqueues    {} called, {} acknowledged, {} refused as not stored, {} may be stored",
        count(&|fact| matches!(fact, Fact::Called { .. })),
        count(&|fact| matches!(fact, Fact::Acked { .. })),
        count(&|fact| matches!(fact, Fact::Denied { may_be_stored: false, .. })),
        count(&|fact| matches!(fact, Fact::Denied { may_be_stored: true, .. })),
    )?;
    writeln!(
        text,
        "by hand     {} asked, {} done, {} refused",
        count(&|fact| matches!(fact, Fact::Asked { .. })),
        count(&|fact| matches!(fact, Fact::Done { .. })),
        count(&|fact| matches!(fact, Fact::Declined { .. })),
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
        "attempts    {} begun; on record {}",
        count(&|fact| matches!(fact, Fact::Start { .. })),
        outcomes.join(", ")
    )?;
    writeln!(
        text,
        "results     {} accepted, {} refused as too late",
        count(&|fact| matches!(
            fact,
            Fact::Completed { .. } | Fact::Failed { .. } | Fact::Retrying { .. } | Fact::Cancelled { .. }
        )),
        count(&|fact| matches!(fact, Fact::Refused { .. })),
    )?;
    let mut troubles: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &evidence.lines {
        match &line.fact {
            Fact::Trouble { kind } | Fact::Bye { trouble: Some(kind) } => {
                *troubles.entry(kind).or_default() += 1
            }
            _ => {}
        }
    }
    writeln!(text, "troubles    {troubles:?}")
}

fn write_measures(text: &mut String, evidence: &Evidence) -> std::fmt::Result {
    writeln!(text, "\nrescue      from the end of a killed process to its rows being free")?;
    writeln!(text, "            others at work all the time: {}", rescues(evidence, true))?;
    writeln!(text, "            nobody else, or somebody stood still: {}", rescues(evidence, false))?;
    writeln!(
        text,
        "restart     from the kill to the next attempt's first line: {}",
        check::restarts(evidence)
    )?;
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
        let looked = findings.looked(rule);
        let broken: Vec<_> = findings.violations.iter().filter(|it| it.rule == rule.name).collect();
        let verdict = match (rule.is_looked_at(), broken.len()) {
            (false, _) => "not there  ".to_owned(),
            (true, 0) => format!("ok {looked:>8}"),
            (true, broken) => format!("BROKEN {broken:>4}"),
        };
        writeln!(text, "{:<4} {verdict}  {}", rule.name, rule.says)?;
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
