//! The tests through the public door, in one binary: linking it once is enough.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;
mod model;
