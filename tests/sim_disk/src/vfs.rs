//! The file system that SQLite sees: paths on a simulated disk go to the disk, all others to the file system
//! that was the default before.
//!
//! Depends on `mount` for paths and on `file` for open files.

use std::ffi::{CStr, c_char, c_int};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_vfs};

use crate::environment;
use crate::file::File;
use crate::mount::Mount;

/// The name it is registered by.
pub(crate) const NAME: &CStr = c"qdjobs-sim-disk";

/// The addresses of a file system and of the one below it: written once, then read by SQLite for as long as
/// the process lives.
struct Registered(#[expect(dead_code, reason = "keeps it alive")] *mut sqlite3_vfs);

// SAFETY: SQLite itself shares it between all threads, and only SQLite writes to it after the registration.
unsafe impl Send for Registered {}
// SAFETY: as above.
unsafe impl Sync for Registered {}

/// Makes it SQLite's default, once.
pub(crate) fn register() {
    static REGISTERED: OnceLock<Registered> = OnceLock::new();
    REGISTERED.get_or_init(|| {
        // SAFETY: SQLite's default file system exists as long as the process; ours is never freed.
        unsafe {
            let base = ffi::sqlite3_vfs_find(std::ptr::null());
            assert!(!base.is_null(), "SQLite has a default file system");
            let mut vfs = *base;
            vfs.iVersion = 2;
            vfs.szOsFile = vfs.szOsFile.max(size_of::<File>() as c_int);
            vfs.pNext = std::ptr::null_mut();
            vfs.zName = NAME.as_ptr();
            vfs.pAppData = base.cast();
            vfs.xOpen = Some(open);
            vfs.xDelete = Some(delete);
            vfs.xAccess = Some(access);
            vfs.xFullPathname = Some(full_pathname);
            vfs.xRandomness = Some(randomness);
            vfs.xSleep = Some(sleep);
            vfs.xCurrentTime = Some(current_time);
            vfs.xCurrentTimeInt64 = Some(current_time_int64);
            let vfs = Box::into_raw(Box::new(vfs));
            let registered = ffi::sqlite3_vfs_register(vfs, 1);
            assert_eq!(registered, ffi::SQLITE_OK, "SQLite registers the file system");
            Registered(vfs)
        }
    });
}

// SAFETY of everything below: SQLite calls these with the file system registered above, whose `pAppData` is
// the base, and with texts that end in a zero.

/// The file system below.
unsafe fn base(vfs: *mut sqlite3_vfs) -> *mut sqlite3_vfs {
    unsafe { (*vfs).pAppData.cast() }
}

/// The disk that the file is on, and its name there; `None` if it is on no disk or has no name, like a
/// temporary file.
unsafe fn route<'a>(name: *const c_char) -> Option<(std::sync::Arc<Mount>, &'a [u8])> {
    if name.is_null() {
        return None;
    }
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    Mount::of(name).map(|mount| (mount, name))
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    unsafe {
        let Some((mount, name)) = route(name) else {
            let base = base(vfs);
            return match (*base).xOpen {
                Some(open) => open(base, name, file, flags, out_flags),
                None => ffi::SQLITE_CANTOPEN,
            };
        };
        // SQLite does not close a file without methods.
        (*file).pMethods = std::ptr::null();
        let process = mount.process();
        let there = Path::new(std::ffi::OsStr::from_encoded_bytes_unchecked(name)).exists();
        let opened = mount.state().open(name, flags, process, there);
        match opened {
            Ok(handle) => {
                if !out_flags.is_null() {
                    *out_flags = flags;
                }
                File::put(file, mount, handle, process);
                ffi::SQLITE_OK
            }
            Err(code) => code,
        }
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    unsafe {
        let Some((mount, path)) = route(name) else {
            let base = base(vfs);
            return (*base)
                .xDelete
                .map_or(ffi::SQLITE_IOERR_DELETE, |delete| delete(base, name, sync_directory));
        };
        let deleted = mount.state().delete(path, mount.process(), sync_directory != 0);
        deleted.err().unwrap_or(ffi::SQLITE_OK)
    }
}

unsafe extern "C" fn access(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    answer: *mut c_int,
) -> c_int {
    unsafe {
        let Some((mount, path)) = route(name) else {
            let base = base(vfs);
            return (*base)
                .xAccess
                .map_or(ffi::SQLITE_IOERR_ACCESS, |access| access(base, name, flags, answer));
        };
        let found = mount.state().access(path, mount.process(), flags == ffi::SQLITE_ACCESS_EXISTS);
        match found {
            Ok(found) => {
                *answer = c_int::from(found);
                ffi::SQLITE_OK
            }
            Err(code) => code,
        }
    }
}

unsafe extern "C" fn full_pathname(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    len: c_int,
    into: *mut c_char,
) -> c_int {
    unsafe {
        let base = base(vfs);
        (*base).xFullPathname.map_or(ffi::SQLITE_CANTOPEN, |full| full(base, name, len, into))
    }
}

unsafe extern "C" fn randomness(vfs: *mut sqlite3_vfs, len: c_int, into: *mut c_char) -> c_int {
    unsafe {
        let bytes = std::slice::from_raw_parts_mut(into.cast::<u8>(), len as usize);
        if environment::randomness(bytes) {
            return len;
        }
        let base = base(vfs);
        (*base).xRandomness.map_or(0, |randomness| randomness(base, len, into))
    }
}

unsafe extern "C" fn sleep(vfs: *mut sqlite3_vfs, micros: c_int) -> c_int {
    if environment::sleep(Duration::from_micros(micros.max(0) as u64)) {
        return micros;
    }
    unsafe {
        let base = base(vfs);
        (*base).xSleep.map_or(0, |sleep| sleep(base, micros))
    }
}

/// The start of 1970 as a Julian day, in milliseconds.
const EPOCH: sqlite3_int64 = 210_866_760_000_000;

unsafe extern "C" fn current_time_int64(vfs: *mut sqlite3_vfs, answer: *mut sqlite3_int64) -> c_int {
    unsafe {
        if let Some(micros) = environment::fixed_time() {
            *answer = EPOCH + micros.div_euclid(1000);
            return ffi::SQLITE_OK;
        }
        let base = base(vfs);
        (*base).xCurrentTimeInt64.map_or(ffi::SQLITE_ERROR, |time| time(base, answer))
    }
}

unsafe extern "C" fn current_time(vfs: *mut sqlite3_vfs, answer: *mut f64) -> c_int {
    unsafe {
        let mut millis = 0;
        let code = current_time_int64(vfs, &raw mut millis);
        *answer = millis as f64 / 86_400_000.0;
        code
    }
}
