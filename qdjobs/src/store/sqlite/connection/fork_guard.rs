//! The process that a store belongs to: [`ForkGuard`].
//!
//! Leans on std. A fork copies an open database and none of its threads: SQLite would believe in locks that the child does not
//! have, and the queue would wait for a writer that is not there. So a store answers in the process that opened it, and in
//! its fork nothing is opened either, for SQLite's memory of the locks is one for the whole process. A fork that executes
//! another program is none of these: it begins with nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::error::{Error, ErrorKind, Result};

/// The process that has stores open, and how many: `process << 32 | stores`.
static OPEN: AtomicU64 = AtomicU64::new(0);

/// Held by a store for as long as it is open.
#[derive(Debug)]
pub(in crate::store::sqlite) struct ForkGuard {
    process: u32,
}

impl ForkGuard {
    /// Refused in a fork of a process that had a store open.
    pub(in crate::store::sqlite) fn found() -> Result<ForkGuard> {
        let process = std::process::id();
        let entered = OPEN.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
            let (owner, stores) = ((open >> 32) as u32, open & 0xffff_ffff);
            (stores == 0 || owner == process).then_some(u64::from(process) << 32 | (stores + 1))
        });
        entered.map(|_| ForkGuard { process }).map_err(|open| forked((open >> 32) as u32, process))
    }

    /// Refused in any process but its own. Before any lock: one may have been held by another thread when it was copied.
    pub(in crate::store::sqlite) fn check(&self) -> Result<()> {
        let process = std::process::id();
        if process == self.process { Ok(()) } else { Err(forked(self.process, process)) }
    }

    pub(in crate::store::sqlite) fn is_here(&self) -> bool {
        std::process::id() == self.process
    }
}

impl Drop for ForkGuard {
    fn drop(&mut self) {
        // In a fork it counts the copies, which stay open.
        if self.is_here() {
            OPEN.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn forked(owner: u32, process: u32) -> Error {
    Error::new(
        ErrorKind::Forked,
        format!("the queue was opened by the process {owner}, and this is {process}, a fork of it"),
    )
    .help("fork before a queue is opened, or execute a program in the child: an open database does not survive a fork")
}
