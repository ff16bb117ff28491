//! Every operation of a store, with its first, second, third, … call to the disk failing, until none is left to fail.
//!
//! Leans on `room`. Whatever fails: nothing panics, nothing hangs, the answer is true of what is in the file, and the store goes
//! on when the disk does.

use std::sync::Arc;
use std::time::Duration;

use qdjobs::rusqlite::TransactionBehavior;
use qdjobs::store::sqlite::{Durability, SqliteStore};
use qdjobs::store::{
    Answer, Claim, Control, Finish, Note, Query, Store, TaskCard, TaskSet, Turn, Turned, Want, WorkerCard,
};
use qdjobs::store::{Filter, Pending};
use qdjobs::{
    Due, Error, ErrorKind, JobId, JobQueue, JobRequest, NewJob, Progress, Task, Verdict, WorkerId, task,
};
use qdjobs_disk::{Fault, Lasts, Op, as_process};

use crate::room::{BESIDE as PROBE, Books, Room, answer, assert_no_thread_panicked};

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
    standing: Option<Pending<Turned>>,
    /// The same store as a program has it; closes it when it is dropped.
    queue: Option<JobQueue>,
}

/// How an operation says that it went.
pub(crate) type Told = Result<(), Doubt>;

/// A refusal, and whether what was refused may be stored nevertheless.
#[derive(Debug)]
pub(crate) struct Doubt {
    pub(crate) kind: ErrorKind,
    pub(crate) may_be_stored: bool,
    #[expect(dead_code, reason = "for a failing test to show")]
    text: String,
}

impl From<Error> for Doubt {
    fn from(error: Error) -> Doubt {
        Doubt { kind: error.kind(), may_be_stored: error.may_be_stored(), text: error.to_string() }
    }
}

/// What there is to be done once, under a fault.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Done before the disk fails.
    before: fn(&mut Stage),
    pub(crate) act: fn(&mut Stage) -> Told,
    /// Whether the store can be used afterwards.
    stays_open: bool,
    /// Whether it says how it went.
    pub(crate) answers: bool,
}

const CASE: Case = Case { name: "", before: |_| {}, act: |_| Ok(()), stays_open: true, answers: true };

impl Stage {
    fn new() -> Stage {
        let room = Room::new(7);
        let store = room.open();
        for (worker, host) in [(ANN, "here"), (BOB, "there")] {
            answer(store.enlist(WorkerCard::new(worker, host, 7))).unwrap();
        }
        let mut stage = Stage {
            room,
            store: Some(store),
            held: Vec::new(),
            failed: JobId(0),
            cancelled: JobId(0),
            scheduled: JobId(0),
            standing: None,
            queue: None,
        };
        stage.failed = stage.end_of(Verdict::Fail { error: "broken".into() });
        stage.cancelled = stage.end_of(Verdict::Cancel { reason: "unwanted".into() });
        let mut later = NewJob::new("mail", "{}");
        later.due = Due::After(Duration::from_secs(60));
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

    fn ask(&self, worker: WorkerId, done: Vec<Finish>, limit: usize, stand: bool) -> Pending<Turned> {
        let task = if stand { "ping" } else { "mail" };
        let want = Want { limit, tasks: Arc::new(TaskSet::new([task])), queues: None, stand };
        self.store().turn(Turn { worker, done: Arc::new(done), want })
    }

    fn end_of(&self, verdict: Verdict) -> JobId {
        answer(self.store().insert(vec![NewJob::new("mail", "{}")])).unwrap();
        let claim = self.claim(ANN, 1)[0];
        answer(self.ask(ANN, vec![self.finish(claim, verdict)], 0, false)).unwrap();
        claim.id
    }

    fn finish(&self, claim: Claim, verdict: Verdict) -> Finish {
        Finish { claim, started_at: self.room.clock.now(), verdict }
    }

    /// Ann hands in what she holds, each with its verdict, and asks for more.
    fn hand_in(&mut self, verdicts: Vec<Verdict>, limit: usize) -> Told {
        let done = self.held.iter().zip(verdicts).map(|(claim, it)| self.finish(*claim, it)).collect();
        let turned = answer(self.ask(ANN, done, limit, false))?;
        assert!(turned.lost.is_empty());
        assert!(turned.claimed.len() <= limit);
        Ok(())
    }

    fn control(&mut self, command: Control) -> Told {
        answer(self.store().control(vec![command]))?.remove(0)?;
        Ok(())
    }

    fn read(&mut self, query: Query) -> Told {
        answer(self.store().inspect(query))?;
        Ok(())
    }

    fn queue(&mut self) -> &JobQueue {
        let (store, clock) = (self.store().clone(), self.room.clock.clone());
        self.queue.get_or_insert_with(|| JobQueue::with_store(store, clock))
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
                Ok(())
            },
            stays_open: false,
            ..CASE
        },
    ]
}

fn reopen(stage: &mut Stage) -> Told {
    stage.store = Some(stage.room.try_open(Durability::Full)?);
    Ok(())
}

pub(crate) fn inserting() -> Vec<Case> {
    vec![
        Case {
            name: "enqueue one on the caller's thread",
            // Alone for a while: then a caller does its own write.
            before: |stage| {
                for _ in 0..4 {
                    stage.store().insert_here(vec![NewJob::new("alone", "{}")]).unwrap();
                }
            },
            act: |stage| Ok(stage.store().insert_here(jobs(1, 9)).map(drop)?),
            ..CASE
        },
        Case {
            name: "enqueue one",
            act: |stage| Ok(answer(stage.store().insert(jobs(1, 9))).map(drop)?),
            ..CASE
        },
        Case {
            name: "enqueue many",
            act: |stage| Ok(answer(stage.store().insert(jobs(30, 3_000))).map(drop)?),
            ..CASE
        },
        Case {
            name: "enqueue by name",
            act: |stage| {
                let request =
                    JobRequest::<String>::by_name("disk.greet", &serde_json::json!({"name": "Ann"}));
                Ok(request?.enqueue(stage.queue()).map(drop)?)
            },
            ..CASE
        },
        Case {
            name: "enqueue_all",
            act: |stage| {
                let all = (0..9).map(|n| Greet::new(format!("Ann {n}")).priority(n));
                Ok(stage.queue().enqueue_all(all).map(drop)?)
            },
            ..CASE
        },
        Case { name: "enqueue in a program's own transaction", act: in_a_transaction, ..CASE },
        Case {
            name: "enqueue what a standing turn waits for",
            before: |stage| {
                stage.standing = Some(stage.ask(ANN, Vec::new(), 2, true));
                // It stands once what came after it is answered.
                answer(stage.store().beat(ANN)).unwrap();
            },
            act: |stage| {
                let stored = answer(stage.store().insert(vec![NewJob::new("ping", "{}")]));
                if stored.is_ok() {
                    assert_eq!(answer(stage.standing.take().unwrap()).unwrap().claimed.len(), 1);
                }
                Ok(stored.map(drop)?)
            },
            ..CASE
        },
        Case {
            name: "publish",
            act: |stage| {
                let card = TaskCard { name: "mail".into(), queue: "q".into(), priority: 1, max_retries: 2 };
                Ok(answer(stage.store().publish(vec![card]))?)
            },
            ..CASE
        },
    ]
}

/// A transaction that a program opens, fills and commits; what its commit says is rusqlite's word and no more. That there is no
/// room is certain.
fn in_a_transaction(stage: &mut Stage) -> Told {
    let commit = |error: qdjobs::rusqlite::Error| {
        let full = error.sqlite_error_code() == Some(qdjobs::rusqlite::ErrorCode::DiskFull);
        let kind = if full { ErrorKind::Full } else { ErrorKind::Storage };
        Doubt { kind, may_be_stored: !full, text: error.to_string() }
    };
    let begin = |error| Doubt { may_be_stored: false, ..commit(error) };
    let mut conn = stage.room.connect().map_err(begin)?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(begin)?;
    let id = Greet::new("Ann").at(stage.room.clock.now()).enqueue(&tx)?;
    // Written by the system's clock, which no two runs share.
    tx.execute("UPDATE qdjobs_jobs SET created_at = scheduled_at WHERE id = ?1", [id.0]).map_err(begin)?;
    tx.commit().map_err(commit)
}

pub(crate) fn turning() -> Vec<Case> {
    vec![
        Case {
            name: "enlist",
            act: |stage| Ok(answer(stage.store().enlist(WorkerCard::new(CAT, "here", 7)))?),
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
        Case { name: "beat", act: |stage| Ok(answer(stage.store().beat(ANN)).map(drop)?), ..CASE },
        Case {
            name: "checkpoint",
            act: |stage| {
                let note = Arc::new(Note::new(stage.held[0]));
                assert!(note.set(Progress::new(0.5, None)));
                stage.store().checkpoint(note);
                // Told once what came after it is answered.
                let _ = answer(stage.store().control(Vec::new()));
                Ok(())
            },
            answers: false,
            ..CASE
        },
    ]
}

pub(crate) fn freeing() -> Vec<Case> {
    vec![
        Case { name: "rescue", act: |stage| Ok(answer(stage.store().rescue(BOB)).map(drop)?), ..CASE },
        Case { name: "leave", act: |stage| Ok(answer(stage.store().leave(ANN)).map(drop)?), ..CASE },
        Case { name: "retry by hand", act: |stage| stage.control(Control::Retry(stage.failed)), ..CASE },
        Case { name: "cancel by hand", act: |stage| stage.control(Control::Cancel(stage.scheduled)), ..CASE },
        Case { name: "delete by hand", act: |stage| stage.control(Control::Delete(stage.cancelled)), ..CASE },
        Case {
            name: "promote",
            act: |stage| {
                stage.room.clock.advance(Duration::from_secs(60));
                Ok(answer(stage.store().beat(ANN)).map(drop)?)
            },
            ..CASE
        },
        Case {
            name: "wait for the end of a job",
            act: |stage| Ok(answer(stage.store().ended(stage.failed)).map(drop)?),
            ..CASE
        },
        Case { name: "read a job", act: |stage| stage.read(Query::Job(stage.failed)), ..CASE },
        Case { name: "read attempts", act: |stage| stage.read(Query::Attempts(stage.failed)), ..CASE },
        Case { name: "list", act: |stage| stage.read(Query::List(Filter::default())), ..CASE },
        Case { name: "count", act: |stage| stage.read(Query::Counts), ..CASE },
        Case { name: "read workers", act: |stage| stage.read(Query::Workers), ..CASE },
    ]
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
            End::PowerCut => self.room.disk.cut(),
        }
        (self.standing, self.queue, self.store) = (None, None, None);
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
        let probes = answer(store.inspect(Query::List(probes))).unwrap();
        let Answer::List(probes) = probes else { panic!("not a list") };
        (Books::of(&*store).unwrap(), !probes.jobs.is_empty())
    })
}

impl Case {
    pub(crate) fn stage(&self) -> Stage {
        let mut stage = Stage::new();
        (self.before)(&mut stage);
        stage
    }

    /// What is in the file without the operation, and with it.
    pub(crate) fn expected(&self) -> (Books, Books) {
        let after = |act: fn(&mut Stage) -> Told| {
            let mut stage = self.stage();
            act(&mut stage).unwrap();
            stage.end(End::Close);
            books(&stage.room).0
        };
        (after(|_| Ok(())), after(self.act))
    }
}

/// Runs a case with each of its operations failing in turn; answers how many failed.
fn fail_each(case: &Case, fault: Fault, lasts: Lasts, end: End) -> u64 {
    let (before, after) = case.expected();
    for nth in 1.. {
        let mut stage = case.stage();
        stage.room.disk.fail(nth, fault, lasts);
        let told = (case.act)(&mut stage);
        let (struck, op) = (stage.room.disk.struck(), stage.room.disk.last_struck());
        stage.room.disk.heal();
        let what = format!("{}, operation {nth} ({op:?}), {fault:?} {lasts:?}, {end:?}: {told:?}", case.name);

        if let Err(doubt) = &told {
            let right = match fault {
                Fault::Full => doubt.kind == ErrorKind::Full,
                _ => matches!(doubt.kind, ErrorKind::Storage | ErrorKind::Indeterminate | ErrorKind::Stopped),
            };
            assert!(right && struck > 0, "{what}");
        }
        let mut probed = false;
        if stage.store.is_some() && case.stays_open {
            let probe = answer(stage.store().insert(vec![NewJob::new(PROBE, "{}")]));
            probed = probe.is_ok();
            if let Err(error) = &probe {
                // Of one thing only a store does not recover: a sync that failed.
                let stopped = error.kind() == ErrorKind::Stopped && !error.may_be_stored();
                let synced = op == Some(Op::Sync) || (fault == Fault::Any && lasts == Lasts::ForGood);
                assert!(stopped && synced, "{what}; and afterwards {probe:?}");
            }
        }
        stage.end(end);
        let (found, probe) = books(&stage.room);
        let (maybe_before, maybe_after) = match &told {
            _ if !case.answers && struck > 0 => (true, true),
            Ok(()) => (false, true),
            Err(doubt) => (true, doubt.may_be_stored),
        };
        let as_told = (maybe_before && found == before) || (maybe_after && found == after);
        assert!(as_told, "{what}\nmissing: {:#?}\nbeside: {:#?}", after.beyond(&found), found.beyond(&after));
        assert_eq!(probe, probed, "{what}; then one more was stored and confirmed: {probed}");
        if maybe_before && maybe_after {
            assert_eq!(books(&stage.room).0, found, "{what}: what was found once stays");
        }
        if struck == 0 {
            return nth - 1;
        }
    }
    unreachable!("an operation ends")
}

#[expect(clippy::print_stdout, reason = "the figures")]
fn fail_all(cases: &[Case]) {
    for case in cases {
        let each = |fault, lasts, end| fail_each(case, fault, lasts, end);
        let any = each(Fault::Any, Lasts::Once, End::Close);
        assert!(any > 0, "{}: nothing could fail", case.name);
        let failed = any
            + each(Fault::Any, Lasts::Once, End::PowerCut)
            + each(Fault::Any, Lasts::ForGood, End::Kill)
            + each(Fault::Full, Lasts::Once, End::PowerCut)
            + each(Fault::Full, Lasts::ForGood, End::Close);
        println!("{}: {failed} failures", case.name);
    }
    assert_no_thread_panicked();
}

#[test]
fn opening_and_closing_survive_each_failing_operation() {
    fail_all(&opening());
}

#[test]
fn enqueues_survive_each_failing_operation() {
    fail_all(&inserting());
}

#[test]
fn turns_and_beats_survive_each_failing_operation() {
    fail_all(&turning());
}

#[test]
fn rescues_and_changes_by_hand_and_reads_survive_each_failing_operation() {
    fail_all(&freeing());
}
