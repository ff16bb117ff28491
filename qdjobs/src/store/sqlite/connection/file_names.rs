//! Refuses a database file that has two names, since its log would have two places.
//!
//! The type of the file system is in `network_fs.rs`. Whether the file stays the same while it is open is
//! decided in `files/open_files.rs`.
//!
//! Depends on std and on the mount table of Linux. SQLite never comes in.
//!
//! SQLite finds the log of a database by the name of the file. A program that opens the file by another name
//! finds no log, creates one beside that name, and locks another index. Both programs then damage the file.
//! Names that are symbolic links are safe: they are resolved before the log is looked for.

use std::path::{Path, PathBuf};

use super::network_fs::mount_points;
use crate::model::error::{Error, ErrorKind, Result};
use crate::store::sqlite::files::names::{REPLACED, log_of};

/// Refuses the database at `path`, whose symbolic links are resolved, if it has a second name.
pub(in crate::store::sqlite) fn refuse_second_name(path: &Path, mounts: Option<&str>) -> Result<()> {
    let names = names_of(path);
    if names > 1 {
        return Err(Error::new(
            ErrorKind::Config,
            format!("`{}` has {names} names (hard links)", path.display()),
        )
        .help(match left_by_restore(path) {
            Some(second) => format!(
                "a restore was interrupted before the backup took the place of the database: restore again; or, to keep \
                 the old database, remove its second name `{}` while no restore runs",
                second.display()
            ),
            None => format!(
                "a database must have one name, because SQLite keeps its log beside the name: remove the other names \
                 (`find / -samefile {}` lists them), or make them symbolic links",
                path.display()
            ),
        }));
    }
    if mounts.is_some_and(|mounts| mount_points(mounts).any(|(point, _)| Path::new(&point) == path)) {
        return Err(Error::new(
            ErrorKind::Config,
            format!("`{}` is mounted as a single file", path.display()),
        )
        .help(
            "mount the directory of the database and not the file: SQLite keeps its log beside the file, where \
             programs outside of this mount do not find it",
        ));
    }
    Ok(())
}

/// The second name of the database at `path` that an interrupted restore has left.
///
/// The restore gives a database its second name after it has written back the log. So a name with a log beside it may
/// be the right one, and is not returned.
#[cfg(unix)]
pub(in crate::store::sqlite) fn left_by_restore(path: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let database = std::fs::metadata(path).ok().filter(|file| file.is_file() && file.nlink() == 2)?;
    let mut start = path.file_name()?.to_owned();
    start.push(REPLACED);
    let is_same = |second: &Path| {
        let file = std::fs::symlink_metadata(second);
        file.is_ok_and(|file| (file.dev(), file.ino()) == (database.dev(), database.ino()))
    };
    let names = std::fs::read_dir(path.parent()?).ok()?.flatten();
    names
        .filter(|name| name.file_name().as_encoded_bytes().starts_with(start.as_encoded_bytes()))
        .map(|name| path.with_file_name(name.file_name()))
        .find(|second| is_same(second) && !log_of(second).exists())
}

/// Second names are unknown on other platforms.
#[cfg(not(unix))]
pub(in crate::store::sqlite) fn left_by_restore(_: &Path) -> Option<PathBuf> {
    None
}

#[cfg(unix)]
fn names_of(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map_or(1, |file| if file.is_file() { file.nlink() } else { 1 })
}

/// Unknown on other platforms.
#[cfg(not(unix))]
fn names_of(_: &Path) -> u64 {
    1
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_database_with_a_second_name_is_refused() {
        let dir = crate::store::sqlite::scratch("names");
        let (path, link) = (dir.join("jobs.db"), dir.join("other.db"));
        std::fs::write(&path, "").unwrap();
        refuse_second_name(&path, None).unwrap();
        std::fs::hard_link(&path, &link).unwrap();
        for name in [&path, &link] {
            let refused = refuse_second_name(name, None).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Config);
            assert!(refused.to_string().contains("2 names"), "{refused}");
        }
        std::fs::remove_file(&link).unwrap();
        refuse_second_name(&path, None).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_file_that_is_mounted_alone_is_refused_and_a_mounted_directory_is_not() {
        let mounts = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 254:0 /home/ann/jobs.db /data/jobs.db rw,relatime - ext4 /dev/vda rw
32 22 254:0 /home/ann/queue /queue rw,relatime - ext4 /dev/vda rw
";
        let refused = refuse_second_name(Path::new("/data/jobs.db"), Some(mounts)).unwrap_err();
        assert!(refused.to_string().contains("mounted as a single file"), "{refused}");
        for path in ["/queue/jobs.db", "/data/jobs.db-old", "/data"] {
            refuse_second_name(Path::new(path), Some(mounts)).unwrap();
        }
    }
}
