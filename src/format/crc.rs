//! CRC32C (Castagnoli, reflected, RFC 3720 appendix B.4), quick for records of ordinary length.
//!
//! The crate that computes it for long inputs spends more on splitting and dispatching than a record of a hundred
//! bytes takes: every read that copies pays that. So short inputs are folded here, a word at a time by the
//! processor's instruction where it has one; all else is the crate's.
//!
//! Not here: what a checksum covers and starts from (`Seed`).

/// From here on the crate's three interleaved lanes are quicker than one.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const SHORT_LEN_MAX: usize = 512;

#[cfg(test)]
thread_local! {
    /// How much this thread has computed checksums of.
    pub(crate) static APPENDED_BYTES: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// The checksum of what `crc` is the checksum of, followed by `bytes`.
#[inline]
pub fn append(crc: u32, bytes: &[u8]) -> u32 {
    #[cfg(test)]
    APPENDED_BYTES.set(APPENDED_BYTES.get() + bytes.len() as u64);
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if bytes.len() <= SHORT_LEN_MAX && std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor has the instruction, as was just seen.
        return unsafe { append_short(crc, bytes) };
    }
    crc32c::crc32c_append(crc, bytes)
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
#[target_feature(enable = "sse4.2")]
fn append_short(crc: u32, bytes: &[u8]) -> u32 {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u32, _mm_crc32_u64};
    let mut crc = !crc;
    // What a record's checksum covers begins four bytes into the record, and ends where a word ends.
    let odd_len = bytes.len() % 8;
    let (mut odd, words) = bytes.split_at(odd_len);
    if let Some((half, rest)) = odd.split_first_chunk::<4>() {
        crc = _mm_crc32_u32(crc, u32::from_le_bytes(*half));
        odd = rest;
    }
    for byte in odd {
        crc = _mm_crc32_u8(crc, *byte);
    }
    let mut wide = u64::from(crc);
    let (fours, words) = words.as_chunks::<8>().0.as_chunks::<4>();
    for four in fours {
        for word in four {
            wide = _mm_crc32_u64(wide, u64::from_le_bytes(*word));
        }
    }
    for word in words {
        wide = _mm_crc32_u64(wide, u64::from_le_bytes(*word));
    }
    !(wide as u32)
}

#[cfg(test)]
mod tests {
    use super::append;

    #[test]
    fn short_and_long_inputs_agree_with_the_crate() {
        let bytes: Vec<u8> = (0..2_000_u32).map(|n| ((n * 167) >> 3) as u8).collect();
        for start in 0..9 {
            for len in (0..1_024).chain([1_500, 1_991]) {
                let input = &bytes[start..start + len];
                assert_eq!(append(0x1234_5678, input), crc32c::crc32c_append(0x1234_5678, input), "{start} {len}");
            }
        }
    }

    #[test]
    fn parts_append_to_the_whole() {
        let whole = append(7, b"a checksum is the same in one piece and in two");
        assert_eq!(append(append(7, b"a checksum is the same "), b"in one piece and in two"), whole);
    }
}
