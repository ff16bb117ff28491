//! The one clock: [`Clock`] tells the time, and a test can hold it.
//!
//! Leans on jiff for the calendar. Nobody else in the crate reads the system's clocks.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

/// An instant, in UTC; stored as whole microseconds since 1970.
pub use jiff::Timestamp;

/// The last instant a job may be scheduled for: [`Timestamp::MAX`], in the last days of the year 9999.
pub(crate) const FAR_FUTURE_MICROS: i64 = 253_402_207_200_999_999;

/// Tells the time to a queue and its workers.
///
/// A program uses [`Clock::system`]. A test holds the time with [`Clock::held`] and moves it with
/// [`advance`](Clock::advance): everything that waits for an instant (scheduled jobs, retries, timeouts, leases) wakes
/// as if that time had passed.
#[derive(Clone, Debug)]
pub struct Clock(Option<Arc<Held>>);

#[derive(Debug)]
struct Held {
    /// A mutex and not an atomic, so that an advance and the bells it rings are one step to every reader.
    state: Mutex<HeldState>,
}

#[derive(Debug)]
struct HeldState {
    now: Timestamp,
    since_start: Duration,
    bells: Vec<Weak<dyn Bell>>,
}

/// Something asleep that wants to look again when a held clock moves.
pub(crate) trait Bell: std::fmt::Debug + Send + Sync {
    fn ring(&self);
}

impl Clock {
    /// The clocks of the operating system.
    pub fn system() -> Clock {
        Clock(None)
    }

    /// A clock that stands at `now` until it is told to [`advance`](Clock::advance). Clones move together.
    pub fn held(now: Timestamp) -> Clock {
        let state = Mutex::new(HeldState { now, since_start: Duration::ZERO, bells: Vec::new() });
        Clock(Some(Arc::new(Held { state })))
    }

    /// The wall clock: what `scheduled_at`, `created_at` and their kin are measured by.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            None => Timestamp::now(),
            Some(held) => held.lock().now,
        }
    }

    /// Time since an arbitrary start, which no setting of the wall clock moves: leases and timeouts use this.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the monotonic clock")]
    pub fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            None => START.get_or_init(Instant::now).elapsed(),
            Some(held) => held.lock().since_start,
        }
    }

    /// Moves a held clock forward by `by` and wakes everything that sleeps by it. Has no effect on the system's
    /// clock.
    pub fn advance(&self, by: Duration) {
        let Some(held) = &self.0 else { return };
        let bells = {
            let mut state = held.lock();
            // Both stop at the end of the calendar, far from the end of what a duration can hold.
            let left = Timestamp::MAX.duration_since(state.now).unsigned_abs();
            let by = by.min(left);
            state.now = state.now.checked_add(by).unwrap_or(Timestamp::MAX);
            state.since_start += by;
            state.bells.retain(|bell| bell.strong_count() > 0);
            state.bells.clone()
        };
        for bell in bells.iter().filter_map(Weak::upgrade) {
            bell.ring();
        }
    }

    /// Whether a test holds this clock.
    pub fn is_held(&self) -> bool {
        self.0.is_some()
    }

    /// How long a thread may sleep when it wants to look again after `wait`: a sleeper on a held clock sleeps until
    /// its bell rings, a sleeper on the system's clock at most one second at a time, since the monotonic clock that
    /// real sleeps are measured by stands still while the machine is suspended.
    pub(crate) fn nap(&self, wait: Duration) -> Option<Duration> {
        if self.is_held() { None } else { Some(wait.min(Duration::from_secs(1))) }
    }

    /// Rings `bell` at each advance, as long as somebody keeps it. Does nothing on the system's clock.
    pub(crate) fn subscribe(&self, bell: Weak<dyn Bell>) {
        if let Some(held) = &self.0 {
            held.lock().bells.push(bell);
        }
    }
}

impl Held {
    fn lock(&self) -> std::sync::MutexGuard<'_, HeldState> {
        // Nothing panics while holding it, so a poisoned lock still holds a whole value.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `now + wait`, or `None` past the year 9999.
pub(crate) fn after(now: Timestamp, wait: Duration) -> Option<Timestamp> {
    now.checked_add(wait).ok().filter(|at| at.as_microsecond() <= FAR_FUTURE_MICROS)
}

/// `now + wait`, at the latest the calendar's last whole microsecond: what is finished is never refused for its wait.
pub(crate) fn after_at_latest(now: Timestamp, wait: Duration) -> Timestamp {
    whole_micros(after(now, wait).unwrap_or(Timestamp::MAX))
}

/// `at` as it is stored: what lies beyond microseconds is cut off.
pub(crate) fn whole_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_clock_moves_only_when_told_to_and_its_clones_move_with_it() {
        let clock = Clock::held(Timestamp::UNIX_EPOCH);
        let twin = clock.clone();
        assert_eq!(clock.now(), twin.now());
        clock.advance(Duration::from_secs(90));
        assert_eq!(twin.now().as_second(), 90);
        assert_eq!(twin.monotonic(), Duration::from_secs(90));
    }

    #[test]
    fn a_held_clock_stops_at_the_end_of_the_calendar() {
        let clock = Clock::held(Timestamp::UNIX_EPOCH);
        for _ in 0..2 {
            clock.advance(Duration::MAX);
            assert_eq!(clock.now(), Timestamp::MAX);
        }
        assert_eq!(clock.monotonic(), Timestamp::MAX.duration_since(Timestamp::UNIX_EPOCH).unsigned_abs());
    }

    #[test]
    fn a_wait_past_the_calendar_ends_at_its_last_whole_microsecond() {
        let last = after_at_latest(Timestamp::UNIX_EPOCH, Duration::MAX);
        assert_eq!(last.as_microsecond(), Timestamp::MAX.as_microsecond());
        assert_eq!(last, whole_micros(last));
    }

    #[test]
    fn instants_past_the_year_9999_are_refused() {
        let now = Timestamp::UNIX_EPOCH;
        assert!(after(now, Duration::from_secs(8_000 * 365 * 86_400)).is_some());
        assert!(after(now, Duration::from_secs(9_000 * 365 * 86_400)).is_none());
        assert!(after(now, Duration::MAX).is_none());
    }
}
