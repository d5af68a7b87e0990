//! What an entry is and which bits of a hash decide what.
//!
//! ```text
//! hash   63      58 57                          35 34          6 5      0
//!       | stripe   | window: 23 bits, in the entry |    unused  | group  |
//!
//! entry  63     62                              40 39                   0
//!       |  0   | window of the hash               | location             |
//! ```
//!
//! The directory takes the window's bits from the top, one per level; the line within a group and the
//! entry's tag are mixes of the whole window; the group is in no entry, for an entry never leaves its
//! group. So an entry together with the group it lies in says where it belongs in any page of any size,
//! and neither growth nor a split reads the log. (An order by hash *within* a page would need the group
//! from the bits next to the directory's, and cost the comparison six of its bits.)
//!
//! Not here: how entries are found and changed.

/// Where a record is: units of 8 bytes in the store's address space. 40 bits, never 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub struct Location(u64);

impl Location {
    /// One more than the greatest location.
    pub const LIMIT: u64 = 1 << 40;

    /// The location with this number.
    ///
    /// # Panics
    /// If it is 0 or takes more than 40 bits.
    #[inline]
    pub fn new(units: u64) -> Self {
        assert!(units != 0 && units < Self::LIMIT, "a location is 1 to 2^40 - 1, not {units}");
        Location(units)
    }

    /// Units of 8 bytes.
    #[inline]
    pub fn get(self) -> u64 {
        self.0
    }
}

pub(super) const STRIPE_BITS: u32 = if cfg!(loom) { 0 } else { 6 };
pub(super) const GROUP_BITS: u32 = if cfg!(loom) { 0 } else { 6 };
pub(super) const GROUP_COUNT: usize = 1 << GROUP_BITS;
pub(super) const WINDOW_BITS: u32 = 23;
/// Deeper than this a page is not split. Five bits of the window must remain to choose lines by; at
/// this depth an index has 2^24 pages.
pub(super) const DEPTH_MAX: u32 = if cfg!(loom) { 1 } else { 18 };

const LOCATION_BITS: u32 = 40;
const LOCATION_MASK: u64 = (1 << LOCATION_BITS) - 1;
const WINDOW_MASK: u64 = ((1 << WINDOW_BITS) - 1) << LOCATION_BITS;
/// A word without an entry.
pub(super) const EMPTY: u64 = 0;

const _: () = assert!(WINDOW_MASK & LOCATION_MASK == 0);

/// The number of the stripe that a hash belongs to.
#[inline]
pub(super) fn stripe_of(hash: u64) -> usize {
    // In two steps: a shift by 64 does not exist.
    ((hash >> 1) >> (63 - STRIPE_BITS)) as usize
}

/// The first hash of a window's prefix of `depth` bits, and the one after its last; `None` after the end.
pub(super) fn hashes_of_prefix(stripe: usize, prefix: u32, depth: u32) -> (u64, Option<u64>) {
    let bits = STRIPE_BITS + depth;
    let path = (stripe as u64) << depth | u64::from(prefix);
    let first = |path: u64| if bits == 0 { 0 } else { path << (64 - bits) };
    let next = path + 1;
    (first(path), (next < 1 << bits).then(|| first(next)))
}

/// What a stripe needs of a hash: the part that an entry and its place know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Probe {
    pub(super) group: usize,
    pub(super) window: u32,
}

impl Probe {
    #[inline]
    pub(super) fn of_hash(hash: u64) -> Self {
        Probe {
            group: hash as usize & (GROUP_COUNT - 1),
            window: (hash >> (63 - STRIPE_BITS - WINDOW_BITS + 1)) as u32 & ((1 << WINDOW_BITS) - 1),
        }
    }

    /// Both parts in one number, for places that do not imply the group.
    #[inline]
    pub(super) fn number(self) -> u64 {
        u64::from(self.window) << GROUP_BITS | self.group as u64
    }

    pub(super) fn of_number(number: u64) -> Self {
        Probe {
            group: number as usize & (GROUP_COUNT - 1),
            window: (number >> GROUP_BITS) as u32 & ((1 << WINDOW_BITS) - 1),
        }
    }

    pub(super) fn of_word(group: usize, word: u64) -> Self {
        Probe { group, window: ((word & WINDOW_MASK) >> LOCATION_BITS) as u32 }
    }

    /// The first `depth` bits of the window.
    #[inline]
    pub(super) fn prefix(self, depth: u32) -> u32 {
        self.window >> (WINDOW_BITS - depth)
    }

    /// Which line of a group of `line_count` an entry belongs in.
    #[inline]
    pub(super) fn line(self, line_count: usize) -> usize {
        ((u64::from(self.mixed()) * line_count as u64) >> 32) as usize
    }

    /// What stands for the entry among its line's tags: 7 bits, never 0.
    #[inline]
    pub(super) fn tag(self) -> u8 {
        ((self.mixed() >> (32 - WINDOW_BITS)) as u8 & 0x7F).max(1)
    }

    /// Multiplicative hashing: the product's top bits, which choose the line, depend on all of the
    /// window's, so it does not matter that a page's entries agree in the first ones. 23 bits, at the top.
    #[inline]
    fn mixed(self) -> u32 {
        self.window.wrapping_mul(0x9E37_79B1 << (32 - WINDOW_BITS))
    }

    #[inline]
    pub(super) fn word(self, location: Location) -> u64 {
        u64::from(self.window) << LOCATION_BITS | location.0
    }

    /// Whether a word's window is this one. Holds for an empty word too, if the window is 0.
    #[inline]
    pub(super) fn agrees(self, word: u64) -> bool {
        (word ^ (u64::from(self.window) << LOCATION_BITS)) & WINDOW_MASK == 0
    }
}

/// The location in a word, unless it is empty.
#[inline]
pub(super) fn location_of(word: u64) -> Option<Location> {
    let units = word & LOCATION_MASK;
    (units != 0).then_some(Location(units))
}
