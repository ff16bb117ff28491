//! Where the writer sits: [`WriterHandle`].
//!
//! Leans on `writer` and `request_queue`. Usually a thread of its own works there. A caller that finds this thread asleep and nobody
//! else waiting sits down for its one request, which saves it two wake-ups, a third of a commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::store::engine::requests::{Request, RequestQueue, Sleep};
use crate::store::sqlite::connection::error;
use crate::store::sqlite::writer::Writer;
use crate::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Batches of one request in a row after which a caller may write for itself: where there are many callers, a thread that
/// gathers serves all of them better.
const LONELY: usize = 2;

pub(in crate::store::sqlite) struct WriterHandle {
    /// `None` once the store is closed: the connection goes with it.
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

    /// The writing thread's life: works until the request_queue is closed and empty.
    pub(in crate::store::sqlite) fn run(&self) {
        // However it ends, nobody may wait for an answer of a thread that is gone.
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

    /// Writes what waits, or looks around if nothing does; then how long to sleep, or `None` once the request_queue is closed and empty.
    pub(in crate::store::sqlite) fn step(&self) -> Option<Sleep> {
        let mut slot = self.lock();
        let writer = slot.as_mut()?;
        // Taken only now: what came while a caller sat here is part of the batch.
        let requests = self.request_queue.take();
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

    /// Writes a request on the caller's own thread; gives it back if that is not the way now.
    pub(in crate::store::sqlite) fn write_here(&self, request: Request) -> Result<(), Request> {
        if !self.request_queue.is_quiet() {
            return Err(request);
        }
        let mut slot = match self.writer.try_lock() {
            Ok(slot) => slot,
            Err(TryLockError::Poisoned(slot)) => slot.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(request),
        };
        let Some(writer) = slot.as_mut() else { return Err(request) };
        // Asked again now that nobody can come in between: who came before is served before.
        if writer.lonely < LONELY || !self.request_queue.is_quiet() {
            return Err(request);
        }
        let (due, chores) = (writer.next_due, writer.has_chores());
        work(writer, |writer| {
            writer.write_one(request);
            writer.leave_room_for_others();
        });
        let sooner = writer.next_due.is_some_and(|next| due.is_none_or(|due| next < due));
        if sooner || (writer.has_chores() && !chores) {
            // The thread would sleep for too long.
            self.request_queue.wake();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        // Panics are caught before they reach the lock.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Works at the writer. Somebody who panics here, thread or caller, was in the middle of something: in which step, and what the
/// writer remembers of it, is not known. So the store stops, where everybody can see it.
fn work(writer: &mut Writer, step: impl FnOnce(&mut Writer)) {
    if catch_unwind(AssertUnwindSafe(|| step(&mut *writer))).is_err() {
        writer.stop(&error::panicked());
    }
}

/// Abandons the request_queue at the end of the thread, also at that of a panic.
struct Abandon<'a>(&'a RequestQueue);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::clock::Clock;
    use crate::model::error::ErrorKind;
    use crate::model::job::NewJob;
    use crate::store::HealthState;
    use crate::store::Store;
    use crate::store::sqlite::{SqliteOptions, SqliteStore};

    fn store(dir: &Path) -> Arc<SqliteStore> {
        std::fs::create_dir_all(dir).unwrap();
        SqliteStore::open(&dir.join("jobs.db"), SqliteOptions::default(), Clock::system()).unwrap()
    }

    #[test]
    fn a_panic_at_the_desk_stops_the_store_where_everybody_sees_it() {
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
