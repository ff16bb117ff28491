//! The end of everything: processes, the file, what is left when the faults are over.

use std::collections::BTreeMap;

use super::{Case, Findings};
use crate::history::{Fact, Role, Signal};

/// How long everything may take once the faults are over.
pub(crate) const DRAIN_MAX: std::time::Duration = std::time::Duration::from_secs(120);

/// What the write-ahead log may hold when everybody has been idle: 64 MiB is where the product waits for readers, and a single
/// transaction may come on top.
const WAL_BYTES_MAX: u64 = 80 << 20;

/// By how much a worker that has lived through it may hold more than a fresh one.
const MORE_FILES_MAX: u64 = 8;
const MORE_THREADS_MAX: u64 = 4;

/// I10
pub(super) fn everything_drains(case: &Case<'_>, findings: &mut Findings) {
    let when = |wanted: &Fact| {
        case.evidence.lines.iter().rev().find(|line| line.fact == *wanted).map(|line| line.at)
    };
    let (healed, drained) = (when(&Fact::Healed), when(&Fact::Drained));
    findings.must(drained.zip(healed).is_some_and(|(drained, healed)| drained >= healed), || {
        format!("after the last fault (at {healed:?}) the jobs never came to an end")
    });
    if let Some(took) = drained.zip(healed).and_then(|(drained, healed)| drained.checked_sub(healed)) {
        findings.must(u128::from(took) <= DRAIN_MAX.as_micros(), || {
            format!("after the last fault it took {} s until everything was done", took / 1_000_000)
        });
    }
    for (job, row) in &case.evidence.jobs {
        findings.must(row.state.status.is_ended(), || {
            format!("job {job} of `{}` is {}", row.task, row.state.status)
        });
    }
}

/// I11
pub(super) fn the_file_is_sound(case: &Case<'_>, findings: &mut Findings) {
    let file = &case.evidence.file;
    findings.must(file.integrity == "ok", || format!("integrity_check says {}", file.integrity));
    findings.must(file.foreign_key_errors == 0, || {
        format!("{} foreign keys lead nowhere", file.foreign_key_errors)
    });
    let mut recount: BTreeMap<&str, i64> = file.counts.keys().map(|status| (status.as_str(), 0)).collect();
    for row in case.evidence.jobs.values() {
        *recount.entry(row.state.status.as_str()).or_default() += 1;
    }
    let shown: BTreeMap<&str, i64> =
        file.counts.iter().map(|(status, count)| (status.as_str(), *count)).collect();
    findings.must(shown == recount, || format!("the queue counts {shown:?}, a recount gives {recount:?}"));
}

/// I14
pub(super) fn a_good_end_leaves_nothing(case: &Case<'_>, findings: &mut Findings) {
    for line in &case.evidence.lines {
        if let Fact::Reaped { process, code: Some(0), running, listed, .. } = line.fact {
            findings.must(running == 0 && listed == 0, || {
                format!("process {process} ended well, with {running} jobs still running and {listed} workers listed")
            });
        }
    }
    let left = &case.evidence.file.left_over;
    findings.must(left.is_empty(), || format!("left beside the file when all had gone: {left:?}"));
}

/// I15
pub(super) fn nothing_grows(case: &Case<'_>, findings: &mut Findings) {
    let file = &case.evidence.file;
    findings.must(file.wal_bytes <= WAL_BYTES_MAX, || {
        format!("{} bytes in the log of idle processes", file.wal_bytes)
    });
    // Of an earlier run that is only looked at once more nobody knows it.
    let Some((fresh_fds, fresh_threads)) = file.fresh else { return };
    // The last samples: taken when everybody is idle.
    let mut last: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    let healed = case.evidence.lines.iter().rposition(|line| line.fact == Fact::Healed).unwrap_or(0);
    for line in &case.evidence.lines[healed..] {
        if let Fact::Sample { process, fds, threads } = line.fact {
            last.insert(process, (fds, threads));
        }
    }
    for (process, (fds, threads)) in last {
        findings.must(fds <= fresh_fds + MORE_FILES_MAX, || {
            format!("process {process} has {fds} open files, a fresh one {fresh_fds}")
        });
        findings.must(threads <= fresh_threads + MORE_THREADS_MAX, || {
            format!("process {process} has {threads} threads, a fresh one {fresh_threads}")
        });
    }
}

/// E1
pub(super) fn nobody_ends_unasked(case: &Case<'_>, findings: &mut Findings) {
    #[derive(Default)]
    struct Said {
        killed: bool,
        asked: u32,
        aborts: bool,
        trouble: Option<String>,
    }
    let mut said: BTreeMap<u32, Said> = BTreeMap::new();
    for line in &case.evidence.lines {
        match &line.fact {
            Fact::Signalled { process, signal: Signal::Kill } => {
                said.entry(*process).or_default().killed = true
            }
            Fact::Signalled { process, signal: Signal::Term } => said.entry(*process).or_default().asked += 1,
            Fact::Abort { .. } => said.entry(line.by).or_default().aborts = true,
            Fact::Bye { trouble } => said.entry(line.by).or_default().trouble = trouble.clone(),
            _ => {}
        }
    }
    let mut healed = false;
    for line in &case.evidence.lines {
        healed = (healed || line.fact == Fact::Healed) && !matches!(line.fact, Fact::Session { .. });
        let Fact::Reaped { process, code, signal, .. } = line.fact else { continue };
        let nothing = Said::default();
        let said = said.get(&process).unwrap_or(&nothing);
        let enqueues = case.processes.get(&process).is_some_and(|it| it.role != Role::Worker);
        let explained = match (code, signal) {
            // Those who enqueue are asked by a byte when everything is over.
            (Some(0), _) => said.asked > 0 || (enqueues && healed),
            // Somebody else stood still, with the write lock in its hands.
            (Some(1), _) => said.trouble.as_deref() == Some("Busy"),
            // 128 and the signal: the second one.
            (Some(143), _) => said.asked > 1,
            (_, Some(9)) => said.killed,
            (_, Some(6)) => said.aborts,
            // Before it listens to signals.
            (_, Some(15)) => said.asked > 0,
            _ => false,
        };
        findings.must(explained, || {
            format!("process {process} ended with {code:?}, signal {signal:?}, saying {:?}", said.trouble)
        });
    }
}
