//! `larder del`: takes keys out of the store.

use crate::bytes::{self, Json, Shown};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::Output;
use crate::place::{Access, Operation};
use clap::Args;
use larder::Store;
use larder::store::BatchOp;
use serde::Serialize;
use std::ffi::OsString;

const EXAMPLES: &str = "\
Examples:
  larder del --dir pantry jam
  larder del --dir pantry jam honey bread    all or none, and one wait for the disk";

/// Delete keys.
///
/// All of them in one step: after a crash, all are gone or none. Exit code 1 if one of them was not there; the others
/// are deleted all the same.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Del {
    /// The keys.
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<OsString>,
    /// The keys are given in base64.
    #[arg(long)]
    base64: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    key: Json<'a>,
    deleted: bool,
}

impl Operation for Del {
    fn access(&self) -> Access {
        Access::Write
    }

    fn carry_out(&self, store: &Store, output: &mut Output) -> Outcome {
        let mut keys = Vec::with_capacity(self.keys.len());
        for argument in &self.keys {
            let key = bytes::key_of(argument, self.base64)?;
            let is_there = store.exists(&key)? && !keys.iter().any(|(other, _)| *other == key);
            keys.push((key, is_there));
        }
        let ops: Vec<_> = keys.iter().filter(|(_, is_there)| *is_there).map(|(key, _)| BatchOp::Del { key }).collect();
        if !ops.is_empty() {
            store.write(&ops, false)?;
        }
        if output.is_json() {
            for (key, is_there) in &keys {
                output.object(&Answer { key: Json(key), deleted: *is_there })?;
            }
        } else {
            output.note(format_args!("deleted {}", ops.len()))?;
        }
        let missing: Vec<String> =
            keys.iter().filter(|(_, is_there)| !is_there).map(|(key, _)| Shown(key).to_string()).collect();
        match missing.len() {
            0 => Ok(Exit::Done),
            _ if output.is_json() => Ok(Exit::No),
            1 => Err(Failure::new(Exit::No, format!("no key {}", missing[0]))),
            _ => Err(Failure::new(Exit::No, format!("no keys {}", missing.join(", ")))),
        }
    }
}
