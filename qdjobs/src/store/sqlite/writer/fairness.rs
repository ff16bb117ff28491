//! Decides when this process pauses so that other processes get SQLite's write lock, and for how long:
//! [`Fairness`].
//!
//! How long a caller waits for a lock held by others is the busy timeout, in `connection/error.rs`.
//!
//! Depends on the standard library alone; the time is an argument.
//!
//! SQLite's lock has no queue: a process that wants it can only try again. A writer that begins its next
//! transaction within microseconds of the last would keep all others out. Other qdjobs processes try every
//! quarter of a millisecond. A plain INSERT of another program tries less and less often, at last every tenth
//! of a second. It gives up after its busy timeout, often five seconds.
//!
//! Pauses of several processes at different moments do not help: another process always has the lock. So all
//! processes that work without a break rest at the same moments, given by the wall clock.
//!
//! ```text
//!   one process      work work work ....  work work work ....  work work work ....
//!   another          work  work  work ..  work  work  work ..  work  work  work ..
//!   a plain INSERT   x         x                          ok
//! ```

use std::time::Duration;

use crate::model::clock::Timestamp;

/// A break in the work that is long enough for other processes. Work before it no longer counts.
const BREAK: Duration = Duration::from_micros(300);

/// The work after which a pause is due.
const STRETCH: Duration = Duration::from_millis(10);

/// The pause for other qdjobs processes.
const SHORT: Duration = Duration::from_micros(400);

/// The pause while other programs write: one of them has committed within [`KNOWN_FOR`]. It is a fifth of the
/// time. Half of the plain INSERTs then succeed at their third try, after 8 ms.
const KNOWN: Duration = Duration::from_micros(2_500);
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// A process takes part in the common rest if it is busy: more than this share of about the last second went
/// to transactions and waits for the lock. A time without a break would not work: on a loaded machine, all
/// work has breaks.
const BUSY: f64 = 0.5;
const BUSY_OVER: Duration = Duration::from_secs(1);

/// The time from one common rest to the next. SQLite tries every 100 ms, which is not close to a multiple of
/// this time. So each try is at another moment of the round, and no INSERT misses every rest.
const ROUND: Duration = Duration::from_micros(13_100);

/// The divisors of a round that give the rest: while other programs are known to write, and otherwise.
const REST_KNOWN: u32 = 5;
const REST: u32 = 10;

/// A transaction that runs when the rest begins shortens the rest. So the rest must be at least twice as long
/// as a usual transaction. On a slow disk, the round doubles until it is, at most this many times.
const DOUBLINGS: u32 = 3;

/// If many processes want the lock, those that try most often get the short rests. So one rest in each
/// [`LONG_REST_EVERY`] is longer than SQLite's longest sleep: each waiting plain INSERT tries at least once
/// in it.
const LONG_REST: Duration = Duration::from_millis(110);
const LONG_REST_EVERY: Duration = Duration::from_millis(1_100);

/// How busy this process is with transactions, and when it last paused.
#[derive(Debug, Default)]
pub(in crate::store::sqlite) struct Fairness {
    paused: Duration,
    wanted: Duration,
    began: Duration,
    ended: Duration,
    /// The share of the time that transactions take, as a moving average.
    busy: f64,
    /// The duration of a transaction, as a moving average.
    usual: Duration,
    /// The wait for the lock without rests, as a moving average.
    wait: Duration,
    /// When another process was last seen to have committed.
    others_seen: Option<Duration>,
}

impl Fairness {
    /// Records that a transaction is about to begin.
    pub(in crate::store::sqlite) fn begin(&mut self, now: Duration) {
        self.wanted = now;
        if now.saturating_sub(self.ended) > BREAK {
            self.paused = now;
        }
        if now.saturating_sub(self.ended) > BUSY_OVER {
            self.wait = Duration::ZERO;
        }
    }

    /// Sleeps if a rest is due. Returns the time that it slept.
    #[expect(clippy::disallowed_methods, reason = "leaves the lock to others, in real time")]
    pub(in crate::store::sqlite) fn keep_rest(&self, now: Duration, wall: Timestamp) -> Duration {
        let rest = self.rest(now, wall).unwrap_or_default();
        if !rest.is_zero() {
            std::thread::sleep(rest);
        }
        rest
    }

    fn rest(&self, now: Duration, wall: Timestamp) -> Option<Duration> {
        let left = |every: Duration, rest: Duration| {
            let into = wall.as_microsecond().rem_euclid(every.as_micros() as i64);
            rest.checked_sub(Duration::from_micros(into as u64)).filter(|left| !left.is_zero())
        };
        let long_rest = if self.is_crowded() { left(LONG_REST_EVERY, LONG_REST) } else { None };
        if self.busy <= BUSY {
            return long_rest;
        }
        let share = if self.is_known(now) { REST_KNOWN } else { REST };
        let round = (0..DOUBLINGS)
            .fold(ROUND, |round, _| if round / share < self.usual * 2 { round * 2 } else { round });
        left(round, round / share).max(long_rest)
    }

    /// Records that this process has the lock, after a total `rest`.
    pub(in crate::store::sqlite) fn has_begun(&mut self, now: Duration, rest: Duration) {
        self.began = now;
        self.wait = (self.wait * 7 + now.saturating_sub(self.wanted).saturating_sub(rest)) / 8;
    }

    /// Records that another process has committed.
    pub(in crate::store::sqlite) fn note_others(&mut self, now: Duration) {
        self.others_seen = Some(now);
    }

    /// Records that a transaction has ended. Sleeps if a pause is due.
    #[expect(clippy::disallowed_methods, reason = "leaves the lock to others, in real time")]
    pub(in crate::store::sqlite) fn pause(&mut self, now: Duration, alone: bool) {
        self.usual = (self.usual * 7 + now.saturating_sub(self.began)) / 8;
        let since = now.saturating_sub(self.ended).as_secs_f64().max(f64::EPSILON);
        let share = now.saturating_sub(self.wanted).as_secs_f64() / since;
        self.busy += (share.min(1.0) - self.busy) * (since / BUSY_OVER.as_secs_f64()).min(1.0);
        self.ended = now;
        if let Some(pause) = self.due(now, alone) {
            self.paused = now;
            std::thread::sleep(pause);
            self.ended = now + pause;
        }
    }

    fn due(&self, now: Duration, alone: bool) -> Option<Duration> {
        if self.busy > BUSY || now.saturating_sub(self.paused) < STRETCH {
            return None;
        }
        // If other qdjobs processes are registered, a short pause is enough.
        if alone { self.is_known(now).then_some(KNOWN) } else { Some(SHORT) }
    }

    /// Whether more than one other process wants the lock. If only two processes alternate, each waits for
    /// one transaction of the other.
    fn is_crowded(&self) -> bool {
        self.wait > self.usual
    }

    fn is_known(&self, now: Duration) -> bool {
        self.others_seen.is_some_and(|seen| now.saturating_sub(seen) < KNOWN_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn only_work_without_a_break_pauses_and_longer_while_others_are_known() {
        let mut fairness = Fairness::default();
        fairness.begin(MS);
        assert_eq!(fairness.due(5 * MS, false), None);
        assert_eq!(fairness.due(12 * MS, false), Some(SHORT));
        assert_eq!(fairness.due(12 * MS, true), None, "there is nobody");
        fairness.note_others(100 * MS);
        assert_eq!(fairness.due(200 * MS, true), Some(KNOWN), "somebody inserts");
        assert_eq!(fairness.due(200 * MS, false), Some(SHORT), "it may be one that works");
        fairness.ended = 1_100 * MS;
        fairness.begin(1_101 * MS);
        assert_eq!(fairness.due(1_102 * MS, false), None, "that was break enough");
    }

    #[test]
    fn a_process_that_is_busy_most_of_the_time_rests_and_another_does_not() {
        let rests = |work: Duration, pause: Duration| {
            let mut fairness = Fairness::default();
            let mut now = Duration::ZERO;
            while now < 3_000 * MS {
                fairness.begin(now);
                fairness.has_begun(now + work / 2, Duration::ZERO);
                now += work;
                fairness.pause(now, true);
                now += pause;
            }
            (0..ROUND.as_micros() as u64).any(|micros| fairness.rest(now, at(micros)).is_some())
        };
        assert!(rests(MS, Duration::ZERO));
        assert!(rests(2 * MS, MS), "breaks alone do not help");
        assert!(!rests(MS, 2 * MS));
        assert!(!rests(MS, 100 * MS));
    }

    /// A process that does nothing but transactions, which take so long.
    fn busy_process(usual: Duration, known: bool) -> Fairness {
        let others_seen = known.then_some(2_000 * MS);
        Fairness { busy: 1.0, usual, others_seen, ..Fairness::default() }
    }

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_microsecond(1_795_643_634_000_000 + micros as i64).unwrap()
    }

    #[test]
    fn processes_that_work_without_a_break_rest_at_the_same_moments() {
        let [one, other] = [busy_process(MS, true), busy_process(MS / 2, true)];
        let mut rests = 0;
        for micros in 0..100_000 {
            let rest = one.rest(2_000 * MS, at(micros));
            assert_eq!(rest, other.rest(2_000 * MS, at(micros)));
            rests += usize::from(rest.is_some());
        }
        assert!((18_000..22_000).contains(&rests), "a fifth of the time: {rests}");
    }

    /// How long a plain INSERT waits that comes at `start`, in microseconds: SQLite's own sleeps, from
    /// `sqliteDefaultBusyCallback`, with what a loaded machine adds to each. The transaction that runs when a
    /// rest begins shortens it.
    fn insert_waits(process: &Fairness, start: u64, late: u64) -> u64 {
        let sleeps = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];
        let mut tries = sleeps.iter().chain(std::iter::repeat(&100));
        let mut now = start;
        let rest = |at_micros| process.rest(2_000 * MS, at(at_micros));
        let usual = process.usual.as_micros() as u64;
        while rest(now).is_none() || rest(now - usual).is_none() {
            now += tries.next().unwrap() * 1_000 + late;
        }
        now - start
    }

    #[test]
    fn a_plain_insert_finds_a_rest_within_its_five_seconds_whenever_it_comes() {
        let longest = |process: Fairness| {
            let starts = (20_000..140_000).step_by(97);
            let waits =
                starts.flat_map(|start| [60, 150, 1_100].map(|late| insert_waits(&process, start, late)));
            Duration::from_micros(waits.max().unwrap())
        };
        for (usual, known) in [(MS / 10, false), (MS, true), (5 * MS, true), (9 * MS, true)] {
            let longest = longest(busy_process(usual, known));
            assert!(longest < 4_000 * MS, "{usual:?} {known}: {longest:?}");
        }
        // If many processes want the lock, every INSERT succeeds, even if only half of the processes rest.
        let crowded = Fairness { busy: 0.0, wait: 5 * MS, ..busy_process(2 * MS, true) };
        let longest = longest(crowded);
        assert!(longest < LONG_REST_EVERY + LONG_REST, "{longest:?}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a rest takes real time")]
    fn a_rest_lasts_until_its_end() {
        let process = busy_process(MS, true);
        let moment = (0..100_000).find(|&micros| process.rest(2_000 * MS, at(micros)).is_some()).unwrap();
        let begun = std::time::Instant::now();
        let kept = process.keep_rest(2_000 * MS, at(moment));
        assert!(kept > MS && begun.elapsed() >= kept, "{kept:?}");
    }

    #[test]
    fn a_crowd_is_forgotten_after_a_second_without_transactions() {
        let mut fairness = Fairness { wait: 5 * MS, ended: 2_000 * MS, ..busy_process(2 * MS, true) };
        fairness.begin(2_500 * MS);
        assert!(fairness.is_crowded());
        fairness.begin(3_001 * MS);
        assert!(!fairness.is_crowded());
    }
}
