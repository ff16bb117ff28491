//! How the disruptions of a simulated run are applied, and how all of them end.
//!
//! Which disruptions a run has is drawn in `sim/plan.rs`.
//!
//! Depends on the faults of the simulated disk. A disruption affects one process, the machine, or the next
//! step that touches the disk.

use std::time::Duration;

use qdjobs_sim_disk::{Fault, Op};

use super::super::model::Check;
use super::super::plan::Disruption;
use super::super::trace::note;
use super::{Injection, Phase, World};

impl World<'_> {
    pub(super) fn disrupt(&mut self) -> Check {
        let Some(disruption) = self.rng.pick(&self.plan.disruptions).copied() else { return Ok(()) };
        let alive: Vec<usize> =
            (0..self.processes.len()).filter(|index| self.processes[*index].live.is_some()).collect();
        let Some(index) = self.rng.pick(&alive).copied() else { return Ok(()) };
        note!(self.trace, "{:?} {} at process {index}", self.now, disruption.name());
        self.trace.saw(disruption.name());
        let nth = 1 + self.rng.below(40);
        match disruption {
            Disruption::Kill => self.kill(index),
            Disruption::KillUnproven => self.kill_unproven(index),
            Disruption::KillInStep => self.injection = Some(Injection::Kill(nth)),
            Disruption::Freeze => self.processes[index].frozen_until = self.now + self.part_of_leases(3),
            Disruption::Stall => {
                let time = self.part_of_leases(3);
                self.processes.iter_mut().for_each(|process| process.held_up_at = self.now + time);
                self.advance(time);
            }
            Disruption::Suspend => {
                let hours = self.rng.below(8 * 3_600_000_000) as i64;
                self.shift_wall_clock(hours);
            }
            Disruption::WallForward => {
                let day = self.rng.below(86_400_000_000) as i64;
                self.shift_wall_clock(day);
            }
            Disruption::WallBack => {
                let day = self.rng.below(86_400_000_000) as i64;
                self.shift_wall_clock(-day);
            }
            Disruption::PowerCut => {
                self.disk.cut_power();
                self.lose_power();
                self.disk.power_on();
                self.look()?;
            }
            Disruption::PowerCutInStep => self.injection = Some(Injection::PowerCut(1 + self.rng.below(20))),
            Disruption::DiskFault
            | Disruption::DiskOutage
            | Disruption::DiskFull
            | Disruption::SlowWrites
            | Disruption::SlowReads => self.disrupt_disk(disruption, index, nth),
            Disruption::LostNotifications => {}
            Disruption::Stop => {
                let live = self.processes[index].live.as_mut();
                if let Some(worker) = live.and_then(|live| live.worker.as_mut()) {
                    worker.stop();
                }
            }
        }
        Ok(())
    }

    /// Makes the disk fail or slow; a single fault strikes the disk operation `nth` of the next step.
    fn disrupt_disk(&mut self, disruption: Disruption, index: usize, nth: u64) {
        match disruption {
            Disruption::DiskFault => {
                let fault = self.fault();
                self.injection = Some(Injection::Fault(nth, fault));
            }
            Disruption::DiskOutage => {
                let time = self.part_of_half_a_lease();
                self.outage = Some((self.fault(), self.now + time));
            }
            Disruption::DiskFull => {
                let time = self.part_of_half_a_lease();
                self.outage = Some((Fault::Full, self.now + time));
            }
            slow => {
                let until = self.now + self.part_of_leases(1);
                let process = &mut self.processes[index];
                process.held_up_at = until;
                if slow == Disruption::SlowWrites {
                    process.writes_from = until;
                } else {
                    process.reads_from = until;
                }
            }
        }
    }

    /// Kills a process and removes the lock file of its worker, so that nothing proves its death.
    fn kill_unproven(&mut self, index: usize) {
        let worker = self.processes[index].live.as_ref().and_then(|live| live.worker.as_ref());
        let lock = worker.map(|worker| format!("jobs.db-workers/{}.lock", worker.id()));
        self.kill(index);
        if let Some(lock) = lock {
            // There may be none, if the worker was about to be removed.
            let _ = std::fs::remove_file(self.dir.path().join(lock));
        }
    }

    fn part_of_leases(&mut self, leases: u64) -> Duration {
        Duration::from_micros(self.rng.below(leases * self.plan.lease.as_micros() as u64))
    }

    fn part_of_half_a_lease(&mut self) -> Duration {
        Duration::from_micros(self.rng.below(self.plan.lease.as_micros() as u64 / 2))
    }

    fn shift_wall_clock(&mut self, micros: i64) {
        self.wall_offset += micros;
        self.set_clock();
    }

    fn fault(&mut self) -> Fault {
        let faults = [
            Fault::Any,
            Fault::Full,
            Fault::Io(Op::Read),
            Fault::Io(Op::Write),
            Fault::Io(Op::Sync),
            Fault::Io(Op::Open),
            Fault::Io(Op::Lock),
            Fault::Io(Op::ShmLock),
            Fault::Io(Op::Truncate),
        ];
        self.rng.pick(&faults).copied().unwrap_or(Fault::Any)
    }

    /// Ends all faults, except that frozen processes run again only later. Sets the wall clock to a time at
    /// which every job is due.
    pub(super) fn end_disruptions(&mut self) {
        self.phase = Phase::Recovery;
        (self.injection, self.outage) = (None, None);
        for process in &mut self.processes {
            process.writes_from = Duration::ZERO;
            process.reads_from = Duration::ZERO;
            process.starts_at = process.starts_at.min(self.now);
        }
        let late = self.model.last_due() - self.wall_micros();
        self.shift_wall_clock(late.max(0));
        note!(self.trace, "{:?} recovers", self.now);
    }

    /// When every job must have ended: running tasks may run on, a dead worker is noticed within two leases,
    /// and retries have to wait.
    pub(super) fn drained_by(&self) -> Duration {
        let live = self.processes.iter().filter_map(|process| process.live.as_ref());
        let runs = live.flat_map(|live| &live.runs).map(|run| run.ends_at);
        let frozen = self.processes.iter().map(|process| process.frozen_until);
        let longest = runs.chain(frozen).max();
        longest.unwrap_or(self.now).max(self.now) + self.plan.lease * 4 + Duration::from_secs(120)
    }
}
