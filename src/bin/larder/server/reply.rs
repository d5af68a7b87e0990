//! Replies: what a client is sent, in RESP2 or RESP3.
//!
//! Written into one buffer per client, in the order of its requests. What RESP2 has no type for is written as
//! what Redis writes there: a map as an array of twice the length, a null as a bulk string of length -1.

use std::io::Write;

/// Bytes on their way to one client.
#[derive(Default)]
pub struct Reply {
    pub bytes: Vec<u8>,
    /// RESP3.
    pub is_third: bool,
}

impl Reply {
    pub fn new(is_third: bool) -> Self {
        Self { bytes: Vec::new(), is_third }
    }

    #[inline]
    pub fn ok(&mut self) {
        self.bytes.extend_from_slice(b"+OK\r\n");
    }

    /// A line; it holds no line end.
    pub fn simple(&mut self, text: &str) {
        self.bytes.push(b'+');
        self.line(text.as_bytes());
    }

    /// An error with its code, such as `ERR no such key`; line ends in it become spaces.
    pub fn error(&mut self, text: &[u8]) {
        self.bytes.push(b'-');
        self.bytes.extend(text.iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }));
        self.bytes.extend_from_slice(b"\r\n");
    }

    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.head(b':', value);
    }

    #[inline]
    pub fn bulk(&mut self, value: &[u8]) {
        self.head(b'$', value.len() as i64);
        self.line(value);
    }

    /// Text that RESP3 marks as such.
    pub fn verbatim(&mut self, value: &[u8]) {
        if !self.is_third {
            return self.bulk(value);
        }
        self.head(b'=', value.len() as i64 + 4);
        self.bytes.extend_from_slice(b"txt:");
        self.line(value);
    }

    #[inline]
    pub fn null(&mut self) {
        self.bytes.extend_from_slice(if self.is_third { b"_\r\n" } else { b"$-1\r\n" });
    }

    pub fn null_array(&mut self) {
        self.bytes.extend_from_slice(if self.is_third { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// The head of an array; its elements follow.
    pub fn array(&mut self, count: usize) {
        self.head(b'*', count as i64);
    }

    /// The head of a map; keys and values follow in turn.
    pub fn map(&mut self, count: usize) {
        if self.is_third { self.head(b'%', count as i64) } else { self.array(count * 2) }
    }

    pub fn set(&mut self, count: usize) {
        if self.is_third { self.head(b'~', count as i64) } else { self.array(count) }
    }

    /// The head of what was not asked for.
    pub fn push(&mut self, count: usize) {
        if self.is_third { self.head(b'>', count as i64) } else { self.array(count) }
    }

    #[inline]
    fn head(&mut self, kind: u8, value: i64) {
        if (0..10).contains(&value) {
            self.bytes.extend_from_slice(&[kind, b'0' + value as u8, b'\r', b'\n']);
            return;
        }
        self.bytes.push(kind);
        // Writing to a Vec cannot fail.
        let _ = write!(self.bytes, "{value}");
        self.bytes.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn line(&mut self, bytes: &[u8]) {
        self.bytes.reserve(bytes.len() + 2);
        self.bytes.extend_from_slice(bytes);
        self.bytes.extend_from_slice(b"\r\n");
    }
}
