//! The whole state, and its transitions: each is one transaction, one step of a supervisor or of a dispatcher, or a fault.
//!
//! Leans on the books and the processes. Which transition may come when is the business of `protocol`.

use super::books::{Books, FinishResult, NUMBERS, Number, Status, Verdict};
use super::heartbeat_monitor::{Census, LEASE, Read};
use super::process::{DOUBT, HEARTBEAT, Hand, Heartbeat, Life, Phase, Process};
use super::rules::Rule;

/// The processes that run jobs; those after them only look.
pub(crate) const WORKERS: usize = 2;

/// Faults that may still come. What is bounded here is what would make the space endless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FaultBudget {
    pub(crate) crashes: u8,
    /// Pauses and stalls.
    pub(crate) aways: u8,
    /// Commits whose answers get lost.
    pub(crate) unheard: u8,
    /// Jobs given back unstarted.
    pub(crate) releases: u8,
    pub(crate) timeouts: u8,
    /// Workers that stop.
    pub(crate) drains: u8,
    /// Attempts that fail.
    pub(crate) failures: u8,
}

/// What must never happen, a bit each: noted by the transition in which it does.
pub(crate) mod wrong {
    /// A write took effect under a claim that was not the current one.
    pub(crate) const STALE_WRITE: u16 = 1;
    /// A rescue freed a job that the dead worker did not hold.
    pub(crate) const STOLEN: u16 = 2;
    /// One death was counted twice.
    pub(crate) const DIED_TWICE: u16 = 4;
    /// A worker was rescued for silence though it had been up for a whole lease.
    pub(crate) const RESCUED_ALIVE: u16 = 8;
    /// A worker was rescued for silence though it had beaten within the lease.
    pub(crate) const RESCUED_FRESH: u16 = 16;
    /// A worker was taken for silent by a process that was away itself meanwhile.
    pub(crate) const JUDGED_BLINDLY: u16 = 32;
    /// A job that had ended was changed.
    pub(crate) const UNENDED: u16 = 64;
    /// An attempt was begun under a number that had been begun before.
    pub(crate) const BEGUN_TWICE: u16 = 128;
    /// The end of a job was told to be lost although it was written, when the finish was repeated.
    pub(crate) const TOLD_LOST: u16 = 256;
}

/// Where the supervisor is cut off by a pause, in the middle of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cut {
    /// The heartbeat is committed, its answer not heard.
    BeatUnheard,
    /// The new number is on the list, and the answer not heard.
    EnlistUnheard,
    /// The look has begun and has read nothing yet.
    CensusUnread,
    /// The heartbeats are read and not judged yet.
    CensusUnheard,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) books: Books,
    pub(crate) processes: Vec<Process>,
    pub(crate) budget: FaultBudget,
    /// The wall clock was set forward by hours (`Rule::WallClock` alone looks at it).
    pub(crate) clock_jumped: bool,
    /// For the properties: the attempts of each job that were begun, a bit each; who was rescued; what went wrong.
    pub(crate) begun: Vec<u32>,
    pub(crate) rescued: u8,
    pub(crate) wrong: u16,
}

impl State {
    pub(crate) fn new(jobs: usize, processes: usize, budget: FaultBudget) -> State {
        let mut books = Books::new(jobs);
        let number = |process: usize| (process < WORKERS).then_some(process as Number);
        (0..processes).filter_map(number).for_each(|number| books.register_worker(number));
        let processes = (0..processes).map(|process| Process::new(number(process))).collect();
        State { books, processes, budget, clock_jumped: false, begun: vec![0; jobs], rescued: 0, wrong: 0 }
    }

    /// Which process has this number, or had it.
    pub(crate) fn process_of(number: Number) -> usize {
        usize::from(number) % WORKERS
    }

    /// `Store::is_proven_dead`: the lock on the liveness file is free. A process keeps those of its earlier numbers as long as
    /// it lives.
    fn is_proven_dead(&self, number: Number) -> bool {
        self.processes[State::process_of(number)].life == Life::Dead
    }

    fn note(&mut self, wrong: u16, happened: bool) {
        if happened {
            self.wrong |= wrong;
        }
    }

    /// No hand holds this job any more.
    fn end_claim(&mut self, job: u8) {
        let hands = self.processes.iter_mut().flat_map(|process| &mut process.hands);
        hands.filter(|hand| hand.claim.job == job).for_each(|hand| hand.current = false);
    }

    fn put(&mut self, process: usize, hand: Hand) {
        let hands = &mut self.processes[process].hands;
        hands.push(hand);
        hands.sort_unstable();
    }

    fn take(&mut self, process: usize, hand: usize) -> Hand {
        self.processes[process].hands.remove(hand)
    }

    // -- time

    pub(crate) fn tick(&mut self) {
        self.processes.iter_mut().for_each(Process::tick);
    }

    // -- the dispatcher: `worker/dispatcher.rs`

    /// A turn of a worker that is not on the list is refused, which its supervisor is told: `Dispatcher::landed`, `Supervisor::come_back`.
    pub(crate) fn told_lost(&mut self, rule: Rule, process: usize) {
        self.come_back(rule, process, false);
    }

    /// A turn claims a job: `writer::apply_turn`, `serve`. Unheard, the commit's answer gets lost.
    pub(crate) fn claim(&mut self, rule: Rule, process: usize, job: u8, heard: bool) {
        let Some(number) = self.processes[process].number else { return };
        let spent = self.books.rows[usize::from(job)].retries > 0;
        let claim = self.books.claim(job, number);
        self.budget.unheard -= u8::from(!heard);
        if !heard && rule == Rule::ClaimsForgotten {
            return;
        }
        // The worker never hears of it, so the store gives it back; before anything else, as with every finish that is repeated.
        let give_back = Phase::Done { verdict: Verdict::Release { begun: false }, tried: true, took: false };
        let phase = if heard { Phase::Waiting } else { give_back };
        self.put(process, Hand { claim, phase, spent, current: true });
    }

    /// `Dispatcher::begin_next`: a job whose earlier attempt hangs here is given back.
    pub(crate) fn begin(&mut self, process: usize, hand: usize) {
        let hangs = self.processes[process].runs(self.processes[process].hands[hand].claim.job);
        let mut begun = self.take(process, hand);
        begun.phase = if hangs { done(Verdict::Release { begun: false }) } else { Phase::Running };
        if !hangs {
            let attempt = 1 << begun.claim.attempt;
            let before = &mut self.begun[usize::from(begun.claim.job)];
            let twice = *before & attempt != 0;
            *before |= attempt;
            self.note(wrong::BEGUN_TWICE, twice);
        }
        self.put(process, begun);
    }

    /// `Dispatcher::give_back_waiting`.
    pub(crate) fn give_back(&mut self, process: usize, hand: usize) {
        let mut hand = self.take(process, hand);
        hand.phase = done(Verdict::Release { begun: false });
        self.put(process, hand);
    }

    /// The task returns: `retry::verdict`.
    pub(crate) fn end(&mut self, process: usize, hand: usize, succeeds: bool) {
        let mut hand = self.take(process, hand);
        let failure = if hand.spent { Verdict::Fail } else { Verdict::Retry };
        hand.phase = done(if succeeds { Verdict::Complete } else { failure });
        self.budget.failures -= u8::from(!succeeds);
        self.put(process, hand);
    }

    /// The task completes its job in a transaction of its own: `JobContext::complete_in`.
    pub(crate) fn complete_in(&mut self, rule: Rule, process: usize, hand: usize) {
        let mut hand = self.take(process, hand);
        let finished = self.books.complete_in(rule, hand.claim);
        self.note(wrong::STALE_WRITE, finished == FinishResult::Written && !hand.current);
        if finished == FinishResult::Written {
            self.end_claim(hand.claim.job);
            hand.current = false;
        }
        if hand.phase == Phase::Hanging {
            // Nobody listens to it any more.
            return;
        }
        // It returns its result, or the error by which its transaction was rolled back.
        let took = finished == FinishResult::Written;
        let verdict = match finished {
            FinishResult::Lost if hand.spent => Verdict::Fail,
            FinishResult::Lost => Verdict::Retry,
            FinishResult::Written | FinishResult::Before => Verdict::Complete,
        };
        hand.phase = Phase::Done { verdict, tried: false, took };
        self.put(process, hand);
    }

    /// `Dispatcher::expire`: the attempt has failed, and its thread goes on.
    pub(crate) fn time_out(&mut self, process: usize, hand: usize) {
        let verdict = if self.processes[process].hands[hand].spent { Verdict::Fail } else { Verdict::Retry };
        self.decide(process, hand, verdict);
        self.budget.timeouts -= 1;
    }

    /// `Dispatcher::release_running`: the grace of a stop is over.
    pub(crate) fn release_running(&mut self, process: usize, hand: usize) {
        self.decide(process, hand, Verdict::Release { begun: true });
    }

    fn decide(&mut self, process: usize, hand: usize, verdict: Verdict) {
        let hand = self.take(process, hand);
        self.put(process, Hand { phase: done(verdict), ..hand });
        self.put(process, Hand { phase: Phase::Hanging, ..hand });
    }

    /// A task that nobody listens to any more returns at last: `Dispatcher::returned`.
    pub(crate) fn return_at_last(&mut self, process: usize, hand: usize) {
        self.take(process, hand);
    }

    /// A turn hands in what has ended: `writer::apply_turn`, `Dispatcher::landed`. Unheard, the commit's answer gets lost.
    pub(crate) fn finish(&mut self, rule: Rule, process: usize, hand: usize, heard: bool) {
        let mut hand = self.take(process, hand);
        let Phase::Done { verdict, took, .. } = hand.phase else { return };
        let listed = self.processes[process].number.is_some_and(|number| self.books.is_registered(number));
        if !listed {
            // The turn is refused as a whole, and what it brought is not brought again.
            return;
        }
        let finished = self.books.finish(rule, hand.claim, verdict);
        self.note(wrong::STALE_WRITE, finished == FinishResult::Written && !hand.current);
        let ends = matches!(verdict, Verdict::Complete | Verdict::Fail);
        self.note(wrong::TOLD_LOST, heard && finished == FinishResult::Lost && took && ends);
        if finished == FinishResult::Written {
            self.end_claim(hand.claim.job);
            hand.current = false;
        }
        if !heard {
            self.budget.unheard -= 1;
            let took = took || finished == FinishResult::Written;
            hand.phase = Phase::Done { verdict, tried: true, took };
            self.put(process, hand);
        }
    }

    /// The worker has stopped: `Running::stop`, last step.
    pub(crate) fn leave(&mut self, rule: Rule, process: usize) {
        let Some(number) = self.processes[process].number else { return };
        self.books.free(rule, number, false).into_iter().for_each(|job| self.end_claim(job));
        self.processes[process].gone(Life::Left);
    }

    // -- the supervisor: `worker/supervisor.rs`

    /// One round of `Supervisor::serve`, up to where a pause cuts it off. What was cut off before is gone on with.
    pub(crate) fn supervisor(&mut self, rule: Rule, process: usize, cut: Option<Cut>) {
        if let Some(asked) = self.processes[process].entering.take() {
            self.enter(rule, process, asked);
        }
        self.send_heartbeat(rule, process);
        if cut == Some(Cut::BeatUnheard) {
            return self.pause(process);
        }
        self.poll_heartbeat(rule, process, cut == Some(Cut::EnlistUnheard));
        if cut == Some(Cut::EnlistUnheard) {
            return self.pause(process);
        }
        // After a look that was cut off for long the next one is due.
        for _ in 0..2 {
            if self.processes[process].census.is_some() || self.processes[process].monitor.looked > 0 {
                self.look(rule, process, cut);
            }
        }
        if cut.is_some() {
            return self.pause(process);
        }
        // `mind_own_lease`
        let process = &mut self.processes[process];
        process.suspended = process.number.is_some() && process.sure >= DOUBT;
    }

    /// `send_heartbeat`, and `verbs::heartbeat` if the database answers.
    fn send_heartbeat(&mut self, rule: Rule, process: usize) {
        let p = &mut self.processes[process];
        let Some(number) = p.number else { return };
        let ends = p.draining && rule == Rule::NoBeatInDrain;
        if p.heartbeat.is_none() && p.beat_sent >= HEARTBEAT && !ends {
            p.beat_sent = 0;
            p.heartbeat = Some(Heartbeat { sent: 0, listed: None });
        }
        let answers = p.life == Life::Awake;
        let Some(heartbeat) = p.heartbeat.as_mut().filter(|heartbeat| heartbeat.listed.is_none() && answers)
        else {
            return;
        };
        let listed = self.books.is_registered(number);
        heartbeat.listed = Some(listed);
        if listed {
            p.beaten = 0;
            self.processes.iter_mut().for_each(|other| other.monitor.beaten |= 1 << number);
        }
    }

    /// `poll_heartbeat`.
    fn poll_heartbeat(&mut self, rule: Rule, process: usize, cut_off: bool) {
        let p = &mut self.processes[process];
        let Some(Heartbeat { sent, listed: Some(listed) }) = p.heartbeat else { return };
        p.heartbeat = None;
        if listed {
            p.sure = sent;
        } else {
            self.come_back(rule, process, cut_off);
        }
    }

    /// `come_back`: what was only held ahead is forgotten, the worker enters the list under a new number.
    fn come_back(&mut self, rule: Rule, process: usize, cut_off: bool) {
        let p = &mut self.processes[process];
        let Some(before) = p.number else { return };
        p.hands.retain(|hand| hand.phase != Phase::Waiting);
        p.heartbeat = None;
        p.beaten = 0;
        p.entering = Some(0);
        self.books.register_worker(State::next_number(rule, before));
        if !cut_off {
            p.entering = None;
            self.enter(rule, process, 0);
        }
    }

    /// The worker knows that its new number is on the list, which it asked for `asked` ago.
    fn enter(&mut self, rule: Rule, process: usize, asked: u8) {
        let p = &mut self.processes[process];
        p.number = p.number.map(|before| State::next_number(rule, before));
        p.sure = asked;
    }

    fn next_number(rule: Rule, before: Number) -> Number {
        let next = before + WORKERS as Number;
        // What a broken rule does after its last life is of no interest any more.
        assert!(
            rule != Rule::Sound || usize::from(next) < NUMBERS,
            "more lives than the model has numbers for"
        );
        if usize::from(next) < NUMBERS { next } else { before }
    }

    /// `look`, up to the rescues.
    fn look(&mut self, rule: Rule, process: usize, cut: Option<Cut>) {
        let (listed, held) = (self.books.listed, self.held(rule));
        let p = &mut self.processes[process];
        let census = p.census.get_or_insert(Census { asked: 0, read: None });
        if cut == Some(Cut::CensusUnread) {
            return;
        }
        let monitor = &mut p.monitor;
        let read = *census.read.get_or_insert_with(|| Read {
            listed,
            beaten: std::mem::take(&mut monitor.beaten),
            held,
        });
        // A rescue that is under way since an earlier look will find that the worker has beaten.
        p.doomed &= !read.beaten;
        if cut == Some(Cut::CensusUnheard) {
            return;
        }
        let asked = census.asked;
        p.census = None;
        let observed = p.monitor.look(rule, read, asked);
        let own = p.number.map_or(0, |number| 1 << number);
        let listed = (0..NUMBERS as Number).filter(|number| read.listed & !own & (1 << number) != 0);
        for number in listed.collect::<Vec<_>>() {
            let silent = match rule {
                Rule::WallClock => self.clock_jumped || self.silence(number) >= LEASE,
                Rule::NoOwnObservation => self.silence(number) >= LEASE,
                _ => observed & (1 << number) != 0,
            };
            let dead = self.is_proven_dead(number);
            self.note(wrong::JUDGED_BLINDLY, silent && !dead && self.processes[process].watched_for < LEASE);
            if silent || dead {
                self.processes[process].doomed |= 1 << number;
                self.processes[process].doomed_held |= read.held & (0b11 << (2 * number));
            }
        }
    }

    /// The jobs that each number holds, for the rule that goes by them.
    fn held(&self, rule: Rule) -> u16 {
        if rule != Rule::RescueById {
            return 0;
        }
        let running = (0..).zip(&self.books.rows).filter(|(_, row)| row.status == Status::Running);
        running
            .filter_map(|(job, row): (u16, _)| row.worker.map(|worker| 1 << (2 * u16::from(worker) + job)))
            .sum()
    }

    /// How long ago the last heartbeat under this number was committed.
    fn silence(&self, number: Number) -> u8 {
        let p = &self.processes[State::process_of(number)];
        let entering = p.entering.and(p.number).map(|before| before + WORKERS as Number);
        if p.number == Some(number) && entering.is_none() || entering == Some(number) {
            p.beaten
        } else {
            LEASE
        }
    }

    /// `verbs::free` of one that was found dead; for one that was found silent, only if it has not beaten since.
    pub(crate) fn rescue(&mut self, rule: Rule, process: usize, number: Number) {
        let dead = self.is_proven_dead(number);
        let p = &mut self.processes[process];
        p.doomed &= !(1 << number);
        let held = p.doomed_held >> (2 * number) & 0b11;
        p.doomed_held &= !(0b11 << (2 * number));
        if !dead && p.monitor.has_beaten(number) && rule != Rule::RescueUnasked {
            return;
        }
        let listed = self.books.is_registered(number);
        if rule == Rule::RescueById {
            self.rescue_by_id(number, held);
        }
        if !listed {
            return;
        }
        let freed = self.books.free(rule, number, true);
        freed.iter().for_each(|&job| self.end_claim(job));
        let target = &self.processes[State::process_of(number)];
        let (awake, fresh) =
            (target.life == Life::Awake && target.awake_for >= LEASE, self.silence(number) < LEASE);
        self.note(wrong::RESCUED_ALIVE, !dead && awake);
        self.note(wrong::RESCUED_FRESH, !dead && fresh);
        self.note(wrong::DIED_TWICE, self.rescued & (1 << number) != 0);
        self.rescued |= 1 << number;
    }

    fn rescue_by_id(&mut self, number: Number, held: u16) {
        for job in (0..self.books.rows.len() as u8).filter(|job| held & (1 << job) != 0) {
            let row = self.books.rows[usize::from(job)];
            self.note(wrong::UNENDED, row.status.is_ended());
            self.note(wrong::STOLEN, row.status == Status::Running && row.worker != Some(number));
            self.books.free_row(job, true);
            self.end_claim(job);
        }
    }

    // -- faults

    pub(crate) fn crash(&mut self, process: usize) {
        self.budget.crashes -= 1;
        self.processes[process].gone(Life::Dead);
    }

    pub(crate) fn pause(&mut self, process: usize) {
        self.budget.aways -= 1;
        self.processes[process].life = Life::Paused;
    }

    pub(crate) fn stall(&mut self, process: usize) {
        self.budget.aways -= 1;
        self.processes[process].life = Life::Stalled;
    }

    pub(crate) fn go_on(&mut self, process: usize) {
        let process = &mut self.processes[process];
        (process.life, process.away) = (Life::Awake, 0);
    }
}

/// To be handed in for the first time.
fn done(verdict: Verdict) -> Phase {
    Phase::Done { verdict, tried: false, took: false }
}
