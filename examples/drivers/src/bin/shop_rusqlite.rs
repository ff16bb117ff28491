//! The shop with rusqlite. `cargo run --bin shop_rusqlite -- shop.db 3`

use std::error::Error;
use std::sync::{Mutex, PoisonError};

use qdjobs::JobId;
use qdjobs::prelude::*;
use qdjobs::rusqlite::{Connection, TransactionBehavior};
use qdjobs_drivers::{Printer, TABLES, arguments};

type Failure = Box<dyn Error + Send + Sync>;

/// The application's own connection to the database file of the queue.
struct Shop(Mutex<Connection>);

/// Ships an order. Whatever crashes, `shipped` is increased once.
#[task("ship")]
fn ship(
    order: i64,
    ctx: &JobContext,
    #[state] shop: &Shop,
    #[state] printer: &Printer,
) -> Result<(), Failure> {
    let mut db = shop.0.lock().unwrap_or_else(PoisonError::into_inner);
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute("UPDATE orders SET shipped = shipped + 1 WHERE id = ?", [order])?;
    printer.print(order)?;
    Invoice::new(order).enqueue(&tx)?; // a follow-up job, in the same commit
    ctx.complete_in(&tx, &())?; // the completion, in the same commit
    Ok(tx.commit()?)
}

/// Runs after `ship`.
#[task("invoice")]
fn invoice(order: i64) {
    println!("order {order}: invoice");
}

/// Stores an order and its job, together or not at all.
fn place_order(db: &mut Connection) -> Result<(), Failure> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute("INSERT INTO orders DEFAULT VALUES", [])?;
    let order = tx.last_insert_rowid();
    let job = Ship::new(order).enqueue(&tx)?;
    tx.execute("UPDATE orders SET job = ? WHERE id = ?", [job.0, order])?;
    Ok(tx.commit()?)
}

fn main() -> Result<(), Failure> {
    let (file, orders) = arguments()?;
    let queue = JobQueue::open(&file)?;
    let mut db = Connection::open(&file)?;
    db.execute_batch(TABLES)?;
    for _ in 0..orders {
        place_order(&mut db)?;
    }
    queue.notify();

    let jobs: Vec<i64> =
        db.prepare("SELECT job FROM orders")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let worker =
        Worker::new(&queue).state(Shop(Mutex::new(db))).state(Printer::from_env()).concurrency(1).start()?;
    for job in jobs {
        queue.handle::<()>(JobId(job)).wait()?;
    }
    Ok(worker.stop()?)
}
