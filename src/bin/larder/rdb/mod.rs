//! Redis's own binary formats: the RDB file, and the payload of DUMP and RESTORE, which is a value as that file holds it.
//!
//! `read` walks a file and hands out strings, stepping over everything else by its structure (`skip`); `write` makes a
//! file that any Redis from 5.0 on loads; `payload` is for one value. `string` has the two codings that all of them are
//! made of: lengths and strings. The sources of the format are `rdb.h` and `rdb.c` of Redis (5.0 to 8.0).
//!
//! Not here: stores, files by name, conflicts (`import`, `export`).
//!
//! Invariants:
//!   B1. Nothing is allocated on the word of a length: memory grows with the bytes that have come.
//!   B2. What is not known is an error with its offset, never a guess: the format has no way to step over the unknown.

pub mod crc64;
mod input;
mod lzf;
pub mod payload;
pub mod read;
mod skip;
mod string;
pub mod write;

use std::fmt;
use std::io;

/// What a file begins with; four digits of the version follow.
pub const MAGIC: &[u8; 5] = b"REDIS";

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Flaw {
    pub offset: u64,
    pub what: String,
    /// Nothing is known of the file there: it could not be read.
    pub is_unread: bool,
}

impl Flaw {
    pub fn new(offset: u64, what: impl Into<String>) -> Self {
        Self { offset, what: what.into(), is_unread: false }
    }

    pub fn unread(offset: u64, error: &io::Error) -> Self {
        Self { offset, what: format!("cannot read: {error}"), is_unread: true }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}", self.what, self.offset)
    }
}

/// What a file holds for each key, by Redis's number for it (`RDB_TYPE_…` in `rdb.h`).
mod kind {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    pub const ZSET_2: u8 = 5;
    pub const MODULE_2: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM_LISTPACKS: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_LISTPACKS_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_LISTPACKS_3: u8 = 21;
    pub const HASH_METADATA: u8 = 24;
    pub const HASH_LISTPACK_EX: u8 = 25;
}

/// What stands between keys (`RDB_OPCODE_…` in `rdb.h`).
mod opcode {
    pub const SLOT_INFO: u8 = 244;
    pub const FUNCTION: u8 = 245;
    pub const MODULE_AUX: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQUENCY: u8 = 249;
    pub const AUX: u8 = 250;
    pub const RESIZE_DATABASE: u8 = 251;
    pub const EXPIRES_MS: u8 = 252;
    pub const EXPIRES_S: u8 = 253;
    pub const SELECT_DATABASE: u8 = 254;
    pub const END: u8 = 255;
}
