//! A job with arbitrary names, sizes, instants and texts, through every way into the stores.
//!
//! Each store accepts exactly what `NewJob::check` accepts, and reads it back unchanged: from memory, from a
//! file, and through the statement for other database drivers.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use qdjobs::rusqlite::Connection;
use qdjobs::store::memory::MemoryStore;
use qdjobs::store::sqlite::{SqliteOptions, SqliteStore};
use qdjobs::store::{Foreign, JobCommand, Store};
use qdjobs::store::{NewJob, RunAt};
use qdjobs::{Clock, Durability, Job, JobId, Timestamp};
use serde_json::json;
use tempfile::TempDir;

use crate::panics;
use crate::text::is_readable;

/// The stores, opened once for all inputs; each job is deleted after it was read.
struct Stores {
    memory: Arc<dyn Store>,
    file: Arc<dyn Store>,
    /// A connection without qdjobs, to the same file.
    other: Connection,
    _dir: TempDir,
}

static STORES: LazyLock<Mutex<Stores>> = LazyLock::new(|| {
    panics::install_hook();
    let clock = Clock::manual(NOW);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jobs.db");
    let mut options = SqliteOptions::default();
    options.durability = Durability::Relaxed;
    let file = SqliteStore::open(&path, options, clock.clone()).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("PRAGMA synchronous = OFF").unwrap();
    Mutex::new(Stores { memory: MemoryStore::new(clock), file, other, _dir: dir })
});

const NOW: Timestamp = Timestamp::constant(1_795_000_000, 0);

/// The last instant for which a job may be scheduled: the calendar's last minus one day, in microseconds.
const LAST_MICROS: i64 = 253_402_207_200_999_999;

/// Reads the bytes as one job.
pub fn jobs(bytes: &[u8]) {
    let Ok(job) = draw(&mut Unstructured::new(bytes)) else { return };
    let admitted = job.check(NOW);
    assert_eq!(admitted.is_ok(), is_in_range(&job), "{job:?}: {admitted:?}");
    let stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    for store in [&stores.memory, &stores.file] {
        match store.insert_blocking(vec![job.clone()]) {
            Ok(ids) => {
                assert!(admitted.is_ok(), "{} stores what the check refuses: {job:?}", store.name());
                reads_back(store, ids[0], &job);
            }
            Err(error) => {
                let refused = admitted.as_ref().expect_err(&format!("{error}"));
                assert_eq!(error.kind(), refused.kind(), "{job:?}: {error}");
                is_readable(&error.to_string());
            }
        }
    }
    match stores.file.statement(Foreign::Insert(std::slice::from_ref(&job))) {
        Ok(statement) => {
            assert!(admitted.is_ok(), "{job:?}");
            let mut insert = stores.other.prepare_cached(&statement.sql).unwrap();
            let ids = insert.query_map([&statement.json], |row| row.get(0)).unwrap();
            let ids: Vec<i64> = ids.map(Result::unwrap).collect();
            assert_eq!(ids, [stores.other.last_insert_rowid()]);
            reads_back(&stores.file, JobId(ids[0]), &job);
        }
        Err(error) => assert_eq!(error.kind(), admitted.expect_err(&format!("{error}")).kind()),
    }
    panics::assert_none();
}

fn reads_back(store: &Arc<dyn Store>, id: JobId, given: &NewJob) {
    let Ok(Some(read)) = store.get(id).wait() else { panic!("job {id} is missing: {given:?}") };
    let Job { task_name, name, params, queue, priority, max_retries, metadata, idempotency_key, .. } =
        read.clone();
    assert_eq!((task_name, queue), (given.task_name.clone(), given.queue.clone()));
    assert_eq!(name, given.name.clone().unwrap_or_else(|| given.task_name.clone()));
    assert_eq!((params, metadata), (given.params.clone(), given.metadata.clone()));
    assert_eq!(idempotency_key, given.idempotency_key);
    if given.idempotency_key.is_some() {
        assert_eq!(store.insert_blocking(vec![given.clone()]).unwrap(), [id], "repeated");
    }
    assert_eq!((priority, max_retries), (given.priority, given.max_retries));
    match given.run_at {
        // Through another driver the clock of the database decides.
        RunAt::At(at) => assert_eq!(read.scheduled_at.as_microsecond(), at.as_microsecond()),
        RunAt::After(wait) => {
            let waits = read.scheduled_at.duration_since(read.created_at);
            let off = waits.as_micros() - i128::try_from(wait.as_micros()).unwrap();
            assert!((-1_000_000..=1_000_000).contains(&off), "{wait:?} became {waits:?}");
        }
        _ => assert_eq!(read.scheduled_at, read.created_at),
    }
    // As it is serialized.
    let wire = serde_json::to_value(&read).unwrap();
    assert_eq!(wire["params"], serde_json::from_str::<serde_json::Value>(&given.params).unwrap());
    store.command(JobCommand::Delete(id)).wait().unwrap();
}

/// What may be stored, written a second time.
fn is_in_range(job: &NewJob) -> bool {
    let name = |name: &str| {
        (1..=Job::NAME_BYTES_MAX).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.:/-".contains(letter))
    };
    let due = match job.run_at {
        RunAt::After(wait) => i128::from(NOW.as_microsecond()) + wait.as_micros() as i128,
        RunAt::At(at) => i128::from(at.as_microsecond()),
        _ => 0,
    };
    let sizes = [&Some(job.params.clone()), &job.metadata].map(|text| text.as_ref().map_or(0, String::len));
    name(&job.task_name)
        && name(&job.queue)
        && job
            .name
            .as_ref()
            .is_none_or(|name| (1..=Job::NAME_BYTES_MAX).contains(&name.len()) && !name.contains('\0'))
        && job.idempotency_key.as_ref().is_none_or(|key| {
            (1..=Job::IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && !key.chars().any(char::is_control)
        })
        && sizes.iter().all(|size| *size <= Job::JSON_BYTES_MAX)
        && (0..=i128::from(LAST_MICROS)).contains(&due)
}

fn draw(bytes: &mut Unstructured<'_>) -> arbitrary::Result<NewJob> {
    // Params are always JSON: the typed path cannot write anything else, and text is checked.
    let object = |text: String, more: usize| json!({ text: "x".repeat(more) }).to_string();
    let mut job = NewJob::new(draw_name(bytes)?, "");
    job.queue = draw_name(bytes)?;
    let more = *bytes.choose(&[0, 0, 0, 0, 0, 0, 0, Job::JSON_BYTES_MAX - 10, Job::JSON_BYTES_MAX])?;
    job.params = object(String::arbitrary(bytes)?, more);
    job.name = Option::arbitrary(bytes)?;
    job.priority = i32::arbitrary(bytes)?;
    job.max_retries = u32::arbitrary(bytes)?;
    job.run_at = match bytes.int_in_range(0..=3)? {
        0 => RunAt::Now,
        1 => RunAt::After(Duration::from_micros(u64::arbitrary(bytes)?)),
        2 => RunAt::After(Duration::arbitrary(bytes)?),
        _ => match Timestamp::from_microsecond(i64::arbitrary(bytes)?) {
            Ok(at) => RunAt::At(at),
            Err(_) => RunAt::At(*bytes.choose(&[Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH])?),
        },
    };
    job.metadata = Option::<String>::arbitrary(bytes)?.map(|text| object(text, 0));
    job.idempotency_key = Option::arbitrary(bytes)?;
    Ok(job)
}

/// Mostly a valid name with one unusual part.
fn draw_name(bytes: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    let repeat = *bytes.choose(&[1, 1, 1, 1, 7, 100, 101])?;
    let text = if bool::arbitrary(bytes)? { String::arbitrary(bytes)? } else { "mail".to_owned() };
    Ok(text.repeat(repeat))
}
