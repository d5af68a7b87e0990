//! The server: one store, many clients, the Redis protocol.
//!
//! One thread waits for all sockets (`turn`) and carries out every command itself, to its end, before the next
//! (`execute`). So transactions and scripts are one step to everybody without a lock, and the store is never
//! waited for by one client while another could be served: its own threads do what takes long.
//!
//! A turn: read what has arrived, carry it out, sync once if the mode asks for it, then send all replies.
//! (docs/decisions/0015-one-loop.md.)
//!
//! Invariants:
//!   V1. In mode `always` no reply of a turn is sent before a sync that covers every write of it.
//!   V2. What a client is not reading is bounded; so is what it can make the server hold by half a request.
//!   V3. No command reads or writes a path that a client names.

mod accept;
mod calls;
mod commands;
mod connection;
mod execute;
mod expiries;
pub mod glob;
mod keyspace;
mod listener;
mod log;
mod metrics;
pub mod numbers;
mod pubsub;
mod reply;
mod request;
mod scrape;
mod session;
mod settings;
mod spin;
mod table;
mod tls;
mod together;
mod turn;
mod watch;
mod watching;

pub use listener::{Listeners, Protocol, listen_tcp, listen_unix};
pub use log::{Level, Log};
pub use settings::Settings;
pub use tls::config as tls_config;
pub use turn::{LISTENERS_MAX, serve};

use commands::scripts::Scripts;
use expiries::Expiries;
use larder::Store;
use pubsub::PubSub;
use session::{Closing, Session};
use slab::Slab;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use table::Table;
use watch::Watches;
use watching::{Counts, Latency, SlowLog};

/// Everything that commands work on.
pub struct Server {
    pub store: Arc<Store>,
    pub settings: Settings,
    pub log: Log,
    pub table: Table,
    pub sessions: Slab<Session>,
    /// Clients that were sent something, perhaps more than once.
    pub touched: Vec<usize>,
    pub pubsub: PubSub,
    pub monitors: Vec<usize>,
    pub watches: Watches,
    /// Only while somebody wants to hear of keys that expire.
    pub expiries: Option<Expiries>,
    pub scripts: Scripts,
    pub scans: commands::scan::Scans,
    pub slow: SlowLog,
    pub latency: Latency,
    pub stats: Counts,
    /// Something was written that no sync has covered yet.
    pub is_unsynced: bool,
    pub is_compacting: Arc<AtomicBool>,
    /// SHUTDOWN was carried out.
    pub is_stopping: bool,
    pub started_at: Instant,
    /// When the command before this one ended, or the turn began.
    pub clock_at: Instant,
    pub last_save_s: u64,
    /// What the connections' buffers took when they were last looked at.
    pub buffer_bytes: usize,
    next_id: u64,
}

impl Server {
    pub fn new(store: Arc<Store>, settings: Settings) -> Self {
        let now = Instant::now();
        let mut server = Self {
            store,
            log: Log::new(settings.log_level),
            settings,
            table: Table::new(),
            sessions: Slab::new(),
            touched: Vec::new(),
            pubsub: PubSub::default(),
            monitors: Vec::new(),
            watches: Watches::default(),
            expiries: None,
            scripts: Scripts::default(),
            scans: commands::scan::Scans::default(),
            slow: SlowLog::default(),
            latency: Latency::default(),
            stats: Counts::default(),
            is_unsynced: false,
            is_compacting: Arc::new(AtomicBool::new(false)),
            is_stopping: false,
            started_at: now,
            clock_at: now,
            last_save_s: watching::now_s(),
            buffer_bytes: 0,
            next_id: 1,
        };
        server.slow.threshold_us = server.settings.slow_threshold_us;
        server
    }

    /// What has passed since the command before this one ended, or the turn began; the next one's time begins.
    #[inline]
    pub fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let took = now.duration_since(self.clock_at);
        self.clock_at = now;
        took
    }

    /// A new client; its number.
    pub fn enter(&mut self, addr: String, local_addr: String) -> usize {
        let id = self.next_id;
        self.next_id += 1;
        self.stats.connections += 1;
        let is_authenticated = self.settings.password.is_none();
        self.sessions.insert(Session::new(id, addr, local_addr, is_authenticated, self.clock_at))
    }

    /// The client is gone: so is everything that it listened to or had begun.
    pub fn leave(&mut self, client: usize) {
        let Some(mut session) = self.sessions.try_remove(client) else { return };
        self.watches.forget(client, &mut session);
        for channel in &session.channels {
            PubSub::remove(&mut self.pubsub.channels, channel, client);
        }
        for pattern in &session.patterns {
            PubSub::remove(&mut self.pubsub.patterns, pattern, client);
        }
        self.monitors.retain(|other| *other != client);
    }

    /// Marks a client for closing, and has the loop look at it.
    pub fn close_client(&mut self, client: usize, closing: Closing) {
        if let Some(session) = self.sessions.get_mut(client) {
            session.close(closing);
            self.touched.push(client);
        }
    }

    /// Tells those who listen which keys have expired.
    pub fn announce_expired(&mut self) -> larder::Result<()> {
        if self.expiries.is_none() {
            return Ok(());
        }
        let now_ms = self.store.now_ms()?;
        while let Some(key) = self.expiries.as_mut().and_then(|expiries| expiries.pop(now_ms)) {
            self.stats.expired_events += 1;
            self.notify(keyspace::event::EXPIRED, "expired", &key);
        }
        Ok(())
    }
}
