//! A process: a worker, or one that only rescues, with what it knows and the jobs it holds.
//!
//! Mirrors what `worker/supervisor` and `worker/dispatcher.rs` keep between two steps. Depends on
//! `heartbeat_monitor`; the tables never come in.

use super::heartbeat_monitor::{GAP, HeartbeatMonitor, LEASE, Scan, older};
use super::rules::Rule;
use super::stored_state::{Claim, Number, Verdict};

/// `lease / 3`: when the next heartbeat is due.
pub(crate) const HEARTBEAT: u8 = 2;

/// The first tick past 0.8 of a lease: a worker whose last answered heartbeat is this old begins no more
/// jobs.
pub(crate) const SUSPEND_AFTER: u8 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ProcessStatus {
    Awake,
    /// Stopped by a signal, or by a machine that gives it no time. Its clocks continue.
    Paused,
    /// Its database does not answer: a slow disk, or another connection's lock. The rest of it continues.
    Stalled,
    /// Killed: the operating system has released its worker lock.
    Killed,
    /// It has stopped in good order.
    Stopped,
}

/// A job that a worker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HeldJob {
    pub(crate) claim: Claim,
    pub(crate) phase: Phase,
    /// Its retries are spent: the next failure is the last.
    pub(crate) spent: bool,
    /// For the properties: whether the job now runs under this claim. No process could know this.
    pub(crate) current: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Claimed, not begun.
    Waiting,
    Running,
    /// The task continues although its attempt has ended by timeout or by the end of the shutdown
    /// timeout.
    Hanging,
    /// To be handed in. `sent_before`: it was, and the answer was lost. `took_effect`, for the
    /// properties: it was written then.
    Done {
        verdict: Verdict,
        sent_before: bool,
        took_effect: bool,
    },
}

/// A heartbeat in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Heartbeat {
    /// Age of the moment it was sent.
    pub(crate) sent: u8,
    /// Whether the worker was registered, once the heartbeat is committed.
    pub(crate) listed: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) status: ProcessStatus,
    /// Claims no more; runs its jobs to their end, then stops.
    pub(crate) draining: bool,
    /// `None` for a process that only rescues.
    pub(crate) number: Option<Number>,
    /// Age of the last heartbeat sent.
    pub(crate) heartbeat_sent: u8,
    pub(crate) heartbeat: Option<Heartbeat>,
    /// A new number is registered, and the process does not know yet; the age of that request.
    pub(crate) registering: Option<u8>,
    /// Age of the last heartbeat that was answered, counted from when it was sent.
    pub(crate) confirmed: u8,
    /// Begins no jobs, since the lease may be lost.
    pub(crate) suspended: bool,
    pub(crate) monitor: HeartbeatMonitor,
    pub(crate) scan: Option<Scan>,
    /// Numbers it has found silent and will rescue, one bit each, and the jobs they held.
    pub(crate) to_rescue: u8,
    pub(crate) to_rescue_jobs: u16,
    /// Sorted, so that the same jobs are the same state.
    pub(crate) held_jobs: Vec<HeldJob>,
    /// For the properties: how long it has been away; how long since it was last away for long enough to
    /// make a monitor start again, counting pauses and stalls; and the same, counting pauses alone.
    pub(crate) away: u8,
    pub(crate) awake_for: u8,
    pub(crate) watched_for: u8,
    /// For the properties: age of the last committed heartbeat of its number.
    pub(crate) heartbeat_age: u8,
}

impl Process {
    pub(crate) fn new(number: Option<Number>) -> Process {
        Process {
            status: ProcessStatus::Awake,
            draining: false,
            number,
            heartbeat_sent: 0,
            heartbeat: None,
            registering: None,
            confirmed: 0,
            suspended: false,
            monitor: HeartbeatMonitor::new(),
            scan: None,
            to_rescue: 0,
            to_rescue_jobs: 0,
            held_jobs: Vec::new(),
            away: 0,
            awake_for: LEASE,
            watched_for: LEASE,
            heartbeat_age: 0,
        }
    }

    /// What remains of a process that is gone; its number still identifies the dead one.
    pub(crate) fn gone(&mut self, status: ProcessStatus) {
        let mut held_jobs = std::mem::take(&mut self.held_jobs);
        // A task that hangs ends with its process, but outlives its worker.
        held_jobs.retain(|held_job| held_job.phase == Phase::Hanging && status == ProcessStatus::Stopped);
        *self = Process { status, held_jobs, ..Process::new(self.number) };
    }

    /// Whether the process does anything at all.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.status, ProcessStatus::Awake | ProcessStatus::Stalled)
    }

    pub(crate) fn tick(&mut self) {
        if matches!(self.status, ProcessStatus::Killed | ProcessStatus::Stopped) {
            return;
        }
        // Each only up to where it makes no further difference.
        older(&mut self.heartbeat_sent, HEARTBEAT);
        older(&mut self.confirmed, SUSPEND_AFTER);
        self.heartbeat.iter_mut().for_each(|heartbeat| older(&mut heartbeat.sent, SUSPEND_AFTER));
        self.registering.iter_mut().for_each(|started| older(started, SUSPEND_AFTER));
        self.scan.iter_mut().for_each(|scan| older(&mut scan.started, GAP + 1));
        [&mut self.awake_for, &mut self.watched_for, &mut self.heartbeat_age]
            .into_iter()
            .for_each(|age| older(age, LEASE));
        self.monitor.tick();
        if self.status != ProcessStatus::Awake {
            self.away = (self.away + 1).min(GAP);
        }
        if self.away == GAP {
            self.awake_for = 0;
            self.watched_for = if self.status == ProcessStatus::Paused { 0 } else { self.watched_for };
        }
    }

    /// Whether its supervisor has nothing to do before time passes. A process that is up always does what
    /// is due.
    pub(crate) fn is_settled(&self, rule: Rule) -> bool {
        let heartbeats = self.number.is_none()
            || self.draining && rule == Rule::NoHeartbeatInDrain
            || self.heartbeat_sent < HEARTBEAT
            || self
                .heartbeat
                .is_some_and(|heartbeat| heartbeat.listed.is_none() && self.status == ProcessStatus::Stalled);
        let answered = self
            .heartbeat
            .is_none_or(|heartbeat| heartbeat.listed.is_none() && self.status == ProcessStatus::Stalled);
        let rescued = self.to_rescue == 0 || self.status == ProcessStatus::Stalled;
        heartbeats
            && answered
            && rescued
            && self.registering.is_none()
            && self.scan.is_none()
            && self.monitor.last_look == 0
    }

    /// Whether a finish whose answer was lost has to be sent again.
    pub(crate) fn has_to_repeat(&self) -> bool {
        self.held_jobs.iter().any(|held_job| matches!(held_job.phase, Phase::Done { sent_before: true, .. }))
    }

    /// Whether one of its tasks runs this job.
    pub(crate) fn runs(&self, job: u8) -> bool {
        let runs = |held_job: &HeldJob| matches!(held_job.phase, Phase::Running | Phase::Hanging);
        self.held_jobs.iter().any(|held_job| held_job.claim.job == job && runs(held_job))
    }
}
