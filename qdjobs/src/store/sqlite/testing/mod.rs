//! What the simulation needs of a SQLite store: its steps without threads, and a reader of the committed
//! state.
//!
//! Compiled for tests only. The simulation itself is in `sim/`.
//!
//! Depends on the store's own parts and on rusqlite.

#[cfg(target_os = "linux")]
pub(crate) mod snapshot;
pub(crate) mod stepped;
