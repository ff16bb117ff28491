//! The shop with sqlx. `cargo run --bin shop_sqlx -- shop.db 3`

use std::error::Error;

use qdjobs::JobId;
use qdjobs::prelude::*;
use qdjobs_drivers::{Printer, TABLES, arguments};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, SqlitePool};

type Failure = Box<dyn Error + Send + Sync>;

/// Ships an order. Whatever crashes, `shipped` is increased once.
#[task("ship")]
async fn ship(
    order: i64,
    ctx: &JobContext,
    #[state] pool: &SqlitePool,
    #[state] printer: &Printer,
) -> Result<(), Failure> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("UPDATE orders SET shipped = shipped + 1 WHERE id = ?").bind(order).execute(&mut *tx).await?;
    printer.print_async(order).await?;
    let invoice = ctx.queue().insert_statement([Invoice::new(order)])?; // a follow-up job, in the same commit
    sqlx::query(AssertSqlSafe(invoice.sql)).bind(invoice.json).execute(&mut *tx).await?;
    let completion = ctx.completion_statement(&())?; // the completion, in the same commit
    let done = sqlx::query(AssertSqlSafe(completion.sql)).bind(completion.json).execute(&mut *tx).await?;
    if done.rows_affected() == 0 {
        return Err("this attempt no longer holds its job".into()); // rolls back
    }
    Ok(tx.commit().await?)
}

/// Runs after `ship`.
#[task("invoice")]
fn invoice(order: i64) {
    println!("order {order}: invoice");
}

/// Stores an order and its job, together or not at all.
async fn place_order(queue: &JobQueue, pool: &SqlitePool) -> Result<(), Failure> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    let order = sqlx::query("INSERT INTO orders DEFAULT VALUES").execute(&mut *tx).await?.last_insert_rowid();
    let statement = queue.insert_statement([Ship::new(order)])?;
    let ids: Vec<i64> =
        sqlx::query_scalar(AssertSqlSafe(statement.sql)).bind(statement.json).fetch_all(&mut *tx).await?;
    sqlx::query("UPDATE orders SET job = ? WHERE id = ?").bind(ids[0]).bind(order).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (file, orders) = arguments()?;
    let queue = JobQueue::open(&file)?;
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&file)).await?;
    sqlx::query(TABLES).execute(&pool).await?;
    for _ in 0..orders {
        place_order(&queue, &pool).await?;
    }
    queue.notify();

    let jobs: Vec<i64> = sqlx::query_scalar("SELECT job FROM orders").fetch_all(&pool).await?;
    let worker = Worker::new(&queue).state(pool).state(Printer::from_env()).concurrency(1).start()?;
    let queue = queue.to_async();
    for job in jobs {
        queue.handle::<()>(JobId(job)).await?;
    }
    Ok(worker.stop()?)
}
