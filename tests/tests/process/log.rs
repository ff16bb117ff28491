//! The write-ahead log while another process keeps a read transaction open: it cannot be begun anew then, so it grows with all
//! that is written, and with nothing else.

use std::time::{Duration, Instant};

use qdjobs::rusqlite::Connection;

use crate::scene::Scene;
use crate::worker_process::WorkerProcess;

/// Past this size the log is cut as soon as nobody reads in it.
const CEILING: u64 = 64 << 20;

const BATCH: usize = 250;

/// What one of the jobs carries: the log grows past its ceiling with a few thousand of them.
const TEXT: usize = 12_000;

#[test]
fn a_reader_that_stays_keeps_no_job_from_running_and_the_log_is_cut_when_it_goes() {
    let scene = Scene::alone();
    let mut worker = WorkerProcess::worker(&scene, ["--concurrency", "4"]);
    let log = || std::fs::metadata(scene.path("jobs.db-wal")).map_or(0, |log| log.len());
    let params = format!(r#"{{"text": "{}"}}"#, "x".repeat(TEXT));
    let flow = || {
        let begun = Instant::now();
        scene.insert_once(&[("bulky", params.as_str()); BATCH]);
        scene.wait_drained();
        begun.elapsed()
    };
    let free: Vec<Duration> = (0..4).map(|_| flow()).collect();
    let before = log();
    assert!(before < CEILING, "with nobody in the way it is begun anew: {before}");

    // As an export, a backup or a forgotten database shell does.
    let reader = Connection::open(scene.db()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM qdjobs_jobs").unwrap();
    let seen = |conn: &Connection| {
        conn.query_row("SELECT count(*) FROM qdjobs_jobs", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let seen_first = seen(&reader);
    let mut pinned = Vec::new();
    let mut written = 0;
    while log() < CEILING + (CEILING >> 3) {
        pinned.push(flow());
        written += (BATCH * TEXT) as u64;
        assert!(written < 8 * CEILING, "the log does not grow: {}", log());
    }
    let longest = log();
    println!("{} jobs of {TEXT} bytes under a reader: a log of {} MiB", pinned.len() * BATCH, longest >> 20);
    // Each job is written a few times in its life: its row, its claim, its end, and the pages of the indexes.
    assert!(longest < before + 8 * written, "{longest} for {written}");
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let [free, pinned] = [free, pinned].map(|mut times| median(&mut times));
    println!("{BATCH} jobs took {free:.2?} before the reader came, and {pinned:.2?} beside it");
    assert!(pinned < 10 * free + Duration::from_secs(1), "{pinned:?} beside a reader, {free:?} without");
    assert_eq!(seen(&reader), seen_first, "the reader sees what it saw");

    reader.execute_batch("COMMIT").unwrap();
    let released = Instant::now();
    while log() > CEILING {
        // Jobs flow on: it is cut between two of them.
        scene.insert_once(&[("noop", r#"{"n": 1}"#)]);
        scene.wait_drained();
        assert!(released.elapsed() < Duration::from_secs(30), "a log of {} bytes is not cut", log());
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("cut to {} KiB {:.2?} after the reader left", log() >> 10, released.elapsed());
    scene.assert_all_completed();
    assert!(scene.starts().values().all(|&times| times == 1));
    assert!(!worker.said().iter().any(|said| ["lost", "refused", "trouble"].contains(&said.what.as_str())));
}
