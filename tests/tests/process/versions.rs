//! Programs of two versions on one file. The later one is played by SQL: it expands the schema, as each version does first, or
//! raises what a program has to know to write here.

use rustix::process::Signal;

use crate::scene::{Scene, files};
use crate::worker_process::WorkerProcess;

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

#[test]
fn a_later_version_that_expands_the_schema_disturbs_neither_those_at_work_nor_those_who_come() {
    let scene = Scene::new();
    let options = ["--concurrency", "2"];
    let mut before = WorkerProcess::worker(&scene, options);
    let mut enqueuer = WorkerProcess::start(&scene, ["enqueue", scene.db(), "noop", "300", "1"]);
    let gated = scene.insert_once(&[("gated", "{}")])[0];
    before.wait("a job to run across the upgrade", |said| said.is_start_of(gated, 1));
    enqueuer.wait_nth(100, "its enqueues", |said| said.is("acked"));
    scene.sql.execute_batch(EXPAND).unwrap();
    let mut after = WorkerProcess::worker(&scene, options);
    // More than the one that was there can begin beside what it runs.
    let more = scene.insert_once(&[("gated", "{}"); 4]);
    after.wait("it to work too", |said| said.is("start") && said.words[2] == "gated");
    more.iter().chain([&gated]).for_each(|&id| scene.open_gate(id, 1));
    scene.insert_once(&[("slow", r#"{"ms": 20}"#); 60]);
    enqueuer.wait_success();
    let acked = enqueuer.last_words().iter().filter(|said| said.is("acked")).count();
    assert_eq!(acked, 300);
    scene.wait_drained();
    scene.assert_all_completed();
    let starts = scene.starts();
    assert_eq!(starts.len(), 365);
    assert!(starts.values().all(|&times| times == 1), "run twice: {starts:?}");
    let ended: Vec<u32> =
        scene.read_ledger().iter().filter(|said| said.is("end")).map(|said| said.pid).collect();
    assert!(ended.contains(&before.pid()) && ended.contains(&after.pid()), "one of them did not go on");
    // What the later version added does its work for the inserts of this one.
    let counted: i64 = scene.one("SELECT jobs FROM qdjobs_flavours WHERE name = 'plain'", []);
    assert!(counted >= 60, "{counted}");
    for worker in [&mut before, &mut after] {
        worker.signal(Signal::TERM);
        worker.wait_success();
        let said = worker.said();
        assert!(
            !said.iter().any(|said| ["trouble", "lost", "refused"].contains(&said.what.as_str())),
            "{said:?}"
        );
    }
    let version: i64 = scene.one("SELECT version - min_writer FROM qdjobs_meta", []);
    assert_eq!(version, 1, "a program that knows less takes no step back");
}

/// At once, and for good: the one that has the file open writes not a byte more, nor does one that opens it.
#[test]
fn when_a_later_version_raises_the_schema_beyond_them_processes_at_work_say_so_and_write_nothing_more() {
    let scene = Scene::new();
    let mut worker =
        WorkerProcess::worker(&scene, ["--concurrency", "2", "--lease", "1000", "--grace", "200"]);
    let mut enqueuer = WorkerProcess::start(&scene, ["enqueue", scene.db(), "noop", "1000000", "1"]);
    let [gated, in_transaction] = scene.insert_once(&[("gated", "{}"), ("gated_effect", "{}")])[..] else {
        panic!("two jobs")
    };
    for id in [gated, in_transaction] {
        worker.wait("jobs to run across the upgrade", |said| said.is_start_of(id, 1));
    }
    enqueuer.wait_nth(50, "its enqueues", |said| said.is("acked"));
    scene.sql.execute_batch(CONTRACT).unwrap();
    // Changes with each commit of others, and not with our own.
    let commits = || scene.one::<i64>("PRAGMA data_version", []);
    let (commits_before, rows_before) = (commits(), scene.dump());

    let refused = enqueuer.wait("its refusal", |said| said.is("refused"));
    assert_eq!(refused.words[0], "NewerSchema", "{refused:?}");
    assert!(!enqueuer.wait_exit().success());
    worker.wait("the worker to say so", |said| said.is("trouble") && said.words[0] == "NewerSchema");
    // Neither a result nor a transaction of a task's own gets through.
    scene.open_gate(gated, 1);
    scene.open_gate(in_transaction, 1);
    worker.wait("the first job to end", |said| said.is("end") && said.number(0) == gated);
    let no_commit = worker.wait("the second to be refused", |said| said.is("no-commit"));
    assert_eq!(no_commit.words[2], "NewerSchema");
    let said = worker.said().len();
    worker.wait_nth(said + 2, "it to have tried again", |_| true);
    // One that comes now is refused at the door.
    let words = tried(&scene, scene.db());
    assert_eq!(words[..2], ["open", "NewerSchema"], "{words:?}");
    // And a stop does not wait for what can never be written.
    let asked = std::time::Instant::now();
    worker.signal(Signal::TERM);
    assert!(!worker.wait_exit().success(), "what it could not write, it says");
    let took = asked.elapsed();
    println!("a worker that may not write any more stopped after {took:.2?}");
    assert!(took < std::time::Duration::from_secs(5), "{took:?}");

    assert_eq!(scene.dump(), rows_before);
    assert_eq!(commits(), commits_before, "somebody has written");

    // The program that may, does: here this one again, after a rollback of the upgrade.
    scene
        .sql
        .execute_batch("UPDATE qdjobs_meta SET version = version - 1, min_writer = version - 1")
        .unwrap();
    let mut next = WorkerProcess::worker(&scene, ["--concurrency", "2", "--lease", "1000"]);
    for id in [gated, in_transaction] {
        scene.open_gate(id, 2);
        next.wait("it to run again", |said| said.is_start_of(id, 2));
    }
    scene.wait_drained();
    scene.assert_all_completed();
    assert_eq!(scene.all::<i64>("SELECT attempt FROM effects", []), [2]);
}

#[test]
fn a_program_that_is_refused_by_a_newer_file_changes_no_byte_of_it() {
    let scene = Scene::new();
    scene.insert_once(&[("noop", r#"{"n": 1}"#); 20]);
    scene.sql.execute_batch(CONTRACT).unwrap();
    let copy_to = |name: &str, files: [&str; 2]| {
        let dir = scene.path(name);
        std::fs::create_dir(&dir).unwrap();
        for file in files.iter().filter(|file| !file.is_empty()) {
            std::fs::copy(scene.path(file), dir.join(file)).unwrap();
        }
        dir
    };
    // As a newer program leaves it that is killed: all of this is in the log.
    let killed = copy_to("killed", ["jobs.db", "jobs.db-wal"]);
    assert!(std::fs::metadata(killed.join("jobs.db-wal")).unwrap().len() > 0, "there is nothing in the log");
    // And as one that ends in peace.
    scene.sql.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let ended = copy_to("ended", ["jobs.db", ""]);
    for dir in [killed, ended] {
        let before = files(&dir);
        let words = tried(&scene, dir.join("jobs.db").to_str().unwrap());
        assert_eq!(words[..2], ["open", "NewerSchema"], "{words:?}");
        let mut after = files(&dir);
        // An index of the log, made by anyone who looks.
        after.remove("jobs.db-shm");
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        let changed: Vec<_> = before.keys().filter(|name| before[*name] != after[*name]).collect();
        assert!(changed.is_empty(), "{changed:?}");
    }
}

/// What a process is told that opens this file and enqueues.
fn tried(scene: &Scene, db: &str) -> Vec<String> {
    let mut victim = WorkerProcess::start(scene, ["try", db]);
    let words = victim.wait("what it is told", |said| said.is("refused")).words;
    victim.wait_success();
    words
}
