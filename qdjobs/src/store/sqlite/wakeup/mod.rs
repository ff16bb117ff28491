//! How a waiting process learns that another connection has committed.

#[cfg(target_os = "linux")]
pub(super) mod inotify;
pub(super) mod poll;
pub(super) mod socket;
