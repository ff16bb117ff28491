//! Jobs and rows in one transaction: an order and its job are stored together or not at all. And a task that
//! completes its own job in the transaction of its effect, so that the effect happens exactly once.
//!
//! `cargo run --example transactional`
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::error::Error;
use std::sync::{Mutex, PoisonError};

use qdjobs::prelude::*;
use qdjobs::rusqlite::{Connection, TransactionBehavior::Immediate};

/// The application's own connection to the database file of the queue.
struct Shop(Mutex<Connection>);

/// Ships an order. Whatever crashes, `shipped` is increased once.
#[task("ship")]
fn ship(order: i64, ctx: &JobContext, #[state] shop: &Shop) -> Result<(), Box<dyn Error>> {
    let mut db = shop.0.lock().unwrap_or_else(PoisonError::into_inner);
    let tx = db.transaction_with_behavior(Immediate)?;
    tx.execute("UPDATE orders SET shipped = shipped + 1 WHERE id = ?", [order])?;
    Invoice::new(order).enqueue(&tx)?;
    ctx.complete_in(&tx, &())?;
    Ok(tx.commit()?)
}

/// Runs once, after `ship`.
#[task("invoice")]
fn invoice(order: i64) {
    println!("invoice for order {order}");
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::temp_dir().join("qdjobs-transactional.db");
    let queue = JobQueue::open(&file)?;
    let mut db = Connection::open(&file)?;
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, shipped INTEGER DEFAULT 0)",
    )?;

    let tx = db.transaction_with_behavior(Immediate)?;
    tx.execute("INSERT INTO orders DEFAULT VALUES", [])?;
    let order = tx.last_insert_rowid();
    let job = Ship::new(order).enqueue(&tx)?;
    tx.commit()?; // From here on, both the order and the job exist.

    let worker = Worker::new(&queue).state(Shop(Mutex::new(Connection::open(&file)?))).start()?;
    queue.handle::<()>(job).wait()?;
    let shipped: i64 = db.query_row("SELECT shipped FROM orders WHERE id = ?", [order], |row| row.get(0))?;
    println!("order {order} was shipped {shipped} time(s)");
    Ok(worker.stop()?)
}
