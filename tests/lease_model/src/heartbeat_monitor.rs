//! Watches the heartbeats of other workers: mirrors `model/lease.rs` of the product. The test below compares
//! the two.
//!
//! Times are ages in ticks, capped where they make no further difference, so that the number of states is
//! finite. A heartbeat counter is a flag here, "has sent a heartbeat since the last look": a monitor uses
//! nothing else of its counter.

use super::rules::Rule;
use super::stored_state::{NUMBERS, Number};

/// A lease, in ticks: enough to separate a heartbeat (a third), the longest gap between two looks (a quarter)
/// and the point at which a worker suspends itself (0.8).
pub(crate) const LEASE: u8 = 6;

/// `lease / 4`, rounded up to the first tick after it.
pub(crate) const GAP: u8 = 2;

/// `lease / 8`, rounded up: an answer that took this long is not judged.
const LATE: u8 = 1;

/// The age of a worker that is not watched.
const UNWATCHED: u8 = u8::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HeartbeatMonitor {
    /// Age of the start of the last look.
    pub(crate) last_look: u8,
    /// For each number: how long its heartbeats have been unchanged, or [`UNWATCHED`].
    unchanged: [u8; NUMBERS],
    /// Which numbers have sent a heartbeat since the heartbeats were last read, one bit each.
    pub(crate) beating: u8,
}

/// A look in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scan {
    /// Age of its start.
    pub(crate) started: u8,
    /// The registered workers and which of them had sent a heartbeat, once read.
    pub(crate) read: Option<Read>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Read {
    pub(crate) listed: u8,
    pub(crate) beating: u8,
    /// The jobs that each number held, two bits a number, for `Rule::RescueById`.
    pub(crate) held: u16,
}

impl HeartbeatMonitor {
    pub(crate) fn new() -> HeartbeatMonitor {
        HeartbeatMonitor { last_look: GAP + 1, unchanged: [UNWATCHED; NUMBERS], beating: 0 }
    }

    pub(crate) fn tick(&mut self) {
        older(&mut self.last_look, GAP + 1);
        self.unchanged.iter_mut().filter(|age| **age != UNWATCHED).for_each(|age| older(age, LEASE + 1));
    }

    /// `HeartbeatMonitor::look`: which workers in `read` have been silent for a lease. `started` is the
    /// age of the start of the look, from which the product judges. So an answer that took too long is
    /// not judged (as in the supervisor).
    pub(crate) fn look(&mut self, rule: Rule, read: Read, started: u8) -> u8 {
        if started >= LATE && rule != Rule::LateAnswers {
            // The same as if the heartbeats had not been read.
            self.beating |= read.beating;
            return 0;
        }
        let had_gap = self.last_look - started >= GAP;
        self.last_look = started;
        let mut silent = 0;
        for (number, unchanged) in (0..).zip(&mut self.unchanged) {
            let has = |bits: u8| bits & (1 << number) != 0;
            if !has(read.listed) {
                *unchanged = UNWATCHED;
                continue;
            }
            if had_gap || *unchanged == UNWATCHED || has(read.beating) {
                *unchanged = started;
            }
            if unchanged.saturating_sub(started) >= LEASE {
                silent |= 1 << number;
            }
        }
        silent
    }

    pub(crate) fn is_beating(&self, number: Number) -> bool {
        self.beating & (1 << number) != 0
    }
}

/// A tick passes; an age stops at `end`, where it makes no further difference.
pub(crate) fn older(age: &mut u8, end: u8) {
    *age = (*age + 1).min(end);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::job::WorkerId;

    /// In each of nine ticks the worker sends a heartbeat or not, and the monitor looks or not.
    const TICKS: u32 = 9;

    #[test]
    fn the_monitor_of_the_model_agrees_with_that_of_the_product() {
        let seconds = |ticks: u32| Duration::from_secs(ticks.into());
        for case in 0..4_u32.pow(TICKS) {
            let (mut model, mut product) =
                (HeartbeatMonitor::new(), crate::lease::HeartbeatMonitor::new(seconds(LEASE.into())));
            let mut heartbeats = 0;
            for tick in 0..TICKS {
                let is = |bit: u32| case >> (2 * tick + bit) & 1 == 1;
                if is(0) {
                    heartbeats += 1;
                    model.beating |= 1;
                }
                if is(1) {
                    let read = Read { listed: 1, beating: std::mem::take(&mut model.beating), held: 0 };
                    let silent = model.look(Rule::Sound, read, 0) == 1;
                    let dead = product.look([(WorkerId(0), heartbeats)], seconds(tick));
                    assert_eq!(silent, !dead.is_empty(), "tick {tick} of case {case:b}");
                }
                model.tick();
            }
        }
    }
}
