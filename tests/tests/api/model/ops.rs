//! What can be asked in a game, drawn at random, and what is answered.
//!
//! Depends on the public store. Knows no player.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use qdjobs::store::{Claim, ClaimRequest, JobCommand, TaskSet};
use qdjobs::store::{NewJob, RunAt, Verdict};
use qdjobs::{ErrorKind, JobId, Status, WorkerId};

/// One request as it is drawn: jobs and claims by how recent they are, since their numbers are not known yet.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Insert(Vec<Draft>),
    RegisterWorker(WorkerId),
    Claim { worker: WorkerId, done: Vec<(Recent, Forgery, Verdict)>, wish: Wish },
    CancelWaitingClaims(WorkerId),
    Heartbeat(WorkerId),
    ReportProgress(Recent, Forgery, u8),
    ReleaseDead(WorkerId),
    ReleaseOwn(WorkerId),
    Command(Verb, Recent),
    WaitFor(Recent),
    Advance(Duration),
}

/// The same request with its numbers filled in.
#[derive(Clone, Debug)]
pub(super) enum Move {
    Insert(Vec<Draft>),
    RegisterWorker(WorkerId),
    Claim { worker: WorkerId, done: Vec<(Claim, Verdict)>, wish: Wish },
    CancelWaitingClaims(WorkerId),
    Heartbeat(WorkerId),
    ReportProgress(Claim, u8),
    ReleaseDead(WorkerId),
    ReleaseOwn(WorkerId),
    Command(JobCommand),
    WaitFor(JobId),
    Advance(Duration),
}

/// 0 for the latest, 1 for the one before, …; past the first it starts again, and [`Recent::NONE`] never was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent(pub(super) usize);

impl Recent {
    pub(super) const NONE: Recent = Recent(usize::MAX);

    pub(super) fn of<T: Copy>(self, all: &[T]) -> Option<T> {
        if all.is_empty() || self.0 == Self::NONE.0 {
            None
        } else {
            Some(all[all.len() - 1 - self.0 % all.len()])
        }
    }
}

/// How a claim is bent before it is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Forgery {
    None,
    Attempt,
    Worker,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Verb {
    Retry,
    Cancel,
    Delete,
}

/// A job to store; without a task it is one that no store may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft {
    pub(super) task: Option<&'static str>,
    pub(super) queue: &'static str,
    pub(super) priority: i32,
    pub(super) wait: Duration,
    /// An idempotency key, and the number that makes the params different.
    pub(super) key: Option<&'static str>,
    pub(super) n: u8,
}

impl Draft {
    pub(super) fn new_job(&self) -> NewJob {
        let mut job = NewJob::new(self.task.unwrap_or("no such name"), format!(r#"{{"n":{}}}"#, self.n));
        job.idempotency_key = self.key.map(str::to_owned);
        job.queue = self.queue.to_owned();
        job.priority = self.priority;
        job.run_at = RunAt::After(self.wait);
        job
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wish {
    pub(super) limit: usize,
    pub(super) tasks: &'static [&'static str],
    pub(super) queue: Option<&'static str>,
    pub(super) waits: bool,
}

impl Wish {
    pub(super) fn request(&self, worker: WorkerId) -> ClaimRequest {
        let queues = self.queue.map(|queue| Arc::from([queue.to_owned()]));
        let tasks = Arc::new(TaskSet::new(self.tasks.iter().copied()));
        ClaimRequest { queues, wait: self.waits, ..ClaimRequest::new(worker, tasks, self.limit) }
    }
}

pub(super) fn worker() -> impl Strategy<Value = WorkerId> {
    (1_i64..=3).prop_map(WorkerId)
}

pub(super) fn recent() -> impl Strategy<Value = Recent> {
    prop_oneof![12 => (0_usize..6).prop_map(Recent), 1 => Just(Recent::NONE)]
}

pub(super) fn forgery() -> impl Strategy<Value = Forgery> {
    prop_oneof![8 => Just(Forgery::None), 1 => Just(Forgery::Attempt), 1 => Just(Forgery::Worker)]
}

/// Whole and half seconds, and now and then a microsecond, so that instants meet exactly and just miss each
/// other.
pub(super) fn wait() -> impl Strategy<Value = Duration> {
    prop_oneof![
        3 => Just(Duration::ZERO),
        4 => (1_u64..4).prop_map(|halves| Duration::from_millis(500 * halves)),
        1 => Just(Duration::from_micros(1)),
        1 => Just(Duration::from_micros(499_999)),
    ]
}

pub(super) fn draft() -> impl Strategy<Value = Draft> {
    let task = prop_oneof![12 => select(vec!["mail", "ping"]).prop_map(Some), 1 => Just(None)];
    let key = prop_oneof![5 => Just(None), 2 => select(vec!["k", "l"]).prop_map(Some)];
    let n = prop_oneof![5 => Just(1_u8), 1 => Just(2_u8)];
    (task, select(vec!["a", "b"]), -1..=1, wait(), key, n)
        .prop_map(|(task, queue, priority, wait, key, n)| Draft { task, queue, priority, wait, key, n })
}

pub(super) fn wish() -> impl Strategy<Value = Wish> {
    const SETS: [&[&str]; 3] = [&["mail"], &["ping"], &["mail", "ping"]];
    let queue = prop_oneof![3 => Just(None), 1 => select(vec!["a", "b"]).prop_map(Some)];
    (0_usize..4, select(&SETS[..]), queue, any::<bool>()).prop_map(|(limit, tasks, queue, waits)| Wish {
        limit,
        tasks,
        queue,
        waits,
    })
}

pub(super) fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        2 => Just(Verdict::Complete { result: "{}".into() }),
        3 => wait().prop_map(|wait| Verdict::Retry { wait, error: format!("boom {wait:?}") }),
        1 => wait().prop_map(|wait| Verdict::Postpone { wait, error: format!("unreadable {wait:?}") }),
        2 => Just(Verdict::Fail { error: "broken".into() }),
        1 => Just(Verdict::Cancel { reason: "unwanted".into() }),
        3 => (wait(), any::<bool>()).prop_map(|(wait, started)| Verdict::Release { wait, started }),
    ]
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let finish = (recent(), forgery(), verdict());
    let done = prop_oneof![
        2 => Just(Vec::new()),
        3 => prop::collection::vec(finish, 1..3),
    ];
    let verb = select(vec![Verb::Retry, Verb::Retry, Verb::Cancel, Verb::Delete]);
    prop_oneof![
        6 => prop::collection::vec(draft(), 0..4).prop_map(Op::Insert),
        5 => worker().prop_map(Op::RegisterWorker),
        18 => (worker(), done, wish()).prop_map(|(worker, done, wish)| Op::Claim { worker, done, wish }),
        1 => worker().prop_map(Op::CancelWaitingClaims),
        1 => worker().prop_map(Op::Heartbeat),
        2 => (recent(), forgery(), 0..=100_u8).prop_map(|(claim, forgery, done)| Op::ReportProgress(claim, forgery, done)),
        4 => worker().prop_map(Op::ReleaseDead),
        2 => worker().prop_map(Op::ReleaseOwn),
        6 => (verb, recent()).prop_map(|(verb, job)| Op::Command(verb, job)),
        2 => recent().prop_map(Op::WaitFor),
        4 => wait().prop_map(Op::Advance),
    ]
}

/// An answer, in the words that every player has.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    Nothing,
    Stored(Vec<JobId>),
    Claimed { lost: Vec<Claim>, claimed: Vec<Claim> },
    Released(usize),
    Heartbeat { registered: bool, workers: BTreeSet<(WorkerId, u64, u64)> },
    Job(JobId, Status),
    Refused(ErrorKind),
}

/// The answers that came during one move, by the number of the move that asked.
pub(super) type Answers = BTreeMap<usize, Said>;

pub(super) trait Player {
    fn play(&mut self, number: usize, asked: &Move) -> Answers;
}

/// Fewer than usual, so that games come to it.
pub(super) const MAX_CRASHES: u32 = 2;

pub(super) fn last_crash(crash_count: u32) -> String {
    format!(
        "the worker that held this job died or was presumed dead {crash_count} times, so the job has failed: find what \
         ends or freezes the process (an abort, a stack overflow, too much memory, a suspended machine), then call \
         `queue.retry(id)`"
    )
}
