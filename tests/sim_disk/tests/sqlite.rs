//! SQLite over the simulated disk: that it works as over a real one, and that what the disk promises to do to it happens.
//!
//! Leans on rusqlite and on the disk's public door.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::PathBuf;
use std::time::Duration;

use qdjobs_sim_disk::{Disk, Fault, Lasts, Op, Rng, as_process};
use rusqlite::{Connection, ErrorCode};

/// A disk in the place of a directory of its own.
struct Scene {
    disk: Disk,
    dir: tempfile::TempDir,
}

impl Scene {
    fn new(seed: u64) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        Scene { disk: Disk::mount(dir.path(), seed).unwrap(), dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("it.db")
    }

    /// A connection to the database, in WAL mode and fully synced.
    fn connect(&self) -> Connection {
        self.try_connect().unwrap()
    }

    fn try_connect(&self) -> rusqlite::Result<Connection> {
        let conn = Connection::open(self.path())?;
        conn.busy_timeout(Duration::ZERO)?;
        let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        assert_eq!(mode, "wal");
        conn.execute_batch("PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS t (x)")?;
        Ok(conn)
    }
}

fn insert(conn: &Connection, x: i64) -> rusqlite::Result<usize> {
    conn.execute("INSERT INTO t VALUES (?1)", [x])
}

fn rows(conn: &Connection) -> Vec<i64> {
    let mut all = conn.prepare("SELECT x FROM t ORDER BY x").unwrap();
    all.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn assert_sound(conn: &Connection) {
    let verdict: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

fn code<T: std::fmt::Debug>(answer: rusqlite::Result<T>) -> ErrorCode {
    answer.unwrap_err().sqlite_error_code().unwrap()
}

#[test]
fn files_of_a_mounted_directory_live_on_the_disk_and_others_where_they_did() {
    let (scene, other) = (Scene::new(1), tempfile::tempdir().unwrap());
    let conn = scene.connect();
    insert(&conn, 1).unwrap();
    assert_eq!(scene.disk.files(), ["it.db", "it.db-wal"]);
    assert!(!scene.path().exists());
    let real = Connection::open(other.path().join("real.db")).unwrap();
    real.execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(other.path().join("real.db").metadata().unwrap().len() > 0);
    drop(conn);
    assert_eq!(scene.disk.files(), ["it.db"], "the last one to close takes the log with it");
    assert_eq!(rows(&scene.connect()), [1]);
}

#[test]
fn random_work_of_two_connections_leaves_a_sound_database_in_either_journal_mode() {
    for (seed, mode) in [(1, "wal"), (2, "wal"), (3, "delete"), (4, "truncate"), (5, "persist")] {
        let scene = Scene::new(seed);
        let mut dice = Rng::new(seed);
        let conns = [(); 2].map(|()| {
            let conn = Connection::open(scene.path()).unwrap();
            let now: String =
                conn.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |row| row.get(0)).unwrap();
            assert_eq!(now, mode);
            conn.execute_batch(
                "CREATE TABLE IF NOT EXISTS t (x INTEGER PRIMARY KEY, y); PRAGMA cache_size = 5",
            )
            .unwrap();
            conn
        });
        let mut expected = std::collections::BTreeMap::new();
        for _ in 0..400 {
            let conn = &conns[dice.below(2) as usize];
            let keeps = !dice.once_in(4);
            let mut after = expected.clone();
            conn.execute_batch("BEGIN IMMEDIATE").unwrap();
            for _ in 0..dice.below(9) {
                let x = dice.below(200) as i64;
                let y = "y".repeat(dice.below(3_000) as usize);
                if dice.once_in(3) {
                    conn.execute("DELETE FROM t WHERE x = ?1", [x]).unwrap();
                    after.remove(&x);
                } else {
                    conn.execute("REPLACE INTO t VALUES (?1, ?2)", (x, &y)).unwrap();
                    after.insert(x, y);
                }
            }
            conn.execute_batch(if keeps { "COMMIT" } else { "ROLLBACK" }).unwrap();
            if keeps {
                expected = after;
            }
            if mode == "wal" && dice.once_in(40) {
                conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            }
        }
        for conn in &conns {
            assert_sound(conn);
            let mut all = conn.prepare("SELECT x, y FROM t").unwrap();
            let found: rusqlite::Result<_> = all.query_map([], |row| row.try_into()).unwrap().collect();
            assert_eq!(expected, found.unwrap());
        }
    }
}

#[test]
fn a_reader_keeps_its_snapshot_while_another_writes_and_one_writer_excludes_the_other() {
    let scene = Scene::new(1);
    let (a, b) = (scene.connect(), scene.connect());
    insert(&a, 1).unwrap();
    b.execute_batch("BEGIN").unwrap();
    assert_eq!(rows(&b), [1]);
    insert(&a, 2).unwrap();
    assert_eq!(rows(&b), [1], "as of its snapshot");
    a.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (busy, left): (i64, i64) = b
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap_or((1, 0));
    assert!(busy == 1 || left > 0, "a reader and a writer keep the log from being begun anew");
    b.execute_batch("COMMIT").unwrap();
    assert_eq!(code(b.execute_batch("BEGIN IMMEDIATE")), ErrorCode::DatabaseBusy);
    a.execute_batch("COMMIT").unwrap();
    b.execute_batch("BEGIN IMMEDIATE; COMMIT").unwrap();
    assert_eq!(rows(&b), [1, 2]);
}

#[test]
fn a_rollback_journals_locks_exclude_too() {
    let scene = Scene::new(1);
    let [a, b] = [(); 2].map(|()| {
        let conn = Connection::open(scene.path()).unwrap();
        conn.busy_timeout(Duration::ZERO).unwrap();
        conn.execute_batch("PRAGMA journal_mode = DELETE; CREATE TABLE IF NOT EXISTS t (x)").unwrap();
        conn
    });
    b.execute_batch("BEGIN; SELECT * FROM t").unwrap();
    a.execute_batch("BEGIN IMMEDIATE").unwrap();
    insert(&a, 1).unwrap();
    assert_eq!(code(a.execute_batch("COMMIT")), ErrorCode::DatabaseBusy, "somebody reads");
    assert_eq!(code(scene.path_conn().execute_batch("SELECT * FROM t")), ErrorCode::DatabaseBusy);
    b.execute_batch("COMMIT").unwrap();
    a.execute_batch("COMMIT").unwrap();
    assert_eq!(rows(&b), [1]);
}

impl Scene {
    /// A connection that nobody has prepared.
    fn path_conn(&self) -> Connection {
        let conn = Connection::open(self.path()).unwrap();
        conn.busy_timeout(Duration::ZERO).unwrap();
        conn
    }
}

#[test]
fn threads_that_write_the_same_file_lose_nothing() {
    let scene = Scene::new(1);
    scene.connect();
    let write = |from: i64| {
        let conn = scene.connect();
        conn.busy_timeout(Duration::from_secs(60)).unwrap();
        for x in from..from + 100 {
            insert(&conn, x).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for from in [0, 100, 200] {
            scope.spawn(move || write(from));
        }
    });
    let conn = scene.connect();
    assert_sound(&conn);
    assert_eq!(rows(&conn), (0..300).collect::<Vec<_>>());
}

#[test]
fn a_power_cut_takes_nothing_that_a_full_sync_confirmed_and_leaves_a_sound_file() {
    let (mut lost, mut doubtful, mut cuts) = (0, 0, 0);
    for synchronous in ["FULL", "NORMAL"] {
        for seed in 0..150 {
            let scene = Scene::new(seed);
            let mut dice = Rng::new(seed);
            let conn = scene.connect();
            conn.execute_batch(&format!("PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 5"))
                .unwrap();
            scene.disk.cut_at(1 + dice.below(80));
            let (mut confirmed, mut x) = (Vec::new(), 0);
            while insert(&conn, x).is_ok() {
                confirmed.push(x);
                x += 1;
            }
            assert!(scene.disk.is_off(), "nothing else can fail");
            assert_eq!(
                code(Connection::open(scene.path()).and_then(|it| insert(&it, 1))),
                ErrorCode::CannotOpen
            );
            drop(conn);
            scene.disk.power_on();
            // The recovery is cut, too.
            if dice.once_in(2) {
                scene.disk.cut_at(1 + dice.below(6));
                drop(scene.try_connect());
                scene.disk.power_on();
            }
            let conn = scene.connect();
            assert_sound(&conn);
            let found = rows(&conn);
            assert!(found.iter().copied().eq(0..found.len() as i64), "a prefix: {found:?}");
            cuts += 1;
            if synchronous == "FULL" {
                assert!(found.starts_with(&confirmed), "seed {seed}: {} of {x} are there", found.len());
                doubtful += usize::from(found.len() > confirmed.len());
            } else {
                lost += usize::from(found.len() < confirmed.len());
            }
        }
    }
    assert_eq!(cuts, 300);
    assert!(
        lost > 30,
        "without full syncs rows are lost, here only in {lost} of 150 runs: the disk has no teeth"
    );
    assert!(doubtful > 3, "a commit that was not confirmed may stand, here in {doubtful} of 150 runs");
}

#[test]
fn each_operation_can_fail_and_says_which_it_was() {
    for (op, extended) in [
        (Op::Write, rusqlite::ffi::SQLITE_IOERR_WRITE),
        (Op::Sync, rusqlite::ffi::SQLITE_IOERR_FSYNC),
        (Op::ShmLock, rusqlite::ffi::SQLITE_IOERR_SHMLOCK),
    ] {
        let scene = Scene::new(1);
        let conn = scene.connect();
        scene.disk.fail(1, Fault::Io(op), Lasts::Once);
        let error = insert(&conn, 1).unwrap_err();
        assert_eq!(error.sqlite_error().unwrap().extended_code, extended, "{op:?}");
        assert_eq!(scene.disk.struck(), 1);
        insert(&conn, 2).unwrap();
        scene.disk.fail(1, Fault::Io(op), Lasts::ForGood);
        assert!(insert(&conn, 3).is_err() && insert(&conn, 4).is_err());
        scene.disk.heal();
        insert(&conn, 5).unwrap();
        assert_sound(&conn);
    }
}

#[test]
fn a_disk_that_is_full_says_so_and_goes_on_when_there_is_room() {
    let scene = Scene::new(1);
    let conn = scene.connect();
    scene.disk.set_capacity(Some(scene.disk.used() + 20_000));
    let full = (0..100).map(|x| insert(&conn, x)).find_map(Result::err).unwrap();
    assert_eq!(full.sqlite_error_code(), Some(ErrorCode::DiskFull));
    let before = rows(&conn);
    scene.disk.set_capacity(None);
    insert(&conn, 100).unwrap();
    assert_eq!(rows(&conn).len(), before.len() + 1);
    assert_sound(&conn);
}

#[test]
fn a_killed_process_lets_go_of_its_locks_and_reaches_the_disk_no_more() {
    let scene = Scene::new(1);
    let [victim, other] = [1, 2].map(|process| as_process(process, || scene.connect()));
    // Enough to spill into the log, and into the memory that tells what is in it.
    let spill = |conn: &Connection| {
        conn.execute_batch("PRAGMA cache_size = 5; BEGIN IMMEDIATE").unwrap();
        for x in 0..500 {
            conn.execute("INSERT INTO t VALUES (?1 || hex(zeroblob(500)))", [x]).unwrap();
        }
    };
    spill(&victim);
    assert_eq!(code(insert(&other, 1)), ErrorCode::DatabaseBusy);
    scene.disk.kill(1);
    spill(&other);
    // Its rollback clears the memory behind the last commit, where the other's pages stand by now.
    assert!(victim.execute_batch("COMMIT").is_err());
    let _ = victim.execute_batch("ROLLBACK");
    drop(victim);
    other.execute_batch("COMMIT").unwrap();
    assert_sound(&other);
    let stored: i64 = other.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(stored, 500);
    let opened = as_process(1, || Connection::open(scene.path()).and_then(|it| insert(&it, 1)));
    assert_eq!(code(opened), ErrorCode::CannotOpen, "the dead open nothing");
    drop(other);
    assert_sound(&as_process(2, || scene.connect()));
}

#[test]
fn a_thread_opens_anew_for_the_process_whose_connection_it_used() {
    let scene = &Scene::new(1);
    let conn = as_process(7, || scene.connect());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            insert(&conn, 1).unwrap();
            let again = scene.connect();
            scene.disk.kill(7);
            assert!(insert(&again, 2).is_err());
        });
    });
}

#[test]
fn damage_reaches_the_reader() {
    let scene = Scene::new(1);
    let conn = scene.connect();
    for x in 0..100 {
        insert(&conn, x).unwrap();
    }
    drop(conn);
    assert!(scene.disk.damage("it.db", |bytes| bytes[4096..4200].fill(0xff)));
    let conn = scene.path_conn();
    assert_eq!(
        code(conn.query_row("SELECT count(x) FROM t", [], |row| row.get::<_, i64>(0))),
        ErrorCode::DatabaseCorrupt
    );
    assert!(!scene.disk.damage("no.db", |_| ()));
}
