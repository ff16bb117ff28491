//! What a queue does when its files are no longer those of their names, and which files it refuses to open.

#![cfg(unix)]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qdjobs::prelude::*;
use qdjobs::{ErrorKind, HealthState, JobQueue};

use crate::support::{OwnedEvent, Workspace, block_on, connect, job, start_with_events};

#[task("files.note")]
fn note(number: u32) -> u32 {
    number
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes or moves the three files of a database.
fn each_file(path: &Path, change: impl Fn(&Path)) {
    ["", "-wal", "-shm"].iter().for_each(|suffix| change(&beside(path, suffix)));
}

fn moved(path: &Path) -> PathBuf {
    path.with_file_name(format!("old-{}", path.file_name().unwrap().to_str().unwrap()))
}

fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).unwrap();
}

fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

/// A database of another queue, closed.
fn other_database(dir: &Path) -> PathBuf {
    let path = dir.join("other.db");
    let queue = JobQueue::open(&path).unwrap();
    Note::new(99).enqueue(&queue).unwrap();
    path
}

/// What happens to the files while they are open, by name.
type Change = (&'static str, fn(&Path));

const CHANGES: [Change; 8] = [
    ("all files are removed", |path| each_file(path, remove)),
    ("the database is removed", |path| remove(path)),
    ("the log is removed", |path| remove(&beside(path, "-wal"))),
    ("the index of the log is removed", |path| remove(&beside(path, "-shm"))),
    ("all files are renamed", |path| each_file(path, |file| rename(file, &moved(file)))),
    ("the database is replaced", |path| rename(&other_database(path.parent().unwrap()), path)),
    ("the files are replaced", |path| {
        each_file(path, remove);
        rename(&other_database(path.parent().unwrap()), path);
    }),
    ("the directory is renamed", |path| {
        let dir = path.parent().unwrap();
        rename(dir, &moved(dir));
    }),
];

/// A directory in the workspace, with a database in it.
fn in_directory(workspace: &Workspace) -> PathBuf {
    let dir = workspace.dir().join("data");
    std::fs::create_dir(&dir).unwrap();
    dir.join("jobs.db")
}

#[test]
fn nothing_is_confirmed_in_a_file_that_is_not_the_one_of_its_name() {
    for (what, change) in CHANGES {
        let workspace = Workspace::new();
        let path = in_directory(&workspace);
        let queue = JobQueue::open(&path).unwrap();
        let before = Note::new(1).enqueue(&queue).unwrap().id();
        change(&path);
        let is_halted = |error: qdjobs::Error| {
            assert_eq!((error.kind(), error.may_be_stored()), (ErrorKind::StoreHalted, false), "{what}");
            let text = error.to_string();
            assert!(text.contains("was re") && text.matches("data/jobs.db").count() == 1, "{what}: {text}");
            let help = error.suggestion().unwrap_or_default();
            assert!(help.contains("`JobQueue::backup(path)` copies its jobs"), "{what}: {text}");
        };
        is_halted(Note::new(2).enqueue(&queue).map(drop).unwrap_err());
        is_halted(block_on(Note::new(3).enqueue(&queue.to_async())).map(drop).unwrap_err());
        is_halted(queue.enqueue_all((0..300).map(Note::new)).map(drop).unwrap_err());
        is_halted(queue.get(before).map(drop).unwrap_err());
        is_halted(queue.retry(before).map(drop).unwrap_err());
        is_halted(queue.insert_statement([Note::new(4)]).map(drop).unwrap_err());
        assert!(matches!(queue.health().state, HealthState::Halted { .. }), "{what}");
        // The jobs that were stored before can still be saved.
        let copy = workspace.dir().join("saved.db");
        queue.backup(&copy).unwrap();
        let saved = JobQueue::open(&copy).unwrap();
        assert_eq!(
            (saved.counts().unwrap().total(), job(&saved, before).params),
            (1, r#"{"number":1}"#.into())
        );
    }
}

#[test]
fn the_backup_of_a_removed_database_leaves_a_log_at_its_name_alone() {
    let (workspace, queue) = Workspace::with_queue();
    Note::new(1).enqueue(&queue).unwrap();
    remove(&workspace.db());
    let log = std::fs::read(beside(&workspace.db(), "-wal")).unwrap();
    let refused = queue.backup(workspace.db()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
    assert!(std::fs::read(beside(&workspace.db(), "-wal")).unwrap() == log && !workspace.db().exists());
    queue.backup(workspace.dir().join("saved.db")).unwrap();
}

#[test]
fn an_idle_queue_reports_a_removed_file_in_its_health_and_refuses_to_read_it() {
    for reads in [false, true] {
        let (workspace, queue) = Workspace::with_queue();
        assert!(queue.health().is_ok());
        each_file(&workspace.db(), remove);
        if reads {
            assert_eq!(queue.counts().unwrap_err().kind(), ErrorKind::StoreHalted);
        }
        assert!(!queue.health().is_ok());
        assert_eq!(Note::new(1).enqueue(&queue).map(drop).unwrap_err().kind(), ErrorKind::StoreHalted);
    }
}

/// The promise is a second. On a machine that does other work, a round may take longer; and a round takes no time if the
/// worker was still about to begin its wait.
const NOTICED_MAX: Duration = Duration::from_secs(1);
const ROUNDS: usize = 5;

/// A round replaces a file and returns a wait until that is noticed. The wait returns what is done after the measurement.
#[expect(clippy::disallowed_methods, reason = "the files are looked at in real time")]
fn assert_noticed_soon<W: FnOnce() -> A, A: FnOnce()>(mut round: impl FnMut() -> W) {
    let times = (0..ROUNDS).map(|_| {
        let wait = round();
        let begun = Instant::now();
        let afterwards = wait();
        let took = begun.elapsed();
        afterwards();
        took
    });
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    assert!(times[ROUNDS / 2] < NOTICED_MAX, "{times:?}");
}

/// So long that no heartbeat looks at the files.
const LONG_LEASE: Duration = Duration::from_secs(900);

#[test]
fn an_idle_worker_notices_that_its_file_was_replaced() {
    assert_noticed_soon(|| {
        let (workspace, queue) = Workspace::with_queue();
        let (worker, events) = start_with_events(Worker::new(&queue).task::<Note>().lease(LONG_LEASE));
        rename(&other_database(workspace.dir()), &workspace.db());
        move || {
            events.until(|event| matches!(event, OwnedEvent::StoreHalted(_)));
            move || {
                assert_eq!(worker.stop().unwrap_err().kind(), ErrorKind::StoreHalted);
                drop(workspace);
            }
        }
    });
}

#[test]
fn a_call_that_waits_for_a_job_notices_that_its_file_was_replaced() {
    assert_noticed_soon(|| {
        let (workspace, queue) = Workspace::with_queue();
        let never = Note::new(1).delay(Duration::from_secs(9_999)).enqueue(&queue).unwrap();
        let (to, begins) = std::sync::mpsc::channel();
        let waiter = std::thread::spawn(move || {
            to.send(()).unwrap();
            never.wait().unwrap_err().kind()
        });
        begins.recv().unwrap();
        rename(&other_database(workspace.dir()), &workspace.db());
        move || {
            assert_eq!(waiter.join().unwrap(), ErrorKind::StoreHalted);
            move || drop((workspace, queue))
        }
    });
}

#[test]
fn the_close_of_a_replaced_database_leaves_the_log_of_the_new_one() {
    let (workspace, old) = Workspace::with_queue();
    Note::new(1).enqueue(&old).unwrap();
    each_file(&workspace.db(), remove);
    let new = JobQueue::open(workspace.db()).unwrap();
    Note::new(2).enqueue(&new).unwrap();
    let log = || std::fs::metadata(beside(&workspace.db(), "-wal")).map(|log| (log.ino(), log.len()));
    let before = log().unwrap();
    drop(old);
    assert_eq!(log().unwrap(), before);
    Note::new(3).enqueue(&new).unwrap();
    drop(new);
    let params: Vec<String> = connect(&workspace.db())
        .prepare("SELECT params FROM qdjobs_jobs ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(params, [r#"{"number":2}"#, r#"{"number":3}"#]);
}

#[test]
fn a_link_that_leads_to_another_database_halts_the_queue_that_was_opened_by_it() {
    let workspace = Workspace::new();
    let link = workspace.dir().join("current.db");
    let lead_to = |name: &str| {
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(workspace.dir().join(name), &link).unwrap();
    };
    drop(JobQueue::open(workspace.dir().join("first.db")).unwrap());
    drop(JobQueue::open(workspace.dir().join("second.db")).unwrap());
    lead_to("first.db");
    let queue = JobQueue::open(&link).unwrap();
    Note::new(1).enqueue(&queue).unwrap();
    // A link with another name to the same file changes nothing.
    lead_to("first.db");
    Note::new(2).enqueue(&queue).unwrap();
    lead_to("second.db");
    assert_eq!(Note::new(3).enqueue(&queue).map(drop).unwrap_err().kind(), ErrorKind::StoreHalted);
}

#[test]
fn a_database_with_two_names_is_refused_under_both() {
    let (workspace, queue) = Workspace::with_queue();
    let elsewhere = workspace.dir().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let second = elsewhere.join("jobs.db");
    std::fs::hard_link(workspace.db(), &second).unwrap();
    for path in [&second, &workspace.db()] {
        let refused = JobQueue::open(path).map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Config);
        assert!(refused.to_string().contains("has 2 names (hard links)"), "{refused}");
    }
    assert!(!beside(&second, "-wal").exists(), "nothing is created");
    // The first queue has the file of the name by which others open it.
    Note::new(1).enqueue(&queue).unwrap();
}

#[test]
fn the_jobs_of_a_log_that_was_removed_are_in_the_database_after_the_halt_and_after_a_close() {
    for writes in [true, false] {
        let (workspace, queue) = Workspace::with_queue();
        queue.enqueue_all((0..3).map(Note::new)).unwrap();
        remove(&beside(&workspace.db(), "-wal"));
        if writes {
            assert_eq!(Note::new(4).enqueue(&queue).map(drop).unwrap_err().kind(), ErrorKind::StoreHalted);
        }
        drop(queue);
        assert_eq!(JobQueue::open(workspace.db()).unwrap().counts().unwrap().total(), 3);
    }
}

#[test]
fn a_link_that_is_missing_for_a_moment_halts_nothing() {
    let workspace = Workspace::new();
    let link = workspace.dir().join("current.db");
    drop(JobQueue::open(workspace.db()).unwrap());
    std::os::unix::fs::symlink(workspace.db(), &link).unwrap();
    let queue = JobQueue::open(&link).unwrap();
    remove(&link);
    Note::new(1).enqueue(&queue).unwrap();
    std::os::unix::fs::symlink(workspace.db(), &link).unwrap();
    Note::new(2).enqueue(&queue).unwrap();
    assert!(queue.health().is_ok());
}

/// By a link of its own, and by one of its directory.
#[test]
fn a_link_that_is_removed_halts_the_queue_that_was_opened_by_it() {
    for is_directory in [false, true] {
        let workspace = Workspace::new();
        let path = in_directory(&workspace);
        let link = workspace.dir().join("current");
        let name = if is_directory { link.join("jobs.db") } else { link.clone() };
        let leads_to = if is_directory { path.parent().unwrap() } else { &path };
        std::fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink(leads_to, &link).unwrap();
        let queue = JobQueue::open(&name).unwrap();
        let (worker, events) = start_with_events(Worker::new(&queue).task::<Note>().lease(LONG_LEASE));
        remove(&link);
        events.until(|event| matches!(event, OwnedEvent::StoreHalted(_)));
        let refused = Note::new(1).enqueue(&queue).map(drop).unwrap_err();
        assert!(
            refused.to_string().contains("current") && refused.to_string().contains("was removed"),
            "{refused}"
        );
        assert_eq!(worker.stop().unwrap_err().kind(), ErrorKind::StoreHalted);
    }
}

#[test]
fn a_log_whose_database_is_missing_is_not_deleted_by_a_new_database() {
    let (workspace, queue) = Workspace::with_queue();
    queue.enqueue_all((0..3).map(Note::new)).unwrap();
    // As a crash would leave them; then the database alone is renamed.
    let place = workspace.dir().join("place.db");
    std::fs::copy(beside(&workspace.db(), "-wal"), beside(&place, "-wal")).unwrap();
    std::fs::copy(workspace.db(), moved(&place)).unwrap();
    let refused = JobQueue::open(&place).map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
    assert!(refused.to_string().contains("is missing, but its log"), "{refused}");
    rename(&moved(&place), &place);
    assert_eq!(JobQueue::open(&place).unwrap().counts().unwrap().total(), 3);
}

/// The files of an open database as a crash would leave them, under another name.
fn crash_image(of: &Path, name: &str) -> PathBuf {
    let image = of.with_file_name(name);
    // By another program: a file that is closed here drops the locks of SQLite.
    for suffix in ["-wal", ""] {
        let copied = std::process::Command::new("cp")
            .args([beside(of, suffix), beside(&image, suffix)])
            .status()
            .unwrap();
        assert!(copied.success());
    }
    image
}

fn is_refused_as_foreign(path: &Path, what: &str) {
    let before = [path.to_owned(), beside(path, "-wal")].map(|file| std::fs::read(file).unwrap());
    let refused = JobQueue::open(path).map(drop).expect_err(what);
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{what}: {refused}");
    assert!(refused.to_string().contains("does not belong to"), "{what}: {refused}");
    let found = qdjobs::store::sqlite::check(path).unwrap();
    assert!(found.problems.iter().any(|problem| problem.contains("does not belong to")), "{what}: {found:?}");
    let salvaged = qdjobs::store::sqlite::salvage(path, path.with_file_name("salvaged.db"));
    assert_eq!(salvaged.map(drop).unwrap_err().kind(), ErrorKind::Corrupt, "{what}");
    let after = [path.to_owned(), beside(path, "-wal")].map(|file| std::fs::read(file).unwrap());
    assert!(before == after, "{what}: a file was changed");
}

#[test]
fn a_database_beside_the_log_of_another_file_is_refused_and_not_changed() {
    let (workspace, queue) = Workspace::with_queue();
    let dir = workspace.dir().to_owned();
    drop(queue);
    let earlier = dir.join("earlier.db");
    std::fs::copy(workspace.db(), &earlier).unwrap();
    // The last connection to close removes the log, and the next one begins another.
    Note::new(0).enqueue(&JobQueue::open(workspace.db()).unwrap()).unwrap();
    let queue = JobQueue::open(workspace.db()).unwrap();
    Note::new(1).enqueue(&queue).unwrap();
    // In the log that is there still when the program crashes.
    let backup = dir.join("backup.db");
    queue.backup(&backup).unwrap();
    Note::new(2).enqueue(&queue).unwrap();

    let empty = dir.join("empty.db");
    std::fs::write(&empty, "").unwrap();
    for (what, other) in [("a copy", &earlier), ("a backup", &backup), ("an empty file", &empty)] {
        let image = crash_image(&workspace.db(), "crashed.db");
        assert_eq!(qdjobs::store::sqlite::check(&image).unwrap().jobs, 3);
        std::fs::copy(other, &image).unwrap();
        is_refused_as_foreign(&image, what);
        // Its own file makes it whole again.
        crash_image(&workspace.db(), "crashed.db");
        assert_eq!(JobQueue::open(&image).unwrap().counts().unwrap().total(), 3);
    }
    let image = crash_image(&workspace.db(), "crashed.db");
    std::fs::copy(&backup, &image).unwrap();
    let restored = qdjobs::store::sqlite::restore(&backup, &image).unwrap();
    assert_eq!((restored.jobs, JobQueue::open(&image).unwrap().counts().unwrap().total()), (2, 2));
    let log = beside(&restored.replaced.unwrap(), "-wal");
    assert_eq!(std::fs::read(log).unwrap(), std::fs::read(beside(&workspace.db(), "-wal")).unwrap());
    // The backup alone is a database.
    assert_eq!(JobQueue::open(&backup).unwrap().counts().unwrap().total(), 2);
}

/// Commits of each kind, and checkpoints by this program, by SQLite and by another program.
#[test]
fn each_log_of_a_busy_queue_is_known_by_its_mark() {
    let (workspace, queue) = Workspace::with_queue();
    let backup = workspace.dir().join("backup.db");
    queue.backup(&backup).unwrap();
    let other = connect(&workspace.db());
    let long = "x".repeat(3_000);
    let mut stored = 0;
    for round in 0..40 {
        match round % 4 {
            0 => (0..300).for_each(|number| drop(Note::new(number).enqueue(&queue).unwrap())),
            1 => queue.enqueue_all((0..300).map(Note::new)).map(drop).unwrap(),
            2 => {
                // Fills the log, so that SQLite makes a checkpoint in one of these commits.
                other.execute_batch("CREATE TABLE IF NOT EXISTS own (text TEXT)").unwrap();
                (0..300)
                    .for_each(|_| assert_eq!(other.execute("INSERT INTO own VALUES (?1)", [&long]), Ok(1)));
                Note::new(0).enqueue(&queue).unwrap();
            }
            _ => other.execute_batch("PRAGMA wal_checkpoint(RESTART)").unwrap(),
        }
        stored += [300, 300, 1, 0][round % 4];
        // The commit that begins a log anew may be followed by one more before the mark.
        (0..2).for_each(|number| drop(Note::new(number).enqueue(&queue).unwrap()));
        stored += 2;
        let image = crash_image(&workspace.db(), "crashed.db");
        std::fs::copy(&backup, &image).unwrap();
        is_refused_as_foreign(&image, &format!("round {round}"));
        let image = crash_image(&workspace.db(), "crashed.db");
        assert_eq!(JobQueue::open(&image).unwrap().counts().unwrap().total(), stored, "round {round}");
    }
}

/// SQLite makes a checkpoint of its own in a commit of another program, and the queue then stores a single job.
#[test]
fn a_log_that_a_last_commit_began_gets_its_mark_soon() {
    let (workspace, queue) = Workspace::with_queue();
    let backup = workspace.dir().join("backup.db");
    queue.backup(&backup).unwrap();
    connect(&workspace.db()).execute_batch("PRAGMA wal_checkpoint(RESTART)").unwrap();
    Note::new(1).enqueue(&queue).unwrap();
    let refused = crate::support::eventually(|| {
        let image = crash_image(&workspace.db(), "crashed.db");
        std::fs::copy(&backup, &image).unwrap();
        JobQueue::open(&image).err()
    });
    assert!(refused.to_string().contains("does not belong to"), "{refused}");
}
