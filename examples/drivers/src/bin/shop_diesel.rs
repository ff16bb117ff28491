//! The shop with diesel. `cargo run --bin shop_diesel -- shop.db 3`

use std::error::Error;
use std::sync::{Mutex, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{sql_query, sqlite::SqliteConnection};
use qdjobs::JobId;
use qdjobs::prelude::*;
use qdjobs_drivers::{Printer, TABLES, arguments};

type Failure = Box<dyn Error + Send + Sync>;

diesel::table! {
    orders (id) {
        id -> BigInt,
        job -> Nullable<BigInt>,
        shipped -> BigInt,
    }
}

/// A row of `insert_statement`.
#[derive(QueryableByName)]
struct StoredJob {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// The application's own connection to the database file of the queue.
struct Shop(Mutex<SqliteConnection>);

/// Ships an order. Whatever crashes, `shipped` is increased once.
#[task("ship")]
fn ship(
    order: i64,
    ctx: &JobContext,
    #[state] shop: &Shop,
    #[state] printer: &Printer,
) -> Result<(), Failure> {
    let mut db = shop.0.lock().unwrap_or_else(PoisonError::into_inner);
    db.immediate_transaction(|db| {
        diesel::update(orders::table.find(order)).set(orders::shipped.eq(orders::shipped + 1)).execute(db)?;
        printer.print(order)?;
        let invoice = ctx.queue().insert_statement([Invoice::new(order)])?; // a follow-up job, in the same commit
        sql_query(invoice.sql).bind::<Text, _>(invoice.json).execute(db)?;
        let completion = ctx.completion_statement(&())?; // the completion, in the same commit
        if sql_query(completion.sql).bind::<Text, _>(completion.json).execute(db)? == 0 {
            return Err("this attempt no longer holds its job".into()); // rolls back
        }
        Ok(())
    })
}

/// Runs after `ship`.
#[task("invoice")]
fn invoice(order: i64) {
    println!("order {order}: invoice");
}

/// Stores an order and its job, together or not at all.
fn place_order(queue: &JobQueue, db: &mut SqliteConnection) -> Result<(), Failure> {
    db.immediate_transaction(|db| {
        let order: i64 =
            diesel::insert_into(orders::table).default_values().returning(orders::id).get_result(db)?;
        let statement = queue.insert_statement([Ship::new(order)])?;
        let stored: Vec<StoredJob> = sql_query(statement.sql).bind::<Text, _>(statement.json).load(db)?;
        diesel::update(orders::table.find(order)).set(orders::job.eq(stored[0].id)).execute(db)?;
        Ok(())
    })
}

fn main() -> Result<(), Failure> {
    let (file, orders) = arguments()?;
    let queue = JobQueue::open(&file)?;
    let mut db = SqliteConnection::establish(&file.to_string_lossy())?;
    db.batch_execute("PRAGMA busy_timeout = 5000")?; // diesel sets none
    db.batch_execute(TABLES)?;
    for _ in 0..orders {
        place_order(&queue, &mut db)?;
    }
    queue.notify();

    let jobs: Vec<Option<i64>> = orders::table.select(orders::job).load(&mut db)?;
    let worker =
        Worker::new(&queue).state(Shop(Mutex::new(db))).state(Printer::from_env()).concurrency(1).start()?;
    for job in jobs.into_iter().flatten() {
        queue.handle::<()>(JobId(job)).wait()?;
    }
    Ok(worker.stop()?)
}
