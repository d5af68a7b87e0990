//! What an operator can set, at the start or by CONFIG SET.

use super::log::Level;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// Longest key or value that a request may hold by default, bytes.
const BULK_BYTES_MAX: i64 = 512 << 20;

/// How the server behaves.
pub struct Settings {
    /// Replies wait for a sync (`sync=always`).
    pub is_always: bool,
    /// Between syncs, in mode `interval`.
    pub sync_interval: Option<Duration>,
    pub password: Option<Vec<u8>>,
    pub clients_max: usize,
    pub bulk_bytes_max: i64,
    /// Half of a request that a client may have sent at most, bytes.
    pub query_bytes_max: usize,
    /// What a client may ask for while it does not read what it was answered, bytes of requests.
    pub unread_bytes_max: usize,
    /// What a client may leave unread of what it listens to, bytes.
    pub unread_messages_bytes_max: usize,
    /// Clients idle for longer are closed; zero for never.
    pub idle_max: Duration,
    /// How long the loop looks for requests before it sleeps, while clients come quickly.
    pub spin_max: Duration,
    /// Scripts that run longer are ended.
    pub script_max: Duration,
    /// `notify-keyspace-events` as bits.
    pub events: u32,
    pub slow_threshold_us: i64,
    pub log_level: Level,
    /// The number of the signal that asked for the end, 0 before.
    pub signal_sent: Arc<AtomicUsize>,
    /// For INFO and CONFIG GET.
    pub port: u16,
    pub unix_path: String,
    pub directory: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            is_always: true,
            sync_interval: None,
            password: None,
            clients_max: 10_000,
            bulk_bytes_max: BULK_BYTES_MAX,
            query_bytes_max: 1 << 30,
            unread_bytes_max: 64 << 20,
            unread_messages_bytes_max: 32 << 20,
            idle_max: Duration::ZERO,
            spin_max: Duration::from_micros(50),
            script_max: Duration::from_secs(5),
            events: 0,
            slow_threshold_us: 10_000,
            log_level: Level::Info,
            signal_sent: Arc::default(),
            port: 0,
            unix_path: String::new(),
            directory: String::new(),
        }
    }
}
