//! `larder ttl`: how much longer a key lives, and changing that.

use crate::bytes::{self, Json, Shown};
use crate::duration::{parse_ttl_ms, shown_ms};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::Output;
use crate::place::{Access, Operation};
use clap::Args;
use larder::Store;
use larder::store::TtlState;
use serde::Serialize;
use std::ffi::OsString;

const EXAMPLES: &str = "\
Examples:
  larder ttl --dir pantry session             29m 12s 50ms, or: forever
  larder ttl --dir pantry session --set 1h    an hour from now on
  larder ttl --dir pantry session --remove    for ever";

/// Show, set or remove a key's time to live.
///
/// Exit code 1 if there is no such key, or its time is over.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Ttl {
    /// The key.
    key: OsString,
    /// Let it live for so long from now on: 250ms, 90s, 1h 30m, 7d.
    #[arg(long, value_name = "TIME", value_parser = parse_ttl_ms)]
    set: Option<u64>,
    /// Let it live for ever.
    #[arg(long, conflicts_with = "set")]
    remove: bool,
    /// The key is given in base64.
    #[arg(long)]
    base64: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    key: Json<'a>,
    found: bool,
    /// Null for ever.
    ttl_ms: Option<u64>,
}

impl Operation for Ttl {
    /// Looking at it changes nothing.
    fn access(&self) -> Access {
        if self.set.is_some() || self.remove { Access::Write } else { Access::Read }
    }

    fn carry_out(&self, store: &Store, output: &mut Output) -> Outcome {
        let key = bytes::key_of(&self.key, self.base64)?;
        if self.set.is_some() || self.remove {
            // Whether it was live is what is asked below in any case.
            store.expire(&key, self.set)?;
        }
        let state = store.ttl(&key)?;
        let ttl_ms = if let TtlState::Millis(ttl_ms) = state { Some(ttl_ms) } else { None };
        let found = matches!(state, TtlState::Forever | TtlState::Millis(_));
        if output.is_json() {
            output.object(&Answer { key: Json(&key), found, ttl_ms })?;
            return Ok(if found { Exit::Done } else { Exit::No });
        }
        match state {
            TtlState::Absent => return Err(Failure::new(Exit::No, format!("no key {}", Shown(&key)))),
            TtlState::Expired => {
                return Err(Failure::new(Exit::No, format!("the time of key {} is over", Shown(&key))));
            }
            TtlState::Forever => output.line("forever")?,
            TtlState::Millis(ttl_ms) => output.line(shown_ms(ttl_ms))?,
        }
        Ok(Exit::Done)
    }
}
