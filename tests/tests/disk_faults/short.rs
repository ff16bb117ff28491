//! Every operation of a store, with its first, second, third, … read giving half of what was asked.
//!
//! Leans on `cases` and `nth`. To SQLite the other half of a page is zeros, which is damage and not an error. Whatever comes of it:
//! nothing panics, nothing hangs, no answer is false, no file goes, and what was told is in a file that is sound. One read at a time:
//! if each gave half, there would be nothing to read at all.
//!
//! The store that writes has its pages in memory here, as one at work has. One that misreads a page in silence and then changes it
//! writes it back; SQLite has no checksum that would tell.

use qdjobs_sim_disk::{Fault, FaultDuration};

use crate::cases::{End, freeing, inserting, opening, turning};
use crate::nth::{Runs, Trouble, trouble_each};
use crate::room::assert_no_thread_panicked;

#[test]
#[expect(clippy::print_stdout, reason = "the figures")]
fn a_read_that_gives_half_ends_in_a_clear_error_or_works_and_harms_nothing() {
    let mut all = Runs::default();
    for case in [opening(), inserting(), turning(), freeing()].iter().flatten() {
        for end in [End::Close, End::Kill] {
            let runs = trouble_each(case, Trouble::Fault(Fault::ShortRead, FaultDuration::Once, end));
            all.struck += runs.struck;
            all.refused += runs.refused;
        }
    }
    let Runs { struck, refused } = all;
    println!("short reads: {struck}, of which {refused} were told");
    assert!(refused * 10 > struck, "the fault reaches nothing: {refused} of {struck}");
    assert_no_thread_panicked();
}
