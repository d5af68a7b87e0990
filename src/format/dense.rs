//! Bytes whose length somebody claims, read so that the claim costs no more memory than what stands behind it.
//!
//! A file can be longer than the disk: what was never written takes no room and reads as zeros. So a crafted one may say
//! of a table that it is a tebibyte long, and be it. No table that is read here ever holds zeros for long; the first
//! hole ends the reading.
//!
//! Not here: what is read. Checksums do not help: that of zeros is easily said.

/// How much is believed at first; after that, as much again as there was.
const PIECE_BYTES: u64 = 256 << 10;
/// What a file system leaves out as one, at least.
const HOLE_LEN: usize = 4096;

/// `len` bytes that `read` fills in, each call with the place of its bytes among them. `None` if it says no, if there
/// is no memory, or if so many of them are zeros that nobody has written them.
pub fn read_dense(len: u64, read: &mut dyn FnMut(&mut [u8], u64) -> bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < len {
        let start = bytes.len();
        let piece_len = (len - start as u64).min(PIECE_BYTES.max(start as u64)) as usize;
        bytes.try_reserve(piece_len).ok()?;
        bytes.resize(start + piece_len, 0);
        let piece = &mut bytes[start..];
        if !read(piece, start as u64) || piece.as_chunks::<HOLE_LEN>().0.contains(&[0; HOLE_LEN]) {
            return None;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_costs_no_more_than_what_is_there() {
        let written: Vec<u8> = (0..700_000_u32).map(|n| (n % 255) as u8 + 1).collect();
        let mut asked = 0;
        let mut read = |bytes: &mut [u8], at: u64| {
            asked += bytes.len();
            let at = at as usize;
            let end = written.len().min(at + bytes.len());
            bytes[..end - at].copy_from_slice(&written[at..end]);
            true
        };
        assert_eq!(read_dense(700_000, &mut read), Some(written.clone()));
        assert_eq!(read_dense(1 << 50, &mut read), None);
        assert!(asked < 2_500_000, "{asked}");
        assert_eq!(read_dense(10, &mut |_, _| false), None);
        assert_eq!(read_dense(0, &mut |_, _| false), Some(Vec::new()));
    }
}
