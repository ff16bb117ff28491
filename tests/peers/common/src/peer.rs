//! A peer, and the ways in which it can be run.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Params, Result, Tally};

/// One way of running a peer: a row of the tables. `S` is text: a literal here, owned by the runner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Way<S> {
    /// Its name, shown after the peer's.
    pub name: S,
    /// The settings that are set and those left at their defaults, in words.
    pub settings: S,
    /// How many jobs one bulk call stores; 0 if the peer has none.
    pub bulk: u64,
    /// Why a figure is missing, or a remark on the row.
    pub note: S,
    /// Counts the jobs that wait or run, by SQL on the file.
    pub left: S,
    /// Counts the jobs that have completed, by SQL; empty if the peer deletes them.
    pub done: S,
}

/// Where a run takes place.
#[derive(Clone, Debug)]
pub struct Place {
    /// The database file: absent before the run.
    pub path: PathBuf,
    /// Which of the ways.
    pub way: &'static str,
}

/// A job queue under test, used as its own documentation says.
pub trait Peer: Sized + Send + Sync + 'static {
    /// The ways to run it, the default one first.
    const WAYS: &'static [Way<&'static str>];
    /// Its enqueue blocks: producers are threads then, else tasks of the runtime.
    const BLOCKING: bool = false;

    /// The file that the peer really creates, if it changes the name it is given.
    fn file(place: &Place) -> PathBuf {
        place.path.clone()
    }

    /// Creates the database and opens the queue.
    fn open(place: &Place) -> impl Future<Output = Result<Self>> + Send;

    /// Stores a job; it is stored when this returns.
    fn enqueue(&self, params: Params) -> impl Future<Output = Result<()>> + Send;

    /// Stores many jobs by one call. Called only if the way has a size for it.
    fn bulk(&self, jobs: Vec<Params>) -> impl Future<Output = Result<()>> + Send {
        let why = format!("no bulk call for {} jobs", jobs.len());
        async move { Err(why.into()) }
    }

    /// Starts a worker with this many slots, whose handler only calls [`Tally::note`]. It works until the
    /// process ends.
    fn work(&self, slots: usize, tally: &Arc<Tally>) -> impl Future<Output = Result<()>> + Send;

    /// How many jobs wait or run, as the peer itself reports.
    fn left(&self) -> impl Future<Output = Result<u64>> + Send;

    /// The journal mode and the synchronous setting of the peer's own connections, or how else they are
    /// known.
    fn durability(&self) -> impl Future<Output = Result<String>> + Send;
}
