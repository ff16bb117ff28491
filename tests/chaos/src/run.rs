//! One session of the torture: faults for their time, then none, until everything is done; then the proof.
//!
//! Leans on chaos and herd. What all sessions share is in the parent's own history: how long the faults have lasted.

use std::time::{Duration, Instant};

use crate::args::Args;
use crate::check::DRAIN_MAX;
use crate::child::Orders;
use crate::evidence::{FileFacts, look_at_file};
use crate::faults::{Chaos, Size};
use crate::herd::{Herd, holds};
use crate::history::{self, Fact, History, Line, Role, Signal};
use crate::site::{Site, one};
use crate::summary::{self, Demand};
use crate::{Result, clock};

/// How often the parent looks.
const TICK: Duration = Duration::from_millis(3);

/// Faults for so long meet everything there is to meet.
const ENOUGH: Duration = Duration::from_secs(30);

/// How long to wait until idle processes hold no more than they need, and until the stopped have gone.
const PATIENCE: Duration = Duration::from_secs(40);

/// Whether a job has not ended. Each part is answered by an index of its own, however many have.
const OPEN: &str = "SELECT EXISTS (SELECT 1 FROM qdjobs_jobs WHERE status = 'pending' AND ready = 1)
    OR EXISTS (SELECT 1 FROM qdjobs_jobs WHERE status = 'pending' AND ready = 2)
    OR EXISTS (SELECT 1 FROM qdjobs_jobs WHERE status = 'pending' AND ready = 0)
    OR EXISTS (SELECT 1 FROM qdjobs_jobs WHERE status = 'running')";

/// Tortures; whether every promise was kept.
pub(crate) fn torture(args: &Args, site: &Site) -> Result<bool> {
    let past = history::read(&site.histories())?;
    let mut herd = begin(args.seed, site, &past)?;
    let done = chaos_so_far(&past);
    println!(
        "seed {}, {} of {:.0?} done, in {}",
        args.seed,
        summary::duration(done),
        args.chaos,
        site.dir().display()
    );
    let size = Size { workers: args.workers, rate: args.rate, pause: Duration::from_millis(350) };
    let mut chaos = Chaos::new(args.seed, size);
    let begun = Instant::now();
    let mut next_pulse = Duration::ZERO;
    loop {
        let lasted = done + begun.elapsed();
        if begun.elapsed() >= next_pulse || lasted >= args.chaos {
            herd.history.say(Fact::Pulse { chaos_ms: lasted.min(args.chaos.max(done)).as_millis() as u64 });
            herd.sample();
            next_pulse += Duration::from_secs(1);
            if next_pulse.as_secs().is_multiple_of(60) {
                println!("{} of {:.0?}", summary::duration(lasted), args.chaos);
            }
        }
        if lasted >= args.chaos {
            break;
        }
        tick(&mut herd, &mut chaos)?;
    }
    let file = heal(&mut herd, &mut chaos)?;
    drop(herd);
    let demand = if args.chaos >= ENOUGH { Demand::EachFault } else { Demand::Nothing };
    summary::prove(site, file, demand)
}

/// A herd on the site, its parent's history begun.
pub(crate) fn begin<'a>(seed: u64, site: &'a Site, past: &[Line]) -> Result<Herd<'a>> {
    let boot = clock::boot();
    let other =
        past.iter().any(|line| matches!(&line.fact, Fact::Session { boot: before, .. } if *before != boot));
    if other {
        return Err("the machine was started anew since this torture began, so the times do not compare: choose another --dir".into());
    }
    let parent = History::open(&site.histories(), 0, "parent")?;
    let seq = one(&site.connect()?, "SELECT coalesce(max(seq), 0) FROM chaos_log")?;
    parent.say(Fact::Session { boot, seed, wall: clock::wall_micros(), seq });
    Herd::new(site, parent, past)
}

fn chaos_so_far(past: &[Line]) -> Duration {
    let pulses = past.iter().filter_map(|line| match line.fact {
        Fact::Pulse { chaos_ms } => Some(Duration::from_millis(chaos_ms)),
        _ => None,
    });
    pulses.max().unwrap_or_default()
}

fn tick(herd: &mut Herd<'_>, chaos: &mut Chaos) -> Result<()> {
    chaos.go_on(herd)?;
    herd.watch_rescues()?;
    std::thread::sleep(TICK);
    Ok(())
}

/// No more faults: everything is done by a deadline, everybody becomes idle and holds what a fresh process holds, and ends well.
pub(crate) fn heal(herd: &mut Herd<'_>, chaos: &mut Chaos) -> Result<FileFacts> {
    chaos.heal(herd)?;
    herd.history.say(Fact::Healed);
    let until = Instant::now() + DRAIN_MAX + Duration::from_secs(5);
    let mut drained = false;
    while !drained && Instant::now() < until {
        tick(herd, chaos)?;
        drained = herd.beasts.iter().all(|beast| beast.role == Role::Worker)
            && herd.all_rescued()
            && !one::<bool>(&herd.conn, OPEN)?;
    }
    if drained {
        herd.history.say(Fact::Drained);
    }
    let (fresh, wal_bytes) = become_idle(herd, chaos)?;
    let workers: Vec<u32> = herd.beasts.iter().map(|beast| beast.process).collect();
    workers.iter().for_each(|&process| herd.signal(process, Signal::Term));
    for process in workers {
        if !herd.wait_gone(process, PATIENCE)? {
            println!("process {process} does not end: killed");
            herd.signal(process, Signal::Kill);
            herd.wait_gone(process, PATIENCE)?;
        }
    }
    let beside = std::fs::read_dir(herd.site.dir().join("jobs.db-workers"));
    let left_over =
        beside.into_iter().flatten().map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let left_over = left_over.collect::<Result<_>>()?;
    Ok(FileFacts { fresh, wal_bytes, left_over, ..look_at_file(herd.site)? })
}

/// Waits until those who lived through it hold about what a fresh worker holds, and puts on record what they hold then.
fn become_idle(herd: &mut Herd<'_>, chaos: &mut Chaos) -> Result<(Option<(u64, u64)>, u64)> {
    let orders = Orders { concurrency: 4, ..chaos.orders(Role::Worker, herd.site) };
    let fresh = herd.spawn(&orders)?;
    let pid = herd.find(fresh).map_or(0, |beast| beast.pid());
    let until = Instant::now() + PATIENCE;
    let listed = format!("SELECT count(*) FROM qdjobs_workers WHERE pid = {pid}");
    while one::<i64>(&herd.conn, &listed)? == 0 && Instant::now() < until {
        tick(herd, chaos)?;
    }
    // Its threads and files are there some moments after it is on the list.
    let mut standard = holds(pid);
    let mut log = 0;
    while Instant::now() < until {
        for _ in 0..100 {
            tick(herd, chaos)?;
        }
        let now = holds(pid);
        let settled = now == standard;
        standard = now;
        log = std::fs::metadata(herd.site.dir().join("jobs.db-wal")).map_or(0, |log| log.len());
        let flat = herd.beasts.iter().all(|beast| {
            let more = holds(beast.pid()).zip(standard);
            more.is_none_or(|((fds, threads), (fresh_fds, fresh_threads))| {
                fds <= fresh_fds && threads <= fresh_threads
            })
        });
        if settled && flat {
            break;
        }
    }
    herd.sample();
    Ok((standard, log))
}
