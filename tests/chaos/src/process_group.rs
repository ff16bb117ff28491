//! The [`ProcessGroup`]: the processes under test, as the parent controls them.
//!
//! Depends on `run_dir` and `history`. Every signal is recorded before it is sent, every end after it was
//! seen.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use qdjobs::rusqlite::Connection;

use crate::Result;
use crate::child::ChildConfig;
use crate::history::{Fact, History, Line, Role, Signal};
use crate::run_dir::RunDir;

/// One process.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) process: u32,
    pub(crate) role: Role,
    child: Child,
    pub(crate) stopped: bool,
    /// When it was started.
    pub(crate) started: Instant,
}

impl Member {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop in good order, by one byte on its standard input.
    pub(crate) fn request_stop(&mut self) {
        if let Some(stdin) = &mut self.child.stdin {
            // It may have ended already.
            let _ = stdin.write_all(b".");
        }
    }
}

/// All processes, and the parent's own connection to the database.
#[derive(Debug)]
pub(crate) struct ProcessGroup<'a> {
    pub(crate) run_dir: &'a RunDir,
    pub(crate) history: History,
    pub(crate) conn: Connection,
    pub(crate) members: Vec<Member>,
    next_process: u32,
    /// Dead workers whose rows are not free yet.
    unreleased: Vec<Unreleased>,
}

/// A dead process whose workers are still registered.
#[derive(Debug)]
struct Unreleased {
    process: u32,
    pid: u32,
    gone: Instant,
    /// Whether since then another worker has always been up, and no process was stopped.
    clean: bool,
}

impl<'a> ProcessGroup<'a> {
    /// Continues the numbers of the processes of earlier sessions.
    pub(crate) fn new(run_dir: &'a RunDir, history: History, past: &[Line]) -> Result<ProcessGroup<'a>> {
        let used = past.iter().filter_map(|line| match line.fact {
            Fact::Spawned { process, .. } => Some(process),
            _ => None,
        });
        let next_process = used.max().unwrap_or(0) + 1;
        Ok(ProcessGroup {
            run_dir,
            history,
            conn: run_dir.connect()?,
            members: Vec::new(),
            next_process,
            unreleased: Vec::new(),
        })
    }

    /// Starts a process; `config.process` is set here.
    pub(crate) fn spawn(&mut self, config: &ChildConfig) -> Result<u32> {
        let process = self.next_process;
        self.next_process += 1;
        let config = ChildConfig { process, ..config.clone() };
        let stderr_log = OpenOptions::new().create(true).append(true).open(self.run_dir.stderr_log())?;
        let child = Command::new(crate::child::program()?)
            .args(["child", &serde_json::to_string(&config)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr_log)
            .spawn()?;
        let role = config.role;
        let fact = Fact::Spawned { process, pid: child.id(), role, lease_ms: config.lease_ms };
        self.history.append(fact);
        self.members.push(Member { process, role, child, stopped: false, started: Instant::now() });
        Ok(process)
    }

    pub(crate) fn find(&self, process: u32) -> Option<&Member> {
        self.members.iter().find(|member| member.process == process)
    }

    /// Sends a signal; does nothing if the process has ended meanwhile.
    pub(crate) fn signal(&mut self, process: u32, signal: Signal) {
        let Some(member) = self.members.iter_mut().find(|member| member.process == process) else { return };
        self.history.append(Fact::Signalled { process, signal });
        let number = match signal {
            Signal::Kill => rustix::process::Signal::KILL,
            Signal::Stop => rustix::process::Signal::STOP,
            Signal::Cont => rustix::process::Signal::CONT,
            Signal::Term => rustix::process::Signal::TERM,
        };
        // Not reaped yet, so the pid is still its own.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&member.child), number);
        match signal {
            Signal::Stop => member.stopped = true,
            Signal::Cont => member.stopped = false,
            Signal::Kill | Signal::Term => {}
        }
    }

    /// Reaps and returns the processes that have ended.
    pub(crate) fn reap(&mut self) -> Result<Vec<Member>> {
        let mut dead = Vec::new();
        let mut index = 0;
        while index < self.members.len() {
            match self.members[index].child.try_wait()? {
                Some(status) => {
                    let member = self.members.remove(index);
                    self.record_end(&member, status)?;
                    dead.push(member);
                }
                None => index += 1,
            }
        }
        Ok(dead)
    }

    /// Waits until the process has ended, at most `patience`; returns whether it has.
    pub(crate) fn wait_for_end(&mut self, process: u32, patience: Duration) -> Result<bool> {
        let until = Instant::now() + patience;
        while self.find(process).is_some() && Instant::now() < until {
            self.reap()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(self.find(process).is_none())
    }

    fn record_end(&mut self, member: &Member, status: ExitStatus) -> Result<()> {
        let gone = Instant::now();
        let count = |sql: &str| -> Result<i64> {
            Ok(self.conn.prepare_cached(sql)?.query_row([member.pid()], |row| row.get(0))?)
        };
        let listed = count("SELECT count(*) FROM qdjobs_workers WHERE pid = ?1")?;
        let running = count(
            "SELECT count(*) FROM qdjobs_jobs WHERE status = 'running' AND worker_id IN
                 (SELECT worker_id FROM chaos_log WHERE what = 'register_worker' AND attempt = ?1)",
        )?;
        let seq = self.conn.query_row("SELECT coalesce(max(seq), 0) FROM chaos_log", [], |row| row.get(0))?;
        self.history.append(Fact::Reaped {
            process: member.process,
            code: status.code(),
            signal: std::os::unix::process::ExitStatusExt::signal(&status),
            seq,
            running,
            listed,
        });
        if member.role == Role::Worker && listed > 0 {
            let (process, pid) = (member.process, member.pid());
            self.unreleased.push(Unreleased { process, pid, gone, clean: self.is_quiet(gone) });
        }
        Ok(())
    }

    /// Records the dead workers whose rows have become free; call it every few milliseconds.
    pub(crate) fn watch_rescues(&mut self) -> Result<()> {
        let quiet = self.is_quiet(Instant::now());
        let mut waiting = std::mem::take(&mut self.unreleased);
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
                self.history.append(Fact::Freed { process: it.process, micros, clean: it.clean });
            }
        }
        self.unreleased = still;
        Ok(())
    }

    /// Whether no dead worker is still registered.
    pub(crate) fn all_rescued(&self) -> bool {
        self.unreleased.is_empty()
    }

    /// Whether a worker is up that has had the time to begin, and no process is stopped.
    fn is_quiet(&self, now: Instant) -> bool {
        let begun =
            |member: &Member| member.role == Role::Worker && now.duration_since(member.started) > BEGINNING;
        self.members.iter().any(begun) && self.members.iter().all(|member| !member.stopped)
    }

    /// Records what each process holds.
    pub(crate) fn sample(&self) {
        for member in self.members.iter().filter(|member| member.role == Role::Worker && !member.stopped) {
            if let Some((fds, threads)) = holds(member.pid()) {
                self.history.append(Fact::Sample { process: member.process, fds, threads });
            }
        }
    }
}

impl Drop for ProcessGroup<'_> {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

/// A worker of this age has begun its work, on a slow machine too.
const BEGINNING: Duration = Duration::from_secs(1);

/// Open files and threads of a process; `None` where the system does not report them.
pub(crate) fn holds(pid: u32) -> Option<(u64, u64)> {
    let count = |what: &str| Some(std::fs::read_dir(format!("/proc/{pid}/{what}")).ok()?.count() as u64);
    Some((count("fd")?, count("task")?))
}
