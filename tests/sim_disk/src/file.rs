//! What SQLite calls on an open file: the table [`METHODS`].
//!
//! Depends on `state`, which does each operation. This file only converts pointers.

use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::sync::Arc;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods};

use crate::mount::Mount;
use crate::state::{Outcome, State};

/// A file as SQLite holds it, in memory that SQLite allocates.
#[repr(C)]
pub(crate) struct File {
    /// What SQLite sees.
    base: sqlite3_file,
    mount: Option<Arc<Mount>>,
    handle: u64,
    process: u32,
}

const _: () = assert!(offset_of!(File, base) == 0);

impl File {
    /// Writes an open file to the memory that SQLite provides.
    ///
    /// # Safety
    ///
    /// `place` must have room for a `File`, and its contents must not be in use.
    pub(crate) unsafe fn put(place: *mut sqlite3_file, mount: Arc<Mount>, handle: u64, process: u32) {
        let base = sqlite3_file { pMethods: &raw const METHODS };
        let file = File { base, mount: Some(mount), handle, process };
        // SAFETY: by the promise above.
        unsafe { place.cast::<File>().write(file) };
    }
}

/// Does an operation on the state of the disk that holds `file`.
///
/// # Safety
///
/// `file` must have been written by [`File::put`] and not be closed.
unsafe fn on<T>(file: *mut sqlite3_file, step: impl FnOnce(&mut State, u64) -> T, gone: T) -> T {
    // SAFETY: by the promise above.
    let file = unsafe { &*file.cast::<File>() };
    let Some(mount) = &file.mount else { return gone };
    mount.used_by(file.process);
    step(&mut mount.state(), file.handle)
}

fn code(outcome: Outcome) -> c_int {
    outcome.err().unwrap_or(ffi::SQLITE_OK)
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

// SAFETY of everything below: SQLite calls these with files that `vfs::open` has written by `File::put`, from
// one thread at a time for each, and with buffers of the length it passes.

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    unsafe {
        on(file, |state, handle| state.close(handle), ());
        (*file.cast::<File>()).mount = None;
        (*file).pMethods = std::ptr::null();
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    into: *mut c_void,
    len: c_int,
    offset: sqlite3_int64,
) -> c_int {
    unsafe {
        let into = std::slice::from_raw_parts_mut(into.cast::<u8>(), len as usize);
        code(on(file, |state, handle| state.read(handle, offset as usize, into), Ok(())))
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    len: c_int,
    offset: sqlite3_int64,
) -> c_int {
    unsafe {
        let from = std::slice::from_raw_parts(from.cast::<u8>(), len as usize);
        code(on(file, |state, handle| state.write(handle, offset as usize, from), Ok(())))
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, len: sqlite3_int64) -> c_int {
    unsafe { code(on(file, |state, handle| state.truncate(handle, len as usize), Ok(()))) }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    unsafe { code(on(file, State::sync, Ok(()))) }
}

unsafe extern "C" fn size(file: *mut sqlite3_file, answer: *mut sqlite3_int64) -> c_int {
    unsafe {
        match on(file, State::size, Ok(0)) {
            Ok(len) => {
                *answer = len as sqlite3_int64;
                ffi::SQLITE_OK
            }
            Err(code) => code,
        }
    }
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    unsafe { code(on(file, |state, handle| state.lock(handle, level), Ok(()))) }
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    unsafe { on(file, |state, handle| state.unlock(handle, level), ()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, answer: *mut c_int) -> c_int {
    unsafe {
        match on(file, State::is_reserved, Ok(false)) {
            Ok(reserved) => {
                *answer = c_int::from(reserved);
                ffi::SQLITE_OK
            }
            Err(code) => code,
        }
    }
}

unsafe extern "C" fn control(_file: *mut sqlite3_file, _op: c_int, _arg: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

/// The same as in SQLite's own file system for Unix.
unsafe extern "C" fn sector_size(_file: *mut sqlite3_file) -> c_int {
    4096
}

/// The same as in SQLite's own file system for Unix: a torn write harms no byte beside it, and a page may be
/// read in part.
unsafe extern "C" fn characteristics(_file: *mut sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE | SUBPAGE_READ
}

/// `SQLITE_IOCAP_SUBPAGE_READ`, which the oldest supported rusqlite does not name.
const SUBPAGE_READ: c_int = 0x8000;

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    len: c_int,
    make: c_int,
    answer: *mut *mut c_void,
) -> c_int {
    unsafe {
        *answer = std::ptr::null_mut();
        let map = |state: &mut State, handle| state.shm_map(handle, region as usize, len as usize, make != 0);
        match on(file, map, Ok(None)) {
            Ok(start) => {
                *answer = start.map_or(std::ptr::null_mut(), |start| start.as_ptr());
                ffi::SQLITE_OK
            }
            Err(code) => code,
        }
    }
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, n: c_int, flags: c_int) -> c_int {
    let (from, to) = (offset as usize, (offset + n) as usize);
    unsafe {
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            on(file, |state, handle| state.shm_unlock(handle, from, to), ());
            return ffi::SQLITE_OK;
        }
        let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
        code(on(file, |state, handle| state.shm_lock(handle, from, to, exclusive), Ok(())))
    }
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // Taking or releasing a lock makes earlier writes visible.
    unsafe { on(file, |_, _| (), ()) };
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, _delete: c_int) -> c_int {
    unsafe { on(file, |state, handle| state.shm_unmap(handle), ()) };
    ffi::SQLITE_OK
}
