//! The store's address space: where a location leads.
//!
//! The space is cut into slots of one size; a segment takes as many consecutive ones as it is long.
//! A location is slot and offset in units of 8 bytes, packed into 40 bits.
//!
//! Locks: `free` (slot numbers) and `list` (segments by id), each held for a few instructions.

use super::Segment;
use crate::epoch::{EpochGuard, Epochs};
use crate::error::{Error, Result, Status};
use crate::format::record::{self, Record};
use crate::index::Location;
use crate::lock::Mutex;
use crate::rules::{self, Rule};
use crate::slots::{SLOT_COUNT, Slots};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

const LOCATION_BITS: u32 = 40;
/// A cache line, bytes.
const LINE_BYTES: usize = 64;
/// The lines that are fetched together with a record's first: enough for a value of about a hundred bytes.
const LINES_BEHIND_HEAD: Range<usize> = 1..4;

/// A record, and where it was found.
pub struct Located<'g> {
    /// Its segment.
    pub segment: &'g Segment,
    /// Its offset from the start of the segment's file.
    pub offset: u64,
    /// The record.
    pub record: Record<'g>,
}

impl Located<'_> {
    /// Checks the record's checksum.
    #[inline]
    pub fn verify(&self) -> Result<()> {
        if record::is_intact(self.record.bytes, self.segment.seed(), self.offset) || !rules::holds(Rule::ReadsChecked) {
            return Ok(());
        }
        Err(self.damaged())
    }

    #[cold]
    fn damaged(&self) -> Error {
        Error::corrupt(&self.segment.name(), self.offset, "a record fails its check")
    }
}

/// Free slot numbers: runs of those given back, and all from `next` on.
#[derive(Default)]
struct FreeSlots {
    /// First slot → count. No two runs touch, and none touches `next`.
    runs: BTreeMap<u64, u64>,
    next: u64,
}

impl FreeSlots {
    /// The first of `count` consecutive slots below `limit`, which are taken.
    fn take(&mut self, count: u64, limit: u64) -> Option<u64> {
        let run = self.runs.iter().find(|(_, free)| **free >= count).map(|(first, _)| *first);
        let first = run.unwrap_or(self.next);
        if first + count > limit {
            return None;
        }
        self.take_at(first, count);
        Some(first)
    }

    /// Takes exactly `first..first + count`, which are free.
    fn take_at(&mut self, first: u64, count: u64) {
        let (end, next) = (first + count, self.next);
        if first >= next {
            self.next = end;
            if first > next {
                self.runs.insert(next, first - next);
            }
            return;
        }
        if let Some((&run, &free)) = self.runs.range(..=first).next_back() {
            self.runs.remove(&run);
            if run < first {
                self.runs.insert(run, first - run);
            }
            if end < run + free {
                self.runs.insert(end, run + free - end);
            }
        }
    }

    /// Gives slots back; a run grows with its neighbours, so that long segments find room again.
    fn give(&mut self, mut first: u64, mut count: u64) {
        if let Some((&run, &free)) = self.runs.range(..first).next_back()
            && run + free == first
        {
            self.runs.remove(&run);
            (first, count) = (run, free + count);
        }
        if let Some(free) = self.runs.remove(&(first + count)) {
            count += free;
        }
        if first + count == self.next {
            self.next = first;
        } else {
            self.runs.insert(first, count);
        }
    }
}

/// How many slots of `slot_bytes` a file of `file_len` bytes takes.
pub fn slot_count(file_len: u64, slot_bytes: u64) -> u64 {
    file_len.div_ceil(slot_bytes).max(1)
}

/// How many slots of `slot_bytes` (a power of two) locations can name.
pub fn slot_limit(slot_bytes: u64) -> u64 {
    (SLOT_COUNT as u64).min((1 << LOCATION_BITS) / (slot_bytes / 8))
}

/// All segments of a store. A clone is another handle to the same.
#[derive(Clone)]
pub struct Segments {
    /// Bits of a location that are the offset in a slot, in units of 8 bytes.
    offset_bits: u32,
    slots: Arc<Slots<Segment>>,
    free: Arc<Mutex<FreeSlots>>,
    list: Arc<Mutex<BTreeMap<u64, Arc<Segment>>>>,
}

impl Segments {
    /// An address space of slots of at least `slot_bytes`, rounded up to a power of two.
    pub fn new(slot_bytes: u64) -> Self {
        let offset_bits = (slot_bytes.next_power_of_two() / 8).trailing_zeros();
        Self {
            offset_bits,
            slots: Arc::new(Slots::new()),
            free: Arc::new(Mutex::new(FreeSlots::default())),
            list: Arc::default(),
        }
    }

    /// Bytes of a slot.
    pub fn slot_bytes(&self) -> u64 {
        8 << self.offset_bits
    }

    fn slots_of(&self, segment: &Segment) -> u64 {
        slot_count(segment.file_len(), self.slot_bytes())
    }

    /// Gives `segment` a place in the address space. At `slot` if that is said (a checkpoint knows it).
    pub fn insert(&self, segment: &Arc<Segment>, slot: Option<u64>) -> Result<()> {
        let count = self.slots_of(segment);
        let slot_limit = slot_limit(self.slot_bytes());
        let first = {
            let mut free = self.free.lock();
            match slot {
                Some(slot) => {
                    free.take_at(slot, count);
                    slot
                }
                None => free.take(count, slot_limit).ok_or_else(|| {
                    let message = format!("the store has reached its {slot_limit} segments' worth of addresses");
                    Error::new(Status::NoSpace, message)
                })?,
            }
        };
        segment.set_slot(first);
        for slot in first..first + count {
            self.slots.put(slot as usize, Arc::clone(segment));
        }
        self.list.lock().insert(segment.id(), Arc::clone(segment));
        Ok(())
    }

    /// Takes a segment out: its slots are emptied, and free again, once no reader can look for them.
    pub(super) fn remove(&self, epochs: &Epochs, segment: &Arc<Segment>) {
        self.list.lock().remove(&segment.id());
        let (first, count) = (segment.slot(), self.slots_of(segment));
        let free = Arc::clone(&self.free);
        self.slots.remove_later(epochs, first as usize, count as usize, move || {
            free.lock().give(first, count);
        });
    }

    /// The location of `offset` in `segment`.
    #[inline]
    pub fn location(&self, segment: &Segment, offset: u64) -> Location {
        Location::new((segment.slot() << self.offset_bits) + offset / 8)
    }

    /// The segment that `location` is in, and the offset there.
    #[inline]
    pub fn resolve<'g>(&self, guard: &'g EpochGuard<'_>, location: Location) -> Option<(&'g Segment, u64)> {
        let slot = location.get() >> self.offset_bits;
        let segment = self.slots.get(guard, slot as usize)?;
        Some((segment, (location.get() - (segment.slot() << self.offset_bits)) * 8))
    }

    /// The segment in `slot`.
    #[inline]
    pub fn by_slot<'g>(&self, guard: &'g EpochGuard<'_>, slot: u64) -> Option<&'g Segment> {
        self.slots.get(guard, slot as usize)
    }

    /// A reference to the segment that `location` is in that outlives the guard.
    pub fn resolve_arc(&self, guard: &EpochGuard<'_>, location: Location) -> Option<Arc<Segment>> {
        self.slots.get_arc(guard, (location.get() >> self.offset_bits) as usize)
    }

    /// See [`super::Log::record`].
    #[inline]
    pub fn record<'g>(&self, guard: &'g EpochGuard<'_>, location: Location) -> Option<Located<'g>> {
        let (segment, offset, bytes) = self.bytes_at(guard, location)?;
        Some(Located { segment, offset, record: Record::at_start_of(bytes)? })
    }

    /// The published bytes from the record at `location` on, with its segment and its offset there.
    #[inline]
    pub fn bytes_at<'g>(&self, guard: &'g EpochGuard<'_>, location: Location) -> Option<(&'g Segment, u64, &'g [u8])> {
        let (segment, offset) = self.resolve(guard, location)?;
        // Whoever asks mostly reads all of the record: the lines behind its head come while the head does.
        LINES_BEHIND_HEAD.for_each(|line| segment.map().prefetch(offset as usize + line * LINE_BYTES));
        Some((segment, offset, segment.map().read_from(offset as usize)?))
    }

    /// Asks the processor to load the record at `location`.
    #[inline]
    pub fn prefetch(&self, guard: &EpochGuard<'_>, location: Location) {
        if let Some((segment, offset)) = self.resolve(guard, location) {
            segment.map().prefetch(offset as usize);
            LINES_BEHIND_HEAD.for_each(|line| segment.map().prefetch(offset as usize + line * LINE_BYTES));
        }
    }

    /// All segments, by id.
    pub fn all(&self) -> Vec<Arc<Segment>> {
        self.list.lock().values().cloned().collect()
    }

    /// Shows `f` all segments, by id, with the list locked.
    pub(super) fn for_each(&self, mut f: impl FnMut(&Segment)) {
        self.list.lock().values().for_each(|segment| f(segment));
    }

    /// Bytes that all segments' files reserve.
    pub fn file_bytes(&self) -> u64 {
        self.list.lock().values().map(|segment| segment.disk_bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_segments_that_take_several_slots_are_used_again() {
        let mut free = FreeSlots::default();
        let mut held = std::collections::VecDeque::new();
        // Segments of all lengths come and go: the space does not wear out.
        for n in 0..10_000_u64 {
            let count = 1 + n * 7 % 5;
            let first = free.take(count, 200).expect("at most 10 of 5 slots are held");
            for (other, other_count) in &held {
                assert!(first + count <= *other || other + other_count <= first, "taken twice");
            }
            held.push_back((first, count));
            if held.len() == 10 {
                let (first, count) = held.remove((n % 10) as usize).unwrap();
                free.give(first, count);
            }
        }
        held.into_iter().for_each(|(first, count)| free.give(first, count));
        assert_eq!((free.next, free.runs.len()), (0, 0));
    }

    #[test]
    fn places_that_a_checkpoint_knows_are_taken_in_any_order() {
        let mut free = FreeSlots::default();
        for (first, count) in [(8, 2), (0, 1), (3, 2), (1, 1)] {
            free.take_at(first, count);
        }
        assert_eq!(free.take(3, 100), Some(5));
        assert_eq!(free.take(2, 100), Some(10));
        assert_eq!(free.take(1, 100), Some(2));
        assert_eq!(free.take(1, 12), None);
    }
}
