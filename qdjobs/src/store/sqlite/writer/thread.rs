//! Decides which thread works with the writer, its own or a caller's: [`WriterHandle`]. Also halts the store
//! after a panic.
//!
//! What the writer does is in `writer/mod.rs` and `commit.rs`.
//!
//! Depends on the writer and the request queue.
//!
//! Usually the writing thread works. A caller that finds it asleep and no request waiting writes its one
//! request itself, which saves two wake-ups, a third of a commit.

use std::sync::Arc;

use crate::model::panic::caught;
use crate::store::engine::batch::requests_that_fit;
use crate::store::engine::requests::{Request, RequestQueue, Sleep};
use crate::store::sqlite::writer::Writer;
use crate::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// The number of consecutive batches with one request after which a caller may write on its own thread. With
/// many callers, the writer thread is faster, because it writes their requests in one commit.
const SINGLES_MIN: usize = 2;

pub(in crate::store::sqlite) struct WriterHandle {
    /// `None` after the store has been closed, which also closes the connection.
    writer: Mutex<Option<Writer>>,
    request_queue: Arc<RequestQueue>,
}

impl std::fmt::Debug for WriterHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriterHandle").finish_non_exhaustive()
    }
}

impl WriterHandle {
    pub(in crate::store::sqlite) fn new(writer: Writer) -> WriterHandle {
        WriterHandle { request_queue: writer.request_queue.clone(), writer: Mutex::new(Some(writer)) }
    }

    /// Runs the writer thread until the request queue is closed and empty.
    pub(in crate::store::sqlite) fn run(&self) {
        // When this thread ends, even by a panic, no call may wait for its answer any more.
        let _end = Abandon(&self.request_queue);
        let mut sleep = Sleep::default();
        loop {
            self.request_queue.wait(sleep);
            match self.step() {
                Some(next) => sleep = next,
                None => return,
            }
        }
    }

    /// Writes the waiting requests or, if there are none, looks for other work. Returns how long to sleep;
    /// `None` once the request queue is closed and empty.
    pub(in crate::store::sqlite) fn step(&self) -> Option<Sleep> {
        let mut slot = self.lock();
        let writer = slot.as_mut()?;
        // Taken after the lock, so that requests which arrived while a caller held the writer are in this
        // batch.
        let requests = self.request_queue.take(requests_that_fit);
        let closing = matches!(requests.last(), Some(Request::Close));
        work(writer, |writer| {
            if requests.is_empty() {
                return writer.look();
            }
            writer.write(requests, false);
            if !closing {
                writer.leave_room_for_others();
            }
        });
        if closing {
            writer.close();
            *slot = None;
            return None;
        }
        Some(writer.sleep())
    }

    /// Writes a request on the caller's own thread. Returns the request if the writer thread should write it.
    pub(in crate::store::sqlite) fn write_here(&self, request: Request) -> Option<Request> {
        if !self.request_queue.is_quiet() {
            return Some(request);
        }
        let mut slot = match self.writer.try_lock() {
            Ok(slot) => slot,
            Err(TryLockError::Poisoned(slot)) => slot.into_inner(),
            Err(TryLockError::WouldBlock) => return Some(request),
        };
        let Some(writer) = slot.as_mut() else { return Some(request) };
        // Checked again under the lock, so that earlier requests are written first.
        if writer.singles < SINGLES_MIN || !self.request_queue.is_quiet() {
            return Some(request);
        }
        let (due, chores) = (writer.next_due(), writer.has_chores());
        work(writer, |writer| {
            writer.write_one(request);
            writer.leave_room_for_others();
        });
        let sooner = writer.next_due().is_some_and(|next| due.is_none_or(|due| next < due));
        if sooner || (writer.has_chores() && !chores) {
            // Otherwise, the writer thread would sleep for too long.
            self.request_queue.wake();
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        // Panics are caught while the lock is held, so it is not poisoned.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `step` on the writer. After a panic, of the writer thread or of a caller, it is unknown which step
/// was not finished. So the store halts, and every call gets that error.
fn work(writer: &mut Writer, step: impl FnOnce(&mut Writer)) {
    if caught(|| step(&mut *writer)).is_err() {
        writer.halt_after_panic();
    }
}

/// Abandons the request queue at the end of the thread, also after a panic.
struct Abandon<'a>(&'a RequestQueue);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::model::clock::Clock;
    use crate::model::error::ErrorKind;
    use crate::model::job::{NewJob, RunAt};
    use crate::store::engine::requests::Call;
    use crate::store::sqlite::{SqliteOptions, SqliteStore};
    use crate::store::{HealthState, Pending, Store};

    #[test]
    fn a_caller_that_stores_an_earlier_due_job_wakes_the_thread() {
        let dir = crate::store::sqlite::scratch("sooner");
        let (options, clock) = (SqliteOptions::default(), Clock::system());
        let (store, _reader) = SqliteStore::without_threads(&dir.join("jobs.db"), options, clock).unwrap();
        store.writer.lock().as_mut().unwrap().singles = SINGLES_MIN;
        let queue = &store.request_queue;
        let wakes = |seconds| {
            queue.set_asleep(true);
            let run_at = RunAt::After(Duration::from_secs(seconds));
            let job = NewJob { run_at, ..NewJob::new("a", "{}") };
            let (reply, stored) = Pending::new();
            let left = store.writer.write_here(Request::Insert(Call::new(vec![job], reply)));
            assert!(left.is_none(), "it is written here");
            stored.wait().unwrap();
            let wakes = queue.wakes(Sleep::default());
            queue.set_asleep(false);
            wakes
        };
        // The first also makes the log grow, a chore for the thread.
        assert_eq!([3_000, 4_000, 2_000, 2_500, 1_000].map(wakes), [true, false, true, false, true]);
        drop(store);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    fn store(dir: &Path) -> Arc<SqliteStore> {
        std::fs::create_dir_all(dir).unwrap();
        SqliteStore::open(&dir.join("jobs.db"), SqliteOptions::default(), Clock::system()).unwrap()
    }

    #[test]
    fn a_panic_of_the_writer_halts_the_store_and_everybody_gets_that_error() {
        let dir = std::env::temp_dir().join(format!("qdjobs-panic-{}", std::process::id()));
        let store = store(&dir);
        store.insert_blocking(vec![NewJob::new("a", "{}")]).unwrap();
        let waiting = store.wait_for(crate::model::job::JobId(1));
        work(store.writer.lock().as_mut().unwrap(), |_| panic!("in the middle of something"));
        assert_eq!(waiting.wait().unwrap_err().kind(), ErrorKind::StoreHalted);
        let refused = store.insert_blocking(vec![NewJob::new("a", "{}")]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::StoreHalted);
        assert!(matches!(store.health().state, HealthState::Halted { .. }));
        // Others are not kept from the file, and it can still be read here.
        let other = rusqlite::Connection::open(dir.join("jobs.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
        store.counts().wait().unwrap();
        store.close();
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
