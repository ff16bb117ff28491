//! What the guide says about the statements with sqlx and diesel: ids, keys, changed rows, and transactions without
//! IMMEDIATE.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, mpsc};

use diesel::Connection as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use qdjobs::JobId;
use qdjobs::prelude::*;
use qdjobs::rusqlite::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteError};
use sqlx::{AssertSqlSafe, SqlitePool};

#[task("count")]
fn count(number: i64) -> i64 {
    number
}

fn workspace() -> (tempfile::TempDir, PathBuf, JobQueue) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jobs.db");
    let queue = JobQueue::open(&file).unwrap();
    (dir, file, queue)
}

/// Two jobs with a key and one without.
fn jobs() -> [qdjobs::JobRequest<i64>; 3] {
    [Count::new(1).idempotency_key("one"), Count::new(2).request(), Count::new(3).idempotency_key("three")]
}

async fn pool(file: &Path) -> SqlitePool {
    SqlitePool::connect_with(SqliteConnectOptions::new().filename(file)).await.unwrap()
}

#[tokio::test]
async fn with_sqlx_the_statement_returns_the_ids_of_new_jobs_and_of_those_that_held_their_key() {
    let (_dir, file, queue) = workspace();
    let pool = pool(&file).await;
    let three = Count::new(3).idempotency_key("three").enqueue(&queue).unwrap().id();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let statement = queue.insert_statement(jobs()).unwrap();
        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let ids: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(statement.sql))
            .bind(statement.json)
            .fetch_all(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        seen.push(ids);
    }
    assert_eq!((seen[0][2], seen[1][2], seen[0][0]), (three.0, three.0, seen[1][0]), "{seen:?}");
    assert_eq!(queue.counts().unwrap().total(), 4);
    assert_eq!(queue.get(JobId(seen[1][1])).unwrap().unwrap().params, r#"{"number":2}"#);
}

#[derive(QueryableByName)]
struct StoredJob {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[test]
fn with_diesel_the_statement_returns_the_ids_of_new_jobs_and_of_those_that_held_their_key() {
    let (_dir, file, queue) = workspace();
    let mut db = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    let three = Count::new(3).idempotency_key("three").enqueue(&queue).unwrap().id();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let statement = queue.insert_statement(jobs()).unwrap();
        let stored: Vec<StoredJob> = db
            .immediate_transaction(|db| {
                diesel::sql_query(statement.sql).bind::<Text, _>(statement.json).load(db)
            })
            .unwrap();
        seen.push(stored.iter().map(|job| job.id).collect::<Vec<_>>());
    }
    assert_eq!((seen[0][2], seen[1][2], seen[0][0]), (three.0, three.0, seen[1][0]), "{seen:?}");
    assert_eq!(queue.counts().unwrap().total(), 4);
}

/// Gets the number of rows that each execution of a completion has changed.
type Changed = mpsc::Sender<u64>;

/// Completes its job, and then once more: the attempt does not hold it any longer.
#[task("complete.sqlx")]
async fn complete_with_sqlx(
    ctx: &JobContext,
    #[state] pool: &SqlitePool,
    #[state] changed: &Changed,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let completion = ctx.completion_statement(&())?;
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    for _ in 0..2 {
        let complete = sqlx::query(AssertSqlSafe(completion.sql.clone())).bind(completion.json.clone());
        changed.send(complete.execute(&mut *tx).await?.rows_affected())?;
    }
    Ok(tx.commit().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_sqlx_a_completion_changes_one_row_and_none_when_the_attempt_has_lost_its_job() {
    let (_dir, file, queue) = workspace();
    let (changed, seen) = mpsc::channel::<u64>();
    let worker = Worker::new(&queue).task::<CompleteWithSqlx>().state(pool(&file).await).state(changed);
    let worker = worker.start().unwrap();
    CompleteWithSqlx::new().enqueue(&queue.to_async()).await.unwrap().await.unwrap();
    assert_eq!([seen.recv(), seen.recv()], [Ok(1), Ok(0)]);
    worker.stop().unwrap();
}

/// As `complete.sqlx`.
#[task("complete.diesel")]
fn complete_with_diesel(
    ctx: &JobContext,
    #[state] db: &Mutex<SqliteConnection>,
    #[state] changed: &Changed,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let completion = ctx.completion_statement(&())?;
    db.lock().unwrap().immediate_transaction(|db| {
        for _ in 0..2 {
            let complete = diesel::sql_query(&*completion.sql).bind::<Text, _>(&completion.json);
            changed.send(complete.execute(db)? as u64)?;
        }
        Ok(())
    })
}

#[test]
fn with_diesel_a_completion_changes_one_row_and_none_when_the_attempt_has_lost_its_job() {
    let (_dir, file, queue) = workspace();
    let (changed, seen) = mpsc::channel::<u64>();
    let db = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    let worker = Worker::new(&queue).task::<CompleteWithDiesel>().state(Mutex::new(db)).state(changed);
    let worker = worker.start().unwrap();
    CompleteWithDiesel::new().enqueue(&queue).unwrap().wait().unwrap();
    assert_eq!([seen.recv(), seen.recv()], [Ok(1), Ok(0)]);
    worker.stop().unwrap();
}

/// `SQLITE_BUSY_SNAPSHOT`, the extended code of `database is locked`.
const BUSY_SNAPSHOT: &str = "517";

#[tokio::test]
async fn a_transaction_of_sqlx_that_began_without_immediate_and_has_read_before_is_refused() {
    let (_dir, file, queue) = workspace();
    let pool = pool(&file).await;
    let statement = queue.insert_statement([Count::new(1)]).unwrap();
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM qdjobs_jobs").fetch_one(&mut *tx).await.unwrap();
    Count::new(2).enqueue(&queue).unwrap();
    let insert = sqlx::query(AssertSqlSafe(statement.sql)).bind(statement.json);
    let error = insert.execute(&mut *tx).await.unwrap_err();
    let database = error.as_database_error().unwrap().downcast_ref::<SqliteError>();
    let code = sqlx::error::DatabaseError::code(database).unwrap();
    assert_eq!(
        (code.as_ref(), error.to_string().contains("database is locked")),
        (BUSY_SNAPSHOT, true),
        "{error}"
    );
}

#[test]
fn a_transaction_of_diesel_that_began_without_immediate_and_has_read_before_is_refused()
-> Result<(), Box<dyn Error>> {
    let (_dir, file, queue) = workspace();
    let mut db = SqliteConnection::establish(file.to_str().unwrap())?;
    let statement = queue.insert_statement([Count::new(1)])?;
    let refused = db.transaction::<_, diesel::result::Error, _>(|db| {
        diesel::sql_query("SELECT count(*) FROM qdjobs_jobs").execute(db)?;
        Count::new(2).enqueue(&queue).unwrap();
        diesel::sql_query(statement.sql).bind::<Text, _>(statement.json).execute(db)
    });
    assert!(refused.unwrap_err().to_string().contains("database is locked"));
    Ok(())
}

/// The guide and the table of drivers name this version.
#[test]
fn the_drivers_link_one_sqlite_without_the_wal_reset_bug() {
    let version: String = Connection::open_in_memory()
        .and_then(|db| db.query_row("SELECT sqlite_version()", [], |row| row.get(0)))
        .unwrap();
    assert_eq!(version, "3.51.3");
}
