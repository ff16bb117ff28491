//! The verb *claim*: which ready jobs are first over all tasks and queues; one suspected job for each worker.
//!
//! Contains no SQL text: see `sql.rs`. Whether a job may be claimed is decided in `model/availability.rs`.
//! How many jobs a worker asks for is decided in `worker/claim_ahead.rs`.
//!
//! Depends on `sql` and `rows`.

use std::cmp::Reverse;

use rusqlite::{Connection, OptionalExtension, ffi, params};

use super::rows::{self, Pair};
use super::{SqlResult, sql};
use crate::model::clock::Timestamp;
use crate::model::job::WorkerId;
use crate::store::{ClaimRequest, ClaimedJob, Ticket};

/// Claims the first jobs in claim order over all requested tasks and queues. Looks for a suspected poison job
/// only if `suspected` is true: one waits.
///
/// The index is ordered by task and queue first, so a million jobs of other tasks cost nothing. If more than
/// one pair of task and queue has ready jobs, their jobs must be merged.
pub(in crate::store::sqlite) fn claim(
    conn: &Connection,
    want: &ClaimRequest,
    suspected: bool,
    now: Timestamp,
) -> SqlResult<Vec<ClaimedJob>> {
    let worker = want.worker;
    let mut first_ready = conn.prepare_cached(sql::FIRST_READY)?;
    let mut claimed: Vec<ClaimedJob> = Vec::new();
    let suspected_job = if suspected { first_suspected(conn, want, now)? } else { None };
    let (shares, with_suspected) = shares(conn, want, suspected_job.as_ref())?;
    for (pair, limit) in &shares {
        let (before, limit) = (claimed.len(), *limit as i64);
        let mut rows = first_ready.query(params![pair.0, pair.1, limit])?;
        while let Some(found) = rows.next()? {
            claimed.push(rows::claimed(found, pair, worker, Ticket::new(now, false))?);
        }
        drop(rows);
        let now = now.as_microsecond();
        let marked = match &claimed[before..] {
            // The usual case if the worker is fast enough. It needs no list of ids.
            [job] => conn.prepare_cached(sql::CLAIM_ONE)?.execute(params![job.claim.id.0, worker.0, now])?,
            _ => conn.prepare_cached(sql::CLAIM)?.execute(params![pair.0, pair.1, limit, worker.0, now])?,
        };
        if marked != claimed.len() - before {
            return Err(unclaimable());
        }
    }
    if let Some(job) = suspected_job.filter(|_| with_suspected) {
        let now = now.as_microsecond();
        if conn.prepare_cached(sql::CLAIM_ONE)?.execute(params![job.claim.id.0, worker.0, now])? != 1 {
            return Err(unclaimable());
        }
        claimed.push(job);
    }
    if shares.len() + usize::from(with_suspected) > 1 {
        claimed.sort_unstable_by_key(|job| (Reverse(job.priority), job.scheduled_at, job.claim.id));
    }
    Ok(claimed)
}

/// The error if the statement that marks the jobs changes other rows than were read. A job would then start
/// without a claim. A trigger of the application forbids the change, or the index does not match its table.
fn unclaimable() -> rusqlite::Error {
    let why = "jobs that are ready cannot be claimed: an index does not match its table, or a trigger refuses the change";
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(why.to_owned()))
}

/// The first suspected poison job that the request can claim, if the worker may hold one.
fn first_suspected(conn: &Connection, want: &ClaimRequest, now: Timestamp) -> SqlResult<Option<ClaimedJob>> {
    let worker = want.worker;
    if want.limit == 0 || holds_suspected(conn, worker)? {
        return Ok(None);
    }
    let mut first = conn.prepare_cached(sql::FIRST_SUSPECTED)?;
    let pairs = pairs(conn, sql::NEXT_SUSPECTED_PAIR, want, usize::MAX)?;
    let firsts = pairs.iter().map(|pair| {
        first.query_row(params![pair.0, pair.1, 1], |row| {
            rows::claimed(row, pair, worker, Ticket::new(now, true))
        })
    });
    let firsts: Vec<ClaimedJob> = firsts.collect::<SqlResult<_>>()?;
    Ok(firsts.into_iter().min_by_key(|job| (Reverse(job.priority), job.scheduled_at, job.claim.id)))
}

/// Whether a suspected poison job waits to be claimed.
pub(in crate::store::sqlite) fn has_suspected(conn: &Connection) -> SqlResult<bool> {
    conn.prepare_cached(sql::HAS_SUSPECTED)?.exists([])
}

/// Whether a worker holds a suspected poison job.
fn holds_suspected(conn: &Connection, worker: WorkerId) -> SqlResult<bool> {
    conn.prepare_cached(sql::HOLDS_SUSPECTED)?.exists([worker.0])
}

/// How many jobs of each pair of task and queue are among the first jobs in claim order, and whether the
/// suspected poison job is.
fn shares(
    conn: &Connection,
    want: &ClaimRequest,
    suspected_job: Option<&ClaimedJob>,
) -> SqlResult<(Vec<(Pair, usize)>, bool)> {
    let mut pairs = pairs(conn, sql::NEXT_READY_PAIR, want, usize::MAX)?;
    if pairs.len() <= 1 && suspected_job.is_none() {
        return Ok((pairs.pop().map(|pair| (pair, want.limit)).into_iter().collect(), false));
    }
    let mut statement = conn.prepare_cached(sql::READY)?;
    let place = |job: &ClaimedJob| {
        (Reverse(i64::from(job.priority)), job.scheduled_at.as_microsecond(), job.claim.id.0, None)
    };
    let mut heads: Vec<(Reverse<i64>, i64, i64, Option<usize>)> =
        suspected_job.map(place).into_iter().collect();
    for (index, (task, queue)) in pairs.iter().enumerate() {
        let mut rows = statement.query(params![task, queue, want.limit as i64])?;
        while let Some(row) = rows.next()? {
            let priority = row.get::<_, Option<i64>>(0)?.unwrap_or(0);
            let at = row.get::<_, Option<i64>>(1)?.unwrap_or(0);
            heads.push((Reverse(priority), at, row.get(2)?, Some(index)));
        }
    }
    heads.sort_unstable();
    let mut shares: Vec<(Pair, usize)> = pairs.into_iter().map(|pair| (pair, 0)).collect();
    let mut with_suspected = false;
    for (.., index) in heads.into_iter().take(want.limit) {
        match index {
            Some(index) => shares[index].1 += 1,
            None => with_suspected = true,
        }
    }
    shares.retain(|(_, limit)| *limit > 0);
    Ok((shares, with_suspected))
}

/// Whether a ready job exists that the request can claim and that the worker may hold.
pub(in crate::store::sqlite) fn has_ready(conn: &Connection, want: &ClaimRequest) -> SqlResult<bool> {
    if !pairs(conn, sql::NEXT_READY_PAIR, want, 1)?.is_empty() {
        return Ok(true);
    }
    Ok(has_suspected(conn)?
        && !holds_suspected(conn, want.worker)?
        && !pairs(conn, sql::NEXT_SUSPECTED_PAIR, want, 1)?.is_empty())
}

/// The first `limit` requested pairs of task and queue that have ready jobs. They are found by skipping
/// through the index that `next` reads. The index contains bytes. Bytes that are not UTF-8 cannot be the name
/// of a task or queue and are skipped.
fn pairs(conn: &Connection, next: &str, want: &ClaimRequest, limit: usize) -> SqlResult<Vec<Pair>> {
    let mut statement = conn.prepare_cached(next)?;
    let mut next = |after: &(rows::Bytes, rows::Bytes)| -> SqlResult<Option<(rows::Bytes, rows::Bytes)>> {
        statement.query_row(params![after.0, after.1], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    };
    let mut pairs = Vec::new();
    let mut last = Default::default();
    while pairs.len() < limit
        && let Some(pair) = next(&last)?
    {
        if let (Some(task_name), Some(queue)) = (pair.0.as_text(), pair.1.as_text())
            && want.takes(task_name, queue)
        {
            pairs.push((task_name.to_owned(), queue.to_owned()));
        }
        last = pair;
    }
    Ok(pairs)
}
