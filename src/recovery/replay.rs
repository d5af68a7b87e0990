//! Replay: records into an index, in whatever order they stand; the highest seqno wins (R2).
//!
//! Threads take segments in turn, the longest first. Records are taken in runs: while the index lines of a run are on their
//! way, the next ones are looked at, and so with the records that have to be compared.
//!
//! Not here: which records are replayed (`recovery`).
//!
//! Locks: the stripe of each record's key, while it is put into the index.

use crate::epoch::{EpochGuard, Epochs};
use crate::error::{Error, Result, Status};
use crate::format::KeyHasher;
use crate::format::record::{Head, Kind};
use crate::index::{Index, Location};
use crate::log::scanner::Scanner;
use crate::log::{Accounts, Segment, Segments};
use crate::rules::{self, Rule};
use crate::sort;
use crate::storage;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many records are under way at a time: enough to hide the memory's latency, few enough to stay near.
const RUN_LEN: usize = 32;

/// Records from this offset on are replayed.
pub(super) type Work = (Arc<Segment>, u64);

/// What records are replayed into.
#[derive(Clone, Copy)]
pub(super) struct Replay<'a> {
    pub(super) epochs: &'a Epochs,
    pub(super) hasher: KeyHasher,
    pub(super) segments: &'a Segments,
    pub(super) accounts: &'a Accounts,
    pub(super) index: &'a Index,
    /// The next write's. Nothing in the log is as new: later writes would be older.
    pub(super) seqno_end: u64,
}

/// A record on its way into the index.
struct Replayed<'a> {
    hash: u64,
    segment: &'a Segment,
    head: Head,
    key: &'a [u8],
    location: Location,
}

/// Records of one segment that have come to live, but for those that expire.
#[derive(Default)]
struct Lives {
    count: u64,
    bytes: u64,
}

/// A tombstone that was replayed.
type Tombstone = (u64, Location);

impl Replay<'_> {
    /// Replays all of `work` with so many threads. On an error (the one of the first segment that has any) the
    /// index is of no use.
    pub(super) fn run(&self, work: &[Work], thread_count: usize) -> Result<()> {
        // So that no thread is left with much to do at the end.
        let by_len =
            sort::by_key(work.iter().enumerate().collect(), |(_, (segment, from))| u64::MAX - (segment.end() - from));
        let (work, next) = (by_len.as_slice(), AtomicUsize::new(0));
        let others_count = thread_count.min(work.len()).saturating_sub(1);
        let results = std::thread::scope(|scope| {
            let start = |_| storage::spawn_scoped(scope, "larder-replay", || self.take_turns(work, &next));
            // A thread that cannot be had is one less.
            let others: Vec<_> = (0..others_count).filter_map(|n| start(n).ok()).collect();
            let mut results = vec![self.take_turns(work, &next)];
            for other in others {
                match other.join() {
                    Ok(result) => results.push(result),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            results
        });
        let mut first: Option<(usize, Error)> = None;
        let mut tombstones = Vec::new();
        for result in results {
            match result {
                Ok(found) => tombstones.push(found),
                Err(found) if first.as_ref().is_none_or(|first| found.0 < first.0) => first = Some(found),
                Err(_) => {}
            }
        }
        if let Some((_, error)) = first {
            return Err(error);
        }
        for (hash, location) in tombstones.into_iter().flatten() {
            // Unless something newer took its place.
            self.index.lock(hash).remove(hash, location);
        }
        Ok(())
    }

    /// Replays segments that no other thread has taken.
    fn take_turns(
        &self,
        work: &[(usize, &Work)],
        next: &AtomicUsize,
    ) -> std::result::Result<Vec<Tombstone>, (usize, Error)> {
        let mut tombstones = Vec::new();
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let Some((place, (segment, from))) = work.get(turn) else { return Ok(tombstones) };
            self.replay_segment(segment, *from, &mut tombstones).map_err(|error| (*place, error))?;
        }
    }

    fn replay_segment(&self, segment: &Segment, from: u64, tombstones: &mut Vec<Tombstone>) -> Result<()> {
        let mut scanner = Scanner::new(segment, segment.end())?.starting_at(from);
        let mut run = Vec::with_capacity(RUN_LEN);
        // The books of this segment are this thread's to add to; told at the end, it costs less.
        let mut lives = Lives::default();
        loop {
            let guard = self.epochs.enter();
            while run.len() < RUN_LEN
                && let Some(found) = scanner.next_record()
            {
                let (head, key) = (found.record.head, found.record.key());
                if head.seqno >= self.seqno_end {
                    let what = "a record is newer than the next write";
                    return Err(Error::corrupt(&segment.name(), found.offset, what));
                }
                let hash = self.hasher.hash(key);
                self.index.prefetch_directory(&guard, hash);
                segment.note_seqno(head.seqno);
                let location = self.segments.location(segment, found.offset);
                if head.kind == Kind::Tombstone {
                    segment.note_tombstone(head.record_len());
                    tombstones.push((hash, location));
                }
                run.push(Replayed { hash, segment, head, key, location });
            }
            if run.is_empty() {
                break;
            }
            run.iter().for_each(|new: &Replayed<'_>| self.index.prefetch_for_write(&guard, new.hash));
            for new in &run {
                for candidate in self.index.candidates(&guard, new.hash).iter() {
                    self.segments.prefetch(&guard, candidate);
                }
            }
            if !self.index.has_memory_for(run.len()) {
                return Err(Error::new(Status::OutOfMemory, "the system has no memory for the index"));
            }
            run.drain(..).for_each(|new| self.replay_one(&guard, &new, &mut lives));
        }
        self.accounts.records_live(segment, lives.count, lives.bytes);
        scanner.stop()?.map_or(Ok(()), |what| Err(Error::corrupt(&segment.name(), scanner.offset(), what)))
    }

    fn replay_one(&self, guard: &EpochGuard<'_>, new: &Replayed<'_>, lives: &mut Lives) {
        let hash = new.hash;
        let mut stripe = self.index.lock(hash);
        let mut old = None;
        let found = stripe.find(hash, |location| match self.segments.record(guard, location) {
            Some(located) if located.record.key() == new.key => {
                old = Some((located.segment, located.record.head));
                true
            }
            _ => false,
        });
        match (found, old) {
            (Some(location), Some((segment, head))) => {
                if head.seqno >= new.head.seqno && rules::holds(Rule::SeqnoDecides) {
                    return;
                }
                if head.kind == Kind::Set {
                    self.accounts.record_dies(hash, segment, &head);
                }
                let is_replaced = stripe.replace(hash, location, new.location);
                debug_assert!(is_replaced, "the stripe is locked");
            }
            _ => stripe.insert(hash, new.location),
        }
        if new.head.kind == Kind::Set && new.head.expires_at_ms == 0 {
            lives.count += 1;
            lives.bytes += new.head.record_len();
        } else if new.head.kind == Kind::Set {
            self.accounts.record_lives(hash, new.segment, &new.head);
        }
    }
}
