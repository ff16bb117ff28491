//! What a commit that ended in doubt may have left in the database: [`Doubt`].
//!
//! Leans on `verbs`. Callers are told that nobody knows, and look for themselves. But a claim that nobody was told of would
//! stay running under a worker that lives, for ever, and a worker that nobody was told of would stay on the list: these are
//! taken back here, in the next transaction that succeeds.

use rusqlite::Connection;

use super::verbs::{self, Finished, Finishes};
use crate::job::WorkerId;
use crate::retry::Verdict;
use crate::store::{Claim, Finish};
use crate::time::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// Claims that no worker heard of.
    pub(super) claims: Vec<Claim>,
    /// Workers that were told that they could not be enlisted.
    pub(super) workers: Vec<WorkerId>,
}

impl Doubt {
    pub(super) fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.workers.is_empty()
    }

    /// Takes back what is there, if it is there; answers how many jobs are ready again. A claim is looked for by all that it is
    /// (job, attempt and worker), so that nobody else's is touched; it leaves no trace, since nothing has begun.
    pub(super) fn settle(&self, conn: &Connection, now: Timestamp) -> rusqlite::Result<usize> {
        let mut ready = 0;
        let mut finishes = Finishes::on(conn)?;
        for &claim in &self.claims {
            let verdict = Verdict::Release { wait: std::time::Duration::ZERO, started: false };
            let released = finishes.write(&Finish { claim, started_at: now, verdict }, now)?;
            ready += usize::from(released == Finished::Waits(true));
        }
        for &worker in &self.workers {
            ready += verbs::leave(conn, worker, now)?.waiting;
        }
        Ok(ready)
    }
}
