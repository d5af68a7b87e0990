//! `larder export`: every key of a store as lines of JSON, or as a file that Redis loads.

use crate::bytes::Shown;
use crate::failure::{Exit, Failure, Outcome};
use crate::interchange::{FileFormat, Replacement, Writer};
use crate::origin::{Opened, Origin};
use crate::progress::Progress;
use crate::rdb::payload::Refusal;
use clap::Args;
use indicatif::HumanCount;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  larder export --dir pantry keys.jsonl                    a line of JSON per key
  larder export --dir pantry | grep jam                    the same to a pipe
  larder export --dir pantry --format rdb dump.rdb         for redis-server --dbfilename dump.rdb, and for redis-cli --rdb's readers
  larder export --dir pantry | larder import --dir other
  larder export --from unix:/run/larder.sock keys.jsonl    of a store that is being served, or of any Redis";

const PIPE_BUFFER_BYTES: usize = 64 << 10;

/// Write every key with its value and expiry to a file, as lines of JSON or as a Redis RDB file.
///
/// What is written is the store as it was when it was opened, whatever others do meanwhile; it must not be open for writing
/// then (exit code 3). --from reads a store that is being served, or a Redis, of which strings are taken: each key as
/// it is when it is read. A file takes its name only when all of it is on the disk. A store with damage is not
/// exported (exit code 4).
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Export {
    /// The file, which is replaced if it is there; - for standard output.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// The file's format.
    #[arg(long, value_enum, default_value = "json")]
    format: FileFormat,
    #[command(flatten)]
    origin: Origin,
}

/// How many keys were written, and how many are no strings.
#[derive(Default)]
struct Counts {
    written: u64,
    left_out: u64,
}

impl Export {
    pub fn run(&self) -> Outcome {
        let is_piped = self.file == Path::new("-");
        if is_piped && self.format == FileFormat::Rdb && io::stdout().is_terminal() {
            return Err(Failure::usage("an RDB file is nothing for a terminal: name a file"));
        }
        let mut opened = self.origin.open()?;
        let counts = if is_piped {
            let out = BufWriter::with_capacity(PIPE_BUFFER_BYTES, io::stdout().lock());
            let (mut out, counts) = self.write(&mut opened, out, &Failure::of_output)?;
            out.flush().map_err(|error| Failure::of_output(&error))?;
            counts
        } else {
            let failed = |error: &io::Error| Failure::io(self.file.display(), error);
            let file = Replacement::create(&self.file).map_err(|error| failed(&error))?;
            let (file, counts) = self.write(&mut opened, file, &failed)?;
            file.commit().map_err(|error| failed(&error))?;
            counts
        };
        opened.close()?;
        if !is_piped {
            println!("{}: {} keys", self.file.display(), HumanCount(counts.written));
        }
        if counts.left_out > 0 {
            eprintln!("larder: left out {} keys that are no strings", HumanCount(counts.left_out));
        }
        Ok(Exit::Done)
    }

    fn write<W: Write>(
        &self,
        opened: &mut Opened,
        sink: W,
        failed: &dyn Fn(&io::Error) -> Failure,
    ) -> Result<(W, Counts), Failure> {
        let (key_count, expiring_count) = opened.counts()?;
        let mut writer = Writer::new(self.format, sink, key_count, expiring_count).map_err(|error| failed(&error))?;
        let progress = Progress::of_count("exporting", key_count);
        let mut counts = Counts::default();
        opened.each(|found| {
            let key = found.key;
            match found.content.into_value() {
                Ok(value) => {
                    writer.item(&key, &value, found.expires_at_ms).map_err(|error| failed(&error))?;
                    counts.written += 1;
                }
                Err(Refusal::OtherType) => counts.left_out += 1,
                Err(refusal) => {
                    let sentence = format!("the server's DUMP of {} is not understood ({refusal:?})", Shown(&key));
                    return Err(Failure::new(Exit::Other, sentence));
                }
            }
            progress.advance(1);
            Ok(())
        })?;
        Ok((writer.finish().map_err(|error| failed(&error))?, counts))
    }
}
