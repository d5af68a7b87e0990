//! The part of the loop that lets clients in: over the Unix socket, TCP and TLS, and scrapes of the metrics.
//!
//! Not here: what is listened on (`listener`), what clients say (`connection`).

use super::connection::{Connection, Left, Socket};
use super::listener::Protocol;
use super::scrape::{self, Scrape};
use super::tls::TlsStream;
use super::turn::{CLIENT_FIRST, Loop, SCRAPE_FIRST};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, Write};
use std::net::SocketAddr;

impl Loop {
    pub fn accept_unix(&mut self) {
        loop {
            let Some((listener, path)) = &self.listeners.unix else { return };
            match listener.accept() {
                Ok((stream, _)) => {
                    let addr = format!("{}:0", path.display());
                    self.enter(Socket::Unix(stream), addr.clone(), addr);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.note_refusal(&error),
            }
        }
    }

    pub fn accept_tcp(&mut self, number: usize) {
        loop {
            let Some((listener, protocol)) = self.listeners.tcp.get(number) else { return };
            match listener.accept() {
                Ok((stream, addr)) => match protocol {
                    Protocol::Metrics => self.enter_scrape(stream),
                    Protocol::Plain => self.enter_tcp(stream, addr, false),
                    Protocol::Tls => self.enter_tcp(stream, addr, true),
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.note_refusal(&error),
            }
        }
    }

    fn note_refusal(&mut self, error: &io::Error) {
        if error.kind() != io::ErrorKind::WouldBlock {
            self.server.log.warn(format_args!("a client cannot be accepted: {error}"));
        }
    }

    fn enter_tcp(&mut self, stream: TcpStream, addr: SocketAddr, is_tls: bool) {
        // Replies are written whole: waiting for more to send with them only delays them.
        let _ = stream.set_nodelay(true);
        let local_addr = stream.local_addr().map_or_else(|_| String::new(), |addr| addr.to_string());
        let socket = match (&self.listeners.tls, is_tls) {
            (_, false) => Socket::Tcp(stream),
            (Some(config), true) => match TlsStream::new(stream, config) {
                Ok(stream) => Socket::Tls(Box::new(stream)),
                Err(error) => return self.note_refusal(&error),
            },
            (None, true) => return,
        };
        self.enter(socket, addr.to_string(), local_addr);
    }

    fn enter(&mut self, mut socket: Socket, addr: String, local_addr: String) {
        if self.connections.len() >= self.server.settings.clients_max {
            self.server.stats.refused_connections += 1;
            let count = self.connections.len();
            self.server.log.warn(format_args!("{addr} was refused: {count} clients are connected (--maxclients)"));
            refuse(&mut socket);
            return;
        }
        let client = self.server.enter(addr, local_addr);
        let token = Token(CLIENT_FIRST + client);
        if socket.register(self.poll.registry(), token, Interest::READABLE).is_err() {
            self.server.leave(client);
            return;
        }
        let session = &self.server.sessions[client];
        self.server.log.debug(format_args!("client {} came from {}", session.id, session.addr));
        let number = self.connections.insert(Connection::new(socket));
        debug_assert_eq!(number, client, "connections and sessions come and go together");
    }

    fn enter_scrape(&mut self, mut stream: TcpStream) {
        if self.scrapes.len() >= scrape::SCRAPES_MAX {
            return;
        }
        let place = self.scrapes.vacant_entry();
        let token = Token(SCRAPE_FIRST + place.key());
        if self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE).is_ok() {
            place.insert(Scrape::new(stream, self.server.clock_at));
        }
    }

    /// Goes on with a scrape whose socket has something to say or room.
    pub fn step_scrape(&mut self, number: usize) {
        let Some(scrape) = self.scrapes.get_mut(number) else { return };
        if scrape.step(&self.server) == Left::Closed {
            self.close_scrape(number);
        }
    }

    fn close_scrape(&mut self, number: usize) {
        let mut scrape = self.scrapes.remove(number);
        // The socket is closed in any case.
        let _ = self.poll.registry().deregister(&mut scrape.stream);
    }

    /// Ends scrapes that take too long.
    pub fn end_scrapes(&mut self) {
        let now = self.server.clock_at;
        let is_over = |scrape: &Scrape| now.saturating_duration_since(scrape.opened_at) > scrape::TIME_MAX;
        let over: Vec<usize> =
            self.scrapes.iter().filter(|(_, scrape)| is_over(scrape)).map(|(number, _)| number).collect();
        over.into_iter().for_each(|number| self.close_scrape(number));
    }
}

impl Socket {
    pub fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        registry.register(self.source(), token, interest)
    }

    pub fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        registry.reregister(self.source(), token, interest)
    }

    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(self.source())
    }

    fn source(&mut self) -> &mut dyn mio::event::Source {
        match self {
            Socket::Tcp(stream) => stream,
            Socket::Unix(stream) => stream,
            Socket::Tls(stream) => &mut stream.tcp,
        }
    }
}

/// Says why, if the socket takes it, and closes. With TLS there is nothing to say it in before the handshake.
fn refuse(socket: &mut Socket) {
    let text = b"-ERR max number of clients reached\r\n";
    let _ = match socket {
        Socket::Tcp(stream) => stream.write(text),
        Socket::Unix(stream) => stream.write(text),
        Socket::Tls(_) => return,
    };
}
