//! Refuses to use a store in a fork of the process that opened it: [`ForkGuard`].
//!
//! Where it is checked is decided in `sqlite/mod.rs`.
//!
//! Depends on std. SQLite never comes in.
//!
//! A fork copies an open database but none of its threads. SQLite would rely on locks that the child does not
//! hold, and the queue would wait for a writer thread that does not exist. So a store answers only in the
//! process that opened it. The child cannot open another store either, since SQLite's record of its locks is
//! one for the whole process. A child that executes another program is not affected, since it starts with
//! empty memory.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::error::{Error, ErrorKind, Result};

/// The process that has stores open, and their number: `process << 32 | stores`.
static OPEN_STORES: AtomicU64 = AtomicU64::new(0);

/// Owned by a store while it is open.
#[derive(Debug)]
pub(in crate::store::sqlite) struct ForkGuard {
    process: u32,
}

impl ForkGuard {
    /// Registers a store with this process. Refused in a fork of a process that had a store open.
    pub(in crate::store::sqlite) fn acquire() -> Result<ForkGuard> {
        let process = std::process::id();
        let registered = OPEN_STORES.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
            let (owner, stores) = ((open >> 32) as u32, open & 0xffff_ffff);
            (stores == 0 || owner == process).then_some(u64::from(process) << 32 | (stores + 1))
        });
        registered.map(|_| ForkGuard { process }).map_err(|open| forked((open >> 32) as u32, process))
    }

    /// Returns an error in any process but its own. Call it before any lock is taken. Another thread may have
    /// held that lock at the moment of the fork, and would never release it in the child.
    pub(in crate::store::sqlite) fn check(&self) -> Result<()> {
        let process = std::process::id();
        if process == self.process { Ok(()) } else { Err(forked(self.process, process)) }
    }

    /// Whether this is the process that opened the store.
    pub(in crate::store::sqlite) fn is_own_process(&self) -> bool {
        std::process::id() == self.process
    }
}

impl Drop for ForkGuard {
    fn drop(&mut self) {
        // In a fork the count belongs to copies of stores, which are never closed.
        if self.is_own_process() {
            OPEN_STORES.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn forked(owner: u32, process: u32) -> Error {
    Error::new(
        ErrorKind::Forked,
        format!("process {owner} had a queue open when it forked, and this is process {process}, a fork of it"),
    )
    .help(
        "drop every queue before the fork, or fork before the first queue is opened; then open one in each process. \
         Executing another program in the child is safe, too",
    )
}
