//! A simulated disk for SQLite: files in memory, under a seed, that can fail, lose power, fill up and become
//! corrupt.
//!
//! [`Disk::mount`] replaces a real directory: every file that SQLite opens in it, by any connection of this
//! process, is on the disk from then on. Code under test opens its paths as usual. Other directories are left
//! alone, and several disks can be mounted at once.
//!
//! What it models:
//!
//! - **Synced data is safe.** A write, a truncation, a created or deleted file is kept, lost or torn at
//!   sectors of 512 bytes by a power cut, as the seed decides, until its file (for a name: its directory) is
//!   synced. Synced data stays.
//! - **A failed sync is final.** A later sync never writes what it could not write, though programs still
//!   read it.
//! - **A killed process** ends between two operations: what it wrote stays, its locks and its mappings are
//!   gone.
//! - **Locks and shared memory** behave as SQLite's own, with each connection as an owner.
//!
//! What it does not model: anything that a program does to files without SQLite. One case is handled: if a
//! program creates the database's file itself, SQLite then finds an empty one here.
//!
//! Depends on rusqlite's interface to SQLite's C code, so this crate alone may be unsafe. Jobs never come in.

#![cfg(target_os = "linux")]

pub mod environment;
mod fault;
mod file;
mod fork;
mod inode;
mod lock;
mod mount;
mod rng;
mod shm;
mod state;
mod vfs;

use std::path::Path;
use std::sync::{Arc, MutexGuard};

pub use fault::{Fault, FaultDuration, Op};
pub use fork::in_fork;
pub use mount::as_process;
pub use rng::Rng;

use fault::Armed;
use mount::Mount;
use state::State;

/// A simulated disk. Clones are the same disk. It exists as long as one of them or a file that is open on it.
#[derive(Clone)]
pub struct Disk(Arc<Mount>);

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let root = String::from_utf8_lossy(&self.0.root);
        f.debug_struct("Disk").field("root", &root).finish_non_exhaustive()
    }
}

impl Disk {
    /// Mounts an empty disk at the directory `dir`, which must exist.
    pub fn mount(dir: impl AsRef<Path>, seed: u64) -> std::io::Result<Disk> {
        vfs::register();
        Ok(Disk(Mount::at(dir.as_ref(), State::new(seed))?))
    }

    // ---- What happened
    // -------------------------------------------------------------------------------------------

    /// How many operations so far `fault` could have happened to.
    pub fn operations(&self, fault: Fault) -> u64 {
        let state = self.state();
        Op::ALL.into_iter().filter(|op| fault.concerns(*op)).map(|op| state.count(op)).sum()
    }

    /// How many operations so far change the disk: [`cut_power_at`](Disk::cut_power_at) cuts before one of
    /// them.
    pub fn changes(&self) -> u64 {
        let state = self.state();
        Op::ALL.into_iter().filter(|op| op.changes()).map(|op| state.count(op)).sum()
    }

    /// How often the present fault has happened.
    pub fn failures(&self) -> u64 {
        self.state().armed.map_or(0, |armed| armed.failures)
    }

    /// The last operation that the present fault has failed.
    pub fn last_failed(&self) -> Option<Op> {
        self.state().armed.and_then(|armed| armed.last)
    }

    /// A number that is equal for two disks with the same files and the same bytes.
    pub fn digest(&self) -> u64 {
        self.state().digest(self.0.root.len())
    }

    // ---- Faults
    // --------------------------------------------------------------------------------------------------

    /// Fails the `nth` operation from now (1 is the next) that `fault` concerns. Replaces an earlier fault.
    pub fn fail(&self, nth: u64, fault: Fault, duration: FaultDuration) {
        self.arm(nth, fault, duration, None);
    }

    /// As [`fail`](Disk::fail), for the operations of one process alone.
    pub fn fail_process(&self, process: u32, nth: u64, fault: Fault, duration: FaultDuration) {
        self.arm(nth, fault, duration, Some(process));
    }

    fn arm(&self, nth: u64, fault: Fault, duration: FaultDuration, process: Option<u32>) {
        let remaining = nth.saturating_sub(1);
        self.state().armed = Some(Armed { fault, duration, process, remaining, failures: 0, last: None });
    }

    /// Ends all faults: every operation succeeds again.
    pub fn clear_faults(&self) {
        self.state().armed = None;
    }

    /// Limits the disk to this many bytes in all; `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    // ---- Power cuts, and the end of a process
    // --------------------------------------------------------------------

    /// Cuts the power at the `nth` change from now (1 is the next), which may or may not have begun.
    pub fn cut_power_at(&self, nth: u64) {
        self.state().power_cut_in = Some(nth);
    }

    /// Cuts the power now. Every handle is dead, and nothing can be opened until
    /// [`power_on`](Disk::power_on): drop everything that was running before that call.
    pub fn cut_power(&self) {
        self.state().cut_power();
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        self.state().is_off()
    }

    /// Turns the power on. Cancels any power cut that is due.
    pub fn power_on(&self) {
        let mut state = self.state();
        state.power_cut_in = None;
        state.power_on();
    }

    /// Kills a process (see [`as_process`]): what it wrote stays, its locks are gone, and nothing that its
    /// threads still do reaches the disk or the others. Its number cannot be used again.
    pub fn kill(&self, process: u32) {
        self.state().kill(process);
    }

    // ---- Bytes
    // ---------------------------------------------------------------------------------------------------

    /// The names of the files, sorted.
    pub fn files(&self) -> Vec<String> {
        let names = self.state();
        names.names().map(|name| String::from_utf8_lossy(&name[self.0.root.len()..]).into_owned()).collect()
    }

    /// The contents of a file; `None` if it does not exist.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.state().inode(&self.path(name)).map(|inode| inode.content().to_vec())
    }

    /// Changes the contents of a file directly, safe from any power cut; `false` if it does not exist.
    pub fn corrupt(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.state().inode_mut(&self.path(name)).map(|inode| inode.corrupt(change)).is_some()
    }

    fn path(&self, name: &str) -> Vec<u8> {
        [&self.0.root, name.as_bytes()].concat()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state()
    }
}
