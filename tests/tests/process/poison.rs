//! What the death of a process costs a thousand jobs that it runs at once, with poison jobs among them and
//! without.

use std::time::{Duration, Instant};

use crate::assert_speed;
use crate::worker_process::WorkerProcess;
use crate::workspace::Workspace;

/// How long each job runs.
const JOB: &str = r#"{"ms": 500}"#;

/// How long a poison job runs before it ends its process.
const POISON: &str = r#"{"ms": 50}"#;

/// Only on a machine that hangs it takes longer; one job at a time would take 500 s.
const MUCH_TOO_LONG: Duration = Duration::from_secs(20);

fn start(workspace: &Workspace, jobs: usize) -> WorkerProcess {
    let jobs = jobs.to_string();
    WorkerProcess::worker_soon(workspace, ["--async-concurrency", &jobs])
}

#[test]
fn a_thousand_jobs_of_killed_processes_are_done_within_seconds_of_their_restart() {
    for processes in [1, 4] {
        let workspace = Workspace::alone();
        workspace.insert(&[("sleepy", JOB); 1_000]);
        let start_all =
            || -> Vec<_> { (0..processes).map(|_| start(&workspace, 1_000 / processes)).collect() };
        let mut workers = start_all();
        for worker in &mut workers {
            worker.wait_nth(1_000 / processes, "all jobs to run", |line| line.is("start"));
        }
        workers.iter_mut().for_each(WorkerProcess::kill);
        let killed: i64 = workspace.one("SELECT count(*) FROM qdjobs_jobs WHERE status = 'running'", []);
        assert!(killed > 500, "killed too late to prove anything: {killed}");
        let restarted = Instant::now();
        let _workers = start_all();
        workspace.wait_drained();
        let done = restarted.elapsed();
        println!(
            "{killed} jobs of 0.5 s, {processes} processes killed once: done {done:.2?} after the restart"
        );
        assert!(done < MUCH_TOO_LONG, "{done:?}");
        assert_speed(done, Duration::from_secs(3));
        workspace.assert_all_completed();
        let crashes: Vec<i64> =
            workspace.all("SELECT DISTINCT crash_count FROM qdjobs_jobs WHERE attempt > 1", []);
        assert_eq!(crashes, [1]);
    }
}

/// Each of the two workers of a process always finds the same job. Each death is one of both jobs.
#[test]
fn a_job_that_is_alone_in_its_worker_does_not_fail_for_one_of_another_worker_of_its_process() {
    let workspace = Workspace::alone();
    workspace.insert(&[("sleepy", JOB), ("abort_async", POISON)]);
    let start = || WorkerProcess::worker_soon(&workspace, ["--tasks", "abort_async", "--beside", "sleepy"]);
    let (deaths, _) = restart_until_done(&workspace, &mut [start()], start);
    workspace.assert_sound();
    let ended =
        "SELECT group_concat(task_name || ' ' || status, ', ') FROM (SELECT * FROM qdjobs_jobs ORDER BY id)";
    assert_eq!(workspace.one::<String>(ended, []), "sleepy completed, abort_async failed");
    // Two until both are suspected, if both were running, and one alone.
    assert!((3..=5).contains(&deaths), "{deaths}");
}

/// Starts each process again when it has ended, until all jobs have ended. Returns how often that was, and when last.
fn restart_until_done(
    workspace: &Workspace,
    workers: &mut [WorkerProcess],
    start: impl Fn() -> WorkerProcess,
) -> (usize, Instant) {
    let (mut deaths, mut restarted) = (0, Instant::now());
    let left = "SELECT count(*) FROM qdjobs_jobs WHERE status IN ('pending', 'running')";
    while workspace.one::<i64>(left, []) > 0 {
        for worker in workers.iter_mut() {
            if !worker.has_ended() {
                continue;
            }
            deaths += 1;
            restarted = Instant::now();
            *worker = start();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    (deaths, restarted)
}

/// `processes` workers share 1,000 jobs, of which those at `places` end their process. Each process is started
/// again when it ends. Returns the deaths, how long the rest took after the last one, and how long all took.
fn search(processes: usize, places: &[usize]) -> (usize, Duration, Duration) {
    let workspace = Workspace::alone();
    let mut jobs = vec![("sleepy", JOB); 1_000];
    places.iter().for_each(|place| jobs[*place] = ("abort_async", POISON));
    let ids = workspace.insert(&jobs);
    let poison: Vec<i64> = places.iter().map(|place| ids[*place]).collect();
    let mut workers: Vec<WorkerProcess> =
        (0..processes).map(|_| start(&workspace, 1_000 / processes)).collect();
    let begun = Instant::now();
    let (deaths, restarted) =
        restart_until_done(&workspace, &mut workers, || start(&workspace, 1_000 / processes));
    let (done, all) = (restarted.elapsed(), begun.elapsed());
    workspace.assert_sound();
    let failed: Vec<i64> =
        workspace.all("SELECT id FROM qdjobs_jobs WHERE status = 'failed' ORDER BY id", []);
    assert_eq!(failed, poison);
    let completed = format!("completed {}, failed {}", 1_000 - places.len(), places.len());
    assert_eq!(workspace.counts(), completed);
    for id in poison {
        let crashed = "SELECT count(*) FROM qdjobs_attempts WHERE job_id = ?1 AND outcome = 'crashed'";
        assert!(workspace.one::<i64>(crashed, [id]) >= 3, "its history shows why");
    }
    (deaths, done, all)
}

#[test]
fn poison_jobs_among_a_thousand_fail_and_delay_the_others_by_seconds() {
    for (processes, places) in [(1, &[500][..]), (1, &[0]), (1, &[3, 700]), (4, &[500]), (4, &[0, 999])] {
        let (deaths, done, all) = search(processes, places);
        println!(
            "{processes} processes, poison at {places:?}: {deaths} deaths, done {done:.2?} after the last, {all:.2?} in all"
        );
        // Two deaths with all of them, nine halves until it is the only one, and two more beside others.
        assert!(deaths <= 14 * places.len(), "{deaths}");
        assert!(done < MUCH_TOO_LONG, "{done:?}");
        assert!(all < MUCH_TOO_LONG + Duration::from_secs(1) * deaths as u32, "{all:?}");
        assert_speed(done, Duration::from_secs(5));
        // A restart and the life until the death.
        assert_speed(all, Duration::from_secs(5) + Duration::from_millis(500) * deaths as u32);
    }
}
