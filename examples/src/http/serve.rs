//! [`bind`], which takes the port, and [`serve`], which accepts connections and limits their number and
//! duration.
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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest number of open connections; further ones wait in the backlog of the operating system.
const CONNECTIONS_MAX: usize = 256;

/// The longest time for the headers of a request, also on an idle connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

/// The largest size of the headers.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// The longest time for requests in progress when the service stops. It is shorter than the ten seconds after
/// which some supervisors kill a process.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest wait for the port. The operating system frees the port of a killed process a moment after the
/// kill, when it has freed the memory; a program that is started at once finds the port taken. (The
/// connections of the killed process are no obstacle: the port is bound with `SO_REUSEADDR`.)
const PORT_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two tries to take the port.
const PORT_PAUSE: Duration = Duration::from_millis(20);

/// The pause after a failed accept. Its usual cause is that no file descriptor is free until a connection
/// closes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Listens on `address`. Waits a moment if the port is in use.
pub async fn bind(address: &str) -> io::Result<TcpListener> {
    until_free(PORT_TIMEOUT, || TcpListener::bind(address)).await
}

/// Repeats `bind` until it finds the address free, at most for `limit`.
async fn until_free<T, F: Future<Output = io::Result<T>>>(
    limit: Duration,
    mut bind: impl FnMut() -> F,
) -> io::Result<T> {
    let until = tokio::time::Instant::now() + limit;
    loop {
        match bind().await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if tokio::time::Instant::now() >= until {
                    return Err(error);
                }
                tokio::time::sleep(PORT_PAUSE).await;
            }
            bound => return bound,
        }
    }
}

/// Serves requests until `stop` resolves. Then it accepts no further connection, and returns when the open ones
/// are done, or after a time limit.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let open = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(HEADER_BYTES_MAX);
    // A client may close its side after its last request and wait for the response.
    http.half_close(true);
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, permit) = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &permits) => accepted,
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
async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let accepted = async {
            let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            io::Result::Ok((stream, permit))
        };
        match accepted.await {
            Ok(accepted) => return accepted,
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_use() -> io::Error {
        io::ErrorKind::AddrInUse.into()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_port_that_becomes_free_is_taken_and_another_error_is_returned_at_once() {
        let mut tries = 0;
        let bound = until_free(Duration::from_secs(60), || {
            tries += 1;
            std::future::ready(if tries < 4 { Err(in_use()) } else { Ok(tries) })
        });
        assert_eq!(bound.await.unwrap(), 4);

        let denied = until_free(Duration::from_secs(60), || {
            std::future::ready(io::Result::<()>::Err(io::ErrorKind::PermissionDenied.into()))
        });
        assert_eq!(denied.await.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let taken = until_free(Duration::ZERO, || std::future::ready(io::Result::<()>::Err(in_use())));
        assert_eq!(taken.await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
