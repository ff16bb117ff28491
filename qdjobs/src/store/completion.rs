//! A transaction in which a task completes its own job: the trait [`CompletionTarget`].
//!
//! Writes nothing: a target implements the trait beside its own type, the transactions of rusqlite in
//! `sqlite/external_tx.rs`. The method that a task calls is in `context/mod.rs`.
//!
//! Depends on the SQL statement that the store writes. No driver is named here.

use super::Store;
use super::claim::{Claim, FinishedJob};
use super::sql_statement::{Foreign, SqlStatement};
use crate::model::error::{Error, ErrorKind, Result};

/// A transaction in which [`JobContext::complete_in`](crate::JobContext::complete_in) completes a job.
///
/// Implemented for `&rusqlite::Transaction` and `&rusqlite::Savepoint`, which return `Result<()>`. A target
/// is passed by value. So a driver that uses transactions by `&mut`, or that returns futures, can implement
/// it.
#[diagnostic::on_unimplemented(
    message = "cannot complete a job in `{Self}`",
    label = "expected `&rusqlite::Transaction` or `&rusqlite::Savepoint`",
    note = "pass a reference: `ctx.complete_in(&tx, &result)`; a `&mut Transaction` named `tx` is passed as `&*tx`"
)]
pub trait CompletionTarget: Sized {
    /// What `complete_in` returns.
    type Answer;

    /// Writes the completion in this transaction.
    ///
    /// An implementation executes [`Completion::statement`]. If the statement returns no row, the claim was
    /// lost, and the answer is [`Completion::lost`]. If [`Completion::is_durable`] is true, the
    /// implementation refuses a connection whose commits do not survive a power failure.
    fn run(self, completion: Result<Completion>) -> Self::Answer;
}

/// The completion of one job, as a [`CompletionTarget`] receives it.
#[derive(Clone, Debug)]
pub struct Completion {
    claim: Claim,
    statement: SqlStatement,
    durable: bool,
}

impl Completion {
    /// The completion of `finished` in the database of `store`.
    pub(crate) fn new(store: &dyn Store, finished: &FinishedJob) -> Result<Completion> {
        let statement = store.statement(Foreign::Complete(finished))?;
        Ok(Completion { claim: finished.claim, statement, durable: store.caps().durable })
    }

    /// The claim under which the job runs.
    pub fn claim(&self) -> Claim {
        self.claim
    }

    /// The statement to execute. It returns one row if the claim held the job, and no row if it was lost.
    pub fn statement(&self) -> &SqlStatement {
        &self.statement
    }

    pub(crate) fn into_statement(self) -> SqlStatement {
        self.statement
    }

    /// Whether the writes of the store survive a power failure. If so, the writes of this transaction must
    /// survive one, too.
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// The error for a claim that was lost.
    pub fn lost(&self) -> Error {
        Error::new(
            ErrorKind::LeaseLost,
            format!(
                "in the database of this transaction, this attempt does not hold job {}, so it cannot complete the job",
                self.claim.id
            ),
        )
        .help(
            "return this error, so that your transaction is rolled back; if every attempt gets it, check that the \
             transaction is on the file that `JobQueue::location()` names",
        )
    }
}
