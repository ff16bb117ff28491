//! The parameters of a job, as arbitrary text: at the check of every enqueue by name, and at the worker.
//!
//! The worker can read what the check accepts; what it refuses is not stored. What is stored without the
//! check (by a plain INSERT) ends as a failed job, with a readable error.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use qdjobs::__private::check_params;
use qdjobs::prelude::*;
use qdjobs::store::NewJob;
use qdjobs::store::Store;
use qdjobs::store::memory::MemoryStore;
use qdjobs::{Clock, Error, ErrorKind, Job, JobId, Status, TaskDef, WorkerHandle};
use serde_json::{Value, json};

use crate::panics;
use crate::text::is_readable;

#[task("fuzz.texts", retries = 0)]
fn texts(
    to: &str,
    tags: &[String],
    cc: Option<&str>,
    words: Option<&[String]>,
    #[default("en")]
    #[alias("language")]
    lang: &str,
) -> Value {
    json!([to, tags, cc, words, lang])
}

#[task("fuzz.numbers", retries = 0)]
async fn numbers(
    whole: i64,
    small: u8,
    real: f64,
    #[default(3)]
    #[alias("tries")]
    times: u32,
    flag: Option<bool>,
) -> Value {
    json!([whole, small, real, times, flag])
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    Point,
    Circle { radius: f32 },
    Path(Vec<(i32, i32)>),
}

#[task("fuzz.shapes", retries = 0)]
fn shapes(shape: Shape, by_name: BTreeMap<String, Option<Shape>>, rest: Value) -> Value {
    json!([shape, by_name, rest])
}

#[task("fuzz.nothing", retries = 0)]
fn nothing() {}

const TASKS: [&TaskDef; 4] = [Texts::DEF, Numbers::DEF, Shapes::DEF, Nothing::DEF];

/// Nothing here takes this long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// A worker for all inputs.
struct Shared {
    store: Arc<dyn Store>,
    queue: JobQueue,
    _worker: WorkerHandle,
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    panics::install_hook();
    let store = MemoryStore::new(Clock::system());
    let queue = JobQueue::with_store(store.clone());
    let worker = Worker::new(&queue).task::<Texts>().task::<Numbers>().task::<Shapes>().task::<Nothing>();
    Shared { store, _worker: worker.concurrency(1).start().unwrap(), queue }
});

/// The first byte chooses the task, the rest is the text.
pub fn params(bytes: &[u8]) {
    let Some((choice, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let task = TASKS[usize::from(*choice) % TASKS.len()];
    let checked = check_params(task, text);
    match &checked {
        Ok(stored) => {
            assert_eq!(check_params(task, stored).unwrap(), *stored, "what was checked is checked again");
            assert!(serde_json::from_str::<Value>(stored).unwrap().is_object());
        }
        Err(error) => refused(error),
    }
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        // A value holds a large integer as a float, and one of two members of a name.
        let admitted = check_params(task, &value.to_string()).is_ok();
        enqueue_by_name(task, &value, admitted);
    }
    run(task, text, checked.is_ok());
    panics::assert_none();
}

fn refused(error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::InvalidParams | ErrorKind::TooLarge), "{error}");
    assert!(!error.may_be_stored());
    is_readable(&error.to_string());
}

/// By name: stored and run if the params pass the check; refused otherwise.
fn enqueue_by_name(task: &TaskDef, value: &Value, admitted: bool) {
    let request = JobRequest::<Value>::by_name(task.name, value);
    assert_eq!(request.is_ok(), admitted, "by-name enqueue and check disagree: {value}");
    match request {
        Ok(request) => {
            let job = request.enqueue(&SHARED.queue).unwrap();
            let ended = end(job.id());
            assert_eq!(
                ended.status,
                Status::Completed,
                "the check accepts {value}, the worker reports {:?}",
                ended.error
            );
        }
        Err(error) => refused(&error),
    }
    let strange = value.as_str().unwrap_or("fuzz.text");
    if let Err(error) = JobRequest::<Value>::by_name(strange, value).map(drop) {
        is_readable(&error.to_string());
    }
}

/// Stored without the check, as a plain INSERT can do.
fn run(task: &TaskDef, text: &str, admitted: bool) {
    let mut job = NewJob::new(task.name, text);
    job.max_retries = 0;
    let Ok(ids) = SHARED.store.insert(vec![job]).wait() else { return };
    let ended = attempted(ids[0]);
    assert!(ended.status == Status::Completed || !admitted, "{text}: {:?}", ended.error);
    if let Some(error) = &ended.error {
        // Params that do not fit are left to workers of other versions.
        assert!(matches!(ended.status, Status::Failed | Status::Pending), "{ended:?}");
        assert!(!error.starts_with("the task panicked"), "{error}");
        is_readable(error);
    }
    // Whatever its contents, it can be serialized.
    serde_json::to_string(&ended).unwrap();
}

/// Waits for the end of the first attempt, then deletes the job.
#[expect(clippy::disallowed_methods, reason = "waits for a worker, in real time")]
fn attempted(id: JobId) -> Job {
    let until = Instant::now() + DEADLINE;
    loop {
        let job = SHARED.queue.get(id).unwrap().unwrap();
        if job.status.is_ended() || (job.status == Status::Pending && job.attempt > 0) {
            // It may be claimed again, and has ended then, or is left to others again.
            if SHARED.queue.delete(id).is_ok() {
                return job;
            }
        }
        assert!(Instant::now() < until, "the job is not attempted: {job:?}");
        std::thread::yield_now();
    }
}

/// Waits for the end of the job, then deletes it.
fn end(id: JobId) -> Job {
    let ended = SHARED.store.wait_for(id).wait_timeout(DEADLINE);
    let job = ended.unwrap_or_else(|_| panic!("the job has not ended: {:?}", SHARED.queue.get(id))).unwrap();
    SHARED.queue.delete(id).unwrap();
    assert!(matches!(SHARED.store.get(id).wait(), Ok(None)));
    job
}
