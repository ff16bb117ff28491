//! River for Rust, on SQLite.

use std::sync::Arc;
use std::time::Duration;

use qdjobs_peers_common::{Params, Peer, Place, Result, Tally, Way, asked, serve};
use riverqueue::migrate::SqliteMigrator;
use riverqueue::sqlx::query_scalar;
use riverqueue::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use riverqueue::{BoxError, Client, Job, JobArgs, QueueConfig, WorkContext, WorkOutcome, Workers};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

const LEFT: &str =
    "SELECT count(*) FROM river_job WHERE state NOT IN ('completed', 'cancelled', 'discarded')";
const DONE: &str = "SELECT count(*) FROM river_job WHERE state = 'completed'";

const WAYS: &[Way<&str>] = &[
    Way {
        name: "default",
        settings: "as documented: WAL, busy timeout 5 s, pool of 5; QueueConfig::new(8)",
        bulk: 500,
        note: "",
        left: LEFT,
        done: DONE,
    },
    Way {
        name: "tuned",
        settings: "fetch cooldown and poll interval 1 ms, its least; else the same",
        bulk: 500,
        note: "",
        left: LEFT,
        done: DONE,
    },
    Way {
        name: "tuned, NORMAL",
        settings: "as tuned, synchronous = NORMAL on the pool",
        bulk: 500,
        note: "",
        left: LEFT,
        done: DONE,
    },
];

#[derive(Clone, Debug, Deserialize, JobArgs, Serialize)]
#[river(kind = "noop")]
struct Noop {
    at: u64,
    filler: String,
}

impl From<Params> for Noop {
    fn from(Params { at, filler }: Params) -> Noop {
        Noop { at, filler }
    }
}

struct River {
    pool: SqlitePool,
    tuned: bool,
    /// Inserts only; the one that works is made with its handler.
    client: Client,
    working: OnceCell<Client>,
}

impl River {
    /// Inserts go to the client that works, once there is one: its notifier wakes it without a poll.
    fn client(&self) -> &Client {
        self.working.get().unwrap_or(&self.client)
    }
}

impl Peer for River {
    const WAYS: &'static [Way<&'static str>] = WAYS;

    async fn open(place: &Place) -> Result<River> {
        let options = SqliteConnectOptions::new()
            .filename(&place.path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Checkpointer)
            .busy_timeout(Duration::from_secs(5));
        let options = match place.way.ends_with("NORMAL") {
            true => options.synchronous(SqliteSynchronous::Normal),
            false => options,
        };
        let pool = SqlitePoolOptions::new().max_connections(5).connect_with(options).await?;
        SqliteMigrator::new(pool.clone()).migrate_up().await?;
        let client = Client::builder(pool.clone()).build()?;
        Ok(River { pool, tuned: place.way.starts_with("tuned"), client, working: OnceCell::new() })
    }

    async fn enqueue(&self, params: Params) -> Result<()> {
        self.client().insert(Noop::from(params)).await?;
        Ok(())
    }

    async fn bulk(&self, jobs: Vec<Params>) -> Result<()> {
        self.client().insert_many(jobs.into_iter().map(Noop::from)).await?;
        Ok(())
    }

    async fn work(&self, slots: usize, tally: &Arc<Tally>) -> Result<()> {
        let tally = tally.clone();
        let mut workers = Workers::new();
        workers.add_fn(move |_: WorkContext, job: Job<Noop>| {
            let tally = tally.clone();
            async move {
                let Noop { at, filler } = job.args;
                tally.note(&Params { at, filler });
                Ok::<_, BoxError>(WorkOutcome::Complete)
            }
        })?;
        let least = Duration::from_millis(1);
        let queue = QueueConfig::new(slots);
        let builder = Client::builder(self.pool.clone()).workers(workers);
        let client = match self.tuned {
            true => builder.fetch_cooldown(least).queue("default", queue.with_fetch_poll_interval(least)),
            false => builder.queue("default", queue),
        }
        .build()?;
        client.start()?.detach();
        self.working.set(client)?;
        Ok(())
    }

    async fn left(&self) -> Result<u64> {
        let left: i64 = query_scalar(LEFT).fetch_one(&self.pool).await?;
        Ok(left as u64)
    }

    async fn durability(&self) -> Result<String> {
        // All connections at once, so that none is asked twice.
        let mut held = Vec::new();
        while let Some(conn) = self.pool.try_acquire() {
            held.push(conn);
        }
        let mut levels = Vec::new();
        for conn in &mut held {
            levels.push(query_scalar("PRAGMA synchronous").fetch_one(&mut **conn).await?);
        }
        Ok(asked(&levels))
    }
}

fn main() -> Result<()> {
    serve::<River>()
}
