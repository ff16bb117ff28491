//! Every operation of a store, with its first, second, third, … call to the disk failing, until none is left to fail; and with the
//! power going at its first, second, third, … change of the disk.
//!
//! Leans on `cases`. Whatever fails: nothing panics, nothing hangs, an answer is the one that a sound disk gives or a refusal that is
//! true of what is in the file, and the store goes on when the disk does.

use qdjobs::store::NewJob;
use qdjobs::store::Store;
use qdjobs::{Error, ErrorKind};
use qdjobs_sim_disk::{Disk, Fault, FaultDuration, Op};

use crate::cases::{Case, End, Told, books, freeing, inserting, opening, turning};
use crate::room::{BESIDE as PROBE, answer, assert_no_thread_panicked};

/// What befalls the disk while an operation is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// A call fails, and afterwards the process ends in some way.
    Fault(Fault, FaultDuration, End),
    /// The power goes at a change. What of the changes before it was not synced is lost or not by this luck.
    Cut(u64),
}

/// How the runs of one case went.
#[derive(Default)]
pub(crate) struct Runs {
    /// In which the trouble came.
    pub(crate) struck: u64,
    /// Of them, in which it was told.
    pub(crate) refused: u64,
}

impl Trouble {
    fn begin(self, nth: u64, disk: &Disk) {
        match self {
            Trouble::Fault(fault, lasts, _) => disk.fail(nth, fault, lasts),
            Trouble::Cut(_) => disk.cut_power_at(nth),
        }
    }

    fn has_struck(self, disk: &Disk) -> bool {
        match self {
            Trouble::Fault(..) => disk.failures() > 0,
            Trouble::Cut(_) => disk.is_off(),
        }
    }

    fn luck(self) -> u64 {
        if let Trouble::Cut(luck) = self { luck } else { 7 }
    }

    /// Whether what it is to strike is only there for a store that was just opened. Not where a read gives half in silence: a
    /// page that was misread so and is then changed is written back, which without checksums nobody can see.
    fn needs_cold(self) -> bool {
        matches!(self, Trouble::Fault(Fault::Io(Op::Read), ..))
    }

    fn end(self) -> End {
        if let Trouble::Fault(_, _, end) = self { end } else { End::PowerCut }
    }

    /// Whether it may be told as this.
    fn may_be_told_as(self, kind: ErrorKind) -> bool {
        use ErrorKind::{Corrupt, Indeterminate, Storage, StorageFull, StoreHalted};
        match self {
            Trouble::Fault(Fault::Full, ..) => kind == StorageFull,
            Trouble::Fault(Fault::ShortRead, ..) => {
                matches!(kind, Corrupt | Indeterminate | StoreHalted | Storage)
            }
            _ => matches!(kind, Indeterminate | StoreHalted | Storage),
        }
    }

    /// Whether a store may refuse a write when the disk is well again, after `told` and a call of this kind that failed.
    fn excuses(self, refused: &Error, told: &Told, op: Option<Op>) -> bool {
        let told = told.as_ref().err().map(|doubt| doubt.kind);
        let stopped = refused.kind() == ErrorKind::StoreHalted && !refused.may_be_stored();
        match self {
            // Damage that was told has stopped it; what has not met it yet may meet it now.
            Trouble::Fault(Fault::ShortRead, ..) => match refused.kind() {
                ErrorKind::Corrupt => told.is_none_or(|told| told != ErrorKind::Corrupt),
                _ => stopped && matches!(told, Some(ErrorKind::Corrupt | ErrorKind::Indeterminate)),
            },
            // Of one thing only a store does not recover: a sync that failed.
            Trouble::Fault(fault, lasts, _) => {
                stopped
                    && (op == Some(Op::Sync) || (fault == Fault::Any && lasts == FaultDuration::UntilCleared))
            }
            Trouble::Cut(_) => false,
        }
    }
}

/// Runs a case with the trouble at each of its moments in turn.
pub(crate) fn trouble_each(case: &Case, trouble: Trouble) -> Runs {
    let expected = case.expected();
    let mut runs = Runs::default();
    for nth in 1.. {
        let mut stage = case.stage(trouble.luck(), trouble.needs_cold());
        let disk = stage.room.disk.clone();
        trouble.begin(nth, &disk);
        let mut told = (case.act)(&mut stage);
        let (struck, op) = (trouble.has_struck(&disk), disk.last_failed());
        let what = format!("{}, moment {nth} ({op:?}), {trouble:?}: {told:?}", case.name);
        if let Err(doubt) = &told {
            assert!(struck && trouble.may_be_told_as(doubt.kind), "{what}");
            runs.refused += 1;
        }
        // The rest needs a disk.
        let mut probed = false;
        if let Trouble::Fault(..) = trouble {
            disk.clear_faults();
            if stage.store.is_some() && case.stays_open {
                let first = told;
                told = (case.then)(&mut stage, first);
                let store = stage.store.as_ref().unwrap();
                let probe = answer(store.insert(vec![NewJob::new(PROBE, "{}")]));
                probed = probe.is_ok();
                if let Err(error) = &probe {
                    assert!(
                        trouble.excuses(error, &told, op),
                        "{what}; and afterwards {told:?} and {probe:?}"
                    );
                }
            }
        }
        stage.end(trouble.end());

        let (found, probe) = books(&stage.room);
        let (before, after) = (&expected.before, &expected.after);
        let (maybe_before, maybe_after) = match &told {
            _ if !case.answers && struck => (true, true),
            Ok(answer) => {
                assert_eq!(*answer, expected.answer, "{what}");
                (false, true)
            }
            Err(doubt) => (true, doubt.may_be_stored),
        };
        let as_told = (maybe_before && found == *before) || (maybe_after && found == *after);
        assert!(as_told, "{what}\nmissing: {:#?}\nbeside: {:#?}", after.beyond(&found), found.beyond(after));
        assert_eq!(probe, probed, "{what}; then one more was stored and confirmed: {probed}");
        if maybe_before && maybe_after {
            assert_eq!(books(&stage.room).0, found, "{what}: what was found once stays");
        }
        if !struck {
            return runs;
        }
        runs.struck += 1;
    }
    unreachable!("an operation ends")
}

#[expect(clippy::print_stdout, reason = "the figures")]
fn fail_all(cases: &[Case]) {
    for case in cases {
        let each = |fault, lasts, end| trouble_each(case, Trouble::Fault(fault, lasts, end)).struck;
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
fn turns_and_beats_survive_each_failing_operation() {
    fail_all(&turning());
}

#[test]
fn rescues_and_changes_by_hand_and_reads_survive_each_failing_operation() {
    fail_all(&freeing());
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures")]
fn a_power_cut_at_any_change_of_an_operation_leaves_all_of_it_or_nothing_as_it_was_told() {
    let mut cuts = 0;
    for case in [opening(), inserting(), turning(), freeing()].iter().flatten() {
        cuts += (0..3).map(|luck| trouble_each(case, Trouble::Cut(luck)).struck).sum::<u64>();
    }
    println!("power cuts within operations: {cuts}");
    assert!(cuts > 500, "the power goes at {cuts} changes");
    assert_no_thread_panicked();
}
