//! Jobs in the program's own transaction: stored, or completed, together with its rows or not at all.

use std::path::PathBuf;

use qdjobs::prelude::*;
use qdjobs::rusqlite::{Connection, TransactionBehavior, params};
use qdjobs::store::sqlite::{Durability, SqliteOptions, SqliteStore};
use qdjobs::store::{Filter, SqlStatement, Store};
use qdjobs::{Clock, ErrorKind, JobId, JobRequest, Status};
use serde_json::json;

use crate::support::{Gate, OwnedEvent, Soon, Workspace, connect, job, seconds, start_with_events};

/// The file in which the tasks have their own rows, too.
struct Db(PathBuf);

#[task("tx.square", queue = "sums", priority = 4, retries = 9)]
fn square(number: i64) -> i64 {
    number * number
}

#[task("tx.order", timeout = "5s", retries = 1, backoff = fixed("10s"))]
fn order(how: &str, ctx: &JobContext, #[state] db: &Db, #[state] gate: &Gate) -> Result<String, TaskError> {
    gate.pass_blocking(ctx);
    let mut conn = connect(&db.0);
    if how == "unsynced" {
        conn.execute_batch("PRAGMA synchronous = NORMAL").map_err(TaskError::permanent)?;
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(TaskError::retry)?;
    tx.execute("INSERT INTO orders (job) VALUES (?1)", [ctx.job_id().0]).map_err(TaskError::retry)?;
    Square::new(7).enqueue(&tx).map_err(TaskError::retry)?;
    if let Err(error) = ctx.complete_in(&tx, &format!("{how} in the transaction")) {
        // Reported through a table of the test, since the result of an attempt that has lost its job is
        // discarded.
        drop(tx);
        let event = format!("{:?}: {}", error.kind(), error);
        conn.execute("INSERT INTO refusals (text) VALUES (?1)", [event]).map_err(TaskError::retry)?;
        gate.pass_blocking(ctx);
        return Err(TaskError::permanent(error));
    }
    match how {
        "rolled back" => tx.rollback().map_err(TaskError::retry)?,
        _ => tx.commit().map_err(TaskError::retry)?,
    }
    if how == "slow to return" {
        gate.pass_blocking(ctx);
    }
    if how == "failed afterwards" {
        Err(TaskError::retry("too late"))
    } else {
        Ok("by the return value".into())
    }
}

/// Completes its job in a transaction that began without IMMEDIATE and has read before.
#[task("tx.deferred", retries = 0)]
fn deferred(ctx: &JobContext, #[state] db: &Db) -> Result<(), TaskError> {
    let mut conn = connect(&db.0);
    let tx = conn.transaction().map_err(TaskError::permanent)?;
    orders(&tx);
    connect(&db.0).execute("INSERT INTO orders (job) VALUES (0)", []).map_err(TaskError::permanent)?;
    ctx.complete_in(&tx, &()).map_err(TaskError::permanent)
}

/// Completes its job by the statement for other drivers, twice.
#[task("tx.by_statement", timeout = "5s", retries = 0)]
fn by_statement(ctx: &JobContext, #[state] db: &Db, #[state] gate: &Gate) -> Result<String, TaskError> {
    gate.pass_blocking(ctx);
    let mut conn = connect(&db.0);
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(TaskError::permanent)?;
    let completion = ctx.completion_statement(&"by the statement").map_err(TaskError::permanent)?;
    for _ in 0..2 {
        let changed = ids(&tx, &completion).len() as i64;
        tx.execute("INSERT INTO orders (job) VALUES (?1)", [changed]).map_err(TaskError::permanent)?;
    }
    tx.commit().map_err(TaskError::permanent)?;
    gate.pass_blocking(ctx);
    Err(TaskError::permanent("too late"))
}

/// Completes its job with a result that JSON cannot hold.
#[task("tx.not_a_number", retries = 0)]
fn not_a_number(by_statement: bool, ctx: &JobContext, #[state] db: &Db) -> Result<Vec<f64>, TaskError> {
    let result = [1.5, f64::NAN];
    if by_statement {
        ctx.completion_statement(&result).map_err(TaskError::permanent)?;
    } else {
        let mut conn = connect(&db.0);
        let tx =
            conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(TaskError::permanent)?;
        ctx.complete_in(&tx, &result).map_err(TaskError::permanent)?;
        tx.commit().map_err(TaskError::permanent)?;
    }
    Ok(Vec::new())
}

/// Executes a statement as another driver would, and returns the ids of its rows.
fn ids(conn: &Connection, statement: &SqlStatement) -> Vec<JobId> {
    try_ids(conn, statement).unwrap()
}

fn try_ids(conn: &Connection, statement: &SqlStatement) -> qdjobs::rusqlite::Result<Vec<JobId>> {
    conn.prepare(&statement.sql)?.query_map([&statement.json], |row| row.get("id").map(JobId))?.collect()
}

/// The application's own tables in the same file.
fn with_tables(workspace: &Workspace) -> Connection {
    let conn = workspace.connection();
    conn.execute_batch("CREATE TABLE orders (job INTEGER); CREATE TABLE refusals (text TEXT)").unwrap();
    conn
}

fn orders(conn: &Connection) -> i64 {
    conn.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap()
}

fn worker(queue: &JobQueue, workspace: &Workspace, gate: &Gate) -> Worker {
    Worker::new(queue).task::<Order>().state(Db(workspace.db())).state(gate.clone())
}

fn open_gate() -> Gate {
    let (gate, _) = Gate::new();
    gate.open();
    gate
}

// -- enqueue

#[test]
fn a_job_in_a_transaction_is_stored_when_it_commits_and_not_otherwise() {
    let (workspace, queue) = Workspace::with_queue();
    let mut conn = with_tables(&workspace);
    let _worker = Worker::new(&queue).task::<Square>().start().unwrap();

    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    tx.execute("INSERT INTO orders (job) VALUES (1)", []).unwrap();
    let gone = Square::new(5).enqueue(&tx).unwrap();
    tx.rollback().unwrap();
    assert!(queue.get(gone).unwrap().is_none());
    assert_eq!(orders(&conn), 0);

    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    tx.execute("INSERT INTO orders (job) VALUES (1)", []).unwrap();
    let id = Square::new(6).priority(9).enqueue(&tx).unwrap();
    assert!(queue.get(id).unwrap().is_none(), "seen before the commit");
    tx.commit().unwrap();
    queue.notify();
    assert_eq!(queue.handle::<i64>(id).soon().unwrap(), 36);
    let done = job(&queue, id);
    assert_eq!((done.queue.as_str(), done.priority, done.max_retries), ("sums", 9, 9));
    assert_eq!(orders(&conn), 1);
}

#[test]
fn a_savepoint_and_a_plain_connection_take_jobs_too() {
    let (workspace, queue) = Workspace::with_queue();
    let mut conn = workspace.connection();
    let kept = Square::new(1).enqueue(&conn).unwrap();
    let mut tx = conn.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    let dropped = Square::new(2).delay(seconds(60)).enqueue(&savepoint).unwrap();
    drop(savepoint);
    tx.commit().unwrap();
    assert!(queue.get(kept).unwrap().is_some() && queue.get(dropped).unwrap().is_none());
}

#[test]
fn a_job_that_cannot_be_stored_leaves_the_transaction_unchanged() {
    let (workspace, queue) = Workspace::with_queue();
    let mut conn = with_tables(&workspace);
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO orders (job) VALUES (1)", []).unwrap();
    assert_eq!(Square::new(1).queue("").enqueue(&tx).unwrap_err().kind(), ErrorKind::InvalidInput);
    tx.commit().unwrap();
    assert_eq!((orders(&conn), queue.counts().unwrap().total()), (1, 0));
}

#[test]
fn a_transaction_that_did_not_begin_with_immediate_is_told_so_when_it_cannot_enqueue() {
    let (workspace, queue) = Workspace::with_queue();
    let (mut conn, mut other) = (with_tables(&workspace), workspace.connection());
    let insert = "INSERT INTO orders (job) VALUES (0)";
    let refused = |tx: &Connection| {
        let error = Square::new(1).enqueue(tx).unwrap_err();
        assert_eq!((error.kind(), error.may_be_stored()), (ErrorKind::Busy, false));
        assert!(error.to_string().contains("begin the transaction with IMMEDIATE"), "{error}");
        assert!(!error.to_string().contains("enqueue(&tx)"), "that is what the caller did: {error}");
        assert_eq!(error.to_string().matches("jobs.db`").count(), 1, "{error}");
    };

    // Another connection has committed since the first read.
    let tx = conn.transaction().unwrap();
    assert_eq!(orders(&tx), 0);
    other.execute(insert, []).unwrap();
    refused(&tx);
    drop(tx);

    // Another connection writes, and this transaction has read: SQLite does not wait.
    let tx = conn.transaction().unwrap();
    assert_eq!(orders(&tx), 1);
    let writing = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    refused(&tx);
    drop(tx);

    // Another connection writes for longer than the busy timeout.
    conn.busy_timeout(std::time::Duration::ZERO).unwrap();
    let tx = conn.transaction().unwrap();
    refused(&tx);
    drop(tx);
    let error = Square::new(1).enqueue(&conn).unwrap_err();
    assert!(error.to_string().contains("raise the busy timeout"), "without a transaction: {error}");
    drop(writing);

    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    assert_eq!(orders(&tx), 1);
    Square::new(1).enqueue(&tx).unwrap();
    tx.commit().unwrap();
    assert_eq!(queue.counts().unwrap().total(), 1);
}

#[test]
fn a_database_without_the_tables_of_the_queue_is_an_error_with_the_fix() {
    let conn = Connection::open_in_memory().unwrap();
    let error = Square::new(1).enqueue(&conn).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("`JobQueue::open` creates the tables"), "{error}");
    assert!(!error.to_string().contains("SELECT"), "{error}");
}

#[test]
fn a_statement_whose_rows_are_still_read_is_named_as_what_keeps_the_enqueue_from_storing() {
    let (workspace, queue) = Workspace::with_queue();
    let mut conn = workspace.connection();
    conn.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY)").unwrap();
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let mut insert = tx.prepare("INSERT INTO orders (id) VALUES (1), (2) RETURNING id").unwrap();
    let mut rows = insert.query([]).unwrap();
    rows.next().unwrap().unwrap();
    let error = Square::new(1).enqueue(&tx).unwrap_err();
    assert_eq!((error.kind(), error.may_be_stored()), (ErrorKind::Busy, false), "{error}");
    assert!(
        error.to_string().contains("has not ended") && error.to_string().contains("read all rows"),
        "{error}"
    );
    while rows.next().unwrap().is_some() {}
    drop(rows);
    drop(insert);
    Square::new(1).enqueue(&tx).unwrap();
    tx.commit().unwrap();
    assert_eq!(queue.counts().unwrap().total(), 1);
}

#[test]
fn one_statement_stores_jobs_with_all_their_options_and_returns_their_ids() {
    let (workspace, queue) = Workspace::with_queue();
    let before = queue.clock().now();
    let jobs = [
        Square::new(2).request(),
        Square::new(3)
            .queue("cards")
            .priority(-1)
            .retries(0)
            .display_name("it's \"three\"")
            .metadata(json!({"n": 3})),
        Square::new(4).delay(seconds(3600)),
        Square::new(5).at("2030-01-01T00:00:00.000001Z".parse().unwrap()),
    ];
    let statement = queue.insert_statement(jobs).unwrap();
    let conn = workspace.connection();
    let returned = ids(&conn, &statement);

    let mut stored = queue.list(Filter::default()).unwrap().jobs;
    stored.reverse();
    assert_eq!(stored.iter().map(|job| job.id).collect::<Vec<_>>(), returned);
    let [plain, full, delayed, at] = stored.try_into().unwrap();
    assert_eq!((plain.queue.as_str(), plain.priority, plain.max_retries), ("sums", 4, 9));
    assert_eq!((plain.params.as_str(), plain.scheduled_at), (r#"{"number":2}"#, plain.created_at));
    assert_eq!((full.queue.as_str(), full.priority, full.max_retries), ("cards", -1, 0));
    assert_eq!((full.name.as_str(), full.metadata.as_deref()), ("it's \"three\"", Some(r#"{"n":3}"#)));
    let wait = delayed.scheduled_at.duration_since(delayed.created_at);
    assert!(
        (wait.as_millis() - 3_600_000).abs() <= 1 && delayed.created_at.duration_since(before).as_secs() < 60
    );
    assert_eq!(at.scheduled_at.to_string(), "2030-01-01T00:00:00.000001Z");

    let _worker = Worker::new(&queue).task::<Square>().start().unwrap();
    assert_eq!(queue.handle::<i64>(full.id).soon().unwrap(), 9);
    assert_eq!(
        (job(&queue, delayed.id).status, job(&queue, at.id).status),
        (Status::Pending, Status::Pending)
    );
}

#[test]
fn a_statement_checks_its_jobs_and_needs_a_database() {
    let (_room, queue) = Workspace::with_queue();
    let error = queue.insert_statement([Square::new(1).request(), Square::new(2).queue("")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = JobQueue::in_memory().insert_statement([Square::new(1)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[test]
fn a_job_with_a_key_is_stored_once_in_whatever_way_it_is_enqueued() {
    let (workspace, queue) = Workspace::with_queue();
    let mut conn = workspace.connection();
    conn.execute(
        r#"INSERT INTO qdjobs_jobs (task_name, params, idempotency_key) VALUES ('tx.square', '{ "number": 3 }', 'three')"#,
        [],
    )
    .unwrap();
    let id = JobId(conn.last_insert_rowid());
    let three = || Square::new(3).idempotency_key("three");
    assert_eq!(three().enqueue(&queue).unwrap().id(), id);
    assert_eq!(three().enqueue(&conn).unwrap(), id);
    let tx = conn.transaction().unwrap();
    assert_eq!(three().enqueue(&tx).unwrap(), id);
    let four = Square::new(4).idempotency_key("four").enqueue(&tx).unwrap();
    assert_eq!(Square::new(4).idempotency_key("four").enqueue(&tx).unwrap(), four, "not yet committed");
    tx.commit().unwrap();
    let by_name = JobRequest::<i64>::by_name("tx.square", &json!({"number": 4})).unwrap();
    assert_eq!(queue.enqueue_all([three(), by_name.idempotency_key("four")]).unwrap(), [id, four]);

    // In one statement: two that exist, one that is new, twice.
    let five = || Square::new(5).idempotency_key("five");
    let jobs = [three(), five(), Square::new(4).idempotency_key("four"), five(), Square::new(6).request()];
    let statement = queue.insert_statement(jobs).unwrap();
    let first = ids(&conn, &statement);
    let again = ids(&conn, &statement);
    assert_eq!((first[0], first[2], first[3]), (id, four, first[1]));
    assert_eq!(again[..4], first[..4], "those that have a key");
    assert!(first[4] > first[1] && again[4] > first[4], "the one without a key is new: {first:?} {again:?}");
    let stored = queue.list(Filter::default()).unwrap().jobs;
    let keys: Vec<_> = stored.iter().rev().map(|job| job.idempotency_key.as_deref()).collect();
    assert_eq!(keys, [Some("three"), Some("four"), Some("five"), None, None]);
}

#[test]
fn a_large_job_with_a_key_is_stored_once_too() {
    let (workspace, queue) = Workspace::with_queue();
    let mut conn = workspace.connection();
    let large = |how: &str| Order::new(how.repeat(600)).idempotency_key("large");
    let statement = queue.insert_statement([large("x"), large("x")]).unwrap();
    let stored = ids(&conn, &statement);
    let id = queue.list(Filter::default()).unwrap().jobs[0].id;
    assert_eq!((stored, ids(&conn, &statement)), (vec![id; 2], vec![id; 2]));
    assert_eq!((large("x").enqueue(&queue).unwrap().id(), large("x").enqueue(&conn).unwrap()), (id, id));
    let tx = conn.transaction().unwrap();
    assert_eq!(large("x").enqueue(&tx).unwrap(), id);
    assert_eq!(large("y").enqueue(&tx).unwrap_err().kind(), ErrorKind::Conflict);
    tx.commit().unwrap();
    let other = queue.insert_statement([large("y")]).unwrap();
    try_ids(&conn, &other).unwrap_err();
    assert_eq!(queue.counts().unwrap().total(), 1);
}

#[test]
fn a_key_that_another_job_holds_is_a_conflict_in_whatever_way_it_is_enqueued() {
    let (workspace, queue) = Workspace::with_queue();
    let conn = workspace.connection();
    let id = Square::new(3).idempotency_key("k").enqueue(&queue).unwrap().id();
    let other = || Square::new(4).idempotency_key("k");
    for error in [
        other().enqueue(&queue).unwrap_err(),
        other().enqueue(&conn).unwrap_err(),
        queue.enqueue_all([Square::new(1).request(), other()]).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(
            error
                .to_string()
                .contains(&format!("job {id} already has the idempotency key `k`, and its params differ")),
            "{error}"
        );
    }
    let statement = queue.insert_statement([Square::new(1).request(), other()]).unwrap();
    let error = try_ids(&conn, &statement).unwrap_err();
    assert!(
        error.to_string().contains("idempotency_key is held by a job of another task or with other params"),
        "{error}"
    );
    let twice = queue
        .insert_statement([Square::new(1).idempotency_key("m"), Square::new(2).idempotency_key("m")])
        .unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Conflict);
    assert_eq!(queue.counts().unwrap().total(), 1);
    queue.delete(id).unwrap();
    assert_ne!(other().enqueue(&conn).unwrap(), id);
}

// -- plain SQL

#[test]
fn a_plain_insert_is_found_and_has_the_defaults_of_its_task() {
    let (workspace, queue) = Workspace::with_queue();
    let _worker = Worker::new(&queue).task::<Square>().start().unwrap();
    let conn = workspace.connection();
    conn.execute(r#"INSERT INTO qdjobs_jobs (task_name, params) VALUES ('tx.square', '{"number": 8}')"#, [])
        .unwrap();
    let id = JobId(conn.last_insert_rowid());
    // Nothing notifies the worker: it finds the job itself.
    assert_eq!(queue.handle::<i64>(id).soon().unwrap(), 64);
    let done = job(&queue, id);
    assert_eq!((done.queue.as_str(), done.priority, done.max_retries), ("sums", 4, 9));
    assert!(queue.clock().now().duration_since(done.created_at).as_secs() < 60);
    assert_eq!(done.scheduled_at, done.created_at);

    conn.execute("INSERT INTO qdjobs_jobs (task_name) VALUES ('tx.nobody_serves_this')", []).unwrap();
    let other = job(&queue, JobId(conn.last_insert_rowid()));
    assert_eq!((other.queue.as_str(), other.priority, other.max_retries), ("default", 0, 3));
    assert_eq!((other.params.as_str(), other.status), ("{}", Status::Pending));
}

#[test]
fn a_plain_insert_that_breaks_a_rule_gets_that_rule_as_its_error() {
    let (workspace, queue) = Workspace::with_queue();
    let conn = workspace.connection();
    let long = "n".repeat(101);
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20));
    Square::new(1).idempotency_key("held").enqueue(&queue).unwrap();
    let refused: [(&str, &str, &str); 33] = [
        ("task_name", "''", "task_name has 1 to 100 characters"),
        ("task_name", &format!("'{long}'"), "task_name has 1 to 100 characters"),
        ("name", "''", "name has 1 to 100 bytes"),
        ("params", "'{'", "params is a JSON object"),
        ("params", "'[1]'", "params is a JSON object"),
        ("params", "'{]}'", "malformed JSON"),
        // JSON5, which SQLite can read and serde_json cannot.
        ("params", "'{a: 1}'", "params is a JSON object"),
        ("params", "'{\"a\": .5}'", "params is a JSON object"),
        ("params", "'{\"a\": [1,]}'", "params is a JSON object"),
        ("params", "NULL", "params is a JSON object, and not NULL"),
        ("params", &format!("'{large}'"), "params has at most 1 MiB"),
        ("queue", "''", "queue has 1 to 100 characters"),
        ("priority", "2147483648", "priority fits 32 bits"),
        ("status", "'done'", "status is pending, running, completed, failed or cancelled"),
        ("max_retries", "-1", "max_retries is not negative"),
        ("scheduled_at", "-1", "scheduled_at is microseconds between 1970 and 9999"),
        ("scheduled_at", "253402300800000000", "scheduled_at is microseconds between 1970 and 9999"),
        ("metadata", "'{'", "metadata is JSON"),
        ("metadata", "'{]}'", "malformed JSON"),
        ("metadata", "'{a: 1}'", "metadata is JSON"),
        ("metadata", "'1,2'", "metadata is JSON"),
        ("metadata", "''", "metadata is JSON"),
        ("metadata", "'[1,]'", "metadata is JSON"),
        ("idempotency_key", "''", "idempotency_key has 1 to 200 bytes"),
        ("idempotency_key", &format!("'{}'", "k".repeat(201)), "idempotency_key has 1 to 200 bytes"),
        ("idempotency_key", "'held'", "UNIQUE constraint failed: qdjobs_jobs.idempotency_key"),
        ("task_name", "NULL", "NOT NULL constraint failed: qdjobs_jobs.task_name"),
        ("availability", "1", "availability is set by qdjobs: leave it out"),
        ("availability", "0", "availability is set by qdjobs: leave it out"),
        // In Latin-1: {"a":"é"}, "é" and é.
        ("params", "CAST(x'7b2261223a22e9227d' AS TEXT)", "text is UTF-8"),
        ("metadata", "CAST(x'22e922' AS TEXT)", "text is UTF-8"),
        ("name", "CAST(x'e9' AS TEXT)", "text is UTF-8"),
        ("task_name", "CAST(x'e9' AS TEXT)", "text is UTF-8"),
    ];
    for (column, value, rule) in refused {
        let insert = match column {
            "task_name" => format!("INSERT INTO qdjobs_jobs (task_name) VALUES ({value})"),
            _ => format!("INSERT INTO qdjobs_jobs (task_name, {column}) VALUES ('tx.square', {value})"),
        };
        let error = conn.execute(&insert, []).unwrap_err().to_string();
        assert!(error.contains(rule), "{rule}: {error}");
    }
    assert_eq!(queue.counts().unwrap().total(), 1, "the job with the key");
    let replaced =
        "INSERT INTO qdjobs_jobs (task_name, params) VALUES ('tx.square', '{\"a\": \"é\u{fffd}\"}')";
    conn.execute(replaced, []).expect("U+FFFD is a character like any other");
    for metadata in ["{\"a\" : [1.50, -0, 1E5]}", "[1, 2]", " null ", "\"a, b\""] {
        let insert = "INSERT INTO qdjobs_jobs (task_name, metadata) VALUES ('tx.square', ?1)";
        conn.execute(insert, [metadata]).expect(metadata);
    }
}

#[test]
fn large_params_of_a_plain_insert_are_stored_apart_and_run_all_the_same() {
    let (workspace, queue) = Workspace::with_queue();
    let conn = workspace.connection();
    // A plain connection beside it, which numbers its own rows: its row ids must not be taken for the job's.
    let insert =
        "INSERT INTO qdjobs_jobs (task_name, params) VALUES ('tx.square', '{\"number\": ' || ?1 || '7}')";
    for blanks in [10, 30_000] {
        conn.execute(insert, [" ".repeat(blanks)]).unwrap();
        assert_eq!(conn.last_insert_rowid(), queue.list(Filter::default()).unwrap().jobs[0].id.0);
    }
    let apart = "SELECT job_id, length(params), (SELECT params IS NULL FROM qdjobs_jobs WHERE id = job_id) FROM qdjobs_params";
    let apart: Vec<(i64, i64, bool)> = {
        let mut statement = conn.prepare(apart).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(apart, [(2, 30_013, true)]);
    let worker = Worker::new(&queue).task::<Square>().start().unwrap();
    assert_eq!(queue.handle::<i64>(JobId(2)).soon().unwrap(), 49);
    worker.stop().unwrap();
    queue.delete(JobId(2)).unwrap();
    let left: i64 = conn.query_row("SELECT count(*) FROM qdjobs_params", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "they are deleted with their job");
}

#[test]
fn a_large_job_that_cannot_be_stored_leaves_nothing_in_a_transaction_that_is_committed_nevertheless() {
    let (workspace, queue) = Workspace::with_queue();
    let mut conn = workspace.connection();
    conn.execute_batch(
        "CREATE TRIGGER no_space BEFORE INSERT ON qdjobs_params BEGIN SELECT RAISE(ABORT, 'no space'); END",
    )
    .unwrap();
    let tx = conn.transaction().unwrap();
    Square::new(1).enqueue(&tx).unwrap();
    let refused = Order::new("x".repeat(600)).enqueue(&tx).unwrap_err();
    assert!(refused.to_string().contains("no space"), "{refused}");
    tx.commit().unwrap();
    assert_eq!(queue.counts().unwrap().total(), 1);
    let alone = Order::new("x".repeat(600)).enqueue(&conn).unwrap_err();
    assert!(alone.to_string().contains("no space") && conn.is_autocommit());
    assert_eq!(queue.counts().unwrap().total(), 1);
}

#[test]
fn the_fields_of_a_plain_insert_are_taken_unchanged() {
    let (workspace, queue) = Workspace::with_queue();
    let conn = workspace.connection();
    let insert =
        "INSERT INTO qdjobs_jobs (task_name, queue, priority, max_retries, scheduled_at, name, metadata)
                  VALUES ('tx.square', 'q', -5, 1, ?1, 'Nine', '{\"a\": 1}')";
    conn.execute(insert, params![1_893_456_000_000_000_i64]).unwrap();
    let stored = job(&queue, JobId(conn.last_insert_rowid()));
    assert_eq!((stored.queue.as_str(), stored.priority, stored.max_retries), ("q", -5, 1));
    assert_eq!((stored.scheduled_at.as_second(), stored.name.as_str()), (1_893_456_000, "Nine"));
    assert!(stored.is_scheduled(queue.clock().now()));
}

// -- complete

#[test]
fn a_task_commits_its_rows_a_follow_up_and_its_completion_at_once() {
    let (workspace, queue) = Workspace::with_queue();
    let conn = with_tables(&workspace);
    let (_worker, events) = start_with_events(worker(&queue, &workspace, &open_gate()));
    for how in ["committed", "failed afterwards"] {
        let handle = Order::new(how).enqueue(&queue).unwrap();
        // What the function returns afterwards changes nothing.
        assert_eq!(handle.soon().unwrap(), format!("{how} in the transaction"));
        let finished = events.until(is_end);
        assert_eq!(finished, OwnedEvent::Completed(handle.id()));
        let done = handle.job().unwrap();
        assert_eq!(
            (done.status, done.attempt, done.retry_count, done.error),
            (Status::Completed, 1, 0, None)
        );
    }
    assert_eq!(orders(&conn), 2);
    assert_eq!(queue.counts().unwrap().of(Status::Pending), 2, "the follow-ups");
}

#[test]
fn a_statement_completes_the_job_once_and_the_worker_takes_no_other_result() {
    let (workspace, queue) = Workspace::with_queue();
    let conn = with_tables(&workspace);
    let worker = Worker::new(&queue).task::<ByStatement>().state(Db(workspace.db())).state(open_gate());
    let (_worker, events) = start_with_events(worker);
    let handle = ByStatement::new().enqueue(&queue).unwrap();
    assert_eq!(handle.soon().unwrap(), "by the statement");
    let finished = events.until(is_end);
    assert_eq!(finished, OwnedEvent::Completed(handle.id()));
    let changed: Vec<i64> = {
        let mut statement = conn.prepare("SELECT job FROM orders ORDER BY rowid").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(changed, [1, 0], "rows that the two completions changed");
}

#[test]
fn a_statement_of_an_attempt_that_has_lost_its_job_changes_no_row() {
    let (workspace, queue, clock) = Workspace::with_manual_clock();
    let conn = with_tables(&workspace);
    let (gate, arrivals) = Gate::new();
    let worker = Worker::new(&queue).task::<ByStatement>().state(Db(workspace.db())).state(gate.clone());
    let (_worker, events) = start_with_events(worker);
    let handle = ByStatement::new().enqueue(&queue).unwrap();
    arrivals.next();
    clock.advance(seconds(5));
    events.until(|event| matches!(event, OwnedEvent::Failed { .. }));
    gate.admit(1);
    arrivals.next();
    let completed: i64 = conn.query_row("SELECT sum(job) FROM orders", [], |row| row.get(0)).unwrap();
    assert_eq!((completed, handle.job().unwrap().status), (0, Status::Failed));
    gate.open();
}

#[test]
fn a_completion_in_a_transaction_that_did_not_begin_with_immediate_is_told_so() {
    let (workspace, queue) = Workspace::with_queue();
    with_tables(&workspace);
    let _worker = Worker::new(&queue).task::<Deferred>().state(Db(workspace.db())).start().unwrap();
    let error = Deferred::new().enqueue(&queue).unwrap().soon().unwrap_err();
    assert!(error.to_string().contains("begin the transaction with IMMEDIATE"), "{error}");
}

#[test]
fn a_completion_with_a_result_that_would_be_read_back_as_another_value_is_refused() {
    let (workspace, queue) = Workspace::with_queue();
    let _worker = Worker::new(&queue).task::<NotANumber>().state(Db(workspace.db())).start().unwrap();
    for by_statement in [false, true] {
        let handle = NotANumber::new(by_statement).enqueue(&queue).unwrap();
        let error = handle.soon().unwrap_err().to_string();
        assert!(error.contains("`[1]`") && error.contains("NaN"), "{error}");
        assert_eq!(handle.job().unwrap().status, Status::Failed);
    }
}

#[test]
fn a_completion_that_is_rolled_back_leaves_the_outcome_to_the_return_value() {
    let (workspace, queue) = Workspace::with_queue();
    let conn = with_tables(&workspace);
    let _worker = worker(&queue, &workspace, &open_gate()).start().unwrap();
    let handle = Order::new("rolled back").enqueue(&queue).unwrap();
    assert_eq!(handle.soon().unwrap(), "by the return value");
    assert_eq!((orders(&conn), queue.counts().unwrap().total()), (0, 1));
}

#[test]
fn an_attempt_that_has_lost_its_job_cannot_complete_it_and_its_rows_are_not_stored() {
    let (workspace, queue, clock) = Workspace::with_manual_clock();
    let conn = with_tables(&workspace);
    let (gate, arrivals) = Gate::new();
    let (_worker, events) = start_with_events(worker(&queue, &workspace, &gate));
    let handle = Order::new("committed").enqueue(&queue).unwrap();
    arrivals.next();
    clock.advance(seconds(5));
    events.until(|event| matches!(event, OwnedEvent::Retrying { attempt: 1, .. }));
    gate.admit(1);
    // It arrives at the gate again after it was refused.
    arrivals.next();
    let refusal: String = conn.query_row("SELECT text FROM refusals", [], |row| row.get(0)).unwrap();
    assert!(
        refusal.starts_with("LeaseLost") && refusal.contains("your transaction is rolled back"),
        "{refusal}"
    );
    assert_eq!((orders(&conn), queue.counts().unwrap().total()), (0, 1));
    assert_eq!(handle.job().unwrap().status, Status::Pending);
    gate.open();
}

/// The row then has this very attempt and worker; only its status shows that it is too late.
#[test]
fn an_attempt_whose_job_has_failed_meanwhile_cannot_complete_it_and_its_rows_are_not_stored() {
    let (workspace, queue, clock) = Workspace::with_manual_clock();
    let conn = with_tables(&workspace);
    let (gate, arrivals) = Gate::new();
    let (_worker, events) = start_with_events(worker(&queue, &workspace, &gate));
    let handle = Order::new("committed").retries(0).enqueue(&queue).unwrap();
    arrivals.next();
    clock.advance(seconds(5));
    events.until(|event| matches!(event, OwnedEvent::Failed { .. }));
    gate.admit(1);
    arrivals.next();
    let refusal: String = conn.query_row("SELECT text FROM refusals", [], |row| row.get(0)).unwrap();
    assert!(refusal.starts_with("LeaseLost") && refusal.contains("has already ended"), "{refusal}");
    assert!(!refusal.contains("another attempt"), "no other attempt will run: {refusal}");
    assert_eq!((orders(&conn), queue.counts().unwrap().total()), (0, 1));
    assert_eq!(handle.job().unwrap().status, Status::Failed);
    gate.open();
}

#[test]
fn a_connection_that_does_not_sync_cannot_complete_a_job_that_must_survive_a_power_cut() {
    let (workspace, queue) = Workspace::with_queue();
    let conn = with_tables(&workspace);
    let running = worker(&queue, &workspace, &open_gate()).start().unwrap();
    let error = Order::new("unsynced").enqueue(&queue).unwrap().soon().unwrap_err();
    assert!(error.to_string().contains("`synchronous` is below FULL"), "{error}");
    assert_eq!(orders(&conn), 0);
    running.stop().unwrap();

    let relaxed = JobQueue::options().durability(Durability::Relaxed).open(workspace.db()).unwrap();
    let _worker = worker(&relaxed, &workspace, &open_gate()).start().unwrap();
    let handle = Order::new("unsynced").enqueue(&relaxed).unwrap();
    assert_eq!(handle.soon().unwrap(), "unsynced in the transaction");
    assert_eq!(orders(&conn), 1);
}

#[test]
fn a_job_completed_in_a_transaction_is_never_reported_as_discarded_though_the_lease_expired() {
    let (workspace, queue) = Workspace::with_queue();
    let conn = with_tables(&workspace);
    let (gate, arrivals) = Gate::new();
    let (worker, events) = start_with_events(worker(&queue, &workspace, &gate));
    let before = worker.id().unwrap();
    let handle = Order::new("slow to return").enqueue(&queue).unwrap();
    arrivals.next();
    gate.admit(1);
    // Committed, but not returned.
    arrivals.next();
    assert_eq!((orders(&conn), handle.job().unwrap().status), (1, Status::Completed));
    let judge = SqliteStore::open(&workspace.db(), SqliteOptions::default(), Clock::system()).unwrap();
    judge.release_worker(before, qdjobs::store::Release::ProvenDead).wait().unwrap();
    // Most likely it still hands in under its old number, and only then learns that the lease is lost.
    gate.open();
    let event =
        events.until(|event| matches!(event, OwnedEvent::Completed(_) | OwnedEvent::ResultDiscarded { .. }));
    assert_eq!(event, OwnedEvent::Completed(handle.id()));
}

/// Whether the event reports the end of an attempt.
fn is_end(event: &OwnedEvent) -> bool {
    !matches!(event, OwnedEvent::WorkerStarted(_) | OwnedEvent::Started { .. })
}
