//! A page: the entries of one range of hashes, in groups of lines of words.
//!
//! A page is one allocation: a head of one cache line, then its lines. An entry lies in the line of
//! its group that its window names (its home), or, if that was full, in the next line of the group,
//! or, if both were full, in the page's spill: a short list beside the page that also takes what no
//! hashing can tell apart. A line has one flag per word and uses two of them: `DISPLACED` (some entry
//! whose home this is lies in the next line) and `SPILLED` (some lies in the spill). They are where
//! a reader looks anyway, so a miss in a line without flags is a miss after one cache line.
//!
//! Not here: which page covers a hash, replacing pages, locks (`table`).
//!
//! Invariants (of everything but a reader's moment between two loads):
//!   P1. Only the holder of the stripe's lock writes; readers write nothing.
//!   P2. An entry never moves within a page: it stays in its word from insert to remove, and a
//!       replace stores to that word.
//!   P3. As long as an entry lies in the line after its home, its home is flagged `DISPLACED`; as
//!       long as it lies in the spill, its home is flagged `SPILLED`.
//!   P4. `lines_used` and `spill_used` count the entries in the lines and in the spill.
//!
//! Why a reader never misses a key that is there throughout: by P2 it lies in one word, and by P3
//! the flags lead there, at whatever moments the reader loads them. A key that comes or goes while
//! the reader is at it may be found or not, and either answer was true at the moment when the reader
//! loaded the word in question.
//!
//! Locks: none; see P1.

use super::entry::{EMPTY, FLAG, GROUP_COUNT, Location, Probe, location_of};
use crate::sync::{AtomicPtr, AtomicU64, Ordering};
use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::ptr::{self, NonNull};

/// Words in a line: one cache line.
pub(super) const LINE_WORDS: usize = if cfg!(loom) { 2 } else { 8 };
/// Lines per group of a stripe's first page.
pub(super) const LINES_FIRST: usize = if cfg!(loom) { 2 } else { 1 };
/// Lines per group after a split.
pub(super) const LINES_SPLIT: usize = if cfg!(loom) { 2 } else { 4 };
/// Lines per group of the largest page.
pub(super) const LINES_MAX: usize = if cfg!(loom) { 2 } else { 7 };
/// Entries in the spill above which a page grows, if it is not too empty for that.
pub(super) const SPILL_FIRST: usize = if cfg!(loom) { 1 } else { 16 };

/// The words whose flags say where else a line's entries lie.
pub(super) const DISPLACED: usize = 0;
pub(super) const SPILLED: usize = 1;

/// See the top of the file. Made by [`Page::new`] only, so its length is always whole groups.
#[repr(C)]
pub(super) struct Page {
    head: Head,
    lines: [Line],
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

/// Entries that found no room in their lines.
pub(super) struct Spill {
    slots: Box<[SpillSlot]>,
}

struct SpillSlot {
    /// [`Probe::tag`]; means something only while `word` holds an entry.
    tag: AtomicU64,
    word: AtomicU64,
}

/// There is no room left for an entry, as far as the caller allows it to be looked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Page {
    /// An empty page for hashes that agree in their first `depth` window bits.
    pub(super) fn new(depth: u32, lines_per_group: usize) -> Box<Page> {
        assert!((1..=LINES_MAX).contains(&lines_per_group));
        let line_count = GROUP_COUNT * lines_per_group;
        let layout = layout(line_count);
        // SAFETY: the layout's size is not zero.
        let raw = unsafe { alloc_zeroed(layout) };
        if raw.is_null() {
            handle_alloc_error(layout);
        }
        let page = Page::from_thin(raw, lines_per_group);
        let head = Head {
            spill: AtomicPtr::new(ptr::null_mut()),
            depth,
            lines_used: AtomicU64::new(0),
            spill_used: AtomicU64::new(0),
            removed_count: AtomicU64::new(0),
        };
        // SAFETY: `page` points to memory of just this type's size and alignment (`layout`), ours
        // alone. The head is written here; lines are atomics, for which zeros are a value (in
        // models, where they are not, each is written too). The box frees with the layout of the
        // value it points to, and that is `layout` again.
        unsafe {
            (&raw mut (*page).head).write(head);
            #[cfg(loom)]
            for i in 0..line_count {
                (&raw mut (*page).lines).cast::<Line>().add(i).write(Line(std::array::from_fn(|_| AtomicU64::new(0))));
            }
            Box::from_raw(page)
        }
    }

    /// The page at an address that [`Box::into_raw`] gave, with its length found again.
    #[inline]
    pub(super) fn from_thin(address: *mut u8, lines_per_group: usize) -> *mut Page {
        ptr::slice_from_raw_parts_mut(address.cast::<Line>(), GROUP_COUNT * lines_per_group) as *mut Page
    }

    /// Looks in all places that `probe` may be, in the order of likelihood.
    #[inline]
    pub(super) fn find(&self, probe: Probe, mut is_match: impl FnMut(Location) -> bool) -> Option<Location> {
        let (home, next) = self.lines_of(probe);
        let words = self.lines[home].load();
        if let Some(found) = find_in(&words, probe, &mut is_match) {
            return Some(found);
        }
        if (words[DISPLACED] | words[SPILLED]) & FLAG == 0 {
            return None;
        }
        self.find_away_from_home(probe, &words, next, is_match)
    }

    /// Brings the home line of `probe` near.
    #[inline]
    pub(super) fn prefetch(&self, probe: Probe) {
        let line = &self.lines[self.lines_of(probe).0];
        #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
        // SAFETY: SSE is part of x86-64, and a prefetch has no effect on memory whatever the address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(ptr::from_ref(line).cast());
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
        let _ = line;
    }

    /// Puts an entry in its lines, or in the spill while that holds fewer than `spill_limit` and has
    /// a free slot.
    pub(super) fn insert(&self, probe: Probe, location: Location, spill_limit: usize) -> Result<(), Full> {
        let (home, next) = self.lines_of(probe);
        if self.lines[home].put(probe.word(location)) {
            self.head.lines_used.add(1);
            return Ok(());
        }
        if next != home && self.lines[next].has_room() {
            // P3: the flag first, so that nobody can see the entry in vain.
            self.lines[home].set_flag(DISPLACED, true);
            self.lines[next].put(probe.word(location));
            self.head.lines_used.add(1);
            return Ok(());
        }
        if self.spill_used() >= spill_limit { Err(Full) } else { self.insert_in_spill(probe, location) }
    }

    /// Stores `new` where `old` is, if it is there.
    pub(super) fn replace(&self, probe: Probe, old: Location, new: Location) -> bool {
        let Some((word, _)) = self.word_of(probe, old) else { return false };
        let flag = word.load(Ordering::Relaxed) & FLAG;
        word.store(flag | probe.word(new), Ordering::Release);
        true
    }

    /// Removes the entry with this location, if it is there.
    pub(super) fn remove(&self, probe: Probe, old: Location) -> bool {
        let Some((word, place)) = self.word_of(probe, old) else { return false };
        let flag = word.load(Ordering::Relaxed) & FLAG;
        word.store(flag | EMPTY, Ordering::Release);
        self.head.removed_count.add(1);
        let (home, next) = self.lines_of(probe);
        match place {
            Place::Home => self.head.lines_used.subtract(1),
            Place::Next => {
                self.head.lines_used.subtract(1);
                if !self.entries_of_line(next).any(|(other, _)| self.lines_of(other).0 == home) {
                    self.lines[home].set_flag(DISPLACED, false);
                }
            }
            Place::Spill => {
                self.head.spill_used.subtract(1);
                if !self.entries_of_spill().any(|(other, _)| self.lines_of(other).0 == home) {
                    self.lines[home].set_flag(SPILLED, false);
                }
            }
        }
        true
    }

    /// All entries, each with what its place says about its hash.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Probe, Location)> {
        (0..self.lines.len()).flat_map(|line| self.entries_of_line(line)).chain(self.entries_of_spill())
    }

    /// A new page with those of this page's entries that `keep` wants. What finds no room goes to
    /// its spill, which is as long as it has to be.
    pub(super) fn rebuilt(&self, depth: u32, lines_per_group: usize, keep: impl Fn(Probe) -> bool) -> Box<Page> {
        let mut page = Page::new(depth, lines_per_group);
        for (probe, location) in self.entries().filter(|(probe, _)| keep(*probe)) {
            page.insert_alone(probe, location);
        }
        page
    }

    /// Inserts into a page that nobody else sees yet; always finds room.
    pub(super) fn insert_alone(&mut self, probe: Probe, location: Location) {
        if self.insert(probe, location, 0) == Err(Full) {
            self.spill_alone(probe, location);
        }
    }

    /// Puts an entry in the spill of a page that nobody else sees yet.
    pub(super) fn spill_alone(&mut self, probe: Probe, location: Location) {
        while self.insert_in_spill(probe, location) == Err(Full) {
            if let Some(old) = self.enlarge_spill() {
                // SAFETY: from a box, and the page is borrowed mutably: no reader has it.
                drop(unsafe { Box::from_raw(old.as_ptr()) });
            }
        }
    }

    /// Makes the spill twice as long and returns the old one, which came from a box and is the caller's to
    /// free: not before every reader of this page has left who may have entered before the call.
    pub(super) fn enlarge_spill(&self) -> Option<NonNull<Spill>> {
        let slot_count = self.spill().map_or(SPILL_FIRST, |spill| spill.slots.len() * 2);
        let longer = Spill::new(slot_count);
        if let Some(spill) = self.spill() {
            for (from, to) in spill.slots.iter().zip(&longer.slots) {
                to.tag.store(from.tag.load(Ordering::Relaxed), Ordering::Relaxed);
                to.word.store(from.word.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        let old = self.head.spill.swap(Box::into_raw(Box::new(longer)), Ordering::AcqRel);
        NonNull::new(old)
    }

    pub(super) fn depth(&self) -> u32 {
        self.head.depth
    }

    pub(super) fn lines_per_group(&self) -> usize {
        self.lines.len() / GROUP_COUNT
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
        self.spill().map_or(0, |spill| spill.slots.len())
    }

    /// What it takes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(self) + self.spill().map_or(0, |spill| size_of::<Spill>() + size_of_val(&*spill.slots))
    }

    /// The words of all lines, for images.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        self.lines.iter().flat_map(|line| line.load())
    }

    /// Sets the words of all lines, for images; the caller has checked them. The count is the
    /// caller's too.
    pub(super) fn set_words(&mut self, words: impl Iterator<Item = u64>, lines_used: usize) {
        for (to, from) in self.lines.iter().flat_map(|line| &line.0).zip(words) {
            to.store(from, Ordering::Relaxed);
        }
        self.head.lines_used.store(lines_used as u64, Ordering::Relaxed);
    }

    #[inline]
    fn lines_of(&self, probe: Probe) -> (usize, usize) {
        neighbour_lines(probe, self.lines_per_group())
    }

    #[cold]
    #[inline(never)]
    fn find_away_from_home(
        &self,
        probe: Probe,
        home_words: &[u64; LINE_WORDS],
        next: usize,
        mut is_match: impl FnMut(Location) -> bool,
    ) -> Option<Location> {
        if home_words[DISPLACED] & FLAG != 0
            && let Some(found) = find_in(&self.lines[next].load(), probe, &mut is_match)
        {
            return Some(found);
        }
        if home_words[SPILLED] & FLAG == 0 {
            return None;
        }
        self.spill()?.slots.iter().find_map(|slot| {
            let location = location_of(slot.word.load(Ordering::Acquire))?;
            // The slot may change hands between the two loads; then the tag misleads, but only
            // about a key that came or went just now.
            (slot.tag.load(Ordering::Acquire) == probe.tag() && is_match(location)).then_some(location)
        })
    }

    fn insert_in_spill(&self, probe: Probe, location: Location) -> Result<(), Full> {
        let Some(slot) = self.spill().and_then(Spill::free_slot) else { return Err(Full) };
        // P3: the flag first, here too.
        self.lines[self.lines_of(probe).0].set_flag(SPILLED, true);
        slot.tag.store(probe.tag(), Ordering::Release);
        slot.word.store(probe.word(location), Ordering::Release);
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

    /// The word that holds this very entry. For writers.
    fn word_of(&self, probe: Probe, location: Location) -> Option<(&AtomicU64, Place)> {
        let (home, next) = self.lines_of(probe);
        let wanted = probe.word(location);
        let holds = |word: &&AtomicU64| word.load(Ordering::Relaxed) & !FLAG == wanted;
        if let Some(word) = self.lines[home].0.iter().find(holds) {
            return Some((word, Place::Home));
        }
        if self.lines[home].flag(DISPLACED)
            && let Some(word) = self.lines[next].0.iter().find(holds)
        {
            return Some((word, Place::Next));
        }
        if !self.lines[home].flag(SPILLED) {
            return None;
        }
        let slot = self.spill()?.slots.iter().find(|slot| {
            slot.tag.load(Ordering::Relaxed) == probe.tag() && slot.word.load(Ordering::Relaxed) == wanted
        })?;
        Some((&slot.word, Place::Spill))
    }

    fn entries_of_line(&self, line: usize) -> impl Iterator<Item = (Probe, Location)> {
        let group = line / self.lines_per_group();
        let words = self.lines[line].load();
        words.into_iter().filter_map(move |word| Some((Probe::of_word(group, word), location_of(word)?)))
    }

    pub(super) fn entries_of_spill(&self) -> impl Iterator<Item = (Probe, Location)> {
        self.spill().into_iter().flat_map(|spill| &spill.slots).filter_map(|slot| {
            let location = location_of(slot.word.load(Ordering::Acquire))?;
            Some((Probe::of_tag(slot.tag.load(Ordering::Acquire)), location))
        })
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let spill = self.head.spill.load(Ordering::Relaxed);
        if !spill.is_null() {
            // SAFETY: from a box (`enlarge_spill`), and a page that is dropped has no readers.
            drop(unsafe { Box::from_raw(spill) });
        }
    }
}

/// Where an entry lies.
enum Place {
    Home,
    Next,
    Spill,
}

impl Line {
    #[inline]
    fn load(&self) -> [u64; LINE_WORDS] {
        std::array::from_fn(|i| self.0[i].load(Ordering::Acquire))
    }

    fn has_room(&self) -> bool {
        self.0.iter().any(|word| location_of(word.load(Ordering::Relaxed)).is_none())
    }

    fn put(&self, entry: u64) -> bool {
        for word in &self.0 {
            let now = word.load(Ordering::Relaxed);
            if location_of(now).is_none() {
                word.store(now & FLAG | entry, Ordering::Release);
                return true;
            }
        }
        false
    }

    fn flag(&self, which: usize) -> bool {
        self.0[which].load(Ordering::Relaxed) & FLAG != 0
    }

    fn set_flag(&self, which: usize, on: bool) {
        let word = self.0[which].load(Ordering::Relaxed);
        self.0[which].store(if on { word | FLAG } else { word & !FLAG }, Ordering::Release);
    }
}

impl Spill {
    fn new(slot_count: usize) -> Self {
        let slot = || SpillSlot { tag: AtomicU64::new(0), word: AtomicU64::new(EMPTY) };
        Spill { slots: (0..slot_count).map(|_| slot()).collect() }
    }

    fn free_slot(&self) -> Option<&SpillSlot> {
        self.slots.iter().find(|slot| slot.word.load(Ordering::Relaxed) == EMPTY)
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

/// The home line of a probe, and the next line of its group: the same if it is the only one.
#[inline]
pub(super) fn neighbour_lines(probe: Probe, lines_per_group: usize) -> (usize, usize) {
    let first = probe.group * lines_per_group;
    let line = probe.line(lines_per_group);
    let next = if line + 1 == lines_per_group { 0 } else { line + 1 };
    (first + line, first + next)
}

/// The first matching entry of a line.
#[inline]
fn find_in(words: &[u64; LINE_WORDS], probe: Probe, is_match: &mut impl FnMut(Location) -> bool) -> Option<Location> {
    // Compare all first: the loop has no branches, and mostly leaves one candidate or none.
    let mut candidates = 0u32;
    for (i, word) in words.iter().enumerate() {
        candidates |= u32::from(probe.agrees(*word)) << i;
    }
    while candidates != 0 {
        let word = words[candidates.trailing_zeros() as usize];
        candidates &= candidates - 1;
        if let Some(location) = location_of(word)
            && is_match(location)
        {
            return Some(location);
        }
    }
    None
}

/// Entries that a page's lines have room for.
pub(super) fn lines_capacity(lines_per_group: usize) -> usize {
    GROUP_COUNT * lines_per_group * LINE_WORDS
}

fn layout(line_count: usize) -> Layout {
    let lines = Layout::array::<Line>(line_count);
    let Some((layout, _)) = lines.ok().and_then(|lines| Layout::new::<Head>().extend(lines).ok()) else {
        unreachable!("a page is a few tens of KiB");
    };
    layout.pad_to_align()
}
