//! The place of a database, locked while another file takes it: [`Place`].
//!
//! What takes the place is decided in `restore.rs`.
//!
//! Depends on rusqlite for the lock and on std for the names.
//!
//! The order makes each step safe on its own. The log is first written back into the old database, so that it is
//! complete in one file. Then this file gets a second name, and only then one rename puts the new file under the
//! first name. A power failure or a crash in between leaves the old database in its place with a second name, which the
//! next restore removes. Only a log that cannot be written back is moved before that rename: the damaged or foreign
//! database is then left without it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::model::clock::Clock;
use crate::model::error::{Error, ErrorKind, Result};
use crate::store::sqlite::connection::open::{self, Machine, SqliteOptions};
use crate::store::sqlite::connection::{error, file_names, log_mark};
use crate::store::sqlite::files::names::{REPLACED, beside, log_index_of, log_of};
use crate::store::sqlite::files::open_files::OpenFiles;

/// The place of a database that no other program has open.
pub(super) struct Place {
    /// With links resolved.
    path: PathBuf,
    /// Holds the lock until it is dropped.
    conn: Connection,
    /// This call has created the file.
    is_new: bool,
    /// The log can be written back, so that the database is one file. Otherwise the log has to move with it.
    is_sound: bool,
}

impl Place {
    /// Locks the database at `path`. Creates an empty one if there is none, which other programs cannot use before
    /// it is replaced.
    pub(super) fn lock(path: &Path) -> Result<Place> {
        Place::lock_while(path, || {})
    }

    /// As [`lock`](Place::lock), and calls `meanwhile` before it takes the lock, for a test.
    fn lock_while(path: &Path, meanwhile: impl FnOnce()) -> Result<Place> {
        // Whether the file system is fit for a queue is checked when the database is opened.
        let options = SqliteOptions { allow_network_filesystem: true, ..SqliteOptions::default() };
        let found = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        // A database that an interrupted restore has left with a second name exists, and is refused until it is removed.
        let is_interrupted = file_names::left_by_restore(&found).is_some();
        let is_new = !is_interrupted && open::create(path, &options, &Machine::current())?;
        let path = std::fs::canonicalize(path).unwrap_or(found);
        let before = OpenFiles::of(&path, &path);
        let access = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&path, access).map_err(error::at(&path))?;
        // A log that cannot be written back is kept.
        open::disable_close_checkpoint(&conn);
        let is_foreign = log_mark::is_log_foreign(&path);
        meanwhile();
        let locked = lock(&conn, is_foreign).and_then(|is_sound| {
            // The lock is on a file. Another restore may have given its name to another file since it was opened.
            if !OpenFiles::of(&path, &path).is_same_database(&before) {
                return Err(in_use(&path));
            }
            remove_second_name(&path).map(|()| is_sound)
        });
        match locked {
            Ok(is_sound) => Ok(Place { path, conn, is_new, is_sound }),
            // Another program has opened the file that this call has just created: it is that program's now.
            Err(error) if error.kind() == ErrorKind::Busy => Err(in_use(&path)),
            Err(error) => {
                if is_new {
                    let _ = std::fs::remove_file(&path);
                }
                Err(error)
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn has_database(&self) -> bool {
        !self.is_new
    }

    /// The highest id that a job of the database has had; 0 if that cannot be told.
    pub(super) fn last_id(&self) -> i64 {
        if self.is_sound { last_id(&self.conn) } else { 0 }
    }

    /// The name for the file that takes the place. Removes what an interrupted call has left there.
    pub(super) fn name_for_copy(&self) -> Result<PathBuf> {
        let copy = beside(&self.path, "-restoring");
        match std::fs::remove_file(&copy) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(cannot(&copy, error)),
            _ => Ok(copy),
        }
    }

    /// Gives the copy the mode and the owner of the database.
    #[cfg(unix)]
    pub(super) fn give_owner_to(&self, copy: &Path) -> Result<()> {
        use std::os::unix::fs::{MetadataExt, chown};
        let give = || {
            let (old, new) = (std::fs::metadata(&self.path)?, std::fs::metadata(copy)?);
            std::fs::set_permissions(copy, old.permissions())?;
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                chown(copy, Some(old.uid()), Some(old.gid()))?;
            }
            Ok(())
        };
        give().map_err(|error: std::io::Error| {
            let owned = format!("the copy cannot get the owner of `{}`: {error}", self.path.display());
            Error::new(ErrorKind::ReadOnly, owned)
                .help("restore as the user who owns the database; nothing was changed")
                .caused_by(error)
        })
    }

    #[cfg(not(unix))]
    pub(super) fn give_owner_to(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    /// Leaves the place as it was found.
    pub(super) fn give_up(self, copy: &Path) {
        let _ = std::fs::remove_file(copy);
        if self.is_sound {
            // The close removes the log that the lock has created.
            let _ = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        }
        // Removed under the lock, where that is possible: afterwards the file may be another program's.
        let lock = cfg!(unix).then_some(self.conn);
        if self.is_new {
            let _ = std::fs::remove_file(&self.path);
        }
        drop(lock);
    }

    /// Puts `copy` into the place, and gives the old database the name `replaced`.
    pub(super) fn swap(self, copy: &Path, replaced: Option<&Path>) -> Result<()> {
        if self.is_sound
            && let Err(error) = write_back(&self.conn)
        {
            self.give_up(copy);
            return Err(error);
        }
        let Place { path, conn, is_new, is_sound } = self;
        // Windows does not rename an open file. Elsewhere, the lock is held until the end.
        let lock = cfg!(unix).then_some(conn);
        let log = replaced.filter(|_| !is_sound).map(|replaced| (log_of(&path), log_of(replaced)));
        let swapped = keep(&path, replaced).and_then(|()| {
            log.as_ref().map_or(Ok(()), |(from, to)| rename_if_there(from, to))?;
            // Without a log, SQLite makes its index anew.
            let _ = std::fs::remove_file(log_index_of(&path));
            let _ = std::fs::remove_file(beside(&path, "-journal"));
            std::fs::rename(copy, &path)
        });
        if let Err(error) = swapped {
            if let Some((from, to)) = log {
                let _ = rename_if_there(&to, &from);
            }
            for file in [replaced, Some(copy), Some(&*path).filter(|_| is_new)].into_iter().flatten() {
                let _ = std::fs::remove_file(file);
            }
            return Err(cannot(&path, error));
        }
        drop(lock);
        sync_directory_of(&path).map_err(|error| not_synced(&path, error))
    }
}

/// Removes the name that an interrupted restore has given the database at `path`. Under its lock: a restore that is
/// going on needs the name.
fn remove_second_name(path: &Path) -> Result<()> {
    let Some(second) = file_names::left_by_restore(path) else { return Ok(()) };
    let removed = std::fs::remove_file(&second).and_then(|()| sync_directory_of(path));
    removed.map_err(|error| cannot(&second, error))?;
    file_names::refuse_second_name(path, Machine::current().mounts.as_deref())
}

/// Locks the database against every other connection, and changes nothing. Returns whether its log can be written
/// back: not if the database is damaged, or if its log is that of another file.
fn lock(conn: &Connection, is_foreign: bool) -> Result<bool> {
    // In this mode the first access takes the lock, and it is kept after the end of a transaction.
    conn.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(())).map_err(error::before_commit(conn))?;
    let locked = open::read_first(conn).and_then(|()| match is_foreign {
        true => Ok(()),
        // A database without a log is only locked by a write.
        false => conn.execute_batch("BEGIN EXCLUSIVE; COMMIT"),
    });
    match locked.map_err(error::before_commit(conn)) {
        Ok(()) => Ok(!is_foreign),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes the log into the database, which is then one file.
fn write_back(conn: &Connection) -> Result<()> {
    conn.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(error::before_commit(conn))
}

/// Gives the old database a second name that stays.
fn keep(path: &Path, replaced: Option<&Path>) -> std::io::Result<()> {
    let Some(replaced) = replaced else { return Ok(()) };
    std::fs::hard_link(path, replaced)?;
    sync_directory_of(path)
}

fn rename_if_there(from: &Path, to: &Path) -> std::io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The name that the database at `path` gets when it is replaced.
pub(super) fn replaced_name(path: &Path) -> PathBuf {
    let stamp = Clock::system().now().to_string().replace(':', "");
    let seconds = stamp.split('.').next().unwrap_or_default();
    let named = |suffix: &str| {
        let mut name = OsString::from(format!("{REPLACED}{}", seconds.trim_end_matches('Z')));
        name.push(suffix);
        beside(path, &name)
    };
    (1_u32..)
        .map(|number| if number == 1 { named("") } else { named(&format!("-{number}")) })
        .find(|name| !name.exists() && !log_of(name).exists())
        .unwrap_or_else(|| named("-last"))
}

#[cfg(unix)]
fn sync_directory_of(path: &Path) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(dir)?.sync_all()
}

/// Other systems sync names by themselves.
#[cfg(not(unix))]
fn sync_directory_of(_: &Path) -> std::io::Result<()> {
    Ok(())
}

fn in_use(path: &Path) -> Error {
    Error::new(ErrorKind::Busy, format!("`{}` is in use, so it cannot be replaced", path.display()))
        .help(
            "stop every program that has the database open, and drop every queue and connection that this program has on \
             it; then restore again. Nothing was changed",
        )
}

fn not_synced(path: &Path, error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Storage,
        format!("`{}` is restored, but its directory cannot be synced: {error}", path.display()),
    )
    .help(
        "check the disk. The restored database can be used; restore it once more only if a power failure brings the old \
         one back",
    )
    .caused_by(error)
}

fn cannot(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("`{}` cannot be replaced: {error}", path.display()))
        .help(
            "check that this user may write in the directory, and that its file system supports hard links; a \
             database that was there is still in its place",
        )
        .caused_by(error)
}

/// The highest id that a job of this database has had; 0 if that cannot be told.
fn last_id(conn: &Connection) -> i64 {
    let last = "SELECT seq FROM sqlite_sequence WHERE name = 'qdjobs_jobs'";
    conn.query_row(last, [], |row| row.get(0)).optional().ok().flatten().unwrap_or(0)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::store::sqlite::scratch;

    #[test]
    fn a_restore_that_meets_another_one_leaves_the_database_that_it_has_kept() {
        let dir = scratch("two-restores");
        let (path, kept, copy) = (dir.join("jobs.db"), dir.join("jobs.db-replaced-1"), dir.join("copy.db"));
        for path in [&path, &copy] {
            drop(open::writer(path, &SqliteOptions::default()).unwrap());
        }
        // The other one has given the old database its second name, and ends before this one has the lock.
        std::fs::hard_link(&path, &kept).unwrap();
        let refused = Place::lock_while(&path, || std::fs::rename(&copy, &path).unwrap()).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Busy, "{refused}");
        assert!(kept.exists() && path.exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
