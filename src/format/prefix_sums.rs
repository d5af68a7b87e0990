//! Checksums of the beginnings of a stretch of bytes, from which that of any part of it follows.
//!
//! A walk over damage asks of each place that could be a record's head whether a record starts there, and what looks
//! like heads may be a value that somebody chose, each claiming all that follows. With these sums an answer costs
//! the ends of the record alone, however long it is.
//!
//! CRC32C is linear: with `s(n)` for the checksum of the first n bytes, that of the bytes from a to b after a state c
//! is `(c ^ s(a)) * x^(8 * (b - a)) ^ s(b)`, in polynomials over GF(2) modulo Castagnoli's (Mark Adler's
//! `crc32_combine` in zlib 1.2.12 multiplies in the same way).
//!
//! Not here: where the bytes come from, and when a walk has looked at so many that this is worth it.
//!
//! Invariants:
//!   PS1. `sums[n]` is the checksum of the first n granules from `start` on.

use super::Seed;
use super::crc;
use std::ops::Range;

/// A sum is kept for every so many bytes. The memory is a 64th of what is covered; an answer costs at most two granules.
pub const GRANULE_LEN: usize = 256;
const GRANULE_LEN_LOG2: usize = 8;
/// Castagnoli's polynomial, reflected: the highest bit is the coefficient of 1.
const POLYNOMIAL: u32 = 0x82F6_3B78;
/// Granules of a segment of the largest length are counted in fewer bits.
const POWER_COUNT: usize = 40;
/// `x` to the power of the bits of 2^n granules.
const POWERS: [u32; POWER_COUNT] = powers();

/// The sums of one stretch of a file.
pub struct PrefixSums {
    start: u64,
    sums: Vec<u32>,
}

impl PrefixSums {
    /// Of the bytes from the offset `start` on, none of which are covered yet.
    pub fn starting_at(start: u64) -> Self {
        Self { start, sums: vec![0] }
    }

    /// The offset up to which bytes are covered.
    pub fn end(&self) -> u64 {
        self.start + ((self.sums.len() - 1) * GRANULE_LEN) as u64
    }

    /// Covers whole granules more, those that begin `bytes`, which follow on [`PrefixSums::end`]. False if there is no
    /// memory.
    pub fn extend(&mut self, bytes: &[u8]) -> bool {
        let (granules, _) = bytes.as_chunks::<GRANULE_LEN>();
        if self.sums.try_reserve(granules.len()).is_err() {
            return false;
        }
        let mut sum = self.sums.last().copied().unwrap_or(0);
        for granule in granules {
            sum = crc::append(sum, granule);
            self.sums.push(sum);
        }
        true
    }

    /// The whole granules, covered or not, within `range`: empty if there are none.
    pub fn granules_in(&self, range: Range<u64>) -> Range<u64> {
        let len = GRANULE_LEN as u64;
        let first = range.start.saturating_sub(self.start).div_ceil(len);
        let behind = range.end.saturating_sub(self.start) / len;
        self.start + first * len..self.start + behind.max(first) * len
    }

    /// The checksum of a record at `offset`, of which `before` is what follows its own checksum up to `granules`, which
    /// are covered, and `behind` the rest.
    pub fn checksum(&self, seed: Seed, offset: u64, before: &[u8], granules: Range<u64>, behind: &[u8]) -> u32 {
        let place = |offset: u64| ((offset - self.start) as usize) >> GRANULE_LEN_LOG2;
        let (first, end) = (place(granules.start), place(granules.end));
        let sum = |granule: usize| self.sums.get(granule).copied().unwrap_or(0);
        let state = seed.checksum(offset, before) ^ sum(first);
        crc::append(shifted(state, end - first) ^ sum(end), behind)
    }
}

/// The product of two polynomials modulo Castagnoli's.
const fn product(a: u32, b: u32) -> u32 {
    let (mut sum, mut shifted, mut bit) = (0, b, 1 << 31);
    while bit != 0 {
        if a & bit != 0 {
            sum ^= shifted;
        }
        shifted = if shifted & 1 == 0 { shifted >> 1 } else { shifted >> 1 ^ POLYNOMIAL };
        bit >>= 1;
    }
    sum
}

const fn powers() -> [u32; POWER_COUNT] {
    let mut powers = [0; POWER_COUNT];
    // x, squared once for each power of two of bits: eight of them are a byte.
    let (mut power, mut squared) = (1 << 30, 0);
    while squared < POWER_COUNT + GRANULE_LEN_LOG2 + 3 {
        if squared >= GRANULE_LEN_LOG2 + 3 {
            powers[squared - GRANULE_LEN_LOG2 - 3] = power;
        }
        power = product(power, power);
        squared += 1;
    }
    powers
}

/// A state of the checksum after so many granules of zeros more.
fn shifted(state: u32, granule_count: usize) -> u32 {
    let powers = POWERS.iter().enumerate().filter(|(bit, _)| granule_count >> bit & 1 == 1);
    powers.fold(state, |state, (_, power)| product(state, *power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_any_part_is_that_of_its_bytes() {
        let bytes: Vec<u8> = (0..40_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let (seed, start) = (Seed::new(3, 9), 24);
        let mut sums = PrefixSums::starting_at(start);
        assert!(sums.extend(&bytes[24..10_000]));
        let rest = sums.end() as usize;
        assert!(sums.extend(&bytes[rest..]) && bytes.len() as u64 - sums.end() < GRANULE_LEN as u64);
        for (from, to) in [(24, 40_000), (28, 800), (1_000, 1_600), (24, 536), (5_004, 39_999), (36_000, 36_511)] {
            let granules = sums.granules_in(from as u64..to as u64);
            let (before, behind) = (&bytes[from..granules.start as usize], &bytes[granules.end as usize..to]);
            assert!(before.len() < GRANULE_LEN && behind.len() < GRANULE_LEN, "{from} {to}");
            let checksum = sums.checksum(seed, 64, before, granules, behind);
            assert_eq!(checksum, seed.checksum(64, &bytes[from..to]), "{from} {to}");
        }
        assert!(sums.granules_in(100..200).is_empty());
    }

    #[test]
    fn a_state_is_shifted_as_the_crate_does_it() {
        for count in [0, 1, 2, 3, 100, 65_535, 1 << 24] {
            let len = count * GRANULE_LEN;
            assert_eq!(shifted(0xDEAD_BEEF, count), crc32c::crc32c_combine(0xDEAD_BEEF, 0, len), "{count}");
        }
    }
}
