//! A table as text that can be pasted into Markdown, and as JSON.

use std::fmt::{self, Display, Formatter};

use serde_json::{Value, json};

use crate::spread::Spread;

#[derive(Debug)]
pub(crate) struct Table {
    title: &'static str,
    note: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
pub(crate) enum Cell {
    Text(String),
    /// With this many decimal places, and the spread.
    Number(Spread, usize),
    /// The same count in every round.
    Count(u64),
    /// The figure has failed, and why.
    Failed(String),
    /// Does not apply.
    None,
}

impl Table {
    pub(crate) fn new(title: &'static str, columns: &[&'static str], note: &'static str) -> Table {
        Table { title, note, columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    pub(crate) fn json(&self) -> Value {
        let row = |row: &Vec<Cell>| -> Value {
            self.columns.iter().zip(row).map(|(column, cell)| ((*column).to_owned(), cell.json())).collect()
        };
        json!({ "table": self.title, "note": self.note, "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n\n{}\n", self.title, self.note)?;
        writeln!(f, "| {} |\n|{}", self.columns.join(" | "), "---|".repeat(self.columns.len()))?;
        for row in &self.rows {
            row.iter().try_for_each(|cell| write!(f, "| {cell} "))?;
            writeln!(f, "|")?;
        }
        Ok(())
    }
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Cell {
        Cell::Text(text.into())
    }

    fn json(&self) -> Value {
        match self {
            Cell::Text(text) => json!(text),
            Cell::Number(it, _) => json!({ "median": it.median, "min": it.min, "max": it.max }),
            Cell::Count(count) => json!(count),
            Cell::Failed(why) => json!({ "failed": why }),
            Cell::None => Value::Null,
        }
    }
}

impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Text(text) => f.write_str(text),
            Cell::Number(it, digits) => {
                let [median, min, max] = [it.median, it.min, it.max].map(|number| grouped(number, *digits));
                write!(f, "{median} ({min}–{max})")
            }
            Cell::Count(count) => f.write_str(&grouped(*count as f64, 0)),
            Cell::Failed(why) => write!(f, "– ({})", why.replace('|', "/")),
            Cell::None => f.write_str("–"),
        }
    }
}

/// `12,345`.
fn grouped(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (place, digit) in whole.char_indices() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(1_234_567.0, 0), "1,234,567");
        assert_eq!(grouped(999.0, 0), "999");
        assert_eq!(grouped(1_234.56, 1), "1,234.6");
    }
}
