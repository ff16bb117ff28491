//! The shared memory of a write-ahead log: [`Shm`], its eight locks, and a [`View`] of it for each handle.
//!
//! Depends on kernel memory that several mappings share. Each handle has its own mappings, as each process
//! would: SQLite keeps their addresses, and a killed process must not write through them into what the others
//! continue to use.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;

use rusqlite::ffi;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

const SLOTS: usize = ffi::SQLITE_SHM_NLOCK as usize;

/// The memory beside one database, for as long as some handle maps or locks it.
pub(crate) struct Shm {
    memory: OwnedFd,
    len: usize,
    slots: [Slot; SLOTS],
}

/// The owners of one of the locks.
#[derive(Default)]
struct Slot {
    shared: BTreeSet<u64>,
    exclusive: Option<u64>,
}

impl Shm {
    pub(crate) fn new() -> rustix::io::Result<Shm> {
        let memory = memfd_create("qdjobs-sim-disk", MemfdFlags::CLOEXEC)?;
        Ok(Shm { memory, len: 0, slots: Default::default() })
    }

    /// Takes the locks `from..to` for `owner`, all or none.
    pub(crate) fn lock(&mut self, owner: u64, from: usize, to: usize, exclusive: bool) -> bool {
        let Some(slots) = self.slots.get_mut(from..to) else { return false };
        let free = slots.iter().all(|slot| {
            slot.exclusive.is_none_or(|holder| holder == owner)
                && (!exclusive || slot.shared.iter().all(|holder| *holder == owner))
        });
        if free {
            for slot in slots {
                if exclusive {
                    slot.exclusive = Some(owner);
                } else {
                    slot.shared.insert(owner);
                }
            }
        }
        free
    }

    /// Releases them.
    pub(crate) fn unlock(&mut self, owner: u64, from: usize, to: usize) {
        for slot in self.slots.get_mut(from..to).unwrap_or_default() {
            slot.shared.remove(&owner);
            slot.exclusive = slot.exclusive.filter(|holder| *holder != owner);
        }
    }

    /// Releases all of them.
    pub(crate) fn unlock_all(&mut self, owner: u64) {
        self.unlock(owner, 0, SLOTS);
    }
}

/// What one handle has mapped.
#[derive(Default)]
pub(crate) struct View(Vec<Region>);

struct Region {
    start: NonNull<c_void>,
    len: usize,
    offset: usize,
}

// SAFETY: a region is an address and two numbers; its contents are SQLite's, which guards them by the locks
// above.
unsafe impl Send for Region {}

impl View {
    /// The address of region `index`, each `len` bytes long; `None` if it does not exist and is not to be
    /// created.
    pub(crate) fn region(
        &mut self,
        shm: &mut Shm,
        index: usize,
        len: usize,
        make: bool,
    ) -> rustix::io::Result<Option<NonNull<c_void>>> {
        let needed = (index + 1) * len;
        if shm.len < needed {
            if !make {
                return Ok(None);
            }
            // New memory is zeros, which SQLite expects.
            ftruncate(&shm.memory, needed as u64)?;
            shm.len = needed;
        }
        while self.0.len() <= index {
            let offset = self.0.len() * len;
            let access = ProtFlags::READ | ProtFlags::WRITE;
            // SAFETY: a new mapping at an address that the kernel chooses replaces nothing.
            let start = unsafe {
                mmap(std::ptr::null_mut(), len, access, MapFlags::SHARED, &shm.memory, offset as u64)?
            };
            let Some(start) = NonNull::new(start) else { return Ok(None) };
            self.0.push(Region { start, len, offset });
        }
        Ok(self.0.get(index).map(|region| region.start))
    }

    /// Replaces the mappings with private copies at the same addresses: later writes through them reach no
    /// other process.
    pub(crate) fn detach(&mut self, shm: &Shm) {
        for region in &self.0 {
            let access = ProtFlags::READ | ProtFlags::WRITE;
            let (start, flags) = (region.start.as_ptr(), MapFlags::PRIVATE | MapFlags::FIXED);
            // SAFETY: replaces, in one step, our own mapping of the same length; the address stays readable
            // and writable.
            let detached =
                unsafe { mmap(start, region.len, access, flags, &shm.memory, region.offset as u64) };
            assert!(detached.is_ok(), "the kernel refuses a private copy: {detached:?}");
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        for region in &self.0 {
            // SAFETY: SQLite gives up the addresses before it unmaps or closes the handle, which is when this
            // runs.
            let _ = unsafe { munmap(region.start.as_ptr(), region.len) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_locks_coexist_and_an_exclusive_one_excludes_all_others() {
        let mut shm = Shm::new().unwrap();
        assert!(shm.lock(1, 3, 4, false) && shm.lock(2, 3, 4, false));
        assert!(!shm.lock(1, 3, 4, true), "another owner reads");
        assert!(!shm.lock(3, 2, 5, true), "one of several is taken");
        assert!(shm.lock(3, 4, 5, true), "and the others were left alone");
        shm.unlock(2, 3, 4);
        assert!(shm.lock(1, 3, 4, true) && !shm.lock(2, 3, 4, false));
        shm.unlock_all(1);
        assert!(shm.lock(2, 3, 4, false));
    }

    #[test]
    fn a_detached_view_keeps_its_contents_and_its_writes_reach_no_other() {
        let mut shm = Shm::new().unwrap();
        let (mut living, mut killed) = (View::default(), View::default());
        let map = |view: &mut View, shm: &mut Shm| {
            view.region(shm, 0, 32 << 10, true).unwrap().unwrap().cast::<u8>()
        };
        let (here, there) = (map(&mut living, &mut shm), map(&mut killed, &mut shm));
        // SAFETY: both regions are mapped for as long as their views.
        unsafe {
            there.write(7);
            assert_eq!(here.read(), 7);
            killed.detach(&shm);
            assert_eq!(there.read(), 7);
            there.write(9);
            assert_eq!((here.read(), there.read()), (7, 9));
        }
    }
}
