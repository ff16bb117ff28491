//! Which disruptions a seed draws before its run begins: [`Plan`], and the kinds of [`Disruption`].
//!
//! How a disruption is applied is in `world/faults.rs`.
//!
//! Depends on the random numbers alone. Each seed draws only some kinds of disruption: a run with all of them
//! at once shows little of any.

use std::time::Duration;

use qdjobs_sim_disk::Rng;

/// What disrupts processes, clocks and the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Disruption {
    /// A process dies between two steps.
    Kill,
    /// A process dies between two disk operations of a step.
    KillInStep,
    /// A process dies and nothing proves it, as on another machine or a file system without locks.
    KillUnproven,
    /// A process does not run for a while, up to three leases.
    Freeze,
    /// No process runs, and the time goes on.
    Stall,
    /// The machine is suspended: the wall clock goes on, the monotonic clock does not.
    Suspend,
    /// The wall clock is set forward.
    WallForward,
    /// The wall clock is set back.
    WallBack,
    /// The power fails between two steps.
    PowerCut,
    /// The power fails between two disk operations of a step.
    PowerCutInStep,
    /// One disk operation fails.
    DiskFault,
    /// All disk operations of one kind fail for a while.
    DiskOutage,
    /// The disk is full for a while.
    DiskFull,
    /// Writes take long.
    SlowWrites,
    /// Reads take long.
    SlowReads,
    /// Notifications that the file has changed are lost.
    LostNotifications,
    /// A worker is stopped, as by SIGTERM.
    Stop,
}

impl Disruption {
    pub(super) const ALL: [Disruption; 17] = [
        Disruption::Kill,
        Disruption::KillInStep,
        Disruption::KillUnproven,
        Disruption::Freeze,
        Disruption::Stall,
        Disruption::Suspend,
        Disruption::WallForward,
        Disruption::WallBack,
        Disruption::PowerCut,
        Disruption::PowerCutInStep,
        Disruption::DiskFault,
        Disruption::DiskOutage,
        Disruption::DiskFull,
        Disruption::SlowWrites,
        Disruption::SlowReads,
        Disruption::LostNotifications,
        Disruption::Stop,
    ];

    /// The name under which it is counted.
    pub(super) fn name(self) -> &'static str {
        match self {
            Disruption::Kill => "kill",
            Disruption::KillInStep => "kill in a step",
            Disruption::KillUnproven => "kill without proof",
            Disruption::Freeze => "freeze",
            Disruption::Stall => "stall",
            Disruption::Suspend => "suspend",
            Disruption::WallForward => "wall clock forward",
            Disruption::WallBack => "wall clock back",
            Disruption::PowerCut => "power cut",
            Disruption::PowerCutInStep => "power cut in a step",
            Disruption::DiskFault => "disk fault",
            Disruption::DiskOutage => "disk outage",
            Disruption::DiskFull => "disk full",
            Disruption::SlowWrites => "slow writes",
            Disruption::SlowReads => "slow reads",
            Disruption::LostNotifications => "lost notifications",
            Disruption::Stop => "stop",
        }
    }
}

/// The parameters of a run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) processes: usize,
    pub(super) lease: Duration,
    pub(super) shutdown_timeout: Duration,
    /// Jobs that run at once on threads, in each worker.
    pub(super) threads: usize,
    /// Jobs that run at once as futures, in each worker.
    pub(super) futures: usize,
    /// Steps until the recovery.
    pub(super) steps: usize,
    pub(super) disruptions: Vec<Disruption>,
    /// One step in so many is a disruption.
    pub(super) disruption_in: u64,
    /// One step in so many is a call of a caller.
    pub(super) call_in: u64,
    /// The most jobs.
    pub(super) jobs: u64,
    /// Whether tasks run for about as long as a lease, so that a worker that lost its lease finds its jobs
    /// claimed by another.
    pub(super) long: bool,
}

impl Plan {
    pub(super) fn draw(rng: &mut Rng) -> Plan {
        let processes = *rng.pick(&[1, 2, 2, 3, 3, 4]).unwrap_or(&2);
        let lease = Duration::from_secs(*rng.pick(&[3, 3, 3, 10, 30]).unwrap_or(&3));
        let share = 2 + rng.below(5);
        let mut disruptions: Vec<Disruption> =
            Disruption::ALL.into_iter().filter(|_| rng.once_in(share)).collect();
        let long = rng.once_in(3);
        if long {
            let third = *rng.pick(&Disruption::ALL).unwrap_or(&Disruption::Kill);
            disruptions = vec![Disruption::Freeze, Disruption::Freeze, third];
        }
        Plan {
            long,
            processes: if long { processes.max(2) } else { processes },
            lease: if long { Duration::from_secs(3) } else { lease },
            shutdown_timeout: Duration::from_millis(rng.below(4_000)),
            threads: 1 + rng.below(3) as usize,
            futures: rng.below(3) as usize,
            steps: 300 + rng.below(700) as usize,
            disruptions,
            disruption_in: 15 + rng.below(60),
            call_in: 6 + rng.below(20),
            jobs: 10 + rng.below(40),
        }
    }
}
