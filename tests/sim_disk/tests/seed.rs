//! A seed determines everything. This test is alone in its program, since SQLite has one source of random
//! numbers and one time for all its connections.
//!
//! Depends on rusqlite and on the disk's public interface.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use qdjobs_sim_disk::{Disk, environment};
use rusqlite::Connection;

/// The digest of the disk after the same work, for a seed; the power is cut in the middle of it.
fn digest(seed: u64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::mount(dir.path(), seed).unwrap();
    environment::seed(seed);
    environment::fix_time(1_795_000_000_000_000);
    for times in [60, 5] {
        disk.power_on();
        let conn = Connection::open(dir.path().join("it.db")).unwrap();
        let set_up = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS t (x)";
        conn.execute_batch(set_up).unwrap();
        let now: String = conn.query_row("SELECT datetime('now')", [], |row| row.get(0)).unwrap();
        assert_eq!(now, "2026-11-18 11:06:40");
        disk.cut_power_at(50);
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
