//! `larder salvage`: what is intact in a damaged store, in a new one.

use crate::bytes::Json;
use crate::copy::copy;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{Output, counted};
use crate::place::{Access, Format, Place};
use clap::{Args, ValueHint};
use indicatif::BinaryBytes;
use larder::{Loss, SalvageReport};
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  larder salvage --dir pantry pantry.new
  larder salvage --dir pantry pantry.new --json | jq 'select(.lost) | .key'";

/// Bring what is intact in a damaged store into a new one, and list what is lost.
///
/// A line for each damaged place: file, offset, length, key, the version that the new store has of that key, and what is
/// wrong, with tabs between them and - for what is not known. Exit code 4 if there is such a place, or if the list of files was not whole.
/// Nothing of the damaged store is changed. Where a key's newest record is damaged, an older one takes its place.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Salvage {
    /// The new store's directory: missing, or empty.
    #[arg(value_hint = ValueHint::DirPath)]
    target: PathBuf,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct Lost<'a> {
    lost: bool,
    file: &'a str,
    offset: u64,
    len: u64,
    what: &'a str,
    key: Option<Json<'a>>,
    kept_version: Option<u64>,
}

#[derive(Serialize)]
struct Report {
    keys: u64,
    bytes: u64,
    segments: u64,
    records: u64,
    lost_places: usize,
    lost_bytes: u64,
    has_whole_manifest: bool,
}

impl Salvage {
    pub fn run(&self) -> Outcome {
        let options = self.place.options(Access::Create)?;
        let report = copy("salvaging", &self.place.dir, &self.target, &options)?;
        let mut output = Output::new(self.format.json);
        self.print(&report, &mut output)?;
        output.flush()?;
        Ok(if report.losses.is_empty() && report.has_whole_manifest { Exit::Done } else { Exit::Damaged })
    }

    fn print(&self, report: &SalvageReport, output: &mut Output) -> Result<(), Failure> {
        for loss in &report.losses {
            let Loss { file, offset, len, what, key, kept_version } = loss;
            let key = key.as_deref().map(Json);
            let lost = Lost { lost: true, file, offset: *offset, len: *len, what, key, kept_version: *kept_version };
            output.either(&lost, loss)?;
        }
        if output.is_json() {
            return output.object(&Report {
                keys: report.keys,
                bytes: report.bytes,
                segments: report.segments,
                records: report.records,
                lost_places: report.losses.len(),
                lost_bytes: report.lost_bytes,
                has_whole_manifest: report.has_whole_manifest,
            });
        }
        let target = self.target.display();
        output.line(format_args!("{target}: {}, {}", counted(report.keys, "key"), BinaryBytes(report.bytes)))?;
        if !report.losses.is_empty() {
            let (places, bytes) = (counted(report.losses.len() as u64, "place"), BinaryBytes(report.lost_bytes));
            output.line(format_args!("lost: {places}, {bytes}"))?;
        }
        if !report.has_whole_manifest {
            output.line("the list of files was not whole: something deleted long ago may be back")?;
        }
        Ok(())
    }
}
