//! Where the next record goes.
//!
//! One short lock decides place and seqno; copying happens outside of it, in parallel; publishing is
//! in order again (`storage::map`). When the active segment is full the next prepared one takes its
//! place: no system call, no wait, as long as the background is ahead.
//!
//! Not here: making segments (`prepare`), making records durable (`log::sync`).
//!
//! Invariants:
//!   A1. Seqnos are given out under the lock, in the order of the claims (L1).
//!   A2. A full segment is published to its end before the next one becomes active.
//!   A3. The reserve is used only by what frees space.

mod prepare;

use super::{Log, LogConfig, Segment};
use crate::epoch::{EpochGuard, Epochs};
use crate::error::{Error, Result, Status};
use crate::format::manifest::Change;
use crate::format::record::{self, Head, Kind};
use crate::format::segment::HEAD_LEN as SEGMENT_HEAD_LEN;
use crate::index::Location;
use crate::storage::Claim;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Largest record or batch, bytes: what a segment's durable word can say, and more than a value's limit.
const APPEND_BYTES_MAX: u64 = 8 << 30;

/// What to append.
#[derive(Clone, Copy)]
pub struct Append<'a> {
    /// Set or tombstone.
    pub kind: Kind,
    /// The key.
    pub key: &'a [u8],
    /// The value, empty for a tombstone.
    pub value: &'a [u8],
    /// Unix milliseconds, 0 for never.
    pub expires_at_ms: u64,
}

impl Append<'_> {
    fn len(&self) -> u64 {
        record::record_len(self.key.len() as u64, self.value.len() as u64)
    }

    fn head(&self, seqno: u64, is_in_batch: bool) -> Head {
        Head {
            kind: self.kind,
            is_in_batch,
            key_len: self.key.len() as u16,
            value_len: self.value.len() as u32,
            seqno,
            expires_at_ms: self.expires_at_ms,
        }
    }
}

/// Who may use the last room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Priority {
    /// Sets.
    Ordinary,
    /// Deletes and compaction.
    Reclaiming,
}

/// A record that was appended and published.
#[derive(Clone, Copy)]
pub struct Written<'g> {
    /// Where it is.
    pub location: Location,
    /// Its segment.
    pub segment: &'g Segment,
    /// Its head.
    pub head: Head,
}

/// What was appended since the store was opened, records of batches too.
#[derive(Clone, Copy, Default)]
pub struct AppendCounts {
    /// Sets.
    pub sets: u64,
    /// Tombstones.
    pub tombstones: u64,
}

/// What the append lock protects.
pub(super) struct Appender {
    pub(super) active: Option<Arc<Segment>>,
    /// Empty segments, named by the manifest.
    prepared: VecDeque<Arc<Segment>>,
    /// Likewise, for what frees space.
    reserve: Option<Arc<Segment>>,
    /// Full, not yet sealed, oldest first.
    pub(super) rotated: VecDeque<Arc<Segment>>,
    pub(super) seqno_next: u64,
    counts: AppendCounts,
    segment_bytes_next: u64,
    /// When the last segment was prepared.
    prepared_ms: u64,
}

/// A place in the log with its seqno.
struct Place<'g> {
    segment: &'g Segment,
    claim: Claim<'g>,
    seqno: u64,
}

impl Appender {
    pub(super) fn new(
        config: &LogConfig,
        active: Option<Arc<Segment>>,
        prepared: Vec<Arc<Segment>>,
        seqno_next: u64,
    ) -> Self {
        let mut prepared: VecDeque<_> = prepared.into();
        let reserve = prepared.iter().position(|segment| segment.file_len() == config.reserve_bytes());
        let reserve = reserve.and_then(|place| prepared.remove(place));
        let largest = prepared.iter().chain(&active).map(|segment| segment.file_len()).max();
        let segment_bytes_next = largest.map_or(config.segment_bytes_first, |bytes| bytes * 2);
        Self {
            segment_bytes_next: segment_bytes_next.clamp(config.segment_bytes_first, config.segment_bytes),
            active,
            prepared,
            reserve,
            rotated: VecDeque::new(),
            seqno_next,
            counts: AppendCounts::default(),
            prepared_ms: 0,
        }
    }
}

impl Appender {
    /// A segment that is not sealed, for the clock word.
    pub(super) fn unsealed(&self) -> Option<Arc<Segment>> {
        self.active.iter().chain(&self.prepared).chain(&self.reserve).next().cloned()
    }
}

impl Log {
    /// Appends one record and publishes it. Its bytes are readable on return, not yet durable, and
    /// every earlier write is readable too. On an error nothing was appended (R12).
    pub fn append<'g>(
        &self,
        guard: &'g EpochGuard<'_>,
        append: &Append<'_>,
        priority: Priority,
    ) -> Result<Written<'g>> {
        self.check_writable()?;
        let is_tombstone = append.kind == Kind::Tombstone;
        let counts = AppendCounts { sets: u64::from(!is_tombstone), tombstones: u64::from(is_tombstone) };
        let mut place = self.claim(guard, append.len(), counts, priority)?;
        let offset = place.claim.start() as u64;
        let head = append.head(place.seqno, false);
        record::write(place.claim.bytes(), place.segment.seed(), offset, &head, append.key, append.value);
        if is_tombstone {
            place.segment.note_tombstone(append.len());
        }
        self.publish(place.claim)?;
        Ok(Written { location: self.segments.location(place.segment, offset), segment: place.segment, head })
    }

    /// Appends `batch` under one head: after any crash all of it or none.
    pub fn append_batch<'g>(
        &self,
        guard: &'g EpochGuard<'_>,
        batch: &[Append<'_>],
        priority: Priority,
    ) -> Result<Vec<Written<'g>>> {
        self.check_writable()?;
        let members_len = batch.iter().try_fold(0_u64, |sum, append| sum.checked_add(append.len()));
        let members_len = members_len
            .filter(|len| *len <= APPEND_BYTES_MAX)
            .ok_or_else(|| Error::new(Status::TooLarge, format!("a batch takes more than {APPEND_BYTES_MAX} bytes")))?;
        let count = u32::try_from(batch.len())
            .map_err(|_| Error::new(Status::TooLarge, "a batch has more than 4294967295 operations"))?;
        let batch_head = Head {
            kind: Kind::Batch,
            is_in_batch: false,
            key_len: 0,
            value_len: count,
            seqno: 0,
            expires_at_ms: members_len,
        };
        let tombstones = batch.iter().filter(|append| append.kind == Kind::Tombstone).count() as u64;
        let counts = AppendCounts { sets: u64::from(count) - tombstones, tombstones };
        let mut place = self.claim(guard, record::HEAD_LEN as u64 + members_len, counts, priority)?;
        let (start, seed) = (place.claim.start() as u64, place.segment.seed());
        let (head_bytes, mut rest) = place.claim.bytes().split_at_mut(record::HEAD_LEN);
        record::write(head_bytes, seed, start, &Head { seqno: place.seqno, ..batch_head }, b"", b"");
        let mut offset = start + record::HEAD_LEN as u64;
        let mut written = Vec::with_capacity(batch.len());
        for (append, seqno) in batch.iter().zip(place.seqno..) {
            let (bytes, behind) = rest.split_at_mut(append.len() as usize);
            let head = append.head(seqno, true);
            record::write(bytes, seed, offset, &head, append.key, append.value);
            let location = self.segments.location(place.segment, offset);
            written.push(Written { location, segment: place.segment, head });
            if append.kind == Kind::Tombstone {
                place.segment.note_tombstone(append.len());
            }
            offset += append.len();
            rest = behind;
        }
        self.publish(place.claim)?;
        Ok(written)
    }

    fn publish(&self, claim: Claim<'_>) -> Result<()> {
        if claim.publish() {
            return Ok(());
        }
        let error = Error::new(Status::Panic, "a write before this one broke off in the middle");
        self.fail(&error);
        Err(error)
    }

    /// Takes `len` bytes of the log, and as many seqnos as there are records.
    fn claim<'g>(
        &self,
        guard: &'g EpochGuard<'_>,
        len: u64,
        counts: AppendCounts,
        priority: Priority,
    ) -> Result<Place<'g>> {
        let count = counts.sets + counts.tombstones;
        let mut appender = self.appender.lock();
        loop {
            if let Some(active) = &appender.active
                && let Some(segment) = self.segments.by_slot(guard, active.slot())
                && let Some(claim) = segment.map().claim(len as usize)
            {
                let seqno = appender.seqno_next;
                appender.seqno_next += count;
                appender.counts.sets += counts.sets;
                appender.counts.tombstones += counts.tombstones;
                segment.note_appended(seqno, seqno + count - 1);
                return Ok(Place { segment, claim, seqno });
            }
            self.rotate(guard.epochs(), &mut appender, len, priority)?;
        }
    }

    /// Puts a segment with room for `len` bytes in the active one's place.
    fn rotate(&self, epochs: &Epochs, appender: &mut Appender, len: u64, priority: Priority) -> Result<()> {
        let wanted = SEGMENT_HEAD_LEN as u64 + len;
        let next = match appender.prepared.iter().position(|segment| segment.file_len() >= wanted) {
            Some(place) => appender.prepared.remove(place).ok_or_else(|| Error::from(Status::NoSpace))?,
            None => {
                let file_len = appender.segment_bytes_next.max(wanted.next_multiple_of(4096));
                match self.make_listed_segment(epochs, file_len, wanted, self.room()) {
                    Ok(segment) => segment,
                    Err(error) => {
                        let is_last_room = error.status() == Status::NoSpace && priority == Priority::Reclaiming;
                        let reserve = appender.reserve.take_if(|reserve| is_last_room && reserve.file_len() >= wanted);
                        reserve.ok_or(error)?
                    }
                }
            }
        };
        if let Some(full) = appender.active.take() {
            let end = full.map().tail();
            if !full.map().wait_published(end) {
                appender.active = Some(full);
                return Err(Error::new(Status::Panic, "a write before this one broke off in the middle"));
            }
            appender.rotated.push_back(full);
        }
        self.keep_clock_in(Some(&next));
        appender.active = Some(next);
        self.work.notify();
        Ok(())
    }

    /// Seals the oldest full segment: syncs it, says so in the manifest, gives its unused room back.
    /// True if there was one.
    pub fn seal_next(&self) -> Result<bool> {
        let _one_at_a_time = self.sealing.lock();
        let Some(full) = self.appender.lock().rotated.front().cloned() else { return Ok(false) };
        self.check_writable()?;
        self.sync_segment(&full, full.end())?;
        self.commit(&self.seal_changes(&full))?;
        full.punch_tail();
        // Out of the list first: a failing sync stores to the heads of all in it, and a store to a sealed
        // segment's map is a fault.
        self.appender.lock().rotated.pop_front();
        full.set_sealed();
        Ok(true)
    }

    /// Ends the active segment, if it holds anything, so that it can be sealed and compacted. On a full disk
    /// it stays.
    pub fn rotate_active(&self, epochs: &Epochs) -> Result<()> {
        let mut appender = self.appender.lock();
        if appender.active.as_ref().is_none_or(|active| active.dead_bytes() == 0) {
            return Ok(());
        }
        match self.rotate(epochs, &mut appender, 0, Priority::Ordinary) {
            Err(error) if error.status() == Status::NoSpace => Ok(()),
            result => result,
        }
    }

    /// Ends the active segment, if it holds anything, so that it can be sealed. False if that would have to wait
    /// for another segment to be made.
    pub fn end_active(&self, epochs: &Epochs) -> Result<bool> {
        let mut appender = self.appender.lock();
        if appender.active.as_ref().is_none_or(|active| active.map().tail() == SEGMENT_HEAD_LEN) {
            return Ok(true);
        }
        if appender.prepared.is_empty() {
            return Ok(false);
        }
        self.rotate(epochs, &mut appender, 0, Priority::Ordinary)?;
        Ok(true)
    }

    /// The changes that seal a segment of which everything is durable.
    pub fn seal_changes(&self, segment: &Segment) -> [Change; 2] {
        let (seqno_min, seqno_max) = (segment.seqno_min(), segment.seqno_max());
        [
            Change::Seal { id: segment.id(), end: segment.end(), seqno_min, seqno_max },
            // Nobody looks at the clock word of a sealed segment.
            Change::Advance {
                segment_id_next: 0,
                seqno_next: seqno_max + 1,
                clock_ms: segment.clock_ms(),
                tombstone_floor: 0,
            },
        ]
    }

    /// Notes in the log how far the expiry clock has come: a store to memory, which a kill leaves there.
    ///
    /// Readers call this, so it waits for nothing but other callers. A store has an unsealed segment to
    /// note it in from its opening on, unless the disk was full then: only in that case it is an edit of the
    /// manifest, whose room is reserved.
    pub fn note_clock(&self, now_ms: u64) {
        if self.config.is_read_only {
            return;
        }
        {
            let clock_segment = self.clock_segment.lock();
            if let Some(segment) = &*clock_segment {
                if segment.clock_ms() < now_ms {
                    segment.store_clock(now_ms);
                    self.is_clock_unsynced.store(true, Ordering::Release);
                }
                return;
            }
        }
        let change = Change::Advance { segment_id_next: 0, seqno_next: 0, clock_ms: now_ms, tombstone_floor: 0 };
        // A failure is noted by `commit`; for want of room there is nowhere to note the clock.
        let _ = self.commit(&[change]);
    }

    /// From now on the clock is noted in `segment`; what was noted before stays where it is until that
    /// segment is sealed, which carries it over.
    fn keep_clock_in(&self, segment: Option<&Arc<Segment>>) {
        *self.clock_segment.lock() = segment.cloned();
    }

    /// What was appended so far.
    pub fn append_counts(&self) -> AppendCounts {
        self.appender.lock().counts
    }

    /// The seqno that the next write gets.
    pub fn seqno_next(&self) -> u64 {
        self.appender.lock().seqno_next
    }

    /// Segments that sets are written to or will be: not to be compacted.
    pub fn active_segment(&self) -> Option<Arc<Segment>> {
        self.appender.lock().active.clone()
    }
}
