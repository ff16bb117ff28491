//! `kill -9`, abort and restart: accepted jobs are done, and running jobs are freed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::worker_process::WorkerProcess;
use crate::workspace::{Spread, Workspace};

/// How long a job may remain running after its worker was killed, while another worker lives: the promise.
const RESCUE: Duration = Duration::from_secs(3);

/// The same where a process that can free it has to be started first.
const START_AND_RESCUE: Duration = Duration::from_secs(5);

/// The running jobs of every worker.
const RUNNING: &str = "SELECT id FROM qdjobs_jobs WHERE status = 'running'";

#[test]
fn ten_kills_of_the_only_worker_lose_no_job_and_leave_none_running() {
    let workspace = Workspace::new();
    let mut acked = BTreeSet::new();
    let mut crashes: BTreeMap<i64, i64> = BTreeMap::new();
    let mut restarts = Vec::new();
    let mut frees = Vec::new();
    // A job may be killed in every round, and must not fail for it.
    let options = ["--concurrency", "4", "--max-crashes", "100"];
    let mut worker = WorkerProcess::worker(&workspace, options);
    for _ in 0..10 {
        // A job that every kill hits; from its second attempt on it ends.
        let gated = workspace.insert(&[("gated", "{}")])[0];
        (2..=11).for_each(|attempt| workspace.open_gate(gated, attempt));
        acked.insert(gated);
        for (task, jobs) in [("noop", "5"), ("slow", "40")] {
            let mut enqueuer = WorkerProcess::start(&workspace, ["enqueue", workspace.db(), task, jobs]);
            enqueuer.wait("its enqueues", |line| line.is("done"));
            acked.extend(enqueuer.log().iter().filter(|line| line.is("acked")).map(|line| line.number(0)));
        }
        worker.wait("it to run", |line| line.is_start_of(gated, 1));
        worker.kill();
        let killed = Instant::now();
        let left: Vec<i64> = workspace.all(RUNNING, []);
        assert!(left.contains(&gated));
        left.iter().for_each(|id| *crashes.entry(*id).or_default() += 1);
        let attempts: BTreeMap<i64, i64> = left
            .iter()
            .map(|&id| (id, workspace.one("SELECT attempt FROM qdjobs_jobs WHERE id = ?1", [id])))
            .collect();
        let before: i64 = worker.number();
        worker = WorkerProcess::worker_soon(&workspace, options);
        let held = "SELECT count(*) FROM qdjobs_jobs WHERE status = 'running' AND worker_id = ?1";
        frees.push(workspace.wait(held, [before], 0) - killed);
        for (&id, &attempt) in &attempts {
            worker.wait("a rescued job to start again", |line| line.is_start_of(id, attempt + 1));
        }
        restarts.push(killed.elapsed());
    }
    workspace.wait_drained();
    workspace.assert_all_completed();
    assert_eq!(acked.len(), 460);
    assert_eq!(acked, workspace.all("SELECT id FROM qdjobs_jobs", []).into_iter().collect());
    // Exactly those that ran when a worker was killed, and as often as that.
    let counted: BTreeMap<i64, i64> = {
        let ids: Vec<i64> = workspace.all("SELECT id FROM qdjobs_jobs WHERE crash_count > 0 ORDER BY id", []);
        let counts =
            workspace.all("SELECT crash_count FROM qdjobs_jobs WHERE crash_count > 0 ORDER BY id", []);
        ids.into_iter().zip(counts).collect()
    };
    assert_eq!(counted, crashes);
    let late: Vec<i64> = workspace.all(
        "SELECT id FROM qdjobs_jobs WHERE retry_count > 0 OR attempt <> 1 +
             (SELECT count(*) FROM qdjobs_attempts WHERE job_id = id AND outcome IN ('crashed', 'released'))",
        [],
    );
    assert!(late.is_empty(), "a crash costs one attempt and no retry: {late:?}");
    let (frees, restarts) = (Spread::of(frees), Spread::of(restarts));
    println!("kill to a row that is free again: {frees}");
    println!("kill to the restart of the last job that had been running: {restarts}");
    assert!(frees.worst() < START_AND_RESCUE);
}

#[test]
fn a_survivor_frees_the_jobs_of_a_killed_worker_within_seconds() {
    let workspace = Workspace::alone();
    let mut survivor = WorkerProcess::worker(&workspace, ["--concurrency", "4"]);
    let mut frees = Vec::new();
    let mut restarts = Vec::new();
    for _ in 0..5 {
        let mut sibling = WorkerProcess::worker(&workspace, ["--concurrency", "4"]);
        let number = sibling.number();
        // None of them ends before the kill.
        let jobs = workspace.insert(&[("gated", "{}"); 8]);
        sibling.wait("a job", |line| line.is("start"));
        sibling.kill();
        let killed = Instant::now();
        let listed = "SELECT count(*) FROM qdjobs_workers WHERE id = ?1";
        frees.push(workspace.wait(listed, [number], 0) - killed);
        let crashed = "SELECT job_id FROM qdjobs_attempts WHERE worker_id = ?1 AND outcome = 'crashed'";
        let crashed: Vec<i64> = workspace.all(crashed, [number]);
        assert!(!crashed.is_empty(), "killed too late to prove anything");
        for (id, attempt) in jobs.into_iter().flat_map(|id| [(id, 1), (id, 2)]) {
            workspace.open_gate(id, attempt);
        }
        for id in crashed {
            survivor.wait("a rescued job to start again", |line| line.is_start_of(id, 2));
        }
        restarts.push(killed.elapsed());
        workspace.wait_drained();
    }
    workspace.assert_all_completed();
    assert!(!survivor.log().iter().any(|line| line.is("lease-lost") || line.is("discarded")));
    let (frees, restarts) = (Spread::of(frees), Spread::of(restarts));
    println!("kill of a sibling to its rows being free: {frees}");
    println!("kill of a sibling to the restart of its last job: {restarts}");
    assert!(frees.worst() < RESCUE);
    // The files of dead processes are gone too: only the survivor's lock and wake socket remain, and the disk
    // reserve.
    let left =
        std::fs::read_dir(format!("{}-workers", workspace.db())).unwrap().map(|it| it.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name != "disk_reserve").collect();
    assert!(left.len() <= 2, "{left:?}");
}

#[test]
fn jobs_left_at_a_stop_are_done_after_the_restart() {
    let workspace = Workspace::new();
    let mut worker = WorkerProcess::worker(&workspace, ["--concurrency", "2", "--until", "stop"]);
    let many = workspace.insert(&[("slow", r#"{"ms": 20}"#); 60]);
    let retried = workspace.insert(&[("boom", r#"{"times": 1}"#)])[0];
    // A panic, whose retry waits in the database, and a job that is due after the stop.
    workspace.sql.execute("UPDATE qdjobs_jobs SET priority = 1 WHERE id = ?1", [retried]).unwrap();
    worker.wait("the failure of an attempt", |line| line.is("retrying"));
    let scheduled: i64 = workspace.one(
        "INSERT INTO qdjobs_jobs (task_name, params, scheduled_at)
         VALUES ('noop', '{\"n\": 1}', (unixepoch() + 2) * 1000000) RETURNING id",
        [],
    );
    worker.wait_nth(5, "some jobs", |line| line.is("end"));
    worker.tell("stop");
    worker.wait_success();
    let [running, pending]: [i64; 2] = ["running", "pending"]
        .map(|status| workspace.one("SELECT count(*) FROM qdjobs_jobs WHERE status = ?1", [status]));
    assert_eq!(running, 0);
    assert!(pending > 0, "stopped too late to prove anything");
    assert_eq!(workspace.one::<i64>("SELECT count(*) FROM qdjobs_workers", []), 0);

    let _worker = WorkerProcess::worker(&workspace, ["--concurrency", "2"]);
    workspace.wait_drained();
    workspace.assert_all_completed();
    let starts = workspace.starts();
    assert!(
        many.iter().all(|id| starts[id] == 1),
        "after a stop in good order no job runs twice: {starts:?}"
    );
    assert_eq!((starts[&retried], starts[&scheduled]), (2, 1));
    let early: i64 = workspace.one("SELECT count(*) FROM qdjobs_jobs WHERE started_at < scheduled_at", []);
    assert_eq!(early, 0, "no job before its scheduled time");
}

/// Starts workers one after the other until no job is left to do; returns how many of them died, each while
/// it ran `poison`.
fn count_deaths(workspace: &Workspace, poison: i64, mut before_each_life: impl FnMut(usize)) -> usize {
    let mut deaths = 0;
    loop {
        before_each_life(deaths);
        let mut worker = WorkerProcess::worker_soon(workspace, ["--concurrency", "24"]);
        let left = "SELECT count(*) FROM qdjobs_jobs WHERE status IN ('pending', 'running')";
        while !worker.has_ended() && workspace.one::<i64>(left, []) > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !worker.has_ended() {
            return deaths;
        }
        deaths += 1;
        let words = worker.into_lines();
        assert!(
            words.iter().any(|line| line.is("start") && line.number(0) == poison),
            "it ended without the poison job"
        );
    }
}

#[test]
fn a_task_that_aborts_the_process_loses_no_other_job() {
    let workspace = Workspace::new();
    let bystanders = workspace.insert(&[("slow", r#"{"ms": 300}"#); 6]);
    let poison = workspace.insert(&[("abort", r#"{"times": 2}"#)])[0];
    assert_eq!(count_deaths(&workspace, poison, |_| {}), 2, "two attempts abort, the third does not");
    workspace.assert_all_completed();
    let crash_count =
        |id: i64| -> i64 { workspace.one("SELECT crash_count FROM qdjobs_jobs WHERE id = ?1", [id]) };
    assert_eq!(crash_count(poison), 2);
    assert!(bystanders.iter().all(|&id| crash_count(id) <= 2));
}

#[test]
fn a_job_that_always_aborts_is_found_among_twenty_others_which_complete() {
    let workspace = Workspace::new();
    let bystanders = workspace.insert(&[("slow", r#"{"ms": 50}"#); 20]);
    let poison = workspace.insert(&[("abort", r#"{"times": 1000}"#)])[0];
    // Two that come while the poison job is searched.
    let mut fresh = Vec::new();
    let deaths = count_deaths(&workspace, poison, |deaths| {
        if deaths == 2 {
            fresh = workspace.insert(&[("gated", "{}"); 2]);
            let attempts = fresh.iter().flat_map(|&id| (1..9).map(move |attempt| (id, attempt)));
            attempts.for_each(|(id, attempt)| workspace.open_gate(id, attempt));
        }
    });
    // Two until it is suspected, one for each half of a half, and two more beside others.
    assert!((3..=9).contains(&deaths), "{deaths}");
    workspace.assert_sound();
    let (status, crash_count, retry_count): (String, i64, i64) = workspace
        .sql
        .query_row(
            "SELECT status, crash_count, retry_count FROM qdjobs_jobs WHERE id = ?1",
            [poison],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!((status.as_str(), crash_count, retry_count), ("failed", deaths as i64, 0));
    let error: String = workspace.one("SELECT error FROM qdjobs_jobs WHERE id = ?1", [poison]);
    assert!(
        error.contains(&format!("died or was presumed dead {deaths} times, so the job has failed")),
        "{error}"
    );
    let completed =
        "SELECT count(*) FROM qdjobs_jobs WHERE id = ?1 AND status = 'completed' AND retry_count = 0";
    for id in bystanders.into_iter().chain(fresh) {
        assert_eq!(workspace.one::<i64>(completed, [id]), 1, "job {id}");
    }
}

#[test]
fn a_killed_enqueuer_loses_no_job_whose_enqueue_was_answered() {
    let workspace = Workspace::new();
    let mut worker = WorkerProcess::worker(&workspace, ["--concurrency", "4"]);
    let mut acked = BTreeSet::new();
    for round in 0..6 {
        let mut enqueuer = WorkerProcess::start(&workspace, ["enqueue", workspace.db(), "noop", "1000000"]);
        enqueuer.wait_nth(20 + round * 37, "its enqueues", |line| line.is("acked"));
        enqueuer.kill();
        let words = enqueuer.into_lines();
        assert!(!words.iter().any(|line| line.is("done")), "it was not killed midway");
        acked.extend(words.iter().filter(|line| line.is("acked")).map(|line| line.number(0)));
        workspace.assert_sound();
    }
    workspace.wait_drained();
    workspace.assert_all_completed();
    let stored: BTreeSet<i64> = workspace.all("SELECT id FROM qdjobs_jobs", []).into_iter().collect();
    let lost: Vec<i64> = acked.difference(&stored).copied().collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    // For each kill one job may have been stored without an answer.
    assert!(stored.len() <= acked.len() + 6, "{} stored, {} acked", stored.len(), acked.len());
    assert!(!worker.log().iter().any(|line| line.is("store-error")));
}

#[test]
#[cfg(unix)]
fn files_of_a_process_that_died_before_it_was_registered_are_deleted_at_the_next_start() {
    let workspace = Workspace::new();
    let beside = workspace.path("jobs.db-workers");
    std::fs::create_dir(&beside).unwrap();
    // As after a kill between creating these two files and the commit that registers the worker.
    std::fs::write(beside.join("00000000000000a1.lock"), "1\n").unwrap();
    drop(std::os::unix::net::UnixDatagram::bind(beside.join("00000000000000a2.wake")).unwrap());
    // Two files of live processes, and one that is not the library's.
    let alive = std::fs::File::create(beside.join("00000000000000b1.lock")).unwrap();
    alive.lock().unwrap();
    let _answers = std::os::unix::net::UnixDatagram::bind(beside.join("00000000000000b2.wake")).unwrap();
    std::fs::write(beside.join("notes.txt"), "").unwrap();
    let worker = WorkerProcess::worker(&workspace, []);
    let left = || {
        let names =
            std::fs::read_dir(&beside).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| name.starts_with("00000000") || name.ends_with(".txt"))
            .collect::<BTreeSet<String>>()
    };
    let kept = ["00000000000000b1.lock", "00000000000000b2.wake", "notes.txt"];
    assert_eq!(left(), kept.map(str::to_owned).into());
    drop(worker);
}
