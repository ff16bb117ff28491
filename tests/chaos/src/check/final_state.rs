//! Rules about the end of a run: processes, the file, and what remains when the faults are over.

use std::collections::BTreeMap;

use super::{Case, Findings};
use crate::history::{Fact, Role, Signal};

/// How long everything may take once the faults are over.
pub(crate) const DRAIN_MAX: std::time::Duration = std::time::Duration::from_secs(120);

/// The largest write-ahead log while all processes are idle: from 64 MiB on the product waits for readers,
/// and one transaction may be added to that.
const WAL_BYTES_MAX: u64 = 80 << 20;

/// By how much a worker that has survived may hold more than a fresh one.
const MORE_FILES_MAX: u64 = 8;
const MORE_THREADS_MAX: u64 = 4;

/// I10
pub(super) fn everything_drains(case: &Case<'_>, findings: &mut Findings) {
    let when = |wanted: &Fact| {
        case.evidence.lines.iter().rev().find(|line| line.fact == *wanted).map(|line| line.at)
    };
    let (faults_over, drained) = (when(&Fact::FaultsOver), when(&Fact::Drained));
    findings.expect(
        drained.zip(faults_over).is_some_and(|(drained, faults_over)| drained >= faults_over),
        || format!("after the last fault (at {faults_over:?}) the jobs never ended"),
    );
    if let Some(took) =
        drained.zip(faults_over).and_then(|(drained, faults_over)| drained.checked_sub(faults_over))
    {
        findings.expect(u128::from(took) <= DRAIN_MAX.as_micros(), || {
            format!("after the last fault it took {} s until everything was done", took / 1_000_000)
        });
    }
    for (job, row) in &case.evidence.jobs {
        findings.expect(row.state.status.is_ended(), || {
            format!("job {job} of `{}` is {}", row.task, row.state.status)
        });
    }
}

/// I11
pub(super) fn the_file_is_sound(case: &Case<'_>, findings: &mut Findings) {
    let file = &case.evidence.file;
    findings.expect(file.integrity == "ok", || format!("integrity_check reports {}", file.integrity));
    findings.expect(file.foreign_key_errors == 0, || {
        format!("{} foreign keys without a target", file.foreign_key_errors)
    });
    let mut recount: BTreeMap<&str, i64> = file.counts.keys().map(|status| (status.as_str(), 0)).collect();
    for row in case.evidence.jobs.values() {
        *recount.entry(row.state.status.as_str()).or_default() += 1;
    }
    let shown: BTreeMap<&str, i64> =
        file.counts.iter().map(|(status, count)| (status.as_str(), *count)).collect();
    findings.expect(shown == recount, || format!("the queue counts {shown:?}, a recount gives {recount:?}"));
}

/// I14
pub(super) fn a_clean_stop_leaves_nothing(case: &Case<'_>, findings: &mut Findings) {
    for line in &case.evidence.lines {
        if let Fact::Reaped { process, code: Some(0), running, listed, .. } = line.fact {
            findings.expect(running == 0 && listed == 0, || {
                format!("process {process} stopped in good order, with {running} jobs still running and {listed} workers listed")
            });
        }
    }
    let left = &case.evidence.file.left_over;
    findings
        .expect(left.is_empty(), || format!("left beside the file after all processes stopped: {left:?}"));
}

/// I15
pub(super) fn nothing_grows(case: &Case<'_>, findings: &mut Findings) {
    let file = &case.evidence.file;
    findings.expect(file.wal_bytes <= WAL_BYTES_MAX, || {
        format!("{} bytes in the log of idle processes", file.wal_bytes)
    });
    // `check` on an earlier run does not know it.
    let Some((fresh_fds, fresh_threads)) = file.fresh else { return };
    // The last samples: taken while all processes are idle.
    let mut last: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    let faults_over = case.evidence.lines.iter().rposition(|line| line.fact == Fact::FaultsOver).unwrap_or(0);
    for line in &case.evidence.lines[faults_over..] {
        if let Fact::Sample { process, fds, threads } = line.fact {
            last.insert(process, (fds, threads));
        }
    }
    for (process, (fds, threads)) in last {
        findings.expect(fds <= fresh_fds + MORE_FILES_MAX, || {
            format!("process {process} has {fds} open files, a fresh one {fresh_fds}")
        });
        findings.expect(threads <= fresh_threads + MORE_THREADS_MAX, || {
            format!("process {process} has {threads} threads, a fresh one {fresh_threads}")
        });
    }
}

/// E1
pub(super) fn no_process_ends_unasked(case: &Case<'_>, findings: &mut Findings) {
    #[derive(Default)]
    struct ProcessRecord {
        killed: bool,
        stops_requested: u32,
        aborted: bool,
        error: Option<String>,
    }
    let mut records: BTreeMap<u32, ProcessRecord> = BTreeMap::new();
    for line in &case.evidence.lines {
        match &line.fact {
            Fact::Signalled { process, signal: Signal::Kill } => {
                records.entry(*process).or_default().killed = true
            }
            Fact::Signalled { process, signal: Signal::Term } => {
                records.entry(*process).or_default().stops_requested += 1
            }
            Fact::Abort { .. } => records.entry(line.by).or_default().aborted = true,
            Fact::Exit { error } => records.entry(line.by).or_default().error = error.clone(),
            _ => {}
        }
    }
    let mut faults_over = false;
    for line in &case.evidence.lines {
        faults_over =
            (faults_over || line.fact == Fact::FaultsOver) && !matches!(line.fact, Fact::Session { .. });
        let Fact::Reaped { process, code, signal, .. } = line.fact else { continue };
        let nothing = ProcessRecord::default();
        let records = records.get(&process).unwrap_or(&nothing);
        let enqueues = case.processes.get(&process).is_some_and(|it| it.role != Role::Worker);
        let explained = match (code, signal) {
            // Processes that enqueue are asked by a byte when the faults are over.
            (Some(0), _) => records.stops_requested > 0 || (enqueues && faults_over),
            // Another process was stopped while it held the write lock.
            (Some(1), _) => records.error.as_deref() == Some("Busy"),
            // 128 and the signal: the second SIGTERM.
            (Some(143), _) => records.stops_requested > 1,
            (_, Some(9)) => records.killed,
            (_, Some(6)) => records.aborted,
            // Before it handles signals.
            (_, Some(15)) => records.stops_requested > 0,
            _ => false,
        };
        findings.expect(explained, || {
            format!("process {process} ended with {code:?}, signal {signal:?}, error {:?}", records.error)
        });
    }
}
