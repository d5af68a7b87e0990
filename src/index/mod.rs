//! The index: from a key's hash to the location of its record, all in memory.
//!
//! Extendible hashing over pages of some 18 to 32 KiB. A find takes no lock and writes nothing: a
//! directory slot leads to a page, the hash to a word of tags and one cache line of eight entries, and the
//! entries whose hash bits agree are candidates that the caller compares in the log. A writer locks the
//! key's stripe. A page grows or splits alone, so growth never pauses anyone but the writers of one stripe,
//! and them for the copying of one page.
//!
//! Not here: records, keys, files, sequence numbers. What a location leads to is the caller's; the index
//! only promises that a find under a guard returns what was true at some moment of the call.
//!
//! Hashes should be well spread over all 64 bits. Where they are not (many keys with one hash) nothing
//! breaks, but entries that cannot be told apart are searched one by one.
//!
//! The layout is in `entry` (bits), `layout` and `page` (lines) and `table` (directories), the invariants
//! there too; why it is so, in `docs/decisions/0010-index.md`.
//!
//! Locks: one per stripe of hashes; several at once only by [`Index::lock_many`], in rising order.

mod arena;
mod entry;
mod image;
mod layout;
#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod naive;
mod page;
mod page_box;
mod spill;
mod table;
#[cfg(all(test, not(loom)))]
mod tests;
mod unloaded;

pub use entry::Location;
pub use unloaded::ImageSource;

use crate::epoch::{EpochGuard, Epochs};
use entry::{Probe, stripe_of};
use std::sync::Arc;
use table::{Table, TableStripe};

/// How many parts of the index can be written to at the same time.
pub const STRIPE_COUNT: usize = table::STRIPE_COUNT;

/// How many candidates [`Index::candidates`] returns at most: more than one is rare.
pub const CANDIDATE_COUNT_MAX: usize = 4;

/// Hash → location, for any number of readers and, per stripe, one writer.
pub struct Index {
    table: Table,
}

/// One stripe, for one writer.
pub struct Stripe<'a> {
    table: TableStripe<'a>,
}

/// Some stripes, for one writer.
pub struct Stripes<'a> {
    /// In rising order of their numbers.
    stripes: Vec<Stripe<'a>>,
}

/// Some of the locations that a find would compare: enough to fetch their records ahead.
#[derive(Clone, Copy, Debug, Default)]
pub struct Candidates {
    locations: [Option<Location>; CANDIDATE_COUNT_MAX],
}

impl Index {
    /// An empty index whose readers hold guards of `epochs`.
    pub fn new(epochs: Arc<Epochs>) -> Self {
        Index { table: Table::new(epochs) }
    }

    /// Finds the location for which `is_match` returns true; it is called for each candidate until it does,
    /// and must compare the key itself. Takes no lock.
    ///
    /// A key that is present throughout the call is found, at a location that it had during the call.
    ///
    /// # Panics
    /// If the guard is of other epochs than this index was made with.
    #[inline]
    pub fn find(&self, guard: &EpochGuard<'_>, hash: u64, is_match: impl FnMut(Location) -> bool) -> Option<Location> {
        let probe = Probe::of_hash(hash);
        match self.table.page(guard, stripe_of(hash), probe) {
            Some(page) => page.find(probe, is_match),
            None => self.find_unloaded(guard, hash, is_match),
        }
    }

    /// Brings the line of the index near that a find of `hash` will read first.
    #[inline]
    pub fn prefetch(&self, guard: &EpochGuard<'_>, hash: u64) {
        let probe = Probe::of_hash(hash);
        if let Some(page) = self.table.page(guard, stripe_of(hash), probe) {
            page.prefetch(probe);
        }
    }

    /// Brings near what leads to the page of `hash`.
    #[inline]
    pub fn prefetch_directory(&self, guard: &EpochGuard<'_>, hash: u64) {
        self.table.prefetch_slot(guard, stripe_of(hash), Probe::of_hash(hash));
    }

    /// Brings everything near that changing the entry of `hash` will touch first.
    #[inline]
    pub fn prefetch_for_write(&self, guard: &EpochGuard<'_>, hash: u64) {
        let probe = Probe::of_hash(hash);
        if let Some(page) = self.table.page(guard, stripe_of(hash), probe) {
            page.prefetch_for_write(probe);
        }
    }

    /// As [`Index::find`], but quicker if [`Index::prefetch`] was called for this hash a little earlier.
    #[inline]
    pub fn find_prefetched(
        &self,
        guard: &EpochGuard<'_>,
        hash: u64,
        is_match: impl FnMut(Location) -> bool,
    ) -> Option<Location> {
        let probe = Probe::of_hash(hash);
        match self.table.page(guard, stripe_of(hash), probe) {
            Some(page) => page.find_prefetched(probe, is_match),
            None => self.find_unloaded(guard, hash, is_match),
        }
    }

    /// The first few locations that a find of `hash` would compare; best some time after a
    /// [`Index::prefetch`], and then followed by prefetching their records and [`Index::find_prefetched`].
    #[inline]
    pub fn candidates(&self, guard: &EpochGuard<'_>, hash: u64) -> Candidates {
        let mut candidates = Candidates::default();
        let mut count = 0;
        // None means that the key is absent: so this has to load what is in an image only, like any find.
        self.find_prefetched(guard, hash, |location| {
            candidates.locations[count] = Some(location);
            count += 1;
            count == CANDIDATE_COUNT_MAX
        });
        candidates
    }

    /// Locks the stripe of `hash` for writing. Blocks while another writer has it.
    pub fn lock(&self, hash: u64) -> Stripe<'_> {
        let table = self.table.lock(stripe_of(hash));
        if self.table.unloaded.any() {
            // U1: before the caller can append anything.
            table.page(Probe::of_hash(hash));
        }
        Stripe { table }
    }

    /// Locks the stripes of all these hashes, each once, in rising order, so that any number of callers
    /// cannot block each other for ever.
    pub fn lock_many(&self, hashes: impl Iterator<Item = u64> + Clone) -> Stripes<'_> {
        let mut wanted = [false; STRIPE_COUNT];
        hashes.clone().for_each(|hash| wanted[stripe_of(hash)] = true);
        let numbers = (0..STRIPE_COUNT).filter(|number| wanted[*number]);
        let mut locked = Stripes { stripes: numbers.map(|number| Stripe { table: self.table.lock(number) }).collect() };
        if self.table.unloaded.any() {
            hashes.for_each(|hash| {
                // U1: before the caller can append anything.
                locked.stripe(hash).table.page(Probe::of_hash(hash));
            });
        }
        locked
    }

    /// Returns when whoever has a stripe locked now has unlocked it: a writer that appended before the call has
    /// changed the index too. The caller has no stripe locked.
    pub fn wait_for_writers(&self) {
        for number in 0..STRIPE_COUNT {
            drop(self.table.lock(number));
        }
    }

    /// Which stripe a hash belongs to: below [`STRIPE_COUNT`].
    #[inline]
    pub fn stripe_of(hash: u64) -> usize {
        stripe_of(hash)
    }

    /// Whether `count` entries can be inserted without more memory from the system than it has. To be asked before
    /// what they lead to is written, because inserting cannot fail.
    #[inline]
    pub fn has_memory_for(&self, count: usize) -> bool {
        self.table.arena().ensure_free(count)
    }

    /// How many entries there are.
    pub fn count(&self) -> u64 {
        self.table.count()
    }

    /// What the index takes of memory, without what is retired and not yet freed.
    pub fn memory_bytes(&self) -> u64 {
        self.table.memory_bytes()
    }

    /// Appends all locations of the page that covers the hash `from`, and returns the first hash of the
    /// next page, `None` at the end.
    ///
    /// A walk starts at 0 and goes on with what was returned. An entry that is there throughout the walk
    /// is seen exactly once, though pages grow and split meanwhile. Takes the stripe's lock.
    pub fn collect(&self, from: u64, out: &mut Vec<Location>) -> Option<u64> {
        let stripe = self.table.lock(stripe_of(from));
        let probe = Probe::of_hash(from);
        match stripe.page(probe) {
            Some(page) => out.extend(page.entries().map(|(_, location)| location)),
            None => out.extend(stripe.lost()),
        }
        stripe.hash_after(probe)
    }

    /// Replaces every location by what `f` makes of it, and removes those of which it makes nothing.
    /// Locks one stripe after the other.
    pub fn update_all(&self, mut f: impl FnMut(Location) -> Option<Location>) {
        let mut entries = Vec::new();
        for number in 0..STRIPE_COUNT {
            let mut stripe = self.table.lock(number);
            entries.clear();
            stripe.for_each_page(|page| entries.extend(page.entries()));
            for (probe, old) in entries.drain(..) {
                match f(old) {
                    Some(new) if new == old => {}
                    Some(new) => {
                        stripe.replace(probe, old, new);
                    }
                    None => {
                        stripe.remove(probe, old);
                    }
                }
            }
        }
    }

    /// Shows `f` every location, one stripe locked after the other.
    pub fn for_each(&self, mut f: impl FnMut(Location)) {
        for number in 0..STRIPE_COUNT {
            let stripe = self.table.lock(number);
            stripe.for_each_page(|page| page.entries().for_each(|(_, location)| f(location)));
        }
    }
}

impl Stripe<'_> {
    /// As [`Index::find`], and nobody changes the answer as long as the stripe is locked.
    pub fn find(&self, hash: u64, mut is_match: impl FnMut(Location) -> bool) -> Option<Location> {
        let probe = self.probe(hash);
        match self.table.page(probe) {
            Some(page) => page.find(probe, is_match),
            None => {
                self.table.lost().map(&mut is_match);
                None
            }
        }
    }

    /// Adds an entry for a key that has none.
    pub fn insert(&mut self, hash: u64, location: Location) {
        let probe = self.probe(hash);
        self.table.insert(probe, location);
    }

    /// Gives the entry at exactly `old` the location `new`, and says whether there was one.
    pub fn replace(&mut self, hash: u64, old: Location, new: Location) -> bool {
        let probe = self.probe(hash);
        self.table.replace(probe, old, new)
    }

    /// Removes the entry at exactly `old`, and says whether there was one.
    pub fn remove(&mut self, hash: u64, old: Location) -> bool {
        let probe = self.probe(hash);
        self.table.remove(probe, old)
    }

    fn probe(&self, hash: u64) -> Probe {
        assert!(stripe_of(hash) == self.table.number(), "the hash belongs to another stripe");
        Probe::of_hash(hash)
    }
}

impl<'a> Stripes<'a> {
    /// The locked stripe of `hash`.
    ///
    /// # Panics
    /// If no hash of that stripe was among those that were locked.
    pub fn stripe(&mut self, hash: u64) -> &mut Stripe<'a> {
        let number = stripe_of(hash);
        match self.stripes.binary_search_by_key(&number, |stripe| stripe.table.number()) {
            Ok(i) => &mut self.stripes[i],
            Err(_) => panic!("stripe {number} is not among those that were locked"),
        }
    }

    /// See [`Stripe::find`].
    pub fn find(&mut self, hash: u64, is_match: impl FnMut(Location) -> bool) -> Option<Location> {
        self.stripe(hash).find(hash, is_match)
    }

    /// See [`Stripe::insert`].
    pub fn insert(&mut self, hash: u64, location: Location) {
        self.stripe(hash).insert(hash, location);
    }

    /// See [`Stripe::replace`].
    pub fn replace(&mut self, hash: u64, old: Location, new: Location) -> bool {
        self.stripe(hash).replace(hash, old, new)
    }

    /// See [`Stripe::remove`].
    pub fn remove(&mut self, hash: u64, old: Location) -> bool {
        self.stripe(hash).remove(hash, old)
    }
}

impl Candidates {
    /// The locations, likeliest first.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Location> + '_ {
        self.locations.iter().map_while(|location| *location)
    }
}
