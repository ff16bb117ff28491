//! How soon an idle worker notices a job, and what it costs when there is none.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::scene::{Scene, Spread};
use crate::worker_process::{Said, WorkerProcess};

/// The waits from the moment each job was sent off (or its insert was answered) to its start in another process.
fn waits(worker: &mut WorkerProcess, sent: &[Said], since: impl Fn(&Said) -> i64) -> Spread {
    worker.wait_nth(sent.len(), "all jobs to start", |said| said.is("start"));
    let starts = worker.said().iter().filter(|said| said.is("start"));
    let starts: BTreeMap<i64, i64> = starts.map(|said| (said.number(0), said.micros)).collect();
    let waits = sent.iter().map(|said| {
        // It may have begun before the answer arrived.
        let micros = starts[&said.number(0)] - since(said);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    });
    Spread::of(waits.collect())
}

fn sent(mut sender: WorkerProcess) -> Vec<Said> {
    sender.wait_success();
    sender.last_words().into_iter().filter(|said| said.is("acked")).collect()
}

#[test]
fn an_enqueue_in_one_process_wakes_a_worker_in_another_at_once() {
    let scene = Scene::alone();
    let mut worker = WorkerProcess::worker(&scene, []);
    let sent = sent(WorkerProcess::start(&scene, ["enqueue", scene.db(), "noop", "200", "7"]));
    assert_eq!(sent.len(), 200);
    let from_call = waits(&mut worker, &sent, |said| said.number(1));
    let from_answer = waits(&mut worker, &sent, |said| said.micros);
    println!("another process, from the call of enqueue to the start: {from_call}");
    println!("another process, from the answer of enqueue to the start: {from_answer}");
    // From the answer, since what the commit takes is the disk's affair.
    crate::assert_speed(from_answer.median(), Duration::from_millis(10));
}

#[test]
fn a_plain_insert_by_another_program_is_noticed_within_50_ms_in_the_median() {
    let scene = Scene::alone();
    let mut worker = WorkerProcess::worker(&scene, []);
    let inserted = sent(WorkerProcess::start(&scene, ["insert", scene.db(), "noop", "50", "20"]));
    assert_eq!(inserted.len(), 50);
    let waits = waits(&mut worker, &inserted, |said| said.micros);
    println!("a plain INSERT in another process, from its answer to the start: {waits}");
    crate::assert_speed(waits.median(), Duration::from_millis(50));
}

/// Whether tests that need it can run; says so if not.
pub(crate) fn python_is_there() -> bool {
    let python = Command::new("python3").args(["-c", "import sqlite3"]).stderr(Stdio::null()).status();
    let is_there = python.is_ok_and(|status| status.success());
    if !is_there {
        crate::skip("there is no python3 with sqlite3 here");
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
    let scene = Scene::alone();
    let mut worker = WorkerProcess::worker(&scene, []);
    let python = WorkerProcess::spawn(Command::new("python3").args(["-c", PYTHON, scene.db()]), &scene);
    let inserted = sent(python);
    assert_eq!(inserted.len(), 50);
    let waits = waits(&mut worker, &inserted, |said| said.micros);
    println!("an INSERT by Python's sqlite3, from its answer to the start: {waits}");
    crate::assert_speed(waits.median(), Duration::from_millis(50));
    scene.wait_drained();
    scene.assert_all_completed();
}

/// In hundredths of a second, over all threads: user and system.
#[cfg(target_os = "linux")]
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name stands in brackets and may hold anything.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_worker_costs_less_than_a_hundredth_of_a_core() {
    let scene = Scene::alone();
    // One that has worked, with others on the file: the state in which it spends its life.
    let mut worker = WorkerProcess::worker(&scene, []);
    let _other = WorkerProcess::worker(&scene, []);
    scene.insert(&[("noop", r#"{"n": 1}"#); 20]);
    scene.wait_drained();
    let before = cpu_ticks(worker.pid());
    let watched = Duration::from_secs(5);
    std::thread::sleep(watched);
    let ticks = cpu_ticks(worker.pid()) - before;
    println!("an idle worker: {ticks} ticks of 10 ms in {watched:?}, {:.2} % of a core", ticks as f64 / 5.0);
    assert!(!worker.has_ended());
    // Most of it is SQLite looking for a change, which a debug build compiles without optimisation.
    let limit = if cfg!(debug_assertions) { 10 } else { 5 };
    crate::assert_speed(ticks, limit);
}
