//! A SQLite store without threads, for a simulation: [`SteppedStore`], with each step of the writer and the
//! reader.
//!
//! A step does what the thread would do between two sleeps. In which order steps are taken is decided in
//! `sim/world.rs`.
//!
//! Depends on the store's own parts. Decisions of the store never come in.

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
    /// Submitted, not yet answered.
    question: RefCell<Option<Question>>,
    /// The sleep of the writer thread: when it began, and when it ends.
    sleep: Cell<(Duration, Sleep)>,
    /// The writer thread has ended.
    ended: Cell<bool>,
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
            ended: Cell::new(false),
        })
    }

    pub(crate) fn store(&self) -> Arc<SqliteStore> {
        self.store.clone()
    }

    /// When the writer thread wakes if nothing happens before; `None` if never.
    pub(crate) fn writes_at(&self) -> Option<Duration> {
        let (since, sleep) = self.sleep.get();
        if self.ended.get() {
            None
        } else if self.store.request_queue.wakes(sleep) {
            Some(Duration::ZERO)
        } else {
            sleep.limit.map(|limit| since + limit)
        }
    }

    /// Does what the writer thread does between two sleeps; `false` once it has ended.
    pub(crate) fn write(&self) -> bool {
        self.store.request_queue.set_asleep(false);
        match self.store.writer.step() {
            Some(sleep) => self.sleep.set((self.store.clock.monotonic(), sleep)),
            None => self.ended.set(true),
        }
        self.store.request_queue.set_asleep(true);
        !self.ended.get()
    }

    pub(crate) fn has_question(&self) -> bool {
        let mut question = self.question.borrow_mut();
        if question.is_none() {
            *question = self.reader.next_question();
        }
        question.is_some()
    }

    /// Does what the reader thread does for one question.
    pub(crate) fn read(&self) {
        if self.has_question()
            && let Some(question) = self.question.take()
        {
            self.reader.answer(question);
        }
    }

    /// Inserts jobs as a blocking caller does: on its own thread if the writer thread sleeps.
    pub(crate) fn insert_here(&self, jobs: Vec<NewJob>) -> Pending<Vec<JobId>> {
        self.store.write_here(jobs).unwrap_or_else(|error| Pending::ready(Err(error)))
    }

    /// Notes that another connection has written to the file.
    pub(crate) fn note_file_change(&self) {
        #[cfg(target_os = "linux")]
        self.store.request_queue.note_file_change();
    }
}

/// Disables the socket and inotify in a simulated process: the simulation reports the changes of the file.
pub(in crate::store::sqlite) fn disconnect_wakeups(
    mut change_poll: ChangePoll,
    mut sockets: WakeSockets,
    clock: &Clock,
) -> (ChangePoll, WakeSockets) {
    if clock.is_simulated() {
        change_poll.simulate();
        sockets.disabled = true;
    }
    (change_poll, sockets)
}
