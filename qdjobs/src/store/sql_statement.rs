//! An insert or a completion as SQL text for another driver's transaction: [`SqlStatement`].
//!
//! Contains no SQL: each store writes its own, SQLite in `sqlite/external_tx.rs`.
//!
//! Depends on the model and on the types of the verb *claim*.

use std::borrow::Cow;

use super::claim::FinishedJob;
use crate::model::job::NewJob;

/// One SQL statement of a store, which the caller executes in a transaction of its own, with a driver that uses
/// the same SQLite library. See [`JobQueue::insert_statement`](crate::JobQueue::insert_statement) and
/// [`JobContext::completion_statement`](crate::JobContext::completion_statement).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqlStatement {
    /// The statement, with one parameter.
    pub sql: Cow<'static, str>,
    /// The value of the parameter, a text.
    pub json: String,
}

impl SqlStatement {
    /// A statement with its parameter.
    pub fn new(sql: impl Into<Cow<'static, str>>, json: String) -> SqlStatement {
        SqlStatement { sql: sql.into(), json }
    }
}

/// A write for which a store can return a [`SqlStatement`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Foreign<'a> {
    /// Stores these jobs. The statement returns one row for each job, in this order, with its id.
    Insert(&'a [NewJob]),
    /// Completes this job. The statement returns one row if the claim held the job, and no row if it was
    /// lost.
    Complete(&'a FinishedJob),
}
