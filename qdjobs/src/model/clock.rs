//! Reads the time: [`Clock`], the system's clock or a manual one, and the arithmetic of instants.
//!
//! This is the only file that reads the clocks of the operating system. The format of instants in JSON is in
//! `job/wire_time.rs`.
//!
//! Depends on jiff for the calendar. Its only lock is that of a manual clock.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

/// An instant in UTC, stored as whole microseconds since 1970: the `Timestamp` of the crate jiff.
pub use jiff::Timestamp;

/// The last instant for which a job may be scheduled: [`Timestamp::MAX`], at the end of the year 9999.
pub(crate) const FAR_FUTURE_MICROS: i64 = 253_402_207_200_999_999;

/// The clock of a queue and its workers.
///
/// A program uses [`Clock::system`]. A test uses [`Clock::manual`] and moves it with
/// [`advance`](Clock::advance). Everything that waits for an instant then continues as if the time had
/// passed: scheduled jobs, retries, timeouts and leases.
///
/// ```
/// use std::time::Duration;
/// use qdjobs::{Clock, JobQueue, Timestamp};
///
/// let clock = Clock::manual(Timestamp::UNIX_EPOCH);
/// let queue = JobQueue::options().clock(clock.clone()).in_memory();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(queue.clock().now().as_second(), 3600);
/// ```
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Manual>),
    /// Set by a simulation. Threads that wait treat it like the system's clock.
    #[cfg(test)]
    Simulated(Arc<Simulated>),
}

/// The time of one simulated process.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Simulated {
    now: std::sync::atomic::AtomicI64,
    monotonic: std::sync::atomic::AtomicU64,
}

#[derive(Debug)]
struct Manual {
    /// A mutex instead of an atomic: an advance and its list of subscribers change in one step.
    state: Mutex<ManualState>,
}

#[derive(Debug)]
struct ManualState {
    now: Timestamp,
    since_start: Duration,
    subscribers: Vec<Weak<dyn ClockSubscriber>>,
}

/// A sleeper that a manual clock wakes when it advances.
pub(crate) trait ClockSubscriber: std::fmt::Debug + Send + Sync {
    fn clock_advanced(&self);
}

impl Clock {
    /// The clock of the operating system.
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that shows `now` until [`advance`](Clock::advance) moves it. Its clones move with it.
    pub fn manual(now: Timestamp) -> Clock {
        let state = Mutex::new(ManualState { now, since_start: Duration::ZERO, subscribers: Vec::new() });
        Clock(Source::Manual(Arc::new(Manual { state })))
    }

    /// A clock that shows what [`set`](Clock::set) has set.
    #[cfg(test)]
    pub(crate) fn simulated(now: Timestamp) -> Clock {
        let clock = Simulated { now: now.as_microsecond().into(), monotonic: 0.into() };
        Clock(Source::Simulated(Arc::new(clock)))
    }

    /// Sets the wall clock and the monotonic clock of a simulated clock independently: a wall clock can be
    /// set back, and both can stop.
    #[cfg(test)]
    pub(crate) fn set(&self, now: Timestamp, monotonic: Duration) {
        use std::sync::atomic::Ordering;
        if let Source::Simulated(clock) = &self.0 {
            clock.now.store(now.as_microsecond(), Ordering::Relaxed);
            clock.monotonic.store(monotonic.as_micros() as u64, Ordering::Relaxed);
        }
    }

    /// The current instant by the wall clock, as in `scheduled_at` and `created_at`.
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

    /// The time since an arbitrary start. Leases and timeouts use it, because setting the wall clock does not
    /// change it.
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Source::Manual(manual) => manual.lock().since_start,
            _ => self.elapsed(),
        }
    }

    /// The monotonic clock of the operating system, even if this clock is manual. It measures pauses and
    /// waits for the operating system, which a test does not control.
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

    /// Moves a manual clock forward and wakes everything that waits by it. Does nothing to the system's
    /// clock.
    pub fn advance(&self, by: Duration) {
        let Source::Manual(manual) = &self.0 else { return };
        let subscribers = {
            let mut state = manual.lock();
            // Both clocks stop at the end of the calendar, long before a duration overflows.
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

    /// Whether the clock is manual.
    pub fn is_manual(&self) -> bool {
        matches!(self.0, Source::Manual(_))
    }

    /// Whether the clock belongs to a simulation: no thread waits by it, and no other process changes a file.
    #[cfg(test)]
    pub(crate) fn is_simulated(&self) -> bool {
        matches!(self.0, Source::Simulated(_))
    }

    /// How long a thread may sleep if it must continue after `wait`; `None` for no limit.
    ///
    /// On a manual clock, a thread sleeps until its subscriber is woken. On the system's clock, it sleeps at
    /// most one second at a time: while the machine is suspended, the clock that limits a sleep stops.
    pub(crate) fn sleep(&self, wait: Duration) -> Option<Duration> {
        if self.is_manual() { None } else { Some(wait.min(Duration::from_secs(1))) }
    }

    /// Calls `subscriber` at each advance, until the subscriber is dropped. Does nothing on the system's
    /// clock.
    pub(crate) fn subscribe(&self, subscriber: Weak<dyn ClockSubscriber>) {
        if let Source::Manual(manual) = &self.0 {
            manual.lock().subscribers.push(subscriber);
        }
    }
}

impl Manual {
    fn lock(&self) -> std::sync::MutexGuard<'_, ManualState> {
        // No code panics while it holds the lock, so the value of a poisoned lock is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `now + wait`; `None` after the year 9999.
pub(crate) fn after(now: Timestamp, wait: Duration) -> Option<Timestamp> {
    now.checked_add(wait).ok().filter(|at| at.as_microsecond() <= FAR_FUTURE_MICROS)
}

/// `now + wait`, at most the last whole microsecond of the calendar. So no wait makes a finish fail.
pub(crate) fn after_at_latest(now: Timestamp, wait: Duration) -> Timestamp {
    whole_micros(after(now, wait).unwrap_or(Timestamp::MAX))
}

/// `at` as it is stored: truncated to whole microseconds.
pub(crate) fn whole_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_it_is_advanced_and_its_clones_move_with_it() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let twin = clock.clone();
        assert_eq!(clock.now(), twin.now());
        clock.advance(Duration::from_secs(90));
        assert_eq!(twin.now().as_second(), 90);
        assert_eq!(twin.monotonic(), Duration::from_secs(90));
    }

    #[test]
    fn a_manual_clock_stops_at_the_end_of_the_calendar() {
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
