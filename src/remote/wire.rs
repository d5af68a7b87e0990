//! One connection to a server: bytes out, replies in, and never a wait without an end.
//!
//! The crate `redis` reads the protocol (RESP2). The socket is held here, because that crate's own connections wait without a limit
//! in three places: for a socket whose queue is full, once per reply of a pipeline whose server is silent, and behind
//! signals; and because a write to a socket that the server has closed would raise SIGPIPE in the host.
//!
//! Not here: which server (`address`), connections that wait for the next call (`node`), what replies mean
//! (`replies`).
//!
//! Invariants:
//!   W1. No call waits longer than `wait` for the next byte to go or come, whatever signals arrive.
//!   W2. A wire on which anything failed is not used again: what it would read next could be the answer to
//!       something else.

use super::address::{Credentials, Place};
use super::deadline::Deadline;
use super::replies::refusal;
use crate::error::{Error, Result, Status};
use redis::{Parser, Value};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::net::ToSocketAddrs;
use std::time::Duration;

/// How long a queue that is full is waited for before it is tried again.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// How connections are made.
pub(super) struct Settings {
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) credentials: Option<Credentials>,
}

/// A connection that is no good any more.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) source: io::Error,
    /// Some of the request has left: the server may act on it.
    pub(super) is_sent: bool,
}

impl Lost {
    /// Time was up, rather than that the connection ended.
    pub(super) fn is_timeout(&self) -> bool {
        self.source.raw_os_error() == Some(libc::ETIMEDOUT)
    }
}

pub(super) struct Wire {
    socket: Socket,
    parser: Parser,
    /// Longest wait for the next byte; what the socket's own timeouts are set to.
    wait: Duration,
}

impl Wire {
    /// A connection that the server has answered on, its user named.
    pub(super) fn connect(place: &Place, settings: &Settings) -> Result<Self> {
        let deadline = Deadline::after(settings.connect_timeout);
        let socket = match place {
            Place::Unix(path) => SockAddr::unix(path).and_then(|address| connected_by(deadline, &address)),
            Place::Tcp { host, port } => connected_to_host(deadline, host, *port),
        };
        let socket = socket.map_err(|error| Error::from_io(&format!("connect to {place}"), &error))?;
        let mut wire = Self { socket, parser: Parser::new(), wait: Duration::ZERO };
        wire.introduce(place, settings.credentials.as_ref(), deadline)?;
        wire.set_wait(settings.timeout).map_err(|error| Error::from_io(&format!("talk to {place}"), &error))?;
        Ok(wire)
    }

    /// Sends all of `bytes`.
    pub(super) fn send(&mut self, bytes: &[u8]) -> std::result::Result<(), Lost> {
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = &bytes[sent..];
            // MSG_NOSIGNAL: the host's SIGPIPE is the host's.
            match within(&self.socket, self.wait, || self.socket.send_with_flags(rest, libc::MSG_NOSIGNAL)) {
                Ok(len) => sent += len,
                Err(source) => return Err(Lost { source, is_sent: sent > 0 }),
            }
        }
        Ok(())
    }

    /// The next reply. One that is an error of the server's is a reply too.
    pub(super) fn receive(&mut self) -> std::result::Result<Value, Lost> {
        let mut incoming = Incoming { socket: &self.socket, wait: self.wait, failure: None };
        self.parser.parse_value(&mut incoming).map_err(|_| {
            let not_resp = || io::Error::new(io::ErrorKind::InvalidData, "its answer is not the Redis protocol");
            Lost { source: incoming.failure.take().unwrap_or_else(not_resp), is_sent: true }
        })
    }

    /// Whether the server has said nothing, not even that it is gone, since the last reply.
    pub(super) fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let seen = self.socket.recv_with_flags(&mut byte, libc::MSG_PEEK | libc::MSG_DONTWAIT);
        seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Names the user and asks for a first answer.
    fn introduce(&mut self, place: &Place, credentials: Option<&Credentials>, deadline: Deadline) -> Result<()> {
        let cannot = |lost: Lost| Error::from_io(&format!("connect to {place}"), &lost.source);
        let mut request = Vec::new();
        if let Some(Credentials { user, password }) = credentials {
            redis::cmd("AUTH").arg(user.as_deref()).arg(password).write_packed_command(&mut request);
        }
        redis::cmd("PING").write_packed_command(&mut request);
        let left = deadline.left().max(Duration::from_millis(1));
        self.set_wait(left).map_err(|source| cannot(Lost { source, is_sent: false }))?;
        self.send(&request).map_err(cannot)?;
        if credentials.is_some()
            && let Value::ServerError(refused) = self.receive().map_err(cannot)?
        {
            // The code only: an old server's text quotes what it was sent.
            let message = format!("{place} refuses the user or the password ({})", refused.code());
            return Err(Error::new(Status::InvalidArgument, message));
        }
        match self.receive().map_err(cannot)? {
            // It says the same to whatever it is asked until it is ready, and that is waited for where it is asked.
            Value::ServerError(refused) if refused.code() == "LOADING" => Ok(()),
            Value::ServerError(refused) => Err(refusal(place, &refused)),
            _ => Ok(()),
        }
    }

    fn set_wait(&mut self, wait: Duration) -> io::Result<()> {
        self.wait = wait;
        set_timeouts(&self.socket, wait)
    }
}

/// The socket as the parser reads it.
struct Incoming<'a> {
    socket: &'a Socket,
    wait: Duration,
    /// Why there is nothing more to read.
    failure: Option<io::Error>,
}

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let outcome = match within(self.socket, self.wait, || (&mut &*self.socket).read(buffer)) {
            Ok(0) if !buffer.is_empty() => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server ended the connection"))
            }
            outcome => outcome,
        };
        outcome.map_err(|error| {
            let told = io::Error::from(error.kind());
            self.failure = Some(error);
            told
        })
    }
}

/// Carries out a call that the socket's timeouts bound, and bounds what they do not: a signal ends the call, and
/// trying again would begin the time anew.
fn within(socket: &Socket, wait: Duration, mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    let deadline = Deadline::after(wait);
    let mut is_shortened = false;
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                let left = deadline.left();
                if left.is_zero() {
                    return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
                }
                set_timeouts(socket, left)?;
                is_shortened = true;
            }
            // What a socket says when its timeout is over.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
            }
            outcome => {
                if is_shortened {
                    set_timeouts(socket, wait)?;
                }
                return outcome;
            }
        }
    }
}

fn set_timeouts(socket: &Socket, wait: Duration) -> io::Result<()> {
    // Less than a microsecond would be none, and none is for ever.
    let wait = wait.max(Duration::from_millis(1));
    socket.set_read_timeout(Some(wait))?;
    socket.set_write_timeout(Some(wait))
}

fn connected_to_host(deadline: Deadline, host: &str, port: u16) -> io::Result<Socket> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match connected_by(deadline, &address.into()) {
            Ok(socket) => {
                socket.set_tcp_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn connected_by(deadline: Deadline, address: &SockAddr) -> io::Result<Socket> {
    loop {
        let left = deadline.left();
        if left.is_zero() {
            return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
        }
        let socket = Socket::new(Domain::from(i32::from(address.family())), Type::STREAM, None)?;
        if !address.is_unix() {
            let outcome = socket.connect_timeout(address, left);
            let named = |error: io::Error| match error.kind() {
                io::ErrorKind::TimedOut => io::Error::from_raw_os_error(libc::ETIMEDOUT),
                _ => error,
            };
            return outcome.map(|()| socket).map_err(named);
        }
        // A socket in the file system connects at once or not at all; a queue that is full is no wait that ends.
        socket.set_nonblocking(true)?;
        match socket.connect(address) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(QUEUE_PAUSE.min(left)),
            outcome => {
                outcome?;
                socket.set_nonblocking(false)?;
                return Ok(socket);
            }
        }
    }
}
