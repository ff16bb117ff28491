//! The demo service: an HTTP interface to a queue, and a worker that runs the jobs.
//!
//! Combines the modules of this crate, prints the addresses, and stops on a signal. The only file that
//! prints.

use std::env;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use qdjobs::prelude::*;
use qdjobs::{Event, RunningJob};
use qdjobs_examples::cli::{self, Command};
use qdjobs_examples::email::Mailer;
use qdjobs_examples::http::{Guard, Service, ServiceInfo, bind, router, serve};
use qdjobs_examples::image::Album;
use qdjobs_examples::report::Archive;
use qdjobs_examples::setting;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The number of jobs that run at the same time. It is small, since images take memory.
const CONCURRENCY: usize = 4;

/// The most running jobs that a line of the stop names.
const NAMED_MAX: usize = 5;

/// The default of `QDJOBS_LISTEN`.
const LISTEN: &str = "127.0.0.1:5004";

/// The default of `QDJOBS_DB`.
const DATABASE: &str = "jobs.db";

/// The exit status after a wrong argument, as other programs have it.
const WRONG_ARGUMENT: u8 = 2;

/// The exit status after a second signal, as after Ctrl-C in other programs.
const ASKED_TWICE: i32 = 130;

fn main() -> ExitCode {
    match Command::read(env::args_os().skip(1)) {
        Ok(Command::Run) => ended(run(), ExitCode::FAILURE),
        Ok(Command::Help) => ended(print(cli::HELP), ExitCode::FAILURE),
        Ok(Command::Version) => ended(print(cli::VERSION), ExitCode::FAILURE),
        Err(error) => ended(Err(error), ExitCode::from(WRONG_ARGUMENT)),
    }
}

fn ended(result: Result<(), String>, failed: ExitCode) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "job_queue: {error}").ok();
            failed
        }
    }
}

fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(self::text)
}

fn run() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(text)?;
    runtime.block_on(service())
}

async fn service() -> Result<(), String> {
    // First, so that a signal during the start is not lost.
    let mut stop = Stop::new().map_err(text)?;
    // Everything that can be refused is checked before the database is opened, which creates it. The port is
    // one of them: if it is in use, no second worker starts on the database.
    let mailer = Mailer::from_env(Path::new("outbox"))?;
    let album = album()?;
    let (listener, address) = listen().await?;
    let database = setting::path("QDJOBS_DB").unwrap_or_else(|| DATABASE.into());
    let queue = JobQueue::open(&database).map_err(text)?;
    let archive = Archive::new(&database, Path::new("reports"));
    let info = ServiceInfo {
        url: format!("http://{address}"),
        database: shown(&database),
        mail: mailer.describe(),
        images: album.folder().display().to_string(),
    };
    let service = Service {
        queue: queue.to_async(),
        archive: archive.clone(),
        guard: Guard::new(address),
        info: info.clone(),
    };

    let worker = Worker::new(&queue)
        .concurrency(CONCURRENCY)
        .state(mailer)
        .state(album)
        .state(archive)
        .on_event(report)
        .start()
        .map_err(text)?;
    announce(&info, address).ok();
    let (begin_stop, begun) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(serve(listener, router(service), async {
        begun.await.ok();
    }));
    stop.next().await;
    begin_stop.send(()).ok();
    stopped(worker, served, stop).await
}

/// Stops the worker while the last requests are served. A second signal ends both waits, with exit status 130;
/// a third one ends the process at once.
async fn stopped(worker: WorkerHandle, served: JoinHandle<()>, mut stop: Stop) -> Result<(), String> {
    let stop_handle = worker.stop_handle();
    // At once, whatever clients do: a worker that waited for their connections would start jobs meanwhile.
    let mut stopping = tokio::task::spawn_blocking(move || worker.stop());
    say(
        "stopping: waiting for the running jobs; the others stay in the database (Ctrl-C again releases them at once)",
    );
    let all = async {
        served.await.ok();
        (&mut stopping).await
    };
    tokio::select! {
        stopped = all => stopped.map_err(text)?.map_err(text),
        () = stop.next() => {
            stop_handle.release_now();
            tokio::select! {
                released = stopping => released.map_err(text)?.map_err(text)?,
                () = stop.next() => {}
            }
            std::process::exit(ASKED_TWICE)
        }
    }
}

async fn listen() -> Result<(TcpListener, SocketAddr), String> {
    let wanted = setting::text("QDJOBS_LISTEN")?.unwrap_or_else(|| LISTEN.to_owned());
    let listener = bind(&wanted).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program listens on {wanted}; it may be this service, started before.\n\
             Stop it, or set another port: QDJOBS_LISTEN=127.0.0.1:5005"
        ),
        _ => format!(
            "cannot listen on {wanted}: {error}\nset QDJOBS_LISTEN to an address and a port, for example {LISTEN}"
        ),
    })?;
    let address = listener.local_addr().map_err(text)?;
    Ok((listener, address))
}

fn album() -> Result<Album, String> {
    let folder = setting::path("QDJOBS_IMAGES").unwrap_or_else(|| PathBuf::from("."));
    Album::new(&folder)
        .map_err(|error| format!("cannot open the folder of images {}: {error}", folder.display()))
}

fn shown(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Prints the addresses and an example call.
fn announce(info: &ServiceInfo, address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "qdjobs demo on {}", info.url)?;
    writeln!(out, "  jobs     {}", info.database)?;
    writeln!(out, "  mail     {}", info.mail)?;
    writeln!(out, "  images   below {}", info.images)?;
    writeln!(out, "  reports  reports/, served at {}/reports/", info.url)?;
    writeln!(out, "try it:\n  {}\n  {}", info.curl(), info.curl_of("/jobs/1"))?;
    if !address.ip().is_loopback() {
        writeln!(
            out,
            "warning: {address} can be reached from other machines, and everybody who reaches it can send mail"
        )?;
    }
    writeln!(out, "Ctrl-C stops the service when the running jobs are done")?;
    out.flush()
}

/// Prints what the operator of the service should see: what is wrong with the database, and for which jobs a stop
/// waits.
fn report(event: &Event<'_>) {
    match event {
        Event::StopWaits { jobs, left, .. } => say(&waits_for(jobs, left.as_millis().div_ceil(1000))),
        Event::StoreError { error } | Event::StoreHalted { error } => {
            writeln!(io::stderr(), "job_queue: {error}").ok();
        }
        _ => {}
    }
}

fn waits_for(jobs: &[RunningJob<'_>], seconds: u128) -> String {
    let named = jobs.iter().take(NAMED_MAX).map(|job| format!("job {} ({})", job.id, job.task_name));
    let more = jobs.len().checked_sub(NAMED_MAX).filter(|more| *more > 0).map(|more| format!("{more} more"));
    let names: Vec<String> = named.chain(more).collect();
    format!("waiting for {}; at most {seconds} s more", names.join(", "))
}

fn say(text: &str) {
    // The output may be closed; the service continues.
    writeln!(io::stdout(), "{text}").ok();
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// SIGINT (Ctrl-C) and SIGTERM; on Windows Ctrl-C and Ctrl-Break.
#[cfg(unix)]
struct Stop(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

#[cfg(windows)]
struct Stop(tokio::signal::windows::CtrlC, tokio::signal::windows::CtrlBreak);

impl Stop {
    #[cfg(unix)]
    fn new() -> io::Result<Stop> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Stop(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    #[cfg(windows)]
    fn new() -> io::Result<Stop> {
        use tokio::signal::windows::{ctrl_break, ctrl_c};
        Ok(Stop(ctrl_c()?, ctrl_break()?))
    }

    /// Resolves at the next signal.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}
