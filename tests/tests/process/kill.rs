//! `kill -9`, abort and restart: what was accepted is done, and what ran is freed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::scene::{Scene, Spread};
use crate::worker_process::WorkerProcess;

/// How long a job may stand as running after its worker was killed, while another worker lives: the promise.
const RESCUE: Duration = Duration::from_secs(3);

/// The same where a process has to be started first that can free it.
const START_AND_RESCUE: Duration = Duration::from_secs(5);

/// The jobs that are running, of no matter whom.
const RUNNING: &str = "SELECT id FROM qdjobs_jobs WHERE status = 'running'";

#[test]
fn ten_kills_of_the_only_worker_lose_no_job_and_leave_none_running() {
    let scene = Scene::new();
    let mut acked = BTreeSet::new();
    let mut crashes: BTreeMap<i64, i64> = BTreeMap::new();
    let mut restarts = Vec::new();
    let mut frees = Vec::new();
    // A job may be unlucky more than three times here, and is not to attribute_crash for it.
    let options = ["--concurrency", "4", "--max-crashes", "100"];
    let mut worker = WorkerProcess::worker(&scene, options);
    for _ in 0..10 {
        // One that the kill hits whatever else it hits; from its second attempt on it ends.
        let gated = scene.insert(&[("gated", "{}")])[0];
        (2..=11).for_each(|attempt| scene.open_gate(gated, attempt));
        acked.insert(gated);
        for (task, jobs) in [("noop", "5"), ("slow", "40")] {
            let mut enqueuer = WorkerProcess::start(&scene, ["enqueue", scene.db(), task, jobs]);
            enqueuer.wait("its enqueues", |said| said.is("bye"));
            acked.extend(enqueuer.said().iter().filter(|said| said.is("acked")).map(|said| said.number(0)));
        }
        worker.wait("it to run", |said| said.is_start_of(gated, 1));
        worker.kill();
        let killed = Instant::now();
        let left: Vec<i64> = scene.all(RUNNING, []);
        assert!(left.contains(&gated));
        let suspects: Vec<i64> =
            scene.all("SELECT id FROM qdjobs_jobs WHERE status = 'running' AND crash_count > 0", []);
        assert!(suspects.len() <= 1, "a worker holds one suspect at a time: {suspects:?}");
        for id in if suspects.is_empty() { &left } else { &suspects } {
            *crashes.entry(*id).or_default() += 1;
        }
        let attempts: BTreeMap<i64, i64> = left
            .iter()
            .map(|&id| (id, scene.one("SELECT attempt FROM qdjobs_jobs WHERE id = ?1", [id])))
            .collect();
        let before: i64 = worker.number();
        worker = WorkerProcess::worker_soon(&scene, options);
        let held = "SELECT count(*) FROM qdjobs_jobs WHERE status = 'running' AND worker_id = ?1";
        frees.push(scene.wait(held, [before], 0) - killed);
        for (&id, &attempt) in &attempts {
            worker.wait("a rescued job to start again", |said| said.is_start_of(id, attempt + 1));
        }
        restarts.push(killed.elapsed());
    }
    scene.wait_drained();
    scene.assert_all_completed();
    assert_eq!(acked.len(), 460);
    assert_eq!(acked, scene.all("SELECT id FROM qdjobs_jobs", []).into_iter().collect());
    // Exactly those that ran when a worker was killed, or the suspect among them, and as often as that.
    let counted: BTreeMap<i64, i64> = {
        let ids: Vec<i64> = scene.all("SELECT id FROM qdjobs_jobs WHERE crash_count > 0 ORDER BY id", []);
        let counts = scene.all("SELECT crash_count FROM qdjobs_jobs WHERE crash_count > 0 ORDER BY id", []);
        ids.into_iter().zip(counts).collect()
    };
    assert_eq!(counted, crashes);
    let late: Vec<i64> = scene.all(
        "SELECT id FROM qdjobs_jobs WHERE retry_count > 0 OR attempt <> 1 +
             (SELECT count(*) FROM qdjobs_attempts WHERE job_id = id AND outcome IN ('crashed', 'released'))",
        [],
    );
    assert!(late.is_empty(), "a death costs one attempt and no retry: {late:?}");
    let (frees, restarts) = (Spread::of(frees), Spread::of(restarts));
    println!("kill to a row that is free again: {frees}");
    println!("kill to the restart of the last job that had been running: {restarts}");
    assert!(frees.worst() < START_AND_RESCUE);
}

#[test]
fn a_survivor_frees_a_killed_siblings_jobs_within_seconds() {
    let scene = Scene::alone();
    let mut survivor = WorkerProcess::worker(&scene, ["--concurrency", "4"]);
    let mut frees = Vec::new();
    let mut restarts = Vec::new();
    for _ in 0..5 {
        let mut sibling = WorkerProcess::worker(&scene, ["--concurrency", "4"]);
        let number = sibling.number();
        // None of them ends before the kill.
        let jobs = scene.insert(&[("gated", "{}"); 8]);
        sibling.wait("a job", |said| said.is("start"));
        sibling.kill();
        let killed = Instant::now();
        let listed = "SELECT count(*) FROM qdjobs_workers WHERE id = ?1";
        frees.push(scene.wait(listed, [number], 0) - killed);
        let crashed = "SELECT job_id FROM qdjobs_attempts WHERE worker_id = ?1 AND outcome = 'crashed'";
        let crashed: Vec<i64> = scene.all(crashed, [number]);
        assert!(!crashed.is_empty(), "killed at a moment that proves nothing");
        for (id, attempt) in jobs.into_iter().flat_map(|id| [(id, 1), (id, 2)]) {
            scene.open_gate(id, attempt);
        }
        for id in crashed {
            survivor.wait("a rescued job to start again", |said| said.is_start_of(id, 2));
        }
        restarts.push(killed.elapsed());
        scene.wait_drained();
    }
    scene.assert_all_completed();
    assert!(!survivor.said().iter().any(|said| said.is("lost") || said.is("refused")));
    let (frees, restarts) = (Spread::of(frees), Spread::of(restarts));
    println!("kill of a sibling to its rows being free: {frees}");
    println!("kill of a sibling to the restart of its last job: {restarts}");
    assert!(frees.worst() < RESCUE);
    // What the dead left lying about is gone too: only the survivor's file and door are there, and the reserve for all.
    let left =
        std::fs::read_dir(format!("{}-workers", scene.db())).unwrap().map(|it| it.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name != "disk_reserve").collect();
    assert!(left.len() <= 2, "{left:?}");
}

#[test]
fn what_is_left_at_a_stop_is_done_after_the_restart() {
    let scene = Scene::new();
    let mut worker = WorkerProcess::worker(&scene, ["--concurrency", "2", "--until", "stop"]);
    let many = scene.insert(&[("slow", r#"{"ms": 20}"#); 60]);
    let retried = scene.insert(&[("boom", r#"{"times": 1}"#)])[0];
    // A panic, whose retry waits in the database, and a job whose time comes after the stop.
    scene.sql.execute("UPDATE qdjobs_jobs SET priority = 1 WHERE id = ?1", [retried]).unwrap();
    worker.wait("the failure of an attempt", |said| said.is("retrying"));
    let scheduled: i64 = scene.one(
        "INSERT INTO qdjobs_jobs (task_name, params, scheduled_at)
         VALUES ('noop', '{\"n\": 1}', (unixepoch() + 2) * 1000000) RETURNING id",
        [],
    );
    worker.wait_nth(5, "some jobs", |said| said.is("end"));
    worker.tell("stop");
    worker.wait_success();
    let [running, pending]: [i64; 2] = ["running", "pending"]
        .map(|status| scene.one("SELECT count(*) FROM qdjobs_jobs WHERE status = ?1", [status]));
    assert_eq!(running, 0);
    assert!(pending > 0, "stopped at a moment that proves nothing");
    assert_eq!(scene.one::<i64>("SELECT count(*) FROM qdjobs_workers", []), 0);

    let _worker = WorkerProcess::worker(&scene, ["--concurrency", "2"]);
    scene.wait_drained();
    scene.assert_all_completed();
    let starts = scene.starts();
    assert!(many.iter().all(|id| starts[id] == 1), "a stop in peace runs nothing twice: {starts:?}");
    assert_eq!((starts[&retried], starts[&scheduled]), (2, 1));
    let early: i64 = scene.one("SELECT count(*) FROM qdjobs_jobs WHERE started_at < scheduled_at", []);
    assert_eq!(early, 0, "nothing before its time");
}

/// Lets workers live one after the other until no job is left to do; answers how many of them died, each while it ran `culprit`.
fn count_deaths(scene: &Scene, culprit: i64, mut before_each_life: impl FnMut(usize)) -> usize {
    let mut deaths = 0;
    loop {
        before_each_life(deaths);
        let mut worker = WorkerProcess::worker_soon(scene, ["--concurrency", "24"]);
        let left = "SELECT count(*) FROM qdjobs_jobs WHERE status IN ('pending', 'running')";
        while !worker.has_ended() && scene.one::<i64>(left, []) > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !worker.has_ended() {
            return deaths;
        }
        deaths += 1;
        let words = worker.last_words();
        assert!(words.iter().any(|said| said.is("start") && said.number(0) == culprit), "ended unprovoked");
    }
}

#[test]
fn a_task_that_aborts_the_process_takes_no_other_job_with_it() {
    let scene = Scene::new();
    let bystanders = scene.insert(&[("slow", r#"{"ms": 300}"#); 6]);
    let culprit = scene.insert(&[("abort", r#"{"times": 2}"#)])[0];
    assert_eq!(count_deaths(&scene, culprit, |_| {}), 2, "two attempts abort, the third does not");
    scene.assert_all_completed();
    let crash_count =
        |id: i64| -> i64 { scene.one("SELECT crash_count FROM qdjobs_jobs WHERE id = ?1", [id]) };
    assert_eq!(crash_count(culprit), 2);
    assert!(bystanders.iter().all(|&id| crash_count(id) <= 1));
}

#[test]
fn a_job_that_always_aborts_is_dead_after_three_crashes_and_twenty_bystanders_complete() {
    let scene = Scene::new();
    let bystanders = scene.insert(&[("slow", r#"{"ms": 50}"#); 20]);
    let culprit = scene.insert(&[("abort", r#"{"times": 1000}"#)])[0];
    // When the culprit is known as a suspect, these run beside it until the process ends.
    let mut fresh = Vec::new();
    let deaths = count_deaths(&scene, culprit, |deaths| {
        if deaths == 2 {
            fresh = scene.insert(&[("gated", "{}"); 2]);
            fresh.iter().for_each(|&id| scene.open_gate(id, 2));
        }
    });
    assert_eq!(deaths, 3);
    scene.assert_sound();
    let (status, crash_count, retry_count): (String, i64, i64) = scene
        .sql
        .query_row(
            "SELECT status, crash_count, retry_count FROM qdjobs_jobs WHERE id = ?1",
            [culprit],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!((status.as_str(), crash_count, retry_count), ("failed", 3, 0));
    let error: String = scene.one("SELECT error FROM qdjobs_jobs WHERE id = ?1", [culprit]);
    assert!(error.starts_with("the worker died 3 times while it ran this job"), "{error}");
    let crash_count = |id: i64| -> i64 {
        let completed =
            "SELECT crash_count FROM qdjobs_jobs WHERE id = ?1 AND status = 'completed' AND retry_count = 0";
        scene.one(completed, [id])
    };
    assert!(
        bystanders.iter().all(|&id| crash_count(id) <= 1),
        "each may have died with it once, and only once"
    );
    for id in fresh {
        assert_eq!(crash_count(id), 0);
        let error: String =
            scene.one("SELECT error FROM qdjobs_attempts WHERE job_id = ?1 AND outcome = 'released'", [id]);
        assert!(error.contains(&format!("the crash is counted for job {culprit}")), "{error}");
    }
}

#[test]
fn an_enqueuer_that_is_killed_loses_no_job_that_it_was_told_is_stored() {
    let scene = Scene::new();
    let mut worker = WorkerProcess::worker(&scene, ["--concurrency", "4"]);
    let mut acked = BTreeSet::new();
    for round in 0..6 {
        let mut enqueuer = WorkerProcess::start(&scene, ["enqueue", scene.db(), "noop", "1000000"]);
        enqueuer.wait_nth(20 + round * 37, "its enqueues", |said| said.is("acked"));
        enqueuer.kill();
        let words = enqueuer.last_words();
        assert!(!words.iter().any(|said| said.is("bye")), "it was not killed in the middle");
        acked.extend(words.iter().filter(|said| said.is("acked")).map(|said| said.number(0)));
        scene.assert_sound();
    }
    scene.wait_drained();
    scene.assert_all_completed();
    let stored: BTreeSet<i64> = scene.all("SELECT id FROM qdjobs_jobs", []).into_iter().collect();
    let lost: Vec<i64> = acked.difference(&stored).copied().collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    // One job a kill may have been stored and not answered.
    assert!(stored.len() <= acked.len() + 6, "{} stored, {} acked", stored.len(), acked.len());
    assert!(!worker.said().iter().any(|said| said.is("trouble")));
}

#[test]
#[cfg(unix)]
fn what_a_process_left_that_died_on_its_way_onto_the_list_goes_with_the_next_start() {
    let scene = Scene::new();
    let beside = scene.path("jobs.db-workers");
    std::fs::create_dir(&beside).unwrap();
    // As after a kill between these two and the commit that puts the worker onto the list.
    std::fs::write(beside.join("00000000000000a1.lock"), "1\n").unwrap();
    drop(std::os::unix::net::UnixDatagram::bind(beside.join("00000000000000a2.wake")).unwrap());
    // Two that are on their way right now, and one that is no business of ours.
    let alive = std::fs::File::create(beside.join("00000000000000b1.lock")).unwrap();
    alive.lock().unwrap();
    let _answers = std::os::unix::net::UnixDatagram::bind(beside.join("00000000000000b2.wake")).unwrap();
    std::fs::write(beside.join("notes.txt"), "").unwrap();
    let worker = WorkerProcess::worker(&scene, []);
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
