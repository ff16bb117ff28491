//! Mutation tests: changes the product in one place at a time, and demands that the test named for it fails.
//!
//! `cargo run -p qdjobs-mutation` copies the tracked files to a scratch directory and works there; the
//! checkout is only read. First each named test has to pass, then each has to fail under its mutant. Names
//! of mutants select some of them. The option `--list` prints the mutants. The option `--check` only checks
//! that every mutant still fits the source, as the gate does.
//!
//! Run it as root and with libfaketime installed: here a test that lacks what it needs fails, and a failure
//! without a mutant ends the run.
//!
//! These mutants are chosen by hand, one for each promise. `cargo mutants` generates the others: see
//! `.cargo/mutants.toml`.

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
use mutants::Mutant;
use scratch::Scratch;

/// An error of the run itself, or of one mutant, as text.
type Result<T, E = String> = std::result::Result<T, E>;

const USAGE: &str = "usage: cargo run -p qdjobs-mutation [-- --list | --check | NAME …]";

#[expect(clippy::print_stderr, reason = "a command-line program prints")]
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
            table::list(&mutants::all().collect::<Vec<_>>());
            Ok(())
        }
        ["--check"] => check::check(root, mutants::all()),
        ref names => run_all(root, &chosen(names)?),
    }
}

fn chosen(names: &[&str]) -> Result<Vec<&'static Mutant>> {
    if names.is_empty() {
        return Ok(mutants::all().collect());
    }
    let find = |name: &&str| {
        let found = mutants::all().find(|mutant| mutant.name == *name);
        found.ok_or_else(|| format!("no mutant is named `{name}`; see --list\n{USAGE}"))
    };
    names.iter().map(find).collect()
}

/// All tests pass, then one mutant at a time fails.
fn run_all(root: &Path, chosen: &[&'static Mutant]) -> Result<()> {
    check::check(root, chosen.iter().copied())?;
    let scratch = Scratch::copy(root)?;
    let cargo = Cargo::new(&scratch);
    let tests: BTreeSet<_> = chosen.iter().map(|mutant| mutant.killed_by).collect();
    table::say(&format!("{} tests have to pass first, in {}", tests.len(), scratch.dir().display()));
    for test in tests {
        match cargo.run(test)? {
            Outcome::Passed => {}
            Outcome::Failed => return Err(format!("{test} fails without a mutant")),
            Outcome::Broken(why) => return Err(format!("{test}, without a mutant: {why}")),
        }
    }
    table::head(chosen);
    let mut survived = Vec::new();
    let mut took = Duration::ZERO;
    for mutant in chosen {
        let row = scratch.with(mutant, || cargo.timed(mutant.killed_by))?;
        took += row.1;
        let verdict = match row.0 {
            Outcome::Failed => "killed",
            Outcome::Passed => "SURVIVED",
            Outcome::Broken(ref why) => why,
        };
        table::row(mutant, verdict, row.1);
        if !matches!(row.0, Outcome::Failed) {
            survived.push(format!("{}: {verdict}", mutant.name));
        }
    }
    table::say(&format!("{} mutants in {} s", chosen.len(), took.as_secs()));
    if survived.is_empty() {
        return Ok(());
    }
    Err(format!("not killed by their tests:\n  {}", survived.join("\n  ")))
}
