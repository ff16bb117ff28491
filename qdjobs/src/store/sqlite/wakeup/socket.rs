//! Doorbells between processes: after a commit that leaves jobs for others, their waiting processes are woken by a datagram.
//!
//! Leans on std and, for who is there, on the workers' table. A bell carries no meaning beyond "look": a lost one costs one
//! look's interval, a false one a look.

use std::sync::Arc;

use rusqlite::Connection;

use crate::store::engine::requests::RequestQueue;
use crate::store::sqlite::queries::rows::Text;
use crate::store::sqlite::queries::sql;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix::{Door, ring};

/// The socket of this process, and the bells of the others.
#[derive(Debug)]
pub(in crate::store::sqlite) struct WakeSockets {
    #[cfg(unix)]
    own: Option<Door>,
    dir: std::path::PathBuf,
    others: Vec<String>,
    /// Whose turn it is: one job must not wake everybody, and not always the same one.
    next: usize,
    /// Opens none: the process finds work by looking, as where there are no such sockets.
    #[cfg(test)]
    pub(in crate::store::sqlite) walled: bool,
}

impl WakeSockets {
    /// `dir` is where this process may put its socket.
    pub(in crate::store::sqlite) fn new(dir: std::path::PathBuf) -> WakeSockets {
        WakeSockets {
            #[cfg(unix)]
            own: None,
            dir,
            others: Vec::new(),
            next: 0,
            #[cfg(test)]
            walled: false,
        }
    }

    /// Opens this process's socket, once; its address, or `None` where there are no such sockets.
    pub(in crate::store::sqlite) fn open(&mut self, request_queue: &Arc<RequestQueue>) -> Option<String> {
        #[cfg(test)]
        if self.walled {
            return None;
        }
        // A thread that waits for a datagram would be none of shuttle's.
        if cfg!(qdjobs_shuttle) {
            return None;
        }
        #[cfg(unix)]
        {
            if self.own.is_none() {
                self.own = Door::open(&self.dir, request_queue);
            }
            self.own.as_ref().map(|socket| socket.address().to_owned())
        }
        #[cfg(not(unix))]
        {
            let _ = (request_queue, &self.dir);
            None
        }
    }

    /// Reads who else is there.
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

    /// Whether this is the only process, as far as it knows.
    pub(in crate::store::sqlite) fn nobody_else(&self) -> bool {
        self.others.is_empty()
    }

    /// Wakes as many processes as there are jobs for them.
    pub(in crate::store::sqlite) fn ring(&mut self, jobs: usize) {
        for _ in 0..jobs.min(self.others.len()) {
            self.next = (self.next + 1) % self.others.len();
            #[cfg(unix)]
            ring(&self.others[self.next]);
        }
    }

    /// Closes this process's socket.
    pub(in crate::store::sqlite) fn close(&mut self) {
        #[cfg(unix)]
        if let Some(socket) = self.own.take() {
            socket.close();
            // Goes only when the last one has left.
            let _ = std::fs::remove_dir(&self.dir);
        }
    }

    /// Removes the sockets of processes that died before they were on the list.
    pub(in crate::store::sqlite) fn clear_unlisted(&self) {
        #[cfg(unix)]
        for name in crate::store::sqlite::files::worker_locks::file_stems(&self.dir, ".wake") {
            let address = std::path::absolute(&self.dir).map(|dir| dir.join(format!("{name}.wake")));
            let address = address.ok().and_then(|path| path.to_str().map(str::to_owned));
            // One on the list goes with its worker.
            if let Some(address) = address.filter(|address| !self.others.contains(address)) {
                self.clear(&address);
            }
        }
    }

    /// Removes the socket that a dead process has left. One that is not where sockets are put, or that somebody still answers
    /// (taken for dead, but only stopped), stays.
    pub(in crate::store::sqlite) fn clear(&self, address: &str) {
        #[cfg(unix)]
        unix::clear(&self.dir, address);
        #[cfg(not(unix))]
        let _ = address;
    }
}
