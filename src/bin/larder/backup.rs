//! `larder backup`: a checked copy of a store, which is a store itself.

use crate::copy::copy_whole;
use crate::failure::{Exit, Outcome};
use crate::output::{Output, counted};
use crate::place::{Access, Format, Place};
use clap::{Args, ValueHint};
use indicatif::BinaryBytes;
use larder::SalvageReport;
use serde::Serialize;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  larder backup --dir pantry /mnt/backup/pantry-2026-11-21
  larder scan --dir /mnt/backup/pantry-2026-11-21          a backup is a store; open it with --option compaction=manual
                                                           or read-only, or restore it";

/// Copy a store to another directory, checking every record on the way.
///
/// The copy has every key with its value, version and expiry, without what is dead; it is read again when it is written.
/// The store must not be open for writing (exit code 3), and cannot be opened so meanwhile. A store with damage
/// is not backed up (exit code 4). Each backup is a full one.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Backup {
    /// The backup's directory: missing, or empty.
    #[arg(value_hint = ValueHint::DirPath)]
    target: PathBuf,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Report<'a> {
    target: &'a str,
    keys: u64,
    bytes: u64,
}

impl Backup {
    pub fn run(&self) -> Outcome {
        let options = self.place.options(Access::Create)?;
        let report = copy_whole("backing up", &self.place.dir, &self.target, &options)?;
        print(&report, &self.target, self.format.json)
    }
}

pub fn print(report: &SalvageReport, target: &Path, is_json: bool) -> Outcome {
    let mut output = Output::new(is_json);
    let (keys, bytes) = (counted(report.keys, "key"), BinaryBytes(report.bytes));
    output.either(
        &Report { target: &target.to_string_lossy(), keys: report.keys, bytes: report.bytes },
        format_args!("{}: {keys}, {bytes}, checked", target.display()),
    )?;
    output.flush()?;
    Ok(Exit::Done)
}
