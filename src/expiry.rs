//! Expiry: the clock that never runs backwards, and the sweep that removes what is over.
//!
//! Every read judges for itself whether a record's time is over, so the sweep is only about memory and
//! space: it walks segments in which something is due and takes expired records out of the index.
//! Their bytes go when the segment is compacted, which leaves a tombstone behind as long as an
//! older version may exist (R1).
//!
//! Invariants:
//!   X1. `Clock::now_ms` never returns less than it has returned before, in this process or (by the
//!       log's clock word) in an earlier one (R3).
//!   X2. The sweep removes an entry only if it still points at the very record that is over (R4).

use crate::format::KeyHasher;
use crate::format::record::Kind;
use crate::index::Index;
use crate::log::scanner::Scanner;
use crate::log::{Log, Segment};
use crate::options::SyncMode;
use crate::rules::{self, Rule};
use crate::storage::Storage;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The expiry clock of one store.
pub struct Clock {
    storage: Arc<dyn Storage>,
    reached_ms: AtomicU64,
    /// What the log was last told.
    noted_ms: AtomicU64,
}

impl Clock {
    /// A clock that starts no earlier than `reached_ms`.
    pub fn new(storage: Arc<dyn Storage>, reached_ms: u64) -> Self {
        Self { storage, reached_ms: AtomicU64::new(reached_ms), noted_ms: AtomicU64::new(reached_ms) }
    }

    /// Unix milliseconds, never less than before.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        let now_ms = self.storage.now_ms();
        let reached_ms = self.reached_ms.load(Ordering::Relaxed);
        if now_ms <= reached_ms {
            return reached_ms;
        }
        self.reached_ms.fetch_max(now_ms, Ordering::Relaxed).max(now_ms)
    }

    /// How far it has come, without looking.
    pub fn reached_ms(&self) -> u64 {
        self.reached_ms.load(Ordering::Relaxed)
    }

    /// Tells the log how far the clock has come, because somebody was told that a key's time is over.
    pub fn note(&self, log: &Log, now_ms: u64) {
        self.note_by(now_ms, |now_ms| log.note_clock(now_ms));
    }

    fn note_by(&self, now_ms: u64, note: impl FnOnce(u64)) {
        if rules::holds(Rule::ClockNoted) && self.noted_ms.load(Ordering::Acquire) < now_ms {
            note(now_ms);
            // Said after it is done: who relies on another thread's note tells its caller at once.
            self.noted_ms.fetch_max(now_ms, Ordering::Release);
        }
    }
}

/// Takes the expired records of `segment` out of the index; how many there were.
pub fn sweep(log: &Log, index: &Index, hasher: KeyHasher, segment: &Segment, now_ms: u64) -> u64 {
    // Reset first: a record that is appended during the walk lowers the bound again.
    segment.reset_expiry_next();
    // What is not settled yet stays: readers may still be shown the version before it.
    let limit = if log.config().sync == SyncMode::Always { segment.durable() } else { segment.end() };
    if limit < segment.end() {
        segment.lower_expiry_next(now_ms);
    }
    // The scanner checks every record, so damage cannot pass for a record that is over.
    let Ok(mut scanner) = Scanner::new(segment, limit) else { return 0 };
    let mut count = 0;
    loop {
        let Some(found) = scanner.next_record() else {
            match scanner.stop() {
                Ok(Some(_)) if scanner.skip_damage().is_some() => continue,
                Ok(_) => {}
                // The device may find its voice again.
                Err(_) => segment.lower_expiry_next(now_ms),
            }
            return count;
        };
        let head = found.record.head;
        if head.kind != Kind::Set || head.expires_at_ms == 0 {
            continue;
        }
        if !head.is_expired(now_ms) {
            segment.lower_expiry_next(head.expires_at_ms);
            continue;
        }
        let hash = hasher.hash(found.record.key());
        let location = log.segments().location(segment, found.offset);
        let mut stripe = index.lock(hash);
        let seen = if rules::holds(Rule::SweepCompares) { Some(location) } else { stripe.find(hash, |_| true) };
        if seen.is_some_and(|seen| stripe.remove(hash, seen)) {
            log.accounts().record_expires(hash, segment, &head);
            count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::SimulatedStorage;
    use std::cell::Cell;

    #[test]
    fn nobody_relies_on_a_note_of_the_clock_that_is_not_made_yet() {
        let clock = Clock::new(Arc::new(SimulatedStorage::new(1)), 5);
        let noted = Cell::new(0);
        clock.note_by(10, |_| {
            // Another thread, while the first is on its way.
            clock.note_by(10, |now_ms| noted.set(now_ms));
            assert_eq!(noted.get(), 10);
        });
        clock.note_by(10, |_| panic!("it was noted"));
        clock.note_by(7, |_| panic!("a later time was noted"));
    }
}
