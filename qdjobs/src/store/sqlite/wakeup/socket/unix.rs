//! A door as a Unix datagram socket.
//!
//! Leans on std. A thread of its own sleeps at the socket: it costs nothing while nobody rings.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use crate::model::rng::Rng;
use crate::store::engine::requests::RequestQueue;

/// Longest path that every Unix accepts as a socket's address.
const ADDRESS_BYTES_MAX: usize = 103;

const RING: &[u8] = b"look";
const CLOSE: &[u8] = b"close";

#[derive(Debug)]
pub(super) struct Door {
    address: String,
    /// Known to nobody else: only a message that carries it closes the door.
    key: [u8; 8],
    porter: Option<JoinHandle<()>>,
}

impl Door {
    /// Opens a socket in `dir`, or in the system's directory for temporary files if that path is too long. `None` if neither
    /// works: the process then finds work by looking.
    pub(super) fn open(dir: &Path, request_queue: &Arc<RequestQueue>) -> Option<Door> {
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
        let porter = std::thread::Builder::new()
            .name("qdjobs-socket".into())
            .spawn(move || attend(&socket, &key, &request_queue))
            .ok()?;
        Some(Door { address, key, porter: Some(porter) })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn close(mut self) {
        let message = [CLOSE, &self.key].concat();
        let told = UnixDatagram::unbound().and_then(|socket| socket.send_to(&message, &self.address));
        if let (Ok(_), Some(porter)) = (told, self.porter.take()) {
            // It holds no lock and runs no foreign code, so it cannot have panicked in a way that matters.
            let _ = porter.join();
        }
        let _ = std::fs::remove_file(&self.address);
    }
}

/// Passes each ring on to the writer, until it is told to close.
fn attend(socket: &UnixDatagram, key: &[u8; 8], request_queue: &Weak<RequestQueue>) {
    let mut message = [0; 32];
    while let Ok(length) = socket.recv(&mut message) {
        if message[..length].strip_prefix(CLOSE) == Some(key) {
            return;
        }
        let Some(request_queue) = request_queue.upgrade() else { return };
        request_queue.look();
    }
}

/// Removes a socket that nobody listens at any more. The address stands in the database, where others may write: only a name
/// of ours in a place of ours is believed.
pub(super) fn clear(dir: &Path, address: &str) {
    let path = Path::new(address);
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
    let ours = path.parent().is_some_and(|at| {
        std::path::absolute(dir).is_ok_and(|dir| at == dir)
            || (at == std::env::temp_dir() && name.starts_with("qdjobs-"))
    });
    let is_socket = || {
        std::fs::symlink_metadata(path)
            .is_ok_and(|meta| std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()))
    };
    if !ours || !name.ends_with(".wake") || !is_socket() {
        return;
    }
    let answered = UnixDatagram::unbound().and_then(|socket| socket.connect(path));
    if answered.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused) {
        let _ = std::fs::remove_file(path);
    }
}

/// Rings at somebody's door. Not waited for, and not repeated: a full socket has been rung already, a dead one belongs to a
/// process that will be rescued.
pub(super) fn ring(address: &str) {
    let Ok(socket) = UnixDatagram::unbound() else { return };
    if socket.set_nonblocking(true).is_ok() {
        let _ = socket.send_to(RING, address);
    }
}
