//! `larder restore`: a store from a backup.

use crate::backup;
use crate::copy::copy_whole;
use crate::failure::Outcome;
use crate::place::{Access, Format, Place};
use clap::{Args, ValueHint};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  larder restore --dir pantry /mnt/backup/pantry-2026-11-21
  larder restore --dir pantry /mnt/backup/pantry-2026-11-21 --option segment_size=16MiB";

/// Make a store from a backup, checking every record on the way.
///
/// The directory must be missing or empty: a store that is there is never replaced. The backup is not changed, and the
/// new store is read again when it is written. Keys whose time was over meanwhile are gone.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Restore {
    /// The backup: any store's directory.
    #[arg(value_hint = ValueHint::DirPath)]
    backup: PathBuf,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    place: Place,
}

impl Restore {
    pub fn run(&self) -> Outcome {
        let options = self.place.options(Access::Create)?;
        let report = copy_whole("restoring", &self.backup, &self.place.dir, &options)?;
        backup::print(&report, &self.place.dir, self.format.json)
    }
}
