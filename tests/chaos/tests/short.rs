//! The short form of the torture, about a minute long. `QDJOBS_CHAOS_SECONDS` makes it longer, `QDJOBS_SEED` repeats a run's choices.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::print_stdout, reason = "figures are printed for people")]
#![expect(clippy::disallowed_methods, reason = "processes live in real time")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One after the other: each takes all the machine has.
static ALONE: Mutex<()> = Mutex::new(());

fn program(dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qdjobs-chaos"));
    command.args(words).arg("--dir").arg(dir);
    if let Ok(seed) = std::env::var("QDJOBS_SEED") {
        command.args(["--seed", &seed]);
    }
    command
}

/// Runs it to its end, which must be a good one; answers what it said.
#[track_caller]
fn run(dir: tempfile::TempDir, words: &[&str]) -> String {
    let output = program(dir.path(), words).output().unwrap();
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    if !output.status.success() {
        panic!("the files are kept in {}:\n{said}", dir.keep().display());
    }
    said
}

#[test]
fn no_promise_is_broken_however_processes_are_killed_stopped_and_restarted() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = std::env::var("QDJOBS_CHAOS_SECONDS").unwrap_or_else(|_| "30".into());
    run(tempfile::tempdir().unwrap(), &["--seconds", &seconds]);
}

#[test]
fn a_chaos_that_is_killed_itself_goes_on_in_its_directory_and_counts_on() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let mut first = program(dir.path(), &["--seconds", "8"]).stdout(Stdio::null()).spawn().unwrap();
    // Until it has counted some seconds.
    let parent = dir.path().join("history/000000-parent.jsonl");
    let until = Instant::now() + Duration::from_secs(60);
    while std::fs::read_to_string(&parent).unwrap_or_default().matches("\"pulse\"").count() < 4 {
        assert!(Instant::now() < until && first.try_wait().unwrap().is_none(), "it does not count");
        std::thread::sleep(Duration::from_millis(20));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let said = run(dir, &["--seconds", "8"]);
    assert!(
        said.lines().any(|line| line.starts_with("0:08 min of faults, seeds ") && line.contains(", ")),
        "{said}"
    );
    assert!(!said.starts_with("seed") || !said.contains("0:00 min of 8s done"), "it began anew: {said}");
}

#[test]
fn the_jobs_of_a_killed_worker_are_free_within_three_seconds() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let said = run(tempfile::tempdir().unwrap(), &["rescue", "--kills", "8"]);
    let with_others = said.lines().find(|line| line.contains("others at work all the time"));
    assert!(
        with_others.is_some_and(|line| line.ends_with("of 8")),
        "not every rescue was measured with others at work: {said}"
    );
}
