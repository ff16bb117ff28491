//! The demo service: an HTTP interface to a queue, and the worker that runs what is asked for.
//!
//! Puts the parts of this crate together, says where to look, and ends in good order. The only place that prints.

use std::env;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use qdjobs::prelude::*;
use qdjobs_examples::email::Mailer;
use qdjobs_examples::http::{Facts, Guard, Service, router, serve};
use qdjobs_examples::image::Album;
use qdjobs_examples::report::Archive;
use tokio::net::TcpListener;

/// Jobs that run at a time. Pictures take memory, so there are not more than a small machine bears.
const CONCURRENCY: usize = 4;

/// Where the service is reached unless `QDJOBS_LISTEN` says otherwise.
const LISTEN: &str = "127.0.0.1:5004";

/// Where jobs are kept unless `QDJOBS_DB` says otherwise.
const DATABASE: &str = "jobs.db";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "job_queue: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(text)?;
    runtime.block_on(service())
}

async fn service() -> Result<(), String> {
    // Before anything is listened to or opened: a signal that comes while the service starts is not lost.
    let stop = Stop::new().map_err(text)?;
    // The port first: a second service on it shall not start a second worker on the file before it is told.
    let (listener, address) = listen().await?;
    let database = PathBuf::from(setting("QDJOBS_DB").unwrap_or_else(|| DATABASE.to_owned()));
    let queue = JobQueue::open(&database).map_err(text)?;
    let mailer = Mailer::from_env(Path::new("outbox"))?;
    let album = album()?;
    let archive = Archive::new(&database, Path::new("reports"));
    let facts = Facts {
        url: format!("http://{address}"),
        database: shown(&database),
        mail: mailer.describe(),
        images: album.folder().display().to_string(),
    };
    let service = Service {
        queue: queue.to_async(),
        archive: archive.clone(),
        guard: Guard::new(address),
        facts: facts.clone(),
    };

    let worker = Worker::new(&queue)
        .concurrency(CONCURRENCY)
        .state(mailer)
        .state(album)
        .state(archive)
        .start()
        .map_err(text)?;
    announce(&facts, address).ok();
    serve(listener, router(service), stop.wait()).await;

    say(
        "stopping: running jobs get their time, the others stay in the database (Ctrl-C once more to stop at once)",
    );
    tokio::task::spawn_blocking(move || worker.stop()).await.map_err(text)?.map_err(text)
}

async fn listen() -> Result<(TcpListener, SocketAddr), String> {
    let wanted = setting("QDJOBS_LISTEN").unwrap_or_else(|| LISTEN.to_owned());
    let listener = TcpListener::bind(&wanted).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{wanted} is taken by another program, perhaps by this service, started before.\n\
             Stop that one, or choose another port: QDJOBS_LISTEN=127.0.0.1:5005"
        ),
        _ => format!(
            "cannot listen on {wanted}: {error}\nQDJOBS_LISTEN is an address and a port, as in {LISTEN}"
        ),
    })?;
    let address = listener.local_addr().map_err(text)?;
    Ok((listener, address))
}

fn album() -> Result<Album, String> {
    let folder = setting("QDJOBS_IMAGES").map_or_else(|| PathBuf::from("."), PathBuf::from);
    Album::new(&folder)
        .map_err(|error| format!("cannot open the folder of images {}: {error}", folder.display()))
}

/// A setting that is there and not empty.
fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn shown(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Where to look, and what to type.
fn announce(facts: &Facts, address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "qdjobs demo on {}", facts.url)?;
    writeln!(out, "  jobs     {}", facts.database)?;
    writeln!(out, "  mail     {}", facts.mail)?;
    writeln!(out, "  images   below {}", facts.images)?;
    writeln!(out, "  reports  reports/, served at {}/reports/", facts.url)?;
    writeln!(out, "try it:\n  {}\n  curl {}/jobs/1", facts.curl(), facts.url)?;
    if !address.ip().is_loopback() {
        writeln!(
            out,
            "beware: {address} is reached from other machines, and whoever reaches it may send mail from here"
        )?;
    }
    writeln!(out, "Ctrl-C stops it when running jobs are done")?;
    out.flush()
}

fn say(text: &str) {
    // Whoever started it may have closed the output: the service goes on.
    writeln!(io::stdout(), "{text}").ok();
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// SIGINT (Ctrl-C) and SIGTERM.
#[cfg(unix)]
struct Stop(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

#[cfg(unix)]
impl Stop {
    fn new() -> io::Result<Stop> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Stop(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    /// Resolves at the first signal; the second one ends the process at once, as no running job can hinder.
    async fn wait(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(130);
        });
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
struct Stop;

#[cfg(not(unix))]
impl Stop {
    fn new() -> io::Result<Stop> {
        Ok(Stop)
    }

    async fn wait(self) {
        tokio::signal::ctrl_c().await.ok();
    }
}
