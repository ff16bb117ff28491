//! A `restore` that is killed at any moment.

use std::path::Path;
use std::time::{Duration, Instant};

use qdjobs::JobQueue;
use qdjobs::rusqlite::Connection;
use qdjobs::store::sqlite;

use crate::rng::Rng;
use crate::worker_process::WorkerProcess;
use crate::workspace::Workspace;

/// The jobs of the backup and of the database that it replaces.
const JOBS: [u64; 2] = [2, 5];

fn database_with(path: &Path, jobs: u64) {
    drop(JobQueue::open(path).unwrap());
    let sql = Connection::open(path).unwrap();
    for _ in 0..jobs {
        sql.execute("INSERT INTO qdjobs_jobs (task_name) VALUES ('noop')", []).unwrap();
    }
}

fn jobs_of(path: &Path) -> qdjobs::Result<u64> {
    Ok(JobQueue::open(path)?.counts()?.total())
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_database_or_the_backup_and_the_next_one_ends_it() {
    let workspace = Workspace::new();
    let mut rng = Rng::new();
    let backup = workspace.path("backup.db");
    let original = workspace.path("original.db");
    database_with(&original, JOBS[0]);
    JobQueue::open(&original).unwrap().backup(&backup).unwrap();
    let mut takes = Duration::ZERO;
    let (mut old, mut between, mut new, mut hits) = (0, 0, 0, 0);
    for round in 0..40 {
        let place = workspace.path(&format!("place-{round}.db"));
        database_with(&place, JOBS[1]);
        let args = ["restore", backup.to_str().unwrap(), place.to_str().unwrap()];
        let mut process = WorkerProcess::start(&workspace, args);
        process.wait("its start", |line| line.is("up"));
        process.tell("go");
        let told = Instant::now();
        if round == 0 {
            process.wait("its end", |line| line.is("restored"));
            takes = told.elapsed();
        } else {
            std::thread::sleep(Duration::from_micros(rng.below(takes.as_micros() as u64 * 3 / 2)));
        }
        process.kill();
        // The copy that takes the place is there from the first step to the last.
        hits += usize::from(workspace.path(&format!("place-{round}.db-restoring")).exists());
        match jobs_of(&place) {
            Ok(jobs) if jobs == JOBS[0] => new += 1,
            Ok(jobs) => {
                assert_eq!(jobs, JOBS[1]);
                old += 1;
            }
            Err(error) => {
                assert!(error.to_string().contains("a restore was interrupted"), "{error}");
                between += 1;
            }
        }
        assert_eq!(sqlite::restore(&backup, &place).unwrap().jobs, JOBS[0]);
        assert_eq!(jobs_of(&place).unwrap(), JOBS[0]);
    }
    println!(
        "killed restores: {old} left the old database, {between} its second name, {new} the backup; {hits} midway"
    );
    assert!(hits > 0, "no kill hit a restore");
}
