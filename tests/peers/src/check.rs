//! Checks a peer's file after its process has ended.

use std::path::Path;

use qdjobs_peers_common::{Figure, Report, Way};
use rusqlite::Connection;

use crate::Result;

/// The journal mode of the file.
pub(crate) fn journal(database: &Path) -> Result<String> {
    Ok(Connection::open(database)?.pragma_query_value(None, "journal_mode", |row| row.get(0))?)
}

/// Demands that every job was stored, or that every job was done once: otherwise there is no figure.
pub(crate) fn jobs(way: &Way<String>, figure: Figure, report: &Report) -> Result<()> {
    let conn = Connection::open(&report.file)?;
    let count =
        |sql: &str| -> Result<u64> { Ok(conn.query_row(sql, [], |row| row.get::<_, i64>(0))? as u64) };
    let (stored, done) = match figure {
        Figure::Enqueue1 | Figure::Enqueue8 | Figure::Bulk => (report.jobs, 0),
        Figure::Drain | Figure::Pickup => (0, report.jobs),
        Figure::Idle => (0, 0),
    };
    let left = count(&way.left)?;
    let finished = if way.done.is_empty() { done } else { count(&way.done)? };
    if (left, finished, report.calls) == (stored, done, done) {
        return Ok(());
    }
    let calls = report.calls;
    let expected = format!("expected {stored} jobs left, {done} done");
    Err(format!("{expected}; found {left} left, {finished} done, {calls} calls of the handler").into())
}
