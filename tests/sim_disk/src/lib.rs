//! A simulated disk for SQLite: files in memory, under a seed, that can fail, lose power, fill up and rot.
//!
//! [`Disk::mount`] puts one in the place of a real directory: every file that SQLite opens in it, by any connection of this
//! process, lives on the disk from then on. Code that is tested opens its paths as ever. Directories that are no disk are
//! left alone, and several disks stand beside each other.
//!
//! What it models:
//!
//! - **Safe is what was synced.** A write, a truncation, a file that came or went is, until its file (for a name: its
//!   directory) is synced, kept, lost or torn at sectors of 512 bytes by a power cut, as the seed says. What was synced stays.
//! - **A failed sync is final.** What it could not write is never written by a later one, though programs go on reading it.
//! - **A killed process** ends between two operations: what it wrote stays, its locks and its mappings are gone.
//! - **Locks and shared memory** are SQLite's own, with each connection as an owner.
//!
//! What it does not: anything that a program does to files without SQLite. A program that creates the database's file by
//! itself is met half-way: SQLite then finds an empty one here.
//!
//! Leans on rusqlite's interface to SQLite's C code, which is why this crate alone may be unsafe. Knows nothing of jobs.

#![cfg(target_os = "linux")]

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
pub mod world;

use std::path::Path;
use std::sync::{Arc, MutexGuard};

pub use fault::{Fault, Lasts, Op};
pub use fork::in_a_fork;
pub use mount::as_process;
pub use rng::Rng;

use fault::Armed;
use mount::Mount;
use state::State;

/// A simulated disk. Clones are the same disk, which lasts as long as one of them or a file that is open on it.
#[derive(Clone)]
pub struct Disk(Arc<Mount>);

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let root = String::from_utf8_lossy(&self.0.root);
        f.debug_struct("Disk").field("root", &root).finish_non_exhaustive()
    }
}

impl Disk {
    /// Puts an empty disk in the place of the directory `dir`, which must exist.
    pub fn mount(dir: impl AsRef<Path>, seed: u64) -> std::io::Result<Disk> {
        vfs::register();
        Ok(Disk(Mount::at(dir.as_ref(), State::new(seed))?))
    }

    // ---- What happened -------------------------------------------------------------------------------------------

    /// Operations asked so far that `fault` could have struck.
    pub fn asked(&self, fault: Fault) -> u64 {
        let state = self.state();
        Op::ALL.into_iter().filter(|op| fault.concerns(*op)).map(|op| state.count(op)).sum()
    }

    /// Operations asked so far that change the disk: those before which [`cut_at`](Disk::cut_at) cuts.
    pub fn changes(&self) -> u64 {
        let state = self.state();
        Op::ALL.into_iter().filter(|op| op.changes()).map(|op| state.count(op)).sum()
    }

    /// How often the present fault has struck.
    pub fn struck(&self) -> u64 {
        self.state().armed.map_or(0, |armed| armed.struck)
    }

    /// What the present fault has struck last.
    pub fn last_struck(&self) -> Option<Op> {
        self.state().armed.and_then(|armed| armed.last)
    }

    /// A number that two disks share if they hold the same files with the same bytes.
    pub fn digest(&self) -> u64 {
        self.state().digest(self.0.root.len())
    }

    // ---- Faults --------------------------------------------------------------------------------------------------

    /// Fails the `nth` operation from now (1 is the next) that `fault` concerns. It takes the place of the fault before.
    pub fn fail(&self, nth: u64, fault: Fault, lasts: Lasts) {
        self.arm(nth, fault, lasts, None);
    }

    /// As [`fail`](Disk::fail), and strikes what one process asks alone.
    pub fn fail_process(&self, process: u32, nth: u64, fault: Fault, lasts: Lasts) {
        self.arm(nth, fault, lasts, Some(process));
    }

    fn arm(&self, nth: u64, fault: Fault, lasts: Lasts, process: Option<u32>) {
        let spared = nth.saturating_sub(1);
        self.state().armed = Some(Armed { fault, lasts, process, spared, struck: 0, last: None });
    }

    /// Everything succeeds again.
    pub fn heal(&self) {
        self.state().armed = None;
    }

    /// Gives the disk so many bytes in all; `None` for no end.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    // ---- The end of the power, and of a process ------------------------------------------------------------------

    /// The power goes at the `nth` change from now (1 is the next), which may or may not have been begun.
    pub fn cut_at(&self, nth: u64) {
        self.state().cut_in = Some(nth);
    }

    /// The power goes now. Every handle is dead, and nothing can be opened until [`power_on`](Disk::power_on): whoever was
    /// running is to be dropped before that.
    pub fn cut(&self) {
        self.state().cut();
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        self.state().is_off()
    }

    /// The power is back. No cut is due any more.
    pub fn power_on(&self) {
        let mut state = self.state();
        state.cut_in = None;
        state.power_on();
    }

    /// Kills a process (see [`as_process`]): what it wrote stays, its locks are gone, and nothing its threads still do reaches the disk or the
    /// others. Its number is never of use again.
    pub fn kill(&self, process: u32) {
        self.state().kill(process);
    }

    // ---- Bytes ---------------------------------------------------------------------------------------------------

    /// The names of the files, sorted.
    pub fn files(&self) -> Vec<String> {
        let names = self.state();
        names.names().map(|name| String::from_utf8_lossy(&name[self.0.root.len()..]).into_owned()).collect()
    }

    /// What stands in a file; `None` if there is none.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.state().inode(&self.path(name)).map(|inode| inode.content().to_vec())
    }

    /// Changes what stands in a file behind everybody's back, safe from any cut; `false` if there is none.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.state().inode_mut(&self.path(name)).map(|inode| inode.rot(change)).is_some()
    }

    fn path(&self, name: &str) -> Vec<u8> {
        [&self.0.root, name.as_bytes()].concat()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state()
    }
}
