//! Every public type that can be written as JSON is read back from it: what a program gets over HTTP is the value that
//! the service had.
//!
//! Depends on the text of the sources, which names the types.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use qdjobs::prelude::*;
use qdjobs::store::{Checkpoint, Failure, SqliteHealth, WorkerState};
use qdjobs::{Attempt, AttemptOutcome, Health, HealthState, Job, JobId, ParamProblem, Status, WorkerId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::support::{Soon, Workspace};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../qdjobs/src");

/// Types that are written only: their texts are those of the program.
const WRITTEN_ONLY: [&str; 1] = ["ParamInfo"];

/// Reads and writes each text. Returns the name of the type.
fn read_back<T: Serialize + DeserializeOwned + Debug>(texts: &[&str]) -> String {
    for text in texts {
        let value: T = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(&serde_json::to_string(&value).unwrap(), text);
        let again: T = serde_json::from_value(serde_json::to_value(&value).unwrap()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{value:?}"));
    }
    std::any::type_name::<T>().rsplit("::").next().unwrap().to_owned()
}

const JOB: &str = concat!(
    r#"{"id":7,"name":"a","task_name":"t","params":{"a":1.5},"status":"completed","result":{"z":1},"error":"first","#,
    r#""created_at":"2026-11-23T16:40:39.336066","started_at":"2026-11-23T16:40:40.000000","#,
    r#""completed_at":"2026-11-23T16:40:41.500000","duration":1.5,"queue":"mail","priority":-3,"attempt":2,"#,
    r#""retry_count":1,"max_retries":3,"crash_count":1,"scheduled_at":"2026-11-23T16:40:39.336066","#,
    r#""worker_id":"00000000000000ff","progress":0.5,"progress_message":"half","metadata":{"m":1},"#,
    r#""idempotency_key":"k"}"#
);

const HEALTH: &str = concat!(
    r#"{"state":"storage_full","since":"2026-11-23T16:40:39.336066","#,
    r#""last_error":{"at":"2026-11-23T16:40:40.000000","error":"full"},"#,
    r#""sqlite":{"wal_bytes":4096,"last_checkpoint":{"at":"2026-11-23T16:40:41.000000","pages":9,"written_back":8,"#,
    r#""blocked":true},"checkpoint_blocked_since":"2026-11-23T16:40:42.000000","world_readable":true,"#,
    r#""wal_reset_bug":true}}"#
);

#[test]
fn every_public_type_that_is_written_as_json_is_read_back_from_it() {
    let attempt = concat!(
        r#"{"attempt":2,"started_at":"2026-11-23T16:40:39.336066","ended_at":"2026-11-23T16:40:41.000000","#,
        r#""worker_id":"00000000000000ff","outcome":"crashed","error":"the worker died"}"#
    );
    let worker = concat!(
        r#"{"id":"00000007000000ff","host":"here","pid":9,"started_at":"2026-11-23T16:40:39.336066","#,
        r#""heartbeats":18446744073709551615,"running":2}"#
    );
    let sqlite = concat!(
        r#"{"wal_bytes":0,"last_checkpoint":null,"checkpoint_blocked_since":null,"world_readable":false,"#,
        r#""wal_reset_bug":false}"#
    );
    let read = [
        read_back::<Job>(&[JOB]),
        read_back::<JobId>(&["7"]),
        read_back::<WorkerId>(&[r#""00000000000000ff""#]),
        read_back::<Status>(&Status::ALL.map(|status| &*format!("\"{status}\"").leak())),
        read_back::<Attempt>(&[attempt]),
        read_back::<AttemptOutcome>(&[
            r#""completed""#,
            r#""failed""#,
            r#""cancelled""#,
            r#""released""#,
            r#""crashed""#,
        ]),
        read_back::<WorkerState>(&[worker]),
        read_back::<Health>(&[HEALTH, r#"{"state":"ok","last_error":null,"sqlite":null}"#]),
        read_back::<HealthState>(&[
            r#"{"state":"ok"}"#,
            r#"{"state":"storage_full","since":"2026-11-23T16:40:39.336066"}"#,
            r#"{"state":"unreachable","since":"2026-11-23T16:40:39.336066"}"#,
            r#"{"state":"halted","reason":"a sync failed"}"#,
        ]),
        read_back::<Failure>(&[r#"{"at":"2026-11-23T16:40:40.000000","error":"full"}"#]),
        read_back::<SqliteHealth>(&[sqlite]),
        read_back::<Checkpoint>(&[
            r#"{"at":"2026-11-23T16:40:41.000000","pages":9,"written_back":8,"blocked":false}"#,
        ]),
        read_back::<ParamProblem>(&[r#"{"param":"to","problem":"is missing"}"#]),
    ];
    let mut expected = BTreeSet::new();
    serializable_types(Path::new(SOURCES), &mut expected);
    assert!(expected.len() > 10, "{expected:?}");
    let covered: BTreeSet<String> = read.into_iter().chain(WRITTEN_ONLY.map(str::to_owned)).collect();
    assert_eq!(covered, expected);
}

#[task("json.twice", retries = 1)]
fn twice(ctx: &JobContext) -> Result<(), TaskError> {
    if ctx.attempt() == 1 { Err(TaskError::retry_in(std::time::Duration::ZERO, "not yet")) } else { Ok(()) }
}

/// Of a real database: its instants have the digits that JSON has.
#[test]
fn a_job_its_history_and_its_workers_are_the_same_after_they_were_sent_as_json() {
    let (_room, queue) = Workspace::with_queue();
    let _worker = Worker::new(&queue).task::<Twice>().start().unwrap();
    let handle = Twice::new().metadata(serde_json::json!({"m": 1})).enqueue(&queue).unwrap();
    handle.soon().unwrap();
    let (job, attempts) = (handle.job().unwrap(), queue.attempts(handle.id()).unwrap());
    let sent: Job = serde_json::from_str(&serde_json::to_string(&job).unwrap()).unwrap();
    assert_eq!(format!("{sent:?}"), format!("{job:?}"));
    assert_eq!(attempts.iter().map(|it| it.error.is_some()).collect::<Vec<_>>(), [true, false]);
    let sent = serde_json::to_string(&attempts).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Attempt>>(&sent).unwrap(), attempts);
    let workers = queue.workers().unwrap();
    let sent = serde_json::to_string(&workers).unwrap();
    assert_eq!(serde_json::from_str::<Vec<WorkerState>>(&sent).unwrap(), workers);
}

/// The public types of the files in `dir` that implement `Serialize`, by derivation or by hand.
fn serializable_types(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            serializable_types(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("tests.rs") {
            let whole = std::fs::read_to_string(&path).unwrap();
            types_in(whole.split("\n#[cfg(test)]\nmod tests {").next().unwrap(), found);
        }
    }
}

fn types_in(source: &str, found: &mut BTreeSet<String>) {
    let mut is_derived = false;
    for line in source.lines() {
        let name = |rest: &str| rest.split(|end: char| !end.is_alphanumeric()).next().unwrap().to_owned();
        if line.starts_with("#[derive(") {
            is_derived = line.contains("Serialize");
        } else if let Some(rest) = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))
        {
            found.extend(std::mem::take(&mut is_derived).then(|| name(rest)));
        } else if let Some(rest) = line.strip_prefix("impl Serialize for ") {
            found.insert(name(rest));
        } else if !line.starts_with("#[") && !line.starts_with("///") {
            is_derived = false;
        }
    }
}
