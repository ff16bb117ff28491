//! Decides what the death of a worker means for the jobs that it held: [`count_crash`]. Which job fails, and
//! how many of the others a worker may hold together: [`Suspicion`].
//!
//! Does not decide whether a worker is dead: see `lease.rs` and the worker locks.
//! `store/engine/apply_requests.rs` passes the jobs to this file; `store/engine/leave_running.rs` computes
//! their new rows. How many suspected jobs a worker may claim is decided in `store/sqlite/queries/claim.rs`
//! and `store/memory/state.rs`, by the numbers of this file.
//!
//! Depends on `job`.
//!
//! A job that crashes its process (an abort, a stack overflow, out of memory) interrupts every other job in
//! it, at each of its attempts. So crashes are counted apart from failures, and the cause is found as in group
//! testing:
//!
//! 1. Most deaths are nobody's fault (a deployment, a power failure). After the first one, all jobs run again
//!    as before.
//! 2. A job with a second crash is a *suspected poison job*. The workers of a process hold at most half as many
//!    suspected jobs together as were suspected at that death. Each further death halves that number for those that were
//!    held, so the search among n jobs takes about log2(n) deaths.
//! 3. A job that has reached the crash limit fails if the process held no other job, or if this is its third
//!    death as the only job that was suspected before. This death counts for no job of the other workers. Then the deaths that other jobs shared with it are no
//!    longer counted for them: see
//!    [`Transaction::clear_crashes_shared_with`](crate::store::engine::transaction::Transaction::clear_crashes_shared_with).

use std::collections::BTreeMap;

pub(crate) use crate::model::job::CRASHES_MAX;
use crate::model::job::JobId;

/// The crash count from which on a job is a suspected poison job.
pub(crate) const SUSPECTED_FROM: u32 = 2;

/// After this many deaths as the only suspected job, a job fails although other jobs were held. One death of
/// this kind proves nothing: another job may have begun that is a poison job, too. A job that was held at two of
/// these deaths was suspected at the third and thus not held. So it would take two such jobs to explain all
/// three.
const DEATHS_AS_ONLY_ONE: i64 = 3;

/// What the deaths of workers have shown about a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Suspicion {
    /// The crashes that are counted for the job.
    pub(crate) crash_count: u32,
    /// The column `max_suspected`: the most suspected jobs, this one included, that the workers of a process hold
    /// together.
    /// `None` for a job that was never suspected. Below 1, it stands for 1, and each number below 1 for a death
    /// as the only suspected job.
    pub(crate) max_suspected: Option<i64>,
}

impl Suspicion {
    pub(crate) fn is_suspected(self) -> bool {
        self.crash_count >= SUSPECTED_FROM
    }

    /// After one more death, at which `before` suspected jobs were held, and `after` are suspected now.
    fn after_death(self, before: usize, after: usize) -> Suspicion {
        let crash_count = self.crash_count.saturating_add(1);
        let max_suspected = match self.max_suspected {
            _ if crash_count < SUSPECTED_FROM => None,
            Some(max @ ..=1) => Some(max.saturating_sub(1)),
            Some(max) => Some((max.min(before as i64) / 2).max(1)),
            None => Some((after as i64 / 2).max(1)),
        };
        Suspicion { crash_count, max_suspected }
    }
}

/// The suspected jobs that the workers of a process hold. A claim adds jobs to them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SuspectedGroup {
    count: usize,
    /// The most that the worker may hold together.
    most: usize,
}

impl SuspectedGroup {
    /// `count` jobs, of which `least` is the smallest `max_suspected`.
    pub(crate) fn new(count: usize, least: Option<i64>) -> SuspectedGroup {
        SuspectedGroup { count, most: if count == 0 { usize::MAX } else { most_together(least) } }
    }

    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "the memory store tries each job"))]
    pub(crate) fn is_full(self) -> bool {
        self.count >= self.most
    }

    /// Adds a job with this `max_suspected`, if the worker may hold it together with the others.
    pub(crate) fn add(&mut self, max_suspected: Option<i64>) -> bool {
        let most = self.most.min(most_together(max_suspected));
        let fits = self.count < most;
        if fits {
            (self.count, self.most) = (self.count + 1, most);
        }
        fits
    }
}

/// The most suspected jobs that a worker may hold together with one that has this `max_suspected`.
fn most_together(max_suspected: Option<i64>) -> usize {
    usize::try_from(max_suspected.unwrap_or(1)).unwrap_or(0).max(1)
}

/// What the death of its worker means for one job.
#[derive(Debug, PartialEq)]
pub(crate) struct Crash {
    /// The job's error.
    pub(crate) error: String,
    /// What becomes of the job; `None` if it fails.
    pub(crate) suspicion: Option<Suspicion>,
    /// Whether the crash is counted. It is not if a job of another worker of the process has just failed by it.
    pub(crate) is_counted: bool,
}

/// The jobs of the other workers of a process, as they were when it died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beside {
    pub(crate) jobs: usize,
    /// Those of them that were suspected before.
    pub(crate) suspected: usize,
    /// Those of them that have crashed before: they are suspected now.
    pub(crate) crashed: usize,
    /// One of them has failed by this death, so it is the cause.
    pub(crate) has_failed: bool,
}

impl Beside {
    /// Counts one job by its crashes before this death.
    pub(crate) fn add(&mut self, crash_count: u32) {
        self.jobs += 1;
        self.suspected += usize::from(crash_count >= SUSPECTED_FROM);
        self.crashed += usize::from(crash_count.saturating_add(1) >= SUSPECTED_FROM);
    }
}

/// Counts a crash for each job that a dead worker `held`, and decides whether one of them fails: with crash
/// number `crashes_max` at the earliest. At most one does. The jobs `beside` them can be the cause, too.
pub(crate) fn count_crash(
    held: &[(JobId, Suspicion)],
    beside: Beside,
    crashes_max: u32,
) -> BTreeMap<JobId, Crash> {
    let is_counted = !beside.has_failed;
    let mut all = beside;
    held.iter().for_each(|(_, job)| all.add(job.crash_count));
    let (before, after) = (all.suspected, all.crashed);
    let is_poison = |job: Suspicion, then: Suspicion| {
        let deaths_as_only_one = 2_i64.saturating_sub(job.max_suspected.unwrap_or(1));
        let is_only_one = before == 1 && job.is_suspected() && deaths_as_only_one >= DEATHS_AS_ONLY_ONE;
        is_counted && then.crash_count >= crashes_max && (all.jobs == 1 || is_only_one)
    };
    let crash = |&(id, job): &(JobId, Suspicion)| {
        let then = if is_counted { job.after_death(before, after) } else { job };
        let suspicion = Some(then).filter(|_| !is_poison(job, then));
        (id, Crash { error: error_of(then.crash_count, suspicion.is_none()), suspicion, is_counted })
    };
    held.iter().map(crash).collect()
}

fn error_of(crash_count: u32, is_last: bool) -> String {
    if !is_last {
        return "the worker that held this job died or was presumed dead".into();
    }
    let times = if crash_count == 1 { "once".to_owned() } else { format!("{crash_count} times") };
    format!(
        "the worker that held this job died or was presumed dead {times}, so the job has failed: find what ends or \
         freezes the process (an abort, a stack overflow, too much memory, a suspended machine), then call \
         `queue.retry(id)`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: i64, crash_count: u32, max_suspected: i64) -> (JobId, Suspicion) {
        let max_suspected = (crash_count >= SUSPECTED_FROM).then_some(max_suspected);
        (JobId(id), Suspicion { crash_count, max_suspected })
    }

    /// The crash count and `max_suspected` of a job; `None` if it fails.
    type Counted = Option<(u32, Option<i64>)>;

    fn counted(held: &[(JobId, Suspicion)], crashes_max: u32) -> Vec<(i64, Counted)> {
        let pair = |it: Suspicion| (it.crash_count, it.max_suspected);
        count_crash(held, Beside::default(), crashes_max)
            .into_iter()
            .map(|(id, crash)| (id.0, crash.suspicion.map(pair)))
            .collect()
    }

    #[test]
    fn nobody_is_suspected_after_one_death() {
        assert_eq!(counted(&[job(1, 0, 0), job(2, 0, 0)], 3), [(1, Some((1, None))), (2, Some((1, None)))]);
        assert_eq!(counted(&[job(1, 0, 0)], 3), [(1, Some((1, None)))]);
        assert_eq!(counted(&[], 3), []);
    }

    #[test]
    fn after_two_deaths_half_of_those_that_were_held_at_both_may_be_held_together() {
        let held = [job(1, 1, 0), job(2, 1, 0), job(3, 1, 0), job(4, 1, 0), job(5, 1, 0), job(6, 0, 0)];
        let all: Vec<_> = (1..=5).map(|id| (id, Some((2, Some(2))))).chain([(6, Some((1, None)))]).collect();
        assert_eq!(counted(&held, 3), all);
    }

    #[test]
    fn each_death_halves_the_group_of_those_that_were_held() {
        let held: Vec<_> = (1..=8).map(|id| job(id, 2, 8)).collect();
        assert!(counted(&held, 3).iter().all(|(_, it)| *it == Some((3, Some(4)))));
        // Fewer were held than allowed. One has become suspected only now.
        let held = [job(1, 5, 100), job(2, 2, 50), job(3, 1, 0)];
        assert_eq!(
            counted(&held, 3),
            [(1, Some((6, Some(1)))), (2, Some((3, Some(1)))), (3, Some((2, Some(1))))]
        );
    }

    #[test]
    fn a_job_fails_at_the_limit_if_no_other_one_was_held() {
        assert_eq!(counted(&[job(1, 2, 1)], 3), [(1, None)]);
        assert_eq!(
            counted(&[job(1, 2, 1), job(2, 0, 0)], 3)[0],
            (1, Some((3, Some(0)))),
            "that may be the cause"
        );
        assert_eq!(counted(&[job(1, 1, 1)], 3), [(1, Some((2, Some(1))))], "too early");
        assert_eq!(counted(&[job(1, 7, 4)], 3), [(1, None)], "counted when the limit was higher");
        assert_eq!(counted(&[job(1, 0, 0)], 1), [(1, None)]);
        assert_eq!(counted(&[job(1, 0, 0), job(2, 0, 0)], 1), [(1, Some((1, None))), (2, Some((1, None)))]);
    }

    #[test]
    fn of_several_suspected_jobs_none_fails() {
        let held = [job(1, 9, 2), job(2, 9, 2)];
        assert_eq!(counted(&held, 3), [(1, Some((10, Some(1)))), (2, Some((10, Some(1))))]);
    }

    #[test]
    fn beside_jobs_that_were_not_suspected_it_takes_three_deaths() {
        let fresh = job(2, 1, 0);
        assert_eq!(counted(&[job(1, 5, 1), fresh], 3)[0], (1, Some((6, Some(0)))));
        assert_eq!(counted(&[job(1, 6, 0), fresh], 3)[0], (1, Some((7, Some(-1)))));
        assert_eq!(counted(&[job(1, 7, -1), fresh], 3), [(1, None), (2, Some((2, Some(1))))]);
        // The limit still holds.
        assert_eq!(counted(&[job(1, 7, -1), fresh], 9)[0], (1, Some((8, Some(-2)))));
    }

    /// Both workers of the process are counted alike, in whatever order they are released.
    #[test]
    fn jobs_of_other_workers_of_the_process_count_as_if_one_worker_had_held_all() {
        let all = [job(1, 2, 1), job(2, 3, 8), job(3, 1, 0), job(4, 0, 0)];
        for split in 0..=all.len() {
            let (held, others) = all.split_at(split);
            let mut beside = Beside::default();
            others.iter().for_each(|(_, job)| beside.add(job.crash_count));
            let together = count_crash(&all, Beside::default(), 3);
            for (id, crash) in count_crash(held, beside, 3) {
                assert_eq!(crash, together[&id], "{split}");
            }
        }
        let failed = Beside { has_failed: true, ..Beside::default() };
        let crash = count_crash(&[job(1, 2, 1)], failed, 3).remove(&JobId(1)).unwrap();
        assert_eq!((crash.suspicion, crash.is_counted), (Some(job(1, 2, 1).1), false), "it has the cause");
        let mut beside = Beside::default();
        beside.add(0);
        let crash = count_crash(&[job(1, 2, 1)], beside, 3).remove(&JobId(1)).unwrap();
        assert!(crash.suspicion.is_some(), "the job of the other worker may be the cause");
    }

    #[test]
    fn a_worker_holds_as_many_suspected_jobs_as_the_closest_suspicion_among_them_allows() {
        let mut group = SuspectedGroup::new(0, None);
        assert!(group.add(Some(500)) && group.add(Some(3)) && !group.add(Some(2)) && group.add(Some(3)));
        assert!(group.is_full() && !group.add(Some(500)));
        for max_suspected in [Some(1), Some(0), Some(-7), None] {
            assert!(SuspectedGroup::new(1, max_suspected).is_full(), "{max_suspected:?}");
            let mut group = SuspectedGroup::new(0, None);
            assert!(group.add(max_suspected) && !group.add(Some(9)), "{max_suspected:?}");
        }
        assert!(!SuspectedGroup::new(1, Some(2)).is_full());
    }

    #[test]
    fn the_error_of_the_last_crash_says_how_many_there_were() {
        assert!(error_of(3, true).contains("died or was presumed dead 3 times, so the job has failed"));
        assert!(error_of(1, true).contains("died or was presumed dead once, so the job has failed"));
        assert_eq!(error_of(2, false), "the worker that held this job died or was presumed dead");
        assert_eq!(counted(&[job(1, u32::MAX, 1)], 3), [(1, None)]);
    }
}
