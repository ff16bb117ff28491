//! The files beside the database: worker locks and the disk reserve.

pub(super) mod disk_reserve;
pub(super) mod worker_locks;
