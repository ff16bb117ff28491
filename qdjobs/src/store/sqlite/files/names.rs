//! The names of the files that SQLite keeps beside a database.
//!
//! The names of the files of qdjobs itself are in `worker_locks.rs` and `disk_reserve.rs`.
//!
//! Depends on std.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where SQLite keeps the log of the database at `path`.
pub(in crate::store::sqlite) fn log_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// Where SQLite keeps the index of the log of the database at `path`.
pub(in crate::store::sqlite) fn log_index_of(path: &Path) -> PathBuf {
    beside(path, "-shm")
}

/// What follows the name of a database in the name that a restore gives it.
pub(in crate::store::sqlite) const REPLACED: &str = "-replaced-";

/// The file beside the database at `path` whose name has this suffix.
pub(in crate::store::sqlite) fn beside(path: &Path, suffix: impl AsRef<OsStr>) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}
