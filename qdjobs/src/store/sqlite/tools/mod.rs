//! The operator's tools for a database file: back it up, restore a backup, check it, and salvage a
//! damaged one.
//!
//! Depends on rusqlite and on `connection`. The writer thread and its requests never come in.

pub(super) mod backup;
pub(super) mod check;
pub(super) mod restore;
pub(super) mod salvage;
mod swap;
