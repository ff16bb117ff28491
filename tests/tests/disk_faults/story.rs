//! A seeded story of callers and workers on one database file, and what has to be in it afterwards: [`Story`].
//!
//! Each move is first played on a store in memory, which is the same contract without a disk (`tests/it/model.rs` holds the
//! two against each other), and what it holds then is a page of [`History`]. Then the move is played on the real store. Its
//! answer says which pages a power cut may leave: none before the last that was confirmed, none after one that certainly
//! failed.

use std::sync::Arc;
use std::time::Duration;

use qdjobs::store::memory::MemoryStore;
use qdjobs::store::sqlite::{Durability, SqliteStore};
use qdjobs::store::{
    Claim, ClaimRequest, ClaimResponse, FinishedJob, Foreign, JobCommand, Pending, ProgressSlot, Release,
    Store, TaskSet, Ticket, WorkerInfo,
};
use qdjobs::store::{NewJob, RunAt, Verdict};
use qdjobs::{JobId, Progress, WorkerId};
use qdjobs_sim_disk::Rng;

use crate::room::{BESIDE, Books, Room, answer};

const TASKS: [&str; 2] = ["mail", "ping"];

/// What the store in memory held after each move.
pub(crate) struct History {
    pages: Vec<Books>,
    /// The last page whose move was confirmed.
    confirmed: usize,
    /// The last page whose move may have been stored.
    possible: usize,
}

impl History {
    fn turn_the_page(&mut self, books: Books) -> usize {
        self.pages.push(books);
        self.pages.len() - 1
    }

    fn confirm(&mut self, page: usize) {
        self.confirmed = page;
        self.doubt(page);
    }

    /// Whether this was stored cannot be known.
    fn doubt(&mut self, page: usize) {
        self.possible = self.possible.max(page);
    }
}

/// What was found after a power cut.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// Moves that were confirmed.
    pub(crate) confirmed: usize,
    /// Confirmed moves that were not there.
    pub(crate) lost: usize,
    /// Moves without a certain answer that were there.
    pub(crate) present: usize,
    /// Moves without a certain answer that were not.
    pub(crate) absent: usize,
}

pub(crate) struct Story {
    pub(crate) room: Room,
    pub(crate) dice: Rng,
    durability: Durability,
    /// One, or two as in two processes.
    stores: Vec<Arc<SqliteStore>>,
    shadow: Arc<MemoryStore>,
    history: History,
    workers: Vec<WorkerId>,
    held: Vec<Claim>,
    jobs: Vec<JobId>,
    /// A turn that stands: on the real store, and in memory.
    standing: Option<(WorkerId, Pending<ClaimResponse>, Pending<ClaimResponse>)>,
    /// Jobs stored by a transaction of a program's own, and whether that was confirmed.
    beside: Vec<(String, bool)>,
    next: i64,
    processes: usize,
}

impl Story {
    /// A story that the seed tells; the file is not there yet.
    pub(crate) fn new(seed: u64, durability: Durability) -> Story {
        let mut dice = Rng::new(seed);
        let room = Room::new(dice.roll());
        let shadow = MemoryStore::new(room.clock.clone());
        let pages = vec![Books::of(&*shadow).unwrap()];
        let processes = if dice.once_in(3) { 2 } else { 1 };
        Story {
            room,
            dice,
            durability,
            stores: Vec::new(),
            shadow,
            history: History { pages, confirmed: 0, possible: 0 },
            workers: Vec::new(),
            held: Vec::new(),
            jobs: Vec::new(),
            standing: None,
            beside: Vec::new(),
            next: 0,
            processes,
        }
    }

    /// Plays at most so many moves; ends when the power does.
    pub(crate) fn play(&mut self, moves: usize) {
        for _ in 0..moves {
            self.open();
            if self.room.disk.is_off() {
                return;
            }
            self.step();
        }
    }

    /// Opens what is not open. Only the end of the power may keep it from being opened.
    fn open(&mut self) {
        while self.stores.len() < self.processes && !self.room.disk.is_off() {
            match self.room.try_open(self.durability) {
                Ok(store) => self.stores.push(store),
                Err(error) => assert!(self.room.disk.is_off(), "{error}"),
            }
        }
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..20 => self.insert_blocking(1),
            20..30 => {
                let jobs = 2 + self.dice.below(5);
                self.insert_blocking(jobs);
            }
            30..42 => self.insert_many(),
            42..66 => self.turn(),
            66..74 => self.command(),
            74..78 => self.heartbeat(),
            78..82 => self.note(),
            82..86 => self.register_worker(),
            86..88 => self.free(true),
            88..90 => self.free(false),
            90..94 => self.advance(),
            94..97 => self.report_progress(),
            97..98 => self.store_beside(),
            98..99 if self.processes == 1 => self.reopen(),
            _ if self.processes == 1 => self.stand(),
            _ => self.turn(),
        }
        self.end_of_standing();
    }

    // ---- Moves, in the order of a job's life ---------------------------------------------------------------------

    fn insert_blocking(&mut self, jobs: u64) {
        let jobs = self.draft(jobs);
        let store = self.any_store();
        let expected = answer(self.shadow.insert(jobs.clone())).unwrap();
        self.jobs.extend(&expected);
        let page = self.turn_the_page();
        let stored = store.insert_blocking(jobs);
        if let Some(stored) = self.told(page, stored) {
            assert_eq!(stored, expected);
        }
    }

    /// Several callers at once, of whom each waits for an answer of its own. Not while a turn stands: it claims from all that
    /// share a commit, and which these are is chance.
    fn insert_many(&mut self) {
        if self.standing.is_some() {
            return self.insert_blocking(3);
        }
        let store = self.any_store();
        let mut waiting = Vec::new();
        for _ in 0..2 + self.dice.below(5) {
            let jobs = 1 + self.dice.below(3);
            let jobs = self.draft(jobs);
            let expected = answer(self.shadow.insert(jobs.clone())).unwrap();
            self.jobs.extend(&expected);
            waiting.push((self.turn_the_page(), expected, store.insert(jobs)));
        }
        for (page, expected, stored) in waiting {
            if let Some(stored) = self.told(page, answer(stored)) {
                assert_eq!(stored, expected);
            }
        }
    }

    fn register_worker(&mut self) {
        let worker = WorkerId(1 + self.workers.len() as i64);
        let card = WorkerInfo::new(worker, "host", 7);
        let store = self.any_store();
        answer(self.shadow.register_worker(card.clone())).unwrap();
        self.workers.push(worker);
        let page = self.turn_the_page();
        self.told(page, answer(store.register_worker(card)));
    }

    fn turn(&mut self) {
        let Some(worker) = self.any_worker() else { return self.register_worker() };
        let (own, others) = std::mem::take(&mut self.held).into_iter().partition(|it| it.worker == worker);
        self.held = others;
        let mut done = Vec::new();
        for claim in own {
            if self.dice.once_in(3) {
                self.held.push(claim);
            } else {
                done.push(FinishedJob {
                    claim,
                    ticket: Ticket::new(self.room.clock.now(), false),
                    began_after: Duration::ZERO,
                    verdict: self.verdict(),
                });
            }
        }
        let turn = ClaimRequest { finished: Arc::new(done), ..self.want(worker, false) };
        let store = self.any_store();
        let expected = answer(self.shadow.claim(turn.clone()));
        let page = self.turn_the_page();
        let turned = answer(store.claim(turn));
        match expected {
            Ok(expected) => {
                self.held.extend(expected.claimed.iter().map(|job| job.claim));
                if let Some(turned) = self.told(page, turned) {
                    assert_same_turn(&turned, &expected);
                }
            }
            // Refused as it has to be, which is neither a loss nor a fault.
            Err(expected) if !self.room.disk.is_off() => {
                assert_eq!(turned.unwrap_err().kind(), expected.kind());
                self.history.confirm(page);
            }
            Err(_) => {}
        }
    }

    /// A turn that is answered when there is something to claim: by whichever move brings it.
    fn stand(&mut self) {
        if self.stores.len() > 1 {
            // Which store sees first what the other wrote would be chance, and a story is told by its seed alone. Turns that stand
            // beside other stores are the simulation's and the process tests'.
            return self.heartbeat();
        }
        let Some(worker) = self.any_worker() else { return self.register_worker() };
        let turn = self.want(worker, true);
        let expected = self.shadow.claim(turn.clone());
        self.end_of_standing();
        self.standing = Some((worker, self.stores[0].claim(turn), expected));
        self.turn_the_page_unanswered();
        // Whatever became due is claimed by it, in a transaction that has no other answer.
        self.end_of_standing();
    }

    /// What stands is answered by the very commit that was confirmed, if it is answered in memory.
    fn end_of_standing(&mut self) {
        let Some((worker, turned, expected)) = self.standing.take() else { return };
        let Some(expected) = expected.try_take() else {
            self.standing = Some((worker, turned, expected));
            return;
        };
        let page = self.turn_the_page();
        let turned = answer(turned);
        match expected {
            Ok(expected) => {
                self.held.extend(expected.claimed.iter().map(|job| job.claim));
                if let Some(turned) = self.told(page, turned) {
                    assert_same_turn(&turned, &expected);
                }
            }
            Err(expected) if !self.room.disk.is_off() => {
                assert_eq!(turned.unwrap_err().kind(), expected.kind());
                self.history.confirm(page);
            }
            Err(_) => {}
        }
    }

    fn heartbeat(&mut self) {
        let Some(worker) = self.any_worker() else { return self.register_worker() };
        let store = self.any_store();
        let expected = answer(self.shadow.heartbeat(worker)).unwrap();
        let page = self.turn_the_page();
        if let Some(heartbeat) = self.told(page, answer(store.heartbeat(worker))) {
            assert_eq!(heartbeat, expected);
        }
    }

    /// Progress has no answer of its own; the heartbeat after it is in the same line.
    fn note(&mut self) {
        let Some(claim) = self.dice.pick(&self.held).copied() else { return self.heartbeat() };
        let progress = Progress::new(0.5, Some(format!("half of {}", claim.attempt)));
        let store = self.any_store();
        for store in [&*self.shadow as &dyn Store, &*store] {
            let note = Arc::new(ProgressSlot::new(claim));
            assert!(note.set(progress.clone()));
            store.report_progress(note);
        }
        self.turn_the_page_unanswered();
        let expected = answer(self.shadow.heartbeat(claim.worker)).unwrap();
        let page = self.turn_the_page();
        if let Some(heartbeat) = self.told(page, answer(store.heartbeat(claim.worker))) {
            assert_eq!(heartbeat, expected);
        }
    }

    /// A rescue, or a worker that leaves.
    fn free(&mut self, dead: bool) {
        let Some(worker) = self.any_worker() else { return self.register_worker() };
        self.held.retain(|claim| claim.worker != worker);
        let store = self.any_store();
        let free = |store: &dyn Store| match dead {
            true => answer(store.release_worker(worker, Release::ProvenDead))
                .map(|rescued| (rescued.jobs, rescued.failed.len())),
            false => {
                answer(store.release_worker(worker, Release::ByWorker)).map(|released| (released.jobs, 0))
            }
        };
        let expected = free(&*self.shadow).unwrap();
        let page = self.turn_the_page();
        if let Some(freed) = self.told(page, free(&*store)) {
            assert_eq!(freed, expected);
        }
    }

    fn command(&mut self) {
        let Some(id) = self.dice.pick(&self.jobs).copied() else { return self.insert_blocking(1) };
        let kinds =
            [JobCommand::Retry(id), JobCommand::Cancel(id), JobCommand::Cancel(id), JobCommand::Delete(id)];
        let command = *self.dice.pick(&kinds).unwrap();
        let store = self.any_store();
        let told =
            |answer: qdjobs::Result<qdjobs::Job>| format!("{:?}", answer.map_err(|error| error.kind()));
        let expected = told(answer(self.shadow.command(command)));
        let page = self.turn_the_page();
        if let Some(answer) = self.told(page, fault_or_answer(answer(store.command(command)))) {
            assert_eq!(told(answer), expected);
        }
    }

    fn advance(&mut self) {
        self.room.clock.advance(Duration::from_millis(500 * self.dice.below(5)));
        // Who stands may claim what is due now, by a transaction that has no other answer.
        self.turn_the_page_unanswered();
    }

    fn report_progress(&mut self) {
        let modes = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"];
        let mode = self.dice.pick(&modes).unwrap();
        let done = self
            .room
            .connect()
            .and_then(|conn| conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())));
        assert!(done.is_ok() || self.room.disk.is_off(), "{done:?}");
    }

    /// A job in a transaction of a program's own.
    fn store_beside(&mut self) {
        self.next += 1;
        let params = format!("{{\"n\":{}}}", self.next);
        let job = NewJob::new(BESIDE, params.clone());
        let statement = self.stores[0].statement(Foreign::Insert(std::slice::from_ref(&job))).unwrap();
        // Takes the next number.
        answer(self.shadow.insert(vec![job])).unwrap();
        let stored = self.room.connect().and_then(|conn| {
            conn.execute_batch("BEGIN IMMEDIATE")?;
            conn.execute(&statement.sql, [statement.json])?;
            conn.execute_batch("COMMIT")
        });
        assert!(stored.is_ok() || self.room.disk.is_off(), "{stored:?}");
        self.beside.push((params, stored.is_ok()));
    }

    fn reopen(&mut self) {
        if let Some((worker, ..)) = self.standing.take() {
            answer(self.shadow.cancel_waiting_claims(worker)).unwrap();
        }
        self.stores.clear();
        self.open();
    }

    // ---- What moves are made of ----------------------------------------------------------------------------------

    fn any_store(&mut self) -> Arc<SqliteStore> {
        self.dice.pick(&self.stores).unwrap().clone()
    }

    fn any_worker(&mut self) -> Option<WorkerId> {
        self.dice.pick(&self.workers).copied()
    }

    fn draft(&mut self, jobs: u64) -> Vec<NewJob> {
        (0..jobs)
            .map(|_| {
                self.next += 1;
                // Some are larger than a page, so that a commit is many writes.
                let bytes = if self.dice.once_in(5) { self.dice.below(20_000) } else { self.dice.below(50) };
                let params = format!("{{\"n\":{},\"text\":\"{}\"}}", self.next, "x".repeat(bytes as usize));
                let mut job = NewJob::new(*self.dice.pick(&TASKS).unwrap(), params);
                job.priority = self.dice.below(3) as i32;
                if self.dice.once_in(4) {
                    job.run_at = RunAt::After(Duration::from_millis(500 * self.dice.below(4)));
                }
                job
            })
            .collect()
    }

    fn want(&mut self, worker: WorkerId, wait: bool) -> ClaimRequest {
        let tasks = [&TASKS[..1], &TASKS[1..], &TASKS[..]];
        let tasks = Arc::new(TaskSet::new(self.dice.pick(&tasks).unwrap().iter().copied()));
        let limit = if wait { 2 } else { self.dice.below(5) as usize };
        ClaimRequest { wait, ..ClaimRequest::new(worker, tasks, limit) }
    }

    fn verdict(&mut self) -> Verdict {
        let wait = Duration::from_millis(500 * self.dice.below(3));
        match self.dice.below(8) {
            0..4 => Verdict::Complete { result: "{\"sent\":true}".into() },
            4 => Verdict::Retry { wait, error: "boom".into() },
            5 => Verdict::Fail { error: "broken".into() },
            6 => Verdict::Cancel { reason: "unwanted".into() },
            _ => Verdict::Release { wait, started: self.dice.once_in(2) },
        }
    }

    fn turn_the_page(&mut self) -> usize {
        let books = Books::of(&*self.shadow).unwrap();
        self.history.turn_the_page(books)
    }

    /// For a move that has no answer of its own.
    fn turn_the_page_unanswered(&mut self) {
        let page = self.turn_the_page();
        self.history.doubt(page);
    }

    /// Takes note of an answer. Without one only the end of the power excuses.
    fn told<T>(&mut self, page: usize, told: qdjobs::Result<T>) -> Option<T> {
        match told {
            Ok(value) => {
                self.history.confirm(page);
                Some(value)
            }
            Err(error) => {
                assert!(self.room.disk.is_off(), "{error}");
                if error.may_be_stored() {
                    self.history.doubt(page);
                }
                None
            }
        }
    }

    // ---- Afterwards ----------------------------------------------------------------------------------------------

    /// The power is back: what is in the file has to be what was promised, and stay so.
    pub(crate) fn recover(&mut self) -> Found {
        self.standing = None;
        self.stores.clear();
        self.room.disk.power_on();
        if self.dice.once_in(3) {
            // It goes again while the log is read.
            self.room.disk.cut_power_at(1 + self.dice.below(12));
            drop(self.room.try_open(self.durability));
            self.room.disk.power_on();
        }
        let store = self.room.try_open(self.durability).unwrap();
        self.room.assert_sound();
        let found = Books::of(&*store).unwrap();
        let History { pages, confirmed, possible } = &self.history;
        let first = if self.durability == Durability::Full { *confirmed } else { 0 };
        let page = (first..=*possible).rev().find(|page| pages[*page] == found);
        let Some(page) = page else {
            let (lost, new) = (pages[*confirmed].beyond(&found), found.beyond(&pages[*confirmed]));
            panic!(
                "of pages {first} to {possible}, {confirmed} confirmed, none is there\nmissing: {lost:#?}\nbeside: {new:#?}"
            );
        };
        if self.durability == Durability::Full {
            self.look_for_what_was_stored_beside();
        }
        drop(store);
        let store = self.room.try_open(self.durability).unwrap();
        let again = Books::of(&*store).unwrap();
        assert_eq!(again, found, "what was found once stays");
        self.stores.push(store);
        // Several pages can be alike; the latest stands for them.
        let same = |page: usize| pages[page] == pages[*confirmed];
        let lost = if page >= *confirmed || same(page) { 0 } else { confirmed - page };
        let (present, absent) =
            (page.saturating_sub(*confirmed), possible.saturating_sub(page.max(*confirmed)));
        Found { confirmed: *confirmed, lost, present, absent }
    }

    fn look_for_what_was_stored_beside(&self) {
        let conn = self.room.connect().unwrap();
        for (params, _) in self.beside.iter().filter(|(_, confirmed)| *confirmed) {
            let there = "SELECT 1 FROM qdjobs_jobs WHERE task_name = ?1 AND params = ?2";
            let there = conn.prepare(there).unwrap().exists([BESIDE, params]).unwrap();
            assert!(there, "a job of a program's own transaction is lost: {params}");
        }
    }

    /// All that can run, runs, and stays so.
    pub(crate) fn drain(&mut self) {
        let store = self.stores[0].clone();
        for worker in self.workers.clone() {
            answer(store.release_worker(worker, Release::ProvenDead)).unwrap();
        }
        let worker = WorkerId(1 + self.workers.len() as i64);
        answer(store.register_worker(WorkerInfo::new(worker, "host", 7))).unwrap();
        self.room.clock.advance(Duration::from_secs(3600));
        let (mut done, mut ran) = (Vec::new(), std::collections::BTreeSet::new());
        loop {
            let turned = answer(store.claim(ClaimRequest {
                worker,
                finished: Arc::new(done),
                limit: 16,
                tasks: Arc::new(TaskSet::new(TASKS)),
                queues: None,
                wait: false,
            }))
            .unwrap();
            assert!(turned.lost.is_empty());
            if turned.claimed.is_empty() {
                break;
            }
            done = turned
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
        let drained = Books::of(&*store).unwrap();
        assert!(!format!("{drained:?}").contains("status: Running"));
        assert!(!format!("{drained:?}").contains("status: Pending"));
        self.room.disk.cut_power();
        drop(store);
        self.stores.clear();
        self.room.disk.power_on();
        let store = self.room.try_open(self.durability).unwrap();
        if self.durability == Durability::Full {
            assert_eq!(Books::of(&*store).unwrap(), drained);
        }
        self.room.assert_sound();
    }
}

/// A refused command is an answer; a fault of the disk is none.
fn fault_or_answer(answer: qdjobs::Result<qdjobs::Job>) -> qdjobs::Result<qdjobs::Result<qdjobs::Job>> {
    use qdjobs::ErrorKind::{Conflict, NotFound};
    match answer {
        Err(error) if !matches!(error.kind(), Conflict | NotFound) => Err(error),
        answer => Ok(answer),
    }
}

fn assert_same_turn(turned: &ClaimResponse, expected: &ClaimResponse) {
    assert_eq!(turned.lost, expected.lost);
    assert_eq!(turned.claimed, expected.claimed);
}
