//! Runs the same work on qdjobs and on the published Rust peers, each in processes of its own, and prints tables.
//!
//! `roster` says who takes part, `contender` builds one and starts its runs, `check` counts afterwards what is in the
//! file, `rounds` finds out how much work a round can hold (`rung`: how many jobs a drain has) and takes turns,
//! `tables` shows what came of it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

mod args;
mod check;
mod contender;
mod machine;
mod roster;
mod rounds;
mod rung;
mod spread;
mod table;
mod tables;

use args::Args;
use contender::Contender;
use rounds::{Rounds, Row};

/// What may go wrong outside of a contestant; what goes wrong inside of one is a cell of a table.
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
    let mut absent = roster::ABSENT.iter().map(|(who, why)| (who.to_string(), why.to_string())).collect();
    for entry in roster::ROSTER.iter().filter(|entry| args.wants(entry.dir)) {
        eprintln!("building {} …", entry.dir);
        match Contender::build(entry) {
            Ok(contender) => rows.extend(Row::all_of(contender)),
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
