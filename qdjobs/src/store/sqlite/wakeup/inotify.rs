//! Reports that another program has written the write-ahead log, by Linux's inotify: [`InotifyWatch`].
//!
//! When the file is read after a report is decided in `poll.rs`.
//!
//! Depends on the crate inotify and on the requests of the engine. SQLite never comes in.
//!
//! The log is passed to the kernel by its path and never opened, since closing any descriptor of the
//! database's files would drop SQLite's locks. A watch reports one change, so that a busy file costs nothing
//! between two polls.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use inotify::{EventMask, Inotify, WatchMask, Watches};

use crate::store::engine::requests::RequestQueue;

#[derive(Debug)]
pub(in crate::store::sqlite) struct InotifyWatch {
    log: PathBuf,
    request_queue: Weak<RequestQueue>,
    /// Started with the first watch. A program that only enqueues has no such thread.
    thread: Option<InotifyThread>,
    /// The kernel has refused an inotify instance: the limit is reached, or inotify is not supported.
    refused: bool,
    /// A simulation reports the changes itself, without the kernel.
    #[cfg(test)]
    pub(in crate::store::sqlite) simulated: bool,
}

#[derive(Debug)]
struct InotifyThread {
    watches: Watches,
    closed: Arc<AtomicBool>,
    handle: Option<JoinHandle<()>>,
}

impl InotifyWatch {
    pub(in crate::store::sqlite) fn new(log: &Path, request_queue: &Arc<RequestQueue>) -> InotifyWatch {
        InotifyWatch {
            log: log.to_owned(),
            request_queue: Arc::downgrade(request_queue),
            thread: None,
            refused: false,
            #[cfg(test)]
            simulated: false,
        }
    }

    /// Watches for the next change; `false` if the platform does not report changes.
    pub(in crate::store::sqlite) fn add(&mut self) -> bool {
        #[cfg(test)]
        if self.simulated {
            return self.request_queue.upgrade().is_some_and(|request_queue| {
                request_queue.take_file_change();
                true
            });
        }
        // Shuttle cannot schedule a thread that waits for the kernel.
        if cfg!(qdjobs_shuttle) {
            return false;
        }
        if self.thread.is_none() && !self.refused {
            self.thread = InotifyThread::spawn(&self.request_queue);
            self.refused = self.thread.is_none();
        }
        let Some(thread) = &mut self.thread else { return false };
        // A change reported so far is older than the poll that follows, which sees it.
        if let Some(request_queue) = self.request_queue.upgrade() {
            request_queue.take_file_change();
        }
        thread.watches.add(&self.log, WatchMask::MODIFY | WatchMask::ONESHOT).is_ok()
    }

    /// Ends the thread.
    pub(in crate::store::sqlite) fn close(&mut self) {
        if let Some(mut thread) = self.thread.take() {
            thread.close();
        }
    }
}

impl InotifyThread {
    fn spawn(request_queue: &Weak<RequestQueue>) -> Option<InotifyThread> {
        let inotify = Inotify::init().ok()?;
        let watches = inotify.watches();
        let closed = Arc::new(AtomicBool::default());
        let (is_closed, request_queue) = (closed.clone(), request_queue.clone());
        let handle = std::thread::Builder::new()
            .name("qdjobs-inotify".into())
            .spawn(move || forward_changes(inotify, &is_closed, &request_queue))
            .ok()?;
        Some(InotifyThread { watches, closed, handle: Some(handle) })
    }

    fn close(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // The removal of a watch is an event too. So a watch that is added and removed at once wakes the
        // thread.
        let woken =
            self.watches.add("/", WatchMask::DELETE_SELF).and_then(|watch| self.watches.remove(watch));
        if let (Ok(()), Some(handle)) = (woken, self.handle.take()) {
            // The thread holds no lock and runs no user code, so a panic in it has no effect here.
            let _ = handle.join();
        }
    }
}

/// Reports each change to the request queue, until `closed`.
fn forward_changes(mut inotify: Inotify, closed: &AtomicBool, request_queue: &Weak<RequestQueue>) {
    let mut events = [0; 1024];
    while let Ok(received) = inotify.read_events_blocking(&mut events) {
        // The kernel reports the change first and ends the watch later. A watch that is added in between
        // would end with the old one. So a change counts only when its watch has ended.
        let changed = received.into_iter().any(|event| event.mask.contains(EventMask::IGNORED));
        if closed.load(Ordering::SeqCst) {
            return;
        }
        let Some(request_queue) = request_queue.upgrade() else { return };
        if changed {
            request_queue.note_file_change();
        }
    }
}
