//! The short form of the torture, a minute long: `QDJOBS_TORTURE_SECONDS` makes it longer, `QDJOBS_SEED` repeats a run's choices.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::print_stdout, reason = "figures are printed for people")]

use std::process::Command;

fn torture(words: &[&str]) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_qdjobs-torture"));
    command.args(words).arg("--dir").arg(dir.path());
    if let Ok(seed) = std::env::var("QDJOBS_SEED") {
        command.args(["--seed", &seed]);
    }
    let output = command.output().unwrap();
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    if !output.status.success() {
        println!("the files are kept in {}", dir.keep().display());
    }
    (output.status.success(), said)
}

#[test]
fn no_promise_is_broken_however_processes_are_killed_stopped_and_restarted() {
    let seconds = std::env::var("QDJOBS_TORTURE_SECONDS").unwrap_or_else(|_| "45".into());
    let (kept, said) = torture(&["--seconds", &seconds]);
    assert!(kept, "{said}");
}
