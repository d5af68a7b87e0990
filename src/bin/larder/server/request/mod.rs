//! Requests: from bytes to arguments, in place.
//!
//! Two forms: arrays of bulk strings (`*2\r\n$3\r\nGET\r\n$1\r\na\r\n`) and plain lines (`GET a`), told apart by the
//! first byte. The form is the one of <https://redis.io/docs/latest/develop/reference/protocol-spec/>; what is
//! malformed, and what is said of it, is what Redis 7 says.
//!
//! Arguments are ranges of the bytes that were read; nothing is copied or reserved on the word of a length that a
//! client names. What has been parsed of a request that is not whole is remembered, so it is not parsed again.
//!
//! This directory knows nothing of the rest of the server: what reads bytes that anybody sends is fuzzed alone.
//!
//! Invariants:
//!   Q1. Memory taken is proportional to the bytes that have arrived, never to a length that they announce.
//!   Q2. `Incomplete` is only said of bytes that can still become a request.

pub mod gets;
pub mod integer;
#[cfg(test)]
mod tests;

/// Longest plain line, and longest line that holds a length, bytes.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Most arguments of a request.
const COUNT_MAX: i64 = i32::MAX as i64;
/// What a client may send before it has said its password.
const UNAUTHENTICATED_COUNT_MAX: i64 = 10;
const UNAUTHENTICATED_BULK_BYTES_MAX: i64 = 16 << 10;

/// Where an argument lies: from, to.
pub type Range = (u32, u32);

/// The arguments of a request, its name first.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    ranges: &'a [Range],
}

impl<'a> Args<'a> {
    pub fn new(bytes: &'a [u8], ranges: &'a [Range]) -> Self {
        Self { bytes, ranges }
    }

    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The argument at `i`, which the caller knows to be there.
    #[inline]
    pub fn get(&self, i: usize) -> &'a [u8] {
        let (from, to) = self.ranges[i];
        &self.bytes[from as usize..to as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.ranges.iter().map(move |(from, to)| &bytes[*from as usize..*to as usize])
    }

    /// The arguments from the one at `i` on.
    pub fn from(&self, i: usize) -> Args<'a> {
        Args { bytes: self.bytes, ranges: &self.ranges[i.min(self.ranges.len())..] }
    }
}

/// Arguments that outlive the bytes they came in.
#[derive(Clone, Default)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    ranges: Vec<Range>,
}

impl OwnedArgs {
    pub fn of(args: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut owned = Self::default();
        for arg in args {
            let from = owned.bytes.len() as u32;
            owned.bytes.extend_from_slice(arg.as_ref());
            owned.ranges.push((from, owned.bytes.len() as u32));
        }
        owned
    }

    pub fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.ranges)
    }

    /// Bytes that it takes.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.ranges.len() * size_of::<Range>()
    }
}

/// What is allowed.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Longest argument, bytes.
    pub bulk_bytes_max: i64,
    pub is_authenticated: bool,
}

/// What the bytes came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A request of this many bytes; its arguments lie in the bytes.
    Array(usize),
    /// A request of this many bytes; its arguments lie in [`Parser::line`].
    Line(usize),
    /// This many bytes that ask for nothing.
    Nothing(usize),
    /// The beginning of a request.
    Incomplete,
    /// What is wrong; the connection cannot go on.
    Malformed(Vec<u8>),
}

/// What is known of a request of which the beginning was seen.
#[derive(Default)]
pub struct Parser {
    /// Arguments found so far.
    ranges: Vec<Range>,
    /// Arguments of a plain line, their quotes and escapes resolved.
    line: Vec<u8>,
    /// Arguments that are still to come; only meaningful when `at` is not 0.
    missing_count: usize,
    /// The length of the argument that is to come next, if that has been read.
    bulk_len: Option<usize>,
    /// How far the request has been parsed.
    at: usize,
}

impl Parser {
    /// Whether nothing of a request was seen.
    pub fn is_at_start(&self) -> bool {
        self.at == 0
    }

    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The bytes still missing of the argument under way, if its length is known.
    pub fn missing_bytes(&self, arrived: usize) -> usize {
        self.bulk_len.map_or(0, |len| (self.at + len + 2).saturating_sub(arrived))
    }

    /// Bytes of memory that what is known takes.
    pub fn memory_bytes(&self) -> usize {
        self.ranges.capacity() * size_of::<Range>() + self.line.capacity()
    }

    /// Takes over what `other` knows of the request that is under way.
    pub fn take_over(&mut self, other: &mut Parser) {
        std::mem::swap(self, other);
    }

    /// Parses the request that begins with `bytes`. After `Incomplete` it is to be called again with the same bytes
    /// and more behind them.
    pub fn parse(&mut self, bytes: &[u8], limits: Limits) -> Parsed {
        let Some(first) = bytes.first() else { return Parsed::Incomplete };
        let parsed = if *first == b'*' { self.parse_array(bytes, limits) } else { self.parse_line(bytes) };
        if !matches!(parsed, Parsed::Incomplete) {
            self.at = 0;
            self.bulk_len = None;
        }
        parsed
    }

    fn parse_array(&mut self, bytes: &[u8], limits: Limits) -> Parsed {
        if self.at == 0 {
            let (line, next) = match number_line(bytes, 0) {
                Line::Whole(line, next) => (line, next),
                Line::Incomplete => return Parsed::Incomplete,
                Line::TooLong => return malformed("too big mbulk count string"),
            };
            let count = match integer::parse_i64(&line[1..]) {
                Some(count) if count <= COUNT_MAX => count,
                _ => return malformed("invalid multibulk length"),
            };
            if count > UNAUTHENTICATED_COUNT_MAX && !limits.is_authenticated {
                return malformed("unauthenticated multibulk length");
            }
            if count <= 0 {
                return Parsed::Nothing(next);
            }
            self.ranges.clear();
            self.missing_count = count as usize;
            self.at = next;
        }
        while self.missing_count > 0 {
            let len = match self.bulk_len {
                Some(len) => len,
                None => match self.parse_bulk_len(bytes, limits) {
                    Ok(len) => len,
                    Err(parsed) => return parsed,
                },
            };
            let end = self.at + len;
            if bytes.len() < end + 2 {
                self.bulk_len = Some(len);
                return Parsed::Incomplete;
            }
            self.ranges.push((self.at as u32, end as u32));
            self.at = end + 2;
            self.bulk_len = None;
            self.missing_count -= 1;
        }
        Parsed::Array(self.at)
    }

    fn parse_bulk_len(&mut self, bytes: &[u8], limits: Limits) -> Result<usize, Parsed> {
        let (line, next) = match number_line(bytes, self.at) {
            Line::Whole(line, next) => (line, next),
            Line::Incomplete => return Err(Parsed::Incomplete),
            Line::TooLong => return Err(malformed("too big bulk count string")),
        };
        if line.first() != Some(&b'$') {
            let got = bytes[self.at];
            // An error is a line: what would end it cannot be quoted in it.
            let got = if got == b'\r' || got == b'\n' { b' ' } else { got };
            return Err(Parsed::Malformed([b"expected '$', got '", &[got][..], b"'"].concat()));
        }
        let len = match integer::parse_i64(&line[1..]) {
            Some(len) if (0..=limits.bulk_bytes_max).contains(&len) => len,
            _ => return Err(malformed("invalid bulk length")),
        };
        if len > UNAUTHENTICATED_BULK_BYTES_MAX && !limits.is_authenticated {
            return Err(malformed("unauthenticated bulk length"));
        }
        self.at = next;
        Ok(len as usize)
    }

    fn parse_line(&mut self, bytes: &[u8]) -> Parsed {
        let Some(end) = position(bytes, self.at, b'\n') else {
            if bytes.len() > LINE_BYTES_MAX {
                return malformed("too big inline request");
            }
            // Not looked through again; but a zero byte is met again, so nothing behind it counts.
            self.at = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            return Parsed::Incomplete;
        };
        let line = &bytes[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.ranges.clear();
        self.line.clear();
        if split_words(line, &mut self.line, &mut self.ranges).is_none() {
            return malformed("unbalanced quotes in request");
        }
        if self.ranges.is_empty() { Parsed::Nothing(end + 1) } else { Parsed::Line(end + 1) }
    }
}

enum Line<'a> {
    /// Without its end; where the next one begins.
    Whole(&'a [u8], usize),
    Incomplete,
    TooLong,
}

fn malformed(what: &str) -> Parsed {
    Parsed::Malformed(what.into())
}

/// Where a line that goes on at `at` ends. Redis takes lines for C strings: none ends behind a zero byte.
fn position(bytes: &[u8], at: usize, wanted: u8) -> Option<usize> {
    let found = bytes[at..].iter().position(|b| *b == wanted || *b == 0)? + at;
    (bytes[found] == wanted).then_some(found)
}

/// The line at `at`, which ends with a carriage return and one byte more.
fn number_line(bytes: &[u8], at: usize) -> Line<'_> {
    match position(bytes, at, b'\r') {
        Some(end) if end + 2 <= bytes.len() => Line::Whole(&bytes[at..end], end + 2),
        Some(_) => Line::Incomplete,
        None if bytes.len() - at > LINE_BYTES_MAX => Line::TooLong,
        None => Line::Incomplete,
    }
}

/// Splits a line into words; in double quotes `\n \r \t \b \a \xHH` and a backslash before anything else mean what they
/// mean in C, in single quotes only `\'` does. `None` if a quote is not closed, or closed within a word.
fn split_words(line: &[u8], out: &mut Vec<u8>, ranges: &mut Vec<Range>) -> Option<()> {
    let is_space = |b: u8| matches!(b, b' ' | b'\n' | b'\r' | b'\t' | 0x0B | 0x0C);
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|b| is_space(*b)) {
            at += 1;
        }
        if at >= line.len() || line[at] == 0 {
            return Some(());
        }
        let from = out.len() as u32;
        loop {
            match line.get(at) {
                None | Some(b' ' | b'\n' | b'\r' | b'\t' | 0) => break,
                Some(b'"') => at = unquote(line, at + 1, out)?,
                Some(b'\'') => at = unquote_single(line, at + 1, out)?,
                Some(b) => {
                    out.push(*b);
                    at += 1;
                    continue;
                }
            }
            // A closing quote ends the word.
            if line.get(at).is_some_and(|b| !is_space(*b) && *b != 0) {
                return None;
            }
            break;
        }
        ranges.push((from, out.len() as u32));
    }
}

/// Appends what stands in double quotes from `at` on; where it ends.
fn unquote(line: &[u8], mut at: usize, out: &mut Vec<u8>) -> Option<usize> {
    loop {
        match (*line.get(at)?, line.get(at + 1), line.get(at + 2), line.get(at + 3)) {
            (b'\\', Some(b'x'), Some(high), Some(low)) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |b: &u8| char::from(*b).to_digit(16).unwrap_or(0) as u8;
                out.push(digit(high) << 4 | digit(low));
                at += 4;
            }
            (b'\\', Some(escaped), ..) => {
                out.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                at += 2;
            }
            (b'"', ..) => return Some(at + 1),
            (0, ..) => return None,
            (b, ..) => {
                out.push(b);
                at += 1;
            }
        }
    }
}

/// Appends what stands in single quotes from `at` on; where it ends.
fn unquote_single(line: &[u8], mut at: usize, out: &mut Vec<u8>) -> Option<usize> {
    loop {
        match (*line.get(at)?, line.get(at + 1)) {
            (b'\\', Some(b'\'')) => {
                out.push(b'\'');
                at += 2;
            }
            (b'\'', _) => return Some(at + 1),
            (0, _) => return None,
            (b, _) => {
                out.push(b);
                at += 1;
            }
        }
    }
}
