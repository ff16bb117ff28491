//! Runs a test in many thread orders: [`explore`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use qdjobs::store::NewJob;
use qdjobs::store::sqlite::{SqliteOptions, SqliteStore};
use qdjobs::store::{ClaimRequest, TaskSet};
use qdjobs::{Clock, Durability, Timestamp, WorkerId};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

/// How many times an order of `PctScheduler` switches threads at a chosen point: it finds errors that need
/// this many bad moments or fewer.
const CHANGE_POINTS: usize = 3;

/// Runs `test` in `orders` orders (`QDJOBS_ORDERS` overrides): half of them at random, half at random with
/// few switches.
pub(crate) fn explore(orders: usize, test: impl Fn() + Clone + Send + Sync + 'static) {
    let (orders, seed) = orders_and_seed(orders);
    run(RandomScheduler::new_from_seed(seed, orders.div_ceil(2)), test.clone());
    run(PctScheduler::new_from_seed(seed, CHANGE_POINTS, orders.div_ceil(2)), test);
}

/// As [`explore`], at random alone: for a test that polls, which in an order with few switches would never
/// let another thread continue.
pub(crate) fn explore_at_random(orders: usize, test: impl Fn() + Send + Sync + 'static) {
    let (orders, seed) = orders_and_seed(orders);
    run(RandomScheduler::new_from_seed(seed, orders), test);
}

/// How many orders, and the seed that generates them.
fn orders_and_seed(orders: usize) -> (usize, u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let orders = number("QDJOBS_ORDERS").map_or(orders, |orders| orders as usize);
    let seed = number("QDJOBS_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("{orders} orders, QDJOBS_SEED={seed}");
    (orders, seed)
}

fn run(scheduler: impl Scheduler + 'static, test: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    // SQLite needs this much in a build without optimizations.
    config.stack_size = 1 << 20;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(test);
}

/// A manual clock that does not advance: an order has to be the same when it is run again.
pub(crate) fn clock() -> Clock {
    Clock::manual(Timestamp::UNIX_EPOCH)
}

/// A new database for each order, in memory where the system has a place for that.
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

pub(crate) fn new_job() -> Vec<NewJob> {
    vec![NewJob::new("a", "{}")]
}

/// A claim that waits until there is a job.
pub(crate) fn waiting_claim(worker: WorkerId) -> ClaimRequest {
    ClaimRequest {
        worker,
        finished: Arc::default(),
        limit: 1,
        tasks: Arc::new(TaskSet::new(["a"])),
        queues: None,
        wait: true,
    }
}
