//! apalis with apalis-sqlite.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apalis::prelude::*;
use apalis_sqlite::callback::HookCallbackListener;
use apalis_sqlite::{Config, SqliteStorage};
use futures::{StreamExt, stream};
use qdjobs_peers_common::{Params, Peer, Place, Result, Tally, Way, asked, serve};
use sqlx::query_scalar;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqliteSynchronous};

const LEFT: &str = "SELECT count(*) FROM Jobs WHERE status <> 'Done'";
const DONE: &str = "SELECT count(*) FROM Jobs WHERE status = 'Done'";

/// Jobs that one fetch of the `hooked` ways asks for.
const BATCH: usize = 100;

const WAYS: &[Way<&str>] = &[
    Way {
        name: "default",
        settings: "as documented: pool of 10, setup(), SqliteStorage::new, concurrency(8)",
        bulk: 500,
        note: "Its source: after an empty fetch it waits for its heartbeat, 30 s; setup() sets OFF, on one connection.",
        left: LEFT,
        done: DONE,
    },
    Way {
        name: "hooked",
        settings: "connect_with_callback and an interval of 500 ms, as documented; batch_size(100)",
        bulk: 500,
        note: "Its source: setup() sets OFF, on one connection.",
        left: LEFT,
        done: DONE,
    },
    Way {
        name: "FULL",
        settings: "as hooked, but setup() on a pool that is closed again; then FULL on each connection",
        bulk: 500,
        note: "",
        left: LEFT,
        done: DONE,
    },
];

struct Apalis {
    pool: SqlitePool,
    way: &'static str,
    /// Reports inserts, until the worker takes it.
    hook: Mutex<Option<HookCallbackListener>>,
}

async fn noop(params: Params, tally: Data<Arc<Tally>>) -> std::result::Result<(), BoxDynError> {
    tally.note(&params);
    Ok(())
}

impl Apalis {
    fn config(&self) -> Config {
        let config = Config::default().queue(std::any::type_name::<Params>());
        if self.way == "default" { config } else { config.batch_size(BATCH) }
    }

    fn storage(&self) -> SqliteStorage<Params> {
        SqliteStorage::new(&self.pool).with_config(self.config())
    }
}

impl Peer for Apalis {
    const WAYS: &'static [Way<&'static str>] = WAYS;

    async fn open(place: &Place) -> Result<Apalis> {
        let url = format!("sqlite://{}?mode=rwc", place.path.display());
        if place.way == "default" {
            let pool = SqlitePool::connect(&url).await?;
            SqliteStorage::setup(&pool).await?;
            return Ok(Apalis { pool, way: place.way, hook: Mutex::default() });
        }
        let (pool, listener) = SqliteStorage::connect_with_callback(&url)?;
        if place.way == "FULL" {
            // So that the connection on which setup() sets OFF is none of the worker's.
            let passing = SqlitePool::connect(&url).await?;
            SqliteStorage::setup(&passing).await?;
            passing.close().await;
            let options = SqliteConnectOptions::from_str(&url)?;
            pool.set_connect_options(options.synchronous(SqliteSynchronous::Full));
        } else {
            SqliteStorage::setup(&pool).await?;
        }
        let hook = Mutex::new(Some(listener));
        Ok(Apalis { pool, way: place.way, hook })
    }

    async fn enqueue(&self, params: Params) -> Result<()> {
        Ok(self.storage().push(params).await?)
    }

    async fn bulk(&self, jobs: Vec<Params>) -> Result<()> {
        Ok(self.storage().push_stream(&mut stream::iter(jobs)).await?)
    }

    async fn work(&self, slots: usize, tally: &Arc<Tally>) -> Result<()> {
        let (storage, tally) = (self.storage(), tally.clone());
        let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Each way has its own type; what follows the backend is the same.
        macro_rules! start {
            ($backend:expr) => {
                tokio::spawn(
                    WorkerBuilder::new("peers")
                        .backend($backend)
                        .concurrency(slots)
                        .data(tally)
                        .build(noop)
                        .run(),
                )
            };
        }
        match hook {
            Some(hook) => {
                let strategy =
                    Strategy::new().stream(hook.ready_chunks(BATCH)).interval(Duration::from_millis(500));
                start!(storage.poll_with_strategy(strategy))
            }
            None => start!(storage),
        };
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
    serve::<Apalis>()
}
