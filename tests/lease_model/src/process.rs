//! A process: a worker (or one that only looks after others), with what it knows and what it has in hand.
//!
//! Mirrors what `worker/supervisor.rs` and `worker/dispatcher.rs` keep between two steps. Leans on the monitor; the tables never come in.

use super::books::{Claim, Number, Verdict};
use super::heartbeat_monitor::{Census, GAP, HeartbeatMonitor, LEASE, older};
use super::rules::Rule;

/// `lease / 3`: when the next heartbeat is due.
pub(crate) const HEARTBEAT: u8 = 2;

/// The first tick past 0.8 of a lease: a worker whose last answered heartbeat was sent so long ago begins nothing more.
pub(crate) const DOUBT: u8 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    Awake,
    /// Stopped by a signal, or by a machine that gives it no time. Clocks go on.
    Paused,
    /// Its database does not answer: a slow disk, or somebody else's lock. The rest of it goes on.
    Stalled,
    /// Killed: the operating system has let go of the lock on its liveness file.
    Dead,
    /// It has stopped in good order.
    Left,
}

/// A job in a worker's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Hand {
    pub(crate) claim: Claim,
    pub(crate) phase: Phase,
    /// The retry is spent: one more failure is the last.
    pub(crate) spent: bool,
    /// For the properties: the claim is the one by which the job runs now. No process could know.
    pub(crate) current: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// ClaimedJob, not begun.
    Waiting,
    Running,
    /// Its task runs on although the attempt was decided over its head.
    Hanging,
    /// To be handed in; `tried` if it was, and the answer got lost, and `took` (for the properties) if it took effect then.
    Done {
        verdict: Verdict,
        tried: bool,
        took: bool,
    },
}

/// A heartbeat that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Heartbeat {
    /// Since it was sent.
    pub(crate) sent: u8,
    /// Whether the worker was on the list, once it is committed.
    pub(crate) listed: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) life: Life,
    /// Claims nothing more; ends what runs, then leaves.
    pub(crate) draining: bool,
    /// `None` for one that only looks after others.
    pub(crate) number: Option<Number>,
    /// Since the last heartbeat was sent.
    pub(crate) beat_sent: u8,
    pub(crate) heartbeat: Option<Heartbeat>,
    /// A new number is on the list, and the process does not know yet; since when it was asked for.
    pub(crate) entering: Option<u8>,
    /// Since the last answered heartbeat was sent.
    pub(crate) sure: u8,
    /// Begins nothing, since the lease may be lost.
    pub(crate) suspended: bool,
    pub(crate) monitor: HeartbeatMonitor,
    pub(crate) census: Option<Census>,
    /// Whom it has found silent and will rescue, a bit a number, and what they held.
    pub(crate) doomed: u8,
    pub(crate) doomed_held: u16,
    /// Sorted, so that the same hands are the same state.
    pub(crate) hands: Vec<Hand>,
    /// For the properties: how long it has been away now; since when it was not away for as long as makes an monitor blind,
    /// paused or stalled; and the same, paused alone.
    pub(crate) away: u8,
    pub(crate) awake_for: u8,
    pub(crate) watched_for: u8,
    /// For the properties: since the last heartbeat of its number was committed.
    pub(crate) beaten: u8,
}

impl Process {
    pub(crate) fn new(number: Option<Number>) -> Process {
        Process {
            life: Life::Awake,
            draining: false,
            number,
            beat_sent: 0,
            heartbeat: None,
            entering: None,
            sure: 0,
            suspended: false,
            monitor: HeartbeatMonitor::new(),
            census: None,
            doomed: 0,
            doomed_held: 0,
            hands: Vec::new(),
            away: 0,
            awake_for: LEASE,
            watched_for: LEASE,
            beaten: 0,
        }
    }

    /// What is left of a process that is gone; its number still says which one is dead.
    pub(crate) fn gone(&mut self, life: Life) {
        let mut hands = std::mem::take(&mut self.hands);
        // A task that hangs goes with its process, and outlives its worker.
        hands.retain(|hand| hand.phase == Phase::Hanging && life == Life::Left);
        *self = Process { life, hands, ..Process::new(self.number) };
    }

    /// Whether it does anything at all.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.life, Life::Awake | Life::Stalled)
    }

    pub(crate) fn tick(&mut self) {
        if matches!(self.life, Life::Dead | Life::Left) {
            return;
        }
        // Each up to where it makes no difference any more.
        older(&mut self.beat_sent, HEARTBEAT);
        older(&mut self.sure, DOUBT);
        self.heartbeat.iter_mut().for_each(|heartbeat| older(&mut heartbeat.sent, DOUBT));
        self.entering.iter_mut().for_each(|asked| older(asked, DOUBT));
        self.census.iter_mut().for_each(|census| older(&mut census.asked, GAP + 1));
        [&mut self.awake_for, &mut self.watched_for, &mut self.beaten]
            .into_iter()
            .for_each(|age| older(age, LEASE));
        self.monitor.tick();
        if self.life != Life::Awake {
            self.away = (self.away + 1).min(GAP);
        }
        if self.away == GAP {
            self.awake_for = 0;
            self.watched_for = if self.life == Life::Paused { 0 } else { self.watched_for };
        }
    }

    /// Whether its supervisor has nothing to do before time passes. A process that is up always does what is due.
    pub(crate) fn is_settled(&self, rule: Rule) -> bool {
        let heartbeats = self.number.is_none()
            || self.draining && rule == Rule::NoBeatInDrain
            || self.beat_sent < HEARTBEAT
            || self
                .heartbeat
                .is_some_and(|heartbeat| heartbeat.listed.is_none() && self.life == Life::Stalled);
        let heard =
            self.heartbeat.is_none_or(|heartbeat| heartbeat.listed.is_none() && self.life == Life::Stalled);
        let rescued = self.doomed == 0 || self.life == Life::Stalled;
        heartbeats
            && heard
            && rescued
            && self.entering.is_none()
            && self.census.is_none()
            && self.monitor.looked == 0
    }

    /// Whether a finish waits whose answer got lost.
    pub(crate) fn has_to_repeat(&self) -> bool {
        self.hands.iter().any(|hand| matches!(hand.phase, Phase::Done { tried: true, .. }))
    }

    /// Whether a task of its own runs this job.
    pub(crate) fn runs(&self, job: u8) -> bool {
        let runs = |hand: &Hand| matches!(hand.phase, Phase::Running | Phase::Hanging);
        self.hands.iter().any(|hand| hand.claim.job == job && runs(hand))
    }
}
