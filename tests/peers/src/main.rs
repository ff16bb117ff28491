//! Runs the same work on qdjobs and on the published Rust peers, each in processes of its own, and prints
//! tables.
//!
//! `peers` is the list, `peer` builds one and starts its runs, `check` counts afterwards what is in the file,
//! `rounds` finds how much work a round can hold (`drain_size`: how many jobs a drain has) and alternates the
//! rows, `tables` shows the result.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program prints")]

mod args;
mod check;
mod drain_size;
mod machine;
mod peer;
mod peers;
mod rounds;
mod spread;
mod table;
mod tables;

use args::Args;
use peer::Peer;
use rounds::{Rounds, Row};

/// An error outside of a peer; an error inside a peer is a cell of a table.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(message) => {
            eprintln!("{message}");
            std::process::exit(2);
        }
    };
    let mut rows = Vec::new();
    let mut absent = peers::ABSENT.iter().map(|(who, why)| (who.to_string(), why.to_string())).collect();
    for entry in peers::PEERS.iter().filter(|entry| args.wants(entry.dir)) {
        eprintln!("building {} …", entry.dir);
        match Peer::build(entry) {
            Ok(peer) => rows.extend(Row::all_of(peer)),
            Err(error) => Vec::push(&mut absent, (entry.dir.to_owned(), error.to_string())),
        }
    }
    let machine = machine::describe(&args);
    let rounds = Rounds::run(rows, &args)?;
    let tables = tables::all(&rounds, &absent);
    if args.json {
        let tables: Vec<_> = tables.iter().map(table::Table::json).collect();
        println!("{:#}", serde_json::json!({ "machine": machine, "tables": tables }));
        return Ok(());
    }
    for (what, which) in &machine {
        println!("- {what}: {which}");
    }
    tables.iter().for_each(|table| println!("\n{table}"));
    Ok(())
}
