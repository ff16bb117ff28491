//! Whether the size of the rest of the database slows the drain.

use crate::Result;
use crate::drain;
use crate::measure::{Rounds, Spread};
use crate::pool::NOOP;
use crate::table::{Cell, Table, rates};
use crate::workspace::{Fill, Workspace};

pub(crate) fn measure(workspace: &Workspace) -> Result<Table> {
    let base = Fill::ready(NOOP.name, workspace.size(100_000, 20_000));
    let million = workspace.size(1_000_000, 50_000);
    let cases = [
        ("ready", base),
        ("ready", Fill { ready: million, ..base }),
        ("finished as well", Fill { finished: million, ..base }),
        ("scheduled as well", Fill { future: million / 2, ..base }),
        ("ready, the worker's start included", Fill { ready: 1_000, ..base }),
    ];
    let columns = [
        "database",
        "qdjobs/s (min–max)",
        "bare/s (min–max)",
        "ratio (min–max)",
        "CPU µs a job",
        "bare CPU µs",
        "qdjobs to its first row",
        "bare to its first row",
    ];
    let note = format!(
        "8 slots drain the first {} jobs, or all jobs if there are fewer. The last two columns compare the rate with the \
         first row of the same round.",
        base.ready
    );
    let mut table = Table::new("Drain and the size of the database", &columns, note);
    let templates = cases.iter().map(|(_, fill)| workspace.filled(*fill)).collect::<Result<Vec<_>>>()?;
    let mut rounds: Vec<Rounds> = cases.iter().map(|_| Rounds::default()).collect();
    // All cases in each round, so that a slow minute of the machine affects all of them; the first round
    // is discarded.
    for round in 0..=workspace.rounds {
        for (((_, fill), template), rounds) in cases.iter().zip(&templates).zip(&mut rounds) {
            let jobs = base.ready.min(fill.ready);
            let ours = drain::ours(workspace, template, *fill, 8, jobs)?;
            let bare = drain::bare(workspace, template, *fill, 8, jobs)?;
            if round > 0 {
                rounds.ours.push(ours);
                rounds.bare.push(bare);
            }
        }
    }
    let Some(first) = rounds.first() else { return Ok(table) };
    for ((what, fill), rounds) in cases.iter().zip(&rounds) {
        let many = [fill.finished, fill.future].into_iter().find(|jobs| *jobs > 0).unwrap_or(fill.ready);
        let mut row = rates(format!("{} k {what}", many / 1_000), rounds);
        for (these, base) in [(&rounds.ours, &first.ours), (&rounds.bare, &first.bare)] {
            row.push(Cell::Percent(Spread::new(
                these.iter().zip(base).map(|(it, base)| it.rate / base.rate),
            )));
        }
        table.push(row);
    }
    Ok(table)
}
