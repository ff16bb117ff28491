//! Two processes, one file.

use std::collections::BTreeMap;

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
