//! What goes wrong, and how it is made good.
//!
//! Leans on the disk's faults. A trouble strikes one process, the machine or the next step that touches the disk.

use std::time::Duration;

use qdjobs_sim_disk::{Fault, Op};

use super::super::model::Verdict;
use super::super::plan::Trouble;
use super::super::trace::note;
use super::{Mishap, World};

impl World<'_> {
    pub(super) fn meet_trouble(&mut self) -> Verdict {
        let Some(trouble) = self.dice.pick(&self.plan.troubles).copied() else { return Ok(()) };
        let alive: Vec<usize> =
            (0..self.processes.len()).filter(|index| self.processes[*index].life.is_some()).collect();
        let Some(index) = self.dice.pick(&alive).copied() else { return Ok(()) };
        note!(self.trace, "{:?} {} at process {index}", self.now, trouble.name());
        self.trace.saw(trouble.name());
        let lease = self.plan.lease.as_micros() as u64;
        let nth = 1 + self.dice.below(40);
        match trouble {
            Trouble::Kill => self.kill(index),
            Trouble::KillUnproven => {
                let worker = self.processes[index].life.as_ref().and_then(|life| life.worker.as_ref());
                let proof = worker.map(|worker| format!("jobs.db-workers/{}.lock", worker.id()));
                self.kill(index);
                if let Some(proof) = proof {
                    // It may not be there, if the worker was about to leave.
                    let _ = std::fs::remove_file(self.dir.path().join(proof));
                }
            }
            Trouble::KillInStep => self.mishap = Some(Mishap::Kill(nth)),
            Trouble::Freeze => {
                let time = Duration::from_micros(self.dice.below(3 * lease));
                self.processes[index].frozen_until = self.now + time;
            }
            Trouble::Stall => {
                let time = Duration::from_micros(self.dice.below(3 * lease));
                self.processes.iter_mut().for_each(|process| process.excused_at = self.now + time);
                self.pass(time);
            }
            Trouble::Suspend => {
                self.wall += self.dice.below(8 * 3_600_000_000) as i64;
                self.set_clock();
            }
            Trouble::WallForward => {
                self.wall += self.dice.below(86_400_000_000) as i64;
                self.set_clock();
            }
            Trouble::WallBack => {
                self.wall -= self.dice.below(86_400_000_000) as i64;
                self.set_clock();
            }
            Trouble::PowerCut => {
                self.disk.cut();
                self.lose_power();
                self.disk.power_on();
                self.look()?;
            }
            Trouble::PowerCutInStep => self.mishap = Some(Mishap::PowerCut(1 + self.dice.below(20))),
            Trouble::DiskFault => {
                let fault = self.fault();
                self.mishap = Some(Mishap::Fault(nth, fault));
            }
            Trouble::DiskOutage => {
                let time = Duration::from_micros(self.dice.below(lease / 2));
                self.outage = Some((self.fault(), self.now + time));
            }
            Trouble::DiskFull => {
                let time = Duration::from_micros(self.dice.below(lease / 2));
                self.outage = Some((Fault::Full, self.now + time));
            }
            Trouble::SlowWrites | Trouble::SlowReads => {
                let until = self.now + Duration::from_micros(self.dice.below(lease));
                let process = &mut self.processes[index];
                process.excused_at = until;
                if trouble == Trouble::SlowWrites {
                    process.writes_from = until;
                } else {
                    process.reads_from = until;
                }
            }
            Trouble::LostNews => {}
            Trouble::Stop => {
                if let Some(worker) =
                    self.processes[index].life.as_mut().and_then(|life| life.worker.as_mut())
                {
                    worker.stop();
                }
            }
        }
        Ok(())
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
        self.dice.pick(&faults).copied().unwrap_or(Fault::Any)
    }

    /// Everything works again from now on, but for processes that stand still, which come back later; and the wall clock is set to a time at which all is due.
    pub(super) fn heal(&mut self) {
        self.heals = true;
        (self.mishap, self.outage) = (None, None);
        for process in &mut self.processes {
            process.writes_from = Duration::ZERO;
            process.reads_from = Duration::ZERO;
            process.starts_at = process.starts_at.min(self.now);
        }
        let late = self.model.last_due() - self.wall_micros();
        self.wall += late.max(0);
        self.set_clock();
        note!(self.trace, "{:?} heals", self.now);
    }

    /// When all must have ended: what runs may run on; silence is noticed within two leases; retries have their waits.
    pub(super) fn drained_by(&self) -> Duration {
        let lives = self.processes.iter().filter_map(|process| process.life.as_ref());
        let handlers = lives.flat_map(|life| &life.handlers).map(|handler| handler.ends_at);
        let frozen = self.processes.iter().map(|process| process.frozen_until);
        let longest = handlers.chain(frozen).max();
        longest.unwrap_or(self.now).max(self.now) + self.plan.lease * 4 + Duration::from_secs(120)
    }
}
