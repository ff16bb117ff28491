//! A copy of the database while it is used: [`write`].
//!
//! Leans on rusqlite and `check`. A copy by the file system would miss what stands in the write-ahead log, or catch the file between
//! two writes; SQLite's own copy is the database as of one moment. It copies rows without looking into them, so what was misread
//! on a bad disk is found only by reading the copy.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::check;
use crate::model::error::{Error, ErrorKind, Result};
use crate::store::sqlite::connection::error;
use crate::store::sqlite::refuse_special;

/// Copies the database at `from` into a new file, readable by its owner alone, finds the copy sound, and syncs it. Whatever fails, no
/// half of a copy is left, and a file that was there stays as it was.
pub(in crate::store::sqlite) fn write(from: &Path, to: &Path) -> Result<()> {
    refuse_special(to)?;
    let Some(name) = to.to_str() else {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the path `{}` is not Unicode", to.display()),
        )
        .help("give the backup another name"));
    };
    let created = create(to)?;
    let copied = copy(from, name)
        .and_then(|()| prove(from, to))
        .and_then(|()| sync(&created, to).map_err(|error| cannot(to, error)));
    if copied.is_err() {
        // Ours, by the exclusive creation above.
        let _ = std::fs::remove_file(to);
    }
    copied
}

fn create(to: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(to).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::new(ErrorKind::InvalidInput, format!("there is a file at `{}`", to.display()))
                .help("a backup never replaces a file: give it a new name, with the date for example")
        }
        _ => cannot(to, error),
    })
}

/// One read transaction on a connection of its own, which only reads.
fn copy(from: &Path, to: &str) -> Result<()> {
    let conn =
        Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    conn.and_then(|conn| conn.execute("VACUUM INTO ?1", [to])).map(drop).map_err(error::before_commit)
}

/// Reads the copy. One that is not sound would be found out on the day it is needed.
fn prove(from: &Path, to: &Path) -> Result<()> {
    let damage = match check::first_damage(to) {
        Ok(None) => return Ok(()),
        Ok(Some(damage)) => damage,
        Err(error) if error.kind() == ErrorKind::Corrupt => error.to_string(),
        Err(error) => return Err(error),
    };
    Err(Error::new(
        ErrorKind::Corrupt,
        format!("a copy of `{}` is not sound, and was removed: {damage}", from.display()),
    )
    .help("check the database and look at its disk; `salvage` saves what can be read, and an earlier backup is worth keeping"))
}

/// The bytes, then the name.
fn sync(file: &File, path: &Path) -> std::io::Result<()> {
    file.sync_all()?;
    #[cfg(unix)]
    File::open(path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))?
        .sync_all()?;
    let _ = path;
    Ok(())
}

fn cannot(to: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull => ErrorKind::StorageFull,
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        _ => ErrorKind::Storage,
    };
    Error::new(kind, format!("the backup `{}` cannot be written: {error}", to.display()))
        .help("check that its directory exists, that this user may write there, and that the disk has room")
        .caused_by(error)
}
