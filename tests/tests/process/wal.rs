//! The write-ahead log while another process keeps a read transaction open: the log cannot restart then, so
//! it grows by what is written, and by nothing else.

use std::time::{Duration, Instant};

use qdjobs::rusqlite::Connection;

use crate::worker_process::WorkerProcess;
use crate::workspace::Workspace;

/// Past this size the log is truncated as soon as no connection reads it.
const CEILING: u64 = 64 << 20;

const BATCH: usize = 250;

/// The size of a job's params: a few thousand jobs take the log past the limit.
const TEXT: usize = 12_000;

#[test]
fn a_long_reader_keeps_no_job_from_running_and_the_log_is_truncated_when_it_ends() {
    let workspace = Workspace::alone();
    let mut worker = WorkerProcess::worker(&workspace, ["--concurrency", "4"]);
    let log = || std::fs::metadata(workspace.path("jobs.db-wal")).map_or(0, |log| log.len());
    let params = format!(r#"{{"text": "{}"}}"#, "x".repeat(TEXT));
    let flow = || {
        let begun = Instant::now();
        workspace.insert_once(&[("bulky", params.as_str()); BATCH]);
        workspace.wait_drained();
        begun.elapsed()
    };
    let free: Vec<Duration> = (0..4).map(|_| flow()).collect();
    let before = log();
    assert!(before < CEILING, "without a reader the log restarts: {before}");

    // As an export, a backup or a forgotten database shell does.
    let reader = Connection::open(workspace.db()).unwrap();
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
    // Each job is written a few times: its row, its claim, its end, and the pages of the indexes.
    assert!(longest < before + 8 * written, "{longest} for {written}");
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let [free, pinned] = [free, pinned].map(|mut times| median(&mut times));
    println!("{BATCH} jobs took {free:.2?} before the reader began, and {pinned:.2?} beside it");
    assert!(pinned < 10 * free + Duration::from_secs(1), "{pinned:?} beside a reader, {free:?} without");
    assert_eq!(seen(&reader), seen_first, "the reader keeps its snapshot");

    reader.execute_batch("COMMIT").unwrap();
    let released = Instant::now();
    while log() > CEILING {
        // Jobs keep coming: the log is truncated between two of them.
        workspace.insert_once(&[("noop", r#"{"n": 1}"#)]);
        workspace.wait_drained();
        assert!(released.elapsed() < Duration::from_secs(30), "a log of {} bytes is not truncated", log());
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("truncated to {} KiB {:.2?} after the reader ended", log() >> 10, released.elapsed());
    workspace.assert_all_completed();
    assert!(workspace.starts().values().all(|&times| times == 1));
    assert!(
        !worker
            .log()
            .iter()
            .any(|line| ["lease-lost", "discarded", "store-error"].contains(&line.what.as_str()))
    );
}
