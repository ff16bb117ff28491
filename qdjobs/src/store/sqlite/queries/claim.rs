//! The verb *claim*: which ready jobs are first over all tasks and queues, and how many suspected poison jobs
//! are among them.
//!
//! Contains no SQL text: see `sql.rs`. Whether a job may be claimed is decided in `model/availability.rs`, and
//! how many suspected jobs may be held together in `model/crash_count.rs`.
//! How many jobs a worker asks for is decided in `worker/claim_ahead.rs`.
//!
//! Depends on `sql` and `rows`.

use std::cmp::Reverse;

use rusqlite::{Connection, OptionalExtension, Row, ffi, params};

use super::rows::{self, Pair};
use super::{SqlResult, sql};
use crate::model::clock::Timestamp;
use crate::model::crash_count::SuspectedGroup;
use crate::model::job::WorkerId;
use crate::store::sqlite::connection::error::UNCLAIMABLE;
use crate::store::{ClaimRequest, ClaimedJob, Ticket};

/// Claims the first jobs in claim order over all requested tasks and queues. Looks for suspected poison jobs only
/// if `suspected` is true: one waits.
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
    let suspected_jobs = if suspected { first_suspected(conn, want)? } else { Vec::new() };
    let (shares, suspected) = shares(conn, want, &suspected_jobs)?;
    for (pair, limit) in &shares {
        let (before, limit) = (claimed.len(), *limit as i64);
        let mut rows = first_ready.query(params![pair.0, pair.1, limit])?;
        while let Some(found) = rows.next()? {
            claimed.push(rows::claimed(found, pair, worker, Ticket::new(now))?);
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
    for Suspected { place: (.., id), pair, .. } in suspected_jobs.into_iter().take(suspected) {
        let job = conn
            .prepare_cached(sql::READY_JOB)?
            .query_row([id], |row| rows::claimed(row, &pair, worker, Ticket::new(now)))?;
        let now = now.as_microsecond();
        if conn.prepare_cached(sql::CLAIM_ONE)?.execute(params![id, worker.0, now])? != 1 {
            return Err(unclaimable());
        }
        claimed.push(job);
    }
    if shares.len() + suspected > 1 {
        claimed.sort_unstable_by_key(|job| (Reverse(job.priority), job.scheduled_at, job.claim.id));
    }
    Ok(claimed)
}

/// The error if the statement that marks the jobs changes other rows than were read. A job would then start
/// without a claim. A trigger of the application forbids the change, or the index does not match its table.
fn unclaimable() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(UNCLAIMABLE.to_owned()))
}

/// The place of a job in the claim order.
type Place = (Reverse<i64>, i64, i64);

/// A suspected poison job that a request can claim.
struct Suspected {
    place: Place,
    pair: Pair,
    max_suspected: Option<i64>,
}

/// The first suspected poison jobs in claim order that the worker may hold together with those that it holds:
/// up to the first one that it may not. So none is passed over for ever.
fn first_suspected(conn: &Connection, want: &ClaimRequest) -> SqlResult<Vec<Suspected>> {
    let mut held = held_suspected(conn, want.worker)?;
    if want.limit == 0 || held.is_full() {
        return Ok(Vec::new());
    }
    let mut statement = conn.prepare_cached(sql::SUSPECTED)?;
    let mut jobs: Vec<Suspected> = Vec::new();
    for pair in pairs(conn, sql::NEXT_SUSPECTED_PAIR, want, usize::MAX)? {
        let found = statement
            .query_map(params![pair.0, pair.1, want.limit as i64], |row| Ok((place(row)?, row.get(3)?)))?;
        // Reads on to the first one that does not fit: that one ends the merged list, too.
        let mut of_pair = held;
        for job in found {
            let (place, max_suspected) = job?;
            let fits = of_pair.add(max_suspected);
            jobs.push(Suspected { place, pair: pair.clone(), max_suspected });
            if !fits {
                break;
            }
        }
    }
    jobs.sort_unstable_by_key(|job| job.place);
    Ok(jobs.into_iter().take_while(|job| held.add(job.max_suspected)).collect())
}

/// Reads a row of [`sql::READY`] or [`sql::SUSPECTED`].
fn place(row: &Row<'_>) -> SqlResult<Place> {
    let priority = row.get::<_, Option<i64>>(0)?.unwrap_or(0);
    let at = row.get::<_, Option<i64>>(1)?.unwrap_or(0);
    Ok((Reverse(priority), at, row.get(2)?))
}

/// The suspected poison jobs that the workers of its process hold.
fn held_suspected(conn: &Connection, worker: WorkerId) -> SqlResult<SuspectedGroup> {
    let mut held = conn.prepare_cached(sql::HELD_SUSPECTED)?;
    let process = worker.process();
    held.query_row([*process.start(), *process.end()], |row| {
        let count: i64 = row.get(0)?;
        Ok(SuspectedGroup::new(count as usize, row.get(1)?))
    })
}

/// Whether a suspected poison job waits to be claimed.
pub(in crate::store::sqlite) fn has_suspected(conn: &Connection) -> SqlResult<bool> {
    conn.prepare_cached(sql::HAS_SUSPECTED)?.exists([])
}

/// How many jobs of each pair of task and queue are among the first jobs in claim order, and how many of the
/// suspected poison jobs.
fn shares(
    conn: &Connection,
    want: &ClaimRequest,
    suspected_jobs: &[Suspected],
) -> SqlResult<(Vec<(Pair, usize)>, usize)> {
    let mut pairs = pairs(conn, sql::NEXT_READY_PAIR, want, usize::MAX)?;
    if pairs.len() <= 1 && suspected_jobs.is_empty() {
        return Ok((pairs.pop().map(|pair| (pair, want.limit)).into_iter().collect(), 0));
    }
    let mut statement = conn.prepare_cached(sql::READY)?;
    let mut heads: Vec<(Place, Option<usize>)> = suspected_jobs.iter().map(|job| (job.place, None)).collect();
    for (index, (task, queue)) in pairs.iter().enumerate() {
        let mut rows = statement.query(params![task, queue, want.limit as i64])?;
        while let Some(row) = rows.next()? {
            heads.push((place(row)?, Some(index)));
        }
    }
    heads.sort_unstable();
    let mut shares: Vec<(Pair, usize)> = pairs.into_iter().map(|pair| (pair, 0)).collect();
    let mut suspected = 0;
    for (_, index) in heads.into_iter().take(want.limit) {
        match index {
            Some(index) => shares[index].1 += 1,
            None => suspected += 1,
        }
    }
    shares.retain(|(_, limit)| *limit > 0);
    Ok((shares, suspected))
}

/// Whether a ready job exists that the request can claim and that the worker may hold.
pub(in crate::store::sqlite) fn has_ready(conn: &Connection, want: &ClaimRequest) -> SqlResult<bool> {
    if !pairs(conn, sql::NEXT_READY_PAIR, want, 1)?.is_empty() {
        return Ok(true);
    }
    let want = ClaimRequest { limit: 1, ..want.clone() };
    Ok(has_suspected(conn)? && !first_suspected(conn, &want)?.is_empty())
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
