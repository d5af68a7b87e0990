//! How a segment becomes durable: all of it, or what a group has appended, and the word in its head that says how far.
//!
//! Not here: when, and for whom (`log::sync`).
//!
//! Invariants: S3 (see `segment`), H1 (see `format::segment`).
//!
//! Locks: `syncs`, held during a sync, so that those of one segment follow each other; then that of the failure, for two
//! stores.

use super::super::Failure;
use super::Segment;
use crate::error::{Error, Result, Status};
use crate::format::segment::{self as head, DURABLE_WORD, Durable};
use crate::rules::{self, Rule};
use std::sync::atomic::Ordering;

const REWRITE_CHUNK_BYTES: u64 = 1 << 20;
/// A sync of no more than this much writes that alone, and not the head with its words ...
const GROUP_BYTES_MAX: u64 = 64 << 10;
/// ... but for the first of a segment and one in so many: the durable word on the disk is that many syncs behind at most.
const HEAD_EVERY: u32 = 16;

/// What the syncs of a segment came to.
pub(super) struct Syncs {
    has_failed: bool,
    /// How many there were since the last that wrote the head.
    headless_count: u32,
}

impl Default for Syncs {
    fn default() -> Self {
        Self { has_failed: false, headless_count: HEAD_EVERY }
    }
}

impl Segment {
    /// Whether a sync would make nothing below `end` durable that is not, nor the clock word.
    pub(crate) fn is_synced_through(&self, end: u64) -> bool {
        self.durable() >= end && !self.has_unsynced_clock()
    }

    /// Whether the clock word has changed since the last sync.
    pub(crate) fn has_unsynced_clock(&self) -> bool {
        self.has_unsynced_clock.load(Ordering::Acquire)
    }

    /// Syncs, and remembers that everything below `end` is durable, unless `failure` came first: who was refused
    /// because of it has been told that nothing behind the durable end counts.
    pub(crate) fn sync_through(&self, end: u64, failure: &Failure) -> Result<()> {
        debug_assert!(end <= self.end(), "S3: durable is never ahead of published");
        let mut syncs = self.syncs.lock();
        if self.is_synced_through(end) {
            return Ok(());
        }
        // Before the sync: a word that is stored meanwhile asks for another one.
        let has_new_clock = self.has_unsynced_clock.swap(false, Ordering::AcqRel);
        let start = self.durable();
        let is_group =
            !has_new_clock && end.saturating_sub(start) <= GROUP_BYTES_MAX && syncs.headless_count + 1 < HEAD_EVERY;
        let result = if syncs.has_failed {
            Err(Error::new(Status::Io, format!("an earlier sync of {} has failed", self.name())))
        } else {
            let range = start.min(end) as usize..end as usize;
            let file = self.file()?;
            let synced = if is_group {
                file.sync_range(&self.map, range)
            } else {
                self.map.write_out(range).and_then(|()| file.sync())
            };
            synced.map_err(|source| Error::new(Status::Io, format!("cannot sync {}: {source}", self.name())))
        };
        syncs.headless_count = if is_group { syncs.headless_count + 1 } else { 0 };
        syncs.has_failed = result.is_err();
        result?;
        if self.durable() >= end {
            return Ok(());
        }
        failure.unless_failed(|| {
            // The word first: who sees `durable` may seal the segment, and then a store to its map is a fault.
            self.store_durable_word(end, false);
            self.durable.store(end, Ordering::Release);
        })
    }

    /// After a failed sync of mode `always`: what lies behind the durable end never counts (R12).
    pub(crate) fn cut_at_durable(&self) {
        self.store_durable_word(self.durable(), true);
    }

    fn store_durable_word(&self, end: u64, is_cut: bool) {
        self.map.word(DURABLE_WORD).store(head::encode_durable(self.seed, Durable { end, is_cut }));
    }

    /// The durable word as it stands in the file.
    pub fn durable_word(&self) -> Result<Durable> {
        let word = self.map.word(DURABLE_WORD).load();
        head::decode_durable(self.seed, word)
            .ok_or_else(|| Error::corrupt(&self.name(), DURABLE_WORD as u64, "the durable word fails its check"))
    }

    /// Writes what lies between the durable word's end and `end` once more, byte for byte, and syncs:
    /// after an earlier failure, pages that look clean may not be on the disk.
    pub fn rewrite_through(&self, end: u64) -> Result<()> {
        let failed = |source| Error::from_io(&format!("write {}", self.name()), &source);
        let file = self.file()?;
        let Durable { end: mut offset, is_cut } = self.durable_word()?;
        while offset < end {
            let chunk_end = end.min(offset + REWRITE_CHUNK_BYTES);
            if let Some(bytes) = self.map.read(offset as usize..chunk_end as usize) {
                // By way of a copy: the target is the very memory that the map shows.
                let copy = bytes.to_vec();
                if rules::holds(Rule::KeptRewritten) {
                    file.write_at(&copy, offset).map_err(failed)?;
                }
            }
            offset = chunk_end;
        }
        if rules::holds(Rule::KeptSynced) {
            file.sync().map_err(|source| Error::from_io(&format!("sync {}", self.name()), &source))?;
        }
        // A cut stays one until the manifest has sealed the segment: recovery may begin again before (RC3).
        self.store_durable_word(end, is_cut);
        Ok(())
    }
}
