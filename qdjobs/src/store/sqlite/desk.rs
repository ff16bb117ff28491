//! Where the writer sits: [`Desk`].
//!
//! Leans on `writer` and `inbox`. Usually a thread of its own works there. A caller that finds this thread asleep and nobody
//! else waiting sits down for its one request, which saves it two wake-ups, a third of a commit.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use super::inbox::{Inbox, Nap, Request};
use super::writer::Writer;

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
        if requests.is_empty() {
            writer.look();
            return Some(writer.nap());
        }
        let closing = matches!(requests.last(), Some(Request::Close));
        writer.write(requests, false);
        if closing {
            writer.close();
            *desk = None;
            return None;
        }
        writer.leave_room_for_others();
        Some(writer.nap())
    }

    /// Writes a request on the caller's own thread; gives it back if that is not the way now.
    pub(super) fn write_here(&self, request: Request) -> Result<(), Request> {
        if !self.inbox.is_quiet() {
            return Err(request);
        }
        let mut desk = match self.writer.try_lock() {
            Ok(desk) => desk,
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => return Err(request),
        };
        let Some(writer) = desk.as_mut() else { return Err(request) };
        // Asked again now that nobody can come in between: who came before is served before.
        if writer.lonely < LONELY || !self.inbox.is_quiet() {
            return Err(request);
        }
        let due = writer.next_due;
        writer.write_one(request);
        writer.leave_room_for_others();
        if writer.next_due.is_some_and(|next| due.is_none_or(|due| next < due)) {
            // The thread would sleep for too long.
            self.inbox.stir();
        }
        Ok(())
    }

    fn sit_down(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(|poisoned| {
            // Somebody panicked here, in the middle of a transaction: the connection is closed, which takes that back.
            self.writer.clear_poison();
            let mut desk = poisoned.into_inner();
            desk.iter_mut().for_each(|writer| writer.broken = true);
            desk
        })
    }
}

/// Abandons the inbox at the end of the thread, also at that of a panic.
struct Abandon<'a>(&'a Inbox);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
