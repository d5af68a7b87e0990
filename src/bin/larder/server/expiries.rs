//! Which keys expire when, for those who want to hear of it.
//!
//! The store lets keys expire on its own and tells nobody. Only while `notify-keyspace-events` asks for expired
//! events is this kept: every key that has an expiry, in order of time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

#[derive(Default)]
pub struct Expiries {
    /// Each key's present expiry; what the queue says besides is out of date.
    at_ms: HashMap<Vec<u8>, u64>,
    queue: BinaryHeap<Reverse<(u64, Vec<u8>)>>,
}

impl Expiries {
    /// The key expires then, or never (0), or is gone.
    pub fn note(&mut self, key: &[u8], expires_at_ms: u64) {
        if expires_at_ms == 0 {
            self.at_ms.remove(key);
        } else if self.at_ms.insert(key.to_vec(), expires_at_ms) != Some(expires_at_ms) {
            self.queue.push(Reverse((expires_at_ms, key.to_vec())));
        }
    }

    /// When the next key expires.
    pub fn next_ms(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse((at_ms, _))| *at_ms)
    }

    /// A key whose time is over at `now_ms`.
    pub fn pop(&mut self, now_ms: u64) -> Option<Vec<u8>> {
        while self.next_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            let Reverse((at_ms, key)) = self.queue.pop()?;
            if self.at_ms.get(&key) == Some(&at_ms) {
                self.at_ms.remove(&key);
                return Some(key);
            }
        }
        None
    }
}
