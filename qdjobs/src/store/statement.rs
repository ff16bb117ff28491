//! [`SqlStatement`], the text of a write for a caller's own transaction on any driver.

/// One SQL statement that stores any number of jobs, for a transaction on a connection of the caller's own driver. See
/// [`JobQueue::insert_statement`](crate::JobQueue::insert_statement).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqlStatement {
    /// The statement: one text parameter, no result.
    pub sql: &'static str,
    /// The value of the parameter.
    pub json: String,
}
