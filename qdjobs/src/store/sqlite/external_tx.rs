//! Jobs in a transaction that is the caller's: the one place beside the store itself that accepts a rusqlite connection.
//!
//! Leans on `verbs`. Begins and commits no transaction of the caller's; a job stored outside of one is a transaction of its own.

use rusqlite::{Connection, Savepoint, Transaction};
use serde_json::json;

use crate::model::clock::{Clock, Timestamp};
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::idempotency::check_all;
use crate::model::job::{JobId, NewJob, RunAt};
use crate::queue::request::Enqueue;
use crate::store::sqlite::connection::{error, migrate};
use crate::store::sqlite::queries::{self, sql};
use crate::store::{Claim, FinishedJob, SqlStatement};

impl Enqueue for Connection {
    type Answer<R> = Result<JobId>;

    fn accept<R>(&self, job: Result<NewJob>) -> Self::Answer<R> {
        let job = job?;
        let now = Clock::system().now();
        job.check(now)?;
        whole(self, |conn| queries::insert_in(conn, &job, now))
    }
}

impl Enqueue for Transaction<'_> {
    type Answer<R> = Result<JobId>;

    fn accept<R>(&self, job: Result<NewJob>) -> Self::Answer<R> {
        Connection::accept::<R>(self, job)
    }
}

impl Enqueue for Savepoint<'_> {
    type Answer<R> = Result<JobId>;

    fn accept<R>(&self, job: Result<NewJob>) -> Self::Answer<R> {
        Connection::accept::<R>(self, job)
    }
}

/// Completes a job in the caller's transaction. With `durable`, a connection that does not sync its commits is refused.
pub(crate) fn complete_in(
    tx: &Connection,
    finished: &FinishedJob,
    now: Timestamp,
    durable: bool,
) -> Result<()> {
    let synchronous: i64 =
        tx.query_row("PRAGMA synchronous", [], |row| row.get(0)).map_err(error::before_commit)?;
    if durable && synchronous < 2 {
        return Err(Error::new(
            ErrorKind::Config,
            "this connection does not sync its commits (`synchronous` is below FULL), so a power cut could take a completed job's \
             work back",
        )
        .help("run `PRAGMA synchronous = FULL` on it, or open the queue with `Durability::Relaxed`"));
    }
    let claim = finished.claim;
    whole(tx, |conn| match queries::complete_in(conn, finished, now) {
        Err(error)
            if error.kind() == ErrorKind::LeaseLost
                && queries::ended_under(conn, claim).map_err(error::before_commit)?.is_some() =>
        {
            Err(ended_before(claim))
        }
        completed => completed,
    })
}

fn ended_before(claim: Claim) -> Error {
    Error::new(
        ErrorKind::LeaseLost,
        format!("job {} has ended already, under this very attempt, so it cannot be completed here", claim.id),
    )
    .help(
        "return this error, so that your transaction is rolled back; complete a job once, and before its timeout",
    )
}

/// Writes in a transaction that is not ours, all or nothing: its owner may commit in spite of an error. What a later version of the schema has
/// to say against it is asked last, since the lock has to come first.
///
/// Outside of a transaction the savepoint is one, and its release is the commit, with all the doubts of a commit.
fn whole<T>(conn: &Connection, write: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    let step = |sql| {
        conn.prepare_cached(sql).and_then(|mut step| step.execute([]).map(drop)).map_err(error::before_commit)
    };
    let is_outermost = conn.is_autocommit();
    step("SAVEPOINT qdjobs")?;
    let written = write(conn).and_then(|written| {
        migrate::refuse_newer_schema(conn)?;
        let mut release = conn.prepare_cached("RELEASE qdjobs").map_err(error::before_commit)?;
        match release.execute([]) {
            Ok(_) => Ok(written),
            // Whether the transaction is over is not to be asked: SQLite keeps the savepoint, with nothing in it any more.
            Err(error) if is_outermost => Err(error::in_commit(error, false)),
            Err(error) => Err(error::before_commit(error)),
        }
    });
    // After some faults SQLite has rolled everything back on its own, and there is no savepoint any more.
    if written.is_err() && !conn.is_autocommit() {
        if is_outermost {
            // Whatever this says, the error to tell is the one above.
            let _ = step("ROLLBACK");
        } else {
            step("ROLLBACK TO qdjobs")?;
            step("RELEASE qdjobs")?;
        }
    }
    written
}

/// The jobs as the parameter of [`sql::INSERT_JSON`].
pub(super) fn statement(jobs: &[NewJob], now: Timestamp) -> Result<SqlStatement> {
    check_all(jobs, now)?;
    let jobs = jobs.iter().map(|job| {
        let mut value = json!({
            "task_name": job.task_name, "name": job.name, "params": job.params, "queue": job.queue,
            "priority": job.priority, "max_retries": job.max_retries, "metadata": job.metadata,
            "idempotency_key": job.idempotency_key,
        });
        match job.run_at {
            RunAt::Now => {}
            RunAt::After(wait) => value["after"] = json!(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)),
            RunAt::At(at) => value["at"] = json!(at.as_microsecond()),
        }
        value
    });
    let jobs: Vec<serde_json::Value> = jobs.collect();
    Ok(SqlStatement { sql: sql::INSERT_JSON.trim_ascii(), json: serde_json::Value::Array(jobs).to_string() })
}
