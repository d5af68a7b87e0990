//! Any bytes as packed buffers, through the C ABI: taken whole or refused whole, as a second reading of the documented
//! layout says; and what was taken can be read back.

use super::calls::Opened;
use crate::input::Input;
use larder::ffi::error::{LARDER_BUFFER_TOO_SMALL, LARDER_INVALID_ARGUMENT, LARDER_OK, LARDER_TOO_LARGE};
use larder::ffi::packed::{larder_get_many_packed, larder_write_packed};
use std::collections::BTreeMap;
use std::ptr::null_mut;

/// What a buffer asks for: a value, or a del.
type Op<'a> = (&'a [u8], Option<&'a [u8]>);

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let shape = input.u8();
    let ops_len = usize::from(input.u16());
    // As they come, or as a builder would write them, with one thing changed at most.
    let ops = if shape & 1 == 0 { input.take(ops_len).to_vec() } else { built_ops(&mut input) };
    let keys = if shape & 2 == 0 { input.take(512).to_vec() } else { built_keys(&mut input) };
    let capacity = usize::from(input.u16() % 600);
    let store = Opened::fresh(&[("sync", "none"), ("segment_size", "64KiB")]);
    let held = write(&store, &ops);
    read(&store, &keys, capacity, &held);
}

fn write<'a>(store: &Opened, ops: &'a [u8]) -> BTreeMap<&'a [u8], &'a [u8]> {
    let mut held = BTreeMap::new();
    let mut bad_offset = usize::MAX;
    // SAFETY: the store is open, the buffer is a live slice, and the outputs are variables.
    let status =
        unsafe { larder_write_packed(store.handle, ops.as_ptr().cast(), ops.len(), 0, &mut bad_offset, null_mut()) };
    match parsed_ops(ops) {
        Ok(ops) => {
            assert_eq!(status, LARDER_OK, "a well-formed buffer is refused");
            for (key, value) in ops {
                match value {
                    Some(value) => drop(held.insert(key, value)),
                    None => drop(held.remove(key)),
                }
            }
        }
        Err(at) => {
            assert!(
                status == LARDER_INVALID_ARGUMENT || status == LARDER_TOO_LARGE,
                "status {status} for a malformed buffer"
            );
            assert_eq!(bad_offset, at, "another entry is blamed");
        }
    }
    held
}

fn read(store: &Opened, keys: &[u8], capacity: usize, held: &BTreeMap<&[u8], &[u8]>) {
    let mut out = vec![0xEE_u8; capacity];
    let (mut used, mut answered) = (usize::MAX, usize::MAX);
    // SAFETY: as above; `out` has `capacity` bytes and is nobody else's.
    let status = unsafe {
        let out = out.as_mut_ptr().cast();
        let keys_at = keys.as_ptr().cast();
        larder_get_many_packed(store.handle, keys_at, keys.len(), out, capacity, &mut used, &mut answered, null_mut())
    };
    let Ok(keys) = parsed_keys(keys) else {
        assert!(status == LARDER_INVALID_ARGUMENT || status == LARDER_TOO_LARGE, "status {status} for malformed keys");
        return;
    };
    let mut expected = Vec::new();
    let mut count = 0;
    for key in &keys {
        let value = held.get(key).copied();
        let mut answer = if value.is_some() { 0_i32 } else { 1 }.to_le_bytes().to_vec();
        answer.extend_from_slice(&[0; 4]);
        answer.extend_from_slice(&(value.unwrap_or_default().len() as u64).to_le_bytes());
        answer.extend_from_slice(value.unwrap_or_default());
        answer.resize(answer.len().next_multiple_of(8), 0);
        if expected.len() + answer.len() > capacity {
            break;
        }
        expected.extend_from_slice(&answer);
        count += 1;
    }
    let is_whole = count == keys.len();
    assert_eq!(status, if is_whole { LARDER_OK } else { LARDER_BUFFER_TOO_SMALL });
    assert_eq!((used, answered), (expected.len(), count));
    assert_eq!(out[..used], expected);
    assert!(out[used..].iter().all(|byte| *byte == 0xEE) || !is_whole, "bytes behind the answers were written");
}

/// The layout of larder.h, read a second time; the offset of the entry at fault.
fn parsed_ops(buffer: &[u8]) -> Result<Vec<Op<'_>>, usize> {
    let mut ops = Vec::new();
    let mut at = 0;
    while at < buffer.len() {
        let (op, len) = parsed_op(&buffer[at..]).ok_or(at)?;
        ops.push(op);
        at += len;
    }
    Ok(ops)
}

fn parsed_op(rest: &[u8]) -> Option<(Op<'_>, usize)> {
    let op = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
    let key_len = u32::from_le_bytes(rest.get(4..8)?.try_into().ok()?) as usize;
    let value_len = usize::try_from(u64::from_le_bytes(rest.get(8..16)?.try_into().ok()?)).ok()?;
    let ttl_ms = i64::from_le_bytes(rest.get(16..24)?.try_into().ok()?);
    let key = rest.get(24..24_usize.checked_add(key_len)?)?;
    let end = (24 + key_len).checked_add(value_len)?;
    let value = rest.get(24 + key_len..end)?;
    let padding = rest.get(end..end.checked_next_multiple_of(8)?)?;
    let is_sound = key_len <= 65535 && padding.iter().all(|byte| *byte == 0);
    // Times to live are kept out of the reading back: only those that last.
    let is_sound = is_sound && (-1..1 << 62).contains(&ttl_ms);
    match op {
        1 if is_sound => Some(((key, Some(value)), end.next_multiple_of(8))),
        2 if is_sound && value_len == 0 && ttl_ms == 0 => Some(((key, None), end.next_multiple_of(8))),
        _ => None,
    }
}

fn parsed_keys(buffer: &[u8]) -> Result<Vec<&[u8]>, usize> {
    let mut keys = Vec::new();
    let mut at = 0;
    while at < buffer.len() {
        let rest = &buffer[at..];
        let key_len = u32::from_le_bytes(rest.get(..4).ok_or(at)?.try_into().map_err(|_| at)?) as usize;
        let end = 4_usize.checked_add(key_len).ok_or(at)?;
        let key = rest.get(4..end).ok_or(at)?;
        let padding = rest.get(end..end.next_multiple_of(8)).ok_or(at)?;
        if key_len > 65535 || padding.iter().any(|byte| *byte != 0) {
            return Err(at);
        }
        keys.push(key);
        at += end.next_multiple_of(8);
    }
    Ok(keys)
}

fn built_ops(input: &mut Input<'_>) -> Vec<u8> {
    let mut ops = Vec::new();
    for _ in 0..1 + input.below(6) {
        let (shape, key_len, value_len) = (input.u8(), input.below(12), input.below(40));
        let is_del = shape & 3 == 3;
        let key = input.take(key_len);
        let value = if is_del { b"".as_slice() } else { input.take(value_len) };
        let ttl_ms: i64 = match shape >> 4 {
            0 if !is_del => -1,
            1 if !is_del => (1 << 62) - i64::from(input.u8()),
            2 => input.u64() as i64,
            _ => 0,
        };
        // An expiry so near that time itself would decide is none of this target's business.
        let ttl_ms = if (1..1 << 40).contains(&ttl_ms) { 0 } else { ttl_ms };
        ops.extend_from_slice(&if is_del { 2_u32 } else { 1 }.to_le_bytes());
        ops.extend_from_slice(&(key.len() as u32).to_le_bytes());
        ops.extend_from_slice(&(value.len() as u64).to_le_bytes());
        ops.extend_from_slice(&ttl_ms.to_le_bytes());
        ops.extend_from_slice(key);
        ops.extend_from_slice(value);
        ops.resize(ops.len().next_multiple_of(8), 0);
    }
    spoil(input, &mut ops);
    ops
}

fn built_keys(input: &mut Input<'_>) -> Vec<u8> {
    let mut keys = Vec::new();
    for _ in 0..1 + input.below(6) {
        let key_len = input.below(12);
        let key = input.take(key_len);
        keys.extend_from_slice(&(key.len() as u32).to_le_bytes());
        keys.extend_from_slice(key);
        keys.resize(keys.len().next_multiple_of(8), 0);
    }
    spoil(input, &mut keys);
    keys
}

fn spoil(input: &mut Input<'_>, buffer: &mut Vec<u8>) {
    let at = input.below(buffer.len().max(1));
    match input.u8() {
        0 => buffer[at] = buffer[at].wrapping_add(1),
        1 => buffer[at] = input.u8(),
        2 => buffer.truncate(at),
        _ => {}
    }
}
