//! The bytes of a store, as pure functions: records, segment headers, manifest edits, checkpoint
//! headers. No I/O, no clock, no locks; `docs/format.md` draws the same layouts.
//!
//! Invariants:
//!   F1. Every checksum is bound to where its bytes are: store, segment and offset. A stale copy of
//!       a record can never pass for a newer one.
//!   F2. Decoding never panics and never allocates by a length it has not checked.

pub mod checkpoint;
mod crc;
mod dense;
mod hash;
pub mod manifest;
mod prefix_sums;
pub mod record;
mod seed;
pub mod segment;

#[cfg(test)]
pub(crate) use crc::APPENDED_BYTES;
pub use dense::read_dense;
pub use hash::{KeyHasher, digest};
pub use prefix_sums::{GRANULE_LEN, PrefixSums};
pub use seed::Seed;

/// Version of every file of a store. An older library refuses a newer one.
pub const FORMAT_VERSION: u32 = 1;

/// No number of a store comes near: seqnos, segment ids, milliseconds. What is damaged or made up may, and what is added
/// to a number below it must stay one.
pub const NUMBER_END: u64 = 1 << 62;

/// What is read from a manifest is below this. A process that goes on from there never comes to [`NUMBER_END`].
pub const NUMBER_READ_END: u64 = NUMBER_END / 2;

/// `len` rounded up to the alignment of records.
pub const fn align8(len: u64) -> u64 {
    (len + 7) & !7
}

/// A little-endian u32 at `at`, or 0 where `bytes` ends before.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// A little-endian u64 at `at`, or 0 where `bytes` ends before.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}
