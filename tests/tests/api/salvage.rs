//! Backups, the check of a file, and what can be saved of a damaged one.

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

use crate::support::{Log, Room, Soon, job};

#[task("salvage.keep", retries = 0)]
fn keep(text: String, #[state] log: &Log) -> Result<usize, String> {
    log.write("kept");
    if text == "fail" { Err("as it was told".into()) } else { Ok(text.len()) }
}

const PAGE: usize = 4096;

/// The pages of the table of jobs and of all that hangs below it, by SQLite's own account.
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
fn full_room() -> (Room, Vec<JobId>) {
    let (room, queue) = Room::with_queue();
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
    (room, ids)
}

#[test]
fn a_backup_is_a_whole_database_of_its_owners_alone_and_never_replaces_a_file() {
    let (room, queue) = Room::with_queue();
    let ids = queue.enqueue_all((0..500).map(|n| Keep::new(n.to_string()))).unwrap();
    let worker = Worker::new(&queue).task::<Keep>().state(Log::default()).start().unwrap();
    let copy = room.dir().join("copy.db");
    queue.backup(&copy).unwrap();
    worker.stop().unwrap();
    let findings = check(&copy).unwrap();
    assert_eq!((findings.jobs, findings.is_sound()), (ids.len() as u64, true), "{findings:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(!room.files().iter().any(|name| name.starts_with("copy.db-")), "{:?}", room.files());

    let before = std::fs::read(&copy).unwrap();
    let refused = queue.backup(&copy).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
    assert_eq!(std::fs::read(&copy).unwrap(), before);
    queue.backup(room.dir().join("missing").join("copy.db")).unwrap_err();
    assert_eq!(
        JobQueue::in_memory().backup(room.dir().join("other.db")).unwrap_err().kind(),
        ErrorKind::Config
    );

    // It is a queue like any other.
    let restored = JobQueue::open(&copy).unwrap();
    assert_eq!(restored.counts().unwrap().total(), 500);
}

/// SQLite would take each of these for something else than the name of a file.
#[test]
fn names_that_mean_something_else_to_sqlite_are_refused_wherever_a_file_is_named() {
    let (room, queue) = Room::with_queue();
    for name in ["file:b.db", "file:/tmp/b.db?mode=memory", ":memory:", ""] {
        for (what, refused) in [
            ("open", JobQueue::open(name).unwrap_err()),
            ("backup", queue.backup(name).unwrap_err()),
            ("check", check(name).unwrap_err()),
            ("salvage of", salvage(name, room.dir().join("new.db")).unwrap_err()),
            ("salvage to", salvage(room.db(), name).unwrap_err()),
        ] {
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{what} `{name}`: {refused}");
            assert!(refused.to_string().contains("is not a file"), "{what} `{name}`: {refused}");
        }
        assert!(name.is_empty() || !Path::new(name).exists(), "{name}");
    }
    assert!(!room.dir().join("new.db").exists());
    // A file of such a name is named by its place.
    #[cfg(unix)]
    {
        let copy = room.dir().join("file:b.db");
        queue.backup(&copy).unwrap();
        assert!(check(&copy).unwrap().is_sound());
    }
}

#[test]
fn a_check_finds_nothing_in_a_sound_file_and_says_what_cannot_be_in_others() {
    let (room, ids) = full_room();
    let bytes = || std::fs::read(room.db()).unwrap();
    let before = (bytes(), room.files());
    let findings = check(room.db()).unwrap();
    assert_eq!((findings.jobs, findings.problems.as_slice()), (ids.len() as u64, &[] as &[String]));
    assert_eq!((bytes(), room.files()), before, "nothing is changed, and nothing left beside it");

    let conn = room.connection();
    conn.execute_batch(
        "UPDATE qdjobs_jobs SET status = 'running', worker_id = 77 WHERE id = 5;
         UPDATE qdjobs_jobs SET completed_at = 1 WHERE id = 6;
         INSERT INTO qdjobs_attempts VALUES (99999, 1, 1, 1, 1, 'failed', NULL)",
    )
    .unwrap();
    let problems = check(room.db()).unwrap().problems;
    for words in [
        "1 running jobs without a registered worker",
        "1 jobs whose status and completed_at",
        "1 attempts of jobs that do not exist",
    ] {
        assert!(problems.iter().any(|problem| problem.starts_with(words)), "{words}: {problems:?}");
    }
    assert_eq!(check(room.dir().join("none.db")).unwrap_err().kind(), ErrorKind::Storage);
    assert!(!room.dir().join("none.db").exists());
    std::fs::write(room.dir().join("letter"), "Dear SQLite, ".repeat(100)).unwrap();
    assert_eq!(check(room.dir().join("letter")).unwrap_err().kind(), ErrorKind::Corrupt);
}

/// Lets a job crash as often as is said, each time in the hands of another worker.
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

fn stored(room: &Room, text: &str) -> (Arc<SqliteStore>, JobId) {
    let store = SqliteStore::open(&room.db(), SqliteOptions::default(), Clock::system()).unwrap();
    let job = NewJob::new("salvage.keep", format!(r#"{{"text":"{text}"}}"#));
    let id = store.insert(vec![job]).wait().unwrap()[0];
    (store, id)
}

#[test]
fn a_job_that_crashed_and_is_retried_by_hand_is_nothing_that_a_check_finds() {
    let room = Room::new();
    let (store, id) = stored(&room, "crash");
    crash(&store, id, 3);
    let retried = store.command(JobCommand::Retry(id)).wait().unwrap();
    assert_eq!((retried.crash_count, check(room.db()).unwrap().problems), (0, vec![]));
    crash(&store, id, 1);
    assert_eq!(check(room.db()).unwrap().problems, [""; 0]);
    drop(store);
    room.connection().execute("UPDATE qdjobs_jobs SET crash_count = 5", []).unwrap();
    let problems = check(room.db()).unwrap().problems;
    assert_eq!(problems, ["1 jobs with a crash_count above their recorded crashes"]);
}

#[test]
fn a_job_that_is_saved_without_its_history_has_no_crash_that_nobody_recorded() {
    let room = Room::new();
    let (store, id) = stored(&room, "crash");
    crash(&store, id, 2);
    drop(store);
    overwrite(&room.db(), &pages_of(&room.db(), "qdjobs_attempts"));
    let new = room.dir().join("new.db");
    assert_eq!(salvage(room.db(), &new).unwrap().without_history, [id.0]);
    assert_eq!(check(&new).unwrap().problems, [""; 0]);
    let queue = JobQueue::open(&new).unwrap();
    let worker = Worker::new(&queue).task::<Keep>().state(Log::default()).start().unwrap();
    assert_eq!(queue.handle::<usize>(id).soon().unwrap(), 5, "it runs like any other");
    worker.stop().unwrap();
}

#[test]
fn of_a_damaged_file_every_job_on_a_sound_page_is_saved_and_the_others_are_named() {
    let (room, ids) = full_room();
    let leaves = pages_of(&room.db(), "qdjobs_jobs");
    assert!(leaves.len() > 12, "{}", leaves.len());
    // Two holes, the second right at the end, and an index: what is read does not hang on it.
    overwrite(&room.db(), &[leaves[3], leaves[4], leaves[leaves.len() - 1]]);
    overwrite(&room.db(), &pages_of(&room.db(), "qdjobs_scheduled"));
    let damaged = std::fs::read(room.db()).unwrap();
    assert!(!check(room.db()).unwrap().is_sound());

    let new = room.dir().join("new.db");
    let saved = salvage(room.db(), &new).unwrap();
    assert_eq!(std::fs::read(room.db()).unwrap(), damaged, "the damaged file is evidence");
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
    assert_eq!(found, expected, "all that is not named as lost is there");
    assert!(ids.len() - found.len() < 300 && found.len() < ids.len(), "{} of {}", found.len(), ids.len());

    // What is there is whole: the params, the history, the numbers that go on.
    assert_eq!(job(&queue, ids[0]).status, Status::Failed);
    assert_eq!(queue.attempts(ids[0]).unwrap().len(), 1);
    let large = ids.iter().filter(|id| !lost(id)).find(|id| job(&queue, **id).params.len() > 2_000).unwrap();
    assert!(job(&queue, *large).params.contains("xxxx"));
    assert!(Keep::new("next").enqueue(&queue).unwrap().id() > *ids.last().unwrap());

    assert_eq!(salvage(room.db(), &new).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_job_whose_params_are_on_a_damaged_page_is_named_and_not_saved_without_them() {
    let (room, ids) = full_room();
    let pages = pages_of(&room.db(), "qdjobs_params");
    overwrite(&room.db(), &pages[2..4]);
    let new = room.dir().join("new.db");
    let saved = salvage(room.db(), &new).unwrap();
    assert!(saved.unreadable.is_empty() && !saved.refused.is_empty(), "{saved:?}");
    assert!(saved.refused.iter().all(|(_, why)| why == "its params cannot be read"), "{saved:?}");
    assert_eq!(saved.jobs as usize + saved.refused.len(), ids.len());
    assert!(check(&new).unwrap().is_sound());
}

#[test]
fn a_job_that_was_running_is_pending_in_what_is_saved_and_a_suspect_stays_one() {
    let (room, ids) = full_room();
    let conn = room.connection();
    conn.execute_batch(
        "UPDATE qdjobs_jobs SET status = 'running', worker_id = 7, attempt = 1 WHERE id IN (9, 10);
         UPDATE qdjobs_jobs SET attempt = 2, crash_count = 1, availability = 2 WHERE id = 10;
         INSERT INTO qdjobs_attempts VALUES (10, 1, 1, 1, 1, 'crashed', 'it died')",
    )
    .unwrap();
    drop(conn);
    let new = room.dir().join("new.db");
    assert_eq!(salvage(room.db(), &new).unwrap().jobs, ids.len() as u64);
    let queue = JobQueue::open(&new).unwrap();
    for (id, attempt, ready) in [(9, 1, 1), (10, 2, 2)] {
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
fn a_salvage_that_fails_leaves_nothing_that_looks_like_its_result() {
    let room = Room::new();
    room.connection().execute_batch("CREATE TABLE orders (job INTEGER)").unwrap();
    let files = room.files();
    let new = room.dir().join("new.db");
    for _ in 0..2 {
        let refused = salvage(room.db(), &new).unwrap_err();
        assert!(refused.to_string().contains("no readable table of jobs"), "{refused}");
        assert_eq!(room.files(), files);
    }
    std::fs::write(&new, "a letter").unwrap();
    assert_eq!(salvage(room.db(), &new).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(std::fs::read(&new).unwrap(), b"a letter");
}
