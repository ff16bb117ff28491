//! A program to be killed: the process tests start it, stop it in every way there is, and look at what it leaves behind.
//!
//! ```text
//! victim work    <db> [--ledger f] [--concurrency n] [--lease ms] [--grace ms] [--tasks a,b] [--until signal|stop]
//!                     [--max-crashes n]
//! victim enqueue <db> <task> <n> [gap ms]     through qdjobs, one by one
//! victim insert  <db> <task> <n> [gap ms]     by a plain connection that knows nothing of qdjobs
//! victim open    <db>                         opens the file when told to, enqueues, runs a worker for a moment
//! ```
//!
//! It says one line for each thing that happened, after it happened: `<microseconds since 1970> <pid> <what> <words…>`,
//! on its standard output and, with `--ledger`, at the end of that file. It ends when its standard input does, so that
//! none is left behind when a test dies.
#![expect(clippy::disallowed_methods, reason = "it lives in real time")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use qdjobs::rusqlite::{Connection, TransactionBehavior};
use qdjobs::{Event, JobContext, JobQueue, Worker, task};

type Fallible<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What the tasks share: where the database is, where to say what they did.
#[derive(Clone)]
struct Scene {
    db: PathBuf,
    ledger: Option<std::sync::Arc<File>>,
}

impl Scene {
    /// One write a line, so that a kill cannot tear it and processes cannot mix theirs.
    fn say(&self, what: std::fmt::Arguments<'_>) {
        let line = format!("{} {} {what}\n", micros(), std::process::id());
        // Nobody listens any more: then it does not matter.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
        if let Some(mut ledger) = self.ledger.as_deref() {
            let _ = ledger.write_all(line.as_bytes());
        }
    }

    fn begun(&self, ctx: &JobContext) {
        self.say(format_args!("start {} {} {}", ctx.job_id(), ctx.attempt(), ctx.task_name()));
    }

    fn ended(&self, ctx: &JobContext) {
        self.say(format_args!("end {} {}", ctx.job_id(), ctx.attempt()));
    }

    fn connect(&self) -> Fallible<Connection> {
        let conn = Connection::open(&self.db)?;
        conn.busy_timeout(Duration::from_secs(10))?;
        Ok(conn)
    }

    /// Where the test opens the gate of this attempt.
    fn gate(&self, ctx: &JobContext) -> PathBuf {
        self.db.with_file_name(format!("gate-{}-{}", ctx.job_id(), ctx.attempt()))
    }
}

fn micros() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros())
}

fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn wait_for_file(path: &Path) {
    while !path.exists() {
        pause(Duration::from_millis(2));
    }
}

// -- the tasks

#[task("noop")]
fn noop(n: u64, ctx: &JobContext, #[state] scene: &Scene) {
    let _ = n;
    scene.begun(ctx);
}

/// Works for a while, and says how far it is. Takes no notice of a stop.
#[task("slow", retries = 0)]
fn slow(ms: u64, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    for step in 0..10 {
        pause(Duration::from_micros(ms * 100));
        ctx.progress_with(f64::from(step) / 10.0, "working");
    }
    scene.ended(ctx);
}

/// Looks between its steps whether it should stop, and then says that it has not finished.
#[task("patient", retries = 0)]
fn patient(ms: u64, ctx: &JobContext, #[state] scene: &Scene) -> Fallible {
    scene.begun(ctx);
    for _ in 0..ms / 5 {
        pause(Duration::from_millis(5));
        if let Some(reason) = ctx.stop_reason() {
            scene.say(format_args!("stopping {} {reason:?}", ctx.job_id()));
            return Err(format!("stopped early: {reason:?}").into());
        }
    }
    scene.ended(ctx);
    Ok(())
}

#[task("sleepy", retries = 0)]
async fn sleepy(ms: u64, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    scene.ended(ctx);
}

/// As `sleepy`, with a future that cannot leave its thread.
#[task("sleepy_local", retries = 0)]
async fn sleepy_local(ms: u64, ctx: &JobContext, #[state] scene: &Scene) {
    let here = std::rc::Rc::new(());
    scene.begun(ctx);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    scene.ended(ctx);
    drop(here);
}

#[task("hang", retries = 0)]
fn hang(ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    loop {
        std::thread::park();
    }
}

/// Does what no async task should.
#[task("hang_async", retries = 0)]
async fn hang_async(ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    loop {
        std::thread::park();
    }
}

/// Panics at its first attempts.
#[task("boom", retries = 3, backoff = fixed("500ms"))]
fn boom(times: u32, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    assert!(ctx.attempt() > times, "boom");
}

/// Takes the whole process with it at its first attempts.
#[task("abort")]
fn abort(times: u32, ctx: &JobContext, #[state] scene: &Scene) {
    scene.begun(ctx);
    if ctx.attempt() <= times {
        std::process::abort();
    }
}

/// Its row, a follow-up and its completion in one transaction, slowly enough to be killed anywhere in it.
#[task("effect", retries = 0)]
fn effect(micros: u64, ctx: &JobContext, #[state] scene: &Scene) -> Fallible {
    scene.begun(ctx);
    let mut conn = scene.connect()?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let step = || pause(Duration::from_micros(micros));
    leave_effect(&tx, ctx)?;
    step();
    Follow::new(ctx.job_id().0).enqueue(&tx)?;
    step();
    ctx.complete_in(&tx, &())?;
    step();
    tx.commit()?;
    step();
    scene.ended(ctx);
    Ok(())
}

#[task("follow", retries = 0)]
fn follow(of: i64, ctx: &JobContext, #[state] scene: &Scene) -> Fallible {
    let _ = of;
    scene.begun(ctx);
    let mut conn = scene.connect()?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    leave_effect(&tx, ctx)?;
    ctx.complete_in(&tx, &())?;
    tx.commit()?;
    Ok(())
}

fn leave_effect(conn: &Connection, ctx: &JobContext) -> Fallible {
    conn.execute(
        "INSERT INTO effects (job, attempt, pid) VALUES (?1, ?2, ?3)",
        (ctx.job_id().0, ctx.attempt(), std::process::id()),
    )?;
    Ok(())
}

/// Waits at its gate, then tells which attempt it was.
#[task("gated", retries = 0)]
fn gated(ctx: &JobContext, #[state] scene: &Scene) -> u32 {
    scene.begun(ctx);
    wait_for_file(&scene.gate(ctx));
    scene.ended(ctx);
    ctx.attempt()
}

/// Waits at its gate, then commits its row and its completion.
#[task("gated_effect", retries = 0)]
fn gated_effect(ctx: &JobContext, #[state] scene: &Scene) -> Fallible<u32> {
    scene.begun(ctx);
    wait_for_file(&scene.gate(ctx));
    let mut conn = scene.connect()?;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    leave_effect(&tx, ctx)?;
    if let Err(error) = ctx.complete_in(&tx, &ctx.attempt()) {
        scene.say(format_args!("no-commit {} {} {:?}", ctx.job_id(), ctx.attempt(), error.kind()));
        return Err(error.into());
    }
    tx.commit()?;
    scene.ended(ctx);
    Ok(ctx.attempt())
}

// -- the modes

fn main() -> Fallible {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let told = listen();
    match words.as_slice() {
        ["work", db, options @ ..] => work(db, options, &told),
        ["enqueue", db, task, n, rest @ ..] => enqueue(db, task, n.parse()?, gap(rest)?),
        ["insert", db, task, n, rest @ ..] => insert(db, task, n.parse()?, gap(rest)?),
        ["open", db] => open(db, &told),
        _ => Err("see the first lines of victim.rs".into()),
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

fn gap(rest: &[&str]) -> Fallible<Duration> {
    Ok(Duration::from_millis(rest.first().map_or(Ok(0), |ms| ms.parse())?))
}

fn scene(db: &str) -> Scene {
    Scene { db: db.into(), ledger: None }
}

fn work(db: &str, options: &[&str], told: &mpsc::Receiver<String>) -> Fallible {
    let mut scene = scene(db);
    let max_crashes = options.chunks(2).find(|option| option[0] == "--max-crashes");
    let max_crashes = max_crashes.map_or(Ok(qdjobs::CRASHES_MAX), |option| option[1].parse())?;
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
            ["--lease", ms] => worker.lease(Duration::from_millis(ms.parse()?)),
            ["--grace", ms] => worker.grace(Duration::from_millis(ms.parse()?)),
            ["--tasks", names] => worker.tasks(names.split(',')),
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
    let worker = worker.state(scene.clone()).on_event(move |event| tell(&says, event));
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

fn tell(scene: &Scene, event: &Event<'_>) {
    match event {
        Event::Started { worker, .. } => scene.say(format_args!("started {}", worker.0)),
        Event::Completed { id, .. } => scene.say(format_args!("completed {id}")),
        Event::Retrying { id, attempt, error, .. } => {
            scene.say(format_args!("retrying {id} {attempt} {error}"));
        }
        Event::Failed { id, attempt, error, .. } => scene.say(format_args!("failed {id} {attempt} {error}")),
        Event::Refused { id, attempt } => scene.say(format_args!("refused {id} {attempt}")),
        Event::Rescued { worker, jobs } => scene.say(format_args!("rescued {} {jobs}", worker.0)),
        Event::LeaseLost { worker } => scene.say(format_args!("lost {}", worker.0)),
        Event::Trouble { error } => scene.say(format_args!("trouble {error}")),
        Event::Stopped { released, .. } => scene.say(format_args!("stopped {released}")),
        _ => {}
    }
}

/// Says each id only after `enqueue` has answered: what was said must never be lost.
fn enqueue(db: &str, task: &str, n: u64, gap: Duration) -> Fallible {
    let scene = scene(db);
    let queue = JobQueue::open(db)?;
    scene.say(format_args!("up"));
    for i in 0..n {
        let before = micros();
        let id = match task {
            "noop" => Noop::new(i).enqueue(&queue)?.id(),
            "slow" => Slow::new(20 + i % 5 * 10).enqueue(&queue)?.id(),
            "effect" => Effect::new(i % 4 * 500).enqueue(&queue)?.id(),
            _ => return Err("no such job to enqueue".into()),
        };
        scene.say(format_args!("acked {id} {before}"));
        pause(gap);
    }
    scene.say(format_args!("bye"));
    Ok(())
}

fn insert(db: &str, task: &str, n: u64, gap: Duration) -> Fallible {
    let scene = scene(db);
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

/// Waits for the word, then does everything that a process does first with a new file.
fn open(db: &str, told: &mpsc::Receiver<String>) -> Fallible {
    let scene = scene(db);
    scene.say(format_args!("up"));
    let _ = told.recv();
    let queue = JobQueue::open(db)?;
    for i in 0..5 {
        let id = Noop::new(i).enqueue(&queue)?.id();
        scene.say(format_args!("acked {id} 0"));
    }
    let says = scene.clone();
    let worker =
        Worker::new(&queue).state(scene.clone()).on_event(move |event| tell(&says, event)).start()?;
    worker.stop()?;
    scene.say(format_args!("bye"));
    Ok(())
}
