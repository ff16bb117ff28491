//! What every store needs, written once: waiting requests, the steps of a transaction, answers after it.
//!
//! | question | file |
//! |---|---|
//! | Which requests wait, and how does the writing thread sleep? | `requests.rs` |
//! | How many requests and rows share one transaction? | `batch.rs` |
//! | In which order does a transaction work? | `transaction_steps.rs` |
//! | What do *finish*, *release* and *command* do? | `apply_requests.rs` |
//! | Which values has a job that leaves `running`? | `leave_running.rs` |
//! | Which verbs does a store implement? | `transaction.rs` |
//! | Who is answered and woken after the commit? | `after_commit.rs` |
//! | Which claims and calls wait in this process? | `waiters.rs` |
//! | What is released after a commit with an unknown result? | `unconfirmed.rs` |
//!
//! A store implements a [`Transaction`](transaction::Transaction) and decides on which thread it runs.
//! Depends on the contract and the model. Names no database and spawns no thread.
//!
//! ```text
//!   requests ──▶ run(transaction) ──▶ COMMIT by the store ──▶ waiters::after_commit ──▶ answers
//!                        │ fails                    │ fails
//!                        └──────────────────────────┴──▶ waiters::after_failure ──▶ errors
//! ```
//!
//! A transaction may run again, so nobody is answered, woken or forgotten before its commit.

pub(crate) mod after_commit;
pub(crate) mod apply_requests;
pub(crate) mod batch;
pub(crate) mod leave_running;
pub(crate) mod requests;
pub(crate) mod transaction;
pub(crate) mod transaction_steps;
pub(crate) mod unconfirmed;
pub(crate) mod waiters;
