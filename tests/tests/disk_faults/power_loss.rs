//! Power cuts at random moments of random stories.
//!
//! Leans on `story`, which knows what has to be there afterwards.

use std::hash::{BuildHasher, RandomState};

use qdjobs::store::sqlite::Durability;

use crate::room::{Seed, assert_no_thread_panicked, number};
use crate::story::{Found, Story};

/// Stories in the short form; half with the same seeds each time, half with new ones.
const CUTS: u64 = 240;

/// The sum over many stories.
#[derive(Debug, Default)]
struct Figures {
    cuts: u64,
    /// Of them, how many came when a move was under way that then had no certain answer.
    doubtful: u64,
    confirmed: usize,
    lost: usize,
    /// Stories in which something confirmed was lost.
    losing: u64,
    present: usize,
    absent: usize,
}

impl Figures {
    fn add(&mut self, found: Found) {
        self.cuts += 1;
        self.doubtful += u64::from(found.present + found.absent > 0);
        self.confirmed += found.confirmed;
        self.lost += found.lost;
        self.losing += u64::from(found.lost > 0);
        self.present += found.present;
        self.absent += found.absent;
    }
}

/// One story with one power cut, or two, or three.
fn tell(seed: u64, durability: Durability) -> Found {
    let _seed = Seed(seed);
    let mut story = Story::new(seed, durability);
    // Some are cut while the file is made, most in the middle.
    let reach = if story.dice.once_in(8) { 30 } else { 500 };
    let nth = 1 + story.dice.below(reach);
    story.room.disk.cut_power_at(nth);
    story.play(60);
    if !story.room.disk.is_off() {
        story.room.disk.cut_power();
    }
    let found = story.recover();
    story.drain();
    found
}

fn tell_all(cuts: u64, durability: Durability) -> Figures {
    let mut figures = Figures::default();
    if let Some(seed) = number("QDJOBS_SEED") {
        figures.add(tell(seed, durability));
        return figures;
    }
    let fresh = RandomState::new().hash_one(0) >> 16;
    for seed in (0..cuts / 2).chain(fresh..fresh + cuts.div_ceil(2)) {
        figures.add(tell(seed, durability));
    }
    figures
}

#[expect(clippy::print_stdout, reason = "the figures of the long form")]
fn print(what: &str, figures: &Figures) {
    println!("power cuts, {what}: {figures:?}");
}

#[test]
fn a_power_cut_takes_nothing_that_was_confirmed_and_leaves_nothing_that_certainly_failed() {
    let cuts = number("QDJOBS_POWER_LOSSES").unwrap_or(CUTS);
    let figures = tell_all(cuts, Durability::Full);
    print("durability full", &figures);
    assert_eq!(figures.lost, 0);
    assert_no_thread_panicked();
    if figures.cuts >= CUTS {
        // The teeth: cuts that find a commit under way, and both ends of that.
        assert!(figures.doubtful * 20 > figures.cuts, "{figures:?}");
        assert!(figures.present > 0 && figures.absent > 0, "{figures:?}");
    }
}

#[test]
fn without_syncs_a_power_cut_takes_the_last_commits_and_never_harms_the_file() {
    let cuts = number("QDJOBS_POWER_LOSSES").unwrap_or(CUTS) / 4;
    let figures = tell_all(cuts, Durability::Relaxed);
    print("durability relaxed", &figures);
    assert_no_thread_panicked();
    if figures.cuts >= CUTS / 4 {
        assert!(figures.losing * 10 > figures.cuts, "the disk has no teeth: {figures:?}");
    }
}
