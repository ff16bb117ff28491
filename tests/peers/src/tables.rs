//! What the reader sees.

use qdjobs_peers_common::Figure;

use crate::contender::Run;
use crate::rounds::{Rounds, Row};
use crate::spread::Spread;
use crate::table::{Cell, Table};

/// All tables, in order.
pub(crate) fn all(rounds: &Rounds, absent: &[(String, String)]) -> Vec<Table> {
    let rows = &rounds.rows;
    vec![contestants(rows, absent), enqueue(rows), drain(rows), waiting(rows), ratio(rows)]
}

fn contestants(rows: &[Row], absent: &[(String, String)]) -> Table {
    let columns = ["contestant", "version", "settings", "durability as run", "remark"];
    let note =
        "The journal mode is read from the file. `asked`: answered by the contestant's own connections.";
    let mut table = Table::new("Contestants", &columns, note);
    for row in rows {
        // Busy connections cannot be asked: the run that saw most speaks.
        let seen = row.runs.values().flatten().flatten().max_by_key(|run| run.report.durability.len());
        let durability = seen.map_or_else(
            || "no run succeeded".to_owned(),
            |run| format!("{}; {}", run.journal, run.report.durability),
        );
        table.push(vec![
            Cell::text(row.label()),
            Cell::text(&row.contender.version),
            Cell::text(&row.way.settings),
            Cell::text(durability),
            Cell::text(&row.way.note),
        ]);
    }
    for (who, why) in absent {
        table.push(vec![Cell::text(who), Cell::None, Cell::None, Cell::None, Cell::text(why)]);
    }
    table
}

fn enqueue(rows: &[Row]) -> Table {
    let columns =
        ["contestant", "1 producer, jobs/s", "8 producers, jobs/s", "bulk, jobs/s", "jobs a bulk call"];
    let note = "Jobs of 100 bytes stored a second; each caller waits until its job is stored. Median (min–max) of the rounds.";
    let mut table = Table::new("Enqueue", &columns, note);
    for row in rows {
        let cell = |figure| cell(row, figure, rate, 0);
        let many = if row.way.bulk == 0 { Cell::None } else { Cell::text(row.way.bulk.to_string()) };
        table.push(vec![
            Cell::text(row.label()),
            cell(Figure::Enqueue1),
            cell(Figure::Enqueue8),
            cell(Figure::Bulk),
            many,
        ]);
    }
    table
}

fn drain(rows: &[Row]) -> Table {
    let columns = ["contestant", "jobs", "jobs/s", "CPU µs a job"];
    let note = "No-op jobs stored beforehand, 8 slots; the time ends when the last finish is stored. Fewer than 100,000 jobs for \
                those who would take long.";
    let mut table = Table::new("Drain", &columns, note);
    for row in rows {
        let jobs = row.measured(Figure::Drain).first().map(|run| run.report.jobs.to_string());
        table.push(vec![
            Cell::text(row.label()),
            jobs.map_or(Cell::None, Cell::Text),
            cell(row, Figure::Drain, rate, 0),
            cell(row, Figure::Drain, |run| run.report.cpu * 1e6 / run.report.jobs as f64, 1),
        ]);
    }
    table
}

fn waiting(rows: &[Row]) -> Table {
    let columns = ["contestant", "pick-up p50, ms", "idle CPU, % of a core"];
    let note = "Pick-up is from the call that stores a job to its handler in the same process, the worker of 8 slots being idle, the \
                commit included.";
    let mut table = Table::new("Idle worker", &columns, note);
    for row in rows {
        table.push(vec![
            Cell::text(row.label()),
            cell(row, Figure::Pickup, |run| run.report.p50.unwrap_or(f64::NAN), 2),
            cell(row, Figure::Idle, |run| run.report.cpu / run.report.seconds * 100.0, 2),
        ]);
    }
    table
}

fn ratio(rows: &[Row]) -> Table {
    let ours: Vec<&Row> = rows.iter().filter(|row| row.contender.name == "qdjobs").collect();
    let columns = ["contestant", "qdjobs full drains × as fast", "qdjobs relaxed drains × as fast"];
    let note = "Of runs of the same round.";
    let mut table = Table::new("qdjobs beside each peer, drain", &columns, note);
    for row in rows.iter().filter(|row| row.contender.name != "qdjobs") {
        let mut cells = vec![Cell::text(row.label())];
        for way in ["full", "relaxed"] {
            let ours = ours.iter().find(|ours| ours.way.name == way);
            let ours = ours.map_or(&[][..], |ours| ours.measured(Figure::Drain));
            let pairs = ours.iter().zip(row.measured(Figure::Drain));
            let spread = Spread::new(pairs.map(|(ours, theirs)| rate(ours) / rate(theirs)));
            cells.push(spread.map_or(Cell::None, |spread| Cell::Number(spread, 1)));
        }
        table.push(cells);
    }
    table
}

fn rate(run: &Run) -> f64 {
    run.report.jobs as f64 / run.report.seconds
}

/// One quantity of a figure over the rounds, or why there is none.
fn cell(row: &Row, figure: Figure, of: impl Fn(&Run) -> f64, digits: usize) -> Cell {
    match row.runs.get(&figure) {
        Some(Ok(runs)) => Spread::new(runs.iter().map(of)).map_or(Cell::None, |it| Cell::Number(it, digits)),
        Some(Err(why)) => Cell::Failed(why.clone()),
        None => Cell::None,
    }
}
