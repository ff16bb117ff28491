//! How much memory a worker uses, for different numbers of jobs.

use crate::Result;
use crate::child::{Child, Engine};
use crate::pool::NOOP;
use crate::table::{Cell, Table};
use crate::workspace::{Fill, Workspace};

const SLOTS: usize = 64;

pub(crate) fn measure(workspace: &Workspace) -> Result<Table> {
    let note = "A process with one worker that drains the jobs of its file. Memory is the resident set: at its peak (VmHWM) and \
                after the last job (VmRSS).";
    let columns = ["memory", "peak, MB", "afterwards, MB", "threads"];
    let mut table = Table::new("Memory", &columns, note);
    let (few, many) = (workspace.size(100_000, 10_000), workspace.size(1_000_000, 50_000));
    let cases = [("qdjobs", Engine::Ours, few), ("qdjobs", Engine::Ours, many), ("bare", Engine::Bare, many)];
    for (label, engine, jobs) in cases {
        let db = workspace.filled(Fill::ready(NOOP.name, jobs))?;
        let mut child = Child::start(workspace, engine, &db, NOOP, SLOTS)?;
        child.ask(&format!("wait {jobs}"))?;
        let process_stats = child.ask("process_stats")?;
        child.end()?;
        db.count()?.expect(0, jobs)?;
        let number = |field: &str| process_stats[field].as_f64().unwrap_or(f64::NAN);
        table.push(vec![
            Cell::text(format!("{label}, {} k jobs, {SLOTS} slots", jobs / 1_000)),
            Cell::number(number("peak") / 1e3, 1),
            Cell::number(number("rss") / 1e3, 1),
            Cell::number(number("threads"), 0),
        ]);
    }
    Ok(table)
}
