//! A full disk: a small file system in memory, filled to its last byte. Mounting one needs root; otherwise
//! the tests are skipped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use qdjobs::prelude::*;
use qdjobs::rusqlite::Connection;
use qdjobs::store::HealthState;
use qdjobs::{ErrorKind, JobQueue, Status};

use crate::worker_process::DEADLINE;

/// A file system of its own, unmounted at the end of the test.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn new(mib: usize) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={mib}m");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).status();
        mount.is_ok_and(|status| status.success()).then_some(SmallDisk { dir })
    }

    fn db(&self) -> PathBuf {
        self.dir.path().join("jobs.db")
    }

    fn filler(&self) -> PathBuf {
        self.dir.path().join("filler")
    }

    /// Uses all space but `left` bytes.
    fn fill(&self, left: usize) {
        use std::io::Write;
        let mut filler = std::fs::File::create(self.filler()).unwrap();
        while filler.write_all(&[7; 4096]).is_ok() {}
        let size = filler.metadata().unwrap().len();
        filler.set_len(size - left as u64).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

/// Where each job reports that it has started, and waits until its number is let through.
#[derive(Clone)]
struct Gate {
    arrived: Sender<i64>,
    open_below: Arc<(Mutex<i64>, Condvar)>,
}

/// Opens the gate; when dropped, for all.
struct GateOpener(Gate);

impl GateOpener {
    fn open_below(&self, number: i64) {
        let (below, opened) = &*self.0.open_below;
        *below.lock().unwrap() = number;
        opened.notify_all();
    }
}

impl Drop for GateOpener {
    fn drop(&mut self) {
        self.open_below(i64::MAX);
    }
}

#[task("disk_full.enter", retries = 0)]
fn enter(number: i64, #[state] gate: &Gate) -> String {
    gate.arrived.send(number).unwrap();
    let (below, opened) = &*gate.open_below;
    drop(opened.wait_while(below.lock().unwrap(), |below| *below <= number).unwrap());
    // Each result takes space of its own.
    "x".repeat(2_000)
}

#[task("disk_full.bulk")]
fn bulk(_text: String) {}

fn eventually(what: &str, fact: impl Fn() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !fact() {
        assert!(Instant::now() < until, "not within the deadline: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_full(queue: &JobQueue) -> bool {
    matches!(queue.health().state, HealthState::StorageFull { .. })
}

/// Stores jobs until one is refused; returns how many were stored.
fn enqueue_until_full(queue: &JobQueue) -> usize {
    let text = "y".repeat(10_000);
    for stored in 0.. {
        if let Err(error) = Bulk::new(&text).enqueue(queue) {
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error:?}");
            assert!(!error.may_be_stored() && error.to_string().contains("resumes automatically"), "{error}");
            return stored;
        }
    }
    unreachable!()
}

fn one(db: &Path, sql: &str) -> i64 {
    Connection::open(db).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn on_a_full_disk_running_jobs_finish_nothing_is_lost_and_all_resumes_when_there_is_space() {
    let Some(disk) = SmallDisk::new(32) else {
        crate::skip("a test file system can only be mounted by root");
        return;
    };
    let queue = JobQueue::options().disk_reserve(2 << 20).open(disk.db()).unwrap();
    // Another store on the same file behaves as another process would.
    let other = JobQueue::options().disk_reserve(2 << 20).open(disk.db()).unwrap();
    let (arrived, arrivals) = channel();
    let gate = Gate { arrived, open_below: Arc::default() };
    let worker = Worker::new(&queue).task::<Enter>().concurrency(8).state(gate.clone()).start().unwrap();
    let opener = GateOpener(gate);
    let reserve = disk.dir.path().join("jobs.db-workers/disk_reserve");
    let size = || std::fs::metadata(&reserve).map_or(0, |file| file.len());
    eventually("the reserve is created", || size() == 2 << 20);

    let running: Vec<_> = (0..8).map(|number| Enter::new(number).enqueue(&queue).unwrap()).collect();
    for _ in 0..8 {
        arrivals.recv_timeout(DEADLINE).unwrap();
    }
    // These wait for a slot, and there are more of them than slots: every slot that becomes free could begin
    // one.
    let waiting: Vec<_> = (8..20).map(|number| Enter::new(number).enqueue(&queue).unwrap()).collect();
    disk.fill(300_000);
    let stored = enqueue_until_full(&queue);
    assert!(is_full(&queue) && size() == 0);
    let late = std::cell::Cell::new(0);
    eventually("the other process sees it", || match Bulk::new("late").enqueue(&other) {
        Ok(_) => {
            late.set(late.get() + 1);
            false
        }
        Err(error) => error.kind() == ErrorKind::StorageFull && is_full(&other),
    });

    // The running ones finish, and no other begins.
    opener.open_below(8);
    for job in &running {
        assert_eq!(job.wait_timeout(DEADLINE).unwrap().len(), 2_000);
    }
    assert_eq!(enqueue_until_full(&queue), 0, "not even in the space that the reserve has freed");
    assert!(is_full(&queue));
    let begun =
        || one(&disk.db(), "SELECT count(*) FROM qdjobs_jobs WHERE status = 'running' OR attempt > 0");
    assert_eq!(begun(), 8, "a waiting job was claimed");
    // A person may make space with a command, which needs some space itself.
    let dying = queue.list(qdjobs::store::Filter::default()).unwrap().jobs;
    let is_bulk = |job: &&qdjobs::Job| job.status == Status::Pending && job.task_name == "disk_full.bulk";
    let dying = dying.iter().find(is_bulk).unwrap();
    queue.delete(dying.id).unwrap();
    // Longer than the interval at which a worker checks by itself whether there is a job.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(begun(), 8, "a waiting job was claimed later");
    assert!(arrivals.try_recv().is_err() && is_full(&queue));

    disk.free();
    eventually("there is space again", || queue.health().is_ok() && other.health().is_ok());
    assert_eq!(size(), 2 << 20);
    opener.open_below(21);
    for job in &waiting {
        assert_eq!(job.wait_timeout(DEADLINE).unwrap().len(), 2_000);
    }
    let mut arrived: Vec<i64> = waiting.iter().map(|_| arrivals.recv_timeout(DEADLINE).unwrap()).collect();
    arrived.sort_unstable();
    assert_eq!(arrived, (8..20).collect::<Vec<_>>(), "each waiting job has run once");
    assert_eq!(Enter::new(20).enqueue(&other).unwrap().wait_timeout(DEADLINE).unwrap().len(), 2_000);
    worker.stop().unwrap();
    assert!(!reserve.exists(), "the last worker deletes it");
    assert_eq!(one(&disk.db(), "SELECT count(*) FROM qdjobs_jobs WHERE status = 'completed'"), 21);
    let pending = one(&disk.db(), "SELECT count(*) FROM qdjobs_jobs WHERE status = 'pending'");
    assert_eq!(
        pending,
        stored as i64 + late.get() - 1,
        "all accepted jobs except the deleted one, and no others"
    );
    let check = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'";
    assert_eq!(one(&disk.db(), check), 1);
}

#[test]
fn a_queue_without_workers_refuses_on_a_full_disk_and_stores_again_as_soon_as_there_is_space() {
    let Some(disk) = SmallDisk::new(8) else {
        crate::skip("a test file system can only be mounted by root");
        return;
    };
    let queue = JobQueue::open(disk.db()).unwrap();
    disk.fill(200_000);
    let stored = enqueue_until_full(&queue);
    assert!(is_full(&queue));
    disk.free();
    Bulk::new("z").enqueue(&queue).unwrap();
    assert!(queue.health().is_ok());
    assert_eq!(one(&disk.db(), "SELECT count(*) FROM qdjobs_jobs"), stored as i64 + 1);
}
