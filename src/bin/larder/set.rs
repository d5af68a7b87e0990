//! `larder set`: a key's value, from the command line or from standard input.

use crate::bytes::{self, Json, Shown};
use crate::duration::parse_ttl_ms;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::Output;
use crate::place::{Access, Operation};
use clap::Args;
use larder::Store;
use larder::store::{Condition, SetOptions, SetOutcome, Ttl};
use serde::Serialize;
use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, Read};

const EXAMPLES: &str = "\
Examples:
  larder set --dir pantry jam quince                     makes the store if it is not there
  larder set --dir pantry photo < cat.jpg                the value from standard input, to the last byte
  larder set --dir pantry session anna --ttl 30m         gone in half an hour
  larder set --dir pantry lock $$ --if-absent --ttl 10s  exit code 1 if somebody else has it
  larder set --dir pantry -- temperature -5              behind -- nothing is an option";

/// Set a key to a value.
///
/// Without a value, standard input is the value: all of its bytes, a last newline too. The store is made if it is not
/// there. When the command has ended, the value is on the disk (unless --option sync=none says otherwise).
/// Exit code 1 if a condition does not hold; nothing has changed then.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Set {
    /// The key.
    key: OsString,
    /// The value; standard input if it is left out.
    value: Option<OsString>,
    /// Let the key live for so long: 250ms, 90s, 1h 30m, 7d.
    #[arg(long, value_name = "TIME", value_parser = parse_ttl_ms)]
    ttl: Option<u64>,
    /// Let the key live as long as it would have, instead of for ever.
    #[arg(long, conflicts_with = "ttl")]
    keep_ttl: bool,
    /// Only if the key is not there.
    #[arg(long)]
    if_absent: bool,
    /// Only if the key is there.
    #[arg(long, conflicts_with = "if_absent")]
    if_present: bool,
    /// The key is given in base64, and so is the value if it is given here.
    #[arg(long)]
    base64: bool,
    /// Standard input, if it is the value.
    #[arg(skip)]
    read: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    key: Json<'a>,
    stored: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

impl Set {
    /// Whether standard input is not needed.
    pub fn has_value(&self) -> bool {
        self.value.is_some()
    }

    fn value(&self) -> Result<Cow<'_, [u8]>, Failure> {
        if let Some(argument) = &self.value {
            let value = bytes::from_argument(argument, self.base64);
            return value.map(Cow::Owned).map_err(|what| Failure::usage(format!("the value {what}")));
        }
        Ok(Cow::Borrowed(self.read.as_deref().unwrap_or_default()))
    }
}

impl Operation for Set {
    fn access(&self) -> Access {
        Access::Create
    }

    /// Standard input to its end: what writes it may be reading the same store (`larder get a | larder set b`).
    fn prepare(&mut self) -> Result<(), Failure> {
        if !self.has_value() {
            let mut value = Vec::new();
            io::stdin().read_to_end(&mut value).map_err(|error| Failure::io("standard input", &error))?;
            self.read = Some(value);
        }
        Ok(())
    }

    fn carry_out(&self, store: &Store, output: &mut Output) -> Outcome {
        let key = bytes::key_of(&self.key, self.base64)?;
        let value = self.value()?;
        let ttl = match self.ttl {
            Some(ttl_ms) => Ttl::Millis(ttl_ms),
            None if self.keep_ttl => Ttl::Keep,
            None => Ttl::Forever,
        };
        let condition = match (self.if_absent, self.if_present) {
            (true, _) => Condition::IfAbsent,
            (_, true) => Condition::IfPresent,
            _ => Condition::Always,
        };
        let outcome = store.set_with(&key, &value, &SetOptions { ttl, condition, sync: false })?;
        let version = if let SetOutcome::Stored { version } = outcome { Some(version) } else { None };
        if output.is_json() {
            output.object(&Answer { key: Json(&key), stored: version.is_some(), version })?;
            return Ok(if version.is_some() { Exit::Done } else { Exit::No });
        }
        match outcome {
            SetOutcome::Stored { version } => output.note(format_args!("stored as version {version}"))?,
            SetOutcome::Exists => return Err(Failure::new(Exit::No, format!("key {} is there already", Shown(&key)))),
            SetOutcome::NotFound => return Err(Failure::new(Exit::No, format!("no key {}", Shown(&key)))),
        }
        Ok(Exit::Done)
    }
}
