//! fjall.

use super::{Durability, Engine, Key};
use fjall::{Config, Keyspace, PartitionCreateOptions, PartitionHandle, PersistMode};
use std::path::Path;

pub struct Fjall {
    keyspace: Keyspace,
    pairs: PartitionHandle,
    durability: Durability,
}

impl Fjall {
    pub fn open(directory: &Path, durability: Durability) -> Self {
        let keyspace = Config::new(directory.join("db")).cache_size(1 << 30).open().unwrap();
        let options = PartitionCreateOptions::default().compression(fjall::CompressionType::None);
        let pairs = keyspace.open_partition("pairs", options).unwrap();
        Self { keyspace, pairs, durability }
    }

    fn settle(&self) {
        if self.durability == Durability::Power {
            self.keyspace.persist(PersistMode::SyncData).unwrap();
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

    fn batch(&self, pairs: &[(Key, Vec<u8>)]) {
        let mut batch = self.keyspace.batch();
        for (key, value) in pairs {
            batch.insert(&self.pairs, key.as_slice(), value.as_slice());
        }
        batch.commit().unwrap();
        self.settle();
    }

    fn close(self: Box<Self>) {
        self.keyspace.persist(PersistMode::SyncAll).unwrap();
    }
}
