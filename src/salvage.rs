//! Salvage: from the files of a store that does not open, or that opens with damage, to a new store with everything
//! that is still whole.
//!
//! Two walks. The first looks at every record of every segment that counts and remembers for each key where its newest
//! intact version is, as a digest of the key and a place. The second copies those that are no tombstones, with
//! their seqnos and expiries. No byte of the source is changed, and nothing is created in it.
//!
//! What it promises: a value it writes was stored under that key, and no intact record of that key that counts is
//! newer. What it cannot: where a key's newest record is damaged, an older one takes its place (what was deleted may be
//! back). Each damaged place is told, with the key if it can still be read; and without a whole
//! manifest nobody knows which records were taken back or dropped before, which the report says too.
//!
//! Not here: looking for damage in an open store (`store::verify`), repair in place, which there is none of.
//!
//! Invariants:
//!   SV1. Nothing is written whose checksum does not hold at the moment when it is copied.
//!   SV2. The target is a store only once all of it is durable.

mod evidence;
mod target;
mod walk;
mod window;

use crate::error::{Error, Result, Status};
use crate::format::record::{Head, Kind, Record};
use crate::format::segment::HEAD_LEN;
use crate::format::{Seed, digest, record};
use crate::options::Options;
use crate::rules::{self, Rule};
use crate::sort;
use crate::storage::{DiskStorage, LockError, Storage};
use evidence::{Evidence, Role, Source};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use target::Target;
use walk::{Chain, Step, Walk};

/// So many seqnos are left out behind the last that was seen, so that those of lost writes are not given out again.
const SEQNO_GAP: u64 = 1 << 20;
/// After so many bytes whoever watches is told.
const PROGRESS_BYTES: u64 = 1 << 20;

/// One place that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The file.
    pub file: String,
    /// Bytes from its start.
    pub offset: u64,
    /// Bytes that cannot be used; 0 for a file whose length nobody knows.
    pub len: u64,
    /// What is wrong there.
    pub what: String,
    /// The key of the record that was there, as far as it can be read: the damage may be in it.
    pub key: Option<Vec<u8>>,
    /// The version that the new store has of that key. It may be older than the one that is lost, and newer.
    pub kept_version: Option<u64>,
}

impl Loss {
    fn at(file: &str, offset: u64, len: u64, what: &str) -> Self {
        Self { file: file.to_owned(), offset, len, what: what.to_owned(), key: None, kept_version: None }
    }

    fn of_file(file: &str, len: u64, what: &str) -> Self {
        Self::at(file, 0, len, what)
    }
}

/// `file TAB offset TAB len TAB key TAB version TAB what`, with `-` for a key or a version that there is not. A key
/// stands in double quotes, with `\xNN` for all bytes but printable ASCII without `"` and `\`.
impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\t{}\t", self.file, self.offset, self.len)?;
        match &self.key {
            None => f.write_str("-")?,
            Some(key) => {
                f.write_str("\"")?;
                for byte in key {
                    match byte {
                        b' '..=b'~' if !b"\"\\".contains(byte) => write!(f, "{}", char::from(*byte))?,
                        _ => write!(f, "\\x{byte:02x}")?,
                    }
                }
                f.write_str("\"")?;
            }
        }
        match self.kept_version {
            None => f.write_str("\t-\t")?,
            Some(version) => write!(f, "\t{version}\t")?,
        }
        f.write_str(&self.what)
    }
}

/// What a salvage did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SalvageReport {
    /// Segments that were read.
    pub segments: u64,
    /// Intact records that count, tombstones and overwritten ones among them.
    pub records: u64,
    /// Keys that the new store has.
    pub keys: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// Bytes of all losses.
    pub lost_bytes: u64,
    /// Whether the list of files was there and complete. If not, a record may be back that was no part of the store
    /// any more: of a key deleted long ago, or of a write that a power cut had taken back.
    pub has_whole_manifest: bool,
    /// Every damaged place.
    pub losses: Vec<Loss>,
}

/// Writes what is intact in the store at `source` into a new store at `target`, which must be missing or empty.
///
/// `progress` is told now and then how many bytes of how many were read, twice those of the store in all; if it
/// returns false, the salvage ends with `Interrupted`. Of the options, `segment_bytes` is used.
///
/// `NotFound` where there is nothing to salvage, `Busy` while a writer has the source open, `Incompatible` for a newer
/// format, `InvalidArgument` for a target that is not empty, `Corrupt` if no file says intact which store this is. Damage
/// is no error: the report tells it. After an error the target is no store, and what was written is removed.
pub fn salvage(
    source: &Path,
    target: &Path,
    options: &Options,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<SalvageReport> {
    let source: Arc<dyn Storage> = Arc::new(DiskStorage::open(source, false, true)?);
    // Before anything is made: a missing source should leave no target.
    ensure_unlocked(source.as_ref())?;
    let evidence = evidence::gather(source.as_ref())?;
    let target: Arc<dyn Storage> = Arc::new(DiskStorage::open(target, true, false)?);
    run(evidence, source.as_ref(), &target, options, progress)
}

/// Like [`salvage`], from one storage into another; for tests.
#[doc(hidden)]
pub fn salvage_in(
    source: &dyn Storage,
    target: &Arc<dyn Storage>,
    options: &Options,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<SalvageReport> {
    ensure_unlocked(source)?;
    run(evidence::gather(source)?, source, target, options, progress)
}

fn ensure_unlocked(source: &dyn Storage) -> Result<()> {
    source.probe_lock().map_err(|error| match error {
        LockError::Busy { pid } => {
            Error::new(Status::Busy, format!("{} is open for writing in the process with pid {pid}", source.describe()))
        }
        LockError::Io(error) => Error::from_io(&format!("look at the lock of {}", source.describe()), &error),
    })
}

fn run(
    evidence: Evidence,
    source: &dyn Storage,
    target: &Arc<dyn Storage>,
    options: &Options,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<SalvageReport> {
    let mut target = Target::new(target, options.segment_bytes)?;
    let total_bytes = evidence.sources.iter().map(|source| source.window.len()).sum::<u64>() * 2;
    let watch = Watch { progress, done_bytes: 0, told_bytes: 0, total_bytes };
    let mut salvage = Salvage::new(evidence, source.random_u64(), watch);
    let done = salvage.look().and_then(|()| salvage.copy(&mut target));
    match done {
        Ok(()) => Ok(salvage.report),
        Err(error) => {
            target.abandon();
            Err(error)
        }
    }
}

/// Where a key's newest version is.
struct Place {
    seqno: u64,
    source: u32,
    /// In units of 8 bytes; the top bit says that it is a tombstone.
    offset: u32,
}

const TOMBSTONE: u32 = 1 << 31;

struct Watch<'p> {
    progress: &'p mut dyn FnMut(u64, u64) -> bool,
    done_bytes: u64,
    told_bytes: u64,
    total_bytes: u64,
}

impl Watch<'_> {
    fn add(&mut self, bytes: u64) -> Result<()> {
        self.done_bytes += bytes;
        if self.done_bytes < self.told_bytes + PROGRESS_BYTES {
            return Ok(());
        }
        self.told_bytes = self.done_bytes;
        if (self.progress)(self.done_bytes.min(self.total_bytes), self.total_bytes) {
            return Ok(());
        }
        Err(Error::new(Status::Interrupted, "the salvage was interrupted"))
    }
}

struct Salvage<'p> {
    evidence: Evidence,
    digest_seed: u64,
    places: HashMap<u128, Place>,
    seqno_max: u64,
    watch: Watch<'p>,
    report: SalvageReport,
}

impl<'p> Salvage<'p> {
    fn new(mut evidence: Evidence, digest_seed: u64, watch: Watch<'p>) -> Self {
        let report = SalvageReport {
            segments: evidence.sources.len() as u64,
            has_whole_manifest: evidence.has_whole_manifest,
            losses: std::mem::take(&mut evidence.losses),
            ..SalvageReport::default()
        };
        Self { evidence, digest_seed, places: HashMap::new(), seqno_max: 0, watch, report }
    }

    /// The first walk, over segments whose end is known, then over the chain in its order.
    fn look(&mut self) -> Result<()> {
        let mut chained = Vec::new();
        for index in 0..self.evidence.sources.len() {
            if self.evidence.sources[index].role == Role::Chained {
                let store_id = self.evidence.store_id;
                let source = &mut self.evidence.sources[index];
                let seqno_first = walk_of(source, store_id, None).first_seqno()?;
                chained.push((seqno_first.unwrap_or(u64::MAX), index as u64));
            } else {
                self.look_at(index, None)?;
            }
        }
        sort::pairs(&mut chained);
        let seqno_first = chained.first().map_or(u64::MAX, |(seqno, _)| *seqno);
        let seqno_promised = self.evidence.seqno_next;
        let seqno_next = seqno_first.min(seqno_promised);
        let mut chain = Chain { seqno_next, may_jump: self.evidence.has_gap };
        let mut is_over = false;
        for (_, index) in chained {
            let index = index as usize;
            if is_over {
                // Behind the end of history only what was durable counts, and if there is any, the end was damage.
                let durable = self.evidence.sources[index].durable;
                if durable.is_some_and(|durable| durable.end <= HEAD_LEN as u64) {
                    continue;
                }
                chain.may_jump = true;
            }
            self.look_at(index, Some(&mut chain))?;
            // History ends at a cut.
            is_over |= self.evidence.sources[index].durable.is_some_and(|durable| durable.is_cut);
        }
        if chain.seqno_next < seqno_promised && self.evidence.has_whole_manifest {
            let what = format!(
                "records that were durable are missing: versions {} to {}",
                chain.seqno_next,
                seqno_promised - 1
            );
            self.report.losses.push(Loss::of_file("the log", 0, &what));
        }
        self.seqno_max = self.seqno_max.max(seqno_promised - 1);
        Ok(())
    }

    fn look_at(&mut self, index: usize, chain: Option<&mut Chain>) -> Result<()> {
        let store_id = self.evidence.store_id;
        let source = &mut self.evidence.sources[index];
        let name = source.name.clone();
        let Self { places, report, watch, seqno_max, digest_seed, .. } = self;
        let len = source.window.len();
        let mut seen_bytes = 0;
        walk_of(source, store_id, chain).run(&mut |step| match step {
            Step::Record(offset, found) => {
                report.records += 1;
                *seqno_max = (*seqno_max).max(found.head.seqno);
                note(places, digest(found.key(), *digest_seed), index as u32, offset, &found.head);
                seen_bytes += found.head.record_len();
                watch.add(found.head.record_len())
            }
            Step::Damage(range, what, key) => {
                let loss = Loss::at(&name, range.start, range.end - range.start, what);
                report.losses.push(Loss { key: key.map(<[u8]>::to_vec), ..loss });
                Ok(())
            }
        })?;
        self.watch.add(len.saturating_sub(seen_bytes))
    }

    /// The second walk: what the first has found, in the order of places.
    fn copy(&mut self, target: &mut Target) -> Result<()> {
        let mut kept: Vec<(u32, u32)> = Vec::new();
        kept.extend(
            self.places.values().filter(|place| place.offset & TOMBSTONE == 0).map(|it| (it.source, it.offset)),
        );
        kept.sort_unstable();
        for (index, units) in kept {
            let store_id = self.evidence.store_id;
            let source = &mut self.evidence.sources[index as usize];
            let (seed, offset) = (Seed::new(store_id, source.id), u64::from(units) * 8);
            let len = match source.window.get(offset, record::HEAD_LEN as u64)?.and_then(Head::decode) {
                Some(head) => head.record_len(),
                None => record::HEAD_LEN as u64,
            };
            // Once more: a device that fails may answer differently the second time.
            let bytes = source.window.get(offset, len)?.unwrap_or_default();
            match Record::at_start_of(bytes)
                .filter(|_| record::is_intact(bytes, seed, offset) || !rules::holds(Rule::SalvageChecked))
            {
                None => {
                    let what = "a record was intact when it was first read, and is not any more";
                    self.report.losses.push(Loss::at(&source.name, offset, len, what));
                }
                Some(found) if found.head.is_expired(self.evidence.clock_ms) => {}
                Some(found) => {
                    target.put(&found)?;
                    self.report.keys += 1;
                }
            }
            self.watch.add(len)?;
        }
        for loss in &mut self.report.losses {
            let kept = loss.key.as_ref().and_then(|key| self.places.get(&digest(key, self.digest_seed)));
            loss.kept_version = kept.filter(|place| place.offset & TOMBSTONE == 0).map(|place| place.seqno);
        }
        self.report.lost_bytes = self.report.losses.iter().map(|loss| loss.len).sum();
        self.report.bytes = target.bytes;
        target.finish(self.seqno_max + 1 + SEQNO_GAP, self.evidence.clock_ms)
    }
}

fn walk_of<'a>(source: &'a mut Source, store_id: u64, chain: Option<&'a mut Chain>) -> Walk<'a> {
    let (seed, bounds) = (Seed::new(store_id, source.id), source.bounds());
    Walk::new(&mut source.window, seed, bounds, chain)
}

/// The highest seqno wins (R2). Of two records with the same one, the tombstone: compaction puts it in the place of a
/// record whose time is over.
fn note(places: &mut HashMap<u128, Place>, digest: u128, source: u32, offset: u64, head: &Head) {
    let tombstone = if head.kind == Kind::Tombstone { TOMBSTONE } else { 0 };
    let new = Place { seqno: head.seqno, source, offset: (offset / 8) as u32 | tombstone };
    match places.entry(digest) {
        Entry::Vacant(entry) => {
            entry.insert(new);
        }
        Entry::Occupied(mut entry) => {
            let old = entry.get();
            let is_newer = (old.seqno, old.offset & TOMBSTONE) < (new.seqno, tombstone);
            if is_newer || !rules::holds(Rule::SalvageNewest) {
                entry.insert(new);
            }
        }
    }
}
