//! The new store that a salvage writes: sealed segments, then the manifest that names them.
//!
//! The manifest comes last: a salvage that is cut short leaves segments without one, which no open takes for a store.
//!
//! Not here: which records are written.
//!
//! Invariants:
//!   SG1. Records keep seqno and expiry (R2); their checksums are made anew, for their new place.
//!   SG2. Everything is durable before the directory is a store.

use crate::error::{Error, Result, Status};
use crate::format::manifest::{Change, ManifestHead};
use crate::format::record::{self, Head, Record};
use crate::format::segment::HEAD_LEN;
use crate::log::segment::Room;
use crate::log::{Failure, Manifest, Segment};
use crate::rules::{self, Rule};
use crate::storage::{LockGuard, Storage};
use std::sync::Arc;

pub(super) struct Target {
    storage: Arc<dyn Storage>,
    head: ManifestHead,
    segment_bytes: u64,
    current: Option<Segment>,
    changes: Vec<Change>,
    segment_id_next: u64,
    /// Bytes of the records written.
    pub(super) bytes: u64,
    _lock: Box<dyn LockGuard>,
}

impl Target {
    /// A store to be, in an empty directory.
    pub(super) fn new(storage: &Arc<dyn Storage>, segment_bytes: u64) -> Result<Self> {
        let place = storage.describe();
        let is_empty = || {
            let names = storage.list().map_err(|source| Error::from_io(&format!("list {place}"), &source))?;
            match names.iter().find(|name| *name != "LOCK") {
                Some(name) => Err(Error::new(
                    Status::InvalidArgument,
                    format!("{place} is to be a new store but is not empty: it holds \"{name}\""),
                )),
                None => Ok(()),
            }
        };
        is_empty()?;
        let busy = |_| Error::new(Status::Busy, format!("{place} is open in another process or handle"));
        let lock = storage.lock().map_err(busy)?;
        is_empty()?;
        Ok(Self {
            storage: Arc::clone(storage),
            head: ManifestHead { store_id: storage.random_u64(), hash_seed: storage.random_u64() },
            segment_bytes,
            current: None,
            changes: Vec::new(),
            segment_id_next: 1,
            bytes: 0,
            _lock: lock,
        })
    }

    /// Appends a copy of `source`.
    pub(super) fn put(&mut self, source: &Record<'_>) -> Result<()> {
        let head = Head { is_in_batch: false, ..source.head };
        let len = head.record_len();
        if self.current.as_ref().is_some_and(|segment| segment.end() + len > segment.file_len()) {
            self.seal()?;
        }
        let segment = match self.current.take() {
            Some(segment) => segment,
            None => {
                let id = self.segment_id_next;
                self.segment_id_next += 1;
                let file_len = self.segment_bytes.max((HEAD_LEN as u64 + len).next_multiple_of(4096));
                Segment::create(self.storage.as_ref(), self.head.store_id, id, file_len, Room::Shared)?
            }
        };
        let segment = self.current.insert(segment);
        let mut claim = segment
            .map()
            .claim(len as usize)
            .ok_or_else(|| Error::new(Status::Panic, "a segment of the new store is too small"))?;
        let offset = claim.start() as u64;
        record::write(claim.bytes(), segment.seed(), offset, &head, source.key(), source.value());
        claim.publish();
        segment.note_seqno(head.seqno);
        self.bytes += len;
        Ok(())
    }

    fn seal(&mut self) -> Result<()> {
        let Some(segment) = self.current.take() else { return Ok(()) };
        let (id, end) = (segment.id(), segment.end());
        // So that it is swept up if this fails.
        self.changes.push(Change::Add { id, file_len: segment.file_len() });
        if rules::holds(Rule::SalvageSynced) {
            segment.sync_through(end, &Failure::default())?;
        }
        segment.punch_tail();
        let (seqno_min, seqno_max) = (segment.seqno_min(), segment.seqno_max());
        self.changes.push(Change::Seal { id, end, seqno_min, seqno_max });
        Ok(())
    }

    /// Makes the directory a store. Its next write's seqno is `seqno_next`, its expiry clock starts at `clock_ms`.
    pub(super) fn finish(&mut self, seqno_next: u64, clock_ms: u64) -> Result<()> {
        self.seal()?;
        self.storage
            .sync_directory()
            .map_err(|source| Error::new(Status::Io, format!("cannot sync the directory: {source}")))?;
        self.changes.push(Change::Advance { segment_id_next: 0, seqno_next, clock_ms, tombstone_floor: 0 });
        self.changes.push(Change::Close { id: 0, end: 0, seqno_next });
        Manifest::create_with(self.storage.as_ref(), self.head, &self.changes)
    }

    /// Removes what was written, after a failure.
    pub(super) fn abandon(mut self) {
        self.current = None;
        for id in 1..self.segment_id_next {
            // Best effort: without a manifest they count for nothing.
            let _ = self.storage.remove(&crate::log::segment::segment_name(id));
        }
    }
}
