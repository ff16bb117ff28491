//! What a victim can be told to do.
//!
//! Leans on `tasks` for what is enqueued and on `scene` to say what happened.

use std::fs::OpenOptions;
use std::sync::mpsc;
use std::time::Duration;

use qdjobs::rusqlite::ErrorCode;
use qdjobs::{JobQueue, Worker};

use crate::Fallible;
use crate::scene::{Scene, micros, pause};
use crate::tasks::{Effect, Noop, Slow};

pub(crate) fn work(db: &str, options: &[&str], told: &mpsc::Receiver<String>) -> Fallible {
    let mut scene = Scene::of(db);
    let max_crashes = options.chunks(2).find(|option| option[0] == "--max-crashes");
    let max_crashes = max_crashes.map_or(Ok(qdjobs::Job::CRASHES_MAX), |option| option[1].parse())?;
    let queue = JobQueue::options().max_crashes(max_crashes).open(db)?;
    let mut worker = Worker::new(&queue);
    let mut until = "signal";
    for option in options.chunks(2) {
        worker = match *option {
            ["--ledger", path] => {
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                scene.ledger = Some(file.into());
                worker
            }
            ["--concurrency", jobs] => worker.concurrency(jobs.parse()?),
            ["--async-concurrency", jobs] => worker.async_concurrency(jobs.parse()?),
            ["--lease", ms] => worker.lease(Duration::from_millis(ms.parse()?)),
            ["--grace", ms] => worker.shutdown_timeout(Duration::from_millis(ms.parse()?)),
            ["--tasks", names] => worker.task_names(names.split(',')),
            // Of the queue, which is open.
            ["--max-crashes", _] => worker,
            ["--until", what] => {
                until = what;
                worker
            }
            _ => return Err(format!("what is {option:?}?").into()),
        };
    }
    let says = scene.clone();
    let worker = worker.state(scene.clone()).on_event(move |event| says.tell(event));
    match until {
        "signal" => worker.run()?,
        _ => {
            let worker = worker.start()?;
            // The other end never closes while we live: `listen` would have ended the process.
            let _ = told.recv();
            worker.stop()?;
        }
    }
    scene.say(format_args!("bye"));
    Ok(())
}

/// Says each id only after `enqueue` has answered: what was said must never be lost.
pub(crate) fn enqueue(db: &str, task: &str, n: u64, gap: Duration) -> Fallible {
    let scene = Scene::of(db);
    let queue = JobQueue::open(db)?;
    scene.say(format_args!("up"));
    for i in 0..n {
        let before = micros();
        let id = match task {
            "noop" => Noop::new(i).enqueue(&queue).map(|job| job.id()),
            "slow" => Slow::new(20 + i % 5 * 10).enqueue(&queue).map(|job| job.id()),
            "effect" => Effect::new(i % 4 * 500).enqueue(&queue).map(|job| job.id()),
            _ => return Err("no such job to enqueue".into()),
        };
        match id {
            Ok(id) => scene.say(format_args!("acked {id} {before}")),
            Err(error) => {
                scene.say(format_args!("refused {:?} {error}", error.kind()));
                return Err(error.into());
            }
        }
        pause(gap);
    }
    scene.say(format_args!("bye"));
    Ok(())
}

/// Single INSERTs, each of which waits for its lock as long as SQLite does by itself.
pub(crate) fn insert(db: &str, task: &str, n: u64, gap: Duration) -> Fallible {
    let scene = Scene::of(db);
    let conn = scene.connect()?;
    scene.say(format_args!("up"));
    for i in 0..n {
        let before = micros();
        conn.execute(
            "INSERT INTO qdjobs_jobs (task_name, params) VALUES (?1, ?2)",
            (task, format!("{{\"n\": {i}}}")),
        )?;
        scene.say(format_args!("acked {} {before}", conn.last_insert_rowid()));
        // Not in step with whoever looks at regular intervals.
        pause(gap + Duration::from_millis(i * 7 % 25));
    }
    scene.say(format_args!("bye"));
    Ok(())
}

/// An application that writes a table of its own into the same file, in the way that SQLite advises against: it reads, thinks
/// and then writes, in a transaction that takes its lock at the last moment and then keeps it for a while.
pub(crate) fn scribble(db: &str, n: u64, held: Duration) -> Fallible {
    let scene = Scene::of(db);
    let mut conn = scene.connect()?;
    scene.say(format_args!("up"));
    let mut overtaken = 0;
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
            // Somebody wrote between its look and its write. No lock can be waited for then: it begins anew.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => overtaken += 1,
            Err(error) => return Err(error.into()),
        }
        // It is no hog: most of the time the lock is free of it.
        pause(3 * held);
    }
    scene.say(format_args!("bye {written} {overtaken}"));
    Ok(())
}

/// Waits for the word, then does everything that a process does first with a new file.
pub(crate) fn open(db: &str, n: u64, told: &mpsc::Receiver<String>) -> Fallible {
    let scene = Scene::of(db);
    scene.say(format_args!("up"));
    let _ = told.recv();
    let before = micros();
    let queue = JobQueue::open(db)?;
    scene.say(format_args!("opened {before}"));
    for i in 0..n {
        let id = Noop::new(i).enqueue(&queue)?.id();
        scene.say(format_args!("acked {id} 0"));
    }
    let says = scene.clone();
    let worker = Worker::new(&queue).state(scene.clone()).on_event(move |event| says.tell(event)).start()?;
    worker.stop()?;
    scene.say(format_args!("bye"));
    Ok(())
}

/// Opens the file and enqueues one job, and says what it is told if it may not.
pub(crate) fn attempt(db: &str) -> Fallible {
    let scene = Scene::of(db);
    let refused = |step: &str, error: qdjobs::Error| {
        scene.say(format_args!("refused {step} {:?} {error}", error.kind()));
    };
    match JobQueue::open(db) {
        Err(error) => refused("open", error),
        Ok(queue) => {
            scene.say(format_args!("opened 0"));
            match Noop::new(1).enqueue(&queue) {
                Err(error) => refused("enqueue", error),
                Ok(job) => scene.say(format_args!("acked {} 0", job.id())),
            }
        }
    }
    scene.say(format_args!("bye"));
    Ok(())
}
