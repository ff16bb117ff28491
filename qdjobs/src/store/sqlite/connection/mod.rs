//! The connections to the database file: how they are opened, migrated and guarded, and what SQLite's errors
//! mean.
//!
//! `open.rs` has the pragmas, `migrate.rs` the schema versions, `error.rs` the result codes. `network_fs.rs`,
//! `file_names.rs`, `log_mark.rs` and `fork_guard.rs` refuse unsafe uses, and `system_sqlite.rs` a library that is too
//! old to link.
//!
//! Depends on rusqlite and std. Statements about jobs and workers never come in.

pub(super) mod error;
pub(super) mod file_names;
pub(super) mod fork_guard;
pub(super) mod immutable;
pub(super) mod log_mark;
pub(super) mod migrate;
pub(super) mod network_fs;
pub(super) mod open;
pub(super) mod system_sqlite;
