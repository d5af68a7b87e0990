//! A segment: one file of the log, mapped, plus how much of it may be read and how much is durable.
//!
//! Born *prepared* (reserved, named by the manifest, empty), *active* while sets append to it,
//! *sealed* once, unlinked by compaction. A reader that holds it keeps the mapping, so compaction
//! never cuts a reader off.
//!
//! Not here: the byte layout (`format::record`), choosing what to append (`log::appender`), making it durable (`sync`).
//!
//! Invariants:
//!   S1. Bytes in `0..published` never change (but for the two words of the head).
//!   S2. `published` only grows, and only after the bytes are in place.
//!   S3. `durable <= published`; it grows only after a sync that succeeded.

mod sync;

use super::accounts::SegmentBooks;
use crate::error::{Error, Result, Status};
use crate::format::checkpoint::CheckpointSegment;
use crate::format::segment::{self as head, CLOCK_WORD, DURABLE_WORD, HEAD_LEN, HeadProblem};
use crate::format::{FORMAT_VERSION, Seed};
use crate::lock::Mutex;
use crate::storage::{AppendMap, File, MapAccess, Storage};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use sync::Syncs;

/// What file systems hand out and take back space by, at least.
const BLOCK_BYTES: u64 = 4096;

/// The name of a segment's file.
pub fn segment_name(id: u64) -> String {
    format!("{id:06}.seg")
}

/// The id in a segment's file name.
pub fn segment_id(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let id: u64 = digits.parse().ok()?;
    (id != 0 && segment_name(id) == name).then_some(id)
}

/// How the room of a new segment is made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Stores go to the page cache: what a killed process has written is there.
    Shared,
    /// Stores are brought there by a sync: for when nothing is acknowledged before one.
    Staged,
    /// Likewise, and the disk has written its blocks once, which takes a while and makes small syncs faster.
    Written,
}

/// One file of the log.
pub struct Segment {
    store_id: u64,
    id: u64,
    seed: Seed,
    map: AppendMap,
    /// Until it is sealed: the map needs no descriptor, and those of the process are few. Held for a clone.
    file: Mutex<Option<Arc<dyn File>>>,
    /// First slot of the address space; set once by `Segments::insert`.
    slot: AtomicU64,
    durable: AtomicU64,
    /// Held during a sync: only one thread learns of a failure, so the others must learn it from here.
    syncs: Mutex<Syncs>,
    /// The clock word has changed since the last sync.
    has_unsynced_clock: AtomicBool,
    is_sealed: AtomicBool,
    /// 0 while it holds no record.
    seqno_min: AtomicU64,
    seqno_max: AtomicU64,
    /// What is live of it.
    books: SegmentBooks,
    /// End of what the newest checkpoint covers, 0 if it does not.
    covered_end: AtomicU64,
    disk_bytes: AtomicU64,
    /// Bytes of its tombstones.
    tombstone_bytes: AtomicU64,
    /// No live record of this segment expires before; `u64::MAX` if none does.
    expiry_next_ms: AtomicU64,
    /// When it was last swept for expired records.
    swept_ms: AtomicU64,
    is_excluded_from_compaction: AtomicBool,
}

impl Segment {
    /// Makes the file of segment `id`, reserves `file_len` bytes and makes all of that durable but
    /// for the directory entry. On an error nothing is left.
    pub fn create(storage: &dyn Storage, store_id: u64, id: u64, file_len: u64, room: Room) -> Result<Self> {
        let name = segment_name(id);
        let failed = |source| Error::from_io(&format!("make {name} of {file_len} bytes"), &source);
        let file = storage.create(&name).map_err(failed)?;
        let made = (|| {
            file.reserve(file_len)?;
            if room == Room::Written {
                file.write_zeros(file_len)?;
            }
            file.write_at(&head::encode(store_id, id), 0)?;
            file.sync()?;
            match room {
                Room::Shared => file.map(file_len as usize, MapAccess::ReadWrite),
                Room::Staged | Room::Written => file.map_staged(file_len as usize),
            }
        })();
        match made {
            Ok(map) => {
                let map = AppendMap::new(map, HEAD_LEN, DURABLE_WORD..HEAD_LEN, HEAD_LEN);
                Ok(Self::over(store_id, id, file, map, HEAD_LEN as u64))
            }
            Err(source) => {
                // Best effort: what the manifest does not name is swept on open anyway (R7).
                let _ = storage.remove(&name);
                Err(failed(source))
            }
        }
    }

    /// Opens the file of segment `id`, whose records end at `end` (the whole file is readable until
    /// recovery has found the end: pass `file_len`). Checks the head.
    pub fn open(
        storage: &dyn Storage,
        store_id: u64,
        id: u64,
        file_len: u64,
        end: u64,
        access: MapAccess,
    ) -> Result<Self> {
        let name = segment_name(id);
        let failed = |source| Error::from_io(&format!("open {name}"), &source);
        let file = storage.open(&name, access).map_err(|source| {
            if source.kind() == std::io::ErrorKind::NotFound {
                Error::corrupt(&name, 0, "the manifest names this segment but the file is missing")
            } else {
                failed(source)
            }
        })?;
        let len = file.len().map_err(failed)?;
        if len < file_len || end > file_len || end < HEAD_LEN as u64 {
            return Err(Error::corrupt(&name, len, "the file ends before the records it should hold"));
        }
        let map = file.map(file_len as usize, access).map_err(failed)?;
        let map = AppendMap::new(map, HEAD_LEN, DURABLE_WORD..HEAD_LEN, end as usize);
        // Asked before anybody looks: a head that cannot be read would be a fault.
        map.fetch(0..HEAD_LEN).map_err(failed)?;
        let segment = Self::over(store_id, id, file, map, end);
        segment.check_head()?;
        Ok(segment)
    }

    /// Checks the head against damage, and that the file is this segment of this store.
    pub fn check_head(&self) -> Result<()> {
        let bytes = self.map.read(0..DURABLE_WORD).unwrap_or_default();
        match head::check(bytes, self.store_id, self.id) {
            Ok(()) => Ok(()),
            Err(HeadProblem::Version(version)) => Err(Error::new(
                Status::Incompatible,
                format!("{} has format version {version}; this library knows {FORMAT_VERSION}", self.name()),
            )),
            Err(HeadProblem::Damaged(what)) => Err(Error::corrupt(&self.name(), 0, what)),
        }
    }

    fn over(store_id: u64, id: u64, file: Box<dyn File>, map: AppendMap, durable: u64) -> Self {
        let file_len = map.len() as u64;
        Self {
            store_id,
            id,
            seed: Seed::new(store_id, id),
            map,
            file: Mutex::new(Some(Arc::from(file))),
            slot: AtomicU64::new(u64::MAX),
            durable: AtomicU64::new(durable),
            syncs: Mutex::default(),
            has_unsynced_clock: AtomicBool::new(false),
            is_sealed: AtomicBool::new(false),
            seqno_min: AtomicU64::new(0),
            seqno_max: AtomicU64::new(0),
            books: SegmentBooks::default(),
            covered_end: AtomicU64::new(0),
            disk_bytes: AtomicU64::new(file_len),
            tombstone_bytes: AtomicU64::new(0),
            expiry_next_ms: AtomicU64::new(u64::MAX),
            swept_ms: AtomicU64::new(0),
            is_excluded_from_compaction: AtomicBool::new(false),
        }
    }

    /// The same segment with the end of its records known: `end` is published and durable.
    pub fn restart_at(mut self, end: u64) -> Self {
        self.map = self.map.restart_at(HEAD_LEN, end as usize);
        self.durable = AtomicU64::new(end);
        self
    }

    /// Its id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The name of its file.
    pub fn name(&self) -> String {
        segment_name(self.id)
    }

    /// What its checksums are bound to.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Its mapped bytes.
    pub fn map(&self) -> &AppendMap {
        &self.map
    }

    /// Bytes reserved for its file.
    pub fn file_len(&self) -> u64 {
        self.map.len() as u64
    }

    /// End of its readable records.
    pub fn end(&self) -> u64 {
        self.map.published() as u64
    }

    /// Bytes of its records.
    pub fn record_bytes(&self) -> u64 {
        self.end() - HEAD_LEN as u64
    }

    /// First slot of the address space that it takes.
    pub fn slot(&self) -> u64 {
        self.slot.load(Ordering::Relaxed)
    }

    pub(super) fn set_slot(&self, slot: u64) {
        self.slot.store(slot, Ordering::Relaxed);
    }

    /// Bytes from the start of the file that are known durable.
    #[inline]
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Whether no record will be added; then its map is read-only.
    pub fn is_sealed(&self) -> bool {
        self.is_sealed.load(Ordering::Acquire)
    }

    pub(crate) fn set_sealed(&self) {
        self.map.protect();
        self.is_sealed.store(true, Ordering::Release);
        *self.file.lock() = None;
    }

    /// The file, which a sealed segment has no use for any more.
    fn file(&self) -> Result<Arc<dyn File>> {
        let file = self.file.lock().clone();
        file.ok_or_else(|| Error::new(Status::Panic, format!("{} is sealed and takes no changes", self.name())))
    }

    /// Notes in the file that the expiry clock has reached `now_ms`.
    pub fn store_clock(&self, now_ms: u64) {
        self.map.word(CLOCK_WORD).store(head::encode_clock(self.seed, now_ms));
        self.has_unsynced_clock.store(true, Ordering::Release);
    }

    /// What the expiry clock was when last noted; 0 if it is not known.
    pub fn clock_ms(&self) -> u64 {
        head::decode_clock(self.seed, self.map.word(CLOCK_WORD).load()).unwrap_or(0)
    }

    /// The readable bytes of records up to `limit`.
    pub fn record_area(&self, limit: u64) -> Result<&[u8]> {
        self.map
            .read(HEAD_LEN..limit as usize)
            .ok_or_else(|| Error::corrupt(&self.name(), self.end(), "the readable part of the file ends"))
    }

    /// Has the system read `range` of the file, so that looking at it cannot be a fault.
    pub fn fetch(&self, range: Range<u64>) -> Result<()> {
        let range = range.start as usize..range.end as usize;
        self.map.fetch(range).map_err(|source| Error::from_io(&format!("read {}", self.name()), &source))
    }

    /// Takes over what a checkpoint knows of this segment.
    pub fn import_accounts(&self, known: &CheckpointSegment) {
        self.books.import(known.live_count, known.live_bytes, &known.expiring);
        self.tombstone_bytes.store(known.tombstone_bytes, Ordering::Relaxed);
        self.expiry_next_ms.store(known.expiry_next_ms, Ordering::Relaxed);
        for seqno in [known.seqno_min, known.seqno_max].into_iter().filter(|seqno| *seqno != 0) {
            self.note_seqno(seqno);
        }
        self.note_covered(known.end);
    }

    /// What a checkpoint keeps of this segment, as the copy of the index shows it.
    pub fn export_accounts(&self) -> CheckpointSegment {
        let (live_count, live_bytes, expiring) = self.books.export();
        CheckpointSegment {
            id: self.id,
            end: self.end(),
            slot: self.slot(),
            live_count,
            live_bytes,
            tombstone_bytes: self.tombstone_bytes(),
            seqno_min: self.seqno_min(),
            seqno_max: self.seqno_max(),
            expiry_next_ms: self.expiry_next_ms(),
            expiring,
        }
    }

    /// Live records, their bytes, and (second, count) of those that expire: what its books say.
    pub fn book_sums(&self) -> (u64, u64, Vec<(u64, u64)>) {
        self.books.sums()
    }

    /// Forgets what is live of it, and that a checkpoint covers it: before all records are replayed.
    pub fn reset_accounts(&self) {
        self.books.import(0, 0, &[]);
        self.tombstone_bytes.store(0, Ordering::Relaxed);
        self.reset_expiry_next();
        self.note_covered(0);
    }

    /// Notes that the newest checkpoint covers the records below `end`.
    pub fn note_covered(&self, end: u64) {
        self.covered_end.store(end, Ordering::Relaxed);
    }

    /// Bytes of records that recovery would have to replay.
    pub fn uncovered_bytes(&self) -> u64 {
        self.end().saturating_sub(self.covered_end.load(Ordering::Relaxed).max(HEAD_LEN as u64))
    }

    /// Gives the room behind the records back to the file system, before the segment is sealed. Failure costs
    /// only room.
    pub(crate) fn punch_tail(&self) {
        let end = self.end();
        if self.file().is_ok_and(|file| file.punch_hole(end, self.file_len() - end).is_ok()) {
            self.note_punched();
        }
    }

    /// Notes that the room behind the records is not on disk.
    pub fn note_punched(&self) {
        let kept = self.end().next_multiple_of(BLOCK_BYTES).min(self.file_len());
        self.disk_bytes.store(kept, Ordering::Relaxed);
    }

    /// Bytes that the file takes on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Ordering::Relaxed)
    }

    /// Smallest seqno, 0 without records.
    pub fn seqno_min(&self) -> u64 {
        self.seqno_min.load(Ordering::Relaxed)
    }

    /// Largest seqno, 0 without records.
    pub fn seqno_max(&self) -> u64 {
        self.seqno_max.load(Ordering::Relaxed)
    }

    /// Notes that the segment holds the records `first..=last`. The caller holds the append lock, and sets append here:
    /// nobody else notes anything, and no later seqno was noted.
    pub(super) fn note_appended(&self, first: u64, last: u64) {
        if self.seqno_min.load(Ordering::Relaxed) == 0 {
            self.seqno_min.store(first, Ordering::Relaxed);
        }
        self.seqno_max.store(last, Ordering::Relaxed);
    }

    /// Notes that the segment holds a record with `seqno`.
    pub fn note_seqno(&self, seqno: u64) {
        self.seqno_max.fetch_max(seqno, Ordering::Relaxed);
        let min = self.seqno_min.load(Ordering::Relaxed);
        if min == 0 || seqno < min {
            self.seqno_min.store(seqno, Ordering::Relaxed);
        }
    }

    /// Bytes of live records.
    pub fn live_bytes(&self) -> u64 {
        self.books.live_bytes()
    }

    /// Bytes of records that are not live, tombstones included.
    pub fn dead_bytes(&self) -> u64 {
        self.record_bytes().saturating_sub(self.live_bytes())
    }

    /// Bytes of tombstones.
    pub fn tombstone_bytes(&self) -> u64 {
        self.tombstone_bytes.load(Ordering::Relaxed)
    }

    /// Notes a tombstone of `len` bytes.
    pub fn note_tombstone(&self, len: u64) {
        self.tombstone_bytes.fetch_add(len, Ordering::Relaxed);
    }

    pub(super) fn books(&self) -> &SegmentBooks {
        &self.books
    }

    /// Notes that a record lives here that expires then, if it does.
    pub(super) fn note_expiry(&self, expires_at_ms: u64) {
        if expires_at_ms != 0 {
            self.lower_expiry_next(expires_at_ms);
        }
    }

    /// No live record expires before this; `u64::MAX` if none does.
    pub fn expiry_next_ms(&self) -> u64 {
        self.expiry_next_ms.load(Ordering::Relaxed)
    }

    /// Lowers or resets the bound of [`Segment::expiry_next_ms`]: before a scan it is reset, and the
    /// scan lowers it again by what it leaves.
    pub fn reset_expiry_next(&self) {
        self.expiry_next_ms.store(u64::MAX, Ordering::Relaxed);
    }

    /// Whether the last sweep is `pause_ms` ago; if so, one is begun.
    pub fn is_sweep_due(&self, now_ms: u64, pause_ms: u64) -> bool {
        let is_due = self.swept_ms.load(Ordering::Relaxed).saturating_add(pause_ms) <= now_ms;
        if is_due {
            self.swept_ms.store(now_ms, Ordering::Relaxed);
        }
        is_due
    }

    /// Damaged: compaction leaves it alone.
    pub fn exclude_from_compaction(&self) {
        self.is_excluded_from_compaction.store(true, Ordering::Relaxed);
    }

    /// See [`Segment::exclude_from_compaction`].
    pub fn is_excluded_from_compaction(&self) -> bool {
        self.is_excluded_from_compaction.load(Ordering::Relaxed)
    }

    /// See [`Segment::reset_expiry_next`].
    pub fn lower_expiry_next(&self, expires_at_ms: u64) {
        self.expiry_next_ms.fetch_min(expires_at_ms, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_are_one_to_one() {
        assert_eq!(segment_name(1), "000001.seg");
        for id in [1, 999_999, 1_000_000, u64::MAX] {
            assert_eq!(segment_id(&segment_name(id)), Some(id));
        }
        for name in ["000000.seg", "1.seg", "0000001.seg", "+00001.seg", "000001.SEG", "seg", "x.seg"] {
            assert_eq!(segment_id(name), None, "{name}");
        }
    }
}
