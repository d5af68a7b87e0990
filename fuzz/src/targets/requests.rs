//! Any bytes as what a client sends to `larder serve`: the same requests, and the same refusal, in whatever pieces they come.
//!
//! Besides: what was written as a request is read as that one, whatever follows it; what was read, written again, is read as the
//! same; limits hold; memory is taken for bytes and not for lengths; what is called incomplete can be completed; and the short
//! way for GETs finds nothing that the parser would read otherwise.
//!
//! Not here: whether redis-server makes the same of the bytes (tests/server/behaviour.py asks both).

// Of the program, which is no library; its directory knows nothing of the rest.
// Nor is it looked at as the interface of one: what nobody asks for need not be there.
#[allow(clippy::len_without_is_empty)]
#[path = "../../../src/bin/larder/server/request/mod.rs"]
pub mod request;

use crate::input::Input;
use request::gets::{Gets, may_begin};
use request::{Args, Limits, Parsed, Parser};

/// As the server has them unless it is told otherwise: no limit may be below what the short way for GETs takes.
const WIDE: Limits = Limits { bulk_bytes_max: 512 << 20, is_authenticated: true };
const NARROW_BULK_BYTES_MAX: i64 = 64;
/// What a stranger may send in a request, as Redis 7 has it.
const STRANGERS_COUNT_MAX: usize = 10;
const STRANGERS_BULK_BYTES_MAX: usize = 16 << 10;
/// More is not sent to complete a request.
const COMPLETION_BYTES_MAX: usize = 1 << 16;

type Words = Vec<Vec<u8>>;

/// A request, and how it was found.
#[derive(Debug, PartialEq)]
struct Found {
    words: Words,
    is_array: bool,
    from: usize,
    to: usize,
}

/// What bytes come to: requests, and the error that ended them.
#[derive(Debug, Default, PartialEq)]
struct Read {
    found: Vec<Found>,
    error: Option<Vec<u8>>,
}

/// Reads as a connection does: what is left of a request is parsed on when more has come, in pieces that end at `cuts`.
/// With it the parser, and how much was used.
fn read(bytes: &[u8], cuts: impl IntoIterator<Item = usize>, limits: Limits) -> (Read, Parser, usize) {
    let (mut parser, mut read, mut used) = (Parser::default(), Read::default(), 0);
    for end in cuts.into_iter().chain([bytes.len()]) {
        while used < end {
            let arrived = &bytes[used..end];
            let parsed = parser.parse(arrived, limits);
            // A range takes 8 bytes, an argument two of what was sent at least; room is doubled when it is used up, and kept.
            assert!(parser.memory_bytes() <= 128 + 8 * end, "memory for what has not come");
            let (args, len) = match parsed {
                Parsed::Array(len) => (Args::new(arrived, parser.ranges()), len),
                Parsed::Line(len) => (Args::new(parser.line(), parser.ranges()), len),
                Parsed::Nothing(len) => (Args::new(&[], &[]), len),
                Parsed::Incomplete => break,
                Parsed::Malformed(why) => {
                    assert!(!why.contains(&b'\r') && !why.contains(&b'\n'), "an error of more than a line");
                    read.error = Some(why);
                    return (read, parser, used);
                }
            };
            assert!((1..=arrived.len()).contains(&len) && parser.is_at_start());
            if matches!(parsed, Parsed::Array(_) | Parsed::Line(_)) {
                assert!(args.len() > 0, "a request of nothing");
                let words = args.iter().map(<[u8]>::to_vec).collect();
                read.found.push(Found { words, is_array: arrived[0] == b'*', from: used, to: used + len });
            }
            used += len;
        }
    }
    (read, parser, used)
}

fn words_of(read: &Read) -> impl Iterator<Item = &Words> {
    read.found.iter().map(|found| &found.words)
}

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let shape = input.u8();
    let (first, second) = (usize::from(input.u16()), usize::from(input.u16()));
    if shape & 1 != 0 {
        written_is_read(&mut input);
        return;
    }
    let bulk_bytes_max = if shape & 2 == 0 { WIDE.bulk_bytes_max } else { NARROW_BULK_BYTES_MAX };
    let limits = Limits { bulk_bytes_max, is_authenticated: shape & 4 == 0 };
    let bytes = input.rest();
    let (whole, parser, used) = read(bytes, [], limits);

    assert_eq!(read(bytes, 1..bytes.len(), limits).0, whole, "other requests in single bytes");
    let (first, second) = (first % (bytes.len() + 1), second % (bytes.len() + 1));
    let cuts = [first.min(second), first.max(second)];
    assert_eq!(read(bytes, cuts, limits).0, whole, "other requests cut at {cuts:?}");

    within_limits(&whole, limits);
    if whole.error.is_none() && used < bytes.len() {
        can_be_completed(&bytes[used..], parser, limits);
    }
    if shape & 6 == 0 {
        short_way_agrees(bytes, &whole);
        let again: Vec<u8> = words_of(&whole).flat_map(array).collect();
        assert!(words_of(&read(&again, [], WIDE).0).eq(words_of(&whole)), "written again it is another request");
    }
}

fn within_limits(read: &Read, limits: Limits) {
    for found in read.found.iter().filter(|found| found.is_array) {
        let longest = found.words.iter().map(Vec::len).max().unwrap_or(0);
        assert!(longest as i64 <= limits.bulk_bytes_max, "an argument of {longest} bytes");
        if !limits.is_authenticated {
            assert!(found.words.len() <= STRANGERS_COUNT_MAX && longest <= STRANGERS_BULK_BYTES_MAX);
        }
    }
}

/// With what the parser says is missing, or an end of line, it comes further.
fn can_be_completed(bytes: &[u8], mut parser: Parser, limits: Limits) {
    let missing = parser.missing_bytes(bytes.len());
    // Nothing ends behind a zero byte, until the line is too long.
    if missing > COMPLETION_BYTES_MAX || (missing == 0 && bytes.contains(&0)) {
        return;
    }
    let before = (parser.is_at_start(), parser.ranges().len(), missing);
    let completion = if missing > 0 { vec![b'\n'; missing] } else { b"\r\n".to_vec() };
    let completed = [bytes, &completion].concat();
    if parser.parse(&completed, limits) == Parsed::Incomplete {
        let after = (parser.is_at_start(), parser.ranges().len(), parser.missing_bytes(completed.len()));
        assert_ne!(after, before, "nothing completes {}", bytes.escape_ascii());
    }
}

/// Where the short way for GETs finds some, the parser has found the same.
fn short_way_agrees(bytes: &[u8], whole: &Read) {
    for (i, begin) in whole.found.iter().map(|found| found.from).enumerate() {
        let gets = Gets::at_front_of(&bytes[begin..]);
        assert!(gets.is_empty() || may_begin(&bytes[begin..]), "not seen at a glance");
        for (j, (key, end)) in gets.keys().iter().zip(gets.ends()).enumerate() {
            let found = &whole.found[i + j];
            assert!(found.words.len() == 2 && found.words[0].eq_ignore_ascii_case(b"get") && found.words[1] == *key);
            assert_eq!(found.to, begin + end, "a GET that ends elsewhere");
        }
    }
    // What the parser does not take, or not yet, the short way does not either.
    let end = whole.found.last().map_or(0, |found| found.to);
    assert!(Gets::at_front_of(&bytes[end..]).is_empty(), "a GET that the parser did not find");
}

/// Requests made up and written down are read as they were, and what follows them changes none.
fn written_is_read(input: &mut Input) {
    let (mut bytes, mut written) = (Vec::new(), Vec::new());
    for _ in 0..1 + input.below(4) {
        let form = input.below(3);
        let words: Words = (0..1 + input.below(5))
            .map(|_| {
                let len = input.below(40);
                input.take(len).to_vec()
            })
            .collect();
        match form {
            0 => bytes.extend(array(&words)),
            form => bytes.extend(line(&words, form == 2)),
        }
        written.push(words);
    }
    bytes.extend_from_slice(input.rest());
    let (whole, ..) = read(&bytes, [], WIDE);
    assert!(words_of(&whole).zip(&written).all(|(read, written)| read == written), "other arguments");
    assert!(whole.found.len() >= written.len(), "fewer requests than were written: {:?}", whole.error);
}

fn array(words: &Words) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A plain line: in single quotes what can stand there, else in double ones with escapes.
fn line(words: &Words, prefers_single: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in words {
        if prefers_single && !word.iter().any(|b| matches!(b, 0 | b'\n' | b'\\')) {
            bytes.push(b'\'');
            word.iter().for_each(|b| if *b == b'\'' { bytes.extend_from_slice(b"\\'") } else { bytes.push(*b) });
            bytes.extend_from_slice(b"' ");
            continue;
        }
        bytes.push(b'"');
        for b in word {
            match b {
                b'\n' => bytes.extend_from_slice(b"\\n"),
                b'\t' => bytes.extend_from_slice(b"\\t"),
                0x07 => bytes.extend_from_slice(b"\\a"),
                0x08 => bytes.extend_from_slice(b"\\b"),
                b'"' | b'\\' => bytes.extend_from_slice(&[b'\\', *b]),
                b' '..=b'~' => bytes.push(*b),
                other => bytes.extend_from_slice(format!("\\x{other:02x}").as_bytes()),
            }
        }
        bytes.extend_from_slice(b"\"\t");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}
