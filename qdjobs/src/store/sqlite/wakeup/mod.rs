//! How a waiting process learns that another connection has committed: by polling, by inotify, or by a socket
//! message.
//!
//! Depends on rusqlite for `PRAGMA data_version` and on the requests of the engine. Job statements never come
//! in.

#[cfg(target_os = "linux")]
pub(super) mod inotify;
pub(super) mod poll;
pub(super) mod socket;
