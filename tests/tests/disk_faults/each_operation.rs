//! Every operation of a store, with its first, second, third, … call to the disk failing, until none is left
//! to fail; and with the power cut at its first, second, third, … change of the disk.
//!
//! Depends on `cases`. Whatever fails: nothing panics, nothing hangs, an answer is the one of a sound disk or
//! a refusal that agrees with the file, and the store continues when the disk does.

use qdjobs::store::{NewJob, Store};
use qdjobs::{Error, ErrorKind};
use qdjobs_sim_disk::{Disk, Fault, FaultDuration, Op};

use crate::cases::{Case, End, Reported, claiming, freeing, inserting, opening, stored_state};
use crate::workspace::{EXTERNAL as PROBE, answer, assert_no_thread_panicked};

/// What happens to the disk during an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DiskEvent {
    /// A call fails, and afterwards the process ends in some way.
    Fault(Fault, FaultDuration, End),
    /// The power is cut at a change. This seed decides which unsynced changes before it are lost.
    Cut(u64),
}

/// The runs of one case.
#[derive(Default)]
pub(crate) struct Runs {
    /// Runs in which the event happened.
    pub(crate) happened: u64,
    /// Of those, the runs in which it was reported.
    pub(crate) refused: u64,
}

impl DiskEvent {
    fn begin(self, nth: u64, disk: &Disk) {
        match self {
            DiskEvent::Fault(fault, lasts, _) => disk.fail(nth, fault, lasts),
            DiskEvent::Cut(_) => disk.cut_power_at(nth),
        }
    }

    fn has_happened(self, disk: &Disk) -> bool {
        match self {
            DiskEvent::Fault(..) => disk.failures() > 0,
            DiskEvent::Cut(_) => disk.is_off(),
        }
    }

    fn seed(self) -> u64 {
        if let DiskEvent::Cut(seed) = self { seed } else { 7 }
    }

    /// Whether only a newly opened store makes the calls that it concerns. Not for a short read: a page that
    /// was silently misread and then changed is written back, which nothing can detect without checksums.
    fn needs_cold(self) -> bool {
        matches!(self, DiskEvent::Fault(Fault::Io(Op::Read), ..))
    }

    fn end(self) -> End {
        if let DiskEvent::Fault(_, _, end) = self { end } else { End::PowerCut }
    }

    /// Whether it may be reported as this kind.
    fn may_report(self, kind: ErrorKind) -> bool {
        use ErrorKind::{Corrupt, Indeterminate, Storage, StorageFull, StoreHalted};
        match self {
            DiskEvent::Fault(Fault::Full, ..) => kind == StorageFull,
            DiskEvent::Fault(Fault::ShortRead, ..) => {
                matches!(kind, Corrupt | Indeterminate | StoreHalted | Storage)
            }
            _ => matches!(kind, Indeterminate | StoreHalted | Storage),
        }
    }

    /// Whether a store may refuse a write after the fault, given the first answer and the failed call.
    fn excuses(self, refused: &Error, reported: &Reported, op: Option<Op>) -> bool {
        let reported = reported.as_ref().err().map(|unconfirm| unconfirm.kind);
        let stopped = refused.kind() == ErrorKind::StoreHalted && !refused.may_be_stored();
        match self {
            // Reported corruption has halted it; corruption not met yet may be met now.
            DiskEvent::Fault(Fault::ShortRead, ..) => match refused.kind() {
                ErrorKind::Corrupt => reported.is_none_or(|reported| reported != ErrorKind::Corrupt),
                _ => stopped && matches!(reported, Some(ErrorKind::Corrupt | ErrorKind::Indeterminate)),
            },
            // From one fault only a store does not recover: a failed sync.
            DiskEvent::Fault(fault, lasts, _) => {
                stopped
                    && (op == Some(Op::Sync) || (fault == Fault::Any && lasts == FaultDuration::UntilCleared))
            }
            DiskEvent::Cut(_) => false,
        }
    }
}

/// Runs a case with the event at each of its moments in turn.
pub(crate) fn run_each(case: &Case, disk_event: DiskEvent) -> Runs {
    let expected = case.expected();
    let mut runs = Runs::default();
    for nth in 1.. {
        let mut fixture = case.fixture(disk_event.seed(), disk_event.needs_cold());
        let disk = fixture.workspace.disk.clone();
        disk_event.begin(nth, &disk);
        let mut reported = (case.act)(&mut fixture);
        let (happened, op) = (disk_event.has_happened(&disk), disk.last_failed());
        let what = format!("{}, at {nth} ({op:?}), {disk_event:?}: {reported:?}", case.name);
        if let Err(unconfirm) = &reported {
            assert!(happened && disk_event.may_report(unconfirm.kind), "{what}");
            runs.refused += 1;
        }
        // The rest needs a working disk.
        let mut probed = false;
        if let DiskEvent::Fault(..) = disk_event {
            disk.clear_faults();
            if fixture.store.is_some() && case.stays_open {
                let first = reported;
                reported = (case.then)(&mut fixture, first);
                let store = fixture.store.as_ref().unwrap();
                let probe = answer(store.insert(vec![NewJob::new(PROBE, "{}")]));
                probed = probe.is_ok();
                if let Err(error) = &probe {
                    assert!(
                        disk_event.excuses(error, &reported, op),
                        "{what}; afterwards {reported:?} and {probe:?}"
                    );
                }
            }
        }
        fixture.end(disk_event.end());

        let (found, probe) = stored_state(&fixture.workspace);
        let (before, after) = (&expected.before, &expected.after);
        let (maybe_before, maybe_after) = match &reported {
            _ if !case.answers && happened => (true, true),
            Ok(answer) => {
                assert_eq!(*answer, expected.answer, "{what}");
                (false, true)
            }
            Err(unconfirm) => (true, unconfirm.may_be_stored),
        };
        let as_reported = (maybe_before && found == *before) || (maybe_after && found == *after);
        assert!(
            as_reported,
            "{what}\nmissing: {:#?}\nbeside: {:#?}",
            after.beyond(&found),
            found.beyond(after)
        );
        assert_eq!(probe, probed, "{what}; then one more was confirmed: {probed}");
        if maybe_before && maybe_after {
            assert_eq!(stored_state(&fixture.workspace).0, found, "{what}: the stored state does not change");
        }
        if !happened {
            return runs;
        }
        runs.happened += 1;
    }
    unreachable!("an operation has a last call")
}

#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn fail_all(cases: &[Case]) {
    for case in cases {
        let each = |fault, lasts, end| run_each(case, DiskEvent::Fault(fault, lasts, end)).happened;
        let any = each(Fault::Any, FaultDuration::Once, End::Close);
        assert!(any > 0, "{}: nothing could fail", case.name);
        let failed = any
            + each(Fault::Any, FaultDuration::Once, End::PowerCut)
            + each(Fault::Any, FaultDuration::UntilCleared, End::Kill)
            + each(Fault::Io(Op::Read), FaultDuration::Once, End::Close)
            + each(Fault::Full, FaultDuration::Once, End::PowerCut)
            + each(Fault::Full, FaultDuration::UntilCleared, End::Close);
        println!("{}: {failed} failures", case.name);
    }
    assert_no_thread_panicked();
}

#[test]
fn opening_and_closing_survive_each_failing_operation() {
    fail_all(&opening());
}

#[test]
fn enqueues_survive_each_failing_operation() {
    fail_all(&inserting());
}

#[test]
fn claims_and_heartbeats_survive_each_failing_operation() {
    fail_all(&claiming());
}

#[test]
fn releases_commands_and_reads_survive_each_failing_operation() {
    fail_all(&freeing());
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn a_power_cut_at_any_change_of_an_operation_leaves_all_or_nothing_of_it_as_answered() {
    let mut cuts = 0;
    for case in [opening(), inserting(), claiming(), freeing()].iter().flatten() {
        cuts += (0..3).map(|seed| run_each(case, DiskEvent::Cut(seed)).happened).sum::<u64>();
    }
    println!("power cuts within operations: {cuts}");
    assert!(cuts > 500, "the power was cut at {cuts} changes");
    assert_no_thread_panicked();
}
