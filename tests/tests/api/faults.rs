//! What happens when something is wrong: with a stored job, with what a task returns, with the file. Each gets a clear
//! answer, and nothing is lost or half-stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use qdjobs::prelude::*;
use qdjobs::store::Filter;
use qdjobs::{ErrorKind, JobId, JobQueue, Status};

use crate::support::{Gate, Log, PATIENCE, Room, Soon, Told, block_on, eventually, job, seconds, watch};

#[task("faults.count", retries = 0)]
fn count(number: u32, #[state] log: &Log) -> u32 {
    log.write(number.to_string());
    number
}

#[task("faults.return_odd_keys")]
fn return_odd_keys() -> BTreeMap<(u8, u8), u8> {
    BTreeMap::from([((1, 2), 3)])
}

#[task("faults.return_much")]
fn return_much() -> String {
    "x".repeat(1 << 20)
}

#[task("faults.complain", retries = 0)]
fn complain() -> Result<(), String> {
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
fn a_job_whose_params_no_longer_fit_fails_by_the_name_of_the_param_and_is_kept() {
    let (room, queue) = Room::with_queue();
    let _worker = Worker::new(&queue).task::<Count>().state(Log::default()).start().unwrap();
    let conn = room.connection();
    for (params, words) in [
        (r#"{"number": "many"}"#, "parameter `number`: invalid type: string \"many\", expected u32"),
        (r#"{}"#, "missing parameter `number`"),
        (r#"{"number": -1}"#, "parameter `number`: invalid value: integer `-1`, expected u32"),
    ] {
        let insert = "INSERT INTO qdjobs_jobs (task_name, params) VALUES ('faults.count', ?1)";
        conn.execute(insert, [params]).unwrap();
        let handle = queue.handle::<u32>(JobId(conn.last_insert_rowid()));
        let error = handle.soon().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::JobFailed);
        assert!(error.to_string().contains(words), "{error}");
        let kept = handle.job().unwrap();
        assert_eq!((kept.status, kept.params.as_str(), kept.attempt), (Status::Failed, params, 1));
    }
}

/// A byte 0xb0 without its lead is a sign to SQLite, which lets it in, but no UTF-8.
#[test]
fn a_job_whose_params_are_no_text_fails_and_says_so_and_the_others_run() {
    let (room, queue) = Room::with_queue();
    let _worker = Worker::new(&queue).task::<Count>().state(Log::default()).start().unwrap();
    let insert = "INSERT INTO qdjobs_jobs (task_name, params, max_retries)
        VALUES ('faults.count', CAST(x'7b226e756d626572223a22b0227d' AS TEXT), 0)";
    room.connection().execute(insert, []).unwrap();
    Count::new(1).enqueue(&queue).unwrap().soon().unwrap();
    let error = queue.handle::<u32>(JobId(1)).soon().unwrap_err().to_string();
    assert!(error.contains("text that is not UTF-8"), "{error}");
    assert_eq!(job(&queue, JobId(1)).params, "{\"number\":\"\u{fffd}\"}");
}

#[test]
fn a_job_whose_task_is_gone_waits_and_is_seen() {
    let (room, queue) = Room::with_queue();
    let _worker = Worker::new(&queue).task::<Count>().state(Log::default()).start().unwrap();
    room.connection().execute("INSERT INTO qdjobs_jobs (task_name) VALUES ('faults.gone')", []).unwrap();
    Count::new(1).enqueue(&queue).unwrap().soon().unwrap();
    let gone =
        queue.list(crate::support::filter(|it| it.task_name = Some("faults.gone".into()))).unwrap().jobs;
    assert_eq!(gone.iter().map(|it| (it.status, it.attempt)).collect::<Vec<_>>(), [(Status::Pending, 0)]);
}

// -- what a task returns

#[test]
fn a_result_that_cannot_be_stored_fails_the_job_at_once_since_another_attempt_would_do_the_same() {
    let (_room, queue) = Room::with_queue();
    let _worker = Worker::new(&queue).task::<ReturnOddKeys>().task::<ReturnMuch>().start().unwrap();
    let ids = [ReturnOddKeys.enqueue(&queue).unwrap().id(), ReturnMuch.enqueue(&queue).unwrap().id()];
    for (id, words) in
        ids.into_iter().zip(["its result cannot be written as JSON", "its result has 1048578 bytes"])
    {
        let error = queue.handle::<serde_json::Value>(id).soon().unwrap_err().to_string();
        assert!(error.contains("the task is done, but") && error.contains(words), "{error}");
        assert_eq!((job(&queue, id).attempt, job(&queue, id).retry_count), (1, 0));
    }
}

#[test]
fn a_long_error_is_stored_with_its_beginning_and_its_end() {
    let (_room, queue) = Room::with_queue();
    let _worker = Worker::new(&queue).task::<Complain>().start().unwrap();
    let handle = Complain.enqueue(&queue).unwrap();
    handle.soon().unwrap_err();
    let error = handle.job().unwrap().error.unwrap();
    assert!(error.len() <= qdjobs::Job::ERROR_BYTES_MAX, "{} bytes", error.len());
    assert!(error.starts_with("symptom") && error.ends_with("cause"));
    assert_eq!(queue.attempts(handle.id()).unwrap()[0].error, Some(error));
}

// -- the file

/// What opening says; the text names the path and ends in what to do.
fn refused(path: &Path) -> (ErrorKind, String) {
    let error = JobQueue::open(path).unwrap_err();
    assert!(error.suggestion().is_some_and(|help| !help.is_empty()), "{error}");
    (error.kind(), error.to_string())
}

#[test]
fn what_is_no_database_is_refused_and_left_as_it_is() {
    let room = Room::new();
    let letter = room.dir().join("letter.txt");
    let text = "Dear SQLite, I am not one of yours. ".repeat(100);
    std::fs::write(&letter, &text).unwrap();
    let (kind, error) = refused(&letter);
    assert_eq!(kind, ErrorKind::Corrupt);
    assert!(error.contains("not a SQLite database"), "{error}");
    assert_eq!(std::fs::read_to_string(&letter).unwrap(), text);
    assert_eq!(room.files(), ["letter.txt"]);
}

#[test]
fn paths_that_cannot_be_a_database_are_told_as_what_they_are() {
    let room = Room::new();
    let (kind, error) = refused(room.dir());
    assert!(kind == ErrorKind::Storage && error.contains("is a directory"), "{error}");
    for not_a_file in ["", ":memory:"] {
        let (kind, error) = refused(Path::new(not_a_file));
        assert!(kind == ErrorKind::InvalidInput && error.contains("JobQueue::in_memory()"), "{error}");
    }
    let (kind, error) = refused(&room.dir().join("missing").join("jobs.db"));
    assert_eq!(kind, ErrorKind::Storage);
    assert!(
        error.contains("missing/jobs.db") && error.contains("check that its directory exists"),
        "{error}"
    );
    assert_eq!(room.files(), [] as [&str; 0]);
}

#[test]
fn a_database_of_a_newer_version_is_refused_untouched() {
    let room = Room::new();
    drop(JobQueue::open(room.db()).unwrap());
    room.connection().execute("UPDATE qdjobs_meta SET version = 100, min_writer = 99", []).unwrap();
    let before = std::fs::read(room.db()).unwrap();
    let (kind, error) = refused(&room.db());
    assert_eq!(kind, ErrorKind::NewerSchema);
    assert!(error.contains("must know schema 99") && error.contains("update this program"), "{error}");
    assert_eq!(std::fs::read(room.db()).unwrap(), before);
    // One that is newer and still lets this version write is opened.
    room.connection().execute("UPDATE qdjobs_meta SET min_writer = 1", []).unwrap();
    JobQueue::open(room.db()).unwrap();
}

#[test]
fn tables_of_which_nothing_says_who_made_them_are_refused_untouched() {
    for damage in ["DROP TABLE qdjobs_meta", "DELETE FROM qdjobs_meta"] {
        let room = Room::new();
        drop(JobQueue::open(room.db()).unwrap());
        let conn = room.connection();
        conn.execute_batch(&format!("PRAGMA journal_mode = DELETE; {damage}")).unwrap();
        drop(conn);
        let before = std::fs::read(room.db()).unwrap();
        let (kind, error) = refused(&room.db());
        assert_eq!(kind, ErrorKind::Corrupt, "{error}");
        assert!(error.contains("qdjobs_jobs") && error.contains("qdjobs_meta"), "{error}");
        assert!(before == std::fs::read(room.db()).unwrap(), "not even its journal mode");
        assert_eq!(room.files(), ["jobs.db"]);
    }
}

#[test]
fn a_lock_that_is_held_for_too_long_refuses_the_write_stores_nothing_and_harms_nothing() {
    let room = Room::new();
    let queue = JobQueue::options().busy_timeout(Duration::from_millis(30)).open(room.db()).unwrap();
    let conn = room.connection();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = Count::new(1).enqueue(&queue).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(!error.may_be_stored() && error.to_string().contains("nothing was stored"), "{error}");
    assert_eq!(queue.enqueue_all([Count::new(2), Count::new(3)]).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(queue.counts().unwrap().total(), 0);
    conn.execute_batch("COMMIT").unwrap();
    Count::new(4).enqueue(&queue).unwrap();
    assert_eq!(queue.counts().unwrap().total(), 1);
}

#[test]
fn a_write_that_meets_a_lock_waits_until_it_is_let_go() {
    let room = Room::new();
    let queue = JobQueue::options().busy_timeout(PATIENCE).open(room.db()).unwrap();
    // A worker's turn stands, so that a job is not stored by a single statement, which would be another matter.
    let _worker = Worker::new(&queue).task::<Count>().state(Log::default()).start().unwrap();
    let conn = room.connection();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (answered, answer) = channel();
    let enqueues = queue.clone();
    let caller = std::thread::spawn(move || answered.send(Count::new(1).enqueue(&enqueues).map(drop)));
    // On a machine too slow to get there within this time the test proves less, and does not fail.
    assert!(answer.recv_timeout(Duration::from_millis(300)).is_err(), "it is not answered while it waits");
    conn.execute_batch("COMMIT").unwrap();
    answer.recv_timeout(PATIENCE).unwrap().unwrap();
    caller.join().unwrap().unwrap();
}

#[test]
fn jobs_stored_together_are_all_refused_when_the_database_refuses_one() {
    let (room, queue) = Room::with_queue();
    let forbid = "CREATE TRIGGER forbid BEFORE INSERT ON qdjobs_jobs WHEN NEW.params = '{\"number\":2}'
        BEGIN SELECT RAISE(ABORT, 'two is one too many'); END";
    room.connection().execute_batch(forbid).unwrap();
    let error = queue.enqueue_all([1, 2, 3].map(Count::new)).unwrap_err();
    assert!(!error.may_be_stored() && error.to_string().contains("two is one too many"), "{error}");
    assert_eq!(queue.counts().unwrap().total(), 0);
    assert_eq!(queue.enqueue_all([3, 4].map(Count::new)).unwrap().len(), 2);
}

#[test]
fn a_fault_that_ends_the_transaction_stores_nothing_of_those_who_are_told_so() {
    let room = Room::new();
    let queue = JobQueue::options().busy_timeout(PATIENCE).open(room.db()).unwrap();
    let conn = room.connection();
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
    let told: Vec<JobId> = answers.iter().flatten().copied().collect();
    let mut there: Vec<JobId> =
        queue.list(Filter::default()).unwrap().jobs.iter().map(|job| job.id).collect();
    there.reverse();
    assert_eq!(told, there, "{answers:?}");
    assert!(answers.iter().flat_map(|answer| answer.as_ref().err()).all(|error| !error.may_be_stored()));
}

#[test]
fn a_job_that_cannot_be_marked_as_running_is_not_started() {
    let (room, queue) = Room::with_queue();
    Count::new(1).enqueue(&queue).unwrap();
    let conn = room.connection();
    let keep = "CREATE TRIGGER keep BEFORE UPDATE OF status ON qdjobs_jobs WHEN NEW.status = 'running'
        BEGIN SELECT RAISE(IGNORE); END";
    conn.execute_batch(keep).unwrap();
    let log = Log::default();
    let (_worker, events) = watch(Worker::new(&queue).task::<Count>().state(log.clone()));
    // Told as a damage: what is ready by the index cannot be claimed in the table.
    let told = events.until(|told| {
        matches!(told, Told::Trouble(_) | Told::StoreStopped(_) | Told::Refused { .. } | Told::Completed(_))
    });
    assert!(matches!(told, Told::Trouble(ErrorKind::Corrupt) | Told::StoreStopped(_)), "{told:?}");
    assert_eq!(Count::new(2).enqueue(&queue).unwrap_err().kind(), ErrorKind::StoreHalted);
    let status: String = conn.query_row("SELECT status FROM qdjobs_jobs", [], |row| row.get(0)).unwrap();
    assert_eq!((log.lines().len(), status.as_str()), (0, "pending"));
}

#[test]
fn a_worker_whose_finish_meets_a_lock_writes_it_later_and_runs_the_job_once() {
    let room = Room::new();
    let queue = JobQueue::options().busy_timeout(Duration::from_millis(30)).open(room.db()).unwrap();
    let ((gate, arrivals), log) = (Gate::new(), Log::default());
    let worker = Worker::new(&queue).task::<Wait>().state(gate.clone()).state(log.clone());
    let (_worker, events) = watch(worker);
    let handle = Wait.enqueue(&queue).unwrap();
    arrivals.next();
    let conn = room.connection();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    gate.open();
    events.expect(Told::Trouble(ErrorKind::Busy));
    conn.execute_batch("COMMIT").unwrap();
    events.expect(Told::Completed(handle.id()));
    assert_eq!((log.lines().len(), handle.job().unwrap().attempt), (1, 1));
}

#[test]
fn a_worker_that_cannot_be_sure_of_its_lease_warns_its_tasks_and_goes_on_when_it_is() {
    let (room, queue, clock) = Room::with_held_time();
    let ((gate, arrivals), log) = (Gate::new(), Log::default());
    gate.open();
    let worker = Worker::new(&queue).task::<Listen>().task::<Count>().concurrency(2);
    let (_worker, events) = watch(worker.state(gate).state(log.clone()));
    Listen.enqueue(&queue).unwrap();
    let warned = arrivals.next();
    let conn = room.connection();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    // No heartbeat is answered for longer than others wait.
    clock.advance(seconds(40));
    eventually(|| (log.lines() == ["LeaseLost"]).then_some(()));
    conn.execute_batch("COMMIT").unwrap();
    // It was not lost after all, so what the task returned is heard, and others begin.
    events.expect(Told::Completed(warned));
    assert_eq!(Count::new(1).enqueue(&queue).unwrap().soon().unwrap(), 1);
}

#[test]
fn a_store_that_fails_under_a_waiting_caller_does_not_leave_it_waiting() {
    let room = Room::new();
    let queue = JobQueue::options().busy_timeout(Duration::from_millis(30)).open(room.db()).unwrap();
    let conn = room.connection();
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

// -- as another user, or under another umask: in a process of its own

const INNER: &str = "QDJOBS_TEST_INNER";

/// Runs one test of this binary in a child, and nothing but its inner part.
fn inner(mut command: Command, test: &str, path: &Path) {
    let command = command.args(["--exact", test, "--nocapture"]).env(INNER, path).current_dir("/");
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn what_was_written_reaches_the_database_itself_as_soon_as_nobody_writes() {
    let (room, queue) = Room::with_queue();
    let size = || std::fs::metadata(room.db()).unwrap().len();
    let before = size();
    queue.enqueue_all((0..300).map(Count::new)).unwrap();
    assert_eq!(size(), before, "it is in the log, which is as safe");
    // Nobody waits for work here: the writing thread wakes for this alone.
    eventually(|| (size() > before + (30 << 10)).then_some(()));
}

#[test]
#[cfg(unix)]
fn the_files_of_a_queue_are_its_owners_alone_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    const NAME: &str = "faults::the_files_of_a_queue_are_its_owners_alone_whatever_the_umask";
    let Some(path) = std::env::var_os(INNER) else {
        let room = Room::new();
        let mut shell = Command::new("sh");
        shell.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
        return inner(shell, NAME, &room.db());
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
fn a_database_that_may_not_be_written_is_refused_as_that() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    const NAME: &str = "faults::a_database_that_may_not_be_written_is_refused_as_that";
    let Some(dir) = std::env::var_os(INNER) else {
        let room = Room::new();
        drop(Count::new(1).enqueue(&JobQueue::open(room.db()).unwrap()).unwrap());
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        // Where another user can run it, wherever this one has been built.
        let program = room.dir().join("program");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        mode(&program, 0o555);
        mode(&room.db(), 0o444);
        mode(room.dir(), 0o555);
        let mut command = Command::new(program);
        if std::fs::OpenOptions::new().write(true).open(room.db()).is_ok() {
            // The modes mean nothing to root, who is somebody else for once.
            command.uid(65_534).gid(65_534);
        }
        inner(command, NAME, room.dir());
        return mode(room.dir(), 0o755);
    };
    let (kind, error) = refused(&Path::new(&dir).join("jobs.db"));
    assert_eq!(kind, ErrorKind::ReadOnly, "{error}");
    assert!(error.contains("not writable") && error.contains("owner and mode"), "{error}");
    let (kind, error) = refused(&Path::new(&dir).join("new.db"));
    assert_eq!(kind, ErrorKind::ReadOnly, "{error}");
    assert!(error.contains("new.db"), "{error}");
}

#[test]
fn a_job_that_a_person_deletes_from_under_its_task_is_refused_at_its_end_and_the_worker_goes_on() {
    let (room, queue) = Room::with_queue();
    let ((gate, arrivals), log) = (Gate::new(), Log::default());
    let worker = Worker::new(&queue).task::<Wait>().state(gate.clone()).state(log);
    let (_worker, events) = watch(worker);
    let id = Wait.enqueue(&queue).unwrap().id();
    arrivals.next();
    room.connection().execute("DELETE FROM qdjobs_jobs", []).unwrap();
    gate.open();
    events.expect(Told::Refused { id, attempt: 1 });
    eventually(|| queue.list(Filter::default()).unwrap().jobs.is_empty().then_some(()));
    Wait.enqueue(&queue).unwrap().soon().unwrap();
}
