//! Effects exactly once: a task's own row, its follow-up job and its completion in one transaction, under
//! kills at random moments (and, where there are signals, under stops that outlast the lease).

use std::time::{Duration, Instant};

use crate::rng::Rng;
use crate::worker_process::WorkerProcess;
use crate::workspace::Workspace;

const KILLS: usize = 25;
const JOBS_A_KILL: usize = 16;

#[test]
fn a_transaction_with_its_completion_and_its_follow_up_happens_exactly_once() {
    let workspace = Workspace::new();
    let mut rng = Rng::new();
    let seconds = crate::number_from_env("QDJOBS_CHAOS_SECONDS");
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    // No job may fail by the crashes of its workers.
    let options = ["--concurrency", "3", "--lease", "1000", "--max-crashes", "1000"];
    let mut workers = [0; 3].map(|_| WorkerProcess::worker(&workspace, options));
    let mut jobs = Vec::new();
    let mut kills = 0;
    while kills < KILLS || Instant::now() < until {
        let params: Vec<String> =
            (0..JOBS_A_KILL).map(|_| format!("{{\"micros\": {}}}", rng.below(4_000))).collect();
        let batch: Vec<(&str, &str)> = params.iter().map(|params| ("effect", params.as_str())).collect();
        jobs.extend(workspace.insert(&batch));
        let worker = &mut workers[rng.below(3) as usize];
        // From its first job on, at any point of the next ones: inside a transaction, between its commit and
        // the end, idle.
        worker.wait("a job", |line| line.is("start"));
        std::thread::sleep(Duration::from_micros(rng.below(60_000)));
        #[cfg(unix)]
        if seconds.is_some() && rng.below(8) == 0 {
            // Stopped for as long as its lease or longer, perhaps while it holds the write lock.
            worker.signal(rustix::process::Signal::STOP);
            std::thread::sleep(Duration::from_millis(500 + rng.below(2_500)));
            worker.signal(rustix::process::Signal::CONT);
            continue;
        }
        worker.kill();
        kills += 1;
        *worker = WorkerProcess::worker_soon(&workspace, options);
    }
    workspace.wait_drained();
    workspace.assert_sound();
    let crashed: i64 = workspace.one("SELECT count(*) FROM qdjobs_attempts WHERE outcome = 'crashed'", []);
    let failed: Vec<String> = workspace.all("SELECT error FROM qdjobs_attempts WHERE outcome = 'failed'", []);
    println!("{} jobs and as many follow-ups, {kills} kills, {crashed} attempts crashed", jobs.len());
    println!("attempts that failed: {}, first {:?}", failed.len(), failed.first());
    if seconds.is_none() {
        workspace.assert_all_completed();
    }
    let wrong: Vec<String> = workspace.all(
        "SELECT id || ' ' || task_name || ' ' || status || ': ' || effects FROM
             (SELECT id, task_name, status, (SELECT count(*) FROM effects WHERE job = id) AS effects FROM qdjobs_jobs)
         WHERE effects <> (status = 'completed')",
        [],
    );
    assert!(wrong.is_empty(), "not exactly once: {wrong:?}");
    let wrong: Vec<String> = workspace.all(
        "SELECT id || ': ' || coalesce(follow_ups, 0) FROM qdjobs_jobs
         LEFT JOIN (SELECT params ->> 'of' AS follows, count(*) AS follow_ups FROM qdjobs_jobs
                    WHERE task_name = 'follow' GROUP BY follows) ON follows = id
         WHERE task_name = 'effect' AND coalesce(follow_ups, 0) <> (status = 'completed')",
        [],
    );
    assert!(wrong.is_empty(), "not one follow-up: {wrong:?}");
    let last: i64 = workspace.one("SELECT count(*) FROM effects JOIN qdjobs_jobs ON id = job WHERE effects.attempt <> qdjobs_jobs.attempt", []);
    assert_eq!(last, 0, "an effect of an attempt that did not complete its job");
    assert!(crashed >= KILLS as i64 / 5, "too few kills hit an attempt: {crashed}");
}
