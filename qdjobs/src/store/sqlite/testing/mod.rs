//! What the simulation needs of a SQLite store: its steps without threads, and a reader of what is committed.

#[cfg(target_os = "linux")]
pub(crate) mod snapshot;
pub(crate) mod stepped;
