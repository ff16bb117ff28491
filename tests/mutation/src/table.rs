//! What is printed: one line for each mutant.

use std::time::Duration;

use crate::mutants::Mutant;

/// Prints the mutants.
pub(crate) fn list(rows: &[&Mutant]) {
    let wide = width(rows);
    for row in rows {
        say(&format!("{:wide$}  {}\n{:wide$}  {}", row.name, row.breaks, "", row.killed_by));
    }
}

/// Prints the names of the columns.
pub(crate) fn head(rows: &[&Mutant]) {
    let wide = width(rows);
    say(&format!("| {:wide$} | killed by | seconds | |\n|-{:-<wide$}-|---|---:|---|", "mutant", ""));
}

/// Prints the result of one mutant.
pub(crate) fn row(row: &Mutant, verdict: &str, took: Duration) {
    say(&format!("| {} | {} | {} | {verdict} |", row.name, row.killed_by, took.as_secs()));
}

#[expect(clippy::print_stdout, reason = "a command-line program prints")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

fn width(rows: &[&Mutant]) -> usize {
    rows.iter().map(|row| row.name.len()).max().unwrap_or(0)
}
