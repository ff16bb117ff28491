//! A random workload of callers and workers on one database file, and what has to be in it afterwards:
//! [`Workload`].
//!
//! Each step is first applied to a memory store, which has the same contract without a disk
//! (`tests/tests/api/model.rs` compares the two). Its contents then are one of the [`Snapshots`]. Then the
//! step is applied to the SQLite store. The answer decides which snapshots a power cut may leave: none before
//! the last confirmed one, none after one that certainly failed.

use std::sync::Arc;
use std::time::Duration;

use qdjobs::store::memory::MemoryStore;
use qdjobs::store::sqlite::{Durability, SqliteStore};
use qdjobs::store::{
    Claim, ClaimRequest, ClaimResponse, FinishedJob, Foreign, JobCommand, NewJob, Pending, ProgressSlot,
    Release, RunAt, Store, TaskSet, Ticket, Verdict, WorkerInfo,
};
use qdjobs::{JobId, Progress, WorkerId};
use qdjobs_sim_disk::Rng;

use crate::workspace::{EXTERNAL, StoredState, Workspace, answer};

const TASKS: [&str; 2] = ["mail", "ping"];

/// The contents of the memory store after each step.
pub(crate) struct Snapshots {
    snapshots: Vec<StoredState>,
    /// The last snapshot whose step was confirmed.
    confirmed: usize,
    /// The last snapshot whose step may have been stored.
    possible: usize,
}

impl Snapshots {
    fn take_snapshot(&mut self, stored_state: StoredState) -> usize {
        self.snapshots.push(stored_state);
        self.snapshots.len() - 1
    }

    fn confirm(&mut self, snapshot: usize) {
        self.confirmed = snapshot;
        self.unconfirm(snapshot);
    }

    /// Records that this snapshot may be stored or not.
    fn unconfirm(&mut self, snapshot: usize) {
        self.possible = self.possible.max(snapshot);
    }
}

/// What was found after a power cut.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// Steps that were confirmed.
    pub(crate) confirmed: usize,
    /// Confirmed steps that were not there.
    pub(crate) lost: usize,
    /// Steps without a certain answer that were there.
    pub(crate) present: usize,
    /// Steps without a certain answer that were not there.
    pub(crate) absent: usize,
}

pub(crate) struct Workload {
    pub(crate) workspace: Workspace,
    pub(crate) rng: Rng,
    durability: Durability,
    /// One, or two as in two processes.
    stores: Vec<Arc<SqliteStore>>,
    reference: Arc<MemoryStore>,
    history: Snapshots,
    workers: Vec<WorkerId>,
    /// The claims, with the tickets that are returned with their finish.
    held: Vec<(Claim, Ticket)>,
    jobs: Vec<JobId>,
    /// A waiting claim: on the SQLite store, and on the memory store.
    waiting: Option<(WorkerId, Pending<ClaimResponse>, Pending<ClaimResponse>)>,
    /// Jobs stored by a program's own transaction, and whether that was confirmed.
    external: Vec<(String, bool)>,
    next: i64,
    processes: usize,
}

impl Workload {
    /// The workload of a seed; the file does not exist yet.
    pub(crate) fn new(seed: u64, durability: Durability) -> Workload {
        let mut rng = Rng::new(seed);
        let workspace = Workspace::new(rng.roll());
        let reference = MemoryStore::new(workspace.clock.clone());
        let snapshots = vec![StoredState::of(&*reference).unwrap()];
        let processes = if rng.once_in(3) { 2 } else { 1 };
        Workload {
            workspace,
            rng,
            durability,
            stores: Vec::new(),
            reference,
            history: Snapshots { snapshots, confirmed: 0, possible: 0 },
            workers: Vec::new(),
            held: Vec::new(),
            jobs: Vec::new(),
            waiting: None,
            external: Vec::new(),
            next: 0,
            processes,
        }
    }

    /// Runs at most this many steps; ends when the power is cut.
    pub(crate) fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.open();
            if self.workspace.disk.is_off() {
                return;
            }
            self.step();
        }
    }

    /// Opens the stores that are not open. Only a power cut may prevent that.
    fn open(&mut self) {
        while self.stores.len() < self.processes && !self.workspace.disk.is_off() {
            match self.workspace.try_open(self.durability) {
                Ok(store) => self.stores.push(store),
                Err(error) => assert!(self.workspace.disk.is_off(), "{error}"),
            }
        }
    }

    fn step(&mut self) {
        match self.rng.below(100) {
            0..20 => self.insert_blocking(1),
            20..30 => {
                let jobs = 2 + self.rng.below(5);
                self.insert_blocking(jobs);
            }
            30..42 => self.insert_many(),
            42..66 => self.claim(),
            66..74 => self.command(),
            74..78 => self.heartbeat(),
            78..82 => self.report_progress(),
            82..86 => self.register_worker(),
            86..88 => self.release(true),
            88..90 => self.release(false),
            90..94 => self.advance(),
            94..97 => self.checkpoint(),
            97..98 => self.store_externally(),
            98..99 if self.processes == 1 => self.reopen(),
            _ if self.processes == 1 => self.wait(),
            _ => self.claim(),
        }
        self.check_waiting();
    }

    // ---- Steps, in the order of a job's life
    // ---------------------------------------------------------------------

    fn insert_blocking(&mut self, jobs: u64) {
        let jobs = self.new_jobs(jobs);
        let store = self.any_store();
        let expected = answer(self.reference.insert(jobs.clone())).unwrap();
        self.jobs.extend(&expected);
        let snapshot = self.take_snapshot();
        let stored = store.insert_blocking(jobs);
        if let Some(stored) = self.reported(snapshot, stored) {
            assert_eq!(stored, expected);
        }
    }

    /// Several callers at once, each of which waits for its own answer. Not while a claim waits: it claims
    /// from all jobs that share a commit, and which ones do is not determined by the seed.
    fn insert_many(&mut self) {
        if self.waiting.is_some() {
            return self.insert_blocking(3);
        }
        let store = self.any_store();
        let mut waiting = Vec::new();
        for _ in 0..2 + self.rng.below(5) {
            let jobs = 1 + self.rng.below(3);
            let jobs = self.new_jobs(jobs);
            let expected = answer(self.reference.insert(jobs.clone())).unwrap();
            self.jobs.extend(&expected);
            waiting.push((self.take_snapshot(), expected, store.insert(jobs)));
        }
        for (snapshot, expected, stored) in waiting {
            if let Some(stored) = self.reported(snapshot, answer(stored)) {
                assert_eq!(stored, expected);
            }
        }
    }

    fn register_worker(&mut self) {
        let worker = WorkerId(1 + self.workers.len() as i64);
        let card = WorkerInfo::new(worker, "host", 7);
        let store = self.any_store();
        answer(self.reference.register_worker(card.clone())).unwrap();
        self.workers.push(worker);
        let snapshot = self.take_snapshot();
        self.reported(snapshot, answer(store.register_worker(card)));
    }

    fn claim(&mut self) {
        let Some(worker) = self.any_worker() else { return self.register_worker() };
        let (own, others) =
            std::mem::take(&mut self.held).into_iter().partition(|(it, _)| it.worker == worker);
        self.held = others;
        let mut done = Vec::new();
        for (claim, ticket) in own {
            if self.rng.once_in(3) {
                self.held.push((claim, ticket));
            } else {
                done.push(FinishedJob {
                    claim,
                    ticket,
                    began_after: Duration::ZERO,
                    verdict: self.verdict(),
                });
            }
        }
        let claim = ClaimRequest { finished: Arc::new(done), ..self.want(worker, false) };
        let store = self.any_store();
        let expected = answer(self.reference.claim(claim.clone()));
        let snapshot = self.take_snapshot();
        let response = answer(store.claim(claim));
        match expected {
            Ok(expected) => {
                self.held.extend(expected.claimed.iter().map(|job| (job.claim, job.ticket)));
                if let Some(response) = self.reported(snapshot, response) {
                    assert_same_response(&response, &expected);
                }
            }
            // Refused correctly, which is neither a loss nor a fault.
            Err(expected) if !self.workspace.disk.is_off() => {
                assert_eq!(response.unwrap_err().kind(), expected.kind());
                self.history.confirm(snapshot);
            }
            Err(_) => {}
        }
    }

    /// A claim that waits until there is a job, which any later step may store.
    fn wait(&mut self) {
        if self.stores.len() > 1 {
            // Which store sees first what the other wrote is not determined by the seed. Waiting claims
            // beside other stores are tested by the simulation and the process tests.
            return self.heartbeat();
        }
        let Some(worker) = self.any_worker() else { return self.register_worker() };
        if self.waiting.as_ref().is_some_and(|(waits, ..)| *waits != worker) {
            // One waiting claim is kept. If it were dropped, its next job would be given back at a moment that
            // the seed does not determine.
            return self.heartbeat();
        }
        let claim = self.want(worker, true);
        let expected = self.reference.claim(claim.clone());
        let response = self.stores[0].claim(claim);
        self.check_replaced();
        self.waiting = Some((worker, response, expected));
        self.take_unconfirmed_snapshot();
        // A job that has become due is claimed by it, in a transaction that has no other answer.
        self.check_waiting();
    }

    /// A later claim of the same worker ends the one that waits. That changes nothing, so its answer confirms
    /// nothing.
    fn check_replaced(&mut self) {
        let Some((_, response, expected)) = self.waiting.take() else { return };
        let Some(expected) = expected.try_take() else { return };
        match (answer(response), expected) {
            (Ok(response), Ok(expected)) => assert_same_response(&response, &expected),
            (response, expected) => {
                assert!(self.workspace.disk.is_off(), "{response:?} and not {expected:?}")
            }
        }
    }

    /// A waiting claim that is answered by the memory store is answered by the commit that was just
    /// confirmed.
    fn check_waiting(&mut self) {
        let Some((worker, response, expected)) = self.waiting.take() else { return };
        let Some(expected) = expected.try_take() else {
            self.waiting = Some((worker, response, expected));
            return;
        };
        let snapshot = self.take_snapshot();
        let response = answer(response);
        match expected {
            Ok(expected) => {
                self.held.extend(expected.claimed.iter().map(|job| (job.claim, job.ticket)));
                if let Some(response) = self.reported(snapshot, response) {
                    assert_same_response(&response, &expected);
                }
            }
            Err(expected) if !self.workspace.disk.is_off() => {
                assert_eq!(response.unwrap_err().kind(), expected.kind());
                self.history.confirm(snapshot);
            }
            Err(_) => {}
        }
    }

    fn heartbeat(&mut self) {
        let Some(worker) = self.any_worker() else { return self.register_worker() };
        let store = self.any_store();
        let expected = answer(self.reference.heartbeat(worker)).unwrap();
        let snapshot = self.take_snapshot();
        if let Some(heartbeat) = self.reported(snapshot, answer(store.heartbeat(worker))) {
            assert_eq!(heartbeat, expected);
        }
    }

    /// Progress has no answer of its own; the heartbeat after it is in the same queue.
    fn report_progress(&mut self) {
        let Some((claim, _)) = self.rng.pick(&self.held).copied() else { return self.heartbeat() };
        let progress = Progress::new(0.5, Some(format!("half of {}", claim.attempt)));
        let store = self.any_store();
        for store in [&*self.reference as &dyn Store, &*store] {
            let slot = Arc::new(ProgressSlot::new(claim));
            assert!(slot.set(progress.clone()));
            store.report_progress(slot);
        }
        self.take_unconfirmed_snapshot();
        let expected = answer(self.reference.heartbeat(claim.worker)).unwrap();
        let snapshot = self.take_snapshot();
        if let Some(heartbeat) = self.reported(snapshot, answer(store.heartbeat(claim.worker))) {
            assert_eq!(heartbeat, expected);
        }
    }

    /// A rescue, or a worker that is released.
    fn release(&mut self, dead: bool) {
        let Some(worker) = self.any_worker() else { return self.register_worker() };
        self.held.retain(|(claim, _)| claim.worker != worker);
        let store = self.any_store();
        let release = |store: &dyn Store| match dead {
            true => answer(store.release_worker(worker, Release::ProvenDead))
                .map(|rescued| (rescued.jobs, rescued.failed.len())),
            false => {
                answer(store.release_worker(worker, Release::ByWorker)).map(|released| (released.jobs, 0))
            }
        };
        let expected = release(&*self.reference).unwrap();
        let snapshot = self.take_snapshot();
        if let Some(freed) = self.reported(snapshot, release(&*store)) {
            assert_eq!(freed, expected);
        }
    }

    fn command(&mut self) {
        let Some(id) = self.rng.pick(&self.jobs).copied() else { return self.insert_blocking(1) };
        let kinds =
            [JobCommand::Retry(id), JobCommand::Cancel(id), JobCommand::Cancel(id), JobCommand::Delete(id)];
        let command = *self.rng.pick(&kinds).unwrap();
        let store = self.any_store();
        let reported =
            |answer: qdjobs::Result<qdjobs::Job>| format!("{:?}", answer.map_err(|error| error.kind()));
        let expected = reported(answer(self.reference.command(command)));
        let snapshot = self.take_snapshot();
        if let Some(answer) = self.reported(snapshot, fault_or_answer(answer(store.command(command)))) {
            assert_eq!(reported(answer), expected);
        }
    }

    fn advance(&mut self) {
        self.workspace.clock.advance(Duration::from_millis(500 * self.rng.below(5)));
        // A waiting claim may claim jobs that are due now, by a transaction that has no other answer.
        self.take_unconfirmed_snapshot();
    }

    fn checkpoint(&mut self) {
        let modes = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"];
        let mode = self.rng.pick(&modes).unwrap();
        let done = self
            .workspace
            .connect()
            .and_then(|conn| conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())));
        assert!(done.is_ok() || self.workspace.disk.is_off(), "{done:?}");
    }

    /// A job in a program's own transaction.
    fn store_externally(&mut self) {
        self.next += 1;
        let params = format!("{{\"n\":{}}}", self.next);
        let job = NewJob::new(EXTERNAL, params.clone());
        let statement = self.stores[0].statement(Foreign::Insert(std::slice::from_ref(&job))).unwrap();
        // Uses the next id.
        answer(self.reference.insert(vec![job])).unwrap();
        let stored = self.workspace.connect().and_then(|conn| {
            conn.execute_batch("BEGIN IMMEDIATE")?;
            conn.query_row(&statement.sql, [statement.json], |row| row.get::<_, i64>(0))?;
            conn.execute_batch("COMMIT")
        });
        assert!(stored.is_ok() || self.workspace.disk.is_off(), "{stored:?}");
        self.external.push((params, stored.is_ok()));
    }

    fn reopen(&mut self) {
        if let Some((worker, ..)) = self.waiting.take() {
            answer(self.reference.cancel_waiting_claims(worker)).unwrap();
        }
        self.stores.clear();
        self.open();
    }

    // ---- Parts of the steps
    // --------------------------------------------------------------------------------------

    fn any_store(&mut self) -> Arc<SqliteStore> {
        self.rng.pick(&self.stores).unwrap().clone()
    }

    fn any_worker(&mut self) -> Option<WorkerId> {
        self.rng.pick(&self.workers).copied()
    }

    fn new_jobs(&mut self, jobs: u64) -> Vec<NewJob> {
        (0..jobs)
            .map(|_| {
                self.next += 1;
                // Some are larger than a page, so that a commit is many writes.
                let bytes = if self.rng.once_in(5) { self.rng.below(20_000) } else { self.rng.below(50) };
                let params = format!("{{\"n\":{},\"text\":\"{}\"}}", self.next, "x".repeat(bytes as usize));
                let mut job = NewJob::new(*self.rng.pick(&TASKS).unwrap(), params);
                job.priority = self.rng.below(3) as i32;
                if self.rng.once_in(4) {
                    job.run_at = RunAt::After(Duration::from_millis(500 * self.rng.below(4)));
                }
                job
            })
            .collect()
    }

    fn want(&mut self, worker: WorkerId, wait: bool) -> ClaimRequest {
        let tasks = [&TASKS[..1], &TASKS[1..], &TASKS[..]];
        let tasks = Arc::new(TaskSet::new(self.rng.pick(&tasks).unwrap().iter().copied()));
        let limit = if wait { 2 } else { self.rng.below(5) as usize };
        ClaimRequest { wait, ..ClaimRequest::new(worker, tasks, limit) }
    }

    fn verdict(&mut self) -> Verdict {
        let wait = Duration::from_millis(500 * self.rng.below(3));
        match self.rng.below(8) {
            0..4 => Verdict::Complete { result: "{\"sent\":true}".into() },
            4 => Verdict::Retry { wait, error: "boom".into() },
            5 => Verdict::Fail { error: "broken".into() },
            6 => Verdict::Cancel { reason: "unwanted".into() },
            _ => Verdict::Release { wait, started: self.rng.once_in(2) },
        }
    }

    fn take_snapshot(&mut self) -> usize {
        let stored_state = StoredState::of(&*self.reference).unwrap();
        self.history.take_snapshot(stored_state)
    }

    /// For a step that has no answer of its own.
    fn take_unconfirmed_snapshot(&mut self) {
        let snapshot = self.take_snapshot();
        self.history.unconfirm(snapshot);
    }

    /// Records an answer. Only a power cut may prevent one.
    fn reported<T>(&mut self, snapshot: usize, reported: qdjobs::Result<T>) -> Option<T> {
        match reported {
            Ok(value) => {
                self.history.confirm(snapshot);
                Some(value)
            }
            Err(error) => {
                assert!(self.workspace.disk.is_off(), "{error}");
                if error.may_be_stored() {
                    self.history.unconfirm(snapshot);
                }
                None
            }
        }
    }

    // ---- After the power cut
    // -------------------------------------------------------------------------------------

    /// Turns the power on: the file has to contain what was promised, and keep it.
    pub(crate) fn recover(&mut self) -> Found {
        self.waiting = None;
        self.stores.clear();
        self.workspace.disk.power_on();
        if self.rng.once_in(3) {
            // The power is cut again while the log is read.
            self.workspace.disk.cut_power_at(1 + self.rng.below(12));
            drop(self.workspace.try_open(self.durability));
            self.workspace.disk.power_on();
        }
        let store = self.workspace.try_open(self.durability).unwrap();
        self.workspace.assert_sound();
        let found = StoredState::of(&*store).unwrap();
        let Snapshots { snapshots, confirmed, possible } = &self.history;
        let first = if self.durability == Durability::Full { *confirmed } else { 0 };
        let snapshot = (first..=*possible).rev().find(|snapshot| snapshots[*snapshot] == found);
        let Some(snapshot) = snapshot else {
            let (lost, new) = (snapshots[*confirmed].beyond(&found), found.beyond(&snapshots[*confirmed]));
            panic!(
                "of snapshots {first} to {possible}, {confirmed} confirmed, none is stored\nmissing: {lost:#?}\nbeside: {new:#?}"
            );
        };
        if self.durability == Durability::Full {
            self.check_external_jobs();
        }
        drop(store);
        let store = self.workspace.try_open(self.durability).unwrap();
        let again = StoredState::of(&*store).unwrap();
        assert_eq!(again, found, "the stored state does not change");
        self.stores.push(store);
        // Several snapshots can be equal; the latest counts.
        let same = |snapshot: usize| snapshots[snapshot] == snapshots[*confirmed];
        let lost = if snapshot >= *confirmed || same(snapshot) { 0 } else { confirmed - snapshot };
        let (present, absent) =
            (snapshot.saturating_sub(*confirmed), possible.saturating_sub(snapshot.max(*confirmed)));
        Found { confirmed: *confirmed, lost, present, absent }
    }

    fn check_external_jobs(&self) {
        let conn = self.workspace.connect().unwrap();
        for (params, _) in self.external.iter().filter(|(_, confirmed)| *confirmed) {
            let there = "SELECT 1 FROM qdjobs_jobs WHERE task_name = ?1 AND params = ?2";
            let there = conn.prepare(there).unwrap().exists([EXTERNAL, params]).unwrap();
            assert!(there, "a job of a program's own transaction is lost: {params}");
        }
    }

    /// Every job that can run does, and stays completed.
    pub(crate) fn drain(&mut self) {
        let store = self.stores[0].clone();
        for worker in self.workers.clone() {
            answer(store.release_worker(worker, Release::ProvenDead)).unwrap();
        }
        let worker = WorkerId(1 + self.workers.len() as i64);
        answer(store.register_worker(WorkerInfo::new(worker, "host", 7))).unwrap();
        self.workspace.clock.advance(Duration::from_secs(3600));
        let (mut done, mut ran) = (Vec::new(), std::collections::BTreeSet::new());
        loop {
            let response = answer(store.claim(ClaimRequest {
                worker,
                finished: Arc::new(done),
                limit: 16,
                tasks: Arc::new(TaskSet::new(TASKS)),
                queues: None,
                wait: false,
            }))
            .unwrap();
            assert!(response.lost.is_empty());
            if response.claimed.is_empty() {
                break;
            }
            done = response
                .claimed
                .iter()
                .map(|job| {
                    assert!(ran.insert(job.claim.id), "{:?} runs twice", job.claim);
                    let verdict = Verdict::Complete { result: "null".into() };
                    FinishedJob { claim: job.claim, ticket: job.ticket, began_after: Duration::ZERO, verdict }
                })
                .collect();
        }
        answer(store.release_worker(worker, Release::ByWorker)).unwrap();
        let drained = StoredState::of(&*store).unwrap();
        assert!(!format!("{drained:?}").contains("status: Running"));
        assert!(!format!("{drained:?}").contains("status: Pending"));
        self.workspace.disk.cut_power();
        drop(store);
        self.stores.clear();
        self.workspace.disk.power_on();
        let store = self.workspace.try_open(self.durability).unwrap();
        if self.durability == Durability::Full {
            assert_eq!(StoredState::of(&*store).unwrap(), drained);
        }
        self.workspace.assert_sound();
    }
}

/// A refused command is an answer; a fault of the disk is not.
fn fault_or_answer(answer: qdjobs::Result<qdjobs::Job>) -> qdjobs::Result<qdjobs::Result<qdjobs::Job>> {
    use qdjobs::ErrorKind::{Conflict, NotFound};
    match answer {
        Err(error) if !matches!(error.kind(), Conflict | NotFound) => Err(error),
        answer => Ok(answer),
    }
}

fn assert_same_response(response: &ClaimResponse, expected: &ClaimResponse) {
    assert_eq!(response.lost, expected.lost);
    assert_eq!(response.claimed, expected.claimed);
}
