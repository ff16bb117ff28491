//! How soon the jobs of a killed worker are free: kills only, one after the other, while other workers live.
//!
//! Leases have the length they have in production, so no lease expires within this time: the jobs are freed
//! by the check of the dead worker's lock file.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::args::Args;
use crate::child::ChildConfig;
use crate::fault_scheduler::{FaultScheduler, Load};
use crate::history::{self, Role, Signal};
use crate::process_group::ProcessGroup;
use crate::run_dir::{RunDir, one};
use crate::summary::{self, Requirement};
use crate::{Result, run};

/// The promised bound.
pub(crate) const RESCUE_MAX: Duration = Duration::from_secs(3);

/// A lease too long to matter here.
const LEASE_MS: u64 = 30_000;

/// Kills and measures; returns whether every promise was kept.
pub(crate) fn measure(args: &Args, run_dir: &RunDir) -> Result<bool> {
    let past = history::read(&run_dir.histories())?;
    let mut process_group = run::begin(args.seed, run_dir, &past)?;
    println!("seed {}, {} kills, in {}", args.seed, args.kills, run_dir.dir().display());
    // Slow jobs alone, at half the rate: at the usual rate they are as much as the workers can do, and
    // the final backlog would not measure rescues.
    let load = Load { workers: args.workers, rate: args.rate.div_ceil(2), pause: Duration::from_secs(3_600) };
    let mut scheduler = FaultScheduler::idle(args.seed, load);
    let mut rng = Rng::with_seed(args.seed);
    let worker = |scheduler: &mut FaultScheduler| ChildConfig {
        lease_ms: LEASE_MS,
        ..scheduler.config(Role::Worker, run_dir)
    };
    for _ in 0..args.workers {
        let config = worker(&mut scheduler);
        process_group.spawn(&config)?;
    }
    for role in [Role::Enqueuer, Role::Inserter] {
        let config = ChildConfig { task: Some("slow".into()), ..scheduler.config(role, run_dir) };
        process_group.spawn(&config)?;
    }
    // Until there are workers that could free the first one's jobs.
    wait(&mut process_group, Duration::from_secs(2))?;
    for kill in 0..args.kills {
        // At a random point of the survivors' polling, and while it holds jobs.
        wait(&mut process_group, Duration::from_millis(rng.u64(50..1_500)))?;
        let workers: Vec<u32> =
            process_group.members.iter().filter(|it| it.role == Role::Worker).map(|it| it.process).collect();
        let target = workers[rng.usize(0..workers.len())];
        wait_until_it_holds_a_job(&mut process_group, target)?;
        process_group.signal(target, Signal::Kill);
        process_group.wait_for_end(target, Duration::from_secs(30))?;
        while !process_group.all_rescued() {
            wait(&mut process_group, Duration::from_millis(1))?;
        }
        let config = worker(&mut scheduler);
        process_group.spawn(&config)?;
        if (kill + 1) % 20 == 0 {
            println!("{} of {} kills", kill + 1, args.kills);
        }
    }
    let file = run::end_faults(&mut process_group, &mut scheduler)?;
    drop(process_group);
    summary::check_and_report(run_dir, file, Requirement::Rescues { within: RESCUE_MAX })
}

fn wait(process_group: &mut ProcessGroup<'_>, time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        process_group.watch_rescues()?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn wait_until_it_holds_a_job(process_group: &mut ProcessGroup<'_>, process: u32) -> Result<()> {
    let Some(pid) = process_group.find(process).map(|member| member.pid()) else { return Ok(()) };
    let sql = format!(
        "SELECT count(*) FROM qdjobs_jobs WHERE status = 'running' AND worker_id IN (SELECT id FROM qdjobs_workers WHERE pid = {pid})"
    );
    let until = Instant::now() + Duration::from_secs(30);
    while one::<i64>(&process_group.conn, &sql)? == 0 && Instant::now() < until {
        wait(process_group, Duration::from_millis(1))?;
    }
    Ok(())
}
