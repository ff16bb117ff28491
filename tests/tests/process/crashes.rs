//! Tasks that crash their process, in each way there is: the jobs of the process are free again at once, and
//! a crash is counted apart from a failure.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::worker_process::WorkerProcess;
use crate::workspace::{Spread, Workspace};

/// How soon the jobs of a dead process can be claimed again on the same machine, by promise.
const RESCUE: Duration = Duration::from_secs(2);

/// The allowance for a loaded machine.
const LOAD: Duration = Duration::from_secs(1);

/// A task for each kind of crash.
const DEATHS: [&str; 3] = ["abort", "overflow", "exhaust_memory"];

/// A worker with at most 4 GiB of address space, as `exhaust_memory` needs it.
fn limited<'a>(workspace: &Workspace, options: impl IntoIterator<Item = &'a str>) -> WorkerProcess {
    let mut shell = Command::new("sh");
    let limit_and_become = r#"ulimit -v 4194304 && exec "$0" "$@""#;
    shell.args(["-c", limit_and_become, env!("CARGO_BIN_EXE_worker_process")]);
    let mut worker = WorkerProcess::worker_by(&mut shell, workspace, options);
    worker.wait("its worker to start", |line| line.is("started"));
    worker
}

#[test]
fn the_jobs_of_a_dead_process_are_free_within_two_seconds_and_count_a_crash_and_no_failure() {
    let workspace = Workspace::alone();
    let mut frees = Vec::new();
    for death in DEATHS {
        // Both tasks could run elsewhere: this one crashes the process, and only this one.
        let mut dying = limited(&workspace, ["--tasks", &format!("{death},gated")]);
        let gated = workspace.insert_once(&[("gated", "{}")])[0];
        dying.wait("another job to run", |line| line.is_start_of(gated, 1));
        // A worker that frees the dead worker's jobs but cannot run them.
        let survivor = WorkerProcess::worker(&workspace, ["--tasks", "noop"]);
        let poison = workspace.insert_once(&[(death, r#"{"times": 1}"#)])[0];
        dying.wait("the poison job to begin", |line| line.is_start_of(poison, 1));
        let status = dying.wait_exit();
        let died = Instant::now();
        assert_eq!(signal_of(status), Some(rustix::process::Signal::ABORT.as_raw()), "{death}: {status}");
        let free =
            workspace.wait("SELECT count(*) FROM qdjobs_jobs WHERE status = 'running'", [], 0_i64) - died;
        println!("{death}: its jobs were free after {free:.2?}");
        frees.push(free);
        for id in [poison, gated] {
            let state_of: String = workspace.one(
                "SELECT status || ' attempt ' || attempt || ' retries ' || retry_count || ' crashes ' || crash_count
                 FROM qdjobs_jobs WHERE id = ?1",
                [id],
            );
            assert_eq!(state_of, "pending attempt 1 retries 0 crashes 1", "{death}");
        }
        // They have no retries, and are run again all the same: no attempt of theirs has failed.
        let mut next = WorkerProcess::worker(&workspace, []);
        workspace.open_gate(gated, 2);
        for id in [poison, gated] {
            next.wait("it to run again", |line| line.is_start_of(id, 2));
        }
        workspace.wait_drained();
        drop(survivor);
    }
    workspace.assert_all_completed();
    let outcomes: Vec<String> =
        workspace.all("SELECT group_concat(outcome) FROM qdjobs_attempts GROUP BY job_id", []);
    assert_eq!(outcomes, ["crashed,completed"; 2 * DEATHS.len()]);
    let frees = Spread::of(frees);
    println!("a crash to rows that are free again: {frees}");
    assert!(frees.worst() < RESCUE + LOAD);
}

/// Whatever the crash is, and however often a new process starts.
#[test]
fn a_job_that_crashes_every_process_fails_after_few_crashes_and_the_other_jobs_complete() {
    for death in DEATHS {
        let workspace = Workspace::new();
        let bystanders = workspace.insert_once(&[("slow", r#"{"ms": 30}"#); 10]);
        let poison = workspace.insert_once(&[(death, r#"{"times": 1000}"#)])[0];
        let mut deaths = 0;
        let unfinished = "SELECT count(*) FROM qdjobs_jobs WHERE status IN ('pending', 'running')";
        loop {
            let mut worker = limited(&workspace, ["--concurrency", "4"]);
            while !worker.has_ended() && workspace.one::<i64>(unfinished, []) > 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
            if !worker.has_ended() {
                break;
            }
            deaths += 1;
            assert!(deaths <= 8, "{death}: it crashes more often");
        }
        assert!(deaths >= 3, "{death}: {deaths}");
        workspace.assert_sound();
        let state_of = |id: i64| -> String {
            let sql = "SELECT status || ' retries ' || retry_count || ' crashes ' || crash_count FROM qdjobs_jobs WHERE id = ?1";
            workspace.one(sql, [id])
        };
        assert_eq!(state_of(poison), format!("failed retries 0 crashes {deaths}"), "{death}");
        let error: String = workspace.one("SELECT error FROM qdjobs_jobs WHERE id = ?1", [poison]);
        let wanted = format!(
            "the worker that held this job died or was presumed dead {deaths} times, so the job has failed"
        );
        assert!(error.starts_with(&wanted), "{death}: {error}");
        let states: Vec<String> = bystanders.iter().map(|&id| state_of(id)).collect();
        assert!(states.iter().all(|it| it.starts_with("completed retries 0")), "{death}: {states:?}");
    }
}

fn signal_of(status: std::process::ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}
