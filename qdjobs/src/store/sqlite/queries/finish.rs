//! The verb *finish*: writes every way in which a job leaves `running`: [`LeaveWriter`]. Also makes due jobs
//! ready.
//!
//! Contains no SQL text: see `sql.rs`. Decides nothing: [`Leaving`] has the values to write.
//!
//! Depends on `sql` and `rows`.

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::{SqlResult, rows, sql};
use crate::model::clock::Timestamp;
use crate::model::job::{AttemptOutcome, Status};
use crate::store::Claim;
use crate::store::engine::leave_running::{Counted, Leaving, Next};

/// Writes how jobs leave `running`. The statement of the common case is prepared once for all of them.
pub(in crate::store::sqlite) struct LeaveWriter<'c> {
    conn: &'c Connection,
    complete: CachedStatement<'c>,
}

impl<'c> LeaveWriter<'c> {
    pub(in crate::store::sqlite) fn on(conn: &'c Connection) -> SqlResult<LeaveWriter<'c>> {
        Ok(LeaveWriter { conn, complete: conn.prepare_cached(sql::COMPLETE)? })
    }

    /// Writes how one job leaves `running`. If its claim is lost, writes nothing and returns `false`. No
    /// other statements take a job out of `running`.
    pub(in crate::store::sqlite) fn write(
        &mut self,
        leaving: &Leaving<'_>,
        now: Timestamp,
    ) -> SqlResult<bool> {
        let Claim { id, attempt, worker } = leaving.claim;
        let (started, ended) = (leaving.started_at.as_microsecond(), now.as_microsecond());
        let (crashes, max_suspected) = match leaving.counts {
            Counted::Crash { max_suspected } => (1_i64, max_suspected),
            _ => (0, None),
        };
        let changed = match &leaving.next {
            Next::Completed { result } => {
                self.complete.execute(params![id.0, attempt, worker.0, result, started, ended])?
            }
            Next::Ended(status) => {
                let error = leaving.job_error();
                let mut end = self.conn.prepare_cached(sql::END)?;
                end.execute(params![
                    id.0,
                    attempt,
                    worker.0,
                    error,
                    started,
                    ended,
                    status.as_str(),
                    crashes
                ])?
            }
            Next::Pending { scheduled_at, is_due } => {
                let at = scheduled_at.map(Timestamp::as_microsecond);
                let retries = i64::from(leaving.counts == Counted::Retry);
                let is_begun = leaving.outcome.is_some();
                let mut give_back = self.conn.prepare_cached(sql::GIVE_BACK)?;
                give_back.execute(params![
                    id.0,
                    attempt,
                    worker.0,
                    leaving.job_error(),
                    started,
                    at,
                    is_due,
                    is_begun,
                    retries,
                    crashes,
                    max_suspected,
                ])?
            }
        };
        if changed > 0 {
            self.record(leaving, ended)?;
        }
        Ok(changed > 0)
    }

    /// Writes the attempt into the history, if it needs a row there.
    fn record(&self, leaving: &Leaving<'_>, ended: i64) -> SqlResult<()> {
        let Claim { id, attempt, worker } = leaving.claim;
        let Some(outcome) = leaving.outcome else { return Ok(()) };
        if leaving.is_first_success() {
            return Ok(());
        }
        let started = leaving.started_at.as_microsecond();
        let mut record = self.conn.prepare_cached(sql::RECORD_ATTEMPT)?;
        record.execute(params![id.0, attempt, started, ended, worker.0, outcome.as_str(), leaving.error])?;
        Ok(())
    }
}

/// How a job has ended, if it ended under exactly this claim and not by a crash.
pub(in crate::store::sqlite) fn end_under(conn: &Connection, claim: Claim) -> SqlResult<Option<Status>> {
    let mut ended = conn.prepare_cached(sql::ENDED_UNDER)?;
    let claim = params![claim.id.0, claim.attempt, claim.worker.0];
    let status: Option<String> = ended.query_row(claim, |row| row.get(0)).optional()?;
    Ok(status.map(|status| status.parse().unwrap_or(Status::Failed)))
}

/// Whether the history has this attempt of this worker, with this outcome.
pub(in crate::store::sqlite) fn has_attempt(
    conn: &Connection,
    claim: Claim,
    outcome: AttemptOutcome,
) -> SqlResult<bool> {
    let mut attempt = conn.prepare_cached(sql::HAS_ATTEMPT)?;
    attempt.exists(params![claim.id.0, claim.attempt, claim.worker.0, outcome.as_str()])
}

/// Makes at most `limit` due jobs ready, and returns their number.
pub(in crate::store::sqlite) fn promote(conn: &Connection, now: Timestamp, limit: usize) -> SqlResult<usize> {
    conn.prepare_cached(sql::PROMOTE)?.execute(params![now.as_microsecond(), limit as i64])
}

/// The next instant at which a job is due.
pub(in crate::store::sqlite) fn next_due(conn: &Connection) -> SqlResult<Option<Timestamp>> {
    let next: Option<i64> = conn.prepare_cached(sql::NEXT_DUE)?.query_row([], |row| row.get(0)).optional()?;
    Ok(next.map(rows::time))
}
