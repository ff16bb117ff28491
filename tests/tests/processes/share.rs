//! Processes that share one file, and its one lock.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::scene::Scene;
use crate::victim::Victim;

#[test]
fn two_workers_share_the_jobs_and_run_each_of_them_once() {
    let scene = Scene::new();
    let workers = [0; 2].map(|_| Victim::worker(&scene, ["--concurrency", "2"]));
    // Long enough for each to look several times whether the other is alive.
    let jobs = scene.insert(&[("slow", r#"{"ms": 20}"#); 300]);
    let more = scene.insert(&[("sleepy", r#"{"ms": 20}"#); 100]);
    scene.wait_drained();
    scene.assert_all_completed();
    let starts = scene.starts();
    assert_eq!(starts.len(), jobs.len() + more.len());
    assert!(starts.values().all(|&times| times == 1), "run twice: {starts:?}");
    let ledger = scene.read_ledger();
    let strange = |what: &str| ["rescued", "lost", "refused", "trouble"].contains(&what);
    let strange: Vec<_> = ledger.iter().filter(|said| strange(&said.what)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    let mut shares: BTreeMap<u32, usize> = BTreeMap::new();
    for said in ledger.iter().filter(|said| said.is("end")) {
        *shares.entry(said.pid).or_default() += 1;
    }
    println!("400 jobs by two processes: {shares:?}");
    assert!(workers.iter().all(|worker| shares.get(&worker.pid()).is_some_and(|&share| share >= 40)));
}

#[test]
fn a_worker_whose_beats_were_held_up_ends_what_it_runs_and_goes_on_when_they_are_answered() {
    let scene = Scene::new();
    let mut worker = Victim::worker(&scene, ["--concurrency", "1", "--lease", "1000"]);
    let job = scene.insert(&[("patient", r#"{"ms": 600000}"#)])[0];
    scene.sql.execute("UPDATE qdjobs_jobs SET max_retries = 0", []).unwrap();
    worker.wait("the job to start", |said| said.is_start_of(job, 1));
    // Somebody else writes for longer than the lease: for all the worker knows, it is being taken for dead.
    scene.while_nobody_writes(|| {
        worker.wait("it to be told to stop", |said| said.is("stopping") && said.number(0) == job);
    });
    // Nobody has taken it for dead: the job went back to the queue, and no retry is lost.
    worker.wait("the job to start again", |said| said.is_start_of(job, 2));
    assert_eq!(scene.one::<i64>("SELECT retry_count + crash_count FROM qdjobs_jobs", []), 0);
    let outcomes: Vec<String> = scene.all("SELECT outcome FROM qdjobs_attempts", []);
    assert_eq!(outcomes, ["released"]);
    assert!(!worker.said().iter().any(|said| said.is("lost") || said.is("refused")));
}

#[test]
fn workers_that_all_wait_for_the_lock_do_not_take_each_other_for_dead() {
    let scene = Scene::new();
    let mut workers = [0; 3].map(|_| Victim::worker(&scene, ["--concurrency", "1", "--lease", "1000"]));
    scene.insert(&[("slow", r#"{"ms": 20}"#); 12]);
    scene.wait_drained();
    // Nobody's beats get through for three leases, as when a process was stopped with the lock in its hands.
    scene.while_nobody_writes(|| std::thread::sleep(Duration::from_secs(3)));
    scene.insert(&[("slow", r#"{"ms": 20}"#); 12]);
    scene.wait_drained();
    scene.assert_all_completed();
    for worker in &mut workers {
        assert!(
            !worker.said().iter().any(|said| said.is("lost") || said.is("rescued")),
            "{:?}",
            worker.said()
        );
    }
}
