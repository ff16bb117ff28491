//! How soon the jobs of a killed worker are free, measured by itself: kills alone, one after the other, while others live.
//!
//! Leases are what they are in production, so silence proves nothing here within the time: it is the look at the dead one's lock
//! that frees its jobs.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::args::Args;
use crate::child::Orders;
use crate::faults::{Chaos, Size};
use crate::herd::Herd;
use crate::history::{self, Role, Signal};
use crate::site::{Site, one};
use crate::summary::{self, Demand};
use crate::{Result, run};

/// The promise.
pub(crate) const RESCUE_MAX: Duration = Duration::from_secs(3);

/// A lease that plays no part.
const LEASE_MS: u64 = 30_000;

/// Kills and measures; whether every promise was kept.
pub(crate) fn measure(args: &Args, site: &Site) -> Result<bool> {
    let past = history::read(&site.histories())?;
    let mut herd = run::begin(args.seed, site, &past)?;
    println!("seed {}, {} kills, in {}", args.seed, args.kills, site.dir().display());
    // Slow jobs alone: at the usual rate they would be as much as the workers can do, and what waits in the end no measure of rescues.
    let size = Size { workers: args.workers, rate: args.rate.div_ceil(2), pause: Duration::from_secs(3_600) };
    let mut chaos = Chaos::calm(args.seed, size);
    let mut rng = Rng::with_seed(args.seed);
    let worker = |chaos: &mut Chaos| Orders { lease_ms: LEASE_MS, ..chaos.orders(Role::Worker, site) };
    for _ in 0..args.workers {
        let orders = worker(&mut chaos);
        herd.spawn(&orders)?;
    }
    for role in [Role::Enqueuer, Role::Inserter] {
        let orders = Orders { task: Some("slow".into()), ..chaos.orders(role, site) };
        herd.spawn(&orders)?;
    }
    // Until there are some who could free the first one's jobs.
    wait(&mut herd, Duration::from_secs(2))?;
    for kill in 0..args.kills {
        // At no particular moment of the survivors' looking, and while it holds jobs.
        wait(&mut herd, Duration::from_millis(rng.u64(50..1_500)))?;
        let at_work: Vec<u32> =
            herd.beasts.iter().filter(|it| it.role == Role::Worker).map(|it| it.process).collect();
        let victim = at_work[rng.usize(0..at_work.len())];
        wait_until_it_holds_a_job(&mut herd, victim)?;
        herd.signal(victim, Signal::Kill);
        herd.wait_gone(victim, Duration::from_secs(30))?;
        while !herd.all_rescued() {
            wait(&mut herd, Duration::from_millis(1))?;
        }
        let orders = worker(&mut chaos);
        herd.spawn(&orders)?;
        if (kill + 1) % 20 == 0 {
            println!("{} of {} kills", kill + 1, args.kills);
        }
    }
    let file = run::heal(&mut herd, &mut chaos)?;
    drop(herd);
    summary::prove(site, file, Demand::Rescues { within: RESCUE_MAX })
}

fn wait(herd: &mut Herd<'_>, time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        herd.watch_rescues()?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn wait_until_it_holds_a_job(herd: &mut Herd<'_>, process: u32) -> Result<()> {
    let Some(pid) = herd.find(process).map(|beast| beast.pid()) else { return Ok(()) };
    let sql = format!(
        "SELECT count(*) FROM qdjobs_jobs WHERE status = 'running' AND worker_id IN (SELECT id FROM qdjobs_workers WHERE pid = {pid})"
    );
    let until = Instant::now() + Duration::from_secs(30);
    while one::<i64>(&herd.conn, &sql)? == 0 && Instant::now() < until {
        wait(herd, Duration::from_millis(1))?;
    }
    Ok(())
}
