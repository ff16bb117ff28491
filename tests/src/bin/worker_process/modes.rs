//! The modes of the program.
//!
//! Depends on `tasks` for what is enqueued and on `shared` to report what happened.

use std::fs::OpenOptions;
use std::sync::mpsc;
use std::time::Duration;

use qdjobs::rusqlite::ErrorCode;
use qdjobs::{JobQueue, Worker};

use crate::Fallible;
use crate::shared::{Shared, micros, pause};
use crate::tasks::{Effect, Noop, Slow};

pub(crate) fn work(db: &str, options: &[&str], input: &mpsc::Receiver<String>) -> Fallible {
    let mut shared = Shared::of(db);
    let max_crashes = options.chunks(2).find(|option| option[0] == "--max-crashes");
    let max_crashes = max_crashes.map_or(Ok(qdjobs::Job::CRASHES_MAX), |option| option[1].parse())?;
    let queue = JobQueue::options().max_crashes(max_crashes).open(db)?;
    let mut worker = Worker::new(&queue);
    let mut until = "signal";
    let mut beside = None;
    for option in options.chunks(2) {
        worker = match *option {
            ["--log", path] => {
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                shared.log = Some(file.into());
                worker
            }
            ["--concurrency", jobs] => worker.concurrency(jobs.parse()?),
            ["--async-concurrency", jobs] => worker.async_concurrency(jobs.parse()?),
            ["--lease", ms] => worker.lease(Duration::from_millis(ms.parse()?)),
            ["--shutdown-timeout", ms] => worker.shutdown_timeout(Duration::from_millis(ms.parse()?)),
            ["--tasks", names] => worker.task_names(names.split(',')),
            ["--beside", names] => {
                beside = Some(Worker::new(&queue).task_names(names.split(',')));
                worker
            }
            // An option of the queue, which is open already.
            ["--max-crashes", _] => worker,
            ["--until", what] => {
                until = what;
                worker
            }
            _ => return Err(format!("unknown option: {option:?}").into()),
        };
    }
    let reporter = shared.clone();
    let worker = worker.state(shared.clone()).on_event(move |event| reporter.report_event(event));
    // A second worker of this process. It stops when it is dropped.
    let _beside = beside.map(|worker| worker.state(shared.clone()).start()).transpose()?;
    match until {
        "signal" => worker.run()?,
        _ => {
            let worker = worker.start()?;
            // The sender lives as long as the process: `read_input` exits when the input ends.
            let _ = input.recv();
            worker.stop()?;
        }
    }
    shared.report(format_args!("done"));
    Ok(())
}

/// Reports each id only after `enqueue` has answered: what was reported must never be lost.
pub(crate) fn enqueue(db: &str, task: &str, n: u64, gap: Duration) -> Fallible {
    let shared = Shared::of(db);
    let queue = JobQueue::open(db)?;
    shared.report(format_args!("up"));
    for i in 0..n {
        let before = micros();
        let id = match task {
            "noop" => Noop::new(i).enqueue(&queue).map(|job| job.id()),
            "slow" => Slow::new(20 + i % 5 * 10).enqueue(&queue).map(|job| job.id()),
            "effect" => Effect::new(i % 4 * 500).enqueue(&queue).map(|job| job.id()),
            _ => return Err("unknown task to enqueue".into()),
        };
        match id {
            Ok(id) => shared.report(format_args!("acked {id} {before}")),
            Err(error) => {
                shared.report(format_args!("refused {:?} {error}", error.kind()));
                return Err(error.into());
            }
        }
        pause(gap);
    }
    shared.report(format_args!("done"));
    Ok(())
}

/// Single INSERTs, each of which waits for its lock as long as SQLite does by default.
pub(crate) fn insert(db: &str, task: &str, n: u64, gap: Duration) -> Fallible {
    let shared = Shared::of(db);
    let conn = shared.connect()?;
    shared.report(format_args!("up"));
    for i in 0..n {
        let before = micros();
        conn.execute(
            "INSERT INTO qdjobs_jobs (task_name, params) VALUES (?1, ?2)",
            (task, format!("{{\"n\": {i}}}")),
        )?;
        shared.report(format_args!("acked {} {before}", conn.last_insert_rowid()));
        // An interval that matches no polling interval.
        pause(gap + Duration::from_millis(i * 7 % 25));
    }
    shared.report(format_args!("done"));
    Ok(())
}

/// An application that writes its own table in the same file, in the way that SQLite advises against: it
/// reads first and then writes, in a transaction that takes its lock at the last moment and then keeps it for
/// a while.
pub(crate) fn write_rows(db: &str, n: u64, held: Duration) -> Fallible {
    let shared = Shared::of(db);
    let mut conn = shared.connect()?;
    shared.report(format_args!("up"));
    let mut lost_races = 0;
    let mut written = 0;
    while written < n {
        let tx = conn.transaction()?;
        let before: i64 = tx.query_row("SELECT count(*) FROM effects WHERE job < 0", [], |row| row.get(0))?;
        let pid = std::process::id();
        match tx.execute("INSERT INTO effects (job, attempt, pid) VALUES (-1, ?1, ?2)", (before, pid)) {
            Ok(_) => {
                pause(held);
                tx.commit()?;
                written += 1;
            }
            // Another connection wrote between its read and its write. SQLite cannot wait for a lock then:
            // begin again.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => lost_races += 1,
            Err(error) => return Err(error.into()),
        }
        // Most of the time the lock is free.
        pause(3 * held);
    }
    shared.report(format_args!("done {written} {lost_races}"));
    Ok(())
}

/// Waits for a line of input, then does everything that a process does first with a new file.
pub(crate) fn open(db: &str, n: u64, input: &mpsc::Receiver<String>) -> Fallible {
    let shared = Shared::of(db);
    shared.report(format_args!("up"));
    let _ = input.recv();
    let before = micros();
    let queue = JobQueue::open(db)?;
    shared.report(format_args!("opened {before}"));
    for i in 0..n {
        let id = Noop::new(i).enqueue(&queue)?.id();
        shared.report(format_args!("acked {id} 0"));
    }
    let reporter = shared.clone();
    let worker = Worker::new(&queue)
        .state(shared.clone())
        .on_event(move |event| reporter.report_event(event))
        .start()?;
    worker.stop()?;
    shared.report(format_args!("done"));
    Ok(())
}

/// Restores a backup, once it is told to.
pub(crate) fn restore(backup: &str, db: &str, input: &mpsc::Receiver<String>) -> Fallible {
    let shared = Shared::of(db);
    shared.report(format_args!("up"));
    let _ = input.recv();
    let restored = qdjobs::store::sqlite::restore(backup, db)?;
    shared.report(format_args!("restored {}", restored.jobs));
    Ok(())
}

/// A supervisor's loop around `Worker::run`, which then waits as before a next try, or as a cleanup that hangs.
pub(crate) fn runs(db: &str, kinds: &[&str]) -> Fallible {
    let shared = Shared::of(db);
    let queue = JobQueue::open(db)?;
    let run = |concurrency: usize| {
        let reporter = shared.clone();
        let worker = Worker::new(&queue).state(shared.clone()).concurrency(concurrency);
        let worker = worker.shutdown_timeout(Duration::from_secs(600));
        match worker.on_event(move |event| reporter.report_event(event)).run() {
            Ok(()) => shared.report(format_args!("returned")),
            Err(error) => shared.report(format_args!("refused run {:?} {error}", error.kind())),
        }
    };
    for kind in kinds {
        match *kind {
            // No worker can have this concurrency.
            "fail" => run(0),
            "run" => run(1),
            "both" => std::thread::scope(|scope| {
                scope.spawn(|| run(1));
                run(1);
            }),
            _ => return Err(format!("unknown kind of run: {kind}").into()),
        }
    }
    shared.report(format_args!("waits"));
    loop {
        std::thread::park();
    }
}

/// Opens the file and enqueues one job, and reports the error if it may not.
pub(crate) fn try_enqueue(db: &str) -> Fallible {
    let shared = Shared::of(db);
    let refused = |step: &str, error: qdjobs::Error| {
        shared.report(format_args!("refused {step} {:?} {error}", error.kind()));
    };
    match JobQueue::open(db) {
        Err(error) => refused("open", error),
        Ok(queue) => {
            shared.report(format_args!("opened 0"));
            match Noop::new(1).enqueue(&queue) {
                Err(error) => refused("enqueue", error),
                Ok(job) => shared.report(format_args!("acked {} 0", job.id())),
            }
        }
    }
    shared.report(format_args!("done"));
    Ok(())
}
