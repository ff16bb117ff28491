//! The protocol as a model for `stateright`: which transition may come when, and what always holds.
//!
//! Leans on the state. Within a tick everything may come in any order; time passes only when the supervisor of each process that is
//! up has done what is due, and tasks take as long as they like.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use stateright::{Model, Property};

use super::books::{NUMBERS, Number, Status};
use super::process::{Life, Phase, Process};
use super::rules::Rule;
use super::state::{Cut, FaultBudget, State, WORKERS, wrong};

/// The protocol under one rule, with so many jobs, processes and faults.
#[derive(Debug)]
pub(crate) struct Protocol {
    pub(crate) rule: Rule,
    pub(crate) jobs: usize,
    pub(crate) processes: usize,
    pub(crate) budget: FaultBudget,
    /// Whether the processes do their rounds in turn, and not in any order within a tick: for spaces that would be too large.
    pub(crate) in_turn: bool,
    /// States from which every job is known to end: see [`Protocol::ends_alone`].
    ending: Mutex<HashSet<u64>>,
}

/// One transition. A process is named by its index, what it has in hand by the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Tick,
    Supervisor(usize, Option<Cut>),
    Rescue(usize, Number),
    ToldLost(usize),
    Claim { process: usize, job: u8, heard: bool },
    Begin(usize, usize),
    GiveBack(usize, usize),
    End { process: usize, hand: usize, succeeds: bool },
    CompleteIn(usize, usize),
    TimeOut(usize, usize),
    ReturnAtLast(usize, usize),
    FinishedJob { process: usize, hand: usize, heard: bool },
    Drain(usize),
    ReleaseRunning(usize, usize),
    Leave(usize),
    Crash(usize),
    Pause(usize),
    Stall(usize),
    GoOn(usize),
    ClockJumps,
}

impl Step {
    /// Whether the outside world does it, or bad luck.
    fn is_fault(self) -> bool {
        use Step::{ClockJumps, Crash, Drain, GiveBack, GoOn, Pause, Stall, TimeOut};
        match self {
            Crash(_) | Pause(_) | Stall(_) | GoOn(_) | ClockJumps | Drain(_) | TimeOut(..) | GiveBack(..) => {
                true
            }
            Step::Supervisor(_, cut) => cut.is_some(),
            Step::Claim { heard, .. } | Step::FinishedJob { heard, .. } => !heard,
            Step::End { succeeds, .. } => !succeeds,
            _ => false,
        }
    }
}

impl Protocol {
    pub(crate) fn new(
        rule: Rule,
        jobs: usize,
        processes: usize,
        budget: FaultBudget,
        in_turn: bool,
    ) -> Protocol {
        Protocol { rule, jobs, processes, budget, in_turn, ending: Mutex::default() }
    }

    /// What a worker's dispatcher and its tasks may do.
    fn lane_steps(&self, state: &State, process: usize, steps: &mut Vec<Step>) {
        let p = &state.processes[process];
        let answers = p.life == Life::Awake;
        let listed = p.number.is_some_and(|number| state.books.is_registered(number));
        for (hand, held) in p.hands.iter().enumerate() {
            match held.phase {
                Phase::Waiting if p.is_up() => {
                    if !p.suspended && !p.draining {
                        steps.push(Step::Begin(process, hand));
                    }
                    if state.budget.releases > 0 || p.draining {
                        steps.push(Step::GiveBack(process, hand));
                    }
                }
                Phase::Running if p.is_up() => {
                    steps.push(Step::End { process, hand, succeeds: true });
                    if state.budget.failures > 0 {
                        steps.push(Step::End { process, hand, succeeds: false });
                    }
                    steps.push(Step::CompleteIn(process, hand));
                    if state.budget.timeouts > 0 {
                        steps.push(Step::TimeOut(process, hand));
                    }
                    if p.draining {
                        steps.push(Step::ReleaseRunning(process, hand));
                    }
                }
                Phase::Hanging if p.is_up() || p.life == Life::Left => {
                    steps.extend([Step::CompleteIn(process, hand), Step::ReturnAtLast(process, hand)]);
                }
                Phase::Done { .. } if answers => {
                    steps.push(Step::FinishedJob { process, hand, heard: true });
                    if state.budget.unheard > 0 && listed {
                        steps.push(Step::FinishedJob { process, hand, heard: false });
                    }
                }
                _ => {}
            }
        }
        if !answers || p.number.is_none() || p.entering.is_some() {
            return;
        }
        if p.draining && p.hands.iter().all(|hand| hand.phase == Phase::Hanging) {
            steps.push(Step::Leave(process));
        }
        if !listed {
            steps.push(Step::ToldLost(process));
            return;
        }
        // `Dispatcher::room`, and the order of a worker's own turns.
        let repeats = p.has_to_repeat() && self.rule != Rule::ClaimBeforeRepeat;
        if p.suspended || p.draining || repeats {
            return;
        }
        let pending = (0..).zip(&state.books.rows).filter(|(_, row)| row.status == Status::Pending);
        for (job, _) in pending {
            steps.push(Step::Claim { process, job, heard: true });
            if state.budget.unheard > 0 {
                steps.push(Step::Claim { process, job, heard: false });
            }
        }
    }

    fn steward_steps(&self, state: &State, process: usize, steps: &mut Vec<Step>) {
        let p = &state.processes[process];
        let waits_its_turn = self.in_turn && is_before(self.rule, state, process);
        let rescues = p.life == Life::Awake && p.doomed != 0;
        if p.is_up() && !rescues && !p.is_settled(self.rule) && !waits_its_turn {
            steps.push(Step::Supervisor(process, None));
            self.cuts(state, process, steps);
        }
    }

    fn rescues(&self, state: &State, process: usize, steps: &mut Vec<Step>) {
        let p = &state.processes[process];
        let doomed = (0..NUMBERS as Number).filter(|number| p.doomed & (1 << number) != 0);
        if p.life == Life::Awake {
            steps.extend(doomed.map(|number| Step::Rescue(process, number)));
        }
    }

    /// Where a pause may cut the round short that is due.
    fn cuts(&self, state: &State, process: usize, steps: &mut Vec<Step>) {
        let p = &state.processes[process];
        if state.budget.aways == 0 || p.entering.is_some() || p.census.is_some() {
            return;
        }
        let mut cut = |cut| steps.push(Step::Supervisor(process, Some(cut)));
        let answers = p.life == Life::Awake;
        let listed = p.number.is_some_and(|number| state.books.is_registered(number));
        let heartbeats =
            p.number.is_some() && p.heartbeat.is_none() && p.beat_sent >= super::process::HEARTBEAT;
        if heartbeats && answers {
            cut(Cut::BeatUnheard);
            if !listed {
                cut(Cut::EnlistUnheard);
            }
        }
        if p.monitor.looked > 0 {
            cut(Cut::CensusUnread);
            cut(Cut::CensusUnheard);
        }
    }

    fn fault_steps(&self, state: &State, process: usize, steps: &mut Vec<Step>) {
        let p = &state.processes[process];
        if matches!(p.life, Life::Dead | Life::Left) {
            return;
        }
        if matches!(p.life, Life::Paused | Life::Stalled) {
            steps.push(Step::GoOn(process));
        }
        let works = p.number.is_some();
        if works && state.budget.crashes > 0 {
            steps.push(Step::Crash(process));
        }
        if works && state.budget.drains > 0 && p.is_up() && !p.draining {
            steps.push(Step::Drain(process));
        }
        if p.life == Life::Awake && state.budget.aways > 0 {
            steps.push(Step::Pause(process));
            if works {
                steps.push(Step::Stall(process));
            }
        }
    }

    /// Everything that may come next.
    fn steps(&self, state: &State, steps: &mut Vec<Step>) {
        let ended = state.books.rows.iter().all(|row| row.status.is_ended());
        for process in 0..state.processes.len() {
            if ended {
                // What comes late is all that could do harm now.
                self.rescues(state, process, steps);
                self.lane_steps(state, process, steps);
                continue;
            }
            self.rescues(state, process, steps);
            self.steward_steps(state, process, steps);
            self.lane_steps(state, process, steps);
            self.fault_steps(state, process, steps);
        }
        if ended {
            return;
        }
        if self.rule == Rule::WallClock && !state.clock_jumped {
            steps.push(Step::ClockJumps);
        }
        if state.processes.iter().all(|process| !process.is_up() || process.is_settled(self.rule)) {
            steps.push(Step::Tick);
        }
    }

    fn apply(&self, state: &mut State, step: Step) {
        let rule = self.rule;
        match step {
            Step::Tick => state.tick(),
            Step::Supervisor(process, cut) => state.supervisor(rule, process, cut),
            Step::Rescue(process, number) => state.rescue(rule, process, number),
            Step::ToldLost(process) => state.told_lost(rule, process),
            Step::Claim { process, job, heard } => state.claim(rule, process, job, heard),
            Step::Begin(process, hand) => state.begin(process, hand),
            Step::GiveBack(process, hand) => {
                state.budget.releases -= u8::from(!state.processes[process].draining);
                state.give_back(process, hand);
            }
            Step::End { process, hand, succeeds } => state.end(process, hand, succeeds),
            Step::CompleteIn(process, hand) => state.complete_in(rule, process, hand),
            Step::TimeOut(process, hand) => state.time_out(process, hand),
            Step::ReturnAtLast(process, hand) => state.return_at_last(process, hand),
            Step::FinishedJob { process, hand, heard } => state.finish(rule, process, hand, heard),
            Step::Drain(process) => {
                state.budget.drains -= 1;
                state.processes[process].draining = true;
            }
            Step::ReleaseRunning(process, hand) => state.release_running(process, hand),
            Step::Leave(process) => state.leave(rule, process),
            Step::Crash(process) => state.crash(process),
            Step::Pause(process) => state.pause(process),
            Step::Stall(process) => state.stall(process),
            Step::GoOn(process) => state.go_on(process),
            Step::ClockJumps => state.clock_jumped = true,
        }
    }

    /// Whether every job ends if the world leaves the processes alone from here on: who is away stays away, as long as one worker
    /// is there. One fair order is followed: everybody does what there is to do, then time passes.
    fn ends_alone(&self, from: &State) -> bool {
        let mut state = from.clone();
        let works = |p: &Process| p.number.is_some() && !p.draining;
        if !state.processes.iter().any(|p| works(p) && !matches!(p.life, Life::Dead | Life::Left)) {
            return true;
        }
        if !state.processes.iter().any(|p| works(p) && p.life == Life::Awake) {
            let away = |p: &Process| matches!(p.life, Life::Paused | Life::Stalled);
            let all: Vec<usize> = (0..state.processes.len()).filter(|&p| away(&state.processes[p])).collect();
            all.into_iter().for_each(|process| state.go_on(process));
        }
        let mut way = Vec::new();
        let mut ends = false;
        // More than enough for two leases.
        for _ in 0..400 {
            let print = fingerprint(&state);
            ends = state.books.rows.iter().all(|row| row.status.is_ended())
                || self.ending.lock().unwrap_or_else(PoisonError::into_inner).contains(&print);
            if ends {
                break;
            }
            way.push(print);
            let mut steps = Vec::new();
            self.steps(&state, &mut steps);
            steps.retain(|step| match *step {
                Step::GiveBack(process, _) => state.processes[process].draining,
                Step::CompleteIn(..) => false,
                step => !step.is_fault(),
            });
            // What hangs returns at last, what was only held is begun, and time comes last of all.
            let first = steps.iter().find(|step| matches!(step, Step::ReturnAtLast(..))).or(steps.first());
            let Some(&step) = first else { break };
            self.apply(&mut state, step);
        }
        if ends {
            self.ending.lock().unwrap_or_else(PoisonError::into_inner).extend(way);
        }
        ends
    }
}

/// Whether another process has its round to do before this one.
fn is_before(rule: Rule, state: &State, process: usize) -> bool {
    state.processes[..process].iter().any(|earlier| earlier.is_up() && !earlier.is_settled(rule))
}

fn fingerprint(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.jobs, self.processes, self.budget)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.steps(state, steps);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        self.apply(&mut next, step);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        let never = [
            Property::always("a write takes effect under the current claim alone", |_, state: &State| {
                state.wrong & wrong::STALE_WRITE == 0
            }),
            Property::always("a rescue frees what the dead worker held", |_, state: &State| {
                state.wrong & wrong::STOLEN == 0
            }),
            Property::always("a death is counted once", |_, state: &State| {
                let deaths = state.rescued.count_ones();
                state.wrong & wrong::DIED_TWICE == 0
                    && state.books.rows.iter().all(|row| u32::from(row.crashes) <= deaths)
            }),
            Property::always(
                "a worker that was up for a lease is not rescued for silence",
                |_, state: &State| state.wrong & wrong::RESCUED_ALIVE == 0,
            ),
            Property::always(
                "a worker that has beaten within a lease is not rescued for silence",
                |_, state: &State| state.wrong & wrong::RESCUED_FRESH == 0,
            ),
            Property::always("who was away itself takes nobody for silent", |_, state: &State| {
                state.wrong & wrong::JUDGED_BLINDLY == 0
            }),
            Property::always("an ended job stays ended", |_, state: &State| {
                state.wrong & wrong::UNENDED == 0
            }),
            Property::always("an attempt begins once", |_, state: &State| {
                state.wrong & wrong::BEGUN_TWICE == 0
            }),
            Property::always("an end that is written is never told to be lost", |_, state: &State| {
                state.wrong & wrong::TOLD_LOST == 0
            }),
            Property::always("a job has one current claim, which its row shows", |_, state: &State| {
                has_one_claim(state)
            }),
            Property::always("effects are committed once, with the completion", |_, state: &State| {
                let once = |completed: bool| u8::from(completed);
                let whole = |row: &super::books::Row| {
                    row.effects == once(row.status == Status::Completed && row.completed_in)
                };
                state.books.rows.iter().all(whole)
            }),
            Property::always(
                "a worker that trusts its lease is on the list",
                |protocol: &Protocol, state: &State| trusts_rightly(protocol.rule, state),
            ),
            Property::always(
                "a worker that trusts its lease holds what it works on",
                |protocol: &Protocol, state: &State| holds_its_work(protocol.rule, state),
            ),
            Property::always("left alone, every job ends", |protocol: &Protocol, state: &State| {
                protocol.ends_alone(state)
            }),
        ];
        let seen = [
            Property::sometimes("a job is rescued", |_, state: &State| {
                state.books.rows.iter().any(|row| row.crashes > 0)
            }),
            Property::sometimes("a worker comes back under a new number", |_, state: &State| {
                state.processes.iter().any(|p| p.number.is_some_and(|number| usize::from(number) >= WORKERS))
            }),
            Property::sometimes("a job is completed by its own transaction", |_, state: &State| {
                state.books.rows.iter().any(|row| row.effects > 0)
            }),
            Property::sometimes("a worker doubts its lease", |_, state: &State| {
                state.processes.iter().any(|p| p.suspended)
            }),
            Property::sometimes(
                "a finish is on its way that has already taken effect",
                |_, state: &State| {
                    let phases = state.processes.iter().flat_map(|p| &p.hands).map(|hand| hand.phase);
                    phases
                        .into_iter()
                        .any(|phase| matches!(phase, Phase::Done { tried: true, took: true, .. }))
                },
            ),
            Property::sometimes("a task runs on after its job went to another worker", |_, state: &State| {
                let mut hands = state.processes.iter().flat_map(|p| &p.hands);
                hands.any(|hand| {
                    let row = state.books.rows[usize::from(hand.claim.job)];
                    hand.phase == Phase::Running
                        && row.status == Status::Running
                        && row.attempt > hand.claim.attempt
                })
            }),
            Property::sometimes("a worker leaves while its task hangs", |_, state: &State| {
                state.processes.iter().any(|p| p.life == Life::Left && !p.hands.is_empty())
            }),
        ];
        never.into_iter().chain(seen).collect()
    }
}

fn has_one_claim(state: &State) -> bool {
    (0..).zip(&state.books.rows).all(|(job, row)| {
        let hands = state.processes.iter().flat_map(|p| &p.hands);
        let mut current = hands.filter(|hand| hand.claim.job == job && hand.current).map(|hand| hand.claim);
        let shown = |claim: super::books::Claim| {
            row.status == Status::Running && row.attempt == claim.attempt && row.worker == Some(claim.worker)
        };
        match current.next() {
            None => true,
            // An attempt that was decided over its task's head is in two hands, under one claim.
            Some(claim) => shown(claim) && current.all(|other| other == claim),
        }
    })
}

/// The supervisor has done its round, and the dispatcher may begin what it holds.
fn trusts(rule: Rule, p: &Process) -> bool {
    p.is_up() && p.is_settled(rule) && !p.suspended
}

fn trusts_rightly(rule: Rule, state: &State) -> bool {
    let trusting = state.processes.iter().filter(|p| trusts(rule, p)).filter_map(|p| p.number);
    trusting.into_iter().all(|number| state.books.is_registered(number))
}

fn holds_its_work(rule: Rule, state: &State) -> bool {
    state.processes.iter().filter(|p| trusts(rule, p)).all(|p| {
        let at_work = |phase| matches!(phase, Phase::Waiting | Phase::Running);
        let own = p.hands.iter().filter(|hand| Some(hand.claim.worker) == p.number);
        own.filter(|hand| at_work(hand.phase)).all(|hand| hand.current)
    })
}
