//! Where a file's bytes come from: counted, summed up, and never more of them kept than have come.
//!
//! Not here: what they mean.

use super::{Flaw, crc64};
use std::io::{BufRead, ErrorKind};

/// Bytes of a file, in order.
pub struct Input<R> {
    source: R,
    offset: u64,
    /// Of everything before `offset`; stays 0 where nobody asks for it.
    crc: u64,
    is_summed: bool,
}

impl<R: BufRead> Input<R> {
    pub fn new(source: R) -> Self {
        Self { source, offset: 0, crc: 0, is_summed: true }
    }

    /// The same for bytes whose checksum is known to be right.
    pub fn unsummed(source: R) -> Self {
        Self { is_summed: false, ..Self::new(source) }
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The checksum of everything before `offset`.
    pub fn crc(&self) -> u64 {
        self.crc
    }

    /// Reads exactly `len` bytes, piece by piece as they come.
    pub fn each(&mut self, len: u64, mut piece: impl FnMut(&[u8]) -> Result<(), Flaw>) -> Result<(), Flaw> {
        let mut left = len;
        while left > 0 {
            let come = loop {
                match self.source.fill_buf() {
                    Ok(come) => break come,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(Flaw::unread(self.offset, &error)),
                }
            };
            if come.is_empty() {
                let what = format!("the file ends in the middle: {left} bytes more were announced");
                return Err(Flaw::new(self.offset, what));
            }
            let taken = usize::try_from(left).map_or(come.len(), |left| left.min(come.len()));
            if self.is_summed {
                self.crc = crc64::extend(self.crc, &come[..taken]);
            }
            piece(&come[..taken])?;
            self.source.consume(taken);
            self.offset += taken as u64;
            left -= taken as u64;
        }
        Ok(())
    }

    pub fn byte(&mut self) -> Result<u8, Flaw> {
        Ok(self.array::<1>()?[0])
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let mut array = [0; N];
        let mut filled = 0;
        self.each(N as u64, |piece| {
            array[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
            Ok(())
        })?;
        Ok(array)
    }

    /// `len` bytes; memory is taken as they come.
    pub fn bytes(&mut self, len: u64) -> Result<Vec<u8>, Flaw> {
        let mut bytes = Vec::new();
        let offset = self.offset;
        self.each(len, |piece| {
            bytes.try_reserve(piece.len()).map_err(|_| Flaw::new(offset, format!("no memory for {len} bytes")))?;
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    pub fn skip(&mut self, len: u64) -> Result<(), Flaw> {
        self.each(len, |_| Ok(()))
    }

    /// Whether nothing comes any more.
    pub fn is_at_end(&mut self) -> Result<bool, Flaw> {
        match self.source.fill_buf() {
            Ok(come) => Ok(come.is_empty()),
            Err(error) => Err(Flaw::unread(self.offset, &error)),
        }
    }
}
