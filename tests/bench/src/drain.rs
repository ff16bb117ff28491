//! How fast stored jobs are run when there are many.

use std::sync::Arc;

use crate::Result;
use crate::bare::Bare;
use crate::measure::{Rounds, Run, timed};
use crate::pool::{NOOP, Tally, worker};
use crate::table::Table;
use crate::workspace::{Db, Fill, PAYLOAD, Workspace};

pub(crate) fn measure(workspace: &Workspace) -> Result<Table> {
    let jobs = workspace.size(100_000, 20_000);
    let note = format!(
        "{jobs} no-op jobs with {PAYLOAD} bytes of params, stored beforehand. The time is from the start of the worker to the \
         commit of the last completion."
    );
    let mut table = Table::of_rates("Drain", "slots", note);
    let fill = Fill::ready(NOOP.name, jobs);
    let template = workspace.filled(fill)?;
    for slots in [1, 8, 64] {
        let rounds = Rounds::interleave(
            workspace,
            || ours(workspace, &template, fill, slots, jobs),
            || bare(workspace, &template, fill, slots, jobs),
        )?;
        table.push_rates(slots.to_string(), &rounds);
    }
    Ok(table)
}

/// A worker of qdjobs, until `jobs` of the ready jobs in `template` have completed.
pub(crate) fn ours(workspace: &Workspace, template: &Db, fill: Fill, slots: usize, jobs: u64) -> Result<Run> {
    let db = workspace.copy(template)?;
    let queue = workspace.open(&db)?;
    let tally = Arc::new(Tally::default());
    let mut running = None;
    let run = timed(jobs, || {
        running = Some(worker(&queue, slots, &tally).start()?);
        tally.wait(jobs)
    })?;
    running.map_or(Ok(()), |worker| worker.stop())?;
    drop(queue);
    db.count()?.expect_done(fill, jobs)?;
    Ok(run)
}

/// The same with the bare engine.
pub(crate) fn bare(workspace: &Workspace, template: &Db, fill: Fill, slots: usize, jobs: u64) -> Result<Run> {
    let db = workspace.copy(template)?;
    let conn = workspace.connect(&db)?;
    let tally = Arc::new(Tally::default());
    let mut running = None;
    let run = timed(jobs, || {
        running = Some(Bare::start(conn, fill.task, slots, &tally, |_| ())?);
        tally.wait(jobs)
    })?;
    running.map_or(Ok(()), Bare::stop)?;
    db.count()?.expect_done(fill, jobs)?;
    Ok(run)
}
