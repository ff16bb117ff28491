//! Runs a test in many orders: [`explore`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use qdjobs::store::NewJob;
use qdjobs::store::sqlite::{SqliteOptions, SqliteStore};
use qdjobs::store::{ClaimRequest, TaskSet};
use qdjobs::{Clock, Durability, Timestamp, WorkerId};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

/// Points at which an order of `PctScheduler` turns: it finds what needs so many unlucky moments or fewer.
const DEPTH: usize = 3;

/// Runs `test` in `orders` orders (`QDJOBS_ORDERS` overrides): half of them by chance, half by chance with few turns.
pub(crate) fn explore(orders: usize, test: impl Fn() + Clone + Send + Sync + 'static) {
    let (orders, seed) = drawn(orders);
    run(RandomScheduler::new_from_seed(seed, orders.div_ceil(2)), test.clone());
    run(PctScheduler::new_from_seed(seed, DEPTH, orders.div_ceil(2)), test);
}

/// As [`explore`], by chance alone: for a test that looks again and again, which in an order of few turns would let nobody else go
/// on.
pub(crate) fn explore_by_chance(orders: usize, test: impl Fn() + Send + Sync + 'static) {
    let (orders, seed) = drawn(orders);
    run(RandomScheduler::new_from_seed(seed, orders), test);
}

/// How many orders, and the seed to draw them by.
fn drawn(orders: usize) -> (usize, u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let orders = number("QDJOBS_ORDERS").map_or(orders, |orders| orders as usize);
    let seed = number("QDJOBS_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("{orders} orders, QDJOBS_SEED={seed}");
    (orders, seed)
}

fn run(scheduler: impl Scheduler + 'static, test: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    // SQLite's, in a build without optimizations.
    config.stack_size = 1 << 20;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(test);
}

/// A clock that stands: an order has to be the same again when it is run again.
pub(crate) fn clock() -> Clock {
    Clock::manual(Timestamp::UNIX_EPOCH)
}

/// A database of its own for each order, in memory where the system has a place for that.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new() -> File {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let name = format!("qdjobs-orders-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = base.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        File(dir)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.join("jobs.db")
    }

    pub(crate) fn open(&self) -> Arc<SqliteStore> {
        let mut options = SqliteOptions::default();
        options.durability = Durability::Relaxed;
        SqliteStore::open(&self.path(), options, clock()).unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn job() -> Vec<NewJob> {
    vec![NewJob::new("a", "{}")]
}

/// A turn that stands until there is a job.
pub(crate) fn standing(worker: WorkerId) -> ClaimRequest {
    ClaimRequest {
        worker,
        finished: Arc::default(),
        limit: 1,
        tasks: Arc::new(TaskSet::new(["a"])),
        queues: None,
        wait: true,
    }
}
