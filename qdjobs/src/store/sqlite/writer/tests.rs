//! The writer, called and not run.

use std::path::Path;

use super::*;
use crate::model::job::NewJob;
use crate::model::retry::Verdict;
use crate::store::{FinishedJob, Pending, Release, TaskSet, WorkerInfo};

/// A writer that is called and not run, since which requests share a commit is chance otherwise; in a directory of its
/// own. A commit with a row in it for which `fails` is true fails.
fn writer(name: &str, fails: &str) -> (Writer, PathBuf) {
    writer_by(name, fails, Clock::system())
}

fn writer_by(name: &str, fails: &str, clock: Clock) -> (Writer, PathBuf) {
    let dir = crate::store::sqlite::scratch(name);
    let path = dir.join("jobs.db");
    let (options, worker_locks) = (SqliteOptions::default(), Arc::new(WorkerLocks::beside(&path)));
    let conn = open::writer(&path, &options).unwrap();
    let tables = "CREATE TABLE parents (id INTEGER PRIMARY KEY);
         CREATE TABLE children (parent REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
         PRAGMA foreign_keys = ON;";
    let orphan = "BEGIN INSERT INTO children VALUES (1); END";
    conn.execute_batch(&format!("{tables} CREATE TRIGGER orphan AFTER {fails} {orphan}")).unwrap();
    let condition = Arc::new(HealthRecord::of(&path, Path::new("none")));
    (Writer::new(conn, path, options, clock, Arc::default(), worker_locks, condition), dir)
}

#[test]
fn the_end_of_a_job_is_told_only_when_it_is_committed() {
    let (mut writer, dir) = writer("ended", "UPDATE ON qdjobs_jobs WHEN new.status = 'completed'");
    let worker = WorkerId(1);
    let turn = |done| {
        let tasks = Arc::new(TaskSet::new(["a"]));
        let (reply, turned) = Pending::new();
        (
            Request::Claim(
                ClaimRequest { worker, finished: done, limit: 1, tasks, queues: None, wait: false },
                reply,
            ),
            turned,
        )
    };
    let insert = Request::Insert(vec![NewJob::new("a", "{}")], Pending::new().0);
    let register_worker = Request::RegisterWorker(WorkerInfo::new(worker, "host", 1), Pending::new().0);
    let (begin, claimed) = turn(Arc::default());
    writer.write(vec![insert, register_worker, begin], false);
    let job = claimed.wait().unwrap().claimed.remove(0);

    let verdict = Verdict::Complete { result: "null".into() };
    let (end, refused) = turn(Arc::new(vec![FinishedJob {
        claim: job.claim,
        ticket: job.ticket,
        began_after: Duration::ZERO,
        verdict,
    }]));
    let (reply, ended) = Pending::new();
    writer.write(vec![end, Request::WaitFor(job.claim.id, reply)], false);
    assert_eq!(refused.wait().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(ended.try_take().is_none(), "it waits on");
    writer.conn.execute_batch("DROP TRIGGER orphan").unwrap();
    let verdict = Verdict::Complete { result: "null".into() };
    let (end, _) = turn(Arc::new(vec![FinishedJob {
        claim: job.claim,
        ticket: job.ticket,
        began_after: Duration::ZERO,
        verdict,
    }]));
    writer.write(vec![end], false);
    assert_eq!(ended.wait().unwrap().status, Status::Completed);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_worker_keeps_its_proof_of_life_until_it_is_off_the_list() {
    let (mut writer, dir) = writer("proof", "DELETE ON qdjobs_workers");
    let worker = WorkerId(1);
    writer.worker_locks.acquire(worker).unwrap();
    let proof = writer.worker_locks.dir().join(format!("{worker}.lock"));
    let register_worker = Request::RegisterWorker(WorkerInfo::new(worker, "host", 1), Pending::new().0);
    writer.write(vec![register_worker], false);

    let (reply, left) = Pending::new();
    writer.write(vec![Request::ReleaseWorker(worker, Release::ByWorker, reply)], false);
    assert_eq!(left.wait().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(proof.exists() && !writer.worker_locks.is_empty());
    let (reply, rescued) = Pending::new();
    writer.write(vec![Request::ReleaseWorker(worker, Release::ProvenDead, reply)], false);
    assert_eq!(rescued.wait().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(proof.exists() && !writer.worker_locks.is_empty());
    writer.conn.execute_batch("DROP TRIGGER orphan").unwrap();
    let (reply, left) = Pending::new();
    writer.write(vec![Request::ReleaseWorker(worker, Release::ByWorker, reply)], false);
    assert_eq!(left.wait().unwrap().jobs, 0);
    assert!(!proof.exists() && writer.worker_locks.is_empty());
    std::fs::remove_dir_all(&dir).unwrap();
}

fn turn(worker: WorkerId, limit: usize, stand: bool) -> (Request, Pending<ClaimResponse>) {
    let (reply, turned) = Pending::new();
    (
        Request::Claim(
            ClaimRequest {
                worker,
                finished: Arc::default(),
                limit,
                tasks: Arc::new(TaskSet::new(["a"])),
                queues: None,
                wait: stand,
            },
            reply,
        ),
        turned,
    )
}

fn register_worker(writer: &mut Writer, worker: WorkerId) {
    writer.write(vec![Request::RegisterWorker(WorkerInfo::new(worker, "host", 1), Pending::new().0)], false);
}

fn insert(writer: &mut Writer) {
    writer.write(vec![Request::Insert(vec![NewJob::new("a", "{}")], Pending::new().0)], false);
}

/// A job of the task of the turns.
fn new_job() -> NewJob {
    NewJob::new("a", "{}")
}

/// A writer with a worker on the list, whose reserve is spent.
fn on_a_full_disk(name: &str, worker: WorkerId) -> (Writer, PathBuf) {
    let (mut writer, dir) = writer(name, NEVER);
    writer.worker_locks.acquire(worker).unwrap();
    register_worker(&mut writer, worker);
    writer.leave_room_for_others();
    writer.weigh(&error::storage_full());
    assert!(writer.disk_reserve.is_released());
    (writer, dir)
}

/// No commit fails.
const NEVER: &str = "UPDATE ON qdjobs_jobs WHEN 0";

/// Status and attempt of the job 1.
fn job(writer: &Writer) -> (String, i64) {
    let read = "SELECT status, attempt FROM qdjobs_jobs WHERE id = 1";
    writer.conn.query_row(read, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[test]
fn a_claim_made_in_a_commit_in_doubt_is_taken_back_and_goes_to_who_waits() {
    let (mut writer, dir) = writer("doubt", "UPDATE ON qdjobs_jobs WHEN 0");
    let worker = WorkerId(1);
    register_worker(&mut writer, worker);
    insert(&mut writer);
    let (request, claimed) = turn(worker, 1, false);
    writer.write(vec![request], false);
    // As if the answer had been that nobody knows.
    let claim = claimed.wait().unwrap().claimed[0].claim;
    let strange = [WorkerId(2), worker].map(|worker| Claim { worker, attempt: claim.attempt + 1, ..claim });
    writer.unconfirmed.claims.extend(strange);
    writer.look();
    assert_eq!(job(&writer), ("running".into(), 1), "a claim of somebody else is none of ours");

    writer.unconfirmed.claims.push(claim);
    let (request, claimed) = turn(worker, 1, true);
    writer.write(vec![request], false);
    assert_eq!(claimed.try_take().expect("it is there to be claimed").unwrap().claimed[0].claim, claim);
    assert!(writer.unconfirmed.is_empty());
    writer.unconfirmed.claims.push(claim);
    assert!(writer.sleep().limit.is_some(), "it does not wait for somebody to ask");
    writer.look();
    assert_eq!(job(&writer), ("pending".into(), 0));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn all_turns_of_a_batch_that_cannot_claim_are_told_the_same() {
    let (mut writer, dir) = writer("turns", "UPDATE ON qdjobs_jobs WHEN 0");
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON qdjobs_jobs BEGIN SELECT raise(ABORT, 'no'); END";
    writer.conn.execute_batch(refuse).unwrap();
    register_worker(&mut writer, WorkerId(1));
    insert(&mut writer);
    let (requests, turned): (Vec<_>, Vec<_>) = (0..3).map(|_| turn(WorkerId(1), 1, false)).unzip();
    writer.write(requests, false);
    let kinds: Vec<ErrorKind> = turned.into_iter().map(|it| it.wait().unwrap_err().kind()).collect();
    assert_eq!(kinds, [ErrorKind::InvalidInput; 3]);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_worker_that_could_not_be_enlisted_leaves_no_proof_of_life() {
    let (mut writer, dir) = writer("register_worker", "INSERT ON qdjobs_workers");
    writer.worker_locks.acquire(WorkerId(1)).unwrap();
    let (reply, registered) = Pending::new();
    writer.write(vec![Request::RegisterWorker(WorkerInfo::new(WorkerId(1), "host", 1), reply)], false);
    registered.wait().unwrap_err();
    assert!(writer.worker_locks.is_empty());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_store_that_stops_tells_who_stands_who_waits_and_who_comes_and_writes_nothing() {
    let (mut writer, dir) = writer("stop", "UPDATE ON qdjobs_jobs WHEN 0");
    register_worker(&mut writer, WorkerId(1));
    let (stands, standing) = turn(WorkerId(1), 1, true);
    writer.write(vec![stands], false);
    let mut later = NewJob::new("a", "{}");
    later.run_at = crate::model::job::RunAt::After(Duration::from_secs(1_000));
    let (reply, watching) = Pending::new();
    writer.write(
        vec![Request::Insert(vec![later], Pending::new().0), Request::WaitFor(JobId(1), reply)],
        false,
    );

    writer.conn.execute_batch("BEGIN IMMEDIATE; DELETE FROM qdjobs_jobs").unwrap();
    writer.stop(&error::panicked());
    assert_eq!(job(&writer).0, "pending");
    assert_eq!(standing.wait().unwrap_err().kind(), ErrorKind::StoreHalted);
    assert_eq!(watching.wait().unwrap_err().kind(), ErrorKind::StoreHalted);
    let (reply, refused) = Pending::new();
    writer.write(vec![Request::Insert(vec![NewJob::new("a", "{}")], reply)], false);
    let refused = refused.wait().unwrap_err();
    assert!(!refused.may_be_stored() && refused.to_string().contains("has panicked"), "{refused}");
    assert!(refused.suggestion().unwrap().contains("restart the program"));
    assert_eq!(writer.sleep().limit, None, "it does not spin");
    assert_eq!(writer.request_queue.push(Request::Look).unwrap_err().kind(), ErrorKind::StoreHalted);
    writer.request_queue.push(Request::Close).unwrap();

    // The last connection to close leaves the log where it is.
    let log = checkpointer::log_of(&dir.join("jobs.db"));
    let size = std::fs::metadata(&log).unwrap().len();
    drop(writer);
    assert!(size > 0 && std::fs::metadata(&log).unwrap().len() == size);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_turn_in_one_batch_with_the_rescue_of_its_worker_is_told_as_if_it_had_stood_and_only_if_that_is_committed()
 {
    let (mut writer, dir) = writer("together", "DELETE ON qdjobs_workers");
    let worker = WorkerId(1);
    register_worker(&mut writer, worker);
    let (stands, turned) = turn(worker, 1, true);
    writer.write(vec![stands, Request::ReleaseWorker(worker, Release::ProvenDead, Pending::new().0)], false);
    assert_eq!(turned.wait().unwrap_err().kind(), ErrorKind::InvalidInput, "it is on the list still");

    // So it is for a turn that stood.
    let (stands, turned) = turn(worker, 1, true);
    writer.write(vec![stands], false);
    writer.write(vec![Request::ReleaseWorker(worker, Release::ProvenDead, Pending::new().0)], false);
    assert_eq!(turned.wait().unwrap_err().kind(), ErrorKind::InvalidInput);

    writer.conn.execute_batch("DROP TRIGGER orphan").unwrap();
    let (stands, turned) = turn(worker, 1, true);
    writer.write(vec![stands, Request::ReleaseWorker(worker, Release::ProvenDead, Pending::new().0)], false);
    assert_eq!(turned.wait().unwrap_err().kind(), ErrorKind::LeaseLost);
    std::fs::remove_dir_all(&dir).unwrap();
}

/// What no code of ours writes may stand in the file all the same. A byte 0xb0 without its lead is a sign to SQLite, but no UTF-8.
#[test]
fn a_row_that_no_code_of_ours_has_written_holds_up_nobody_and_is_seen_and_deleted() {
    let (mut writer, dir) = writer("rows", NEVER);
    register_worker(&mut writer, WorkerId(1));
    let stray = "PRAGMA ignore_check_constraints = ON;
        INSERT INTO qdjobs_jobs (task_name, params, name, metadata) VALUES
            ('a', CAST(x'7b2261223a22b0227d' AS TEXT), CAST(x'6eb0' AS TEXT), CAST(x'22b022' AS TEXT)),
            (CAST(x'61b0' AS TEXT), '{}', NULL, NULL);
        INSERT INTO qdjobs_jobs (task_name, queue) VALUES ('a', CAST(x'71b0' AS TEXT));
        INSERT INTO qdjobs_jobs (task_name, queue, availability) VALUES ('a', 'default', 1), ('a', NULL, 1), ('Z', NULL, 1);
        PRAGMA ignore_check_constraints = OFF;";
    writer.conn.execute_batch(stray).unwrap();
    let mut last = new_job();
    last.queue = "r".into();
    writer.write(vec![Request::Insert(vec![last], Pending::new().0)], false);
    let (request, claimed) = turn(WorkerId(1), 9, false);
    writer.write(vec![request], false);
    let mut claimed = claimed.wait().unwrap().claimed;
    claimed.sort_by_key(|job| job.claim.id);
    let found: Vec<_> = claimed.iter().map(|job| (job.claim.id.0, job.priority, job.max_retries)).collect();
    assert_eq!(found, [(1, 0, 3), (4, 0, 3), (7, 0, 3)]);
    let named = &claimed[0];
    assert_eq!(serde_json::from_str::<String>(&named.params).unwrap(), "text that is not UTF-8");
    assert_eq!((named.name.as_deref(), named.metadata.as_deref()), (Some("n\u{fffd}"), Some("\"\u{fffd}\"")));

    let query = format!("SELECT {} FROM qdjobs_jobs ORDER BY id", queries::sql::JOB_COLUMNS);
    let jobs: Vec<Job> = {
        let mut all = writer.conn.prepare(&query).unwrap();
        all.query_map([], rows::job).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(
        (jobs.len(), jobs[0].params.as_str(), jobs[1].task_name.as_str()),
        (7, "{\"a\":\"\u{fffd}\"}", "a\u{fffd}")
    );
    for id in [2, 3, 5, 6] {
        let (reply, deleted) = Pending::new();
        writer.write(vec![Request::Command(JobCommand::Delete(JobId(id)), reply)], false);
        deleted.wait().unwrap();
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn an_insert_that_a_trigger_of_somebodys_ignores_is_refused_and_holds_up_nobody() {
    let (mut writer, dir) = writer("ignored", NEVER);
    let ignore = "CREATE TRIGGER ignore BEFORE INSERT ON qdjobs_jobs BEGIN SELECT RAISE(IGNORE); END";
    writer.conn.execute_batch(ignore).unwrap();
    let mut keyed = new_job();
    keyed.idempotency_key = Some("k".into());
    for job in [new_job(), keyed] {
        let (reply, stored) = Pending::new();
        writer.write_one(Request::Insert(vec![job], reply));
        let refused = stored.wait().unwrap_err();
        assert!(refused.to_string().contains("a trigger of this database ignores the insert"), "{refused}");
    }
    // The params that stand apart are part of the job.
    let ignore = "DROP TRIGGER ignore;
        CREATE TRIGGER ignore BEFORE INSERT ON qdjobs_params BEGIN SELECT RAISE(IGNORE); END";
    writer.conn.execute_batch(ignore).unwrap();
    let (reply, stored) = Pending::new();
    let large = NewJob::new("a", format!("{{\"x\":\"{}\"}}", "x".repeat(600)));
    writer.write_one(Request::Insert(vec![large], reply));
    stored.wait().unwrap_err();
    let jobs = writer.conn.query_row("SELECT count(*) FROM qdjobs_jobs", [], |row| row.get::<_, i64>(0));
    assert_eq!(jobs.unwrap(), 0);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_suspect_that_cannot_be_marked_is_not_claimed() {
    let (mut writer, dir) = writer("unmarked", NEVER);
    register_worker(&mut writer, WorkerId(1));
    insert(&mut writer);
    let ignore = "UPDATE qdjobs_jobs SET availability = 2, crash_count = 1;
        CREATE TRIGGER ignore BEFORE UPDATE ON qdjobs_jobs BEGIN SELECT RAISE(IGNORE); END";
    writer.conn.execute_batch(ignore).unwrap();
    let (request, turned) = turn(WorkerId(1), 1, false);
    writer.write(vec![request], false);
    assert_eq!(turned.wait().unwrap_err().kind(), ErrorKind::Corrupt);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn on_a_full_disk_what_is_due_waits_for_room_and_the_thread_sleeps() {
    let worker = WorkerId(1);
    let (mut writer, dir) = on_a_full_disk("due-full", worker);
    let (stands, _standing) = turn(worker, 1, true);
    writer.write(vec![stands], false);
    let insert =
        "INSERT INTO qdjobs_jobs (task_name, queue, priority, max_retries, scheduled_at, availability)
        VALUES ('a', 'default', 0, 3, 0, 0)";
    writer.conn.execute(insert, []).unwrap();
    writer.next_due = Some(Timestamp::UNIX_EPOCH);
    writer.look();
    assert!(writer.next_due.is_some());
    assert_ne!(writer.sleep().limit, Some(Duration::ZERO));
    let promoted = || -> bool {
        writer.conn.query_row("SELECT availability > 0 FROM qdjobs_jobs", [], |row| row.get(0)).unwrap()
    };
    assert!(!promoted(), "that would take of the room for the finishes");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn what_is_due_and_cannot_be_made_ready_is_tried_again_after_a_pause() {
    let (mut writer, dir) = writer("due-fails", NEVER);
    let worker = WorkerId(1);
    register_worker(&mut writer, worker);
    let (stands, standing) = turn(worker, 1, true);
    writer.write(vec![stands], false);
    let due =
        "CREATE TRIGGER refuse BEFORE UPDATE OF availability ON qdjobs_jobs BEGIN SELECT RAISE(ABORT, 'no'); END;
        INSERT INTO qdjobs_jobs (task_name, queue, priority, max_retries, scheduled_at, availability)
        VALUES ('a', 'default', 0, 3, 0, 0)";
    writer.conn.execute_batch(due).unwrap();
    writer.next_due = Some(Timestamp::UNIX_EPOCH);
    writer.look();
    assert!(writer.health.health(None).last_error.is_some());
    assert_eq!(writer.mend, MEND.0);
    assert_ne!(writer.sleep().limit, Some(Duration::ZERO));
    writer.conn.execute_batch("DROP TRIGGER refuse").unwrap();
    let turned = loop {
        if let Some(turned) = standing.try_take() {
            break turned;
        }
        writer.request_queue.wait(writer.sleep());
        writer.look();
    };
    assert_eq!(turned.unwrap().claimed.len(), 1);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_job_that_was_stored_alone_for_later_comes_before_those_of_lower_priority_once_it_is_due() {
    let clock = Clock::manual(Timestamp::from_second(1_790_000_000).unwrap());
    let (mut writer, dir) = writer_by("alone", NEVER, clock.clone());
    register_worker(&mut writer, WorkerId(1));
    let mut later = new_job();
    later.priority = 10;
    later.run_at = crate::model::job::RunAt::After(Duration::from_secs(1));
    for job in [new_job(), later] {
        let (reply, stored) = Pending::new();
        writer.write_one(Request::Insert(vec![job], reply));
        stored.wait().unwrap();
    }
    assert_eq!(writer.next_due, Some(Timestamp::from_second(1_790_000_001).unwrap()));
    clock.advance(Duration::from_secs(2));
    let (request, turned) = turn(WorkerId(1), 1, false);
    writer.write(vec![request], false);
    assert_eq!(turned.wait().unwrap().claimed[0].claim.id, JobId(2));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn whoever_stores_a_job_alone_hears_of_what_others_have_stored_for_later_and_of_a_newer_schema() {
    let (mut writer, dir) = writer("others", NEVER);
    let store = |writer: &mut Writer| {
        let (reply, stored) = Pending::new();
        writer.write_one(Request::Insert(vec![new_job()], reply));
        stored.wait().unwrap();
    };
    store(&mut writer);
    let others = Connection::open(dir.join("jobs.db")).unwrap();
    others
        .execute("INSERT INTO qdjobs_jobs (task_name, scheduled_at) VALUES ('a', 253402207200999999)", [])
        .unwrap();
    store(&mut writer);
    assert_eq!(writer.next_due, Some(rows::time(253_402_207_200_999_999)));
    // As if it had been raised between the insert and the look.
    let raise =
        "CREATE TRIGGER raised AFTER INSERT ON qdjobs_jobs BEGIN UPDATE qdjobs_meta SET min_writer = 99; END;
        DELETE FROM qdjobs_jobs";
    others.execute_batch(raise).unwrap();
    store(&mut writer);
    assert!(!writer.change_poll.has_baseline(), "the next transaction looks again");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_delay_that_meets_the_end_of_the_calendar_while_it_waits_is_refused_and_not_run_at_once() {
    let clock = Clock::manual(Timestamp::MAX);
    let (mut writer, dir) = writer_by("calendar", NEVER, clock);
    let mut late = new_job();
    late.run_at = crate::model::job::RunAt::After(Duration::from_secs(1_000));
    for alone in [true, false] {
        let (reply, refused) = Pending::new();
        let request = Request::Insert(vec![late.clone()], reply);
        if alone {
            writer.write_one(request)
        } else {
            writer.write(vec![request], false)
        }
        assert_eq!(refused.wait().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn what_is_refused_for_something_that_is_not_committed_hears_of_the_commit() {
    let (mut writer, dir) = writer("shared", "INSERT ON qdjobs_jobs");
    let keyed = |params: &str| {
        let mut job = NewJob::new("a", params);
        job.idempotency_key = Some("k".into());
        let (reply, stored) = Pending::new();
        (Request::Insert(vec![job], reply), stored)
    };
    let (first, stored) = keyed("{}");
    let (other, refused) = keyed(r#"{"x":1}"#);
    writer.write(vec![first, other], false);
    assert_eq!(stored.wait().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(refused.wait().unwrap_err().kind(), ErrorKind::InvalidInput, "nobody holds the key");

    let worker = WorkerId(1);
    register_worker(&mut writer, worker);
    let (late, turned) = turn(worker, 1, false);
    let insert = Request::Insert(vec![new_job()], Pending::new().0);
    writer.write(
        vec![Request::ReleaseWorker(worker, Release::ProvenDead, Pending::new().0), late, insert],
        false,
    );
    assert_eq!(turned.wait().unwrap_err().kind(), ErrorKind::InvalidInput, "it is on the list still");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_rescue_that_cannot_read_all_it_needs_is_refused() {
    let (mut writer, dir) = writer("door", NEVER);
    let worker = WorkerId(1);
    register_worker(&mut writer, worker);
    writer.conn.execute_batch("ALTER TABLE qdjobs_workers RENAME COLUMN wake_socket TO gone").unwrap();
    let (reply, rescued) = Pending::new();
    writer.write(vec![Request::ReleaseWorker(worker, Release::ProvenDead, reply)], false);
    rescued.wait().unwrap_err();
    assert!(queries::is_registered(&writer.conn, worker).unwrap());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn on_a_full_disk_too_a_standing_turn_hears_that_its_worker_was_taken_for_dead() {
    let worker = WorkerId(1);
    let (mut writer, dir) = on_a_full_disk("rescued-full", worker);
    let (stands, standing) = turn(worker, 1, true);
    writer.write(vec![stands], false);
    let (reply, rescued) = Pending::new();
    writer.write(vec![Request::ReleaseWorker(worker, Release::ProvenDead, reply)], false);
    rescued.wait().unwrap();
    assert_eq!(standing.try_take().expect("it is told").unwrap_err().kind(), ErrorKind::LeaseLost);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn the_end_of_a_job_by_its_last_crash_is_told_though_it_is_retried_in_the_same_batch() {
    let (mut writer, dir) = writer("last-crash", NEVER);
    let worker = WorkerId(1);
    register_worker(&mut writer, worker);
    insert(&mut writer);
    let (request, _claimed) = turn(worker, 1, false);
    writer.write(vec![request], false);
    let (reply, ended) = Pending::new();
    writer.write(vec![Request::WaitFor(JobId(1), reply)], false);
    let crashes = writer.options.max_crashes - 1;
    writer.conn.execute("UPDATE qdjobs_jobs SET crash_count = ?1", [crashes]).unwrap();
    let retry = Request::Command(JobCommand::Retry(JobId(1)), Pending::new().0);
    writer.write(vec![Request::ReleaseWorker(worker, Release::ProvenDead, Pending::new().0), retry], false);
    assert_eq!(job(&writer).0, "pending");
    let ended = ended.try_take().expect("it had failed").unwrap();
    assert_eq!(ended.status, Status::Failed);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn whether_there_is_work_is_known_at_the_first_that_is_found() {
    let (mut writer, dir) = writer("first", NEVER);
    let jobs = ["x", "y", "z"].map(|queue| NewJob { queue: queue.into(), ..new_job() });
    writer.write(vec![Request::Insert(jobs.to_vec(), Pending::new().0)], false);
    let want = ClaimRequest::new(WorkerId(1), Arc::new(TaskSet::new(["a"])), 1);
    assert!(queries::has_ready(&writer.conn, &want).unwrap());
    let next = writer.conn.prepare_cached(queries::sql::NEXT_READY_PAIR).unwrap();
    assert_eq!(next.get_status(rusqlite::StatementStatus::Run), 1);
    std::fs::remove_dir_all(&dir).unwrap();
}
