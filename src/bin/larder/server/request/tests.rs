//! The parser against itself: what bytes come to does not depend on the pieces they come in, whatever the bytes are.
//!
//! Not here: whether that is what redis-server makes of them (tests/server/behaviour.py sends the same to both).

use super::*;

/// Requests, and the error that ended them.
#[derive(Debug, Default, PartialEq)]
struct Read {
    requests: Vec<Vec<Vec<u8>>>,
    error: Option<Vec<u8>>,
}

const LIMITS: Limits = Limits { bulk_bytes_max: 1 << 20, is_authenticated: true };

/// What the bytes come to if they arrive in pieces that end at `cuts`, as a connection reads them: what is left of a
/// request is parsed on when more has come.
fn read(bytes: &[u8], cuts: &[usize], limits: Limits) -> Read {
    let (mut parser, mut found, mut used) = (Parser::default(), Read::default(), 0);
    for end in cuts.iter().copied().chain([bytes.len()]) {
        while used < end {
            let arrived = &bytes[used..end];
            match parser.parse(arrived, limits) {
                Parsed::Array(len) => {
                    assert!(len <= arrived.len());
                    found.requests.push(Args::new(arrived, parser.ranges()).iter().map(<[u8]>::to_vec).collect());
                    used += len;
                }
                Parsed::Line(len) => {
                    found.requests.push(Args::new(parser.line(), parser.ranges()).iter().map(<[u8]>::to_vec).collect());
                    used += len;
                }
                Parsed::Nothing(len) => {
                    assert!(len > 0, "no progress");
                    used += len;
                }
                Parsed::Incomplete => break,
                Parsed::Malformed(why) => {
                    found.error = Some(why);
                    return found;
                }
            }
            assert!(parser.is_at_start());
        }
        // Q1: an argument takes four bytes at least, `$0\r\n`, and a word of a line two.
        assert!(parser.ranges.capacity() <= 8 + bytes.len(), "{}", parser.ranges.capacity());
    }
    found
}

/// Vigna's xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }

    fn choice<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

const SEEDS: [&[u8]; 12] = [
    b"*1\r\n$4\r\nPING\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n\r\n*1\r\n",
    b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"PING\r\n",
    b"SET \"a b\\x41\\n\" 'it\\'s'\r\n",
    b"\r\n",
    b"ECHO  x  \n",
    b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n",
    b"*5\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n",
    b"*1\r\n$20\r\n01234567890123456789\r\n",
];

fn mutated(random: &mut Random) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..random.below(4) + 1).flat_map(|_| random.choice(&SEEDS).to_vec()).collect();
    for _ in 0..random.choice(&[0, 1, 1, 2, 4]) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] = random.next() as u8,
            1 => drop(bytes.drain(at..(at + random.below(6) + 1).min(bytes.len()))),
            2 => {
                let what: &[u8] = random.choice(&[
                    b"\r\n",
                    b"*",
                    b"$",
                    b"0",
                    b"99999999999",
                    b"-",
                    b"\0",
                    b"\"",
                    b"'",
                    b"\\x4",
                    b" ",
                ]);
                bytes.splice(at..at, what.iter().copied());
            }
            3 => bytes.truncate(at),
            _ => bytes.extend_from_within(at..),
        }
    }
    bytes
}

#[test]
fn requests_are_the_same_in_whatever_pieces_they_come() {
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    for round in 0..4_000 {
        let bytes = mutated(&mut random);
        let whole = read(&bytes, &[], LIMITS);
        for cut in 1..bytes.len() {
            assert_eq!(read(&bytes, &[cut], LIMITS), whole, "round {round}, cut at {cut}: {}", bytes.escape_ascii());
        }
        let every: Vec<usize> = (1..bytes.len()).collect();
        assert_eq!(read(&bytes, &every, LIMITS), whole, "round {round}, single bytes: {}", bytes.escape_ascii());
    }
}

#[test]
fn what_follows_a_request_does_not_change_it() {
    let mut random = Random(0xFEDC_BA98_7654_3211);
    for _ in 0..4_000 {
        let (first, second) = (mutated(&mut random), mutated(&mut random));
        let alone = read(&first, &[], LIMITS);
        let both = read(&[first, second].concat(), &[], LIMITS);
        assert!(both.requests.starts_with(&alone.requests) && (alone.error.is_none() || both == alone));
    }
}

#[test]
fn lengths_are_refused_before_their_bytes_come() {
    for (bytes, why) in [
        (&b"*2147483648\r\n"[..], &b"invalid multibulk length"[..]),
        (b"*1\r\n$1048577\r\n", b"invalid bulk length"),
        (b"*1\r\n$-1\r\n", b"invalid bulk length"),
        (b"*1\r\nx\r\n", b"expected '$', got 'x'"),
        (b"SET \"a\r\n", b"unbalanced quotes in request"),
    ] {
        assert_eq!(read(bytes, &[], LIMITS).error.as_deref(), Some(why), "{}", bytes.escape_ascii());
    }
    let stranger = Limits { is_authenticated: false, ..LIMITS };
    assert_eq!(read(b"*11\r\n", &[], stranger).error.as_deref(), Some(&b"unauthenticated multibulk length"[..]));
    assert_eq!(read(b"*1\r\n$16385\r\n", &[], stranger).error.as_deref(), Some(&b"unauthenticated bulk length"[..]));
}

#[test]
fn a_count_that_is_announced_reserves_nothing() {
    let mut parser = Parser::default();
    assert_eq!(parser.parse(b"*2147483647\r\n$1\r\na\r\n", LIMITS), Parsed::Incomplete);
    assert!(parser.ranges.capacity() < 100);
}
