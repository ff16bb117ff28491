//! How fast jobs are stored when each caller waits for its commit.

use std::sync::Barrier;
use std::time::Duration;

use crate::Result;
use crate::bare::{Bare, insert_alone};
use crate::measure::{self, Rounds, Run, timed};
use crate::pool::{NOOP, Noop};
use crate::table::{Cell, Table, rates};
use crate::workspace::{PAYLOAD, Workspace, filler, params_text};

/// Jobs in one call of the bulk figure.
const BULK: u64 = 500;

pub(crate) fn measure(workspace: &Workspace) -> Result<Table> {
    let columns = [
        "enqueue",
        "qdjobs/s (min–max)",
        "bare/s (min–max)",
        "ratio (min–max)",
        "CPU µs a job",
        "bare CPU µs",
        "call p50, ms",
        "p99, ms",
        "bare p50, ms",
        "bare p99, ms",
    ];
    let note = format!(
        "Jobs stored per second: typed enqueues with {PAYLOAD} bytes of params. Each call returns after its commit. For 1 \
         producer, bare is a plain INSERT on the producer's own connection."
    );
    let mut table = Table::new("Enqueue", &columns, note);
    let mut push = |label: String, rounds: &Rounds| {
        let mut row = rates(label, rounds);
        row.extend([
            Cell::Number(rounds.ours(|run| run.p50), 2),
            Cell::Number(rounds.ours(|run| run.p99), 2),
            Cell::Number(rounds.bare(|run| run.p50), 2),
            Cell::Number(rounds.bare(|run| run.p99), 2),
        ]);
        table.push(row);
    };
    let one = workspace.size(5_000, 250);
    push(
        "1 producer".into(),
        &Rounds::interleave(workspace, || ours(workspace, 1, one), || alone(workspace, one))?,
    );
    for (producers, full, quick) in [(8, 3_000, 200), (64, 1_500, 100)] {
        let each = workspace.size(full, quick);
        let rounds = Rounds::interleave(
            workspace,
            || ours(workspace, producers, each),
            || bare(workspace, producers, each),
        )?;
        push(format!("{producers} producers"), &rounds);
    }
    let calls = workspace.size(600, 40);
    let rounds = Rounds::interleave(
        workspace,
        || bulk(workspace, calls, BULK, PAYLOAD),
        || bulk_bare(workspace, calls, BULK, PAYLOAD),
    )?;
    push(format!("bulk, {BULK} a call"), &rounds);
    Ok(table)
}

/// Starts `producers` threads that each call `work` `each` times; the time starts when all are ready.
pub(crate) fn concurrent_callers(
    producers: u64,
    each: u64,
    jobs_a_call: u64,
    work: impl Fn() -> Result<()> + Sync,
    end: impl FnOnce() -> Result<()>,
) -> Result<Run> {
    let start = Barrier::new(producers as usize + 1);
    let calls = || -> Result<Vec<Duration>> {
        start.wait();
        (0..each).map(|_| measure::now()).map(|begun| work().map(|()| measure::now() - begun)).collect()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..producers).map(|_| scope.spawn(calls)).collect();
        let mut samples = Vec::new();
        let run = timed(producers * each * jobs_a_call, || {
            start.wait();
            for thread in threads {
                samples.extend(thread.join().map_err(|_| "a producer has panicked")??);
            }
            end()
        })?;
        Ok(run.with(samples))
    })
}

fn ours(workspace: &Workspace, producers: u64, each: u64) -> Result<Run> {
    let db = workspace.empty()?;
    let queue = workspace.open(&db)?;
    let filler = filler(PAYLOAD);
    let one = || Ok(Noop::new(filler.as_str()).enqueue(&queue).map(drop)?);
    let run = concurrent_callers(producers, each, 1, one, || Ok(()))?;
    drop(queue);
    db.count()?.expect(producers * each, 0)?;
    Ok(run)
}

fn bare(workspace: &Workspace, producers: u64, each: u64) -> Result<Run> {
    let db = workspace.empty()?;
    let engine = Bare::start(workspace.connect(&db)?, NOOP.name, 0, &Default::default(), |_| ())?;
    let text = params_text(PAYLOAD);
    let caller = engine.caller();
    let one = || caller.insert(vec![text.clone()]);
    let run = concurrent_callers(producers, each, 1, one, || Ok(()))?;
    engine.stop()?;
    db.count()?.expect(producers * each, 0)?;
    Ok(run)
}

fn alone(workspace: &Workspace, jobs: u64) -> Result<Run> {
    let db = workspace.empty()?;
    let conn = workspace.connect(&db)?;
    let text = params_text(PAYLOAD);
    let mut samples = Vec::new();
    let run = timed(jobs, || {
        let mut begun = measure::now();
        insert_alone(&conn, NOOP.name, (0..jobs).map(|_| text.clone()), || {
            let now = measure::now();
            samples.push(now - std::mem::replace(&mut begun, now));
        })
    })?;
    drop(conn);
    db.count()?.expect(jobs, 0)?;
    Ok(run.with(samples))
}

/// One caller that stores `many` jobs a call.
pub(crate) fn bulk(workspace: &Workspace, calls: u64, many: u64, payload: usize) -> Result<Run> {
    let db = workspace.empty()?;
    let queue = workspace.open(&db)?;
    let filler = filler(payload);
    let call = || Ok(queue.enqueue_all((0..many).map(|_| Noop::new(filler.as_str()))).map(drop)?);
    let run = concurrent_callers(1, calls, many, call, || Ok(()))?;
    drop(queue);
    db.count()?.expect(calls * many, 0)?;
    Ok(run)
}

/// The same on the bare engine.
pub(crate) fn bulk_bare(workspace: &Workspace, calls: u64, many: u64, payload: usize) -> Result<Run> {
    let db = workspace.empty()?;
    let engine = Bare::start(workspace.connect(&db)?, NOOP.name, 0, &Default::default(), |_| ())?;
    let caller = engine.caller();
    let text = params_text(payload);
    let call = || caller.insert((0..many).map(|_| text.clone()).collect());
    let run = concurrent_callers(1, calls, many, call, || Ok(()))?;
    engine.stop()?;
    db.count()?.expect(calls * many, 0)?;
    Ok(run)
}
