//! How keys and values, which are any bytes, are shown to people, written as JSON, and taken from the command line.
//!
//! For people: as they are if they are plain text, else in double quotes with escapes, so that a line is a
//! line, a tab is a tab of this program's, and no terminal is sent control characters. In JSON: a string if they
//! are UTF-8, else `{"base64": "…"}` (RFC 4648, section 4, padded).

use crate::failure::Failure;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;

/// Bytes for people.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok(text) if is_plain(text) => f.write_str(text),
            _ => {
                f.write_str("\"")?;
                for chunk in self.0.utf8_chunks() {
                    for c in chunk.valid().chars() {
                        match c {
                            '"' | '\\' => write!(f, "\\{c}")?,
                            '\n' => f.write_str("\\n")?,
                            '\r' => f.write_str("\\r")?,
                            '\t' => f.write_str("\\t")?,
                            c if is_shown_escaped(c) => {
                                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                                    write!(f, "\\x{byte:02x}")?;
                                }
                            }
                            c => write!(f, "{c}")?,
                        }
                    }
                    for byte in chunk.invalid() {
                        write!(f, "\\x{byte:02x}")?;
                    }
                }
                f.write_str("\"")
            }
        }
    }
}

/// Control characters, and those that turn the direction of what follows or hide it.
fn is_shown_escaped(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Whether a terminal can be sent them as they are: text, of any number of lines.
pub fn is_harmless(bytes: &[u8]) -> bool {
    let is_shown = |c: char| matches!(c, '\n' | '\t') || !is_shown_escaped(c);
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_shown))
}

fn is_plain(text: &str) -> bool {
    let has_edges = text.starts_with(['"', ' ']) || text.ends_with(' ');
    !text.is_empty() && !has_edges && !text.chars().any(is_shown_escaped)
}

/// Bytes in JSON.
pub struct Json<'a>(pub &'a [u8]);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("base64", &BASE64_STANDARD.encode(self.0))?;
                map.end()
            }
        }
    }
}

pub fn from_base64(text: &[u8]) -> Result<Vec<u8>, String> {
    BASE64_STANDARD.decode(text).map_err(|error| format!("is not base64: {error}"))
}

/// A key of the command line.
pub fn key_of(argument: &OsString, is_base64: bool) -> Result<Vec<u8>, Failure> {
    from_argument(argument, is_base64).map_err(|what| Failure::usage(format!("the key {what}")))
}

/// A key or value of the command line: the bytes of the argument, or what they are the base64 of.
pub fn from_argument(argument: &OsString, is_base64: bool) -> Result<Vec<u8>, String> {
    let bytes = argument.clone().into_vec();
    if is_base64 { from_base64(&bytes) } else { Ok(bytes) }
}
