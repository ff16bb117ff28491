//! A SQLite store without threads, for a simulation: [`SteppedStore`], whose writing and reading are steps that somebody calls.
//!
//! Leans on the parts of the store as they are. Nothing is decided here; what a thread would do between two sleeps, a step does.

#![cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "the simulated disk is made for Linux"))]

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::model::clock::Clock;
use crate::model::error::Result;
use crate::model::job::{JobId, NewJob};
use crate::store::Pending;
use crate::store::engine::requests::Sleep;
use crate::store::sqlite::reader::{Question, Reader};
use crate::store::sqlite::wakeup::poll::ChangePoll;
use crate::store::sqlite::wakeup::socket::WakeSockets;
use crate::store::sqlite::{SqliteOptions, SqliteStore};

pub(crate) struct SteppedStore {
    store: Arc<SqliteStore>,
    reader: Reader,
    /// Asked, not yet answered.
    question: RefCell<Option<Question>>,
    /// The writing thread's sleep: since when, and for how long at most.
    sleep: Cell<(Duration, Sleep)>,
    /// The writing thread has ended.
    over: Cell<bool>,
}

impl SteppedStore {
    pub(crate) fn open(path: &Path, options: SqliteOptions, clock: Clock) -> Result<SteppedStore> {
        let now = clock.monotonic();
        let (store, reader) =
            SqliteStore::without_threads(path, SqliteOptions { disk_reserve: 0, ..options }, clock)?;
        store.request_queue.set_asleep(true);
        Ok(SteppedStore {
            store: Arc::new(store),
            reader,
            question: RefCell::new(None),
            sleep: Cell::new((now, Sleep::default())),
            over: Cell::new(false),
        })
    }

    pub(crate) fn store(&self) -> Arc<SqliteStore> {
        self.store.clone()
    }

    /// When the writing thread wakes if nothing happens before; `None` if never.
    pub(crate) fn writes_at(&self) -> Option<Duration> {
        let (since, sleep) = self.sleep.get();
        if self.over.get() {
            None
        } else if self.store.request_queue.wakes(sleep) {
            Some(Duration::ZERO)
        } else {
            sleep.limit.map(|limit| since + limit)
        }
    }

    /// What the writing thread does between two sleeps; `false` once it has ended.
    pub(crate) fn write(&self) -> bool {
        self.store.request_queue.set_asleep(false);
        match self.store.writer.step() {
            Some(sleep) => self.sleep.set((self.store.clock.monotonic(), sleep)),
            None => self.over.set(true),
        }
        self.store.request_queue.set_asleep(true);
        !self.over.get()
    }

    pub(crate) fn has_question(&self) -> bool {
        let mut question = self.question.borrow_mut();
        if question.is_none() {
            *question = self.reader.asked();
        }
        question.is_some()
    }

    /// The reading thread answers one question.
    pub(crate) fn read(&self) {
        if self.has_question()
            && let Some(question) = self.question.take()
        {
            self.reader.serve(question);
        }
    }

    /// Stores jobs as a caller that waits does: by itself, if the writing thread sleeps.
    pub(crate) fn insert_here(&self, jobs: Vec<NewJob>) -> Pending<Vec<JobId>> {
        self.store.write_here(jobs).unwrap_or_else(|error| Pending::ready(Err(error)))
    }

    /// Somebody else has written into the file.
    pub(crate) fn tell_news(&self) {
        #[cfg(target_os = "linux")]
        self.store.request_queue.tell_news();
    }
}

/// Nobody rings at a simulated process and no kernel watches its files: the simulation tells it the news.
pub(in crate::store::sqlite) fn cut_off(
    mut change_poll: ChangePoll,
    mut sockets: WakeSockets,
    clock: &Clock,
) -> (ChangePoll, WakeSockets) {
    if clock.is_simulated() {
        change_poll.simulate();
        sockets.walled = true;
    }
    (change_poll, sockets)
}
