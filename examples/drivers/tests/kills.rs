//! `kill -9` of each shop inside the transaction of a task, before its commit: every order is shipped once.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use qdjobs::rusqlite::Connection;

const ORDERS: i64 = 3;

/// Starts a shop that places `orders` and ships all orders of its file.
fn start(shop: &str, dir: &Path, orders: i64, printer: &str) -> Child {
    let mut command = Command::new(shop);
    command.arg(dir.join("shop.db")).arg(orders.to_string()).env("SHOP_PRINTER", dir.join(printer));
    command.stdout(Stdio::piped()).spawn().unwrap()
}

/// The effects and the completions in the file: orders by the number of their shipments, and ended jobs.
fn state(dir: &Path) -> (Vec<i64>, i64, i64) {
    let db = Connection::open(dir.join("shop.db")).unwrap();
    let mut shipped = db.prepare("SELECT shipped FROM orders ORDER BY id").unwrap();
    let shipped = shipped.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let completed = |task: &str| -> i64 {
        let count = "SELECT count(*) FROM qdjobs_jobs WHERE task_name = ?1 AND status = 'completed'";
        db.query_row(count, [task], |row| row.get(0)).unwrap()
    };
    (shipped, completed("ship"), completed("invoice"))
}

fn ships_each_order_once_though_it_is_killed(shop: &str) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // A printer that nobody reads: to print a label blocks the task inside of its transaction.
    assert!(Command::new("mkfifo").arg(dir.join("blocked")).status().unwrap().success());
    for orders in [ORDERS, 0] {
        let mut process = start(shop, dir, orders, "blocked");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("label")), "it ends before the first label");
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!(state(dir), (vec![0; ORDERS as usize], 0, 0), "nothing of the transaction is stored");
    }
    let finished = start(shop, dir, 0, "labels").wait_with_output().unwrap();
    assert!(finished.status.success());
    // The program ends when the orders are shipped; invoices may be left to the next one.
    let (shipped, jobs, _) = state(dir);
    assert_eq!((shipped, jobs), (vec![1; ORDERS as usize], ORDERS));
    let db = Connection::open(dir.join("shop.db")).unwrap();
    let count = |sql| -> i64 { db.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(count("SELECT count(*) FROM qdjobs_jobs WHERE task_name = 'invoice'"), ORDERS);
    assert!(count("SELECT count(*) FROM qdjobs_attempts WHERE outcome = 'crashed'") >= 2, "the two kills");
}

#[test]
fn a_shop_with_rusqlite_ships_each_order_once_though_it_is_killed() {
    ships_each_order_once_though_it_is_killed(env!("CARGO_BIN_EXE_shop_rusqlite"));
}

#[test]
fn a_shop_with_sqlx_ships_each_order_once_though_it_is_killed() {
    ships_each_order_once_though_it_is_killed(env!("CARGO_BIN_EXE_shop_sqlx"));
}

#[test]
fn a_shop_with_diesel_ships_each_order_once_though_it_is_killed() {
    ships_each_order_once_though_it_is_killed(env!("CARGO_BIN_EXE_shop_diesel"));
}
