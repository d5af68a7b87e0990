//! Writes that the index already shows but readers must not see yet.
//!
//! In mode `always` a write settles when it is durable: until then a power cut could take it back. The
//! writes of a batch settle together, so that readers see all of them or none. Meanwhile readers
//! are shown the version before.
//!
//! Invariants:
//!   U1. An entry is here before the index shows its location, and leaves only when it may be seen.
//!   U2. The locations of a batch leave in one step.
//!
//! Locks: one, for a few map operations; readers take it only when they meet a write that may be
//! unsettled.

use crate::index::Location;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What readers are shown in place of an unsettled write: the version before it, if there was one.
pub type Previous = Option<Location>;

/// All unsettled writes of a store.
#[derive(Default)]
pub struct Unsettled {
    /// Location of the write → the version before it.
    previous: Mutex<HashMap<Location, Previous>>,
    batch_count: AtomicUsize,
}

impl Unsettled {
    /// Announces a write; before the index shows it.
    pub fn add(&self, location: Location, previous: Previous) {
        self.previous.lock().insert(location, previous);
    }

    /// The writes may be seen.
    pub fn settle(&self, locations: impl Iterator<Item = Location>) {
        let mut previous = self.previous.lock();
        for location in locations {
            previous.remove(&location);
        }
    }

    /// What to show instead of the write at `location`; `None` if it has settled.
    pub fn shown_instead(&self, location: Location) -> Option<Previous> {
        self.previous.lock().get(&location).copied()
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
