//! The other process: a worker in a child of this program, for figures that need a process of their own.
//!
//! The child answers one line of JSON for each line it reads, and stops when its input ends.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use qdjobs::store::sqlite::Durability;
use qdjobs::{JobQueue, TaskDef};
use serde_json::{Value, json};

use crate::bare::Bare;
use crate::pool::{NOOP, SLEEP, STAMP, Stamps, Tally, Threads, sleeping_worker, stamp_worker, worker};
use crate::workspace::{Db, Workspace, connect};
use crate::{Result, args, measure};

/// The first argument of a child.
const FLAG: &str = "--child";

/// Which engine's worker the child runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Ours,
    Bare,
}

/// How a child is started.
#[derive(Debug)]
pub(crate) struct ChildArgs {
    engine: Engine,
    task: String,
    slots: usize,
    durability: Durability,
    path: String,
}

/// The child's arguments, if this process is a child.
pub(crate) fn child_args() -> Option<ChildArgs> {
    let mut words = std::env::args().skip(1);
    if words.next()? != FLAG {
        return None;
    }
    Some(ChildArgs {
        engine: if words.next()? == "bare" { Engine::Bare } else { Engine::Ours },
        task: words.next()?,
        slots: words.next()?.parse().ok()?,
        durability: args::durability(&words.next()?)?,
        path: words.next()?,
    })
}

/// Runs the child.
pub(crate) fn run(child_args: &ChildArgs) -> Result<()> {
    let tally = Arc::new(Tally::default());
    if child_args.engine == Engine::Bare {
        let conn = connect(Path::new(&child_args.path), child_args.durability)?;
        let begun = measure::now();
        let engine = Bare::start(conn, NOOP.name, child_args.slots, &tally, |_| ())?;
        answer_requests(begun, &tally, &Stamps::default(), &Threads::default())?;
        return engine.stop();
    }
    let queue = JobQueue::options().durability(child_args.durability).open(&child_args.path)?;
    let (stamps, threads) = (Arc::new(Stamps::default()), Arc::new(Threads::default()));
    let worker = match child_args.task.as_str() {
        task if task == NOOP.name => worker(&queue, child_args.slots, &tally),
        task if task == STAMP.name => stamp_worker(&queue, child_args.slots, &tally, &stamps),
        task if task == SLEEP.name => sleeping_worker(&queue, child_args.slots, &tally, &threads),
        task => return Err(format!("there is no task `{task}`").into()),
    };
    let begun = measure::now();
    let worker = worker.start()?;
    answer_requests(begun, &tally, &stamps, &threads)?;
    Ok(worker.stop()?)
}

/// Answers the parent until its input ends.
fn answer_requests(begun: Duration, tally: &Tally, stamps: &Stamps, threads: &Threads) -> Result<()> {
    println!("\"ready\"");
    for line in std::io::stdin().lines() {
        let line = line?;
        let (command, number) = line.split_once(' ').unwrap_or((&line, "0"));
        let number: u64 = number.parse()?;
        let answer = match command {
            "process_stats" => process_stats(threads.count()),
            "wait" => {
                tally.wait(number)?;
                json!((measure::now() - begun).as_nanos() as u64)
            }
            "stamps" => {
                json!(stamps.take(number as usize)?.iter().map(Duration::as_nanos).collect::<Vec<_>>())
            }
            _ => return Err(format!("unknown command `{line}`").into()),
        };
        println!("{answer}");
    }
    Ok(())
}

/// What the operating system reports about this process. Systems other than Linux report less.
fn process_stats(job_threads: usize) -> Value {
    let number = |text: &str, field: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(field))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let wakes = tasks.filter_map(|task| {
        number(&std::fs::read_to_string(task.path().join("status")).ok()?, "voluntary_ctxt_switches")
    });
    json!({
        "cpu": measure::cpu().as_secs_f64(),
        "wakes": wakes.reduce(|sum, wakes| sum + wakes),
        "rss": number(&status, "VmRSS"),
        "peak": number(&status, "VmHWM"),
        "threads": number(&status, "Threads"),
        "job_threads": job_threads,
    })
}

/// A child, as its parent holds it.
pub(crate) struct Child {
    process: Process,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts a process with a worker on `db`; returns when the worker has started.
    pub(crate) fn start(
        workspace: &Workspace,
        engine: Engine,
        db: &Db,
        task: &TaskDef,
        slots: usize,
    ) -> Result<Child> {
        let engine = if engine == Engine::Bare { "bare" } else { "ours" };
        let mut process = Command::new(std::env::current_exe()?)
            .args([FLAG, engine, task.name, &slots.to_string(), args::word(workspace.durability)])
            .arg(db.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().ok_or("the child has no output")?);
        let mut child = Child { process, input, output };
        child.read()?;
        Ok(child)
    }

    /// Asks the child and waits for its answer.
    pub(crate) fn ask(&mut self, line: &str) -> Result<Value> {
        let input = self.input.as_mut().ok_or("the child's input is closed")?;
        writeln!(input, "{line}")?;
        self.read()
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(serde_json::from_str(&line).map_err(|_| "the child has ended before it answered")?)
    }

    /// Closes its input, so that it stops its worker and ends.
    pub(crate) fn end(mut self) -> Result<()> {
        self.input = None;
        let status = self.process.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the child ended with {status}").into()) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Only after an error: its answers are no longer read, and its database is about to be
        // deleted.
        if self.input.is_some() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}
