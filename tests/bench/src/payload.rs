//! The cost of large params.

use crate::measure::Rounds;
use crate::pool::NOOP;
use crate::table::Table;
use crate::workspace::{Fill, Workspace};
use crate::{Result, drain, enqueue};

/// Jobs in one call.
const BULK: u64 = 100;

pub(crate) fn measure(workspace: &Workspace) -> Result<Table> {
    let note = format!(
        "Enqueue: one caller that stores {BULK} jobs per call. Drain: 8 slots and no-op jobs stored beforehand."
    );
    let mut table = Table::of_rates("Payload", "params", note);
    let cases =
        [("100 B", 100, 50_000, 5_000), ("1 kB", 1_000, 50_000, 5_000), ("20 kB", 20_000, 10_000, 500)];
    for (label, payload, full, quick) in cases {
        let jobs = workspace.size(full, quick);
        let rounds = Rounds::interleave(
            workspace,
            || enqueue::bulk(workspace, jobs / BULK, BULK, payload),
            || enqueue::bulk_bare(workspace, jobs / BULK, BULK, payload),
        )?;
        table.push_rates(format!("{label}, enqueue"), &rounds);
        let fill = Fill { payload, ..Fill::ready(NOOP.name, jobs) };
        let template = workspace.filled(fill)?;
        let rounds = Rounds::interleave(
            workspace,
            || drain::ours(workspace, &template, fill, 8, jobs),
            || drain::bare(workspace, &template, fill, 8, jobs),
        )?;
        table.push_rates(format!("{label}, drain"), &rounds);
    }
    Ok(table)
}
