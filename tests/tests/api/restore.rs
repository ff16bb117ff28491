//! `restore` puts a backup into the place of a database, or leaves everything as it was.

use std::path::{Path, PathBuf};

use qdjobs::prelude::*;
use qdjobs::store::sqlite::{check, restore, salvage};
use qdjobs::{ErrorKind, JobQueue, Status};

use crate::support::{Gate, Workspace, connect, job};

#[task("restore.note")]
fn note(number: u32) -> u32 {
    number
}

#[task("restore.pause")]
fn pause(ctx: &JobContext, #[state] gate: &Gate) {
    gate.pass_blocking(ctx);
}

/// A closed database with `jobs` jobs, and a backup of it made after the first two.
fn with_backup(workspace: &Workspace, jobs: u32) -> PathBuf {
    let backup = workspace.dir().join("backup.db");
    let queue = JobQueue::open(workspace.db()).unwrap();
    queue.enqueue_all((0..2).map(Note::new)).unwrap();
    queue.backup(&backup).unwrap();
    queue.enqueue_all((2..jobs).map(Note::new)).unwrap();
    backup
}

fn total(path: &Path) -> u64 {
    JobQueue::open(path).unwrap().counts().unwrap().total()
}

/// Every file in the directory of the workspace, with its content.
fn files(workspace: &Workspace) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| {
        let content = std::fs::read(workspace.dir().join(&name)).unwrap_or_default();
        (name, content)
    };
    workspace.files().into_iter().map(read).collect()
}

#[test]
fn a_backup_takes_the_place_of_a_database_which_keeps_its_jobs_under_another_name() {
    let workspace = Workspace::new();
    let backup = with_backup(&workspace, 5);
    // An earlier restore was interrupted.
    std::fs::write(workspace.dir().join("jobs.db-restoring"), "half a copy").unwrap();
    let restored = restore(&backup, workspace.db()).unwrap();
    assert_eq!(restored.jobs, 2);
    let replaced = restored.replaced.unwrap();
    assert_eq!((total(&workspace.db()), total(&replaced), total(&backup)), (2, 5, 2));
    assert!(check(workspace.db()).unwrap().is_sound());
    // A second restore finds another name.
    let again = restore(&backup, workspace.db()).unwrap().replaced.unwrap();
    assert_ne!(again, replaced);
    assert!(!workspace.files().iter().any(|name| name.contains("-restoring")), "{:?}", workspace.files());
}

/// A crash between the second name of the old database and the rename of the backup leaves both.
#[cfg(unix)]
#[test]
fn an_interrupted_restore_says_so_at_the_next_open_and_the_next_restore_ends_it() {
    let workspace = Workspace::new();
    let backup = with_backup(&workspace, 5);
    let second = workspace.dir().join("jobs.db-replaced-2026-11-25T101500");
    std::fs::copy(&backup, workspace.dir().join("jobs.db-restoring")).unwrap();
    std::fs::hard_link(workspace.db(), &second).unwrap();
    let refused = JobQueue::open(workspace.db()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config, "{refused}");
    let says = |text: &str| assert!(refused.to_string().contains(text), "{refused}");
    says("a restore was interrupted");
    says("jobs.db-replaced-2026-11-25T101500`");
    // The old database can be kept.
    std::fs::remove_file(&second).unwrap();
    assert_eq!(total(&workspace.db()), 5);
    // Or the restore is ended.
    std::fs::hard_link(workspace.db(), &second).unwrap();
    let replaced = restore(&backup, workspace.db()).unwrap().replaced.unwrap();
    assert_eq!((total(&workspace.db()), total(&replaced)), (2, 5));
    assert!(!second.exists() || second == replaced, "the old database has one name");
}

/// A second name that no restore has left may be the one by which the log is found.
#[cfg(unix)]
#[test]
fn a_database_with_a_second_name_of_another_origin_is_not_replaced() {
    let workspace = Workspace::new();
    let backup = with_backup(&workspace, 5);
    let second = workspace.dir().join("elsewhere.db");
    std::fs::hard_link(workspace.db(), &second).unwrap();
    let refused = restore(&backup, workspace.db()).unwrap_err();
    assert!(refused.to_string().contains("has 2 names"), "{refused}");
    std::fs::rename(&second, workspace.dir().join("jobs.db-replaced-by-hand")).unwrap();
    std::fs::write(workspace.dir().join("jobs.db-replaced-by-hand-wal"), "a log").unwrap();
    let refused = restore(&backup, workspace.db()).unwrap_err();
    assert!(refused.to_string().contains("has 2 names"), "{refused}");
}

/// The jobs in the log of the other name would silently be missing.
#[cfg(unix)]
#[test]
fn a_second_name_of_a_database_is_neither_restored_nor_salvaged_and_one_of_a_backup_is() {
    let (workspace, queue) = Workspace::with_queue();
    let at = |name: &str| workspace.dir().join(name);
    queue.backup(at("backup.db")).unwrap();
    Note::new(1).enqueue(&queue).unwrap();
    std::fs::hard_link(workspace.db(), at("second.db")).unwrap();
    let problems = check(at("second.db")).unwrap().problems;
    assert!(problems[0].contains("has 2 names"), "{problems:?}");
    for refused in [
        restore(at("second.db"), at("place.db")).map(drop).unwrap_err(),
        salvage(at("second.db"), at("saved.db")).map(drop).unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::Config);
        assert!(refused.to_string().contains("has 2 names"), "{refused}");
    }
    assert!(!at("place.db").exists() && !at("saved.db").exists());
    assert!(!workspace.files().iter().any(|name| name.starts_with("second.db-")), "{:?}", workspace.files());

    // Backup programs link what has not changed.
    std::fs::hard_link(at("backup.db"), at("yesterday.db")).unwrap();
    assert!(check(at("yesterday.db")).unwrap().is_sound());
    assert_eq!(restore(at("yesterday.db"), at("place.db")).unwrap().jobs, 0);
    assert_eq!(salvage(at("yesterday.db"), at("saved.db")).unwrap().jobs, 0);
}

#[test]
fn no_job_gets_an_id_that_a_job_of_the_replaced_database_had() {
    let workspace = Workspace::new();
    let backup = with_backup(&workspace, 5);
    restore(&backup, workspace.db()).unwrap();
    let queue = JobQueue::open(workspace.db()).unwrap();
    assert_eq!(Note::new(9).enqueue(&queue).unwrap().id().0, 6);

    // Also if the backup has never had a job.
    let workspace = Workspace::new();
    let backup = workspace.dir().join("backup.db");
    let queue = JobQueue::open(workspace.db()).unwrap();
    queue.backup(&backup).unwrap();
    queue.enqueue_all((0..3).map(Note::new)).unwrap();
    drop(queue);
    restore(&backup, workspace.db()).unwrap();
    let queue = JobQueue::open(workspace.db()).unwrap();
    assert_eq!(Note::new(9).enqueue(&queue).unwrap().id().0, 4);
}

#[test]
fn jobs_that_were_running_are_pending_at_once_and_no_crash_is_counted() {
    let (workspace, queue) = Workspace::with_queue();
    let backup = workspace.dir().join("backup.db");
    let (gate, arrivals) = Gate::new();
    let worker = Worker::new(&queue).task::<Pause>().state(gate.clone()).start().unwrap();
    let id = Pause::new().enqueue(&queue).unwrap().id();
    assert_eq!(arrivals.next(), id);
    queue.backup(&backup).unwrap();
    assert_eq!(job(&queue, id).status, Status::Running);

    // A worker still uses the database: nothing happens.
    let refused = restore(&backup, workspace.db()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy, "{refused}");
    gate.open();
    worker.stop().unwrap();
    drop(queue);

    restore(&backup, workspace.db()).unwrap();
    let queue = JobQueue::open(workspace.db()).unwrap();
    let found = job(&queue, id);
    assert_eq!((found.status, found.crash_count, found.retry_count), (Status::Pending, 0, 0));
    assert_eq!(queue.workers().unwrap().len(), 0);
    assert_eq!(queue.attempts(id).unwrap().len(), 1, "its attempt is in the history");
}

#[test]
fn a_database_that_is_in_use_is_not_replaced() {
    let workspace = Workspace::new();
    let backup = with_backup(&workspace, 5);
    let queue = JobQueue::open(workspace.db()).unwrap();
    Note::new(7).enqueue(&queue).unwrap();
    let before = files(&workspace);
    let refused = restore(&backup, workspace.db()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy, "{refused}");
    assert!(refused.to_string().contains("is in use"), "{refused}");
    assert!(before == files(&workspace), "{:?}", workspace.files());
    Note::new(8).enqueue(&queue).unwrap();
    drop(queue);
    // Another program's connection counts as well.
    let other = connect(&workspace.db());
    assert_eq!(other.query_row("SELECT count(*) FROM qdjobs_jobs", [], |row| row.get(0)), Ok(7));
    assert_eq!(restore(&backup, workspace.db()).unwrap_err().kind(), ErrorKind::Busy);
    drop(other);
    assert_eq!(restore(&backup, workspace.db()).unwrap().jobs, 2);
}

#[test]
fn what_is_no_sound_backup_is_refused_and_nothing_is_changed() {
    let workspace = Workspace::new();
    let backup = with_backup(&workspace, 300);
    let at = |name: &str| workspace.dir().join(name);
    std::fs::write(
        at("text.db"),
        "this is no database, but it is longer than a header of one hundred bytes. ".repeat(3),
    )
    .unwrap();
    connect(&at("other.db")).execute_batch("CREATE TABLE own (a)").unwrap();
    let mut damaged = std::fs::read(&backup).unwrap();
    let page = damaged.len() / 4096 / 2 * 4096;
    damaged[page..page + 4096].fill(0x55);
    std::fs::write(at("damaged.db"), damaged).unwrap();
    std::fs::copy(&backup, at("newer.db")).unwrap();
    connect(&at("newer.db")).execute_batch("UPDATE qdjobs_meta SET version = 99, min_writer = 99").unwrap();

    let before = files(&workspace);
    for (name, kind) in [
        ("missing.db", ErrorKind::InvalidInput),
        ("text.db", ErrorKind::Corrupt),
        ("other.db", ErrorKind::InvalidInput),
        ("damaged.db", ErrorKind::Corrupt),
        ("newer.db", ErrorKind::NewerSchema),
        ("", ErrorKind::InvalidInput),
    ] {
        let refused = restore(at(name), workspace.db()).unwrap_err();
        assert_eq!(refused.kind(), kind, "{name}: {refused}");
    }
    assert_eq!(restore(workspace.db(), workspace.db()).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(before == files(&workspace), "{:?}", workspace.files());
    assert_eq!(total(&workspace.db()), 300);
}

#[test]
fn a_missing_database_is_restored_and_a_failed_restore_creates_none() {
    let workspace = Workspace::new();
    let backup = with_backup(&workspace, 5);
    let place = workspace.dir().join("new.db");
    std::fs::write(workspace.dir().join("text.db"), "no database").unwrap();
    restore(workspace.dir().join("text.db"), &place).unwrap_err();
    assert!(!place.exists());
    let restored = restore(&backup, &place).unwrap();
    assert_eq!((restored.jobs, restored.replaced), (2, None));
    assert_eq!(total(&place), 2);
}

#[test]
fn a_damaged_database_is_moved_away_with_its_log() {
    let workspace = Workspace::new();
    let backup = with_backup(&workspace, 5);
    std::fs::write(
        workspace.db(),
        "damaged beyond recognition, and much longer than its header was. ".repeat(9),
    )
    .unwrap();
    let restored = restore(&backup, workspace.db()).unwrap();
    assert_eq!(total(&workspace.db()), 2);
    assert!(std::fs::read(restored.replaced.unwrap()).unwrap().starts_with(b"damaged"));
}

#[cfg(unix)]
#[test]
fn the_restored_database_has_the_mode_of_the_replaced_one() {
    use std::os::unix::fs::PermissionsExt;
    let workspace = Workspace::new();
    let backup = with_backup(&workspace, 5);
    std::fs::set_permissions(workspace.db(), PermissionsExt::from_mode(0o640)).unwrap();
    restore(&backup, workspace.db()).unwrap();
    assert_eq!(std::fs::metadata(workspace.db()).unwrap().permissions().mode() & 0o777, 0o640);
}

#[cfg(unix)]
#[test]
fn a_link_to_the_database_leads_to_the_restored_one() {
    let workspace = Workspace::new();
    let backup = with_backup(&workspace, 5);
    let link = workspace.dir().join("current.db");
    std::os::unix::fs::symlink(workspace.db(), &link).unwrap();
    restore(&backup, &link).unwrap();
    assert!(link.is_symlink());
    assert_eq!((total(&link), total(&workspace.db())), (2, 2));
}
