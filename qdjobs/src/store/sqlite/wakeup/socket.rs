//! Wakes the waiting processes of other workers by a datagram, after a commit that leaves jobs for them:
//! [`WakeSockets`].
//!
//! The socket of this process is in `socket/unix.rs`. When others are woken, and for how many jobs, is
//! decided in `writer/commit.rs`.
//!
//! Depends on std, and on the table of workers for the addresses. Job statements never come in.
//!
//! A message only means "poll now". A lost message costs one poll interval, and a false one costs a poll.

use std::sync::Arc;

use rusqlite::Connection;

use crate::store::engine::requests::RequestQueue;
use crate::store::sqlite::queries::rows::Text;
use crate::store::sqlite::queries::sql;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix::{WakeSocket, wake};

/// The socket of this process, and the addresses of the others.
#[derive(Debug)]
pub(in crate::store::sqlite) struct WakeSockets {
    #[cfg(unix)]
    own: Option<WakeSocket>,
    dir: std::path::PathBuf,
    others: Vec<String>,
    /// The index of the process that is woken next. One job must not wake all processes, and different jobs
    /// should wake different processes.
    next: usize,
    /// Opens no socket. The process then finds jobs by polling, as on a platform without such sockets.
    #[cfg(test)]
    pub(in crate::store::sqlite) disabled: bool,
}

impl WakeSockets {
    /// `dir` is the directory for the socket of this process.
    pub(in crate::store::sqlite) fn new(dir: std::path::PathBuf) -> WakeSockets {
        WakeSockets {
            #[cfg(unix)]
            own: None,
            dir,
            others: Vec::new(),
            next: 0,
            #[cfg(test)]
            disabled: false,
        }
    }

    /// Opens the socket of this process, once. Returns its address, or `None` if the platform has no such
    /// sockets.
    pub(in crate::store::sqlite) fn open(&mut self, request_queue: &Arc<RequestQueue>) -> Option<String> {
        #[cfg(test)]
        if self.disabled {
            return None;
        }
        // Shuttle cannot schedule a thread that waits for a datagram.
        if cfg!(qdjobs_shuttle) {
            return None;
        }
        #[cfg(unix)]
        {
            if self.own.is_none() {
                self.own = WakeSocket::open(&self.dir, request_queue);
            }
            self.own.as_ref().map(|socket| socket.address().to_owned())
        }
        #[cfg(not(unix))]
        {
            let _ = (request_queue, &self.dir);
            None
        }
    }

    /// Reads the addresses of the other processes.
    pub(in crate::store::sqlite) fn refresh(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        #[cfg(unix)]
        let own = self.own.as_ref().map(|socket| socket.address().to_owned());
        #[cfg(not(unix))]
        let own: Option<String> = None;
        let mut sockets = conn.prepare_cached(sql::WAKE_SOCKETS)?;
        let others = sockets.query_map([own], |row| row.get(0).map(|Text(socket)| socket))?;
        self.others = others.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Whether no other process has a socket, as of the last [`refresh`](WakeSockets::refresh).
    pub(in crate::store::sqlite) fn is_only_process(&self) -> bool {
        self.others.is_empty()
    }

    /// Wakes as many processes as there are jobs for them.
    pub(in crate::store::sqlite) fn wake_others(&mut self, jobs: usize) {
        for _ in 0..jobs.min(self.others.len()) {
            self.next = (self.next + 1) % self.others.len();
            #[cfg(unix)]
            wake(&self.others[self.next]);
        }
    }

    /// Closes this process's socket.
    pub(in crate::store::sqlite) fn close(&mut self) {
        #[cfg(unix)]
        if let Some(socket) = self.own.take() {
            socket.close();
            // Succeeds only when the directory is empty.
            let _ = std::fs::remove_dir(&self.dir);
        }
    }

    /// Removes the sockets of processes that died before their worker was registered.
    pub(in crate::store::sqlite) fn remove_unregistered(&self) {
        #[cfg(unix)]
        for name in crate::store::sqlite::files::worker_locks::file_stems(&self.dir, ".wake") {
            let address = std::path::absolute(&self.dir).map(|dir| dir.join(format!("{name}.wake")));
            let address = address.ok().and_then(|path| path.to_str().map(str::to_owned));
            // A registered socket is removed with its worker.
            if let Some(address) = address.filter(|address| !self.others.contains(address)) {
                self.remove_stale(&address);
            }
        }
    }

    /// Removes the socket that a dead process has left. A socket stays if it is in another directory, or if
    /// its process still receives: that process was presumed dead but was only suspended.
    pub(in crate::store::sqlite) fn remove_stale(&self, address: &str) {
        #[cfg(unix)]
        unix::remove_stale(&self.dir, address);
        #[cfg(not(unix))]
        let _ = address;
    }
}
