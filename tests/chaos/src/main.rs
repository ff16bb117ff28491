//! Chaos: real processes on one database file, killed, stopped, continued and restarted at random; and a
//! checker that compares their histories and the database with every promise.
//!
//! `cargo run --release -p qdjobs-chaos` runs for an hour, `-- --help` lists the options. `cargo test -p
//! qdjobs-chaos` is the short form, with the tests of the checker itself.
//!
//! ```text
//!   run, rescue ──▶ fault_scheduler ──▶ process_group ──signals──▶ child: worker, enqueuer, inserter
//! (processes)
//!        │                                   │                       │
//!        │                                   └────── history ◀───────┘   run_dir: the directory, the
//! database, its log
//!        └──▶ evidence ──▶ check ──▶ summary
//! ```
//!
//! Depends on the public interface of `qdjobs` and on plain SQL. Internals of the library never come in.
#![cfg_attr(not(unix), expect(dead_code, reason = "this system lacks the signals of Unix"))]
#![expect(clippy::disallowed_methods, reason = "the processes run in real time")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program prints")]

#[cfg(unix)]
mod args;
#[cfg(unix)]
mod calls;
#[cfg(unix)]
mod check;
#[cfg(unix)]
mod child;
#[cfg(unix)]
mod clock;
#[cfg(unix)]
mod evidence;
#[cfg(unix)]
mod fault_scheduler;
#[cfg(unix)]
mod history;
#[cfg(unix)]
mod process_group;
#[cfg(unix)]
mod rescue;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod run_dir;
#[cfg(unix)]
mod summary;
#[cfg(unix)]
mod tasks;

/// The error of a step that could not be done: then nothing is proven.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[cfg(unix)]
fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, config] = words.as_slice()
        && first == "child"
    {
        return child::run(config);
    }
    let seed = clock::wall_micros().unsigned_abs() % 1_000_000;
    let args = match args::Args::parse(words.into_iter(), seed) {
        Ok(args) => args,
        Err(message) => {
            eprintln!("{message}");
            std::process::exit(2);
        }
    };
    let dir = args.dir.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("qdjobs-chaos-{}-{}", std::process::id(), args.seed))
    });
    let run_dir = run_dir::RunDir::open(&dir)?;
    let findings = match args.mode {
        args::Mode::Faults => run::run(&args, &run_dir)?,
        args::Mode::Rescue => rescue::measure(&args, &run_dir)?,
        args::Mode::Check => summary::recheck(&run_dir)?,
    };
    if !findings {
        println!("The files are kept in {}.", dir.display());
        std::process::exit(1);
    }
    if args.dir.is_none() {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn main() -> Result<()> {
    Err("qdjobs-chaos needs the signals of Unix".into())
}
