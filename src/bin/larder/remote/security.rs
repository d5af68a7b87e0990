//! How a connection to a server is made secret: by TLS, with whose certificates are believed, and our own if the server wants one.
//!
//! Not here: TLS itself (the crates `redis` and `rustls`), the server's side (`server::tls`).
//!
//! Invariant: who has given any of this never sends in plain text.

use crate::failure::Failure;
use crate::pem;
use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, TlsCertificates};
use std::path::{Path, PathBuf};

/// What was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Security<'a> {
    pub is_asked_for: bool,
    /// Who signs servers' certificates; otherwise those whom the system believes.
    pub ca: Option<&'a PathBuf>,
    /// Our certificate and its key.
    pub own: Option<(&'a PathBuf, &'a PathBuf)>,
}

impl Security<'_> {
    /// The same connection over TLS, if that is asked for here or by the address.
    pub fn apply(&self, info: ConnectionInfo) -> Result<ConnectionInfo, Failure> {
        let is_asked_for = self.is_asked_for || self.ca.is_some() || self.own.is_some();
        let addr = match info.addr() {
            ConnectionAddr::Tcp(host, port) if is_asked_for => {
                ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
            }
            ConnectionAddr::Unix(_) if is_asked_for => {
                return Err(Failure::usage("TLS is for TCP: a Unix socket needs none"));
            }
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                return Err(Failure::usage(
                    "a server's certificate is always looked at: name its authority with --tls-ca",
                ));
            }
            ConnectionAddr::TcpTls { .. } => info.addr().clone(),
            _ => return Ok(info),
        };
        let certificates = TlsCertificates {
            client_tls: self.own.map(own).transpose()?,
            root_cert: self.ca.map(|path| bytes_of(path, |path| pem::certificates(path).map(drop))).transpose()?,
        };
        let client = Client::build_with_tls(info.set_addr(addr), certificates);
        let client = client.map_err(|error| Failure::usage(format!("TLS: {error}")))?;
        Ok(client.get_connection_info().clone())
    }
}

fn own((cert, key): (&PathBuf, &PathBuf)) -> Result<ClientTlsConfig, Failure> {
    Ok(ClientTlsConfig {
        client_cert: bytes_of(cert, |path| pem::certificates(path).map(drop))?,
        client_key: bytes_of(key, |path| pem::private_key(path).map(drop))?,
    })
}

/// A file in which there is what it is given for.
fn bytes_of(path: &Path, check: impl Fn(&Path) -> Result<(), String>) -> Result<Vec<u8>, Failure> {
    check(path).map_err(Failure::usage)?;
    std::fs::read(path).map_err(|error| Failure::io(path.display(), &error))
}

/// A server's host and port; nothing and 0 of a Unix socket.
pub fn host_and_port(addr: &ConnectionAddr) -> (&str, u16) {
    match addr {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => (host, *port),
        _ => ("", 0),
    }
}

/// The address of another node of a cluster, which is spoken to as this one is.
pub fn elsewhere(addr: &ConnectionAddr, host: &str, port: u16) -> ConnectionAddr {
    let host = host.to_owned();
    match addr {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    }
}
