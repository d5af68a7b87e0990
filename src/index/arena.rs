//! Memory for pages.
//!
//! Pages grow in steps and all at about the same time, which is what makes general allocators fragment: a
//! fifth of the index was lost to holes too small for the next size. So every page gets a slot of address
//! space that the largest would fit in, and touches of it only what it needs; the rest costs nothing. A
//! slot that comes back is used again as it is, but for the part that the next page does not need.
//!
//! An index that grows cannot fail, because it grows for a record that is written already. So whoever is about to
//! write asks first, with [`Arena::ensure_free`], and is told while nothing has happened.
//!
//! Not here: what a page is (`page`), when one is freed (`table`, through the epochs).
//!
//! Invariants:
//!   A1. A slot is free, or belongs to one caller of [`Arena::allocate`] until that calls `free`.
//!   A2. Beyond `touched_bytes` a free slot takes no memory.
//!
//! Locks: `slots`, never held in a system call but the one for a new chunk.
//!
//! Where memory cannot be had by the slot (and in models and under Miri), each page is an allocation of
//! the global allocator.

use super::page::PAGE_BYTES_MAX;
use std::alloc::{Layout, handle_alloc_error};
use std::ptr::NonNull;

/// What the system gives and takes memory by. Where that is larger, less is given back.
const MEMORY_PAGE_BYTES: usize = 4096;
const SLOT_BYTES: usize = PAGE_BYTES_MAX.next_multiple_of(MEMORY_PAGE_BYTES);

/// What this many bytes take of memory.
pub(super) fn memory_bytes(bytes: usize) -> usize {
    bytes.next_multiple_of(MEMORY_PAGE_BYTES)
}

#[cfg(not(all(unix, not(loom), not(miri))))]
pub(super) use by_page::Arena;
#[cfg(all(unix, not(loom), not(miri)))]
pub(super) use by_slot::Arena;

#[cfg(all(unix, not(loom), not(miri)))]
mod by_slot {
    use super::*;
    use memmap2::{MmapOptions, MmapRaw};
    use parking_lot::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Slots per chunk: what the system is asked for at a time.
    const CHUNK_SLOTS: usize = 64;
    const CHUNK_BYTES: usize = CHUNK_SLOTS * SLOT_BYTES;
    /// Free slots beyond this and a sixteenth of all give their memory back.
    const KEPT_SLOTS: usize = 32;

    /// So many slots are free before a write, besides those that it may need itself: the writers that asked at the same
    /// moment take them, two each at most, and few of them any.
    const FREE_SLOTS_MIN: usize = 24;
    /// More than this no write is asked to find ahead: a batch that splits so many pages is none.
    const FREE_SLOTS_MAX: usize = 1024;

    #[derive(Default)]
    pub(in super::super) struct Arena {
        slots: Mutex<Slots>,
        /// As many as are in `slots.free`, for a look without the lock.
        free_count: AtomicUsize,
    }

    #[derive(Default)]
    struct Slots {
        /// Unmapped with the arena; every page holds on to it, so none is left then.
        chunks: Vec<MmapRaw>,
        free: Vec<FreeSlot>,
    }

    struct FreeSlot {
        address: NonNull<u8>,
        touched_bytes: usize,
    }

    // SAFETY: the addresses are of memory that the arena owns, whatever the thread.
    unsafe impl Send for Slots {}

    impl Arena {
        /// `bytes` zeros, aligned to a memory page. Ends the process like any allocation if there is no
        /// memory and nobody asked [`Arena::ensure_free`].
        pub(in super::super) fn allocate(&self, bytes: usize) -> NonNull<u8> {
            assert!(bytes <= SLOT_BYTES);
            let slot = {
                let mut slots = self.slots.lock();
                let slot = slots.take();
                self.free_count.store(slots.free.len(), Ordering::Relaxed);
                slot
            };
            let wanted_bytes = memory_bytes(bytes);
            if slot.touched_bytes > wanted_bytes {
                // A2: what the last page touched and this one will not.
                // SAFETY: within the slot, which is ours (A1), and at a memory page's beginning.
                unsafe { give_back(slot.address.add(wanted_bytes), slot.touched_bytes - wanted_bytes) };
            }
            // SAFETY: `bytes` fit in the slot, and it is ours (A1).
            unsafe { slot.address.write_bytes(0, bytes) };
            slot.address
        }

        /// Sees to it that so many pages can be made without asking the system; false if it has nothing to give.
        #[inline]
        pub(in super::super) fn ensure_free(&self, count: usize) -> bool {
            let wanted = FREE_SLOTS_MIN + count.min(FREE_SLOTS_MAX);
            self.free_count.load(Ordering::Relaxed) >= wanted || self.map_until_free(wanted)
        }

        #[cold]
        fn map_until_free(&self, wanted: usize) -> bool {
            let mut slots = self.slots.lock();
            while slots.free.len() < wanted {
                let Some(chunk) = new_chunk() else { return false };
                slots.add(chunk);
                self.free_count.store(slots.free.len(), Ordering::Relaxed);
            }
            true
        }

        /// Takes back what [`Arena::allocate`] gave.
        ///
        /// # Safety
        /// `address` came from this arena for so many `bytes`, and nobody uses it any more.
        pub(in super::super) unsafe fn free(&self, address: NonNull<u8>, bytes: usize) {
            let mut touched_bytes = memory_bytes(bytes);
            let enough = {
                let slots = self.slots.lock();
                slots.free.len() > KEPT_SLOTS + slots.chunks.len() * CHUNK_SLOTS / 16
            };
            if enough {
                // SAFETY: all of it is the caller's, who is done with it.
                unsafe { give_back(address, touched_bytes) };
                touched_bytes = 0;
            }
            let mut slots = self.slots.lock();
            slots.free.push(FreeSlot { address, touched_bytes });
            self.free_count.store(slots.free.len(), Ordering::Relaxed);
        }
    }

    impl Slots {
        fn take(&mut self) -> FreeSlot {
            loop {
                if let Some(slot) = self.free.pop() {
                    return slot;
                }
                let Some(chunk) = new_chunk() else { handle_alloc_error(Layout::new::<[u8; CHUNK_BYTES]>()) };
                self.add(chunk);
            }
        }

        /// The chunk's slots are the last to be taken: those that were used before have memory already.
        fn add(&mut self, chunk: MmapRaw) {
            let base = chunk.as_mut_ptr();
            self.chunks.push(chunk);
            // SAFETY: within the chunk, and so not null.
            let address = |i: usize| unsafe { NonNull::new_unchecked(base.add(i * SLOT_BYTES)) };
            let slots = (0..CHUNK_SLOTS).rev().map(|i| FreeSlot { address: address(i), touched_bytes: 0 });
            self.free.splice(0..0, slots);
        }
    }

    #[allow(clippy::disallowed_methods)] // Anonymous memory: the rule is about maps of files.
    fn new_chunk() -> Option<MmapRaw> {
        let chunk = MmapOptions::new().len(CHUNK_BYTES).map_anon().map(MmapRaw::from).ok()?;
        // Huge pages would fill the gaps that are left on purpose. It is advice: if it fails, no matter.
        #[cfg(target_os = "linux")]
        let _ = chunk.advise(memmap2::Advice::NoHugePage);
        Some(chunk)
    }

    /// # Safety
    /// The range is the caller's, who does not care for its contents; it begins at a memory page.
    unsafe fn give_back(address: NonNull<u8>, bytes: usize) {
        // If the system refuses, the memory stays: no harm but its size.
        // SAFETY: as the caller says; afterwards the range holds other bytes, in private memory of ours.
        unsafe { libc::madvise(address.as_ptr().cast(), bytes, libc::MADV_DONTNEED) };
    }
}

#[cfg(not(all(unix, not(loom), not(miri))))]
mod by_page {
    use super::*;
    use std::alloc::{alloc_zeroed, dealloc};

    #[derive(Default)]
    pub(in super::super) struct Arena;

    impl Arena {
        /// Nothing is known ahead here.
        pub(in super::super) fn ensure_free(&self, _count: usize) -> bool {
            true
        }

        /// `bytes` zeros, aligned to a memory page.
        pub(in super::super) fn allocate(&self, bytes: usize) -> NonNull<u8> {
            assert!(bytes > 0 && bytes <= SLOT_BYTES);
            let layout = layout(bytes);
            // SAFETY: the size is not zero.
            let address = unsafe { alloc_zeroed(layout) };
            NonNull::new(address).unwrap_or_else(|| handle_alloc_error(layout))
        }

        /// Takes back what [`Arena::allocate`] gave.
        ///
        /// # Safety
        /// `address` came from this arena for so many `bytes`, and nobody uses it any more.
        pub(in super::super) unsafe fn free(&self, address: NonNull<u8>, bytes: usize) {
            // SAFETY: allocated with the same layout.
            unsafe { dealloc(address.as_ptr(), layout(bytes)) };
        }
    }

    fn layout(bytes: usize) -> Layout {
        match Layout::from_size_align(bytes, MEMORY_PAGE_BYTES) {
            Ok(layout) => layout,
            Err(_) => unreachable!("a slot is a few tens of KiB"),
        }
    }
}
