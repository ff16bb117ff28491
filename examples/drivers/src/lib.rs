//! What the three shops share: their arguments, their tables, and the label of a parcel.
//!
//! `cargo run --bin shop_sqlx -- shop.db 3` places three orders and ships all orders of the file. The programs
//! with the other drivers take the same arguments and can continue with the same file.

use std::error::Error;
use std::path::PathBuf;

/// The tables of the shop, in the file of the queue.
pub const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, job INTEGER, shipped INTEGER NOT NULL DEFAULT 0)";

/// The file of the shop, and the number of orders to place.
pub fn arguments() -> Result<(PathBuf, usize), Box<dyn Error + Send + Sync>> {
    let mut arguments = std::env::args_os().skip(1);
    let file = arguments.next().map_or_else(|| std::env::temp_dir().join("qdjobs-shop.db"), PathBuf::from);
    let orders = match arguments.next() {
        Some(orders) => orders.to_string_lossy().parse()?,
        None => 1,
    };
    Ok((file, orders))
}

/// The printer of labels. Unlike a row, a label may be printed once more after a crash.
pub struct Printer(PathBuf);

impl Printer {
    /// The device `SHOP_PRINTER`; without it, labels are thrown away.
    pub fn from_env() -> Printer {
        Printer(std::env::var_os("SHOP_PRINTER").map_or_else(|| "/dev/null".into(), PathBuf::from))
    }

    /// Prints the label of an order.
    pub fn print(&self, order: i64) -> std::io::Result<()> {
        println!("order {order}: label");
        std::fs::write(&self.0, format!("order {order}\n"))
    }

    /// As [`print`](Printer::print), for `async fn` tasks.
    pub async fn print_async(&self, order: i64) -> std::io::Result<()> {
        println!("order {order}: label");
        tokio::fs::write(&self.0, format!("order {order}\n")).await
    }
}
