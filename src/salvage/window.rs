//! The bytes of a file that may be damaged, truncated, or on a device that cannot read all of it.
//!
//! Read by calls and never mapped: a load from a block that the device cannot read would end the process. Such a
//! block reads as zeros here, and is remembered. Memory is one stretch of the file, or one record if that is longer.
//!
//! Not here: what the bytes mean.

use crate::error::{Error, Result, Status};
use crate::storage::File;
use std::ops::Range;

/// How much is read at a time.
pub(super) const STRETCH_BYTES: u64 = 1 << 20;
/// How finely an unreadable stretch is looked through.
const BLOCK_BYTES: u64 = 4096;

/// A file, seen through one stretch of it.
pub(super) struct Window {
    file: Box<dyn File>,
    len: u64,
    /// The stretch begins here.
    start: u64,
    bytes: Vec<u8>,
    /// Blocks that the device could not read, rising.
    unreadable: Vec<Range<u64>>,
}

impl Window {
    pub(super) fn new(file: Box<dyn File>, len: u64) -> Self {
        Self { file, len, start: 0, bytes: Vec::new(), unreadable: Vec::new() }
    }

    /// The file alone.
    pub(super) fn into_file(self) -> Box<dyn File> {
        self.file
    }

    /// The file's length.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// `len` bytes from `offset` on, or as many as the file has.
    pub(super) fn up_to(&mut self, offset: u64, len: u64) -> Result<&[u8]> {
        let end = offset.saturating_add(len).min(self.len).max(offset);
        if offset < self.start || end > self.start + self.bytes.len() as u64 {
            self.move_to(offset, end)?;
        }
        let at = (offset - self.start) as usize;
        Ok(self.bytes.get(at..at + (end - offset) as usize).unwrap_or_default())
    }

    /// Exactly `len` bytes from `offset` on, if the file has them.
    pub(super) fn get(&mut self, offset: u64, len: u64) -> Result<Option<&[u8]>> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Ok(None);
        }
        self.up_to(offset, len).map(Some)
    }

    /// Whether the device could not read some of `range`.
    pub(super) fn is_unreadable(&self, range: &Range<u64>) -> bool {
        self.unreadable.iter().any(|bad| bad.start < range.end && range.start < bad.end)
    }

    /// From `offset` on, the next place that is not zeros, at a multiple of 8, or `end`.
    pub(super) fn skip_zeros(&mut self, mut offset: u64, end: u64) -> Result<u64> {
        while offset < end && !self.up_to(offset, 1)?.is_empty() {
            // As much as the stretch has, so that it is not read once more for each place.
            let bytes = &self.bytes[(offset - self.start) as usize..];
            let bytes = &bytes[..bytes.len().min((end - offset) as usize)];
            if let Some(at) = bytes.iter().position(|byte| *byte != 0) {
                return Ok((offset + at as u64) & !7);
            }
            offset += bytes.len() as u64;
        }
        Ok(end)
    }

    /// Fills `buffer` with what stands at `offset`, all of it within the file. The stretch stays where it is.
    pub(super) fn peek(&mut self, buffer: &mut [u8], offset: u64) {
        fill(self.file.as_ref(), &mut self.unreadable, buffer, offset);
    }

    fn move_to(&mut self, start: u64, end: u64) -> Result<()> {
        let end = end.max((start + STRETCH_BYTES).min(self.len));
        let wanted = (end - start) as usize;
        self.bytes.clear();
        self.start = start;
        if self.bytes.try_reserve_exact(wanted).is_err() {
            return Err(Error::new(Status::OutOfMemory, format!("there is no memory for {wanted} bytes of a record")));
        }
        self.bytes.resize(wanted, 0);
        fill(self.file.as_ref(), &mut self.unreadable, &mut self.bytes, start);
        Ok(())
    }
}

/// Reads `buffer` at `start`. Blocks that cannot be read are zeros in it, and noted.
fn fill(file: &dyn File, unreadable: &mut Vec<Range<u64>>, buffer: &mut [u8], start: u64) {
    if file.read_at(buffer, start).is_ok() {
        return;
    }
    let (mut at, end) = (start, start + buffer.len() as u64);
    while at < end {
        let block_end = ((at / BLOCK_BYTES + 1) * BLOCK_BYTES).min(end);
        let block = &mut buffer[(at - start) as usize..(block_end - start) as usize];
        if file.read_at(block, at).is_err() {
            block.fill(0);
            if !unreadable.iter().any(|bad| bad.contains(&at)) {
                unreadable.push(at..block_end);
            }
        }
        at = block_end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Map, MapAccess};
    use std::io;

    /// Three blocks and a bit, of which the second cannot be read.
    struct Broken(Vec<u8>);

    impl File for Broken {
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }

        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            let end = offset + buffer.len() as u64;
            if offset < 8192 && end > 4096 {
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            buffer.copy_from_slice(&self.0[offset as usize..end as usize]);
            Ok(())
        }

        fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            unreachable!()
        }

        fn reserve(&self, _: u64) -> io::Result<()> {
            unreachable!()
        }

        fn write_zeros(&self, _: u64) -> io::Result<()> {
            unreachable!()
        }

        fn punch_hole(&self, _: u64, _: u64) -> io::Result<()> {
            unreachable!()
        }

        fn sync(&self) -> io::Result<()> {
            unreachable!()
        }

        fn map(&self, _: usize, _: MapAccess) -> io::Result<Map> {
            unreachable!("a block that cannot be read would end the process")
        }

        fn map_staged(&self, _: usize) -> io::Result<Map> {
            unreachable!("nothing is appended to what is salvaged")
        }
    }

    #[test]
    fn a_block_that_cannot_be_read_is_zeros_and_the_others_are_there() {
        let bytes: Vec<u8> = (0..12_300_u32).map(|n| (n % 251) as u8 + 1).collect();
        let mut window = Window::new(Box::new(Broken(bytes.clone())), bytes.len() as u64);
        assert_eq!(window.get(100, 200).unwrap(), Some(&bytes[100..300]));
        assert_eq!(window.get(8_192, 4_108).unwrap(), Some(&bytes[8_192..]));
        assert_eq!(window.get(8_192, 4_109).unwrap(), None);
        let across = window.get(4_000, 5_000).unwrap().unwrap().to_vec();
        assert_eq!(across[..96], bytes[4_000..4_096]);
        assert!(across[96..4_192].iter().all(|byte| *byte == 0));
        assert_eq!(across[4_192..], bytes[8_192..9_000]);
        assert!(window.is_unreadable(&(8_191..8_192)) && !window.is_unreadable(&(8_192..9_000)));
        assert_eq!(window.skip_zeros(4_096, 12_300).unwrap(), 8_192);
        let mut around = [9; 200];
        window.peek(&mut around, 8_100);
        assert!(around[..92].iter().all(|byte| *byte == 0) && around[92..] == bytes[8_192..8_300]);
    }
}
