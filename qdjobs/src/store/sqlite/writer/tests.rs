//! Tests of the writer, called from one thread and not run by its own: which requests share a commit is
//! chance otherwise.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::model::job::{Job, JobId, NewJob, RunAt, Status, WorkerId};
use crate::model::retry::Verdict;
use crate::store::engine::batch::Batch;
use crate::store::engine::requests::{Call, Request};
use crate::store::engine::transaction_steps::run;
use crate::store::sqlite::queries::{rows, sql};
use crate::store::sqlite::transaction::SqliteTransaction;
use crate::store::{
    Claim, ClaimRequest, ClaimResponse, FinishedJob, JobCommand, Pending, Release, TaskSet, WorkerInfo,
};

/// A writer in a directory of its own. A commit fails if it has a row for which `fails` is true.
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
    let health = Arc::new(HealthRecord::of(&path, Path::new("none"), false));
    let files = Arc::new(OpenFiles::of(&path, &path));
    (Writer::new(conn, files, options, clock, Arc::default(), worker_locks, health), dir)
}

#[test]
fn the_end_of_a_job_is_answered_only_when_it_is_committed() {
    let (mut writer, dir) = writer("ended", "UPDATE ON qdjobs_jobs WHEN new.status = 'completed'");
    let worker = WorkerId(1);
    let claim = |done| {
        let tasks = Arc::new(TaskSet::new(["a"]));
        let (reply, response) = Pending::new();
        (
            Request::Claim(Call::new(
                ClaimRequest { worker, finished: done, limit: 1, tasks, queues: None, wait: false },
                reply,
            )),
            response,
        )
    };
    let insert = Request::Insert(Call::new(vec![NewJob::new("a", "{}")], Pending::new().0));
    let register_worker =
        Request::RegisterWorker(Call::new(WorkerInfo::new(worker, "host", 1), Pending::new().0));
    let (begin, claimed) = claim(Arc::default());
    writer.write(vec![insert, register_worker, begin], false);
    let job = claimed.wait().unwrap().claimed.remove(0);

    let finish = || {
        let verdict = Verdict::Complete { result: "null".into() };
        let (claimed, ticket) = (job.claim, job.ticket);
        let finished = FinishedJob { claim: claimed, ticket, began_after: Duration::ZERO, verdict };
        claim(Arc::new(vec![finished]))
    };
    let (end, refused) = finish();
    let (reply, ended) = Pending::new();
    writer.write(vec![end, Request::WaitFor(Box::new(Call::new(job.claim.id, reply)))], false);
    assert_eq!(refused.wait().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(ended.try_take().is_none(), "it waits on");
    // The same for a caller that has waited before.
    let (end, refused) = finish();
    writer.write(vec![end], false);
    assert_eq!(refused.wait().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(ended.try_take().is_none(), "it waits on");
    writer.conn.execute_batch("DROP TRIGGER orphan").unwrap();
    let (end, _) = finish();
    writer.write(vec![end], false);
    assert_eq!(ended.wait().unwrap().status, Status::Completed);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_worker_keeps_its_lock_file_until_it_is_removed() {
    let (mut writer, dir) = writer("proof", "DELETE ON qdjobs_workers");
    let worker = WorkerId(1);
    writer.workers.locks.acquire(worker).unwrap();
    let lock_file = writer.workers.locks.dir().join(format!("{worker}.lock"));
    let register_worker =
        Request::RegisterWorker(Call::new(WorkerInfo::new(worker, "host", 1), Pending::new().0));
    writer.write(vec![register_worker], false);

    let (reply, left) = Pending::new();
    writer.write(vec![Request::ReleaseWorker(Call::new((worker, Release::ByWorker), reply))], false);
    assert_eq!(left.wait().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(lock_file.exists() && !writer.workers.locks.is_empty());
    let (reply, released) = Pending::new();
    writer.write(vec![Request::ReleaseWorker(Call::new((worker, Release::ProvenDead), reply))], false);
    assert_eq!(released.wait().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(lock_file.exists() && !writer.workers.locks.is_empty());
    writer.conn.execute_batch("DROP TRIGGER orphan").unwrap();
    let (reply, left) = Pending::new();
    writer.write(vec![Request::ReleaseWorker(Call::new((worker, Release::ByWorker), reply))], false);
    assert_eq!(left.wait().unwrap().jobs, 0);
    assert!(!lock_file.exists() && writer.workers.locks.is_empty());
    std::fs::remove_dir_all(&dir).unwrap();
}

fn claim_request(worker: WorkerId, limit: usize, wait: bool) -> (Request, Pending<ClaimResponse>) {
    let (reply, response) = Pending::new();
    (
        Request::Claim(Call::new(
            ClaimRequest {
                worker,
                finished: Arc::default(),
                limit,
                tasks: Arc::new(TaskSet::new(["a"])),
                queues: None,
                wait,
            },
            reply,
        )),
        response,
    )
}

fn register_worker(writer: &mut Writer, worker: WorkerId) {
    writer.write(
        vec![Request::RegisterWorker(Call::new(WorkerInfo::new(worker, "host", 1), Pending::new().0))],
        false,
    );
}

fn insert(writer: &mut Writer) {
    writer.write(vec![Request::Insert(Call::new(vec![NewJob::new("a", "{}")], Pending::new().0))], false);
}

/// A job of the task of the claims.
fn new_job() -> NewJob {
    NewJob::new("a", "{}")
}

/// A writer with a registered worker, whose reserve is released.
fn on_a_full_disk(name: &str, worker: WorkerId) -> (Writer, PathBuf) {
    let (mut writer, dir) = writer(name, NEVER);
    writer.workers.locks.acquire(worker).unwrap();
    register_worker(&mut writer, worker);
    writer.leave_room_for_others();
    writer.consider(&error::disk_full(&writer.conn));
    assert!(writer.upkeep.refuses_jobs());
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
fn a_claim_of_an_unconfirmed_commit_is_given_back_and_goes_to_a_waiting_claim() {
    let (mut writer, dir) = writer("unconfirmed", "UPDATE ON qdjobs_jobs WHEN 0");
    let worker = WorkerId(1);
    register_worker(&mut writer, worker);
    insert(&mut writer);
    let (request, claimed) = claim_request(worker, 1, false);
    writer.write(vec![request], false);
    // As if the answer had been `Indeterminate`.
    let claimed = claimed.wait().unwrap().claimed.remove(0);
    let (claim, ticket) = (claimed.claim, claimed.ticket);
    let strange =
        [WorkerId(2), worker].map(|worker| (Claim { worker, attempt: claim.attempt + 1, ..claim }, ticket));
    writer.recovery.unconfirmed.claims.extend(strange);
    writer.look();
    assert_eq!(job(&writer), ("running".into(), 1), "the claim of another worker stays");

    writer.recovery.unconfirmed.claims.push((claim, ticket));
    let (request, claimed) = claim_request(worker, 1, true);
    writer.write(vec![request], false);
    assert_eq!(claimed.try_take().expect("it is there to be claimed").unwrap().claimed[0].claim, claim);
    assert!(writer.recovery.unconfirmed.is_empty());
    writer.recovery.unconfirmed.claims.push((claim, ticket));
    assert!(writer.sleep().limit.is_some(), "it does not wait for a request");
    writer.look();
    assert_eq!(job(&writer), ("pending".into(), 0));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn what_a_commit_with_an_unknown_result_has_claimed_and_registered_is_given_back() {
    let (mut writer, dir) = writer("unknown", NEVER);
    let (known, new) = (WorkerId(1), WorkerId(2));
    register_worker(&mut writer, known);
    let (request, waiting_claim) = claim_request(known, 1, true);
    writer.write(vec![request], false);

    let insert = Request::Insert(Call::new(vec![new_job(), new_job()], Pending::new().0));
    let register = Request::RegisterWorker(Call::new(WorkerInfo::new(new, "host", 1), Pending::new().0));
    let (request, claimed) = claim_request(known, 1, false);
    let mut requests = [insert, register, request];
    let (now, mut batch) = (writer.clock.now(), Batch::new(false));
    writer.conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut tx = SqliteTransaction::on(&writer.conn, now);
    run(&mut tx, &mut requests, &mut writer.waiters, &mut batch).unwrap();
    drop(tx);
    writer.conn.execute_batch("COMMIT").unwrap();
    let running = "SELECT count(*) FROM qdjobs_jobs WHERE status = 'running' AND attempt = 1";
    let count = |writer: &Writer, sql| writer.conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(&writer, running), 2);
    // It is stored, but the disk has reported an error.
    let unknown = Error::new(ErrorKind::Indeterminate, "the commit failed");
    writer.has_failed(&mut requests, &batch, &unknown, now);
    for refused in [waiting_claim, claimed] {
        assert_eq!(refused.wait().unwrap_err().kind(), ErrorKind::Indeterminate);
    }

    writer.look();
    let given_back = "SELECT count(*) FROM qdjobs_jobs WHERE status = 'pending' AND attempt = 0";
    assert_eq!(count(&writer, given_back), 2);
    assert!(queries::workers::is_registered(&writer.conn, known).unwrap());
    assert!(!queries::workers::is_registered(&writer.conn, new).unwrap(), "its process does not use it");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_waiting_claim_whose_claim_is_not_committed_gets_the_error_and_no_job() {
    let (mut writer, dir) = writer("uncommitted", "UPDATE ON qdjobs_jobs WHEN new.status = 'running'");
    let worker = WorkerId(1);
    register_worker(&mut writer, worker);
    let (request, waiting_claim) = claim_request(worker, 1, true);
    writer.write(vec![request], false);
    let (reply, stored) = Pending::new();
    writer.write(vec![Request::Insert(Call::new(vec![new_job()], reply))], false);
    assert_eq!(stored.wait().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(waiting_claim.wait().unwrap_err().kind(), ErrorKind::InvalidInput);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn all_claims_of_a_batch_that_cannot_claim_get_the_same_error() {
    let (mut writer, dir) = writer("claims", "UPDATE ON qdjobs_jobs WHEN 0");
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON qdjobs_jobs BEGIN SELECT raise(ABORT, 'no'); END";
    writer.conn.execute_batch(refuse).unwrap();
    register_worker(&mut writer, WorkerId(1));
    insert(&mut writer);
    let (requests, response): (Vec<_>, Vec<_>) = (0..3).map(|_| claim_request(WorkerId(1), 1, false)).unzip();
    writer.write(requests, false);
    let kinds: Vec<ErrorKind> = response.into_iter().map(|it| it.wait().unwrap_err().kind()).collect();
    assert_eq!(kinds, [ErrorKind::InvalidInput; 3]);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_worker_that_could_not_be_registered_leaves_no_lock_file() {
    let (mut writer, dir) = writer("register_worker", "INSERT ON qdjobs_workers");
    writer.workers.locks.acquire(WorkerId(1)).unwrap();
    let (reply, registered) = Pending::new();
    writer.write(
        vec![Request::RegisterWorker(Call::new(WorkerInfo::new(WorkerId(1), "host", 1), reply))],
        false,
    );
    registered.wait().unwrap_err();
    assert!(writer.workers.locks.is_empty());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_store_that_halts_refuses_those_who_wait_and_those_who_come_and_writes_nothing() {
    let (mut writer, dir) = writer("stop", "UPDATE ON qdjobs_jobs WHEN 0");
    register_worker(&mut writer, WorkerId(1));
    let (request, waiting_claim) = claim_request(WorkerId(1), 1, true);
    writer.write(vec![request], false);
    let mut later = NewJob::new("a", "{}");
    later.run_at = RunAt::After(Duration::from_secs(1_000));
    let (reply, watching) = Pending::new();
    writer.write(
        vec![
            Request::Insert(Call::new(vec![later], Pending::new().0)),
            Request::WaitFor(Box::new(Call::new(JobId(1), reply))),
        ],
        false,
    );

    writer.conn.execute_batch("BEGIN IMMEDIATE; DELETE FROM qdjobs_jobs").unwrap();
    writer.halt_after_panic();
    assert_eq!(job(&writer).0, "pending");
    assert_eq!(waiting_claim.wait().unwrap_err().kind(), ErrorKind::StoreHalted);
    assert_eq!(watching.wait().unwrap_err().kind(), ErrorKind::StoreHalted);
    let (reply, refused) = Pending::new();
    writer.write(vec![Request::Insert(Call::new(vec![NewJob::new("a", "{}")], reply))], false);
    let refused = refused.wait().unwrap_err();
    assert!(
        !refused.may_be_stored() && refused.to_string().contains("a write to the database panicked"),
        "{refused}"
    );
    assert!(refused.suggestion().unwrap().contains("restart the program"));
    assert_eq!(writer.sleep().limit, None, "it does not spin");
    assert_eq!(writer.request_queue.push(Request::Look).unwrap_err().kind(), ErrorKind::StoreHalted);
    writer.request_queue.push(Request::Close).unwrap();

    // The last connection to close leaves the log where it is.
    let log = crate::store::sqlite::files::names::log_of(&dir.join("jobs.db"));
    let size = std::fs::metadata(&log).unwrap().len();
    drop(writer);
    assert!(size > 0 && std::fs::metadata(&log).unwrap().len() == size);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_claim_in_one_batch_with_the_release_of_its_dead_worker_is_refused_as_a_waiting_one_once_that_is_committed()
 {
    let (mut writer, dir) = writer("together", "DELETE ON qdjobs_workers");
    let worker = WorkerId(1);
    register_worker(&mut writer, worker);
    let (request, response) = claim_request(worker, 1, true);
    writer.write(
        vec![request, Request::ReleaseWorker(Call::new((worker, Release::ProvenDead), Pending::new().0))],
        false,
    );
    assert_eq!(response.wait().unwrap_err().kind(), ErrorKind::InvalidInput, "it is still registered");

    // The same holds for a claim that was waiting before.
    let (request, response) = claim_request(worker, 1, true);
    writer.write(vec![request], false);
    writer.write(
        vec![Request::ReleaseWorker(Call::new((worker, Release::ProvenDead), Pending::new().0))],
        false,
    );
    assert_eq!(response.wait().unwrap_err().kind(), ErrorKind::InvalidInput);

    writer.conn.execute_batch("DROP TRIGGER orphan").unwrap();
    let (request, response) = claim_request(worker, 1, true);
    writer.write(
        vec![request, Request::ReleaseWorker(Call::new((worker, Release::ProvenDead), Pending::new().0))],
        false,
    );
    assert_eq!(response.wait().unwrap_err().kind(), ErrorKind::LeaseLost);
    std::fs::remove_dir_all(&dir).unwrap();
}

/// What no code of ours writes may wait in the file all the same. A byte 0xb0 without its lead is a sign to
/// SQLite, but no UTF-8.
#[test]
fn a_row_that_no_code_of_this_crate_has_written_delays_no_other_and_can_be_read_and_deleted() {
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
    writer.write(vec![Request::Insert(Call::new(vec![last], Pending::new().0))], false);
    let (request, claimed) = claim_request(WorkerId(1), 9, false);
    writer.write(vec![request], false);
    let mut claimed = claimed.wait().unwrap().claimed;
    claimed.sort_by_key(|job| job.claim.id);
    let found: Vec<_> = claimed.iter().map(|job| (job.claim.id.0, job.priority, job.max_retries)).collect();
    assert_eq!(found, [(1, 0, 3), (4, 0, 3), (7, 0, 3)]);
    let named = &claimed[0];
    assert_eq!(serde_json::from_str::<String>(&named.params).unwrap(), "text that is not UTF-8");
    assert_eq!((named.name.as_deref(), named.metadata.as_deref()), (Some("n\u{fffd}"), Some("\"\u{fffd}\"")));

    let query = format!("SELECT {} FROM qdjobs_jobs ORDER BY id", sql::JOB_COLUMNS);
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
        writer
            .write(vec![Request::Command(Box::new(Call::new(JobCommand::Delete(JobId(id)), reply)))], false);
        deleted.wait().unwrap();
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn an_insert_that_a_trigger_of_the_application_ignores_is_refused() {
    let (mut writer, dir) = writer("ignored", NEVER);
    let ignore = "CREATE TRIGGER ignore BEFORE INSERT ON qdjobs_jobs BEGIN SELECT RAISE(IGNORE); END";
    writer.conn.execute_batch(ignore).unwrap();
    let mut keyed = new_job();
    keyed.idempotency_key = Some("k".into());
    for job in [new_job(), keyed] {
        let (reply, stored) = Pending::new();
        writer.write_one(Request::Insert(Call::new(vec![job], reply)));
        let refused = stored.wait().unwrap_err();
        assert!(refused.to_string().contains("a trigger of this database ignores the insert"), "{refused}");
    }
    // Of many, it ignores one.
    let ignore_one = "DROP TRIGGER ignore;
        CREATE TRIGGER ignore BEFORE INSERT ON qdjobs_jobs WHEN NEW.task_name = 'b' BEGIN SELECT RAISE(IGNORE); END";
    writer.conn.execute_batch(ignore_one).unwrap();
    for place in [0, 20, 40] {
        let mut many = vec![new_job(); 41];
        many[place].task_name = "b".into();
        let (reply, stored) = Pending::new();
        writer.write_one(Request::Insert(Call::new(many, reply)));
        let refused = stored.wait().unwrap_err();
        assert!(refused.to_string().contains("a trigger of this database ignores the insert"), "{refused}");
    }
    // The params that wait apart are part of the job.
    let ignore = "DROP TRIGGER ignore;
        CREATE TRIGGER ignore BEFORE INSERT ON qdjobs_params BEGIN SELECT RAISE(IGNORE); END";
    writer.conn.execute_batch(ignore).unwrap();
    let (reply, stored) = Pending::new();
    let large = NewJob::new("a", format!("{{\"x\":\"{}\"}}", "x".repeat(600)));
    writer.write_one(Request::Insert(Call::new(vec![large.clone()], reply)));
    stored.wait().unwrap_err();
    let mut many = vec![new_job(); 40];
    many[20] = large;
    let (reply, stored) = Pending::new();
    writer.write_one(Request::Insert(Call::new(many, reply)));
    stored.wait().unwrap_err();
    let jobs = writer.conn.query_row("SELECT count(*) FROM qdjobs_jobs", [], |row| row.get::<_, i64>(0));
    assert_eq!(jobs.unwrap(), 0);
    std::fs::remove_dir_all(&dir).unwrap();
}

/// The requests of 40 callers: of a single job with its number as its priority, but for five of them.
fn inserts_of_callers() -> (Vec<Request>, Vec<Pending<Vec<JobId>>>) {
    let calls = (0..40).map(|n| {
        let mut job = NewJob { priority: n, ..new_job() };
        match n {
            5 => job.params = format!("{{\"x\":\"{}\"}}", "x".repeat(600)),
            9 => job.idempotency_key = Some("nine".into()),
            11 => job.run_at = RunAt::After(Duration::from_secs(60)),
            28 => job.task_name = "b".into(),
            _ => {}
        }
        let (reply, stored) = Pending::new();
        (Request::Insert(Call::new(vec![job; if n == 36 { 3 } else { 1 }], reply)), stored)
    });
    calls.unzip()
}

/// Whether each of the statements for several jobs was executed.
fn has_run_each_of_many(conn: &Connection) -> bool {
    sql::INSERT_MANY.iter().all(|(_, statement)| {
        let statement = conn.prepare_cached(statement).unwrap();
        statement.get_status(rusqlite::StatementStatus::Run) > 0
    })
}

#[test]
fn the_jobs_of_callers_that_share_a_transaction_are_stored_together_and_refused_alone() {
    for (rule, words) in [
        ("ABORT, 'no b'", Some("no b")),
        ("FAIL, 'never b'", Some("never b")),
        ("IGNORE", Some("a trigger of this database ignores the insert")),
        ("IGNORE) WHERE (0", None),
    ] {
        let (mut writer, dir) = writer("together", NEVER);
        let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON qdjobs_jobs WHEN NEW.task_name = 'b'";
        writer.conn.execute_batch(&format!("{refuse} BEGIN SELECT RAISE({rule}); END")).unwrap();
        let (requests, answers) = inserts_of_callers();
        writer.write(requests, false);
        for (n, answer) in answers.into_iter().enumerate() {
            let answer = answer.try_take().expect("it is answered");
            if let (28, Some(words)) = (n, words) {
                let refused = answer.unwrap_err().to_string();
                assert!(refused.contains(words), "{refused}");
                continue;
            }
            let ids = answer.unwrap();
            assert_eq!(ids.len(), if n == 36 { 3 } else { 1 });
            for JobId(id) in ids {
                let read = "SELECT priority FROM qdjobs_jobs WHERE id = ?1";
                assert_eq!(writer.conn.query_row(read, [id], |row| row.get(0)), Ok(n as i64), "{rule}");
            }
        }
        let count = "SELECT count(*) FROM qdjobs_jobs";
        assert_eq!(writer.conn.query_row(count, [], |row| row.get(0)), Ok(42 - i64::from(words.is_some())));
        assert!(writer.waiters.next_due().is_some(), "one is scheduled");
        // For the callers 0 to 3, 10 to 25, 26 to 33, and two jobs of caller 36.
        assert!(has_run_each_of_many(&writer.conn), "{rule}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn a_trigger_that_rolls_back_refuses_all_callers_and_stores_nothing() {
    let (mut writer, dir) = writer("rolled-back", NEVER);
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON qdjobs_jobs WHEN NEW.task_name = 'b'
        BEGIN SELECT RAISE(ROLLBACK, 'none'); END";
    writer.conn.execute_batch(refuse).unwrap();
    let (requests, answers) = inserts_of_callers();
    writer.write(requests, false);
    for answer in answers {
        assert!(answer.try_take().expect("it is answered").unwrap_err().to_string().contains("none"));
    }
    let count = "SELECT count(*) FROM qdjobs_jobs";
    assert_eq!(writer.conn.query_row(count, [], |row| row.get(0)), Ok(0));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn the_jobs_of_one_call_are_stored_by_few_statements() {
    let (mut writer, dir) = writer("bulk", NEVER);
    let (reply, stored) = Pending::new();
    writer.write_one(Request::Insert(Call::new(vec![new_job(); 16 + 16 + 8 + 4 + 2 + 1], reply)));
    assert_eq!(stored.wait().unwrap().len(), 47);
    assert!(has_run_each_of_many(&writer.conn));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_suspected_job_that_cannot_be_marked_is_not_claimed() {
    let (mut writer, dir) = writer("unmarked", NEVER);
    register_worker(&mut writer, WorkerId(1));
    insert(&mut writer);
    let ignore = "UPDATE qdjobs_jobs SET availability = 2, crash_count = 2;
        CREATE TRIGGER ignore BEFORE UPDATE ON qdjobs_jobs BEGIN SELECT RAISE(IGNORE); END";
    writer.conn.execute_batch(ignore).unwrap();
    let (request, response) = claim_request(WorkerId(1), 1, false);
    writer.write(vec![request], false);
    assert_eq!(response.wait().unwrap_err().kind(), ErrorKind::Corrupt);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn on_a_full_disk_what_is_due_waits_for_room_and_the_thread_sleeps() {
    let worker = WorkerId(1);
    let (mut writer, dir) = on_a_full_disk("due-full", worker);
    let (request, _waiting_claim) = claim_request(worker, 1, true);
    writer.write(vec![request], false);
    let insert =
        "INSERT INTO qdjobs_jobs (task_name, queue, priority, max_retries, scheduled_at, availability)
        VALUES ('a', 'default', 0, 3, 0, 0)";
    writer.conn.execute(insert, []).unwrap();
    writer.waiters.set_next_due(Some(Timestamp::UNIX_EPOCH));
    writer.look();
    assert!(writer.next_due().is_some());
    assert_ne!(writer.sleep().limit, Some(Duration::ZERO));
    let promoted = || -> bool {
        writer.conn.query_row("SELECT availability > 0 FROM qdjobs_jobs", [], |row| row.get(0)).unwrap()
    };
    assert!(!promoted(), "that would take room from the finishes");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn what_is_due_and_cannot_be_made_ready_is_tried_again_after_a_pause() {
    let (mut writer, dir) = writer("due-fails", NEVER);
    let worker = WorkerId(1);
    register_worker(&mut writer, worker);
    let (request, waiting_claim) = claim_request(worker, 1, true);
    writer.write(vec![request], false);
    let due =
        "CREATE TRIGGER refuse BEFORE UPDATE OF availability ON qdjobs_jobs BEGIN SELECT RAISE(ABORT, 'no'); END;
        INSERT INTO qdjobs_jobs (task_name, queue, priority, max_retries, scheduled_at, availability)
        VALUES ('a', 'default', 0, 3, 0, 0)";
    writer.conn.execute_batch(due).unwrap();
    writer.waiters.set_next_due(Some(Timestamp::UNIX_EPOCH));
    writer.look();
    assert!(writer.upkeep.last_error().is_some());
    assert!(!writer.recovery.pause.is_zero());
    assert_ne!(writer.sleep().limit, Some(Duration::ZERO));
    writer.conn.execute_batch("DROP TRIGGER refuse").unwrap();
    let claimed = (0..10_000).find_map(|_| {
        writer.request_queue.wait(writer.sleep());
        writer.look();
        waiting_claim.try_take()
    });
    assert_eq!(claimed.expect("it is tried again").unwrap().claimed.len(), 1);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn each_row_that_is_written_brings_the_next_checkpoint_closer() {
    let (mut writer, dir) = writer("rows", NEVER);
    let worker = WorkerId(1);
    register_worker(&mut writer, worker);
    let mut checkpoint_is_due_after = |request: &dyn Fn() -> Request, count: usize| {
        writer.upkeep.checkpointer.forget_rows();
        for _ in 0..count {
            assert!(!writer.upkeep.has_chores());
            writer.write(vec![request()], false);
        }
        writer.upkeep.has_chores()
    };
    let later = || NewJob { run_at: RunAt::After(Duration::from_secs(9)), ..new_job() };
    let stores = |job: &dyn Fn() -> NewJob| {
        let jobs = std::iter::repeat_with(job).take(125).collect();
        Request::Insert(Call::new(jobs, Pending::new().0))
    };
    assert!(checkpoint_is_due_after(&|| stores(&new_job), 2));
    assert!(checkpoint_is_due_after(&|| stores(&later), 2));
    assert!(checkpoint_is_due_after(&|| claim_request(worker, 250, false).0, 1));
    assert!(checkpoint_is_due_after(&|| Request::Heartbeat(Call::new(worker, Pending::new().0)), 250));
    assert!(!checkpoint_is_due_after(&|| Request::Look, 300), "it writes nothing");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_job_that_was_stored_alone_for_later_comes_before_those_of_lower_priority_once_it_is_due() {
    let clock = Clock::manual(Timestamp::from_second(1_790_000_000).unwrap());
    let (mut writer, dir) = writer_by("alone", NEVER, clock.clone());
    register_worker(&mut writer, WorkerId(1));
    let mut later = new_job();
    later.priority = 10;
    later.run_at = RunAt::After(Duration::from_secs(1));
    for job in [new_job(), later] {
        let (reply, stored) = Pending::new();
        writer.write_one(Request::Insert(Call::new(vec![job], reply)));
        stored.wait().unwrap();
    }
    assert_eq!(writer.next_due(), Some(Timestamp::from_second(1_790_000_001).unwrap()));
    clock.advance(Duration::from_secs(2));
    let (request, response) = claim_request(WorkerId(1), 1, false);
    writer.write(vec![request], false);
    assert_eq!(response.wait().unwrap().claimed[0].claim.id, JobId(2));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_caller_that_stores_a_job_alone_reads_what_others_have_scheduled_and_a_newer_schema() {
    let (mut writer, dir) = writer("others", NEVER);
    let store = |writer: &mut Writer| {
        let (reply, stored) = Pending::new();
        writer.write_one(Request::Insert(Call::new(vec![new_job()], reply)));
        stored.wait().unwrap();
    };
    store(&mut writer);
    let others = Connection::open(dir.join("jobs.db")).unwrap();
    others
        .execute("INSERT INTO qdjobs_jobs (task_name, scheduled_at) VALUES ('a', 253402207200999999)", [])
        .unwrap();
    store(&mut writer);
    assert_eq!(writer.next_due(), Some(rows::time(253_402_207_200_999_999)));
    // As if it had been raised between the insert and the read.
    let raise =
        "CREATE TRIGGER raised AFTER INSERT ON qdjobs_jobs BEGIN UPDATE qdjobs_meta SET min_writer = 99; END;
        DELETE FROM qdjobs_jobs";
    others.execute_batch(raise).unwrap();
    store(&mut writer);
    assert!(!writer.change_poll.has_baseline(), "the next transaction reads it again");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_delay_that_passes_the_end_of_the_calendar_while_it_waits_is_refused_and_not_run_at_once() {
    let clock = Clock::manual(Timestamp::MAX);
    let (mut writer, dir) = writer_by("calendar", NEVER, clock);
    let mut late = new_job();
    late.run_at = RunAt::After(Duration::from_secs(1_000));
    for alone in [true, false] {
        let (reply, refused) = Pending::new();
        let request = Request::Insert(Call::new(vec![late.clone()], reply));
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
fn a_refusal_for_something_that_is_not_committed_becomes_the_error_of_the_commit() {
    let (mut writer, dir) = writer("shared", "INSERT ON qdjobs_jobs");
    let keyed = |params: &str| {
        let mut job = NewJob::new("a", params);
        job.idempotency_key = Some("k".into());
        let (reply, stored) = Pending::new();
        (Request::Insert(Call::new(vec![job], reply)), stored)
    };
    let (first, stored) = keyed("{}");
    let (other, refused) = keyed(r#"{"x":1}"#);
    writer.write(vec![first, other], false);
    assert_eq!(stored.wait().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(refused.wait().unwrap_err().kind(), ErrorKind::InvalidInput, "nobody holds the key");

    let worker = WorkerId(1);
    register_worker(&mut writer, worker);
    let (late, response) = claim_request(worker, 1, false);
    let insert = Request::Insert(Call::new(vec![new_job()], Pending::new().0));
    writer.write(
        vec![
            Request::ReleaseWorker(Call::new((worker, Release::ProvenDead), Pending::new().0)),
            late,
            insert,
        ],
        false,
    );
    assert_eq!(response.wait().unwrap_err().kind(), ErrorKind::InvalidInput, "it is still registered");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_release_of_a_dead_worker_that_cannot_read_all_it_needs_is_refused() {
    let (mut writer, dir) = writer("socket", NEVER);
    let worker = WorkerId(1);
    writer.workers.locks.acquire(worker).unwrap();
    let lock_file = writer.workers.locks.dir().join(format!("{worker}.lock"));
    register_worker(&mut writer, worker);
    let (request, waiting_claim) = claim_request(worker, 1, true);
    writer.write(vec![request], false);
    writer.conn.execute_batch("ALTER TABLE qdjobs_workers RENAME COLUMN wake_socket TO gone").unwrap();
    let (reply, released) = Pending::new();
    writer.write(vec![Request::ReleaseWorker(Call::new((worker, Release::ProvenDead), reply))], false);
    released.wait().unwrap_err();
    assert!(queries::workers::is_registered(&writer.conn, worker).unwrap());
    assert!(lock_file.exists() && waiting_claim.try_take().is_none(), "nothing of the release remains");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn on_a_full_disk_too_the_waiting_claim_of_a_dead_worker_is_refused() {
    let worker = WorkerId(1);
    let (mut writer, dir) = on_a_full_disk("released-full", worker);
    let (request, waiting_claim) = claim_request(worker, 1, true);
    writer.write(vec![request], false);
    let (reply, released) = Pending::new();
    writer.write(vec![Request::ReleaseWorker(Call::new((worker, Release::ProvenDead), reply))], false);
    released.wait().unwrap();
    assert_eq!(waiting_claim.try_take().expect("it is answered").unwrap_err().kind(), ErrorKind::LeaseLost);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn the_end_of_a_job_by_its_last_crash_is_answered_though_it_is_retried_in_the_same_batch() {
    let (mut writer, dir) = writer("last-crash", NEVER);
    let worker = WorkerId(1);
    register_worker(&mut writer, worker);
    insert(&mut writer);
    let (request, _claimed) = claim_request(worker, 1, false);
    writer.write(vec![request], false);
    let (reply, ended) = Pending::new();
    writer.write(vec![Request::WaitFor(Box::new(Call::new(JobId(1), reply)))], false);
    let crashes = writer.options.max_crashes - 1;
    writer.conn.execute("UPDATE qdjobs_jobs SET crash_count = ?1", [crashes]).unwrap();
    let retry = Request::Command(Box::new(Call::new(JobCommand::Retry(JobId(1)), Pending::new().0)));
    writer.write(
        vec![Request::ReleaseWorker(Call::new((worker, Release::ProvenDead), Pending::new().0)), retry],
        false,
    );
    assert_eq!(job(&writer).0, "pending");
    let ended = ended.try_take().expect("it had failed").unwrap();
    assert_eq!(ended.status, Status::Failed);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn the_search_for_work_ends_at_the_first_pair_that_is_found() {
    let (mut writer, dir) = writer("first", NEVER);
    let jobs = ["x", "y", "z"].map(|queue| NewJob { queue: queue.into(), ..new_job() });
    writer.write(vec![Request::Insert(Call::new(jobs.to_vec(), Pending::new().0))], false);
    let want = ClaimRequest::new(WorkerId(1), Arc::new(TaskSet::new(["a"])), 1);
    assert!(queries::claim::has_ready(&writer.conn, &want).unwrap());
    let next = writer.conn.prepare_cached(sql::NEXT_READY_PAIR).unwrap();
    assert_eq!(next.get_status(rusqlite::StatementStatus::Run), 1);
    std::fs::remove_dir_all(&dir).unwrap();
}
