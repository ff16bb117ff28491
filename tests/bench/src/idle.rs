//! The cost of a worker that has nothing to do.

use std::time::Duration;

use crate::Result;
use crate::child::{Child, Engine};
use crate::measure::{self, Spread};
use crate::pool::NOOP;
use crate::table::{Cell, Table};
use crate::workspace::{Fill, Workspace};

pub(crate) fn measure(workspace: &Workspace) -> Result<Table> {
    let time = Duration::from_secs(workspace.size(10, 2));
    let note = format!(
        "A process with one worker of 8 slots, measured for {} s after 1 s of rest, more than once in \
         a full run. Wake-ups are voluntary context switches of all its threads. The bare engine sleeps on a channel and notices no other process.",
        time.as_secs()
    );
    let columns = ["idle worker", "CPU, % of a core", "wake-ups/s", "threads", "resident, MB"];
    let mut table = Table::new("Idle", &columns, note);
    let empty = Fill::ready(NOOP.name, 0);
    let cases = [
        ("qdjobs, empty database", Engine::Ours, empty),
        (
            "qdjobs, scheduled jobs only",
            Engine::Ours,
            Fill { future: workspace.size(500_000, 50_000), ..empty },
        ),
        ("bare, empty database", Engine::Bare, empty),
    ];
    for (label, engine, fill) in cases {
        let db = workspace.filled(fill)?;
        let mut child = Child::start(workspace, engine, &db, NOOP, 8)?;
        let (mut cpu, mut wakes, mut last) = (Vec::new(), Vec::new(), serde_json::Value::Null);
        for _ in 0..workspace.size(3, 1) {
            measure::idle(Duration::from_secs(1));
            let begun = measure::now();
            let before = child.ask("process_stats")?;
            measure::idle(time);
            let after = child.ask("process_stats")?;
            let seconds = (measure::now() - begun).as_secs_f64();
            let grown = |field: &str| -> f64 {
                let number =
                    |process_stats: &serde_json::Value| process_stats[field].as_f64().unwrap_or(f64::NAN);
                (number(&after) - number(&before)) / seconds
            };
            cpu.push(grown("cpu") * 100.0);
            wakes.push(grown("wakes"));
            last = after;
        }
        child.end()?;
        db.count()?.expect(fill.future, 0)?;
        let number = |field: &str| last[field].as_f64().unwrap_or(f64::NAN);
        table.push(vec![
            Cell::text(label),
            Cell::Number(Spread::new(cpu), 2),
            Cell::Number(Spread::new(wakes), 1),
            Cell::number(number("threads"), 0),
            Cell::number(number("rss") / 1e3, 1),
        ]);
    }
    Ok(table)
}
