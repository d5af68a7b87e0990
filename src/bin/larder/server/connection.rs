//! One client's socket: reading requests from it, and writing what it is owed.
//!
//! A request that arrives whole is parsed where it was read, in a buffer that all connections share. Only what is
//! left of the last one is kept, so a client that is waiting holds no memory but what it has sent.
//!
//! Not here: what requests mean (`execute`), when sockets are looked at (`turn`).

use super::Server;
use super::request::gets::{self, Gets};
use super::request::{Args, Limits, Parsed, Parser};
use super::session::Closing;
use super::tls::TlsStream;
use mio::net::{TcpStream, UnixStream};
use std::io::{self, Read, Write};

/// Sent bytes are dropped from the front of a buffer of this size or more only when they are half of it.
const COMPACT_BYTES: usize = 1 << 20;
/// A client that has this much unread is not answered more before it has read all of it; what it sends is read
/// meanwhile, because it may be one that sends everything first.
const UNREAD_BYTES_HELD: usize = 1 << 20;
/// A reply buffer larger than this is given back when it is empty.
const KEPT_BYTES_MAX: usize = 64 << 10;

pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream>),
}

/// A connection; its number is its client's.
pub struct Connection {
    pub socket: Socket,
    /// What was read and not carried out, behind `done` bytes that were.
    pending: Vec<u8>,
    done: usize,
    parser: Parser,
    /// There may be whole requests in `pending`: they wait until the client has read what it was answered.
    pub is_held: bool,
    /// Taken over from the session, on their way.
    unsent: Vec<u8>,
    sent: usize,
    /// The loop is to tell when there is room in the socket.
    pub waits_for_room: bool,
    /// There may be more to read than was read.
    pub has_more: bool,
    pub is_queued: bool,
    /// The client will send nothing more: what it has sent is followed by the end.
    pub is_ending: bool,
}

/// How a socket was left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Open,
    Closed,
}

impl Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(buffer),
            Socket::Unix(stream) => stream.read(buffer),
            Socket::Tls(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
            Socket::Tls(stream) => stream.write(bytes),
        }
    }

    /// `WouldBlock` if something that was written is not on its way.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Tcp(_) | Socket::Unix(_) => Ok(()),
            Socket::Tls(stream) => stream.flush(),
        }
    }

    /// Whether it holds what has come in several pieces: a read may leave some.
    fn may_hold_more(&self) -> bool {
        matches!(self, Socket::Tls(_))
    }

    /// Says that nothing more will be sent, where the protocol has a word for it.
    pub fn end(&mut self) {
        if let Socket::Tls(stream) = self {
            stream.end();
        }
    }
}

impl Connection {
    pub fn new(socket: Socket) -> Self {
        Self {
            socket,
            pending: Vec::new(),
            done: 0,
            is_held: false,
            parser: Parser::default(),
            unsent: Vec::new(),
            sent: 0,
            waits_for_room: false,
            has_more: false,
            is_queued: false,
            is_ending: false,
        }
    }

    pub fn unsent_bytes(&self) -> usize {
        self.unsent.len() - self.sent
    }

    /// Bytes of memory that its buffers take.
    pub fn buffer_bytes(&self) -> usize {
        self.pending.capacity() + self.unsent.capacity() + self.parser.memory_bytes()
    }

    /// Reads once and carries out what has become whole.
    pub fn read(&mut self, client: usize, server: &mut Server, buffer: &mut [u8], shared: &mut Parser) -> Left {
        let len = match self.socket.read(buffer) {
            Ok(0) => return Left::Closed,
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.has_more = false;
                self.resume(client, server);
                return Left::Open;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.has_more = true;
                return Left::Open;
            }
            Err(error) => {
                let addr = &server.sessions[client].addr;
                server.log.debug(format_args!("reading from {addr}: {error}"));
                return Left::Closed;
            }
        };
        // A stream that gave less than it could has nothing more; the next bytes are a new event. But its end may have
        // been announced together with these bytes.
        self.has_more = len == buffer.len() || self.is_ending || self.socket.may_hold_more();
        server.stats.bytes_in += len as u64;
        server.sessions[client].last_at = server.clock_at;
        if server.sessions[client].closing != Closing::No {
            return Left::Open;
        }
        if self.pending.is_empty() {
            let used = self.run(client, server, &buffer[..len], shared);
            if used < len {
                self.pending.extend_from_slice(&buffer[used..len]);
                self.parser.take_over(shared);
            }
            if !shared.is_at_start() {
                *shared = Parser::default();
            }
        } else {
            // An argument whose length is known is given its room in few steps, but never more than twice what came.
            let arrived = self.pending.len() - self.done;
            let missing = self.parser.missing_bytes(arrived + len).min(arrived + len);
            self.pending.reserve(len + missing);
            self.pending.extend_from_slice(&buffer[..len]);
            self.resume(client, server);
        }
        let limit = if self.is_held { server.settings.unread_bytes_max } else { server.settings.query_bytes_max };
        if self.pending.len() - self.done > limit {
            let addr = &server.sessions[client].addr;
            server.log.warn(format_args!("{addr} is closed: more than {limit} bytes of requests wait"));
            server.close_client(client, Closing::Now);
        }
        Left::Open
    }

    /// Carries out what is whole of what was kept.
    fn resume(&mut self, client: usize, server: &mut Server) {
        let pending = std::mem::take(&mut self.pending);
        let mut parser = std::mem::take(&mut self.parser);
        let used = self.run(client, server, &pending[self.done..], &mut parser);
        self.pending = pending;
        self.parser = parser;
        self.done += used;
        if self.done == self.pending.len() {
            self.pending = Vec::new();
            self.parser = Parser::default();
            self.done = 0;
        } else if self.done * 2 >= self.pending.len() {
            self.pending.drain(..self.done);
            self.done = 0;
        }
    }

    /// Carries out the requests that are whole in `bytes`; how many bytes they took. Stops where the client has been
    /// answered more than it has read.
    fn run(&mut self, client: usize, server: &mut Server, bytes: &[u8], parser: &mut Parser) -> usize {
        let unsent_bytes = self.unsent_bytes();
        self.is_held = false;
        let mut used = 0;
        while used < bytes.len() {
            let session = &server.sessions[client];
            if session.closing != Closing::No {
                return bytes.len();
            }
            if session.reply.bytes.len() + unsent_bytes > UNREAD_BYTES_HELD {
                self.is_held = true;
                break;
            }
            let limits =
                Limits { bulk_bytes_max: server.settings.bulk_bytes_max, is_authenticated: session.is_authenticated };
            if parser.is_at_start() && gets::may_begin(&bytes[used..]) {
                let gets = Gets::at_front_of(&bytes[used..]);
                if !gets.is_empty() && server.may_get_together(client) {
                    used += server.get_together(client, &gets, UNREAD_BYTES_HELD.saturating_sub(unsent_bytes));
                    continue;
                }
            }
            match parser.parse(&bytes[used..], limits) {
                Parsed::Array(len) => {
                    server.execute(client, Args::new(&bytes[used..], parser.ranges()));
                    used += len;
                }
                Parsed::Line(len) => {
                    server.execute(client, Args::new(parser.line(), parser.ranges()));
                    used += len;
                }
                Parsed::Nothing(len) => used += len,
                Parsed::Incomplete => break,
                Parsed::Malformed(what) => {
                    let why = String::from_utf8_lossy(&what);
                    server.log.debug(format_args!("{} is closed: {why}", server.sessions[client].addr));
                    let session = &mut server.sessions[client];
                    session.reply.error(&[b"ERR Protocol error: ", &what[..]].concat());
                    session.close(Closing::AfterReply);
                    return bytes.len();
                }
            }
        }
        used
    }

    /// Sends what the client is owed, as far as its socket takes it.
    pub fn send(&mut self, client: usize, server: &mut Server) -> Left {
        let Some(session) = server.sessions.get_mut(client) else { return Left::Closed };
        if session.closing == Closing::Now {
            return Left::Closed;
        }
        if self.unsent.is_empty() {
            std::mem::swap(&mut self.unsent, &mut session.reply.bytes);
            self.sent = 0;
        } else if !session.reply.bytes.is_empty() {
            self.unsent.append(&mut session.reply.bytes);
        }
        while self.sent < self.unsent.len() {
            match self.socket.write(&self.unsent[self.sent..]) {
                Ok(0) => return Left::Closed,
                Ok(len) => {
                    self.sent += len;
                    server.stats.bytes_out += len as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.waits_for_room = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Left::Closed,
            }
        }
        let is_flushed = match self.socket.flush() {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => return Left::Closed,
        };
        if self.sent == self.unsent.len() {
            self.waits_for_room = !is_flushed;
            self.sent = 0;
            self.unsent.clear();
            if self.unsent.capacity() > KEPT_BYTES_MAX {
                self.unsent = Vec::new();
            }
            if session.closing == Closing::AfterReply && is_flushed {
                return Left::Closed;
            }
            // The buffer goes back, so that the next reply finds it.
            if session.reply.bytes.capacity() == 0 {
                std::mem::swap(&mut self.unsent, &mut session.reply.bytes);
            }
        } else if self.sent >= COMPACT_BYTES && self.sent * 2 >= self.unsent.len() {
            self.unsent.drain(..self.sent);
            self.sent = 0;
        }
        Left::Open
    }
}
