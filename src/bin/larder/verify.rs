//! `larder verify`: every record of every file against its checksum.

use crate::failure::{Exit, Failure, Outcome};
use crate::output::{Output, counted};
use crate::place::{Access, Operation};
use crate::progress::Progress;
use clap::Args;
use larder::{Status, Store};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  larder verify --dir pantry || larder salvage --dir pantry pantry.new";

/// Check every record of every file.
///
/// Exit code 4 if one fails its check, or if the store does not even open because of damage; the sentence names the file
/// and the offset. `larder salvage` brings into a new store what is intact. Nothing is changed.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Verify {}

#[derive(Serialize)]
struct Report<'a> {
    opens: bool,
    damaged_places: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<u64>,
}

impl Operation for Verify {
    fn access(&self) -> Access {
        Access::Read
    }

    fn carry_out(&self, store: &Store, output: &mut Output) -> Outcome {
        let stats = store.stats()?;
        let report = {
            let _progress = Progress::endless("reading every record");
            store.verify()?
        };
        let first = report.first.as_ref();
        if output.is_json() {
            output.object(&Report {
                opens: true,
                damaged_places: report.bad_records,
                first: first.map(|error| error.message()),
                first_offset: first.map(|error| error.offset()),
                keys: Some(stats.keys),
                segments: Some(stats.segments),
            })?;
            return Ok(if report.bad_records == 0 { Exit::Done } else { Exit::Damaged });
        }
        match first {
            None => {
                output.line(format_args!(
                    "no damage: {} in {}",
                    counted(stats.keys, "key"),
                    counted(stats.segments, "segment")
                ))?;
                Ok(Exit::Done)
            }
            Some(error) if report.bad_records == 1 => Err(Failure::new(Exit::Damaged, error.message())),
            Some(error) => Err(Failure::new(
                Exit::Damaged,
                format!("{} damaged places, the first of them: {error}", report.bad_records),
            )),
        }
    }

    /// Damage that does not even let it open is what was asked about.
    fn could_not_open(&self, error: &larder::Error, output: &mut Output) -> Option<Outcome> {
        if error.status() != Status::Corrupt || !output.is_json() {
            return None;
        }
        let report = Report {
            opens: false,
            damaged_places: 1,
            first: Some(error.message()),
            first_offset: Some(error.offset()),
            keys: None,
            segments: None,
        };
        Some(output.object(&report).map(|()| Exit::Damaged))
    }
}
