//! What an operator does with a database file: back it up, check it, salvage what can be read.

pub(super) mod backup;
pub(super) mod check;
pub(super) mod salvage;
