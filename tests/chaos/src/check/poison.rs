//! Rule S1: what a death counts, which jobs a worker holds together after it, and which job fails by it.
//!
//! [`Search`] follows the log with its own idea of the search for poison jobs, written apart from the product.

use std::collections::{HashMap, HashSet};

use qdjobs::Status;

use super::{Case, Findings};
use crate::evidence::{Change, State, Step};
use crate::tasks::CRASHES_MAX;

/// From so many crashes on, a job is suspected.
const SUSPECTED_FROM: i64 = 2;

/// What the log shows about poison jobs.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// The transitions that count fewer crashes for a job, because another one has caused them.
    pub(super) explained: HashSet<i64>,
    violations: Vec<String>,
    /// How many deaths and claims of suspected jobs were checked.
    checked: usize,
    jobs: HashMap<i64, KnownJob>,
    /// The jobs of the worker that was just released as dead, with their states before and after.
    dead: Vec<(i64, State, State)>,
    /// The last transition of that release.
    released_at: i64,
    /// Of each job that has failed by its crashes: those that crashed with it, and how often.
    to_clear: Vec<HashMap<i64, i64>>,
}

#[derive(Debug)]
struct KnownJob {
    state: State,
    /// The transition that last claimed it.
    claimed: i64,
    crashes: Vec<Crash>,
    /// How many suspected jobs a worker may hold together with it.
    together: i64,
    /// How often it was the only suspected job at a death, once no other one was allowed beside it.
    alone: u32,
}

/// A death with a job.
#[derive(Clone, Copy, Debug)]
struct Crash {
    worker: i64,
    /// The transitions of the claim and of the release.
    during: (i64, i64),
}

impl Crash {
    /// Whether both are one death: with the same worker, or at the same time with workers of one process.
    fn is_shared_with(self, other: Crash) -> bool {
        let process = |crash: Crash| crash.worker >> 32;
        self.worker == other.worker
            || (process(self) > 0
                && process(self) == process(other)
                && self.during.0 <= other.during.1
                && other.during.0 <= self.during.1)
    }
}

impl Search {
    pub(super) fn through(log: &[Step]) -> Search {
        let mut search = Search::default();
        for step in log {
            search.follow(step);
        }
        search.end_death();
        for job in search.to_clear.iter().flat_map(HashMap::keys) {
            search.violations.push(format!("the crashes of job {job} that another one caused still count"));
        }
        search
    }

    fn follow(&mut self, step: &Step) {
        if let Change::Update { job, old, new } = step.change
            && old.status == Status::Running
            && new.crash_count > old.crash_count
        {
            if self.dead.last().is_some_and(|(_, before, _)| before.worker != old.worker) {
                self.end_death();
            }
            self.dead.push((job, old, new));
            self.released_at = step.seq;
            return;
        }
        self.end_death();
        match step.change {
            Change::Insert { job, new, .. } => {
                let known =
                    KnownJob { state: new, claimed: 0, crashes: Vec::new(), together: i64::MAX, alone: 0 };
                self.jobs.insert(job, known);
            }
            Change::Update { job, old, new } => self.update(step.seq, job, old, new),
            Change::Delete { job, .. } => {
                self.jobs.remove(&job);
                self.to_clear.iter_mut().for_each(|jobs| _ = jobs.remove(&job));
            }
            Change::RegisterWorker { .. } | Change::Forget { .. } => {}
        }
    }

    fn update(&mut self, seq: i64, job: i64, old: State, new: State) {
        let clearing = self.to_clear.iter_mut().find_map(|jobs| jobs.remove(&job));
        let Some(known) = self.jobs.get_mut(&job) else { return };
        known.state = new;
        if new.crash_count < SUSPECTED_FROM {
            (known.together, known.alone) = (i64::MAX, 0);
        }
        if let Some(shared) = clearing {
            known.alone = 0;
            let wanted = State { crash_count: (old.crash_count - shared).max(0), ..old };
            if new == wanted {
                self.explained.insert(seq);
            } else {
                self.violations.push(format!(
                    "job {job} shares {shared} crashes with one that has failed by them, and is next changed from {old:?} to {new:?}"
                ));
            }
        }
        let is_claimed = new.status == Status::Running && old.status == Status::Pending;
        if is_claimed {
            known.claimed = seq;
        }
        if is_claimed && new.crash_count >= SUSPECTED_FROM {
            self.checked += 1;
            self.check_held(new.worker);
        }
    }

    fn check_held(&mut self, worker: Option<i64>) {
        let process =
            |worker: Option<i64>| worker.map(|worker| if worker >> 32 > 0 { worker >> 32 } else { worker });
        let held = self.jobs.iter().filter(|(_, it)| {
            (it.state.status, process(it.state.worker)) == (Status::Running, process(worker))
                && it.state.crash_count >= SUSPECTED_FROM
        });
        let held: Vec<(i64, i64)> = held.map(|(job, it)| (*job, it.together)).collect();
        if held.iter().any(|(_, together)| *together < held.len() as i64) {
            self.violations
                .push(format!("the process of worker {worker:?} holds the suspected jobs {held:?}"));
        }
    }

    /// The crash counts before its death of the jobs that other workers of a process held. A worker that lost its
    /// lease was another one before.
    fn beside(&self, dead: &[(i64, State, State)]) -> Vec<i64> {
        let Some(worker) = dead.first().and_then(|(_, old, _)| old.worker) else { return Vec::new() };
        let is_beside = |other: i64| other != worker && other >> 32 == worker >> 32 && worker >> 32 > 0;
        let claimed = |(job, ..): &(i64, State, State)| self.jobs.get(job).map(|known| known.claimed);
        let since = dead.iter().filter_map(claimed).max().unwrap_or(0);
        let others = self.jobs.iter().filter(|(job, _)| !dead.iter().any(|(held, ..)| held == *job));
        let counts = others.flat_map(|(_, it)| {
            let crashed = it
                .crashes
                .iter()
                .filter(|other| is_beside(other.worker) && other.during.1 >= since)
                .map(|_| (it.state.crash_count - 1).max(0));
            let runs = it.state.status == Status::Running && it.state.worker.is_some_and(is_beside);
            crashed.chain(runs.then_some(it.state.crash_count))
        });
        counts.collect()
    }

    /// All jobs of a dead worker were seen.
    fn end_death(&mut self) {
        let dead = std::mem::take(&mut self.dead);
        self.checked += usize::from(!dead.is_empty());
        let mut counts = self.beside(&dead);
        counts.extend(dead.iter().map(|(_, old, _)| old.crash_count));
        let before = counts.iter().filter(|count| **count >= SUSPECTED_FROM).count() as i64;
        let after = counts.iter().filter(|count| **count + 1 >= SUSPECTED_FROM).count() as i64;
        for &(job, old, new) in &dead {
            let Some(known) = self.jobs.get_mut(&job) else { continue };
            known.state = new;
            let during = (known.claimed, self.released_at);
            known.crashes.extend(old.worker.map(|worker| Crash { worker, during }));
            known.alone += u32::from(known.together <= 1);
            known.together = match known.together {
                _ if new.crash_count < SUSPECTED_FROM => i64::MAX,
                i64::MAX => (after / 2).max(1),
                together => (together.min(before) / 2).max(1),
            };
            let is_poison =
                new.crash_count >= i64::from(CRASHES_MAX) && (counts.len() == 1 || known.alone >= 3);
            if is_poison != (new.status == Status::Failed) {
                self.violations.push(format!(
                    "job {job} is {} after {} crashes, the last with {dead:?}; the limit is {CRASHES_MAX}",
                    new.status, new.crash_count
                ));
            }
        }
        for (job, ..) in dead.into_iter().filter(|(.., new)| new.status == Status::Failed) {
            self.clear_for(job);
        }
    }

    /// A job has failed by its crashes.
    fn clear_for(&mut self, poison: i64) {
        let Some(known) = self.jobs.get(&poison) else { return };
        let its: Vec<Crash> =
            known.crashes.iter().rev().take(known.state.crash_count as usize).copied().collect();
        let others = self.jobs.iter().filter(|(job, it)| {
            let is_live = matches!(it.state.status, Status::Pending | Status::Running);
            **job != poison && is_live && it.state.crash_count > 0
        });
        let shared = others.map(|(job, it)| {
            (
                *job,
                it.crashes.iter().filter(|crash| its.iter().any(|own| own.is_shared_with(**crash))).count()
                    as i64,
            )
        });
        self.to_clear.push(shared.filter(|(_, shared)| *shared > 0).collect());
    }
}

/// S1
pub(super) fn only_poison_jobs_fail_by_crashes(case: &Case<'_>, findings: &mut Findings) {
    for violation in &case.search.violations {
        findings.expect(false, || violation.clone());
    }
    (0..case.search.checked).for_each(|_| findings.expect(true, String::new));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log under construction.
    #[derive(Clone, Default)]
    struct Log {
        steps: Vec<Step>,
        states: HashMap<i64, State>,
    }

    impl Log {
        /// A log of these jobs, with which `deaths` workers have died.
        fn after(jobs: std::ops::Range<i64>, deaths: i64) -> Log {
            let mut log = Log::default();
            for job in jobs.clone() {
                let new = State {
                    status: Status::Pending,
                    attempt: 0,
                    worker: None,
                    retry_count: 0,
                    crash_count: 0,
                };
                log.states.insert(job, new);
                log.step(Change::Insert { job, mark: None, new });
            }
            for worker in 1..=deaths {
                log.die(worker, jobs.clone());
            }
            log
        }

        fn step(&mut self, change: Change) {
            let seq = self.steps.len() as i64 + 1;
            self.steps.push(Step { seq, wall: seq, change });
        }

        fn change(&mut self, job: i64, change: impl Fn(&mut State)) {
            let old = self.states[&job];
            change(self.states.get_mut(&job).unwrap());
            self.step(Change::Update { job, old, new: self.states[&job] });
        }

        fn claim(&mut self, worker: i64, jobs: impl IntoIterator<Item = i64>) {
            for job in jobs {
                self.change(job, |it| (it.status, it.worker) = (Status::Running, Some(worker)));
            }
        }

        /// The worker dies with these jobs.
        fn die(&mut self, worker: i64, jobs: impl IntoIterator<Item = i64> + Clone) {
            self.claim(worker, jobs.clone());
            self.step(Change::Forget { worker });
            for job in jobs {
                self.change(job, |it| {
                    (it.status, it.worker, it.crash_count) = (Status::Pending, None, it.crash_count + 1);
                });
            }
        }

        /// The worker dies with this job, which fails.
        fn fail(&mut self, worker: i64, job: i64) {
            self.claim(worker, [job]);
            self.step(Change::Forget { worker });
            self.change(job, |it| (it.status, it.crash_count) = (Status::Failed, it.crash_count + 1));
        }

        #[track_caller]
        fn is_good(&self) -> Search {
            let search = Search::through(&self.steps);
            assert_eq!(search.violations, Vec::<String>::new());
            search
        }

        #[track_caller]
        fn is_bad(&self, why: &str) {
            let search = Search::through(&self.steps);
            assert!(search.violations.iter().any(|it| it.contains(why)), "{:?}", search.violations);
        }
    }

    #[test]
    fn more_suspected_jobs_with_one_worker_than_allowed_are_found() {
        let mut log = Log::after(1..5, 1);
        log.claim(9, 1..5);
        log.is_good();
        let mut log = Log::after(1..5, 2);
        log.claim(9, [1, 2]);
        log.claim(10, [3, 4]);
        log.is_good();
        let mut log = Log::after(1..5, 2);
        log.claim(9, [1, 2, 3]);
        log.is_bad("holds the suspected jobs");
    }

    #[test]
    fn a_failure_by_crashes_too_early_or_too_late_is_found() {
        let limit = i64::from(CRASHES_MAX);
        let mut log = Log::after(1..2, limit - 1);
        log.fail(9, 1);
        log.is_good();
        let mut log = Log::after(1..2, limit - 2);
        log.fail(9, 1);
        log.is_bad("the limit is");
        Log::after(1..2, limit).is_bad("the limit is");
    }

    #[test]
    fn a_failure_beside_another_suspected_job_is_found() {
        let mut log = Log::after(1..3, i64::from(CRASHES_MAX) - 1);
        log.claim(9, [1, 2]);
        log.step(Change::Forget { worker: 9 });
        log.change(1, |it| (it.status, it.crash_count) = (Status::Failed, it.crash_count + 1));
        log.change(2, |it| (it.status, it.crash_count) = (Status::Pending, it.crash_count + 1));
        log.is_bad("the limit is");
    }

    #[test]
    fn a_failure_beside_the_job_of_another_worker_of_the_process_is_found() {
        let process = 7 << 32;
        for (neighbor, is_good) in [(process | 2, false), (8 << 32, true)] {
            let mut log = Log::after(1..17, 2);
            // The groups are halved, so that the first job is the only suspected one at its last death alone.
            [8, 4, 2].into_iter().enumerate().for_each(|(at, most)| log.die(10 + at as i64, 1..=most));
            let new = Log::after(17..18, 0);
            log.steps.extend(new.steps);
            log.states.extend(new.states);
            log.claim(neighbor, [17]);
            log.fail(process | 1, 1);
            let violations = Search::through(&log.steps).violations;
            assert_eq!(violations.iter().any(|it| it.contains("the limit is")), !is_good, "{violations:?}");
        }
    }

    #[test]
    fn crashes_that_a_failed_job_has_caused_count_no_more() {
        let mut log = Log::after(1..3, 2);
        for worker in 3..i64::from(CRASHES_MAX) {
            log.die(worker, [1]);
        }
        log.fail(9, 1);
        log.is_bad("still count");
        let mut cleared = log.clone();
        cleared.change(2, |it| it.crash_count = 0);
        assert_eq!(cleared.is_good().explained.len(), 1);
        let mut kept = log.clone();
        kept.claim(10, [2]);
        kept.is_bad("is next changed");
        log.change(2, |it| it.crash_count = 1);
        log.is_bad("is next changed");
    }
}
