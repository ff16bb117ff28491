//! Jobs and rows in one transaction: an order without its job, or a job without its order, cannot be. And a task that
//! completes its own job in the transaction that holds its effect has that effect exactly once.
//!
//! `cargo run --example transactional`
#![expect(clippy::print_stdout, reason = "an example is there to be seen")]

use std::error::Error;
use std::sync::{Mutex, PoisonError};

use qdjobs::prelude::*;
use qdjobs::rusqlite::{Connection, TransactionBehavior::Immediate};

/// A connection of the application's own, to the file that the queue is in as well.
struct Shop(Mutex<Connection>);

/// Takes an order out of the stock. Whatever dies when, the stock is lowered once.
#[task("ship")]
fn ship(order: i64, ctx: &JobContext, #[state] shop: &Shop) -> Result<(), Box<dyn Error>> {
    let mut db = shop.0.lock().unwrap_or_else(PoisonError::into_inner);
    let tx = db.transaction_with_behavior(Immediate)?;
    tx.execute("UPDATE orders SET shipped = shipped + 1 WHERE id = ?", [order])?;
    Invoice::new(order).enqueue(&tx)?;
    ctx.complete_in(&tx, &())?;
    Ok(tx.commit()?)
}

/// Comes after `ship`, once.
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
    tx.commit()?; // Only now there is an order, and only now there is a job.

    let worker = Worker::new(&queue).state(Shop(Mutex::new(Connection::open(&file)?))).start()?;
    queue.handle::<()>(job).wait()?;
    let shipped: i64 = db.query_row("SELECT shipped FROM orders WHERE id = ?", [order], |row| row.get(0))?;
    println!("order {order} was shipped {shipped} time(s)");
    Ok(worker.stop()?)
}
