//! A sequence of every request that a store accepts, on the SQLite store and on the memory store, which have
//! to agree.
//!
//! The random sequences of `tests/tests/api/model.rs` compare both with a model; here a fuzzer looks for
//! sequences that reach new code. At the end the file is closed, checked, and opened again: everything that
//! was answered is still there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use qdjobs::rusqlite::Connection;
use qdjobs::store::memory::MemoryStore;
use qdjobs::store::sqlite::{SqliteOptions, SqliteStore};
use qdjobs::store::{
    Claim, ClaimRequest, ClaimResponse, Cursor, Filter, FinishedJob, JobCommand, Pending, ProgressSlot,
    Release, Store, TaskSet, Ticket, WorkerInfo,
};
use qdjobs::store::{NewJob, RunAt, Verdict};
use qdjobs::{Clock, Durability, Job, JobId, Progress, Result, Status, Timestamp, WorkerId};

use crate::panics;

/// Nothing here takes this long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

const START: Timestamp = Timestamp::constant(1_795_000_000, 0);

/// More steps find nothing new.
const STEPS_MAX: usize = 64;

const TASKS: [&str; 2] = ["mail", "ping"];
const QUEUES: [&str; 2] = ["a", "b"];

/// A worker that does not exist: its heartbeat changes nothing.
const NOBODY: WorkerId = WorkerId(0);

/// One request, with its arguments.
#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<NewJob>),
    RegisterWorker(WorkerId),
    Claim(ClaimRequest),
    CancelWaitingClaims(WorkerId),
    Heartbeat(WorkerId),
    ReportProgress(Claim, f64),
    Rescue(WorkerId),
    Leave(WorkerId),
    JobCommand(JobCommand),
    Ended(JobId),
    Read(Read),
    Advance(Duration),
}

/// One read.
#[derive(Clone, Debug)]
enum Read {
    Get(JobId),
    Attempts(JobId),
    List(Filter),
    Counts,
    Workers,
}

/// Reads the bytes as a sequence of requests.
pub fn workflow(bytes: &[u8]) {
    panics::install_hook();
    let dir = scratch();
    let path = dir.path().join("jobs.db");
    let clock = Clock::manual(START);
    let mut drivers = [Driver::new(MemoryStore::new(clock.clone())), Driver::new(open(&path, &clock))];
    let mut bytes = Unstructured::new(bytes);
    let mut claims = Vec::new();
    for number in 0..STEPS_MAX {
        let Ok(step) = draw(&mut bytes, &claims) else { break };
        if let Step::Advance(by) = step {
            clock.advance(by);
        }
        let [memory, file] = &mut drivers;
        let (expected, found) =
            (memory.apply(number, &step, &mut claims), file.apply(number, &step, &mut Vec::new()));
        assert_eq!(expected, found, "after {step:?}");
        if bytes.is_empty() {
            break;
        }
    }
    let [memory, file] = drivers;
    let dump = memory.dump();
    assert_eq!(dump, file.dump());
    memory.close();
    file.close();
    let sound = Connection::open(&path).unwrap();
    let sound: String = sound.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let again = Driver::new(open(&path, &clock));
    assert_eq!(dump, again.dump(), "after the file was closed and opened again");
    again.close();
    panics::assert_none();
}

/// A directory in memory, where there is one: this tests logic, not a disk.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.unwrap()
}

fn open(path: &Path, clock: &Clock) -> Arc<dyn Store> {
    let mut options = SqliteOptions::default();
    options.durability = Durability::Relaxed;
    SqliteStore::open(path, options, clock.clone()).unwrap()
}

/// A store with the requests that are not answered yet.
struct Driver {
    store: Arc<dyn Store>,
    open_claims: BTreeMap<usize, Pending<ClaimResponse>>,
    waits: BTreeMap<usize, Pending<Job>>,
}

impl Driver {
    fn new(store: Arc<dyn Store>) -> Driver {
        Driver { store, open_claims: BTreeMap::new(), waits: BTreeMap::new() }
    }

    /// The answers that arrived during a step, by the number of the step that asked.
    fn apply(
        &mut self,
        number: usize,
        step: &Step,
        claims: &mut Vec<(Claim, Ticket)>,
    ) -> BTreeMap<usize, String> {
        let store = &self.store;
        let immediate = match step.clone() {
            Step::Insert(jobs) => Some(show(store.insert(jobs))),
            Step::RegisterWorker(worker) => {
                Some(show(store.register_worker(WorkerInfo::new(worker, "host", 7))))
            }
            Step::Heartbeat(worker) => Some(show(store.heartbeat(worker))),
            Step::Rescue(worker) => Some(show(store.release_worker(worker, Release::ProvenDead))),
            Step::Leave(worker) => Some(show(store.release_worker(worker, Release::ByWorker))),
            Step::JobCommand(command) => Some(show(store.command(command))),
            Step::Read(read) => Some(match read {
                Read::Get(id) => show(store.get(id)),
                Read::Attempts(id) => show(store.attempts(id)),
                Read::List(filter) => show(store.list(filter)),
                Read::Counts => show(store.counts()),
                Read::Workers => show(store.workers()),
            }),
            Step::Claim(request) => {
                self.open_claims.insert(number, store.claim(request));
                None
            }
            Step::Ended(id) => {
                self.waits.insert(number, store.wait_for(id));
                None
            }
            Step::ReportProgress(claim, fraction) => {
                let slot = Arc::new(ProgressSlot::new(claim));
                slot.set(Progress::new(fraction, None));
                store.report_progress(slot);
                None
            }
            Step::CancelWaitingClaims(worker) => {
                wait(store.cancel_waiting_claims(worker)).unwrap();
                None
            }
            Step::Advance(_) => None,
        };
        // After two more writes, everything that follows from the step has been answered: the second write is
        // behind the batch of the first and all that it passed on.
        for _ in 0..2 {
            wait(self.store.heartbeat(NOBODY)).unwrap();
        }
        let mut answers: BTreeMap<usize, String> =
            immediate.map(|answer| (number, answer)).into_iter().collect();
        self.open_claims.retain(|asked, pending| {
            let Some(response) = pending.try_take() else { return true };
            let claimed = response.iter().flat_map(|response| &response.claimed);
            claims.extend(claimed.map(|job| (job.claim, job.ticket)));
            answers.insert(*asked, show_answer(response));
            false
        });
        self.waits.retain(|asked, wait| {
            let Some(job) = wait.try_take() else { return true };
            answers.insert(*asked, show_answer(job));
            false
        });
        answers
    }

    /// Everything that can be read.
    fn dump(&self) -> Vec<String> {
        let mut lines = vec![show(self.store.counts()), show(self.store.workers())];
        let mut filter = Filter::default();
        filter.limit = Some(5);
        loop {
            let page = wait(self.store.list(filter.clone())).unwrap();
            for job in &page.jobs {
                lines.push(format!("{job:?} {}", show(self.store.attempts(job.id))));
            }
            assert!(page.next.is_none_or(|next| filter.after.is_none_or(|before| next < before)));
            filter.after = page.next;
            if filter.after.is_none() {
                return lines;
            }
        }
    }

    /// Every request that still waits is answered.
    fn close(self) {
        self.store.close();
        for (_, pending) in self.open_claims {
            show_answer(wait(pending));
        }
        for (_, job) in self.waits {
            assert!(wait(job).is_err());
        }
    }
}

fn wait<T>(pending: Pending<T>) -> Result<T> {
    pending.wait_timeout(DEADLINE).unwrap_or_else(|_| panic!("no answer within {DEADLINE:?}"))
}

fn show<T: std::fmt::Debug>(pending: Pending<T>) -> String {
    show_answer(wait(pending))
}

fn show_answer<T: std::fmt::Debug>(answer: Result<T>) -> String {
    answer.map_or_else(|error| format!("{:?}", error.kind()), |answer| format!("{answer:?}"))
}

// ---- From bytes to requests

type Generated<T> = arbitrary::Result<T>;

fn draw(bytes: &mut Unstructured<'_>, claims: &[(Claim, Ticket)]) -> Generated<Step> {
    Ok(match bytes.int_in_range(0..=15)? {
        0..=2 => Step::Insert((0..bytes.int_in_range(0..=3)?).map(|_| job(bytes)).collect::<Generated<_>>()?),
        3 => Step::RegisterWorker(worker(bytes)?),
        4..=6 => Step::Claim(claim_request(bytes, claims)?),
        7 => Step::CancelWaitingClaims(worker(bytes)?),
        8 => Step::Heartbeat(worker(bytes)?),
        9 => Step::ReportProgress(claim(bytes, claims)?, f64::arbitrary(bytes)?),
        10 => Step::Rescue(worker(bytes)?),
        11 => Step::Leave(worker(bytes)?),
        12 => Step::JobCommand(command(bytes)?),
        13 => Step::Ended(id(bytes)?),
        14 => Step::Read(read(bytes)?),
        _ => Step::Advance(pause(bytes)?),
    })
}

fn worker(bytes: &mut Unstructured<'_>) -> Generated<WorkerId> {
    Ok(numbered(bytes.int_in_range(1..=3)?))
}

/// Two workers of one process, and one of another.
fn numbered(number: i64) -> WorkerId {
    WorkerId(if number < 3 { 1 << 32 | number } else { number })
}

fn id(bytes: &mut Unstructured<'_>) -> Generated<JobId> {
    Ok(JobId(if u8::arbitrary(bytes)? < 250 { bytes.int_in_range(0..=12)? } else { i64::arbitrary(bytes)? }))
}

fn cursor(bytes: &mut Unstructured<'_>) -> Generated<Cursor> {
    // A text that is no cursor is refused before it reaches a store.
    Ok(id(bytes)?.0.to_string().parse().unwrap_or_else(|_| "0".parse().unwrap()))
}

/// Whole and half seconds, so that instants meet exactly; now and then any time at all.
fn pause(bytes: &mut Unstructured<'_>) -> Generated<Duration> {
    Ok(match bytes.int_in_range(0..=7)? {
        0..=2 => Duration::ZERO,
        3 => Duration::from_micros(1),
        4 => Duration::from_micros(499_999),
        5 | 6 => Duration::from_millis(500 * bytes.int_in_range(1..=4)?),
        _ => Duration::arbitrary(bytes)?,
    })
}

fn job(bytes: &mut Unstructured<'_>) -> Generated<NewJob> {
    let mut job = NewJob::new(*bytes.choose(&["mail", "ping", "no such name"])?, r#"{"n":1}"#);
    job.queue = (*bytes.choose(&QUEUES)?).to_owned();
    job.priority = bytes.int_in_range(-1..=1)?;
    job.max_retries = bytes.int_in_range(0..=2)?;
    job.run_at = match bytes.int_in_range(0..=3)? {
        0 | 1 => RunAt::Now,
        2 => RunAt::After(pause(bytes)?),
        _ => RunAt::At(Timestamp::from_microsecond(i64::arbitrary(bytes)?).unwrap_or(START)),
    };
    if bytes.ratio(1_u8, 5_u8)? {
        job.idempotency_key = Some((*bytes.choose(&["k", "l"])?).to_owned());
        job.params = (*bytes.choose(&[r#"{"n":1}"#, r#"{ "n": 1 }"#, r#"{"n":2}"#])?).to_owned();
    }
    Ok(job)
}

/// A claim that was made, one like it, or one that never was.
fn claim(bytes: &mut Unstructured<'_>, claims: &[(Claim, Ticket)]) -> Generated<Claim> {
    let recent = bytes.int_in_range(0..=5_usize)?;
    let made = claims.iter().rev().nth(recent % claims.len().max(1)).map(|(claim, _)| *claim);
    let made = made.unwrap_or(Claim { id: JobId(1), attempt: 1, worker: numbered(1) });
    Ok(match bytes.int_in_range(0..=9)? {
        0 => Claim { attempt: made.attempt.wrapping_add(1), ..made },
        1 => Claim { worker: numbered((made.worker.0 & 3) % 3 + 1), ..made },
        2 => Claim { id: id(bytes)?, ..made },
        3 => Claim { attempt: u32::arbitrary(bytes)?, ..made },
        _ => made,
    })
}

fn claim_request(bytes: &mut Unstructured<'_>, claims: &[(Claim, Ticket)]) -> Generated<ClaimRequest> {
    let done: Vec<FinishedJob> =
        (0..bytes.int_in_range(0..=3)?).map(|_| finish(bytes, claims)).collect::<Generated<_>>()?;
    // Workers mostly show their own claims.
    let worker = match done.first() {
        Some(finish) if u8::arbitrary(bytes)? < 230 => finish.claim.worker,
        _ => worker(bytes)?,
    };
    let tasks: &[&str] = bytes.choose(&[&TASKS[..], &TASKS[..1], &TASKS[1..], &[]])?;
    let queues: &[&[&str]] = &[&[], &QUEUES[..1], &QUEUES];
    let queues = bytes.choose(queues)?;
    Ok(ClaimRequest {
        worker,
        finished: Arc::new(done),
        limit: bytes.int_in_range(0..=3)?,
        tasks: Arc::new(TaskSet::new(tasks.iter().copied())),
        queues: (!queues.is_empty()).then(|| queues.iter().map(|name| (*name).to_owned()).collect()),
        wait: bool::arbitrary(bytes)?,
    })
}

fn finish(bytes: &mut Unstructured<'_>, claims: &[(Claim, Ticket)]) -> Generated<FinishedJob> {
    let verdict = match bytes.int_in_range(0..=6)? {
        0 | 1 => Verdict::Complete { result: "[1]".into() },
        2 => Verdict::Fail { error: "broken".into() },
        3 => Verdict::Cancel { reason: "unwanted".into() },
        4 => Verdict::Retry { wait: pause(bytes)?, error: "boom".into() },
        5 => Verdict::Postpone { wait: pause(bytes)?, error: "unreadable".into() },
        _ => Verdict::Release { wait: pause(bytes)?, started: bool::arbitrary(bytes)? },
    };
    let claim = claim(bytes, claims)?;
    // A worker returns the ticket that it got with the claim. A claim that was never made has none.
    let made = claims.iter().find(|(made, _)| *made == claim);
    Ok(FinishedJob {
        claim,
        ticket: made.map_or(Ticket::new(START), |(_, ticket)| *ticket),
        began_after: Duration::ZERO,
        verdict,
    })
}

fn command(bytes: &mut Unstructured<'_>) -> Generated<JobCommand> {
    let id = id(bytes)?;
    Ok(*bytes.choose(&[JobCommand::Retry(id), JobCommand::Cancel(id), JobCommand::Delete(id)])?)
}

fn read(bytes: &mut Unstructured<'_>) -> Generated<Read> {
    Ok(match bytes.int_in_range(0..=5)? {
        0 => Read::Get(id(bytes)?),
        1 => Read::Attempts(id(bytes)?),
        2 => Read::Counts,
        3 => Read::Workers,
        _ => {
            let mut filter = Filter::default();
            filter.status = if bool::arbitrary(bytes)? { Some(*bytes.choose(&Status::ALL)?) } else { None };
            filter.task_name = if bool::arbitrary(bytes)? { Some(String::arbitrary(bytes)?) } else { None };
            filter.queue =
                if bool::arbitrary(bytes)? { Some((*bytes.choose(&QUEUES)?).to_owned()) } else { None };
            (filter.scheduled, filter.retrying) = (bool::arbitrary(bytes)?, bool::arbitrary(bytes)?);
            filter.after = if bool::arbitrary(bytes)? { Some(cursor(bytes)?) } else { None };
            filter.limit = Option::arbitrary(bytes)?;
            Read::List(filter)
        }
    })
}
