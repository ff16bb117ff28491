//! Decides whether the files that this process has open are still those that another program would open:
//! [`OpenFiles`].
//!
//! When they are compared is decided in `writer/commit.rs`, `writer/mod.rs` and `reader.rs`; the store then
//! halts. Which files are refused when they are opened is decided in `connection/file_names.rs`.
//!
//! Depends on std. Only the names are looked up. The files are never opened here, since closing any
//! descriptor of them would drop SQLite's locks.
//!
//! A file that is removed, renamed or replaced stays open and writable, and SQLite does not notice. Jobs would
//! be stored in it and confirmed, and no other program would ever see them.

use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::model::error::{Error, ErrorKind, Result};
use crate::store::sqlite::files::names::{log_index_of, log_of};
use crate::sync::{Mutex, PoisonError};

/// The files of a database as they were opened.
#[derive(Debug)]
pub(in crate::store::sqlite) struct OpenFiles {
    database: PathBuf,
    /// The database, its log and the index of its log, as far as they exist.
    files: Vec<(PathBuf, FileId)>,
    /// The name by which the database was opened, if that is a link.
    link: Option<PathBuf>,
    /// The directory when all files were last looked up, if it had not changed for a while.
    seen: Mutex<Option<DirectoryState>>,
    /// Since when the link is missing.
    link_missing: Mutex<Option<Instant>>,
}

/// What stays the same as long as a file exists, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

/// A directory, and when a name in it last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DirectoryState {
    id: FileId,
    changed: (i64, i64),
}

/// The time of a change in a directory is as coarse as the clock ticks of the kernel, at most 10 ms. A later
/// change in the same tick would leave the same time. So a time counts only if it is this old.
const TICK_MAX: Duration = Duration::from_millis(100);

/// The same for a file system that stores whole seconds, or even ones: ext4 with inodes of 128 bytes, HFS+, FAT.
const COARSE_TICK_MAX: Duration = Duration::from_secs(3);

/// How long a link may be missing while it is set anew, from the first look that misses it.
const LINK_SWAP_MAX: Duration = Duration::from_millis(400);

/// No file has the name.
struct Missing;

/// The file of this name; `None` if it cannot be told.
fn id_of(path: &Path) -> std::result::Result<Option<FileId>, Missing> {
    match std::fs::metadata(path) {
        Ok(file) => Ok(id(&file)),
        Err(error) if matches!(error.kind(), IoErrorKind::NotFound | IoErrorKind::NotADirectory) => {
            Err(Missing)
        }
        // For example, a directory that this user may no longer search. That is no other file.
        Err(_) => Ok(None),
    }
}

#[cfg(unix)]
fn id(file: &std::fs::Metadata) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    Some(FileId { device: file.dev(), inode: file.ino() })
}

/// Windows does not remove or rename a file that is open.
#[cfg(not(unix))]
fn id(_: &std::fs::Metadata) -> Option<FileId> {
    None
}

#[cfg(unix)]
fn state_of(dir: &Path) -> Option<DirectoryState> {
    use std::os::unix::fs::MetadataExt;
    let dir = std::fs::metadata(dir).ok()?;
    Some(DirectoryState { id: id(&dir)?, changed: (dir.ctime(), dir.ctime_nsec()) })
}

#[cfg(not(unix))]
fn state_of(_: &Path) -> Option<DirectoryState> {
    None
}

impl DirectoryState {
    /// Whether a change at `now` or later would leave another time.
    fn is_settled(&self, now: SystemTime) -> bool {
        let (Ok(seconds), Ok(nanos)) = (self.changed.0.try_into(), self.changed.1.try_into()) else {
            return false;
        };
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
        let tick = if nanos == 0 { COARSE_TICK_MAX } else { TICK_MAX };
        now.duration_since(changed).is_ok_and(|since| since >= tick)
    }
}

impl OpenFiles {
    /// The files of the database that was opened as `name` and is at `path`. Called when its connections are
    /// open.
    pub(in crate::store::sqlite) fn of(name: &Path, path: &Path) -> OpenFiles {
        let own = [path.to_owned(), log_of(path), log_index_of(path)];
        let found = |path: PathBuf| id_of(&path).ok().flatten().map(|id| (path, id));
        OpenFiles {
            database: path.to_owned(),
            files: own.into_iter().filter_map(found).collect(),
            link: (name != path).then(|| name.to_owned()),
            seen: Mutex::default(),
            link_missing: Mutex::default(),
        }
    }

    /// The path of the database.
    pub(in crate::store::sqlite) fn database(&self) -> &Path {
        &self.database
    }

    /// Whether both have the same database, which was not replaced in between.
    pub(in crate::store::sqlite) fn is_same_database(&self, other: &OpenFiles) -> bool {
        self.id_of_database() == other.id_of_database()
    }

    fn id_of_database(&self) -> Option<FileId> {
        self.files.iter().find(|(path, _)| *path == self.database).map(|(_, id)| *id)
    }

    /// Whether the log or its index was removed, and nothing else has changed: then no other program uses the
    /// database with another log.
    pub(in crate::store::sqlite) fn lacks_only_its_log(&self) -> bool {
        let is_changed = |(path, id): &(PathBuf, FileId)| match id_of(path) {
            Ok(found) => found.is_some_and(|found| found != *id),
            Err(Missing) => *path == self.database,
        };
        let has_link = self.link.as_ref().is_none_or(|link| self.check_link(link).is_ok());
        self.check(true).is_err() && has_link && !self.files.iter().any(is_changed)
    }

    /// An error if one of the files is no longer the one of its name. Unless `thorough`, the files are not
    /// looked up as long as no name in their directory has changed.
    #[expect(clippy::disallowed_methods, reason = "compared with a time that the kernel wrote")]
    pub(in crate::store::sqlite) fn check(&self, thorough: bool) -> Result<()> {
        let dir = self.database.parent().and_then(state_of);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !thorough && self.link.is_none() && seen.is_some() && *seen == dir {
            return Ok(());
        }
        // Read before the files: a later change is seen by the next call.
        *seen = dir.filter(|dir| dir.is_settled(SystemTime::now()));
        drop(seen);
        for (path, id) in &self.files {
            let shown = path.display();
            let message = match id_of(path) {
                Ok(Some(found)) if found != *id => format!(
                    "the store has halted: `{shown}` was replaced by another file while this program used it"
                ),
                Err(Missing) => {
                    format!(
                        "the store has halted: `{shown}` was removed or renamed while this program used it"
                    )
                }
                _ => continue,
            };
            return Err(self.changed(message));
        }
        self.link.as_ref().map_or(Ok(()), |link| self.check_link(link))
    }

    /// An error if the link is missing or leads to another file. One that is missing for a moment is being set
    /// anew, and a later look tells where it leads.
    #[expect(clippy::disallowed_methods, reason = "a clock of a test does not set links anew")]
    fn check_link(&self, link: &Path) -> Result<()> {
        let mut missing = self.link_missing.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = link.display();
        match id_of(link) {
            Ok(Some(found)) if Some(found) != self.id_of_database() => Err(self.changed(format!(
                "the store has halted: the link `{shown}` leads to another file than when it was opened"
            ))),
            Ok(_) => {
                *missing = None;
                Ok(())
            }
            Err(Missing) => {
                if missing.get_or_insert_with(Instant::now).elapsed() < LINK_SWAP_MAX {
                    return Ok(());
                }
                Err(self.changed(format!(
                    "the store has halted: the link `{shown}` was removed while this program used it"
                )))
            }
        }
    }

    fn changed(&self, message: String) -> Error {
        Error::new(ErrorKind::StoreHalted, message)
            .help(
                "this program stores nothing more. It still has the old file open: `JobQueue::backup(path)` copies its \
                 jobs. Then stop every program that uses the database. To go on with those jobs, put the copy in place \
                 with `restore`; otherwise keep the file that is there now. Put no log (`-wal`) back",
            )
            .fatal(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second change within the same second leaves the same time on a file system without fractions.
    #[test]
    fn a_directory_counts_as_unchanged_only_if_its_file_system_would_show_a_later_change() {
        let id = FileId { device: 1, inode: 1 };
        let changed_ago = |nanos: i64, ago: Duration| {
            let changed = Duration::new(1_790_000_000, nanos.try_into().unwrap());
            DirectoryState { id, changed: (1_790_000_000, nanos) }
                .is_settled(SystemTime::UNIX_EPOCH + changed + ago)
        };
        for (nanos, ago, settled) in
            [(7, 99, false), (7, 101, true), (0, 101, false), (0, 2_900, false), (0, 3_000, true)]
        {
            assert_eq!(changed_ago(nanos, Duration::from_millis(ago)), settled, "{nanos} {ago}");
        }
        let future = DirectoryState { id, changed: (1_790_000_000, 7) };
        assert!(!future.is_settled(SystemTime::UNIX_EPOCH));
    }
}
