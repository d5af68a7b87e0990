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
use crate::slots::{SLOT_COUNT, Slots};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const LOCATION_BITS: u32 = 40;

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
        if record::is_intact(self.record.bytes, self.segment.seed(), self.offset) {
            return Ok(());
        }
        Err(self.damaged())
    }

    #[cold]
    fn damaged(&self) -> Error {
        Error::corrupt(&self.segment.name(), self.offset, "a record fails its check")
    }
}

/// Free slot numbers: those given back, and all from `next` on.
struct FreeSlots {
    single: BTreeSet<u64>,
    next: u64,
}

/// All segments of a store.
pub struct Segments {
    /// Bits of a location that are the offset in a slot, in units of 8 bytes.
    offset_bits: u32,
    slots: Arc<Slots<Segment>>,
    free: Arc<Mutex<FreeSlots>>,
    list: Mutex<BTreeMap<u64, Arc<Segment>>>,
}

impl Segments {
    /// An address space of slots of at least `slot_bytes`, rounded up to a power of two.
    pub fn new(slot_bytes: u64) -> Self {
        let offset_bits = (slot_bytes.next_power_of_two() / 8).trailing_zeros();
        Self {
            offset_bits,
            slots: Arc::new(Slots::new()),
            free: Arc::new(Mutex::new(FreeSlots { single: BTreeSet::new(), next: 0 })),
            list: Mutex::new(BTreeMap::new()),
        }
    }

    /// Bytes of a slot.
    pub fn slot_bytes(&self) -> u64 {
        8 << self.offset_bits
    }

    fn slots_of(&self, segment: &Segment) -> u64 {
        segment.file_len().div_ceil(self.slot_bytes()).max(1)
    }

    /// Gives `segment` a place in the address space. At `slot` if that is said (a checkpoint knows it).
    pub fn insert(&self, segment: &Arc<Segment>, slot: Option<u64>) -> Result<()> {
        let count = self.slots_of(segment);
        let slot_limit = (SLOT_COUNT as u64).min(1 << (LOCATION_BITS - self.offset_bits));
        let first = {
            let mut free = self.free.lock();
            match slot {
                Some(slot) => {
                    let next = free.next;
                    free.single.extend(next..slot);
                    for taken in slot..slot + count {
                        free.single.remove(&taken);
                    }
                    free.next = next.max(slot + count);
                    slot
                }
                None if count == 1 && !free.single.is_empty() => free.single.pop_first().unwrap_or_default(),
                None => {
                    if free.next + count > slot_limit {
                        return Err(Error::new(
                            Status::NoSpace,
                            format!("the store has reached its {} segments' worth of addresses", slot_limit),
                        ));
                    }
                    let first = free.next;
                    free.next += count;
                    first
                }
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
            free.lock().single.extend(first..first + count);
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
        let (segment, offset) = self.resolve(guard, location)?;
        let bytes = segment.map().read(offset as usize..segment.map().published())?;
        Some(Located { segment, offset, record: Record::at_start_of(bytes)? })
    }

    /// Asks the processor to load the record at `location`.
    #[inline]
    pub fn prefetch(&self, guard: &EpochGuard<'_>, location: Location) {
        if let Some((segment, offset)) = self.resolve(guard, location) {
            segment.map().prefetch(offset as usize);
            segment.map().prefetch(offset as usize + 64);
        }
    }

    /// All segments, by id.
    pub fn all(&self) -> Vec<Arc<Segment>> {
        self.list.lock().values().cloned().collect()
    }

    /// Bytes that all segments' files reserve.
    pub fn file_bytes(&self) -> u64 {
        self.list.lock().values().map(|segment| segment.disk_bytes()).sum()
    }
}
