//! Whether the table still fits the source: [`check`]. Builds nothing and takes a moment.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::cargo::Test;
use crate::mutants::Sabotage;

/// Every row has a name of its own, an old text that stands in its file exactly once, and a test that exists; all that is wrong
/// in one error.
pub(crate) fn check<'a>(root: &Path, rows: impl IntoIterator<Item = &'a Sabotage>) -> Result<()> {
    let mut wrong = Vec::new();
    let mut names = Vec::new();
    for row in rows {
        let mut note = |what: String| wrong.push(format!("{}: {what}", row.name));
        if names.contains(&row.name) {
            note("another one has this name".to_owned());
        }
        names.push(row.name);
        match fs::read_to_string(root.join(row.file)) {
            Ok(text) => drop(row.apply(&text).map_err(&mut note)),
            Err(error) => note(format!("{}: {error}", row.file)),
        }
        if !exists(root, row.caught_by)? {
            note(format!("there is no test {}", row.caught_by));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("the table of sabotages does not fit the source:\n  {}", wrong.join("\n  ")))
}

/// The function is looked for in the source: a test of a contract has its function in the package's library, under a
/// module's name of its own.
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

/// Where a package of the workspace lives: its folder is named after it, here or in `tests`.
pub(crate) fn folder_of(root: &Path, package: &str) -> Result<PathBuf> {
    let short = package.strip_prefix("qdjobs-").unwrap_or(package);
    let places = [root.join(package), root.join(short), root.join("tests").join(short)];
    let found = places.into_iter().find(|place| place.join("Cargo.toml").is_file());
    found.ok_or_else(|| format!("there is no package {package} in {}", root.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::SABOTAGES;

    #[test]
    fn every_sabotage_still_fits_the_source_and_its_test_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        if let Err(wrong) = check(&root, SABOTAGES) {
            panic!("{wrong}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let good = &SABOTAGES[0];
        for (row, words) in [
            (Sabotage { old: "no such text", ..*good }, "is not in"),
            (Sabotage { old: "use ", ..*good }, "times in"),
            (Sabotage { file: "qdjobs/src/nowhere.rs", ..*good }, "nowhere.rs"),
            (Sabotage { new: good.old, ..*good }, "breaks nothing"),
            (
                Sabotage { caught_by: Test { name: "it::no_such_test", ..good.caught_by }, ..*good },
                "there is no test",
            ),
        ] {
            let wrong = check(&root, [&row]).expect_err(words);
            assert!(wrong.contains(words), "{wrong}");
        }
        assert!(check(&root, [good, good]).expect_err("twice").contains("another one has this name"));
    }
}
