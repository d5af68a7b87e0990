//! What DUMP answers and RESTORE takes: a value as an RDB file holds it, the version of that format in two bytes, and a
//! CRC-64 of all that in eight (`createDumpPayload` in `cluster.c` of Redis 7).

use super::crc64::crc64;
use super::input::Input;
use super::{kind, string};

/// The version of the RDB format that Redis 7.0 writes.
const VERSION: u16 = 10;
const FOOTER_LEN: usize = 10;

/// The newest format whose values are known here. Strings are the same in all of them.
const VERSION_MAX: u16 = 12;

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
