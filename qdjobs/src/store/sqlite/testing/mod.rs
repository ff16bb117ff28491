//! What the simulation needs of a SQLite store: its steps without threads, and a reader of the committed
//! state.
//!
//! Depends on the store's own parts and on rusqlite. Compiled for tests only.

#[cfg(target_os = "linux")]
pub(crate) mod snapshot;
pub(crate) mod stepped;
