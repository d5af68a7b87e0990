//! What is live: records and bytes per segment, and how many expire in which second.
//!
//! Every change of the index goes through here once, by whoever holds the key's stripe. The figures
//! decide when to compact and what `len` answers; nothing is ever dropped on their word (R3).
//!
//! While a checkpoint copies the index, in the order of hashes, what becomes of keys that are copied already
//! is kept apart, in the second part of each segment's books. So the first part ends up as what the copy shows,
//! to the record.
//!
//! Invariants:
//!   AC1. A segment's figures are the sums of both parts.
//!   AC2. The boundary moves, and figures change, only under the stripe of the hash concerned. (The one change
//!        that is not made under a stripe follows a failure of the log, after which there is no checkpoint.)
//!
//! Locks: that of the list of segments, for a sum; one per part of a segment's books, held for one map operation.

use super::{Segment, Segments};
use crate::format::record::Head;
use crate::lock::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// The books of one store.
pub struct Accounts {
    segments: Segments,
    expired_count: AtomicU64,
    /// Keys with hashes below twice this are copied.
    copied: AtomicU64,
}

/// The books of one segment.
#[derive(Default)]
pub(super) struct SegmentBooks {
    /// What a copy of the index shows, or will; and what has happened since.
    parts: [Part; 2],
}

#[derive(Default)]
struct Part {
    live_count: AtomicI64,
    live_bytes: AtomicI64,
    /// Whether `expiring` was ever used.
    has_expiring: AtomicBool,
    /// Live records by the second in which their time is over: `expires_at_ms` rounded up.
    expiring: Mutex<BTreeMap<u64, i64>>,
}

impl Part {
    fn add(&self, count: i64, bytes: i64) {
        self.live_count.fetch_add(count, Ordering::Relaxed);
        self.live_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn add_expiring(&self, second: u64, count: i64) {
        let mut expiring = self.expiring.lock();
        self.has_expiring.store(true, Ordering::Relaxed);
        let sum = expiring.entry(second).or_insert(0);
        *sum += count;
        if *sum == 0 {
            expiring.remove(&second);
        }
    }

    /// Of the records whose time is over by this second.
    fn expired_count(&self, second: u64) -> i64 {
        if !self.has_expiring.load(Ordering::Relaxed) {
            return 0;
        }
        self.expiring.lock().range(..=second).map(|(_, count)| count).sum()
    }
}

impl SegmentBooks {
    fn add(&self, part: usize, head: &Head, sign: i64) {
        let part = &self.parts[part];
        part.add(sign, sign * head.record_len() as i64);
        if head.expires_at_ms != 0 {
            part.add_expiring(head.expires_at_ms.div_ceil(1_000), sign);
        }
    }

    /// Bytes of live records.
    pub(super) fn live_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.live_bytes.load(Ordering::Relaxed)).sum::<i64>().max(0) as u64
    }

    /// Live records whose time is not over by this second.
    fn live_count(&self, second: u64) -> i64 {
        self.parts.iter().map(|part| part.live_count.load(Ordering::Relaxed) - part.expired_count(second)).sum()
    }

    /// Live records whose time will be over after this second.
    fn expiring_count(&self, second: u64) -> i64 {
        let later = |part: &Part| part.expiring.lock().range(second + 1..).map(|(_, count)| *count).sum::<i64>();
        self.parts.iter().filter(|part| part.has_expiring.load(Ordering::Relaxed)).map(later).sum()
    }

    /// What happened since the copy belongs to what the next one will show.
    fn fold(&self) {
        let [copied, since] = &self.parts;
        copied.add(since.live_count.swap(0, Ordering::Relaxed), since.live_bytes.swap(0, Ordering::Relaxed));
        let expiring = std::mem::take(&mut *since.expiring.lock());
        expiring.into_iter().for_each(|(second, count)| copied.add_expiring(second, count));
    }

    /// Live records, their bytes, and (second, count) of those that expire, as the copy shows them.
    pub(super) fn export(&self) -> (u64, u64, Vec<(u64, u64)>) {
        let part = &self.parts[0];
        let counted = |figure: &AtomicI64| figure.load(Ordering::Relaxed).max(0) as u64;
        let expiring = part.expiring.lock().iter().map(|(second, count)| (*second, (*count).max(0) as u64)).collect();
        (counted(&part.live_count), counted(&part.live_bytes), expiring)
    }

    /// Live records, their bytes, and (second, count) of those that expire.
    pub(super) fn sums(&self) -> (u64, u64, Vec<(u64, u64)>) {
        let mut expiring = BTreeMap::new();
        for part in &self.parts {
            part.expiring.lock().iter().for_each(|(second, count)| *expiring.entry(*second).or_insert(0) += count);
        }
        let live_count: i64 = self.parts.iter().map(|part| part.live_count.load(Ordering::Relaxed)).sum();
        let expiring = expiring.into_iter().filter(|(_, count)| *count != 0);
        (live_count as u64, self.live_bytes(), expiring.map(|(second, count)| (second, count as u64)).collect())
    }

    /// Takes over what `export` gave, in place of everything.
    pub(super) fn import(&self, live_count: u64, live_bytes: u64, expiring: &[(u64, u64)]) {
        self.fold();
        let part = &self.parts[0];
        part.live_count.store(live_count as i64, Ordering::Relaxed);
        part.live_bytes.store(live_bytes as i64, Ordering::Relaxed);
        part.has_expiring.store(!expiring.is_empty(), Ordering::Relaxed);
        let mut own = part.expiring.lock();
        own.clear();
        own.extend(expiring.iter().map(|(second, count)| (*second, *count as i64)));
    }
}

impl Accounts {
    /// Nothing is live in these segments.
    pub fn new(segments: Segments) -> Self {
        Self { segments, expired_count: AtomicU64::new(0), copied: AtomicU64::new(0) }
    }

    fn part(&self, hash: u64) -> usize {
        usize::from(hash >> 1 < self.copied.load(Ordering::Relaxed))
    }

    /// The record of a key with this hash has become the present one.
    #[inline]
    pub fn record_lives(&self, hash: u64, segment: &Segment, head: &Head) {
        segment.note_expiry(head.expires_at_ms);
        segment.books().add(self.part(hash), head, 1);
    }

    /// As many calls of `record_lives` while no checkpoint is made, for records that do not expire.
    pub fn records_live(&self, segment: &Segment, count: u64, bytes: u64) {
        segment.books().parts[0].add(count as i64, bytes as i64);
    }

    /// The record of a key with this hash no longer is the present one.
    #[inline]
    pub fn record_dies(&self, hash: u64, segment: &Segment, head: &Head) {
        segment.books().add(self.part(hash), head, -1);
    }

    /// Like `record_dies`, because the record's time was over.
    pub fn record_expires(&self, hash: u64, segment: &Segment, head: &Head) {
        self.record_dies(hash, segment, head);
        self.expired_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Keys that are live at `now_ms`; one whose time is over may be counted for less than a second more.
    pub fn live_count(&self, now_ms: u64) -> u64 {
        let mut live_count = 0;
        self.segments.for_each(|segment| live_count += segment.books().live_count(now_ms / 1_000));
        live_count.max(0) as u64
    }

    /// How many of the live keys will expire.
    pub fn expiring_count(&self, now_ms: u64) -> u64 {
        let mut count = 0;
        self.segments.for_each(|segment| count += segment.books().expiring_count(now_ms / 1_000));
        count.max(0) as u64
    }

    /// Bytes of live records.
    pub fn live_bytes(&self) -> u64 {
        let mut live_bytes = 0;
        self.segments.for_each(|segment| live_bytes += segment.live_bytes());
        live_bytes
    }

    /// Keys removed so far because their time was over.
    pub fn expired_count(&self) -> u64 {
        self.expired_count.load(Ordering::Relaxed)
    }

    /// From now on nothing counts as copied. The caller then waits for writers, and after that folds.
    pub fn end_copy(&self) {
        self.copied.store(0, Ordering::Relaxed);
    }

    /// Puts the two parts of all books together. Nothing counts as copied, and no writer is left who thought so.
    pub fn fold(&self) {
        self.segments.for_each(|segment| segment.books().fold());
    }

    /// Everything below the hash `next` is copied, or everything. The caller has the stripe locked of what was copied
    /// last.
    pub fn note_copied(&self, next: Option<u64>) {
        // Boundaries are multiples of more than 2, and with one bit less there is a number beyond the last.
        self.copied.store(next.map_or(1 << 63, |next| next >> 1), Ordering::Relaxed);
    }
}
