//! Programs of two versions on one file. SQL plays the later one: it expands the schema, as each version does
//! first, or raises the version that a program needs to write here.

use rustix::process::Signal;

use crate::worker_process::WorkerProcess;
use crate::workspace::{Workspace, files};

/// What a later version may add while this one is at work.
const EXPAND: &str = "
    BEGIN IMMEDIATE;
    ALTER TABLE qdjobs_jobs ADD COLUMN flavour TEXT NOT NULL DEFAULT 'plain';
    CREATE INDEX qdjobs_flavoured ON qdjobs_jobs (flavour) WHERE flavour <> 'plain';
    CREATE TABLE qdjobs_flavours (name TEXT PRIMARY KEY, jobs INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TRIGGER qdjobs_flavours_counted AFTER INSERT ON qdjobs_jobs BEGIN
        INSERT INTO qdjobs_flavours VALUES (NEW.flavour, 1) ON CONFLICT DO UPDATE SET jobs = jobs + 1;
    END;
    UPDATE qdjobs_meta SET version = version + 1;
    COMMIT;";

/// From now on only programs of a later version may write here.
const CONTRACT: &str = "UPDATE qdjobs_meta SET version = version + 1, min_writer = version + 1";

/// A rolling deployment and its way back: the later version of a task has another parameter. Each worker leaves
/// the jobs of the other version alone.
#[test]
fn workers_of_two_versions_run_the_jobs_that_each_can_read_and_no_retry_is_used() {
    let workspace = Workspace::new();
    let later = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_later_version"));
        WorkerProcess::worker_by(&mut command, &workspace, [])
    };
    let visible = "SELECT count(*) FROM qdjobs_jobs WHERE status = 'pending' AND error LIKE '%label%'";
    let mut before = WorkerProcess::worker(&workspace, ["--concurrency", "2"]);
    let new = workspace.insert(&[("noop", r#"{"n": 1, "label": "blue"}"#); 10]);
    before.wait_nth(10, "it to leave them to others", |line| line.is("postponed"));
    workspace.wait(visible, [], 10);
    let mut after = later();
    after.wait("its worker to start", |line| line.is("started"));
    before.signal(Signal::TERM);
    before.wait_success();
    workspace.wait_drained();

    let old = workspace.insert(&[("noop", r#"{"n": 2}"#); 10]);
    after.wait_nth(10, "it to leave them to others", |line| line.is("postponed") && line.number(0) >= old[0]);
    workspace.wait(visible, [], 10);
    let _before = WorkerProcess::worker(&workspace, ["--concurrency", "2"]);
    after.kill();
    workspace.wait_drained();
    workspace.assert_all_completed();
    let results = "SELECT DISTINCT coalesce(result, 'none') FROM qdjobs_jobs WHERE id BETWEEN ?1 AND ?2";
    assert_eq!(workspace.all::<String>(results, [new[0], new[9]]), [r#""1 blue""#]);
    assert_eq!(workspace.all::<String>(results, [old[0], old[9]]), ["null"]);
    let retried = "SELECT count(*) FROM qdjobs_jobs WHERE retry_count > 0";
    assert_eq!(workspace.one::<i64>(retried, []), 0);
}

#[test]
fn a_later_version_that_expands_the_schema_disturbs_neither_running_nor_new_processes() {
    let workspace = Workspace::new();
    let options = ["--concurrency", "2"];
    let mut before = WorkerProcess::worker(&workspace, options);
    let mut enqueuer = WorkerProcess::start(&workspace, ["enqueue", workspace.db(), "noop", "300", "1"]);
    let gated = workspace.insert_once(&[("gated", "{}")])[0];
    before.wait("a job to run across the upgrade", |line| line.is_start_of(gated, 1));
    enqueuer.wait_nth(100, "its enqueues", |line| line.is("acked"));
    let version = || workspace.one::<i64>("SELECT version FROM qdjobs_meta", []);
    let version_before = version();
    workspace.sql.execute_batch(EXPAND).unwrap();
    let mut after = WorkerProcess::worker(&workspace, options);
    // More than the first worker can begin beside what it runs.
    let more = workspace.insert_once(&[("gated", "{}"); 4]);
    after.wait("it to work too", |line| line.is("start") && line.words[2] == "gated");
    more.iter().chain([&gated]).for_each(|&id| workspace.open_gate(id, 1));
    workspace.insert_once(&[("slow", r#"{"ms": 20}"#); 60]);
    enqueuer.wait_success();
    let acked = enqueuer.into_lines().iter().filter(|line| line.is("acked")).count();
    assert_eq!(acked, 300);
    workspace.wait_drained();
    workspace.assert_all_completed();
    let starts = workspace.starts();
    assert_eq!(starts.len(), 365);
    assert!(starts.values().all(|&times| times == 1), "run twice: {starts:?}");
    let ended: Vec<u32> =
        workspace.read_log().iter().filter(|line| line.is("end")).map(|line| line.pid).collect();
    assert!(ended.contains(&before.pid()) && ended.contains(&after.pid()), "one of them did not continue");
    // What the later version added works for the inserts of this one.
    let counted: i64 = workspace.one("SELECT jobs FROM qdjobs_flavours WHERE name = 'plain'", []);
    assert!(counted >= 60, "{counted}");
    for worker in [&mut before, &mut after] {
        worker.signal(Signal::TERM);
        worker.wait_success();
        let log = worker.log();
        assert!(
            !log.iter().any(|line| ["store-error", "lease-lost", "discarded"].contains(&line.what.as_str())),
            "{log:?}"
        );
    }
    assert_eq!(version(), version_before + 1, "an older program does not lower the version");
}

/// At once, and for good: neither the program that has the file open nor one that opens it writes another
/// byte.
#[test]
fn when_a_later_version_raises_the_schema_running_processes_report_it_and_write_nothing_more() {
    let workspace = Workspace::new();
    let mut worker = WorkerProcess::worker(
        &workspace,
        ["--concurrency", "2", "--lease", "1000", "--shutdown-timeout", "200"],
    );
    let mut enqueuer = WorkerProcess::start(&workspace, ["enqueue", workspace.db(), "noop", "1000000", "1"]);
    let [gated, in_transaction] = workspace.insert_once(&[("gated", "{}"), ("gated_effect", "{}")])[..]
    else {
        panic!("expected two jobs")
    };
    for id in [gated, in_transaction] {
        worker.wait("jobs to run across the upgrade", |line| line.is_start_of(id, 1));
    }
    enqueuer.wait_nth(50, "its enqueues", |line| line.is("acked"));
    workspace.sql.execute_batch(CONTRACT).unwrap();
    // Changes with each commit of other connections, and not with our own.
    let commits = || workspace.one::<i64>("PRAGMA data_version", []);
    let (commits_before, rows_before) = (commits(), workspace.dump());

    let refused = enqueuer.wait("its refusal", |line| line.is("refused"));
    assert_eq!(refused.words[0], "NewerSchema", "{refused:?}");
    assert!(!enqueuer.wait_exit().success());
    worker.wait("the worker to report it", |line| line.is("store-error") && line.words[0] == "NewerSchema");
    // Neither a result nor a transaction of a task's own is written.
    workspace.open_gate(gated, 1);
    workspace.open_gate(in_transaction, 1);
    worker.wait("the first job to end", |line| line.is("end") && line.number(0) == gated);
    let no_commit = worker.wait("the second to be refused", |line| line.is("no-commit"));
    assert_eq!(no_commit.words[2], "NewerSchema");
    let reported = worker.log().len();
    worker.wait_nth(reported + 2, "it to have tried again", |_| true);
    // A program that opens the file now is refused.
    let words = tried(&workspace, workspace.db());
    assert_eq!(words[..2], ["open", "NewerSchema"], "{words:?}");
    // And a stop does not wait for what can never be written.
    let asked = std::time::Instant::now();
    worker.signal(Signal::TERM);
    assert!(!worker.wait_exit().success(), "it reports what it could not write");
    let took = asked.elapsed();
    println!("a worker that may not write any more stopped after {took:.2?}");
    assert!(took < std::time::Duration::from_secs(5), "{took:?}");

    assert_eq!(workspace.dump(), rows_before);
    assert_eq!(commits(), commits_before, "another byte was written");

    // A program of the right version can write: here this one again, after a rollback of the upgrade.
    workspace
        .sql
        .execute_batch("UPDATE qdjobs_meta SET version = version - 1, min_writer = version - 1")
        .unwrap();
    let mut next = WorkerProcess::worker(&workspace, ["--concurrency", "2", "--lease", "1000"]);
    for id in [gated, in_transaction] {
        workspace.open_gate(id, 2);
        next.wait("it to run again", |line| line.is_start_of(id, 2));
    }
    workspace.wait_drained();
    workspace.assert_all_completed();
    assert_eq!(workspace.all::<i64>("SELECT attempt FROM effects", []), [2]);
}

#[test]
fn a_program_that_is_refused_by_a_newer_file_changes_no_byte_of_it() {
    let workspace = Workspace::new();
    workspace.insert_once(&[("noop", r#"{"n": 1}"#); 20]);
    workspace.sql.execute_batch(CONTRACT).unwrap();
    let copy_to = |name: &str, files: [&str; 2]| {
        let dir = workspace.path(name);
        std::fs::create_dir(&dir).unwrap();
        for file in files.iter().filter(|file| !file.is_empty()) {
            std::fs::copy(workspace.path(file), dir.join(file)).unwrap();
        }
        dir
    };
    // As a newer program leaves it that is killed: everything is in the log.
    let killed = copy_to("killed", ["jobs.db", "jobs.db-wal"]);
    assert!(std::fs::metadata(killed.join("jobs.db-wal")).unwrap().len() > 0, "there is nothing in the log");
    // And as one that stops in good order.
    workspace.sql.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let ended = copy_to("ended", ["jobs.db", ""]);
    for dir in [killed, ended] {
        let before = files(&dir);
        let words = tried(&workspace, dir.join("jobs.db").to_str().unwrap());
        assert_eq!(words[..2], ["open", "NewerSchema"], "{words:?}");
        let mut after = files(&dir);
        // The index of the log, which any reader creates.
        after.remove("jobs.db-shm");
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        let changed: Vec<_> = before.keys().filter(|name| before[*name] != after[*name]).collect();
        assert!(changed.is_empty(), "{changed:?}");
    }
}

/// The error of a process that opens this file and enqueues.
fn tried(workspace: &Workspace, db: &str) -> Vec<String> {
    let mut process = WorkerProcess::start(workspace, ["try", db]);
    let words = process.wait("its answer", |line| line.is("refused")).words;
    process.wait_success();
    words
}
