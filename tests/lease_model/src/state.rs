//! The whole state, and its transitions: each is one transaction, one step of a supervisor or of a
//! dispatcher, or a fault.
//!
//! Depends on `stored_state` and `process`. `protocol` decides which transition is possible when.

use super::heartbeat_monitor::{LEASE, Read, Scan};
use super::process::{HEARTBEAT, Heartbeat, HeldJob, Phase, Process, ProcessStatus, SUSPEND_AFTER};
use super::rules::Rule;
use super::stored_state::{FinishResult, NUMBERS, Number, Status, StoredState, Verdict};

/// The processes that run jobs; those after them only rescue.
pub(crate) const WORKERS: usize = 2;

/// Faults that may still happen. Bounded here is what would make the space infinite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FaultBudget {
    pub(crate) crashes: u8,
    /// Pauses and stalls.
    pub(crate) absences: u8,
    /// Commits whose answers are lost.
    pub(crate) lost_answers: u8,
    /// Jobs given back before they began.
    pub(crate) releases: u8,
    pub(crate) timeouts: u8,
    /// Workers that begin to stop.
    pub(crate) drains: u8,
    /// Attempts that fail.
    pub(crate) failures: u8,
}

/// What must never happen, one bit each, recorded by the transition in which it does.
pub(crate) mod violations {
    /// A write took_effect effect under a claim that was not the current one.
    pub(crate) const STALE_WRITE: u16 = 1;
    /// A rescue freed a job that the dead worker did not hold.
    pub(crate) const FREED_UNHELD: u16 = 2;
    /// One death was counted twice.
    pub(crate) const RESCUED_TWICE: u16 = 4;
    /// A worker was rescued for silence though it had been up for a whole lease.
    pub(crate) const RESCUED_ALIVE: u16 = 8;
    /// A worker was rescued for silence though it had sent a heartbeat within the lease.
    pub(crate) const RESCUED_FRESH: u16 = 16;
    /// A worker was presumed dead by a process that was away itself meanwhile.
    pub(crate) const JUDGED_AFTER_A_GAP: u16 = 32;
    /// A job that had ended was changed.
    pub(crate) const REOPENED: u16 = 64;
    /// One attempt of a job was begun twice.
    pub(crate) const BEGUN_TWICE: u16 = 128;
    /// A repeated finish was reported as lost although the job's end was written.
    pub(crate) const REPORTED_LOST: u16 = 256;
}

/// The point at which a pause interrupts the supervisor, in the middle of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Interruption {
    /// The heartbeat is committed, its answer not received.
    HeartbeatUnanswered,
    /// The new number is registered, the answer not received.
    RegisterUnanswered,
    /// The look has begun and has read nothing yet.
    ScanUnread,
    /// The heartbeats are read and not judged yet.
    ScanUnjudged,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) stored: StoredState,
    pub(crate) processes: Vec<Process>,
    pub(crate) budget: FaultBudget,
    /// The wall clock was set forward by hours (only `Rule::WallClock` reads it).
    pub(crate) clock_jumped: bool,
    /// For the properties: the attempts of each job that were begun, one bit each; the rescued workers;
    /// the violations.
    pub(crate) begun: Vec<u32>,
    pub(crate) rescued: u8,
    pub(crate) violations: u16,
}

impl State {
    pub(crate) fn new(jobs: usize, processes: usize, budget: FaultBudget) -> State {
        let mut stored = StoredState::new(jobs);
        let number = |process: usize| (process < WORKERS).then_some(process as Number);
        (0..processes).filter_map(number).for_each(|number| stored.register_worker(number));
        let processes = (0..processes).map(|process| Process::new(number(process))).collect();
        State {
            stored,
            processes,
            budget,
            clock_jumped: false,
            begun: vec![0; jobs],
            rescued: 0,
            violations: 0,
        }
    }

    /// Which process has this number, or had it.
    pub(crate) fn process_of(number: Number) -> usize {
        usize::from(number) % WORKERS
    }

    /// `Store::is_proven_dead`: the worker lock is free. A process keeps those of its earlier numbers as
    /// long as it lives.
    fn is_proven_dead(&self, number: Number) -> bool {
        self.processes[State::process_of(number)].status == ProcessStatus::Killed
    }

    fn record(&mut self, violations: u16, happened: bool) {
        if happened {
            self.violations |= violations;
        }
    }

    /// No process holds this job under its current claim any more.
    fn end_claim(&mut self, job: u8) {
        let held_jobs = self.processes.iter_mut().flat_map(|process| &mut process.held_jobs);
        held_jobs.filter(|held_job| held_job.claim.job == job).for_each(|held_job| held_job.current = false);
    }

    fn put(&mut self, process: usize, held_job: HeldJob) {
        let held_jobs = &mut self.processes[process].held_jobs;
        held_jobs.push(held_job);
        held_jobs.sort_unstable();
    }

    fn take(&mut self, process: usize, held_job: usize) -> HeldJob {
        self.processes[process].held_jobs.remove(held_job)
    }

    // -- time

    pub(crate) fn tick(&mut self) {
        self.processes.iter_mut().for_each(Process::tick);
    }

    // -- the dispatcher: `worker/dispatcher.rs`

    /// A claim of a worker that is not registered is refused; its supervisor registers a new number.
    pub(crate) fn claim_refused(&mut self, rule: Rule, process: usize) {
        self.come_back(rule, process, false);
    }

    /// Claims a job. If not `answered`, the answer of the commit is lost.
    pub(crate) fn claim(&mut self, rule: Rule, process: usize, job: u8, answered: bool) {
        let Some(number) = self.processes[process].number else { return };
        let spent = self.stored.rows[usize::from(job)].retries > 0;
        let claim = self.stored.claim(job, number);
        self.budget.lost_answers -= u8::from(!answered);
        if !answered && rule == Rule::ClaimsForgotten {
            return;
        }
        // The worker never learns of it, so the store gives it back, before anything else, as with
        // every repeated finish.
        let release =
            Phase::Done { verdict: Verdict::Release { begun: false }, sent_before: true, took_effect: false };
        let phase = if answered { Phase::Waiting } else { release };
        self.put(process, HeldJob { claim, phase, spent, current: true });
    }

    /// The dispatcher begins a job. If an earlier attempt of it still hangs in this process, the job is
    /// given back.
    pub(crate) fn begin(&mut self, process: usize, held_job: usize) {
        let hangs = self.processes[process].runs(self.processes[process].held_jobs[held_job].claim.job);
        let mut begun = self.take(process, held_job);
        begun.phase = if hangs { done(Verdict::Release { begun: false }) } else { Phase::Running };
        if !hangs {
            let attempt = 1 << begun.claim.attempt;
            let before = &mut self.begun[usize::from(begun.claim.job)];
            let twice = *before & attempt != 0;
            *before |= attempt;
            self.record(violations::BEGUN_TWICE, twice);
        }
        self.put(process, begun);
    }

    /// The dispatcher gives back a job that it has not begun.
    pub(crate) fn release(&mut self, process: usize, held_job: usize) {
        let mut held_job = self.take(process, held_job);
        held_job.phase = done(Verdict::Release { begun: false });
        self.put(process, held_job);
    }

    /// The task returns: `Verdict::of`.
    pub(crate) fn end(&mut self, process: usize, held_job: usize, succeeds: bool) {
        let mut held_job = self.take(process, held_job);
        let failure = if held_job.spent { Verdict::Fail } else { Verdict::Retry };
        held_job.phase = done(if succeeds { Verdict::Complete } else { failure });
        self.budget.failures -= u8::from(!succeeds);
        self.put(process, held_job);
    }

    /// The task completes its job in its own transaction: `JobContext::complete_in`.
    pub(crate) fn complete_in(&mut self, rule: Rule, process: usize, held_job: usize) {
        let mut held_job = self.take(process, held_job);
        let finished = self.stored.complete_in(rule, held_job.claim);
        self.record(violations::STALE_WRITE, finished == FinishResult::Written && !held_job.current);
        if finished == FinishResult::Written {
            self.end_claim(held_job.claim.job);
            held_job.current = false;
        }
        if held_job.phase == Phase::Hanging {
            // Its result is no longer expected.
            return;
        }
        // It returns its result, or the error that rolled back its transaction.
        let took_effect = finished == FinishResult::Written;
        let verdict = match finished {
            FinishResult::Lost if held_job.spent => Verdict::Fail,
            FinishResult::Lost => Verdict::Retry,
            FinishResult::Written | FinishResult::Before => Verdict::Complete,
        };
        held_job.phase = Phase::Done { verdict, sent_before: false, took_effect };
        self.put(process, held_job);
    }

    /// The attempt times out: it has failed, and its thread continues.
    pub(crate) fn time_out(&mut self, process: usize, held_job: usize) {
        let verdict =
            if self.processes[process].held_jobs[held_job].spent { Verdict::Fail } else { Verdict::Retry };
        self.decide(process, held_job, verdict);
        self.budget.timeouts -= 1;
    }

    /// The shutdown timeout has passed: the attempt is released, and its thread continues.
    pub(crate) fn release_running(&mut self, process: usize, held_job: usize) {
        self.decide(process, held_job, Verdict::Release { begun: true });
    }

    fn decide(&mut self, process: usize, held_job: usize, verdict: Verdict) {
        let held_job = self.take(process, held_job);
        self.put(process, HeldJob { phase: done(verdict), ..held_job });
        self.put(process, HeldJob { phase: Phase::Hanging, ..held_job });
    }

    /// A task whose attempt has ended earlier returns.
    pub(crate) fn return_late(&mut self, process: usize, held_job: usize) {
        self.take(process, held_job);
    }

    /// A claim hands in a job that has ended. If not `answered`, the answer of the commit is lost.
    pub(crate) fn finish(&mut self, rule: Rule, process: usize, held_job: usize, answered: bool) {
        let mut held_job = self.take(process, held_job);
        let Phase::Done { verdict, took_effect, .. } = held_job.phase else { return };
        let listed = self.processes[process].number.is_some_and(|number| self.stored.is_registered(number));
        if !listed {
            // The claim is refused as a whole, and its finishes are not sent again.
            return;
        }
        let finished = self.stored.finish(rule, held_job.claim, verdict);
        self.record(violations::STALE_WRITE, finished == FinishResult::Written && !held_job.current);
        let ends = matches!(verdict, Verdict::Complete | Verdict::Fail);
        self.record(
            violations::REPORTED_LOST,
            answered && finished == FinishResult::Lost && took_effect && ends,
        );
        if finished == FinishResult::Written {
            self.end_claim(held_job.claim.job);
            held_job.current = false;
        }
        if !answered {
            self.budget.lost_answers -= 1;
            let took_effect = took_effect || finished == FinishResult::Written;
            held_job.phase = Phase::Done { verdict, sent_before: true, took_effect };
            self.put(process, held_job);
        }
    }

    /// The worker has stopped: the last step of the order of stopping.
    pub(crate) fn stop(&mut self, rule: Rule, process: usize) {
        let Some(number) = self.processes[process].number else { return };
        self.stored.free(rule, number, false).into_iter().for_each(|job| self.end_claim(job));
        self.processes[process].gone(ProcessStatus::Stopped);
    }

    // -- the supervisor: `worker/supervisor`

    /// One round of the supervisor, up to where a pause interrupts it. It continues first with what was
    /// interrupted before.
    pub(crate) fn supervisor(&mut self, rule: Rule, process: usize, interruption: Option<Interruption>) {
        if let Some(started) = self.processes[process].registering.take() {
            self.registered(rule, process, started);
        }
        self.send_heartbeat(rule, process);
        if interruption == Some(Interruption::HeartbeatUnanswered) {
            return self.pause(process);
        }
        self.poll_heartbeat(rule, process, interruption == Some(Interruption::RegisterUnanswered));
        if interruption == Some(Interruption::RegisterUnanswered) {
            return self.pause(process);
        }
        // After a look that was interrupted for long the next one is due.
        for _ in 0..2 {
            if self.processes[process].scan.is_some() || self.processes[process].monitor.last_look > 0 {
                self.look(rule, process, interruption);
            }
        }
        if interruption.is_some() {
            return self.pause(process);
        }
        // The worker suspends itself if its lease may be lost.
        let process = &mut self.processes[process];
        process.suspended = process.number.is_some() && process.confirmed >= SUSPEND_AFTER;
    }

    /// Sends a heartbeat, and commits it if the database answers.
    fn send_heartbeat(&mut self, rule: Rule, process: usize) {
        let p = &mut self.processes[process];
        let Some(number) = p.number else { return };
        let ends = p.draining && rule == Rule::NoHeartbeatInDrain;
        if p.heartbeat.is_none() && p.heartbeat_sent >= HEARTBEAT && !ends {
            p.heartbeat_sent = 0;
            p.heartbeat = Some(Heartbeat { sent: 0, listed: None });
        }
        let answers = p.status == ProcessStatus::Awake;
        let Some(heartbeat) = p.heartbeat.as_mut().filter(|heartbeat| heartbeat.listed.is_none() && answers)
        else {
            return;
        };
        let listed = self.stored.is_registered(number);
        heartbeat.listed = Some(listed);
        if listed {
            p.heartbeat_age = 0;
            self.processes.iter_mut().for_each(|other| other.monitor.beating |= 1 << number);
        }
    }

    /// Takes the answer of a heartbeat.
    fn poll_heartbeat(&mut self, rule: Rule, process: usize, interrupted: bool) {
        let p = &mut self.processes[process];
        let Some(Heartbeat { sent, listed: Some(listed) }) = p.heartbeat else { return };
        p.heartbeat = None;
        if listed {
            p.confirmed = sent;
        } else {
            self.come_back(rule, process, interrupted);
        }
    }

    /// Forgets the jobs that were not begun, and registers the worker under a new number.
    fn come_back(&mut self, rule: Rule, process: usize, interrupted: bool) {
        let p = &mut self.processes[process];
        let Some(before) = p.number else { return };
        p.held_jobs.retain(|held_job| held_job.phase != Phase::Waiting);
        p.heartbeat = None;
        p.heartbeat_age = 0;
        p.registering = Some(0);
        self.stored.register_worker(State::next_number(rule, before));
        if !interrupted {
            p.registering = None;
            self.registered(rule, process, 0);
        }
    }

    /// The worker learns that its new number is registered; the request is `started` ticks old.
    fn registered(&mut self, rule: Rule, process: usize, started: u8) {
        let p = &mut self.processes[process];
        p.number = p.number.map(|before| State::next_number(rule, before));
        p.confirmed = started;
    }

    fn next_number(rule: Rule, before: Number) -> Number {
        let next = before + WORKERS as Number;
        // What a broken rule does after its last registration is not of interest.
        assert!(
            rule != Rule::Sound || usize::from(next) < NUMBERS,
            "more registrations than the model has numbers for"
        );
        if usize::from(next) < NUMBERS { next } else { before }
    }

    /// One look at the other workers, up to the rescues.
    fn look(&mut self, rule: Rule, process: usize, interruption: Option<Interruption>) {
        let (listed, held) = (self.stored.listed, self.held(rule));
        let p = &mut self.processes[process];
        let scan = p.scan.get_or_insert(Scan { started: 0, read: None });
        if interruption == Some(Interruption::ScanUnread) {
            return;
        }
        let monitor = &mut p.monitor;
        let read = *scan.read.get_or_insert_with(|| Read {
            listed,
            beating: std::mem::take(&mut monitor.beating),
            held,
        });
        // A rescue that an earlier look has started finds that the worker has sent a heartbeat.
        p.to_rescue &= !read.beating;
        if interruption == Some(Interruption::ScanUnjudged) {
            return;
        }
        let started = scan.started;
        p.scan = None;
        let observed = p.monitor.look(rule, read, started);
        let own = p.number.map_or(0, |number| 1 << number);
        let listed = (0..NUMBERS as Number).filter(|number| read.listed & !own & (1 << number) != 0);
        for number in listed.collect::<Vec<_>>() {
            let silent = match rule {
                Rule::WallClock => self.clock_jumped || self.silence(number) >= LEASE,
                Rule::NoOwnObservation => self.silence(number) >= LEASE,
                _ => observed & (1 << number) != 0,
            };
            let dead = self.is_proven_dead(number);
            self.record(
                violations::JUDGED_AFTER_A_GAP,
                silent && !dead && self.processes[process].watched_for < LEASE,
            );
            if silent || dead {
                self.processes[process].to_rescue |= 1 << number;
                self.processes[process].to_rescue_jobs |= read.held & (0b11 << (2 * number));
            }
        }
    }

    /// The jobs that each number holds, for `Rule::RescueById`.
    fn held(&self, rule: Rule) -> u16 {
        if rule != Rule::RescueById {
            return 0;
        }
        let running = (0..).zip(&self.stored.rows).filter(|(_, row)| row.status == Status::Running);
        running
            .filter_map(|(job, row): (u16, _)| row.worker.map(|worker| 1 << (2 * u16::from(worker) + job)))
            .sum()
    }

    /// Age of the last committed heartbeat under this number.
    fn silence(&self, number: Number) -> u8 {
        let p = &self.processes[State::process_of(number)];
        let registering = p.registering.and(p.number).map(|before| before + WORKERS as Number);
        if p.number == Some(number) && registering.is_none() || registering == Some(number) {
            p.heartbeat_age
        } else {
            LEASE
        }
    }

    /// Releases a worker that was found dead; one that was found silent, only if it has sent no heartbeat
    /// since.
    pub(crate) fn rescue(&mut self, rule: Rule, process: usize, number: Number) {
        let dead = self.is_proven_dead(number);
        let p = &mut self.processes[process];
        p.to_rescue &= !(1 << number);
        let held = p.to_rescue_jobs >> (2 * number) & 0b11;
        p.to_rescue_jobs &= !(0b11 << (2 * number));
        if !dead && p.monitor.is_beating(number) && rule != Rule::RescueUnchecked {
            return;
        }
        let listed = self.stored.is_registered(number);
        if rule == Rule::RescueById {
            self.rescue_by_id(number, held);
        }
        if !listed {
            return;
        }
        let freed = self.stored.free(rule, number, true);
        freed.iter().for_each(|&job| self.end_claim(job));
        let target = &self.processes[State::process_of(number)];
        let (awake, fresh) = (
            target.status == ProcessStatus::Awake && target.awake_for >= LEASE,
            self.silence(number) < LEASE,
        );
        self.record(violations::RESCUED_ALIVE, !dead && awake);
        self.record(violations::RESCUED_FRESH, !dead && fresh);
        self.record(violations::RESCUED_TWICE, self.rescued & (1 << number) != 0);
        self.rescued |= 1 << number;
    }

    fn rescue_by_id(&mut self, number: Number, held: u16) {
        for job in (0..self.stored.rows.len() as u8).filter(|job| held & (1 << job) != 0) {
            let row = self.stored.rows[usize::from(job)];
            self.record(violations::REOPENED, row.status.is_ended());
            self.record(
                violations::FREED_UNHELD,
                row.status == Status::Running && row.worker != Some(number),
            );
            self.stored.free_row(job, true);
            self.end_claim(job);
        }
    }

    // -- faults

    pub(crate) fn crash(&mut self, process: usize) {
        self.budget.crashes -= 1;
        self.processes[process].gone(ProcessStatus::Killed);
    }

    pub(crate) fn pause(&mut self, process: usize) {
        self.budget.absences -= 1;
        self.processes[process].status = ProcessStatus::Paused;
    }

    pub(crate) fn stall(&mut self, process: usize) {
        self.budget.absences -= 1;
        self.processes[process].status = ProcessStatus::Stalled;
    }

    pub(crate) fn resume(&mut self, process: usize) {
        let process = &mut self.processes[process];
        (process.status, process.away) = (ProcessStatus::Awake, 0);
    }
}

/// To be handed in for the first time.
fn done(verdict: Verdict) -> Phase {
    Phase::Done { verdict, sent_before: false, took_effect: false }
}
