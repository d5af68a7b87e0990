//! The flat buffers of the packed calls: parsing operations and keys, writing answers.
//!
//! ```text
//! operation  u32 op (1 set, 2 del) | u32 key_len | u64 value_len | i64 ttl_ms | key | value | zeros
//! key        u32 key_len | key | zeros
//! answer     i32 status | u32 0 | u64 value_len | value | zeros
//! ```
//!
//! Integers are little-endian. Each entry is padded with zeros to a multiple of 8 bytes, counted from its
//! own start, so entries begin at multiples of 8 from the buffer's start; the buffer may lie anywhere.
//!
//! Not here: carrying anything out (`packed`).
//!
//! Invariants:
//!   K1. A buffer is taken whole or not at all: nothing is returned before every byte was judged.
//!   K2. Every byte is judged: it is in a head, a key, a value, or it is padding and zero.

use super::arguments::{invalid, key_too_large, ttl_of_set, value_too_large};
use crate::error::{Error, Result, Status};
use crate::store::{BatchOp, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use std::mem::MaybeUninit;

const OP_SET: u32 = 1;
const OP_DEL: u32 = 2;
const OP_HEAD_BYTES: usize = 24;
const KEY_HEAD_BYTES: usize = 4;
const ANSWER_HEAD_BYTES: usize = 16;
const ALIGNMENT: usize = 8;

/// Why a buffer was refused, and the entry at fault if it was one.
#[derive(Debug)]
pub(super) struct Rejected {
    pub(super) error: Error,
    pub(super) entry_offset: Option<usize>,
}

/// The operations of `buffer`, borrowed from it.
pub(super) fn parse_ops(buffer: &[u8]) -> std::result::Result<Vec<BatchOp<'_>>, Rejected> {
    parse_all(buffer, "operation", take_op)
}

/// The keys of `buffer`, borrowed from it.
pub(super) fn parse_keys(buffer: &[u8]) -> std::result::Result<Vec<&[u8]>, Rejected> {
    parse_all(buffer, "key", take_key)
}

/// Takes entries off the front of `buffer` until nothing is left.
fn parse_all<'a, T>(
    buffer: &'a [u8],
    what: &str,
    take: impl Fn(&mut Entry<'a>) -> Result<T>,
) -> std::result::Result<Vec<T>, Rejected> {
    let mut taken = Vec::new();
    let mut offset = 0;
    while offset < buffer.len() {
        let mut entry = Entry { rest: &buffer[offset..], taken_bytes: 0 };
        let parsed = take(&mut entry).and_then(|parsed| entry.take_padding().map(|()| parsed)).map_err(|error| {
            let error = Error::new(error.status(), format!("{what} at offset {offset}: {}", error.message()));
            Rejected { error, entry_offset: Some(offset) }
        })?;
        taken.try_reserve(1).map_err(|_| Rejected { error: Status::OutOfMemory.into(), entry_offset: None })?;
        taken.push(parsed);
        offset += entry.taken_bytes;
    }
    Ok(taken)
}

fn take_op<'a>(entry: &mut Entry<'a>) -> Result<BatchOp<'a>> {
    let head = entry.take(OP_HEAD_BYTES as u64, "its head")?;
    let (op, key_len) = (u32::from_le_bytes(field(head, 0)), u32::from_le_bytes(field(head, 4)));
    let (value_len, ttl_ms) = (u64::from_le_bytes(field(head, 8)), i64::from_le_bytes(field(head, 16)));
    if op != OP_SET && op != OP_DEL {
        return Err(invalid(format!("op is {op}, neither 1 (set) nor 2 (del)")));
    }
    if op == OP_DEL && (value_len != 0 || ttl_ms != 0) {
        return Err(invalid(format!("a del has no value and no TTL, but value_len is {value_len}, ttl_ms {ttl_ms}")));
    }
    let key = take_key_bytes(entry, key_len)?;
    let value = entry.take(value_len, "value_len")?;
    if value_len > VALUE_BYTES_MAX {
        return Err(value_too_large(value_len));
    }
    Ok(if op == OP_SET { BatchOp::Set { key, value, ttl: ttl_of_set(ttl_ms)? } } else { BatchOp::Del { key } })
}

fn take_key<'a>(entry: &mut Entry<'a>) -> Result<&'a [u8]> {
    let head = entry.take(KEY_HEAD_BYTES as u64, "its head")?;
    take_key_bytes(entry, u32::from_le_bytes(field(head, 0)))
}

fn take_key_bytes<'a>(entry: &mut Entry<'a>, key_len: u32) -> Result<&'a [u8]> {
    let key = entry.take(u64::from(key_len), "key_len")?;
    if key.len() > KEY_BYTES_MAX { Err(key_too_large("key", key.len())) } else { Ok(key) }
}

/// The `N` bytes of `head` at `offset`; both are this file's constants, so they are inside.
fn field<const N: usize>(head: &[u8], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&head[offset..offset + N]);
    bytes
}

/// What is left of the buffer, from one entry on.
struct Entry<'a> {
    rest: &'a [u8],
    taken_bytes: usize,
}

impl<'a> Entry<'a> {
    /// The entry's next `len` bytes. Any length may come in, so no sum is made of it before it is
    /// known to be inside.
    fn take(&mut self, len: u64, what: &str) -> Result<&'a [u8]> {
        let inside = usize::try_from(len).ok().filter(|len| *len <= self.rest.len());
        let Some(len) = inside else {
            return Err(invalid(format!(
                "{what} of {len} bytes leaves the buffer, which has {} more",
                self.rest.len()
            )));
        };
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        self.taken_bytes += len;
        Ok(taken)
    }

    fn take_padding(&mut self) -> Result<()> {
        let padding = self.take(padding_bytes(self.taken_bytes) as u64, "padding")?;
        if padding.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(invalid("its padding is not zero")) }
    }
}

fn padding_bytes(len: usize) -> usize {
    len.wrapping_neg() % ALIGNMENT
}

/// Answers, one after the other, in a buffer of the caller's.
pub(super) struct Answers<'a> {
    out: &'a mut [MaybeUninit<u8>],
    pub(super) used: usize,
    pub(super) count: usize,
}

impl<'a> Answers<'a> {
    pub(super) fn new(out: &'a mut [MaybeUninit<u8>]) -> Self {
        Self { out, used: 0, count: 0 }
    }

    /// Appends one answer; false, and nothing is written, if it does not fit.
    pub(super) fn push(&mut self, status: Status, value: &[u8]) -> bool {
        // A value is at most 2^32 - 1 bytes long: the sum fits 64 bits.
        let padding_bytes = padding_bytes(value.len());
        let answer_bytes = ANSWER_HEAD_BYTES + value.len() + padding_bytes;
        if answer_bytes > self.out.len() - self.used {
            return false;
        }
        let mut head = [0; ANSWER_HEAD_BYTES];
        head[..4].copy_from_slice(&(status as i32).to_le_bytes());
        head[8..].copy_from_slice(&(value.len() as u64).to_le_bytes());
        for part in [&head, value, &[0; ALIGNMENT][..padding_bytes]] {
            let target = &mut self.out[self.used..self.used + part.len()];
            // SAFETY: `target` is exactly as long as `part`, and exclusively ours while `part` is shared,
            // so they do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), target.as_mut_ptr().cast(), part.len()) };
            self.used += part.len();
        }
        self.count += 1;
        true
    }
}

#[cfg(test)]
mod tests;
