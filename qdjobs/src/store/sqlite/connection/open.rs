//! Opens the connections: [`SqliteOptions`] with its defaults, the file mode, the journal mode and the
//! pragmas.
//!
//! The schema is brought up to date in `migrate.rs`. When a broken connection is opened again is decided in
//! `writer/commit.rs`.
//!
//! Depends on rusqlite and on `migrate`. Statements about jobs and workers never come in.
//!
//! Each pragma is read back, since SQLite ignores a misspelled pragma without an error. A database that is
//! newer, damaged or not a SQLite file is refused without being changed.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::migrate;
use crate::model::crash_count::CRASHES_MAX;
use crate::model::error::{Error, ErrorKind, Result};
use crate::store::sqlite::connection::error::{self, BusyRetry};
use crate::store::sqlite::connection::{file_names, log_mark, network_fs, system_sqlite};
use crate::store::sqlite::files::disk_reserve::RESERVE_BYTES;
use crate::store::sqlite::files::names::log_of;
use crate::store::sqlite::files::open_files::OpenFiles;

/// What a job survives once `enqueue` has returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// A job survives a process crash, an operating system crash and a power loss. Every commit is synced to
    /// the disk (`synchronous = FULL`); concurrent writes share one sync.
    #[default]
    Full,
    /// A job survives a process crash. A power loss or an operating system crash may undo the last commits.
    /// It never damages the file (`synchronous = NORMAL`).
    Relaxed,
}

/// The options of a SQLite store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// What a job survives.
    pub durability: Durability,
    /// How long a write waits for the write lock of another connection.
    pub busy_timeout: Duration,
    /// The crash count at which a job fails, at the earliest: see [`QueueOptions::max_crashes`].
    ///
    /// [`QueueOptions::max_crashes`]: crate::QueueOptions::max_crashes
    pub max_crashes: u32,
    /// Bytes of disk space reserved beside the database while workers run, so that they can finish their jobs
    /// when the disk is full. 0 reserves nothing.
    pub disk_reserve: u64,
    /// Whether a database on a network file system may be opened.
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

/// The properties of this machine that decide whether a database can be opened. A test passes its own.
#[derive(Clone, Debug)]
pub(in crate::store::sqlite) struct Machine {
    /// The version of the linked SQLite, as a number.
    pub(in crate::store::sqlite) sqlite_version: i32,
    /// The mount table, if the platform has one.
    pub(in crate::store::sqlite) mounts: Option<String>,
}

impl Machine {
    pub(in crate::store::sqlite) fn current() -> Machine {
        Machine { sqlite_version: rusqlite::version_number(), mounts: network_fs::mounts() }
    }
}

/// A checkpointed write-ahead log is truncated to this size. The log exceeds it only while a reader keeps an
/// old snapshot open.
const WAL_BYTES_KEPT: i64 = 64 << 20;

/// The size of a connection's statement cache: more than the number of statements.
const STATEMENT_CACHE_SIZE: usize = 64;

/// Creates the file and opens a writing connection, for a test that needs no store.
#[cfg(test)]
pub(in crate::store::sqlite) fn writer(path: &Path, options: &SqliteOptions) -> Result<Connection> {
    create(path, options, &Machine::current())?;
    reopen_writer(path, options)
}

/// Opens the writing connection to a file that [`create`] has prepared, and migrates its schema. The writer
/// calls it again after a fault.
///
/// A file that has disappeared meanwhile is an error. Creating an empty one in its place would hide the loss
/// of the jobs.
pub(in crate::store::sqlite) fn reopen_writer(path: &Path, options: &SqliteOptions) -> Result<Connection> {
    let before = OpenFiles::of(path, path);
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // `BusyRetry` waits for locks, with sleeps as short as a commit. SQLite's own busy handler sleeps for up
    // to 100 ms. With it, a process that opens a new file after others would wait until they have nothing
    // left to write.
    conn.busy_timeout(Duration::ZERO).map_err(error::before_commit(&conn))?;
    if is_read_only(&conn).map_err(error::before_commit(&conn))? {
        // Checked before the first read. Even a read makes SQLite create its two files beside the database.
        // Owned by this user and read-only, they would lock out the users who may write to the database.
        return Err(Error::new(
            ErrorKind::ReadOnly,
            format!("`{}` is not writable by this user", path.display()),
        )
        .help("check the owner and mode of the file, and whether the disk is mounted read-only"));
    }
    let configured = BusyRetry::new(options.busy_timeout).retry(|| configure(&conn, path, options, &before));
    if configured.as_ref().is_err_and(Error::is_fatal) {
        // A damaged file is not written to, and its log is not deleted: both are needed to recover the jobs.
        disable_close_checkpoint(&conn);
    }
    configured?;
    checkpoint_found_log(&conn, options)?;
    Ok(conn)
}

/// Configures a new connection before its first write. Any step can fail with a lock error while another
/// process opens, migrates or closes the same file. Each step can be repeated.
fn configure(conn: &Connection, path: &Path, options: &SqliteOptions, before: &OpenFiles) -> Result<()> {
    // The checks come before the first change: a file that is newer or not a SQLite database stays as it is.
    read_first(conn).map_err(error::before_commit(conn))?;
    migrate::check_schema(conn).inspect_err(|_| keep_log(conn, path))?;

    let mode = switch_to_wal(conn).map_err(error::before_commit(conn))?;
    if mode != "wal" {
        return Err(Error::new(
            ErrorKind::Storage,
            format!("SQLite kept the journal mode `{mode}`, but qdjobs needs `wal`"),
        )
        .in_database(error::path(conn))
        .help(
            "if another program has the file open, close it and try again; otherwise put the database on a local \
             disk, because this file system may not support shared memory",
        ));
    }
    // From here on this connection holds a lock on its file. If that is no longer the file of this name, a write
    // would go into the log of another database.
    if !OpenFiles::of(path, path).is_same_database(before) {
        disable_close_checkpoint(conn);
        return Err(replaced(path));
    }
    let synchronous = match options.durability {
        Durability::Full => 2,
        Durability::Relaxed => 1,
    };
    set_pragma(conn, "synchronous", synchronous)?;
    if options.durability == Durability::Relaxed {
        // The checkpointer runs all checkpoints, because it must see their errors.
        set_pragma(conn, "wal_autocheckpoint", 0)?;
    }
    set_pragma(conn, "journal_size_limit", WAL_BYTES_KEPT)?;
    set_pragma(conn, "trusted_schema", 0)?;
    set_pragma(conn, "cell_size_check", 1)?;
    set_pragma(conn, "temp_store", 2)?;
    set_pragma(conn, "cache_size", -8_000)?;
    // The query plan depends on the statement alone. Without this, the plan depends on the bound values.
    // Cached statements have their bindings cleared, so SQLite would prepare them again at each use: 0.1 ms
    // for each job that is enqueued alone.
    enable(conn, "the query planner's stability guarantee", DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG)?;
    // No statement may write to SQLite's own schema table, not even one in a trigger that another program
    // created.
    enable(conn, "the defensive mode", DbConfig::SQLITE_DBCONFIG_DEFENSIVE)?;
    if cfg!(target_vendor = "apple") && options.durability == Durability::Full {
        // On Apple systems a plain fsync leaves the data in the drive's cache.
        set_pragma(conn, "fullfsync", 1)?;
        set_pragma(conn, "checkpoint_fullfsync", 1)?;
    }
    migrate::migrate(conn)?;
    Ok(())
}

/// Refuses names to which SQLite gives a special meaning.
pub(in crate::store::sqlite) fn refuse_special(path: &Path) -> Result<()> {
    let refused = || Error::new(ErrorKind::InvalidInput, format!("`{}` is not a file", path.display()));
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        return Err(refused()
            .help("pass a path; for a queue that ends with the process, use `JobQueue::in_memory()`"));
    }
    if path.as_os_str().as_encoded_bytes().starts_with(b"file:") {
        return Err(refused().help("pass a plain path: addresses that begin with `file:` are not supported"));
    }
    Ok(())
}

/// The name of the main database, for versions of rusqlite that take it as a text.
#[allow(dead_code, reason = "older versions have a type of this name, and use it below")]
struct DatabaseName;

impl DatabaseName {
    #[allow(dead_code, non_upper_case_globals, reason = "as in older versions")]
    const Main: &str = "main";
}

/// Whether SQLite opened the file read-only, which it does without an error.
fn is_read_only(conn: &Connection) -> rusqlite::Result<bool> {
    #[allow(
        unused_imports,
        reason = "older versions export their own `DatabaseName`, which takes precedence over the one above"
    )]
    use rusqlite::*;
    conn.is_readonly(DatabaseName::Main)
}

/// Keeps the log of a file that this program must not write to. The last connection to close checkpoints the
/// log and deletes it. A log left by a crashed process stays until a program that may write the file opens
/// it.
fn keep_log(conn: &Connection, path: &Path) {
    // An empty log may be deleted. A log that this process cannot see is kept, for example one of a simulated
    // disk.
    let is_empty = std::fs::metadata(log_of(path)).is_ok_and(|log| log.len() == 0);
    if !is_empty {
        disable_close_checkpoint(conn);
    }
}

/// Checkpoints and truncates the log that an earlier process left. A process whose sync failed may have left
/// a commit in the log that can be read but will not survive a power loss. Commits appended after it would be
/// lost with it.
///
/// A checkpoint alone is not enough. Until the log is restarted, recovery would apply what survived of it to
/// the database again. So the log is truncated, and a commit makes that durable: what this process reads from
/// now on survives a power failure. If the disk fails at this, it cannot be trusted with more.
///
/// A full disk or a busy log is not an error here. In both cases, the log is intact, or the process that uses
/// it has already restarted it.
fn checkpoint_found_log(conn: &Connection, options: &SqliteOptions) -> Result<()> {
    let truncated = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    match truncated {
        // Another process may take the lock in between.
        Ok(false) => match BusyRetry::new(options.busy_timeout).retry(|| begin_log(conn)) {
            Err(error) if error.kind() == ErrorKind::Storage => Err(error),
            _ => Ok(()),
        },
        Err(error) if error::code(&error) == Some(rusqlite::ErrorCode::SystemIoFailure) => {
            Err(error::before_commit(conn)(error))
        }
        _ => Ok(()),
    }
}

/// Writes the first transaction of an empty log. The row is changed and changed back, since SQLite writes no
/// page for an update that changes nothing.
fn begin_log(conn: &Connection) -> Result<()> {
    let begun = || {
        let tx = rusqlite::Transaction::new_unchecked(conn, rusqlite::TransactionBehavior::Immediate)?;
        tx.execute("UPDATE qdjobs_meta SET version = version + 1", [])?;
        tx.execute("UPDATE qdjobs_meta SET version = version - 1", [])?;
        log_mark::write(&tx)?;
        tx.commit()
    };
    begun().map_err(error::before_commit(conn))
}

/// Whether this version of SQLite can lose committed data when it checkpoints while another connection commits and
/// begins the log anew. The fault is in the checkpoint, so the version of the other connection does not matter. This is the WAL-reset bug of 3.7.0 to 3.51.2, fixed in 3.51.3, 3.50.7 and 3.44.6 (sqlite.org,
/// "WAL-mode file format", and its change log).
pub(in crate::store::sqlite) fn has_wal_reset_bug(version: i32) -> bool {
    !matches!(version, 3_051_003..|3_050_007..3_051_000| 3_044_006..3_045_000)
}

/// Opens a connection that only reads.
pub(in crate::store::sqlite) fn reader(path: &Path, options: &SqliteOptions) -> Result<Connection> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Not opened read-only: if such a connection is the last to close, it cannot clean up the write-ahead
    // log.
    set_pragma(&conn, "query_only", 1)?;
    set_pragma(&conn, "trusted_schema", 0)?;
    conn.busy_timeout(options.busy_timeout).map_err(error::before_commit(&conn))?;
    // SQLite opens the log at the first read, by its name, which must still be that of this log.
    read_first(&conn).map_err(error::before_commit(&conn))?;
    Ok(conn)
}

/// The first read of a connection: only now SQLite opens the log, and finds out whether the file is a
/// database.
pub(in crate::store::sqlite) fn read_first(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection> {
    // Each connection is used by one thread at a time, so SQLite need not lock it.
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(error::at(path))?;
    conn.set_prepared_statement_cache_capacity(STATEMENT_CACHE_SIZE);
    Ok(conn)
}

/// Creates the file if there is none, and reports whether it did. Refuses it as [`refuse_place`], and any file if
/// the linked SQLite is too old.
///
/// The file gets mode 0600 before SQLite opens it. SQLite copies the mode of the database to the log, which
/// holds the same params. A mode that is changed later does not reach the log.
pub(in crate::store::sqlite) fn create(
    path: &Path,
    options: &SqliteOptions,
    machine: &Machine,
) -> Result<bool> {
    system_sqlite::refuse_old(machine.sqlite_version)?;
    refuse_place(path, options, machine)?;
    refuse_orphaned_log(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => {
            Err(Error::new(ErrorKind::Storage, format!("`{}` is a directory", path.display()))
                .help("give the path of a file in it, for example `jobs.db`"))
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
                .help("check that its directory exists, that this user may write there, and that the disk has room")
                .caused_by(error))
        }
    }
}

/// Refuses a log whose database is missing: SQLite would delete the log, and the jobs in it.
fn refuse_orphaned_log(path: &Path) -> Result<()> {
    let log = log_of(path);
    // In this order: another process may be creating the two, the database first.
    let has_log = std::fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    if !has_log || path.exists() {
        return Ok(());
    }
    let (path, log) = (path.display(), log.display());
    Err(Error::new(ErrorKind::Corrupt, format!("`{path}` is missing, but its log `{log}` exists")).help(
        "nothing was changed. The log may contain jobs: if the database was moved or renamed, put this same file back \
         beside it, and never a backup. Without that file, move the log away; then open an empty database, or restore a \
         backup",
    ))
}

/// Refuses a network file system, and a file that has a second name.
fn refuse_place(path: &Path, options: &SqliteOptions, machine: &Machine) -> Result<()> {
    if !options.allow_network_filesystem {
        network_fs::refuse(path, machine.mounts.as_deref())?;
    }
    match std::fs::canonicalize(path) {
        Ok(found) => file_names::refuse_second_name(&found, machine.mounts.as_deref()),
        Err(_) => Ok(()),
    }
}

/// The error if the name of the database has come to another file while it was opened.
pub(in crate::store::sqlite) fn replaced(path: &Path) -> Error {
    Error::new(ErrorKind::Storage, format!("`{}` was replaced while it was opened", path.display()))
        .help("find the program that replaces the file, and try again")
}

/// Makes the close of the connection change no file. Otherwise the last connection to close checkpoints the
/// log and deletes it.
pub(in crate::store::sqlite) fn disable_close_checkpoint(conn: &Connection) {
    // This sets a flag in memory, which cannot fail.
    let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
}

/// Enables a setting and checks that SQLite has accepted it.
fn enable(conn: &Connection, what: &str, setting: DbConfig) -> Result<()> {
    if conn.set_db_config(setting, true).map_err(error::before_commit(conn))? {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Storage, format!("SQLite did not enable {what}"))
        .in_database(error::path(conn))
        .help("use the feature `bundled`: the linked SQLite may be built without this setting"))
}

/// Switches the journal mode, and returns the mode that SQLite reports afterwards.
fn switch_to_wal(conn: &Connection) -> rusqlite::Result<String> {
    let mut statement = conn.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = statement.query([])?;
    let mode = rows.next()?.map(|row| row.get(0)).transpose()?;
    // The switch is a write, and commits when the statement ends. That is after its row, so the reported mode
    // may still fail.
    rows.next()?;
    mode.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// Sets a pragma and reads it back.
pub(in crate::store::sqlite) fn set_pragma(conn: &Connection, pragma: &str, value: i64) -> Result<()> {
    // Some pragmas return their new value, some return nothing. Both are fine: the read below decides.
    conn.execute_batch(&format!("PRAGMA {pragma} = {value}")).map_err(error::before_commit(conn))?;
    let now: i64 = conn
        .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
        .map_err(error::before_commit(conn))?;
    if now == value {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Storage,
        format!("SQLite kept the pragma `{pragma}` at {now}, but qdjobs needs {value}"),
    )
    .in_database(error::path(conn))
    .help("use the feature `bundled`: the linked SQLite may be built without this setting"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pragma_that_sqlite_does_not_set_as_requested_is_an_error() {
        let conn = Connection::open_in_memory().unwrap();
        set_pragma(&conn, "journal_size_limit", 5).unwrap();
        // SQLite accepts each of these without an error.
        for (pragma, value) in [("journal_size_limit", -5), ("synchronous", 7), ("journal_sise_limit", 5)] {
            set_pragma(&conn, pragma, value).unwrap_err();
        }
    }

    #[test]
    fn the_sqlite_versions_with_the_wal_reset_bug_are_known() {
        for (version, has_bug) in [
            (3_044_005, true),
            (3_044_006, false),
            (3_046_000, true),
            (3_050_006, true),
            (3_050_007, false),
            (3_051_002, true),
            (3_051_003, false),
            (3_054_001, false),
        ] {
            assert_eq!(has_wal_reset_bug(version), has_bug, "{version}");
        }
    }

    /// A repeated enqueue with a key is answered with a job that is found, without any write.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_can_be_read_after_the_open_survives_a_power_cut_although_its_own_sync_failed() {
        use qdjobs_sim_disk::{Disk, Fault, FaultDuration, Op, as_process};

        let mut seen = [0; 2];
        for seed in 0..100 {
            let dir = tempfile::tempdir().unwrap();
            let disk = Disk::mount(dir.path(), seed).unwrap();
            let open = || writer(&dir.path().join("jobs.db"), &SqliteOptions::default()).unwrap();
            let insert = "INSERT INTO qdjobs_jobs (task_name) VALUES (?1)";
            let jobs = |conn: &Connection| -> i64 {
                conn.query_row("SELECT count(*) FROM qdjobs_jobs", [], |row| row.get(0)).unwrap()
            };
            as_process(1, || {
                let conn = open();
                conn.execute(insert, ["first"]).unwrap();
                disk.fail(1, Fault::Io(Op::Sync), FaultDuration::UntilCleared);
                conn.execute(insert, ["unsynced"]).unwrap_err();
                disk.kill(1);
                disk.clear_faults();
            });
            let found = as_process(2, || {
                let conn = open();
                let found = jobs(&conn);
                disk.cut_power();
                found
            });
            disk.power_on();
            assert_eq!(as_process(3, || jobs(&open())), found, "seed {seed}");
            seen[usize::from(found == 2)] += 1;
        }
        assert!(seen[1] > 0, "{seen:?}");
    }

    /// A failed sync is final for the data it should have written, although programs can still read that
    /// data.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_commit_that_a_dead_process_could_not_sync_does_not_lose_later_commits() {
        use qdjobs_sim_disk::{Disk, Fault, FaultDuration, Op, as_process};

        for seed in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let disk = Disk::mount(dir.path(), seed).unwrap();
            let open = || writer(&dir.path().join("jobs.db"), &SqliteOptions::default()).unwrap();
            let insert = "INSERT INTO qdjobs_jobs (task_name) VALUES (?1)";
            as_process(1, || {
                let conn = open();
                // This commit starts the log, so that the next sync belongs to a commit.
                conn.execute(insert, ["first"]).unwrap();
                disk.fail(1, Fault::Io(Op::Sync), FaultDuration::UntilCleared);
                conn.execute(insert, ["unsynced"]).unwrap_err();
                disk.kill(1);
                disk.clear_faults();
            });
            as_process(2, || {
                disk.fail(1, Fault::Io(Op::Sync), FaultDuration::UntilCleared);
                let refused = writer(&dir.path().join("jobs.db"), &SqliteOptions::default());
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::Storage, "the sync still fails");
                disk.clear_faults();
                let conn = open();
                conn.execute(insert, ["acknowledged"]).unwrap();
                disk.cut_power();
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
