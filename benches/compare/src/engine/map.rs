//! A sharded hash map in memory: what an engine would cost if it kept nothing.

use super::Engine;
use crate::data::{Key, VALUE_LEN};
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::RwLock;

const SHARD_COUNT: usize = 64;
type Shard<H> = RwLock<HashMap<Box<[u8]>, Box<[u8]>, H>>;

pub fn about(hasher: &str) -> String {
    format!("{SHARD_COUNT} shards of RwLock<HashMap<Box<[u8]>, Box<[u8]>>>, hasher: {hasher}; nothing on disk")
}

pub struct Map<H>(Vec<Shard<H>>);

impl<H: BuildHasher + Default> Map<H> {
    pub fn new() -> Self {
        Self((0..SHARD_COUNT).map(|_| RwLock::default()).collect())
    }

    fn shard(&self, key: &[u8]) -> &Shard<H> {
        &self.0[usize::from(key[0]) % SHARD_COUNT]
    }
}

impl<H: BuildHasher + Default + Send + Sync> Engine for Map<H> {
    fn set(&self, key: &[u8], value: &[u8]) {
        self.shard(key).write().unwrap().insert(key.into(), value.into());
    }

    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        match self.shard(key).read().unwrap().get(key) {
            Some(value) => {
                out.extend_from_slice(value);
                true
            }
            None => false,
        }
    }

    fn del(&self, key: &[u8]) -> bool {
        self.shard(key).write().unwrap().remove(key).is_some()
    }

    fn batch(&self, pairs: &[(Key, [u8; VALUE_LEN])]) {
        pairs.iter().for_each(|(key, value)| self.set(key, value));
    }

    fn close(self: Box<Self>) {}
}
