//! Backups, the check of a file, and salvage from a corrupt one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use qdjobs::prelude::*;
use qdjobs::rusqlite::Connection;
use qdjobs::store::NewJob;
use qdjobs::store::sqlite::{SqliteOptions, SqliteStore, check, salvage};
use qdjobs::store::{ClaimRequest, JobCommand, Release, Store, TaskSet, WorkerInfo};
use qdjobs::{Clock, ErrorKind, JobId, JobQueue, Status, WorkerId};

use crate::support::{Log, Soon, Workspace, job};

#[task("salvage.keep", retries = 0)]
fn keep(text: String, #[state] log: &Log) -> Result<usize, String> {
    log.write("kept");
    if text == "fail" { Err("as requested".into()) } else { Ok(text.len()) }
}

const PAGE: usize = 4096;

/// The leaf pages of a table, as SQLite reports them.
fn pages_of(path: &Path, table: &str) -> Vec<usize> {
    let conn = Connection::open(path).unwrap();
    let dbstat =
        conn.prepare("SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' ORDER BY path");
    let mut statement = dbstat.unwrap();
    let pages = statement.query_map([table], |row| row.get::<_, i64>(0)).unwrap();
    pages.map(|page| page.unwrap() as usize).collect()
}

fn overwrite(path: &Path, pages: &[usize]) {
    let mut bytes = std::fs::read(path).unwrap();
    for page in pages {
        bytes[(page - 1) * PAGE..page * PAGE].fill(0x5a);
    }
    std::fs::write(path, bytes).unwrap();
}

/// A closed file with jobs in it, of many sizes, one of them with a history.
fn filled_workspace() -> (Workspace, Vec<JobId>) {
    let (workspace, queue) = Workspace::with_queue();
    let worker = Worker::new(&queue).task::<Keep>().state(Log::default()).start().unwrap();
    let failed = Keep::new("fail").enqueue(&queue).unwrap();
    failed.soon().unwrap_err();
    worker.stop().unwrap();
    let later = |n: usize| Keep::new("x".repeat(n * 7 % 3_000)).delay(Duration::from_secs(9_999));
    let mut ids = vec![failed.id()];
    ids.extend(queue.enqueue_all((0..800).map(later)).unwrap());
    queue.delete(ids[400]).unwrap();
    ids.remove(400);
    drop((failed, queue));
    (workspace, ids)
}

#[test]
fn a_backup_is_a_complete_private_database_and_never_replaces_a_file() {
    let (workspace, queue) = Workspace::with_queue();
    let ids = queue.enqueue_all((0..500).map(|n| Keep::new(n.to_string()))).unwrap();
    let worker = Worker::new(&queue).task::<Keep>().state(Log::default()).start().unwrap();
    let copy = workspace.dir().join("copy.db");
    queue.backup(&copy).unwrap();
    worker.stop().unwrap();
    let findings = check(&copy).unwrap();
    assert_eq!((findings.jobs, findings.is_sound()), (ids.len() as u64, true), "{findings:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(!workspace.files().iter().any(|name| name.starts_with("copy.db-")), "{:?}", workspace.files());

    let before = std::fs::read(&copy).unwrap();
    let refused = queue.backup(&copy).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
    assert_eq!(std::fs::read(&copy).unwrap(), before);
    // Not even the queue itself, whose log lies beside it.
    let refused = queue.backup(workspace.db()).unwrap_err().to_string();
    assert!(refused.contains("jobs.db` already exists"), "{refused}");
    queue.backup(workspace.dir().join("missing").join("copy.db")).unwrap_err();
    assert_eq!(
        JobQueue::in_memory().backup(workspace.dir().join("other.db")).unwrap_err().kind(),
        ErrorKind::Config
    );

    // It is a queue like any other.
    let restored = JobQueue::open(&copy).unwrap();
    assert_eq!(restored.counts().unwrap().total(), 500);
}

/// SQLite would not take any of these as the name of a file.
#[test]
fn names_with_a_special_meaning_for_sqlite_are_refused_as_file_names() {
    let (workspace, queue) = Workspace::with_queue();
    for name in ["file:b.db", "file:/tmp/b.db?mode=memory", ":memory:", ""] {
        for (what, refused) in [
            ("open", JobQueue::open(name).unwrap_err()),
            ("backup", queue.backup(name).unwrap_err()),
            ("check", check(name).unwrap_err()),
            ("salvage of", salvage(name, workspace.dir().join("new.db")).unwrap_err()),
            ("salvage to", salvage(workspace.db(), name).unwrap_err()),
        ] {
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{what} `{name}`: {refused}");
            assert!(refused.to_string().contains("is not a file"), "{what} `{name}`: {refused}");
        }
        assert!(name.is_empty() || !Path::new(name).exists(), "{name}");
    }
    assert!(!workspace.dir().join("new.db").exists());
    // Such a file can be named with its directory.
    #[cfg(unix)]
    {
        let copy = workspace.dir().join("file:b.db");
        queue.backup(&copy).unwrap();
        assert!(check(&copy).unwrap().is_sound());
    }
}

#[test]
fn a_check_finds_nothing_in_a_sound_file_and_reports_contradictions_in_others() {
    let (workspace, ids) = filled_workspace();
    let bytes = || std::fs::read(workspace.db()).unwrap();
    let before = (bytes(), workspace.files());
    let findings = check(workspace.db()).unwrap();
    assert_eq!((findings.jobs, findings.problems.as_slice()), (ids.len() as u64, &[] as &[String]));
    assert_eq!((bytes(), workspace.files()), before, "no file is changed or added");

    let conn = workspace.connection();
    conn.execute_batch(
        "UPDATE qdjobs_jobs SET status = 'running', worker_id = 77 WHERE id = 5;
         UPDATE qdjobs_jobs SET completed_at = 1 WHERE id = 6;
         UPDATE qdjobs_jobs SET params = '{x}', metadata = '[1' WHERE id = 7;
         UPDATE qdjobs_params SET params = '{x}' WHERE job_id = (SELECT max(job_id) FROM qdjobs_params);
         INSERT INTO qdjobs_attempts VALUES (99999, 1, 1, 1, 1, 'failed', NULL)",
    )
    .unwrap();
    let problems = check(workspace.db()).unwrap().problems;
    for words in [
        "1 running jobs without a registered worker",
        "1 jobs whose status and completed_at",
        "1 attempts of jobs that do not exist",
        "2 jobs whose params are not a JSON object",
        "1 jobs whose metadata is not JSON",
    ] {
        assert!(problems.iter().any(|problem| problem.starts_with(words)), "{words}: {problems:?}");
    }
    let foreign = workspace.dir().join("application.db");
    let tables = "CREATE TABLE orders (id INTEGER PRIMARY KEY)";
    Connection::open(&foreign).unwrap().execute_batch(tables).unwrap();
    assert_eq!(check(&foreign).unwrap().problems, ["the file has no tables of qdjobs"]);
    assert_eq!(check(workspace.dir().join("none.db")).unwrap_err().kind(), ErrorKind::Storage);
    assert!(!workspace.dir().join("none.db").exists());
    std::fs::write(workspace.dir().join("letter"), "Dear SQLite, ".repeat(100)).unwrap();
    assert_eq!(check(workspace.dir().join("letter")).unwrap_err().kind(), ErrorKind::Corrupt);
}

/// Lets a job crash this often, each time with another worker.
fn crash(store: &SqliteStore, id: JobId, times: i64) {
    for worker in (1..=times).map(WorkerId) {
        store.register_worker(WorkerInfo::new(worker, "here", 7)).wait().unwrap();
        let turned = store
            .claim(ClaimRequest {
                worker,
                finished: Arc::default(),
                limit: 1,
                tasks: Arc::new(TaskSet::new(["salvage.keep"])),
                queues: None,
                wait: false,
            })
            .wait()
            .unwrap();
        assert_eq!(turned.claimed[0].claim.id, id);
        store.release_worker(worker, Release::ProvenDead).wait().unwrap();
    }
}

fn stored(workspace: &Workspace, text: &str) -> (Arc<SqliteStore>, JobId) {
    let store = SqliteStore::open(&workspace.db(), SqliteOptions::default(), Clock::system()).unwrap();
    let job = NewJob::new("salvage.keep", format!(r#"{{"text":"{text}"}}"#));
    let id = store.insert(vec![job]).wait().unwrap()[0];
    (store, id)
}

#[test]
fn a_check_accepts_a_job_that_crashed_and_was_retried_by_command() {
    let workspace = Workspace::new();
    let (store, id) = stored(&workspace, "crash");
    crash(&store, id, 3);
    let retried = store.command(JobCommand::Retry(id)).wait().unwrap();
    assert_eq!((retried.crash_count, check(workspace.db()).unwrap().problems), (0, vec![]));
    crash(&store, id, 1);
    assert_eq!(check(workspace.db()).unwrap().problems, [""; 0]);
    drop(store);
    workspace.connection().execute("UPDATE qdjobs_jobs SET crash_count = 5", []).unwrap();
    let problems = check(workspace.db()).unwrap().problems;
    assert_eq!(problems, ["1 jobs with a crash_count above their recorded crashes"]);
}

#[test]
fn a_job_that_is_salvaged_without_its_history_has_no_unrecorded_crash() {
    let workspace = Workspace::new();
    let (store, id) = stored(&workspace, "crash");
    crash(&store, id, 2);
    drop(store);
    overwrite(&workspace.db(), &pages_of(&workspace.db(), "qdjobs_attempts"));
    let new = workspace.dir().join("new.db");
    assert_eq!(salvage(workspace.db(), &new).unwrap().without_history, [id.0]);
    assert_eq!(check(&new).unwrap().problems, [""; 0]);
    let queue = JobQueue::open(&new).unwrap();
    let worker = Worker::new(&queue).task::<Keep>().state(Log::default()).start().unwrap();
    assert_eq!(queue.handle::<usize>(id).soon().unwrap(), 5, "it runs like any other");
    worker.stop().unwrap();
}

#[test]
fn salvage_saves_every_job_on_a_sound_page_and_lists_the_others() {
    let (workspace, ids) = filled_workspace();
    let leaves = pages_of(&workspace.db(), "qdjobs_jobs");
    assert!(leaves.len() > 12, "{}", leaves.len());
    // Two gaps, the second right at the end, and an index: salvage reads without the index.
    overwrite(&workspace.db(), &[leaves[3], leaves[4], leaves[leaves.len() - 1]]);
    overwrite(&workspace.db(), &pages_of(&workspace.db(), "qdjobs_scheduled"));
    let damaged = std::fs::read(workspace.db()).unwrap();
    assert!(!check(workspace.db()).unwrap().is_sound());

    let new = workspace.dir().join("new.db");
    let saved = salvage(workspace.db(), &new).unwrap();
    assert_eq!(std::fs::read(workspace.db()).unwrap(), damaged, "salvage does not change the corrupt file");
    let lost = |id: &JobId| saved.unreadable.iter().any(|range| range.contains(&id.0));
    assert!((2..=3).contains(&saved.unreadable.len()), "{saved:?}");
    assert!(saved.refused.is_empty() && saved.without_history.is_empty(), "{saved:?}");

    let findings = check(&new).unwrap();
    assert_eq!((findings.jobs, findings.problems), (saved.jobs, vec![]));
    let queue = JobQueue::open(&new).unwrap();
    let conn = Connection::open(&new).unwrap();
    let mut statement = conn.prepare("SELECT id FROM qdjobs_jobs").unwrap();
    let found = statement.query_map([], |row| row.get(0).map(JobId)).unwrap();
    let found: BTreeSet<JobId> = found.map(Result::unwrap).collect();
    let expected: BTreeSet<JobId> = ids.iter().copied().filter(|id| !lost(id)).collect();
    assert_eq!(found, expected, "every job that is not reported as lost is there");
    assert!(ids.len() - found.len() < 300 && found.len() < ids.len(), "{} of {}", found.len(), ids.len());

    // What is there is complete: the params, the history, the ids that continue.
    assert_eq!(job(&queue, ids[0]).status, Status::Failed);
    assert_eq!(queue.attempts(ids[0]).unwrap().len(), 1);
    let large = ids.iter().filter(|id| !lost(id)).find(|id| job(&queue, **id).params.len() > 2_000).unwrap();
    assert!(job(&queue, *large).params.contains("xxxx"));
    assert!(Keep::new("next").enqueue(&queue).unwrap().id() > *ids.last().unwrap());

    assert_eq!(salvage(workspace.db(), &new).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_job_whose_params_are_on_a_corrupt_page_is_listed_and_not_saved_without_them() {
    let (workspace, ids) = filled_workspace();
    let pages = pages_of(&workspace.db(), "qdjobs_params");
    overwrite(&workspace.db(), &pages[2..4]);
    let new = workspace.dir().join("new.db");
    let saved = salvage(workspace.db(), &new).unwrap();
    assert!(saved.unreadable.is_empty() && !saved.refused.is_empty(), "{saved:?}");
    assert!(saved.refused.iter().all(|(_, why)| why == "its params cannot be read"), "{saved:?}");
    assert_eq!(saved.jobs as usize + saved.refused.len(), ids.len());
    assert!(check(&new).unwrap().is_sound());
}

/// The schema does not parse JSON: see `0001_jobs.sql`.
#[test]
fn a_job_whose_json_is_corrupt_is_listed_and_not_saved() {
    let (workspace, ids) = filled_workspace();
    let large: i64 = {
        let conn = workspace.connection();
        let large = conn.query_row("SELECT max(job_id) FROM qdjobs_params", [], |row| row.get(0)).unwrap();
        conn.execute("UPDATE qdjobs_params SET params = '{x}' WHERE job_id = ?1", [large]).unwrap();
        conn.execute_batch(
            "UPDATE qdjobs_jobs SET params = '{x}' WHERE id = 2;
             UPDATE qdjobs_jobs SET metadata = '{x}' WHERE id = 3",
        )
        .unwrap();
        large
    };
    let new = workspace.dir().join("new.db");
    let saved = salvage(workspace.db(), &new).unwrap();
    let refused: Vec<_> = saved.refused.iter().map(|(id, why)| (*id, why.as_str())).collect();
    assert_eq!(refused, [2, 3, large].map(|id| (id, "its params or metadata are not JSON")));
    assert_eq!(saved.jobs as usize, ids.len() - 3);
    assert!(check(&new).unwrap().is_sound());
}

#[test]
fn a_running_job_is_pending_after_salvage_and_a_suspected_one_stays_suspected() {
    let (workspace, ids) = filled_workspace();
    let conn = workspace.connection();
    conn.execute_batch(
        "UPDATE qdjobs_jobs SET status = 'running', worker_id = 7, attempt = 1 WHERE id IN (9, 10);
         UPDATE qdjobs_jobs SET attempt = 3, crash_count = 2, max_suspected = 5, availability = 2 WHERE id = 10;
         INSERT INTO qdjobs_attempts VALUES (10, 1, 1, 1, 1, 'crashed', 'it died'), (10, 2, 1, 1, 2, 'crashed', 'it died')",
    )
    .unwrap();
    drop(conn);
    let new = workspace.dir().join("new.db");
    assert_eq!(salvage(workspace.db(), &new).unwrap().jobs, ids.len() as u64);
    let queue = JobQueue::open(&new).unwrap();
    for (id, attempt, ready) in [(9, 1, 1), (10, 3, 2)] {
        let saved = job(&queue, JobId(id));
        assert_eq!((saved.status, saved.attempt, saved.worker_id), (Status::Pending, attempt, None));
        let found: i64 = Connection::open(&new)
            .unwrap()
            .query_row("SELECT availability FROM qdjobs_jobs WHERE id = ?1", [id], |row| row.get(0))
            .unwrap();
        assert_eq!(found, ready, "job {id}");
    }
}

#[test]
fn a_failed_salvage_leaves_no_file_that_looks_like_its_result() {
    let workspace = Workspace::new();
    workspace.connection().execute_batch("CREATE TABLE orders (job INTEGER)").unwrap();
    let files = workspace.files();
    let new = workspace.dir().join("new.db");
    for _ in 0..2 {
        let refused = salvage(workspace.db(), &new).unwrap_err();
        assert!(refused.to_string().contains("no readable table of jobs"), "{refused}");
        assert_eq!(workspace.files(), files);
    }
    std::fs::write(&new, "a letter").unwrap();
    assert_eq!(salvage(workspace.db(), &new).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(std::fs::read(&new).unwrap(), b"a letter");
}
