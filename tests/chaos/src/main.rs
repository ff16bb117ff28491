//! The torture: real processes on one database file, killed, stopped, continued and restarted at random; and a checker that proves
//! from their histories and from the database that no promise was broken.
//!
//! `cargo run --release -p qdjobs-chaos` runs it for an hour, `-- --help` lists the options. `cargo test -p qdjobs-chaos` is the
//! short form, and the tests of the checker itself.
//!
//! ```text
//!   run, rescue ──▶ chaos ──▶ herd ──signals──▶ child: worker, enqueuer, inserter     (processes)
//!        │                      │                  │
//!        │                      └──── history ◀────┘      site: the directory, the database and its own log
//!        └──▶ evidence ──▶ check ──▶ summary
//! ```
#![cfg_attr(not(unix), expect(dead_code, reason = "there are no such signals here"))]
#![expect(clippy::disallowed_methods, reason = "processes live in real time")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

#[cfg(unix)]
mod args;
#[cfg(unix)]
mod check;
#[cfg(unix)]
mod child;
#[cfg(unix)]
mod clock;
#[cfg(unix)]
mod evidence;
#[cfg(unix)]
mod faults;
#[cfg(unix)]
mod herd;
#[cfg(unix)]
mod history;
#[cfg(unix)]
mod orders;
#[cfg(unix)]
mod rescue;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod site;
#[cfg(unix)]
mod summary;
#[cfg(unix)]
mod tasks;

/// What any step may fail with: then nothing is proven.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[cfg(unix)]
fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, orders] = words.as_slice()
        && first == "child"
    {
        return child::live(orders);
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
    let site = site::Site::open(&dir)?;
    let findings = match args.mode {
        args::Mode::Torture => run::torture(&args, &site)?,
        args::Mode::Rescue => rescue::measure(&args, &site)?,
        args::Mode::Check => summary::look_again(&site)?,
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
    Err("the torture needs the signals of Unix".into())
}
