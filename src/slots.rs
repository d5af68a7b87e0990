//! A sparse array of shared objects that is read without a lock: segment slot → segment.
//!
//! Reading is three dependent loads of lines that stay in cache. An object that is taken out is
//! freed only after every reader that could have seen it has left (`epoch`).
//!
//! Not here: who decides which slot an object gets (`log::segments`).
//!
//! Invariants:
//!   SL1. A non-null pointer in a slot came from `Arc::into_raw` and owns one reference.
//!   SL2. That reference is given up only through the epochs whose guards readers hold.
//!
//! Locks: none; putting and removing are atomic swaps.

use crate::epoch::{EpochGuard, Epochs};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

const CHUNK_LEN: usize = 4096;
const CHUNK_COUNT: usize = 4096;

/// How many slots there are.
pub const SLOT_COUNT: usize = CHUNK_LEN * CHUNK_COUNT;

type Chunk<T> = [AtomicPtr<T>; CHUNK_LEN];

/// The array.
pub struct Slots<T> {
    chunks: Box<[AtomicPtr<Chunk<T>>]>,
}

impl<T: Send + Sync + 'static> Slots<T> {
    /// All slots empty.
    pub fn new() -> Self {
        Self { chunks: (0..CHUNK_COUNT).map(|_| AtomicPtr::new(ptr::null_mut())).collect() }
    }

    fn chunk(&self, slot: usize) -> Option<&Chunk<T>> {
        let chunk = self.chunks.get(slot / CHUNK_LEN)?.load(Ordering::Acquire);
        // SAFETY: null or from `Box::into_raw` in `chunk_or_new`; chunks are freed only by `drop`,
        // which nobody else can be beside.
        unsafe { chunk.as_ref() }
    }

    fn chunk_or_new(&self, slot: usize) -> &Chunk<T> {
        if let Some(chunk) = self.chunk(slot) {
            return chunk;
        }
        let new: Box<Chunk<T>> = Box::new(std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())));
        let new = Box::into_raw(new);
        let place = &self.chunks[slot / CHUNK_LEN];
        let chunk = match place.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: `new` came from `Box::into_raw` just above and was not published.
                drop(unsafe { Box::from_raw(new) });
                other
            }
        };
        // SAFETY: not null, and chunks live as long as `self`.
        unsafe { &*chunk }
    }

    /// What is in `slot`, for as long as the guard is held. The guard must be of the epochs that
    /// `take` is called with.
    #[inline]
    pub fn get<'g>(&self, _guard: &'g EpochGuard<'_>, slot: usize) -> Option<&'g T> {
        let item = self.chunk(slot)?[slot % CHUNK_LEN].load(Ordering::Acquire);
        // SAFETY: null or owned by the slot (SL1); if it is taken out meanwhile, the guard keeps it
        // alive (SL2).
        unsafe { item.as_ref() }
    }

    /// Like [`Slots::get`], with a reference of its own that outlives the guard.
    pub fn get_arc(&self, _guard: &EpochGuard<'_>, slot: usize) -> Option<Arc<T>> {
        let item = self.chunk(slot)?[slot % CHUNK_LEN].load(Ordering::Acquire);
        if item.is_null() {
            return None;
        }
        // SAFETY: not null, so from `Arc::into_raw` (SL1), and kept alive by the guard (SL2) until
        // the count is raised; then this reference is our own.
        unsafe {
            Arc::increment_strong_count(item);
            Some(Arc::from_raw(item))
        }
    }

    /// Puts `item` into the empty `slot`. Panics if the slot is out of range or taken.
    pub fn put(&self, slot: usize, item: Arc<T>) {
        let item = Arc::into_raw(item).cast_mut();
        let before = self.chunk_or_new(slot)[slot % CHUNK_LEN].swap(item, Ordering::AcqRel);
        assert!(before.is_null(), "slot {slot} is taken");
    }

    /// Empties the slots `first..first + count` once no guard of `epochs` that exists now is left, then
    /// calls `after`. Until then readers find what was there; the caller has seen to it that nobody
    /// who enters from now on looks for it.
    pub fn remove_later(
        self: &Arc<Self>,
        epochs: &Epochs,
        first: usize,
        count: usize,
        after: impl FnOnce() + Send + 'static,
    ) {
        let after: Box<dyn FnOnce() + Send> = Box::new(after);
        epochs.retire(Box::new(Removal { slots: Arc::clone(self), first, count, after: Some(after) }));
    }
}

/// A removal that happens when the epochs drop it.
struct Removal<T: Send + Sync + 'static> {
    slots: Arc<Slots<T>>,
    first: usize,
    count: usize,
    after: Option<Box<dyn FnOnce() + Send>>,
}

impl<T: Send + Sync + 'static> Drop for Removal<T> {
    fn drop(&mut self) {
        for slot in self.first..self.first + self.count {
            let Some(chunk) = self.slots.chunk(slot) else { continue };
            let item = chunk[slot % CHUNK_LEN].swap(ptr::null_mut(), Ordering::AcqRel);
            if !item.is_null() {
                // SAFETY: from `Arc::into_raw` (SL1); the swap made this call the reference's only owner; no
                // reader is left that could have loaded it: only the epochs drop a `Removal` (SL2).
                drop(unsafe { Arc::from_raw(item) });
            }
        }
        if let Some(after) = self.after.take() {
            after();
        }
    }
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        for chunk in &mut self.chunks {
            let chunk = *chunk.get_mut();
            if chunk.is_null() {
                continue;
            }
            // SAFETY: from `Box::into_raw` in `chunk_or_new`; `&mut self` excludes every reader.
            let mut chunk = unsafe { Box::from_raw(chunk) };
            for item in chunk.iter_mut() {
                let item = *item.get_mut();
                if !item.is_null() {
                    // SAFETY: from `Arc::into_raw` (SL1), owned by the slot, dropped once.
                    drop(unsafe { Arc::from_raw(item) });
                }
            }
        }
    }
}
