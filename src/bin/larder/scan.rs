//! `larder scan`: the keys of a store, all or some of them, with or without values.

use crate::bytes::{self, Json, Shown};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::Output;
use crate::place::{Access, Operation};
use crate::server::glob;
use clap::Args;
use larder::{Status, Store};
use serde::Serialize;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

const EXAMPLES: &str = "\
Examples:
  larder scan --dir pantry                              every key, a line each
  larder scan --dir pantry --prefix jam/ --values       key, tab, value
  larder scan --dir pantry --match '*:200[0-9]'         as KEYS and SCAN of Redis match
  larder scan --dir pantry --json --values | jq .key    any bytes, for programs
  larder scan --dir pantry --limit 10";

/// List keys, in no order that means anything.
///
/// Keys and values that are not plain text stand in double quotes, with \n, \t, \", \\ and \xNN; the shell takes
/// them so, and --json has them in another way. No key at all is exit code 0. A damaged value is
/// told, the walk goes on, and the exit code is 4.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Scan {
    /// Only keys that begin with this.
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<OsString>,
    /// Only keys that match: * any bytes, ? one, [a-c] one of these, [^a-c] none of these, \ before what means itself.
    #[arg(long = "match", value_name = "PATTERN")]
    pattern: Option<OsString>,
    /// At most so many keys.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Values too.
    #[arg(long)]
    values: bool,
    /// The prefix is given in base64.
    #[arg(long, requires = "prefix")]
    base64: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    key: Json<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Json<'a>>,
}

impl Operation for Scan {
    fn access(&self) -> Access {
        Access::Read
    }

    fn carry_out(&self, store: &Store, output: &mut Output) -> Outcome {
        let prefix = match &self.prefix {
            Some(argument) => bytes::from_argument(argument, self.base64)
                .map_err(|what| Failure::usage(format!("the prefix {what}")))?,
            None => Vec::new(),
        };
        let mut cursor = store.cursor(&prefix)?;
        let (mut shown_count, mut damage) = (0, Vec::new());
        while self.limit.is_none_or(|limit| shown_count < limit) {
            let (key, value) = match cursor.next() {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(error) if error.status() == Status::Corrupt => {
                    damage.push(error);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if self.pattern.as_ref().is_some_and(|pattern| !glob::matches(pattern.as_bytes(), key)) {
                continue;
            }
            shown_count += 1;
            if output.is_json() {
                output.object(&Line { key: Json(key), value: self.values.then_some(Json(value)) })?;
            } else if self.values {
                output.line(format_args!("{}\t{}", Shown(key), Shown(value)))?;
            } else {
                output.line(Shown(key))?;
            }
        }
        match damage.as_slice() {
            [] => Ok(Exit::Done),
            [error] => Err(Failure::new(Exit::Damaged, format!("left out what is damaged: {error}"))),
            [error, ..] => {
                let sentence = format!("left out {} damaged places, the first of them: {error}", damage.len());
                Err(Failure::new(Exit::Damaged, sentence))
            }
        }
    }
}
