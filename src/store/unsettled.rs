//! Writes that the index already shows but readers must not see yet.
//!
//! In mode `always` a write settles when it is durable: until then a power cut could take it back. The
//! writes of a batch settle together, so that readers see all of them or none. Meanwhile readers
//! are shown the version before.
//!
//! A batch waits for two things that may come in either order: that the index shows all of it, and, in mode
//! `always`, that it is durable, which may be another writer's doing.
//!
//! Invariants:
//!   U1. An entry is here before the index shows its location, and leaves only when it may be seen.
//!   U2. The locations of a batch are completed in one step, and leave in one step.
//!   U3. `has_batches` is true from before the index shows the first location of a batch until the batch is
//!       complete.
//!
//! Locks: one, for a few map operations; readers take it only when they meet a write that may be
//! unsettled.

use crate::index::Location;
use crate::lock::Mutex;
use crate::rules::{self, Rule};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What readers are shown in place of an unsettled write: the version before it, if there was one.
pub type Previous = Option<Location>;

/// All unsettled writes of a store.
#[derive(Default)]
pub struct Unsettled {
    /// By the location of the write.
    entries: Mutex<HashMap<Location, Entry, BuildHasherDefault<LocationHasher>>>,
    batch_count: AtomicUsize,
}

/// Multiplicative hashing (Knuth, The Art of Computer Programming 3, 6.4). Nobody chooses locations so that they collide:
/// they are offsets in the log, given out one after the other.
#[derive(Default)]
struct LocationHasher(u64);

impl Hasher for LocationHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        // The map takes its tags from the high bits, which are good, and places from the low ones.
        self.0 ^ self.0 >> 32
    }
}

#[derive(Clone, Copy)]
struct Entry {
    previous: Previous,
    /// It belongs to a batch of which the index may not show everything yet: hidden, durable or not.
    is_incomplete: bool,
}

impl Unsettled {
    /// Announces a write; before the index shows it. One that is `incomplete` waits for `complete`.
    pub fn add(&self, location: Location, previous: Previous, is_incomplete: bool) {
        self.entries.lock().insert(location, Entry { previous, is_incomplete });
    }

    /// The index shows all of a batch: from now on it is seen as soon as it is durable.
    pub fn complete(&self, locations: impl Iterator<Item = Location>) {
        let mut entries = self.entries.lock();
        for location in locations {
            if let Some(entry) = entries.get_mut(&location) {
                entry.is_incomplete = false;
            }
        }
    }

    /// The writes may be seen.
    pub fn settle(&self, locations: impl Iterator<Item = Location>) {
        let mut entries = self.entries.lock();
        for location in locations {
            entries.remove(&location);
        }
    }

    /// What to show instead of the write at `location`, of which it is known whether it is durable as far as it has
    /// to be; `None` if it may be seen.
    pub fn shown_instead(&self, location: Location, is_durable: bool) -> Option<Previous> {
        let entry = self.entries.lock().get(&location).copied();
        entry
            .filter(|entry| (entry.is_incomplete || !is_durable) && rules::holds(Rule::UnsettledHidden))
            .map(|entry| entry.previous)
    }

    /// Whether there is one at a location like that.
    pub fn any(&self, mut is_wanted: impl FnMut(Location) -> bool) -> bool {
        self.entries.lock().keys().any(|location| is_wanted(*location))
    }

    /// From now on readers have to look here for records of batches.
    pub fn open_batch(&self) {
        self.batch_count.fetch_add(1, Ordering::Release);
    }

    /// Undoes `open_batch`.
    pub fn close_batch(&self) {
        self.batch_count.fetch_sub(1, Ordering::Release);
    }

    /// Whether a batch is being put into the index.
    #[inline]
    pub fn has_batches(&self) -> bool {
        self.batch_count.load(Ordering::Acquire) != 0
    }
}
