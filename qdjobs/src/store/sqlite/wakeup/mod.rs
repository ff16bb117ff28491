//! How a waiting process learns that another connection has committed: by polling, by inotify, or by a socket
//! message.
//!
//! `poll.rs` decides when to look, `inotify.rs` reports writes to the log, `socket.rs` sends messages to
//! other processes. Waiting claims inside the process are served in `engine/transaction_steps.rs`.
//!
//! Depends on rusqlite for `PRAGMA data_version` and on the requests of the engine. Job statements never come
//! in.

#[cfg(target_os = "linux")]
pub(super) mod inotify;
pub(super) mod poll;
pub(super) mod socket;
