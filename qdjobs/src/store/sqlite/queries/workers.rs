//! The verbs *register*, *heartbeat* and *release*: writes the table of workers, and finds the jobs that a
//! worker holds.
//!
//! Contains no SQL text: see `sql.rs`. Whether a worker is dead is decided in `model/lease.rs` and by the
//! worker locks.
//!
//! Depends on `sql` and `rows`.

use rusqlite::{Connection, OptionalExtension, params};

use super::{SqlResult, rows, sql};
use crate::model::clock::Timestamp;
use crate::model::crash_count::Beside;
use crate::model::job::{JobId, WorkerId};
use crate::store::engine::leave_running::Held;
use crate::store::{WorkerInfo, WorkerState};

/// Registers a worker; `false` if it is already registered.
pub(in crate::store::sqlite) fn register_worker(
    conn: &Connection,
    worker: &WorkerInfo,
    wake_socket: Option<&str>,
    now: Timestamp,
) -> SqlResult<bool> {
    let started = now.as_microsecond();
    let mut register = conn.prepare_cached(sql::REGISTER_WORKER)?;
    Ok(register.execute(params![worker.id.0, worker.host, worker.pid, started, wake_socket])? > 0)
}

pub(in crate::store::sqlite) fn is_registered(conn: &Connection, worker: WorkerId) -> SqlResult<bool> {
    conn.prepare_cached(sql::IS_REGISTERED)?.exists([worker.0])
}

/// Counts a heartbeat; `false` if the worker is not registered.
pub(in crate::store::sqlite) fn heartbeat(conn: &Connection, worker: WorkerId) -> SqlResult<bool> {
    Ok(conn.prepare_cached(sql::HEARTBEAT)?.execute([worker.0])? > 0)
}

/// The heartbeats of a registered worker.
pub(in crate::store::sqlite) fn heartbeats(conn: &Connection, worker: WorkerId) -> SqlResult<Option<u64>> {
    let heartbeats = conn.prepare_cached(sql::HEARTBEATS)?.query_row([worker.0], |row| row.get::<_, i64>(0));
    // Converted as in `WorkerState`.
    Ok(heartbeats.optional()?.map(|heartbeats| u64::try_from(heartbeats).unwrap_or(0)))
}

/// The socket that wakes a worker's process.
pub(in crate::store::sqlite) fn wake_socket(
    conn: &Connection,
    worker: WorkerId,
) -> SqlResult<Option<String>> {
    let mut socket = conn.prepare_cached(sql::WAKE_SOCKET)?;
    let socket = socket.query_row([worker.0], |row| row.get(0)).optional()?;
    Ok(socket.flatten().map(|rows::Text(socket)| socket))
}

/// Removes a worker; `false` if it is not registered. The same transaction must release its jobs.
pub(in crate::store::sqlite) fn remove_worker(conn: &Connection, worker: WorkerId) -> SqlResult<bool> {
    Ok(conn.prepare_cached(sql::REMOVE_WORKER)?.execute([worker.0])? > 0)
}

/// The jobs that a worker holds.
pub(in crate::store::sqlite) fn held_by(
    conn: &Connection,
    worker: WorkerId,
    now: Timestamp,
) -> SqlResult<Vec<Held>> {
    let mut held = conn.prepare_cached(sql::HELD_BY)?;
    held.query_map([worker.0], |row| rows::held(row, now))?.collect()
}

/// The jobs that the other workers of its process hold, or held when they were released as dead after `since`.
pub(in crate::store::sqlite) fn held_beside(
    conn: &Connection,
    worker: WorkerId,
    since: Timestamp,
) -> SqlResult<Beside> {
    let process = worker.process();
    let mut held = conn.prepare_cached(sql::HELD_BESIDE)?;
    let mut rows = held.query([*process.start(), *process.end(), worker.0, since.as_microsecond()])?;
    let mut beside = Beside::default();
    while let Some(row) = rows.next()? {
        beside.add(rows::count(row.get(0)?));
        beside.has_failed |= row.get::<_, bool>(1)?;
    }
    Ok(beside)
}

/// Subtracts the crashes that pending and running jobs share with `poison`. Returns how many jobs were changed.
pub(in crate::store::sqlite) fn clear_crashes_shared_with(
    conn: &Connection,
    poison: JobId,
) -> SqlResult<usize> {
    conn.prepare_cached(sql::CLEAR_SHARED_CRASHES)?.execute([poison.0])
}

/// Running jobs whose worker is not registered.
pub(in crate::store::sqlite) fn orphans(conn: &Connection, now: Timestamp) -> SqlResult<Vec<Held>> {
    let mut orphans = conn.prepare_cached(sql::ORPHANS)?;
    orphans.query_map([], |row| rows::held(row, now))?.collect()
}

/// The registered workers, oldest first.
pub(in crate::store::sqlite) fn workers(conn: &Connection) -> SqlResult<Vec<WorkerState>> {
    conn.prepare_cached(sql::WORKERS)?.query_map([], rows::worker)?.collect()
}
