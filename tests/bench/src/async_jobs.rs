//! The cost of many `async` jobs in flight.

use crate::child::{Child, Engine};
use crate::measure::Spread;
use crate::pool::{NOOP, SLEEP, SLEEP_TIME};
use crate::table::{Cell, Table};
use crate::workspace::{Fill, Workspace};
use crate::{Result, drain};

pub(crate) fn measure(workspace: &Workspace) -> Result<Table> {
    let jobs = workspace.size(5_000, 1_000);
    let ideal = SLEEP_TIME.as_secs_f64();
    let note = format!(
        "{jobs} stored jobs that each await {SLEEP_TIME:?}, as many in flight, in their own process: from the \
         start of the worker to the commit of the last completion. The bare engine cannot await; its column is \
         the time to claim and finish as many no-op jobs with 8 slots."
    );
    let columns = [
        "async",
        "elapsed, ms",
        "÷ the await alone",
        "bare claim and finish, ms",
        "÷ the await and bare",
        "threads that ran jobs",
        "threads in the process",
    ];
    let mut table = Table::new("Async jobs", &columns, note);
    let fill = Fill::ready(SLEEP.name, jobs);
    let naps = workspace.filled(fill)?;
    let noops = workspace.filled(Fill { task: NOOP.name, ..fill })?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut threads = (0.0_f64, 0.0_f64);
    for round in 0..=workspace.rounds {
        let db = workspace.copy(&naps)?;
        let mut child = Child::start(workspace, Engine::Ours, &db, SLEEP, jobs as usize)?;
        let elapsed = child.ask(&format!("wait {jobs}"))?.as_f64().unwrap_or(f64::NAN) / 1e9;
        let process_stats = child.ask("process_stats")?;
        child.end()?;
        db.count()?.expect(0, jobs)?;
        let alone =
            jobs as f64 / drain::bare(workspace, &noops, Fill { task: NOOP.name, ..fill }, 8, jobs)?.rate;
        if round > 0 {
            ours.push(elapsed);
            bare.push(alone);
            let most =
                |field: &str, most: f64| process_stats[field].as_f64().map_or(f64::NAN, |it| it.max(most));
            threads = (most("job_threads", threads.0), most("threads", threads.1));
        }
    }
    let pairs = || ours.iter().zip(&bare);
    table.push(vec![
        Cell::text(format!("{jobs} in flight")),
        Cell::Number(Spread::new(ours.iter().map(|it| it * 1e3)), 0),
        Cell::Number(Spread::new(ours.iter().map(|it| it / ideal)), 2),
        Cell::Number(Spread::new(bare.iter().map(|it| it * 1e3)), 0),
        Cell::Number(Spread::new(pairs().map(|(ours, bare)| ours / (ideal + bare))), 2),
        Cell::number(threads.0, 0),
        Cell::number(threads.1, 0),
    ]);
    Ok(table)
}
