//! The operations of a store, each on a [`Stage`] of its own: a [`Case`] says what is done, and knows what is in the file with it and
//! without it.
//!
//! Leans on `room`. What befalls the disk meanwhile, and whether the answer was true, is the business of `nth`.

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

use crate::room::{BESIDE as PROBE, Books, Room, START, answer};

/// Something that is stored by its name.
#[task("disk.greet")]
fn greet(name: &str) -> String {
    format!("Hello {name}!")
}

const ANN: WorkerId = WorkerId(0xa);
const BOB: WorkerId = WorkerId(0xb);
const CAT: WorkerId = WorkerId(0xc);

/// A store with jobs in every state, and workers that hold some.
pub(crate) struct Stage {
    pub(crate) room: Room,
    pub(crate) store: Option<Arc<SqliteStore>>,
    /// What Ann holds.
    held: Vec<Claim>,
    /// One that failed, one that was cancelled, one that waits for its time.
    failed: JobId,
    cancelled: JobId,
    scheduled: JobId,
    standing: Option<Pending<ClaimResponse>>,
    /// The end of the first job that Ann holds, waited for.
    waiting: Option<Pending<Job>>,
    /// The same store as a program has it; closes it when it is dropped.
    queue: Option<JobQueue>,
}

/// How an operation says that it went: the text of its answer, or a refusal.
pub(crate) type Told = Result<String, Unconfirmed>;

fn told<T: std::fmt::Debug>(answer: qdjobs::Result<T>) -> Told {
    Ok(format!("{:?}", answer?))
}

/// A refusal, and whether what was refused may be stored nevertheless.
#[derive(Debug)]
pub(crate) struct Unconfirmed {
    pub(crate) kind: ErrorKind,
    pub(crate) may_be_stored: bool,
    #[expect(dead_code, reason = "for a failing test to show")]
    text: String,
}

impl From<Error> for Unconfirmed {
    fn from(error: Error) -> Unconfirmed {
        Unconfirmed { kind: error.kind(), may_be_stored: error.may_be_stored(), text: error.to_string() }
    }
}

/// What there is to be done once, under a fault.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Done before the disk fails.
    before: fn(&mut Stage),
    pub(crate) act: fn(&mut Stage) -> Told,
    /// Done when the disk is well again, by who was told so; answers what is known then.
    pub(crate) then: fn(&mut Stage, Told) -> Told,
    /// Whether the store can be used afterwards.
    pub(crate) stays_open: bool,
    /// Whether it says how it went.
    pub(crate) answers: bool,
}

const CASE: Case = Case {
    name: "",
    before: |_| {},
    act: |_| told(Ok(())),
    then: |_, told| told,
    stays_open: true,
    answers: true,
};

impl Stage {
    fn new(luck: u64) -> Stage {
        let room = Room::new(luck);
        let store = room.open();
        for (worker, host) in [(ANN, "here"), (BOB, "there")] {
            answer(store.register_worker(WorkerInfo::new(worker, host, 7))).unwrap();
        }
        let mut stage = Stage {
            room,
            store: Some(store),
            held: Vec::new(),
            failed: JobId(0),
            cancelled: JobId(0),
            scheduled: JobId(0),
            standing: None,
            waiting: None,
            queue: None,
        };
        stage.failed = stage.end_of(Verdict::Fail { error: "broken".into() });
        stage.cancelled = stage.end_of(Verdict::Cancel { reason: "unwanted".into() });
        let mut later = NewJob::new("mail", "{}");
        later.run_at = RunAt::After(Duration::from_secs(60));
        stage.scheduled = answer(stage.store().insert(vec![later])).unwrap()[0];
        let jobs = (0..12).map(|n| NewJob::new("mail", format!("{{\"n\":{n}}}"))).collect();
        answer(stage.store().insert(jobs)).unwrap();
        stage.held = stage.claim(ANN, 6);
        assert_eq!(stage.claim(BOB, 3).len(), 3);
        stage
    }

    fn store(&self) -> &Arc<SqliteStore> {
        self.store.as_ref().unwrap()
    }

    fn claim(&self, worker: WorkerId, limit: usize) -> Vec<Claim> {
        let turned = answer(self.ask(worker, Vec::new(), limit, false)).unwrap();
        turned.claimed.iter().map(|job| job.claim).collect()
    }

    fn ask(
        &self,
        worker: WorkerId,
        done: Vec<FinishedJob>,
        limit: usize,
        stand: bool,
    ) -> Pending<ClaimResponse> {
        let task = if stand { "ping" } else { "mail" };
        self.store().claim(ClaimRequest {
            worker,
            finished: Arc::new(done),
            limit,
            tasks: Arc::new(TaskSet::new([task])),
            queues: None,
            wait: stand,
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
            ticket: Ticket::new(self.room.clock.now(), false),
            began_after: Duration::ZERO,
            verdict,
        }
    }

    /// Ann hands in what she holds, each with its verdict, and asks for more.
    fn hand_in(&mut self, verdicts: Vec<Verdict>, limit: usize) -> Told {
        let done = self.held.iter().zip(verdicts).map(|(claim, it)| self.finish(*claim, it)).collect();
        told(answer(self.ask(ANN, done, limit, false)))
    }

    fn control(&mut self, command: JobCommand) -> Told {
        told(answer(self.store().command(command)))
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
            before: |stage| {
                stage.store = None;
                stage.room = Room::new(8);
            },
            act: reopen,
            ..CASE
        },
        Case { name: "open an old file", before: |stage| stage.store = None, act: reopen, ..CASE },
        Case {
            name: "open a file whose process was killed",
            before: |stage| {
                stage.room.disk.kill(0);
                stage.store = None;
            },
            act: |stage| as_process(LATER, || reopen(stage)),
            ..CASE
        },
        Case {
            name: "close",
            act: |stage| {
                stage.store().close();
                told(Ok(()))
            },
            stays_open: false,
            ..CASE
        },
    ]
}

fn reopen(stage: &mut Stage) -> Told {
    stage.store = Some(stage.room.try_open(Durability::Full)?);
    told(Ok(()))
}

pub(crate) fn inserting() -> Vec<Case> {
    vec![
        Case {
            name: "enqueue one on the caller's thread",
            // Alone for a while: then a caller does its own write.
            before: |stage| {
                for _ in 0..4 {
                    stage.store().insert_blocking(vec![NewJob::new("alone", "{}")]).unwrap();
                }
            },
            act: |stage| told(stage.store().insert_blocking(jobs(1, 9))),
            ..CASE
        },
        Case { name: "enqueue one", act: |stage| told(answer(stage.store().insert(jobs(1, 9)))), ..CASE },
        Case {
            name: "enqueue many",
            act: |stage| told(answer(stage.store().insert(jobs(30, 3_000)))),
            ..CASE
        },
        Case {
            name: "enqueue by name",
            act: |stage| {
                let request =
                    JobRequest::<String>::by_name("disk.greet", &serde_json::json!({"name": "Ann"}));
                told(request?.enqueue(stage.queue()).map(|job| job.id()))
            },
            ..CASE
        },
        Case {
            name: "enqueue_all",
            act: |stage| {
                let all = (0..9).map(|n| Greet::new(format!("Ann {n}")).priority(n));
                told(stage.queue().enqueue_all(all))
            },
            ..CASE
        },
        Case {
            name: "enqueue one under an idempotency key",
            before: |stage| {
                for _ in 0..4 {
                    stage.store().insert_blocking(vec![NewJob::new("alone", "{}")]).unwrap();
                }
            },
            act: alone_under_a_key,
            then: |stage, told| repeat(alone_under_a_key, stage, told),
            ..CASE
        },
        Case {
            name: "enqueue many under idempotency keys",
            act: under_keys,
            then: |stage, told| repeat(under_keys, stage, told),
            ..CASE
        },
        Case { name: "enqueue in a program's own transaction", act: in_a_transaction, ..CASE },
        Case { name: "enqueue by a plain INSERT", act: by_plain_sql, ..CASE },
        Case {
            name: "enqueue what a standing turn waits for",
            before: |stage| {
                stage.standing = Some(stage.ask(ANN, Vec::new(), 2, true));
                // It stands once what came after it is answered.
                answer(stage.store().heartbeat(ANN)).unwrap();
            },
            act: |stage| {
                let stored = answer(stage.store().insert(vec![NewJob::new("ping", "{}")]));
                if stored.is_ok() {
                    assert_eq!(answer(stage.standing.take().unwrap()).unwrap().claimed.len(), 1);
                }
                told(stored)
            },
            ..CASE
        },
        Case {
            name: "publish",
            act: |stage| {
                let card =
                    TaskDefaults { name: "mail".into(), queue: "q".into(), priority: 1, max_retries: 2 };
                told(answer(stage.store().publish_tasks(vec![card])))
            },
            ..CASE
        },
    ]
}

/// What rusqlite says of a commit is its word and no more. That there is no room is certain.
fn by_rusqlite(error: qdjobs::rusqlite::Error) -> Unconfirmed {
    let full = error.sqlite_error_code() == Some(qdjobs::rusqlite::ErrorCode::DiskFull);
    let damaged = error.sqlite_error_code() == Some(qdjobs::rusqlite::ErrorCode::DatabaseCorrupt);
    let kind = match (full, damaged) {
        (true, _) => ErrorKind::StorageFull,
        (_, true) => ErrorKind::Corrupt,
        _ => ErrorKind::Storage,
    };
    Unconfirmed { kind, may_be_stored: !full, text: error.to_string() }
}

/// The same before a commit.
fn not_stored(error: qdjobs::rusqlite::Error) -> Unconfirmed {
    Unconfirmed { may_be_stored: false, ..by_rusqlite(error) }
}

/// A transaction that a program opens, fills and commits.
fn in_a_transaction(stage: &mut Stage) -> Told {
    let mut conn = stage.room.connect().map_err(not_stored)?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(not_stored)?;
    let id = Greet::new("Ann").at(stage.room.clock.now()).enqueue(&tx)?;
    // Written by the system's clock, which no two runs share.
    tx.execute("UPDATE qdjobs_jobs SET created_at = scheduled_at WHERE id = ?1", [id.0])
        .map_err(not_stored)?;
    tx.commit().map_err(by_rusqlite)?;
    told(Ok(id))
}

/// The supported way from any language: a trigger fills in what is left out, and moves params that are large.
fn by_plain_sql(stage: &mut Stage) -> Told {
    let conn = stage.room.connect().map_err(not_stored)?;
    let insert =
        "INSERT INTO qdjobs_jobs (task_name, params, created_at, scheduled_at) VALUES ('mail', ?1, ?2, 0)";
    let params = format!("{{\"text\":\"{}\"}}", "x".repeat(3_000));
    conn.execute(insert, (params, START.as_microsecond())).map_err(by_rusqlite)?;
    told(Ok(()))
}

/// Some jobs under keys, two of them under the same.
fn under_keys(stage: &mut Stage) -> Told {
    let mut jobs = jobs(3, 900);
    for (job, key) in jobs.iter_mut().zip(["one", "two", "three"]) {
        job.idempotency_key = Some(key.into());
    }
    jobs.push(jobs[0].clone());
    told(answer(stage.store().insert(jobs)))
}

fn alone_under_a_key(stage: &mut Stage) -> Told {
    told(Greet::new("Ann").idempotency_key("welcome").enqueue(stage.queue()).map(|job| job.id()))
}

/// Repeats what may be repeated, whatever its answer was. A store that has stopped says so and adds nothing to what was told.
fn repeat(act: fn(&mut Stage) -> Told, stage: &mut Stage, before: Told) -> Told {
    match act(stage) {
        Err(doubt) if doubt.kind == ErrorKind::StoreHalted && !doubt.may_be_stored => before,
        again => again,
    }
}

pub(crate) fn turning() -> Vec<Case> {
    vec![
        Case {
            name: "register_worker",
            act: |stage| told(answer(stage.store().register_worker(WorkerInfo::new(CAT, "here", 7)))),
            ..CASE
        },
        Case { name: "turn: claim", act: |stage| stage.hand_in(Vec::new(), 2), ..CASE },
        Case {
            name: "turn: complete",
            act: |stage| stage.hand_in(vec![Verdict::Complete { result: "{}".into() }], 1),
            ..CASE
        },
        Case {
            name: "turn: retry",
            act: |stage| {
                stage.hand_in(vec![Verdict::Retry { wait: Duration::from_secs(9), error: "no".into() }], 0)
            },
            ..CASE
        },
        Case {
            name: "turn: fail",
            act: |stage| stage.hand_in(vec![Verdict::Fail { error: "no".into() }], 0),
            ..CASE
        },
        Case {
            name: "turn: cancel",
            act: |stage| stage.hand_in(vec![Verdict::Cancel { reason: "no".into() }], 0),
            ..CASE
        },
        Case {
            name: "turn: release",
            act: |stage| stage.hand_in(vec![Verdict::Release { wait: Duration::ZERO, started: true }], 0),
            ..CASE
        },
        Case {
            name: "turn: all of it",
            act: |stage| {
                let verdicts = vec![
                    Verdict::Complete { result: "{}".into() },
                    Verdict::Retry { wait: Duration::ZERO, error: "no".into() },
                    Verdict::Fail { error: "no".into() },
                    Verdict::Cancel { reason: "no".into() },
                    Verdict::Release { wait: Duration::from_secs(9), started: false },
                ];
                stage.hand_in(verdicts, 4)
            },
            ..CASE
        },
        Case {
            name: "turn: complete what somebody waits for",
            before: |stage| {
                stage.waiting = Some(stage.store().wait_for(stage.held[0].id));
                // It waits once what came after it is answered.
                answer(stage.store().heartbeat(ANN)).unwrap();
            },
            act: complete_one,
            then: |stage, told| {
                // As a worker does that was told no end.
                let told = if told.is_ok() { told } else { repeat(complete_one, stage, told) };
                match (&told, answer(stage.waiting.take().unwrap())) {
                    (Ok(_), Ok(job)) => assert_eq!(job.status, Status::Completed),
                    (Err(_), Err(error)) => assert_eq!(error.kind(), ErrorKind::StoreHalted, "{error}"),
                    (_, waited) => panic!("who ended the job was told {told:?}, who waited {waited:?}"),
                }
                told
            },
            ..CASE
        },
        Case { name: "heartbeat", act: |stage| told(answer(stage.store().heartbeat(ANN))), ..CASE },
        Case {
            name: "checkpoint",
            act: |stage| {
                let note = Arc::new(ProgressSlot::new(stage.held[0]));
                assert!(note.set(Progress::new(0.5, None)));
                stage.store().report_progress(note);
                // Told once what came after it is answered.
                let _ = answer(stage.store().cancel_waiting_claims(BOB));
                told(Ok(()))
            },
            answers: false,
            ..CASE
        },
    ]
}

fn complete_one(stage: &mut Stage) -> Told {
    stage.hand_in(vec![Verdict::Complete { result: "{}".into() }], 0)
}

pub(crate) fn freeing() -> Vec<Case> {
    vec![
        Case {
            name: "rescue",
            act: |stage| told(answer(stage.store().release_worker(BOB, Release::ProvenDead))),
            ..CASE
        },
        Case {
            name: "rescue of a silent worker",
            // It has never beaten.
            act: |stage| told(answer(stage.store().release_worker(BOB, Release::Silent { heartbeats: 0 }))),
            ..CASE
        },
        Case {
            name: "leave",
            act: |stage| told(answer(stage.store().release_worker(ANN, Release::ByWorker))),
            ..CASE
        },
        Case { name: "retry by hand", act: |stage| stage.control(JobCommand::Retry(stage.failed)), ..CASE },
        Case {
            name: "cancel by hand",
            act: |stage| stage.control(JobCommand::Cancel(stage.scheduled)),
            ..CASE
        },
        Case {
            name: "delete by hand",
            act: |stage| stage.control(JobCommand::Delete(stage.cancelled)),
            ..CASE
        },
        Case {
            name: "promote",
            act: |stage| {
                stage.room.clock.advance(Duration::from_secs(60));
                told(answer(stage.store().heartbeat(ANN)))
            },
            ..CASE
        },
        Case {
            name: "wait for the end of a job",
            act: |stage| told(answer(stage.store().wait_for(stage.failed))),
            ..CASE
        },
        Case {
            name: "backup",
            act: |stage| {
                let made = stage.store().backup(&copy(stage));
                assert!(made.is_ok() || !copy(stage).exists(), "no half of a copy is left: {made:?}");
                told(made)
            },
            then: |stage, told| {
                if told.is_ok() {
                    let findings = qdjobs::store::sqlite::check(copy(stage)).unwrap();
                    assert!(findings.is_sound() && findings.jobs == 15, "{findings:?}");
                }
                told
            },
            ..CASE
        },
        Case { name: "read a job", act: |stage| told(answer(stage.store().get(stage.failed))), ..CASE },
        Case {
            name: "read attempts",
            act: |stage| told(answer(stage.store().attempts(stage.failed))),
            ..CASE
        },
        Case { name: "list", act: |stage| told(answer(stage.store().list(Filter::default()))), ..CASE },
        Case { name: "count", act: |stage| told(answer(stage.store().counts())), ..CASE },
        Case { name: "read workers", act: |stage| told(answer(stage.store().workers())), ..CASE },
    ]
}

fn copy(stage: &Stage) -> PathBuf {
    stage.room.path().with_file_name("copy.db")
}

/// How the process ends that went through it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Close,
    Kill,
    PowerCut,
}

/// Who looks afterwards.
const LATER: u32 = 1;

impl Stage {
    pub(crate) fn end(&mut self, how: End) {
        match how {
            End::Close => {}
            End::Kill => self.room.disk.kill(0),
            End::PowerCut if self.room.disk.is_off() => {}
            End::PowerCut => self.room.disk.cut_power(),
        }
        (self.standing, self.waiting, self.queue, self.store) = (None, None, None, None);
        self.room.disk.power_on();
    }
}

/// What is in the file, told by a store that is opened for it; and whether the job of a probe is.
pub(crate) fn books(room: &Room) -> (Books, bool) {
    as_process(LATER, || {
        let store = room.open();
        room.assert_sound();
        let mut probes = Filter::default();
        probes.task_name = Some(PROBE.into());
        let probes = answer(store.list(probes)).unwrap();
        (Books::of(&*store).unwrap(), !probes.jobs.is_empty())
    })
}

/// A case on a disk that is well.
pub(crate) struct Expected {
    /// What is in the file without the operation, and with it.
    pub(crate) before: Books,
    pub(crate) after: Books,
    /// What the operation answers.
    pub(crate) answer: String,
}

impl Case {
    /// Where it is done; the same luck is the same stage. A cold one has a store that was just opened, and reads all that it needs.
    pub(crate) fn stage(&self, luck: u64, cold: bool) -> Stage {
        let mut stage = Stage::new(luck);
        if cold {
            stage.store = None;
            reopen(&mut stage).unwrap();
        }
        (self.before)(&mut stage);
        stage
    }

    pub(crate) fn expected(&self) -> Expected {
        let found = |act: fn(&mut Stage) -> Told| {
            let mut stage = self.stage(0, false);
            let answer = act(&mut stage).unwrap();
            stage.end(End::Close);
            (books(&stage.room).0, answer)
        };
        let (before, _) = found(CASE.act);
        let (after, answer) = found(self.act);
        Expected { before, after, answer }
    }
}
