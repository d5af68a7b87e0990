//! Memory for pages.
//!
//! Pages grow in steps and all at about the same time, which is what makes general allocators fragment: a
//! fifth of the index was lost to holes too small for the next size. So pages of one size share chunks of address
//! space (`chunks`), and what a page leaves behind is given back or used again by one of its size.
//!
//! An index that grows cannot fail, because it grows for a record that is written already. So whoever is about to
//! write asks first, with [`Arena::ensure_free`], and is told while nothing has happened.
//!
//! Not here: what a page is (`page`), when one is freed (`table`, through the epochs).
//!
//! Where memory cannot be had by the chunk (and in models and under Miri), each page is an allocation of
//! the global allocator.

use super::page::PAGE_BYTES_MAX;

#[cfg(all(unix, not(loom), not(miri)))]
mod chunks;

#[cfg(not(all(unix, not(loom), not(miri))))]
pub(super) use by_page::Arena;
#[cfg(all(unix, not(loom), not(miri)))]
pub(super) use chunks::Arena;

/// What the system gives and takes memory by. Where that is larger, less is given back.
const MEMORY_PAGE_BYTES: usize = 4096;
const SLOT_BYTES_MAX: usize = PAGE_BYTES_MAX.next_multiple_of(MEMORY_PAGE_BYTES);

/// What this many bytes take of memory.
pub(super) fn memory_bytes(bytes: usize) -> usize {
    bytes.next_multiple_of(MEMORY_PAGE_BYTES)
}

#[cfg(not(all(unix, not(loom), not(miri))))]
mod by_page {
    use super::*;
    use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
    use std::ptr::NonNull;

    #[derive(Default)]
    pub(in super::super) struct Arena;

    impl Arena {
        /// Nothing is known ahead here.
        pub(in super::super) fn reserve(&self, _sizes: impl Iterator<Item = usize>) -> bool {
            true
        }

        /// Nothing was kept.
        pub(in super::super) fn end_reserve(&self) {}

        /// Nothing is known ahead here.
        pub(in super::super) fn ensure_free(&self, _count: usize) -> bool {
            true
        }

        /// `bytes` zeros, aligned to a memory page.
        pub(in super::super) fn allocate(&self, bytes: usize) -> NonNull<u8> {
            assert!(bytes > 0 && bytes <= SLOT_BYTES_MAX);
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

        /// Nothing is kept.
        pub(in super::super) fn idle_bytes(&self) -> usize {
            0
        }
    }

    fn layout(bytes: usize) -> Layout {
        match Layout::from_size_align(bytes, MEMORY_PAGE_BYTES) {
            Ok(layout) => layout,
            Err(_) => unreachable!("a slot is a few tens of KiB"),
        }
    }
}
