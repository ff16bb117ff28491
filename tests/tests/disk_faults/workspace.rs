//! What the tests of a failing disk share: a [`Workspace`] with a simulated disk, and the [`StoredState`] of
//! a store.
//!
//! Nothing here sleeps: an answer must arrive within [`DEADLINE`].

use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use qdjobs::rusqlite::Connection;
use qdjobs::store::sqlite::{Durability, SqliteOptions, SqliteStore};
use qdjobs::store::{Filter, Pending, Store};
use qdjobs::{Clock, Timestamp};
use qdjobs_sim_disk::Disk;

/// Far more than any answer takes, on a busy machine too.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The instant at which every test begins.
pub(crate) const START: Timestamp = Timestamp::constant(1_795_000_000, 0);

/// The task whose jobs are stored without the store; [`StoredState`] leaves them out.
pub(crate) const EXTERNAL: &str = "external";

/// The answer. None within [`DEADLINE`] fails the test, since a store may fail but must not hang.
pub(crate) fn answer<T>(pending: Pending<T>) -> qdjobs::Result<T> {
    pending.wait_timeout(DEADLINE).unwrap_or_else(|_| panic!("no answer within {DEADLINE:?}"))
}

/// A directory with a simulated disk, deleted at the end of the test.
pub(crate) struct Workspace {
    pub(crate) disk: Disk,
    pub(crate) clock: Clock,
    dir: tempfile::TempDir,
}

impl Workspace {
    pub(crate) fn new(seed: u64) -> Workspace {
        install_panic_hook();
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::mount(dir.path(), seed).unwrap();
        Workspace { disk, clock: Clock::manual(START), dir }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("jobs.db")
    }

    pub(crate) fn try_open(&self, durability: Durability) -> qdjobs::Result<Arc<SqliteStore>> {
        let mut options = SqliteOptions::default();
        options.durability = durability;
        // That file would be on a real disk, which never fills up.
        options.disk_reserve = 0;
        SqliteStore::open(&self.path(), options, self.clock.clone())
    }

    pub(crate) fn open(&self) -> Arc<SqliteStore> {
        self.try_open(Durability::Full).unwrap()
    }

    /// A connection without qdjobs.
    pub(crate) fn connect(&self) -> qdjobs::rusqlite::Result<Connection> {
        let conn = Connection::open(self.path())?;
        conn.busy_timeout(DEADLINE)?;
        Ok(conn)
    }

    /// Panics unless SQLite finds the file sound.
    pub(crate) fn assert_sound(&self) {
        let conn = self.connect().unwrap();
        let verdict: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok");
    }
}

/// Everything that a store reports of its jobs, their attempts and the workers: one line for each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StoredState(Vec<String>);

impl StoredState {
    pub(crate) fn of(store: &dyn Store) -> qdjobs::Result<StoredState> {
        let mut lines = Vec::new();
        let filter = {
            let mut filter = Filter::default();
            filter.limit = Some(Filter::LIMIT_MAX);
            filter
        };
        let snapshot = answer(store.list(filter))?;
        assert!(snapshot.next.is_none(), "a workload has few jobs");
        for job in snapshot.jobs.iter().filter(|job| job.task_name != EXTERNAL) {
            let attempts = answer(store.attempts(job.id))?;
            lines.push(format!("{job:?} {attempts:?}"));
        }
        let workers = answer(store.workers())?;
        lines.extend(workers.iter().map(|worker| format!("{worker:?}")));
        Ok(StoredState(lines))
    }

    /// The lines that `other` does not have.
    pub(crate) fn beyond<'a>(&'a self, other: &StoredState) -> Vec<&'a str> {
        self.0.iter().filter(|line| !other.0.contains(line)).map(String::as_str).collect()
    }
}

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Records the panics of a store's threads, which no test joins.
fn install_panic_hook() {
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

/// Panics if a thread of any store has panicked.
pub(crate) fn assert_no_thread_panicked() {
    let panics = PANICS.lock().unwrap();
    assert!(panics.is_empty(), "threads of a store have panicked: {panics:#?}");
}

/// The number in an environment variable.
pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}`, which is not a number")))
}

/// Prints how to repeat a failing test.
pub(crate) struct Seed(pub(crate) u64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "a failed test prints its seed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat: QDJOBS_SEED={} and the name of this test", self.0);
        }
    }
}
