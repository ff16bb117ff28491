//! One session: faults for their time, then none until everything is done; then the check.
//!
//! Depends on `fault_scheduler` and `process_group`. What all sessions share is in the parent's history: how
//! long the faults have lasted.

use std::time::{Duration, Instant};

use crate::args::Args;
use crate::check::DRAIN_MAX;
use crate::child::ChildConfig;
use crate::evidence::{FileFacts, file_facts};
use crate::fault_scheduler::{FaultScheduler, Load};
use crate::history::{self, Fact, History, Line, Role, Signal};
use crate::process_group::{ProcessGroup, holds};
use crate::run_dir::{RunDir, one};
use crate::summary::{self, Requirement};
use crate::{Result, clock};

/// The interval of the parent's loop.
const TICK: Duration = Duration::from_millis(3);

/// After this long, faults of every kind have happened.
const ENOUGH: Duration = Duration::from_secs(30);

/// How long to wait until idle processes hold no more than they need, and until a process that was reported
/// to stop has ended.
const PATIENCE: Duration = Duration::from_secs(40);

/// Whether a job has not ended. Each part is answered by its own index, however many jobs have ended.
const OPEN: &str = "SELECT EXISTS (SELECT 1 FROM qdjobs_jobs WHERE status = 'pending' AND availability = 1)
    OR EXISTS (SELECT 1 FROM qdjobs_jobs WHERE status = 'pending' AND availability = 2)
    OR EXISTS (SELECT 1 FROM qdjobs_jobs WHERE status = 'pending' AND availability = 0)
    OR EXISTS (SELECT 1 FROM qdjobs_jobs WHERE status = 'running')";

/// Runs the faults and checks; returns whether every promise was kept.
pub(crate) fn run(args: &Args, run_dir: &RunDir) -> Result<bool> {
    let past = history::read(&run_dir.histories())?;
    let mut process_group = begin(args.seed, run_dir, &past)?;
    let done = fault_time_so_far(&past);
    println!(
        "seed {}, {} of {:.0?} done, in {}",
        args.seed,
        summary::duration(done),
        args.fault_time,
        run_dir.dir().display()
    );
    let load = Load { workers: args.workers, rate: args.rate, pause: Duration::from_millis(350) };
    let mut scheduler = FaultScheduler::new(args.seed, load);
    let begun = Instant::now();
    let mut next_report = Duration::ZERO;
    loop {
        let lasted = done + begun.elapsed();
        if begun.elapsed() >= next_report || lasted >= args.fault_time {
            process_group.history.append(Fact::FaultTime {
                fault_ms: lasted.min(args.fault_time.max(done)).as_millis() as u64,
            });
            process_group.sample();
            next_report += Duration::from_secs(1);
            if next_report.as_secs().is_multiple_of(60) {
                println!("{} of {:.0?}", summary::duration(lasted), args.fault_time);
            }
        }
        if lasted >= args.fault_time {
            break;
        }
        tick(&mut process_group, &mut scheduler)?;
    }
    let file = end_faults(&mut process_group, &mut scheduler)?;
    drop(process_group);
    let requirement = if args.fault_time >= ENOUGH { Requirement::EachFault } else { Requirement::Nothing };
    summary::check_and_report(run_dir, file, requirement)
}

/// The process group on this directory, with a session begun in the parent's history.
pub(crate) fn begin<'a>(seed: u64, run_dir: &'a RunDir, past: &[Line]) -> Result<ProcessGroup<'a>> {
    let boot = clock::boot();
    let other =
        past.iter().any(|line| matches!(&line.fact, Fact::Session { boot: before, .. } if *before != boot));
    if other {
        return Err("the machine was rebooted since this run began, so the times do not compare: choose another --dir".into());
    }
    let parent = History::open(&run_dir.histories(), 0, "parent")?;
    let seq = one(&run_dir.connect()?, "SELECT coalesce(max(seq), 0) FROM chaos_log")?;
    parent.append(Fact::Session { boot, seed, wall: clock::wall_micros(), seq });
    ProcessGroup::new(run_dir, parent, past)
}

fn fault_time_so_far(past: &[Line]) -> Duration {
    let reported = past.iter().filter_map(|line| match line.fact {
        Fact::FaultTime { fault_ms } => Some(Duration::from_millis(fault_ms)),
        _ => None,
    });
    reported.max().unwrap_or_default()
}

fn tick(process_group: &mut ProcessGroup<'_>, scheduler: &mut FaultScheduler) -> Result<()> {
    scheduler.advance(process_group)?;
    process_group.watch_rescues()?;
    std::thread::sleep(TICK);
    Ok(())
}

/// Ends the faults: everything is done by a deadline, each process becomes idle, holds what a fresh process
/// holds, and stops in good order.
pub(crate) fn end_faults(
    process_group: &mut ProcessGroup<'_>,
    scheduler: &mut FaultScheduler,
) -> Result<FileFacts> {
    scheduler.end_faults(process_group)?;
    process_group.history.append(Fact::FaultsOver);
    let until = Instant::now() + DRAIN_MAX + Duration::from_secs(5);
    let mut drained = false;
    while !drained && Instant::now() < until {
        tick(process_group, scheduler)?;
        drained = process_group.members.iter().all(|member| member.role == Role::Worker)
            && process_group.all_rescued()
            && !one::<bool>(&process_group.conn, OPEN)?;
    }
    if drained {
        process_group.history.append(Fact::Drained);
    }
    let (fresh, wal_bytes) = become_idle(process_group, scheduler)?;
    let workers: Vec<u32> = process_group.members.iter().map(|member| member.process).collect();
    workers.iter().for_each(|&process| process_group.signal(process, Signal::Term));
    for process in workers {
        if !process_group.wait_for_end(process, PATIENCE)? {
            println!("process {process} does not stop: killed");
            process_group.signal(process, Signal::Kill);
            process_group.wait_for_end(process, PATIENCE)?;
        }
    }
    let beside = std::fs::read_dir(process_group.run_dir.dir().join("jobs.db-workers"));
    let left_over =
        beside.into_iter().flatten().map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let left_over = left_over.collect::<Result<_>>()?;
    Ok(FileFacts { fresh, wal_bytes, left_over, ..file_facts(process_group.run_dir)? })
}

/// Waits until the surviving processes hold about what a fresh worker holds, and records what they hold then.
fn become_idle(
    process_group: &mut ProcessGroup<'_>,
    scheduler: &mut FaultScheduler,
) -> Result<(Option<(u64, u64)>, u64)> {
    let config = ChildConfig { concurrency: 4, ..scheduler.config(Role::Worker, process_group.run_dir) };
    let fresh = process_group.spawn(&config)?;
    let pid = process_group.find(fresh).map_or(0, |member| member.pid());
    let until = Instant::now() + PATIENCE;
    let listed = format!("SELECT count(*) FROM qdjobs_workers WHERE pid = {pid}");
    while one::<i64>(&process_group.conn, &listed)? == 0 && Instant::now() < until {
        tick(process_group, scheduler)?;
    }
    // Its threads and files are there some moments after it is registered.
    let mut standard = holds(pid);
    let mut log = 0;
    while Instant::now() < until {
        for _ in 0..100 {
            tick(process_group, scheduler)?;
        }
        let now = holds(pid);
        let settled = now == standard;
        standard = now;
        log = std::fs::metadata(process_group.run_dir.dir().join("jobs.db-wal")).map_or(0, |log| log.len());
        let flat = process_group.members.iter().all(|member| {
            let more = holds(member.pid()).zip(standard);
            more.is_none_or(|((fds, threads), (fresh_fds, fresh_threads))| {
                fds <= fresh_fds && threads <= fresh_threads
            })
        });
        if settled && flat {
            break;
        }
    }
    process_group.sample();
    Ok((standard, log))
}
