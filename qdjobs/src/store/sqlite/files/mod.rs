//! The files beside the database: worker locks and the disk reserve.
//!
//! Depends on std. SQLite never comes in, nor do the database's own files.

pub(super) mod disk_reserve;
pub(super) mod worker_locks;
