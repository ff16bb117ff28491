//! qdjobs
mod error;
mod job;
mod retry;
pub mod store;
mod task;
mod time;
pub use error::*;
pub use job::*;
pub use retry::*;
pub use task::*;
pub use time::{Clock, Timestamp};
