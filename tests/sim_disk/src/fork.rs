//! A fork of the process, for what must not survive one.
//!
//! Depends on the C library. The child is a copy with this thread alone; its exit status is its result.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// The interval at which the child's status is read.
const LOOK: Duration = Duration::from_millis(5);

/// Runs `child` in a fork of this process; returns whether it returned `true`. A child that panics has not,
/// and one that takes longer than `patience` is killed.
#[expect(clippy::disallowed_methods, reason = "a process lives in real time")]
pub fn in_fork(patience: Duration, child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs on a copy of this thread alone. It takes no lock that another thread of the
    // parent may have held (the C library takes care of the allocator's), and it ends without the parent's
    // exit handlers.
    match unsafe { libc::fork() } {
        0 => {
            let fine = catch_unwind(AssertUnwindSafe(child)).unwrap_or(false);
            // SAFETY: ends the process, whatever is in memory.
            unsafe { libc::_exit(if fine { 0 } else { 1 }) }
        }
        -1 => panic!("fork failed"),
        pid => {
            let mut status = 0;
            let mut waited = Duration::ZERO;
            loop {
                // SAFETY: the child is ours, and only this thread waits for it.
                if unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == pid {
                    return libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
                }
                if waited > patience {
                    // SAFETY: as above; it has not been waited for, so the pid is still its own.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                }
                std::thread::sleep(LOOK);
                waited += LOOK;
            }
        }
    }
}
