//! The operations of a store, each on a [`Fixture`] of its own: a [`Case`] is one operation, with the
//! contents of the file without it and with it.
//!
//! Depends on `workspace`. Which fault happens meanwhile, and whether the answer was true, is checked by
//! `each_operation`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use qdjobs::rusqlite::TransactionBehavior;
use qdjobs::store::sqlite::{Durability, SqliteStore};
use qdjobs::store::{
    Claim, ClaimRequest, ClaimResponse, Filter, FinishedJob, JobCommand, Pending, ProgressSlot, Release,
    Store, TaskDefaults, TaskSet, Ticket, WorkerInfo,
};
use qdjobs::store::{NewJob, RunAt, Verdict};
use qdjobs::{Error, ErrorKind, Job, JobId, JobQueue, JobRequest, Progress, Status, Task, WorkerId, task};
use qdjobs_sim_disk::as_process;

use crate::workspace::{EXTERNAL as PROBE, START, StoredState, Workspace, answer};

/// A task for the enqueue by name.
#[task("disk.greet")]
fn greet(name: &str) -> String {
    format!("Hello {name}!")
}

const ANN: WorkerId = WorkerId(0xa);
const BOB: WorkerId = WorkerId(0xb);
const CAT: WorkerId = WorkerId(0xc);

/// A store with jobs in every state, and workers that hold some.
pub(crate) struct Fixture {
    pub(crate) workspace: Workspace,
    pub(crate) store: Option<Arc<SqliteStore>>,
    /// The jobs that Ann holds.
    held: Vec<Claim>,
    /// A failed job, a cancelled one, a scheduled one.
    failed: JobId,
    cancelled: JobId,
    scheduled: JobId,
    waiting_claim: Option<Pending<ClaimResponse>>,
    /// A wait for the end of the first job that Ann holds.
    job_end: Option<Pending<Job>>,
    /// The same store as a queue; it closes the store when it is dropped.
    queue: Option<JobQueue>,
}

/// The result of an operation: the text of its answer, or a refusal.
pub(crate) type Reported = Result<String, Refusal>;

fn reported<T: std::fmt::Debug>(answer: qdjobs::Result<T>) -> Reported {
    Ok(format!("{:?}", answer?))
}

/// A refusal, and whether the refused write may be stored nevertheless.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: ErrorKind,
    pub(crate) may_be_stored: bool,
    #[expect(dead_code, reason = "shown by a failing test")]
    text: String,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        // Every error of the disk tells whose disk it is.
        assert_eq!(error.to_string().matches(".db`").count(), 1, "{error}");
        Refusal { kind: error.kind(), may_be_stored: error.may_be_stored(), text: error.to_string() }
    }
}

/// One operation to be done once, under a fault.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Done before the disk fails.
    before: fn(&mut Fixture),
    pub(crate) act: fn(&mut Fixture) -> Reported,
    /// Done after the fault, by the caller with its answer; returns what is known then.
    pub(crate) then: fn(&mut Fixture, Reported) -> Reported,
    /// Whether the store can be used afterwards.
    pub(crate) stays_open: bool,
    /// Whether it has an answer.
    pub(crate) answers: bool,
}

const DEFAULT_CASE: Case = Case {
    name: "",
    before: |_| {},
    act: |_| reported(Ok(())),
    then: |_, reported| reported,
    stays_open: true,
    answers: true,
};

impl Fixture {
    fn new(seed: u64) -> Fixture {
        let workspace = Workspace::new(seed);
        let store = workspace.open();
        for (worker, host) in [(ANN, "here"), (BOB, "there")] {
            answer(store.register_worker(WorkerInfo::new(worker, host, 7))).unwrap();
        }
        let mut fixture = Fixture {
            workspace,
            store: Some(store),
            held: Vec::new(),
            failed: JobId(0),
            cancelled: JobId(0),
            scheduled: JobId(0),
            waiting_claim: None,
            job_end: None,
            queue: None,
        };
        fixture.failed = fixture.end_of(Verdict::Fail { error: "broken".into() });
        fixture.cancelled = fixture.end_of(Verdict::Cancel { reason: "unwanted".into() });
        let mut later = NewJob::new("mail", "{}");
        later.run_at = RunAt::After(Duration::from_secs(60));
        fixture.scheduled = answer(fixture.store().insert(vec![later])).unwrap()[0];
        let jobs = (0..12).map(|n| NewJob::new("mail", format!("{{\"n\":{n}}}"))).collect();
        answer(fixture.store().insert(jobs)).unwrap();
        fixture.held = fixture.claim(ANN, 6);
        assert_eq!(fixture.claim(BOB, 3).len(), 3);
        fixture
    }

    fn store(&self) -> &Arc<SqliteStore> {
        self.store.as_ref().unwrap()
    }

    fn claim(&self, worker: WorkerId, limit: usize) -> Vec<Claim> {
        let response = answer(self.ask(worker, Vec::new(), limit, false)).unwrap();
        response.claimed.iter().map(|job| job.claim).collect()
    }

    fn ask(
        &self,
        worker: WorkerId,
        done: Vec<FinishedJob>,
        limit: usize,
        wait: bool,
    ) -> Pending<ClaimResponse> {
        let task = if wait { "ping" } else { "mail" };
        self.store().claim(ClaimRequest {
            worker,
            finished: Arc::new(done),
            limit,
            tasks: Arc::new(TaskSet::new([task])),
            queues: None,
            wait,
        })
    }

    fn end_of(&self, verdict: Verdict) -> JobId {
        answer(self.store().insert(vec![NewJob::new("mail", "{}")])).unwrap();
        let claim = self.claim(ANN, 1)[0];
        answer(self.ask(ANN, vec![self.finish(claim, verdict)], 0, false)).unwrap();
        claim.id
    }

    fn finish(&self, claim: Claim, verdict: Verdict) -> FinishedJob {
        FinishedJob {
            claim,
            ticket: Ticket::new(self.workspace.clock.now()),
            began_after: Duration::ZERO,
            verdict,
        }
    }

    /// Ann hands in the jobs she holds, each with its verdict, and claims more.
    fn hand_in(&mut self, verdicts: Vec<Verdict>, limit: usize) -> Reported {
        let done = self.held.iter().zip(verdicts).map(|(claim, it)| self.finish(*claim, it)).collect();
        reported(answer(self.ask(ANN, done, limit, false)))
    }

    fn control(&mut self, command: JobCommand) -> Reported {
        reported(answer(self.store().command(command)))
    }

    fn queue(&mut self) -> &JobQueue {
        let store = self.store().clone();
        self.queue.get_or_insert_with(|| JobQueue::with_store(store))
    }
}

fn jobs(n: usize, bytes: usize) -> Vec<NewJob> {
    let text = "x".repeat(bytes);
    (0..n).map(|n| NewJob::new("mail", format!("{{\"n\":{n},\"text\":\"{text}\"}}"))).collect()
}

pub(crate) fn opening() -> Vec<Case> {
    vec![
        Case {
            name: "open a new file",
            before: |fixture| {
                fixture.store = None;
                fixture.workspace = Workspace::new(8);
            },
            act: reopen,
            ..DEFAULT_CASE
        },
        Case {
            name: "open an old file",
            before: |fixture| fixture.store = None,
            act: reopen,
            ..DEFAULT_CASE
        },
        Case {
            name: "open a file whose process was killed",
            before: |fixture| {
                fixture.workspace.disk.kill(0);
                fixture.store = None;
            },
            act: |fixture| as_process(LATER, || reopen(fixture)),
            ..DEFAULT_CASE
        },
        Case {
            name: "close",
            act: |fixture| {
                fixture.store().close();
                reported(Ok(()))
            },
            stays_open: false,
            ..DEFAULT_CASE
        },
    ]
}

fn reopen(fixture: &mut Fixture) -> Reported {
    fixture.store = Some(fixture.workspace.try_open(Durability::Full)?);
    reported(Ok(()))
}

pub(crate) fn inserting() -> Vec<Case> {
    vec![
        Case {
            name: "enqueue one on the caller's thread",
            // Idle for a while: then a caller writes inline.
            before: |fixture| {
                for _ in 0..4 {
                    fixture.store().insert_blocking(vec![NewJob::new("alone", "{}")]).unwrap();
                }
            },
            act: |fixture| reported(fixture.store().insert_blocking(jobs(1, 9))),
            ..DEFAULT_CASE
        },
        Case {
            name: "enqueue one",
            act: |fixture| reported(answer(fixture.store().insert(jobs(1, 9)))),
            ..DEFAULT_CASE
        },
        Case {
            name: "enqueue many",
            act: |fixture| reported(answer(fixture.store().insert(jobs(30, 3_000)))),
            ..DEFAULT_CASE
        },
        Case {
            name: "enqueue by name",
            act: |fixture| {
                let request =
                    JobRequest::<String>::by_name("disk.greet", &serde_json::json!({"name": "Ann"}));
                reported(request?.enqueue(fixture.queue()).map(|job| job.id()))
            },
            ..DEFAULT_CASE
        },
        Case {
            name: "enqueue_all",
            act: |fixture| {
                let all = (0..9).map(|n| Greet::new(format!("Ann {n}")).priority(n));
                reported(fixture.queue().enqueue_all(all))
            },
            ..DEFAULT_CASE
        },
        Case {
            name: "enqueue one with an idempotency key",
            before: |fixture| {
                for _ in 0..4 {
                    fixture.store().insert_blocking(vec![NewJob::new("alone", "{}")]).unwrap();
                }
            },
            act: alone_with_a_key,
            then: |fixture, reported| repeat(alone_with_a_key, fixture, reported),
            ..DEFAULT_CASE
        },
        Case {
            name: "enqueue many with idempotency keys",
            act: with_keys,
            then: |fixture, reported| repeat(with_keys, fixture, reported),
            ..DEFAULT_CASE
        },
        Case { name: "enqueue in a program's own transaction", act: in_a_transaction, ..DEFAULT_CASE },
        Case { name: "enqueue by a plain INSERT", act: by_plain_sql, ..DEFAULT_CASE },
        Case {
            name: "enqueue what a waiting claim waits for",
            before: |fixture| {
                fixture.waiting_claim = Some(fixture.ask(ANN, Vec::new(), 2, true));
                // The claim waits once a later request is answered.
                answer(fixture.store().heartbeat(ANN)).unwrap();
            },
            act: |fixture| {
                let stored = answer(fixture.store().insert(vec![NewJob::new("ping", "{}")]));
                if stored.is_ok() {
                    assert_eq!(answer(fixture.waiting_claim.take().unwrap()).unwrap().claimed.len(), 1);
                }
                reported(stored)
            },
            ..DEFAULT_CASE
        },
        Case {
            name: "publish",
            act: |fixture| {
                let card =
                    TaskDefaults { name: "mail".into(), queue: "q".into(), priority: 1, max_retries: 2 };
                reported(answer(fixture.store().publish_tasks(vec![card])))
            },
            ..DEFAULT_CASE
        },
    ]
}

/// The error of a commit by rusqlite: it cannot tell whether the commit is stored, except that a full disk is
/// certain.
fn by_rusqlite(error: qdjobs::rusqlite::Error) -> Refusal {
    let full = error.sqlite_error_code() == Some(qdjobs::rusqlite::ErrorCode::DiskFull);
    let corrupt = error.sqlite_error_code() == Some(qdjobs::rusqlite::ErrorCode::DatabaseCorrupt);
    let kind = match (full, corrupt) {
        (true, _) => ErrorKind::StorageFull,
        (_, true) => ErrorKind::Corrupt,
        _ => ErrorKind::Storage,
    };
    Refusal { kind, may_be_stored: !full, text: error.to_string() }
}

/// The same before a commit.
fn not_stored(error: qdjobs::rusqlite::Error) -> Refusal {
    Refusal { may_be_stored: false, ..by_rusqlite(error) }
}

/// A transaction that a program opens, fills and commits.
fn in_a_transaction(fixture: &mut Fixture) -> Reported {
    let mut conn = fixture.workspace.connect().map_err(not_stored)?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(not_stored)?;
    let id = Greet::new("Ann").at(fixture.workspace.clock.now()).enqueue(&tx)?;
    // Written by the system's clock, which differs in each run.
    tx.execute("UPDATE qdjobs_jobs SET created_at = scheduled_at WHERE id = ?1", [id.0])
        .map_err(not_stored)?;
    tx.commit().map_err(by_rusqlite)?;
    reported(Ok(id))
}

/// The supported way from any language: a trigger fills in what is left out, and moves large params.
fn by_plain_sql(fixture: &mut Fixture) -> Reported {
    let conn = fixture.workspace.connect().map_err(not_stored)?;
    let insert =
        "INSERT INTO qdjobs_jobs (task_name, params, created_at, scheduled_at) VALUES ('mail', ?1, ?2, 0)";
    let params = format!("{{\"text\":\"{}\"}}", "x".repeat(3_000));
    conn.execute(insert, (params, START.as_microsecond())).map_err(by_rusqlite)?;
    reported(Ok(()))
}

/// Some jobs with keys, two of them with the same key.
fn with_keys(fixture: &mut Fixture) -> Reported {
    let mut jobs = jobs(3, 900);
    for (job, key) in jobs.iter_mut().zip(["one", "two", "three"]) {
        job.idempotency_key = Some(key.into());
    }
    jobs.push(jobs[0].clone());
    reported(answer(fixture.store().insert(jobs)))
}

fn alone_with_a_key(fixture: &mut Fixture) -> Reported {
    reported(Greet::new("Ann").idempotency_key("welcome").enqueue(fixture.queue()).map(|job| job.id()))
}

/// Repeats what may be repeated, whatever its answer was. A halted store reports that, which adds nothing to
/// the first answer.
fn repeat(act: fn(&mut Fixture) -> Reported, fixture: &mut Fixture, before: Reported) -> Reported {
    match act(fixture) {
        Err(unconfirm) if unconfirm.kind == ErrorKind::StoreHalted && !unconfirm.may_be_stored => before,
        again => again,
    }
}

pub(crate) fn claiming() -> Vec<Case> {
    vec![
        Case {
            name: "register_worker",
            act: |fixture| reported(answer(fixture.store().register_worker(WorkerInfo::new(CAT, "here", 7)))),
            ..DEFAULT_CASE
        },
        Case { name: "claim: claim", act: |fixture| fixture.hand_in(Vec::new(), 2), ..DEFAULT_CASE },
        Case {
            name: "claim: complete",
            act: |fixture| fixture.hand_in(vec![Verdict::Complete { result: "{}".into() }], 1),
            ..DEFAULT_CASE
        },
        Case {
            name: "claim: retry",
            act: |fixture| {
                fixture.hand_in(vec![Verdict::Retry { wait: Duration::from_secs(9), error: "no".into() }], 0)
            },
            ..DEFAULT_CASE
        },
        Case {
            name: "claim: fail",
            act: |fixture| fixture.hand_in(vec![Verdict::Fail { error: "no".into() }], 0),
            ..DEFAULT_CASE
        },
        Case {
            name: "claim: cancel",
            act: |fixture| fixture.hand_in(vec![Verdict::Cancel { reason: "no".into() }], 0),
            ..DEFAULT_CASE
        },
        Case {
            name: "claim: release",
            act: |fixture| fixture.hand_in(vec![Verdict::Release { wait: Duration::ZERO, started: true }], 0),
            ..DEFAULT_CASE
        },
        Case {
            name: "claim: all of it",
            act: |fixture| {
                let verdicts = vec![
                    Verdict::Complete { result: "{}".into() },
                    Verdict::Retry { wait: Duration::ZERO, error: "no".into() },
                    Verdict::Fail { error: "no".into() },
                    Verdict::Cancel { reason: "no".into() },
                    Verdict::Release { wait: Duration::from_secs(9), started: false },
                ];
                fixture.hand_in(verdicts, 4)
            },
            ..DEFAULT_CASE
        },
        Case {
            name: "claim: complete with a waiter",
            before: |fixture| {
                fixture.job_end = Some(fixture.store().wait_for(fixture.held[0].id));
                // The wait is registered once a later request is answered.
                answer(fixture.store().heartbeat(ANN)).unwrap();
            },
            act: complete_one,
            then: |fixture, reported| {
                // As a worker does after an unconfirmed end.
                let reported =
                    if reported.is_ok() { reported } else { repeat(complete_one, fixture, reported) };
                match (&reported, answer(fixture.job_end.take().unwrap())) {
                    (Ok(_), Ok(job)) => assert_eq!(job.status, Status::Completed),
                    (Err(_), Err(error)) => assert_eq!(error.kind(), ErrorKind::StoreHalted, "{error}"),
                    (_, waited) => panic!("the worker was told {reported:?}, the waiter {waited:?}"),
                }
                reported
            },
            ..DEFAULT_CASE
        },
        Case {
            name: "heartbeat",
            act: |fixture| reported(answer(fixture.store().heartbeat(ANN))),
            ..DEFAULT_CASE
        },
        Case {
            name: "report progress",
            act: |fixture| {
                let slot = Arc::new(ProgressSlot::new(fixture.held[0]));
                assert!(slot.set(Progress::new(0.5, None)));
                fixture.store().report_progress(slot);
                // Written once a later request is answered.
                let _ = answer(fixture.store().cancel_waiting_claims(BOB));
                reported(Ok(()))
            },
            answers: false,
            ..DEFAULT_CASE
        },
    ]
}

fn complete_one(fixture: &mut Fixture) -> Reported {
    fixture.hand_in(vec![Verdict::Complete { result: "{}".into() }], 0)
}

pub(crate) fn freeing() -> Vec<Case> {
    vec![
        Case {
            name: "rescue",
            act: |fixture| reported(answer(fixture.store().release_worker(BOB, Release::ProvenDead))),
            ..DEFAULT_CASE
        },
        Case {
            name: "rescue of a silent worker",
            // It has never sent a heartbeat.
            act: |fixture| {
                reported(answer(fixture.store().release_worker(BOB, Release::Silent { heartbeats: 0 })))
            },
            ..DEFAULT_CASE
        },
        Case {
            name: "leave",
            act: |fixture| reported(answer(fixture.store().release_worker(ANN, Release::ByWorker))),
            ..DEFAULT_CASE
        },
        Case {
            name: "command: retry",
            act: |fixture| fixture.control(JobCommand::Retry(fixture.failed)),
            ..DEFAULT_CASE
        },
        Case {
            name: "command: cancel",
            act: |fixture| fixture.control(JobCommand::Cancel(fixture.scheduled)),
            ..DEFAULT_CASE
        },
        Case {
            name: "command: delete",
            act: |fixture| fixture.control(JobCommand::Delete(fixture.cancelled)),
            ..DEFAULT_CASE
        },
        Case {
            name: "promote",
            act: |fixture| {
                fixture.workspace.clock.advance(Duration::from_secs(60));
                reported(answer(fixture.store().heartbeat(ANN)))
            },
            ..DEFAULT_CASE
        },
        Case {
            name: "wait for the end of a job",
            act: |fixture| reported(answer(fixture.store().wait_for(fixture.failed))),
            ..DEFAULT_CASE
        },
        Case {
            name: "backup",
            act: |fixture| {
                let made = fixture.store().backup(&copy(fixture));
                assert!(made.is_ok() || !copy(fixture).exists(), "no part of a copy is left: {made:?}");
                reported(made)
            },
            then: |fixture, reported| {
                if reported.is_ok() {
                    let findings = qdjobs::store::sqlite::check(copy(fixture)).unwrap();
                    assert!(findings.is_sound() && findings.jobs == 15, "{findings:?}");
                }
                reported
            },
            ..DEFAULT_CASE
        },
        Case {
            name: "read a job",
            act: |fixture| reported(answer(fixture.store().get(fixture.failed))),
            ..DEFAULT_CASE
        },
        Case {
            name: "read attempts",
            act: |fixture| reported(answer(fixture.store().attempts(fixture.failed))),
            ..DEFAULT_CASE
        },
        Case {
            name: "list",
            act: |fixture| reported(answer(fixture.store().list(Filter::default()))),
            ..DEFAULT_CASE
        },
        Case { name: "count", act: |fixture| reported(answer(fixture.store().counts())), ..DEFAULT_CASE },
        Case {
            name: "read workers",
            act: |fixture| reported(answer(fixture.store().workers())),
            ..DEFAULT_CASE
        },
    ]
}

fn copy(fixture: &Fixture) -> PathBuf {
    fixture.workspace.path().with_file_name("copy.db")
}

/// How the process ends after the operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Close,
    Kill,
    PowerCut,
}

/// The process that reads the file afterwards.
const LATER: u32 = 1;

impl Fixture {
    pub(crate) fn end(&mut self, how: End) {
        match how {
            End::Close => {}
            End::Kill => self.workspace.disk.kill(0),
            End::PowerCut if self.workspace.disk.is_off() => {}
            End::PowerCut => self.workspace.disk.cut_power(),
        }
        (self.waiting_claim, self.job_end, self.queue, self.store) = (None, None, None, None);
        self.workspace.disk.power_on();
    }
}

/// The contents of the file, read by a newly opened store; and whether the job of a probe is there.
pub(crate) fn stored_state(workspace: &Workspace) -> (StoredState, bool) {
    as_process(LATER, || {
        let store = workspace.open();
        workspace.assert_sound();
        let mut probes = Filter::default();
        probes.task_name = Some(PROBE.into());
        let probes = answer(store.list(probes)).unwrap();
        (StoredState::of(&*store).unwrap(), !probes.jobs.is_empty())
    })
}

/// A case on a disk without faults.
pub(crate) struct Expected {
    /// The contents of the file without the operation, and with it.
    pub(crate) before: StoredState,
    pub(crate) after: StoredState,
    /// The answer of the operation.
    pub(crate) answer: String,
}

impl Case {
    /// The fixture of a seed. A cold one has a newly opened store, which reads all that it needs.
    pub(crate) fn fixture(&self, seed: u64, cold: bool) -> Fixture {
        let mut fixture = Fixture::new(seed);
        if cold {
            fixture.store = None;
            reopen(&mut fixture).unwrap();
        }
        (self.before)(&mut fixture);
        fixture
    }

    pub(crate) fn expected(&self) -> Expected {
        let found = |act: fn(&mut Fixture) -> Reported| {
            let mut fixture = self.fixture(0, false);
            let answer = act(&mut fixture).unwrap();
            fixture.end(End::Close);
            (stored_state(&fixture.workspace).0, answer)
        };
        let (before, _) = found(DEFAULT_CASE.act);
        let (after, answer) = found(self.act);
        Expected { before, after, answer }
    }
}
