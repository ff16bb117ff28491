//! When a silent worker may be taken for dead: [`HeartbeatMonitor`].
//!
//! Pure: the time comes in. Wall clocks decide nothing here. A worker is dead for an monitor that has itself seen the
//! worker's heartbeats stand still for a whole lease, on its own monotonic clock, without a gap between its own looks: a process that
//! was stopped or suspended cannot know what it missed, and starts to watch anew. So does one whose own heartbeats are held up: whatever
//! holds them up may hold up everybody's.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::job::WorkerId;

/// Watches the heartbeats of other workers.
#[derive(Debug)]
pub(crate) struct HeartbeatMonitor {
    lease: Duration,
    seen: HashMap<WorkerId, Seen>,
    last_look: Option<Duration>,
}

#[derive(Debug)]
struct Seen {
    heartbeats: u64,
    since: Duration,
}

impl HeartbeatMonitor {
    pub(crate) fn new(lease: Duration) -> HeartbeatMonitor {
        HeartbeatMonitor { lease, seen: HashMap::new(), last_look: None }
    }

    /// Whatever was seen proves nothing: starts to watch anew.
    pub(crate) fn forget(&mut self) {
        self.seen.clear();
    }

    /// Looks at the heartbeats of everybody, at `now` on the monotonic clock; gives those who have been silent for a lease.
    pub(crate) fn look(
        &mut self,
        workers: impl IntoIterator<Item = (WorkerId, u64)>,
        now: Duration,
    ) -> Vec<WorkerId> {
        let blind = self.last_look.is_some_and(|last| now.saturating_sub(last) > self.lease / 4);
        if blind {
            self.seen.clear();
        }
        self.last_look = Some(now);
        let mut before = std::mem::take(&mut self.seen);
        let mut dead = Vec::new();
        for (worker, heartbeats) in workers {
            let seen = before
                .remove(&worker)
                .filter(|seen| seen.heartbeats == heartbeats)
                .unwrap_or(Seen { heartbeats, since: now });
            if now.saturating_sub(seen.since) >= self.lease {
                dead.push(worker);
            }
            self.seen.insert(worker, seen);
        }
        dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);
    const WORKER: WorkerId = WorkerId(7);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn silence_for_a_whole_lease_is_death_and_a_beat_is_life() {
        let mut monitor = HeartbeatMonitor::new(LEASE);
        for second in (0..30).step_by(5) {
            assert!(monitor.look([(WORKER, 1)], at(second)).is_empty());
        }
        assert_eq!(monitor.look([(WORKER, 1)], at(30)), [WORKER]);

        let mut monitor = HeartbeatMonitor::new(LEASE);
        for second in (0..300).step_by(5) {
            assert!(monitor.look([(WORKER, second / 20)], at(second)).is_empty());
        }
    }

    #[test]
    fn an_observer_that_forgets_watches_for_a_whole_lease_again() {
        let mut monitor = HeartbeatMonitor::new(LEASE);
        for second in (0..30).step_by(5) {
            assert!(monitor.look([(WORKER, 1)], at(second)).is_empty());
        }
        monitor.forget();
        for second in (30..60).step_by(5) {
            assert!(monitor.look([(WORKER, 1)], at(second)).is_empty());
        }
        assert_eq!(monitor.look([(WORKER, 1)], at(60)), [WORKER]);
    }

    #[test]
    fn an_observer_that_was_away_starts_to_watch_anew() {
        let mut monitor = HeartbeatMonitor::new(LEASE);
        assert!(monitor.look([(WORKER, 1)], at(0)).is_empty());
        // Suspended for an hour: the worker may have been, too.
        assert!(monitor.look([(WORKER, 1)], at(3600)).is_empty());
        for second in (3605..3630).step_by(5) {
            assert!(monitor.look([(WORKER, 1)], at(second)).is_empty());
        }
        assert_eq!(monitor.look([(WORKER, 1)], at(3630)), [WORKER]);
    }
}
