//! Connections, kept in bounds: [`serve`].
//!
//! Leans on hyper directly, since `axum::serve` gives its connections no clock, and hyper's limit on the time a client
//! takes over its headers then has no effect: a handful of slow clients could hold every connection for ever.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Most connections at a time; further ones wait in the system's own queue.
const CONNECTIONS_MAX: usize = 256;

/// How long a client may take to send the headers of a request, and keep a connection without sending any.
const HEADER_PATIENCE: Duration = Duration::from_secs(15);

/// Most bytes of headers.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// How long answers under way may take once the service is told to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// After a failed accept (no descriptor left, most likely) a moment passes, in which connections may end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers requests until `stop` resolves; then takes no further connection, and returns once those that there are have
/// been answered.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let open = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_PATIENCE).max_buf_size(HEADER_BYTES_MAX);
    let mut stop = std::pin::pin!(stop);
    loop {
        let (line, place) = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &room) => match accepted {
                Ok(accepted) => accepted,
                Err(_) => {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = open.watch(http.serve_connection(TokioIo::new(line), service));
        tokio::spawn(async move {
            // A client that goes away in the middle is its own affair.
            connection.await.ok();
            drop(place);
        });
    }
    // Closes the port before waiting: a client that comes now is told at once, by the system.
    drop(listener);
    tokio::time::timeout(STOP_PATIENCE, open.shutdown()).await.ok();
}

/// The next connection, and its place among those that there may be.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = room.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (line, _) = listener.accept().await?;
    line.set_nodelay(true)?;
    Ok((line, place))
}
