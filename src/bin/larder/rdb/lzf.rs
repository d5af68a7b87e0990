//! LZF, which Redis compresses long strings with: a byte below 32 announces that many literal bytes and one more, any
//! other a copy of what was written before (Marc Lehmann's `liblzf`, `lzf_d.c`).
//!
//! Decompression only: what Larder writes is not compressed.

/// Three bytes, the longest copy there is, become this many.
const COPY_BYTES_MAX: u64 = 7 + 255 + 2;

/// Whether so many bytes can come out of so many at all. To be asked before anything is made ready for them.
pub fn is_possible(packed_len: u64, len: u64) -> bool {
    len <= packed_len.saturating_mul(COPY_BYTES_MAX) / 3 + COPY_BYTES_MAX
}

/// What was compressed, if it is exactly `len` bytes.
pub fn decompress(mut packed: &[u8], len: usize) -> Option<Vec<u8>> {
    if !is_possible(packed.len() as u64, len as u64) {
        return None;
    }
    let mut out: Vec<u8> = Vec::new();
    out.try_reserve_exact(len).ok()?;
    while let Some((control, rest)) = packed.split_first() {
        packed = rest;
        let control = usize::from(*control);
        if control < 32 {
            let (literal, rest) = packed.split_at_checked(control + 1)?;
            packed = rest;
            if literal.len() > len - out.len() {
                return None;
            }
            out.extend_from_slice(literal);
            continue;
        }
        let mut copy_len = (control >> 5) + 2;
        if control >> 5 == 7 {
            copy_len += usize::from(*packed.split_off_first()?);
        }
        let distance = ((control & 0x1F) << 8 | usize::from(*packed.split_off_first()?)) + 1;
        let from = out.len().checked_sub(distance)?;
        if copy_len > len - out.len() {
            return None;
        }
        if distance >= copy_len {
            out.extend_from_within(from..from + copy_len);
        } else {
            // A copy that reaches into itself repeats.
            for i in from..from + copy_len {
                out.push(out[i]);
            }
        }
    }
    (out.len() == len).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_that_overlap_repeat() {
        // Literal "ab", then six bytes from two back.
        assert_eq!(decompress(&[1, b'a', b'b', 0x80, 1], 8).unwrap(), b"abababab");
        assert_eq!(decompress(&[0, b'a', 0xE0, 255, 0], 265).unwrap(), [b'a'; 265]);
    }

    #[test]
    fn copies_from_before_the_beginning_are_refused() {
        assert_eq!(decompress(&[0x80, 9], 6), None);
        assert_eq!(decompress(&[1, b'a', b'b', 0x80, 2], 8), None);
    }

    #[test]
    fn another_length_than_announced_is_refused() {
        for len in (0..12).filter(|len| *len != 8) {
            assert_eq!(decompress(&[1, b'a', b'b', 0x80, 1], len), None, "{len}");
        }
        assert_eq!(decompress(&[0, b'a', 0xE0, 255], 265), None);
        assert_eq!(decompress(&[5, b'a'], 6), None);
    }

    #[test]
    fn a_length_that_cannot_be_is_refused_before_there_is_room_for_it() {
        assert_eq!(decompress(&[0, b'a'], usize::MAX), None);
        assert!(is_possible(3, 264) && !is_possible(1 << 20, 1 << 40));
    }
}
