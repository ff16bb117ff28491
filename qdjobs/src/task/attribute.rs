//! The attribute, with its documentation: it stands here and not in the macro crate so that its examples run.

/// to write
pub use qdjobs_macros::task;
