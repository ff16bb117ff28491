//! Every operation of a store, with its first, second, third, … read giving half of what was asked.
//!
//! Leans on the cases of `nth`. To SQLite the other half of a page is zeros, which is damage and not an error. Whatever comes of
//! it: nothing panics, nothing hangs, no file goes, and what was told is in a file that is sound.

use qdjobs::ErrorKind;
use qdjobs_disk::{Fault, Lasts};

use crate::nth::{Case, End, books, freeing, inserting, opening, turning};
use crate::room::assert_no_thread_panicked;

/// How the runs of one case went.
#[derive(Default)]
struct Figures {
    runs: u64,
    refused: u64,
}

fn shorten_each(case: &Case, figures: &mut Figures) {
    let (before, after) = case.expected();
    for nth in 1.. {
        let mut stage = case.stage();
        stage.room.disk.fail(nth, Fault::ShortRead, Lasts::Once);
        let told = (case.act)(&mut stage);
        let struck = stage.room.disk.struck() > 0;
        stage.room.disk.heal();
        stage.end(End::Close);
        let what = format!("{}, read {nth}: {told:?}", case.name);

        if let Err(doubt) = &told {
            use ErrorKind::{Corrupt, Indeterminate, Stopped, Storage};
            let kinds = [Corrupt, Indeterminate, Stopped, Storage];
            assert!(struck && kinds.contains(&doubt.kind), "{what}");
            figures.refused += 1;
        }
        assert!(stage.room.disk.files().iter().any(|name| name == "jobs.db"), "{what}: nothing is deleted");
        let found = books(&stage.room).0;
        let (maybe_before, maybe_after) = match &told {
            _ if !case.answers && struck => (true, true),
            Ok(()) => (false, true),
            Err(doubt) => (true, doubt.may_be_stored),
        };
        let as_told = (maybe_before && found == before) || (maybe_after && found == after);
        assert!(as_told, "{what}\nmissing: {:#?}\nbeside: {:#?}", after.beyond(&found), found.beyond(&after));
        if !struck {
            return;
        }
        figures.runs += 1;
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures")]
fn a_read_that_gives_half_ends_in_a_clear_error_or_works_and_harms_nothing() {
    let mut figures = Figures::default();
    for case in [opening(), inserting(), turning(), freeing()].iter().flatten() {
        shorten_each(case, &mut figures);
    }
    let Figures { runs, refused } = figures;
    println!("short reads: {runs}, of which {refused} were told");
    assert!(refused * 10 > runs, "the fault reaches nothing: {refused} of {runs}");
    assert_no_thread_panicked();
}
