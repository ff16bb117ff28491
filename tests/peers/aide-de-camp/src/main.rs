//! aide-de-camp with aide-de-camp-sqlite.

use std::str::FromStr;
use std::sync::Arc;

use aide_de_camp::prelude::{
    CancellationToken, Duration, JobProcessor, JobRunner, Queue, RunnerOptions, RunnerRouter, Xid,
};
use aide_de_camp_sqlite::{MIGRATOR, SqliteQueue};
use qdjobs_peers_common::{Params, Peer, Place, Result, Tally, Way, asked, serve};
use sqlx::query_scalar;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};

const LEFT: &str = "SELECT count(*) FROM adc_queue";

const WAYS: &[Way<&str>] = &[
    Way {
        name: "default",
        settings: "as documented: SqlitePool::connect, JobRunner of 8, polling each second",
        bulk: 0,
        note: "Done jobs are deleted. Its README: a single job may get sent to two runners.",
        left: LEFT,
        done: "",
    },
    Way {
        name: "WAL, FULL",
        settings: "WAL and FULL on the pool, polling each 50 ms",
        bulk: 0,
        note: "",
        left: LEFT,
        done: "",
    },
];

struct AideDeCamp {
    pool: SqlitePool,
    queue: SqliteQueue,
    poll: Duration,
}

struct Noop(Arc<Tally>);

#[async_trait::async_trait]
impl JobProcessor for Noop {
    type Payload = (u64, String);
    type Error = anyhow::Error;

    async fn handle(&self, _: Xid, (at, filler): (u64, String), _: CancellationToken) -> anyhow::Result<()> {
        self.0.note(&Params { at, filler });
        Ok(())
    }

    fn name() -> &'static str {
        "noop"
    }
}

impl Peer for AideDeCamp {
    const WAYS: &'static [Way<&'static str>] = WAYS;

    async fn open(place: &Place) -> Result<AideDeCamp> {
        let url = format!("sqlite://{}?mode=rwc", place.path.display());
        let (pool, poll) = match place.way {
            "default" => (SqlitePool::connect(&url).await?, Duration::seconds(1)),
            _ => {
                let options = SqliteConnectOptions::from_str(&url)?
                    .journal_mode(SqliteJournalMode::Checkpointer)
                    .synchronous(SqliteSynchronous::Full);
                (SqlitePool::connect_with(options).await?, Duration::milliseconds(50))
            }
        };
        MIGRATOR.run(&pool).await?;
        Ok(AideDeCamp { queue: SqliteQueue::with_pool(pool.clone()), pool, poll })
    }

    async fn enqueue(&self, Params { at, filler }: Params) -> Result<()> {
        self.queue.schedule::<Noop>((at, filler), 0).await?;
        Ok(())
    }

    async fn work(&self, slots: usize, tally: &Arc<Tally>) -> Result<()> {
        let mut router = RunnerRouter::default();
        router.add_job_handler(Noop(tally.clone()));
        let mut runner = JobRunner::new(self.queue.clone(), router, slots, RunnerOptions::default());
        let poll = self.poll;
        tokio::spawn(async move { runner.run(poll).await });
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
            levels.push(query_scalar("PRAGMA synchronous").fetch_one(&mut *conn).await?);
        }
        Ok(asked(&levels))
    }
}

fn main() -> Result<()> {
    serve::<AideDeCamp>()
}
