//! What is compared: one trait, an implementation for each engine.
//!
//! Every engine is set up for the guarantee that a row names and, within that, as fast as its documentation knows how.

mod fjall;
mod larder;
mod lmdb;
mod map;
mod redb;
mod rocksdb;
mod sqlite;

use std::path::Path;

/// A key of the comparison: 16 hashed bytes.
pub type Key = [u8; 16];

/// What an acknowledged write has survived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// The death of the process, where the engine can; not a power cut.
    Process,
    /// A power cut.
    Power,
}

/// An engine, open. All methods may be called from several threads.
pub trait Engine: Sync {
    fn set(&self, key: &[u8], value: &[u8]);
    /// Appends the value to `out`; false if there is none.
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool;
    /// True if there was something to delete, or if the engine does not say.
    fn del(&self, key: &[u8]) -> bool;
    /// Sets all of them, or none.
    fn batch(&self, pairs: &[(Key, Vec<u8>)]);
    /// Appends the values of all keys; how many there are.
    fn get_many(&self, keys: &[Key], out: &mut Vec<u8>) -> usize {
        keys.iter().filter(|key| self.get(key.as_slice(), out)).count()
    }
    /// Runs `run` with a reader that keeps one snapshot, where the engine has such; false if it has not.
    fn with_snapshot(&self, _run: &mut dyn FnMut(&mut dyn FnMut(&[u8], &mut Vec<u8>) -> bool)) -> bool {
        false
    }
    /// Looks at the value without a copy: its length. `None` where the engine has no such call.
    fn view(&self, _key: &[u8]) -> Option<usize> {
        None
    }
    /// Bytes of memory that the engine itself says its index takes, if it does.
    fn index_bytes(&self) -> Option<u64> {
        None
    }
    fn close(self: Box<Self>);
}

/// Names of all engines, Larder first.
pub const NAMES: [&str; 7] = ["larder", "lmdb", "rocksdb", "redb", "fjall", "sqlite", "map"];

/// Opens the engine of this name in a directory of its own, which exists.
pub fn open(name: &str, directory: &Path, durability: Durability) -> Box<dyn Engine> {
    match name {
        "larder" => Box::new(larder::Larder::open(directory, durability)),
        "lmdb" => Box::new(lmdb::Lmdb::open(directory, durability)),
        "rocksdb" => Box::new(rocksdb::Rocks::open(directory, durability)),
        "redb" => Box::new(redb::Redb::open(directory, durability)),
        "fjall" => Box::new(fjall::Fjall::open(directory, durability)),
        "sqlite" => Box::new(sqlite::Sqlite::open(directory, durability)),
        "map" => Box::new(map::Map::new()),
        other => panic!("no engine {other}: there are {}", NAMES.join(", ")),
    }
}

/// Version and settings, for the tables.
pub fn about(name: &str) -> String {
    match name {
        "larder" => larder::about(),
        "lmdb" => lmdb::about(),
        "rocksdb" => rocksdb::about(),
        "redb" => "redb 2; unsynced rows: Durability::None; durable rows: Durability::Immediate, one transaction a write".into(),
        "fjall" => "fjall 2; unsynced rows: journal to the page cache; durable rows: persist(SyncData) after each write; 1 GiB of cache".into(),
        "sqlite" => sqlite::about(),
        "map" => "64 shards of RwLock<HashMap<Box<[u8]>, Box<[u8]>>> with the standard hasher; nothing on disk".into(),
        _ => String::new(),
    }
}

/// Whether the engine keeps anything after its process has ended.
pub fn is_persistent(name: &str) -> bool {
    name != "map"
}
