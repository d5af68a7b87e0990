//! The figures of one store at one moment. Counts start at zero when the store is opened.

/// What [`crate::Store::stats`] returns; the C ABI's `larder_stats` has the same fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Live keys.
    pub keys: u64,
    /// Bytes of whole live records, heads and padding included.
    pub live_bytes: u64,
    /// Bytes of records that compaction can or will drop, tombstones included.
    pub dead_bytes: u64,
    /// Bytes that the segment files take on disk, reserved room included.
    pub file_bytes: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of address space that the segments' maps take.
    pub mapped_bytes: u64,
    /// Bytes of memory of the index.
    pub index_bytes: u64,
    /// Views that are held and not yet released.
    pub pinned_views: u64,
    /// Reads of one key, of any kind.
    pub gets: u64,
    /// Of those, how many found a live key.
    pub hits: u64,
    /// Records written by set, set with options, expire and batches.
    pub sets: u64,
    /// Keys deleted.
    pub dels: u64,
    /// Keys removed because their time was over.
    pub expired: u64,
    /// Syncs of the log.
    pub syncs: u64,
    /// Compactions that were committed.
    pub compactions: u64,
    /// Bytes of records that compactions copied.
    pub compacted_bytes: u64,
}
