//! Checkpoints: the index's image on disk, so that opening reads only the log that is newer.
//!
//! Written when the store is closed in order, and now and then while it is open. A checkpoint covers
//! segments up to an end each; what lies behind, and all other segments, is replayed over it. So it stays
//! of use until a newer one is durable.
//!
//! Not here: whether a checkpoint fits the log (`recovery`), when one is due (`store::background`).
//!
//! Invariants:
//!   CP1. A checkpoint is a cache (R5): every way in which it could be wrong makes it void, and then
//!        the log is replayed. Failing to write one is no error.
//!   CP2. A file gets a checkpoint's name when it is durable, and so is everything that its index may show.
//!   CP3. What it says of a segment is what its index shows of it, to the record.

use crate::epoch::Epochs;
use crate::error::{Error, Result, Status};
use crate::format::checkpoint::{Contents, HEAD_LEN, Head};
use crate::format::record::Kind;
use crate::format::{KeyHasher, Seed, read_dense};
use crate::index::{ImageSource, Index, Location};
use crate::log::manifest::{CHECKPOINT_NAME_PREFIX, CHECKPOINT_NEW_NAME, is_checkpoint_name};
use crate::log::scanner::Scanner;
use crate::log::{Failure, Log, Segment, Segments};
use crate::rules::{self, Rule};
use crate::sort;
use crate::storage::{File, MapAccess, Storage};
use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

/// The image is written in pieces of this size; between them the writer may rest.
const CHUNK_BYTES: usize = 1 << 20;
/// After so many bytes they are synced, so that no sync has much to do.
const SYNC_BYTES: u64 = 8 << 20;

/// A checkpoint whose head and body are whole.
pub struct Found {
    /// The file's name.
    pub name: String,
    /// All that it says but for the index.
    pub contents: Contents,
    file: Arc<dyn File>,
    head: Head,
    store_id: u64,
}

/// The pages of a checkpoint's index.
pub struct Pages {
    file: Arc<dyn File>,
    /// By slot: entries below this location count.
    limits: Vec<u64>,
    /// A location's slot is what is left of it after so many bits.
    slot_shift: u32,
    /// Set when recovery is over. Until then there is a simpler way: without the checkpoint.
    log: OnceLock<CoveredLog>,
}

/// Where the entries of pages are found that the file does not have any more.
struct CoveredLog {
    segments: Segments,
    hasher: KeyHasher,
    contents: Contents,
    failure: Arc<Failure>,
}

fn name(file_id: u64) -> String {
    format!("{CHECKPOINT_NAME_PREFIX}{file_id:020}")
}

/// The checkpoints among `names`, newest first.
pub fn find(storage: &dyn Storage, store_id: u64, names: &[String]) -> Vec<Found> {
    let file_id =
        |name: &&String| name.strip_prefix(CHECKPOINT_NAME_PREFIX).and_then(|id| id.parse().ok()).unwrap_or(0);
    let names = names.iter().filter(|name| is_checkpoint_name(name)).collect();
    let names = sort::by_key(names, |name| u64::MAX - file_id(name));
    names.into_iter().filter_map(|name| Found::open(storage, store_id, name)).collect()
}

/// Removes every checkpoint among `names` but the one called `kept`.
pub fn remove_others(storage: &dyn Storage, names: &[String], kept: Option<&str>) {
    for name in names.iter().filter(|name| is_checkpoint_name(name) && Some(name.as_str()) != kept) {
        // One that stays is looked at again by the next open.
        let _ = storage.remove(name);
    }
}

impl Found {
    fn open(storage: &dyn Storage, store_id: u64, file_name: &str) -> Option<Self> {
        let file: Arc<dyn File> = Arc::from(storage.open(file_name, MapAccess::ReadOnly).ok()?);
        let mut bytes = [0; HEAD_LEN];
        file.read_at(&mut bytes, 0).ok()?;
        let head = Head::decode(&bytes, store_id)?;
        if name(head.file_id) != file_name || file.len().ok()? != head.file_len() {
            return None;
        }
        let body_offset = head.body_offset();
        let mut read = |bytes: &mut [u8], at: u64| file.read_at(bytes, body_offset + at).is_ok();
        let body = read_dense(head.body_len, &mut read)?;
        let contents = head.contents(store_id, &body)?;
        Some(Self { name: file_name.to_owned(), contents, file, head, store_id })
    }

    /// The index of this checkpoint over `segments`, those of the covered ones that are left in their places.
    /// `None` if it is damaged where that shows at once.
    pub fn open_index(&self, segments: &Segments, epochs: &Arc<Epochs>) -> Option<(Index, Arc<Pages>)> {
        let slot_units = segments.slot_bytes() / 8;
        let mut limits = Vec::new();
        for segment in segments.all() {
            let Some(known) = self.contents.segment(segment.id()) else { continue };
            let first = segment.slot();
            let count = crate::log::segments::slot_count(segment.file_len(), segments.slot_bytes());
            if limits.len() < (first + count) as usize {
                limits.resize((first + count) as usize, 0);
            }
            limits[first as usize..(first + count) as usize].fill(first * slot_units + known.end / 8);
        }
        let pages = Arc::new(Pages {
            file: Arc::clone(&self.file),
            limits,
            slot_shift: slot_units.trailing_zeros(),
            log: OnceLock::new(),
        });
        let seed = Seed::new(self.store_id, self.head.file_id);
        let source: Arc<dyn ImageSource> = Arc::<Pages>::clone(&pages);
        let index = Index::open_image(source, self.head.image_len, seed, Arc::clone(epochs)).ok()?;
        Some((index, pages))
    }
}

impl Pages {
    /// Recovery is over: from now on, pages that are damaged are found again in the part of `log` that the
    /// checkpoint with these `contents` covers.
    pub fn stand_by(&self, log: &Log, hasher: KeyHasher, contents: Contents) {
        let (segments, failure) = (log.segments().clone(), log.failure_note());
        let _ = self.log.set(CoveredLog { segments, hasher, contents, failure });
    }
}

impl ImageSource for Pages {
    fn read(&self, bytes: &mut [u8], offset: u64) -> bool {
        self.file.read_at(bytes, offset + HEAD_LEN as u64).is_ok()
    }

    fn is_kept(&self, location: Location) -> bool {
        let limit = self.limits.get((location.get() >> self.slot_shift) as usize);
        limit.is_some_and(|limit| location.get() < *limit)
    }

    fn rebuild(&self, hashes: RangeInclusive<u64>) -> std::result::Result<Vec<(u64, Location)>, Location> {
        self.log.get().map_or(Err(Location::new(1)), |log| log.entries(&hashes))
    }
}

impl CoveredLog {
    /// The entries that the checkpoint's index should have for these hashes.
    ///
    /// Right as long as no record of such a key was appended or moved since the checkpoint was opened: the
    /// index sees to that for keys of pages that it has not loaded.
    fn entries(&self, hashes: &RangeInclusive<u64>) -> std::result::Result<Vec<(u64, Location)>, Location> {
        let segments = self.segments.all();
        let mut newest: HashMap<&[u8], (u64, u64, Option<Location>)> = HashMap::new();
        for segment in &segments {
            let Some(known) = self.contents.segment(segment.id()) else { continue };
            let mut scanner = Scanner::new(segment, known.end).map_err(|error| self.damaged(segment, &error))?;
            while let Some(found) = scanner.next_record() {
                let (head, key) = (found.record.head, found.record.key());
                let hash = self.hasher.hash(key);
                if !hashes.contains(&hash) {
                    continue;
                }
                // Those that had expired when the checkpoint was made had left the index, or had not.
                let had_left = head.expires_at_ms != 0 && head.expires_at_ms < known.expiry_next_ms;
                let is_present = head.kind == Kind::Set && !had_left;
                let location = is_present.then(|| self.segments.location(segment, found.offset));
                let entry = newest.entry(key).or_insert((0, hash, None));
                if head.seqno > entry.0 {
                    *entry = (head.seqno, hash, location);
                }
            }
            if let Some(what) = scanner.stop().map_err(|error| self.damaged(segment, &error))? {
                let error = Error::corrupt(&segment.name(), scanner.offset(), what);
                return Err(self.damaged(segment, &error));
            }
        }
        Ok(newest.into_values().filter_map(|(_, hash, location)| Some((hash, location?))).collect())
    }

    /// The log is damaged too. A location that readers take for a damaged record: in the head of `segment`.
    fn damaged(&self, segment: &Segment, error: &Error) -> Location {
        self.failure.note(error);
        self.segments.location(segment, 8)
    }
}

/// Writes a checkpoint that covers the records of `covered`, which take no more of them, and removes older ones.
///
/// All of these records are durable, the index shows every one that counts, and none for which a tombstone stands
/// there. Nobody moves records meanwhile. `pace` is told how many bytes were written since it was last
/// told, and may sleep; if it returns false, there will be no checkpoint.
pub fn write(log: &Log, index: &Index, covered: &[Arc<Segment>], pace: &mut dyn FnMut(u64) -> bool) -> Result<()> {
    let storage = log.storage().as_ref();
    // Left by one that failed, if there.
    let _ = storage.remove(CHECKPOINT_NEW_NAME);
    let file_id = log.seqno_next();
    let written = write_new(log, index, covered, file_id, pace);
    end_copy(log, index);
    let named = written.and_then(|()| {
        log.check_writable()?;
        storage
            .rename(CHECKPOINT_NEW_NAME, &name(file_id))
            .map_err(|source| Error::from_io("name a checkpoint", &source))?;
        log.sync_directory()
    });
    if let Err(error) = named {
        let _ = storage.remove(CHECKPOINT_NEW_NAME);
        return Err(error);
    }
    for segment in log.segments().all() {
        let is_covered = covered.iter().any(|covered| covered.id() == segment.id());
        segment.note_covered(if is_covered { segment.end() } else { 0 });
    }
    remove_others(storage, &storage.list().unwrap_or_default(), Some(&name(file_id)));
    Ok(())
}

/// From now on nothing counts as copied.
fn end_copy(log: &Log, index: &Index) {
    log.accounts().end_copy();
    index.wait_for_writers();
    log.accounts().fold();
}

/// Writes the whole file and makes it durable, and what its index may show.
fn write_new(
    log: &Log,
    index: &Index,
    covered: &[Arc<Segment>],
    file_id: u64,
    pace: &mut dyn FnMut(u64) -> bool,
) -> Result<()> {
    let failed = |source| Error::from_io("write a checkpoint", &source);
    let store_id = log.with_manifest(|manifest| manifest.head().store_id);
    let file = log.storage().create(CHECKPOINT_NEW_NAME).map_err(failed)?;
    let mut offset = HEAD_LEN as u64;
    let mut unsynced_bytes = 0;
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    let mut flush = |chunk: &mut Vec<u8>| -> io::Result<()> {
        file.write_at(chunk, offset)?;
        offset += chunk.len() as u64;
        unsynced_bytes += chunk.len() as u64;
        if unsynced_bytes >= SYNC_BYTES {
            file.sync()?;
            unsynced_bytes = 0;
        }
        if !pace(chunk.len() as u64) || log.check_writable().is_err() {
            return Err(io::Error::from(io::ErrorKind::Interrupted));
        }
        chunk.clear();
        Ok(())
    };
    let mut out = |bytes: &[u8]| {
        if chunk.len() + bytes.len() > CHUNK_BYTES && !chunk.is_empty() {
            flush(&mut chunk)?;
        }
        chunk.extend_from_slice(bytes);
        Ok(())
    };
    let seed = Seed::new(store_id, file_id);
    let accounts = log.accounts();
    let image_len = index.write_image(seed, &mut out, &mut |next| accounts.note_copied(next)).map_err(failed)?;
    flush(&mut chunk).map_err(failed)?;
    // CP3: the copy is complete, so what happens from now on is counted apart.
    let contents = Contents {
        seqno_next: log.seqno_next(),
        slot_bytes: log.segments().slot_bytes(),
        segments: covered.iter().map(|segment| segment.export_accounts()).collect(),
    };
    let body = contents.encode_body();
    let head = Head::new(store_id, file_id, &body, image_len);
    let written = file.write_at(&body, head.body_offset()).and_then(|()| file.write_at(&head.encode(store_id), 0));
    written.map_err(failed)?;
    // CP2.
    if rules::holds(Rule::CheckpointShowsDurable) {
        log.sync_through(contents.seqno_next - 1)?;
    }
    file.sync().map_err(|source| Error::new(Status::Io, format!("cannot sync a checkpoint: {source}")))
}
