//! The two codings that everything in an RDB file is made of: lengths, and strings.
//!
//! A length takes one, two, five or nine bytes, told apart by the first byte's two highest bits; the fourth form says
//! that a string is packed instead: as an integer of 8, 16 or 32 bits (little-endian), or by LZF. Lengths are big-endian
//! (`rdbLoadLenByRef`, `rdbGenericLoadStringObject` in `rdb.c`).

use super::input::Input;
use super::{Flaw, lzf};
use crate::server::numbers;
use std::io::BufRead;

/// Redis packs a string as a number only up to this length.
const PACKED_TEXT_BYTES_MAX: usize = 11;

/// A length, or how what follows is packed.
pub enum Prefix {
    Len(u64),
    Packed(u8),
}

pub fn read_prefix<R: BufRead>(input: &mut Input<R>) -> Result<Prefix, Flaw> {
    let offset = input.offset();
    let first = input.byte()?;
    let low = first & 0x3F;
    let len = match first >> 6 {
        0 => u64::from(low),
        1 => u64::from(low) << 8 | u64::from(input.byte()?),
        2 if first == 0x80 => u64::from(u32::from_be_bytes(input.array()?)),
        2 if first == 0x81 => u64::from_be_bytes(input.array()?),
        2 => return Err(Flaw::new(offset, format!("byte {first:#04x} where a length begins"))),
        _ => return Ok(Prefix::Packed(low)),
    };
    Ok(Prefix::Len(len))
}

/// A number that is not the length of a packed string.
pub fn read_len<R: BufRead>(input: &mut Input<R>) -> Result<u64, Flaw> {
    let offset = input.offset();
    match read_prefix(input)? {
        Prefix::Len(len) => Ok(len),
        Prefix::Packed(_) => Err(Flaw::new(offset, "a packed string where a number belongs")),
    }
}

/// A string of at most `bytes_max` bytes; `None` if it is longer, and then it has been stepped over.
pub fn read_string<R: BufRead>(input: &mut Input<R>, bytes_max: u64) -> Result<Option<Vec<u8>>, Flaw> {
    let offset = input.offset();
    let text = match read_prefix(input)? {
        Prefix::Len(len) if len > bytes_max => {
            input.skip(len)?;
            return Ok(None);
        }
        Prefix::Len(len) => input.bytes(len)?,
        Prefix::Packed(0) => i8::from_le_bytes(input.array()?).to_string().into_bytes(),
        Prefix::Packed(1) => i16::from_le_bytes(input.array()?).to_string().into_bytes(),
        Prefix::Packed(2) => i32::from_le_bytes(input.array()?).to_string().into_bytes(),
        Prefix::Packed(3) => {
            let (packed_len, len) = read_packed_lens(input, offset)?;
            if len > bytes_max {
                input.skip(packed_len)?;
                return Ok(None);
            }
            let packed = input.bytes(packed_len)?;
            let unpacked = usize::try_from(len).ok().and_then(|len| lzf::decompress(&packed, len));
            unpacked.ok_or_else(|| Flaw::new(offset, "a compressed string that does not decompress"))?
        }
        Prefix::Packed(other) => return Err(unknown_packing(offset, other)),
    };
    Ok((text.len() as u64 <= bytes_max).then_some(text))
}

/// Steps over a string.
pub fn skip_string<R: BufRead>(input: &mut Input<R>) -> Result<(), Flaw> {
    let offset = input.offset();
    match read_prefix(input)? {
        Prefix::Len(len) => input.skip(len),
        Prefix::Packed(packing @ 0..=2) => input.skip(1 << packing),
        Prefix::Packed(3) => {
            let (packed_len, _) = read_packed_lens(input, offset)?;
            input.skip(packed_len)
        }
        Prefix::Packed(other) => Err(unknown_packing(offset, other)),
    }
}

fn read_packed_lens<R: BufRead>(input: &mut Input<R>, offset: u64) -> Result<(u64, u64), Flaw> {
    let (packed_len, len) = (read_len(input)?, read_len(input)?);
    if lzf::is_possible(packed_len, len) {
        return Ok((packed_len, len));
    }
    Err(Flaw::new(offset, format!("{packed_len} compressed bytes that are to become {len}")))
}

fn unknown_packing(offset: u64, packing: u8) -> Flaw {
    Flaw::new(offset, format!("a string packed in an unknown way ({packing})"))
}

pub fn append_len(len: u64, out: &mut Vec<u8>) {
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
                out.extend_from_slice(&len.to_be_bytes());
            }
        },
    }
}

/// A string as Redis itself writes it without compression: numbers packed, all else as it is.
pub fn append_string(text: &[u8], out: &mut Vec<u8>) {
    let number = numbers::parse_i64(text).filter(|_| text.len() <= PACKED_TEXT_BYTES_MAX);
    match number {
        Some(number) if i8::try_from(number).is_ok() => out.extend_from_slice(&[0xC0, number as u8]),
        Some(number) if i16::try_from(number).is_ok() => {
            out.push(0xC1);
            out.extend_from_slice(&(number as i16).to_le_bytes());
        }
        Some(number) if i32::try_from(number).is_ok() => {
            out.push(0xC2);
            out.extend_from_slice(&(number as i32).to_le_bytes());
        }
        _ => {
            append_len(text.len() as u64, out);
            out.extend_from_slice(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], bytes_max: u64) -> Result<Option<Vec<u8>>, Flaw> {
        let mut input = Input::new(bytes);
        let text = read_string(&mut input, bytes_max)?;
        assert_eq!(input.offset(), bytes.len() as u64, "all of it is read");
        let mut skipped = Input::new(bytes);
        skip_string(&mut skipped)?;
        assert_eq!(skipped.offset(), bytes.len() as u64, "all of it is stepped over");
        Ok(text)
    }

    #[test]
    fn what_is_written_is_read() {
        let lens = [0, 1, 63, 64, 16_383, 16_384, 70_000];
        let mut texts: Vec<Vec<u8>> = lens.iter().map(|len| vec![b'x'; *len]).collect();
        for number in
            ["0", "-1", "-128", "-129", "127", "128", "32767", "32768", "2147483647", "2147483648", "007", "-0"]
        {
            texts.push(number.into());
        }
        for text in texts {
            let mut bytes = Vec::new();
            append_string(&text, &mut bytes);
            assert_eq!(read(&bytes, 100_000).unwrap(), Some(text));
        }
    }

    #[test]
    fn lengths_of_every_size_come_back() {
        for len in [0, 63, 64, 16_383, 16_384, u64::from(u32::MAX), 1 << 32, u64::MAX] {
            let mut bytes = Vec::new();
            append_len(len, &mut bytes);
            assert_eq!(read_len(&mut Input::new(&bytes[..])).unwrap(), len);
        }
    }

    #[test]
    fn what_is_too_long_is_stepped_over() {
        assert_eq!(read(b"\x05hello", 4).unwrap(), None);
        assert_eq!(read(b"\x05hello", 5).unwrap().unwrap(), b"hello");
        assert_eq!(read(&[0xC3, 5, 8, 1, b'a', b'b', 0x80, 1], 7).unwrap(), None);
        assert_eq!(read(&[0xC3, 5, 8, 1, b'a', b'b', 0x80, 1], 8).unwrap().unwrap(), b"abababab");
        assert_eq!(read(&[0xC2, 0, 0, 0, 0x80], 5).unwrap(), None);
    }

    #[test]
    fn a_length_without_its_bytes_is_a_flaw_and_takes_no_memory() {
        for head in [
            &b"\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"[..],
            b"\x81\x00\x00\x7F\x00\x00\x00\x00\x00",
            b"\xC3\x81\0\0\0\xFF\0\0\0\0\x81\0\0\0\xFF\0\0\0\0",
        ] {
            let flaw = read_string(&mut Input::new(head), u64::MAX).unwrap_err();
            assert!(flaw.what.contains("ends in the middle"), "{flaw}");
            assert_eq!(flaw.offset, head.len() as u64);
        }
        let flaw = read_string(&mut Input::new(&[0xC3, 1, 0x80, 0x7F, 0, 0, 0, 0][..]), u64::MAX).unwrap_err();
        assert_eq!(flaw, Flaw::new(0, "1 compressed bytes that are to become 2130706432"));
    }

    #[test]
    fn unknown_forms_are_flaws() {
        for bytes in [&[0x82_u8, 0][..], &[0xBF], &[0xC4, 0], &[0xFF]] {
            assert_eq!(read(bytes, 10).unwrap_err().offset, 0, "{bytes:?}");
        }
    }
}
