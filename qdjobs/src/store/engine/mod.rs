//! What every store needs, written once: which requests wait, how a transaction serves them, who waits for
//! what, and who is answered after the commit.
//!
//! A store writes a [`Transaction`](transaction::Transaction) and decides on which thread it runs. Depends on
//! the contract and the model. Names no database and spawns no thread.
//!
//! ```text
//!   requests ──▶ run(transaction) ──▶ COMMIT by the store ──▶ waiters::after_commit ──▶ answers
//!                        │ fails                    │ fails
//!                        └──────────────────────────┴──▶ waiters::after_failure ──▶ errors
//! ```
//!
//! A transaction may run again, so nobody is answered, woken or forgotten before its commit.

pub(crate) mod apply_requests;
pub(crate) mod batch;
pub(crate) mod leave_running;
pub(crate) mod requests;
pub(crate) mod transaction;
pub(crate) mod transaction_steps;
pub(crate) mod unconfirmed;
pub(crate) mod waiters;
