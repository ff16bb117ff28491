//! Measures qdjobs on this machine, each figure beside a bare rusqlite engine that does the same writes.
//!
//! `cargo run --release -p qdjobs-bench -- --help` lists the options. One file for each figure. `measure`
//! holds the clocks and the arithmetic, `workspace` the databases and the check that every job was done,
//! `bare` the engine to compare with, `pool` the tasks and workers of qdjobs, `child` the other process.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program prints")]

mod args;
mod async_jobs;
mod backlog;
mod bare;
mod child;
mod drain;
mod enqueue;
mod idle;
mod machine;
mod measure;
mod memory;
mod payload;
mod pickup;
mod pipeline;
mod pool;
mod table;
mod workspace;

use args::Args;
use table::Table;
use workspace::Workspace;

/// The error of any step: the benchmark then ends, since a figure with an error is not a figure.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A figure: its name on the command line, and the function that measures it.
type Figure = (&'static str, fn(&Workspace) -> Result<Table>);

const FIGURES: [Figure; 9] = [
    ("enqueue", enqueue::measure),
    ("drain", drain::measure),
    ("pipeline", pipeline::measure),
    ("pickup", pickup::measure),
    ("idle", idle::measure),
    ("memory", memory::measure),
    ("async", async_jobs::measure),
    ("backlog", backlog::measure),
    ("payload", payload::measure),
];

fn main() -> Result<()> {
    if let Some(child_args) = child::child_args() {
        return child::run(&child_args);
    }
    let names = FIGURES.map(|(name, _)| name);
    let args = match Args::parse(std::env::args().skip(1), &names) {
        Ok(args) => args,
        Err(message) => {
            eprintln!("{message}");
            std::process::exit(2);
        }
    };
    let workspace = Workspace::new(&args)?;
    let machine = machine::describe(&workspace)?;
    if !args.json {
        println!("{machine}");
    }
    let mut tables = Vec::new();
    for (name, figure) in FIGURES.iter().filter(|(name, _)| args.wants(name)) {
        eprintln!("measuring {name} …");
        let table = figure(&workspace)?;
        if !args.json {
            println!("{table}");
        }
        tables.push(table);
    }
    if args.json {
        let tables: Vec<_> = tables.iter().map(Table::json).collect();
        println!("{:#}", serde_json::json!({ "machine": machine.json(), "figures": tables }));
    }
    Ok(())
}
