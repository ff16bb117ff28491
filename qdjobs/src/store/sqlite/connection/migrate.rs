//! Brings a database to the schema of this program, and refuses one that is beyond it.
//!
//! Leans on rusqlite. The state stands in a table of ours and not in `user_version`, since the file may be the
//! application's own. Steps are numbered, run in one transaction, and never edited once published: a later version of
//! qdjobs first only adds (so that the version before can go on with the same file) and removes one version later.

use rusqlite::{Connection, OptionalExtension};

use crate::model::error::{Error, ErrorKind, Result};
use crate::store::sqlite::connection::error;

/// Each step's SQL; its number is its place, counted from 1.
const STEPS: &[&str] = &[include_str!("migrations/0001_jobs.sql")];

/// The steps that this program knows.
pub(in crate::store::sqlite) const KNOWN: i64 = STEPS.len() as i64;

/// The oldest program that can still write a database of this schema: the number of steps it knows.
const MIN_WRITER: i64 = 1;

/// Refuses a database that is beyond this program, or whose tables of ours no step has made, without touching it.
pub(in crate::store::sqlite) fn refuse_newer(conn: &Connection) -> Result<()> {
    // Looked at first: tables and steps come in one commit, so whoever sees the tables sees the steps.
    let tables: Option<String> = conn.query_row(OURS, [], |row| row.get(0)).map_err(error::before_commit)?;
    match (steps_taken(conn)?, tables) {
        (0, Some(tables)) => Err(Error::new(
            ErrorKind::Corrupt,
            format!("the database has tables named {tables}, but none that says which qdjobs made them"),
        )
        .help(
            "nothing was changed; if they are yours, give them other names; if they are what is left of a queue, look for a copy \
             of the file with its table qdjobs_meta",
        )),
        _ => Ok(()),
    }
}

/// The tables that the steps make; NULL if there is none.
const OURS: &str = "
    SELECT group_concat(name, ', ') FROM sqlite_schema
    WHERE type = 'table'
        AND name IN ('qdjobs_jobs', 'qdjobs_params', 'qdjobs_tasks', 'qdjobs_attempts', 'qdjobs_workers')";

/// Creates or brings up to date the tables of qdjobs. Two processes may do so at once: the second is told that the database is
/// locked, or finds it done.
pub(in crate::store::sqlite) fn migrate(conn: &Connection) -> Result<()> {
    if steps_taken(conn)? >= STEPS.len() {
        return Ok(());
    }
    error::begin_immediate(conn)?;
    let done = upgrade(conn).and_then(|()| conn.execute_batch("COMMIT").map_err(error::before_commit));
    if done.is_err() && !conn.is_autocommit() {
        // The error that counts is the one above.
        let _ = conn.execute_batch("ROLLBACK");
    }
    done
}

fn upgrade(conn: &Connection) -> Result<()> {
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS qdjobs_meta (
             version    INTEGER NOT NULL,   -- steps taken
             min_writer INTEGER NOT NULL    -- steps that a program has to know to write here
         ) STRICT",
    )
    .map_err(error::before_commit)?;
    // Counted again: the lock may have been waited for while another process migrated.
    let taken = steps_taken(conn)?;
    for step in STEPS.iter().skip(taken) {
        conn.execute_batch(step).map_err(error::before_commit)?;
    }
    if taken < STEPS.len() {
        conn.execute("DELETE FROM qdjobs_meta", []).map_err(error::before_commit)?;
        conn.execute("INSERT INTO qdjobs_meta (version, min_writer) VALUES (?1, ?2)", (KNOWN, MIN_WRITER))
            .map_err(error::before_commit)?;
    }
    Ok(())
}

/// Refuses to go on writing, if a newer program has meanwhile raised what a writer has to know. For those who have the file
/// open: asked inside their transaction, so that no upgrade can come in between.
pub(in crate::store::sqlite) fn refuse_if_outgrown(conn: &Connection) -> Result<()> {
    taken_and_known(conn).map(drop)
}

/// The steps taken so far: none in a database without tables of ours. An error if this program is too old for it.
fn steps_taken(conn: &Connection) -> Result<usize> {
    let ours = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'qdjobs_meta'";
    if conn.query_row(ours, [], |row| row.get::<_, i64>(0)).map_err(error::before_commit)? == 0 {
        return Ok(0);
    }
    taken_and_known(conn)
}

/// The steps taken by the database's own word. An error if this program does not know enough of them to write here.
fn taken_and_known(conn: &Connection) -> Result<usize> {
    let row: Option<(i64, i64)> = conn
        .prepare_cached("SELECT version, min_writer FROM qdjobs_meta")
        .and_then(|mut meta| meta.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(|error| match error {
            rusqlite::Error::InvalidColumnType(..) => not_numbers(error),
            error => error::before_commit(error),
        })?;
    let Some((version, min_writer)) = row else { return Ok(0) };
    if min_writer > KNOWN {
        return Err(Error::new(
            ErrorKind::NewerSchema,
            format!(
                "the database was upgraded by a newer qdjobs: its schema is {version}, which needs a program that knows \
                 schema {min_writer}, and this one knows {KNOWN}"
            ),
        )
        .help("update this program; nothing was changed"));
    }
    Ok(usize::try_from(version).unwrap_or(0))
}

/// SQLite itself keeps everything but whole numbers out of that table: what stands there came from another page.
fn not_numbers(error: rusqlite::Error) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the file is damaged: qdjobs_meta holds no numbers: {error}"))
        .help("nothing was changed or deleted; look at the disk")
        .caused_by(error)
        .fatal(true)
}
