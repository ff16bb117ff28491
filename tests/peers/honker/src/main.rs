//! honker: queue primitives; the loop around them is the caller's, here as its documentation writes it.

use std::sync::Arc;
use std::time::Duration;

use honker::{Database, EnqueueOpts, Queue, QueueOpts};
use qdjobs_peers_common::{Params, Peer, Place, Result, Tally, Way, asked, serve};

const LEFT: &str = "SELECT count(*) FROM _honker_live";

const WAYS: &[Way<&str>] = &[
    Way {
        name: "claim 1",
        settings: "as documented: 8 threads, each claim_waker().next(), ack()",
        bulk: 500,
        note: "Done jobs are deleted. Bulk is enqueue_tx in a transaction.",
        left: LEFT,
        done: "",
    },
    Way {
        name: "claim 32",
        settings: "8 threads, each claim_batch(32), ack_batch; waits for update_events",
        bulk: 500,
        note: "",
        left: LEFT,
        done: "",
    },
    Way {
        name: "claim 1, FULL",
        settings: "as claim 1, synchronous = FULL by with_conn",
        bulk: 500,
        note: "",
        left: LEFT,
        done: "",
    },
    Way {
        name: "claim 32, FULL",
        settings: "as claim 32, synchronous = FULL by with_conn",
        bulk: 500,
        note: "",
        left: LEFT,
        done: "",
    },
];

/// Jobs that one claim of the batching way asks for.
const BATCH: i64 = 32;

struct Honker {
    db: Arc<Database>,
    queue: Queue,
    batching: bool,
}

/// Claims one, does it, acknowledges it, for ever.
fn one_by_one(queue: &Queue, me: &str, tally: &Tally) -> Result<()> {
    let waker = queue.claim_waker();
    while let Some(job) = waker.next(me)? {
        tally.note(&job.payload_as()?);
        job.ack()?;
    }
    Ok(())
}

/// The same with many at once.
fn by_batches(db: &Database, queue: &Queue, me: &str, tally: &Tally) -> Result<()> {
    let updates = db.update_events();
    loop {
        let jobs = queue.claim_batch(me, BATCH)?;
        if jobs.is_empty() {
            updates.recv_timeout(Duration::from_secs(1))?;
            continue;
        }
        for job in &jobs {
            tally.note(&job.payload_as()?);
        }
        let ids: Vec<i64> = jobs.iter().map(|job| job.id).collect();
        queue.ack_batch(&ids, me)?;
    }
}

impl Peer for Honker {
    const WAYS: &'static [Way<&'static str>] = WAYS;
    const BLOCKING: bool = true;

    async fn open(place: &Place) -> Result<Honker> {
        let db = Database::open(&place.path)?;
        if place.way.ends_with("FULL") {
            db.with_conn(|conn| conn.pragma_update(None, "synchronous", "FULL"))?;
        }
        let queue = db.queue("noop", QueueOpts::default());
        Ok(Honker { db: Arc::new(db), queue, batching: place.way.contains("32") })
    }

    async fn enqueue(&self, params: Params) -> Result<()> {
        self.queue.enqueue(&params, EnqueueOpts::default())?;
        Ok(())
    }

    async fn bulk(&self, jobs: Vec<Params>) -> Result<()> {
        let tx = self.db.transaction()?;
        for params in &jobs {
            self.queue.enqueue_tx(&tx, params, EnqueueOpts::default())?;
        }
        Ok(tx.commit()?)
    }

    async fn work(&self, slots: usize, tally: &Arc<Tally>) -> Result<()> {
        for slot in 0..slots {
            let (db, queue, tally, batching) =
                (self.db.clone(), self.queue.clone(), tally.clone(), self.batching);
            std::thread::spawn(move || {
                let me = format!("worker-{slot}");
                let end = match batching {
                    true => by_batches(&db, &queue, &me, &tally),
                    false => one_by_one(&queue, &me, &tally),
                };
                end.inspect_err(|error| eprintln!("{me} has ended: {error}"))
            });
        }
        Ok(())
    }

    async fn left(&self) -> Result<u64> {
        let left: i64 = self.db.with_conn(|conn| conn.query_row(LEFT, [], |row| row.get(0)))?;
        Ok(left as u64)
    }

    async fn durability(&self) -> Result<String> {
        let level: i64 =
            self.db.with_conn(|conn| conn.pragma_query_value(None, "synchronous", |row| row.get(0)))?;
        Ok(asked(&[level]))
    }
}

fn main() -> Result<()> {
    serve::<Honker>()
}
