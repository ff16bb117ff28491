//! Tasks that take their process with them, in each way there is: what the process held is free again at once, and a crash is
//! counted apart from a failure.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::scene::{Scene, Spread};
use crate::worker_process::WorkerProcess;

/// How soon the jobs of a process that died can be claimed again on the same machine, by promise.
const RESCUE: Duration = Duration::from_secs(2);

/// What a loaded machine may add to it.
const LOAD: Duration = Duration::from_secs(1);

/// A task for each kind of death.
const DEATHS: [&str; 3] = ["abort", "overflow", "hog"];

/// A worker that may not have more than 4 GiB of addresses, as `hog` needs it.
fn limited<'a>(scene: &Scene, options: impl IntoIterator<Item = &'a str>) -> WorkerProcess {
    let mut shell = Command::new("sh");
    let limit_and_become = r#"ulimit -v 4194304 && exec "$0" "$@""#;
    shell.args(["-c", limit_and_become, env!("CARGO_BIN_EXE_worker_process")]);
    let mut worker = WorkerProcess::worker_by(&mut shell, scene, options);
    worker.wait("its worker to start", |said| said.is("started"));
    worker
}

#[test]
fn what_a_dead_process_held_is_free_within_two_seconds_and_counts_a_crash_and_no_failure() {
    let scene = Scene::alone();
    let mut frees = Vec::new();
    for death in DEATHS {
        // Each could run it: this one takes the whole process along, and only this one.
        let mut doomed = limited(&scene, ["--tasks", &format!("{death},gated")]);
        let gated = scene.insert_once(&[("gated", "{}")])[0];
        doomed.wait("a bystander to run", |said| said.is_start_of(gated, 1));
        // One who frees what the dead one held, and cannot run it.
        let survivor = WorkerProcess::worker(&scene, ["--tasks", "noop"]);
        let culprit = scene.insert_once(&[(death, r#"{"times": 1}"#)])[0];
        doomed.wait("the culprit to begin", |said| said.is_start_of(culprit, 1));
        let status = doomed.wait_exit();
        let died = Instant::now();
        assert_eq!(signal_of(status), Some(rustix::process::Signal::ABORT.as_raw()), "{death}: {status}");
        let free = scene.wait("SELECT count(*) FROM qdjobs_jobs WHERE status = 'running'", [], 0_i64) - died;
        println!("{death}: its jobs were free after {free:.2?}");
        frees.push(free);
        for id in [culprit, gated] {
            let stands: String = scene.one(
                "SELECT status || ' attempt ' || attempt || ' retries ' || retry_count || ' crashes ' || crash_count
                 FROM qdjobs_jobs WHERE id = ?1",
                [id],
            );
            assert_eq!(stands, "pending attempt 1 retries 0 crashes 1", "{death}");
        }
        // They may not be retried, and are run again all the same: no attempt of theirs has failed.
        let mut next = WorkerProcess::worker(&scene, []);
        scene.open_gate(gated, 2);
        for id in [culprit, gated] {
            next.wait("it to run again", |said| said.is_start_of(id, 2));
        }
        scene.wait_drained();
        drop(survivor);
    }
    scene.assert_all_completed();
    let outcomes: Vec<String> =
        scene.all("SELECT group_concat(outcome) FROM qdjobs_attempts GROUP BY job_id", []);
    assert_eq!(outcomes, ["crashed,completed"; 2 * DEATHS.len()]);
    let frees = Spread::of(frees);
    println!("a death to rows that are free again: {frees}");
    assert!(frees.worst() < RESCUE + LOAD);
}

/// Whatever it is that it does, and however often a new process comes: at the third death it is over.
#[test]
fn a_job_that_kills_every_process_is_dead_after_three_and_its_bystanders_complete() {
    for death in DEATHS {
        let scene = Scene::new();
        let bystanders = scene.insert_once(&[("slow", r#"{"ms": 30}"#); 10]);
        let culprit = scene.insert_once(&[(death, r#"{"times": 1000}"#)])[0];
        let mut deaths = 0;
        let unfinished = "SELECT count(*) FROM qdjobs_jobs WHERE status IN ('pending', 'running')";
        loop {
            let mut worker = limited(&scene, ["--concurrency", "4"]);
            while !worker.has_ended() && scene.one::<i64>(unfinished, []) > 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
            if !worker.has_ended() {
                break;
            }
            deaths += 1;
            assert!(deaths <= 3, "{death}: it goes on killing");
        }
        assert_eq!(deaths, 3, "{death}");
        scene.assert_sound();
        let stands = |id: i64| -> String {
            let sql = "SELECT status || ' retries ' || retry_count || ' crashes ' || crash_count FROM qdjobs_jobs WHERE id = ?1";
            scene.one(sql, [id])
        };
        assert_eq!(stands(culprit), "failed retries 0 crashes 3", "{death}");
        let error: String = scene.one("SELECT error FROM qdjobs_jobs WHERE id = ?1", [culprit]);
        assert!(error.starts_with("the worker died 3 times while it ran this job"), "{death}: {error}");
        let stand: Vec<String> = bystanders.iter().map(|&id| stands(id)).collect();
        let lives = ["completed retries 0 crashes 0", "completed retries 0 crashes 1"];
        assert!(stand.iter().all(|it| lives.contains(&it.as_str())), "{death}: {stand:?}");
    }
}

fn signal_of(status: std::process::ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}
