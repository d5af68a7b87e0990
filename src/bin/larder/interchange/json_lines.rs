//! Keys as lines of JSON: one object each, `{"key":…,"value":…,"expires_at_ms":…}`, the last only where there is one.
//!
//! Bytes are strings if they are UTF-8, else `{"base64":"…"}` (`bytes`). An export begins with a line that says so and
//! ends with one that counts, so that one that was cut off is noticed; lines from elsewhere need neither. What other
//! commands print with `--json` for keys is taken too.
//!
//! Not here: files by name, which keys are wanted (`export`, `import`).

use crate::bytes::{self, Json};
use crate::rdb::Flaw;
use crate::rdb::read::{Content, Item};
use larder::store::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, BufRead, ErrorKind, Write};

/// The version of an export that is written and known.
const VERSION: u64 = 1;

/// Longest line: each byte of key and value as an escape of six, and the words around them.
const LINE_BYTES_MAX: u64 = 6 * (VALUE_BYTES_MAX + KEY_BYTES_MAX as u64) + 1024;

#[derive(Serialize)]
struct WrittenLine<'a> {
    key: Json<'a>,
    value: Json<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
}

pub struct Writer<W> {
    sink: W,
    count: u64,
}

impl<W: Write> Writer<W> {
    pub fn new(mut sink: W) -> io::Result<Self> {
        writeln!(sink, "{{\"larder_export\":{VERSION}}}")?;
        Ok(Self { sink, count: 0 })
    }

    pub fn item(&mut self, key: &[u8], value: &[u8], expires_at_ms: u64) -> io::Result<()> {
        self.count += 1;
        let expires_at_ms = (expires_at_ms != 0).then_some(expires_at_ms);
        serde_json::to_writer(&mut self.sink, &WrittenLine { key: Json(key), value: Json(value), expires_at_ms })?;
        self.sink.write_all(b"\n")
    }

    /// Ends the export; what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        writeln!(self.sink, "{{\"larder_export_keys\":{}}}", self.count)?;
        Ok(self.sink)
    }
}

/// Any line: a key, an export's beginning, or its end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadLine {
    key: Option<Bytes>,
    value: Option<Bytes>,
    expires_at_ms: Option<u64>,
    larder_export: Option<u64>,
    larder_export_keys: Option<u64>,
    // What `larder get --json` and `larder scan --json` say besides.
    #[serde(rename = "version")]
    _version: Option<u64>,
    #[serde(rename = "found")]
    _found: Option<bool>,
}

pub struct Reader<R> {
    source: R,
    /// Where the next line begins, and its number.
    offset: u64,
    line_number: u64,
    line: Vec<u8>,
    /// Keys so far, if this is an export and its end has not come.
    export_count: Option<u64>,
    has_ended: bool,
}

impl<R: BufRead> Reader<R> {
    pub fn new(source: R) -> Self {
        Self { source, offset: 0, line_number: 0, line: Vec::new(), export_count: None, has_ended: false }
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next key; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Item>, Flaw> {
        loop {
            let offset = self.offset;
            if !self.read_line()? {
                return match self.export_count {
                    None => Ok(None),
                    Some(count) => Err(self.flaw(
                        offset,
                        format!("the export ends after {count} keys without its last line: it was cut off"),
                    )),
                };
            }
            let text = self.line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let line = serde_json::from_slice::<ReadLine>(text).map_err(|error| {
                // Of one line only the column means something; the line's number is ours to say.
                let what = error.to_string();
                let what = what.split(" at line ").next().unwrap_or_default().to_owned();
                let before = self.line.len() - self.line.trim_ascii_start().len() + error.column().saturating_sub(1);
                self.flaw(offset + before as u64, what)
            })?;
            if self.has_ended {
                return Err(self.flaw(offset, "more lines behind the export's last one"));
            }
            match line {
                ReadLine {
                    larder_export: Some(version),
                    key: None,
                    value: None,
                    expires_at_ms: None,
                    larder_export_keys: None,
                    ..
                } => {
                    if version != VERSION || self.line_number != 1 {
                        return Err(self.flaw(
                            offset,
                            format!(
                                "an export of version {version} begins here; known is {VERSION}, on the first line"
                            ),
                        ));
                    }
                    self.export_count = Some(0);
                }
                ReadLine {
                    larder_export_keys: Some(said),
                    key: None,
                    value: None,
                    expires_at_ms: None,
                    larder_export: None,
                    ..
                } => {
                    if self.export_count.take() != Some(said) {
                        return Err(self.flaw(
                            offset,
                            format!("the export is said to have {said} keys, and has another number of them"),
                        ));
                    }
                    self.has_ended = true;
                }
                ReadLine {
                    key: Some(key),
                    value: Some(value),
                    expires_at_ms,
                    larder_export: None,
                    larder_export_keys: None,
                    ..
                } => {
                    if let Some(count) = &mut self.export_count {
                        *count += 1;
                    }
                    let is_long = value.0.len() as u64 > VALUE_BYTES_MAX;
                    return Ok(Some(Item {
                        offset,
                        database: 0,
                        key: (key.0.len() <= KEY_BYTES_MAX).then_some(key.0),
                        // Beyond that range is beyond everybody.
                        expires_at_ms: expires_at_ms.unwrap_or(0).min(i64::MAX.unsigned_abs()),
                        content: if is_long { Content::TooLong } else { Content::Text(value.0) },
                    }));
                }
                _ => return Err(self.flaw(offset, "a line needs a \"key\" and a \"value\"")),
            }
        }
    }

    fn flaw(&self, offset: u64, what: impl fmt::Display) -> Flaw {
        Flaw::new(offset, format!("line {}: {what}", self.line_number))
    }

    /// Reads a line, its end included; false where there is none any more. A line that does not begin as an object is
    /// refused before the rest of it is read.
    fn read_line(&mut self) -> Result<bool, Flaw> {
        let start = self.offset;
        self.line.clear();
        self.line_number += 1;
        loop {
            let come = match self.source.fill_buf() {
                Ok(come) => come,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Flaw::unread(self.offset, &error)),
            };
            if come.is_empty() {
                return Ok(self.offset > start);
            }
            let end = come.iter().position(|b| *b == b'\n');
            let taken = end.map_or(come.len(), |end| end + 1);
            let has_room =
                self.line.try_reserve(taken).is_ok() && self.line.len() as u64 + taken as u64 <= LINE_BYTES_MAX;
            if has_room {
                self.line.extend_from_slice(&come[..taken]);
            }
            self.source.consume(taken);
            self.offset += taken as u64;
            if !has_room {
                return Err(self.flaw(start, "the line is too long"));
            }
            if self.line.trim_ascii_start().first().is_some_and(|b| *b != b'{') {
                return Err(self.flaw(start, "not a JSON object, which would begin with {"));
            }
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

/// What [`Json`] writes, read without a copy more than the one that stays.
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or {\"base64\": \"…\"}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
        Ok(Bytes(text.as_bytes().to_vec()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Bytes, E> {
        Ok(Bytes(text.into_bytes()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bytes, A::Error> {
        let expected = || de::Error::invalid_type(de::Unexpected::Map, &self);
        match map.next_key::<String>()? {
            Some(name) if name == "base64" => {}
            _ => return Err(expected()),
        }
        let text: String = map.next_value()?;
        if map.next_key::<String>()?.is_some() {
            return Err(expected());
        }
        bytes::from_base64(text.as_bytes()).map(Bytes).map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[path = "json_lines_tests.rs"]
mod tests;
