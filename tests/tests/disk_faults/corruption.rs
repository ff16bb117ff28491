//! Corrupt files: flipped bits, lost pages, foreign bytes in the database or its log. Opening and using such
//! a file works or ends in a clear error; nothing panics, nothing hangs. A store that has reported corruption
//! writes nothing more, and the file and its log stay as they are.
//!
//! Depends on `workspace`.

use std::sync::Arc;
use std::time::Duration;

use qdjobs::store::sqlite::{Durability, SqliteStore};
use qdjobs::store::{ClaimRequest, Filter, FinishedJob, JobCommand, Release, Store, TaskSet, WorkerInfo};
use qdjobs::store::{NewJob, RunAt, Verdict};
use qdjobs::{Error, ErrorKind, JobId, WorkerId};
use qdjobs_sim_disk::Rng;

use crate::workspace::{Seed, Workspace, answer, assert_no_thread_panicked, number};

/// Corrupt files in the short form.
const FILES: u64 = 80;

const ANN: WorkerId = WorkerId(0xa);
const BOB: WorkerId = WorkerId(0xb);

fn claim(
    store: &dyn Store,
    worker: WorkerId,
    done: Vec<FinishedJob>,
    limit: usize,
) -> qdjobs::Result<Vec<FinishedJob>> {
    let response = answer(store.claim(ClaimRequest {
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
    Ok(response.claimed.into_iter().map(finish).collect())
}

/// A file with some hundred jobs in every state; with its log if its process was killed.
fn fill(workspace: &Workspace, killed: bool) {
    let store = workspace.open();
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
        let done = claim(&*store, ANN, Vec::new(), 4).unwrap();
        claim(&*store, ANN, done, 0).unwrap();
    }
    claim(&*store, BOB, Vec::new(), 9).unwrap();
    if killed {
        workspace.disk.kill(0);
    }
}

/// Corrupts a file in some places.
fn corrupt(rng: &mut Rng, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len() as u64;
    let page = 4096 * rng.below(len.div_ceil(4096)) as usize;
    let end = bytes.len().min(page + 4096);
    match rng.below(6) {
        0 => bytes.truncate(rng.below(len) as usize),
        1 => bytes[page..end].fill(0),
        2 => bytes[page..end].fill_with(|| rng.roll() as u8),
        3 => {
            // One page in place of another, as by a misdirected write.
            let from = 4096 * rng.below(len / 4096) as usize;
            if from + 4096 <= bytes.len() && end == page + 4096 {
                bytes.copy_within(from..from + 4096, page);
            }
        }
        _ => {
            for _ in 0..1 + rng.below(20) {
                let at = rng.below(len) as usize;
                bytes[at] ^= 1 << rng.below(8);
            }
        }
    }
}

/// A store on a corrupt file, and what it has reported.
struct CorruptFile<'a> {
    workspace: &'a Workspace,
    store: Arc<SqliteStore>,
    /// The files at the moment when the store halted.
    left: Option<Files>,
    /// Whether the corruption was reported.
    found: bool,
}

/// The database and its log; an empty log counts as none.
type Files = [Vec<u8>; 2];

fn files(workspace: &Workspace) -> Files {
    ["jobs.db", "jobs.db-wal"].map(|name| workspace.disk.read(name).unwrap_or_default())
}

impl CorruptFile<'_> {
    /// Checks the answer to a write: an error must be of an expected kind, and a halted store has written
    /// nothing.
    fn wrote<T>(&mut self, answer: qdjobs::Result<T>) -> Option<T> {
        if self.left.is_some() {
            let error = answer.err().expect("a halted store writes nothing");
            assert_eq!((error.kind(), error.may_be_stored()), (ErrorKind::StoreHalted, false), "{error}");
            self.assert_untouched();
            return None;
        }
        self.reported(answer)
    }

    /// The same for a read, which a halted store still answers as far as it can.
    fn reported<T>(&mut self, answer: qdjobs::Result<T>) -> Option<T> {
        use ErrorKind::{Conflict, Corrupt, Indeterminate, InvalidInput, LeaseLost, NotFound, Storage};
        let stopped = self.store.halted();
        let kind = answer.as_ref().err().map(Error::kind);
        if let Err(error) = &answer {
            // The corrupt bytes may be a status or a number, which is then reported when it is read.
            let kinds = [Conflict, Corrupt, Indeterminate, InvalidInput, LeaseLost, NotFound, Storage];
            assert!(kinds.contains(&error.kind()), "{error}");
        }
        assert!(
            kind != Some(Corrupt) || stopped.is_some(),
            "corruption is reported, but the store continues"
        );
        if let (Some(stopped), None) = (stopped, &self.left) {
            // Nothing else halts it, and every caller that meets the corruption gets that error.
            assert!(matches!(kind, Some(Corrupt | Indeterminate)), "{kind:?}; and then {stopped}");
            (self.found, self.left) = (true, Some(files(self.workspace)));
        }
        self.assert_untouched();
        answer.ok()
    }

    fn assert_untouched(&self) {
        let touched = self.left.as_ref().is_some_and(|left| *left != files(self.workspace));
        assert!(!touched, "a halted store changes no byte of the file or its log");
    }

    /// Sends every request that a store has.
    fn use_everything(&mut self) {
        let store = self.store.clone();
        self.wrote(answer(store.release_worker(BOB, Release::ProvenDead)));
        self.wrote(answer(store.heartbeat(ANN)));
        let mut done = Some(Vec::new());
        for _ in 0..6 {
            let Some(ended) = done else { break };
            done = self.wrote(claim(&*store, ANN, ended, 64));
        }
        self.wrote(answer(store.insert(vec![NewJob::new("mail", "{}")])));
        for id in [1, 7, 100, 300].map(JobId) {
            for command in [JobCommand::Retry(id), JobCommand::Cancel(id), JobCommand::Delete(id)] {
                self.wrote(answer(store.command(command)));
            }
            self.reported(answer(store.get(id)));
            self.reported(answer(store.attempts(id)));
        }
        self.reported(answer(store.list(Filter::default())));
        self.reported(answer(store.counts()));
        self.reported(answer(store.workers()));
        self.wrote(answer(store.release_worker(ANN, Release::ByWorker)));
        self.wrote(store.insert_blocking(vec![NewJob::new("mail", "{}")]));
    }
}

/// Corrupts one file; returns whether that was reported.
fn corrupt_one(seed: u64) -> bool {
    let _seed = Seed(seed);
    let mut rng = Rng::new(seed);
    let workspace = Workspace::new(rng.roll());
    let killed = rng.once_in(2);
    fill(&workspace, killed);
    let file = if killed && rng.once_in(2) { "jobs.db-wal" } else { "jobs.db" };
    assert!(workspace.disk.corrupt(file, |bytes| corrupt(&mut rng, bytes)), "there is a {file}");
    let before = files(&workspace);

    let found = match qdjobs_sim_disk::as_process(1, || workspace.try_open(Durability::Full)) {
        Ok(store) => {
            let mut corrupt = CorruptFile { workspace: &workspace, store, left: None, found: false };
            corrupt.use_everything();
            let CorruptFile { store, left, found, .. } = corrupt;
            drop(store);
            assert!(left.is_none_or(|left| left == files(&workspace)), "nor does its close");
            found
        }
        Err(error) => {
            let kinds = [ErrorKind::Corrupt, ErrorKind::Storage, ErrorKind::Config, ErrorKind::NewerSchema];
            assert!(kinds.contains(&error.kind()), "{error}");
            assert!(files(&workspace) == before, "a refused file and its log stay unchanged: {error}");
            true
        }
    };
    assert!(workspace.disk.files().iter().any(|name| name == "jobs.db"), "nothing is deleted");
    found
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn a_corrupt_file_works_or_ends_in_a_clear_error_and_is_never_deleted() {
    if let Some(seed) = number("QDJOBS_SEED") {
        corrupt_one(seed);
        return assert_no_thread_panicked();
    }
    let files = number("QDJOBS_POWER_LOSSES").unwrap_or(FILES);
    let reported = (0..files).filter(|seed| corrupt_one(*seed)).count();
    println!("corrupt files: {files}, of which {reported} were reported");
    assert!(reported as u64 * 4 > files, "the corruption has no effect: {reported} of {files}");
    assert_no_thread_panicked();
}
