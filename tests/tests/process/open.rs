//! The first moments of a file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use qdjobs::JobQueue;
use qdjobs::rusqlite::Connection;

use crate::scene::{Scene, Spread};
use crate::worker_process::{Said, WorkerProcess};

#[test]
fn eight_processes_create_one_file_at_the_same_moment() {
    let scene = Scene::new();
    let rounds = crate::number_from_env("QDJOBS_FIRST_STARTS").unwrap_or(20);
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        let path = scene.path(&format!("new-{round}.db"));
        let db = path.to_str().unwrap();
        let mut victims = [0; 8].map(|_| WorkerProcess::start(&scene, ["open", db, "5"]));
        victims.iter_mut().for_each(|victim| drop(victim.wait("its start", |said| said.is("up"))));
        victims.iter_mut().for_each(|victim| victim.tell("go"));
        let told = Instant::now();
        let mut ids = BTreeSet::new();
        for mut victim in victims {
            victim.wait_success();
            let words = victim.last_words();
            assert!(!words.iter().any(|said| said.is("trouble")), "{words:?}");
            ids.extend(words.iter().filter(|said| said.is("acked")).map(|said| said.number(0)));
        }
        longest = longest.max(told.elapsed());
        assert_eq!(ids.len(), 40, "five jobs each, each with a number of its own");
        let sql = Connection::open(&path).unwrap();
        let one = |query: &str| sql.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(one("SELECT count(*) FROM qdjobs_meta"), 1);
        assert_eq!(one("SELECT count(*) FROM qdjobs_jobs"), 40);
        assert_eq!(one("SELECT count(*) FROM qdjobs_jobs WHERE status NOT IN ('pending', 'completed')"), 0);
        assert_eq!(one("SELECT count(*) FROM qdjobs_workers"), 0);
        assert_eq!(one("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'qdjobs%' AND type = 'table'"), 6);
        let check: String = sql.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        // Workers that stopped in peace leave nothing beside the file.
        let left = std::fs::read_dir(format!("{db}-workers"));
        assert!(left.is_err(), "{:?}", left.unwrap().collect::<Vec<_>>());
    }
    println!(
        "{rounds} new files, each created by eight processes: all eight were done after {longest:.2?} at most"
    );
}

/// Those who came first go on writing without a break; one who comes a moment later wants the same lock once, for the schema.
#[test]
fn one_who_comes_late_to_a_new_file_is_not_kept_out_by_those_already_at_work() {
    let scene = Scene::alone();
    let mut waits = Vec::new();
    for round in 0..4 {
        let path = scene.path(&format!("busy-{round}.db"));
        let db = path.to_str().unwrap();
        let mut victims = [0; 8].map(|_| WorkerProcess::start(&scene, ["open", db, "300"]));
        victims.iter_mut().for_each(|victim| drop(victim.wait("its start", |said| said.is("up"))));
        victims.iter_mut().for_each(|victim| victim.tell("go"));
        for mut victim in victims {
            victim.wait_success();
            let opened = victim.wait("its opening", |said| said.is("opened"));
            waits.push(Duration::from_micros((opened.micros - opened.number(0)).unsigned_abs()));
        }
    }
    let waits = Spread::of(waits);
    println!("a new file opened by eight processes, who then write without a break: {waits}");
    crate::assert_speed(waits.worst(), Duration::from_secs(1));
}

/// Neither the file nor anything beside it is changed by a user who may not write, and the one who may is not disturbed.
#[test]
#[cfg(unix)]
fn a_user_who_may_not_write_is_told_so_and_leaves_nothing_behind() {
    use std::os::unix::fs::PermissionsExt;

    let scene = Scene::new();
    let Some(nobody) = Nobody::of(&scene) else { return };
    let mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    // The mode of the directory, that of the file if there is one, and what nobody is told.
    let cases = [
        ("file", 0o777, Some(0o444), "is not writable by this user"),
        ("directory", 0o555, Some(0o666), "the database is not writable"),
        ("neither", 0o555, Some(0o444), "is not writable by this user"),
        ("new", 0o555, None, "cannot be created"),
    ];
    for (name, of_directory, of_file, told) in cases {
        let dir = scene.path(name);
        let db = dir.join("jobs.db");
        std::fs::create_dir(&dir).unwrap();
        if of_file.is_some() {
            drop(JobQueue::open(&db).unwrap());
        }
        of_file.iter().for_each(|&of_file| mode(&db, of_file));
        mode(&dir, of_directory);
        let before = crate::scene::files(&dir);
        let refused = nobody.tries(&scene, &db);
        assert_eq!(refused.words[..2], ["open", "ReadOnly"], "{name}: {refused:?}");
        let words = refused.words.join(" ");
        assert!(words.contains(told) && words.contains("help: check"), "{name}: {words}");
        let after = crate::scene::files(&dir);
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "{name}");
        assert!(before == after, "{name}: a byte was changed");
        // Its owner goes on.
        drop(JobQueue::open(&db).unwrap());
    }
    // Also beside an owner at work, whose log lies there: its jobs run on.
    let worker = WorkerProcess::worker(&scene, ["--concurrency", "2"]);
    mode(&scene.path(""), 0o777);
    mode(Path::new(scene.db()), 0o644);
    let refused = nobody.tries(&scene, Path::new(scene.db()));
    assert_eq!(refused.words[..2], ["open", "ReadOnly"], "{refused:?}");
    scene.insert_once(&[("noop", r#"{"n": 1}"#); 20]);
    scene.wait_drained();
    scene.assert_all_completed();
    drop(worker);
}

/// Somebody without rights: a user that every system has, if this test may become it.
#[cfg(unix)]
struct Nobody {
    /// A copy of the victim that nobody may run.
    program: PathBuf,
}

#[cfg(unix)]
impl Nobody {
    fn of(scene: &Scene) -> Option<Nobody> {
        use std::os::unix::fs::PermissionsExt;

        let program = scene.path("victim");
        std::fs::copy(env!("CARGO_BIN_EXE_worker_process"), &program).unwrap();
        for path in [scene.path(""), program.clone()] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let nobody = Nobody { program };
        let can = nobody.command().arg("true").stderr(Stdio::null()).status();
        if !can.is_ok_and(|status| status.success()) {
            crate::skip("only root can become a user without rights, and `setpriv` is needed for it");
            return None;
        }
        Some(nobody)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command
    }

    /// What it is told that it may not.
    fn tries(&self, scene: &Scene, db: &Path) -> Said {
        let mut victim = WorkerProcess::spawn(self.command().arg(&self.program).arg("try").arg(db), scene);
        let refused = victim.wait("what it is told", |said| said.is("refused"));
        victim.wait_success();
        refused
    }
}
