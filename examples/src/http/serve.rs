//! [`serve`], which accepts connections and limits their number and duration.
//!
//! Depends on hyper directly. `axum::serve` sets no timer, and without one hyper's time limit for headers has
//! no effect: a few slow clients could occupy all connections.

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

/// The largest number of open connections; further ones wait in the backlog of the operating system.
const CONNECTIONS_MAX: usize = 256;

/// The longest time for the headers of a request, also on an idle connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

/// The largest size of the headers.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// The longest time for responses in progress when the service stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a failed accept. Its usual cause is that no file descriptor is free until a connection
/// closes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves requests until `stop` resolves. Then it accepts no further connection and returns when the open
/// ones are done.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let open = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(HEADER_BYTES_MAX);
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, permit) = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &permits) => match accepted {
                Ok(accepted) => accepted,
                Err(_) => {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // The error of a client that closes its connection early is ignored.
            connection.await.ok();
            drop(permit);
        });
    }
    // Closes the port before it waits, so that new clients are refused at once.
    drop(listener);
    tokio::time::timeout(STOP_TIMEOUT, open.shutdown()).await.ok();
}

/// The next connection, with its permit to be open.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, permit))
}
