//! The verbs of the contract, a file for each; the SQL text of all of them is in `sql.rs`.
//!
//! Runs inside a transaction that the writer, or a caller with a connection of its own, begins and commits:
//! nothing here begins, commits or answers.
//!
//! Depends on rusqlite.

pub(super) mod claim;
pub(super) mod command;
pub(super) mod finish;
pub(super) mod insert;
pub(super) mod progress;
pub(super) mod rows;
pub(super) mod sql;
pub(super) mod workers;

/// The result of a statement.
type SqlResult<T> = rusqlite::Result<T>;
