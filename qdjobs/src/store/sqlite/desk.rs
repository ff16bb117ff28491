//! Where the writer sits: [`Desk`].
//!
//! Leans on `writer` and `inbox`. Usually a thread of its own works there. A caller that finds this thread asleep and nobody
//! else waiting sits down for its one request, which saves it two wake-ups, a third of a commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::fault;
use super::inbox::{Inbox, Nap, Request};
use super::writer::Writer;
use crate::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Batches of one request in a row after which a caller may write for itself: where there are many callers, a thread that
/// gathers serves all of them better.
const LONELY: usize = 2;

pub(super) struct Desk {
    /// `None` once the store is closed: the connection goes with it.
    writer: Mutex<Option<Writer>>,
    inbox: Arc<Inbox>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    pub(super) fn new(writer: Writer) -> Desk {
        Desk { inbox: writer.inbox.clone(), writer: Mutex::new(Some(writer)) }
    }

    /// The writing thread's life: works until the inbox is closed and empty.
    pub(super) fn run(&self) {
        // However it ends, nobody may wait for an answer of a thread that is gone.
        let _end = Abandon(&self.inbox);
        let mut nap = Nap::default();
        loop {
            self.inbox.wait(nap);
            match self.step() {
                Some(next) => nap = next,
                None => return,
            }
        }
    }

    /// Writes what waits, or looks around if nothing does; then how long to sleep, or `None` once the inbox is closed and empty.
    pub(super) fn step(&self) -> Option<Nap> {
        let mut desk = self.sit_down();
        let writer = desk.as_mut()?;
        // Taken only now: what came while a caller sat here is part of the batch.
        let requests = self.inbox.take();
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
            *desk = None;
            return None;
        }
        Some(writer.nap())
    }

    /// Writes a request on the caller's own thread; gives it back if that is not the way now.
    pub(super) fn write_here(&self, request: Request) -> Result<(), Request> {
        if !self.inbox.is_quiet() {
            return Err(request);
        }
        let mut desk = match self.writer.try_lock() {
            Ok(desk) => desk,
            Err(TryLockError::Poisoned(desk)) => desk.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(request),
        };
        let Some(writer) = desk.as_mut() else { return Err(request) };
        // Asked again now that nobody can come in between: who came before is served before.
        if writer.lonely < LONELY || !self.inbox.is_quiet() {
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
            self.inbox.stir();
        }
        Ok(())
    }

    fn sit_down(&self) -> MutexGuard<'_, Option<Writer>> {
        // Panics are caught before they reach the lock.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Works at the desk. Somebody who panics here, thread or caller, was in the middle of something: in which step, and what the
/// writer remembers of it, is not known. So the store stops, where everybody can see it.
fn work(writer: &mut Writer, step: impl FnOnce(&mut Writer)) {
    if catch_unwind(AssertUnwindSafe(|| step(&mut *writer))).is_err() {
        writer.stop(&fault::panicked());
    }
}

/// Abandons the inbox at the end of the thread, also at that of a panic.
struct Abandon<'a>(&'a Inbox);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::error::ErrorKind;
    use crate::job::NewJob;
    use crate::store::HealthState;
    use crate::store::sqlite::{SqliteOptions, SqliteStore};
    use crate::store::{Query, Store};
    use crate::time::Clock;

    fn store(dir: &Path) -> Arc<SqliteStore> {
        std::fs::create_dir_all(dir).unwrap();
        SqliteStore::open(&dir.join("jobs.db"), SqliteOptions::default(), Clock::system()).unwrap()
    }

    #[test]
    fn a_panic_at_the_desk_stops_the_store_where_everybody_sees_it() {
        let dir = std::env::temp_dir().join(format!("qdjobs-panic-{}", std::process::id()));
        let store = store(&dir);
        store.insert_here(vec![NewJob::new("a", "{}")]).unwrap();
        let waiting = store.ended(crate::job::JobId(1));
        work(store.desk.sit_down().as_mut().unwrap(), |_| panic!("in the middle of something"));
        assert_eq!(waiting.wait().unwrap_err().kind(), ErrorKind::Stopped);
        let refused = store.insert_here(vec![NewJob::new("a", "{}")]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Stopped);
        assert!(matches!(store.health().state, HealthState::Stopped { .. }));
        // Others are not kept from the file, and it can still be read here.
        let other = rusqlite::Connection::open(dir.join("jobs.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
        store.inspect(Query::Counts).wait().unwrap();
        store.close();
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
