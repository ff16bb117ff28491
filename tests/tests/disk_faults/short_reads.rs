//! Every operation of a store, with its first, second, third, … read returning half of what was asked.
//!
//! Depends on `cases` and `each_operation`. SQLite takes the other half of a page as zeros, which is
//! corruption and not an error. Whatever follows: nothing panics, nothing hangs, no answer is false, no file
//! disappears, and a confirmed write is in a sound file. One read at a time: if each were short, nothing
//! could be read at all.
//!
//! The writing store has its pages in memory here, as one at work does. One that silently misreads a page and
//! then changes it writes it back; SQLite has no checksum that would detect it.

use qdjobs_sim_disk::{Fault, FaultDuration};

use crate::cases::{End, claiming, freeing, inserting, opening};
use crate::each_operation::{DiskEvent, Runs, run_each};
use crate::workspace::assert_no_thread_panicked;

#[test]
#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn a_short_read_works_or_ends_in_a_clear_error_and_harms_nothing() {
    let mut all = Runs::default();
    for case in [opening(), inserting(), claiming(), freeing()].iter().flatten() {
        for end in [End::Close, End::Kill] {
            let runs = run_each(case, DiskEvent::Fault(Fault::ShortRead, FaultDuration::Once, end));
            all.happened += runs.happened;
            all.refused += runs.refused;
        }
    }
    let Runs { happened, refused } = all;
    println!("short reads: {happened}, of which {refused} were reported");
    assert!(refused * 10 > happened, "the fault has no effect: {refused} of {happened}");
    assert_no_thread_panicked();
}
