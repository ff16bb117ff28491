//! Do the tests bite? Breaks the product in one place at a time, and demands that the test named for it turns red.
//!
//! `cargo run -p qdjobs-mutation` copies the tracked files to a scratch directory and does everything there; the checkout is only
//! read. First each named test has to be green, then each red under its sabotage. `-- --list` shows the table, names choose rows of it,
//! and `-- --check` only looks whether every row still fits the source, which is what the gate does.
//!
//! Run it as root and with libfaketime installed: here a test that lacks what it needs is red, and a red one ends the run before
//! anything is broken.

mod cargo;
mod check;
mod mutants;
mod scratch;
mod table;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use cargo::{Cargo, Outcome};
use mutants::{SABOTAGES, Sabotage};
use scratch::Scratch;

/// What went wrong with the run itself, or with one row of it: told to a person.
type Result<T, E = String> = std::result::Result<T, E>;

const USAGE: &str = "usage: cargo run -p qdjobs-mutation [-- --list | --check | NAME …]";

#[expect(clippy::print_stderr, reason = "a program speaks to people")]
fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    match run(&root, std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(root: &Path, args: Vec<String>) -> Result<()> {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => {
            table::list(SABOTAGES);
            Ok(())
        }
        ["--check"] => check::check(root, SABOTAGES),
        ref names => bite(root, &chosen(names)?),
    }
}

fn chosen(names: &[&str]) -> Result<Vec<&'static Sabotage>> {
    if names.is_empty() {
        return Ok(SABOTAGES.iter().collect());
    }
    let find = |name: &&str| {
        let found = SABOTAGES.iter().find(|sabotage| sabotage.name == *name);
        found.ok_or_else(|| format!("no sabotage is named `{name}`; see --list\n{USAGE}"))
    };
    names.iter().map(find).collect()
}

/// The whole thing: all green, then one row at a time red.
fn bite(root: &Path, chosen: &[&'static Sabotage]) -> Result<()> {
    check::check(root, chosen.iter().copied())?;
    let scratch = Scratch::copy(root)?;
    let cargo = Cargo::new(&scratch);
    let tests: BTreeSet<_> = chosen.iter().map(|sabotage| sabotage.caught_by).collect();
    table::say(&format!("{} tests have to be green first, in {}", tests.len(), scratch.dir().display()));
    for test in tests {
        match cargo.run(test)? {
            Outcome::Green => {}
            Outcome::Red => return Err(format!("{test} is red without any sabotage")),
            Outcome::Broken(why) => return Err(format!("{test}, without any sabotage: {why}")),
        }
    }
    table::head(chosen);
    let mut survived = Vec::new();
    let mut took = Duration::ZERO;
    for sabotage in chosen {
        let row = scratch.with(sabotage, || cargo.timed(sabotage.caught_by))?;
        took += row.1;
        let verdict = match row.0 {
            Outcome::Red => "red",
            Outcome::Green => "GREEN",
            Outcome::Broken(ref why) => why,
        };
        table::row(sabotage, verdict, row.1);
        if !matches!(row.0, Outcome::Red) {
            survived.push(format!("{}: {verdict}", sabotage.name));
        }
    }
    table::say(&format!("{} sabotages in {} s", chosen.len(), took.as_secs()));
    if survived.is_empty() {
        return Ok(());
    }
    Err(format!("not caught as it has to be:\n  {}", survived.join("\n  ")))
}
