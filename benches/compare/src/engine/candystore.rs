//! candystore: the closest design, an append log under a mapped hash index.

use super::{Durability, Engine, locked_version};
use crate::data::{Key, VALUE_LEN};
use candystore::{CandyStore, Config};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longer values are kept in chunks, by other calls.
const INLINE_LEN_MAX: usize = 65_000;

pub fn about() -> String {
    format!(
        "candystore {}; checkpoints only at the end, compaction at any rate, a thread each; a batch is one call a key (there is none)",
        locked_version("candystore")
    )
}

pub struct Candy {
    store: CandyStore,
    has_big: AtomicBool,
}

impl Candy {
    pub fn open(directory: &Path, _durability: Durability) -> Self {
        let config = Config {
            compaction_throughput_bytes_per_sec: 1 << 30,
            checkpoint_interval: None,
            checkpoint_delta_bytes: None,
            ..Config::default()
        };
        let store = CandyStore::open(directory.join("db"), config).unwrap();
        Self { store, has_big: AtomicBool::new(false) }
    }
}

impl Engine for Candy {
    fn set(&self, key: &[u8], value: &[u8]) {
        if value.len() > INLINE_LEN_MAX {
            self.has_big.store(true, Ordering::Relaxed);
            self.store.set_big(key, value).unwrap();
        } else {
            self.store.set(key, value).unwrap();
        }
    }

    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        let value = match self.has_big.load(Ordering::Relaxed) {
            true => self.store.get_big(key).unwrap(),
            false => self.store.get(key).unwrap(),
        };
        value.is_some_and(|value| {
            out.extend_from_slice(&value);
            true
        })
    }

    fn del(&self, key: &[u8]) -> bool {
        self.store.remove(key).unwrap().is_some()
    }

    fn batch(&self, pairs: &[(Key, [u8; VALUE_LEN])]) {
        pairs.iter().for_each(|(key, value)| self.set(key, value));
    }

    fn close(self: Box<Self>) {
        self.store.checkpoint().unwrap();
    }
}
