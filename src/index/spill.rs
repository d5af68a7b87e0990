//! Entries of a page that found no room in their lines, or that no hashing can tell apart.
//!
//! A list that is searched from end to end. It is short unless many keys have one hash.
//!
//! Not here: when it is used, replaced and freed (`page`).
//!
//! Invariants:
//!   S1. One writer; readers write nothing.
//!   S2. An entry stays in its slot from `fill` to `clear`.
//!
//! Locks: none; see S1.

use super::entry::{EMPTY, Location, Probe, location_of};
use crate::sync::{AtomicU64, Ordering};

pub(super) struct Spill {
    slots: Box<[SpillSlot]>,
}

pub(super) struct SpillSlot {
    /// [`Probe::number`]; means something only while `word` holds an entry.
    probe: AtomicU64,
    word: AtomicU64,
}

impl Spill {
    pub(super) fn new(slot_count: usize) -> Self {
        let slot = || SpillSlot { probe: AtomicU64::new(0), word: AtomicU64::new(EMPTY) };
        Spill { slots: (0..slot_count).map(|_| slot()).collect() }
    }

    /// The same entries with as many free slots again.
    pub(super) fn twice_as_long(&self) -> Self {
        let longer = Spill::new(self.slots.len() * 2);
        for (from, to) in self.slots.iter().zip(&longer.slots) {
            to.probe.store(from.probe.load(Ordering::Relaxed), Ordering::Relaxed);
            to.word.store(from.word.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        longer
    }

    pub(super) fn find(&self, probe: Probe, mut is_match: impl FnMut(Location) -> bool) -> Option<Location> {
        self.slots.iter().find_map(|slot| {
            let location = location_of(slot.word.load(Ordering::Acquire))?;
            // The slot may change hands between the two loads; then the probe misleads, but only
            // about a key that came or went just now, and `is_match` has the last word.
            (slot.probe.load(Ordering::Acquire) == probe.number() && is_match(location)).then_some(location)
        })
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (Probe, Location)> {
        self.slots.iter().filter_map(|slot| {
            let location = location_of(slot.word.load(Ordering::Acquire))?;
            Some((Probe::of_number(slot.probe.load(Ordering::Acquire)), location))
        })
    }

    pub(super) fn free_slot(&self) -> Option<&SpillSlot> {
        self.slots.iter().find(|slot| slot.word.load(Ordering::Relaxed) == EMPTY)
    }

    /// The slot of this very entry.
    pub(super) fn slot_of(&self, probe: Probe, location: Location) -> Option<&SpillSlot> {
        self.slots.iter().find(|slot| {
            slot.word.load(Ordering::Relaxed) == probe.word(location)
                && slot.probe.load(Ordering::Relaxed) == probe.number()
        })
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(self) + size_of_val(&*self.slots)
    }
}

/// So that a test notices a reader who comes too late.
#[cfg(test)]
impl Drop for Spill {
    fn drop(&mut self) {
        self.slots.iter().for_each(SpillSlot::clear);
    }
}

impl SpillSlot {
    pub(super) fn fill(&self, probe: Probe, location: Location) {
        self.probe.store(probe.number(), Ordering::Release);
        self.word.store(probe.word(location), Ordering::Release);
    }

    pub(super) fn replace(&self, probe: Probe, location: Location) {
        self.word.store(probe.word(location), Ordering::Release);
    }

    pub(super) fn clear(&self) {
        self.word.store(EMPTY, Ordering::Release);
    }
}
