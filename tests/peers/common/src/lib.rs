//! What all peers have in common: the work, the clocks, and the line in which a run is reported.
//!
//! A peer implements [`Peer`] over the crate that it measures and calls [`serve`] in its `main`. The runner
//! starts the program once for each run, so that no run inherits threads, caches or a warm pool from another:
//! the program once for each run, so that no run inherits threads, caches or a warm pool from another:
//!
//! ```text
//! PROGRAM describe                          -> the ways it can be run, a line of JSON
//! PROGRAM run WAY FIGURE AMOUNT DATABASE    -> a report, a line of JSON
//! ```
#![allow(clippy::print_stdout, reason = "the report goes to the runner by standard output")]

pub mod clock;
mod figure;
mod params;
mod peer;
mod producers;
mod report;
mod tally;

use std::path::PathBuf;

pub use figure::{DEADLINE, Figure};
pub use params::Params;
pub use peer::{Peer, Place, Way};
pub use report::{Report, Ways, asked};
pub use tally::Tally;

/// The error of any step: the run then ends, since a figure with an error is not a figure.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Runs the process of a peer.
pub fn serve<P: Peer>() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["describe"] => println!("{}", serde_json::to_string(&Ways { ways: P::WAYS.to_vec() })?),
        ["run", way, figure, amount, path] => {
            let known = P::WAYS.iter().find(|known| known.name == *way);
            let way = known.ok_or_else(|| format!("there is no way `{way}`"))?;
            let place = Place { path: PathBuf::from(path), way: way.name };
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let report = {
                // Some peers start a task when they are dropped.
                let _inside = runtime.enter();
                figure::run::<P>(figure.parse()?, amount.parse()?, &place, way, runtime.handle())?
            };
            println!("{}", serde_json::to_string(&report)?);
            // Tasks that still sleep in a poll are not waited for.
            runtime.shutdown_background();
        }
        _ => return Err("usage: PROGRAM describe | PROGRAM run WAY FIGURE AMOUNT DATABASE".into()),
    }
    Ok(())
}
