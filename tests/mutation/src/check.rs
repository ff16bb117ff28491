//! Whether the mutants still fit the source: [`check`]. It builds nothing and takes a moment.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::cargo::Test;
use crate::mutants::Mutant;

/// Checks that every mutant has a unique name, an old text that occurs in its file exactly once, and an
/// existing test; reports all problems in one error.
pub(crate) fn check<'a>(root: &Path, rows: impl IntoIterator<Item = &'a Mutant>) -> Result<()> {
    let mut wrong = Vec::new();
    let mut names = Vec::new();
    for row in rows {
        let mut problem = |what: String| wrong.push(format!("{}: {what}", row.name));
        if names.contains(&row.name) {
            problem("another mutant has this name".to_owned());
        }
        names.push(row.name);
        match fs::read_to_string(root.join(row.file)) {
            Ok(text) => drop(row.apply(&text).map_err(&mut problem)),
            Err(error) => problem(format!("{}: {error}", row.file)),
        }
        if !exists(root, row.killed_by)? {
            problem(format!("there is no test {}", row.killed_by));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("the mutants do not fit the source:\n  {}", wrong.join("\n  ")))
}

/// Looks for the function in the source: a test of the contract has its function in the library of its
/// package, in a module of another name.
fn exists(root: &Path, test: Test) -> Result<bool> {
    let name = test.name.rsplit("::").next().unwrap_or_default();
    let function = format!("fn {name}(");
    any_source(&folder_of(root, test.package)?, &|text| text.contains(&function))
}

fn any_source(dir: &Path, is_it: &dyn Fn(&str) -> bool) -> Result<bool> {
    let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let found = if path.is_dir() {
            any_source(&path, is_it)?
        } else {
            path.extension().is_some_and(|ending| ending == "rs")
                && fs::read_to_string(&path).is_ok_and(|text| is_it(&text))
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The folder of a package of the workspace: named after it, at the top or in `tests`.
pub(crate) fn folder_of(root: &Path, package: &str) -> Result<PathBuf> {
    let short = package.strip_prefix("qdjobs-").unwrap_or(package);
    let places = [root.join(package), root.join(short), root.join("tests").join(short)];
    let found = places.into_iter().find(|place| place.join("Cargo.toml").is_file());
    found.ok_or_else(|| format!("there is no package {package} in {}", root.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants;

    #[test]
    fn every_mutant_fits_the_source_and_its_test_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        if let Err(wrong) = check(&root, mutants::all()) {
            panic!("{wrong}");
        }
    }

    #[test]
    fn a_mutant_that_does_not_fit_is_reported() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let good = mutants::all().next().expect("there are mutants");
        for (row, words) in [
            (Mutant { old: "no such text", ..*good }, "is not in"),
            (Mutant { old: "use ", ..*good }, "times in"),
            (Mutant { file: "qdjobs/src/nowhere.rs", ..*good }, "nowhere.rs"),
            (Mutant { new: good.old, ..*good }, "changes nothing"),
            (
                Mutant { killed_by: Test { name: "queue::no_such_test", ..good.killed_by }, ..*good },
                "there is no test",
            ),
        ] {
            let wrong = check(&root, [&row]).expect_err(words);
            assert!(wrong.contains(words), "{wrong}");
        }
        assert!(check(&root, [good, good]).expect_err("twice").contains("another mutant has this name"));
    }
}
