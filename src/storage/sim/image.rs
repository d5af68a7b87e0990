//! The memory of one simulated file: what its maps point into.
//!
//! Not here: how much of it is the file, and what of it is durable (`sim::inode`).
//!
//! Invariants:
//!   I1. The memory never moves and is never shortened as long as anybody has it.
//!   I2. Access is through raw pointers only; no reference to the bytes is ever made here, so claims
//!       and readers of a map (`storage::map`) may have theirs.
//!
//! Locks: none here; the simulation's mutex orders everything but the stores through maps.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Zeroed memory, aligned to 8.
pub(super) struct Image {
    base: NonNull<u8>,
    capacity: usize,
}

// SAFETY: plain memory that is valid on every thread; access is ordered by the simulation's mutex
// and, through maps, by the rules of `storage::map`.
unsafe impl Send for Image {}
// SAFETY: as for `Send`.
unsafe impl Sync for Image {}

impl Image {
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1).next_multiple_of(8);
        let layout = Self::layout(capacity);
        // SAFETY: the layout's size is not zero.
        let base = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(base) else { handle_alloc_error(layout) };
        Self { base, capacity }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Copies from `offset` into `target`. Panics outside the memory.
    pub(super) fn load(&self, offset: usize, target: &mut [u8]) {
        self.check(offset, target.len());
        // SAFETY: in bounds (checked), initialised (zeroed, I1), and `target` is another allocation.
        // Stores of a map's user at the same time are not waited for: see the locks of `sim`.
        unsafe { self.base.as_ptr().add(offset).copy_to_nonoverlapping(target.as_mut_ptr(), target.len()) };
    }

    /// Copies `source` to `offset`. Panics outside the memory.
    pub(super) fn store(&self, offset: usize, source: &[u8]) {
        self.check(offset, source.len());
        // SAFETY: in bounds (checked), and `source` is another allocation; that nobody reads these
        // bytes through a map at the same time is kept by the rules of `storage::map`, as on disk.
        unsafe { self.base.as_ptr().add(offset).copy_from_nonoverlapping(source.as_ptr(), source.len()) };
    }

    /// Whether the bytes at `offset` are `expected`, which is faster than to load them.
    pub(super) fn equals(&self, offset: usize, expected: &[u8]) -> bool {
        let mut piece = [0_u8; 512];
        let mut at = offset;
        expected.chunks(piece.len()).all(|chunk| {
            let piece = &mut piece[..chunk.len()];
            self.load(at, piece);
            at += chunk.len();
            piece == chunk
        })
    }

    fn check(&self, offset: usize, len: usize) {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.capacity), "outside the image");
    }

    fn layout(capacity: usize) -> Layout {
        match Layout::from_size_align(capacity, 8) {
            Ok(layout) => layout,
            Err(_) => panic!("a simulated file of {capacity} bytes"),
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout; the last owner is going, so nobody has it mapped.
        unsafe { dealloc(self.base.as_ptr(), Self::layout(self.capacity)) };
    }
}
