//! What is shown: one line a sabotage.

use std::time::Duration;

use crate::mutants::Sabotage;

/// What there is.
pub(crate) fn list(rows: &[Sabotage]) {
    let wide = width(rows.iter());
    for row in rows {
        say(&format!("{:wide$}  {}\n{:wide$}  {}", row.name, row.breaks, "", row.caught_by));
    }
}

/// The names of the columns.
pub(crate) fn head(rows: &[&Sabotage]) {
    let wide = width(rows.iter().copied());
    say(&format!("| {:wide$} | caught by | seconds | |\n|-{:-<wide$}-|---|---:|---|", "sabotage", ""));
}

/// One that was tried.
pub(crate) fn row(row: &Sabotage, verdict: &str, took: Duration) {
    say(&format!("| {} | {} | {} | {verdict} |", row.name, row.caught_by, took.as_secs()));
}

#[expect(clippy::print_stdout, reason = "a program speaks to people")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

fn width<'a>(rows: impl Iterator<Item = &'a Sabotage>) -> usize {
    rows.map(|row| row.name.len()).max().unwrap_or(0)
}
