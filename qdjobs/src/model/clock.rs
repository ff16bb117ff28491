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
/// A program uses [`Clock::system`]. A test holds the time with [`Clock::manual`] and moves it with
/// [`advance`](Clock::advance): everything that waits for an instant (scheduled jobs, retries, timeouts, leases) wakes
/// as if that time had passed.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Manual>),
    /// For those who wait it is the system's; a simulation says what it tells.
    #[cfg(test)]
    Simulated(Arc<Simulated>),
}

/// The time of a simulation, for one process of it.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Simulated {
    now: std::sync::atomic::AtomicI64,
    monotonic: std::sync::atomic::AtomicU64,
}

#[derive(Debug)]
struct Manual {
    /// A mutex and not an atomic, so that an advance and the subscribers it rings are one step to every reader.
    state: Mutex<ManualState>,
}

#[derive(Debug)]
struct ManualState {
    now: Timestamp,
    since_start: Duration,
    subscribers: Vec<Weak<dyn ClockSubscriber>>,
}

/// Something asleep that wants to look again when a manual clock moves.
pub(crate) trait ClockSubscriber: std::fmt::Debug + Send + Sync {
    fn clock_advanced(&self);
}

impl Clock {
    /// The clocks of the operating system.
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that stands at `now` until it is told to [`advance`](Clock::advance). Clones move together.
    pub fn manual(now: Timestamp) -> Clock {
        let state = Mutex::new(ManualState { now, since_start: Duration::ZERO, subscribers: Vec::new() });
        Clock(Source::Manual(Arc::new(Manual { state })))
    }

    /// A clock that tells what [`set`](Clock::set) says, to those who wait by it as to those on the system's.
    #[cfg(test)]
    pub(crate) fn simulated(now: Timestamp) -> Clock {
        let clock = Simulated { now: now.as_microsecond().into(), monotonic: 0.into() };
        Clock(Source::Simulated(Arc::new(clock)))
    }

    /// Sets a simulated clock's two hands, each for itself: a wall clock may be set, and both may stand.
    #[cfg(test)]
    pub(crate) fn set(&self, now: Timestamp, monotonic: Duration) {
        use std::sync::atomic::Ordering;
        if let Source::Simulated(clock) = &self.0 {
            clock.now.store(now.as_microsecond(), Ordering::Relaxed);
            clock.monotonic.store(monotonic.as_micros() as u64, Ordering::Relaxed);
        }
    }

    /// The wall clock: what `scheduled_at`, `created_at` and their kin are measured by.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Manual(manual) => manual.lock().now,
            #[cfg(test)]
            Source::Simulated(clock) => {
                let micros = clock.now.load(std::sync::atomic::Ordering::Relaxed);
                Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Time since an arbitrary start, which no setting of the wall clock moves: leases and timeouts use this.
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Source::Manual(manual) => manual.lock().since_start,
            _ => self.elapsed(),
        }
    }

    /// As [`monotonic`](Clock::monotonic), and goes on though a test holds the clock: for pauses and patience towards the
    /// operating system, which no test needs to hold.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the monotonic clock")]
    pub(crate) fn elapsed(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            #[cfg(test)]
            Source::Simulated(clock) => {
                Duration::from_micros(clock.monotonic.load(std::sync::atomic::Ordering::Relaxed))
            }
            _ => START.get_or_init(Instant::now).elapsed(),
        }
    }

    /// Moves a manual clock forward by `by` and wakes everything that sleeps by it. Has no effect on the system's
    /// clock.
    pub fn advance(&self, by: Duration) {
        let Source::Manual(manual) = &self.0 else { return };
        let subscribers = {
            let mut state = manual.lock();
            // Both stop at the end of the calendar, far from the end of what a duration can hold.
            let left = Timestamp::MAX.duration_since(state.now).unsigned_abs();
            let by = by.min(left);
            state.now = state.now.checked_add(by).unwrap_or(Timestamp::MAX);
            state.since_start += by;
            state.subscribers.retain(|subscriber| subscriber.strong_count() > 0);
            state.subscribers.clone()
        };
        for subscriber in subscribers.iter().filter_map(Weak::upgrade) {
            subscriber.clock_advanced();
        }
    }

    /// Whether a test holds this clock.
    pub fn is_manual(&self) -> bool {
        matches!(self.0, Source::Manual(_))
    }

    /// Whether there is nothing of the system's behind it: no thread to be woken, no file that another could change.
    #[cfg(test)]
    pub(crate) fn is_simulated(&self) -> bool {
        matches!(self.0, Source::Simulated(_))
    }

    /// How long a thread may sleep when it wants to look again after `wait`: a sleeper on a manual clock sleeps until
    /// its subscriber rings, a sleeper on the system's clock at most one second at a time, since the monotonic clock that
    /// real sleeps are measured by stands still while the machine is suspended.
    pub(crate) fn sleep(&self, wait: Duration) -> Option<Duration> {
        if self.is_manual() { None } else { Some(wait.min(Duration::from_secs(1))) }
    }

    /// Rings `subscriber` at each advance, as long as somebody keeps it. Does nothing on the system's clock.
    pub(crate) fn subscribe(&self, subscriber: Weak<dyn ClockSubscriber>) {
        if let Source::Manual(manual) = &self.0 {
            manual.lock().subscribers.push(subscriber);
        }
    }
}

impl Manual {
    fn lock(&self) -> std::sync::MutexGuard<'_, ManualState> {
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
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let twin = clock.clone();
        assert_eq!(clock.now(), twin.now());
        clock.advance(Duration::from_secs(90));
        assert_eq!(twin.now().as_second(), 90);
        assert_eq!(twin.monotonic(), Duration::from_secs(90));
    }

    #[test]
    fn a_held_clock_stops_at_the_end_of_the_calendar() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
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
