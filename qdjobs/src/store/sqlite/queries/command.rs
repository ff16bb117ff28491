//! The verb *command*: writes a retry, cancel or delete by hand, once it is permitted.
//!
//! Contains no SQL text: see `sql.rs`. Which commands are permitted is decided in `store/command.rs`.
//!
//! Depends on `sql`.

use rusqlite::{Connection, params};

use super::{SqlResult, sql};
use crate::model::availability::Availability;
use crate::model::clock::Timestamp;
use crate::store::JobCommand;

/// Changes one job.
pub(in crate::store::sqlite) fn command(
    conn: &Connection,
    command: JobCommand,
    now: Timestamp,
) -> SqlResult<()> {
    let now = now.as_microsecond();
    match command {
        JobCommand::Retry(id) => {
            // Its crash count becomes 0, so it is no longer a suspected poison job.
            let availability = Availability::due(false) as i64;
            conn.prepare_cached(sql::RETRY_BY_HAND)?.execute(params![id.0, now, availability])?
        }
        JobCommand::Cancel(id) => conn.prepare_cached(sql::CANCEL)?.execute(params![id.0, now])?,
        JobCommand::Delete(id) => conn.prepare_cached(sql::DELETE)?.execute([id.0])?,
    };
    Ok(())
}
