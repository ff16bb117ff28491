//! Tests of single queries, for what the tests of the store's contract cannot observe.

use crate::model::job::Status;
use crate::model::poison::CRASHES_MAX;
use crate::store::sqlite::SqliteOptions;
use crate::store::sqlite::connection::open;

use super::*;

#[test]
fn of_the_jobs_of_a_dead_worker_those_that_have_failed_are_not_waiting() {
    let path = crate::store::sqlite::scratch("released").join("jobs.db");
    let conn = open::writer(&path, &SqliteOptions::default()).unwrap();
    conn.execute_batch(
        "INSERT INTO qdjobs_workers (id, host, pid, started_at) VALUES (7, 'host', 1, 1);
         INSERT INTO qdjobs_jobs (task_name) VALUES ('poison'), ('other');
         UPDATE qdjobs_jobs SET status = 'running', worker_id = 7, attempt = 1, started_at = 1;
         UPDATE qdjobs_jobs SET crash_count = 2, availability = 2 WHERE task_name = 'poison'",
    )
    .unwrap();
    let freed = rescue(&conn, WorkerId(7), CRASHES_MAX, Timestamp::UNIX_EPOCH).unwrap();
    // The suspected job has crashed for the last time; the other one is pending again.
    let failed: Vec<_> = freed.failed.iter().map(|job| (job.task_name.as_str(), job.status)).collect();
    assert_eq!(failed, [("poison", Status::Failed)]);
    assert_eq!((freed.jobs, freed.waiting), (2, 1));
}
