//! What `#[task]` makes of a function.
mod error;
pub use error::{TaskError, TaskErrorKind};
