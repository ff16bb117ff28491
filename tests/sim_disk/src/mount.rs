//! Which disk a path is on, and which process a thread works for.
//!
//! Depends on `state`. A path that is on no disk is left to the real file system.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::state::State;

/// A disk and the directory that it replaces.
pub(crate) struct Mount {
    /// Unique to each mount.
    id: u64,
    /// The real path of the directory, with a slash at its end.
    pub(crate) root: Vec<u8>,
    state: Mutex<State>,
}

static MOUNTS: Mutex<Vec<Weak<Mount>>> = Mutex::new(Vec::new());

impl Mount {
    /// Replaces a real directory with a disk.
    pub(crate) fn at(dir: &Path, state: State) -> std::io::Result<Arc<Mount>> {
        let mut root = dir.canonicalize()?.into_os_string().into_encoded_bytes();
        root.push(b'/');
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mount = Arc::new(Mount { id, root, state: Mutex::new(state) });
        let mut mounts = MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        mounts.retain(|mount| mount.strong_count() > 0);
        mounts.push(Arc::downgrade(&mount));
        Ok(mount)
    }

    /// The disk that a full path is on.
    pub(crate) fn of(path: &[u8]) -> Option<Arc<Mount>> {
        let mounts = MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        mounts.iter().filter_map(Weak::upgrade).find(|mount| path.starts_with(&mount.root))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    static PROCESS: Cell<Thread> = const { Cell::new(Thread { assigned: None, last: (0, 0) }) };
}

/// The process that a thread works for: the one it was assigned, otherwise the one whose handle on the same
/// disk it used last. So a thread that a program has started for its own connection opens files for the same
/// process.
#[derive(Clone, Copy)]
struct Thread {
    assigned: Option<u32>,
    /// A mount and a process.
    last: (u64, u32),
}

impl Mount {
    /// The process that this thread works for.
    pub(crate) fn process(&self) -> u32 {
        PROCESS.try_with(Cell::get).map_or(0, |thread| match (thread.assigned, thread.last) {
            (Some(assigned), _) => assigned,
            (None, (mount, last)) if mount == self.id => last,
            (None, _) => 0,
        })
    }

    /// Records that this thread used a handle of `process`.
    pub(crate) fn used_by(&self, process: u32) {
        // A thread that is ending has nothing to record.
        let _ = PROCESS.try_with(|thread| thread.set(Thread { last: (self.id, process), ..thread.get() }));
    }
}

/// Assigns this thread to a process, whose number is the caller's choice, during `work`: files that it opens
/// belong to that process. An unassigned thread works for the process whose files on the same disk it used
/// last, and for process 0 before that.
pub fn as_process<T>(process: u32, work: impl FnOnce() -> T) -> T {
    struct Back(Option<u32>);
    impl Drop for Back {
        fn drop(&mut self) {
            let _ = PROCESS.try_with(|thread| thread.set(Thread { assigned: self.0, ..thread.get() }));
        }
    }
    let _back = Back(PROCESS.with(|thread| {
        let before = thread.get();
        thread.set(Thread { assigned: Some(process), ..before });
        before.assigned
    }));
    work()
}
