//! Which node of a Redis Cluster has a key: CRC-16 of the key, or of the part of it in the first braces, over 16,384
//! slots (the Redis Cluster specification, "Key distribution model" and "Hash tags"); and what CLUSTER SLOTS says.

use redis::Value;

pub const SLOT_COUNT: u16 = 16_384;

/// XMODEM's polynomial, as the specification's appendix has it.
const POLYNOMIAL: u16 = 0x1021;

pub fn slot(key: &[u8]) -> u16 {
    crc16(tag(key)) % SLOT_COUNT
}

/// What is between the first `{` and the first `}` behind it, if that is anything; else all.
fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|b| *b == b'{') else { return key };
    let inside = &key[open + 1..];
    match inside.iter().position(|b| *b == b'}') {
        Some(len) if len > 0 => &inside[..len],
        _ => key,
    }
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, b| {
        (0..8).fold(crc ^ u16::from(*b) << 8, |crc, _| if crc & 0x8000 != 0 { crc << 1 ^ POLYNOMIAL } else { crc << 1 })
    })
}

/// Some slots, and the host and port of the node that takes writes for them.
#[derive(Debug, PartialEq, Eq)]
pub struct Range {
    pub first: u16,
    pub last: u16,
    pub host: String,
    pub port: u16,
}

/// The answer of CLUSTER SLOTS. A node that does not know its own host has the one that was asked.
pub fn parse_slots(reply: &Value, asked_host: &str) -> Option<Vec<Range>> {
    let Value::Array(ranges) = reply else { return None };
    ranges.iter().map(|range| parse_range(range, asked_host)).collect()
}

fn parse_range(range: &Value, asked_host: &str) -> Option<Range> {
    let Value::Array(parts) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(node), ..] = parts.as_slice() else { return None };
    let [host, Value::Int(port), ..] = node.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
        Value::Nil => String::new(),
        _ => return None,
    };
    let slot = |number: i64| u16::try_from(number).ok().filter(|slot| *slot < SLOT_COUNT);
    let host = if host.is_empty() || host == "?" { asked_host.to_owned() } else { host };
    Some(Range { first: slot(*first)?, last: slot(*last)?, host, port: u16::try_from(*port).ok()? })
}

/// `<slot> <host>:<port>`, as MOVED and ASK say it.
pub fn parse_redirection(text: &str, asked_host: &str) -> Option<Range> {
    let (slot, node) = text.split_once(' ')?;
    let slot = slot.parse().ok().filter(|slot| *slot < SLOT_COUNT)?;
    let (host, port) = node.rsplit_once(':')?;
    let host = if host.is_empty() { asked_host } else { host };
    Some(Range { first: slot, last: slot, host: host.to_owned(), port: port.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        // As CLUSTER KEYSLOT of redis-server 7 answers.
        for (key, expected) in [("foo", 12_182), ("", 0), ("bar", 5_061), ("hello", 866)] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn only_the_first_braces_with_something_between_them_count() {
        assert_eq!(tag(b"{user1000}.following"), b"user1000");
        assert_eq!(tag(b"foo{}{bar}"), b"foo{}{bar}");
        assert_eq!(tag(b"foo{{bar}}zap"), b"{bar");
        assert_eq!(tag(b"foo{bar}{zap}"), b"bar");
        assert_eq!(tag(b"foo{bar"), b"foo{bar");
        assert_eq!(tag(b"}foo{"), b"}foo{");
    }

    #[test]
    fn what_a_cluster_answers_is_read_and_nonsense_is_refused() {
        let node = |host: Value, port| Value::Array(vec![host, Value::Int(port), Value::BulkString(b"id".to_vec())]);
        let named = || node(Value::BulkString(b"10.0.0.1".to_vec()), 7000);
        let range =
            |first, last, node| Value::Array(vec![Value::Array(vec![Value::Int(first), Value::Int(last), node])]);
        let found = parse_slots(&range(0, 5460, named()), "asked").unwrap();
        assert_eq!(found, [Range { first: 0, last: 5460, host: "10.0.0.1".into(), port: 7000 }]);
        assert_eq!(parse_slots(&range(0, 1, node(Value::Nil, 1)), "asked").unwrap()[0].host, "asked");
        for nonsense in [
            range(0, 16_384, named()),
            range(-1, 1, named()),
            range(0, 1, node(Value::Nil, 65_536)),
            Value::Okay,
            range(0, 1, Value::Nil),
        ] {
            assert_eq!(parse_slots(&nonsense, "asked"), None, "{nonsense:?}");
        }
        let moved = parse_redirection("3999 ::1:6381", "asked").unwrap();
        assert_eq!((moved.first, moved.host.as_str(), moved.port), (3999, "::1", 6381));
        assert_eq!(parse_redirection("3999 :6381", "asked").unwrap().host, "asked");
        for nonsense in ["", "3999", "16384 a:1", "1 a", "1 a:x"] {
            assert_eq!(parse_redirection(nonsense, "asked"), None, "{nonsense}");
        }
    }
}
