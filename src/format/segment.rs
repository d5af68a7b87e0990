//! The head of a segment file: what it belongs to, and two words that change while it lives.
//!
//! ```text
//!   0  magic "LARDSEG\0"     8  u32 format version  12  u32 zero
//!  16  u64 store id         24  u64 segment id      32  u64 zero
//!  40  u32 checksum of 0..40                        44  u32 zero
//!  48  word: durable end    56  word: expiry clock
//!  64  records
//! ```
//!
//! Each word is one aligned 8-byte store, so a power cut leaves the old or the new one; each carries
//! its own check, so damage shows.
//!
//! Invariants:
//!   H1. The durable word is stored only after the sync that made it true returned success.

use super::{FORMAT_VERSION, Seed, u32_at, u64_at};

/// Bytes of the head; records start here.
pub const HEAD_LEN: usize = 64;
/// Offset of the durable word.
pub const DURABLE_WORD: usize = 48;
/// Offset of the clock word.
pub const CLOCK_WORD: usize = 56;

const MAGIC: [u8; 8] = *b"LARDSEG\0";
const CHECKSUM: usize = 40;
const CLOCK_BITS: u32 = 48;

const _: () = assert!(8 + 4 + 4 + 8 + 8 + 8 == CHECKSUM);
const _: () = assert!(CHECKSUM + 8 == DURABLE_WORD && DURABLE_WORD + 8 == CLOCK_WORD && CLOCK_WORD + 8 == HEAD_LEN);

/// Why bytes are not the head that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadProblem {
    /// A format version that this library does not know.
    Version(u32),
    /// Damage, or another store's or segment's file.
    Damaged(&'static str),
}

/// The head of segment `segment_id`, both words unset.
pub fn encode(store_id: u64, segment_id: u64) -> [u8; HEAD_LEN] {
    let mut bytes = [0; HEAD_LEN];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&store_id.to_le_bytes());
    bytes[24..32].copy_from_slice(&segment_id.to_le_bytes());
    let checksum = Seed::new(store_id, segment_id).checksum(0, &bytes[..CHECKSUM]);
    bytes[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Checks that `bytes` begin with the head of segment `segment_id` of this store.
pub fn check(bytes: &[u8], store_id: u64, segment_id: u64) -> Result<(), HeadProblem> {
    if bytes.len() < DURABLE_WORD || bytes[..8] != MAGIC {
        return Err(HeadProblem::Damaged("the head is not that of a segment"));
    }
    let version = u32_at(bytes, 8);
    if version != FORMAT_VERSION {
        return Err(HeadProblem::Version(version));
    }
    if u64_at(bytes, 16) != store_id {
        return Err(HeadProblem::Damaged("the segment belongs to another store"));
    }
    if u64_at(bytes, 24) != segment_id {
        return Err(HeadProblem::Damaged("the file holds another segment"));
    }
    // The rest has one right form, so comparing covers the checksum and every reserved byte.
    if bytes[..DURABLE_WORD] != encode(store_id, segment_id)[..DURABLE_WORD] {
        return Err(HeadProblem::Damaged("the head fails its check"));
    }
    Ok(())
}

/// What the durable word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// Bytes from the start of the file that a sync has made durable.
    pub end: u64,
    /// A sync failed: nothing behind `end` was ever acknowledged, and none of it counts.
    pub is_cut: bool,
}

/// The durable word. `end` is a multiple of 8, below 16 GiB.
pub fn encode_durable(seed: Seed, durable: Durable) -> u64 {
    debug_assert!(durable.end.is_multiple_of(8) && durable.end / 8 < 1 << 31);
    let low = (durable.end / 8) as u32 | if durable.is_cut { 1 << 31 } else { 0 };
    u64::from(seed.checksum(DURABLE_WORD as u64, &low.to_le_bytes())) << 32 | u64::from(low)
}

/// Reads the durable word; never stored (0) is the head alone. `None` if it is damaged.
pub fn decode_durable(seed: Seed, word: u64) -> Option<Durable> {
    if word == 0 {
        return Some(Durable { end: HEAD_LEN as u64, is_cut: false });
    }
    let low = word as u32;
    let durable = Durable { end: u64::from(low & !(1 << 31)) * 8, is_cut: low >> 31 == 1 };
    (encode_durable(seed, durable) == word && durable.end >= HEAD_LEN as u64).then_some(durable)
}

/// The clock word: Unix milliseconds in 48 bits, a check in 16.
pub fn encode_clock(seed: Seed, now_ms: u64) -> u64 {
    let now_ms = now_ms & ((1 << CLOCK_BITS) - 1);
    let check = seed.checksum(CLOCK_WORD as u64, &now_ms.to_le_bytes());
    u64::from(check & 0xFFFF) << CLOCK_BITS | now_ms
}

/// Reads the clock word; never stored is 0. `None` if it is damaged.
pub fn decode_clock(seed: Seed, word: u64) -> Option<u64> {
    if word == 0 {
        return Some(0);
    }
    let now_ms = word & ((1 << CLOCK_BITS) - 1);
    (encode_clock(seed, now_ms) == word).then_some(now_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_known_again_and_every_flipped_bit_is_found() {
        let bytes = encode(5, 6);
        assert_eq!(check(&bytes, 5, 6), Ok(()));
        assert!(check(&bytes, 5, 7).is_err() && check(&bytes, 4, 6).is_err());
        for bit in 0..DURABLE_WORD * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&damaged, 5, 6).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn words_read_back_and_every_flipped_bit_is_found() {
        let seed = Seed::new(5, 6);
        let durable = Durable { end: 4_096, is_cut: true };
        let word = encode_durable(seed, durable);
        assert_eq!(decode_durable(seed, word), Some(durable));
        let clock = encode_clock(seed, 1_700_000_000_123);
        assert_eq!(decode_clock(seed, clock), Some(1_700_000_000_123));
        for bit in 0..64 {
            assert_eq!(decode_durable(seed, word ^ 1 << bit), None, "bit {bit}");
            assert_ne!(decode_clock(seed, clock ^ 1 << bit), Some(1_700_000_000_123), "bit {bit}");
        }
    }
}
