//! effectum: a writer thread behind a channel, the suggest in plan to qdjobs.

use std::sync::Arc;

use effectum::{Error, Job, JobRunner, Queue, RunningJob, Worker};
use qdjobs_peers_common::{Params, Peer, Place, Result, Tally, Way, serve};
use tokio::sync::Mutex;

const LEFT: &str = "SELECT count(*) FROM active_jobs";
const DONE: &str = "SELECT count(*) FROM jobs WHERE status = 'succeeded'";
const KIND: &str = "noop";

const WAYS: &[Way<&str>] = &[
    Way {
        name: "default",
        settings: "as documented; max_concurrency(8)",
        bulk: 500,
        note: "Its source sets a pragma `journal`, which SQLite does not know, so the rollback journal stays.",
        left: LEFT,
        done: DONE,
    },
    Way {
        name: "WAL",
        settings: "the file set to WAL before effectum opens it, else the same",
        bulk: 500,
        note: "FULL cannot be had: its source sets NORMAL on its one connection.",
        left: LEFT,
        done: DONE,
    },
];

struct Effectum {
    queue: Queue,
    worker: Mutex<Option<Worker>>,
}

async fn noop(job: RunningJob, tally: Arc<Tally>) -> std::result::Result<(), Error> {
    tally.note(&job.json_payload()?);
    Ok(())
}

fn job(params: &Params) -> Result<Job> {
    Ok(Job::builder(KIND).json_payload(params)?.build())
}

impl Peer for Effectum {
    const WAYS: &'static [Way<&'static str>] = WAYS;

    async fn open(place: &Place) -> Result<Effectum> {
        if place.way == "WAL" {
            let conn = rusqlite::Connection::open(&place.path)?;
            conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        }
        Ok(Effectum { queue: Queue::new(&place.path).await?, worker: Mutex::default() })
    }

    async fn enqueue(&self, params: Params) -> Result<()> {
        self.queue.add_job(job(&params)?).await?;
        Ok(())
    }

    async fn bulk(&self, jobs: Vec<Params>) -> Result<()> {
        self.queue.add_jobs(jobs.iter().map(job).collect::<Result<_>>()?).await?;
        Ok(())
    }

    async fn work(&self, slots: usize, tally: &Arc<Tally>) -> Result<()> {
        let runner = JobRunner::builder(KIND, noop).build();
        let worker = Worker::builder(&self.queue, tally.clone());
        let worker = worker.max_concurrency(slots as u16).jobs([runner]).build().await?;
        *self.worker.lock().await = Some(worker);
        Ok(())
    }

    async fn left(&self) -> Result<u64> {
        let active = self.queue.num_active_jobs().await?;
        Ok(active.pending + active.running)
    }

    async fn durability(&self) -> Result<String> {
        Ok("synchronous NORMAL (its source)".into())
    }
}

fn main() -> Result<()> {
    serve::<Effectum>()
}
