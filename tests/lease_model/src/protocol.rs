//! The protocol as a model for `stateright`: which transition is possible when, and what always holds.
//!
//! Depends on `state`. Within a tick everything is possible in any order. Time passes only when the
//! supervisor of each process that is up has done what is due; tasks may take any time.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use stateright::{Model, Property};

use super::process::{Phase, Process, ProcessStatus};
use super::rules::Rule;
use super::state::{FaultBudget, Interruption, State, WORKERS, violations};
use super::stored_state::{NUMBERS, Number, Status};

/// The protocol under one rule, with a number of jobs, processes and faults.
#[derive(Debug)]
pub(crate) struct Protocol {
    pub(crate) rule: Rule,
    pub(crate) jobs: usize,
    pub(crate) processes: usize,
    pub(crate) budget: FaultBudget,
    /// Whether the processes take their rounds in a fixed order, for spaces that would be too large in
    /// any order.
    pub(crate) round_robin: bool,
    /// States from which every job is known to end: see [`Protocol::ends_alone`].
    ending: Mutex<HashSet<u64>>,
}

/// One transition. A process is named by its index, a job that it holds by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Tick,
    Supervisor(usize, Option<Interruption>),
    Rescue(usize, Number),
    ClaimRefused(usize),
    Claim { process: usize, job: u8, answered: bool },
    Begin(usize, usize),
    Release(usize, usize),
    End { process: usize, held_job: usize, succeeds: bool },
    CompleteIn(usize, usize),
    TimeOut(usize, usize),
    ReturnLate(usize, usize),
    HandIn { process: usize, held_job: usize, answered: bool },
    Drain(usize),
    ReleaseRunning(usize, usize),
    Stop(usize),
    Crash(usize),
    Pause(usize),
    Stall(usize),
    Resume(usize),
    ClockJumps,
}

impl Step {
    /// Whether it comes from outside, or is a failure.
    fn is_fault(self) -> bool {
        use Step::{ClockJumps, Crash, Drain, Pause, Release, Resume, Stall, TimeOut};
        match self {
            Crash(_) | Pause(_) | Stall(_) | Resume(_) | ClockJumps | Drain(_) | TimeOut(..)
            | Release(..) => true,
            Step::Supervisor(_, interruption) => interruption.is_some(),
            Step::Claim { answered, .. } | Step::HandIn { answered, .. } => !answered,
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
        round_robin: bool,
    ) -> Protocol {
        Protocol { rule, jobs, processes, budget, round_robin, ending: Mutex::default() }
    }

    /// The steps of a worker's dispatcher and its tasks.
    fn dispatcher_steps(&self, state: &State, process: usize, steps: &mut Vec<Step>) {
        let p = &state.processes[process];
        let answers = p.status == ProcessStatus::Awake;
        let listed = p.number.is_some_and(|number| state.stored.is_registered(number));
        for (held_job, held) in p.held_jobs.iter().enumerate() {
            match held.phase {
                Phase::Waiting if p.is_up() => {
                    if !p.suspended && !p.draining {
                        steps.push(Step::Begin(process, held_job));
                    }
                    if state.budget.releases > 0 || p.draining {
                        steps.push(Step::Release(process, held_job));
                    }
                }
                Phase::Running if p.is_up() => {
                    steps.push(Step::End { process, held_job, succeeds: true });
                    if state.budget.failures > 0 {
                        steps.push(Step::End { process, held_job, succeeds: false });
                    }
                    steps.push(Step::CompleteIn(process, held_job));
                    if state.budget.timeouts > 0 {
                        steps.push(Step::TimeOut(process, held_job));
                    }
                    if p.draining {
                        steps.push(Step::ReleaseRunning(process, held_job));
                    }
                }
                Phase::Hanging if p.is_up() || p.status == ProcessStatus::Stopped => {
                    steps.extend([Step::CompleteIn(process, held_job), Step::ReturnLate(process, held_job)]);
                }
                Phase::Done { .. } if answers => {
                    steps.push(Step::HandIn { process, held_job, answered: true });
                    if state.budget.lost_answers > 0 && listed {
                        steps.push(Step::HandIn { process, held_job, answered: false });
                    }
                }
                _ => {}
            }
        }
        if !answers || p.number.is_none() || p.registering.is_some() {
            return;
        }
        if p.draining && p.held_jobs.iter().all(|held_job| held_job.phase == Phase::Hanging) {
            steps.push(Step::Stop(process));
        }
        if !listed {
            steps.push(Step::ClaimRefused(process));
            return;
        }
        // As the dispatcher's own limits, and the order of its claims.
        let repeats = p.has_to_repeat() && self.rule != Rule::ClaimBeforeRepeat;
        if p.suspended || p.draining || repeats {
            return;
        }
        let pending = (0..).zip(&state.stored.rows).filter(|(_, row)| row.status == Status::Pending);
        for (job, _) in pending {
            steps.push(Step::Claim { process, job, answered: true });
            if state.budget.lost_answers > 0 {
                steps.push(Step::Claim { process, job, answered: false });
            }
        }
    }

    fn supervisor_steps(&self, state: &State, process: usize, steps: &mut Vec<Step>) {
        let p = &state.processes[process];
        let waits = self.round_robin && is_before(self.rule, state, process);
        let rescues = p.status == ProcessStatus::Awake && p.to_rescue != 0;
        if p.is_up() && !rescues && !p.is_settled(self.rule) && !waits {
            steps.push(Step::Supervisor(process, None));
            self.interruptions(state, process, steps);
        }
    }

    fn rescues(&self, state: &State, process: usize, steps: &mut Vec<Step>) {
        let p = &state.processes[process];
        let to_rescue = (0..NUMBERS as Number).filter(|number| p.to_rescue & (1 << number) != 0);
        if p.status == ProcessStatus::Awake {
            steps.extend(to_rescue.map(|number| Step::Rescue(process, number)));
        }
    }

    /// The points at which a pause may interrupt the round that is due.
    fn interruptions(&self, state: &State, process: usize, steps: &mut Vec<Step>) {
        let p = &state.processes[process];
        if state.budget.absences == 0 || p.registering.is_some() || p.scan.is_some() {
            return;
        }
        let mut interruption = |interruption| steps.push(Step::Supervisor(process, Some(interruption)));
        let answers = p.status == ProcessStatus::Awake;
        let listed = p.number.is_some_and(|number| state.stored.is_registered(number));
        let heartbeats =
            p.number.is_some() && p.heartbeat.is_none() && p.heartbeat_sent >= super::process::HEARTBEAT;
        if heartbeats && answers {
            interruption(Interruption::HeartbeatUnanswered);
            if !listed {
                interruption(Interruption::RegisterUnanswered);
            }
        }
        if p.monitor.last_look > 0 {
            interruption(Interruption::ScanUnread);
            interruption(Interruption::ScanUnjudged);
        }
    }

    fn fault_steps(&self, state: &State, process: usize, steps: &mut Vec<Step>) {
        let p = &state.processes[process];
        if matches!(p.status, ProcessStatus::Killed | ProcessStatus::Stopped) {
            return;
        }
        if matches!(p.status, ProcessStatus::Paused | ProcessStatus::Stalled) {
            steps.push(Step::Resume(process));
        }
        let works = p.number.is_some();
        if works && state.budget.crashes > 0 {
            steps.push(Step::Crash(process));
        }
        if works && state.budget.drains > 0 && p.is_up() && !p.draining {
            steps.push(Step::Drain(process));
        }
        if p.status == ProcessStatus::Awake && state.budget.absences > 0 {
            steps.push(Step::Pause(process));
            if works {
                steps.push(Step::Stall(process));
            }
        }
    }

    /// Every possible next step.
    fn steps(&self, state: &State, steps: &mut Vec<Step>) {
        let ended = state.stored.rows.iter().all(|row| row.status.is_ended());
        for process in 0..state.processes.len() {
            if ended {
                // Only late steps can still do harm.
                self.rescues(state, process, steps);
                self.dispatcher_steps(state, process, steps);
                continue;
            }
            self.rescues(state, process, steps);
            self.supervisor_steps(state, process, steps);
            self.dispatcher_steps(state, process, steps);
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
            Step::Supervisor(process, interruption) => state.supervisor(rule, process, interruption),
            Step::Rescue(process, number) => state.rescue(rule, process, number),
            Step::ClaimRefused(process) => state.claim_refused(rule, process),
            Step::Claim { process, job, answered } => state.claim(rule, process, job, answered),
            Step::Begin(process, held_job) => state.begin(process, held_job),
            Step::Release(process, held_job) => {
                state.budget.releases -= u8::from(!state.processes[process].draining);
                state.release(process, held_job);
            }
            Step::End { process, held_job, succeeds } => state.end(process, held_job, succeeds),
            Step::CompleteIn(process, held_job) => state.complete_in(rule, process, held_job),
            Step::TimeOut(process, held_job) => state.time_out(process, held_job),
            Step::ReturnLate(process, held_job) => state.return_late(process, held_job),
            Step::HandIn { process, held_job, answered } => state.finish(rule, process, held_job, answered),
            Step::Drain(process) => {
                state.budget.drains -= 1;
                state.processes[process].draining = true;
            }
            Step::ReleaseRunning(process, held_job) => state.release_running(process, held_job),
            Step::Stop(process) => state.stop(rule, process),
            Step::Crash(process) => state.crash(process),
            Step::Pause(process) => state.pause(process),
            Step::Stall(process) => state.stall(process),
            Step::Resume(process) => state.resume(process),
            Step::ClockJumps => state.clock_jumped = true,
        }
    }

    /// Whether every job ends if no fault happens from here on. A process that is away stays away, as
    /// long as one worker is awake. One fair order is followed: each does what is due, then time passes.
    fn ends_alone(&self, from: &State) -> bool {
        let mut state = from.clone();
        let works = |p: &Process| p.number.is_some() && !p.draining;
        if !state
            .processes
            .iter()
            .any(|p| works(p) && !matches!(p.status, ProcessStatus::Killed | ProcessStatus::Stopped))
        {
            return true;
        }
        if !state.processes.iter().any(|p| works(p) && p.status == ProcessStatus::Awake) {
            let away = |p: &Process| matches!(p.status, ProcessStatus::Paused | ProcessStatus::Stalled);
            let all: Vec<usize> = (0..state.processes.len()).filter(|&p| away(&state.processes[p])).collect();
            all.into_iter().for_each(|process| state.resume(process));
        }
        let mut path = Vec::new();
        let mut ends = false;
        // More than enough for two leases.
        for _ in 0..400 {
            let print = fingerprint(&state);
            ends = state.stored.rows.iter().all(|row| row.status.is_ended())
                || self.ending.lock().unwrap_or_else(PoisonError::into_inner).contains(&print);
            if ends {
                break;
            }
            path.push(print);
            let mut steps = Vec::new();
            self.steps(&state, &mut steps);
            steps.retain(|step| match *step {
                Step::Release(process, _) => state.processes[process].draining,
                Step::CompleteIn(..) => false,
                step => !step.is_fault(),
            });
            // Late tasks return first, waiting jobs are begun, and time passes last.
            let first = steps.iter().find(|step| matches!(step, Step::ReturnLate(..))).or(steps.first());
            let Some(&step) = first else { break };
            self.apply(&mut state, step);
        }
        if ends {
            self.ending.lock().unwrap_or_else(PoisonError::into_inner).extend(path);
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
                state.violations & violations::STALE_WRITE == 0
            }),
            Property::always("a rescue frees what the dead worker held", |_, state: &State| {
                state.violations & violations::FREED_UNHELD == 0
            }),
            Property::always("a death is counted once", |_, state: &State| {
                let deaths = state.rescued.count_ones();
                state.violations & violations::RESCUED_TWICE == 0
                    && state.stored.rows.iter().all(|row| u32::from(row.crashes) <= deaths)
            }),
            Property::always(
                "a worker that was up for a lease is not rescued for silence",
                |_, state: &State| state.violations & violations::RESCUED_ALIVE == 0,
            ),
            Property::always(
                "a worker with a heartbeat within a lease is not rescued for silence",
                |_, state: &State| state.violations & violations::RESCUED_FRESH == 0,
            ),
            Property::always("a process that was away itself presumes nobody dead", |_, state: &State| {
                state.violations & violations::JUDGED_AFTER_A_GAP == 0
            }),
            Property::always("an ended job stays ended", |_, state: &State| {
                state.violations & violations::REOPENED == 0
            }),
            Property::always("an attempt begins once", |_, state: &State| {
                state.violations & violations::BEGUN_TWICE == 0
            }),
            Property::always("an end that is written is never reported as lost", |_, state: &State| {
                state.violations & violations::REPORTED_LOST == 0
            }),
            Property::always("a job has one current claim, which its row shows", |_, state: &State| {
                has_one_claim(state)
            }),
            Property::always("effects are committed once, with the completion", |_, state: &State| {
                let once = |completed: bool| u8::from(completed);
                let whole = |row: &super::stored_state::Row| {
                    row.effects == once(row.status == Status::Completed && row.completed_in)
                };
                state.stored.rows.iter().all(whole)
            }),
            Property::always(
                "a worker that trusts its lease is registered",
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
                state.stored.rows.iter().any(|row| row.crashes > 0)
            }),
            Property::sometimes("a worker registers again under a new number", |_, state: &State| {
                state.processes.iter().any(|p| p.number.is_some_and(|number| usize::from(number) >= WORKERS))
            }),
            Property::sometimes("a job is completed by its own transaction", |_, state: &State| {
                state.stored.rows.iter().any(|row| row.effects > 0)
            }),
            Property::sometimes("a worker suspends itself", |_, state: &State| {
                state.processes.iter().any(|p| p.suspended)
            }),
            Property::sometimes(
                "a finish is sent again that has already taken effect",
                |_, state: &State| {
                    let phases =
                        state.processes.iter().flat_map(|p| &p.held_jobs).map(|held_job| held_job.phase);
                    phases.into_iter().any(|phase| {
                        matches!(phase, Phase::Done { sent_before: true, took_effect: true, .. })
                    })
                },
            ),
            Property::sometimes(
                "a task continues after its job went to another worker",
                |_, state: &State| {
                    let mut held_jobs = state.processes.iter().flat_map(|p| &p.held_jobs);
                    held_jobs.any(|held_job| {
                        let row = state.stored.rows[usize::from(held_job.claim.job)];
                        held_job.phase == Phase::Running
                            && row.status == Status::Running
                            && row.attempt > held_job.claim.attempt
                    })
                },
            ),
            Property::sometimes("a worker stops while its task hangs", |_, state: &State| {
                state.processes.iter().any(|p| p.status == ProcessStatus::Stopped && !p.held_jobs.is_empty())
            }),
        ];
        never.into_iter().chain(seen).collect()
    }
}

fn has_one_claim(state: &State) -> bool {
    (0..).zip(&state.stored.rows).all(|(job, row)| {
        let held_jobs = state.processes.iter().flat_map(|p| &p.held_jobs);
        let mut current = held_jobs
            .filter(|held_job| held_job.claim.job == job && held_job.current)
            .map(|held_job| held_job.claim);
        let shown = |claim: super::stored_state::Claim| {
            row.status == Status::Running && row.attempt == claim.attempt && row.worker == Some(claim.worker)
        };
        match current.next() {
            None => true,
            // An attempt that has ended while its task continues is held twice, under one claim.
            Some(claim) => shown(claim) && current.all(|other| other == claim),
        }
    })
}

/// The supervisor has done its round, and the dispatcher may begin the jobs it holds.
fn trusts(rule: Rule, p: &Process) -> bool {
    p.is_up() && p.is_settled(rule) && !p.suspended
}

fn trusts_rightly(rule: Rule, state: &State) -> bool {
    let trusting = state.processes.iter().filter(|p| trusts(rule, p)).filter_map(|p| p.number);
    trusting.into_iter().all(|number| state.stored.is_registered(number))
}

fn holds_its_work(rule: Rule, state: &State) -> bool {
    state.processes.iter().filter(|p| trusts(rule, p)).all(|p| {
        let at_work = |phase| matches!(phase, Phase::Waiting | Phase::Running);
        let own = p.held_jobs.iter().filter(|held_job| Some(held_job.claim.worker) == p.number);
        own.filter(|held_job| at_work(held_job.phase)).all(|held_job| held_job.current)
    })
}
