//! qdjobs, at both of its durabilities.

use std::sync::{Arc, Mutex, PoisonError};

use qdjobs::store::sqlite::Durability;
use qdjobs::{JobQueue, Status, Worker, WorkerHandle, task};
use qdjobs_peers_common::{Params, Peer, Place, Result, Tally, Way, serve};

const WAYS: &[Way<&str>] = &[
    Way {
        name: "FULL",
        settings: "as documented: blocking enqueue, a worker of 8 slots",
        bulk: 500,
        note: "",
        left: "SELECT count(*) FROM qdjobs_jobs WHERE status IN ('pending', 'running')",
        done: "SELECT count(*) FROM qdjobs_jobs WHERE status = 'completed'",
    },
    Way {
        name: "NORMAL",
        settings: "durability(Relaxed), else the same",
        bulk: 500,
        note: "",
        left: "SELECT count(*) FROM qdjobs_jobs WHERE status IN ('pending', 'running')",
        done: "SELECT count(*) FROM qdjobs_jobs WHERE status = 'completed'",
    },
];

/// The handler of every peer does this much: it decodes its params and notes that it ran.
#[task("peers.noop")]
fn noop(at: u64, filler: String, #[state] tally: &Arc<Tally>) {
    tally.note(&Params { at, filler });
}

struct Ours {
    queue: JobQueue,
    durability: Durability,
    worker: Mutex<Option<WorkerHandle>>,
}

impl Peer for Ours {
    const WAYS: &'static [Way<&'static str>] = WAYS;
    const BLOCKING: bool = true;

    async fn open(place: &Place) -> Result<Ours> {
        let durability = if place.way == "FULL" { Durability::Full } else { Durability::Relaxed };
        let queue = JobQueue::options().durability(durability).open(&place.path)?;
        Ok(Ours { queue, durability, worker: Mutex::default() })
    }

    async fn enqueue(&self, Params { at, filler }: Params) -> Result<()> {
        Noop::new(at, filler).enqueue(&self.queue)?;
        Ok(())
    }

    async fn bulk(&self, jobs: Vec<Params>) -> Result<()> {
        self.queue.enqueue_all(jobs.into_iter().map(|Params { at, filler }| Noop::new(at, filler)))?;
        Ok(())
    }

    async fn work(&self, slots: usize, tally: &Arc<Tally>) -> Result<()> {
        let worker = Worker::new(&self.queue).concurrency(slots).state(tally.clone()).start()?;
        *self.worker.lock().unwrap_or_else(PoisonError::into_inner) = Some(worker);
        Ok(())
    }

    async fn left(&self) -> Result<u64> {
        let counts = self.queue.counts()?;
        Ok(counts.of(Status::Pending) + counts.of(Status::Running))
    }

    async fn durability(&self) -> Result<String> {
        let word = if self.durability == Durability::Full { "FULL" } else { "NORMAL" };
        Ok(format!("synchronous {word} (its documentation)"))
    }
}

fn main() -> Result<()> {
    serve::<Ours>()
}
