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

/// When the work began that has had no break since, and when it last paused.
#[derive(Debug, Default)]
pub(super) struct Courtesy {
    busy_since: Duration,
    paused: Duration,
    ended: Duration,
}

impl Courtesy {
    /// A transaction begins.
    pub(super) fn begin(&mut self, now: Duration) {
        if now.saturating_sub(self.ended) > BREAK {
            (self.busy_since, self.paused) = (now, now);
        }
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
        let long = now.saturating_sub(self.busy_since) > LONG_AFTER;
        if long { Some(LONG) } else { (!alone).then_some(SHORT) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn only_work_without_a_break_pauses_and_for_longer_after_a_second() {
        let mut courtesy = Courtesy::default();
        courtesy.begin(MS);
        assert_eq!(courtesy.due(5 * MS, false), None);
        assert_eq!(courtesy.due(12 * MS, false), Some(SHORT));
        assert_eq!(courtesy.due(12 * MS, true), None, "there is nobody");
        assert_eq!(courtesy.due(1_100 * MS, true), Some(LONG), "somebody may want to insert");
        courtesy.ended = 1_100 * MS;
        courtesy.begin(1_101 * MS);
        assert_eq!(courtesy.due(1_102 * MS, false), None, "that was break enough");
    }
}
