//! Which disk a path is on, and which process a thread works for.
//!
//! Leans on `state`. A path that is on no disk is left to the file system.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::state::State;

/// A disk and the directory it stands for.
pub(crate) struct Mount {
    /// No two have the same.
    id: u64,
    /// The real path of the directory, with a slash at its end.
    pub(crate) root: Vec<u8>,
    state: Mutex<State>,
}

static MOUNTS: Mutex<Vec<Weak<Mount>>> = Mutex::new(Vec::new());

impl Mount {
    /// Puts a disk in the place of a real directory.
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
    static PROCESS: Cell<Thread> = const { Cell::new(Thread { told: None, last: (0, 0) }) };
}

/// Whom a thread works for: whom it was told, else the process whose handle on the same disk it used last. So a thread that a
/// program has started for its own connection opens it anew for the same process.
#[derive(Clone, Copy)]
struct Thread {
    told: Option<u32>,
    /// A mount and a process.
    last: (u64, u32),
}

impl Mount {
    /// The process that this thread works for.
    pub(crate) fn process(&self) -> u32 {
        PROCESS.try_with(Cell::get).map_or(0, |thread| match (thread.told, thread.last) {
            (Some(told), _) => told,
            (None, (mount, last)) if mount == self.id => last,
            (None, _) => 0,
        })
    }

    /// Notes that this thread used a handle of `process`.
    pub(crate) fn is_used_by(&self, process: u32) {
        // A thread on its way out has nothing to note.
        let _ = PROCESS.try_with(|thread| thread.set(Thread { last: (self.id, process), ..thread.get() }));
    }
}

/// Lets this thread work for a process, whose number is the caller's choice, while `work` lasts: what it opens belongs to that
/// process. A thread that was not told works for the process whose files on the same disk it used last, and for process 0 before
/// that.
pub fn as_process<T>(process: u32, work: impl FnOnce() -> T) -> T {
    struct Back(Option<u32>);
    impl Drop for Back {
        fn drop(&mut self) {
            let _ = PROCESS.try_with(|thread| thread.set(Thread { told: self.0, ..thread.get() }));
        }
    }
    let _back = Back(PROCESS.with(|thread| {
        let before = thread.get();
        thread.set(Thread { told: Some(process), ..before });
        before.told
    }));
    work()
}
