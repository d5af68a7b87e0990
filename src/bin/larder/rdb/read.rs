//! An RDB file, key by key: strings are handed out, everything else is named and stepped over.
//!
//! A file is `REDIS`, a version of four digits, parts and keys in any order, an end mark, and from version 5 on a CRC-64
//! of all before it (0 where its writer kept none). Before a key stand, where it has them, its expiry and what eviction
//! knows of it.
//!
//! Not here: which keys are wanted (`import`).

use super::input::Input;
use super::string::{read_len, read_string, skip_string};
use super::{Flaw, MAGIC, kind, opcode, skip};
use larder::store::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use std::io::BufRead;

/// Versions of Redis 2.6 to 8.0. A newer one may have anything in it.
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=12;
/// From this version on there is a checksum at the end.
const VERSION_SUMMED: u32 = 5;

/// `CONFIG_RUN_ID_SIZE` in `redis-cli.c` and `replication.c`.
const END_MARK_LEN: usize = 40;

/// A key of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    /// Where the key begins.
    pub offset: u64,
    pub database: u64,
    /// `None` for a key that is longer than a store takes.
    pub key: Option<Vec<u8>>,
    /// Unix milliseconds, 0 without expiry.
    pub expires_at_ms: u64,
    pub content: Content,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    Text(Vec<u8>),
    /// A string that is longer than a store takes.
    TooLong,
    /// Not a string but this, and stepped over.
    Other(&'static str),
}

pub struct Reader<R> {
    input: Input<R>,
    version: u32,
    database: u64,
    is_done: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads as far as the version.
    pub fn new(source: R) -> Result<Self, Flaw> {
        let mut input = Input::new(source);
        let magic: [u8; 5] = input.array()?;
        if magic != *MAGIC {
            return Err(Flaw::new(0, "no RDB file, which would begin with REDIS,"));
        }
        let digits: [u8; 4] = input.array()?;
        let version = std::str::from_utf8(&digits).ok().and_then(|text| text.parse().ok());
        let version = version.filter(|_| digits.iter().all(u8::is_ascii_digit));
        let version = version.ok_or_else(|| Flaw::new(5, "an RDB file without a version"))?;
        if !VERSIONS.contains(&version) {
            let what =
                format!("an RDB file of version {version} (known are {} to {})", VERSIONS.start(), VERSIONS.end());
            return Err(Flaw::new(5, what));
        }
        Ok(Self { input, version, database: 0, is_done: false })
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// The next key; `None` at the end, when the checksum has turned out right.
    pub fn next(&mut self) -> Result<Option<Item>, Flaw> {
        let mut expires_at_ms = 0;
        while !self.is_done {
            let offset = self.input.offset();
            match self.input.byte()? {
                opcode::END => self.end()?,
                opcode::SELECT_DATABASE => self.database = read_len(&mut self.input)?,
                opcode::RESIZE_DATABASE => self.step_over_numbers(2)?,
                opcode::SLOT_INFO => self.step_over_numbers(3)?,
                opcode::AUX => {
                    skip_string(&mut self.input)?;
                    skip_string(&mut self.input)?;
                }
                opcode::FUNCTION => skip_string(&mut self.input)?,
                opcode::MODULE_AUX => skip::module_aux(&mut self.input)?,
                opcode::IDLE => self.step_over_numbers(1)?,
                opcode::FREQUENCY => self.input.skip(1)?,
                opcode::EXPIRES_MS => expires_at_ms = moment(i64::from_le_bytes(self.input.array()?)),
                opcode::EXPIRES_S => {
                    expires_at_ms = moment(i64::from(i32::from_le_bytes(self.input.array()?)).saturating_mul(1000));
                }
                kind => return self.item(offset, kind, expires_at_ms).map(Some),
            }
        }
        Ok(None)
    }

    fn item(&mut self, offset: u64, kind: u8, expires_at_ms: u64) -> Result<Item, Flaw> {
        let name = skip::name(kind).ok_or_else(|| Flaw::new(offset, format!("a value of an unknown type ({kind})")))?;
        let key = read_string(&mut self.input, KEY_BYTES_MAX as u64)?;
        let content = if kind == kind::STRING {
            read_string(&mut self.input, VALUE_BYTES_MAX)?.map_or(Content::TooLong, Content::Text)
        } else {
            skip::value(&mut self.input, kind)?;
            Content::Other(name)
        };
        Ok(Item { offset, database: self.database, key, expires_at_ms, content })
    }

    fn end(&mut self) -> Result<(), Flaw> {
        if self.version >= VERSION_SUMMED {
            let (offset, summed) = (self.input.offset(), self.input.crc());
            let said = u64::from_le_bytes(self.input.array()?);
            if said != 0 && said != summed {
                let what = format!(
                    "the checksum is {said:016x}, that of the file's bytes is {summed:016x}: the file is damaged;"
                );
                return Err(Flaw::new(offset, what));
            }
        }
        self.is_done = true;
        // A replica is told the end of a file that is streamed by a mark of 40 digits, which `redis-cli --rdb -` hands on.
        let offset = self.input.offset();
        let mut mark_len = 0;
        while !self.input.is_at_end()? {
            mark_len += 1;
            if !self.input.byte()?.is_ascii_hexdigit() || mark_len > END_MARK_LEN {
                return Err(Flaw::new(offset, "more bytes behind the end"));
            }
        }
        if mark_len == 0 || mark_len == END_MARK_LEN {
            Ok(())
        } else {
            Err(Flaw::new(offset, "more bytes behind the end"))
        }
    }

    fn step_over_numbers(&mut self, count: usize) -> Result<(), Flaw> {
        (0..count).try_for_each(|_| read_len(&mut self.input).map(drop))
    }
}

/// A moment of the file as the store has it, where 0 is none: what has passed long ago has passed.
fn moment(at_ms: i64) -> u64 {
    at_ms.max(1).unsigned_abs()
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
