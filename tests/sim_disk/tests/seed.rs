//! A seed tells everything: alone in its program, since SQLite has one source of random numbers for all its connections, and
//! one time.
//!
//! Leans on rusqlite and on the disk's public door.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use qdjobs_sim_disk::{Disk, world};
use rusqlite::Connection;

/// What is on the disk after the same work, by the seed; the power goes in the middle of it.
fn digest(seed: u64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::mount(dir.path(), seed).unwrap();
    world::seed(seed);
    world::hold_time(1_795_000_000_000_000);
    for times in [60, 5] {
        disk.power_on();
        let conn = Connection::open(dir.path().join("it.db")).unwrap();
        let set_up = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS t (x)";
        conn.execute_batch(set_up).unwrap();
        let now: String = conn.query_row("SELECT datetime('now')", [], |row| row.get(0)).unwrap();
        assert_eq!(now, "2026-11-18 11:06:40");
        disk.cut_at(50);
        for _ in 0..times {
            let _ = conn.execute("INSERT INTO t VALUES (random() || datetime('now'))", []);
        }
    }
    assert!(!disk.is_off());
    disk.digest()
}

#[test]
fn the_same_seed_and_the_same_work_leave_the_same_bytes() {
    assert_eq!(digest(5), digest(5));
    assert_ne!(digest(5), digest(6));
}
