//! Opens a database file without a lock, and without creating a file: as if no program could change it, [`without_log`],
//! or as if no other program had it open, [`without_locks`].
//!
//! Who reads a file so is decided in `log_mark.rs` and `tools/check.rs`.
//!
//! Depends on rusqlite.

use std::fmt::Write as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// Opens the file for reading as if it had no log.
pub(in crate::store::sqlite) fn without_log(path: &Path) -> rusqlite::Result<Connection> {
    open(path, "immutable=1")
}

/// Opens the file for reading as if no other program had it open. Without locks, SQLite does not read a database in
/// WAL mode.
pub(in crate::store::sqlite) fn without_locks(path: &Path) -> rusqlite::Result<Connection> {
    open(path, "nolock=1")
}

fn open(path: &Path, how: &str) -> rusqlite::Result<Connection> {
    let access = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let address = format!("file:{}?{how}", escaped(path));
    Connection::open_with_flags(address, access | OpenFlags::SQLITE_OPEN_URI)
}

/// A path as a part of an address. Each byte that is not ASCII is escaped, so it need not be Unicode.
fn escaped(path: &Path) -> String {
    let mut escaped = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'%' | b'?' | b'#' | 0x80.. => {
                // Writing to a string does not fail.
                let _ = write!(escaped, "%{byte:02x}");
            }
            _ => escaped.push(char::from(byte)),
        }
    }
    escaped
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_file_is_read_whatever_its_name() {
        let dir = crate::store::sqlite::scratch("immutable");
        std::fs::create_dir_all(&dir).unwrap();
        for name in [&b"a?b#c%41.db"[..], "gr\u{fc}n.db".as_bytes(), b"latin\xfc.db"] {
            let path = dir.join(OsStr::from_bytes(name));
            let conn = Connection::open(&path).unwrap();
            conn.execute_batch("CREATE TABLE a (b)").unwrap();
            let tables = "SELECT count(*) FROM sqlite_schema";
            let read = without_log(&path).unwrap();
            assert_eq!(read.query_row(tables, [], |row| row.get(0)), Ok(1), "{}", path.display());
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
