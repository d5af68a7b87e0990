//! fjall.

use super::{Durability, Engine, locked_version};
use crate::data::{Key, VALUE_LEN};
use fjall::config::{CompressionPolicy, HashRatioPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;

const CACHE_BYTES: u64 = 4 << 30;

pub fn about() -> String {
    format!(
        "fjall {}; 4 GiB of cache, no compression, hash index in data blocks, its own bloom filters; unsynced rows: journal persisted by hand (a kill may lose its buffer); rows of opening: journal to the page cache; durable rows: persist(SyncData) after each write",
        locked_version("fjall")
    )
}

pub struct Fjall {
    database: Database,
    pairs: Keyspace,
    durability: Durability,
}

impl Fjall {
    pub fn open(directory: &Path, durability: Durability) -> Self {
        let is_manual = durability != Durability::Process;
        let builder = Database::builder(directory.join("db")).cache_size(CACHE_BYTES);
        let database = builder.journal_compression(CompressionType::None).manual_journal_persist(is_manual);
        let database = database.open().unwrap();
        let options = move || {
            KeyspaceCreateOptions::default()
                .manual_journal_persist(is_manual)
                .data_block_hash_ratio_policy(HashRatioPolicy::all(8.0))
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
        };
        let pairs = database.keyspace("pairs", options).unwrap();
        Self { database, pairs, durability }
    }

    fn settle(&self) {
        if self.durability == Durability::Power {
            self.database.persist(PersistMode::SyncData).unwrap();
        }
    }
}

impl Engine for Fjall {
    fn set(&self, key: &[u8], value: &[u8]) {
        self.pairs.insert(key, value).unwrap();
        self.settle();
    }

    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        match self.pairs.get(key).unwrap() {
            Some(value) => {
                out.extend_from_slice(&value);
                true
            }
            None => false,
        }
    }

    fn del(&self, key: &[u8]) -> bool {
        self.pairs.remove(key).unwrap();
        self.settle();
        true
    }

    fn batch(&self, pairs: &[(Key, [u8; VALUE_LEN])]) {
        let mut batch = self.database.batch();
        for (key, value) in pairs {
            batch.insert(&self.pairs, key.as_slice(), value.as_slice());
        }
        batch.commit().unwrap();
        self.settle();
    }

    fn close(self: Box<Self>) {
        self.database.persist(PersistMode::SyncAll).unwrap();
    }
}
