//! Jobs in a caller's own transaction: rusqlite transactions, and SQL statements for other drivers.
//!
//! Begins and commits no transaction of the caller's. A job stored outside of a transaction is a transaction
//! of its own. The traits are in `store/enqueue.rs` and `store/completion.rs`.
//!
//! Depends on `queries` and on these traits.

use rusqlite::{Connection, Savepoint, Transaction};
use serde_json::{Value, json};

use crate::model::clock::{Clock, Timestamp};
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::idempotency::check_all;
use crate::model::job::{JobId, NewJob};
use crate::model::retry::Verdict;
use crate::store::enqueue::enqueue_through_references;
use crate::store::sqlite::connection::{error, migrate};
use crate::store::sqlite::queries::{self, sql};
use crate::store::{
    Claim, Completion, CompletionTarget, Enqueue, EnqueueAt, FinishedJob, Foreign, SqlStatement,
};

/// Implements the targets for a reference to a type that derefs to [`Connection`].
macro_rules! enqueue_targets {
    ($($target:ty),*) => {$(
        impl Enqueue for &$target {
            type Answer<R> = Result<JobId>;

            fn accept<R>(self, job: Result<NewJob>) -> Result<JobId> {
                insert(self, job, Clock::system().now())
            }
        }

        impl EnqueueAt for &$target {
            fn accept_at<R>(self, job: Result<NewJob>, now: Timestamp) -> Result<JobId> {
                insert(self, job, now)
            }
        }
    )*};
}

enqueue_targets!(Connection, Transaction<'_>, Savepoint<'_>);
enqueue_through_references!(
    Connection => Result<JobId>, Transaction<'_> => Result<JobId>, Savepoint<'_> => Result<JobId>
);

fn insert(conn: &Connection, job: Result<NewJob>, now: Timestamp) -> Result<JobId> {
    let job = job?;
    job.check(now)?;
    all_or_nothing(conn, |conn| queries::insert::insert_in(conn, &job, now))
}

impl CompletionTarget for &Transaction<'_> {
    type Answer = Result<()>;

    fn run(self, completion: Result<Completion>) -> Result<()> {
        complete(self, &completion?)
    }
}

impl CompletionTarget for &Savepoint<'_> {
    type Answer = Result<()>;

    fn run(self, completion: Result<Completion>) -> Result<()> {
        complete(self, &completion?)
    }
}

/// Completes a job in the caller's transaction. For a durable store, a connection that does not sync its
/// commits is refused.
fn complete(tx: &Connection, completion: &Completion) -> Result<()> {
    let synchronous: i64 =
        tx.query_row("PRAGMA synchronous", [], |row| row.get(0)).map_err(error::before_commit(tx))?;
    if completion.is_durable() && synchronous < 2 {
        return Err(Error::new(
            ErrorKind::Config,
            "this connection does not sync its commits (`synchronous` is below FULL): a power failure could undo \
             the work of a completed job",
        )
        .in_database(error::path(tx))
        .help(
            "run `PRAGMA synchronous = FULL` on the connection before the transaction begins, or open the queue with \
             `Durability::Relaxed`",
        ));
    }
    let SqlStatement { sql, json } = completion.statement();
    all_or_nothing(tx, |conn| {
        let completed = conn.prepare_cached(sql).and_then(|mut complete| {
            // Read all rows: if a statement is reset before its end, SQLite may undo it.
            let mut rows = complete.query([json])?;
            let held = rows.next()?.is_some();
            while rows.next()?.is_some() {}
            Ok(held)
        });
        if completed.map_err(error::before_commit(conn))? {
            return Ok(());
        }
        let claim = completion.claim();
        match queries::finish::end_under(conn, claim).map_err(error::before_commit(conn))? {
            Some(_) => Err(ended_before(claim)),
            None => Err(completion.lost()),
        }
    })
}

fn ended_before(claim: Claim) -> Error {
    Error::new(
        ErrorKind::LeaseLost,
        format!("this attempt of job {} has already ended, so it cannot complete the job", claim.id),
    )
    .help(
        "return this error, so that your transaction is rolled back; complete a job once, and before its timeout",
    )
}

/// Writes everything or nothing in the caller's transaction: the caller may commit in spite of an error.
///
/// The schema version is checked after the write, because the write takes the lock. Outside of a transaction,
/// the savepoint is the transaction, and its release is the commit, whose outcome can be unknown. A caller's
/// transaction that meets a lock did not begin with IMMEDIATE.
fn all_or_nothing<T>(conn: &Connection, write: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    let step = |sql| {
        conn.prepare_cached(sql)
            .and_then(|mut step| step.execute([]).map(drop))
            .map_err(error::before_commit(conn))
    };
    let is_outermost = conn.is_autocommit();
    step("SAVEPOINT qdjobs")?;
    let written = write(conn).and_then(|written| {
        migrate::refuse_newer_schema(conn)?;
        let mut release = conn.prepare_cached("RELEASE qdjobs").map_err(error::before_commit(conn))?;
        match release.execute([]) {
            Ok(_) => Ok(written),
            Err(error) if is_outermost => Err(error::in_release(conn)(error)),
            Err(error) => Err(error::before_commit(conn)(error)),
        }
    });
    // After some faults, SQLite has rolled back everything, including the savepoint.
    if written.is_err() && !conn.is_autocommit() {
        if is_outermost {
            // Return the error above, even if this statement fails, too.
            let _ = step("ROLLBACK");
        } else {
            step("ROLLBACK TO qdjobs")?;
            step("RELEASE qdjobs")?;
        }
    }
    written.map_err(|error| match error.kind() {
        ErrorKind::Busy if !is_outermost => error::begun_deferred(conn),
        _ => error,
    })
}

/// A write as a statement with one text parameter, for a caller's own transaction on another driver.
pub(super) fn statement(what: Foreign<'_>, now: Timestamp) -> Result<SqlStatement> {
    match what {
        Foreign::Insert(jobs) => insert_statement(jobs, now),
        Foreign::Complete(finished) => complete_statement(finished, now),
    }
}

/// The jobs as the parameter of [`sql::INSERT_JSON`].
fn insert_statement(jobs: &[NewJob], now: Timestamp) -> Result<SqlStatement> {
    check_all(jobs, now)?;
    let jobs = jobs.iter().map(queries::rows::new_job_json);
    Ok(SqlStatement::new(sql::INSERT_JSON.trim_ascii(), Value::Array(jobs.collect()).to_string()))
}

/// The completion as the parameter of [`sql::COMPLETE_JSON`].
fn complete_statement(finished: &FinishedJob, now: Timestamp) -> Result<SqlStatement> {
    let Verdict::Complete { result } = &finished.verdict else {
        return Err(Error::new(
            ErrorKind::Config,
            "a task can write only a completion in its own transaction",
        )
        .help("return the error or the cancellation from the task instead"));
    };
    let Claim { id, attempt, worker } = finished.claim;
    let started_at = finished.ticket.started_at(finished.began_after, now);
    let completion = json!({
        "id": id.0, "attempt": attempt, "worker_id": worker.0, "result": result,
        "started_at": started_at.as_microsecond(), "completed_at": now.as_microsecond(),
    });
    Ok(SqlStatement::new(sql::COMPLETE_JSON.trim_ascii(), completion.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::job::{AttemptOutcome, Status, WorkerId};
    use crate::store::sqlite::{SqliteOptions, SqliteStore, scratch};
    use crate::store::{ClaimRequest, Store, TaskSet, WorkerInfo};

    const WORKER: WorkerId = WorkerId(7);

    /// Claims the only job, whose attempt then completes with this result.
    fn claimed(store: &SqliteStore, result: &str) -> FinishedJob {
        let request = ClaimRequest::new(WORKER, Arc::new(TaskSet::new(["a"])), 1);
        let job = store.claim(request).wait().unwrap().claimed.remove(0);
        FinishedJob {
            claim: job.claim,
            ticket: job.ticket,
            began_after: Duration::from_millis(1),
            verdict: Verdict::Complete { result: result.into() },
        }
    }

    #[test]
    fn the_statement_of_a_completion_returns_a_row_if_the_claim_holds_the_job_and_none_if_it_is_lost() {
        let dir = scratch("complete-statement");
        let path = dir.join("jobs.db");
        let store = SqliteStore::open(&path, SqliteOptions::default(), Clock::system()).unwrap();
        store.register_worker(WorkerInfo::new(WORKER, "here", 1)).wait().unwrap();
        let id = store.insert_blocking(vec![NewJob::new("a", "{}")]).unwrap()[0];

        // The first attempt is released, so that the second one has a history.
        let first = claimed(&store, "1");
        let released = Verdict::Release { wait: Duration::ZERO, started: true };
        let mut request = ClaimRequest::new(WORKER, Arc::default(), 0);
        request.finished = Arc::new(vec![FinishedJob { verdict: released, ..first.clone() }]);
        store.claim(request).wait().unwrap();
        let second = claimed(&store, r#""a\u0000 \" result""#);

        let db = Connection::open(&path).unwrap();
        let run = |finished: &FinishedJob| {
            let statement = store.statement(Foreign::Complete(finished)).unwrap();
            let mut prepared = db.prepare(&statement.sql).unwrap();
            let rows = prepared.query_map([&statement.json], |row| row.get::<_, i64>(0)).unwrap();
            rows.map(Result::unwrap).collect::<Vec<_>>()
        };
        assert_eq!(run(&first), [0; 0], "its claim is lost");
        assert_eq!(run(&second), [id.0]);
        assert_eq!(run(&second), [0; 0], "it is complete");

        let job = store.get(id).wait().unwrap().unwrap();
        assert_eq!((job.status, job.attempt, job.worker_id), (Status::Completed, 2, Some(WORKER)));
        assert_eq!(job.result.as_deref(), Some(r#""a\u0000 \" result""#));
        let outcomes: Vec<_> = store.attempts(id).wait().unwrap().iter().map(|it| it.outcome).collect();
        assert_eq!(outcomes, [AttemptOutcome::Released, AttemptOutcome::Completed]);
        drop(db);
        store.close();
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn only_a_completion_has_a_statement() {
        let dir = scratch("complete-only");
        let store =
            SqliteStore::open(&dir.join("jobs.db"), SqliteOptions::default(), Clock::system()).unwrap();
        store.register_worker(WorkerInfo::new(WORKER, "here", 1)).wait().unwrap();
        store.insert_blocking(vec![NewJob::new("a", "{}")]).unwrap();
        let failed = FinishedJob { verdict: Verdict::Fail { error: "no".into() }, ..claimed(&store, "1") };
        let refused = store.statement(Foreign::Complete(&failed)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Config);
        store.close();
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
