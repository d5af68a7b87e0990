//! A sharded hash map in memory: what an engine would cost if it kept nothing.

use super::{Engine, Key};
use std::collections::HashMap;
use std::sync::RwLock;

const SHARD_COUNT: usize = 64;
type Shard = RwLock<HashMap<Box<[u8]>, Box<[u8]>>>;

pub struct Map(Vec<Shard>);

impl Map {
    pub fn new() -> Self {
        Self((0..SHARD_COUNT).map(|_| RwLock::default()).collect())
    }

    fn shard(&self, key: &[u8]) -> &Shard {
        &self.0[usize::from(key[0]) % SHARD_COUNT]
    }
}

impl Engine for Map {
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

    fn batch(&self, pairs: &[(Key, Vec<u8>)]) {
        pairs.iter().for_each(|(key, value)| self.set(key, value));
    }

    fn close(self: Box<Self>) {}
}
