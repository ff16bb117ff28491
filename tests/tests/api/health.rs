//! What `JobQueue::health` reports, and what a queue does when its storage can no longer be trusted.

use std::process::Command;
use std::time::Duration;

use qdjobs::prelude::*;
use qdjobs::{ErrorKind, HealthState, JobQueue};

use crate::support::{Gate, Log, OwnedEvent, Soon, Workspace, block_on, eventually, start_with_events};

#[task("health.note")]
fn note(number: u32, #[state] log: &Log) -> u32 {
    log.write(number.to_string());
    number
}

#[task("health.hold")]
fn hold(ctx: &JobContext, #[state] gate: &Gate, #[state] log: &Log) {
    gate.pass_blocking(ctx);
    log.write(format!("{:?}", block_on(ctx.stopped())));
}

#[test]
fn a_working_queue_is_healthy_and_reports_the_size_of_its_log() {
    let (_room, queue) = Workspace::with_queue();
    queue.enqueue_all((0..300).map(Note::new)).unwrap();
    let health = queue.health();
    assert!(
        health.is_ok() && health.sqlite.as_ref().unwrap().wal_bytes > 0 && health.last_error.is_none(),
        "{health:?}"
    );
    // Checkpointed when no connection writes.
    let checkpoint = eventually(|| queue.health().sqlite.unwrap().last_checkpoint);
    assert!(checkpoint.pages > 0 && checkpoint.written_back == checkpoint.pages && !checkpoint.blocked);
    assert!(JobQueue::in_memory().health().is_ok());
    let json = serde_json::to_value(queue.health()).unwrap();
    assert_eq!(json["state"], "ok");
    assert!(
        json["sqlite"]["last_checkpoint"]["at"].is_string()
            && json["sqlite"]["checkpoint_blocked_since"].is_null(),
        "{json}"
    );
}

#[test]
fn a_reader_that_blocks_checkpoints_is_reported_until_it_ends() {
    let (workspace, queue) = Workspace::with_queue();
    let reader = workspace.connection();
    reader.execute_batch("BEGIN; SELECT count(*) FROM qdjobs_jobs").unwrap();
    queue.enqueue_all((0..300).map(Note::new)).unwrap();
    let since = eventually(|| queue.health().sqlite.unwrap().checkpoint_blocked_since);
    queue.enqueue_all((0..300).map(Note::new)).unwrap();
    eventually(|| (queue.health().sqlite.unwrap().last_checkpoint.unwrap().at > since).then_some(()));
    assert_eq!(queue.health().sqlite.unwrap().checkpoint_blocked_since, Some(since), "it is the same reader");
    reader.execute_batch("COMMIT").unwrap();
    queue.enqueue_all((0..300).map(Note::new)).unwrap();
    eventually(|| queue.health().sqlite.unwrap().checkpoint_blocked_since.is_none().then_some(()));
}

#[test]
fn a_failed_transaction_is_reported_by_health() {
    let workspace = Workspace::new();
    let queue = JobQueue::options().busy_timeout(Duration::from_millis(20)).open(workspace.db()).unwrap();
    let conn = workspace.connection();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    Note::new(1).enqueue(&queue).unwrap_err();
    let failure = queue.health().last_error.unwrap();
    assert!(failure.error.contains("held a lock"), "{failure:?}");
    assert!(queue.health().is_ok(), "it can be tried again");
}

#[test]
#[cfg(unix)]
fn a_database_that_others_may_read_is_reported_by_health() {
    use std::os::unix::fs::PermissionsExt;
    let workspace = Workspace::new();
    assert!(!JobQueue::open(workspace.db()).unwrap().health().sqlite.unwrap().world_readable);
    std::fs::set_permissions(workspace.db(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(JobQueue::open(workspace.db()).unwrap().health().sqlite.unwrap().world_readable);
}

/// Overwrites all of the database except its first page, as a disk or a stray program may. It uses its own
/// process: closing the file here would drop SQLite's locks.
#[cfg(unix)]
fn damage(workspace: &Workspace) {
    // The old contents are nowhere else: not in the log, not in the cache.
    let other = workspace.connection();
    other.execute_batch("UPDATE qdjobs_jobs SET name = 'x'").unwrap();
    let busy: i64 = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0);
    let pages = std::fs::metadata(workspace.db()).unwrap().len() / 4096 - 1;
    let dd = Command::new("dd")
        .args(["if=/dev/urandom", "bs=4096", "seek=1", "conv=notrunc", &format!("count={pages}")])
        .arg(format!("of={}", workspace.db().display()))
        .output()
        .unwrap();
    assert!(dd.status.success(), "{dd:?}");
}

/// The contents of the database and its log. Read by another process, too.
#[cfg(unix)]
fn bytes(workspace: &Workspace) -> [Vec<u8>; 2] {
    ["", "-wal"].map(|suffix| {
        let cat = Command::new("cat").arg(format!("{}{suffix}", workspace.db().display())).output().unwrap();
        assert!(cat.status.success(), "{cat:?}");
        cat.stdout
    })
}

#[test]
#[cfg(unix)]
fn a_file_that_is_found_corrupt_halts_the_queue_for_good_and_every_caller_gets_the_error() {
    let workspace = Workspace::new();
    let queue = JobQueue::open(workspace.db()).unwrap();
    let ((gate, arrivals), log) = (Gate::new(), Log::default());
    let worker = Worker::new(&queue).task::<Note>().task::<Hold>().concurrency(2);
    let (worker, events) = start_with_events(worker.state(gate.clone()).state(log.clone()));
    Note::new(1).enqueue(&queue).unwrap().soon().unwrap();
    let held = Hold.enqueue(&queue).unwrap();
    arrivals.next();
    gate.open();
    damage(&workspace);
    let before = bytes(&workspace);

    let met = Note::new(2).enqueue(&queue).unwrap_err();
    assert!(matches!(met.kind(), ErrorKind::Corrupt | ErrorKind::StoreHalted), "{met:?}");
    let refused = Note::new(3).enqueue(&queue).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StoreHalted);
    assert!(!refused.may_be_stored());
    assert!(refused.to_string().contains("damaged") && refused.to_string().contains("restart"), "{refused}");
    assert_eq!(held.soon().unwrap_err().kind(), ErrorKind::StoreHalted);

    // The worker: it reports it once, and its running job is told to stop.
    events.expect(OwnedEvent::StoreHalted(ErrorKind::StoreHalted));
    eventually(|| (log.lines() == ["1", "StoreHalted"]).then_some(()));
    let health = queue.health();
    assert!(matches!(&health.state, HealthState::Halted { reason } if reason.contains("damaged")));
    assert_eq!(worker.stop().unwrap_err().kind(), ErrorKind::StoreHalted);
    let rest: Vec<OwnedEvent> = std::iter::from_fn(|| events.try_next(Duration::ZERO)).collect();
    assert!(
        !rest.iter().any(|event| matches!(event, OwnedEvent::StoreHalted(_) | OwnedEvent::Completed(_))),
        "{rest:?}"
    );

    // The files stay unchanged, also when the queue is closed.
    drop(queue);
    drop(held);
    assert!(bytes(&workspace) == before, "a byte of the files has changed");
}
