//! A fork of the process, for what must not survive one.
//!
//! Leans on the C library. The child is a copy with this thread alone; it says how it went by its exit status.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// How often the child is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Runs `child` in a fork of this process; whether it returned `true`. One that panics has not, and one that takes longer than
/// `patience` is killed.
#[expect(clippy::disallowed_methods, reason = "a process lives in real time")]
pub fn in_a_fork(patience: Duration, child: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs on a copy of this thread alone. What it calls beyond that takes no lock that another thread of the
    // parent may have held (the allocator's are seen to by the C library), and it ends without the parent's exit handlers.
    match unsafe { libc::fork() } {
        0 => {
            let fine = catch_unwind(AssertUnwindSafe(child)).unwrap_or(false);
            // SAFETY: ends the process, whatever is in memory.
            unsafe { libc::_exit(if fine { 0 } else { 1 }) }
        }
        -1 => panic!("there is no room for another process"),
        pid => {
            let mut status = 0;
            let mut waited = Duration::ZERO;
            loop {
                // SAFETY: the child is ours, and waited for here alone.
                if unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == pid {
                    return libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
                }
                if waited > patience {
                    // SAFETY: as above; it has not been waited for, so the number is still its own.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                }
                std::thread::sleep(LOOK);
                waited += LOOK;
            }
        }
    }
}
