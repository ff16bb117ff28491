//! boson, on crates.io as uf-boson.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use boson::{Boson, ExecutionContext, JsonExecutionContextFactory, SqliteQueueBackend, configure, task};
use qdjobs_peers_common::{Params, Peer, Place, Result, Tally, Way, asked, serve};
use sqlx::query_scalar;

const LEFT: &str = "SELECT count(*) FROM boson_job WHERE status IN ('queued', 'running')";

const DONE: &str = "SELECT count(*) FROM boson_job WHERE status = 'success'";

const WAYS: &[Way<&str>] = &[
    Way {
        name: "default",
        settings: "as documented; max_in_flight and max_enqueue_per_second of the task lifted",
        bulk: 0,
        note: "No setting for slots: a worker does one job, then pauses 50 ms.",
        left: LEFT,
        done: DONE,
    },
    Way {
        name: "no pause",
        settings: "worker_poll_interval_ms(0), else the same",
        bulk: 0,
        note: "Its documentation: 0 for bench drain tests.",
        left: LEFT,
        done: DONE,
    },
];

/// Its tasks have no application state, so the tally is a static.
static TALLY: OnceLock<Arc<Tally>> = OnceLock::new();

#[task(name = "noop", max_in_flight = 0, max_enqueue_per_second = 0)]
async fn noop(_ctx: Box<dyn ExecutionContext>, at: u64, filler: String) -> boson_core::Result<()> {
    if let Some(tally) = TALLY.get() {
        tally.note(&Params { at, filler });
    }
    Ok(())
}

struct Peers {
    backend: Arc<SqliteQueueBackend>,
    way: &'static str,
    worker: Mutex<Option<Boson>>,
}

impl Peer for Peers {
    const WAYS: &'static [Way<&'static str>] = WAYS;

    async fn open(place: &Place) -> Result<Peers> {
        let backend = Arc::new(SqliteQueueBackend::new(&place.path).await?);
        let boson = Boson::builder()
            .queue_backend(backend.clone())
            .execution_context_factory(JsonExecutionContextFactory)
            .auto_registry()
            .without_worker()
            .build()?;
        configure(boson);
        Ok(Peers { backend, way: place.way, worker: Mutex::default() })
    }

    async fn enqueue(&self, Params { at, filler }: Params) -> Result<()> {
        let actor = serde_json::json!({ "System": { "operation": "peers" } });
        Noop::send_with(actor, NoopParams { at, filler }).await?;
        Ok(())
    }

    async fn work(&self, _slots: usize, tally: &Arc<Tally>) -> Result<()> {
        TALLY.set(tally.clone()).map_err(|_| "there is a worker already")?;
        let builder = Boson::builder()
            .queue_backend(self.backend.clone())
            .execution_context_factory(JsonExecutionContextFactory)
            .worker_id("peers")
            .lease_ttl_secs(30)
            .auto_registry();
        let worker = match self.way {
            "no pause" => builder.worker_poll_interval_ms(0).build()?,
            _ => builder.build()?,
        };
        *self.worker.lock().unwrap_or_else(PoisonError::into_inner) = Some(worker);
        Ok(())
    }

    async fn left(&self) -> Result<u64> {
        let left: i64 = query_scalar(LEFT).fetch_one(self.backend.pool()?).await?;
        Ok(left as u64)
    }

    async fn durability(&self) -> Result<String> {
        let level: i64 = query_scalar("PRAGMA synchronous").fetch_one(self.backend.pool()?).await?;
        Ok(asked(&[level]))
    }
}

fn main() -> Result<()> {
    serve::<Peers>()
}
