//! Jobs that are run as they arrive.

use std::sync::Arc;

use crate::Result;
use crate::bare::Bare;
use crate::enqueue::concurrent_callers;
use crate::measure::{Rounds, Run};
use crate::pool::{STAMP, Stamp, Stamps, Tally, now_nanos, stamp_params, stamp_worker};
use crate::table::{Cell, Table, rates};
use crate::workspace::{PAYLOAD, Workspace, filler};

const PRODUCERS: u64 = 4;
const SLOTS: usize = 8;

pub(crate) fn measure(workspace: &Workspace) -> Result<Table> {
    let columns = [
        "pipeline",
        "qdjobs/s (min–max)",
        "bare/s (min–max)",
        "ratio (min–max)",
        "CPU µs a job",
        "bare CPU µs",
        "to start p50, ms",
        "p99, ms",
        "bare p50, ms",
        "bare p99, ms",
    ];
    let note = format!(
        "{PRODUCERS} producers, each waiting for its commit, and {SLOTS} slots in one process. The time ends with the \
         commit of the last completion. `To start` is from the enqueue call to the first statement of the handler."
    );
    let mut table = Table::new("Steady pipeline", &columns, note);
    let each = workspace.size(5_000, 400);
    let rounds = Rounds::interleave(workspace, || ours(workspace, each), || bare(workspace, each))?;
    let mut row = rates(format!("{PRODUCERS} producers, {SLOTS} slots"), &rounds);
    row.extend([
        Cell::Number(rounds.ours(|run| run.p50), 2),
        Cell::Number(rounds.ours(|run| run.p99), 2),
        Cell::Number(rounds.bare(|run| run.p50), 2),
        Cell::Number(rounds.bare(|run| run.p99), 2),
    ]);
    table.push(row);
    Ok(table)
}

fn ours(workspace: &Workspace, each: u64) -> Result<Run> {
    let jobs = PRODUCERS * each;
    let db = workspace.empty()?;
    let queue = workspace.open(&db)?;
    let (tally, stamps) = (Arc::new(Tally::default()), Arc::new(Stamps::default()));
    let worker = stamp_worker(&queue, SLOTS, &tally, &stamps).start()?;
    let filler = filler(PAYLOAD);
    let one = || Ok(Stamp::new(now_nanos(), filler.as_str()).enqueue(&queue).map(drop)?);
    let run = concurrent_callers(PRODUCERS, each, 1, one, || tally.wait(jobs))?;
    worker.stop()?;
    drop(queue);
    db.count()?.expect(0, jobs)?;
    Ok(run.with(stamps.take(jobs as usize)?))
}

fn bare(workspace: &Workspace, each: u64) -> Result<Run> {
    let jobs = PRODUCERS * each;
    let db = workspace.empty()?;
    let (tally, stamps) = (Arc::new(Tally::default()), Arc::new(Stamps::default()));
    let noted = stamps.clone();
    let engine =
        Bare::start(workspace.connect(&db)?, STAMP.name, SLOTS, &tally, move |text| noted.record_text(text))?;
    let (caller, filler) = (engine.caller(), filler(PAYLOAD));
    let one = || caller.insert(vec![stamp_params(&filler)]);
    let run = concurrent_callers(PRODUCERS, each, 1, one, || tally.wait(jobs))?;
    engine.stop()?;
    db.count()?.expect(0, jobs)?;
    Ok(run.with(stamps.take(jobs as usize)?))
}
