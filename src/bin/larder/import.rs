//! `larder import`: keys from lines of JSON or from a Redis RDB file into a store.
//!
//! A file is read twice: once to its end, so that a damaged one is refused before anything has changed, and once more
//! to import it. What comes through a pipe can be read once only, and is in the store as far as it was good.
//!
//! Not here: the formats (`interchange`, `rdb`), what is done with a key (`import/loading`).

mod loading;
mod tally;

use crate::failure::{Exit, Failure, Outcome};
use crate::interchange::{FileFormat, Reader};
use crate::output::Output;
use crate::place::{self, Access, Format, Place};
use crate::progress::Progress;
use crate::rdb::Flaw;
use clap::{Args, ValueEnum};
use larder::{Store, SyncMode};
use loading::Loading;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};
use std::path::{Path, PathBuf};
use tally::Tally;

const EXAMPLES: &str = "\
Examples:
  larder import --dir pantry keys.jsonl                 what larder export wrote, or lines like {\"key\":\"jam\",\"value\":\"quince\"}
  larder import --dir pantry /var/lib/redis/dump.rdb    the strings of a Redis; tells what else there is
  larder import --dir pantry --list-skipped dump.rdb    and names it
  redis-cli --rdb - | larder import --dir pantry -      of a Redis that runs";

const BUFFER_BYTES: usize = 256 << 10;

/// How often progress is shown, in bytes read.
const PROGRESS_BYTES: u64 = 1 << 20;

/// What is done with a key that the store has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnConflict {
    /// Leave the store's value.
    Keep,
    /// Take the file's value and expiry.
    Replace,
    /// End with exit code 1; of a file nothing is imported then.
    Fail,
}

/// Put keys from a file into a store: lines of JSON, or a Redis RDB file, of which strings are taken.
///
/// The store is made if it is not there. What the store cannot hold is stepped over and counted: lists, sets, hashes, sorted
/// sets, streams, other databases, keys that are too long; so is what has expired. A file that is damaged anywhere
/// changes nothing (exit code 4); of standard input, what came before the damage stays. Keys go in by batches, and are
/// on the disk when the command has ended.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Import {
    /// The file; - for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// The file's format, if its first byte is not to tell.
    #[arg(long = "format", value_enum, value_name = "FORMAT")]
    file_format: Option<FileFormat>,
    /// What is done with keys that the store has already.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "replace")]
    on_conflict: OnConflict,
    /// Which of Redis's databases is taken; an RDB file may hold several.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    database: u64,
    /// Name each key that is not taken for what it is, before the counts.
    #[arg(long)]
    list_skipped: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    place: Place,
}

impl Import {
    pub fn run(&self) -> Outcome {
        if self.file == Path::new("-") {
            let store = self.open()?;
            return self.import(&store, io::stdin().lock(), 0);
        }
        let failed = |error: io::Error| Failure::io(self.file.display(), &error);
        let mut file = File::open(&self.file).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let len = if metadata.is_file() { metadata.len() } else { 0 };
        if metadata.is_file() {
            self.check(&file, len, None)?;
        }
        let store = self.open()?;
        if metadata.is_file() {
            if self.on_conflict == OnConflict::Fail {
                file.rewind().map_err(failed)?;
                self.check(&file, len, Some(&store))?;
            }
            file.rewind().map_err(failed)?;
        }
        self.import(&store, BufReader::with_capacity(BUFFER_BYTES, file), len)
    }

    /// Syncs once at the end instead of with each batch, unless it is told otherwise.
    fn open(&self) -> Result<Store, Failure> {
        let mut options = self.place.options(Access::Create)?;
        if !self.place.options.iter().any(|option| option.starts_with("sync=")) {
            options.sync = SyncMode::None;
        }
        Store::open(&self.place.dir, &options).map_err(|error| self.place.failure(error))
    }

    /// Reads the file to its end; with a store, also whether it has any of the keys.
    fn check(&self, file: &File, len: u64, store: Option<&Store>) -> Result<(), Failure> {
        let progress = Progress::of_bytes("checking", len);
        let damaged = |flaw: Flaw| self.damaged(&flaw, 0);
        let mut reader =
            Reader::new(self.file_format, BufReader::with_capacity(BUFFER_BYTES, file)).map_err(damaged)?;
        let mut shown = 0;
        while let Some(item) = reader.next().map_err(damaged)? {
            if let (Some(store), Some(key)) = (store, loading::wanted(&item, self.database))
                && store.exists(key)?
            {
                return Err(loading::conflict(key, 0));
            }
            show(&progress, &mut shown, reader.offset());
        }
        Ok(())
    }

    fn import(&self, store: &Store, source: impl BufRead, len: u64) -> Outcome {
        let mut output = Output::new(self.format.json);
        let mut tally = Tally::default();
        let loaded = self.load(store, source, len, &mut tally, &mut output);
        // Whatever came of it: what is in the store is to be on the disk.
        let synced = store.sync().map_err(|error| self.place.failure(error));
        let closed = place::close(store, &self.place.dir);
        output.flush()?;
        loaded?;
        synced?;
        closed?;
        tally.tell(&mut output)?;
        output.flush()?;
        Ok(Exit::Done)
    }

    fn load(
        &self,
        store: &Store,
        source: impl BufRead,
        len: u64,
        tally: &mut Tally,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let progress = if len > 0 { Progress::of_bytes("importing", len) } else { Progress::endless("importing") };
        let mut reader = Reader::new(self.file_format, source).map_err(|flaw| self.damaged(&flaw, 0))?;
        let mut loading = Loading::new(store, self.on_conflict, self.database);
        let mut shown = 0;
        loop {
            match reader.next() {
                Ok(Some(item)) => {
                    if self.list_skipped {
                        tally::name_skipped(&item, self.database, output)?;
                    }
                    loading.take(item, tally)?;
                    show(&progress, &mut shown, reader.offset());
                }
                Ok(None) => return loading.flush(tally),
                Err(flaw) => {
                    loading.flush(tally)?;
                    return Err(self.damaged(&flaw, tally.imported));
                }
            }
        }
    }

    fn damaged(&self, flaw: &Flaw, imported_count: u64) -> Failure {
        let before = match imported_count {
            0 => "nothing was imported".to_owned(),
            count => format!("{count} keys before it were imported"),
        };
        let name = if self.file == Path::new("-") { "standard input".into() } else { self.file.display().to_string() };
        let exit = if flaw.is_unread { Exit::Io } else { Exit::Damaged };
        Failure::new(exit, format!("{name}: {flaw}; {before}"))
    }
}

fn show(progress: &Progress, shown: &mut u64, offset: u64) {
    if offset - *shown >= PROGRESS_BYTES {
        progress.advance(offset - *shown);
        *shown = offset;
    }
}
