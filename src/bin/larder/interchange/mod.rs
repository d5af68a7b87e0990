//! What keys look like outside a store: lines of JSON, or a Redis RDB file; and files that hold them.
//!
//! Not here: the RDB format itself (`rdb`), which keys are wanted (`export`, `import`).

pub mod json_lines;
mod replacement;
mod walk;

pub use replacement::Replacement;
pub use walk::Walk;

use crate::rdb::read::Item;
use crate::rdb::{self, Flaw};
use clap::ValueEnum;
use std::io::{self, BufRead, Write};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// A line of JSON per key.
    Json,
    /// A Redis RDB file.
    Rdb,
}

pub enum Writer<W> {
    Json(json_lines::Writer<W>),
    Rdb(rdb::write::Writer<W>),
}

impl<W: Write> Writer<W> {
    pub fn new(format: FileFormat, sink: W, key_count: u64, expiring_count: u64) -> io::Result<Self> {
        match format {
            FileFormat::Json => json_lines::Writer::new(sink).map(Writer::Json),
            FileFormat::Rdb => rdb::write::Writer::new(sink, key_count, expiring_count).map(Writer::Rdb),
        }
    }

    pub fn item(&mut self, key: &[u8], value: &[u8], expires_at_ms: u64) -> io::Result<()> {
        match self {
            Writer::Json(writer) => writer.item(key, value, expires_at_ms),
            Writer::Rdb(writer) => writer.item(key, value, expires_at_ms),
        }
    }

    pub fn finish(self) -> io::Result<W> {
        match self {
            Writer::Json(writer) => writer.finish(),
            Writer::Rdb(writer) => writer.finish(),
        }
    }
}

pub enum Reader<R> {
    Json(json_lines::Reader<R>),
    Rdb(rdb::read::Reader<R>),
}

impl<R: BufRead> Reader<R> {
    /// A reader for the format, or for the one that the first byte tells: an RDB file begins with `REDIS`, a line of
    /// JSON with a brace or blanks, an export without keys not at all.
    pub fn new(format: Option<FileFormat>, mut source: R) -> Result<Self, Flaw> {
        let format = match format {
            Some(format) => format,
            None => {
                let first = source.fill_buf().map_err(|error| Flaw::unread(0, &error))?.first();
                match first.copied() {
                    None | Some(b'{' | b' ' | b'\t' | b'\r' | b'\n') => FileFormat::Json,
                    Some(first) if first == rdb::MAGIC[0] => FileFormat::Rdb,
                    Some(_) => return Err(Flaw::new(0, "neither lines of JSON nor an RDB file: begins otherwise,")),
                }
            }
        };
        match format {
            FileFormat::Json => Ok(Reader::Json(json_lines::Reader::new(source))),
            FileFormat::Rdb => rdb::read::Reader::new(source).map(Reader::Rdb),
        }
    }

    /// The next key; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Item>, Flaw> {
        match self {
            Reader::Json(reader) => reader.next(),
            Reader::Rdb(reader) => reader.next(),
        }
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        match self {
            Reader::Json(reader) => reader.offset(),
            Reader::Rdb(reader) => reader.offset(),
        }
    }
}
