//! Tests of the store as a whole, and of the plans of its statements.

use std::time::Duration;

use super::*;
use crate::model::job::Status;
use crate::model::retry::Verdict;
use crate::store::engine::leave_running::Leaving;
use crate::store::engine::transaction::Transaction;
use crate::store::sqlite::files::worker_locks;
use crate::store::sqlite::queries::{self, sql};
use crate::store::sqlite::transaction::SqliteTransaction;
use crate::store::{FinishedJob, TaskSet};

#[test]
fn while_the_database_is_locked_each_caller_gets_busy_and_nothing_is_stored() {
    let dir = scratch("locked");
    let path = dir.join("jobs.db");
    let options = SqliteOptions { busy_timeout: Duration::from_millis(50), ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, options, Clock::system()).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused: Vec<_> = (0..5).map(|_| store.insert(vec![NewJob::new("a", "{}")])).collect();
    for pending in refused {
        assert_eq!(pending.wait().unwrap_err().kind(), ErrorKind::Busy);
    }
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.insert(vec![NewJob::new("a", "{}")]).wait().unwrap(), [JobId(1)]);
    store.close();
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_close_does_not_wait_for_the_lock_of_another_program() {
    let dir = scratch("close-locked");
    let path = dir.join("jobs.db");
    let options = SqliteOptions { busy_timeout: Duration::from_secs(600), ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, options, Clock::system()).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (closed, is_closed) = mpsc::channel();
    let closing = thread::spawn(move || {
        store.close();
        closed.send(()).unwrap();
    });
    let answered = is_closed.recv_timeout(Duration::from_secs(30));
    other.execute_batch("ROLLBACK").unwrap();
    closing.join().unwrap();
    assert_eq!(answered, Ok(()));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_finish_whose_attempt_the_database_refuses_leaves_the_job_running() {
    let dir = scratch("half-finish");
    let path = dir.join("jobs.db");
    let store = SqliteStore::open(&path, SqliteOptions::default(), Clock::system()).unwrap();
    let worker = WorkerId(7);
    store.register_worker(WorkerInfo::new(worker, "here", 1)).wait().unwrap();
    let id = store.insert_blocking(vec![NewJob::new("a", "{}")]).unwrap()[0];
    let request = ClaimRequest::new(worker, Arc::new(TaskSet::new(["a"])), 1);
    let job = store.claim(request.clone()).wait().unwrap().claimed.remove(0);
    let forbid =
        "CREATE TRIGGER forbid BEFORE INSERT ON qdjobs_attempts BEGIN SELECT RAISE(ABORT, 'no'); END";
    rusqlite::Connection::open(&path).unwrap().execute_batch(forbid).unwrap();
    let (claim, ticket) = (job.claim, job.ticket);
    let verdict = Verdict::Fail { error: "no".into() };
    let finished = Arc::new(vec![FinishedJob { claim, ticket, began_after: Duration::ZERO, verdict }]);
    assert!(store.claim(ClaimRequest { finished, limit: 0, ..request }).wait().is_err());
    assert_eq!(store.get(id).wait().unwrap().unwrap().status, Status::Running);
    store.close();
    std::fs::remove_dir_all(&dir).unwrap();
}

/// As after `UPDATE qdjobs_jobs SET status = 'running'` in a database shell.
#[test]
fn a_job_that_a_person_set_to_running_becomes_pending_and_no_heartbeat_fails() {
    let dir = scratch("orphan");
    let path = dir.join("jobs.db");
    let store = SqliteStore::open(&path, SqliteOptions::default(), Clock::system()).unwrap();
    let worker = WorkerId(7);
    store.register_worker(WorkerInfo::new(worker, "here", 1)).wait().unwrap();
    let id = store.insert_blocking(vec![NewJob::new("a", "{}")]).unwrap()[0];
    let shell = rusqlite::Connection::open(&path).unwrap();
    shell.execute_batch("UPDATE qdjobs_jobs SET status = 'running'").unwrap();
    assert!(store.heartbeat(worker).wait().unwrap().registered);
    let job = store.get(id).wait().unwrap().unwrap();
    assert_eq!((job.status, job.attempt), (Status::Pending, 0));

    // Nor if the database refuses the release.
    let forbid = "CREATE TRIGGER forbid BEFORE UPDATE ON qdjobs_jobs WHEN NEW.status = 'pending'
        BEGIN SELECT RAISE(ABORT, 'no'); END; UPDATE qdjobs_jobs SET status = 'running'";
    shell.execute_batch(forbid).unwrap();
    assert!(store.heartbeat(worker).wait().unwrap().registered);
    store.close();
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_worker_that_is_refused_leaves_no_lock_file_and_a_registered_one_keeps_its_own() {
    let dir = scratch("refused");
    let store = SqliteStore::open(&dir.join("jobs.db"), SqliteOptions::default(), Clock::system()).unwrap();
    let register_worker = |worker| store.register_worker(WorkerInfo::new(WorkerId(worker), "here", 7)).wait();
    register_worker(1).unwrap();
    store.request_queue.halt(Error::new(ErrorKind::StoreHalted, "the disk is gone"));
    for worker in [1, 2] {
        assert_eq!(register_worker(worker).unwrap_err().kind(), ErrorKind::StoreHalted);
    }
    store.close();
    for worker in [1, 2] {
        assert_eq!(register_worker(worker).unwrap_err().kind(), ErrorKind::Closed);
    }
    assert_eq!(worker_locks::worker_ids(store.worker_locks.dir()), [WorkerId(1)]);
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Otherwise the jobs of this process would go into a file that no other program can see.
#[cfg(unix)]
#[test]
fn a_database_that_is_replaced_between_its_connections_is_not_used() {
    let dir = scratch("between");
    let (path, other) = (dir.join("jobs.db"), dir.join("other.db"));
    let options = SqliteOptions::default();
    for path in [&path, &other] {
        drop(open::writer(path, &options).unwrap());
    }
    let refused =
        connect_once(&path, &path, &options, || std::fs::rename(&other, &path).unwrap()).unwrap_err();
    assert!(refused.to_string().contains("was replaced while it was opened"), "{refused}");
    let unchanged = connect_once(&path, &path, &options, || {});
    assert!(unchanged.unwrap().2.check(true).is_ok());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_sqlite_that_is_safe_for_one_process_only_is_refused_beside_another_before_it_writes() {
    let dir = scratch("alone");
    let path = dir.join("jobs.db");
    let open = |sqlite_version| {
        let machine = Machine { sqlite_version, mounts: None };
        SqliteStore::on(&machine, &path, SqliteOptions::default(), Clock::system())
    };
    let bytes = || ["jobs.db", "jobs.db-wal"].map(|name| std::fs::metadata(dir.join(name)).unwrap().len());
    let first = open(3_051_002).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("INSERT INTO qdjobs_jobs (task_name) VALUES ('a')", []).unwrap();
    let written = bytes();
    assert!(written[1] > 0, "an opening writes the log back and cuts it");
    let refused = open(3_051_002).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(
        refused.to_string().contains("already open in another process, or by another `JobQueue`"),
        "{refused}"
    );
    assert!(
        refused.to_string().contains("then run `cargo update`"),
        "a lock file keeps the old one: {refused}"
    );
    let has_bug = |store: &SqliteStore| store.health().sqlite.unwrap().wal_reset_bug;
    assert!(has_bug(&first.0), "nobody else warns of a second connection in this process");
    assert_eq!(bytes(), written);
    drop((first, other));
    drop(open(3_051_002).unwrap());
    let both = [open(3_051_003).unwrap(), open(3_051_003).unwrap()];
    assert!(!both.iter().any(|(store, _)| has_bug(store)));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_database_on_a_network_file_system_is_refused_before_it_is_created_unless_that_is_allowed() {
    let dir = scratch("remote");
    let mounts = Some("31 22 0:40 / / rw,relatime shared:7 - nfs4 files:/jobs rw,vers=4.2\n".to_owned());
    let machine = Machine { sqlite_version: 3_051_003, mounts };
    let open = |options| SqliteStore::on(&machine, &dir.join("jobs.db"), options, Clock::system());
    let refused = open(SqliteOptions::default()).err().unwrap();
    assert!(refused.to_string().contains("nfs4"), "{refused}");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    open(SqliteOptions { allow_network_filesystem: true, ..SqliteOptions::default() }).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_database_that_is_mounted_alone_is_refused_before_it_is_opened() {
    let dir = scratch("mounted-alone");
    let path = std::fs::canonicalize(&dir).unwrap().join("jobs.db");
    std::fs::write(&path, "").unwrap();
    let mounts = format!(
        "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
         31 22 254:0 /home/ann/jobs.db {} rw,relatime - ext4 /dev/vda rw\n",
        path.display()
    );
    let machine = Machine { sqlite_version: 3_051_003, mounts: Some(mounts) };
    let refused = SqliteStore::on(&machine, &path, SqliteOptions::default(), Clock::system()).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(refused.to_string().contains("is mounted as a single file"), "{refused}");
    let files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|file| file.unwrap()).collect();
    assert_eq!((files.len(), files[0].metadata().unwrap().len()), (1, 0), "{files:?}");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_sqlite_without_strict_tables_is_refused_before_the_database_is_created() {
    let dir = scratch("too-old");
    let open = |sqlite_version| {
        let machine = Machine { sqlite_version, mounts: None };
        SqliteStore::on(&machine, &dir.join("jobs.db"), SqliteOptions::default(), Clock::system())
    };
    let refused = open(3_034_001).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Config);
    for text in ["SQLite 3.34.1 is linked, but qdjobs needs 3.37 or later", "enable the feature `bundled`"] {
        assert!(refused.to_string().contains(text), "{refused}");
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    open(3_037_000).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
}

/// A claim must cost the same with a million finished jobs in the table: no hot statement may read the
/// whole table.
#[test]
fn no_hot_statement_reads_the_whole_table() {
    let conn = rusqlite::Connection::open_in_memory().unwrap();
    conn.execute_batch(include_str!("connection/migrations/0001_jobs.sql")).unwrap();
    for (statement, index) in sql::HOT {
        let mut explained = conn.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let none = vec![rusqlite::types::Null; explained.parameter_count()];
        let steps =
            explained.query_map(rusqlite::params_from_iter(none), |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.map(Result::unwrap).collect();
        let reads_all = |step: &String| step.contains("SCAN qdjobs_jobs") && !step.contains("USING");
        let plan = steps.join("; ");
        assert!(!steps.iter().any(reads_all), "{statement}\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{statement}\n{plan}");
        assert!(plan.contains(index), "{statement}\n{plan}");
    }
}

/// A plan that names the right index may still step over many entries: what counts is the work done.
#[test]
fn the_search_for_jobs_does_not_step_over_the_jobs_of_a_pair() {
    let steps = |jobs: i64, ready: i64, next: &str| {
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("connection/migrations/0001_jobs.sql")).unwrap();
        let fill = "WITH RECURSIVE job (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM job WHERE n < ?1)
            INSERT INTO qdjobs_jobs (task_name, queue, priority, max_retries, scheduled_at, crash_count, availability)
            SELECT 'a', 'default', 0, 3, n, 2 * (?2 - 1), ?2 FROM job";
        conn.execute(fill, [jobs, ready]).unwrap();
        let mut next = conn.prepare(next).unwrap();
        assert!(next.exists(["", ""]).unwrap());
        assert!(next.exists(["a", "a"]).unwrap());
        assert!(!next.exists(["a", "default"]).unwrap());
        let mut any = conn.prepare(sql::HAS_SUSPECTED).unwrap();
        assert_eq!(any.exists([]).unwrap(), ready == 2);
        [&next, &any].map(|statement| statement.get_status(rusqlite::StatementStatus::VmStep))
    };
    for (ready, next) in [(1, sql::NEXT_READY_PAIR), (2, sql::NEXT_SUSPECTED_PAIR)] {
        assert_eq!(steps(1_000, ready, next), steps(10, ready, next));
    }
}

#[test]
fn no_hot_statement_is_prepared_again_for_the_values_bound_to_it() {
    let dir = scratch("prepared");
    let conn = open::writer(&dir.join("jobs.db"), &SqliteOptions::default()).unwrap();
    let hot = sql::HOT.iter().map(|(statement, _)| *statement);
    let many = sql::INSERT_MANY.iter().map(|(_, statement)| &**statement);
    let others = [sql::INSERT, sql::INSERT_KEYED, sql::IS_REGISTERED, sql::HEARTBEAT];
    for statement in hot.chain(others).chain(many) {
        for round in 0..3 {
            let mut prepared = conn.prepare_cached(statement).unwrap();
            for binding in 1..=prepared.parameter_count() {
                prepared.raw_bind_parameter(binding, (binding + round) as i64).unwrap();
            }
            // Some of these values are refused, which does not matter here.
            let _ = prepared.raw_query().next();
        }
        let prepared = conn.prepare_cached(statement).unwrap();
        let times = |which| prepared.get_status(which);
        assert_eq!(times(rusqlite::StatementStatus::Run), 3, "{statement}");
        assert_eq!(times(rusqlite::StatementStatus::RePrepare), 0, "{statement}");
    }
    drop(conn);
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Each change of a row writes all of it: 500 kB of params in the job's row would be written three times.
#[test]
fn large_params_are_written_once_and_neither_by_the_claim_nor_by_the_finish() {
    let dir = scratch("large");
    let conn = open::writer(&dir.join("jobs.db"), &SqliteOptions::default()).unwrap();
    let written = || std::fs::metadata(dir.join("jobs.db-wal")).unwrap().len();
    let now = Clock::system().now();
    let params = format!(r#"{{"x":"{}"}}"#, "x".repeat(500_000));
    // A log that was written back starts again at its beginning.
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let before = written();
    let (id, _) =
        queries::insert::Insert::on(&conn).unwrap().job(&NewJob::new("a", params.as_str()), now).unwrap();
    let stored = written();
    assert!((500_000..600_000).contains(&(stored - before)), "{}", stored - before);
    let want = ClaimRequest::new(WorkerId(1), Arc::new(TaskSet::new(["a"])), 9);
    let claimed = queries::claim::claim(&conn, &want, false, now).unwrap();
    assert_eq!((claimed[0].claim.id, &claimed[0].params), (id, &params));
    let verdict = Verdict::Complete { result: "null".into() };
    let finish = FinishedJob {
        claim: claimed[0].claim,
        ticket: claimed[0].ticket,
        began_after: Duration::ZERO,
        verdict,
    };
    let mut tx = SqliteTransaction::on(&conn, now);
    assert!(tx.leave_running(&Leaving::finished(&finish, now)).unwrap());
    drop(tx);
    assert!(written() - stored < 50_000, "{}", written() - stored);
    drop(conn);
    std::fs::remove_dir_all(&dir).unwrap();
}

/// A list of constants in a CHECK or an index costs a temporary b-tree at each write. The insert of many jobs has one for
/// the ids that it returns.
#[test]
fn storing_and_finishing_a_job_build_no_temporary_tables() {
    let conn = rusqlite::Connection::open_in_memory().unwrap();
    conn.execute_batch(include_str!("connection/migrations/0001_jobs.sql")).unwrap();
    let stored = [sql::INSERT, sql::INSERT_KEYED, sql::CLAIM_ONE, sql::REPORT_PROGRESS];
    for statement in stored.into_iter().chain([sql::COMPLETE, sql::END, sql::GIVE_BACK]) {
        let mut explained = conn.prepare(&format!("EXPLAIN {statement}")).unwrap();
        let none = vec![rusqlite::types::Null; explained.parameter_count()];
        let steps =
            explained.query_map(rusqlite::params_from_iter(none), |row| row.get::<_, String>(1)).unwrap();
        assert!(steps.map(Result::unwrap).all(|step| step != "OpenEphemeral"), "{statement}");
    }
}
