//! News of changes in the write-ahead log, from Linux's inotify: [`Watch`].
//!
//! Leans on the crate inotify. The log is named to the kernel by its path and never opened: closing any descriptor of the
//! database's files would drop SQLite's locks. A watch tells once, so that a busy file costs nothing between two looks.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use inotify::{EventMask, Inotify, WatchMask, Watches};

use super::inbox::Inbox;

#[derive(Debug)]
pub(super) struct Watch {
    log: PathBuf,
    inbox: Weak<Inbox>,
    /// Opened with the first watch: a program that only enqueues needs none.
    listener: Option<Listener>,
    /// The kernel has refused: its limit of listeners is reached, or it has none.
    refused: bool,
    /// News come from a simulation, which needs no kernel for them.
    #[cfg(test)]
    pub(super) simulated: bool,
}

#[derive(Debug)]
struct Listener {
    watches: Watches,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn new(log: &Path, inbox: &Arc<Inbox>) -> Watch {
        Watch {
            log: log.to_owned(),
            inbox: Arc::downgrade(inbox),
            listener: None,
            refused: false,
            #[cfg(test)]
            simulated: false,
        }
    }

    /// Asks to be told of the next change; `false` if nobody would tell.
    pub(super) fn set(&mut self) -> bool {
        #[cfg(test)]
        if self.simulated {
            return self.inbox.upgrade().is_some_and(|inbox| {
                inbox.take_news();
                true
            });
        }
        // A thread that waits for the kernel would be none of shuttle's.
        if cfg!(qdjobs_shuttle) {
            return false;
        }
        if self.listener.is_none() && !self.refused {
            self.listener = Listener::open(&self.inbox);
            self.refused = self.listener.is_none();
        }
        let Some(listener) = &mut self.listener else { return false };
        // What was told so far is older than the look that follows.
        if let Some(inbox) = self.inbox.upgrade() {
            inbox.take_news();
        }
        listener.watches.add(&self.log, WatchMask::MODIFY | WatchMask::ONESHOT).is_ok()
    }

    /// Ends the listening thread.
    pub(super) fn close(&mut self) {
        if let Some(mut listener) = self.listener.take() {
            listener.close();
        }
    }
}

impl Listener {
    fn open(inbox: &Weak<Inbox>) -> Option<Listener> {
        let inotify = Inotify::init().ok()?;
        let watches = inotify.watches();
        let closed = Arc::new(AtomicBool::default());
        let (ends, inbox) = (closed.clone(), inbox.clone());
        let thread = std::thread::Builder::new()
            .name("qdjobs-watch".into())
            .spawn(move || listen(inotify, &ends, &inbox))
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
fn listen(mut inotify: Inotify, closed: &AtomicBool, inbox: &Weak<Inbox>) {
    let mut events = [0; 1024];
    while let Ok(told) = inotify.read_events_blocking(&mut events) {
        // The change is told before the watch has ended, and a new one set in between would end with it. So what counts is the end.
        let changed = told.into_iter().any(|event| event.mask.contains(EventMask::IGNORED));
        if closed.load(Ordering::SeqCst) {
            return;
        }
        let Some(inbox) = inbox.upgrade() else { return };
        if changed {
            inbox.tell_news();
        }
    }
}
