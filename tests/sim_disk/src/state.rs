//! Everything that is on a disk, and the handles that have it open: [`State`], and each operation as a step
//! on it.
//!
//! Depends on `inode`, `lock` and `shm`. No pointers of SQLite come in, except those of shared memory, which
//! `shm` keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ptr::NonNull;

use rusqlite::ffi;

use crate::fault::{Armed, Fault, Op};
use crate::inode::{Inode, Loss};
use crate::lock::FileLocks;
use crate::rng::Rng;
use crate::shm::{Shm, View};

/// The result code that SQLite gets for a failure.
pub(crate) type Code = i32;
pub(crate) type Outcome<T = ()> = Result<T, Code>;

/// A name in the directory: the full path.
pub(crate) type Name = Vec<u8>;

pub(crate) struct State {
    pub(crate) rng: Rng,
    names: BTreeMap<Name, u64>,
    synced_names: BTreeMap<Name, u64>,
    /// Changes of the directory since it was synced: created and deleted files.
    pending_names: Vec<(Name, Option<u64>)>,
    files: BTreeMap<u64, FileEntry>,
    shms: BTreeMap<u64, Shm>,
    handles: BTreeMap<u64, Handle>,
    killed: BTreeSet<u32>,
    /// The power is off: nothing can be opened.
    off: bool,
    /// The next number of a file, a handle or a shared memory.
    next: u64,
    counts: BTreeMap<Op, u64>,
    pub(crate) armed: Option<Armed>,
    /// How many changes happen before the power is cut.
    pub(crate) power_cut_in: Option<u64>,
    pub(crate) capacity: Option<u64>,
}

/// A file and what its handles hold of it.
#[derive(Default)]
struct FileEntry {
    inode: Inode,
    locks: FileLocks,
    shm: Option<u64>,
}

struct Handle {
    name: Name,
    file: u64,
    process: u32,
    /// Its process is dead, or the power was cut since it was opened.
    dead: bool,
    delete_on_close: bool,
    /// The first sync also syncs the directory, as SQLite does for a new journal or log on Unix.
    sync_directory: bool,
    shm: Option<(u64, View)>,
}

impl State {
    pub(crate) fn new(seed: u64) -> State {
        State {
            rng: Rng::new(seed),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            pending_names: Vec::new(),
            files: BTreeMap::new(),
            shms: BTreeMap::new(),
            handles: BTreeMap::new(),
            killed: BTreeSet::new(),
            off: false,
            next: 0,
            counts: BTreeMap::new(),
            armed: None,
            power_cut_in: None,
            capacity: None,
        }
    }

    // ---- Operations by name
    // --------------------------------------------------------------------------------------

    /// Opens a file for `process`. `there`: the real directory has a file of this name, which a program may
    /// have created itself before SQLite opened it.
    pub(crate) fn open(&mut self, name: &[u8], flags: i32, process: u32, there: bool) -> Outcome<u64> {
        if self.off || self.killed.contains(&process) {
            return Err(ffi::SQLITE_CANTOPEN);
        }
        self.begin(Op::Open, process)?;
        let has = |flag| flags & flag != 0;
        let file = match self.names.get(name) {
            Some(_) if has(ffi::SQLITE_OPEN_EXCLUSIVE) && has(ffi::SQLITE_OPEN_CREATE) => {
                return Err(ffi::SQLITE_CANTOPEN);
            }
            Some(file) => *file,
            None if has(ffi::SQLITE_OPEN_CREATE) || (there && has(ffi::SQLITE_OPEN_MAIN_DB)) => {
                let file = self.number();
                self.files.insert(file, FileEntry::default());
                self.names.insert(name.to_vec(), file);
                self.pending_names.push((name.to_vec(), Some(file)));
                file
            }
            None => return Err(ffi::SQLITE_CANTOPEN),
        };
        let journal = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
        let handle = Handle {
            name: name.to_vec(),
            file,
            process,
            dead: false,
            delete_on_close: has(ffi::SQLITE_OPEN_DELETEONCLOSE),
            sync_directory: has(ffi::SQLITE_OPEN_CREATE) && has(journal),
            shm: None,
        };
        let number = self.number();
        self.handles.insert(number, handle);
        Ok(number)
    }

    pub(crate) fn delete(&mut self, name: &[u8], process: u32, sync_directory: bool) -> Outcome {
        if self.off || self.killed.contains(&process) {
            return Err(Op::Delete.failure());
        }
        if !self.names.contains_key(name) {
            return Err(ffi::SQLITE_IOERR_DELETE_NOENT);
        }
        self.begin(Op::Delete, process)?;
        self.remove(name);
        if sync_directory {
            self.sync_directory();
        }
        self.sweep();
        Ok(())
    }

    /// Whether the file exists; an empty one counts as none where SQLite asks for existence, as on Unix.
    pub(crate) fn access(&mut self, name: &[u8], process: u32, existence: bool) -> Outcome<bool> {
        if self.off || self.killed.contains(&process) {
            return Err(Op::Access.failure());
        }
        self.begin(Op::Access, process)?;
        let file = self.names.get(name).and_then(|file| self.files.get(file));
        Ok(file.is_some_and(|file| !existence || file.inode.len() > 0))
    }

    // ---- Operations on a handle
    // ----------------------------------------------------------------------------------

    pub(crate) fn read(&mut self, handle: u64, offset: usize, into: &mut [u8]) -> Outcome {
        let (file, process) = self.living(handle, Op::Read)?;
        let short = self.armed.is_some_and(|armed| armed.fault == Fault::ShortRead);
        let failures = self.begin(Op::Read, process);
        if failures.is_err() && !short {
            return failures;
        }
        let Some(entry) = self.files.get(&file) else { return Err(Op::Read.failure()) };
        let there = entry.inode.read(offset, into);
        if failures.is_err() {
            let half = into.len() / 2;
            into[half..].fill(0);
            return Err(ffi::SQLITE_IOERR_SHORT_READ);
        }
        if there < into.len() { Err(ffi::SQLITE_IOERR_SHORT_READ) } else { Ok(()) }
    }

    pub(crate) fn write(&mut self, handle: u64, offset: usize, data: &[u8]) -> Outcome {
        let (file, process) = self.living(handle, Op::Write)?;
        let failures = self.begin_change(Op::Write, process, |state| state.write_into(file, offset, data));
        if let Err(code) = failures {
            if self.handles.get(&handle).is_some_and(|handle| !handle.dead) {
                // What a disk has written when it fails is random; when it is full, less than it should.
                let whole = usize::from(code != ffi::SQLITE_FULL);
                let part = self.rng.below((data.len() + whole) as u64) as usize;
                self.write_into(file, offset, &data[..part]);
            }
            return Err(code);
        }
        let room = self.room(file);
        let fits = room.map_or(data.len(), |room| data.len().min(room.saturating_sub(offset)));
        self.write_into(file, offset, &data[..fits]);
        if fits < data.len() { Err(ffi::SQLITE_FULL) } else { Ok(()) }
    }

    fn write_into(&mut self, file: u64, offset: usize, data: &[u8]) {
        if let Some(entry) = self.files.get_mut(&file)
            && !data.is_empty()
        {
            entry.inode.write(offset, data);
        }
    }

    /// How long this file can become on this disk.
    fn room(&self, file: u64) -> Option<usize> {
        let capacity = self.capacity? as usize;
        let others = self.files.iter().filter(|(other, _)| **other != file);
        let taken: usize = others.map(|(_, entry)| entry.inode.len()).sum();
        // Overwriting needs no space.
        let own = self.files.get(&file).map_or(0, |entry| entry.inode.len());
        Some(capacity.saturating_sub(taken).max(own))
    }

    pub(crate) fn truncate(&mut self, handle: u64, len: usize) -> Outcome {
        let (file, process) = self.living(handle, Op::Truncate)?;
        let cut_power = |state: &mut State| {
            if let Some(entry) = state.files.get_mut(&file) {
                entry.inode.truncate(len);
            }
        };
        self.begin_change(Op::Truncate, process, cut_power)?;
        cut_power(self);
        Ok(())
    }

    pub(crate) fn sync(&mut self, handle: u64) -> Outcome {
        let (file, process) = self.living(handle, Op::Sync)?;
        if let Err(code) = self.begin(Op::Sync, process) {
            let alive = self.handles.get(&handle).is_some_and(|handle| !handle.dead);
            if let Some(entry) = self.files.get_mut(&file).filter(|_| alive) {
                entry.inode.fail_sync(&mut self.rng);
            }
            return Err(code);
        }
        if let Some(entry) = self.files.get_mut(&file) {
            entry.inode.sync();
        }
        let handle = self.handles.get_mut(&handle);
        if handle.is_some_and(|handle| std::mem::take(&mut handle.sync_directory)) {
            self.sync_directory();
        }
        Ok(())
    }

    pub(crate) fn size(&mut self, handle: u64) -> Outcome<usize> {
        let (file, process) = self.living(handle, Op::Size)?;
        self.begin(Op::Size, process)?;
        Ok(self.files.get(&file).map_or(0, |entry| entry.inode.len()))
    }

    pub(crate) fn lock(&mut self, handle: u64, level: i32) -> Outcome {
        let (file, process) = self.living(handle, Op::Lock)?;
        self.begin(Op::Lock, process)?;
        let granted = self.files.get_mut(&file).is_some_and(|entry| entry.locks.raise(handle, level));
        if granted { Ok(()) } else { Err(ffi::SQLITE_BUSY) }
    }

    /// A dead handle holds nothing, so an unlock always succeeds.
    pub(crate) fn unlock(&mut self, handle: u64, level: i32) {
        if let Ok((file, _)) = self.living(handle, Op::Lock)
            && let Some(entry) = self.files.get_mut(&file)
        {
            entry.locks.lower(handle, level);
        }
    }

    pub(crate) fn is_reserved(&mut self, handle: u64) -> Outcome<bool> {
        let (file, _) = self.living(handle, Op::Lock)?;
        Ok(self.files.get(&file).is_some_and(|entry| entry.locks.is_reserved()))
    }

    pub(crate) fn close(&mut self, handle: u64) {
        self.shm_unmap(handle);
        self.unlock(handle, ffi::SQLITE_LOCK_NONE);
        if let Some(closed) = self.handles.remove(&handle)
            && closed.delete_on_close
            && !closed.dead
        {
            self.remove(&closed.name);
        }
        self.sweep();
    }

    // ---- Shared memory
    // -------------------------------------------------------------------------------------------

    pub(crate) fn shm_map(
        &mut self,
        handle: u64,
        index: usize,
        len: usize,
        make: bool,
    ) -> Outcome<Option<NonNull<c_void>>> {
        let refused = Op::ShmMap.failure();
        let (_, process) = self.living(handle, Op::ShmMap)?;
        self.begin(Op::ShmMap, process)?;
        let shm = self.shm_of(handle).ok_or(refused)?;
        let (Some(shm), Some(handle)) = (self.shms.get_mut(&shm), self.handles.get_mut(&handle)) else {
            return Err(refused);
        };
        let Some((_, view)) = &mut handle.shm else { return Err(refused) };
        view.region(shm, index, len, make).map_err(|_| refused)
    }

    pub(crate) fn shm_lock(&mut self, handle: u64, from: usize, to: usize, exclusive: bool) -> Outcome {
        let refused = Op::ShmLock.failure();
        let (_, process) = self.living(handle, Op::ShmLock)?;
        self.begin(Op::ShmLock, process)?;
        let shm = self.shm_of(handle).ok_or(refused)?;
        let granted = self.shms.get_mut(&shm).is_some_and(|shm| shm.lock(handle, from, to, exclusive));
        if granted { Ok(()) } else { Err(ffi::SQLITE_BUSY) }
    }

    /// As [`unlock`](State::unlock).
    pub(crate) fn shm_unlock(&mut self, handle: u64, from: usize, to: usize) {
        let shm = self.handles.get(&handle).and_then(|open| open.shm.as_ref()).map(|(shm, _)| *shm);
        if let Some(shm) = shm.and_then(|shm| self.shms.get_mut(&shm)) {
            shm.unlock(handle, from, to);
        }
    }

    pub(crate) fn shm_unmap(&mut self, handle: u64) {
        let Some((shm, view)) = self.handles.get_mut(&handle).and_then(|open| open.shm.take()) else {
            return;
        };
        drop(view);
        if let Some(shm) = self.shms.get_mut(&shm) {
            shm.unlock_all(handle);
        }
        // The memory disappears with its last handle, so that the next one builds it again from the log.
        if !self.handles.values().any(|open| open.shm.as_ref().is_some_and(|(other, _)| *other == shm)) {
            self.shms.remove(&shm);
            for entry in self.files.values_mut().filter(|entry| entry.shm == Some(shm)) {
                entry.shm = None;
            }
        }
    }

    /// The shared memory of a handle's file, created if there is none.
    fn shm_of(&mut self, handle: u64) -> Option<u64> {
        let open = self.handles.get(&handle)?;
        if let Some((shm, _)) = &open.shm {
            return Some(*shm);
        }
        let file = open.file;
        let shm = match self.files.get(&file)?.shm {
            Some(shm) => shm,
            None => {
                let number = self.number();
                self.shms.insert(number, Shm::new().ok()?);
                self.files.get_mut(&file)?.shm = Some(number);
                number
            }
        };
        self.handles.get_mut(&handle)?.shm = Some((shm, View::default()));
        Some(shm)
    }

    // ---- Faults from outside
    // -------------------------------------------------------------------------------------

    /// Cuts the power: a random part of what was not synced remains, and every handle is dead.
    pub(crate) fn cut_power(&mut self) {
        (self.off, self.power_cut_in) = (true, None);
        let loss = Loss::by(&mut self.rng);
        let pending = std::mem::take(&mut self.pending_names);
        let kept = match loss {
            Loss::Everything => 0,
            Loss::Nothing => pending.len(),
            Loss::Tail | Loss::Any => self.rng.below(pending.len() as u64 + 1) as usize,
        };
        // In order: file systems keep a journal of their directories.
        for (name, file) in pending.into_iter().take(kept) {
            settle(&mut self.synced_names, name, file);
        }
        self.names.clone_from(&self.synced_names);
        for entry in self.files.values_mut() {
            entry.inode.cut_power(loss, &mut self.rng);
            (entry.locks, entry.shm) = (FileLocks::default(), None);
        }
        self.handles.values_mut().for_each(|handle| handle.dead = true);
        self.sweep();
    }

    pub(crate) fn power_on(&mut self) {
        self.off = false;
    }

    pub(crate) fn is_off(&self) -> bool {
        self.off
    }

    /// Ends a process: what it wrote stays, its locks are gone, its handles are dead and it opens nothing
    /// more.
    pub(crate) fn kill(&mut self, process: u32) {
        self.killed.insert(process);
        for (number, handle) in self.handles.iter_mut().filter(|(_, handle)| handle.process == process) {
            if std::mem::replace(&mut handle.dead, true) {
                continue;
            }
            if let Some(entry) = self.files.get_mut(&handle.file) {
                entry.locks.lower(*number, ffi::SQLITE_LOCK_NONE);
            }
            if let Some((shm, view)) = &mut handle.shm
                && let Some(shm) = self.shms.get_mut(shm)
            {
                view.detach(shm);
                shm.unlock_all(*number);
            }
        }
        // Memory that only dead handles map is gone for new ones.
        for entry in self.files.values_mut() {
            let of_the_living = |shm: &u64| {
                self.handles
                    .values()
                    .any(|open| !open.dead && open.shm.as_ref().is_some_and(|(other, _)| other == shm))
            };
            entry.shm = entry.shm.filter(of_the_living);
        }
    }

    pub(crate) fn inode(&self, name: &[u8]) -> Option<&Inode> {
        self.names.get(name).and_then(|file| self.files.get(file)).map(|entry| &entry.inode)
    }

    pub(crate) fn inode_mut(&mut self, name: &[u8]) -> Option<&mut Inode> {
        self.names.get(name).and_then(|file| self.files.get_mut(file)).map(|entry| &mut entry.inode)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.keys().map(Vec::as_slice)
    }

    pub(crate) fn count(&self, op: Op) -> u64 {
        self.counts.get(&op).copied().unwrap_or(0)
    }

    pub(crate) fn used(&self) -> u64 {
        self.files.values().map(|entry| entry.inode.len() as u64).sum()
    }

    pub(crate) fn digest(&self, root: usize) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, file) in &self.names {
            // Without the directory, which has another name in each run.
            name.get(root..).hash(&mut hasher);
            self.files.get(file).map(|entry| entry.inode.content()).hash(&mut hasher);
        }
        hasher.finish()
    }

    // ---- Steps that several operations share
    // ---------------------------------------------------------------------

    /// The file and the process of a live handle.
    fn living(&self, handle: u64, op: Op) -> Outcome<(u64, u32)> {
        match self.handles.get(&handle) {
            Some(open) if !open.dead => Ok((open.file, open.process)),
            _ => Err(op.failure()),
        }
    }

    /// Counts an operation that changes nothing; fails it if the power is cut now or a fault applies.
    fn begin(&mut self, op: Op, process: u32) -> Outcome {
        self.begin_change(op, process, |_| {})
    }

    /// As [`begin`](State::begin), for an operation that a power cut may interrupt: then it had begun, or had
    /// not.
    fn begin_change(&mut self, op: Op, process: u32, change: impl FnOnce(&mut State)) -> Outcome {
        *self.counts.entry(op).or_default() += 1;
        if op.changes()
            && let Some(left) = self.power_cut_in
        {
            if left <= 1 {
                if self.rng.once_in(2) {
                    change(self);
                }
                self.cut_power();
                return Err(op.failure());
            }
            self.power_cut_in = Some(left - 1);
        }
        if let Some(armed) = &mut self.armed
            && armed.applies(op, process)
        {
            return Err(if armed.fault == Fault::Full { ffi::SQLITE_FULL } else { op.failure() });
        }
        Ok(())
    }

    fn remove(&mut self, name: &[u8]) {
        self.names.remove(name);
        self.pending_names.push((name.to_vec(), None));
    }

    fn sync_directory(&mut self) {
        for (name, file) in self.pending_names.drain(..) {
            settle(&mut self.synced_names, name, file);
        }
    }

    /// Deletes the files that no name and no handle refers to.
    fn sweep(&mut self) {
        let named = self.names.values().chain(self.synced_names.values()).copied();
        let pending = self.pending_names.iter().filter_map(|(_, file)| *file);
        let open = self.handles.values().map(|handle| handle.file);
        let reached: BTreeSet<u64> = named.chain(pending).chain(open).collect();
        self.files.retain(|file, _| reached.contains(file));
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

fn settle(names: &mut BTreeMap<Name, u64>, name: Name, file: Option<u64>) {
    match file {
        Some(file) => names.insert(name, file),
        None => names.remove(&name),
    };
}
