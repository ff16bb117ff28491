//! News of changes in the write-ahead log, from Linux's inotify: [`Watch`].
//!
//! Leans on the crate inotify. The log is named to the kernel by its path and never opened: closing any descriptor of the
//! database's files would drop SQLite's locks. A watch tells once, so that a busy file costs nothing between two looks.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use inotify::{EventMask, Inotify, WatchMask, Watches};

use crate::store::engine::requests::RequestQueue;

#[derive(Debug)]
pub(in crate::store::sqlite) struct Watch {
    log: PathBuf,
    request_queue: Weak<RequestQueue>,
    /// Opened with the first watch: a program that only enqueues needs none.
    listener: Option<Listener>,
    /// The kernel has refused: its limit of listeners is reached, or it has none.
    refused: bool,
    /// News come from a simulation, which needs no kernel for them.
    #[cfg(test)]
    pub(in crate::store::sqlite) simulated: bool,
}

#[derive(Debug)]
struct Listener {
    watches: Watches,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(in crate::store::sqlite) fn new(log: &Path, request_queue: &Arc<RequestQueue>) -> Watch {
        Watch {
            log: log.to_owned(),
            request_queue: Arc::downgrade(request_queue),
            listener: None,
            refused: false,
            #[cfg(test)]
            simulated: false,
        }
    }

    /// Asks to be told of the next change; `false` if nobody would tell.
    pub(in crate::store::sqlite) fn set(&mut self) -> bool {
        #[cfg(test)]
        if self.simulated {
            return self.request_queue.upgrade().is_some_and(|request_queue| {
                request_queue.take_news();
                true
            });
        }
        // A thread that waits for the kernel would be none of shuttle's.
        if cfg!(qdjobs_shuttle) {
            return false;
        }
        if self.listener.is_none() && !self.refused {
            self.listener = Listener::open(&self.request_queue);
            self.refused = self.listener.is_none();
        }
        let Some(listener) = &mut self.listener else { return false };
        // What was told so far is older than the look that follows.
        if let Some(request_queue) = self.request_queue.upgrade() {
            request_queue.take_news();
        }
        listener.watches.add(&self.log, WatchMask::MODIFY | WatchMask::ONESHOT).is_ok()
    }

    /// Ends the listening thread.
    pub(in crate::store::sqlite) fn close(&mut self) {
        if let Some(mut listener) = self.listener.take() {
            listener.close();
        }
    }
}

impl Listener {
    fn open(request_queue: &Weak<RequestQueue>) -> Option<Listener> {
        let inotify = Inotify::init().ok()?;
        let watches = inotify.watches();
        let closed = Arc::new(AtomicBool::default());
        let (ends, request_queue) = (closed.clone(), request_queue.clone());
        let thread = std::thread::Builder::new()
            .name("qdjobs-inotify".into())
            .spawn(move || listen(inotify, &ends, &request_queue))
            .ok()?;
        Some(Listener { watches, closed, thread: Some(thread) })
    }

    fn close(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // The kernel tells of the end of any watch, and of one that is set and taken back in particular.
        let told = self.watches.add("/", WatchMask::DELETE_SELF).and_then(|watch| self.watches.remove(watch));
        if let (Ok(()), Some(thread)) = (told, self.thread.take()) {
            // It holds no lock and runs no foreign code, so it cannot have panicked in a way that matters.
            let _ = thread.join();
        }
    }
}

/// Passes the news on, until the listener is closed.
fn listen(mut inotify: Inotify, closed: &AtomicBool, request_queue: &Weak<RequestQueue>) {
    let mut events = [0; 1024];
    while let Ok(told) = inotify.read_events_blocking(&mut events) {
        // The change is told before the watch has ended, and a new one set in between would end with it. So what counts is the end.
        let changed = told.into_iter().any(|event| event.mask.contains(EventMask::IGNORED));
        if closed.load(Ordering::SeqCst) {
            return;
        }
        let Some(request_queue) = request_queue.upgrade() else { return };
        if changed {
            request_queue.tell_news();
        }
    }
}
