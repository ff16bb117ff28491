//! A program to be killed: the process tests start it, stop it in every way there is, and look at what it leaves behind.
//!
//! ```text
//! worker_process work     <db> [--ledger f] [--concurrency n] [--async-concurrency n] [--lease ms] [--grace ms] [--tasks a,b]
//!                      [--until signal|stop] [--max-crashes n]
//! worker_process enqueue  <db> <task> <n> [gap ms]     through qdjobs, one by one
//! worker_process insert   <db> <task> <n> [gap ms]     by a plain connection that knows nothing of qdjobs
//! worker_process scribble <db> <n> [held ms]           rows of its own, by a plain connection that reads before it writes
//! worker_process open     <db> <n>                     opens the file when told to, enqueues, runs a worker for a moment
//! worker_process try      <db>                         opens the file and enqueues one job, or says why it may not
//! ```
//!
//! It says one line for each thing that happened, after it happened: `<microseconds since 1970> <pid> <what> <words…>`,
//! on its standard output and, with `--ledger`, at the end of that file. It ends when its standard input does, so that
//! none is left behind when a test dies.
#![expect(clippy::disallowed_methods, reason = "it lives in real time")]

mod harm;
mod modes;
mod scene;
mod tasks;

use std::io::BufRead;
use std::sync::mpsc;
use std::time::Duration;

type Fallible<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Fallible {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let told = listen();
    match words.as_slice() {
        ["work", db, options @ ..] => modes::work(db, options, &told),
        ["enqueue", db, task, n, rest @ ..] => modes::enqueue(db, task, n.parse()?, milliseconds(rest)?),
        ["insert", db, task, n, rest @ ..] => modes::insert(db, task, n.parse()?, milliseconds(rest)?),
        ["scribble", db, n, rest @ ..] => modes::scribble(db, n.parse()?, milliseconds(rest)?),
        ["open", db, n] => modes::open(db, n.parse()?, &told),
        ["try", db] => modes::attempt(db),
        _ => Err("see the first lines of the victim's main.rs".into()),
    }
}

/// The lines of the standard input. At its end the process ends.
fn listen() -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            // A mode that takes no orders has dropped its end.
            let _ = tell.send(line);
        }
        std::process::exit(70);
    });
    told
}

fn milliseconds(rest: &[&str]) -> Fallible<Duration> {
    Ok(Duration::from_millis(rest.first().map_or(Ok(0), |ms| ms.parse())?))
}
