//! Who watches the heartbeats of others: mirrors `lease.rs` of the product, which `main.rs` compares it with.
//!
//! Times are ages, counted in ticks up to where nothing depends on them any more, so that there are finitely many states.
//! Beats are no numbers here but "has beaten since the last look", which is all that an monitor makes of them.

use super::books::{NUMBERS, Number};
use super::rules::Rule;

/// A lease, in ticks: enough to tell a heartbeat (a third), the longest gap between two looks (a quarter) and the doubt of a worker
/// (0.8) from each other.
pub(crate) const LEASE: u8 = 6;

/// `lease / 4`, rounded up to the first tick that is past it.
pub(crate) const GAP: u8 = 2;

/// `lease / 8`, rounded up: an answer that was under way for so long is not judged by.
const LATE: u8 = 1;

/// Whoever is not watched.
const UNSEEN: u8 = u8::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HeartbeatMonitor {
    /// Since the last look was begun.
    pub(crate) looked: u8,
    /// Of each number: since when its heartbeats stand still, or [`UNSEEN`].
    still: [u8; NUMBERS],
    /// Who has beaten since the heartbeats were last read, a bit a number.
    pub(crate) beaten: u8,
}

/// A look that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Census {
    /// Since it was begun.
    pub(crate) asked: u8,
    /// The list, and who had beaten, once they are read.
    pub(crate) read: Option<Read>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Read {
    pub(crate) listed: u8,
    pub(crate) beaten: u8,
    /// The jobs that each number held, two bits a number: what `Rule::RescueById` goes by.
    pub(crate) held: u16,
}

impl HeartbeatMonitor {
    pub(crate) fn new() -> HeartbeatMonitor {
        HeartbeatMonitor { looked: GAP + 1, still: [UNSEEN; NUMBERS], beaten: 0 }
    }

    pub(crate) fn tick(&mut self) {
        older(&mut self.looked, GAP + 1);
        self.still.iter_mut().filter(|age| **age != UNSEEN).for_each(|age| older(age, LEASE + 1));
    }

    /// `HeartbeatMonitor::look`: who of those `read` has been silent for a lease. `asked` is how long ago the look was begun, which is by
    /// which the product judges; so it judges by nothing that was asked too long ago (`Supervisor::look`).
    pub(crate) fn look(&mut self, rule: Rule, read: Read, asked: u8) -> u8 {
        if asked >= LATE && rule != Rule::LateAnswers {
            // As if it had not been read.
            self.beaten |= read.beaten;
            return 0;
        }
        let blind = self.looked - asked >= GAP;
        self.looked = asked;
        let mut silent = 0;
        for (number, still) in (0..).zip(&mut self.still) {
            let has = |bits: u8| bits & (1 << number) != 0;
            if !has(read.listed) {
                *still = UNSEEN;
                continue;
            }
            if blind || *still == UNSEEN || has(read.beaten) {
                *still = asked;
            }
            if still.saturating_sub(asked) >= LEASE {
                silent |= 1 << number;
            }
        }
        silent
    }

    pub(crate) fn has_beaten(&self, number: Number) -> bool {
        self.beaten & (1 << number) != 0
    }
}

/// A tick passes; an age says nothing more once it has reached `end`.
pub(crate) fn older(age: &mut u8, end: u8) {
    *age = (*age + 1).min(end);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::job::WorkerId;

    /// In each of nine ticks the worker heartbeats or not, and the monitor looks or not.
    const TICKS: u32 = 9;

    #[test]
    fn the_observer_of_the_model_judges_as_that_of_the_product() {
        let seconds = |ticks: u32| Duration::from_secs(ticks.into());
        for game in 0..4_u32.pow(TICKS) {
            let (mut model, mut product) =
                (HeartbeatMonitor::new(), crate::lease::HeartbeatMonitor::new(seconds(LEASE.into())));
            let mut heartbeats = 0;
            for tick in 0..TICKS {
                let is = |bit: u32| game >> (2 * tick + bit) & 1 == 1;
                if is(0) {
                    heartbeats += 1;
                    model.beaten |= 1;
                }
                if is(1) {
                    let read = Read { listed: 1, beaten: std::mem::take(&mut model.beaten), held: 0 };
                    let silent = model.look(Rule::Sound, read, 0) == 1;
                    let dead = product.look([(WorkerId(0), heartbeats)], seconds(tick));
                    assert_eq!(silent, !dead.is_empty(), "tick {tick} of game {game:b}");
                }
                model.tick();
            }
        }
    }
}
