//! `larder serve`: a store for other processes, in the Redis protocol.
//!
//! Not here: serving (`server`). This opens the store and the sockets, and refuses what would be unsafe.

use crate::server::{self, Listeners, Settings};
use clap::Args;
use larder::{Options, Store, SyncMode};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// File descriptors besides those of clients.
const DESCRIPTORS_SPARE: u64 = 256;

/// Serve a store to Redis clients, over a Unix socket, TCP, or both.
///
/// Speaks RESP2, RESP3 and plain lines, so that redis-cli and every Redis client work. SIGTERM and SIGINT end it:
/// what clients are owed is sent, the store is synced and closed.
#[derive(Args)]
pub struct Serve {
    /// The store's directory; made if it is not there.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Listen at this path; only its owner can connect.
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// Listen at this address, as 127.0.0.1:6379. Anything but loopback needs a password.
    #[arg(long, value_name = "ADDR:PORT")]
    tcp: Vec<SocketAddr>,
    /// The password that clients must give (AUTH). Other processes can see it: better give a file.
    #[arg(long, value_name = "PASSWORD", conflicts_with = "requirepass_file")]
    requirepass: Option<String>,
    /// A file whose first line is the password.
    #[arg(long, value_name = "FILE")]
    requirepass_file: Option<PathBuf>,
    /// When a write that was answered is on the disk: always, interval:<ms> or none.
    #[arg(long, value_name = "MODE", default_value = "always")]
    sync: String,
    /// More options of the store, as name=value (segment_size, max_size, verify_reads, compaction).
    #[arg(long = "option", value_name = "NAME=VALUE")]
    options: Vec<String>,
    /// Most clients at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    maxclients: usize,
    /// Close clients that have said nothing for this long; 0 for never.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    timeout: u64,
    /// Which keyspace events are published, in Redis's letters, as KEA.
    #[arg(long, value_name = "LETTERS", default_value = "")]
    notify_keyspace_events: String,
    /// End scripts that run longer than this.
    #[arg(long, value_name = "MS", default_value_t = 5_000)]
    script_time_max: u64,
    /// Look for requests so long before sleeping, while clients ask quickly; 0 for never.
    #[arg(long, value_name = "US", default_value_t = 50)]
    spin: u64,
}

impl Serve {
    pub fn run(self) -> Result<(), String> {
        let password = self.password()?;
        self.check_listeners(password.is_some())?;
        let (options, is_always, sync_interval) = self.store_options()?;
        // Before any thread is there: the mode of new files is the process's.
        let listeners = self.listen()?;
        raise_descriptor_limit(self.maxclients);
        let (signals, wake) = UnixStream::pair().map_err(|error| format!("a pair of sockets: {error}"))?;
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            let wake = wake.try_clone().map_err(|error| format!("signals: {error}"))?;
            signal_hook::low_level::pipe::register(signal, wake).map_err(|error| format!("signals: {error}"))?;
        }
        let store = Store::open(&self.dir, &options).map_err(|error| format!("{}: {error}", self.dir.display()))?;
        let settings = Settings {
            is_always,
            sync_interval,
            password,
            clients_max: self.maxclients,
            idle_max: Duration::from_secs(self.timeout),
            script_max: Duration::from_millis(self.script_time_max),
            spin_max: Duration::from_micros(self.spin),
            port: self.tcp.first().map_or(0, SocketAddr::port),
            unix_path: self.unix.as_ref().map_or_else(String::new, |path| path.display().to_string()),
            directory: self.dir.display().to_string(),
            ..Settings::default()
        };
        for listener in &listeners.tcp {
            if let Ok(addr) = listener.local_addr() {
                println!("serving {} on {addr}", self.dir.display());
            }
        }
        if let Some((_, path)) = &listeners.unix {
            println!("serving {} on {}", self.dir.display(), path.display());
        }
        server::serve(Arc::new(store), settings, &self.notify_keyspace_events, listeners, signals)
    }

    fn password(&self) -> Result<Option<Vec<u8>>, String> {
        let password = match (&self.requirepass, &self.requirepass_file) {
            (Some(password), _) => password.clone().into_bytes(),
            (None, Some(path)) => {
                let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
                text.split(|b| *b == b'\n').next().unwrap_or_default().to_vec()
            }
            (None, None) => return Ok(None),
        };
        if password.is_empty() {
            return Err("the password is empty".into());
        }
        Ok(Some(password))
    }

    fn check_listeners(&self, has_password: bool) -> Result<(), String> {
        if self.unix.is_none() && self.tcp.is_empty() {
            return Err("nothing to listen at: give --unix PATH, --tcp ADDR:PORT, or both".into());
        }
        match self.tcp.iter().find(|addr| !addr.ip().is_loopback()) {
            Some(addr) if !has_password => Err(format!(
                "{addr} can be reached from other machines, and there is no password: give --requirepass-file FILE, or listen at 127.0.0.1"
            )),
            _ => Ok(()),
        }
    }

    /// The store's options. In mode `always` the server makes the syncs itself, one for all that a turn wrote
    /// (docs/decisions/0015-one-loop.md), so the store is not to sync each write as well.
    fn store_options(&self) -> Result<(Options, bool, Option<Duration>), String> {
        let mut options = Options::default();
        let set = |options: &mut Options, name: &str, value: &str| {
            options.set(name, value).map_err(|error| error.to_string())
        };
        set(&mut options, "sync", &self.sync)?;
        for option in &self.options {
            let (name, value) = option.split_once('=').ok_or_else(|| format!("{option} is not name=value"))?;
            if matches!(name, "sync" | "read_only") {
                return Err(format!("{name} is not to be given as an option"));
            }
            set(&mut options, name, value)?;
        }
        let is_always = options.sync == SyncMode::Always;
        let interval = if let SyncMode::Interval(interval) = options.sync { Some(interval) } else { None };
        if is_always {
            options.sync = SyncMode::None;
        }
        Ok((options, is_always, interval))
    }

    fn listen(&self) -> Result<Listeners, String> {
        let mut listeners = Listeners::default();
        if let Some(path) = &self.unix {
            listeners.unix = Some((server::listen_unix(path)?, path.clone()));
        }
        for addr in &self.tcp {
            listeners.tcp.push(server::listen_tcp(*addr)?);
        }
        Ok(listeners)
    }
}

/// As many descriptors as clients may come, if the system gives them; with fewer, later clients wait.
fn raise_descriptor_limit(client_count: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = client_count as u64 + DESCRIPTORS_SPARE;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let current = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum });
    }
}
