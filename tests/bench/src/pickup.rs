//! How soon an idle worker begins a new job.

use std::sync::Arc;
use std::time::Duration;

use qdjobs::rusqlite::Connection;

use crate::Result;
use crate::bare::{Bare, insert_alone};
use crate::child::{Child, Engine};
use crate::measure::{self, Rounds, Run};
use crate::pool::{NOOP, STAMP, Stamp, Stamps, Tally, now_nanos, stamp_params, stamp_worker};
use crate::table::{Cell, Table};
use crate::workspace::{PAYLOAD, Workspace, filler};

const SLOTS: usize = 8;

/// Latencies of the call that stores a job, and from its beginning to the first statement of the handler.
type Latencies = (Run, Run);

pub(crate) fn measure(workspace: &Workspace) -> Result<Table> {
    let jobs = workspace.size(200, 20);
    let note = format!(
        "{jobs} jobs a round, one at a time, 10 to 40 ms apart, for an idle worker of {SLOTS} slots. \
         `To start` is from the call that stores the job to the first statement of its handler, the commit \
         included. Bare commit is a plain INSERT without any worker; bare to start, in the first row, is the bare engine."
    );
    let columns = [
        "stored by",
        "call p50, ms",
        "to start p50, ms (min–max)",
        "p99, ms",
        "bare commit p50, ms",
        "p99, ms",
        "bare to start p50, ms",
        "to start less bare commit, ms",
    ];
    let mut table = Table::new("Pick-up, idle", &columns, note);
    let commit = || Ok((insert_commit(workspace, jobs)?, Run::default()));
    row(
        &mut table,
        "the same process",
        workspace,
        || same_process(workspace, jobs),
        || bare_process(workspace, jobs),
        true,
    )?;
    row(&mut table, "another qdjobs process", workspace, || other_process(workspace, jobs), commit, false)?;
    row(
        &mut table,
        "a raw INSERT, another process",
        workspace,
        || raw_insert(workspace, jobs),
        commit,
        false,
    )?;
    Ok(table)
}

fn row(
    table: &mut Table,
    label: &str,
    workspace: &Workspace,
    ours: impl Fn() -> Result<Latencies>,
    bare: impl Fn() -> Result<Latencies>,
    bare_starts: bool,
) -> Result<()> {
    let (mut calls, mut starts) = (Rounds::default(), Rounds::default());
    for round in 0..=workspace.rounds {
        let (our_call, our_start) = ours()?;
        let (bare_call, bare_start) = bare()?;
        if round > 0 {
            calls.ours.push(our_call);
            calls.bare.push(bare_call);
            starts.ours.push(our_start);
            starts.bare.push(bare_start);
        }
    }
    let p50 = |run: &Run| run.p50;
    let start = starts.ours(p50);
    let beyond = starts.ours.iter().zip(&calls.bare).map(|(start, commit)| start.p50 - commit.p50);
    table.push(vec![
        Cell::text(label),
        Cell::Number(calls.ours(p50), 2),
        Cell::text(format!("{:.2} ({:.2}–{:.2})", start.median, start.min, start.max)),
        Cell::Number(starts.ours(|run| run.p99), 2),
        Cell::Number(calls.bare(p50), 2),
        Cell::Number(calls.bare(|run| run.p99), 2),
        if bare_starts { Cell::Number(starts.bare(p50), 2) } else { Cell::None },
        Cell::Number(measure::Spread::new(beyond), 2),
    ]);
    Ok(())
}

/// Calls `store` once for each job, with pauses in which all threads become idle; returns how long the calls
/// took.
fn one_at_a_time(jobs: u64, mut store: impl FnMut() -> Result<()>) -> Result<Run> {
    let calls = (0..jobs).map(|job| {
        // Pauses of changing length, so that they match no interval of the worker.
        measure::idle(Duration::from_micros(10_000 + job * 7_919_113 % 30_000));
        let begun = measure::now();
        store()?;
        Ok(measure::now() - begun)
    });
    Ok(Run::default().with(calls.collect::<Result<_>>()?))
}

fn same_process(workspace: &Workspace, jobs: u64) -> Result<Latencies> {
    let db = workspace.empty()?;
    let queue = workspace.open(&db)?;
    let (tally, stamps) = (Arc::new(Tally::default()), Arc::new(Stamps::default()));
    let worker = stamp_worker(&queue, SLOTS, &tally, &stamps).start()?;
    let filler = filler(PAYLOAD);
    let calls =
        one_at_a_time(jobs, || Ok(Stamp::new(now_nanos(), filler.as_str()).enqueue(&queue).map(drop)?))?;
    tally.wait(jobs)?;
    worker.stop()?;
    drop(queue);
    db.count()?.expect(0, jobs)?;
    Ok((calls, Run::default().with(stamps.take(jobs as usize)?)))
}

fn bare_process(workspace: &Workspace, jobs: u64) -> Result<Latencies> {
    let db = workspace.empty()?;
    let (tally, stamps) = (Arc::new(Tally::default()), Arc::new(Stamps::default()));
    let noted = stamps.clone();
    let engine =
        Bare::start(workspace.connect(&db)?, STAMP.name, SLOTS, &tally, move |text| noted.record_text(text))?;
    let (caller, filler) = (engine.caller(), filler(PAYLOAD));
    one_at_a_time(jobs, || caller.insert(vec![stamp_params(&filler)]))?;
    tally.wait(jobs)?;
    engine.stop()?;
    db.count()?.expect(0, jobs)?;
    // The commit without the engine's threads, as in the other rows.
    Ok((insert_commit(workspace, jobs)?, Run::default().with(stamps.take(jobs as usize)?)))
}

/// How long a commit takes alone, with the same pauses.
fn insert_commit(workspace: &Workspace, jobs: u64) -> Result<Run> {
    let db = workspace.empty()?;
    let conn = workspace.connect(&db)?;
    let filler = filler(PAYLOAD);
    let calls = one_at_a_time(jobs, || insert_alone(&conn, NOOP.name, [stamp_params(&filler)], || ()))?;
    drop(conn);
    db.count()?.expect(jobs, 0)?;
    Ok(calls)
}

fn other_process(workspace: &Workspace, jobs: u64) -> Result<Latencies> {
    let db = workspace.empty()?;
    let child = Child::start(workspace, Engine::Ours, &db, STAMP, SLOTS)?;
    let queue = workspace.open(&db)?;
    let filler = filler(PAYLOAD);
    let calls =
        one_at_a_time(jobs, || Ok(Stamp::new(now_nanos(), filler.as_str()).enqueue(&queue).map(drop)?))?;
    let starts = starts(child, jobs)?;
    drop(queue);
    db.count()?.expect(0, jobs)?;
    Ok((calls, starts))
}

fn raw_insert(workspace: &Workspace, jobs: u64) -> Result<Latencies> {
    let db = workspace.empty()?;
    let child = Child::start(workspace, Engine::Ours, &db, STAMP, SLOTS)?;
    let conn: Connection = workspace.connect(&db)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    let mut insert = conn.prepare("INSERT INTO qdjobs_jobs (task_name, params) VALUES (?1, ?2)")?;
    let filler = filler(PAYLOAD);
    let calls =
        one_at_a_time(jobs, || Ok(insert.execute([STAMP.name, &stamp_params(&filler)]).map(drop)?))?;
    let starts = starts(child, jobs)?;
    drop(insert);
    drop(conn);
    db.count()?.expect(0, jobs)?;
    Ok((calls, starts))
}

/// What the child has recorded, after all jobs have completed.
fn starts(mut child: Child, jobs: u64) -> Result<Run> {
    child.ask(&format!("wait {jobs}"))?;
    let stamps: Vec<u64> = serde_json::from_value(child.ask(&format!("stamps {jobs}"))?)?;
    child.end()?;
    Ok(Run::default().with(stamps.into_iter().map(Duration::from_nanos).collect()))
}
