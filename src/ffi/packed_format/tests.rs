//! The packed buffers' parser against buffers that are whole, cut, and bent.

use super::*;
use crate::store::Ttl;

/// An operation as a caller writes it; `key_len` and `value_len` may lie.
fn op_with(op: u32, key_len: u32, value_len: u64, ttl_ms: i64, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(op.to_le_bytes());
    bytes.extend(key_len.to_le_bytes());
    bytes.extend(value_len.to_le_bytes());
    bytes.extend(ttl_ms.to_le_bytes());
    bytes.extend(key);
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn op(op: u32, key: &[u8], value: &[u8], ttl_ms: i64) -> Vec<u8> {
    op_with(op, u32::try_from(key.len()).unwrap(), value.len() as u64, ttl_ms, key, value)
}

fn key_entry(key: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(key.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(key);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn rejection(buffer: &[u8]) -> (Status, Option<usize>) {
    let rejected = parse_ops(buffer).expect_err("a buffer at fault");
    (rejected.error.status(), rejected.entry_offset)
}

#[test]
fn operations_are_taken_as_written() {
    let buffer =
        [op(1, b"a", b"one", 0), op(1, b"", b"", -1), op(2, b"12345678", b"", 0), op(1, b"b", &[9; 100], 5000)]
            .concat();
    let ops = parse_ops(&buffer).unwrap();
    assert_eq!(
        ops,
        [
            BatchOp::Set { key: b"a", value: b"one", ttl: Ttl::Forever },
            BatchOp::Set { key: b"", value: b"", ttl: Ttl::Keep },
            BatchOp::Del { key: b"12345678" },
            BatchOp::Set { key: b"b", value: &[9; 100], ttl: Ttl::Millis(5000) },
        ]
    );
    assert!(parse_ops(b"").unwrap().is_empty());
}

#[test]
fn the_buffer_may_lie_anywhere() {
    let buffer = op(1, b"key", b"value", 0);
    for shift in 0..8 {
        let shifted = [vec![0xEE; shift], buffer.clone()].concat();
        assert_eq!(parse_ops(&shifted[shift..]).unwrap().len(), 1);
    }
}

#[test]
fn every_truncation_is_refused_at_the_entry_it_cuts() {
    let entries = [op(1, b"alpha", b"first value", 0), op(2, b"beta", b"", 0), op(1, b"gamma", b"x", 77)];
    let buffer = entries.concat();
    let starts = [0, entries[0].len(), entries[0].len() + entries[1].len(), buffer.len()];
    for len in 0..buffer.len() {
        match starts.iter().position(|start| *start == len) {
            Some(count) => assert_eq!(parse_ops(&buffer[..len]).unwrap().len(), count),
            None => {
                let cut_entry = starts.iter().rfind(|start| **start < len).copied();
                assert_eq!(rejection(&buffer[..len]), (Status::InvalidArgument, cut_entry), "{len}");
            }
        }
    }
}

#[test]
fn every_truncation_of_keys_is_refused() {
    let entries = [key_entry(b"alpha"), key_entry(b""), key_entry(b"1234"), key_entry(b"12345")];
    let buffer = entries.concat();
    assert_eq!(parse_keys(&buffer).unwrap(), [&b"alpha"[..], b"", b"1234", b"12345"]);
    let starts: Vec<usize> = (0..=entries.len()).map(|count| entries[..count].concat().len()).collect();
    for len in (0..buffer.len()).filter(|len| !starts.contains(len)) {
        let rejected = parse_keys(&buffer[..len]).expect_err("cut");
        assert_eq!(rejected.entry_offset, starts.iter().rfind(|start| **start < len).copied(), "{len}");
    }
}

#[test]
fn what_an_entry_may_not_say_is_refused_with_its_offset() {
    let fine = op(1, b"fine", b"fine", 0);
    for (what, bad) in [
        ("op 0", op(0, b"k", b"v", 0)),
        ("op 3", op(3, b"k", b"v", 0)),
        ("op with high bits", op(0x0100_0001, b"k", b"v", 0)),
        ("del with a value", op(2, b"k", b"v", 0)),
        ("del with a TTL", op(2, b"k", b"", 1)),
        ("del that keeps a TTL", op(2, b"k", b"", -1)),
        ("negative TTL", op(1, b"k", b"v", -2)),
        ("TTL out of range", op(1, b"k", b"v", i64::MAX)),
        ("key leaves the buffer", op_with(1, 500, 0, 0, b"k", b"")),
        ("longest key_len", op_with(1, u32::MAX, 0, 0, b"k", b"")),
        ("value leaves the buffer", op_with(1, 1, 500, 0, b"k", b"v")),
        ("value over the limit leaves it", op_with(1, 1, 1 << 32, 0, b"k", b"v")),
        ("value_len that would wrap", op_with(1, 1, u64::MAX - 24, 0, b"k", b"v")),
        ("longest value_len", op_with(1, 1, u64::MAX, 0, b"k", b"v")),
    ] {
        let buffer = [fine.clone(), bad, fine.clone()].concat();
        assert_eq!(rejection(&buffer), (Status::InvalidArgument, Some(fine.len())), "{what}");
    }
}

#[test]
fn padding_must_be_zero_at_every_byte() {
    let buffer = op(1, b"k", b"", 0);
    assert_eq!(buffer.len(), 32);
    for at in 25..32 {
        let mut bent = buffer.clone();
        bent[at] = 1;
        assert_eq!(rejection(&bent), (Status::InvalidArgument, Some(0)), "{at}");
    }
    for at in 5..8 {
        let mut keys = key_entry(b"k");
        keys[at] = 1;
        assert!(parse_keys(&keys).is_err(), "{at}");
    }
}

#[test]
fn a_key_over_the_limit_is_too_large() {
    let longest = vec![b'k'; KEY_BYTES_MAX];
    assert_eq!(parse_ops(&op(1, &longest, b"", 0)).unwrap().len(), 1);
    assert_eq!(parse_keys(&key_entry(&longest)).unwrap().len(), 1);
    let longer = vec![b'k'; KEY_BYTES_MAX + 1];
    assert_eq!(rejection(&op(1, &longer, b"", 0)), (Status::TooLarge, Some(0)));
    assert_eq!(rejection(&op(2, &longer, b"", 0)), (Status::TooLarge, Some(0)));
    assert_eq!(parse_keys(&key_entry(&longer)).expect_err("too long").error.status(), Status::TooLarge);
}

#[test]
fn random_bytes_never_do_more_than_be_refused() {
    // Small numbers in the fields, so that many buffers get past the head.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut taken_count = 0;
    for _ in 0..20_000 {
        let mut buffer = Vec::new();
        for _ in 0..=random(3) {
            let (op, key_len, value_len) = (random(4) as u32, random(10) as u32, random(20));
            let key = vec![1; key_len as usize];
            buffer.extend(op_with(op, key_len, value_len, random(3) as i64 - 1, &key, &vec![2; value_len as usize]));
        }
        if random(2) == 0 {
            let at = random(buffer.len() as u64) as usize;
            buffer[at] = random(256) as u8;
        }
        if random(4) == 0 {
            buffer.truncate(random(buffer.len() as u64) as usize);
        }
        if let Ok(ops) = parse_ops(&buffer) {
            taken_count += 1;
            // K2: what is taken can be written again, byte for byte.
            let again: Vec<u8> = ops
                .iter()
                .flat_map(|parsed| match *parsed {
                    BatchOp::Set { key, value, ttl: Ttl::Forever } => op(1, key, value, 0),
                    BatchOp::Set { key, value, ttl: Ttl::Keep } => op(1, key, value, -1),
                    BatchOp::Set { key, value, ttl: Ttl::Millis(ms) } => op(1, key, value, ms as i64),
                    BatchOp::Set { ttl: Ttl::Until(_), .. } => unreachable!("the packed form has no moments"),
                    BatchOp::Del { key } => op(2, key, b"", 0),
                })
                .collect();
            assert_eq!(again, buffer);
        } else if let Err(rejected) = parse_ops(&buffer) {
            assert!(rejected.entry_offset.is_some_and(|offset| offset < buffer.len() && offset % 8 == 0));
        }
        let _ = parse_keys(&buffer);
    }
    assert!(taken_count > 1000, "{taken_count}");
}

/// What `Answers` wrote into `capacity` bytes that held 0xCC, and how many answers fitted.
fn answers(capacity: usize, pushed: &[(Status, &[u8])]) -> (Vec<u8>, usize, usize) {
    let mut out = vec![MaybeUninit::new(0xCC_u8); capacity];
    let mut answers = Answers::new(&mut out);
    for (status, value) in pushed {
        if !answers.push(*status, value) {
            break;
        }
    }
    let (used, count) = (answers.used, answers.count);
    // SAFETY: every byte was initialised above.
    (out.iter().map(|byte| unsafe { byte.assume_init() }).collect(), used, count)
}

#[test]
fn answers_are_written_and_padded() {
    let (out, used, count) = answers(64, &[(Status::Ok, b"abc"), (Status::NotFound, b""), (Status::Ok, b"12345678")]);
    assert_eq!((used, count), (24 + 16 + 24, 3));
    assert_eq!(out[..24], *b"\0\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0abc\0\0\0\0\0");
    assert_eq!(out[24..40], *b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(out[40..64], *b"\0\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\x0012345678");
}

#[test]
fn an_answer_that_does_not_fit_leaves_no_trace() {
    let pushed: [(Status, &[u8]); 3] = [(Status::Ok, b"abc"), (Status::NotFound, b""), (Status::Ok, b"1234567")];
    for capacity in 0..=64 {
        let (out, used, count) = answers(capacity, &pushed);
        let expected_used = [0, 24, 40, 64].into_iter().rfind(|used| *used <= capacity).unwrap();
        assert_eq!(used, expected_used, "{capacity}");
        assert_eq!(count, [0, 24, 40, 64].iter().position(|used| *used == expected_used).unwrap());
        assert!(out[used..].iter().all(|byte| *byte == 0xCC), "{capacity}");
    }
}
