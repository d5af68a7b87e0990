//! The loop: wait for sockets, read, carry out, sync, send.
//!
//! Locks: none. Other threads only wake it.

use super::connection::{Connection, Left};
use super::listener::Listeners;
use super::log::Log;
use super::request::Parser;
use super::scrape::Scrape;
use super::spin::Spin;
use super::{Server, Settings, commands};
use larder::Store;
use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const UNIX: Token = Token(0);
const SIGNAL: Token = Token(1);
const TCP_FIRST: usize = 2;
pub const CLIENT_FIRST: usize = 64;
/// More listeners than this cannot be told from clients.
pub const LISTENERS_MAX: usize = CLIENT_FIRST - TCP_FIRST;
/// Far above every client.
pub const SCRAPE_FIRST: usize = usize::MAX / 2;
/// Read from one client before the next has its turn, bytes.
const READ_BYTES: usize = 64 << 10;
const EVENTS_MAX: usize = 1024;
/// How often clients are looked at that say nothing.
const TICK: Duration = Duration::from_millis(100);
/// How long a stop waits for clients to read their replies.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Everything that the loop looks after.
pub struct Loop {
    pub server: Server,
    spin: Spin,
    pub poll: Poll,
    pub listeners: Listeners,
    signals: UnixStream,
    pub connections: Slab<Connection>,
    pub scrapes: Slab<Scrape>,
    /// Clients to read from in this turn.
    ready: Vec<usize>,
    buffer: Vec<u8>,
    parser: Parser,
    last_tick: Instant,
}

/// Serves until a byte comes through `signals`, or SHUTDOWN; then everything is sent, synced and closed.
pub fn serve(
    store: Arc<Store>,
    settings: Settings,
    events: &str,
    listeners: Listeners,
    signals: std::os::unix::net::UnixStream,
) -> Result<(), String> {
    signals.set_nonblocking(true).map_err(|error| format!("signals: {error}"))?;
    let mut serving = Loop {
        spin: Spin::new(settings.spin_max),
        server: Server::new(Arc::clone(&store), settings),
        poll: Poll::new().map_err(|error| format!("epoll: {error}"))?,
        listeners,
        signals: UnixStream::from_std(signals),
        connections: Slab::new(),
        scrapes: Slab::new(),
        ready: Vec::new(),
        buffer: vec![0; READ_BYTES],
        parser: Parser::default(),
        last_tick: Instant::now(),
    };
    let found = (store.len(), store.stats());
    if let (Ok(keys), Ok(stats)) = found {
        serving.server.log.info(format_args!("{keys} keys in {} bytes", stats.file_bytes));
    }
    commands::config::set_by_name(&mut serving.server, "notify-keyspace-events", events.as_bytes())?;
    serving.register().map_err(|error| format!("epoll: {error}"))?;
    let outcome = serving.run();
    if outcome.is_ok() {
        // Otherwise replies may be waiting that nothing vouches for.
        serving.drain();
    }
    let log = Log::new(serving.server.settings.log_level);
    log.info(format_args!("{} clients are closed", serving.connections.len()));
    drop(serving);
    let synced = store.sync();
    let closed = store.close();
    let outcome = outcome
        .and(synced.map_err(|error| format!("the last sync failed: {error}")))
        .and(closed.map_err(|error| format!("closing the store failed: {error}")));
    match &outcome {
        Ok(()) => log.info("the store is synced and closed"),
        Err(why) => log.error(why),
    }
    outcome
}

impl Loop {
    fn register(&mut self) -> io::Result<()> {
        let registry = self.poll.registry();
        registry.register(&mut self.signals, SIGNAL, Interest::READABLE)?;
        if let Some((listener, _)) = &mut self.listeners.unix {
            registry.register(listener, UNIX, Interest::READABLE)?;
        }
        for (i, (listener, _)) in self.listeners.tcp.iter_mut().enumerate() {
            registry.register(listener, Token(TCP_FIRST + i), Interest::READABLE)?;
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), String> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.server.is_stopping {
            let timeout = if self.ready.is_empty() { self.rest() } else { Duration::ZERO };
            match self.spin.poll(&mut self.poll, &mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(format!("epoll: {error}")),
                _ => {}
            }
            self.server.clock_at = Instant::now();
            for event in &events {
                match event.token() {
                    SIGNAL => {
                        let mut bytes = [0; 16];
                        if self.signals.read(&mut bytes).is_ok_and(|len| len > 0) {
                            self.server.is_stopping = true;
                            let number = self.server.settings.signal_sent.load(Ordering::Relaxed);
                            let name =
                                if number == signal_hook::consts::SIGINT as usize { "SIGINT" } else { "SIGTERM" };
                            self.server.log.info(format_args!("stopping: {name} was sent"));
                        }
                    }
                    UNIX => self.accept_unix(),
                    Token(number) if number < CLIENT_FIRST => self.accept_tcp(number - TCP_FIRST),
                    Token(number) if number >= SCRAPE_FIRST => self.step_scrape(number - SCRAPE_FIRST),
                    Token(number) => {
                        let client = number - CLIENT_FIRST;
                        if event.is_writable() {
                            self.server.touched.push(client);
                        }
                        if event.is_readable() || event.is_error() {
                            self.queue(client, event.is_read_closed());
                        }
                    }
                }
            }
            self.turn()?;
        }
        Ok(())
    }

    /// How long nothing needs to be done unless somebody says something.
    fn rest(&self) -> Duration {
        let due = self.server.expiries.as_ref().and_then(|expiries| expiries.next_ms());
        let now_ms = || self.server.store.now_ms().unwrap_or(0);
        due.map_or(TICK, |due_ms| TICK.min(Duration::from_millis(due_ms.saturating_sub(now_ms()))))
    }

    /// Has the client read from in this turn.
    fn queue(&mut self, client: usize, is_ending: bool) {
        let Some(connection) = self.connections.get_mut(client) else { return };
        connection.is_ending |= is_ending;
        if !connection.is_queued {
            connection.is_queued = true;
            self.ready.push(client);
        }
    }

    /// Reads and carries out, makes it durable, sends.
    fn turn(&mut self) -> Result<(), String> {
        let ready = std::mem::take(&mut self.ready);
        for client in &ready {
            let Some(connection) = self.connections.get_mut(*client) else { continue };
            connection.is_queued = false;
            let left = connection.read(*client, &mut self.server, &mut self.buffer, &mut self.parser);
            let has_more = connection.has_more;
            match left {
                Left::Closed => self.close(*client),
                Left::Open => {
                    self.server.touched.push(*client);
                    if has_more {
                        self.queue(*client, false);
                    }
                }
            }
        }
        // The list goes back, so that its room is used again.
        if self.ready.is_empty() {
            self.ready = ready;
            self.ready.clear();
        }
        self.server.announce_expired().map_err(|error| error.to_string())?;
        if self.server.is_unsynced {
            self.server.is_unsynced = false;
            if self.server.settings.is_always {
                // What this turn's replies would acknowledge is not durable, and no later sync proves that it is.
                self.server
                    .store
                    .sync()
                    .map_err(|error| format!("the sync failed, nothing is acknowledged: {error}"))?;
            }
        }
        self.send();
        self.tick();
        Ok(())
    }

    fn send(&mut self) {
        let mut touched = std::mem::take(&mut self.server.touched);
        for client in touched.drain(..) {
            let Some(connection) = self.connections.get_mut(client) else { continue };
            let session = &self.server.sessions[client];
            let is_listener = session.is_monitor || session.subscription_count() > 0;
            let waited = connection.waits_for_room;
            match connection.send(client, &mut self.server) {
                Left::Closed => self.close(client),
                Left::Open => {
                    if is_listener && connection.unsent_bytes() > self.server.settings.unread_messages_bytes_max {
                        let (addr, bytes) = (&self.server.sessions[client].addr, connection.unsent_bytes());
                        self.server
                            .log
                            .warn(format_args!("{addr} is closed: it listens and has not read {bytes} bytes"));
                        self.close(client);
                        continue;
                    }
                    let is_to_go_on = connection.is_held && connection.unsent_bytes() == 0;
                    if connection.waits_for_room != waited {
                        self.watch_room(client);
                    }
                    if is_to_go_on {
                        self.queue(client, false);
                    }
                }
            }
        }
        // Messages to others may have been sent meanwhile; the buffer is kept for its room.
        if self.server.touched.is_empty() {
            self.server.touched = touched;
        }
    }

    /// Has the loop told of room in the socket, or not any more.
    fn watch_room(&mut self, client: usize) {
        let Some(connection) = self.connections.get_mut(client) else { return };
        let interest =
            if connection.waits_for_room { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let token = Token(CLIENT_FIRST + client);
        if connection.socket.reregister(self.poll.registry(), token, interest).is_err() {
            self.close(client);
        }
    }

    fn close(&mut self, client: usize) {
        if let Some(mut connection) = self.connections.try_remove(client) {
            connection.socket.end();
            // The socket is closed with the connection in any case.
            let _ = connection.socket.deregister(self.poll.registry());
            if let Some(session) = self.server.sessions.get(client) {
                self.server.log.debug(format_args!("client {} from {} left", session.id, session.addr));
            }
            self.server.leave(client);
        }
    }

    /// What is done now and then.
    fn tick(&mut self) {
        if self.server.clock_at.duration_since(self.last_tick) < TICK {
            return;
        }
        self.last_tick = self.server.clock_at;
        // An accept that failed for want of file descriptors is not announced again.
        self.accept_unix();
        (0..self.listeners.tcp.len()).for_each(|number| self.accept_tcp(number));
        let idle_max = self.server.settings.idle_max;
        if !idle_max.is_zero() {
            let now = self.server.clock_at;
            let is_idle = |session: &super::session::Session| {
                !session.is_monitor
                    && session.subscription_count() == 0
                    && now.duration_since(session.last_at) > idle_max
            };
            let idle: Vec<usize> =
                self.server.sessions.iter().filter(|(_, session)| is_idle(session)).map(|(client, _)| client).collect();
            idle.into_iter().for_each(|client| self.close(client));
        }
        self.end_scrapes();
        self.server.buffer_bytes = self.connections.iter().map(|(_, connection)| connection.buffer_bytes()).sum();
    }

    /// Sends what is owed, for a while, and closes everything.
    fn drain(&mut self) {
        let deadline = Instant::now() + DRAIN_MAX;
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            self.server.touched.extend(self.connections.iter().map(|(client, _)| client));
            self.send();
            let owes = self.connections.iter().any(|(_, connection)| connection.unsent_bytes() > 0);
            if !owes || Instant::now() >= deadline || self.poll.poll(&mut events, Some(TICK)).is_err() {
                return;
            }
        }
    }
}
