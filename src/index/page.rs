//! A page: the entries of one range of hashes, in groups of lines of words.
//!
//! A page is one allocation: a head of one cache line, then a word of tags for each line, then the lines.
//! An entry lies in the line of its group that its window names (its home), or, if that was full, in one of
//! the next lines of the group, or, if they were full too, in the page's spill: a short list beside the page
//! that also takes what no hashing can tell apart. A line's tags are a byte for each of its words: 7 bits of
//! the entry's hash, 0 for none. They are small enough to stay in a cache that the lines are too large for,
//! so a miss mostly ends there. The eighth bits are flags of the line: `displaced(n)` (some entry whose
//! home this is lies `n` lines further) and `SPILLED` (some lies in the spill).
//!
//! Not here: which page covers a hash, replacing pages, locks (`table`).
//!
//! Invariants (at any moment that a reader can see, unless said otherwise):
//!   P1. Only the holder of the stripe's lock writes; readers write nothing.
//!   P2. An entry never moves within a page: it stays in its word from insert to remove, and a
//!       replace stores to that word. As long as it is there, its tag is there too.
//!   P3. As long as an entry lies `n` lines after its home, its home is flagged `displaced(n)`; as
//!       long as it lies in the spill, its home is flagged `SPILLED`.
//!   P4. To writers, a word has a tag exactly if it holds an entry, and `lines_used` and `spill_used` count
//!       the entries in the lines and in the spill.
//!
//! Why a reader never misses a key that is there throughout: by P2 it lies in one word, under one tag, and
//! by P3 the flags lead there, at whatever moments the reader loads them. For a key that comes or goes
//! meanwhile, the store to its word is the moment that counts: flags and tags are set before it and cleared
//! after it, so whoever does not see them need not look, and whoever goes straight to the word sees the same.
//!
//! Locks: none; see P1.

use super::arena::{self, Arena};
use super::entry::{EMPTY, GROUP_COUNT, Location, Probe, location_of};
use super::layout::{
    FLAGS, LINE_WORDS, LINES_MAX, SPILL_FIRST, SPILLED, body_len, bytes_equal, displaced, distances, line_at,
    lines_capacity, tag_lines,
};
use super::page_box::PageBox;
use super::spill::{Spill, SpillSlot};
use crate::sync::{AtomicPtr, AtomicU64, Ordering};
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// See the top of the file. Made by [`Page::new`] only, so its length is always whole groups.
#[repr(C)]
pub(super) struct Page {
    head: Head,
    /// First the tags, a word for each line of entries, then those lines.
    body: [Line],
}

#[repr(C, align(64))]
struct Head {
    /// Null, or a box that this page owns.
    spill: AtomicPtr<Spill>,
    depth: u32,
    lines_used: AtomicU64,
    spill_used: AtomicU64,
    removed_count: AtomicU64,
}

#[repr(C, align(64))]
struct Line([AtomicU64; LINE_WORDS]);

#[cfg(not(loom))]
const _: () = assert!(size_of::<Head>() == 64 && size_of::<Line>() == 64);

/// There is no room left for an entry, as far as the caller allows it to be looked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Page {
    /// An empty page for hashes that agree in their first `depth` window bits.
    pub(super) fn boxed(arena: &Arc<Arena>, depth: u32, lines_per_group: usize) -> PageBox {
        assert!((1..=LINES_MAX).contains(&lines_per_group));
        let memory = arena.allocate(page_bytes(lines_per_group));
        let page = Page::from_thin(memory.as_ptr(), lines_per_group);
        let head = Head {
            spill: AtomicPtr::new(ptr::null_mut()),
            depth,
            lines_used: AtomicU64::new(0),
            spill_used: AtomicU64::new(0),
            removed_count: AtomicU64::new(0),
        };
        // SAFETY: `page` points to zeros of just this type's size (`page_bytes`) and more than its
        // alignment, ours alone. The head is written here; lines are atomics, for which zeros are a value (in
        // models, where they are not, each is written too).
        unsafe {
            (&raw mut (*page).head).write(head);
            #[cfg(loom)]
            for i in 0..body_len(lines_per_group) {
                (&raw mut (*page).body).cast::<Line>().add(i).write(Line(std::array::from_fn(|_| AtomicU64::new(0))));
            }
            PageBox::from_raw(page, Arc::clone(arena))
        }
    }

    /// The page at the address of a [`PageBox`], with its length found again.
    #[inline]
    pub(super) fn from_thin(address: *mut u8, lines_per_group: usize) -> *mut Page {
        ptr::slice_from_raw_parts_mut(address.cast::<Line>(), body_len(lines_per_group)) as *mut Page
    }

    /// Looks in all places that `probe` may be, in the order of likelihood.
    #[inline]
    pub(super) fn find(&self, probe: Probe, mut is_match: impl FnMut(Location) -> bool) -> Option<Location> {
        let home = self.home(probe);
        // A hit needs the line too, so let it come while the tags do; a miss does not wait for it.
        self.prefetch(probe);
        let tags = self.tags(home).load(Ordering::Acquire);
        if let Some(found) = self.find_in(home, tags, probe, &mut is_match) {
            return Some(found);
        }
        if tags & FLAGS == 0 {
            return None;
        }
        self.find_away_from_home(probe, tags, is_match)
    }

    /// As [`Page::find`], for when [`Page::prefetch`] was called a while ago: the line is at hand, so
    /// the tags would only be one more place to wait for.
    #[inline]
    pub(super) fn find_prefetched(&self, probe: Probe, mut is_match: impl FnMut(Location) -> bool) -> Option<Location> {
        let home = self.home(probe);
        let words = self.line(home).load();
        let mut candidates = 0u32;
        for (i, word) in words.iter().enumerate() {
            candidates |= u32::from(probe.agrees(*word)) << i;
        }
        while candidates != 0 {
            let location = location_of(words[candidates.trailing_zeros() as usize]);
            candidates &= candidates - 1;
            if let Some(location) = location
                && is_match(location)
            {
                return Some(location);
            }
        }
        let tags = self.tags(home).load(Ordering::Acquire);
        if tags & FLAGS == 0 {
            return None;
        }
        self.find_away_from_home(probe, tags, is_match)
    }

    /// Brings the home line of `probe` near.
    #[inline]
    pub(super) fn prefetch(&self, probe: Probe) {
        prefetch_line(self.line(self.home(probe)));
    }

    /// Brings what else a change touches near: the tags of the home line of `probe`, and the counts.
    #[inline]
    pub(super) fn prefetch_for_write(&self, probe: Probe) {
        self.prefetch(probe);
        prefetch_line(self.tags(self.home(probe)));
        prefetch_line(&self.head);
    }

    /// Puts an entry in its lines, or in the spill while that holds fewer than `spill_limit` and has
    /// a free slot.
    pub(super) fn insert(&self, probe: Probe, location: Location, spill_limit: usize) -> Result<(), Full> {
        let home = self.home(probe);
        if self.put(home, probe, location) {
            return Ok(());
        }
        for (distance, line) in self.lines_after(probe) {
            if self.has_room(line) {
                // P3: the flag first, so that nobody can see the entry in vain.
                self.set_flag(home, displaced(distance), true);
                self.put(line, probe, location);
                return Ok(());
            }
        }
        if self.spill_used() >= spill_limit { Err(Full) } else { self.insert_in_spill(probe, location) }
    }

    /// Stores `new` where `old` is, if it is there.
    pub(super) fn replace(&self, probe: Probe, old: Location, new: Location) -> bool {
        match self.place_of(probe, old) {
            Some(Place::Line { line, i, .. }) => self.line(line).0[i].store(probe.word(new), Ordering::Release),
            Some(Place::Spill(slot)) => slot.replace(probe, new),
            None => return false,
        }
        true
    }

    /// Removes the entry with this location, if it is there.
    pub(super) fn remove(&self, probe: Probe, old: Location) -> bool {
        let Some(place) = self.place_of(probe, old) else { return false };
        let home = self.home(probe);
        let is_of_home = |(other, _): (Probe, Location)| self.home(other) == home;
        match place {
            Place::Line { line, distance, i } => {
                // P2, P3: the word first; what leads to it then.
                self.line(line).0[i].store(EMPTY, Ordering::Release);
                let tags = self.tags(line).load(Ordering::Relaxed);
                self.tags(line).store(tags & !(0x7F << (8 * i)), Ordering::Release);
                self.head.lines_used.subtract(1);
                if distance > 0 && !self.entries_of_line(line).any(is_of_home) {
                    self.set_flag(home, displaced(distance), false);
                }
            }
            Place::Spill(slot) => {
                slot.clear();
                self.head.spill_used.subtract(1);
                if !self.entries_of_spill().any(is_of_home) {
                    self.set_flag(home, SPILLED, false);
                }
            }
        }
        self.head.removed_count.add(1);
        true
    }

    /// All entries, each with what its place says about its hash.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Probe, Location)> {
        (0..self.line_count()).flat_map(|line| self.entries_of_line(line)).chain(self.entries_of_spill())
    }

    pub(super) fn entries_of_spill(&self) -> impl Iterator<Item = (Probe, Location)> {
        self.spill().into_iter().flat_map(|spill| spill.entries())
    }

    /// A new page with those of this page's entries that `keep` wants. What finds no room goes to
    /// its spill, which is as long as it has to be.
    pub(super) fn rebuilt(
        &self,
        arena: &Arc<Arena>,
        depth: u32,
        lines_per_group: usize,
        keep: impl Fn(Probe) -> bool,
    ) -> PageBox {
        let mut page = Page::boxed(arena, depth, lines_per_group);
        // Not a loop: an iterator of iterators is slow from outside, and growth is a good part of a set.
        self.entries().filter(|(probe, _)| keep(*probe)).for_each(|(probe, location)| {
            if page.insert(probe, location, 0) == Err(Full) {
                page.spill_alone(probe, location);
            }
        });
        page
    }

    /// Makes the spill twice as long and returns the old one, which came from a box and is the caller's to
    /// free: not before every reader of this page has left who may have entered before the call.
    pub(super) fn enlarge_spill(&self) -> Option<NonNull<Spill>> {
        let longer = self.spill().map_or_else(|| Spill::new(SPILL_FIRST), Spill::twice_as_long);
        let old = self.head.spill.swap(Box::into_raw(Box::new(longer)), Ordering::AcqRel);
        NonNull::new(old)
    }

    /// Leaves the page without its spill, which came from a box. For a page that has no readers.
    pub(super) fn take_spill(&self) -> Option<NonNull<Spill>> {
        NonNull::new(self.head.spill.swap(ptr::null_mut(), Ordering::AcqRel))
    }

    pub(super) fn depth(&self) -> u32 {
        self.head.depth
    }

    #[inline]
    pub(super) fn lines_per_group(&self) -> usize {
        self.body.len() / body_len(1)
    }

    /// Entries in lines.
    pub(super) fn lines_used(&self) -> usize {
        self.head.lines_used.load(Ordering::Relaxed) as usize
    }

    /// Entries in the spill.
    pub(super) fn spill_used(&self) -> usize {
        self.head.spill_used.load(Ordering::Relaxed) as usize
    }

    /// Entries that were removed since the page was built.
    pub(super) fn removed_count(&self) -> usize {
        self.head.removed_count.load(Ordering::Relaxed) as usize
    }

    /// Entries that the lines have room for.
    pub(super) fn lines_capacity(&self) -> usize {
        lines_capacity(self.lines_per_group())
    }

    /// Entries that the spill has room for.
    pub(super) fn spill_capacity(&self) -> usize {
        self.spill().map_or(0, Spill::capacity)
    }

    /// What it takes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        arena::memory_bytes(size_of_val(self)) + self.spill().map_or(0, Spill::memory_bytes)
    }

    /// All words after the head, tags first, for images.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        self.body.iter().flat_map(Line::load)
    }

    /// Sets all words after the head from their bytes, little-endian, for images; the caller has checked them and counted.
    pub(super) fn set_words(&self, bytes: &[u8], lines_used: usize) {
        let (lines, _) = bytes.as_chunks::<{ LINE_WORDS * 8 }>();
        for (line, bytes) in self.body.iter().zip(lines) {
            for (to, from) in line.0.iter().zip(bytes.as_chunks::<8>().0) {
                to.store(u64::from_le_bytes(*from), Ordering::Relaxed);
            }
        }
        self.head.lines_used.store(lines_used as u64, Ordering::Relaxed);
    }

    #[inline]
    fn line_count(&self) -> usize {
        GROUP_COUNT * self.lines_per_group()
    }

    #[inline]
    fn home(&self, probe: Probe) -> usize {
        line_at(probe, 0, self.lines_per_group())
    }

    /// The distances and lines where an entry may lie if it is not at home.
    fn lines_after(&self, probe: Probe) -> impl Iterator<Item = (usize, usize)> {
        let lines_per_group = self.lines_per_group();
        distances(lines_per_group).skip(1).map(move |distance| (distance, line_at(probe, distance, lines_per_group)))
    }

    #[inline]
    fn tags(&self, line: usize) -> &AtomicU64 {
        &self.body[line / LINE_WORDS].0[line % LINE_WORDS]
    }

    #[inline]
    fn line(&self, line: usize) -> &Line {
        &self.body[tag_lines(self.lines_per_group()) + line]
    }

    /// The first matching entry of a line with these tags.
    #[inline]
    fn find_in(
        &self,
        line: usize,
        tags: u64,
        probe: Probe,
        is_match: &mut impl FnMut(Location) -> bool,
    ) -> Option<Location> {
        let mut candidates = bytes_equal(tags, probe.tag());
        while candidates != 0 {
            let i = candidates.trailing_zeros() as usize / 8;
            candidates &= candidates - 1;
            let word = self.line(line).0[i].load(Ordering::Acquire);
            if probe.agrees(word)
                && let Some(location) = location_of(word)
                && is_match(location)
            {
                return Some(location);
            }
        }
        None
    }

    #[cold]
    #[inline(never)]
    fn find_away_from_home(
        &self,
        probe: Probe,
        home_tags: u64,
        mut is_match: impl FnMut(Location) -> bool,
    ) -> Option<Location> {
        for (distance, line) in self.lines_after(probe) {
            if home_tags & displaced(distance) != 0 {
                let tags = self.tags(line).load(Ordering::Acquire);
                if let Some(found) = self.find_in(line, tags, probe, &mut is_match) {
                    return Some(found);
                }
            }
        }
        if home_tags & SPILLED == 0 {
            return None;
        }
        self.spill()?.find(probe, is_match)
    }

    /// Puts an entry in a free word of the line, if there is one.
    fn put(&self, line: usize, probe: Probe, location: Location) -> bool {
        let tags = self.tags(line).load(Ordering::Relaxed);
        let free = bytes_equal(tags, 0);
        if free == 0 {
            return false;
        }
        let i = free.trailing_zeros() as usize / 8;
        // P2: the tag first, for without it nobody looks.
        self.tags(line).store(tags | (u64::from(probe.tag()) << (8 * i)), Ordering::Release);
        self.line(line).0[i].store(probe.word(location), Ordering::Release);
        self.head.lines_used.add(1);
        true
    }

    fn has_room(&self, line: usize) -> bool {
        bytes_equal(self.tags(line).load(Ordering::Relaxed), 0) != 0
    }

    fn set_flag(&self, line: usize, flag: u64, on: bool) {
        let tags = self.tags(line).load(Ordering::Relaxed);
        self.tags(line).store(if on { tags | flag } else { tags & !flag }, Ordering::Release);
    }

    /// Puts an entry in a free slot of the spill, if there is one.
    pub(super) fn insert_in_spill(&self, probe: Probe, location: Location) -> Result<(), Full> {
        let Some(slot) = self.spill().and_then(Spill::free_slot) else { return Err(Full) };
        // P3: the flag first, here too.
        self.set_flag(self.home(probe), SPILLED, true);
        slot.fill(probe, location);
        self.head.spill_used.add(1);
        Ok(())
    }

    fn spill(&self) -> Option<&Spill> {
        let spill = self.head.spill.load(Ordering::Acquire);
        // SAFETY: not null, so from a box, fully written before the pointer was (release, acquire).
        // It is freed with the page, or after `enlarge_spill`, when all readers of the page have left;
        // `self` is borrowed from one of them, or from a writer, and writers are alone.
        unsafe { spill.as_ref() }
    }

    /// Where this very entry lies. For writers.
    fn place_of(&self, probe: Probe, location: Location) -> Option<Place<'_>> {
        let home = self.home(probe);
        let home_tags = self.tags(home).load(Ordering::Relaxed);
        let wanted = probe.word(location);
        let away = self.lines_after(probe).filter(|(distance, _)| home_tags & displaced(*distance) != 0);
        for (distance, line) in std::iter::once((0, home)).chain(away) {
            let holds = |word: &AtomicU64| word.load(Ordering::Relaxed) == wanted;
            if let Some(i) = self.line(line).0.iter().position(holds) {
                return Some(Place::Line { line, distance, i });
            }
        }
        let spill = if home_tags & SPILLED == 0 { None } else { self.spill() };
        spill?.slot_of(probe, location).map(Place::Spill)
    }

    fn entries_of_line(&self, line: usize) -> impl Iterator<Item = (Probe, Location)> {
        let group = line / self.lines_per_group();
        let words = self.line(line).load();
        words.into_iter().filter_map(move |word| Some((Probe::of_word(group, word), location_of(word)?)))
    }
}

/// Where an entry lies.
enum Place<'a> {
    /// In this line, so far from home, at this word.
    Line {
        line: usize,
        distance: usize,
        i: usize,
    },
    Spill(&'a SpillSlot),
}

impl Line {
    fn load(&self) -> [u64; LINE_WORDS] {
        std::array::from_fn(|i| self.0[i].load(Ordering::Acquire))
    }
}

/// A count that one thread at a time writes: no need for a locked addition.
trait OneWriter {
    fn add(&self, count: u64);
    fn subtract(&self, count: u64);
}

impl OneWriter for AtomicU64 {
    fn add(&self, count: u64) {
        self.store(self.load(Ordering::Relaxed) + count, Ordering::Relaxed);
    }

    fn subtract(&self, count: u64) {
        self.store(self.load(Ordering::Relaxed) - count, Ordering::Relaxed);
    }
}

/// Brings a cache line near, where that can be said.
#[inline]
pub(super) fn prefetch_line<T>(target: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
    // SAFETY: SSE is part of x86-64, and a prefetch has no effect on memory whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(ptr::from_ref(target).cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
    let _ = target;
}

pub(super) const fn page_bytes(lines_per_group: usize) -> usize {
    size_of::<Head>() + body_len(lines_per_group) * size_of::<Line>()
}

/// What the largest page takes.
pub(super) const PAGE_BYTES_MAX: usize = page_bytes(LINES_MAX);
