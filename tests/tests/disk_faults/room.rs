//! What the tests of a failing disk share: a [`Room`] with a disk of its own, the [`Books`] of a store, and luck from a seed.
//!
//! Nothing here sleeps: an answer that does not come within [`PATIENCE`] is none.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use qdjobs::rusqlite::Connection;
use qdjobs::store::sqlite::{Durability, SqliteOptions, SqliteStore};
use qdjobs::store::{Filter, Pending, Store};
use qdjobs::{Clock, Timestamp};
use qdjobs_sim_disk::Disk;

/// Far more than any answer takes, on a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// When every story begins.
pub(crate) const START: Timestamp = Timestamp::constant(1_795_000_000, 0);

/// The task whose jobs are stored behind the store's back, and are in nobody's books.
pub(crate) const BESIDE: &str = "beside";

/// The answer; none within [`PATIENCE`] is a failed test, since a store may fail and may not hang.
pub(crate) fn answer<T>(pending: Pending<T>) -> qdjobs::Result<T> {
    pending.wait_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer within {PATIENCE:?}"))
}

/// A directory on a disk of its own, gone at the end of the test.
pub(crate) struct Room {
    pub(crate) disk: Disk,
    pub(crate) clock: Clock,
    dir: tempfile::TempDir,
}

impl Room {
    pub(crate) fn new(seed: u64) -> Room {
        watch_for_panics();
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::mount(dir.path(), seed).unwrap();
        Room { disk, clock: Clock::manual(START), dir }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("jobs.db")
    }

    pub(crate) fn try_open(&self, durability: Durability) -> qdjobs::Result<Arc<SqliteStore>> {
        let mut options = SqliteOptions::default();
        options.durability = durability;
        // That file would be on a real disk, which never fills.
        options.disk_reserve = 0;
        SqliteStore::open(&self.path(), options, self.clock.clone())
    }

    pub(crate) fn open(&self) -> Arc<SqliteStore> {
        self.try_open(Durability::Full).unwrap()
    }

    /// A connection of a program's own.
    pub(crate) fn connect(&self) -> qdjobs::rusqlite::Result<Connection> {
        let conn = Connection::open(self.path())?;
        conn.busy_timeout(PATIENCE)?;
        Ok(conn)
    }

    /// Panics unless SQLite finds nothing wrong with the file.
    pub(crate) fn assert_sound(&self) {
        let conn = self.connect().unwrap();
        let verdict: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok");
    }
}

/// All that a store tells of its jobs, their attempts and the workers: a line for each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Books(Vec<String>);

impl Books {
    pub(crate) fn of(store: &dyn Store) -> qdjobs::Result<Books> {
        let mut lines = Vec::new();
        let filter = {
            let mut filter = Filter::default();
            filter.limit = Some(Filter::LIMIT_MAX);
            filter
        };
        let page = answer(store.list(filter))?;
        assert!(page.next.is_none(), "a story has few jobs");
        for job in page.jobs.iter().filter(|job| job.task_name != BESIDE) {
            let attempts = answer(store.attempts(job.id))?;
            lines.push(format!("{job:?} {attempts:?}"));
        }
        let workers = answer(store.workers())?;
        lines.extend(workers.iter().map(|worker| format!("{worker:?}")));
        Ok(Books(lines))
    }

    /// The lines that the other has not.
    pub(crate) fn beyond<'a>(&'a self, other: &Books) -> Vec<&'a str> {
        self.0.iter().filter(|line| !other.0.contains(line)).map(String::as_str).collect()
    }
}

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps what the threads of a store say when they panic, since nobody else hears it.
fn watch_for_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name().is_some_and(|name| name.starts_with("qdjobs-")) {
                PANICS.lock().unwrap().push(info.to_string());
            }
            usual(info);
        }));
    });
}

/// Panics if a thread of any store has.
pub(crate) fn assert_no_thread_panicked() {
    let panics = PANICS.lock().unwrap();
    assert!(panics.is_empty(), "threads of a store panicked: {panics:#?}");
}

/// The number in an environment variable.
pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}`, which is no number")))
}

/// Says to a failing test how to fail again.
pub(crate) struct Seed(pub(crate) u64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "the one thing to know of a failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("once more: QDJOBS_SEED={} and the name of this test", self.0);
        }
    }
}
