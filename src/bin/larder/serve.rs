//! `larder serve`: a store for other processes, in the Redis protocol.
//!
//! Not here: serving (`server`). This opens the store and the sockets, and refuses what would be unsafe.

use crate::failure::{Exit, Failure, Outcome};
use crate::server::{self, Level, Listeners, Log, Protocol, Settings};
use clap::Args;
use larder::{Options, Store, SyncMode};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// File descriptors besides those of clients.
const DESCRIPTORS_SPARE: u64 = 256;

const EXAMPLES: &str = "\
Examples:
  larder serve --dir pantry --unix /run/user/1000/larder.sock
  larder serve --dir pantry --tcp 127.0.0.1:6379 --sync interval:100 --option max_size=10GiB
  larder serve --dir pantry --tcp 0.0.0.0:6379 --requirepass-file password";

/// Serve a store to Redis clients, over a Unix socket, TCP, or both.
///
/// Speaks RESP2, RESP3 and plain lines, so that redis-cli and every Redis client work. SIGTERM and SIGINT end it:
/// what clients are owed is sent, the store is synced and closed.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Serve {
    /// The store's directory; made if it is not there.
    #[arg(long, short = 'd', value_name = "DIR", env = "LARDER_DIR", hide_env_values = true)]
    dir: PathBuf,
    /// Listen at this path; only its owner can connect.
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// Listen at this address, as 127.0.0.1:6379. Anything but loopback needs a password.
    #[arg(long, value_name = "ADDR:PORT")]
    tcp: Vec<SocketAddr>,
    /// Listen for TLS at this address. Anything but loopback needs a password or --tls-ca.
    #[arg(long, value_name = "ADDR:PORT", requires = "tls_cert", requires = "tls_key")]
    tls: Vec<SocketAddr>,
    /// The server's certificate, and those between it and its authority (PEM).
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Clients need a certificate that one of these authorities has signed (PEM).
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_ca: Option<PathBuf>,
    /// Answer scrapes at this address: http://ADDR:PORT/metrics, in Prometheus's text format, for anybody who can reach it.
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
    /// Let --metrics be an address that other machines can reach.
    #[arg(long, requires = "metrics")]
    metrics_public: bool,
    /// What is told on standard error.
    #[arg(long, value_name = "LEVEL", value_enum, default_value = "info")]
    log_level: Level,
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
    pub fn run(self) -> Outcome {
        let io = |sentence| Failure::new(Exit::Io, sentence);
        let password = self.password()?;
        self.check_listeners(password.is_some()).map_err(Failure::usage)?;
        let (options, is_always, sync_interval) = self.store_options().map_err(Failure::usage)?;
        // Before any thread is there: the mode of new files is the process's.
        let listeners = self.listen().map_err(io)?;
        raise_descriptor_limit(self.maxclients);
        let (signals, wake) = UnixStream::pair().map_err(|error| Failure::io("a pair of sockets", &error))?;
        let signal_sent = Arc::new(AtomicUsize::new(0));
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            let wake = wake.try_clone().map_err(|error| Failure::io("signals", &error))?;
            // Which one is noted before the loop is woken.
            signal_hook::flag::register_usize(signal, Arc::clone(&signal_sent), signal.unsigned_abs() as usize)
                .map_err(|error| Failure::io("signals", &error))?;
            signal_hook::low_level::pipe::register(signal, wake).map_err(|error| Failure::io("signals", &error))?;
        }
        let store = Store::open(&self.dir, &options).map_err(|error| Failure::from(error).about(self.dir.display()))?;
        let settings = Settings {
            is_always,
            sync_interval,
            password,
            clients_max: self.maxclients,
            idle_max: Duration::from_secs(self.timeout),
            script_max: Duration::from_millis(self.script_time_max),
            log_level: self.log_level,
            signal_sent,
            spin_max: Duration::from_micros(self.spin),
            port: self.tcp.first().map_or(0, SocketAddr::port),
            unix_path: self.unix.as_ref().map_or_else(String::new, |path| path.display().to_string()),
            directory: self.dir.display().to_string(),
            ..Settings::default()
        };
        let log = Log::new(self.log_level);
        log.info(self.describe(&settings));
        for place in self.places(&listeners) {
            println!("serving {} on {place}", self.dir.display());
            log.info(format_args!("listening on {place}"));
        }
        server::serve(Arc::new(store), settings, &self.notify_keyspace_events, listeners, signals).map_err(io)?;
        Ok(Exit::Done)
    }

    /// What it was started with, in a line.
    fn describe(&self, settings: &Settings) -> String {
        let password = if settings.password.is_some() { "asked for" } else { "none" };
        let options = if self.options.is_empty() { "none".to_owned() } else { self.options.join(" ") };
        format!(
            "larder {} serves {}, process {}; sync {}, options of the store {options}, password {password}, clients at most {}, \
             spin {} µs, scripts at most {} ms",
            env!("CARGO_PKG_VERSION"),
            self.dir.display(),
            std::process::id(),
            self.sync,
            self.maxclients,
            self.spin,
            self.script_time_max,
        )
    }

    /// Where it listens, as a client would name it.
    fn places(&self, listeners: &Listeners) -> Vec<String> {
        let mut places = Vec::new();
        for (listener, protocol) in &listeners.tcp {
            let Ok(addr) = listener.local_addr() else { continue };
            places.push(match protocol {
                Protocol::Plain => addr.to_string(),
                Protocol::Tls => format!("{addr} (TLS)"),
                Protocol::Metrics => format!("http://{addr}/metrics"),
            });
        }
        places.extend(listeners.unix.iter().map(|(_, path)| path.display().to_string()));
        places
    }

    fn password(&self) -> Result<Option<Vec<u8>>, Failure> {
        let password = match (&self.requirepass, &self.requirepass_file) {
            (Some(password), _) => password.clone().into_bytes(),
            (None, Some(path)) => {
                let text = std::fs::read(path).map_err(|error| Failure::io(path.display(), &error))?;
                text.split(|b| *b == b'\n').next().unwrap_or_default().to_vec()
            }
            (None, None) => return Ok(None),
        };
        if password.is_empty() {
            return Err(Failure::usage("the password is empty"));
        }
        Ok(Some(password))
    }

    fn check_listeners(&self, has_password: bool) -> Result<(), String> {
        if self.unix.is_none() && self.tcp.is_empty() && self.tls.is_empty() {
            return Err("nothing to listen at: give --unix PATH, --tcp ADDR:PORT, --tls ADDR:PORT, or several".into());
        }
        if self.tcp.len() + self.tls.len() >= server::LISTENERS_MAX {
            return Err(format!("more than {} addresses to listen at", server::LISTENERS_MAX - 1));
        }
        let others_reach = |addr: &&SocketAddr| !addr.ip().is_loopback();
        if let Some(addr) = self.tcp.iter().find(others_reach)
            && !has_password
        {
            return Err(format!(
                "{addr} can be reached from other machines, and there is no password: give --requirepass-file FILE, or listen at 127.0.0.1"
            ));
        }
        if let Some(addr) = self.tls.iter().find(others_reach)
            && !has_password
            && self.tls_ca.is_none()
        {
            return Err(format!(
                "{addr} can be reached from other machines, and there is no password and no --tls-ca: give one of them, or listen at 127.0.0.1"
            ));
        }
        match self.metrics.iter().find(others_reach) {
            Some(addr) if !self.metrics_public => Err(format!(
                "{addr} can be reached from other machines, and metrics ask for no password: give --metrics-public if that is wanted"
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
            options.acknowledged_by_sync = true;
        }
        Ok((options, is_always, interval))
    }

    fn listen(&self) -> Result<Listeners, String> {
        let mut listeners = Listeners::default();
        if let Some(path) = &self.unix {
            listeners.unix = Some((server::listen_unix(path)?, path.clone()));
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            listeners.tls = Some(server::tls_config(cert, key, self.tls_ca.as_deref())?);
        }
        let addresses = [
            (&self.tcp[..], Protocol::Plain),
            (&self.tls, Protocol::Tls),
            (self.metrics.as_slice(), Protocol::Metrics),
        ];
        for (addresses, protocol) in addresses {
            for addr in addresses {
                listeners.tcp.push((server::listen_tcp(*addr)?, protocol));
            }
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
