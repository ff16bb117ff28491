//! Decides after how much silence a worker is presumed dead, and which gaps in the observation restart the
//! measurement: [`HeartbeatMonitor`].
//!
//! Does not send heartbeats: see `worker/supervisor/heartbeat.rs`. Does not release jobs:
//! `worker/supervisor/rescuer.rs` asks this file and the worker locks.
//!
//! Depends on `job`. The time is an argument; no wall clock is involved.
//!
//! A worker is presumed dead if this monitor has seen no new heartbeat of it for a whole lease. The monitor
//! measures by its own monotonic clock and must have looked without a gap. A process that was stopped or
//! suspended does not know what it missed, so its monitor starts again. The monitor also starts again while
//! its own worker's heartbeats are delayed: the cause may delay the heartbeats of all workers.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::job::WorkerId;

/// Watches the heartbeats of other workers and reports the workers whose lease has expired.
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

    /// Discards all observations and starts again.
    pub(crate) fn forget(&mut self) {
        self.seen.clear();
    }

    /// Records the heartbeats of all workers at `now` on the monotonic clock. Returns the workers whose
    /// heartbeats have not changed for a whole lease.
    pub(crate) fn look(
        &mut self,
        workers: impl IntoIterator<Item = (WorkerId, u64)>,
        now: Duration,
    ) -> Vec<WorkerId> {
        let gap = self.last_look.is_some_and(|last| now.saturating_sub(last) > self.lease / 4);
        if gap {
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
    fn a_worker_without_a_heartbeat_for_a_whole_lease_is_reported_and_one_with_heartbeats_is_not() {
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
    fn a_monitor_that_forgets_watches_for_a_whole_lease_again() {
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
    fn a_monitor_with_a_gap_in_its_observations_starts_again() {
        let mut monitor = HeartbeatMonitor::new(LEASE);
        assert!(monitor.look([(WORKER, 1)], at(0)).is_empty());
        // This process was suspended for an hour; the worker may have been suspended, too.
        assert!(monitor.look([(WORKER, 1)], at(3600)).is_empty());
        for second in (3605..3630).step_by(5) {
            assert!(monitor.look([(WORKER, 1)], at(second)).is_empty());
        }
        assert_eq!(monitor.look([(WORKER, 1)], at(3630)), [WORKER]);
    }
    /// When the monitor presumes a silent worker dead, if it looks once per `gap`.
    fn presumed_dead(gap: Duration) -> Option<Duration> {
        let mut monitor = HeartbeatMonitor::new(LEASE);
        (0..100).map(|look| gap * look).find(|now| !monitor.look([(WORKER, 1)], *now).is_empty())
    }

    #[test]
    fn a_gap_of_more_than_a_quarter_of_a_lease_between_two_looks_starts_the_watch_again() {
        assert_eq!(presumed_dead(LEASE / 4), Some(LEASE));
        assert_eq!(presumed_dead(LEASE / 4 + Duration::from_micros(1)), None);
    }
}
