//! TLS 1.2 and 1.3 over a TCP connection, by rustls.
//!
//! To the loop it is a socket like the others: reading gives what clients say, writing takes what they are told, and
//! both say `WouldBlock`. Between the two lie the records: read from the socket until it has no more, written as far
//! as it takes them; what it does not take is kept (at most [`RECORD_BYTES_MAX`] of replies) and sent when there is room.
//!
//! Not here: who may connect without a password (`serve`), when sockets are looked at (`turn`).

use crate::pem;
use mio::net::TcpStream;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Replies that are encrypted before the socket has taken those before them, bytes.
const RECORD_BYTES_MAX: usize = 64 << 10;

/// A connection and its keys.
pub struct TlsStream {
    pub tcp: TcpStream,
    session: ServerConnection,
}

/// What a server needs to speak TLS: its certificate and key, and who signs those of its clients if they need one.
pub fn config(cert: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Arc<ServerConfig>, String> {
    let chain = pem::certificates(cert)?;
    let private = pem::private_key(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in pem::certificates(path)? {
                roots.add(certificate).map_err(|error| pem::at(path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| pem::at(path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(chain, private).map_err(|error| pem::at(cert, &error))?;
    Ok(Arc::new(config))
}

impl TlsStream {
    pub fn new(tcp: TcpStream, config: &Arc<ServerConfig>) -> io::Result<Self> {
        let mut session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        session.set_buffer_limit(Some(RECORD_BYTES_MAX));
        Ok(Self { tcp, session })
    }

    /// What the client says next; 0 if it will say nothing more.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                answer => return answer,
            }
            if self.session.read_tls(&mut self.tcp)? == 0 {
                return Ok(0);
            }
            if let Err(error) = self.session.process_new_packets() {
                // The client is told what was wrong, if its socket takes it.
                let _ = self.flush();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            // The handshake goes on; what the socket does not take now is sent with the next reply or when there is room.
            match self.flush() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    /// Takes some of `bytes`. They may not all be on their way: see [`TlsStream::flush`].
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let len = self.session.writer().write(bytes)?;
        match self.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(len),
        }
    }

    /// Sends records that wait; `WouldBlock` if some still do.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            if self.session.write_tls(&mut self.tcp)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Says that nothing more will come: the client can tell an end from a cut.
    pub fn end(&mut self) {
        self.session.send_close_notify();
        // The connection is closed in any case.
        let _ = self.flush();
    }
}
