//! The lines between a peer's process and the runner.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Way;

/// The answer to `describe`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ways<S> {
    /// All of them.
    pub ways: Vec<Way<S>>,
}

/// The result of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Jobs that were stored, or that were done.
    pub jobs: u64,
    /// Wall-clock time of the measured part.
    pub seconds: f64,
    /// CPU time of the whole process in it.
    pub cpu: f64,
    /// The median latency in milliseconds, where the figure has one.
    pub p50: Option<f64>,
    /// How often a handler was called.
    pub calls: u64,
    /// Where the database is.
    pub file: PathBuf,
    /// Journal mode and synchronous setting, and how they are known.
    pub durability: String,
}

/// What a peer's own connections have answered to `PRAGMA synchronous`.
pub fn asked(levels: &[i64]) -> String {
    let distinct: BTreeSet<&i64> = levels.iter().collect();
    let words = distinct.into_iter().map(|level| match level {
        0 => "OFF",
        1 => "NORMAL",
        2 => "FULL",
        _ => "EXTRA",
    });
    format!("synchronous {} (asked)", words.collect::<Vec<_>>().join(" and "))
}
