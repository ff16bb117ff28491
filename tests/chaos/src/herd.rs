//! The [`Herd`]: the processes that are tortured, as the parent has them in its hand.
//!
//! Leans on `site` and `history`. Every signal is on record before it is sent, every end after it was seen.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use qdjobs::rusqlite::Connection;

use crate::Result;
use crate::child::Orders;
use crate::history::{Fact, History, Line, Role, Signal};
use crate::site::Site;

/// One process.
#[derive(Debug)]
pub(crate) struct Beast {
    pub(crate) process: u32,
    pub(crate) role: Role,
    child: Child,
    pub(crate) stopped: bool,
    /// When it was started.
    pub(crate) born: Instant,
}

impl Beast {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it for a good end, by a byte.
    pub(crate) fn ask_to_end(&mut self) {
        if let Some(stdin) = &mut self.child.stdin {
            // It may have gone already.
            let _ = stdin.write_all(b".");
        }
    }
}

/// All processes, and the parent's own view of the database.
#[derive(Debug)]
pub(crate) struct Herd<'a> {
    pub(crate) site: &'a Site,
    pub(crate) history: History,
    pub(crate) conn: Connection,
    pub(crate) beasts: Vec<Beast>,
    next_process: u32,
    /// Rows of the dead that are not free yet.
    bereaved: Vec<Bereaved>,
}

/// A dead process whose workers are still on the list.
#[derive(Debug)]
struct Bereaved {
    process: u32,
    pid: u32,
    gone: Instant,
    /// Whether from then on another worker always lived, and nobody stood still.
    clean: bool,
}

impl<'a> Herd<'a> {
    /// With the histories that earlier sessions left.
    pub(crate) fn new(site: &'a Site, history: History, past: &[Line]) -> Result<Herd<'a>> {
        let used = past.iter().filter_map(|line| match line.fact {
            Fact::Spawned { process, .. } => Some(process),
            _ => None,
        });
        let next_process = used.max().unwrap_or(0) + 1;
        Ok(Herd {
            site,
            history,
            conn: site.connect()?,
            beasts: Vec::new(),
            next_process,
            bereaved: Vec::new(),
        })
    }

    /// Starts a process; `orders.process` is given here.
    pub(crate) fn spawn(&mut self, orders: &Orders) -> Result<u32> {
        let process = self.next_process;
        self.next_process += 1;
        let orders = Orders { process, ..orders.clone() };
        let complaints = OpenOptions::new().create(true).append(true).open(self.site.complaints())?;
        let child = Command::new(crate::child::program()?)
            .args(["child", &serde_json::to_string(&orders)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(complaints)
            .spawn()?;
        let role = orders.role;
        let fact = Fact::Spawned { process, pid: child.id(), role, lease_ms: orders.lease_ms };
        self.history.say(fact);
        self.beasts.push(Beast { process, role, child, stopped: false, born: Instant::now() });
        Ok(process)
    }

    pub(crate) fn find(&self, process: u32) -> Option<&Beast> {
        self.beasts.iter().find(|beast| beast.process == process)
    }

    /// Sends a signal; a process that is gone meanwhile does not mind.
    pub(crate) fn signal(&mut self, process: u32, signal: Signal) {
        let Some(beast) = self.beasts.iter_mut().find(|beast| beast.process == process) else { return };
        self.history.say(Fact::Signalled { process, signal });
        let number = match signal {
            Signal::Kill => rustix::process::Signal::KILL,
            Signal::Stop => rustix::process::Signal::STOP,
            Signal::Cont => rustix::process::Signal::CONT,
            Signal::Term => rustix::process::Signal::TERM,
        };
        // Not reaped yet, so the number is still its own.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&beast.child), number);
        match signal {
            Signal::Stop => beast.stopped = true,
            Signal::Cont => beast.stopped = false,
            Signal::Kill | Signal::Term => {}
        }
    }

    /// Buries those that have ended; answers them.
    pub(crate) fn reap(&mut self) -> Result<Vec<Beast>> {
        let mut dead = Vec::new();
        let mut index = 0;
        while index < self.beasts.len() {
            match self.beasts[index].child.try_wait()? {
                Some(status) => {
                    let beast = self.beasts.remove(index);
                    self.bury(&beast, status)?;
                    dead.push(beast);
                }
                None => index += 1,
            }
        }
        Ok(dead)
    }

    /// Waits until the process is gone, for as long as `patience` allows; whether it is.
    pub(crate) fn wait_gone(&mut self, process: u32, patience: Duration) -> Result<bool> {
        let until = Instant::now() + patience;
        while self.find(process).is_some() && Instant::now() < until {
            self.reap()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(self.find(process).is_none())
    }

    fn bury(&mut self, beast: &Beast, status: ExitStatus) -> Result<()> {
        let gone = Instant::now();
        let count = |sql: &str| -> Result<i64> {
            Ok(self.conn.prepare_cached(sql)?.query_row([beast.pid()], |row| row.get(0))?)
        };
        let listed = count("SELECT count(*) FROM qdjobs_workers WHERE pid = ?1")?;
        let running = count(
            "SELECT count(*) FROM qdjobs_jobs WHERE status = 'running' AND worker_id IN
                 (SELECT worker_id FROM chaos_log WHERE what = 'register_worker' AND attempt = ?1)",
        )?;
        let seq = self.conn.query_row("SELECT coalesce(max(seq), 0) FROM chaos_log", [], |row| row.get(0))?;
        self.history.say(Fact::Reaped {
            process: beast.process,
            code: status.code(),
            signal: std::os::unix::process::ExitStatusExt::signal(&status),
            seq,
            running,
            listed,
        });
        if beast.role == Role::Worker && listed > 0 {
            let (process, pid) = (beast.process, beast.pid());
            self.bereaved.push(Bereaved { process, pid, gone, clean: self.is_quiet(gone) });
        }
        Ok(())
    }

    /// Looks whose rows have become free; to be called every few milliseconds.
    pub(crate) fn watch_rescues(&mut self) -> Result<()> {
        let quiet = self.is_quiet(Instant::now());
        let mut waiting = std::mem::take(&mut self.bereaved);
        for it in &mut waiting {
            it.clean &= quiet;
        }
        let mut still = Vec::new();
        for it in waiting {
            let sql = "SELECT count(*) FROM qdjobs_workers WHERE pid = ?1";
            let listed: i64 = self.conn.prepare_cached(sql)?.query_row([it.pid], |row| row.get(0))?;
            if listed > 0 {
                still.push(it);
            } else {
                let micros = it.gone.elapsed().as_micros() as u64;
                self.history.say(Fact::Freed { process: it.process, micros, clean: it.clean });
            }
        }
        self.bereaved = still;
        Ok(())
    }

    /// Whether nothing is waited for.
    pub(crate) fn all_rescued(&self) -> bool {
        self.bereaved.is_empty()
    }

    /// A worker lives that has had the time to begin, and nobody stands still.
    fn is_quiet(&self, now: Instant) -> bool {
        let begun = |beast: &Beast| beast.role == Role::Worker && now.duration_since(beast.born) > BEGINNING;
        self.beasts.iter().any(begun) && self.beasts.iter().all(|beast| !beast.stopped)
    }

    /// Puts on record what each process holds.
    pub(crate) fn sample(&self) {
        for beast in self.beasts.iter().filter(|beast| beast.role == Role::Worker && !beast.stopped) {
            if let Some((fds, threads)) = holds(beast.pid()) {
                self.history.say(Fact::Sample { process: beast.process, fds, threads });
            }
        }
    }
}

impl Drop for Herd<'_> {
    fn drop(&mut self) {
        for beast in &mut self.beasts {
            let _ = beast.child.kill();
            let _ = beast.child.wait();
        }
    }
}

/// A worker of this age is at work, on a slow machine too.
const BEGINNING: Duration = Duration::from_secs(1);

/// Open files and threads of a process; none where the system does not say.
pub(crate) fn holds(pid: u32) -> Option<(u64, u64)> {
    let count = |what: &str| Some(std::fs::read_dir(format!("/proc/{pid}/{what}")).ok()?.count() as u64);
    Some((count("fd")?, count("task")?))
}
