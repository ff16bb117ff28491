//! The Unix datagram socket on which this process is woken, and the thread that reads it: [`WakeSocket`].
//!
//! Which sockets get a message is decided in `wakeup/socket.rs`.
//!
//! Depends on std and on the requests of the engine. SQLite never comes in. The thread blocks on the socket,
//! and costs nothing until a message arrives.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use crate::model::rng::Rng;
use crate::store::engine::requests::RequestQueue;

/// The longest path that every Unix accepts as the address of a socket.
const ADDRESS_BYTES_MAX: usize = 103;

const WAKE: &[u8] = b"wake";
const CLOSE: &[u8] = b"close";

#[derive(Debug)]
pub(super) struct WakeSocket {
    address: String,
    /// Secret: only a message with this key ends the thread.
    key: [u8; 8],
    thread: Option<JoinHandle<()>>,
}

impl WakeSocket {
    /// Opens a socket in `dir`, or in the system's temporary directory if that path is too long. `None` if
    /// neither works: the process then finds jobs by polling.
    pub(super) fn open(dir: &Path, request_queue: &Arc<RequestQueue>) -> Option<WakeSocket> {
        let rng = Rng::new();
        let name = format!("{:016x}.wake", rng.next());
        let fits = |path: &PathBuf| path.as_os_str().len() <= ADDRESS_BYTES_MAX;
        let dir = std::path::absolute(dir).ok()?;
        let path = Some(dir.join(&name))
            .filter(fits)
            .or_else(|| Some(std::env::temp_dir().join(format!("qdjobs-{name}"))).filter(fits))?;
        let address = path.to_str()?.to_owned();
        let socket = UnixDatagram::bind(&path).ok()?;
        let key = rng.next().to_ne_bytes();
        let request_queue = Arc::downgrade(request_queue);
        let thread = std::thread::Builder::new()
            .name("qdjobs-socket".into())
            .spawn(move || receive(&socket, &key, &request_queue))
            .ok()?;
        Some(WakeSocket { address, key, thread: Some(thread) })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn close(mut self) {
        let message = [CLOSE, &self.key].concat();
        let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to(&message, &self.address));
        if let (Ok(_), Some(thread)) = (sent, self.thread.take()) {
            // The thread holds no lock and runs no user code, so a panic in it has no effect here.
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.address);
    }
}

/// Wakes the writer for each message, until the close message arrives.
fn receive(socket: &UnixDatagram, key: &[u8; 8], request_queue: &Weak<RequestQueue>) {
    let mut message = [0; 32];
    while let Ok(length) = socket.recv(&mut message) {
        if message[..length].strip_prefix(CLOSE) == Some(key) {
            return;
        }
        let Some(request_queue) = request_queue.upgrade() else { return };
        request_queue.look();
    }
}

/// Removes a socket whose process no longer receives. The address comes from the database, to which other
/// programs may write. So it is accepted only if the name and the directory are those of a qdjobs socket.
pub(super) fn remove_stale(dir: &Path, address: &str) {
    let path = Path::new(address);
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
    let is_own_dir = path.parent().is_some_and(|at| {
        std::path::absolute(dir).is_ok_and(|dir| at == dir)
            || (at == std::env::temp_dir() && name.starts_with("qdjobs-"))
    });
    let is_socket = || {
        std::fs::symlink_metadata(path)
            .is_ok_and(|meta| std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()))
    };
    if !is_own_dir || !name.ends_with(".wake") || !is_socket() {
        return;
    }
    let connected = UnixDatagram::unbound().and_then(|socket| socket.connect(path));
    if connected.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused) {
        let _ = std::fs::remove_file(path);
    }
}

/// Sends a wake-up to another process. It neither waits nor retries: a full socket already has a wake-up, and
/// a dead one belongs to a process whose jobs will be rescued.
pub(super) fn wake(address: &str) {
    let Ok(socket) = UnixDatagram::unbound() else { return };
    if socket.set_nonblocking(true).is_ok() {
        let _ = socket.send_to(WAKE, address);
    }
}
