//! Chunks of address space, each for pages of one size.
//!
//! A chunk is as large and as aligned as a huge page of the processor. In a large index chunks ask for huge pages:
//! half of what a random access to a hundred megabytes costs is the walk through the page tables. What is taken back
//! then still goes by memory pages of ordinary size; the system breaks the huge page up. A chunk without a page is
//! given back whole and may hold pages of another size next.
//!
//! Not here: pages of the index (`page`).
//!
//! Invariants:
//!   A1. A slot is free, or belongs to one caller of [`Arena::allocate`] until that calls `free`.
//!   A2. A slot that is not `resident` takes no memory, unless its chunk is `huge`.
//!   A3. `open[class]` holds exactly the chunks of that class with a free slot.
//!
//! Locks: `chunks`, never held in a system call but the one for a new chunk.

use super::{MEMORY_PAGE_BYTES, SLOT_BYTES_MAX, memory_bytes};
use crate::lock::Mutex;
use std::alloc::{Layout, handle_alloc_error};
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A huge page of x86-64 and of ARM with pages of 4 KiB; elsewhere only a size.
const CHUNK_BYTES: usize = 2 << 20;
/// A slot's size in memory pages.
const CLASS_COUNT: usize = SLOT_BYTES_MAX / MEMORY_PAGE_BYTES + 1;
/// Most slots of a chunk: no page of the index takes less than two memory pages.
const SLOT_COUNT_MAX: usize = CHUNK_BYTES / MEMORY_PAGE_BYTES / 2;
/// From this size on an index has huge pages: what a chunk has too much of must be little beside it.
const HUGE_BYTES_MIN: usize = 64 << 20;
/// So many chunks are empty before a write, besides those that it may need itself: address space for pages of any
/// size, for it and for the writers that asked at the same moment.
const EMPTY_COUNT_MIN: usize = 3;
/// More pages than this no write is asked to find room for ahead: a batch that splits so many is none.
const ENSURED_COUNT_MAX: usize = 1024;
/// Free memory beyond this, or beyond a 32nd of all, is given back.
const KEPT_BYTES: usize = 64 << 10;

#[derive(Default)]
pub(in super::super) struct Arena {
    chunks: Mutex<Chunks>,
    /// As many as are in `chunks.empty`, for a look without the lock.
    empty_count: AtomicUsize,
    /// So many chunks are for pages that were announced, and not for those of writers.
    reserved_count: AtomicUsize,
}

struct Chunks {
    /// See [`HUGE_BYTES_MIN`].
    huge_bytes_min: usize,
    /// By address. Unmapped with the arena; every page holds on to it, so none is left then.
    all: BTreeMap<usize, Chunk>,
    /// By class: addresses of chunks.
    open: [BTreeSet<usize>; CLASS_COUNT],
    /// Chunks that take no memory.
    empty: Vec<Chunk>,
    taken_bytes: usize,
    /// Memory in chunks that belongs to no caller.
    idle_bytes: usize,
}

impl Default for Chunks {
    fn default() -> Self {
        Self {
            huge_bytes_min: HUGE_BYTES_MIN,
            all: BTreeMap::new(),
            open: Default::default(),
            empty: Vec::new(),
            taken_bytes: 0,
            idle_bytes: 0,
        }
    }
}

struct Chunk {
    memory: NonNull<u8>,
    class: usize,
    is_huge: bool,
    taken_count: usize,
    taken: SlotSet,
    resident: SlotSet,
}

// SAFETY: the address is of memory that the chunk owns, whatever the thread.
unsafe impl Send for Chunk {}

/// Which slots of a chunk.
#[derive(Clone, Copy, Default)]
struct SlotSet([u64; SLOT_COUNT_MAX / 64]);

impl SlotSet {
    fn has(&self, slot: usize) -> bool {
        self.0[slot / 64] >> (slot % 64) & 1 != 0
    }

    fn set(&mut self, slot: usize, on: bool) {
        let bit = 1 << (slot % 64);
        if on { self.0[slot / 64] |= bit } else { self.0[slot / 64] &= !bit }
    }

    fn first_without(&self, count: usize) -> Option<usize> {
        (0..count).find(|slot| !self.has(*slot))
    }
}

/// What a freed slot's memory is to become.
enum Idle {
    Kept,
    /// So many bytes from there on.
    GivenBack(NonNull<u8>, usize),
    /// All of the chunk's.
    Emptied(Chunk),
}

impl Arena {
    /// `bytes` zeros, aligned to a memory page. Ends the process like any allocation if there is no
    /// memory and nobody asked [`Arena::ensure_free`].
    pub(in super::super) fn allocate(&self, bytes: usize) -> NonNull<u8> {
        assert!(bytes <= SLOT_BYTES_MAX);
        let address = {
            let mut chunks = self.chunks.lock();
            let address = chunks.take(class_of(bytes));
            self.empty_count.store(chunks.empty.len(), Ordering::Relaxed);
            address
        };
        // SAFETY: `bytes` fit in the slot, and it is ours (A1).
        unsafe { address.write_bytes(0, bytes) };
        address
    }

    /// Maps what pages of these sizes will take, and keeps it from writers until [`Arena::end_reserve`]; false if the
    /// system has nothing to give. It is address space; memory comes with the pages.
    pub(in super::super) fn reserve(&self, sizes: impl Iterator<Item = usize>) -> bool {
        let mut counts = [0; CLASS_COUNT];
        sizes.for_each(|bytes| counts[class_of(bytes)] += 1);
        let chunks_of = |(class, count): (usize, &usize)| count.div_ceil(CHUNK_BYTES / (class * MEMORY_PAGE_BYTES));
        let chunk_count = counts.iter().enumerate().skip(1).map(chunks_of).sum();
        self.reserved_count.store(chunk_count, Ordering::Relaxed);
        self.map_until_empty(EMPTY_COUNT_MIN + chunk_count)
    }

    /// All pages that were announced are made.
    pub(in super::super) fn end_reserve(&self) {
        self.reserved_count.store(0, Ordering::Relaxed);
    }

    /// Sees to it that so many pages can be made without asking the system; false if it has nothing to give.
    #[inline]
    pub(in super::super) fn ensure_free(&self, count: usize) -> bool {
        let ensured = count.min(ENSURED_COUNT_MAX) / (CHUNK_BYTES / SLOT_BYTES_MAX);
        let wanted = EMPTY_COUNT_MIN + self.reserved_count.load(Ordering::Relaxed) + ensured;
        self.empty_count.load(Ordering::Relaxed) >= wanted || self.map_until_empty(wanted)
    }

    #[cold]
    fn map_until_empty(&self, wanted: usize) -> bool {
        let mut chunks = self.chunks.lock();
        while chunks.empty.len() < wanted {
            let Some(chunk) = new_chunk() else { return false };
            chunks.empty.push(chunk);
            self.empty_count.store(chunks.empty.len(), Ordering::Relaxed);
        }
        true
    }

    /// Takes back what [`Arena::allocate`] gave.
    ///
    /// # Safety
    /// `address` came from this arena for so many `bytes`, and nobody uses it any more.
    pub(in super::super) unsafe fn free(&self, address: NonNull<u8>, bytes: usize) {
        let idle = self.chunks.lock().free(address, class_of(bytes));
        match idle {
            Idle::Kept => {}
            Idle::GivenBack(address, bytes) => {
                // SAFETY: still ours, for the slot is taken until the next line.
                unsafe { give_back(address, bytes) };
                self.chunks.lock().release(address, false);
            }
            Idle::Emptied(chunk) => {
                // SAFETY: nobody has a slot of the chunk, and it is in no list.
                unsafe { give_back(chunk.memory, CHUNK_BYTES) };
                let mut chunks = self.chunks.lock();
                chunks.empty.push(chunk);
                self.empty_count.store(chunks.empty.len(), Ordering::Relaxed);
            }
        }
    }

    /// Memory that no page has: slots that were freed and kept, and what huge pages have too much of.
    pub(in super::super) fn idle_bytes(&self) -> usize {
        self.chunks.lock().idle_bytes
    }
}

fn class_of(bytes: usize) -> usize {
    memory_bytes(bytes) / MEMORY_PAGE_BYTES
}

impl Chunk {
    fn slot_bytes(&self) -> usize {
        self.class * MEMORY_PAGE_BYTES
    }

    fn slot_count(&self) -> usize {
        CHUNK_BYTES / self.slot_bytes()
    }

    fn address(&self) -> usize {
        self.memory.addr().get()
    }

    /// What it takes of memory that no slot has when all are taken.
    fn rest_bytes(&self) -> usize {
        if self.is_huge { CHUNK_BYTES - self.slot_count() * self.slot_bytes() } else { 0 }
    }

    /// An empty chunk for slots of this class.
    fn prepare(&mut self, class: usize, is_huge: bool) {
        (self.class, self.is_huge) = (class, is_huge);
        (self.taken, self.resident, self.taken_count) = (SlotSet::default(), SlotSet::default(), 0);
        #[cfg(target_os = "linux")]
        {
            let advice = if is_huge { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
            // SAFETY: a live map of our own; advice changes none of its bytes, and if it fails, no matter.
            unsafe { libc::madvise(self.memory.as_ptr().cast(), CHUNK_BYTES, advice) };
            // The first store makes all of it resident.
            (0..self.slot_count()).for_each(|slot| self.resident.set(slot, is_huge));
        }
    }
}

impl Chunks {
    fn take(&mut self, class: usize) -> NonNull<u8> {
        let address = match self.open[class].first() {
            Some(address) => *address,
            None => {
                let Some(mut chunk) = self.empty.pop().or_else(new_chunk) else {
                    handle_alloc_error(Layout::new::<[u8; CHUNK_BYTES]>())
                };
                let is_huge = self.taken_bytes >= self.huge_bytes_min && cfg!(target_os = "linux");
                chunk.prepare(class, is_huge);
                if is_huge {
                    self.idle_bytes += CHUNK_BYTES;
                }
                let address = chunk.address();
                self.open[class].insert(address);
                self.all.insert(address, chunk);
                address
            }
        };
        let Some(chunk) = self.all.get_mut(&address) else { unreachable!("open chunks are among all (A3)") };
        let Some(slot) = chunk.taken.first_without(chunk.slot_count()) else {
            unreachable!("open chunks have a free slot (A3)")
        };
        if chunk.resident.has(slot) {
            self.idle_bytes -= chunk.slot_bytes();
        }
        chunk.taken.set(slot, true);
        chunk.resident.set(slot, true);
        chunk.taken_count += 1;
        self.taken_bytes += chunk.slot_bytes();
        if chunk.taken_count == chunk.slot_count() {
            self.open[class].remove(&address);
        }
        // SAFETY: within the chunk.
        unsafe { chunk.memory.add(slot * chunk.slot_bytes()) }
    }

    /// Ends a caller's claim to a slot, or says what is to be done first.
    fn free(&mut self, address: NonNull<u8>, class: usize) -> Idle {
        let base = address.addr().get() & !(CHUNK_BYTES - 1);
        let Some(chunk) = self.all.get_mut(&base) else { unreachable!("pages lie in chunks") };
        debug_assert!(chunk.class == class, "freed with another size than it was made with");
        if chunk.taken_count == 1 {
            let rest = chunk.rest_bytes();
            let others = (0..chunk.slot_count()).filter(|slot| chunk.resident.has(*slot)).count() - 1;
            self.taken_bytes -= chunk.slot_bytes();
            self.idle_bytes -= others * chunk.slot_bytes() + rest;
            self.open[class].remove(&base);
            return self.all.remove(&base).map_or(Idle::Kept, Idle::Emptied);
        }
        let bytes = chunk.slot_bytes();
        if self.idle_bytes > KEPT_BYTES.max(self.taken_bytes / 32) {
            return Idle::GivenBack(address, bytes);
        }
        self.release(address, true);
        Idle::Kept
    }

    /// The slot is free from now on.
    fn release(&mut self, address: NonNull<u8>, is_resident: bool) {
        let base = address.addr().get() & !(CHUNK_BYTES - 1);
        let Some(chunk) = self.all.get_mut(&base) else { unreachable!("a chunk with a taken slot stays") };
        let slot = (address.addr().get() - base) / chunk.slot_bytes();
        debug_assert!(chunk.taken.has(slot));
        chunk.taken.set(slot, false);
        chunk.resident.set(slot, is_resident);
        chunk.taken_count -= 1;
        self.taken_bytes -= chunk.slot_bytes();
        if is_resident {
            self.idle_bytes += chunk.slot_bytes();
        }
        self.open[chunk.class].insert(base);
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        for chunk in self.all.values().chain(&self.empty) {
            // SAFETY: mapped by `new_chunk` with this length; nobody has a page in it any more.
            unsafe { libc::munmap(chunk.memory.as_ptr().cast(), CHUNK_BYTES) };
        }
    }
}

/// Address space for a chunk, aligned to its size, if the system has it.
#[allow(clippy::disallowed_methods)] // Anonymous memory: the rule is about maps of files.
fn new_chunk() -> Option<Chunk> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let reserved_bytes = 2 * CHUNK_BYTES;
    // SAFETY: a new anonymous mapping where the kernel chooses aliases nothing.
    let reserved = unsafe { libc::mmap(std::ptr::null_mut(), reserved_bytes, protection, flags, -1, 0) };
    let reserved = NonNull::new(reserved.cast::<u8>()).filter(|_| reserved != libc::MAP_FAILED)?;
    let before = reserved.addr().get().next_multiple_of(CHUNK_BYTES) - reserved.addr().get();
    let behind = CHUNK_BYTES - before;
    // SAFETY: both ends are within the mapping just made, and nothing points into them.
    let memory = unsafe {
        let memory = reserved.add(before);
        if before > 0 {
            libc::munmap(reserved.as_ptr().cast(), before);
        }
        if behind > 0 {
            libc::munmap(memory.add(CHUNK_BYTES).as_ptr().cast(), behind);
        }
        memory
    };
    let (taken, resident) = (SlotSet::default(), SlotSet::default());
    Some(Chunk { memory, class: CLASS_COUNT - 1, is_huge: false, taken_count: 0, taken, resident })
}

/// # Safety
/// The range is the caller's, who does not care for its contents; it begins at a memory page.
unsafe fn give_back(address: NonNull<u8>, bytes: usize) {
    // If the system refuses, the memory stays: no harm but its size.
    // SAFETY: as the caller says; afterwards the range holds other bytes, in private memory of ours.
    unsafe { libc::madvise(address.as_ptr().cast(), bytes, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn slots_are_zeros_that_nobody_else_has_and_the_books_agree() {
        let arena = Arena::default();
        arena.chunks.lock().huge_bytes_min = 4 << 20;
        let mut state = 88_172_645_463_325_252;
        let mut held: Vec<(NonNull<u8>, usize, u8)> = Vec::new();
        for n in 0..6_000_u32 {
            // The count swells and shrinks, so that chunks fill, empty, and change their class.
            let wanted = if n / 1_000 % 2 == 0 { 80 } else { 25 };
            if random(&mut state) % 100 < wanted || held.is_empty() {
                let bytes = 4_672 + (random(&mut state) % 7) as usize * 4_608;
                let address = arena.allocate(bytes);
                let mark = n as u8 | 1;
                // SAFETY: ours, for so many bytes.
                unsafe {
                    assert!((0..bytes).all(|i| *address.as_ptr().add(i) == 0), "not zeros");
                    address.write_bytes(mark, bytes);
                }
                held.push((address, bytes, mark));
            } else {
                let at = (random(&mut state) % held.len() as u64) as usize;
                let (address, bytes, mark) = held.swap_remove(at);
                // SAFETY: ours until it is freed.
                unsafe {
                    assert!((0..bytes).all(|i| *address.as_ptr().add(i) == mark), "somebody else wrote here");
                    arena.free(address, bytes);
                }
            }
            let taken: usize = held.iter().map(|(_, bytes, _)| memory_bytes(*bytes)).sum();
            let chunks = arena.chunks.lock();
            assert_eq!(chunks.taken_bytes, taken);
            let idle = |chunk: &Chunk| {
                let free = |slot: &usize| chunk.resident.has(*slot) && !chunk.taken.has(*slot);
                (0..chunk.slot_count()).filter(free).count() * chunk.slot_bytes() + chunk.rest_bytes()
            };
            assert_eq!(chunks.idle_bytes, chunks.all.values().map(idle).sum::<usize>());
        }
        assert!(arena.chunks.lock().all.values().any(|chunk| chunk.is_huge), "the test is too small for huge pages");
        for (address, bytes, _) in held {
            // SAFETY: ours until now.
            unsafe { arena.free(address, bytes) };
        }
        let chunks = arena.chunks.lock();
        assert_eq!((chunks.taken_bytes, chunks.idle_bytes, chunks.all.len()), (0, 0, 0));
    }
}
