//! What a seed draws before a run begins: [`Plan`], and the [`Trouble`] it may meet.
//!
//! Leans on the dice. Each seed draws a part of the troubles only: a run with all of them at once shows little of any.

use std::time::Duration;

use qdjobs_sim_disk::Rng;

/// What may happen to processes, to the time and to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// A process dies between two steps.
    Kill,
    /// A process dies between two operations of a step on the disk.
    KillInStep,
    /// A process dies, and the proof of its death is lost: another machine, a file system without locks.
    KillUnproven,
    /// A process stands still, for up to three leases.
    Freeze,
    /// All stand still, and the time goes on.
    Stall,
    /// The machine sleeps: the wall clock goes on, the monotonic one does not.
    Suspend,
    /// The wall clock is set.
    WallForward,
    WallBack,
    /// The power goes between two steps, or between two operations of one.
    PowerCut,
    PowerCutInStep,
    /// One operation on the disk fails.
    DiskFault,
    /// All of one kind fail for a while.
    DiskOutage,
    /// Writes find no room for a while.
    DiskFull,
    /// The disk takes long to write, or to read.
    SlowWrites,
    SlowReads,
    /// Nobody is told that the file has changed.
    LostNews,
    /// A worker is stopped, as by SIGTERM.
    Stop,
}

impl Trouble {
    pub(super) const ALL: [Trouble; 17] = [
        Trouble::Kill,
        Trouble::KillInStep,
        Trouble::KillUnproven,
        Trouble::Freeze,
        Trouble::Stall,
        Trouble::Suspend,
        Trouble::WallForward,
        Trouble::WallBack,
        Trouble::PowerCut,
        Trouble::PowerCutInStep,
        Trouble::DiskFault,
        Trouble::DiskOutage,
        Trouble::DiskFull,
        Trouble::SlowWrites,
        Trouble::SlowReads,
        Trouble::LostNews,
        Trouble::Stop,
    ];

    /// Under which name it is counted.
    pub(super) fn name(self) -> &'static str {
        match self {
            Trouble::Kill => "kill",
            Trouble::KillInStep => "kill in a step",
            Trouble::KillUnproven => "kill without proof",
            Trouble::Freeze => "freeze",
            Trouble::Stall => "stall",
            Trouble::Suspend => "suspend",
            Trouble::WallForward => "wall clock forward",
            Trouble::WallBack => "wall clock back",
            Trouble::PowerCut => "power cut",
            Trouble::PowerCutInStep => "power cut in a step",
            Trouble::DiskFault => "disk fault",
            Trouble::DiskOutage => "disk outage",
            Trouble::DiskFull => "disk full",
            Trouble::SlowWrites => "slow writes",
            Trouble::SlowReads => "slow reads",
            Trouble::LostNews => "lost news",
            Trouble::Stop => "stop",
        }
    }
}

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) processes: usize,
    pub(super) lease: Duration,
    pub(super) grace: Duration,
    /// Places for jobs on threads and for futures, in each worker.
    pub(super) threads: usize,
    pub(super) futures: usize,
    /// Steps until the healing.
    pub(super) steps: usize,
    pub(super) troubles: Vec<Trouble>,
    /// Trouble comes once in so many steps.
    pub(super) trouble_in: u64,
    /// A caller wants something once in so many steps.
    pub(super) call_in: u64,
    /// Most jobs.
    pub(super) jobs: u64,
    /// Handlers that take about as long as a lease: what comes back after one meets others at its work.
    pub(super) long: bool,
}

impl Plan {
    pub(super) fn draw(dice: &mut Rng) -> Plan {
        let processes = *dice.pick(&[1, 2, 2, 3, 3, 4]).unwrap_or(&2);
        let lease = Duration::from_secs(*dice.pick(&[3, 3, 3, 10, 30]).unwrap_or(&3));
        let share = 2 + dice.below(5);
        let mut troubles: Vec<Trouble> = Trouble::ALL.into_iter().filter(|_| dice.once_in(share)).collect();
        let long = dice.once_in(3);
        if long {
            troubles =
                vec![Trouble::Freeze, Trouble::Freeze, *dice.pick(&Trouble::ALL).unwrap_or(&Trouble::Kill)];
        }
        Plan {
            long,
            processes: if long { processes.max(2) } else { processes },
            lease: if long { Duration::from_secs(3) } else { lease },
            grace: Duration::from_millis(dice.below(4_000)),
            threads: 1 + dice.below(3) as usize,
            futures: dice.below(3) as usize,
            steps: 300 + dice.below(700) as usize,
            troubles,
            trouble_in: 15 + dice.below(60),
            call_in: 6 + dice.below(20),
            jobs: 10 + dice.below(40),
        }
    }
}
