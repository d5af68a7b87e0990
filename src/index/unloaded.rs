//! Pages that are in an image only: fetched one by one, by whoever needs one first.
//!
//! An index that was opened from an image has null slots in its directories. Who meets one takes the
//! stripe's lock, reads that page, checks it and puts it in its slots; the background does the same with
//! those that nobody asks for, and then the image is let go. A page that cannot be read or fails a check is
//! found again without the image, together with all pages of its stripe that are not loaded yet.
//!
//! Not here: the bytes of an image (`image`), what stands behind an [`ImageSource`].
//!
//! Invariants:
//!   U1. No entry of a page changes before it is loaded: [`Index::lock`] loads the page of its hash, so nobody
//!       can have appended a record for a key whose page is in the image only.
//!   U2. `remaining` is lowered after the page is in its slots. So who finds a null slot, then `remaining` at 0,
//!       then the slot still null, has met a stripe without entries.
//!
//! Locks: `image`, for a clone, and `lost`, for one operation; both with a stripe locked.

use super::entry::{hashes_of_prefix, stripe_of};
use super::image::PageAt;
use super::page::{Full, Page};
use super::page_box::PageBox;
use super::table::{TableStripe, lines_for};
use super::{Index, Location, Probe};
use crate::epoch::EpochGuard;
use crate::format::Seed;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Where the pages of an image come from, and what to do where they do not.
pub trait ImageSource: Send + Sync {
    /// Fills `bytes` from `offset` of the image. False if that cannot be done.
    fn read(&self, bytes: &mut [u8], offset: u64) -> bool;

    /// Whether an entry at this location still counts; those that do not are left out.
    fn is_kept(&self, location: Location) -> bool;

    /// The entries that the image should have for these hashes, and that count, found without the image. The
    /// error is a location at which readers find out what stands in the way.
    fn rebuild(&self, hashes: RangeInclusive<u64>) -> Result<Vec<(u64, Location)>, Location>;
}

/// What of an index is in an image only.
pub(super) struct Unloaded {
    remaining: AtomicUsize,
    has_been_damaged: AtomicBool,
    /// Set as long as there is anything.
    image: Mutex<Option<Arc<Image>>>,
}

struct Image {
    source: Arc<dyn ImageSource>,
    seed: Seed,
    /// In the order of their hashes.
    pages: Vec<PageAt>,
    /// The next page for the background.
    next: AtomicUsize,
    /// Stripes whose pages are neither to be read nor to be found again, and where the reason is.
    lost: Mutex<BTreeMap<usize, Location>>,
}

impl Default for Unloaded {
    fn default() -> Self {
        Unloaded { remaining: AtomicUsize::new(0), has_been_damaged: AtomicBool::new(false), image: Mutex::new(None) }
    }
}

impl Unloaded {
    /// From now on these pages are in the image only; their slots are null. The caller has the table to itself.
    pub(super) fn begin(&self, source: Arc<dyn ImageSource>, seed: Seed, pages: Vec<PageAt>) {
        if pages.is_empty() {
            return;
        }
        self.remaining.store(pages.len(), Ordering::Release);
        let (next, lost) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        *self.image.lock() = Some(Arc::new(Image { source, seed, pages, next, lost }));
    }

    /// Whether there may be such pages.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.remaining.load(Ordering::Acquire) != 0
    }

    fn image(&self) -> Option<Arc<Image>> {
        self.image.lock().clone()
    }

    /// True for the last.
    fn note_loaded(&self) -> bool {
        let is_last = self.remaining.fetch_sub(1, Ordering::AcqRel) == 1;
        if is_last {
            *self.image.lock() = None;
        }
        is_last
    }
}

impl Image {
    /// The page that covers `probe`.
    fn page_at(&self, stripe: usize, probe: Probe) -> Option<&PageAt> {
        let is_before = |page: &PageAt| (usize::from(page.stripe), page.probe().window) <= (stripe, probe.window);
        let behind = self.pages.partition_point(is_before);
        self.pages[..behind].last().filter(|page| usize::from(page.stripe) == stripe)
    }

    fn pages_of(&self, stripe: usize) -> &[PageAt] {
        let first = self.pages.partition_point(|page| usize::from(page.stripe) < stripe);
        let behind = self.pages.partition_point(|page| usize::from(page.stripe) <= stripe);
        &self.pages[first..behind]
    }
}

impl Index {
    /// As [`Index::find`], for whoever has met a null slot.
    #[cold]
    #[inline(never)]
    pub(super) fn find_unloaded(
        &self,
        guard: &EpochGuard<'_>,
        hash: u64,
        mut is_match: impl FnMut(Location) -> bool,
    ) -> Option<Location> {
        let (stripe, probe) = (stripe_of(hash), Probe::of_hash(hash));
        if self.table.unloaded.any() {
            let locked = self.table.lock(stripe);
            let lost = if locked.page(probe).is_none() { locked.lost() } else { None };
            drop(locked);
            if let Some(location) = lost {
                is_match(location);
                return None;
            }
        }
        // Loaded by now, by us or by another thread (U2).
        self.table.page(guard, stripe, probe)?.find(probe, is_match)
    }

    /// Loads up to `page_count` pages that nobody has asked for yet. False once there is nothing left to do.
    pub fn load_ahead(&self, page_count: usize) -> bool {
        let Some(image) = self.table.unloaded.image() else { return false };
        let first = image.next.fetch_add(page_count, Ordering::Relaxed).min(image.pages.len());
        let wanted = &image.pages[first..(first + page_count).min(image.pages.len())];
        for at in wanted {
            self.table.lock(usize::from(at.stripe)).page(at.probe());
        }
        !wanted.is_empty()
    }

    /// Whether a page of the image that this index was opened from had to be found again.
    pub fn has_been_damaged(&self) -> bool {
        self.table.unloaded.has_been_damaged.load(Ordering::Acquire)
    }
}

impl TableStripe<'_> {
    /// The page of a null slot, from the image; see [`TableStripe::page`].
    #[cold]
    #[inline(never)]
    pub(super) fn load(&self, probe: Probe) -> Option<&Page> {
        let image = self.table.unloaded.image()?;
        if image.lost.lock().contains_key(&self.number()) {
            return None;
        }
        let at = image.page_at(self.number(), probe)?;
        match at.read(image.source.as_ref(), image.seed, self.table.arena()) {
            Ok(page) => self.put(at, page),
            Err(_) => self.rebuild(&image),
        }
        self.page_in_memory(probe)
    }

    /// A location at which the reason is found why pages of this stripe are missing, if any are.
    pub(super) fn lost(&self) -> Option<Location> {
        let image = self.table.unloaded.image()?;
        let lost = image.lost.lock();
        lost.get(&self.number()).copied()
    }

    fn put(&self, at: &PageAt, page: PageBox) {
        let count = page.lines_used() + page.spill_used();
        self.add_to_count(count as i64 - at.entry_count() as i64);
        self.fill(at.prefix, page);
        if self.table.unloaded.note_loaded() {
            self.table.arena().end_reserve();
        }
    }

    /// Finds all pages of the stripe again that are not loaded.
    fn rebuild(&self, image: &Image) {
        self.table.unloaded.has_been_damaged.store(true, Ordering::Release);
        let (first, next) = hashes_of_prefix(self.number(), 0, 0);
        let entries = match image.source.rebuild(first..=next.map_or(u64::MAX, |next| next - 1)) {
            Ok(entries) => entries,
            Err(location) => {
                image.lost.lock().insert(self.number(), location);
                return;
            }
        };
        let mut entries: Vec<_> =
            entries.into_iter().map(|(hash, location)| (Probe::of_hash(hash), location)).collect();
        entries.sort_unstable_by_key(|(probe, _)| probe.window);
        for at in image.pages_of(self.number()) {
            if self.page_in_memory(at.probe()).is_some() {
                continue;
            }
            let depth = u32::from(at.depth);
            let begin = entries.partition_point(|(probe, _)| probe.prefix(depth) < at.prefix);
            let end = entries.partition_point(|(probe, _)| probe.prefix(depth) <= at.prefix);
            let own = &entries[begin..end];
            let mut page = Page::boxed(self.table.arena(), depth, lines_for(own.len()));
            for (probe, location) in own {
                if page.insert(*probe, *location, 0) == Err(Full) {
                    page.spill_alone(*probe, *location);
                }
            }
            self.put(at, page);
        }
    }
}
