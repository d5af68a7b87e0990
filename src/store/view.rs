//! A value in place: pinned, not copied.

use crate::log::Segment;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A value that stays readable, in place, until it is dropped: through overwrite, delete,
/// compaction and close of the store.
///
/// It holds its segment's map, so as long as it lives that file's space is not given back.
pub struct View {
    segment: Arc<Segment>,
    range: Range<usize>,
    version: u64,
    expires_at_ms: u64,
    pinned: Arc<AtomicU64>,
}

impl View {
    pub(crate) fn new(
        segment: Arc<Segment>,
        range: Range<usize>,
        version: u64,
        expires_at_ms: u64,
        pinned: &Arc<AtomicU64>,
    ) -> Self {
        pinned.fetch_add(1, Ordering::Relaxed);
        Self { segment, range, version, expires_at_ms, pinned: Arc::clone(pinned) }
    }

    /// The value.
    pub fn bytes(&self) -> &[u8] {
        self.segment.map().read(self.range.clone()).unwrap_or_default()
    }

    /// The record's sequence number.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Unix milliseconds, 0 without expiry.
    pub fn expires_at_ms(&self) -> u64 {
        self.expires_at_ms
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.pinned.fetch_sub(1, Ordering::Relaxed);
    }
}
