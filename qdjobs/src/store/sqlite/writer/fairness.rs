//! Room for other writers: [`Fairness`].
//!
//! Leans on std. SQLite's lock has no queue: whoever wants it can only try again, and a writer that begins its next
//! transaction within microseconds of the last would shut everybody else out. Other qdjobs processes try every quarter of a
//! millisecond; a plain INSERT from elsewhere tries ever more seldom, at last each tenth of a second, and gives up after the
//! timeout that its author chose, often five seconds.
//!
//! Pauses of several processes at different moments are no room: another one is always there. So all that work without a
//! break rest at the same moments, which the clock on the wall tells them:
//!
//! ```text
//!   one process      work work work ....  work work work ....  work work work ....
//!   another          work  work  work ..  work  work  work ..  work  work  work ..
//!   a plain INSERT   x         x                          ok
//! ```

use std::time::Duration;

use crate::model::clock::Timestamp;

/// A break in the work that is long enough for everybody: what came before it counts no more.
const BREAK: Duration = Duration::from_micros(300);

/// The work between two pauses, at first.
const STRETCH: Duration = Duration::from_millis(10);

/// The pause for other qdjobs processes.
const SHORT: Duration = Duration::from_micros(400);

/// The pause while others are known to want the lock, since one of them has committed within [`KNOWN_FOR`]: a fifth of the
/// time, in which half of the plain INSERTs get in with their third try, after 8 ms.
const KNOWN: Duration = Duration::from_micros(2_500);
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// Who has spent more than half of about the last second on transactions, the wait for the lock included, rests when everybody
/// does. A share and not a time without a break: on a loaded machine there are breaks in everything.
const BUSY: f64 = 0.5;
const BUSY_OVER: Duration = Duration::from_secs(1);

/// From one common rest to the next. The tenths of a second between SQLite's tries are not a multiple of it, nor nearly one:
/// each try falls on another moment of the round, and none can miss every rest.
const ROUND: Duration = Duration::from_micros(13_100);

/// The share of a round that is rest: while others are known to want the lock, and while nobody is.
const REST_KNOWN: u32 = 5;
const REST: u32 = 10;

/// A transaction that is under way when the rest begins takes from it, so the rest is at least twice as long as one usually
/// takes: on a slow disk the round doubles until it is, at most so often.
const DOUBLINGS: u32 = 3;

/// Where many want the lock, the small rests go to whoever tries most often. So once in a while there is one that is longer than
/// SQLite's longest sleep: each plain INSERT that waits has a try in it.
const ASSEMBLY: Duration = Duration::from_millis(110);
const ASSEMBLY_EVERY: Duration = Duration::from_millis(1_100);

/// How the work goes, and when it last paused.
#[derive(Debug, Default)]
pub(in crate::store::sqlite) struct Fairness {
    paused: Duration,
    wanted: Duration,
    began: Duration,
    ended: Duration,
    /// The share of the time that goes to transactions: a moving average.
    busy: f64,
    /// What a transaction takes: a moving average.
    usual: Duration,
    /// How long the lock is waited for, rests aside: a moving average.
    wait: Duration,
    /// When somebody else was last seen to have committed.
    met: Option<Duration>,
}

impl Fairness {
    /// A transaction is wanted.
    pub(in crate::store::sqlite) fn begin(&mut self, now: Duration) {
        self.wanted = now;
        if now.saturating_sub(self.ended) > BREAK {
            self.paused = now;
        }
        if now.saturating_sub(self.ended) > BUSY_OVER {
            self.wait = Duration::ZERO;
        }
    }

    /// Leaves the lock alone, if this is a moment of rest; answers for how long it did.
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
        let assembly = if self.is_crowded() { left(ASSEMBLY_EVERY, ASSEMBLY) } else { None };
        if self.busy <= BUSY {
            return assembly;
        }
        let share = if self.is_known(now) { REST_KNOWN } else { REST };
        let round = (0..DOUBLINGS)
            .fold(ROUND, |round, _| if round / share < self.usual * 2 { round * 2 } else { round });
        left(round, round / share).max(assembly)
    }

    /// The lock is ours, after so much `rest`.
    pub(in crate::store::sqlite) fn has_begun(&mut self, now: Duration, rest: Duration) {
        self.began = now;
        self.wait = (self.wait * 7 + now.saturating_sub(self.wanted).saturating_sub(rest)) / 8;
    }

    /// Somebody else has committed.
    pub(in crate::store::sqlite) fn meet(&mut self, now: Duration) {
        self.met = Some(now);
    }

    /// A transaction has ended; sleeps if it is time to.
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
        // Among processes that all work, each is known by its commits, and a short pause is enough.
        if alone { self.is_known(now).then_some(KNOWN) } else { Some(SHORT) }
    }

    /// Two who take turns wait for as long as one transaction takes, each for that of the other.
    fn is_crowded(&self) -> bool {
        self.wait > self.usual
    }

    fn is_known(&self, now: Duration) -> bool {
        self.met.is_some_and(|met| now.saturating_sub(met) < KNOWN_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn only_work_without_a_break_pauses_and_for_longer_for_those_who_are_known() {
        let mut fairness = Fairness::default();
        fairness.begin(MS);
        assert_eq!(fairness.due(5 * MS, false), None);
        assert_eq!(fairness.due(12 * MS, false), Some(SHORT));
        assert_eq!(fairness.due(12 * MS, true), None, "there is nobody");
        fairness.meet(100 * MS);
        assert_eq!(fairness.due(200 * MS, true), Some(KNOWN), "somebody inserts");
        assert_eq!(fairness.due(200 * MS, false), Some(SHORT), "it may be one that works");
        fairness.ended = 1_100 * MS;
        fairness.begin(1_101 * MS);
        assert_eq!(fairness.due(1_102 * MS, false), None, "that was break enough");
    }

    #[test]
    fn who_is_busy_for_most_of_the_time_rests_and_who_is_not_does_not() {
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

    /// A process that does nothing else, whose transactions take so long.
    fn tireless(usual: Duration, known: bool) -> Fairness {
        let met = known.then_some(2_000 * MS);
        Fairness { busy: 1.0, usual, met, ..Fairness::default() }
    }

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_microsecond(1_795_643_634_000_000 + micros as i64).unwrap()
    }

    #[test]
    fn whoever_works_without_a_break_rests_when_the_others_do() {
        let [one, other] = [tireless(MS, true), tireless(MS / 2, true)];
        let mut rests = 0;
        for micros in 0..100_000 {
            let rest = one.rest(2_000 * MS, at(micros));
            assert_eq!(rest, other.rest(2_000 * MS, at(micros)));
            rests += usize::from(rest.is_some());
        }
        assert!((18_000..22_000).contains(&rests), "a fifth of the time: {rests}");
    }

    /// How long a plain INSERT waits, in microseconds, that comes at `start`: SQLite's own patience, from
    /// `sqliteDefaultBusyCallback`, with what a loaded machine adds to each sleep. The transaction that is under way when a rest
    /// begins takes its time from it.
    fn insert_waits(process: &Fairness, start: u64, late: u64) -> u64 {
        let naps = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];
        let mut tries = naps.iter().chain(std::iter::repeat(&100));
        let mut now = start;
        let rest = |at_micros| process.rest(2_000 * MS, at(at_micros));
        let usual = process.usual.as_micros() as u64;
        while rest(now).is_none() || rest(now - usual).is_none() {
            now += tries.next().unwrap() * 1_000 + late;
        }
        now - start
    }

    #[test]
    fn a_plain_insert_meets_a_rest_within_its_five_seconds_whenever_it_comes() {
        let longest = |process: Fairness| {
            let starts = (20_000..140_000).step_by(97);
            let waits =
                starts.flat_map(|start| [60, 150, 1_100].map(|late| insert_waits(&process, start, late)));
            Duration::from_micros(waits.max().unwrap())
        };
        for (usual, known) in [(MS / 10, false), (MS, true), (5 * MS, true), (9 * MS, true)] {
            let longest = longest(tireless(usual, known));
            assert!(longest < 4_000 * MS, "{usual:?} {known}: {longest:?}");
        }
        // Where many want the lock none is left to chance, even if those who rest are only half of them.
        let crowded = Fairness { busy: 0.0, wait: 5 * MS, ..tireless(2 * MS, true) };
        let longest = longest(crowded);
        assert!(longest < ASSEMBLY_EVERY + ASSEMBLY, "{longest:?}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a rest takes real time")]
    fn a_rest_is_kept_until_it_is_over() {
        let process = tireless(MS, true);
        let moment = (0..100_000).find(|&micros| process.rest(2_000 * MS, at(micros)).is_some()).unwrap();
        let begun = std::time::Instant::now();
        let kept = process.keep_rest(2_000 * MS, at(moment));
        assert!(kept > MS && begun.elapsed() >= kept, "{kept:?}");
    }

    #[test]
    fn a_crowd_is_forgotten_after_a_second_without_work() {
        let mut fairness = Fairness { wait: 5 * MS, ended: 2_000 * MS, ..tireless(2 * MS, true) };
        fairness.begin(2_500 * MS);
        assert!(fairness.is_crowded());
        fairness.begin(3_001 * MS);
        assert!(!fairness.is_crowded());
    }
}
