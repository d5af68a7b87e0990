//! Where `export` and `push` have their keys from: a store's directory, or a server.
//!
//! A store is opened read-only, so its keys are those of that moment. A server goes on meanwhile: each key is as it was when it
//! was read.

use crate::failure::Failure;
use crate::interchange::Walk;
use crate::place::{self, Access, Place};
use crate::rdb::payload::{self, Refusal};
use crate::remote::source::Source;
use crate::remote::{Address, Security};
use clap::Args;
use larder::Store;
use larder::store::VALUE_BYTES_MAX;
use std::path::PathBuf;
use std::time::Duration;

// No doc comments on structs that are flattened into commands: clap would make them the command's description.

#[derive(Args, Debug)]
pub struct Origin {
    /// The store's directory.
    #[arg(
        long,
        short = 'd',
        value_name = "DIR",
        env = "LARDER_DIR",
        hide_env_values = true,
        required_unless_present = "from"
    )]
    dir: Option<PathBuf>,
    /// An option of the store, as verify_reads=all; may be given several times.
    #[arg(long = "option", value_name = "NAME=VALUE")]
    options: Vec<String>,
    /// Read a server instead of a directory: unix:/path or redis://[user:password@]host:port[/database].
    #[arg(long, value_name = "SERVER")]
    from: Option<String>,
    /// A file whose first line is that server's password. Other processes can see one in an address.
    #[arg(long, value_name = "FILE", requires = "from")]
    from_password_file: Option<PathBuf>,
    /// Speak TLS to that server, as with rediss:// for redis://.
    #[arg(long, requires = "from")]
    from_tls: bool,
    /// Who signs that server's certificate (PEM), instead of those whom the system believes.
    #[arg(long, value_name = "FILE", requires = "from")]
    from_tls_ca: Option<PathBuf>,
    /// A certificate for a server that asks for one (PEM).
    #[arg(long, value_name = "FILE", requires = "from", requires = "from_tls_key")]
    from_tls_cert: Option<PathBuf>,
    /// The key of --from-tls-cert (PEM).
    #[arg(long, value_name = "FILE", requires = "from", requires = "from_tls_cert")]
    from_tls_key: Option<PathBuf>,
    /// Give up when a server has said nothing for so long.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

impl Origin {
    pub fn open(&self) -> Result<Opened, Failure> {
        match (&self.from, &self.dir) {
            (Some(from), _) => match Address::parse(from, self.from_password_file.as_deref(), self.security())? {
                Address::Server(info) => Ok(Opened::Server(Box::new(Source::open(&info, self.time_max())?))),
                Address::Cluster(_) => {
                    Err(Failure::usage("--from takes one server: name a cluster's nodes one after the other"))
                }
            },
            (None, Some(dir)) => {
                let place = Place { dir: dir.clone(), options: self.options.clone() };
                Ok(Opened::Store(place.open(Access::Read)?, place))
            }
            (None, None) => Err(Failure::usage("no store: give --dir DIR or --from SERVER")),
        }
    }

    fn security(&self) -> Security<'_> {
        let own = self.from_tls_cert.as_ref().zip(self.from_tls_key.as_ref());
        Security { is_asked_for: self.from_tls, ca: self.from_tls_ca.as_ref(), own }
    }

    /// How long a server may say nothing.
    pub fn time_max(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

pub enum Opened {
    Store(Store, Place),
    Server(Box<Source>),
}

/// A key with what it holds: a value, or a payload of DUMP, which may hold something else than a string.
pub struct Found {
    pub key: Vec<u8>,
    pub content: Content,
    /// Unix milliseconds, 0 without expiry.
    pub expires_at_ms: u64,
}

pub enum Content {
    Value(Vec<u8>),
    Payload(Vec<u8>),
}

impl Opened {
    /// About how many keys there are, and how many of them expire.
    pub fn counts(&mut self) -> Result<(u64, u64), Failure> {
        match self {
            Opened::Store(store, _) => Ok((store.len()?, store.expiring_len()?)),
            Opened::Server(source) => Ok((source.count()?, 0)),
        }
    }

    pub fn each(&mut self, mut take: impl FnMut(Found) -> Result<(), Failure>) -> Result<(), Failure> {
        match self {
            Opened::Store(store, place) => {
                let mut walk = Walk::new(store);
                while let Some(live) = walk.next().map_err(|error| place.failure(error))? {
                    let (key, content) = (live.key.into(), Content::Value(live.value));
                    take(Found { key, content, expires_at_ms: live.expires_at_ms })?;
                }
            }
            Opened::Server(source) => {
                while let Some(dumped) = source.next()? {
                    let (key, content) = (dumped.key, Content::Payload(dumped.payload));
                    take(Found { key, content, expires_at_ms: dumped.expires_at_ms })?;
                }
            }
        }
        Ok(())
    }

    pub fn close(self) -> Result<(), Failure> {
        match self {
            Opened::Store(store, place) => place::close(&store, &place.dir),
            Opened::Server(_) => Ok(()),
        }
    }
}

impl Content {
    /// As RESTORE takes it.
    pub fn into_payload(self) -> Vec<u8> {
        match self {
            Content::Value(value) => payload::encode(&value),
            Content::Payload(payload) => payload,
        }
    }

    /// The value, if it is a string.
    pub fn into_value(self) -> Result<Vec<u8>, Refusal> {
        match self {
            Content::Value(value) => Ok(value),
            Content::Payload(payload) => payload::decode(&payload, VALUE_BYTES_MAX, payload::VERSION_MAX),
        }
    }
}
