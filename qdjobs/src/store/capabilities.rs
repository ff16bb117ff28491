//! What a store can do beyond the contract: [`Caps`], whether it has SQL statements, is durable, and polls.
//!
//! Which values a store has is decided in that store: `memory/mod.rs`, `sqlite/mod.rs`.
//!
//! Depends on the standard library alone.

use std::time::Duration;

/// The capabilities of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caps {
    /// Whether [`Store::statement`](super::Store::statement) returns SQL.
    pub statement: bool,
    /// Whether a write survives a power failure once it is answered.
    pub durable: bool,
    /// The longest time until the store notices a job that another process has stored without a wake-up, on
    /// the system's clock. `None` if no other process can store a job.
    pub poll: Option<Duration>,
}

impl Caps {
    /// A store with these capabilities.
    pub fn new(statement: bool, durable: bool, poll: Option<Duration>) -> Caps {
        Caps { statement, durable, poll }
    }
}
