//! Migrates a database to the schema of this program, and refuses a schema that is too new for it.
//!
//! The schema itself is in `migrations/`. When a running writer checks the version again is decided in
//! `writer/commit.rs`.
//!
//! Depends on rusqlite. Statements about jobs and workers never come in.
//!
//! The schema version is in a table of qdjobs and not in `user_version`, since the file may be the
//! application's own. Migrations are numbered, run in one transaction, and are never edited once published. A
//! later version of qdjobs first only adds to the schema, so that the version before it can still use the
//! file. It removes the rest one version later.

use rusqlite::{Connection, OptionalExtension};

use crate::model::error::{Error, ErrorKind, Result};
use crate::store::sqlite::connection::error;

/// The SQL of each migration. The position is its number, counted from 1.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_jobs.sql")];

/// The schema version of this program: the number of migrations that it knows.
pub(in crate::store::sqlite) const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// The schema version of the oldest program that can still write to a database of this schema.
const MIN_WRITER: i64 = 1;

/// Refuses a database that is too new for this program, or that has tables of qdjobs but no schema version.
/// Changes nothing.
pub(in crate::store::sqlite) fn check_schema(conn: &Connection) -> Result<()> {
    // The tables are read first. Tables and schema version are committed together, so a connection that sees
    // the tables also sees the version.
    let tables: Option<String> =
        conn.query_row(OWN_TABLES, [], |row| row.get(0)).map_err(error::before_commit(conn))?;
    match (schema_version(conn)?, tables) {
        (0, Some(tables)) => Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "the database has the tables {tables}, but not their schema version: the table qdjobs_meta is missing \
                 or empty"
            ),
        )
        .in_database(error::path(conn))
        .help(
            "nothing was changed; if these tables are your own, rename them; if they are what is left of a \
             queue, look for a copy of the file whose table qdjobs_meta has a row",
        )),
        _ => Ok(()),
    }
}

/// The names of the tables that the migrations create; NULL if there are none.
const OWN_TABLES: &str = "
    SELECT group_concat(name, ', ') FROM sqlite_schema
    WHERE type = 'table'
        AND name IN ('qdjobs_jobs', 'qdjobs_params', 'qdjobs_tasks', 'qdjobs_attempts', 'qdjobs_workers',
            'qdjobs_log')";

/// Creates or upgrades the tables of qdjobs. If two processes do so at once, the second one gets a lock
/// error, or finds the migration done.
pub(in crate::store::sqlite) fn migrate(conn: &Connection) -> Result<()> {
    if schema_version(conn)? >= MIGRATIONS.len() {
        return Ok(());
    }
    error::begin_immediate(conn)?;
    let done = upgrade(conn).and_then(|()| conn.execute_batch("COMMIT").map_err(error::before_commit(conn)));
    if done.is_err() && !conn.is_autocommit() {
        // The error above is the one to return.
        let _ = conn.execute_batch("ROLLBACK");
    }
    done
}

fn upgrade(conn: &Connection) -> Result<()> {
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS qdjobs_meta (
             version    INTEGER NOT NULL,   -- migrations applied
             min_writer INTEGER NOT NULL    -- migrations that a program must know to write to this file
         ) STRICT",
    )
    .map_err(error::before_commit(conn))?;
    // Read again: another process may have migrated the database while this one waited for the lock.
    let applied = schema_version(conn)?;
    for migration in MIGRATIONS.iter().skip(applied) {
        conn.execute_batch(migration).map_err(error::before_commit(conn))?;
    }
    if applied < MIGRATIONS.len() {
        conn.execute("DELETE FROM qdjobs_meta", []).map_err(error::before_commit(conn))?;
        conn.execute(
            "INSERT INTO qdjobs_meta (version, min_writer) VALUES (?1, ?2)",
            (SCHEMA_VERSION, MIN_WRITER),
        )
        .map_err(error::before_commit(conn))?;
    }
    Ok(())
}

/// Refuses to write if a newer program has upgraded the schema beyond this program since the file was opened.
/// Called inside a write transaction, so that no upgrade can happen in between.
pub(in crate::store::sqlite) fn refuse_newer_schema(conn: &Connection) -> Result<()> {
    read_version(conn).map(drop)
}

/// The number of migrations applied; 0 for a database without tables of qdjobs. An error if this program is
/// too old for the schema.
pub(in crate::store::sqlite) fn schema_version(conn: &Connection) -> Result<usize> {
    let has_meta = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'qdjobs_meta'";
    if conn.query_row(has_meta, [], |row| row.get::<_, i64>(0)).map_err(error::before_commit(conn))? == 0 {
        return Ok(0);
    }
    read_version(conn)
}

/// The number of migrations applied, as qdjobs_meta records it. An error if this program knows too few of
/// them to write.
fn read_version(conn: &Connection) -> Result<usize> {
    let row: Option<(i64, i64)> = conn
        .prepare_cached("SELECT version, min_writer FROM qdjobs_meta")
        .and_then(|mut meta| meta.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(|error| match error {
            rusqlite::Error::InvalidColumnType(..) => not_integers(conn, error),
            error => error::before_commit(conn)(error),
        })?;
    let Some((version, min_writer)) = row else { return Ok(0) };
    if min_writer > SCHEMA_VERSION {
        return Err(Error::new(
            ErrorKind::NewerSchema,
            format!(
                "a newer qdjobs has upgraded the database to schema {version}; a program must know schema \
                 {min_writer} to write to it, and this one knows schema {SCHEMA_VERSION}"
            ),
        )
        .in_database(error::path(conn))
        .help("update this program; nothing was changed"));
    }
    Ok(usize::try_from(version).unwrap_or(0))
}

/// The table is STRICT, so SQLite stores only integers in it. Any other value was read from a damaged page.
fn not_integers(conn: &Connection, error: rusqlite::Error) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("the database file is damaged: qdjobs_meta does not contain integers: {error}"),
    )
    .in_database(error::path(conn))
    .help(error::DAMAGED_HELP)
    .caused_by(error)
    .fatal(true)
}
