//! `larder get`: a key's value.

use crate::bytes::{self, Json, Shown};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::Output;
use crate::place::{Access, Operation};
use clap::Args;
use larder::Store;
use serde::Serialize;
use std::ffi::OsString;

const EXAMPLES: &str = "\
Examples:
  larder get --dir pantry jam              the value and a newline
  larder get --dir pantry --raw photo      its bytes and nothing else, for a file or a pipe
  larder get --dir pantry --json jam       with its version and the moment it expires";

/// Print a key's value.
///
/// Its bytes as they are, and a newline; on a terminal, a value that is no text is shown with escapes.
/// Exit code 1 if there is no such key, or its time is over.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Get {
    /// The key.
    key: OsString,
    /// Print the value's bytes and nothing else, no newline either.
    #[arg(long)]
    raw: bool,
    /// The key is given in base64.
    #[arg(long)]
    base64: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    key: Json<'a>,
    found: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Json<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
}

impl Operation for Get {
    fn access(&self) -> Access {
        Access::Read
    }

    fn carry_out(&self, store: &Store, output: &mut Output) -> Outcome {
        let key = bytes::key_of(&self.key, self.base64)?;
        if self.raw && output.is_json() {
            return Err(Failure::usage("--raw and --json do not go together"));
        }
        let found = store.find_with(&key, |found| (found.value.to_vec(), found.version, found.expires_at_ms))?;
        match found {
            None if output.is_json() => {
                let answer = Answer { key: Json(&key), found: false, value: None, version: None, expires_at_ms: None };
                output.object(&answer)?;
                Ok(Exit::No)
            }
            None => Err(Failure::new(Exit::No, format!("no key {}", Shown(&key)))),
            Some((value, version, expires_at_ms)) => {
                if output.is_json() {
                    output.object(&Answer {
                        key: Json(&key),
                        found: true,
                        value: Some(Json(&value)),
                        version: Some(version),
                        expires_at_ms: (expires_at_ms != 0).then_some(expires_at_ms),
                    })?;
                } else if !self.raw && output.is_terminal() && !bytes::is_harmless(&value) {
                    output.line(Shown(&value))?;
                } else {
                    output.raw(&value)?;
                    output.raw(if self.raw { b"" } else { b"\n" })?;
                }
                Ok(Exit::Done)
            }
        }
    }
}
