//! What is compared: one trait, an implementation for each engine.
//!
//! Every engine is set up for the guarantee that a row names and, within that, as fast as its documentation knows how.
//! Not here: what is done with them (`work`).

mod bare;
mod candystore;
mod fjall;
mod larder;
#[cfg(has_lmdb)]
mod lmdb;
mod map;
mod redb;
#[cfg(has_rocksdb)]
mod rocksdb;
#[cfg(has_sqlite3)]
mod sqlite;

use crate::data::{Key, VALUE_LEN};
use std::path::Path;

/// What an acknowledged write has survived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Nothing that costs time: an engine may keep it in memory of its own.
    Unsynced,
    /// The death of the process, where the engine can; not a power cut.
    Process,
    /// A power cut.
    Power,
}

/// Hands out a value by its key, appending; false if there is none.
pub type Get<'a> = dyn FnMut(&[u8], &mut Vec<u8>) -> bool + 'a;

/// An engine, open. All methods may be called from several threads.
pub trait Engine: Sync {
    fn set(&self, key: &[u8], value: &[u8]);
    /// Appends the value to `out`; false if there is none.
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool;
    /// True if there was something to delete, or if the engine does not say.
    fn del(&self, key: &[u8]) -> bool;
    /// Sets all of them, or none.
    fn batch(&self, pairs: &[(Key, [u8; VALUE_LEN])]);
    /// Appends the values of all keys; how many there are.
    fn get_many(&self, keys: &[Key], out: &mut Vec<u8>) -> usize {
        keys.iter().filter(|key| self.get(key.as_slice(), out)).count()
    }
    /// Runs `run` with a reader that keeps one snapshot, where the engine has such; false if it has not.
    fn with_snapshot(&self, _run: &mut dyn FnMut(&mut Get)) -> bool {
        false
    }
    /// Looks at the value's first byte without a copy: its length. `None` where the engine has no such call.
    fn view(&self, _key: &[u8]) -> Option<usize> {
        None
    }
    /// What the engine knows of itself, if it says.
    fn figures(&self) -> Option<Figures> {
        None
    }
    fn close(self: Box<Self>);
}

/// An engine's own figures.
pub struct Figures {
    /// Memory that the index takes.
    pub index_bytes: u64,
    /// Whole live records, heads and padding included.
    pub live_bytes: u64,
    /// The bytes on disk that its bound allows beyond a multiple of the live ones.
    pub slack_bytes: u64,
}

/// Names of all engines, Larder first; the last is no engine but what the machine can do.
pub const NAMES: [&str; 10] =
    ["larder", "lmdb", "rocksdb", "redb", "fjall", "sqlite", "candystore", "map", "map-siphash", "bare"];

/// Engines that keep what they are given, Larder apart.
pub const PERSISTENT_PEERS: [&str; 6] = ["lmdb", "rocksdb", "redb", "fjall", "sqlite", "candystore"];

/// Opens the engine of this name in a directory of its own, which exists.
pub fn open(name: &str, directory: &Path, durability: Durability) -> Box<dyn Engine> {
    match name {
        "larder" => Box::new(larder::Larder::open(directory, durability)),
        #[cfg(has_lmdb)]
        "lmdb" => Box::new(lmdb::Lmdb::open(directory, durability)),
        #[cfg(has_rocksdb)]
        "rocksdb" => Box::new(rocksdb::Rocks::open(directory, durability)),
        "redb" => Box::new(redb::Redb::open(directory, durability)),
        "fjall" => Box::new(fjall::Fjall::open(directory, durability)),
        #[cfg(has_sqlite3)]
        "sqlite" => Box::new(sqlite::Sqlite::open(directory, durability)),
        "candystore" => Box::new(candystore::Candy::open(directory, durability)),
        "map" => Box::new(map::Map::<foldhash::fast::RandomState>::new()),
        "map-siphash" => Box::new(map::Map::<std::hash::RandomState>::new()),
        "bare" => Box::new(bare::Bare::open(directory, durability)),
        other => panic!("no engine {other}: there are {}", NAMES.join(", ")),
    }
}

/// Why this build has not got an engine of that name, if so, and what to install.
pub fn why_missing(name: &str) -> Option<&'static str> {
    match name {
        #[cfg(not(has_lmdb))]
        "lmdb" => Some("lmdb.h was not found: apt-get install liblmdb-dev"),
        #[cfg(not(has_rocksdb))]
        "rocksdb" => Some("rocksdb/c.h was not found: apt-get install librocksdb-dev"),
        #[cfg(not(has_sqlite3))]
        "sqlite" => Some("sqlite3.h was not found: apt-get install libsqlite3-dev"),
        _ => None,
    }
}

/// Version and settings, for the document.
pub fn about(name: &str) -> String {
    match name {
        "larder" => larder::about(),
        #[cfg(has_lmdb)]
        "lmdb" => lmdb::about(),
        #[cfg(has_rocksdb)]
        "rocksdb" => rocksdb::about(),
        "redb" => redb::about(),
        "fjall" => fjall::about(),
        #[cfg(has_sqlite3)]
        "sqlite" => sqlite::about(),
        "candystore" => candystore::about(),
        "map" => map::about(&format!("foldhash {}, the fastest of the usual ones", locked_version("foldhash"))),
        "map-siphash" => map::about("SipHash, the standard library's own"),
        "bare" => bare::ABOUT.into(),
        other => why_missing(other).unwrap_or_default().into(),
    }
}

/// Whether it keeps anything after its process has ended.
pub fn is_persistent(name: &str) -> bool {
    name == "larder" || PERSISTENT_PEERS.contains(&name)
}

/// Whether the engine has that part: `bare` has only what the machine itself can do.
pub fn has_part(name: &str, part: &str) -> bool {
    match part {
        "durable" => is_persistent(name) && name != "candystore" || name == "bare",
        "open" => is_persistent(name),
        "large" => true,
        _ => name != "bare",
    }
}

/// The version of a crate that this package was built with.
fn locked_version(package: &str) -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let name = format!("name = \"{package}\"\nversion = \"");
    lock.split_once(name.as_str()).and_then(|(_, rest)| rest.split('"').next()).unwrap_or("of unknown version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_lock_file() {
        assert_eq!(locked_version("redb").split('.').next(), Some("4"));
        assert_eq!(locked_version("no such crate"), "of unknown version");
    }
}
