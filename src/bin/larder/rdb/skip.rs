//! Stepping over what is not a string: each type by its structure, none of it kept.
//!
//! An RDB file has no lengths around its values, so whoever cannot read the structure of one cannot find the next key.
//! Packed forms (ziplist, listpack, intset, zipmap) are one string each; the others are counts and parts
//! (`rdbLoadObject` in `rdb.c`). What is inside a packed form is not looked at.
//!
//! Not here: strings (`read`).

use super::input::Input;
use super::string::{read_len, skip_string};
use super::{Flaw, kind};
use std::io::BufRead;

/// Identifier of a stream's entry: milliseconds and number, raw.
const STREAM_ID_LEN: u64 = 16;
const MILLIS_LEN: u64 = 8;

/// In a module's value, numbers between its parts say what comes (`RDB_MODULE_OPCODE_…`).
mod part {
    pub const END: u64 = 0;
    pub const SIGNED: u64 = 1;
    pub const UNSIGNED: u64 = 2;
    pub const FLOAT: u64 = 3;
    pub const DOUBLE: u64 = 4;
    pub const STRING: u64 = 5;
}

/// What a type is called, as TYPE answers.
pub fn name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        kind::STRING => "string",
        kind::LIST | kind::LIST_ZIPLIST | kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => "list",
        kind::SET | kind::SET_INTSET | kind::SET_LISTPACK => "set",
        kind::ZSET | kind::ZSET_2 | kind::ZSET_ZIPLIST | kind::ZSET_LISTPACK => "zset",
        kind::HASH | kind::HASH_ZIPMAP | kind::HASH_ZIPLIST | kind::HASH_LISTPACK => "hash",
        kind::HASH_METADATA | kind::HASH_LISTPACK_EX => "hash",
        kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => "stream",
        kind::MODULE_2 => "module",
        _ => return None,
    })
}

/// Steps over a value of a type that has a name.
pub fn value<R: BufRead>(input: &mut Input<R>, kind: u8) -> Result<(), Flaw> {
    match kind {
        kind::LIST | kind::SET | kind::LIST_QUICKLIST => times(input, skip_string),
        kind::ZSET => times(input, |input| {
            skip_string(input)?;
            skip_text_score(input)
        }),
        kind::ZSET_2 => times(input, |input| {
            skip_string(input)?;
            input.skip(8)
        }),
        kind::HASH => times(input, |input| {
            skip_string(input)?;
            skip_string(input)
        }),
        kind::LIST_QUICKLIST_2 => times(input, |input| {
            read_len(input)?;
            skip_string(input)
        }),
        kind::HASH_METADATA => {
            input.skip(MILLIS_LEN)?;
            times(input, |input| {
                read_len(input)?;
                skip_string(input)?;
                skip_string(input)
            })
        }
        kind::HASH_LISTPACK_EX => {
            input.skip(MILLIS_LEN)?;
            skip_string(input)
        }
        kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => stream(input, kind),
        kind::MODULE_2 => {
            read_len(input)?;
            module_parts(input)
        }
        // Strings, and the packed forms.
        _ => skip_string(input),
    }
}

fn times<R: BufRead>(input: &mut Input<R>, one: impl Fn(&mut Input<R>) -> Result<(), Flaw>) -> Result<(), Flaw> {
    // Each takes a byte at least, so the file's end bounds this.
    for _ in 0..read_len(input)? {
        one(input)?;
    }
    Ok(())
}

fn numbers<R: BufRead>(input: &mut Input<R>, count: usize) -> Result<(), Flaw> {
    (0..count).try_for_each(|_| read_len(input).map(drop))
}

/// A score as text, with three lengths that mean infinities and no number (`rdbLoadDoubleValue`).
fn skip_text_score<R: BufRead>(input: &mut Input<R>) -> Result<(), Flaw> {
    match input.byte()? {
        253..=255 => Ok(()),
        len => input.skip(u64::from(len)),
    }
}

fn stream<R: BufRead>(input: &mut Input<R>, kind: u8) -> Result<(), Flaw> {
    let (has_entries_read, has_active_time) = (kind >= kind::STREAM_LISTPACKS_2, kind >= kind::STREAM_LISTPACKS_3);
    times(input, |input| {
        skip_string(input)?;
        skip_string(input)
    })?;
    // How many entries, and the last one's identifier; then the first one's, the highest that was deleted, and how many
    // there have been.
    numbers(input, if has_entries_read { 8 } else { 3 })?;
    // Groups: name, last identifier, how many were read; what is pending; consumers, each with what is pending for it.
    times(input, |input| {
        skip_string(input)?;
        numbers(input, if has_entries_read { 3 } else { 2 })?;
        times(input, |input| {
            input.skip(STREAM_ID_LEN + MILLIS_LEN)?;
            numbers(input, 1)
        })?;
        times(input, |input| {
            skip_string(input)?;
            input.skip(if has_active_time { 2 * MILLIS_LEN } else { MILLIS_LEN })?;
            times(input, |input| input.skip(STREAM_ID_LEN))
        })
    })
}

/// What a module keeps for itself between keys: its identifier, when it is to be read, and its parts.
pub fn module_aux<R: BufRead>(input: &mut Input<R>) -> Result<(), Flaw> {
    read_len(input)?;
    let offset = input.offset();
    if read_len(input)? != part::UNSIGNED {
        return Err(Flaw::new(offset, "a module's data without the moment to read it"));
    }
    read_len(input)?;
    module_parts(input)
}

fn module_parts<R: BufRead>(input: &mut Input<R>) -> Result<(), Flaw> {
    loop {
        let offset = input.offset();
        match read_len(input)? {
            part::END => return Ok(()),
            part::SIGNED | part::UNSIGNED => numbers(input, 1)?,
            part::FLOAT => input.skip(4)?,
            part::DOUBLE => input.skip(8)?,
            part::STRING => skip_string(input)?,
            other => return Err(Flaw::new(offset, format!("an unknown part of a module's data ({other})"))),
        }
    }
}
