//! Opens a database file as if no program could change it: [`without_log`].
//!
//! Who reads a file so is decided in `log_mark.rs` and `tools/check.rs`.
//!
//! Depends on rusqlite.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// Opens the file for reading as if it had no log. Takes no lock and creates no file.
pub(in crate::store::sqlite) fn without_log(path: &Path) -> rusqlite::Result<Connection> {
    let name = path.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(path.to_owned()))?;
    let escaped = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let access = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), access | OpenFlags::SQLITE_OPEN_URI)
}
