//! rustvello, on its SQLite backend.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use qdjobs_peers_common::{Params, Peer, Place, Result, Tally, Way, serve};
use rusqlite::Connection;
use rustvello::prelude::*;

const APP: &str = "peers";
const LEFT: &str = "SELECT count(*) FROM status_records WHERE status NOT IN ('SUCCESS', 'FAILED')";

const WAYS: &[Way<&str>] = &[Way {
    name: "default",
    settings: "as documented; with_num_workers(8)",
    bulk: 0,
    note: "0.9.1 asks for Rust 1.99. Its documentation asks all producers and workers for FULL, its default.",
    left: LEFT,
    done: "SELECT count(*) FROM status_records WHERE status = 'SUCCESS'",
}];

/// Its tasks have no application state, so the tally is a static.
static TALLY: OnceLock<Arc<Tally>> = OnceLock::new();

#[rustvello::task]
fn noop(at: u64, filler: String) {
    if let Some(tally) = TALLY.get() {
        tally.note(&Params { at, filler });
    }
}

struct Peers {
    place: Place,
    app: RustvelloApp,
    /// To count what is left in the file.
    look: Mutex<Connection>,
}

async fn app(place: &Place) -> Result<RustvelloApp> {
    let path = place.path.to_str().ok_or("the path is not UTF-8")?;
    Ok(Rustvello::builder().app_id(APP).sqlite(path, APP).auto_discover_tasks().build().await?)
}

impl Peer for Peers {
    const WAYS: &'static [Way<&'static str>] = WAYS;

    /// It puts the application's name into the file's.
    fn file(place: &Place) -> PathBuf {
        place.path.with_file_name(format!("jobs_{APP}.db"))
    }

    async fn open(place: &Place) -> Result<Peers> {
        let app = app(place).await?;
        let look = Mutex::new(Connection::open(Self::file(place))?);
        Ok(Peers { place: place.clone(), app, look })
    }

    async fn enqueue(&self, Params { at, filler }: Params) -> Result<()> {
        self.app.call(&NoopTask::new(), NoopParams { at, filler }).await?;
        Ok(())
    }

    async fn work(&self, slots: usize, tally: &Arc<Tally>) -> Result<()> {
        TALLY.set(tally.clone()).map_err(|_| "there is a worker already")?;
        let runner = app(&self.place).await?.into_runner().with_num_workers(slots);
        tokio::spawn(runner.with_graceful_shutdown(std::future::pending()));
        Ok(())
    }

    async fn left(&self) -> Result<u64> {
        let look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        let left: i64 = look.query_row(LEFT, [], |row| row.get(0))?;
        Ok(left as u64)
    }

    async fn durability(&self) -> Result<String> {
        Ok("synchronous FULL (its source)".into())
    }
}

fn main() -> Result<()> {
    serve::<Peers>()
}
