//! What every store needs, written once: the requests that wait to be applied.
//!
//! Depends on the contract alone. Names no database.

pub(crate) mod requests;
