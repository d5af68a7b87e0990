//! Memory for pages.
//!
//! Pages grow in steps and all at about the same time, which is what makes general allocators fragment: a
//! fifth of the index was lost to holes too small for the next size. So every page gets a slot of address
//! space that the largest would fit in, and touches of it only what it needs; the rest costs nothing. A
//! slot that comes back is used again as it is, but for the part that the next page does not need.
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

    /// Slots per chunk: what the system is asked for at a time.
    const CHUNK_SLOTS: usize = 64;
    const CHUNK_BYTES: usize = CHUNK_SLOTS * SLOT_BYTES;
    /// Free slots beyond this and a sixteenth of all give their memory back.
    const KEPT_SLOTS: usize = 32;

    #[derive(Default)]
    pub(in super::super) struct Arena {
        slots: Mutex<Slots>,
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
        /// memory.
        pub(in super::super) fn allocate(&self, bytes: usize) -> NonNull<u8> {
            assert!(bytes <= SLOT_BYTES);
            let slot = self.slots.lock().take();
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
            self.slots.lock().free.push(FreeSlot { address, touched_bytes });
        }
    }

    impl Slots {
        fn take(&mut self) -> FreeSlot {
            if let Some(slot) = self.free.pop() {
                return slot;
            }
            self.chunks.push(new_chunk());
            let chunk = self.chunks[self.chunks.len() - 1].as_mut_ptr();
            // SAFETY: within the chunk, and so not null.
            let address = |i: usize| unsafe { NonNull::new_unchecked(chunk.add(i * SLOT_BYTES)) };
            let slot = |i| FreeSlot { address: address(i), touched_bytes: 0 };
            self.free.extend((1..CHUNK_SLOTS).rev().map(slot));
            slot(0)
        }
    }

    #[allow(clippy::disallowed_methods)] // Anonymous memory: the rule is about maps of files.
    fn new_chunk() -> MmapRaw {
        let Ok(chunk) = MmapOptions::new().len(CHUNK_BYTES).map_anon().map(MmapRaw::from) else {
            handle_alloc_error(Layout::new::<[u8; CHUNK_BYTES]>());
        };
        // Huge pages would fill the gaps that are left on purpose. It is advice: if it fails, no matter.
        #[cfg(target_os = "linux")]
        let _ = chunk.advise(memmap2::Advice::NoHugePage);
        chunk
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
