//! Wrong and right uses of `#[task]` in great number: what the compiler says about each wrong one.
//!
//! The cases are data in `compile/corpus/wrong/`, many in a file. The files in `compile/fail` have the whole
//! text of the most important errors; here each case names where its error points and a part of the text.
//! The right uses are in `right_uses.rs`.
//!
//! Depends on rustc and cargo. Each case is a program of its own, for which rustc writes only metadata: that
//! takes a tenth of a second.
//!
//! `CASE=name cargo test -p qdjobs-tests --test corpus` shows what the compiler says about this case, and fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// What each case begins with.
const PRELUDE: &str = "#![allow(dead_code, unused_imports, unused_variables)]\nuse qdjobs::prelude::*;\n";

/// What no error may show: names that a user cannot look up.
const INTERNAL: [&str; 3] = ["__", "IntoTaskError", "macro_support"];

/// One wrong use.
struct Case {
    /// `params/bare_str`
    name: String,
    /// The program.
    source: String,
    /// The line of the program in which the error is, counted from 1.
    line: usize,
    /// The columns in which the error begins, counted from 1.
    columns: Range<usize>,
    /// Texts of the error, each of which it must contain.
    hints: Vec<String>,
}

/// Reads the cases of a file. `//# name` begins a case. A line of `^^^ text | text` marks the place in the line
/// above it, and has the texts.
fn cases(file: &Path) -> Vec<Case> {
    let topic = file.file_stem().unwrap().to_str().unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    text.split("\n//# ").skip(1).map(|case| read_case(topic, case)).collect()
}

fn read_case(topic: &str, text: &str) -> Case {
    let (name, text) = text.split_once('\n').unwrap();
    let name = format!("{topic}/{name}");
    // Attributes of the crate come first.
    let (inner, lines): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("#!["));
    let mut source = inner.iter().fold(String::new(), |source, line| source + line + "\n") + PRELUDE;
    let mut mark = None;
    for line in lines {
        let hints = line.trim_start().strip_prefix("//").and_then(|rest| {
            let rest = rest.trim_start().trim_start_matches('^');
            line.contains("^ ").then_some(rest.trim())
        });
        match hints {
            None => source = source + line + "\n",
            Some(hints) => {
                assert!(mark.is_none(), "{name} has two marks");
                let begin = line.find('^').unwrap();
                let end = begin + line[begin..].find(' ').unwrap();
                // A mark cannot begin before the third column, since it is in a comment.
                let begin = if begin == 2 { 0 } else { begin };
                let hints = hints.split(" | ").map(str::to_owned).collect();
                mark = Some((source.lines().count(), begin + 1..end + 1, hints));
            }
        }
    }
    let (line, columns, hints) = mark.unwrap_or_else(|| panic!("{name} has no mark"));
    Case { name, source: source + "fn main() {}\n", line, columns, hints }
}

/// The arguments of rustc for a program that uses the library, which cargo builds first.
fn arguments() -> Vec<String> {
    // The workspace of the tests of the linker, in `compile.rs`, whose libraries are built anyway.
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("compile/link");
    // The versions that are already there: a test downloads nothing.
    std::fs::copy("../Cargo.lock", home.join("Cargo.lock")).expect("the workspace has a lock file");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("link");
    let output = Command::new(env!("CARGO"))
        .current_dir(home)
        .args(["build", "--quiet", "--offline", "--message-format=json", "-p", "link_corpus"])
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).unwrap();
    let mut found = vec!["-L".to_owned(), format!("dependency={}", target.join("debug/deps").display())];
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        let name = message["target"]["name"].as_str().unwrap_or_default();
        if message["reason"] == "compiler-artifact" && ["qdjobs", "serde"].contains(&name) {
            let metadata = message["filenames"].as_array().unwrap().iter().filter_map(Value::as_str);
            let metadata = metadata.filter(|file| file.ends_with(".rmeta"));
            found.extend(metadata.flat_map(|file| ["--extern".to_owned(), format!("{name}={file}")]));
        }
    }
    found
}

/// The diagnostics of a case, without the closing summary.
fn compile(case: &Case, arguments: &[String], folder: &Path) -> Vec<Value> {
    let file = folder.join(case.name.replace('/', "_")).with_extension("rs");
    std::fs::write(&file, &case.source).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--edition=2024", "--crate-type=bin", "--crate-name=case", "--emit=metadata"])
        .arg("--error-format=json")
        .args(arguments)
        .arg("-o")
        .arg(file.with_extension("rmeta"))
        .arg(&file)
        .output()
        .expect("rustc starts");
    let text = String::from_utf8(output.stderr).unwrap();
    let diagnostics = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    diagnostics.filter(|it| it["level"] == "error" || it["level"] == "warning").filter(has_place).collect()
}

/// Whether it is not the summary at the end.
fn has_place(diagnostic: &Value) -> bool {
    let text = diagnostic["message"].as_str().unwrap_or_default();
    !text.starts_with("aborting due to") && !text.ends_with(" emitted")
}

/// What is wrong with the diagnostics of a case; empty if nothing is.
fn problems(case: &Case, diagnostics: &[Value]) -> Vec<String> {
    let [error] = diagnostics else {
        return vec![format!("{} errors and warnings instead of one error", diagnostics.len())];
    };
    let text = error["rendered"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    if error["level"] != "error" {
        found.push("a warning and no error".to_owned());
    }
    let number = |value: &Value| value.as_u64().unwrap_or_default() as usize;
    let spans = error["spans"].as_array().unwrap().iter().filter(|span| span["is_primary"] == true);
    let places: Vec<_> =
        spans.map(|span| (number(&span["line_start"]), number(&span["column_start"]))).collect();
    if !places.iter().any(|(line, column)| *line == case.line && case.columns.contains(column)) {
        found.push(format!("at {places:?} instead of line {} columns {:?}", case.line, case.columns));
    }
    found
        .extend(case.hints.iter().filter(|hint| !text.contains(*hint)).map(|hint| format!("lacks `{hint}`")));
    // The path of the file is not part of the message.
    let message: String = text.lines().filter(|line| !line.trim_start().starts_with("-->")).collect();
    let shown = INTERNAL.iter().filter(|name| message.contains(**name));
    found.extend(shown.map(|name| format!("shows the internal name `{name}`")));
    found
}

fn all_cases() -> Vec<Case> {
    let folder = std::fs::read_dir("compile/corpus/wrong").unwrap();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|file| cases(file)).collect()
}

#[test]
fn each_wrong_use_is_one_error_at_the_token_of_the_user_with_the_fix() {
    let wanted = std::env::var("CASE").unwrap_or_default();
    let cases: Vec<Case> = all_cases().into_iter().filter(|case| case.name.contains(&wanted)).collect();
    let arguments = arguments();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpus-cases");
    std::fs::create_dir_all(&folder).unwrap();
    let (next, report) = (AtomicUsize::new(0), Mutex::new(String::new()));
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let diagnostics = compile(case, &arguments, &folder);
            let problems = problems(case, &diagnostics);
            let mut report = report.lock().unwrap();
            if !problems.is_empty() {
                writeln!(report, "{}: {}", case.name, problems.join("; ")).unwrap();
            }
            for diagnostic in diagnostics.iter().filter(|_| !wanted.is_empty()) {
                *report += diagnostic["rendered"].as_str().unwrap_or_default();
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let report = report.into_inner().unwrap();
    assert!(report.is_empty(), "of {} cases:\n{report}", cases.len());
}

#[test]
fn the_cases_have_different_names() {
    let mut names: Vec<String> = all_cases().into_iter().map(|case| case.name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count > 500, "{count} cases");
}

#[test]
fn a_case_that_compiles_or_fails_elsewhere_is_reported() {
    let case = read_case("topic", "name\n#[task(\"a\")]\nfn a(n: u8) {}\n//      ^^ hint | fix\n");
    assert_eq!((case.line, case.columns.clone()), (4, 9..11));
    let error = |line: u64, text: &str| {
        serde_json::json!({"level": "error", "rendered": text, "message": "",
            "spans": [{"is_primary": true, "line_start": line, "column_start": 9}]})
    };
    assert_eq!(problems(&case, &[error(4, "a hint and a fix")]), Vec::<String>::new());
    for (diagnostics, problem) in [
        (vec![], "0 errors"),
        (vec![error(4, "hint fix"), error(4, "hint fix")], "2 errors"),
        (vec![error(3, "hint fix")], "at [(3, 9)]"),
        (vec![error(4, "hint")], "lacks `fix`"),
        (vec![error(4, "hint fix in qdjobs::__private::finish")], "internal name"),
    ] {
        assert!(problems(&case, &diagnostics)[0].contains(problem), "{problem}");
    }
}
