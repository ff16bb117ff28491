//! Decides which step of a simulated run comes next: [`World`], with its clock, its disk and its processes.
//!
//! `world/callers.rs` makes the calls, `world/handlers.rs` begins and ends jobs, `world/faults.rs` applies
//! the disruptions.
//!
//! Depends on `process.rs` for the steps and on `model.rs` for the checks. One thread does everything, one
//! step at a time.

mod callers;
mod faults;
mod handlers;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use qdjobs_sim_disk::{Disk, Fault, FaultDuration, Rng, as_process};

use super::model::{Check, Model, WorkerStatus};
use super::plan::{Disruption, Plan};
use super::process::{Call, LiveProcess, Process, SeenEvent};
use super::trace::{Trace, note};
use crate::model::clock::{Clock, Timestamp};
use crate::model::job::NewJob;
use crate::store::sqlite::testing::snapshot::SnapshotReader;

/// The first instant of every run: 2026-11-18 11:06:40.
const START: i64 = 1_795_000_000_000_000;

/// A run that is still recovering after so many steps has hung.
const STEPS_MAX: usize = 200_000;

/// What a process can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Start,
    Write,
    Read,
    Dispatch(usize),
    Begin(usize),
    End(usize),
    Supervise,
    Stop,
}

/// What is injected into the next step that touches the disk; the number says at which of its operations.
#[derive(Clone, Copy, Debug)]
enum Injection {
    Fault(u64, Fault),
    Kill(u64),
    PowerCut(u64),
}

/// The phases of a run, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Disruptions happen.
    Chaos,
    /// No more disruptions: every job has to end.
    Recovery,
    /// No process starts any more, and the workers stop.
    Shutdown,
}

pub(super) struct World<'t> {
    plan: Plan,
    rng: Rng,
    trace: &'t Trace,
    model: Model,
    clock: Clock,
    now: Duration,
    /// What the wall clock shows beyond `START + now`, in microseconds.
    wall_offset: i64,
    disk: Disk,
    dir: tempfile::TempDir,
    processes: Vec<Process>,
    next_number: u32,
    /// The reader of the stored state, and the process number under which the disk knows it.
    snapshot: Option<(u32, SnapshotReader)>,
    injection: Option<Injection>,
    /// All disk operations fail like this, until then.
    outage: Option<(Fault, Duration)>,
    loses_notifications: bool,
    /// Jobs with an idempotency key of which no caller knows whether they are stored.
    unknown: Vec<(u64, NewJob)>,
    /// The tags of jobs that were inserted again.
    repeated: BTreeSet<u64>,
    tags: u64,
    steps: usize,
    phase: Phase,
}

impl<'t> World<'t> {
    pub(super) fn new(seed: u64, trace: &'t Trace) -> World<'t> {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        note!(trace, "{plan:?}");
        let dir = tempfile::tempdir().expect("a directory for temporary files");
        let disk = Disk::mount(dir.path(), rng.roll()).expect("a simulated disk");
        let processes = (0..plan.processes).map(|_| Process::default()).collect();
        World {
            loses_notifications: plan.disruptions.contains(&Disruption::LostNotifications),
            plan,
            rng,
            trace,
            model: Model::default(),
            clock: Clock::simulated(Timestamp::from_microsecond(START).expect("an instant of this century")),
            now: Duration::ZERO,
            wall_offset: 0,
            disk,
            dir,
            processes,
            next_number: 1,
            snapshot: None,
            injection: None,
            outage: None,
            unknown: Vec::new(),
            repeated: BTreeSet::new(),
            tags: 0,
            steps: 0,
            phase: Phase::Chaos,
        }
    }

    /// Chaos, recovery and shutdown.
    pub(super) fn run(mut self) -> Check {
        self.advance(Duration::ZERO);
        while self.steps < self.plan.steps {
            self.round()?;
        }
        self.recover()?;
        note!(self.trace, "drained at {:?}", self.now);
        self.shut_down()?;
        self.look()?;
        self.check_end()
    }

    /// Ends all faults and waits until every job has ended.
    fn recover(&mut self) -> Check {
        self.end_disruptions();
        let deadline = self.drained_by();
        while !(self.model.is_drained() && self.is_answered() && self.has_only_live_workers()) {
            self.round()?;
            if self.now > deadline || self.steps > STEPS_MAX {
                return Err(format!(
                    "not drained in {} steps; dead workers that are registered: {:?}; open calls: {}; open jobs:{}",
                    self.steps,
                    self.dead_workers(),
                    !self.is_answered(),
                    self.model.open_jobs()
                ));
            }
        }
        Ok(())
    }

    /// Stops all workers and waits until every process has ended.
    fn shut_down(&mut self) -> Check {
        self.phase = Phase::Shutdown;
        let deadline = self.now + self.plan.shutdown_timeout + self.plan.lease * 4 + Duration::from_secs(60);
        while self.processes.iter().any(|process| process.live.is_some()) {
            for process in &mut self.processes {
                if let Some(worker) = process.live.as_mut().and_then(|live| live.worker.as_mut()) {
                    worker.stop();
                }
            }
            self.round()?;
            if self.now > deadline || self.steps > STEPS_MAX {
                return Err("the workers do not stop".into());
            }
        }
        Ok(())
    }

    /// The file is intact, and no worker is registered.
    fn check_end(&mut self) -> Check {
        let Some((_, snapshot)) = &self.snapshot else { return Err("there is no snapshot reader".into()) };
        let sound =
            snapshot.check_integrity().map_err(|error| format!("the file cannot be checked: {error}"))?;
        if sound != "ok" {
            return Err(format!("the file is damaged: {sound}"));
        }
        if !self.model.state.workers.is_empty() {
            return Err(format!("workers are still registered: {:?}", self.model.state.workers));
        }
        Ok(())
    }

    // ---- Time ----

    fn advance(&mut self, time: Duration) {
        self.now += time;
        self.set_clock();
    }

    fn wall_micros(&self) -> i64 {
        START + self.now.as_micros() as i64 + self.wall_offset
    }

    fn set_clock(&mut self) {
        let wall = self.wall_micros();
        self.model.wall_clock_is(wall);
        self.clock.set(Timestamp::from_microsecond(wall).unwrap_or(Timestamp::MAX), self.now);
    }

    /// No process has anything to do: advances the clock until one has.
    fn sleep(&mut self) {
        let mut next: Option<Duration> = None;
        for process in &self.processes {
            for (at, _) in self.due_steps(process) {
                let at = at.max(process.frozen_until);
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        let until = next.unwrap_or(self.now + Duration::from_secs(1));
        let over = Duration::from_micros(self.rng.below(3_000));
        self.advance(until.saturating_sub(self.now) + over);
    }

    /// The steps of a process, each with the time when it is due.
    fn due_steps(&self, process: &Process) -> Vec<(Duration, Step)> {
        let mut steps = Vec::new();
        let mut add = |at: Option<Duration>, step: Step| steps.extend(at.map(|at| (at, step)));
        let Some(live) = &process.live else {
            add((self.phase < Phase::Shutdown).then_some(process.starts_at), Step::Start);
            return steps;
        };
        add(live.store.writes_at().map(|at| at.max(process.writes_from)), Step::Write);
        add(live.store.has_question().then_some(process.reads_from), Step::Read);
        if let Some(worker) = &live.worker {
            for dispatcher in 0..worker.dispatchers() {
                add(worker.dispatches_at(dispatcher), Step::Dispatch(dispatcher));
                add(worker.can_begin(dispatcher).then_some(Duration::ZERO), Step::Begin(dispatcher));
            }
            add(worker.supervises_at(), Step::Supervise);
            add(worker.stops_at(), Step::Stop);
        }
        for (index, run) in live.runs.iter().enumerate() {
            add(Some(run.ends()), Step::End(index));
        }
        steps
    }

    /// What can be done now, by the index of the process.
    fn ready(&self) -> Vec<(usize, Step)> {
        let awake = self.processes.iter().enumerate().filter(|(_, it)| self.now >= it.frozen_until);
        awake
            .flat_map(|(index, process)| {
                let due = self.due_steps(process).into_iter().filter(|(at, _)| *at <= self.now);
                due.map(move |(_, step)| (index, step))
            })
            .collect()
    }

    // ---- One round ----

    fn round(&mut self) -> Check {
        self.steps += 1;
        if self.phase == Phase::Chaos {
            if self.rng.once_in(self.plan.disruption_in) {
                return self.disrupt();
            }
            if self.rng.once_in(self.plan.call_in) {
                return self.call();
            }
        }
        let ready = self.ready();
        match self.rng.pick(&ready).copied() {
            None => self.sleep(),
            Some(_) if self.rng.once_in(10) => {
                let time = Duration::from_micros(self.rng.below(20_000));
                self.advance(time);
            }
            Some((process, step)) => self.take(process, step)?,
        }
        Ok(())
    }

    fn take(&mut self, index: usize, step: Step) -> Check {
        note!(self.trace, "{:?} process {index} {step:?}", self.now);
        match step {
            Step::Start => self.on_disk(index, |world| world.start(index))?,
            Step::Write => self.on_disk(index, |world| {
                let Some(live) = &world.processes[index].live else { return };
                if !live.store.write() {
                    note!(world.trace, "  closed");
                    world.end_process(index);
                }
            })?,
            Step::Read => self.on_disk(index, |world| {
                if let Some(live) = &world.processes[index].live {
                    live.store.read();
                }
            })?,
            Step::Begin(dispatcher) => self.begin(index, dispatcher)?,
            Step::End(run) => self.end(index, run),
            Step::Dispatch(_) | Step::Supervise | Step::Stop => {
                let live = self.processes[index].live.as_mut();
                let Some(worker) = live.and_then(|live| live.worker.as_mut()) else { return Ok(()) };
                match step {
                    Step::Dispatch(dispatcher) => worker.dispatch(dispatcher),
                    Step::Supervise => worker.supervise(),
                    _ => {
                        if worker.go_on_stopping() {
                            self.leave(index);
                        }
                    }
                }
            }
        }
        self.after(index)
    }

    /// Takes a step that touches the disk, with what is injected into it.
    fn on_disk(&mut self, index: usize, step: impl FnOnce(&mut Self)) -> Check {
        let number = self.processes[index].live.as_ref().map_or(self.next_number, |live| live.number);
        let injection = self.injection.take();
        let outage = self.outage.filter(|(_, until)| self.now < *until);
        match (injection, outage) {
            (Some(Injection::Fault(nth, fault)), _) => self.disk.fail(nth, fault, FaultDuration::Once),
            (Some(Injection::Kill(nth)), _) => self.disk.fail(nth, Fault::Any, FaultDuration::UntilCleared),
            (Some(Injection::PowerCut(nth)), _) => self.disk.cut_power_at(nth),
            (None, Some((fault, _))) => self.disk.fail(1, fault, FaultDuration::UntilCleared),
            (None, None) => {}
        }
        as_process(number, || step(self));
        let failed = self.disk.failures() > 0;
        self.disk.clear_faults();
        if failed {
            note!(self.trace, "  the disk failed");
            self.trace.saw("a fault struck");
            self.processes[index].held_up_at = self.now;
        }
        match injection {
            Some(Injection::Kill(_)) if failed => {
                self.trace.saw("died in a step");
                self.kill(index);
            }
            Some(Injection::PowerCut(_)) => {
                if self.disk.is_off() {
                    self.trace.saw("power failed in a step");
                    self.lose_power();
                }
                self.disk.power_on();
            }
            _ => {}
        }
        self.look()?;
        if !failed {
            self.model.state_is_durable();
        }
        Ok(())
    }

    /// Handles what a step has caused: answers, events, futures that are dropped.
    fn after(&mut self, index: usize) -> Check {
        let Some(live) = &mut self.processes[index].live else { return Ok(()) };
        if let Err(kind) = live.go_on_starting(&self.plan) {
            note!(self.trace, "  could not start: {kind:?}");
            self.kill(index);
            return Ok(());
        }
        let Some(live) = &mut self.processes[index].live else { return Ok(()) };
        if live.store_halted() {
            self.trace.saw("a store halted");
            self.kill(index);
            return Ok(());
        }
        if let Some(worker) = &mut live.worker {
            live.runs.retain(|run| !worker.drop_settled(run.dispatcher, &run.job));
        }
        for event in live.take_events() {
            note!(self.trace, "  event {event:?}");
            match event {
                SeenEvent::Completed(id) => self.model.completed_is_emitted(id.0)?,
                SeenEvent::ResultDiscarded => self.trace.saw("late result discarded"),
                SeenEvent::Rescued(jobs) if jobs > 0 => self.trace.saw("rescued jobs"),
                SeenEvent::LeaseLost => self.trace.saw("a worker lost its lease"),
                SeenEvent::StoreError => self.trace.saw("a worker reported a store error"),
                _ => {}
            }
        }
        let Some(live) = &mut self.processes[index].live else { return Ok(()) };
        let calls = std::mem::take(&mut live.calls);
        let mut open = Vec::new();
        for call in calls {
            if let Some(call) = self.take_answer(call)? {
                open.push(call);
            }
        }
        if let Some(live) = &mut self.processes[index].live {
            live.calls.extend(open);
        }
        Ok(())
    }

    // ---- Processes ----

    fn path(&self) -> PathBuf {
        self.dir.path().join("jobs.db")
    }

    fn start(&mut self, index: usize) {
        let number = self.next_number;
        self.next_number += 1;
        match LiveProcess::start(&self.path(), number, &self.clock, &mut self.rng) {
            Ok(live) => self.processes[index].live = Some(live),
            Err(error) => {
                note!(self.trace, "  cannot open: {:?}", error.kind());
                self.processes[index].starts_at = self.now + Duration::from_millis(500);
            }
        }
    }

    /// The worker has stopped: the program drops its queue and ends.
    fn leave(&mut self, index: usize) {
        let Some(live) = &mut self.processes[index].live else { return };
        live.worker = None;
        live.queue = None;
        self.trace.saw("stopped");
        if !live.runs.is_empty() {
            // A task that hangs on a thread keeps the queue open, but it does not keep the process from
            // ending.
            self.kill(index);
        }
    }

    fn kill(&mut self, index: usize) {
        if let Some(live) = &self.processes[index].live {
            note!(self.trace, "  process {index} dies");
            if !live.runs.is_empty() {
                self.trace.saw("died with jobs");
            }
            self.disk.kill(live.number);
        }
        self.end_process(index);
    }

    fn end_process(&mut self, index: usize) {
        let pause = Duration::from_millis(self.rng.below(3_000));
        let process = &mut self.processes[index];
        if let Some(live) = process.live.take() {
            for call in live.calls {
                if let Call::Insert(tags, keyed, _) = call {
                    self.unknown.extend(tags.into_iter().zip(keyed));
                }
            }
        }
        process.starts_at = self.now + pause;
        process.frozen_until = Duration::ZERO;
        if self.processes.iter().all(|process| process.live.is_none()) {
            // The shared memory of the processes ends with the last of them; the reader must not keep it.
            self.close_snapshot();
        }
    }

    fn close_snapshot(&mut self) {
        if let Some((number, snapshot)) = self.snapshot.take() {
            self.disk.kill(number);
            drop(snapshot);
        }
    }

    fn lose_power(&mut self) {
        note!(self.trace, "  the power fails");
        self.model.power_fails();
        self.close_snapshot();
        for index in 0..self.processes.len() {
            self.end_process(index);
        }
    }

    // ---- The stored state ----

    /// Checks the stored state if it has changed, and notifies the processes.
    fn look(&mut self) -> Check {
        if self.snapshot.is_none() {
            if !self.disk.files().iter().any(|name| name == "jobs.db") {
                return Ok(());
            }
            let number = self.next_number;
            self.next_number += 1;
            let opened = as_process(number, || SnapshotReader::open(&self.path()));
            let opened = opened.map_err(|error| format!("the snapshot reader cannot open: {error}"))?;
            self.snapshot = Some((number, opened));
        }
        let Some((number, snapshot)) = &mut self.snapshot else { return Ok(()) };
        let state = as_process(*number, || snapshot.read());
        let Some(state) = state.map_err(|error| format!("the stored state cannot be read: {error}"))? else {
            return Ok(());
        };
        let processes = &self.processes;
        let status = |worker: i64, heartbeat_at: Duration| worker_status(processes, worker, heartbeat_at);
        self.model.check(state, self.now, self.plan.lease, status, self.trace)?;
        for process in &self.processes {
            let lost = self.loses_notifications && self.phase == Phase::Chaos && self.rng.once_in(2);
            if let Some(live) = process.live.as_ref().filter(|_| !lost) {
                live.store.note_file_change();
            }
        }
        Ok(())
    }
}

/// The status of a worker whose last heartbeat was seen at `heartbeat_at`.
fn worker_status(processes: &[Process], worker: i64, heartbeat_at: Duration) -> WorkerStatus {
    let process =
        processes.iter().find(|process| process.live.as_ref().is_some_and(|live| live.has_worker(worker)));
    let Some(process) = process else { return WorkerStatus::Dead };
    let held_up = process.held_up_at.max(process.frozen_until) >= heartbeat_at;
    let worker = process.live.as_ref().and_then(|live| live.worker.as_ref());
    if worker.is_some_and(|worker| worker.is_stopping()) {
        WorkerStatus::Stopping { held_up }
    } else {
        WorkerStatus::Working { held_up }
    }
}
