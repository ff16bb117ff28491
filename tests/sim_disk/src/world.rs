//! What SQLite asks of the world beside files: random numbers, the time, and to sleep. One world for the whole process, since
//! SQLite has one source of random numbers for all its connections.
//!
//! Leans on `dice`. Until it is told otherwise, the world is the real one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::ffi;

use crate::rng::Rng;
use crate::vfs;

struct World {
    dice: Option<Rng>,
    /// Microseconds since 1970.
    held: Option<i64>,
}

static WORLD: Mutex<World> = Mutex::new(World { dice: None, held: None });

fn world() -> MutexGuard<'static, World> {
    WORLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on SQLite's random numbers are those of `seed`, from the first.
pub fn seed(seed: u64) {
    vfs::register();
    world().dice = Some(Rng::new(seed));
    // SAFETY: zero bytes into no buffer is the documented way to make SQLite seed its generator anew at the next use.
    unsafe { ffi::sqlite3_randomness(0, std::ptr::null_mut()) };
}

/// From now on it is this instant for SQLite, in microseconds since 1970, and a sleep moves the time instead of lasting.
pub fn hold_time(micros: i64) {
    vfs::register();
    world().held = Some(micros);
}

/// The time goes on by itself again, and sleeps last.
pub fn release_time() {
    world().held = None;
}

/// The time that is held, in microseconds since 1970.
pub fn held_time() -> Option<i64> {
    world().held
}

/// Fills `bytes` by the seed; `false` if there is none.
pub(crate) fn randomness(bytes: &mut [u8]) -> bool {
    let mut world = world();
    let Some(dice) = &mut world.dice else { return false };
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&dice.roll().to_le_bytes()[..chunk.len()]);
    }
    true
}

/// Sleeps in the held time; `false` if it is not held. Others may run meanwhile, as they would.
pub(crate) fn sleep(time: Duration) -> bool {
    let mut world = world();
    let Some(held) = &mut world.held else { return false };
    *held = held.saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
    drop(world);
    std::thread::yield_now();
    true
}
