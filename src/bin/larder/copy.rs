//! A checked copy of a closed store into a new one: what backup, restore and salvage are made of.
//!
//! The library's salvage reads every record against its checksum and writes those that count into a new store, versions
//! and expiries included; of a store without damage that is all of them. The target is a store only once all of it is durable.
//!
//! Invariant: while a copy is made, nobody opens the source for writing. A shared lock on its `LOCK` (docs/format.md) keeps
//! writers out, and lets other readers in.

use crate::failure::{Exit, Failure};
use crate::progress::Progress;
use larder::{Options, SalvageReport, Store};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Copies what is intact in `source` into a new store at `target`, which must be missing or empty.
pub fn copy(what: &'static str, source: &Path, target: &Path, options: &Options) -> Result<SalvageReport, Failure> {
    let _lock = keep_writers_out(source)?;
    let progress = Progress::of_bytes(what, 0);
    let is_interrupted = interrupted()?;
    let report = larder::salvage(source, target, options, &mut |done_bytes, total_bytes| {
        progress.set(done_bytes, total_bytes);
        !is_interrupted.load(Ordering::Relaxed)
    });
    report.map_err(|error| Failure::from(error).about(format_args!("{} to {}", source.display(), target.display())))
}

/// As [`copy`], and the outcome is a store that was read again, record by record, and has every key; or a failure.
pub fn copy_whole(
    what: &'static str,
    source: &Path,
    target: &Path,
    options: &Options,
) -> Result<SalvageReport, Failure> {
    // Before anything is written: a source with damage is to leave no target that looks like a copy.
    verify(source)?;
    let report = copy(what, source, target, options)?;
    let what_is_lost = match report.losses.first() {
        Some(loss) => Some(format!("{} at offset {}: {}", loss.file, loss.offset, loss.what)),
        None if !report.has_whole_manifest => Some("its manifest is not whole".to_owned()),
        None => None,
    };
    if let Some(lost) = what_is_lost {
        return Err(Failure::new(
            Exit::Damaged,
            format!("{}: {lost}; {} has what is intact, and is not a whole copy", source.display(), target.display()),
        ));
    }
    let key_count = verify(target)?;
    // A key may expire meanwhile; none can come.
    if key_count > report.keys {
        let sentence = format!("{} has {key_count} keys where {} were written", target.display(), report.keys);
        return Err(Failure::new(Exit::Other, sentence));
    }
    Ok(report)
}

/// Whether a store opens and every record of it is whole; how many keys it has.
fn verify(dir: &Path) -> Result<u64, Failure> {
    let failure = |error: larder::Error| Failure::from(error).about(dir.display());
    let options = Options { read_only: true, create: false, ..Options::default() };
    let store = Store::open(dir, &options).map_err(failure)?;
    let _progress = Progress::endless("reading every record");
    let report = store.verify().map_err(failure)?;
    let key_count = store.len().map_err(failure)?;
    match report.first {
        Some(error) => Err(failure(error)),
        None => Ok(key_count),
    }
}

/// A missing `LOCK` is no obstacle: then no writer was ever there, or there is no store, which opening it says.
fn keep_writers_out(source: &Path) -> Result<Option<File>, Failure> {
    let path = source.join("LOCK");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io(path.display(), &error)),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Some(file)),
        // The library says it better, with the owner.
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(Failure::io(path.display(), &error.into())),
    }
}

/// Set by the first SIGINT or SIGTERM, after which what was written so far is taken away; the second ends the process.
fn interrupted() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, i32::from(Exit::Other as u8), Arc::clone(&flag))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
            .map_err(|error| Failure::io("signals", &error))?;
    }
    Ok(flag)
}
