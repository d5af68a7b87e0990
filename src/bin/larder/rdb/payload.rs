//! What DUMP answers and RESTORE takes: a value as an RDB file holds it, the version of that format in two bytes, and a
//! CRC-64 of all that in eight (`createDumpPayload` in `cluster.c` of Redis 7).

use super::crc64::crc64;
use super::input::Input;
use super::{kind, string};

/// The version of the RDB format that Redis 7.0 writes.
const VERSION: u16 = 10;
const FOOTER_LEN: usize = 10;

/// The newest format whose values are known here. Strings are the same in all of them.
pub const VERSION_MAX: u16 = 12;

/// Why a payload has no string in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Cut, changed, or of a version that nobody knows yet.
    Footer,
    /// A value of another type.
    OtherType,
    /// Not what a string looks like, or too long.
    Malformed,
}

pub fn encode(value: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(value.len() + 16 + FOOTER_LEN);
    payload.push(kind::STRING);
    string::append_string(value, &mut payload);
    payload.extend_from_slice(&VERSION.to_le_bytes());
    let checksum = crc64(&payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    payload
}

/// The string in a payload.
pub fn decode(payload: &[u8], bytes_max: u64, version_max: u16) -> Result<Vec<u8>, Refusal> {
    let body = checked(payload, version_max).ok_or(Refusal::Footer)?;
    let Some((kind, body)) = body.split_first() else { return Err(Refusal::Malformed) };
    if *kind != kind::STRING {
        return Err(Refusal::OtherType);
    }
    let mut input = Input::unsummed(body);
    let value = string::read_string(&mut input, bytes_max).ok().flatten();
    value.ok_or(Refusal::Malformed)
}

/// The payload without its footer, if version and checksum are right.
fn checked(payload: &[u8], version_max: u16) -> Option<&[u8]> {
    let (body, footer) = payload.split_last_chunk::<FOOTER_LEN>()?;
    let (version, checksum) = footer.split_first_chunk::<2>()?;
    let is_right = u16::from_le_bytes(*version) <= version_max
        && u64::from_le_bytes(checksum.try_into().ok()?) == crc64(&payload[..body.len() + 2]);
    is_right.then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(payload: &[u8]) -> Result<Vec<u8>, Refusal> {
        decode(payload, 100_000, VERSION)
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for value in [&b""[..], b"a", b"0", b"-128", b"127", b"128", b"-40000", b"2147483647", b"2147483648", b"007"] {
            assert_eq!(decoded(&encode(value)).unwrap(), value);
        }
        let long = vec![7; 70_000];
        assert_eq!(decoded(&encode(&long)).unwrap(), long);
        assert_eq!(decode(&encode(&long), 69_999, VERSION), Err(Refusal::Malformed));
    }

    #[test]
    fn no_cut_or_changed_payload_is_taken() {
        let payload = encode(b"a value");
        for len in 0..payload.len() {
            assert_eq!(decoded(&payload[..len]), Err(Refusal::Footer));
        }
        for i in 0..payload.len() {
            let mut changed = payload.clone();
            changed[i] ^= 4;
            assert_eq!(decoded(&changed), Err(Refusal::Footer), "byte {i}");
        }
    }

    #[test]
    fn other_types_and_newer_versions_are_told_apart() {
        let with = |kind: u8, version: u16| {
            let mut payload = encode(b"a value");
            payload[0] = kind;
            let at = payload.len() - FOOTER_LEN;
            payload[at..at + 2].copy_from_slice(&version.to_le_bytes());
            let checksum = crc64(&payload[..at + 2]);
            payload[at + 2..].copy_from_slice(&checksum.to_le_bytes());
            payload
        };
        assert_eq!(decoded(&with(kind::STRING, 9)).unwrap(), b"a value");
        assert_eq!(decoded(&with(kind::STRING, 11)), Err(Refusal::Footer));
        assert_eq!(decode(&with(kind::STRING, 11), 100, VERSION_MAX).unwrap(), b"a value");
        assert_eq!(decoded(&with(kind::LIST_QUICKLIST_2, 10)), Err(Refusal::OtherType));
    }
}
