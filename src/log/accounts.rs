//! What is live: bytes per segment, keys in all, and how many of them expire in which second.
//!
//! Every change of the index goes through here once, by whoever holds the key's stripe. The figures
//! decide when to compact and what `len` answers; nothing is ever dropped on their word (R3).
//!
//! Locks: one per shard of the expiring counts, held for one map operation.

use super::Segment;
use crate::format::record::Head;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

const SHARD_COUNT: usize = 16;

/// The books of one store.
pub struct Accounts {
    live_count: AtomicI64,
    live_bytes: AtomicI64,
    expired_count: AtomicU64,
    /// Live records by the second in which their time is over: `expires_at_ms` rounded up.
    expiring: [Mutex<BTreeMap<u64, u64>>; SHARD_COUNT],
}

impl Default for Accounts {
    fn default() -> Self {
        Self::new()
    }
}

impl Accounts {
    /// Nothing is live.
    pub fn new() -> Self {
        Self {
            live_count: AtomicI64::new(0),
            live_bytes: AtomicI64::new(0),
            expired_count: AtomicU64::new(0),
            expiring: std::array::from_fn(|_| Mutex::new(BTreeMap::new())),
        }
    }

    fn shard(&self, head: &Head) -> &Mutex<BTreeMap<u64, u64>> {
        &self.expiring[(head.seqno % SHARD_COUNT as u64) as usize]
    }

    /// The record has become its key's present one.
    #[inline]
    pub fn record_lives(&self, segment: &Segment, head: &Head) {
        let len = head.record_len();
        segment.add_live(len, head.expires_at_ms);
        self.live_count.fetch_add(1, Ordering::Relaxed);
        self.live_bytes.fetch_add(len as i64, Ordering::Relaxed);
        if head.expires_at_ms != 0 {
            *self.shard(head).lock().entry(head.expires_at_ms.div_ceil(1_000)).or_insert(0) += 1;
        }
    }

    /// The record no longer is its key's present one.
    #[inline]
    pub fn record_dies(&self, segment: &Segment, head: &Head) {
        let len = head.record_len();
        segment.sub_live(len);
        self.live_count.fetch_sub(1, Ordering::Relaxed);
        self.live_bytes.fetch_sub(len as i64, Ordering::Relaxed);
        if head.expires_at_ms != 0 {
            let mut shard = self.shard(head).lock();
            let second = head.expires_at_ms.div_ceil(1_000);
            if let Some(count) = shard.get_mut(&second) {
                *count -= 1;
                if *count == 0 {
                    shard.remove(&second);
                }
            }
        }
    }

    /// Like `record_dies`, because the record's time was over.
    pub fn record_expires(&self, segment: &Segment, head: &Head) {
        self.record_dies(segment, head);
        self.expired_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Keys that are live at `now_ms`; one whose time is over may be counted for less than a second more.
    pub fn live_count(&self, now_ms: u64) -> u64 {
        let is_over = now_ms / 1_000;
        let expired: u64 = self.expiring.iter().map(|s| s.lock().range(..=is_over).map(|(_, n)| n).sum::<u64>()).sum();
        (self.live_count.load(Ordering::Relaxed).max(0) as u64).saturating_sub(expired)
    }

    /// How many of the live keys will expire.
    pub fn expiring_count(&self, now_ms: u64) -> u64 {
        let is_over = now_ms / 1_000;
        self.expiring.iter().map(|s| s.lock().range(is_over + 1..).map(|(_, n)| n).sum::<u64>()).sum()
    }

    /// Bytes of live records.
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes.load(Ordering::Relaxed).max(0) as u64
    }

    /// Keys removed so far because their time was over.
    pub fn expired_count(&self) -> u64 {
        self.expired_count.load(Ordering::Relaxed)
    }

    /// What a checkpoint keeps: the count of live records, their bytes, and (shard, second, count) of
    /// those that expire.
    pub fn export(&self) -> (u64, u64, Vec<[u64; 3]>) {
        let mut expiring = Vec::new();
        for (number, shard) in self.expiring.iter().enumerate() {
            expiring.extend(shard.lock().iter().map(|(second, count)| [number as u64, *second, *count]));
        }
        (self.live_count.load(Ordering::Relaxed).max(0) as u64, self.live_bytes(), expiring)
    }

    /// Takes over what `export` gave, into fresh books. The segments' own figures are theirs to restore.
    pub fn import(&self, live_count: u64, live_bytes: u64, expiring: &[[u64; 3]]) {
        self.live_count.store(live_count as i64, Ordering::Relaxed);
        self.live_bytes.store(live_bytes as i64, Ordering::Relaxed);
        for [shard, second, count] in expiring {
            self.expiring[(*shard % SHARD_COUNT as u64) as usize].lock().insert(*second, *count);
        }
    }
}
