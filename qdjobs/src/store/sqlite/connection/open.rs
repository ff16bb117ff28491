//! Opens the connections: file mode, journal, pragmas, each read back, since SQLite accepts a misspelt pragma in
//! silence.
//!
//! Leans on rusqlite and on `migrate`. Nothing is written to a file that is not ours to write: a database that is
//! newer, damaged or no database at all is refused untouched.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::migrate;
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::poison::CRASHES_MAX;
use crate::store::sqlite::connection::error::{self, BusyRetry};
use crate::store::sqlite::connection::network_fs;
use crate::store::sqlite::files::disk_reserve::RESERVE_BYTES;
use crate::store::sqlite::writer::checkpointer::log_of;

/// What a job survives once `enqueue` has returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The end of the process, of the operating system and of the power: every commit is synced to the disk
    /// (`synchronous = FULL`). Concurrent writes share one sync.
    #[default]
    Full,
    /// The end of the process. A power cut may take back the last commits, though never damage the file
    /// (`synchronous = NORMAL`).
    Relaxed,
}

/// How a SQLite store is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// What a job survives.
    pub durability: Durability,
    /// How long a write waits for another connection's write lock.
    pub busy_timeout: Duration,
    /// With the crash of this number a job is failed.
    pub max_crashes: u32,
    /// Bytes kept free beside the database while workers run, so that they can finish what they hold on a full disk; 0 for
    /// none.
    pub disk_reserve: u64,
    /// Whether a database on a file system of another machine is opened nevertheless.
    pub allow_network_filesystem: bool,
}

impl Default for SqliteOptions {
    fn default() -> SqliteOptions {
        SqliteOptions {
            durability: Durability::Full,
            busy_timeout: Duration::from_secs(5),
            max_crashes: CRASHES_MAX,
            disk_reserve: RESERVE_BYTES,
            allow_network_filesystem: false,
        }
    }
}

/// What an opening depends on and does not decide.
#[derive(Clone, Debug)]
pub(in crate::store::sqlite) struct Machine {
    /// The version of SQLite that is linked, as a number.
    pub(in crate::store::sqlite) sqlite: i32,
    /// What is mounted where, if that is known.
    pub(in crate::store::sqlite) mounts: Option<String>,
}

impl Machine {
    pub(in crate::store::sqlite) fn this() -> Machine {
        Machine { sqlite: rusqlite::version_number(), mounts: network_fs::mounts() }
    }
}

/// The write-ahead log is cut back to this size when it has been written back: it grows past it only while a reader
/// holds on to an old snapshot.
const WAL_BYTES_KEPT: i64 = 64 << 20;

/// Statements kept prepared by a connection: more than there are.
const STATEMENTS: usize = 64;

/// Creates the file and opens it, as a test wants it that needs no store.
#[cfg(test)]
pub(in crate::store::sqlite) fn writer(path: &Path, options: &SqliteOptions) -> Result<Connection> {
    create(path, options, &Machine::this())?;
    writer_again(path, options)
}

/// Opens the one writing connection to a file that [`create`] has seen to, and brings its schema up to date; anew, after a fault. A file
/// that is gone meanwhile is not replaced by an empty one: that would look as if all were well.
pub(in crate::store::sqlite) fn writer_again(path: &Path, options: &SqliteOptions) -> Result<Connection> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Locks are waited for here, in naps as short as a commit. SQLite's own grow to a tenth of a second, with which one that comes
    // late to a new file would wait until those who came first have nothing more to write.
    conn.busy_timeout(Duration::ZERO).map_err(error::before_commit)?;
    if is_read_only(&conn).map_err(error::before_commit)? {
        // Not left to the first write: merely to look, SQLite makes its two files beside the database, in the name of this user
        // and without the right to write them, and whoever may write the database would be locked out by them.
        return Err(Error::new(
            ErrorKind::ReadOnly,
            format!("`{}` may not be written by this user", path.display()),
        )
        .help("check the owner and mode of the file, and whether the disk is mounted read-only"));
    }
    let ready = BusyRetry::new(options.busy_timeout).retry(|| make_ready(&conn, path, options));
    if ready.as_ref().is_err_and(Error::is_fatal) {
        // What the log holds is not written into a damaged file, and the log is not removed: both are all there is to save.
        leave_as_it_is(&conn);
    }
    ready?;
    write_back(&conn)?;
    Ok(conn)
}

/// All that a new connection needs before it may write. Any step can meet the lock of another process that opens, migrates or
/// closes the same file at the same moment; taken twice, each is as good as taken once.
fn make_ready(conn: &Connection, path: &Path, options: &SqliteOptions) -> Result<()> {
    // Before anything is changed: a file that is newer or none of SQLite's stays as it is.
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
        .map_err(error::before_commit)?;
    migrate::refuse_newer(conn).inspect_err(|_| leave_the_log(conn, path))?;

    let mode = switch_to_wal(conn).map_err(error::before_commit)?;
    if mode != "wal" {
        return Err(Error::new(
            ErrorKind::Storage,
            format!("the database stays in journal mode `{mode}`, qdjobs needs `wal`"),
        )
        .help("the file system may not support shared memory; put the database on a local disk"));
    }
    let synchronous = match options.durability {
        Durability::Full => 2,
        Durability::Relaxed => 1,
    };
    set(conn, "synchronous", synchronous)?;
    if options.durability == Durability::Relaxed {
        // `wal` does it, and hears what it comes to.
        set(conn, "wal_autocheckpoint", 0)?;
    }
    set(conn, "journal_size_limit", WAL_BYTES_KEPT)?;
    set(conn, "trusted_schema", 0)?;
    set(conn, "cell_size_check", 1)?;
    set(conn, "temp_store", 2)?;
    set(conn, "cache_size", -8_000)?;
    // Plans by the statement alone. Else SQLite plans by the values bound to it, and prepares a statement anew each time it
    // comes from the cache, whose bindings are cleared: a tenth of a millisecond for each job that comes alone.
    turn_on(conn, "the query planner's stability guarantee", DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG)?;
    // No statement, of a trigger that somebody has left in the file for example, may change the schema behind SQLite's back.
    turn_on(conn, "the defensive mode", DbConfig::SQLITE_DBCONFIG_DEFENSIVE)?;
    if cfg!(target_vendor = "apple") && options.durability == Durability::Full {
        // There a plain fsync leaves the data in the drive's cache.
        set(conn, "fullfsync", 1)?;
        set(conn, "checkpoint_fullfsync", 1)?;
    }
    migrate::migrate(conn)?;
    Ok(())
}

/// What the main database is called, for versions of rusqlite that take its name as a text.
#[allow(dead_code, reason = "older versions have a type of this name, and use it below")]
struct DatabaseName;

impl DatabaseName {
    #[allow(dead_code, non_upper_case_globals, reason = "as in older versions")]
    const Main: &str = "main";
}

/// Whether SQLite could open the file for reading only, which it does in silence.
fn is_read_only(conn: &Connection) -> rusqlite::Result<bool> {
    #[allow(
        unused_imports,
        reason = "older versions bring their own `DatabaseName`, which comes before the one above"
    )]
    use rusqlite::*;
    conn.is_readonly(DatabaseName::Main)
}

/// A connection that closes as the last one writes the log back to the database. Not to a file that is not ours to write: a
/// log that a dead program left there stays as it is, until the program that may write it comes back.
fn leave_the_log(conn: &Connection, path: &Path) {
    if std::fs::metadata(log_of(path)).is_ok_and(|log| log.len() > 0) {
        leave_as_it_is(conn);
    }
}

/// Writes back to the database what stands in the log. A sync of the log that failed in a process that died soon after may have left
/// a commit there that can be read and will not survive the power; what is committed behind it would go with it.
///
/// Written back is not enough: as long as the log is not begun anew, what survives of it would be laid over the database again. So
/// it is cut, and the next commit makes that safe. A disk that cannot do it is not to be trusted with more. That it is full, or
/// that somebody else is at work in the log, is no matter: the log is sound then, or was begun anew by whoever found it.
fn write_back(conn: &Connection) -> Result<()> {
    let cut = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    let done = match cut {
        Ok(false) => conn.execute("UPDATE qdjobs_meta SET version = version", []).map(drop),
        busy => busy.map(drop),
    };
    match done {
        Err(error) if error::code(&error) == Some(rusqlite::ErrorCode::SystemIoFailure) => {
            Err(error::before_commit(error))
        }
        _ => Ok(()),
    }
}

/// Whether this version of SQLite can lose committed data when two connections write and checkpoint at the same time: the
/// WAL-reset bug of 3.7.0 to 3.51.2, mended in 3.51.3 and, for older lines, in 3.50.7 and 3.44.6 (sqlite.org, "WAL-mode
/// file format", and its changes).
pub(in crate::store::sqlite) fn has_wal_reset_bug(version: i32) -> bool {
    !matches!(version, 3_051_003..|3_050_007..3_051_000| 3_044_006..3_045_000)
}

/// Opens a connection that can only read.
pub(in crate::store::sqlite) fn reader(path: &Path, options: &SqliteOptions) -> Result<Connection> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Not opened read-only: as the last one to close, such a connection could not clean up the write-ahead log.
    set(&conn, "query_only", 1)?;
    set(&conn, "trusted_schema", 0)?;
    conn.busy_timeout(options.busy_timeout).map_err(error::before_commit)?;
    Ok(conn)
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection> {
    // Each connection is used by one thread at a time, so SQLite need not lock it.
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| at(path, error::before_commit(error)))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

/// Creates the file, if there is none; whether that was so. Refuses one on a disk where it is not safe.
///
/// With mode 0600 before SQLite sees it: SQLite gives the mode of the database to the log beside it, which
/// holds the same params, and a mode changed later does not reach that log.
pub(in crate::store::sqlite) fn create(
    path: &Path,
    options: &SqliteOptions,
    machine: &Machine,
) -> Result<bool> {
    if let Some(mounts) = machine.mounts.as_ref().filter(|_| !options.allow_network_filesystem) {
        network_fs::refuse(path, mounts)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => {
            Err(Error::new(ErrorKind::Storage, format!("`{}` is a directory", path.display()))
                .help("name a file in it, for example `jobs.db`"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => {
            let kind = match error.kind() {
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    ErrorKind::ReadOnly
                }
                std::io::ErrorKind::StorageFull => ErrorKind::StorageFull,
                _ => ErrorKind::Storage,
            };
            Err(Error::new(kind, format!("the database `{}` cannot be created: {error}", path.display()))
                .help("check that its directory exists and that this user may write there")
                .caused_by(error))
        }
    }
}

/// Names the file in an error about it.
fn at(path: &Path, error: Error) -> Error {
    let kind = error.kind();
    let help = error.suggestion().unwrap_or("check the path").to_owned();
    Error::new(kind, format!("`{}`: {error}", path.display())).help(help).fatal(error.is_fatal())
}

/// Sees to it that the connection's end changes no file: the last one to close would else write the log back and remove it.
pub(in crate::store::sqlite) fn leave_as_it_is(conn: &Connection) {
    // A switch in memory, which cannot fail.
    let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
}

/// Turns a switch on and makes sure that it is.
fn turn_on(conn: &Connection, what: &str, switch: DbConfig) -> Result<()> {
    if conn.set_db_config(switch, true).map_err(error::before_commit)? {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Storage, format!("SQLite keeps {what} off"))
        .help("the linked SQLite may be built without it: use the feature `bundled`"))
}

/// Switches the journal mode; answers the mode that SQLite says it is now.
fn switch_to_wal(conn: &Connection) -> rusqlite::Result<String> {
    let mut statement = conn.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = statement.query([])?;
    let mode = rows.next()?.map(|row| row.get(0)).transpose()?;
    // The switch is a write, committed when the statement ends: after its row, which tells of a mode that may not come.
    rows.next()?;
    mode.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// Sets a pragma and reads it back.
fn set(conn: &Connection, pragma: &str, value: i64) -> Result<()> {
    // Some pragmas answer with their new value, some with nothing: both are fine, the read below decides.
    conn.execute_batch(&format!("PRAGMA {pragma} = {value}")).map_err(error::before_commit)?;
    let now: i64 =
        conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).map_err(error::before_commit)?;
    if now == value {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Storage, format!("SQLite keeps `{pragma}` at {now}, qdjobs needs {value}"))
        .help("the linked SQLite may be built without it: use the feature `bundled`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pragma_that_sqlite_does_not_take_as_it_was_set_is_an_error() {
        let conn = Connection::open_in_memory().unwrap();
        set(&conn, "journal_size_limit", 5).unwrap();
        // SQLite accepts each of these without a word.
        for (pragma, value) in [("journal_size_limit", -5), ("synchronous", 7), ("journal_sise_limit", 5)] {
            set(&conn, pragma, value).unwrap_err();
        }
    }

    #[test]
    fn the_versions_that_are_only_safe_alone_are_known() {
        for (version, unsafe_together) in [
            (3_044_005, true),
            (3_044_006, false),
            (3_046_000, true),
            (3_050_006, true),
            (3_050_007, false),
            (3_051_002, true),
            (3_051_003, false),
            (3_054_001, false),
        ] {
            assert_eq!(has_wal_reset_bug(version), unsafe_together, "{version}");
        }
    }

    /// A sync that fails is final for what it should have written, though programs go on reading that.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_commit_that_only_the_dead_could_not_sync_takes_no_later_one_with_it() {
        use qdjobs_sim_disk::{Disk, Fault, Lasts, Op, as_process};

        for seed in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let disk = Disk::mount(dir.path(), seed).unwrap();
            let open = || writer(&dir.path().join("jobs.db"), &SqliteOptions::default()).unwrap();
            let insert = "INSERT INTO qdjobs_jobs (task_name) VALUES (?1)";
            as_process(1, || {
                let conn = open();
                // The log is begun, so that the next sync is that of a commit.
                conn.execute(insert, ["first"]).unwrap();
                disk.fail(1, Fault::Io(Op::Sync), Lasts::ForGood);
                conn.execute(insert, ["unsynced"]).unwrap_err();
                disk.kill(1);
                disk.heal();
            });
            as_process(2, || {
                disk.fail(1, Fault::Io(Op::Sync), Lasts::ForGood);
                let refused = writer(&dir.path().join("jobs.db"), &SqliteOptions::default());
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::Storage, "it still cannot sync");
                disk.heal();
                let conn = open();
                conn.execute(insert, ["acknowledged"]).unwrap();
                disk.cut();
            });
            disk.power_on();
            let found = as_process(3, || {
                open().query_row(
                    "SELECT count(*) FROM qdjobs_jobs WHERE task_name = 'acknowledged'",
                    [],
                    |row| row.get::<_, i64>(0),
                )
            });
            assert_eq!(found, Ok(1), "seed {seed}");
        }
    }
}
