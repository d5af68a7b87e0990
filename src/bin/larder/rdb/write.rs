//! Writing an RDB file: strings with their expiry, in database 0.
//!
//! Version 9 of the format, which has all that this needs, so that Redis from 5.0 on and its descendants load it.
//! Nothing is compressed.
//!
//! Not here: files by name (`export`).

use super::string::{append_len, append_string};
use super::{MAGIC, crc64, kind, opcode};
use std::io::{self, Write};

const VERSION: &[u8; 4] = b"0009";

pub struct Writer<W> {
    sink: W,
    crc: u64,
    /// One key, before it is written and summed up.
    scratch: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a file. The counts are what a reader makes room for, no promise.
    pub fn new(sink: W, key_count: u64, expiring_count: u64) -> io::Result<Self> {
        let mut writer = Self { sink, crc: 0, scratch: Vec::new() };
        writer.scratch.extend_from_slice(MAGIC);
        writer.scratch.extend_from_slice(VERSION);
        // Redis steps over fields that it does not know.
        writer.scratch.push(opcode::AUX);
        append_string(b"larder-ver", &mut writer.scratch);
        append_string(env!("CARGO_PKG_VERSION").as_bytes(), &mut writer.scratch);
        writer.scratch.extend_from_slice(&[opcode::SELECT_DATABASE, 0, opcode::RESIZE_DATABASE]);
        append_len(key_count, &mut writer.scratch);
        append_len(expiring_count, &mut writer.scratch);
        writer.emit()?;
        Ok(writer)
    }

    pub fn item(&mut self, key: &[u8], value: &[u8], expires_at_ms: u64) -> io::Result<()> {
        if expires_at_ms != 0 {
            // Redis reads it as signed; what is beyond that is beyond everybody.
            let at_ms = i64::try_from(expires_at_ms).unwrap_or(i64::MAX);
            self.scratch.push(opcode::EXPIRES_MS);
            self.scratch.extend_from_slice(&at_ms.to_le_bytes());
        }
        self.scratch.push(kind::STRING);
        append_string(key, &mut self.scratch);
        append_string(value, &mut self.scratch);
        self.emit()
    }

    /// Ends the file; what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.scratch.push(opcode::END);
        self.emit()?;
        self.sink.write_all(&self.crc.to_le_bytes())?;
        Ok(self.sink)
    }

    fn emit(&mut self) -> io::Result<()> {
        self.crc = crc64::extend(self.crc, &self.scratch);
        self.sink.write_all(&self.scratch)?;
        self.scratch.clear();
        Ok(())
    }
}
