//! What happens when something is wrong: with a stored job, with what a task returns, with the file. Each
//! gets a clear error, and nothing is lost or half-stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use qdjobs::prelude::*;
use qdjobs::store::Filter;
use qdjobs::{ErrorKind, JobId, JobQueue, Status};

use crate::support::{
    DEADLINE, Gate, Log, OwnedEvent, Soon, Workspace, block_on, eventually, job, seconds, start_with_events,
};

#[task("faults.count", retries = 0)]
fn count(number: u32, #[state] log: &Log) -> u32 {
    log.write(number.to_string());
    number
}

/// The macro refuses such a map if it sees it.
type OddKeys = BTreeMap<(u8, u8), u8>;

#[task("faults.return_odd_keys")]
fn return_odd_keys() -> OddKeys {
    BTreeMap::from([((1, 2), 3)])
}

#[task("faults.return_much")]
fn return_much() -> String {
    "x".repeat(1 << 20)
}

#[task("faults.long_error", retries = 0)]
fn long_error() -> Result<(), String> {
    Err(format!("symptom {} cause", "ü".repeat(100_000)))
}

#[task("faults.wait", retries = 0)]
fn wait(ctx: &JobContext, #[state] gate: &Gate, #[state] log: &Log) {
    log.write(ctx.job_id().to_string());
    gate.pass_blocking(ctx);
}

#[task("faults.listen")]
fn listen(ctx: &JobContext, #[state] gate: &Gate, #[state] log: &Log) {
    gate.pass_blocking(ctx);
    log.write(format!("{:?}", block_on(ctx.stopped())));
}

// -- stored jobs

#[test]
fn a_job_whose_params_do_not_fit_is_left_to_workers_of_other_versions_for_an_hour_and_is_kept() {
    let (workspace, queue, clock) = Workspace::with_manual_clock();
    let (_worker, events) = start_with_events(Worker::new(&queue).task::<Count>().state(Log::default()));
    let conn = workspace.connection();
    // As the compiler writes it: with the separators of the system.
    let place = format!("{}:", file!());
    for (params, words) in [
        (r#"{"number": "many"}"#, "number: expected u32, found string \"many\""),
        (r#"{}"#, "number: missing; expected u32"),
        (r#"{"number": -1}"#, "number: expected u32, found integer `-1`"),
        (r#"{"number": 1, "copy": "ann@example.com"}"#, "copy: not a parameter of the task"),
    ] {
        let insert =
            "INSERT INTO qdjobs_jobs (task_name, params, scheduled_at) VALUES ('faults.count', ?1, 0)";
        conn.execute(insert, [params]).unwrap();
        let handle = queue.handle::<u32>(JobId(conn.last_insert_rowid()));
        let mut waited = Duration::ZERO;
        loop {
            let event = events
                .until(|event| matches!(event, OwnedEvent::Postponed { .. } | OwnedEvent::Failed { .. }));
            let OwnedEvent::Postponed { id, error, wait, .. } = event else { break };
            let found = job(&queue, id);
            assert_eq!((found.status, found.retry_count), (Status::Pending, 0));
            assert_eq!(found.error.as_deref(), Some(error.as_str()));
            assert!(error.contains(words) && error.contains(&place), "{error}");
            waited += wait;
            clock.advance(wait);
        }
        assert!(waited > 55 * seconds(60) && waited < 65 * seconds(60), "{waited:?}");
        let kept = handle.job().unwrap();
        assert_eq!((kept.status, kept.params.as_str(), kept.retry_count), (Status::Failed, params, 0));
        assert!(kept.error.unwrap().contains(words));
    }
}

/// A byte 0xb0 without its lead byte is a character to SQLite, which accepts it, but not UTF-8.
#[test]
fn a_job_whose_params_are_not_text_fails_with_that_error_and_the_others_run() {
    let (workspace, queue) = Workspace::with_queue();
    let _worker = Worker::new(&queue).task::<Count>().state(Log::default()).start().unwrap();
    let insert = "INSERT INTO qdjobs_jobs (task_name, params, max_retries)
        VALUES ('faults.count', CAST(x'7b226e756d626572223a22b0227d' AS TEXT), 0)";
    workspace.connection().execute(insert, []).unwrap();
    Count::new(1).enqueue(&queue).unwrap().soon().unwrap();
    let error = queue.handle::<u32>(JobId(1)).soon().unwrap_err().to_string();
    assert!(error.contains("text that is not UTF-8"), "{error}");
    assert_eq!(job(&queue, JobId(1)).params, "{\"number\":\"\u{fffd}\"}");
}

#[test]
fn a_job_whose_task_is_gone_stays_pending_and_is_counted() {
    let (workspace, queue) = Workspace::with_queue();
    let _worker = Worker::new(&queue).task::<Count>().state(Log::default()).start().unwrap();
    workspace.connection().execute("INSERT INTO qdjobs_jobs (task_name) VALUES ('faults.gone')", []).unwrap();
    Count::new(1).enqueue(&queue).unwrap().soon().unwrap();
    let gone = queue.list(Filter::new().task_name("faults.gone")).unwrap().jobs;
    assert_eq!(gone.iter().map(|it| (it.status, it.attempt)).collect::<Vec<_>>(), [(Status::Pending, 0)]);
}

// -- what a task returns

#[test]
fn a_result_that_cannot_be_stored_fails_the_job_at_once() {
    let (_room, queue) = Workspace::with_queue();
    let _worker = Worker::new(&queue).task::<ReturnOddKeys>().task::<ReturnMuch>().start().unwrap();
    let ids = [ReturnOddKeys.enqueue(&queue).unwrap().id(), ReturnMuch.enqueue(&queue).unwrap().id()];
    for (id, words) in
        ids.into_iter().zip(["cannot be stored: `[1,2]`: key must be a string", "has 1048578 bytes"])
    {
        let error = queue.handle::<serde_json::Value>(id).soon().unwrap_err().to_string();
        assert!(error.contains("the result of the task") && error.contains(words), "{error}");
        assert_eq!((job(&queue, id).attempt, job(&queue, id).retry_count), (1, 0));
    }
}

#[test]
fn a_long_error_is_stored_with_its_beginning_and_its_end() {
    let (_room, queue) = Workspace::with_queue();
    let _worker = Worker::new(&queue).task::<LongError>().start().unwrap();
    let handle = LongError.enqueue(&queue).unwrap();
    handle.soon().unwrap_err();
    let error = handle.job().unwrap().error.unwrap();
    assert!(error.len() <= qdjobs::Job::ERROR_BYTES_MAX, "{} bytes", error.len());
    assert!(error.starts_with("symptom") && error.ends_with("cause"));
    assert_eq!(queue.attempts(handle.id()).unwrap()[0].error, Some(error));
}

// -- the file

/// In backticks. The names of the files beside it begin with the same path.
fn assert_named_once(error: &qdjobs::Error, path: &Path) {
    let text = error.to_string();
    let path = path.display().to_string();
    assert!(text.contains(&format!("`{path}`")), "{text}");
    let is_file_beside = |(at, _): &(usize, &str)| text[at + path.len()..].starts_with('-');
    let named = text.match_indices(&path).filter(|found| !is_file_beside(found)).count();
    assert!(named == 1 || path.is_empty(), "{text}");
}

/// The error of opening; it names the path once and has a help line.
fn refused(path: &Path) -> (ErrorKind, String) {
    let error = JobQueue::open(path).unwrap_err();
    assert!(error.suggestion().is_some_and(|help| !help.is_empty()), "{error}");
    assert_named_once(&error, path);
    (error.kind(), error.to_string())
}

#[test]
fn a_file_that_is_not_a_database_is_refused_and_left_unchanged() {
    let workspace = Workspace::new();
    let letter = workspace.dir().join("letter.txt");
    let text = "Dear SQLite, I am not one of yours. ".repeat(100);
    std::fs::write(&letter, &text).unwrap();
    let (kind, error) = refused(&letter);
    assert_eq!(kind, ErrorKind::Corrupt);
    assert!(error.contains("not a SQLite database"), "{error}");
    assert_eq!(std::fs::read_to_string(&letter).unwrap(), text);
    assert_eq!(workspace.files(), ["letter.txt"]);
}

#[test]
fn paths_that_cannot_be_a_database_are_refused_with_the_reason() {
    let workspace = Workspace::new();
    let (kind, error) = refused(workspace.dir());
    assert!(kind == ErrorKind::Storage && error.contains("is a directory"), "{error}");
    for not_a_file in ["", ":memory:"] {
        let (kind, error) = refused(Path::new(not_a_file));
        assert!(kind == ErrorKind::InvalidInput && error.contains("JobQueue::in_memory()"), "{error}");
    }
    let missing = Path::new("missing").join("jobs.db");
    let (kind, error) = refused(&workspace.dir().join(&missing));
    assert_eq!(kind, ErrorKind::Storage);
    let missing = missing.display().to_string();
    assert!(error.contains(&missing) && error.contains("check that its directory exists"), "{error}");
    assert_eq!(workspace.files(), [] as [&str; 0]);
}

/// SQLite's text for it ends with the path, too.
#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_refused_and_named_once() {
    let workspace = Workspace::new();
    let link = workspace.dir().join("current.db");
    std::os::unix::fs::symlink(workspace.dir().join("gone").join("jobs.db"), &link).unwrap();
    let (kind, error) = refused(&link);
    assert!(kind == ErrorKind::Storage && error.contains("cannot be opened"), "{error}");
}

#[test]
fn a_database_of_a_newer_version_is_refused_unchanged() {
    let workspace = Workspace::new();
    drop(JobQueue::open(workspace.db()).unwrap());
    workspace.connection().execute("UPDATE qdjobs_meta SET version = 100, min_writer = 99", []).unwrap();
    let before = std::fs::read(workspace.db()).unwrap();
    let (kind, error) = refused(&workspace.db());
    assert_eq!(kind, ErrorKind::NewerSchema);
    assert!(error.contains("must know schema 99") && error.contains("update this program"), "{error}");
    assert_eq!(std::fs::read(workspace.db()).unwrap(), before);
    // A newer database that still lets this version write is opened.
    workspace.connection().execute("UPDATE qdjobs_meta SET min_writer = 1", []).unwrap();
    JobQueue::open(workspace.db()).unwrap();
}

#[test]
fn tables_without_a_version_are_refused_unchanged() {
    for damage in ["DROP TABLE qdjobs_meta", "DELETE FROM qdjobs_meta"] {
        let workspace = Workspace::new();
        drop(JobQueue::open(workspace.db()).unwrap());
        let conn = workspace.connection();
        conn.execute_batch(&format!("PRAGMA journal_mode = DELETE; {damage}")).unwrap();
        drop(conn);
        let before = std::fs::read(workspace.db()).unwrap();
        let (kind, error) = refused(&workspace.db());
        assert_eq!(kind, ErrorKind::Corrupt, "{error}");
        assert!(error.contains("qdjobs_jobs") && error.contains("qdjobs_meta"), "{error}");
        assert!(
            before == std::fs::read(workspace.db()).unwrap(),
            "the file is unchanged, its journal mode included"
        );
        assert_eq!(workspace.files(), ["jobs.db"]);
    }
}

#[test]
fn a_lock_that_is_held_too_long_refuses_the_write_and_stores_nothing() {
    let workspace = Workspace::new();
    let queue = JobQueue::options().busy_timeout(Duration::from_millis(30)).open(workspace.db()).unwrap();
    let conn = workspace.connection();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = Count::new(1).enqueue(&queue).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(!error.may_be_stored() && error.to_string().contains("nothing was stored"), "{error}");
    assert_named_once(&error, &workspace.db());
    assert_eq!(queue.enqueue_all([Count::new(2), Count::new(3)]).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(queue.counts().unwrap().total(), 0);
    conn.execute_batch("COMMIT").unwrap();
    Count::new(4).enqueue(&queue).unwrap();
    assert_eq!(queue.counts().unwrap().total(), 1);
}

#[test]
fn a_write_that_meets_a_lock_waits_until_it_is_released() {
    let workspace = Workspace::new();
    let queue = JobQueue::options().busy_timeout(DEADLINE).open(workspace.db()).unwrap();
    // With a waiting claim a job is not stored by a single statement, which would be another case.
    let _worker = Worker::new(&queue).task::<Count>().state(Log::default()).start().unwrap();
    let conn = workspace.connection();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (answered, answer) = channel();
    let enqueues = queue.clone();
    let caller = std::thread::spawn(move || answered.send(Count::new(1).enqueue(&enqueues).map(drop)));
    // On a machine too slow to get there within this time the test proves less, but does not fail.
    assert!(answer.recv_timeout(Duration::from_millis(300)).is_err(), "it has no answer while it waits");
    conn.execute_batch("COMMIT").unwrap();
    answer.recv_timeout(DEADLINE).unwrap().unwrap();
    caller.join().unwrap().unwrap();
}

#[test]
fn jobs_stored_together_are_all_refused_when_the_database_refuses_one() {
    let (workspace, queue) = Workspace::with_queue();
    let forbid = "CREATE TRIGGER forbid BEFORE INSERT ON qdjobs_jobs WHEN NEW.params = '{\"number\":2}'
        BEGIN SELECT RAISE(ABORT, 'two is one too many'); END";
    workspace.connection().execute_batch(forbid).unwrap();
    // More than one statement stores, so that others have succeeded when one is refused.
    let error = queue.enqueue_all((3..=22).chain([2]).map(Count::new)).unwrap_err();
    assert!(!error.may_be_stored() && error.to_string().contains("two is one too many"), "{error}");
    assert_eq!(queue.counts().unwrap().total(), 0);
    assert_eq!(queue.enqueue_all([3, 4].map(Count::new)).unwrap().len(), 2);
}

#[test]
fn a_fault_that_ends_the_transaction_stores_nothing_of_the_refused_requests() {
    let workspace = Workspace::new();
    let queue = JobQueue::options().busy_timeout(DEADLINE).open(workspace.db()).unwrap();
    let conn = workspace.connection();
    let end = "CREATE TRIGGER ends BEFORE INSERT ON qdjobs_jobs WHEN NEW.params = '{\"number\":2}'
        BEGIN SELECT RAISE(ROLLBACK, 'all is over'); END";
    conn.execute_batch(end).unwrap();
    // While the first waits for the lock the others gather behind it, to be written together.
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let asynchronous = queue.to_async();
    let jobs = (0..5).map(|number| Count::new(number).enqueue(&asynchronous)).collect::<Vec<_>>();
    conn.execute_batch("COMMIT").unwrap();
    let answers: Vec<_> = jobs.into_iter().map(|job| block_on(job).map(|handle| handle.id())).collect();
    assert!(answers[2].is_err());
    let event: Vec<JobId> = answers.iter().flatten().copied().collect();
    let mut there: Vec<JobId> =
        queue.list(Filter::default()).unwrap().jobs.iter().map(|job| job.id).collect();
    there.reverse();
    assert_eq!(event, there, "{answers:?}");
    assert!(answers.iter().flat_map(|answer| answer.as_ref().err()).all(|error| !error.may_be_stored()));
}

#[test]
fn a_job_that_cannot_be_marked_as_running_is_not_started() {
    let (workspace, queue) = Workspace::with_queue();
    Count::new(1).enqueue(&queue).unwrap();
    let conn = workspace.connection();
    let keep = "CREATE TRIGGER keep BEFORE UPDATE OF status ON qdjobs_jobs WHEN NEW.status = 'running'
        BEGIN SELECT RAISE(IGNORE); END";
    conn.execute_batch(keep).unwrap();
    let log = Log::default();
    let (_worker, events) = start_with_events(Worker::new(&queue).task::<Count>().state(log.clone()));
    // Reported as corruption: what the index has as available cannot be claimed in the table.
    let event = events.until(|event| {
        matches!(
            event,
            OwnedEvent::StoreError(_)
                | OwnedEvent::StoreHalted(_)
                | OwnedEvent::ResultDiscarded { .. }
                | OwnedEvent::Completed(_)
        )
    });
    assert!(
        matches!(event, OwnedEvent::StoreError(ErrorKind::Corrupt) | OwnedEvent::StoreHalted(_)),
        "{event:?}"
    );
    let halted = Count::new(2).enqueue(&queue).unwrap_err();
    assert_eq!(halted.kind(), ErrorKind::StoreHalted);
    let told = halted.to_string();
    assert!(told.contains("a trigger of this database ignores the change"), "{told}");
    assert!(told.contains("look for a trigger with RAISE(IGNORE)"), "{told}");
    assert_named_once(&halted, &workspace.db());
    let status: String = conn.query_row("SELECT status FROM qdjobs_jobs", [], |row| row.get(0)).unwrap();
    assert_eq!((log.lines().len(), status.as_str()), (0, "pending"));
}

#[test]
fn a_worker_whose_finish_meets_a_lock_writes_it_later_and_runs_the_job_once() {
    let workspace = Workspace::new();
    let queue = JobQueue::options().busy_timeout(Duration::from_millis(30)).open(workspace.db()).unwrap();
    let ((gate, arrivals), log) = (Gate::new(), Log::default());
    let worker = Worker::new(&queue).task::<Wait>().state(gate.clone()).state(log.clone());
    let (_worker, events) = start_with_events(worker);
    let handle = Wait.enqueue(&queue).unwrap();
    arrivals.next();
    let conn = workspace.connection();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    gate.open();
    events.expect(OwnedEvent::StoreError(ErrorKind::Busy));
    conn.execute_batch("COMMIT").unwrap();
    events.expect(OwnedEvent::Completed(handle.id()));
    assert_eq!((log.lines().len(), handle.job().unwrap().attempt), (1, 1));
}

#[test]
fn a_worker_that_may_have_lost_its_lease_warns_its_tasks_and_continues_when_it_has_not() {
    let (workspace, queue, clock) = Workspace::with_manual_clock();
    let ((gate, arrivals), log) = (Gate::new(), Log::default());
    gate.open();
    let worker = Worker::new(&queue).task::<Listen>().task::<Count>().concurrency(2);
    let (_worker, events) = start_with_events(worker.state(gate).state(log.clone()));
    Listen.enqueue(&queue).unwrap();
    let warned = arrivals.next();
    let conn = workspace.connection();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    // No heartbeat is answered for longer than a lease.
    clock.advance(seconds(40));
    eventually(|| (log.lines() == ["LeaseLost"]).then_some(()));
    conn.execute_batch("COMMIT").unwrap();
    // The lease was not lost after all, so the task's result counts, and other jobs begin.
    events.expect(OwnedEvent::Completed(warned));
    assert_eq!(Count::new(1).enqueue(&queue).unwrap().soon().unwrap(), 1);
}

#[test]
fn a_caller_that_waits_is_answered_when_the_store_fails() {
    let workspace = Workspace::new();
    let queue = JobQueue::options().busy_timeout(Duration::from_millis(30)).open(workspace.db()).unwrap();
    let conn = workspace.connection();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (answered, answers) = channel();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (queue, answered) = (&queue, answered.clone());
            scope.spawn(move || answered.send(Count::new(number).enqueue(queue).unwrap_err().kind()));
        }
    });
    drop(answered);
    assert_eq!(answers.iter().collect::<Vec<_>>(), [ErrorKind::Busy; 8]);
}

// -- as another user, or with another umask: in a process of its own

const INNER: &str = "QDJOBS_TEST_INNER";

/// Runs one test of this binary in a child process, and only its inner part.
fn inner(mut command: Command, test: &str, path: &Path) {
    let command = command.args(["--exact", test, "--nocapture"]).env(INNER, path).current_dir("/");
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn the_log_is_checkpointed_as_soon_as_no_connection_writes() {
    let (workspace, queue) = Workspace::with_queue();
    let size = || std::fs::metadata(workspace.db()).unwrap().len();
    let before = size();
    queue.enqueue_all((0..300).map(Count::new)).unwrap();
    assert_eq!(size(), before, "the job is in the log");
    // No worker waits for jobs here: the writer thread wakes up for this alone.
    eventually(|| (size() > before + (30 << 10)).then_some(()));
}

#[test]
#[cfg(unix)]
fn the_files_of_a_queue_are_private_to_their_owner_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    const NAME: &str = "faults::the_files_of_a_queue_are_private_to_their_owner_whatever_the_umask";
    let Some(path) = std::env::var_os(INNER) else {
        let workspace = Workspace::new();
        let mut shell = Command::new("sh");
        shell.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
        return inner(shell, NAME, &workspace.db());
    };
    let mode = |suffix: &str| {
        let mut path = path.clone();
        path.push(suffix);
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    let queue = JobQueue::open(&path).unwrap();
    let _worker = Worker::new(&queue).task::<Count>().state(Log::default()).start().unwrap();
    Count::new(1).enqueue(&queue).unwrap().soon().unwrap();
    let modes = ["", "-wal", "-shm", "-workers"].map(mode);
    assert_eq!(modes, [0o600, 0o600, 0o600, 0o700]);
}

#[test]
#[cfg(unix)]
fn a_database_without_write_permission_is_refused_with_that_error() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    const NAME: &str = "faults::a_database_without_write_permission_is_refused_with_that_error";
    let Some(dir) = std::env::var_os(INNER) else {
        let workspace = Workspace::new();
        drop(Count::new(1).enqueue(&JobQueue::open(workspace.db()).unwrap()).unwrap());
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        // A place where another user can run it, wherever this one was built.
        let program = workspace.dir().join("program");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        mode(&program, 0o555);
        mode(&workspace.db(), 0o444);
        mode(workspace.dir(), 0o555);
        let mut command = Command::new(program);
        if std::fs::OpenOptions::new().write(true).open(workspace.db()).is_ok() {
            // Modes mean nothing to root, so the child runs as another user.
            command.uid(65_534).gid(65_534);
        }
        inner(command, NAME, workspace.dir());
        return mode(workspace.dir(), 0o755);
    };
    let (kind, error) = refused(&Path::new(&dir).join("jobs.db"));
    assert_eq!(kind, ErrorKind::ReadOnly, "{error}");
    assert!(error.contains("not writable") && error.contains("owner and mode"), "{error}");
    let (kind, error) = refused(&Path::new(&dir).join("new.db"));
    assert_eq!(kind, ErrorKind::ReadOnly, "{error}");
    assert!(error.contains("new.db"), "{error}");
}

#[test]
fn the_result_of_a_job_that_was_deleted_while_it_ran_is_discarded_and_the_worker_continues() {
    let (workspace, queue) = Workspace::with_queue();
    let ((gate, arrivals), log) = (Gate::new(), Log::default());
    let worker = Worker::new(&queue).task::<Wait>().state(gate.clone()).state(log);
    let (_worker, events) = start_with_events(worker);
    let id = Wait.enqueue(&queue).unwrap().id();
    arrivals.next();
    workspace.connection().execute("DELETE FROM qdjobs_jobs", []).unwrap();
    gate.open();
    events.expect(OwnedEvent::ResultDiscarded { id, attempt: 1 });
    eventually(|| queue.list(Filter::default()).unwrap().jobs.is_empty().then_some(()));
    Wait.enqueue(&queue).unwrap().soon().unwrap();
}
