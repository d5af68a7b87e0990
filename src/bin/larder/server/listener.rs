//! Where clients come in: a Unix socket that only its owner can reach, TCP, TLS; and where metrics are asked for.

use mio::net::{TcpListener, UnixListener};
use rustix::fs::Mode;
use rustix::process::umask;
use rustls::ServerConfig;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is listened on.
#[derive(Default)]
pub struct Listeners {
    pub unix: Option<(UnixListener, PathBuf)>,
    pub tcp: Vec<(TcpListener, Protocol)>,
    /// For those of [`Protocol::Tls`].
    pub tls: Option<Arc<ServerConfig>>,
}

/// What is spoken over TCP.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Plain,
    Tls,
    /// HTTP, for scrapes.
    Metrics,
}

impl Drop for Listeners {
    fn drop(&mut self) {
        if let Some((_, path)) = &self.unix {
            // Gone already is as good.
            let _ = fs::remove_file(path);
        }
    }
}

/// Listens at `path`, readable and writable by the owner alone. A socket that nobody listens at any more is replaced.
pub fn listen_unix(path: &Path) -> Result<UnixListener, String> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(format!("{} is there and is no socket", path.display()));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(format!("another process listens at {}", path.display()));
        }
        Ok(_) => fs::remove_file(path).map_err(|error| format!("cannot replace {}: {error}", path.display()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("{}: {error}", path.display())),
    }
    // From the first moment on: a mode that is changed afterwards was another one before.
    let before = umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    let listener = UnixListener::bind(path);
    umask(before);
    listener.map_err(|error| format!("cannot listen at {}: {error}", path.display()))
}

/// Listens at `addr`.
pub fn listen_tcp(addr: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(addr).map_err(|error| format!("cannot listen at {addr}: {error}"))
}
