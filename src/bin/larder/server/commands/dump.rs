//! DUMP and RESTORE: a value as Redis's own payload, so that keys move between the two.
//!
//! A payload is what an RDB file holds for a value, then the version of that format and a CRC-64: type 0 (string),
//! a length-prefixed string, two bytes of version, eight of checksum, all integers little-endian but the long
//! lengths (`rdb.c` of Redis 7). Numbers are packed as Redis packs them; other values are written as they are, and
//! read also where Redis has compressed them (LZF).

use super::super::crc64::crc64;
use super::super::execute::{Call, Done, Failure, SYNTAX_ERROR, failure};
use super::super::keyspace::event;
use super::super::numbers;
use super::super::request::Args;
use super::{integer, is};
use larder::store::Ttl;

/// The version of the RDB format that Redis 7.0 writes.
const RDB_VERSION: u16 = 10;
const FOOTER_LEN: usize = 10;
const TYPE_STRING: u8 = 0;

/// Redis packs a string as a number only up to this length.
const PACKED_TEXT_BYTES_MAX: usize = 11;

const BAD_DATA: Failure = failure("ERR Bad data format");

fn encode(value: &[u8]) -> Vec<u8> {
    let mut payload = vec![TYPE_STRING];
    let number = numbers::parse_i64(value).filter(|_| value.len() <= PACKED_TEXT_BYTES_MAX);
    match number {
        Some(number) if i8::try_from(number).is_ok() => payload.extend_from_slice(&[0xC0, number as u8]),
        Some(number) if i16::try_from(number).is_ok() => {
            payload.push(0xC1);
            payload.extend_from_slice(&(number as i16).to_le_bytes());
        }
        Some(number) if i32::try_from(number).is_ok() => {
            payload.push(0xC2);
            payload.extend_from_slice(&(number as i32).to_le_bytes());
        }
        _ => {
            encode_len(value.len(), &mut payload);
            payload.extend_from_slice(value);
        }
    }
    payload.extend_from_slice(&RDB_VERSION.to_le_bytes());
    let checksum = crc64(&payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    payload
}

fn encode_len(len: usize, out: &mut Vec<u8>) {
    match len {
        0..=0x3F => out.push(len as u8),
        0x40..=0x3FFF => out.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]),
        _ => match u32::try_from(len) {
            Ok(len) => {
                out.push(0x80);
                out.extend_from_slice(&len.to_be_bytes());
            }
            Err(_) => {
                out.push(0x81);
                out.extend_from_slice(&(len as u64).to_be_bytes());
            }
        },
    }
}

/// A length, or how what follows is packed.
enum Prefix {
    Len(usize),
    Packed(u8),
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn decode_prefix(bytes: &mut &[u8]) -> Option<Prefix> {
    let first = take(bytes, 1)?[0];
    let len = match first >> 6 {
        0 => usize::from(first & 0x3F),
        1 => usize::from(first & 0x3F) << 8 | usize::from(take(bytes, 1)?[0]),
        2 if first == 0x80 => u32::from_be_bytes(take(bytes, 4)?.try_into().ok()?) as usize,
        2 if first == 0x81 => usize::try_from(u64::from_be_bytes(take(bytes, 8)?.try_into().ok()?)).ok()?,
        2 => return None,
        _ => return Some(Prefix::Packed(first & 0x3F)),
    };
    Some(Prefix::Len(len))
}

/// The value of a payload's body, all of it.
fn decode_string(bytes: &mut &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    match decode_prefix(bytes)? {
        Prefix::Len(len) => take(bytes, len).map(<[u8]>::to_vec),
        Prefix::Packed(0) => Some((take(bytes, 1)?[0] as i8).to_string().into_bytes()),
        Prefix::Packed(1) => Some(i16::from_le_bytes(take(bytes, 2)?.try_into().ok()?).to_string().into_bytes()),
        Prefix::Packed(2) => Some(i32::from_le_bytes(take(bytes, 4)?.try_into().ok()?).to_string().into_bytes()),
        Prefix::Packed(3) => {
            let (Prefix::Len(packed_len), Prefix::Len(len)) = (decode_prefix(bytes)?, decode_prefix(bytes)?) else {
                return None;
            };
            decompress(take(bytes, packed_len)?, len.min(bytes_max + 1)).filter(|value| value.len() == len)
        }
        Prefix::Packed(_) => None,
    }
}

/// LZF: a byte below 32 announces that many literal bytes and one more; any other, a copy of what was written before.
fn decompress(mut packed: &[u8], len_max: usize) -> Option<Vec<u8>> {
    let mut out: Vec<u8> = Vec::new();
    while !packed.is_empty() {
        let control = usize::from(take(&mut packed, 1)?[0]);
        if control < 32 {
            out.extend_from_slice(take(&mut packed, control + 1)?);
        } else {
            let mut len = control >> 5;
            if len == 7 {
                len += usize::from(take(&mut packed, 1)?[0]);
            }
            let distance = ((control & 0x1F) << 8 | usize::from(take(&mut packed, 1)?[0])) + 1;
            let from = out.len().checked_sub(distance)?;
            for i in from..from + len + 2 {
                out.push(out[i]);
            }
        }
        if out.len() > len_max {
            return None;
        }
    }
    Some(out)
}

pub fn dump(call: &mut Call<'_>, args: Args<'_>) -> Done {
    match call.server.find(args.get(1), encode)? {
        Some(payload) => call.reply.bulk(&payload),
        None => call.reply.null(),
    }
    Ok(())
}

pub fn restore(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let (key, payload) = (args.get(1), args.get(3));
    let (mut replaces, mut is_absolute, mut i) = (false, false, 4);
    while i < args.len() {
        let more = args.len() - 1 - i;
        if is(args.get(i), "REPLACE") {
            replaces = true;
        } else if is(args.get(i), "ABSTTL") {
            is_absolute = true;
        } else if is(args.get(i), "IDLETIME") && more >= 1 {
            i += 1;
            if integer(args.get(i))? < 0 {
                return Err(failure("ERR Invalid IDLETIME value, must be >= 0"));
            }
        } else if is(args.get(i), "FREQ") && more >= 1 {
            i += 1;
            if !(0..=255).contains(&integer(args.get(i))?) {
                return Err(failure("ERR Invalid FREQ value, must be >= 0 and <= 255"));
            }
        } else {
            return Err(SYNTAX_ERROR);
        }
        i += 1;
    }
    if !replaces && call.server.exists(key)? {
        return Err(failure("BUSYKEY Target key name already exists."));
    }
    let ttl_ms = integer(args.get(2))?;
    if ttl_ms < 0 {
        return Err(failure("ERR Invalid TTL value, must be >= 0"));
    }
    let mut body = checked(payload).ok_or_else(|| failure("ERR DUMP payload version or checksum are wrong"))?;
    let bytes_max = usize::try_from(call.server.settings.bulk_bytes_max).unwrap_or(usize::MAX);
    if take(&mut body, 1) != Some(&[TYPE_STRING]) {
        return Err(BAD_DATA);
    }
    let value = decode_string(&mut body, bytes_max).ok_or(BAD_DATA)?;
    let now_ms = call.server.now_ms()?;
    let expires_at_ms = match ttl_ms {
        0 => 0,
        _ if is_absolute => ttl_ms,
        _ => ttl_ms.saturating_add(now_ms),
    };
    if expires_at_ms != 0 && expires_at_ms <= now_ms {
        // Stored and expired in one: the key that was there is gone.
        if call.server.remove(key)? {
            call.server.notify(event::GENERIC, "del", key);
        }
        call.reply.ok();
        return Ok(());
    }
    let ttl = if expires_at_ms == 0 { Ttl::Forever } else { Ttl::Until(expires_at_ms.unsigned_abs()) };
    call.server.put(key, &value, ttl)?;
    call.server.notify(event::GENERIC, "restore", key);
    call.reply.ok();
    Ok(())
}

/// The payload without its footer, if version and checksum are right.
fn checked(payload: &[u8]) -> Option<&[u8]> {
    let at = payload.len().checked_sub(FOOTER_LEN)?;
    let version = u16::from_le_bytes(payload[at..at + 2].try_into().ok()?);
    let checksum = u64::from_le_bytes(payload[at + 2..].try_into().ok()?);
    let is_right = version <= RDB_VERSION && checksum == crc64(&payload[..at + 2]);
    is_right.then_some(&payload[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for value in [&b""[..], b"a", b"0", b"-128", b"127", b"128", b"-40000", b"2147483647", b"2147483648", b"007"] {
            let payload = encode(value);
            let mut body = &checked(&payload).unwrap()[1..];
            assert_eq!(decode_string(&mut body, 100).unwrap(), value);
        }
        let long = vec![7; 70_000];
        let payload = encode(&long);
        assert_eq!(decode_string(&mut &checked(&payload).unwrap()[1..], 100_000).unwrap(), long);
    }

    #[test]
    fn copies_that_overlap_repeat() {
        // Literal "ab", then six bytes from two back.
        assert_eq!(decompress(&[1, b'a', b'b', 0x80, 1], 100).unwrap(), b"abababab");
        assert_eq!(decompress(&[0x80, 9], 100), None);
        assert_eq!(decompress(&[1, b'a', b'b', 0xE0, 255, 1], 100), None);
    }

    #[test]
    fn no_cut_or_changed_payload_is_taken() {
        let payload = encode(b"a value");
        for len in 0..payload.len() {
            assert_eq!(checked(&payload[..len]), None);
        }
        for i in 0..payload.len() {
            let mut changed = payload.clone();
            changed[i] ^= 4;
            assert_eq!(checked(&changed), None, "byte {i}");
        }
    }
}
