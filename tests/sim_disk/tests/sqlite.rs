//! SQLite over the simulated disk: it works as over a real one, and what the disk simulates happens.
//!
//! Depends on rusqlite and on the disk's public interface.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::time::Duration;

use qdjobs_sim_disk::{Disk, Fault, FaultDuration, Op, Rng, as_process};
use rusqlite::{Connection, ErrorCode};

/// A disk mounted at a directory of its own.
struct TestDisk {
    disk: Disk,
    dir: tempfile::TempDir,
}

impl TestDisk {
    fn new(seed: u64) -> TestDisk {
        let dir = tempfile::tempdir().unwrap();
        TestDisk { disk: Disk::mount(dir.path(), seed).unwrap(), dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("test.db")
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
fn files_of_a_mounted_directory_are_on_the_disk_and_others_in_the_file_system() {
    let (test_disk, other) = (TestDisk::new(1), tempfile::tempdir().unwrap());
    let conn = test_disk.connect();
    insert(&conn, 1).unwrap();
    assert_eq!(test_disk.disk.files(), ["test.db", "test.db-wal"]);
    assert!(!test_disk.path().exists());
    let real = Connection::open(other.path().join("real.db")).unwrap();
    real.execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(other.path().join("real.db").metadata().unwrap().len() > 0);
    drop(conn);
    assert_eq!(test_disk.disk.files(), ["test.db"], "the last connection to close deletes the log");
    assert_eq!(rows(&test_disk.connect()), [1]);
}

#[test]
fn random_work_of_two_connections_leaves_a_sound_database_in_either_journal_mode() {
    for (seed, mode) in [(1, "wal"), (2, "wal"), (3, "delete"), (4, "truncate"), (5, "persist")] {
        let test_disk = TestDisk::new(seed);
        let mut rng = Rng::new(seed);
        let conns = [(); 2].map(|()| {
            let conn = Connection::open(test_disk.path()).unwrap();
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
            let conn = &conns[rng.below(2) as usize];
            let keeps = !rng.once_in(4);
            let mut after = expected.clone();
            conn.execute_batch("BEGIN IMMEDIATE").unwrap();
            for _ in 0..rng.below(9) {
                let x = rng.below(200) as i64;
                let y = "y".repeat(rng.below(3_000) as usize);
                if rng.once_in(3) {
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
            if mode == "wal" && rng.once_in(40) {
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
    let test_disk = TestDisk::new(1);
    let (a, b) = (test_disk.connect(), test_disk.connect());
    insert(&a, 1).unwrap();
    b.execute_batch("BEGIN").unwrap();
    assert_eq!(rows(&b), [1]);
    insert(&a, 2).unwrap();
    assert_eq!(rows(&b), [1], "as of its snapshot");
    a.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (busy, left): (i64, i64) = b
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap_or((1, 0));
    assert!(busy == 1 || left > 0, "a reader and a writer prevent the restart of the log");
    b.execute_batch("COMMIT").unwrap();
    assert_eq!(code(b.execute_batch("BEGIN IMMEDIATE")), ErrorCode::DatabaseBusy);
    a.execute_batch("COMMIT").unwrap();
    b.execute_batch("BEGIN IMMEDIATE; COMMIT").unwrap();
    assert_eq!(rows(&b), [1, 2]);
}

#[test]
fn the_locks_of_a_rollback_journal_exclude_too() {
    let test_disk = TestDisk::new(1);
    let [a, b] = [(); 2].map(|()| {
        let conn = Connection::open(test_disk.path()).unwrap();
        conn.busy_timeout(Duration::ZERO).unwrap();
        conn.execute_batch("PRAGMA journal_mode = DELETE; CREATE TABLE IF NOT EXISTS t (x)").unwrap();
        conn
    });
    b.execute_batch("BEGIN; SELECT * FROM t").unwrap();
    a.execute_batch("BEGIN IMMEDIATE").unwrap();
    insert(&a, 1).unwrap();
    assert_eq!(code(a.execute_batch("COMMIT")), ErrorCode::DatabaseBusy, "another connection reads");
    assert_eq!(code(test_disk.path_conn().execute_batch("SELECT * FROM t")), ErrorCode::DatabaseBusy);
    b.execute_batch("COMMIT").unwrap();
    a.execute_batch("COMMIT").unwrap();
    assert_eq!(rows(&b), [1]);
}

impl TestDisk {
    /// A connection without any setup.
    fn path_conn(&self) -> Connection {
        let conn = Connection::open(self.path()).unwrap();
        conn.busy_timeout(Duration::ZERO).unwrap();
        conn
    }
}

#[test]
fn threads_that_write_the_same_file_lose_nothing() {
    let test_disk = TestDisk::new(1);
    test_disk.connect();
    // All connections are opened first: each does so without a busy timeout.
    let connections = [0, 100, 200].map(|from| (from, test_disk.connect()));
    std::thread::scope(|scope| {
        for (from, conn) in connections {
            scope.spawn(move || {
                conn.busy_timeout(Duration::from_secs(60)).unwrap();
                (from..from + 100).for_each(|x| assert_eq!(insert(&conn, x), Ok(1)));
            });
        }
    });
    let conn = test_disk.connect();
    assert_sound(&conn);
    assert_eq!(rows(&conn), (0..300).collect::<Vec<_>>());
}

#[test]
fn a_power_cut_loses_nothing_that_a_full_sync_confirmed_and_leaves_a_sound_file() {
    let (mut lost, mut unconfirmed, mut power_cuts) = (0, 0, 0);
    for synchronous in ["FULL", "NORMAL"] {
        for seed in 0..150 {
            let test_disk = TestDisk::new(seed);
            let mut rng = Rng::new(seed);
            let conn = test_disk.connect();
            conn.execute_batch(&format!("PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 5"))
                .unwrap();
            test_disk.disk.cut_power_at(1 + rng.below(80));
            let (mut confirmed, mut x) = (Vec::new(), 0);
            while insert(&conn, x).is_ok() {
                confirmed.push(x);
                x += 1;
            }
            assert!(test_disk.disk.is_off(), "nothing else can fail");
            assert_eq!(
                code(Connection::open(test_disk.path()).and_then(|it| insert(&it, 1))),
                ErrorCode::CannotOpen
            );
            drop(conn);
            test_disk.disk.power_on();
            // The power is cut in the recovery, too.
            if rng.once_in(2) {
                test_disk.disk.cut_power_at(1 + rng.below(6));
                drop(test_disk.try_connect());
                test_disk.disk.power_on();
            }
            let conn = test_disk.connect();
            assert_sound(&conn);
            let found = rows(&conn);
            assert!(found.iter().copied().eq(0..found.len() as i64), "a prefix: {found:?}");
            power_cuts += 1;
            if synchronous == "FULL" {
                assert!(found.starts_with(&confirmed), "seed {seed}: {} of {x} are there", found.len());
                unconfirmed += usize::from(found.len() > confirmed.len());
            } else {
                lost += usize::from(found.len() < confirmed.len());
            }
        }
    }
    assert_eq!(power_cuts, 300);
    assert!(
        lost > 30,
        "without full syncs rows are lost, here only in {lost} of 150 runs: the disk loses too little"
    );
    assert!(unconfirmed > 3, "an unconfirmed commit may be stored, here in {unconfirmed} of 150 runs");
}

#[test]
fn each_operation_can_fail_and_says_which_it_was() {
    for (op, extended) in [
        (Op::Write, rusqlite::ffi::SQLITE_IOERR_WRITE),
        (Op::Sync, rusqlite::ffi::SQLITE_IOERR_FSYNC),
        (Op::ShmLock, rusqlite::ffi::SQLITE_IOERR_SHMLOCK),
    ] {
        let test_disk = TestDisk::new(1);
        let conn = test_disk.connect();
        test_disk.disk.fail(1, Fault::Io(op), FaultDuration::Once);
        let error = insert(&conn, 1).unwrap_err();
        assert_eq!(error.sqlite_error().unwrap().extended_code, extended, "{op:?}");
        assert_eq!(test_disk.disk.failures(), 1);
        insert(&conn, 2).unwrap();
        test_disk.disk.fail(1, Fault::Io(op), FaultDuration::UntilCleared);
        assert!(insert(&conn, 3).is_err() && insert(&conn, 4).is_err());
        test_disk.disk.clear_faults();
        insert(&conn, 5).unwrap();
        assert_sound(&conn);
    }
}

#[test]
fn a_full_disk_reports_it_and_works_again_when_there_is_space() {
    let test_disk = TestDisk::new(1);
    let conn = test_disk.connect();
    test_disk.disk.set_capacity(Some(test_disk.disk.used() + 20_000));
    let full = (0..100).map(|x| insert(&conn, x)).find_map(Result::err).unwrap();
    assert_eq!(full.sqlite_error_code(), Some(ErrorCode::DiskFull));
    let before = rows(&conn);
    test_disk.disk.set_capacity(None);
    insert(&conn, 100).unwrap();
    assert_eq!(rows(&conn).len(), before.len() + 1);
    assert_sound(&conn);
}

#[test]
fn a_killed_process_releases_its_locks_and_reaches_the_disk_no_more() {
    let test_disk = TestDisk::new(1);
    let [killed, other] = [1, 2].map(|process| as_process(process, || test_disk.connect()));
    // Enough to spill into the log, and into the shared memory that indexes it.
    let spill = |conn: &Connection| {
        conn.execute_batch("PRAGMA cache_size = 5; BEGIN IMMEDIATE").unwrap();
        for x in 0..500 {
            conn.execute("INSERT INTO t VALUES (?1 || hex(zeroblob(500)))", [x]).unwrap();
        }
    };
    spill(&killed);
    assert_eq!(code(insert(&other, 1)), ErrorCode::DatabaseBusy);
    test_disk.disk.kill(1);
    spill(&other);
    // Its rollback clears the shared memory behind the last commit, where the other's pages are by now.
    assert!(killed.execute_batch("COMMIT").is_err());
    let _ = killed.execute_batch("ROLLBACK");
    drop(killed);
    other.execute_batch("COMMIT").unwrap();
    assert_sound(&other);
    let stored: i64 = other.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(stored, 500);
    let opened = as_process(1, || Connection::open(test_disk.path()).and_then(|it| insert(&it, 1)));
    assert_eq!(code(opened), ErrorCode::CannotOpen, "a dead process opens nothing");
    drop(other);
    assert_sound(&as_process(2, || test_disk.connect()));
}

#[test]
fn a_thread_opens_files_for_the_process_whose_connection_it_used() {
    let test_disk = &TestDisk::new(1);
    let conn = as_process(7, || test_disk.connect());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            insert(&conn, 1).unwrap();
            let again = test_disk.connect();
            test_disk.disk.kill(7);
            assert!(insert(&again, 2).is_err());
        });
    });
}

#[test]
fn corruption_reaches_the_reader() {
    let test_disk = TestDisk::new(1);
    let conn = test_disk.connect();
    for x in 0..100 {
        insert(&conn, x).unwrap();
    }
    drop(conn);
    assert!(test_disk.disk.corrupt("test.db", |bytes| bytes[4096..4200].fill(0xff)));
    let conn = test_disk.path_conn();
    assert_eq!(
        code(conn.query_row("SELECT count(x) FROM t", [], |row| row.get::<_, i64>(0))),
        ErrorCode::DatabaseCorrupt
    );
    assert!(!test_disk.disk.corrupt("no.db", |_| ()));
}
