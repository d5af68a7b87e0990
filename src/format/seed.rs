//! What binds a checksum to its place.

use super::crc;

/// The starting state of every checksum of one file.
///
/// CRC32C (Castagnoli, reflected, as in RFC 3720) over the store id and the file's id, both u64
/// little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u32);

impl Seed {
    /// The seed of the file `file_id` (a segment id; 0 for the manifest) of store `store_id`.
    pub fn new(store_id: u64, file_id: u64) -> Self {
        Self(crc::append(crc::append(0, &store_id.to_le_bytes()), &file_id.to_le_bytes()))
    }

    /// The checksum of `bytes` that stand at `offset` (a multiple of 8) of the file.
    ///
    /// The offset enters through an odd multiplier, so that no two offsets of one file start from the
    /// same state, and equal bytes at two of them never have equal checksums.
    #[inline]
    pub fn checksum(self, offset: u64, bytes: &[u8]) -> u32 {
        let units = (offset / 8) as u32;
        crc::append(self.0.wrapping_add(units.wrapping_mul(0x9E37_79B1)), bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_elsewhere_have_another_checksum() {
        let seed = Seed::new(1, 2);
        let here = seed.checksum(64, b"same bytes");
        for offset in (72..65_536).step_by(8) {
            assert_ne!(seed.checksum(offset, b"same bytes"), here);
        }
        assert_ne!(Seed::new(1, 3).checksum(64, b"same bytes"), here);
        assert_ne!(Seed::new(2, 2).checksum(64, b"same bytes"), here);
    }

    #[test]
    fn the_polynomial_is_castagnoli() {
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8A91_36AA);
    }
}
