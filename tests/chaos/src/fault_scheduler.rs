//! The [`FaultScheduler`]: which fault happens to which process, and when. Every choice comes from the seed.
//!
//! Depends on `process_group`. What the queue promises never comes in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::Result;
use crate::child::ChildConfig;
use crate::history::{Role, Signal};
use crate::process_group::ProcessGroup;
use crate::run_dir::RunDir;

/// Leases are short, so that a pause can be longer; each worker has its own.
const LEASE_MS: std::ops::RangeInclusive<u64> = 1_000..=2_000;

/// The longest pause of a process: shorter than the busy timeout of the others, in case it holds the write
/// lock.
const PAUSE_MS_MAX: u64 = 3_500;

/// What happens next, chosen by weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    KillOne,
    KillTwo,
    KillAll,
    /// Kills a process in its first milliseconds, while it opens the file.
    KillWhileOpening,
    /// Asks for a stop, and kills during the stop.
    KillWhileStopping,
    Stop,
    StopBeyondLease,
    Term,
    TermTwice,
    KillEnqueuer,
    StopEnqueuer,
    TermEnqueuer,
}

const FAULTS: &[(Fault, u32)] = &[
    (Fault::KillOne, 30),
    (Fault::KillTwo, 5),
    (Fault::KillAll, 1),
    (Fault::KillWhileOpening, 6),
    (Fault::KillWhileStopping, 5),
    (Fault::Stop, 8),
    (Fault::StopBeyondLease, 7),
    (Fault::Term, 12),
    (Fault::TermTwice, 2),
    (Fault::KillEnqueuer, 8),
    (Fault::StopEnqueuer, 4),
    (Fault::TermEnqueuer, 3),
];

/// Something that is due at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Plan {
    Fault,
    Signal(u32, Signal),
    /// A new process in the slot of one that has ended.
    TaskStarted(usize),
}

/// A slot of the process group, for one process after the other.
#[derive(Clone, Copy, Debug)]
struct Slot {
    role: Role,
    process: Option<u32>,
    /// Killed only together with all others, so that one process runs long enough to show a leak.
    long_lived: bool,
    /// The next process of this slot is killed in its first milliseconds.
    kill_early: bool,
}

/// The amount of work and faults.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) workers: usize,
    /// Jobs a second, of each of the two enqueuers.
    pub(crate) rate: u64,
    /// Average time between two faults.
    pub(crate) pause: Duration,
}

/// What is due for a process group.
#[derive(Debug)]
pub(crate) struct FaultScheduler {
    rng: Rng,
    load: Load,
    slots: Vec<Slot>,
    plans: BinaryHeap<Reverse<(Instant, Plan)>>,
    /// Faults are over: of the processes that end, only workers are started again.
    faults_over: bool,
}

impl FaultScheduler {
    pub(crate) fn new(seed: u64, load: Load) -> FaultScheduler {
        let slot = |role, long_lived| Slot { role, process: None, long_lived, kill_early: false };
        let mut slots: Vec<Slot> = (0..load.workers).map(|index| slot(Role::Worker, index == 0)).collect();
        slots.extend([slot(Role::Enqueuer, false), slot(Role::Inserter, false)]);
        let mut plans = BinaryHeap::new();
        let now = Instant::now();
        for index in 0..slots.len() {
            plans.push(Reverse((now, Plan::TaskStarted(index))));
        }
        plans.push(Reverse((now + Duration::from_millis(700), Plan::Fault)));
        FaultScheduler { rng: Rng::with_seed(seed), load, slots, plans, faults_over: false }
    }

    /// A scheduler that does nothing and starts no process by itself.
    pub(crate) fn idle(seed: u64, load: Load) -> FaultScheduler {
        let mut scheduler = FaultScheduler::new(seed, load);
        scheduler.slots.clear();
        scheduler.plans.clear();
        scheduler
    }

    /// Does what is due, and replaces processes that have ended.
    pub(crate) fn advance(&mut self, process_group: &mut ProcessGroup<'_>) -> Result<()> {
        for dead in process_group.reap()? {
            let index = self.slots.iter().position(|slot| slot.process == Some(dead.process));
            if let Some(index) = index {
                self.slots[index].process = None;
                if self.faults_over && dead.role != Role::Worker {
                    continue;
                }
                let wait = self.millis(0..=400);
                self.at(wait, Plan::TaskStarted(index));
            }
        }
        while let Some(Reverse((at, _))) = self.plans.peek() {
            if *at > Instant::now() {
                break;
            }
            let Some(Reverse((_, plan))) = self.plans.pop() else { break };
            match plan {
                Plan::Fault => self.act(process_group),
                Plan::Signal(process, signal) => process_group.signal(process, signal),
                Plan::TaskStarted(index) => self.start(index, process_group)?,
            }
        }
        Ok(())
    }

    /// Ends the faults: stopped processes continue, missing workers are started, and no process enqueues
    /// any more. Processes that are stopping may stop.
    pub(crate) fn end_faults(&mut self, process_group: &mut ProcessGroup<'_>) -> Result<()> {
        self.faults_over = true;
        self.plans.clear();
        let still: Vec<u32> = process_group
            .members
            .iter()
            .filter(|member| member.stopped)
            .map(|member| member.process)
            .collect();
        still.into_iter().for_each(|process| process_group.signal(process, Signal::Cont));
        for member in process_group.members.iter_mut().filter(|member| member.role != Role::Worker) {
            member.request_stop();
        }
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            slot.kill_early = false;
            if slot.role == Role::Worker
                && slot.process.is_none_or(|process| process_group.find(process).is_none())
            {
                self.start(index, process_group)?;
            }
        }
        Ok(())
    }

    /// The configuration of a new process with `role`.
    pub(crate) fn config(&mut self, role: Role, run_dir: &RunDir) -> ChildConfig {
        ChildConfig {
            role,
            process: 0,
            dir: run_dir.dir().to_owned(),
            seed: self.rng.u64(..),
            lease_ms: self.rng.u64(LEASE_MS),
            shutdown_timeout_ms: self.rng.u64(100..2_000),
            concurrency: self.rng.usize(2..5),
            rate: self.load.rate,
            task: None,
        }
    }

    fn start(&mut self, index: usize, process_group: &mut ProcessGroup<'_>) -> Result<()> {
        let config = self.config(self.slots[index].role, process_group.run_dir);
        let process = process_group.spawn(&config)?;
        self.slots[index].process = Some(process);
        if std::mem::take(&mut self.slots[index].kill_early) {
            let wait = self.millis(0..=60);
            self.at(wait, Plan::Signal(process, Signal::Kill));
        }
        Ok(())
    }

    fn act(&mut self, process_group: &mut ProcessGroup<'_>) {
        let pause = self.load.pause.as_millis() as u64;
        let wait = self.millis(0..=2 * pause);
        self.at(wait, Plan::Fault);
        let mut drawn = self.rng.u32(0..FAULTS.iter().map(|(_, weight)| weight).sum());
        let mut fault = Fault::KillOne;
        for (candidate, weight) in FAULTS {
            fault = *candidate;
            if drawn < *weight {
                break;
            }
            drawn -= weight;
        }
        let worker = |slot: &Slot| slot.role == Role::Worker;
        let expendable = |slot: &Slot| slot.role == Role::Worker && !slot.long_lived;
        let other = |slot: &Slot| slot.role != Role::Worker;
        let drawn = match fault {
            Fault::Stop | Fault::StopBeyondLease => self.draw(worker),
            Fault::KillEnqueuer | Fault::StopEnqueuer | Fault::TermEnqueuer => self.draw(other),
            Fault::KillWhileOpening => self.draw(|slot| !slot.long_lived),
            _ => self.draw(expendable),
        };
        // The slot may be empty, between the end of a process and the next start: then there is no
        // fault.
        let Some(process) = drawn else { return };
        match fault {
            Fault::KillOne | Fault::KillEnqueuer => process_group.signal(process, Signal::Kill),
            Fault::KillTwo => {
                process_group.signal(process, Signal::Kill);
                if let Some(second) = self.draw(expendable) {
                    process_group.signal(second, Signal::Kill);
                }
            }
            Fault::KillAll => {
                let all: Vec<u32> = process_group.members.iter().map(|member| member.process).collect();
                all.into_iter().for_each(|process| process_group.signal(process, Signal::Kill));
            }
            Fault::KillWhileOpening => {
                let slot = self.slots.iter_mut().find(|slot| slot.process == Some(process));
                slot.into_iter().for_each(|slot| slot.kill_early = true);
                process_group.signal(process, Signal::Kill);
            }
            Fault::KillWhileStopping => {
                process_group.signal(process, Signal::Term);
                let wait = self.millis(0..=600);
                self.at(wait, Plan::Signal(process, Signal::Kill));
            }
            Fault::Stop => self.pause(process, 20..=700, process_group),
            Fault::StopBeyondLease => self.pause(process, 1_500..=PAUSE_MS_MAX, process_group),
            Fault::StopEnqueuer => self.pause(process, 20..=PAUSE_MS_MAX, process_group),
            Fault::Term | Fault::TermEnqueuer => process_group.signal(process, Signal::Term),
            Fault::TermTwice => {
                process_group.signal(process, Signal::Term);
                let wait = self.millis(5..=100);
                self.at(wait, Plan::Signal(process, Signal::Term));
            }
        }
    }

    /// Pauses one process at a time. Two pauses in a row, each with the write lock held, would outlast
    /// the busy timeout, which proves nothing.
    fn pause(
        &mut self,
        process: u32,
        millis: std::ops::RangeInclusive<u64>,
        process_group: &mut ProcessGroup<'_>,
    ) {
        if process_group.members.iter().any(|member| member.stopped) {
            return;
        }
        process_group.signal(process, Signal::Stop);
        let wait = self.millis(millis);
        self.at(wait, Plan::Signal(process, Signal::Cont));
    }

    fn draw(&mut self, wanted: impl Fn(&Slot) -> bool) -> Option<u32> {
        let there: Vec<u32> = self.slots.iter().filter(|it| wanted(it)).filter_map(|it| it.process).collect();
        (!there.is_empty()).then(|| there[self.rng.usize(0..there.len())])
    }

    fn millis(&mut self, range: std::ops::RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.rng.u64(range))
    }

    fn at(&mut self, wait: Duration, plan: Plan) {
        self.plans.push(Reverse((Instant::now() + wait, plan)));
    }
}
