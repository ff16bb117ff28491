//! The verb *progress*: writes the progress of a running job.
//!
//! Contains no SQL text: see `sql.rs`. Which of several values is written is decided in `store/progress.rs`.
//!
//! Depends on `sql`.

use rusqlite::{Connection, params};

use super::{SqlResult, sql};
use crate::model::job::Progress;
use crate::store::Claim;

/// Stores the progress of a running job. If its claim is lost, stores nothing.
pub(in crate::store::sqlite) fn report_progress(
    conn: &Connection,
    claim: Claim,
    progress: &Progress,
) -> SqlResult<()> {
    let Claim { id, attempt, worker } = claim;
    let mut statement = conn.prepare_cached(sql::REPORT_PROGRESS)?;
    statement.execute(params![id.0, attempt, worker.0, progress.fraction, progress.message])?;
    Ok(())
}
