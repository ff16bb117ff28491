//! The page of promises, `RELIABILITY.md`: each row of its tables names its proof, and each named test
//! exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../qdjobs/docs/RELIABILITY.md");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The names of the tests in all Rust files under `dir`: functions with the attribute.
fn tests(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
            tests(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.extend(tests_in(&std::fs::read_to_string(&path).unwrap()));
        }
    }
}

fn tests_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        match line.split_once("fn ") {
            Some((_, rest)) if !line.starts_with("//") => {
                let name = rest.split(|end: char| !end.is_alphanumeric() && end != '_').next();
                found.extend(name.filter(|_| marked).map(str::to_owned));
                marked = false;
            }
            _ if line.starts_with("#[") => marked |= line == "#[test]" || line.starts_with("#[tokio::test"),
            // Between the attribute and its function there may be further attributes, some over several
            // lines, and comments.
            _ if line.is_empty() || line == "}" => marked = false,
            _ => {}
        }
    }
    found
}

/// The text between backticks that is the name of a test: a sentence of at least four words.
fn tests_named(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let names = quoted.filter_map(|quote| quote.rsplit("::").next());
    let is_name = |name: &&str| {
        name.matches('_').count() >= 3 && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
    };
    names.filter(is_name).collect()
}

#[test]
fn each_promise_and_each_fault_names_a_proof_and_every_test_that_is_named_exists() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    // Those of the contract are made tests by a macro, for each store.
    let mut known: BTreeSet<String> = qdjobs_contract::promises().map(str::to_owned).collect();
    tests(Path::new(ROOT), &mut known);
    let missing: Vec<&str> = tests_named(&page).into_iter().filter(|name| !known.contains(*name)).collect();
    assert!(missing.is_empty(), "named, but missing: {missing:#?}");

    let mut rows = 0;
    for section in page
        .split("\n## ")
        .filter(|section| section.starts_with("What is promised") || section.starts_with("What is survived"))
    {
        let table = section.lines().filter(|line| line.starts_with('|')).skip(2);
        for row in table {
            rows += 1;
            let proof = row.trim_end_matches('|').rsplit('|').next().unwrap();
            assert!(!tests_named(proof).is_empty(), "the row names no test: {row}");
        }
    }
    assert!(rows >= 25, "{rows} rows");
}
