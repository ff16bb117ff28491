//! Room for other writers: [`Courtesy`].
//!
//! Leans on std. SQLite's lock has no queue: whoever wants it can only try again, and a writer that begins its next
//! transaction within microseconds of the last would shut everybody else out. Other qdjobs processes try every quarter of a
//! millisecond; a plain INSERT from elsewhere tries ever more seldom, at last each tenth of a second, and gives up after the
//! timeout that its author chose, often five seconds.

use std::time::Duration;

/// A break in the work that is long enough for everybody: what came before it counts no more.
const BREAK: Duration = Duration::from_micros(300);

/// The work between two pauses.
const STRETCH: Duration = Duration::from_millis(10);

/// The pause for other qdjobs processes.
const SHORT: Duration = Duration::from_micros(400);

/// The pause for everybody, once the work has gone on for [`LONG_AFTER`]: a tenth of the time, so that of fifty tries within
/// five seconds one succeeds in 99 of 100 cases.
const LONG: Duration = Duration::from_millis(1);
const LONG_AFTER: Duration = Duration::from_secs(1);

/// The pause while others are known to want the lock, since one of them has committed within [`KNOWN_FOR`]: a fifth of the
/// time, in which half of the plain INSERTs get in with their third try, after 8 ms.
const KNOWN: Duration = Duration::from_micros(2_500);
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// When the work began that has had no break since, and when it last paused.
#[derive(Debug, Default)]
pub(super) struct Courtesy {
    busy_since: Duration,
    paused: Duration,
    ended: Duration,
    /// When somebody else was last seen to have committed.
    met: Option<Duration>,
}

impl Courtesy {
    /// A transaction begins.
    pub(super) fn begin(&mut self, now: Duration) {
        if now.saturating_sub(self.ended) > BREAK {
            (self.busy_since, self.paused) = (now, now);
        }
    }

    /// Somebody else has committed.
    pub(super) fn meet(&mut self, now: Duration) {
        self.met = Some(now);
    }

    /// A transaction has ended; sleeps if it is time to.
    #[expect(clippy::disallowed_methods, reason = "leaves the lock to others, in real time")]
    pub(super) fn pause(&mut self, now: Duration, alone: bool) {
        self.ended = now;
        if let Some(pause) = self.due(now, alone) {
            self.paused = now;
            std::thread::sleep(pause);
            self.ended = now + pause;
        }
    }

    fn due(&self, now: Duration, alone: bool) -> Option<Duration> {
        if now.saturating_sub(self.paused) < STRETCH {
            return None;
        }
        let known = self.met.is_some_and(|met| now.saturating_sub(met) < KNOWN_FOR);
        let long = now.saturating_sub(self.busy_since) > LONG_AFTER;
        match (known, long) {
            // Among processes that all work, each is known by its commits, and a short pause is enough.
            (true, _) if alone => Some(KNOWN),
            (_, true) => Some(LONG),
            _ => (!alone).then_some(SHORT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn only_work_without_a_break_pauses_and_for_longer_after_a_second_or_for_others() {
        let mut courtesy = Courtesy::default();
        courtesy.begin(MS);
        assert_eq!(courtesy.due(5 * MS, false), None);
        assert_eq!(courtesy.due(12 * MS, false), Some(SHORT));
        assert_eq!(courtesy.due(12 * MS, true), None, "there is nobody");
        assert_eq!(courtesy.due(1_100 * MS, true), Some(LONG), "somebody may want to insert");
        courtesy.meet(1_100 * MS);
        assert_eq!(courtesy.due(1_100 * MS, true), Some(KNOWN), "somebody inserts");
        assert_eq!(courtesy.due(2_100 * MS, true), Some(LONG), "not any more");
        assert_eq!(courtesy.due(1_100 * MS, false), Some(LONG), "it may be one that works");
        courtesy.ended = 1_100 * MS;
        courtesy.begin(1_101 * MS);
        assert_eq!(courtesy.due(1_102 * MS, false), None, "that was break enough");
    }
}
