//! A program to be killed: the process tests start it, stop it in every way there is, and check what it
//! leaves behind.
//!
//! ```text
//! worker_process work       <db> [--log file] [--concurrency n] [--async-concurrency n] [--lease ms]
//!                           [--shutdown-timeout ms] [--tasks a,b] [--until signal|stop] [--max-crashes n]
//!                           [--beside c,d]               a second worker, of these tasks
//! worker_process enqueue    <db> <task> <n> [gap ms]     through qdjobs, one by one
//! worker_process insert     <db> <task> <n> [gap ms]     by a plain connection, without qdjobs
//! worker_process write-rows <db> <n> [held ms]           rows of its own, by a plain connection that reads
//! before it writes
//! worker_process open       <db> <n>                     on a line of input: opens the file, enqueues, runs
//! a worker
//! worker_process restore    <backup> <db>                on a line of input: puts the backup into the place of
//! the database
//! worker_process try        <db>                         opens the file and enqueues one job, or reports the
//! error
//! worker_process runs       <db> [fail|run|both]…        `Worker::run` several times: with a start that fails,
//! once, twice at the same time. Then it waits
//! ```
//!
//! It prints one line for each thing that happened, after it happened: `<microseconds since 1970> <pid>
//! <what> <words…>`, on its standard output and, with `--log`, at the end of that file. It ends when its
//! standard input ends, so that none is left behind when a test dies.
//!
//! Depends on the public interface of `qdjobs`.
#![expect(clippy::disallowed_methods, reason = "the process runs in real time")]

mod faulty_tasks;
mod modes;
mod shared;
mod tasks;

use std::io::BufRead;
use std::sync::mpsc;
use std::time::Duration;

type AnyError = Box<dyn std::error::Error + Send + Sync>;
type Fallible<T = ()> = Result<T, AnyError>;

fn main() -> Fallible {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let input = read_input();
    match words.as_slice() {
        ["work", db, options @ ..] => modes::work(db, options, &input),
        ["enqueue", db, task, n, rest @ ..] => modes::enqueue(db, task, n.parse()?, milliseconds(rest)?),
        ["insert", db, task, n, rest @ ..] => modes::insert(db, task, n.parse()?, milliseconds(rest)?),
        ["write-rows", db, n, rest @ ..] => modes::write_rows(db, n.parse()?, milliseconds(rest)?),
        ["open", db, n] => modes::open(db, n.parse()?, &input),
        ["restore", backup, db] => modes::restore(backup, db, &input),
        ["runs", db, kinds @ ..] => modes::runs(db, kinds),
        ["try", db] => modes::try_enqueue(db),
        _ => Err("unknown arguments: see the header of worker_process/main.rs".into()),
    }
}

/// The lines of the standard input. At its end the process exits.
fn read_input() -> mpsc::Receiver<String> {
    let (report_event, input) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            // A mode without input has dropped the receiver.
            let _ = report_event.send(line);
        }
        std::process::exit(70);
    });
    input
}

fn milliseconds(rest: &[&str]) -> Fallible<Duration> {
    Ok(Duration::from_millis(rest.first().map_or(Ok(0), |ms| ms.parse())?))
}
