//! Jobs that are run as they come.

use std::sync::Arc;

use crate::Result;
use crate::bare::Bare;
use crate::enqueue::crowd;
use crate::measure::{Rounds, Run};
use crate::pool::{STAMP, Stamp, Stamps, Tally, moment, stamp_params, stamping};
use crate::stage::{PAYLOAD, Stage, filler};
use crate::table::{Cell, Table, rates};

const PRODUCERS: u64 = 4;
const SLOTS: usize = 8;

pub(crate) fn measure(stage: &Stage) -> Result<Table> {
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
        "{PRODUCERS} producers, each waiting for its commit, and {SLOTS} slots in one process, to the commit of the last \
         completion; `to start` is from the enqueue call to the first line of the handler."
    );
    let mut table = Table::new("Steady pipeline", &columns, note);
    let each = stage.size(5_000, 400);
    let rounds = Rounds::interleave(stage, || ours(stage, each), || bare(stage, each))?;
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

fn ours(stage: &Stage, each: u64) -> Result<Run> {
    let jobs = PRODUCERS * each;
    let db = stage.empty()?;
    let queue = stage.open(&db)?;
    let (tally, stamps) = (Arc::new(Tally::default()), Arc::new(Stamps::default()));
    let worker = stamping(&queue, SLOTS, &tally, &stamps).start()?;
    let filler = filler(PAYLOAD);
    let one = || Ok(Stamp::new(moment(), filler.as_str()).enqueue(&queue).map(drop)?);
    let run = crowd(PRODUCERS, each, 1, one, || tally.wait(jobs))?;
    worker.stop()?;
    drop(queue);
    db.count()?.expect(0, jobs)?;
    Ok(run.with(stamps.take(jobs as usize)?))
}

fn bare(stage: &Stage, each: u64) -> Result<Run> {
    let jobs = PRODUCERS * each;
    let db = stage.empty()?;
    let (tally, stamps) = (Arc::new(Tally::default()), Arc::new(Stamps::default()));
    let noted = stamps.clone();
    let engine =
        Bare::start(stage.connect(&db)?, STAMP.name, SLOTS, &tally, move |text| noted.note_text(text))?;
    let (caller, filler) = (engine.caller(), filler(PAYLOAD));
    let one = || caller.insert(vec![stamp_params(&filler)]);
    let run = crowd(PRODUCERS, each, 1, one, || tally.wait(jobs))?;
    engine.stop()?;
    db.count()?.expect(0, jobs)?;
    Ok(run.with(stamps.take(jobs as usize)?))
}
