//! `#[task]` from outside: the compiler's message for each mistake, what compiles, and what the linker finds.
//!
//! Depends on trybuild and cargo. The macro crate tests what an expansion looks like; the library tests what
//! a task does.
//!
//! `TRYBUILD=overwrite cargo test -p qdjobs-tests --test compile` writes the expected errors again; read the
//! difference before you keep it.

use std::path::Path;
use std::process::Command;
use std::sync::Once;

/// One file for each mistake, named after it; one error each. The words are those of the pinned compiler.
#[test]
fn each_mistake_is_one_error_and_correct_code_compiles_and_runs() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("compile/fail/*.rs");
    cases.pass("compile/pass/*.rs");
}

/// Files with several errors are listed here.
#[test]
fn only_the_listed_files_have_several_errors() {
    for file in std::fs::read_dir("compile/fail").unwrap().map(|entry| entry.unwrap().path()) {
        let is_list = ["all_errors_at_once", "bad_backoffs"]
            .iter()
            .any(|list| file.ends_with(format!("{list}.stderr")));
        if file.extension().is_some_and(|extension| extension == "stderr") && !is_list {
            let text = std::fs::read_to_string(&file).unwrap();
            let errors = text.lines().filter(|line| line.starts_with("error")).count();
            assert_eq!(errors, 1, "{}", file.display());
            assert!(!text.contains("\nwarning"), "{}", file.display());
        }
    }
}

/// Runs a program of the small workspace in `compile/link/`, which depends on crates of tasks as a user's
/// program does.
fn link(program: &str, arguments: &[&str]) -> String {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("compile/link");
    // The versions that are already there: a test downloads nothing.
    static LOCK: Once = Once::new();
    LOCK.call_once(|| {
        std::fs::copy("../Cargo.lock", home.join("Cargo.lock")).expect("the workspace has a lock file");
    });
    // One target directory for all of them, apart from the one that the running cargo has locked.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("link");
    let output = Command::new(env!("CARGO"))
        .current_dir(home)
        .args(["run", "--quiet", "--offline", "--bin", program])
        .args(arguments)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const FOUND: &str = "tasks: nested, top\nfine\n";

#[test]
fn a_worker_finds_the_tasks_of_a_crate_that_it_names() {
    assert_eq!(link("names_the_crate", &[]), FOUND);
}

#[test]
fn a_worker_finds_them_after_full_optimization_too() {
    assert_eq!(link("names_the_crate", &["--profile", "fat"]), FOUND);
}

#[test]
fn a_worker_that_names_no_crate_of_tasks_gets_an_error_with_the_fix() {
    let told = "tasks: \nno task is linked into this program\nhelp: if your tasks are in another crate, add `use \
                that_crate as _;` to this program; where the linker cannot collect tasks, call `Worker::register` for \
                each\n";
    assert_eq!(link("forgets_the_crate", &[]), told);
}

#[test]
fn a_task_name_in_two_crates_is_an_error_with_both_locations() {
    let text = link("links_a_twin", &[]);
    assert!(text.contains("two tasks have the name or alias `top`:\n"), "{text}");
    assert!(text.contains("tasks/src/lib.rs:") && text.contains("(crate link_tasks)"), "{text}");
    assert!(text.contains("twin/src/lib.rs:") && text.contains("(crate link_twin)"), "{text}");
}
