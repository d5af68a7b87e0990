//! `larder compact`: gives back all the space that can be given back, now.

use crate::failure::{Exit, Outcome};
use crate::output::Output;
use crate::place::{Access, Operation};
use crate::progress::Progress;
use clap::Args;
use indicatif::BinaryBytes;
use larder::Store;
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  larder compact --dir pantry";

/// Give back all space that can be given back.
///
/// A store does this by itself, as far as it is worth its while; this does all of it.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Compact {}

#[derive(Serialize)]
struct Report {
    file_bytes_before: u64,
    file_bytes: u64,
    dead_bytes_before: u64,
    dead_bytes: u64,
}

impl Operation for Compact {
    fn access(&self) -> Access {
        Access::Write
    }

    fn carry_out(&self, store: &Store, output: &mut Output) -> Outcome {
        let before = store.stats()?;
        {
            let _progress = Progress::endless("compacting");
            store.compact()?;
        }
        let after = store.stats()?;
        let report = Report {
            file_bytes_before: before.file_bytes,
            file_bytes: after.file_bytes,
            dead_bytes_before: before.dead_bytes,
            dead_bytes: after.dead_bytes,
        };
        let [dead_before, dead, files_before, files] =
            [before.dead_bytes, after.dead_bytes, before.file_bytes, after.file_bytes].map(BinaryBytes);
        let text = format!("dead records: {dead_before} before, {dead} now; files: {files_before} before, {files} now");
        output.either(&report, text)?;
        Ok(Exit::Done)
    }
}
