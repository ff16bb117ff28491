//! What SQLite asks of its environment besides files: random numbers, the time, and to sleep. One environment
//! for the whole process, since SQLite has one source of random numbers for all its connections.
//!
//! Depends on `rng`. It is the real environment until a test changes it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::ffi;

use crate::rng::Rng;
use crate::vfs;

struct Environment {
    rng: Option<Rng>,
    /// Microseconds since 1970.
    fixed: Option<i64>,
}

static ENVIRONMENT: Mutex<Environment> = Mutex::new(Environment { rng: None, fixed: None });

fn environment() -> MutexGuard<'static, Environment> {
    ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes SQLite's random numbers those of `seed`, from the first.
pub fn seed(seed: u64) {
    vfs::register();
    environment().rng = Some(Rng::new(seed));
    // SAFETY: zero bytes into no buffer is the documented way to make SQLite seed its generator again at the
    // next use.
    unsafe { ffi::sqlite3_randomness(0, std::ptr::null_mut()) };
}

/// Fixes the time at this instant for SQLite, in microseconds since 1970; a sleep then moves the time instead
/// of lasting.
pub fn fix_time(micros: i64) {
    vfs::register();
    environment().fixed = Some(micros);
}

/// Returns to the real time, and to sleeps that last.
pub fn release_time() {
    environment().fixed = None;
}

/// The fixed time, in microseconds since 1970.
pub fn fixed_time() -> Option<i64> {
    environment().fixed
}

/// Fills `bytes` from the seed; `false` if there is none.
pub(crate) fn randomness(bytes: &mut [u8]) -> bool {
    let mut environment = environment();
    let Some(rng) = &mut environment.rng else { return false };
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&rng.roll().to_le_bytes()[..chunk.len()]);
    }
    true
}

/// Sleeps in the fixed time; `false` if it is not fixed. Other threads may run meanwhile, as they would.
pub(crate) fn sleep(time: Duration) -> bool {
    let mut environment = environment();
    let Some(fixed) = &mut environment.fixed else { return false };
    *fixed = fixed.saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
    drop(environment);
    std::thread::yield_now();
    true
}
