//! What a commit that ended in doubt may have left in the database: [`Unconfirmed`].
//!
//! Leans on `verbs`. Callers are told that nobody knows, and look for themselves. But a claim that nobody was told of would
//! stay running under a worker that worker_locks, for ever, and a worker that nobody was told of would stay on the list: these are
//! taken back here, in the next transaction that succeeds.

use std::time::Duration;

use rusqlite::Connection;

use crate::model::clock::Timestamp;
use crate::model::job::WorkerId;
use crate::model::retry::Verdict;
use crate::store::sqlite::queries::{self, FinishResult, FinishWriter};
use crate::store::{Claim, FinishedJob, Ticket};

#[derive(Debug, Default)]
pub(in crate::store::sqlite) struct Unconfirmed {
    /// Claims that no worker heard of.
    pub(in crate::store::sqlite) claims: Vec<Claim>,
    /// Workers that were told that they could not be registered.
    pub(in crate::store::sqlite) workers: Vec<WorkerId>,
}

impl Unconfirmed {
    pub(in crate::store::sqlite) fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.workers.is_empty()
    }

    /// Takes back what is there, if it is there; answers how many jobs are ready again. A claim is looked for by all that it is
    /// (job, attempt and worker), so that nobody else's is touched; it leaves no trace, since nothing has begun.
    pub(in crate::store::sqlite) fn settle(
        &self,
        conn: &Connection,
        now: Timestamp,
    ) -> rusqlite::Result<usize> {
        let mut ready = 0;
        let mut finishes = FinishWriter::on(conn)?;
        for &claim in &self.claims {
            let verdict = Verdict::Release { wait: Duration::ZERO, started: false };
            let ticket = Ticket::new(now, false);
            let finished = FinishedJob { claim, ticket, began_after: Duration::ZERO, verdict };
            let released = finishes.write(&finished, now)?;
            ready += usize::from(released == FinishResult::Waits(true));
        }
        for &worker in &self.workers {
            ready += queries::deregister_worker(conn, worker, now)?.waiting;
        }
        Ok(ready)
    }
}
