//! `larder export`: every key of a store as lines of JSON, or as a file that Redis loads.

use crate::failure::{Exit, Failure, Outcome};
use crate::interchange::{FileFormat, Replacement, Walk, Writer};
use crate::place::{self, Access, Place};
use crate::progress::Progress;
use clap::Args;
use indicatif::HumanCount;
use larder::Store;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  larder export --dir pantry keys.jsonl                    a line of JSON per key
  larder export --dir pantry | grep jam                    the same to a pipe
  larder export --dir pantry --format rdb dump.rdb         for redis-server --dbfilename dump.rdb, and for redis-cli --rdb's readers
  larder export --dir pantry | larder import --dir other";

const PIPE_BUFFER_BYTES: usize = 64 << 10;

/// Write every key with its value and expiry to a file, as lines of JSON or as a Redis RDB file.
///
/// What is written is the store as it was when it was opened, whatever others do meanwhile; it must not be open for writing
/// then (exit code 3): `larder push --from` reads a store that is being served. A file takes its name only when all
/// of it is on the disk. A store with damage is not exported (exit code 4).
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
    place: Place,
}

impl Export {
    pub fn run(&self) -> Outcome {
        let is_piped = self.file == Path::new("-");
        if is_piped && self.format == FileFormat::Rdb && io::stdout().is_terminal() {
            return Err(Failure::usage("an RDB file is nothing for a terminal: name a file"));
        }
        let store = self.place.open(Access::Read)?;
        let count = if is_piped {
            let out = BufWriter::with_capacity(PIPE_BUFFER_BYTES, io::stdout().lock());
            let (mut out, count) = self.write(&store, out, &Failure::of_output)?;
            out.flush().map_err(|error| Failure::of_output(&error))?;
            count
        } else {
            let failed = |error: &io::Error| Failure::io(self.file.display(), error);
            let file = Replacement::create(&self.file).map_err(|error| failed(&error))?;
            let (file, count) = self.write(&store, file, &failed)?;
            file.commit().map_err(|error| failed(&error))?;
            count
        };
        place::close(&store, &self.place.dir)?;
        if !is_piped {
            // Standard output is for what the command is about, also where that is a file.
            println!("{}: {} keys", self.file.display(), HumanCount(count));
        }
        Ok(Exit::Done)
    }

    fn write<W: Write>(
        &self,
        store: &Store,
        sink: W,
        failed: &dyn Fn(&io::Error) -> Failure,
    ) -> Result<(W, u64), Failure> {
        let key_count = store.len()?;
        let mut writer =
            Writer::new(self.format, sink, key_count, store.expiring_len()?).map_err(|error| failed(&error))?;
        let progress = Progress::of_count("exporting", key_count);
        let mut walk = Walk::new(store);
        let mut count = 0;
        while let Some(live) = walk.next()? {
            writer.item(&live.key, &live.value, live.expires_at_ms).map_err(|error| failed(&error))?;
            count += 1;
            progress.advance(1);
        }
        Ok((writer.finish().map_err(|error| failed(&error))?, count))
    }
}
