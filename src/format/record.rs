//! One record: a 32-byte head, the key, the value, zeros up to a multiple of 8.
//!
//! ```text
//!   0  u32 checksum       4  u8 kind   5  u8 flags   6  u16 key_len
//!   8  u32 value_len     12  u32 zero
//!  16  u64 seqno
//!  24  u64 expires_at_ms (0: never)
//!  32  key, value, zeros
//! ```
//!
//! The head of a batch uses the same fields: value_len is the count of its records, expires_at_ms
//! the bytes that they take behind the head, seqno that of the first.
//!
//! Not here: finding records in a segment (`log::scanner`).
//!
//! Invariants:
//!   R-1. The checksum covers everything from byte 4 to the end, padding included, and its place
//!        (`Seed`).
//!   R-2. Kind 0 is no record: a reserved, untouched file reads as "nothing here".

use super::{Seed, align8, u32_at, u64_at};
use std::ops::Range;

/// Bytes of a record's head.
pub const HEAD_LEN: usize = 32;
const CHECKSUM_LEN: usize = 4;

const _: () = assert!(HEAD_LEN.is_multiple_of(8));
const _: () = assert!(4 + 1 + 1 + 2 + 4 + 4 + 8 + 8 == HEAD_LEN);

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The key has this value.
    Set = 1,
    /// The key is deleted.
    Tombstone = 2,
    /// The head of a batch.
    Batch = 3,
}

/// The record belongs to the batch whose head precedes it.
const FLAG_IN_BATCH: u8 = 1;

/// A record's head without its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the record says.
    pub kind: Kind,
    /// Whether it is part of a batch.
    pub is_in_batch: bool,
    /// Bytes of the key.
    pub key_len: u16,
    /// Bytes of the value; of a batch's head, the count of its records.
    pub value_len: u32,
    /// Place in the order of all writes of the store.
    pub seqno: u64,
    /// Unix milliseconds, 0 for never; of a batch's head, the bytes of its records.
    pub expires_at_ms: u64,
}

impl Head {
    /// Bytes of the whole record, padding included.
    #[inline]
    pub fn record_len(&self) -> u64 {
        match self.kind {
            Kind::Batch => HEAD_LEN as u64,
            Kind::Set | Kind::Tombstone => record_len(self.key_len.into(), self.value_len.into()),
        }
    }

    /// Whether its time is over at `now_ms`.
    #[inline]
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms != 0 && self.expires_at_ms <= now_ms
    }

    /// Reads a head; `None` if the bytes cannot be one. The checksum is not looked at.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEAD_LEN] = bytes.get(..HEAD_LEN)?.try_into().ok()?;
        let kind = match bytes[4] {
            1 => Kind::Set,
            2 => Kind::Tombstone,
            3 => Kind::Batch,
            _ => return None,
        };
        let head = Self {
            kind,
            is_in_batch: bytes[5] == FLAG_IN_BATCH,
            key_len: u16::from_le_bytes([bytes[6], bytes[7]]),
            value_len: u32_at(bytes, 8),
            seqno: u64_at(bytes, 16),
            expires_at_ms: u64_at(bytes, 24),
        };
        let is_sound = bytes[5] <= FLAG_IN_BATCH && u32_at(bytes, 12) == 0 && head.seqno != 0;
        let is_sound = is_sound
            && match kind {
                Kind::Set => true,
                Kind::Tombstone => head.value_len == 0 && head.expires_at_ms == 0,
                Kind::Batch => head.key_len == 0 && head.value_len != 0 && !head.is_in_batch,
            };
        is_sound.then_some(head)
    }

    fn encode(&self, bytes: &mut [u8]) {
        bytes[4] = self.kind as u8;
        bytes[5] = if self.is_in_batch { FLAG_IN_BATCH } else { 0 };
        bytes[6..8].copy_from_slice(&self.key_len.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.value_len.to_le_bytes());
        bytes[12..16].fill(0);
        bytes[16..24].copy_from_slice(&self.seqno.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.expires_at_ms.to_le_bytes());
    }
}

/// Bytes of a record with a key and a value of these lengths.
#[inline]
pub const fn record_len(key_len: u64, value_len: u64) -> u64 {
    align8(HEAD_LEN as u64 + key_len + value_len)
}

/// Writes a whole record into `bytes`, which has exactly its length and will stand at `offset`.
pub fn write(bytes: &mut [u8], seed: Seed, offset: u64, head: &Head, key: &[u8], value: &[u8]) {
    assert_eq!(bytes.len() as u64, head.record_len(), "a record's room and its head differ");
    debug_assert!(head.kind == Kind::Batch || key.len() == usize::from(head.key_len));
    debug_assert!(head.kind == Kind::Batch || value.len() as u64 == u64::from(head.value_len));
    head.encode(bytes);
    let value_at = HEAD_LEN + key.len();
    let end = value_at + value.len();
    bytes[HEAD_LEN..value_at].copy_from_slice(key);
    bytes[value_at..end].copy_from_slice(value);
    bytes[end..].fill(0);
    let checksum = seed.checksum(offset, &bytes[CHECKSUM_LEN..]);
    bytes[..CHECKSUM_LEN].copy_from_slice(&checksum.to_le_bytes());
    debug_assert!(is_intact(bytes, seed, offset));
}

/// The checksum that a record says it has.
pub fn checksum_said(bytes: &[u8]) -> u32 {
    u32_at(bytes, 0)
}

/// What of a record of `len` bytes at `offset` its checksum covers.
pub fn covered(offset: u64, len: u64) -> Range<u64> {
    offset + CHECKSUM_LEN as u64..offset + len
}

/// Whether a whole record's checksum holds.
#[inline]
pub fn is_intact(bytes: &[u8], seed: Seed, offset: u64) -> bool {
    let Some((checksum, covered)) = bytes.split_first_chunk::<CHECKSUM_LEN>() else { return false };
    bytes.len() >= HEAD_LEN && u32::from_le_bytes(*checksum) == seed.checksum(offset, covered)
}

/// A record of the most ordinary kind, judged by a few comparisons: see [`Plain::of_key`].
#[derive(Clone, Copy)]
pub struct Plain<'a> {
    /// The whole record, padding included.
    pub bytes: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl<'a> Plain<'a> {
    /// The record that `bytes` begin with, if it sets `key`, outside of a batch and without an expiry. `None` says
    /// nothing about what else it may be. The checksum is not looked at.
    #[inline]
    pub fn of_key(bytes: &'a [u8], key: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_LEN>()?;
        // Kind, flags and key length in one comparison; a key that is too long has no such head.
        let wanted = u64::from(Kind::Set as u8) | (key.len() as u64) << 16;
        let value_len = u32_at(head, 8) as usize;
        if u64::from(u32_at(head, 4)) != wanted || u64_at(head, 24) != 0 || rest.get(..key.len())? != key {
            return None;
        }
        let value = rest.get(key.len()..key.len() + value_len)?;
        let len = record_len(key.len() as u64, value_len as u64);
        Some(Self { bytes: bytes.get(..len as usize)?, value })
    }
}

/// A record in place: its head, and where key and value stand in its bytes.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The head.
    pub head: Head,
    /// The whole record, padding included.
    pub bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record that `bytes` begin with; `None` if its head is not one or its length leaves `bytes`.
    /// The checksum is not looked at.
    #[inline]
    pub fn at_start_of(bytes: &'a [u8]) -> Option<Self> {
        let head = Head::decode(bytes)?;
        let len = usize::try_from(head.record_len()).ok()?;
        Some(Self { head, bytes: bytes.get(..len)? })
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        &self.bytes[HEAD_LEN..HEAD_LEN + usize::from(self.head.key_len)]
    }

    /// The value; empty for a batch, whose head has a count there. A reader that checks nothing may come here with
    /// the head of a set that one flipped bit has made a batch's.
    #[inline]
    pub fn value(&self) -> &'a [u8] {
        let start = HEAD_LEN + usize::from(self.head.key_len);
        self.bytes.get(start..start + self.head.value_len as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_a_flipped_bit_has_made_a_batch_has_no_value_and_no_panic() {
        let head = Head { kind: Kind::Set, is_in_batch: false, key_len: 0, value_len: 50, seqno: 7, expires_at_ms: 0 };
        let mut bytes = vec![0; head.record_len() as usize];
        write(&mut bytes, Seed::new(1, 1), 64, &head, b"", &[9; 50]);
        bytes[4] ^= 2;
        let record = Record::at_start_of(&bytes).unwrap();
        assert_eq!((record.head.kind, record.key(), record.value()), (Kind::Batch, b"".as_slice(), b"".as_slice()));
    }

    fn sample() -> (Seed, Vec<u8>) {
        let head =
            Head { kind: Kind::Set, is_in_batch: false, key_len: 3, value_len: 5, seqno: 7, expires_at_ms: 1_000 };
        let mut bytes = vec![0xFF; head.record_len() as usize];
        let seed = Seed::new(11, 22);
        write(&mut bytes, seed, 64, &head, b"key", b"value");
        (seed, bytes)
    }

    #[test]
    fn a_record_reads_back_as_written() {
        let (seed, bytes) = sample();
        assert_eq!(bytes.len(), 40);
        assert!(is_intact(&bytes, seed, 64));
        let record = Record::at_start_of(&bytes).unwrap();
        assert_eq!(record.key(), b"key");
        assert_eq!(record.value(), b"value");
        assert_eq!((record.head.seqno, record.head.expires_at_ms), (7, 1_000));
        assert!(record.head.is_expired(1_000) && !record.head.is_expired(999));
    }

    #[test]
    fn every_flipped_bit_fails_the_check() {
        let (seed, bytes) = sample();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_intact(&damaged, seed, 64), "bit {bit}");
        }
    }

    #[test]
    fn a_record_is_bound_to_its_place() {
        let (seed, bytes) = sample();
        assert!(!is_intact(&bytes, seed, 72));
        assert!(!is_intact(&bytes, Seed::new(11, 23), 64));
    }

    #[test]
    fn lengths_that_leave_the_bytes_are_refused() {
        let (_, bytes) = sample();
        for len in 0..bytes.len() {
            assert!(Record::at_start_of(&bytes[..len]).is_none(), "{len}");
        }
        assert!(Head::decode(&[0; 64]).is_none(), "zeros are no record");
    }
}
