//! A mapped file as memory: bytes that are readable once published, and room that is claimed by one
//! writer each.
//!
//! [`Map`] is the raw mapping. [`AppendMap`] is what the log uses: it hands out disjoint [`Claim`]s
//! of the free room in rising order and makes them readable in that same order, so that what may be
//! read is always one contiguous prefix.
//!
//! Not here: what the bytes mean, and when they are durable.
//!
//! Invariants:
//!   M1. `header_len <= published <= tail <= len`.
//!   M2. Bytes in `header_len..published` never change; outside the words, neither does the header.
//!   M3. Every byte in `published..tail` belongs to exactly one live claim.
//!   M4. `published` grows only by the claim that starts there, after its bytes are in place.
//!
//! Locks: none. `tail` and `published` are atomics; publishing waits, spinning and then yielding,
//! for the claims before it, whose writers are only copying.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// How a file is opened or mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapAccess {
    /// Loads only; a store is a fault.
    ReadOnly,
    /// Loads and stores, shared with the file.
    ReadWrite,
}

/// What the system is asked to put behind a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageSize {
    /// As usual. A sync writes the few KiB around what was stored.
    Usual,
    /// Huge pages, where file system and processor have them: half of the cost of random reads in a large store.
    /// A sync writes up to two mebibytes around what was stored.
    Huge,
}

/// What keeps mapped memory valid: dropped last.
pub(super) trait Backing: Send + Sync {
    /// Has the system put pages behind `range`, ready for stores: then none of them waits for a
    /// page fault. Failing to is no error.
    fn populate(&self, _range: Range<usize>, _size: PageSize) {}

    /// Makes durable what lies in `range`, as [`super::File::sync`] does for all of the file.
    fn sync(&self, range: Range<usize>) -> io::Result<()>;

    /// Has the file see what lies in `range`. It does anyway, unless the map is staged.
    fn write_out(&self, _range: Range<usize>) -> io::Result<()> {
        Ok(())
    }

    /// Has the file see a word that was stored at `offset`.
    fn write_out_word(&self, _offset: usize, _word: [u8; 8]) {}

    /// Has the system read the pages of `range`, which lies in the map, and says so if it cannot: a load
    /// there would be a fault. Where the system cannot be asked, that is no error.
    fn fetch(&self, _range: Range<usize>) -> io::Result<()> {
        Ok(())
    }

    /// From now on a store through the map is a fault. Failing to arrange that is no error: it
    /// only guards against strangers' stores.
    fn protect(&self) {}
}

/// A mapped file: a base address, a length, and whatever keeps them valid.
pub struct Map {
    base: NonNull<u8>,
    len: usize,
    access: MapAccess,
    backing: Arc<dyn Backing>,
}

// SAFETY: the base address is valid for `len` bytes as long as the backing lives, wherever it is
// used from (kept by `Map::new`'s caller); access to the bytes is ruled by `AppendMap`.
unsafe impl Send for Map {}
// SAFETY: as for `Send`; a shared `Map` gives out nothing but its address and length.
unsafe impl Sync for Map {}

impl Map {
    /// Wraps mapped memory.
    ///
    /// # Safety
    ///
    /// `base` must be aligned to 8 and valid for loads of `len` bytes (and stores, if `access` says
    /// so) until `backing` is dropped, and nobody else in this process may store there.
    pub(super) unsafe fn new(base: NonNull<u8>, len: usize, access: MapAccess, backing: Arc<dyn Backing>) -> Self {
        debug_assert_eq!(base.as_ptr() as usize % 8, 0);
        Self { base, len, access, backing }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the map has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The whole map, which nobody writes: for files that are complete.
    pub fn into_bytes(self) -> AppendMap {
        let len = self.len;
        AppendMap::new(self, 0, 0..0, len)
    }
}

/// A map that is appended to by claims and read up to what they published.
pub struct AppendMap {
    map: Map,
    /// Words of the header that change for ever; see [`AppendMap::word`].
    words: Range<usize>,
    tail: AtomicUsize,
    published: AtomicUsize,
    /// Set when a claim was dropped unpublished: nothing behind it can ever be published.
    broken: AtomicBool,
    is_protected: AtomicBool,
}

impl AppendMap {
    /// Takes over `map`: `0..header_len` is the header, of which `words` may change at any time
    /// through [`AppendMap::word`]; `..published` may be read; the rest is free room.
    ///
    /// Panics unless `words` lies in the header, aligned to 8, and `header_len <= published <= len`.
    pub fn new(map: Map, header_len: usize, words: Range<usize>, published: usize) -> Self {
        assert!(header_len <= published && published <= map.len);
        assert!(words.end <= header_len && words.start <= words.end);
        assert!(words.start.is_multiple_of(8) && words.end.is_multiple_of(8));
        Self {
            map,
            words,
            tail: AtomicUsize::new(published),
            published: AtomicUsize::new(published),
            broken: AtomicBool::new(false),
            is_protected: AtomicBool::new(false),
        }
    }

    /// Ends this map's life and starts another over the same memory with a new end of what is
    /// published. By value: no reader and no claim can be left over.
    pub fn restart_at(self, header_len: usize, published: usize) -> Self {
        let words = self.words.clone();
        Self::new(self.map, header_len, words, published)
    }

    /// Length of the mapped file, bytes.
    pub fn len(&self) -> usize {
        self.map.len
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.map.len == 0
    }

    /// End of what may be read.
    pub fn published(&self) -> usize {
        self.published.load(Ordering::Acquire)
    }

    /// End of what is claimed.
    pub fn tail(&self) -> usize {
        self.tail.load(Ordering::Acquire)
    }

    /// Published bytes, or `None` where the range leaves them or touches the changing words.
    #[inline]
    pub fn read(&self, range: Range<usize>) -> Option<&[u8]> {
        let outside_words = range.start >= self.words.end || range.end <= self.words.start;
        if range.start > range.end || range.end > self.published() || !outside_words {
            return None;
        }
        // SAFETY: in bounds and initialised: `published <= len` (M1) and the file is at least that
        // long (ST2); not written while borrowed: M2, and the words are excluded above; the memory
        // outlives the borrow because `self` owns the backing.
        Some(unsafe { std::slice::from_raw_parts(self.map.base.as_ptr().add(range.start), range.len()) })
    }

    /// Has the system read `range` from the file, as far as it lies in the map. A device that cannot do it is an
    /// error here, and a fault for whoever just loads. Before Linux 5.14 nothing is asked.
    pub fn fetch(&self, range: Range<usize>) -> io::Result<()> {
        let range = range.start.min(self.map.len)..range.end.min(self.map.len);
        if range.is_empty() { Ok(()) } else { self.map.backing.fetch(range) }
    }

    /// All published bytes from `offset` on, or `None` where they touch the changing words or `offset` is behind the
    /// last of them.
    #[inline]
    pub fn read_from(&self, offset: usize) -> Option<&[u8]> {
        let published = self.published();
        if offset < self.words.end || offset > published {
            return None;
        }
        // SAFETY: as in `read`; the words end before `offset`.
        Some(unsafe { std::slice::from_raw_parts(self.map.base.as_ptr().add(offset), published - offset) })
    }

    /// Asks the processor to load the line at `offset`. What is not in the map is not loaded.
    #[inline]
    pub fn prefetch(&self, offset: usize) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: a prefetch has no effect on memory and cannot fault, whatever the address; it is
        // computed without a claim to be in bounds.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.map.base.as_ptr().wrapping_add(offset).cast());
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        let _ = offset;
    }

    /// A word of the header that may change at any time. `offset` is from the start of the file.
    ///
    /// Panics if it is not one of the words this map was made with.
    pub fn word(&self, offset: usize) -> MapWord<'_> {
        assert!(offset >= self.words.start && offset + 8 <= self.words.end && offset.is_multiple_of(8));
        // SAFETY: in bounds and aligned (asserted above, and `Map::new` asks for an aligned base);
        // never lent as `&[u8]` (`read` and `claim` exclude it), so every access is atomic.
        let word = unsafe { &*self.map.base.as_ptr().add(offset).cast::<AtomicU64>() };
        let writable = self.map.access == MapAccess::ReadWrite && !self.is_protected.load(Ordering::Acquire);
        MapWord { word, offset, backing: writable.then_some(&*self.map.backing) }
    }

    /// Has the system put memory behind `range` before it is needed. Takes about a microsecond a page, and each counts
    /// as changed.
    pub fn populate(&self, range: Range<usize>, size: PageSize) {
        debug_assert!(range.start <= range.end && range.end <= self.map.len);
        self.map.backing.populate(range, size);
    }

    /// Has the file see the published bytes of `range`, which matters in a staged map only.
    pub fn write_out(&self, range: Range<usize>) -> io::Result<()> {
        debug_assert!(range.start <= range.end && range.end <= self.published());
        self.map.backing.write_out(range)
    }

    /// See [`super::File::sync_range`].
    pub(super) fn sync(&self, range: Range<usize>) -> io::Result<()> {
        debug_assert!(range.start <= range.end && range.end <= self.published());
        self.map.backing.sync(range)
    }

    /// Ends all writing: there is no free room any more, words keep their values, and a stray store of
    /// the host program is a fault of its own instead of damage. Everything claimed must be published, and the file
    /// must have seen it.
    pub fn protect(&self) {
        assert_eq!(self.tail(), self.published(), "a claim is still being filled");
        self.is_protected.store(true, Ordering::Release);
        self.map.backing.protect();
    }

    /// Claims the next `len` bytes for one writer, or `None` if they do not fit.
    ///
    /// Claims are published in the order in which they were made, so the caller that needs its own
    /// order (of sequence numbers) makes them under its own lock.
    pub fn claim(&self, len: usize) -> Option<Claim<'_>> {
        assert_eq!(self.map.access, MapAccess::ReadWrite, "a claim in a read-only map");
        if self.is_protected.load(Ordering::Acquire) {
            return None;
        }
        let mut start = self.tail.load(Ordering::Relaxed);
        loop {
            let end = start.checked_add(len).filter(|end| *end <= self.map.len)?;
            match self.tail.compare_exchange_weak(start, end, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some(Claim { map: self, start, end, is_published: false }),
                Err(seen) => start = seen,
            }
        }
    }

    /// Waits until everything claimed so far is published; false if that can never be.
    pub fn wait_published(&self, end: usize) -> bool {
        let mut rounds = 0_u32;
        while self.published() < end {
            if self.broken.load(Ordering::Acquire) {
                return false;
            }
            pause(&mut rounds);
        }
        true
    }
}

/// A little longer each time: the writer waited for is copying, or was preempted while it did.
fn pause(rounds: &mut u32) {
    *rounds += 1;
    if *rounds < 100 {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

/// A word in a mapped header.
pub struct MapWord<'a> {
    word: &'a AtomicU64,
    offset: usize,
    /// `None` in a read-only map.
    backing: Option<&'a dyn Backing>,
}

impl MapWord<'_> {
    /// The word, little-endian in the file.
    pub fn load(&self) -> u64 {
        u64::from_le(self.word.load(Ordering::Acquire))
    }

    /// Stores the word; does nothing in a read-only map.
    pub fn store(&self, value: u64) {
        if let Some(backing) = self.backing {
            self.word.store(value.to_le(), Ordering::Release);
            backing.write_out_word(self.offset, value.to_le_bytes());
        }
    }
}

/// Room of an [`AppendMap`] that one writer fills and then publishes.
pub struct Claim<'a> {
    map: &'a AppendMap,
    start: usize,
    end: usize,
    is_published: bool,
}

impl Claim<'_> {
    /// Offset of its first byte from the start of the file.
    pub fn start(&self) -> usize {
        self.start
    }

    /// The claimed bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: in bounds (`claim` checked), initialised (a file's bytes always are), exclusive:
        // M3 gives the range to this claim alone, and `&mut self` to this borrow alone; stores
        // cannot fault because the space was reserved before it was mapped (ST3).
        unsafe { std::slice::from_raw_parts_mut(self.map.map.base.as_ptr().add(self.start), self.end - self.start) }
    }

    /// Makes the bytes readable, after those of every earlier claim. False if an earlier claim was
    /// dropped unpublished: then nothing behind it is ever readable.
    pub fn publish(mut self) -> bool {
        if !self.map.wait_published(self.start) {
            return false;
        }
        self.map.published.store(self.end, Ordering::Release);
        self.is_published = true;
        true
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.is_published {
            self.map.broken.store(true, Ordering::Release);
        }
    }
}
