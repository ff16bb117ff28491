//! Files that rot: flipped bits, lost pages, foreign bytes in the database or its log. Opening and using such a file ends in a
//! clear error or works; nothing panics, nothing hangs. Who has told of damage writes nothing more, and what is left of the file and
//! its log stays.
//!
//! Leans on `room`.

use std::sync::Arc;
use std::time::Duration;

use qdjobs::store::sqlite::{Durability, SqliteStore};
use qdjobs::store::{ClaimRequest, Filter, FinishedJob, JobCommand, Release, Store, TaskSet, WorkerInfo};
use qdjobs::store::{NewJob, RunAt, Verdict};
use qdjobs::{Error, ErrorKind, JobId, WorkerId};
use qdjobs_sim_disk::Rng;

use crate::room::{Room, Seed, answer, assert_no_thread_panicked, number};

/// Damaged files in the short form.
const FILES: u64 = 80;

const ANN: WorkerId = WorkerId(0xa);
const BOB: WorkerId = WorkerId(0xb);

fn turn(
    store: &dyn Store,
    worker: WorkerId,
    done: Vec<FinishedJob>,
    limit: usize,
) -> qdjobs::Result<Vec<FinishedJob>> {
    let turned = answer(store.claim(ClaimRequest {
        worker,
        finished: Arc::new(done),
        limit,
        tasks: Arc::new(TaskSet::new(["mail", "ping"])),
        queues: None,
        wait: false,
    }))?;
    let verdict = Verdict::Complete { result: "{}".into() };
    let finish = |job: qdjobs::store::ClaimedJob| FinishedJob {
        claim: job.claim,
        ticket: job.ticket,
        began_after: Duration::ZERO,
        verdict: verdict.clone(),
    };
    Ok(turned.claimed.into_iter().map(finish).collect())
}

/// A file with some hundred jobs in every state; with a log beside it if its process was killed.
fn fill(room: &Room, killed: bool) {
    let store = room.open();
    for worker in [ANN, BOB] {
        answer(store.register_worker(WorkerInfo::new(worker, "host", 7))).unwrap();
    }
    for n in 0..40 {
        let jobs = (0..8).map(|m| {
            let text = "x".repeat(if m == 0 { 9_000 } else { 40 });
            let task = if m % 2 == 0 { "mail" } else { "ping" };
            let mut job = NewJob::new(task, format!("{{\"n\":{n},\"text\":\"{text}\"}}"));
            job.priority = m % 3;
            job.run_at = if m == 7 { RunAt::After(Duration::from_secs(60)) } else { RunAt::Now };
            job
        });
        answer(store.insert(jobs.collect())).unwrap();
        let done = turn(&*store, ANN, Vec::new(), 4).unwrap();
        turn(&*store, ANN, done, 0).unwrap();
    }
    turn(&*store, BOB, Vec::new(), 9).unwrap();
    if killed {
        room.disk.kill(0);
    }
}

/// Damages a file here and there.
fn rot(dice: &mut Rng, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len() as u64;
    let page = 4096 * dice.below(len.div_ceil(4096)) as usize;
    let end = bytes.len().min(page + 4096);
    match dice.below(6) {
        0 => bytes.truncate(dice.below(len) as usize),
        1 => bytes[page..end].fill(0),
        2 => bytes[page..end].fill_with(|| dice.roll() as u8),
        3 => {
            // A page in the place of another, as a write that went astray.
            let from = 4096 * dice.below(len / 4096) as usize;
            if from + 4096 <= bytes.len() && end == page + 4096 {
                bytes.copy_within(from..from + 4096, page);
            }
        }
        _ => {
            for _ in 0..1 + dice.below(20) {
                let at = dice.below(len) as usize;
                bytes[at] ^= 1 << dice.below(8);
            }
        }
    }
}

/// A store on a file that rots, and what it has told.
struct Rotten<'a> {
    room: &'a Room,
    store: Arc<SqliteStore>,
    /// What there was when the store stopped.
    left: Option<Files>,
    /// Whether the damage was told.
    found: bool,
}

/// The database and its log; an empty log is as good as none.
type Files = [Vec<u8>; 2];

fn files(room: &Room) -> Files {
    ["jobs.db", "jobs.db-wal"].map(|name| room.disk.read(name).unwrap_or_default())
}

impl Rotten<'_> {
    /// Looks at one answer to something that writes: it is right that it came now, and nothing was written if the store had
    /// stopped.
    fn wrote<T>(&mut self, answer: qdjobs::Result<T>) -> Option<T> {
        if self.left.is_some() {
            let error = answer.err().expect("a store that has stopped writes nothing");
            assert_eq!((error.kind(), error.may_be_stored()), (ErrorKind::StoreHalted, false), "{error}");
            self.assert_untouched();
            return None;
        }
        self.told(answer)
    }

    /// The same for a read, which a store that has stopped still answers as far as it goes.
    fn told<T>(&mut self, answer: qdjobs::Result<T>) -> Option<T> {
        use ErrorKind::{Conflict, Corrupt, Indeterminate, InvalidInput, LeaseLost, NotFound, Storage};
        let stopped = self.store.halted();
        let kind = answer.as_ref().err().map(Error::kind);
        if let Err(error) = &answer {
            // What was rotten may be a status or a number, which is then told as it is read.
            let kinds = [Conflict, Corrupt, Indeterminate, InvalidInput, LeaseLost, NotFound, Storage];
            assert!(kinds.contains(&error.kind()), "{error}");
        }
        assert!(kind != Some(Corrupt) || stopped.is_some(), "damage is told, and the store goes on");
        if let (Some(stopped), None) = (stopped, &self.left) {
            // By nothing else, and by nobody's hand: whoever met it is told what it was.
            assert!(matches!(kind, Some(Corrupt | Indeterminate)), "{kind:?}; and then {stopped}");
            (self.found, self.left) = (true, Some(files(self.room)));
        }
        self.assert_untouched();
        answer.ok()
    }

    fn assert_untouched(&self) {
        let touched = self.left.as_ref().is_some_and(|left| *left != files(self.room));
        assert!(!touched, "a store that has stopped changes no byte of the file or its log");
    }

    /// Everything that a store can be asked.
    fn use_up(&mut self) {
        let store = self.store.clone();
        self.wrote(answer(store.release_worker(BOB, Release::ProvenDead)));
        self.wrote(answer(store.heartbeat(ANN)));
        let mut done = Some(Vec::new());
        for _ in 0..6 {
            let Some(ended) = done else { break };
            done = self.wrote(turn(&*store, ANN, ended, 64));
        }
        self.wrote(answer(store.insert(vec![NewJob::new("mail", "{}")])));
        for id in [1, 7, 100, 300].map(JobId) {
            for command in [JobCommand::Retry(id), JobCommand::Cancel(id), JobCommand::Delete(id)] {
                self.wrote(answer(store.command(command)));
            }
            self.told(answer(store.get(id)));
            self.told(answer(store.attempts(id)));
        }
        self.told(answer(store.list(Filter::default())));
        self.told(answer(store.counts()));
        self.told(answer(store.workers()));
        self.wrote(answer(store.release_worker(ANN, Release::ByWorker)));
        self.wrote(store.insert_blocking(vec![NewJob::new("mail", "{}")]));
    }
}

/// Whether the damage was told.
fn damage_one(seed: u64) -> bool {
    let _seed = Seed(seed);
    let mut dice = Rng::new(seed);
    let room = Room::new(dice.roll());
    let killed = dice.once_in(2);
    fill(&room, killed);
    let file = if killed && dice.once_in(2) { "jobs.db-wal" } else { "jobs.db" };
    assert!(room.disk.corrupt(file, |bytes| rot(&mut dice, bytes)), "there is a {file}");
    let before = files(&room);

    let found = match qdjobs_sim_disk::as_process(1, || room.try_open(Durability::Full)) {
        Ok(store) => {
            let mut rotten = Rotten { room: &room, store, left: None, found: false };
            rotten.use_up();
            let Rotten { store, left, found, .. } = rotten;
            drop(store);
            assert!(left.is_none_or(|left| left == files(&room)), "neither does its end");
            found
        }
        Err(error) => {
            let kinds = [ErrorKind::Corrupt, ErrorKind::Storage, ErrorKind::Config, ErrorKind::NewerSchema];
            assert!(kinds.contains(&error.kind()), "{error}");
            assert!(files(&room) == before, "who refuses a file leaves it and its log as they are: {error}");
            true
        }
    };
    assert!(room.disk.files().iter().any(|name| name == "jobs.db"), "nothing is deleted");
    found
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures")]
fn a_damaged_file_ends_in_a_clear_error_or_works_and_is_never_deleted() {
    if let Some(seed) = number("QDJOBS_SEED") {
        damage_one(seed);
        return assert_no_thread_panicked();
    }
    let files = number("QDJOBS_POWER_LOSSES").unwrap_or(FILES);
    let told = (0..files).filter(|seed| damage_one(*seed)).count();
    println!("damaged files: {files}, of which {told} were told to be damaged");
    assert!(told as u64 * 4 > files, "the damage reaches nothing: {told} of {files}");
    assert_no_thread_panicked();
}
