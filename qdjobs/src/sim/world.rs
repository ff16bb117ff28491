//! The world of one run: [`World`], its time, its disk, its processes, and the dice that say what happens next.
//!
//! Leans on `process` for what can be done and on `model` for what must hold. One thread does everything, one step at a time.

mod callers;
mod faults;
mod handlers;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use qdjobs_sim_disk::{Disk, Fault, Lasts, Rng, as_process};

use super::model::{Model, Standing, Verdict};
use super::plan::{Plan, Trouble};
use super::process::{Call, Handler, Life, Process, Told};
use super::trace::{Trace, note};
use crate::model::clock::{Clock, Timestamp};
use crate::model::job::NewJob;
use crate::store::sqlite::testing::snapshot::SnapshotReader;

/// The first instant of every run: 2026-11-18 11:06:40.
const START: i64 = 1_795_000_000_000_000;

/// Steps after which a run that is to heal has hung.
const STEPS_MAX: usize = 200_000;

/// What a process can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Start,
    Write,
    Read,
    Dispatch(usize),
    Begin(usize),
    End(usize),
    Supervisor,
    Stop,
}

/// What strikes the next step that touches the disk.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Fault(u64, Fault),
    Kill(u64),
    PowerCut(u64),
}

pub(super) struct World<'t> {
    plan: Plan,
    dice: Rng,
    trace: &'t Trace,
    model: Model,
    clock: Clock,
    now: Duration,
    /// What the wall clock shows beyond `START + now`, in microseconds.
    wall: i64,
    disk: Disk,
    dir: tempfile::TempDir,
    processes: Vec<Process>,
    next_number: u32,
    snapshot: Option<(u32, SnapshotReader)>,
    mishap: Option<Mishap>,
    outage: Option<(Fault, Duration)>,
    loses_news: bool,
    /// Jobs with a key of which nobody knows whether they are stored.
    doubtful: Vec<(u64, NewJob)>,
    /// The tags of those that were stored again.
    repeated: BTreeSet<u64>,
    tags: u64,
    steps: usize,
    /// Faults are over.
    heals: bool,
    /// Nobody starts any more.
    ends: bool,
}

impl<'t> World<'t> {
    pub(super) fn new(seed: u64, trace: &'t Trace) -> World<'t> {
        let mut dice = Rng::new(seed);
        let plan = Plan::draw(&mut dice);
        note!(trace, "{plan:?}");
        let dir = tempfile::tempdir().expect("a directory for temporary files");
        let disk = Disk::mount(dir.path(), dice.roll()).expect("a simulated disk");
        let processes = (0..plan.processes).map(|_| Process::new()).collect();
        World {
            loses_news: plan.troubles.contains(&Trouble::LostNews),
            plan,
            dice,
            trace,
            model: Model::default(),
            clock: Clock::simulated(Timestamp::from_microsecond(START).expect("an instant of this century")),
            now: Duration::ZERO,
            wall: 0,
            disk,
            dir,
            processes,
            next_number: 1,
            snapshot: None,
            mishap: None,
            outage: None,
            doubtful: Vec::new(),
            repeated: BTreeSet::new(),
            tags: 0,
            steps: 0,
            heals: false,
            ends: false,
        }
    }

    /// Chaos, healing, and a quiet end.
    pub(super) fn run(mut self) -> Verdict {
        self.pass(Duration::ZERO);
        while self.steps < self.plan.steps {
            self.round()?;
        }
        self.heal();
        let deadline = self.drained_by();
        while !(self.model.is_drained() && self.is_answered() && self.dead().is_empty()) {
            self.round()?;
            if self.now > deadline || self.steps > STEPS_MAX {
                return Err(format!(
                    "not drained in {} steps after the healing; dead on the list: {:?}; open calls: {}; open jobs:{}",
                    self.steps,
                    self.dead(),
                    !self.is_answered(),
                    self.model.open_jobs()
                ));
            }
        }
        note!(self.trace, "drained at {:?}", self.now);
        self.ends = true;
        let deadline = self.now + self.plan.grace + self.plan.lease * 4 + Duration::from_secs(60);
        while self.processes.iter().any(|process| process.life.is_some()) {
            for process in &mut self.processes {
                if let Some(worker) = process.life.as_mut().and_then(|life| life.worker.as_mut()) {
                    worker.stop();
                }
            }
            self.round()?;
            if self.now > deadline || self.steps > STEPS_MAX {
                return Err("the workers do not end".into());
            }
        }
        self.look()?;
        self.close()
    }

    /// What must hold when all is over.
    fn close(&mut self) -> Verdict {
        let Some((_, snapshot)) = &self.snapshot else { return Err("nobody looks on".into()) };
        let sound =
            snapshot.check_integrity().map_err(|error| format!("the file cannot be checked: {error}"))?;
        if sound != "ok" {
            return Err(format!("the file is not sound: {sound}"));
        }
        if !self.model.books.workers.is_empty() {
            return Err(format!("workers are left on the list: {:?}", self.model.books.workers));
        }
        Ok(())
    }

    // ---- The time ------------------------------------------------------------------------------------------------

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.set_clock();
    }

    fn wall_micros(&self) -> i64 {
        START + self.now.as_micros() as i64 + self.wall
    }

    fn set_clock(&mut self) {
        let wall = self.wall_micros();
        self.model.wall_is(wall);
        self.clock.set(Timestamp::from_microsecond(wall).unwrap_or(Timestamp::MAX), self.now);
    }

    /// Nobody has anything to do: until somebody has.
    fn sleep(&mut self) {
        let mut next: Option<Duration> = None;
        for process in &self.processes {
            for at in self.wakes(process) {
                let at = at.max(process.frozen_until);
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        let until = next.unwrap_or(self.now + Duration::from_secs(1));
        let over = Duration::from_micros(self.dice.below(3_000));
        self.pass(until.saturating_sub(self.now) + over);
    }

    fn wakes(&self, process: &Process) -> Vec<Duration> {
        let Some(life) = &process.life else {
            return if self.ends { Vec::new() } else { vec![process.starts_at] };
        };
        let mut wakes = Vec::new();
        wakes.extend(life.store.writes_at().map(|at| at.max(process.writes_from)));
        if life.store.has_question() {
            wakes.push(process.reads_from);
        }
        if let Some(worker) = &life.worker {
            for dispatcher in 0..worker.dispatchers() {
                wakes.extend(worker.dispatches_at(dispatcher));
                wakes.extend(worker.can_begin(dispatcher).then_some(Duration::ZERO));
            }
            wakes.extend(worker.steward_at());
            wakes.extend(worker.stops_at());
        }
        wakes.extend(life.handlers.iter().map(Handler::ends));
        wakes
    }

    /// What can be done now.
    fn ready(&self) -> Vec<(usize, Part)> {
        let mut ready = Vec::new();
        for (index, process) in self.processes.iter().enumerate() {
            if self.now < process.frozen_until {
                continue;
            }
            let mut can = |at: Option<Duration>, part: Part| {
                if at.is_some_and(|at| at <= self.now) {
                    ready.push((index, part));
                }
            };
            let Some(life) = &process.life else {
                can((!self.ends).then_some(process.starts_at), Part::Start);
                continue;
            };
            can(life.store.writes_at().map(|at| at.max(process.writes_from)), Part::Write);
            can(life.store.has_question().then_some(process.reads_from), Part::Read);
            if let Some(worker) = &life.worker {
                for dispatcher in 0..worker.dispatchers() {
                    can(worker.dispatches_at(dispatcher), Part::Dispatch(dispatcher));
                    can(worker.can_begin(dispatcher).then_some(Duration::ZERO), Part::Begin(dispatcher));
                }
                can(worker.steward_at(), Part::Supervisor);
                can(worker.stops_at(), Part::Stop);
            }
            for (at, handler) in life.handlers.iter().enumerate() {
                can(Some(handler.ends()), Part::End(at));
            }
        }
        ready
    }

    // ---- One round -----------------------------------------------------------------------------------------------

    fn round(&mut self) -> Verdict {
        self.steps += 1;
        if !self.heals {
            if self.dice.once_in(self.plan.trouble_in) {
                return self.meet_trouble();
            }
            if self.dice.once_in(self.plan.call_in) {
                return self.call();
            }
        }
        let ready = self.ready();
        match self.dice.pick(&ready).copied() {
            None => self.sleep(),
            Some(_) if self.dice.once_in(10) => {
                let time = Duration::from_micros(self.dice.below(20_000));
                self.pass(time);
            }
            Some((process, part)) => self.step(process, part)?,
        }
        Ok(())
    }

    fn step(&mut self, index: usize, part: Part) -> Verdict {
        note!(self.trace, "{:?} process {index} {part:?}", self.now);
        match part {
            Part::Start => self.on_disk(index, |world| world.start(index))?,
            Part::Write => self.on_disk(index, |world| {
                let Some(life) = &world.processes[index].life else { return };
                if !life.store.write() {
                    note!(world.trace, "  closed");
                    world.drop_life(index);
                }
            })?,
            Part::Read => self.on_disk(index, |world| {
                if let Some(life) = &world.processes[index].life {
                    life.store.read();
                }
            })?,
            Part::Begin(dispatcher) => self.begin(index, dispatcher)?,
            Part::End(at) => self.end(index, at),
            Part::Dispatch(_) | Part::Supervisor | Part::Stop => {
                let Some(worker) = self.processes[index].life.as_mut().and_then(|life| life.worker.as_mut())
                else {
                    return Ok(());
                };
                match part {
                    Part::Dispatch(dispatcher) => worker.dispatch(dispatcher),
                    Part::Supervisor => worker.supervisor(),
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

    /// A step that touches the disk, with what strikes it there.
    fn on_disk(&mut self, index: usize, step: impl FnOnce(&mut Self)) -> Verdict {
        let number = self.processes[index].life.as_ref().map_or(self.next_number, |life| life.number);
        let mishap = self.mishap.take();
        let outage = self.outage.filter(|(_, until)| self.now < *until);
        match (mishap, outage) {
            (Some(Mishap::Fault(nth, fault)), _) => self.disk.fail(nth, fault, Lasts::Once),
            (Some(Mishap::Kill(nth)), _) => self.disk.fail(nth, Fault::Any, Lasts::ForGood),
            (Some(Mishap::PowerCut(nth)), _) => self.disk.cut_at(nth),
            (None, Some((fault, _))) => self.disk.fail(1, fault, Lasts::ForGood),
            (None, None) => {}
        }
        as_process(number, || step(self));
        let struck = self.disk.struck() > 0;
        self.disk.heal();
        if struck {
            note!(self.trace, "  the disk failed");
            self.trace.saw("a fault struck");
            self.processes[index].excused_at = self.now;
        }
        match mishap {
            Some(Mishap::Kill(_)) if struck => {
                self.trace.saw("died in a step");
                self.kill(index);
            }
            Some(Mishap::PowerCut(_)) => {
                if self.disk.is_off() {
                    self.trace.saw("power went in a step");
                    self.lose_power();
                }
                self.disk.power_on();
            }
            _ => {}
        }
        self.look()?;
        if !struck {
            self.model.is_firm();
        }
        Ok(())
    }

    /// What a step has brought: answers, words, futures to be dropped.
    fn after(&mut self, index: usize) -> Verdict {
        let Some(life) = &mut self.processes[index].life else { return Ok(()) };
        if let Err(kind) = life.go_on_starting(&self.plan) {
            note!(self.trace, "  could not start: {kind:?}");
            self.kill(index);
            return Ok(());
        }
        let Some(life) = &mut self.processes[index].life else { return Ok(()) };
        if life.has_stopped() {
            self.trace.saw("a store stopped for good");
            self.kill(index);
            return Ok(());
        }
        if let Some(worker) = &mut life.worker {
            life.handlers.retain(|handler| !worker.drop_settled(handler.dispatcher, &handler.running));
        }
        for told in life.take_told() {
            note!(self.trace, "  told {told:?}");
            match told {
                Told::Completed(id) => self.model.is_told_completed(id.0)?,
                Told::Refused => self.trace.saw("late result refused"),
                Told::Rescued(jobs) if jobs > 0 => self.trace.saw("rescued jobs"),
                Told::LeaseLost => self.trace.saw("came back under a new number"),
                Told::Trouble => self.trace.saw("worker met trouble"),
                _ => {}
            }
        }
        let Some(life) = &mut self.processes[index].life else { return Ok(()) };
        let calls = std::mem::take(&mut life.calls);
        let mut open = Vec::new();
        for call in calls {
            if let Some(call) = self.hear(call)? {
                open.push(call);
            }
        }
        if let Some(life) = &mut self.processes[index].life {
            life.calls.extend(open);
        }
        Ok(())
    }

    // ---- Processes -----------------------------------------------------------------------------------------------

    fn path(&self) -> PathBuf {
        self.dir.path().join("jobs.db")
    }

    fn start(&mut self, index: usize) {
        let number = self.next_number;
        self.next_number += 1;
        match Life::begin(&self.path(), number, &self.clock, &mut self.dice) {
            Ok(life) => self.processes[index].life = Some(life),
            Err(error) => {
                note!(self.trace, "  cannot open: {:?}", error.kind());
                self.processes[index].starts_at = self.now + Duration::from_millis(500);
            }
        }
    }

    /// The worker has stopped: the program ends, if nothing keeps it.
    fn leave(&mut self, index: usize) {
        let Some(life) = &mut self.processes[index].life else { return };
        life.worker = None;
        life.queue = None;
        self.trace.saw("stopped");
        if !life.handlers.is_empty() {
            // What hangs in a thread keeps the queue open, but no program from its end.
            self.kill(index);
        }
    }

    fn kill(&mut self, index: usize) {
        if let Some(life) = &self.processes[index].life {
            note!(self.trace, "  process {index} dies");
            if !life.handlers.is_empty() {
                self.trace.saw("died with jobs");
            }
            self.disk.kill(life.number);
        }
        self.drop_life(index);
    }

    fn drop_life(&mut self, index: usize) {
        let pause = Duration::from_millis(self.dice.below(3_000));
        let process = &mut self.processes[index];
        if let Some(life) = process.life.take() {
            for call in life.calls {
                if let Call::Insert(tags, keyed, _) = call {
                    self.doubtful.extend(tags.into_iter().zip(keyed));
                }
            }
        }
        process.starts_at = self.now + pause;
        process.frozen_until = Duration::ZERO;
        if self.processes.iter().all(|process| process.life.is_none()) {
            // The memory that the processes shared must not outlive them in one who only looks.
            self.close_eyes();
        }
    }

    fn close_eyes(&mut self) {
        if let Some((number, snapshot)) = self.snapshot.take() {
            self.disk.kill(number);
            drop(snapshot);
        }
    }

    fn lose_power(&mut self) {
        note!(self.trace, "  the power is gone");
        self.model.power_is_lost();
        self.close_eyes();
        for index in 0..self.processes.len() {
            self.drop_life(index);
        }
    }

    /// Looks at the books, if they have changed, and tells the others that they have.
    fn look(&mut self) -> Verdict {
        if self.snapshot.is_none() {
            if !self.disk.files().iter().any(|name| name == "jobs.db") {
                return Ok(());
            }
            let number = self.next_number;
            self.next_number += 1;
            let opened = as_process(number, || SnapshotReader::open(&self.path()));
            self.snapshot = Some((number, opened.map_err(|error| format!("nobody can look on: {error}"))?));
        }
        let Some((number, snapshot)) = &mut self.snapshot else { return Ok(()) };
        let books = as_process(*number, || snapshot.read());
        let Some(books) = books.map_err(|error| format!("the books cannot be read: {error}"))? else {
            return Ok(());
        };
        let processes = &self.processes;
        let standing = |worker: i64, beat_at: Duration| {
            let of =
                processes.iter().find(|process| process.life.as_ref().is_some_and(|life| life.is(worker)));
            let Some(process) = of else { return Standing::Dead };
            let excused = process.excused_at.max(process.frozen_until) >= beat_at;
            let worker = process.life.as_ref().and_then(|life| life.worker.as_ref());
            if worker.is_some_and(|worker| worker.is_stopping()) {
                Standing::Leaving { excused }
            } else {
                Standing::Works { excused }
            }
        };
        self.model.see(books, self.now, self.plan.lease, standing, self.trace)?;
        for process in &self.processes {
            let lost = self.loses_news && !self.heals && self.dice.once_in(2);
            if let Some(life) = process.life.as_ref().filter(|_| !lost) {
                life.store.note_file_change();
            }
        }
        Ok(())
    }
}
