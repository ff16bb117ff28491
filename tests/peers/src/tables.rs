//! The tables that are printed.

use qdjobs_peers_common::Figure;

use crate::peer::Run;
use crate::rounds::{Outcome, Rounds, Row};
use crate::spread::Spread;
use crate::table::{Cell, Table};

/// All tables, in order.
pub(crate) fn all(rounds: &Rounds, absent: &[(String, String)]) -> Vec<Table> {
    let rows = &rounds.rows;
    vec![peers(rows, absent), enqueue(rows), drain(rows), waiting(rows), ratio(rows)]
}

fn peers(rows: &[Row], absent: &[(String, String)]) -> Table {
    let columns = ["peer", "version", "settings", "durability as run", "remark"];
    let note =
        "The journal mode is read from the file. `asked`: reported by the contestant's own connections.";
    let mut table = Table::new("Contestants", &columns, note);
    for row in rows {
        // Busy connections cannot be asked: the run that has asked most of them is shown.
        let seen = row.runs.values().flatten().flatten().max_by_key(|run| run.report.durability.len());
        let durability = seen.map_or_else(
            || "no run succeeded".to_owned(),
            |run| format!("{}; {}", run.journal, run.report.durability),
        );
        table.push(vec![
            Cell::text(row.label()),
            Cell::text(&row.peer.version),
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
    let columns = ["peer", "1 producer, jobs/s", "8 producers, jobs/s", "bulk, jobs/s", "jobs a bulk call"];
    let note = "Jobs of 100 bytes stored per second. Each caller waits until its job is stored. Cells show the \
                median (min–max) of the rounds.";
    let mut table = Table::new("Enqueue", &columns, note);
    for row in rows {
        let cell = |figure| cell(row, figure, rate, 0);
        let many = if row.way.bulk == 0 { Cell::None } else { Cell::Count(row.way.bulk) };
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
    let columns = ["peer", "jobs", "jobs/s", "CPU µs a job"];
    let note = "No-op jobs stored beforehand, 8 slots. The time ends when the last finish is stored. The number of jobs \
                is the largest of 1,000, 10,000 and 100,000 that was expected to take at most 10 s, else 1,000. In a \
                quick run it is a twentieth. qdjobs also drains the same numbers as the other contestants.";
    let mut table = Table::new("Drain", &columns, note);
    for row in rows {
        for (jobs, outcome) in row.outcomes(Figure::Drain) {
            table.push(vec![
                Cell::text(row.label()),
                if jobs == 0 { Cell::None } else { Cell::Count(jobs) },
                spread(outcome, rate, 0),
                spread(outcome, |run| run.report.cpu * 1e6 / run.report.jobs as f64, 1),
            ]);
        }
    }
    table
}

fn waiting(rows: &[Row]) -> Table {
    let columns = ["peer", "pick-up p50, ms", "idle CPU, % of a core"];
    let note = "Pick-up is from the call that stores a job to its handler in the same process, including the commit. \
                The worker has 8 slots and is idle.";
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
    let columns = ["peer", "jobs", "qdjobs FULL drains × as fast", "qdjobs NORMAL drains × as fast"];
    let note = "Both runs are of the same round and have the same number of jobs.";
    let mut table = Table::new("qdjobs compared with each peer, drain", &columns, note);
    for row in rows.iter().filter(|row| !row.is_ours()) {
        for (jobs, outcome) in row.outcomes(Figure::Drain) {
            let Ok(theirs) = outcome else { continue };
            let beside = |way: &str| {
                let ours = rows.iter().find(|row| row.is_ours() && row.way.name == way)?.drains(jobs);
                let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| rate(ours) / rate(theirs));
                Some(Cell::Number(Spread::new(ratios)?, 1))
            };
            let [full, normal] = ["FULL", "NORMAL"].map(|way| beside(way).unwrap_or(Cell::None));
            table.push(vec![Cell::text(row.label()), Cell::Count(jobs), full, normal]);
        }
    }
    table
}

fn rate(run: &Run) -> f64 {
    run.report.jobs as f64 / run.report.seconds
}

/// One quantity of a figure that has one amount of work.
fn cell(row: &Row, figure: Figure, of: impl Fn(&Run) -> f64, digits: usize) -> Cell {
    row.outcomes(figure).next().map_or(Cell::None, |(_, outcome)| spread(outcome, of, digits))
}

/// One quantity over the rounds, or why there is none.
fn spread(outcome: &Outcome, of: impl Fn(&Run) -> f64, digits: usize) -> Cell {
    match outcome {
        Ok(runs) => Spread::new(runs.iter().map(of)).map_or(Cell::None, |it| Cell::Number(it, digits)),
        Err(why) => Cell::Failed(why.clone()),
    }
}
