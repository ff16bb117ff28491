//! Opening a file: a new one, one without write permission. A worker whose threads the system refuses.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use qdjobs::JobQueue;
use qdjobs::rusqlite::Connection;

use crate::worker_process::{LogLine, WorkerProcess};
use crate::workspace::{Spread, Workspace};

#[test]
fn eight_processes_create_one_file_at_the_same_moment() {
    let workspace = Workspace::new();
    let rounds = crate::number_from_env("QDJOBS_FIRST_STARTS").unwrap_or(20);
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        let path = workspace.path(&format!("new-{round}.db"));
        let db = path.to_str().unwrap();
        let mut processes = [0; 8].map(|_| WorkerProcess::start(&workspace, ["open", db, "5"]));
        processes.iter_mut().for_each(|process| drop(process.wait("its start", |line| line.is("up"))));
        processes.iter_mut().for_each(|process| process.tell("go"));
        let told = Instant::now();
        let mut ids = BTreeSet::new();
        for mut process in processes {
            process.wait_success();
            let words = process.into_lines();
            assert!(!words.iter().any(|line| line.is("store-error")), "{words:?}");
            ids.extend(words.iter().filter(|line| line.is("acked")).map(|line| line.number(0)));
        }
        longest = longest.max(told.elapsed());
        assert_eq!(ids.len(), 40, "five jobs each, each with its own id");
        let sql = Connection::open(&path).unwrap();
        let one = |query: &str| sql.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(one("SELECT count(*) FROM qdjobs_meta"), 1);
        assert_eq!(one("SELECT count(*) FROM qdjobs_jobs"), 40);
        assert_eq!(one("SELECT count(*) FROM qdjobs_jobs WHERE status NOT IN ('pending', 'completed')"), 0);
        assert_eq!(one("SELECT count(*) FROM qdjobs_workers"), 0);
        assert_eq!(one("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'qdjobs%' AND type = 'table'"), 7);
        let check: String = sql.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        // Workers that stopped in good order leave no file beside the database.
        let left = std::fs::read_dir(format!("{db}-workers"));
        assert!(left.is_err(), "{:?}", left.unwrap().collect::<Vec<_>>());
    }
    println!(
        "{rounds} new files, each created by eight processes: all eight were done after {longest:.2?} at most"
    );
}

/// The first processes write without a break; a late one needs the same lock once, for the schema.
#[test]
fn a_late_process_is_not_kept_out_of_a_new_file_by_those_already_writing() {
    let workspace = Workspace::alone();
    let mut waits = Vec::new();
    for round in 0..4 {
        let path = workspace.path(&format!("busy-{round}.db"));
        let db = path.to_str().unwrap();
        let mut processes = [0; 8].map(|_| WorkerProcess::start(&workspace, ["open", db, "300"]));
        processes.iter_mut().for_each(|process| drop(process.wait("its start", |line| line.is("up"))));
        processes.iter_mut().for_each(|process| process.tell("go"));
        for mut process in processes {
            process.wait_success();
            let opened = process.wait("it to open the file", |line| line.is("opened"));
            waits.push(Duration::from_micros((opened.micros - opened.number(0)).unsigned_abs()));
        }
    }
    let waits = Spread::of(waits);
    println!("a new file opened by eight processes, which then write without a break: {waits}");
    crate::assert_speed(waits.worst(), Duration::from_secs(1));
}

/// A user without write permission changes neither the file nor anything beside it, and does not disturb one
/// who has it.
#[test]
#[cfg(unix)]
fn a_user_without_write_permission_gets_an_error_and_leaves_no_file_behind() {
    use std::os::unix::fs::PermissionsExt;

    let workspace = Workspace::new();
    let Some(nobody) = Nobody::of(&workspace) else { return };
    let mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    // The mode of the directory, that of the file if there is one, and the expected error.
    let cases = [
        ("file", 0o777, Some(0o444), "is not writable by this user"),
        ("directory", 0o555, Some(0o666), "the database is not writable"),
        ("neither", 0o555, Some(0o444), "is not writable by this user"),
        ("new", 0o555, None, "cannot be created"),
    ];
    for (name, of_directory, of_file, told) in cases {
        let dir = workspace.path(name);
        let db = dir.join("jobs.db");
        std::fs::create_dir(&dir).unwrap();
        if of_file.is_some() {
            drop(JobQueue::open(&db).unwrap());
        }
        of_file.iter().for_each(|&of_file| mode(&db, of_file));
        mode(&dir, of_directory);
        let before = crate::workspace::files(&dir);
        let refused = nobody.tries(&workspace, &db);
        assert_eq!(refused.words[..2], ["open", "ReadOnly"], "{name}: {refused:?}");
        let words = refused.words.join(" ");
        assert!(words.contains(told) && words.contains("help: check"), "{name}: {words}");
        let after = crate::workspace::files(&dir);
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "{name}");
        assert!(before == after, "{name}: a byte was changed");
        // Its owner continues.
        drop(JobQueue::open(&db).unwrap());
    }
    // Also beside an owner at work, with its log in place: its jobs continue.
    let worker = WorkerProcess::worker(&workspace, ["--concurrency", "2"]);
    mode(&workspace.path(""), 0o777);
    mode(Path::new(workspace.db()), 0o644);
    let refused = nobody.tries(&workspace, Path::new(workspace.db()));
    assert_eq!(refused.words[..2], ["open", "ReadOnly"], "{refused:?}");
    workspace.insert_once(&[("noop", r#"{"n": 1}"#); 20]);
    workspace.wait_drained();
    workspace.assert_all_completed();
    drop(worker);
}

/// A user without permissions, which every system has, if this test may become it.
#[cfg(unix)]
struct Nobody {
    /// A copy of the program that this user may run.
    program: PathBuf,
}

#[cfg(unix)]
impl Nobody {
    fn of(workspace: &Workspace) -> Option<Nobody> {
        use std::os::unix::fs::PermissionsExt;

        let program = workspace.path("process");
        std::fs::copy(env!("CARGO_BIN_EXE_worker_process"), &program).unwrap();
        for path in [workspace.path(""), program.clone()] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let nobody = Nobody { program };
        let can = nobody.command().arg("true").stderr(Stdio::null()).status();
        if !can.is_ok_and(|status| status.success()) {
            crate::skip("only root can become another user, and `setpriv` is needed for it");
            return None;
        }
        Some(nobody)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command
    }

    /// The error of this user's attempt.
    fn tries(&self, workspace: &Workspace, db: &Path) -> LogLine {
        let mut process =
            WorkerProcess::spawn(self.command().arg(&self.program).arg("try").arg(db), workspace);
        let refused = process.wait("its answer", |line| line.is("refused"));
        process.wait_success();
        refused
    }
}

/// The address space has room for about ten stacks of 256 MiB, and for what else a process needs.
#[cfg(target_os = "linux")]
#[test]
fn a_worker_whose_threads_are_refused_does_not_start_and_leaves_nothing() {
    let workspace = Workspace::new();
    let path = workspace.path("jobs-of-many-threads.db");
    drop(JobQueue::open(&path).unwrap());
    let before = crate::workspace::files(path.parent().unwrap());
    let mut child = Command::new("sh")
        .args([
            "-c",
            r#"ulimit -v 3000000; exec timeout 60 "$0" "$@""#,
            env!("CARGO_BIN_EXE_worker_process"),
            "work",
        ])
        .args([path.to_str().unwrap(), "--concurrency", "4096", "--tasks", "noop"])
        .envs([("RUST_MIN_STACK", "268435456"), ("MALLOC_ARENA_MAX", "1")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It would end at the end of its input.
    let _input = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for words in ["the thread `qdjobs-task` cannot be started", "lower the concurrency"] {
        assert!(told.contains(words), "{told}");
    }
    let after = crate::workspace::files(path.parent().unwrap());
    assert!(after.keys().eq(before.keys()), "{:?}", after.keys());
    let workers = "SELECT count(*) FROM qdjobs_workers";
    assert_eq!(Connection::open(&path).unwrap().query_row(workers, [], |row| row.get(0)), Ok(0));
}
