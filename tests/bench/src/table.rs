//! A figure as text that can be pasted into Markdown, and as JSON.

use std::fmt::{self, Display, Formatter};

use serde_json::{Value, json};

use crate::measure::{Rounds, Spread};

/// The measured rows of one figure.
#[derive(Debug)]
pub(crate) struct Table {
    title: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    /// What is measured, in one line.
    note: String,
}

#[derive(Debug)]
pub(crate) enum Cell {
    Text(String),
    /// Jobs a second, with the spread.
    Rate(Spread),
    /// A plain number with this many decimal places, without the spread.
    Number(Spread, usize),
    /// Percent, with the spread.
    Percent(Spread),
    /// Does not apply.
    None,
}

impl Table {
    pub(crate) fn new(title: &'static str, columns: &[&'static str], note: impl Into<String>) -> Table {
        Table { title, columns: columns.to_vec(), rows: Vec::new(), note: note.into() }
    }

    /// The columns that most figures have: rates and CPU time of both engines.
    pub(crate) fn of_rates(title: &'static str, what: &'static str, note: impl Into<String>) -> Table {
        let columns = [
            what,
            "qdjobs/s (min–max)",
            "bare/s (min–max)",
            "ratio (min–max)",
            "CPU µs a job",
            "bare CPU µs",
        ];
        Table::new(title, &columns, note)
    }

    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// A row for [`Table::of_rates`].
    pub(crate) fn push_rates(&mut self, label: impl Into<String>, rounds: &Rounds) {
        self.push(rates(label, rounds));
    }

    pub(crate) fn json(&self) -> Value {
        let row = |row: &Vec<Cell>| -> Value {
            self.columns.iter().zip(row).map(|(column, cell)| ((*column).to_owned(), cell.json())).collect()
        };
        json!({
            "figure": self.title,
            "note": self.note,
            "rows": self.rows.iter().map(row).collect::<Vec<Value>>(),
        })
    }
}

/// Label, rates and CPU time of both.
pub(crate) fn rates(label: impl Into<String>, rounds: &Rounds) -> Vec<Cell> {
    vec![
        Cell::Text(label.into()),
        Cell::Rate(rounds.ours(|run| run.rate)),
        Cell::Rate(rounds.bare(|run| run.rate)),
        Cell::Percent(rounds.ratio(|run| run.rate)),
        Cell::Number(rounds.ours(|run| run.cpu), 1),
        Cell::Number(rounds.bare(|run| run.cpu), 1),
    ]
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Cell {
        Cell::Text(text.into())
    }

    /// A single number.
    pub(crate) fn number(value: f64, digits: usize) -> Cell {
        Cell::Number(Spread::new([value]), digits)
    }

    fn json(&self) -> Value {
        match self {
            Cell::Text(text) => json!(text),
            Cell::Rate(it) | Cell::Number(it, _) | Cell::Percent(it) => {
                json!({ "median": it.median, "min": it.min, "max": it.max })
            }
            Cell::None => Value::Null,
        }
    }
}

impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Text(text) => f.write_str(text),
            Cell::Rate(it) => {
                let [median, min, max] = [it.median, it.min, it.max].map(grouped);
                write!(f, "{median} ({min}–{max})")
            }
            Cell::Number(it, _) if it.median.is_nan() => f.write_str("–"),
            Cell::Number(it, digits) => write!(f, "{:.*}", digits, it.median),
            Cell::Percent(it) => {
                let [median, min, max] = [it.median, it.min, it.max].map(|it| it * 100.0);
                write!(f, "{median:.0} % ({min:.0}–{max:.0})")
            }
            Cell::None => f.write_str("–"),
        }
    }
}

/// Rounded to an integer, with commas between the thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let head = self.columns.iter().map(|column| (*column).to_owned()).collect();
        let body = self.rows.iter().map(|row| row.iter().map(Cell::to_string).collect());
        let lines: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
        let width = |column: usize| {
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| width(column).unwrap_or(0)).collect();
        writeln!(f, "### {}\n", self.title)?;
        for (index, line) in lines.iter().enumerate() {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                // Labels to the left, figures to the right.
                if column == 0 {
                    write!(f, "| {cell:<width$} ")?;
                } else {
                    write!(f, "| {cell:>width$} ")?;
                }
            }
            writeln!(f, "|")?;
            if index == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width + 1);
                    write!(f, "|{dashes}{}", if column == 0 { "-" } else { ":" })?;
                }
                writeln!(f, "|")?;
            }
        }
        writeln!(f, "\n{}", self.note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_markdown() {
        let mut table = Table::new("Speed", &["what", "a second"], "Of everything.");
        table.push(vec![Cell::text("jobs"), Cell::Rate(Spread::new([1234567.0, 900.0, 1000.0]))]);
        table.push(vec![Cell::text("others"), Cell::None]);
        assert_eq!(
            table.to_string(),
            "### Speed\n\n\
             | what   |              a second |\n\
             |--------|----------------------:|\n\
             | jobs   | 1,000 (900–1,234,567) |\n\
             | others |                     – |\n\n\
             Of everything.\n"
        );
        assert_eq!(table.json()["rows"][0]["a second"]["max"], 1234567.0);
    }
}
