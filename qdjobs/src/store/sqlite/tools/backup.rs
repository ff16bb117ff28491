//! Copies the database into a backup file while it is in use, and checks the copy: [`write`](fn@write).
//!
//! The public method is in `queue/backup.rs`. What a check finds is decided in `check.rs`.
//!
//! Depends on rusqlite and `check`. The writer thread never comes in.
//!
//! A copy by the file system misses the content of the write-ahead log, or reads the file between two writes.
//! SQLite's own copy is the database as of one moment. It does not validate the rows, so data misread from a
//! bad disk is found only by checking the copy.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::check;
use crate::model::error::{Error, ErrorKind, Result};
use crate::store::sqlite::connection::open::refuse_special;
use crate::store::sqlite::connection::{error, log_mark};
use crate::store::sqlite::files::names::log_of;

/// Copies the database at `from` as [`copy`], on a read-only connection of its own.
pub(in crate::store::sqlite) fn write(from: &Path, to: &Path) -> Result<()> {
    let access = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(from, access).map_err(error::at(from))?;
    copy(&conn, from, to)
}

/// Copies the database of a connection, in one read transaction, into a new file that only its owner can read,
/// checks the copy, and syncs it. If a step fails, no partial copy is left. A file that exists at `to` is not
/// changed. `from` is the path of the database, for errors.
pub(in crate::store::sqlite) fn copy(conn: &Connection, from: &Path, to: &Path) -> Result<()> {
    refuse_special(to)?;
    let Some(name) = to.to_str() else {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the path `{}`, where the copy is to be written, is not valid Unicode", to.display()),
        )
        .help("choose a path in Unicode"));
    };
    refuse_log_of_another(to)?;
    let created = create(to)?;
    let copied = conn.execute("VACUUM INTO ?1", [name]).map(drop);
    let copied = copied.map_err(|error| match error::concerns_the_copy(&error) {
        true => error::copying_to(to)(error),
        false => error::before_commit(conn)(error),
    });
    let copied = copied
        .and_then(|()| mark(to).map_err(error::copying_to(to)))
        .and_then(|()| check_copy(from, to))
        .and_then(|()| sync(&created, to).map_err(|error| write_error(to, error)));
    if copied.is_err() {
        // This call created the file, since it was opened with `create_new`.
        let _ = std::fs::remove_file(to);
    }
    copied
}

/// Refuses a name beside which a log lies: SQLite would take it for the log of the copy, and delete it.
fn refuse_log_of_another(to: &Path) -> Result<()> {
    let log = log_of(to);
    // A database with its log is refused as a file that exists.
    if !log.exists() || to.exists() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("a log lies at `{}`, so no copy can be written beside it", log.display()),
    )
    .help(
        "choose another name for the copy, for example with the date; the log may contain jobs of a database that was \
         removed",
    ))
}

fn create(to: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(to).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::new(
            ErrorKind::InvalidInput,
            format!("`{}` already exists", to.display()),
        )
        .help(
            "pass the path of a new file, for example with the date in its name; a backup replaces nothing",
        ),
        _ => write_error(to, error),
    })
}

/// Gives the copy a mark of its own, so that it is not taken for the file of the log that its original has now.
fn mark(copy: &Path) -> rusqlite::Result<()> {
    let conn = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    log_mark::write(&conn)?;
    conn.close().map_err(|(_, error)| error)
}

/// Checks the copy. Without this, a damaged copy would be found only when it is needed.
fn check_copy(from: &Path, to: &Path) -> Result<()> {
    let damage = match check::first_damage(to) {
        Ok(None) => return Ok(()),
        Ok(Some(damage)) => damage,
        Err(error) if error.kind() == ErrorKind::Corrupt => error.message().to_owned(),
        Err(error) => return Err(error),
    };
    Err(Error::new(
        ErrorKind::Corrupt,
        format!("the copy of `{}` was damaged, so it was removed: {damage}", from.display()),
    )
    .help(
        "check that file, its disk and the disk of the copy; keep the earlier backups; `salvage` copies the rows that \
         can be read",
    ))
}

/// Syncs the file, then the directory.
fn sync(file: &File, path: &Path) -> std::io::Result<()> {
    file.sync_all()?;
    #[cfg(unix)]
    File::open(path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))?
        .sync_all()?;
    let _ = path;
    Ok(())
}

fn write_error(to: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull => ErrorKind::StorageFull,
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        _ => ErrorKind::Storage,
    };
    Error::new(kind, format!("`{}` cannot be written: {error}", to.display()))
        .help("check that its directory exists, that this user may write there, and that the disk works and has room")
        .caused_by(error)
}
