//! How soon an idle worker notices a job, and the cost of an idle worker.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::worker_process::{LogLine, WorkerProcess};
use crate::workspace::{Spread, Workspace};

/// The waits from the moment each job was sent (or its insert was answered) to its start in another process.
fn waits(worker: &mut WorkerProcess, sent: &[LogLine], since: impl Fn(&LogLine) -> i64) -> Spread {
    worker.wait_nth(sent.len(), "all jobs to start", |line| line.is("start"));
    let starts = worker.log().iter().filter(|line| line.is("start"));
    let starts: BTreeMap<i64, i64> = starts.map(|line| (line.number(0), line.micros)).collect();
    let waits = sent.iter().map(|line| {
        // It may have started before the answer arrived.
        let micros = starts[&line.number(0)] - since(line);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    });
    Spread::of(waits.collect())
}

fn sent(mut sender: WorkerProcess) -> Vec<LogLine> {
    sender.wait_success();
    sender.into_lines().into_iter().filter(|line| line.is("acked")).collect()
}

#[test]
fn an_enqueue_in_one_process_wakes_a_worker_in_another_at_once() {
    let workspace = Workspace::alone();
    let mut worker = WorkerProcess::worker(&workspace, []);
    let sent = sent(WorkerProcess::start(&workspace, ["enqueue", workspace.db(), "noop", "200", "7"]));
    assert_eq!(sent.len(), 200);
    let from_call = waits(&mut worker, &sent, |line| line.number(1));
    let from_answer = waits(&mut worker, &sent, |line| line.micros);
    println!("another process, from the call of enqueue to the start: {from_call}");
    println!("another process, from the answer of enqueue to the start: {from_answer}");
    // From the answer, since the time of the commit depends on the disk.
    crate::assert_speed(from_answer.median(), Duration::from_millis(10));
}

#[test]
fn a_plain_insert_by_another_program_is_noticed_within_50_ms_in_the_median() {
    let workspace = Workspace::alone();
    let mut worker = WorkerProcess::worker(&workspace, []);
    let inserted = sent(WorkerProcess::start(&workspace, ["insert", workspace.db(), "noop", "50", "20"]));
    assert_eq!(inserted.len(), 50);
    let waits = waits(&mut worker, &inserted, |line| line.micros);
    println!("a plain INSERT in another process, from its answer to the start: {waits}");
    crate::assert_speed(waits.median(), Duration::from_millis(50));
}

/// Whether tests that need it can run; reports it if not.
pub(crate) fn python_is_there() -> bool {
    let python = Command::new("python3").args(["-c", "import sqlite3"]).stderr(Stdio::null()).status();
    let is_there = python.is_ok_and(|status| status.success());
    if !is_there {
        crate::skip("python3 with sqlite3 is not installed");
    }
    is_there
}

const PYTHON: &str = r#"
import os, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
for i in range(50):
    before = time.time_ns() // 1000
    row = db.execute("INSERT INTO qdjobs_jobs (task_name, params) VALUES ('noop', ?)", ('{"n": %d}' % i,)).lastrowid
    print(time.time_ns() // 1000, os.getpid(), "acked", row, before, flush=True)
    time.sleep(0.02 + i * 7 % 25 / 1000)
"#;

#[test]
fn an_insert_by_python_is_noticed_within_50_ms_in_the_median() {
    if !python_is_there() {
        return;
    }
    let workspace = Workspace::alone();
    let mut worker = WorkerProcess::worker(&workspace, []);
    let python =
        WorkerProcess::spawn(Command::new("python3").args(["-c", PYTHON, workspace.db()]), &workspace);
    let inserted = sent(python);
    assert_eq!(inserted.len(), 50);
    let waits = waits(&mut worker, &inserted, |line| line.micros);
    println!("an INSERT by Python's sqlite3, from its answer to the start: {waits}");
    crate::assert_speed(waits.median(), Duration::from_millis(50));
    workspace.wait_drained();
    workspace.assert_all_completed();
}

/// In hundredths of a second, over all threads: user and system.
#[cfg(target_os = "linux")]
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name is in parentheses and may contain anything.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_worker_costs_less_than_a_hundredth_of_a_core() {
    let workspace = Workspace::alone();
    // A worker that has worked, with other connections on the file: its usual state.
    let mut worker = WorkerProcess::worker(&workspace, []);
    let _other = WorkerProcess::worker(&workspace, []);
    workspace.insert(&[("noop", r#"{"n": 1}"#); 20]);
    workspace.wait_drained();
    let before = cpu_ticks(worker.pid());
    let watched = Duration::from_secs(5);
    std::thread::sleep(watched);
    let ticks = cpu_ticks(worker.pid()) - before;
    println!("an idle worker: {ticks} ticks of 10 ms in {watched:?}, {:.2} % of a core", ticks as f64 / 5.0);
    assert!(!worker.has_ended());
    // Most of it is SQLite checking for a change, which a debug build compiles without optimization.
    let limit = if cfg!(debug_assertions) { 10 } else { 5 };
    crate::assert_speed(ticks, limit);
}
