//! The short form of chaos, about a minute. `QDJOBS_CHAOS_SECONDS` makes it longer, `QDJOBS_SEED` repeats a
//! run's choices.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the figures are the output")]
#![expect(clippy::disallowed_methods, reason = "the processes run in real time")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One test at a time: each uses the whole machine.
static ALONE: Mutex<()> = Mutex::new(());

fn program(dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qdjobs-chaos"));
    command.args(words).arg("--dir").arg(dir);
    if let Ok(seed) = std::env::var("QDJOBS_SEED") {
        command.args(["--seed", &seed]);
    }
    command
}

/// Runs the program to its end, which must be a success; returns its output.
#[track_caller]
fn run(dir: tempfile::TempDir, words: &[&str]) -> String {
    let output = program(dir.path(), words).output().unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    if !output.status.success() {
        panic!("the files are kept in {}:\n{text}", dir.keep().display());
    }
    text
}

#[test]
fn no_promise_is_broken_however_processes_are_killed_stopped_and_restarted() {
    let _lock = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = std::env::var("QDJOBS_CHAOS_SECONDS").unwrap_or_else(|_| "30".into());
    run(tempfile::tempdir().unwrap(), &["--seconds", &seconds]);
}

#[test]
fn a_run_that_is_killed_itself_continues_in_its_directory_and_keeps_its_time() {
    let _lock = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let mut first = program(dir.path(), &["--seconds", "8"]).stdout(Stdio::null()).spawn().unwrap();
    // Until it has recorded some seconds.
    let parent = dir.path().join("history/000000-parent.jsonl");
    let until = Instant::now() + Duration::from_secs(60);
    while std::fs::read_to_string(&parent).unwrap_or_default().matches("\"fault_time\"").count() < 4 {
        assert!(
            Instant::now() < until && first.try_wait().unwrap().is_none(),
            "the first run records no time"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let output = run(dir, &["--seconds", "8"]);
    assert!(
        output.lines().any(|line| line.starts_with("0:08 min of faults, seeds ") && line.contains(", ")),
        "{output}"
    );
    assert!(!output.contains("0:00 min of 8s done"), "it did not continue: {output}");
}

#[test]
fn the_jobs_of_a_killed_worker_are_free_within_three_seconds() {
    let _lock = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let output = run(tempfile::tempdir().unwrap(), &["rescue", "--kills", "8"]);
    let with_others = output.lines().find(|line| line.contains("other workers up all the time"));
    assert!(
        with_others.is_some_and(|line| line.ends_with("of 8")),
        "a rescue was measured without another worker: {output}"
    );
}
