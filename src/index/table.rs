//! The pages of all stripes and the directories that lead to them.
//!
//! Every stripe has a directory: as many page pointers as it has prefixes of `depth` window bits. A
//! page of lesser depth stands in all slots of its prefix. A full page is replaced by a larger one, or,
//! if it is as large as pages get, by two that cover half of its range each; a directory that is
//! not deep enough for them is doubled. Replaced pages and directories are retired through the epochs.
//!
//! Not here: entries within a page (`page`), what a reader compares (`Index`), fetching pages from an
//! image (`unloaded`).
//!
//! Invariants:
//!   T1. Each slot of a directory leads to the page whose range covers the slot's prefix, and that page
//!       stands in exactly the slots of its range. A slot is null if the stripe never had an entry, or as
//!       long as its page is in the image only that the index was opened from; then all slots of that page are.
//!   T2. Directories and slots are written under the stripe's lock only, after what they point to
//!       is complete. There is a directory from the start on.
//!   T3. A page or directory that was ever reachable is freed through `epochs` only, or with the table.
//!
//! Why a replaced page still answers right: once it is out of the directory nobody writes to it, so it
//! stays as it was when it was replaced. A reader that holds it loaded the slot before that moment and
//! is still at work after it, so what it finds was true within its call. Who comes later, in the order
//! that any lock or message makes, finds the new slot.
//!
//! Locks: one per stripe; several are taken in rising order of their stripes.

use super::arena::Arena;
use super::entry::{DEPTH_MAX, Location, Probe, STRIPE_BITS, WINDOW_BITS, hashes_of_prefix};
use super::layout::{LINES_FIRST, LINES_MAX, LINES_SPLIT, SPILL_FIRST, lines_capacity};
use super::page::{Full, Page, prefetch_line};
use super::page_box::PageBox;
use super::unloaded::Unloaded;
use crate::epoch::{EpochGuard, Epochs};
use crate::sync::{AtomicPtr, AtomicU64, Mutex, MutexGuard, Ordering};
use std::ptr;
use std::sync::Arc;

/// How many parts of the index can be written to at the same time.
pub(super) const STRIPE_COUNT: usize = 1 << STRIPE_BITS;

/// A page from which so much was removed since it was built is first rebuilt at its size when its spill is
/// full: entries that came when it was more crowded lie away from home.
const REMOVED_TO_REBUILD: usize = SPILL_FIRST;
/// Below this load a page may have twice the spill before it grows: chance made it uneven, and a page that
/// has grown does not shrink again.
const LOAD_TO_GROW_PERCENT: usize = 74;
/// Below this load a page does not grow, whatever its spill: its hashes cannot be told apart.
const LOAD_TO_SPILL_PERCENT: usize = 50;
/// A half is given at least the lines that keep it below this load.
const LOAD_AFTER_SPLIT_PERCENT: usize = 70;

pub(super) struct Table {
    epochs: Arc<Epochs>,
    arena: Arc<Arena>,
    /// For readers: a directory with its depth in the low bits.
    directories: [AtomicPtr<SlotLine>; STRIPE_COUNT],
    locks: [StripeLock; STRIPE_COUNT],
    /// Pages that are in an image only.
    pub(super) unloaded: Unloaded,
}

/// What only writers touch, away from what readers read.
#[repr(align(64))]
struct StripeLock {
    mutex: Mutex<()>,
    /// Both are written under the mutex and read by anyone.
    count: AtomicU64,
    memory_bytes: AtomicU64,
}

/// Eight slots of a directory: null, or a page with its lines per group in the low bits.
///
/// The alignment is what leaves room for the depth in a pointer.
#[repr(align(64))]
struct SlotLine([AtomicPtr<u8>; SLOTS_PER_LINE]);

const SLOTS_PER_LINE: usize = 8;
const TAG_MASK: usize = 63;
const _: () = assert!(DEPTH_MAX as usize <= TAG_MASK && LINES_MAX <= TAG_MASK);

/// A stripe for one writer, as long as this lives.
pub(super) struct TableStripe<'a> {
    pub(super) table: &'a Table,
    stripe: usize,
    _lock: MutexGuard<'a, ()>,
    // Fields are dropped in this order: unlock first, free garbage then.
    retired: CollectOnDrop<'a>,
}

impl Table {
    pub(super) fn new(epochs: Arc<Epochs>) -> Self {
        Table {
            epochs,
            arena: Arc::default(),
            directories: std::array::from_fn(|_| AtomicPtr::new(tag_directory(new_directory(0), 0))),
            locks: std::array::from_fn(|_| StripeLock {
                mutex: Mutex::new(()),
                count: AtomicU64::new(0),
                memory_bytes: AtomicU64::new(size_of::<SlotLine>() as u64),
            }),
            unloaded: Unloaded::default(),
        }
    }

    /// The page that covers `probe` in `stripe`, for a reader. `None`: nothing was ever inserted, or the page is
    /// in an image only.
    ///
    /// # Panics
    /// If the guard is one of other epochs than this table's: it would not protect the page.
    #[inline]
    pub(super) fn page<'g>(&'g self, guard: &'g EpochGuard<'_>, stripe: usize, probe: Probe) -> Option<&'g Page> {
        assert!(ptr::eq(guard.epochs(), &*self.epochs), "the guard belongs to other epochs");
        // SAFETY: the guard keeps what is reachable now from being freed (T3), for as long as the result is
        // borrowed.
        unsafe { self.page_unprotected(stripe, probe) }
    }

    /// Brings the slot near that leads to the page of `probe`.
    #[inline]
    pub(super) fn prefetch_slot(&self, _guard: &EpochGuard<'_>, stripe: usize, probe: Probe) {
        // SAFETY: the guard keeps the directory from being freed (T3).
        let (slots, depth) = unsafe { self.directory_unprotected(stripe) };
        prefetch_line(&slots[probe.prefix(depth) as usize / SLOTS_PER_LINE]);
    }

    pub(super) fn lock(&self, stripe: usize) -> TableStripe<'_> {
        let lock = self.locks[stripe].mutex.lock();
        TableStripe { table: self, stripe, _lock: lock, retired: CollectOnDrop { epochs: &self.epochs, any: false } }
    }

    /// Where pages for [`TableStripe::fill`] are made.
    pub(super) fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }

    pub(super) fn count(&self) -> u64 {
        self.locks.iter().map(|lock| lock.count.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        let pages: u64 = self.locks.iter().map(|lock| lock.memory_bytes.load(Ordering::Relaxed)).sum();
        pages + self.arena.idle_bytes() as u64 + size_of::<Self>() as u64
    }

    /// # Safety
    /// The caller holds a guard of `self.epochs` or the stripe's lock, as long as the result lives.
    #[inline]
    unsafe fn page_unprotected<'g>(&self, stripe: usize, probe: Probe) -> Option<&'g Page> {
        // SAFETY: as the caller says.
        let page = unsafe { self.page_pointer(stripe, probe)? };
        // SAFETY: every slot of a directory points to a page (T1) that was complete when the slot was
        // stored (T2; acquire) and that is not freed while the caller's guard or lock lasts (T3).
        Some(unsafe { &*page })
    }

    /// The page's pointer as it was stored. It may free the page; one that is made of a `&Page` may not.
    ///
    /// # Safety
    /// As for [`Table::page_unprotected`].
    #[inline]
    unsafe fn page_pointer(&self, stripe: usize, probe: Probe) -> Option<*mut Page> {
        // SAFETY: as the caller says.
        let (slots, depth) = unsafe { self.directory_unprotected(stripe) };
        let slot = probe.prefix(depth) as usize;
        let tagged = slots[slot / SLOTS_PER_LINE].0[slot % SLOTS_PER_LINE].load(Ordering::Acquire);
        if tagged.is_null() { None } else { Some(untag_page(tagged)) }
    }

    /// # Safety
    /// As for [`Table::page_unprotected`].
    #[inline]
    unsafe fn directory_unprotected<'g>(&self, stripe: usize) -> (&'g [SlotLine], u32) {
        let (slots, depth) = untag_directory(self.directories[stripe].load(Ordering::Acquire));
        // SAFETY: a directory of this depth (T2; acquire), not freed as long as the caller says (T3).
        (unsafe { &*slots }, depth)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for stripe in 0..STRIPE_COUNT {
            let directory = untag_directory(self.directories[stripe].load(Ordering::Relaxed)).0;
            // SAFETY: from a box (T2), and `&mut self` means no readers and no writers are left.
            let directory = unsafe { Box::from_raw(directory) };
            let mut last = ptr::null_mut();
            for slot in directory.iter().flat_map(|line| &line.0) {
                let tagged = slot.load(Ordering::Relaxed);
                if !tagged.is_null() && tagged != last {
                    // SAFETY: from a `PageBox` of our arena (`tag_page`). The slots of a page are side by side (T1), so
                    // it is freed once; what was retired earlier is in no directory any more.
                    drop(unsafe { PageBox::from_raw(untag_page(tagged), Arc::clone(&self.arena)) });
                    last = tagged;
                }
            }
        }
    }
}

impl TableStripe<'_> {
    /// Which stripe this is.
    pub(super) fn number(&self) -> usize {
        self.stripe
    }

    /// The page that covers `probe`, from the image if it has to be. `None`: nothing was ever inserted, or
    /// the page cannot be had any more ([`TableStripe::lost`]).
    pub(super) fn page(&self, probe: Probe) -> Option<&Page> {
        match self.page_in_memory(probe) {
            None => self.load(probe),
            page => page,
        }
    }

    pub(super) fn page_in_memory(&self, probe: Probe) -> Option<&Page> {
        // SAFETY: the lock is held as long as `self` is borrowed, and pages are replaced by `&mut self` only.
        unsafe { self.table.page_unprotected(self.stripe, probe) }
    }

    /// Adds an entry; makes room for it where there is none.
    pub(super) fn insert(&mut self, probe: Probe, location: Location) {
        loop {
            let Some(page) = self.page(probe) else {
                if self.lost().is_some() {
                    // Who asks for this key is told of the damage, so nobody misses the entry.
                    return;
                }
                self.fill(0, Page::boxed(&self.table.arena, 0, LINES_FIRST));
                continue;
            };
            let spill_limit = spill_limit(page);
            if page.insert(probe, location, spill_limit).is_ok() {
                break;
            }
            if page.spill_used() < spill_limit || !self.make_room(probe) {
                self.spill(probe, location);
                break;
            }
        }
        self.add_to_count(1);
    }

    pub(super) fn remove(&mut self, probe: Probe, old: Location) -> bool {
        let removed = self.page(probe).is_some_and(|page| page.remove(probe, old));
        if removed {
            self.add_to_count(-1);
        }
        removed
    }

    pub(super) fn replace(&mut self, probe: Probe, old: Location, new: Location) -> bool {
        self.page(probe).is_some_and(|page| page.replace(probe, old, new))
    }

    /// All pages in the order of their ranges.
    pub(super) fn for_each_page(&self, mut f: impl FnMut(&Page)) {
        let mut next = Some(0);
        while let Some(window) = next {
            let Some(page) = self.page(Probe { group: 0, window }) else { break };
            next = window_after(page, window);
            f(page);
        }
    }

    /// The first hash after the range of the page that covers `probe`; `None` at the end of the last
    /// stripe.
    pub(super) fn hash_after(&self, probe: Probe) -> Option<u64> {
        let depth = self.page(probe).map_or(0, Page::depth);
        hashes_of_prefix(self.stripe, probe.prefix(depth), depth).1
    }

    /// Puts a page in the slots of its range, which are null.
    pub(super) fn fill(&self, prefix: u32, page: PageBox) {
        // SAFETY: we hold the lock.
        let (slots, depth) = unsafe { self.table.directory_unprotected(self.stripe) };
        let slot_count = 1 << (depth - page.depth());
        let first = prefix as usize * slot_count;
        self.add_to_memory(page.memory_bytes() as i64);
        let tagged = tag_page(page);
        for slot in first..first + slot_count {
            let before = slots[slot / SLOTS_PER_LINE].0[slot % SLOTS_PER_LINE].swap(tagged, Ordering::AcqRel);
            assert!(before.is_null(), "T1: a page was there already");
        }
    }

    /// Replaces the page of `probe`, whose spill is full, by something with more room. Says `false`
    /// if that would be no use: the entry belongs in the spill.
    fn make_room(&mut self, probe: Probe) -> bool {
        let Some(page) = self.page(probe) else { return false };
        let (used, capacity) = (page.lines_used(), page.lines_capacity());
        let (depth, lines) = (page.depth(), page.lines_per_group());
        let too_empty = used * 100 < capacity * LOAD_TO_SPILL_PERCENT;
        if too_empty && page.spill_used() < page.spill_capacity() {
            return false;
        }
        if page.removed_count() >= REMOVED_TO_REBUILD {
            let fresh = page.rebuilt(&self.table.arena, depth, lines, |_| true);
            // With some room to spare, or the next few inserts would rebuild it again.
            if fresh.spill_used() * 4 <= spill_limit(page) * 3 {
                self.replace_page(probe, vec![fresh]);
                return true;
            }
        }
        if too_empty {
            return false;
        }
        if lines < LINES_MAX {
            let larger = page.rebuilt(&self.table.arena, depth, lines + 1, |_| true);
            self.replace_page(probe, vec![larger]);
        } else if depth < DEPTH_MAX {
            let halves = [0, 1].map(|half| page_half(page, &self.table.arena, half));
            self.replace_page(probe, halves.into());
        } else {
            return false;
        }
        true
    }

    /// Puts the entry in the spill, which gets longer if it must.
    fn spill(&mut self, probe: Probe, location: Location) {
        let Some(page) = self.page(probe) else { return };
        let mut retired = None;
        if page.insert(probe, location, usize::MAX) == Err(Full) {
            let bytes = page.memory_bytes();
            retired = page.enlarge_spill();
            self.add_to_memory(page.memory_bytes() as i64 - bytes as i64);
            let inserted = page.insert(probe, location, usize::MAX);
            debug_assert!(inserted.is_ok());
        }
        if let Some(spill) = retired {
            // SAFETY: the pointer came from a box, and no page leads to it any more.
            self.retire(unsafe { Retired::new(spill.as_ptr()) });
        }
    }

    /// Puts one page of the same depth, or two of the next, in the place of the page of `probe`.
    fn replace_page(&mut self, probe: Probe, pages: Vec<PageBox>) {
        // SAFETY: we hold the lock, and `old` is in its slots until it is replaced below.
        let Some(old) = (unsafe { self.table.page_pointer(self.stripe, probe) }) else { return };
        // SAFETY: as above.
        let (old_depth, old_bytes) = unsafe { ((*old).depth(), (*old).memory_bytes()) };
        let depth_wanted = old_depth + pages.len().ilog2();
        self.deepen_directory(depth_wanted);
        let bytes: usize = pages.iter().map(|page| page.memory_bytes()).sum();
        // SAFETY: we hold the lock.
        let (slots, depth) = unsafe { self.table.directory_unprotected(self.stripe) };
        let slots_per_page = 1 << (depth - depth_wanted);
        let mut slot = (probe.prefix(old_depth) as usize) << (depth - old_depth);
        for page in pages {
            let tagged = tag_page(page);
            for slot in slot..slot + slots_per_page {
                slots[slot / SLOTS_PER_LINE].0[slot % SLOTS_PER_LINE].store(tagged, Ordering::Release);
            }
            slot += slots_per_page;
        }
        self.add_to_memory(bytes as i64 - old_bytes as i64);
        // SAFETY: every page came from a `PageBox` of our arena (`tag_page`), and this one is in no slot any
        // more.
        self.retire(unsafe { PageBox::from_raw(old, Arc::clone(&self.table.arena)) });
    }

    /// Makes the directory at least this deep.
    pub(super) fn deepen_directory(&mut self, depth_wanted: u32) {
        // SAFETY: we hold the lock.
        let (slots, depth) = unsafe { self.table.directory_unprotected(self.stripe) };
        if depth >= depth_wanted {
            return;
        }
        let directory = new_directory(depth_wanted);
        for slot in 0..1usize << depth_wanted {
            let from = slot >> (depth_wanted - depth);
            let page = slots[from / SLOTS_PER_LINE].0[from % SLOTS_PER_LINE].load(Ordering::Relaxed);
            directory[slot / SLOTS_PER_LINE].0[slot % SLOTS_PER_LINE].store(page, Ordering::Relaxed);
        }
        self.add_to_memory(size_of_val(&*directory) as i64 - size_of_val(slots) as i64);
        let tagged = tag_directory(directory, depth_wanted);
        let old = self.table.directories[self.stripe].swap(tagged, Ordering::AcqRel);
        // SAFETY: every directory came from a box (`tag_directory`), and this one is out of reach now.
        self.retire(unsafe { Retired::new(untag_directory(old).0) });
    }

    fn retire(&mut self, item: impl Send + 'static) {
        self.table.epochs.retire(Box::new(item));
        self.retired.any = true;
    }

    pub(super) fn add_to_count(&self, difference: i64) {
        let count = &self.table.locks[self.stripe].count;
        count.store(count.load(Ordering::Relaxed).wrapping_add_signed(difference), Ordering::Relaxed);
    }

    fn add_to_memory(&self, difference: i64) {
        let bytes = &self.table.locks[self.stripe].memory_bytes;
        bytes.store(bytes.load(Ordering::Relaxed).wrapping_add_signed(difference), Ordering::Relaxed);
    }
}

/// How many entries a page's spill may hold before the page grows.
fn spill_limit(page: &Page) -> usize {
    let uneven = page.lines_used() * 100 < page.lines_capacity() * LOAD_TO_GROW_PERCENT;
    if uneven { 2 * SPILL_FIRST } else { SPILL_FIRST }
}

/// What the last window of a page's range is followed by, if anything in the stripe.
fn window_after(page: &Page, window: u32) -> Option<u32> {
    let shift = WINDOW_BITS - page.depth();
    let next = (window >> shift) + 1;
    (next < 1 << page.depth()).then(|| next << shift)
}

/// A new page with the entries of one half of this page's range.
fn page_half(page: &Page, arena: &Arc<Arena>, half: u32) -> PageBox {
    let depth = page.depth() + 1;
    let belongs = |probe: Probe| probe.prefix(depth) & 1 == half;
    let count = page.entries().filter(|(probe, _)| belongs(*probe)).count();
    page.rebuilt(arena, depth, lines_for(count), belongs)
}

/// The lines per group of a new page with so many entries: mostly the smallest; more where the hashes are
/// lopsided.
pub(super) fn lines_for(count: usize) -> usize {
    let fits = |lines: &usize| count * 100 <= lines_capacity(*lines) * LOAD_AFTER_SPLIT_PERCENT;
    (LINES_SPLIT..LINES_MAX).find(fits).unwrap_or(LINES_MAX)
}

/// Something that was reachable by readers and will be freed by whoever collects it.
struct Retired<T: ?Sized> {
    // Not a box: a box claims to be the only way to what readers may still be reading.
    item: *mut T,
}

impl<T: ?Sized> Retired<T> {
    /// # Safety
    /// The pointer came from a box, and no new reader can reach it.
    unsafe fn new(item: *mut T) -> Self {
        Retired { item }
    }
}

// SAFETY: the items are atomics, which any thread may free, and nobody else has them by then.
unsafe impl<T: ?Sized> Send for Retired<T> {}

impl<T: ?Sized> Drop for Retired<T> {
    fn drop(&mut self) {
        // SAFETY: from a box (`new`); the epochs drop this when every reader has left who could have it.
        drop(unsafe { Box::from_raw(self.item) });
    }
}

/// Frees what can be freed, after the stripe is unlocked, if something was retired under the lock.
struct CollectOnDrop<'a> {
    epochs: &'a Epochs,
    any: bool,
}

impl Drop for CollectOnDrop<'_> {
    fn drop(&mut self) {
        if self.any {
            self.epochs.collect();
        }
    }
}

fn new_directory(depth: u32) -> Box<[SlotLine]> {
    let line_count = (1usize << depth).div_ceil(SLOTS_PER_LINE);
    (0..line_count).map(|_| SlotLine(std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())))).collect()
}

fn tag_directory(directory: Box<[SlotLine]>, depth: u32) -> *mut SlotLine {
    debug_assert!(directory.len() == (1usize << depth).div_ceil(SLOTS_PER_LINE));
    Box::into_raw(directory).cast::<SlotLine>().map_addr(|address| address | depth as usize)
}

#[inline]
fn untag_directory(tagged: *mut SlotLine) -> (*mut [SlotLine], u32) {
    let depth = (tagged.addr() & TAG_MASK) as u32;
    let line_count = (1usize << depth).div_ceil(SLOTS_PER_LINE);
    (ptr::slice_from_raw_parts_mut(tagged.map_addr(|address| address & !TAG_MASK), line_count), depth)
}

fn tag_page(page: PageBox) -> *mut u8 {
    let lines_per_group = page.lines_per_group();
    page.into_raw().cast::<u8>().map_addr(|address| address | lines_per_group)
}

#[inline]
fn untag_page(tagged: *mut u8) -> *mut Page {
    let lines_per_group = tagged.addr() & TAG_MASK;
    Page::from_thin(tagged.map_addr(|address| address & !TAG_MASK), lines_per_group)
}
