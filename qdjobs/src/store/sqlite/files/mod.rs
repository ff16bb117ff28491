//! The files beside the database: worker locks, the disk reserve, and the write-ahead log as a file. Also whether
//! the open files are still those of their names.
//!
//! Depends on std. SQLite never comes in, nor do the database's own files.

pub(super) mod disk_reserve;
pub(super) mod log;
pub(super) mod names;
pub(super) mod open_files;
pub(super) mod worker_locks;
