//! A [`WorkerProcess`]: a process, what it has reported so far, and the ways to end it.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::workspace::Workspace;

/// Long enough for a busy machine; reached only when something is wrong.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A line that a process reported.
#[derive(Clone, Debug)]
pub(crate) struct LogLine {
    /// By its wall clock, in microseconds.
    pub(crate) micros: i64,
    pub(crate) pid: u32,
    pub(crate) what: String,
    pub(crate) words: Vec<String>,
}

impl LogLine {
    pub(crate) fn parse(line: &str) -> LogLine {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap_or_else(|| panic!("a truncated line: {line:?}"));
        let micros = next().parse().unwrap_or_else(|_| panic!("a truncated line: {line:?}"));
        let pid = next().parse().unwrap_or_else(|_| panic!("a truncated line: {line:?}"));
        let what = next().to_owned();
        LogLine { micros, pid, what, words: words.map(str::to_owned).collect() }
    }

    /// The number at index `place` of the words.
    pub(crate) fn number(&self, place: usize) -> i64 {
        self.words[place].parse().unwrap_or_else(|_| panic!("{self:?} has no number at {place}"))
    }

    pub(crate) fn is(&self, what: &str) -> bool {
        self.what == what
    }

    pub(crate) fn is_start_of(&self, job: i64, attempt: i64) -> bool {
        self.is("start") && self.number(0) == job && self.number(1) == attempt
    }
}

/// A child process, killed when it is dropped.
pub(crate) struct WorkerProcess {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Everything it reported that was read so far.
    pub(crate) log: Vec<LogLine>,
    errors: PathBuf,
}

impl WorkerProcess {
    pub(crate) fn start<'a>(workspace: &Workspace, args: impl IntoIterator<Item = &'a str>) -> WorkerProcess {
        WorkerProcess::spawn(Command::new(env!("CARGO_BIN_EXE_worker_process")).args(args), workspace)
    }

    /// A worker on the workspace's file, already started.
    pub(crate) fn worker<'a>(
        workspace: &Workspace,
        options: impl IntoIterator<Item = &'a str>,
    ) -> WorkerProcess {
        let mut worker = WorkerProcess::worker_soon(workspace, options);
        worker.wait("its worker to start", |line| line.is("started"));
        worker
    }

    /// As [`WorkerProcess::worker`], without waiting for the start.
    pub(crate) fn worker_soon<'a>(
        workspace: &Workspace,
        options: impl IntoIterator<Item = &'a str>,
    ) -> WorkerProcess {
        WorkerProcess::worker_by(&mut Command::new(env!("CARGO_BIN_EXE_worker_process")), workspace, options)
    }

    /// As [`WorkerProcess::worker_soon`], by a command that ends with the name of the program.
    pub(crate) fn worker_by<'a>(
        command: &mut Command,
        workspace: &Workspace,
        options: impl IntoIterator<Item = &'a str>,
    ) -> WorkerProcess {
        command.args(["work", workspace.db(), "--log", &workspace.log_file()]).args(options);
        WorkerProcess::spawn(command, workspace)
    }

    pub(crate) fn spawn(command: &mut Command, workspace: &Workspace) -> WorkerProcess {
        let errors = workspace.fresh_file("stderr");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        let (say, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // The send fails once the test has ended.
                let _ = say.send(line);
            }
        });
        let stdin = child.stdin.take();
        WorkerProcess { child, stdin, lines, log: Vec::new(), errors }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The number of its worker.
    pub(crate) fn number(&mut self) -> i64 {
        self.wait("its worker to start", |line| line.is("started")).number(0)
    }

    /// Waits until it has reported such a line, now or before.
    pub(crate) fn wait(&mut self, for_what: &str, wanted: impl Fn(&LogLine) -> bool) -> LogLine {
        self.wait_nth(1, for_what, wanted)
    }

    /// Waits until it has reported `n` such lines; returns the last of them.
    pub(crate) fn wait_nth(
        &mut self,
        n: usize,
        for_what: &str,
        wanted: impl Fn(&LogLine) -> bool,
    ) -> LogLine {
        let until = Instant::now() + DEADLINE;
        let mut found = 0;
        let mut next = 0;
        loop {
            while let Some(line) = self.log.get(next) {
                next += 1;
                if wanted(line) {
                    found += 1;
                    if found == n {
                        return line.clone();
                    }
                }
            }
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.log.push(LogLine::parse(&line)),
                Err(_) => panic!(
                    "process {} was awaited too long: {for_what} (found {found} of {n}). It reported {:#?} and {}",
                    self.pid(),
                    self.log
                        .iter()
                        .map(|it| format!("{} {}", it.what, it.words.join(" ")))
                        .collect::<Vec<_>>(),
                    std::fs::read_to_string(&self.errors).unwrap_or_default(),
                ),
            }
        }
    }

    /// Everything it has reported so far.
    pub(crate) fn log(&mut self) -> &[LogLine] {
        self.log.extend(self.lines.try_iter().map(|line| LogLine::parse(&line)));
        &self.log
    }

    /// Everything it has ever reported, once it has ended.
    pub(crate) fn into_lines(mut self) -> Vec<LogLine> {
        self.kill();
        let rest = std::iter::from_fn(|| self.lines.recv().ok());
        let rest: Vec<LogLine> = rest.map(|line| LogLine::parse(&line)).collect();
        self.log.extend(rest);
        std::mem::take(&mut self.log)
    }

    /// Writes a line to its standard input.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// kill -9, and waits until it is gone: from then on nothing of it can reach the database.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "process {} does not end", self.pid());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for its end, which must be a success.
    pub(crate) fn wait_success(&mut self) {
        let status = self.wait_exit();
        let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
        assert!(status.success(), "process {} ended with {status}: {errors}", self.pid());
    }

    /// Asks it to stop, where the system has signals; otherwise kills it.
    pub(crate) fn end(&mut self) {
        #[cfg(unix)]
        {
            self.signal(rustix::process::Signal::TERM);
            self.wait_success();
        }
        #[cfg(not(unix))]
        self.kill();
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether this process ignores a signal, and so do its children until they handle it: a shell that runs the tests
/// in the background ignores SIGINT. `false` where the system does not report it.
#[cfg(unix)]
pub(crate) fn is_ignored(signal: rustix::process::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal.as_raw() - 1) & 1 == 1
}
