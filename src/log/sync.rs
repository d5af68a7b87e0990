//! Making the log durable.
//!
//! A sync takes what is published when it begins, segment after segment in log order. Writers that wait
//! for one at the same time share it (`group`).
//!
//! Invariants:
//!   Y1. A write counts as durable only after a sync that covered it returned success, and never after
//!       the first failure (R11).
//!
//! Locks: none of its own, and none is held during a sync but the one that has the syncs of a segment follow
//! each other.

use super::group::Term;
use super::{Log, Segment};
use crate::error::{Error, Result, Status};
use crate::rules::{self, Rule};
use std::io;
use std::sync::atomic::Ordering;

impl Log {
    /// Returns once every write up to `seqno` is durable. Writers that wait together share one sync.
    pub fn sync_through(&self, seqno: u64) -> Result<()> {
        self.sync.through(seqno, || self.check_unfailed(), |term| self.sync_published(term)).inspect_err(|_| {
            // Whatever failed, also a change of the manifest: these writes will not be acknowledged.
            if self.config.is_acknowledged_by_sync {
                self.cut_unacknowledged();
            }
        })
    }

    /// The first failure, if there was one: no sync after it proves anything.
    fn check_unfailed(&self) -> Result<()> {
        if !self.failure.has_failed.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(self.failure().unwrap_or_else(|| Error::from(Status::ReadOnly)))
    }

    /// Makes everything durable that was appended before the call, and the expiry clock.
    pub fn sync_all(&self) -> Result<()> {
        let last = self.seqno_next() - 1;
        self.sync_clock()?;
        self.sync_through(last)
    }

    /// Syncs what is published, in log order (L3).
    fn sync_published(&self, term: &Term<'_>) -> Result<()> {
        let (rotated, active, seqno) = {
            let appender = self.appender.lock();
            let active = appender.active.clone().map(|active| {
                let end = active.map().tail();
                (active, end)
            });
            (appender.rotated.clone(), active, appender.seqno_next - 1)
        };
        term.covers(seqno);
        self.sync_clock()?;
        for full in &rotated {
            self.sync_segment(full, full.end())?;
        }
        if let Some((active, end)) = active {
            if !active.map().wait_published(end) {
                return Err(Error::new(Status::Panic, "a write broke off in the middle"));
            }
            self.sync_segment(&active, end as u64)?;
        }
        Ok(())
    }

    /// Makes the clock words durable: of segments without new records too.
    fn sync_clock(&self) -> Result<()> {
        if !rules::holds(Rule::SyncHasClock) || !self.is_clock_unsynced.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        for segment in self.segments.all().iter().filter(|segment| segment.has_unsynced_clock()) {
            self.sync_segment(segment, segment.durable())?;
        }
        Ok(())
    }

    /// Syncs one segment; the first failure makes the store read-only (R11).
    pub(super) fn sync_segment(&self, segment: &Segment, end: u64) -> Result<()> {
        if segment.is_synced_through(end) {
            return Ok(());
        }
        self.syncs.fetch_add(1, Ordering::Relaxed);
        segment.sync_through(end, &self.failure).inspect_err(|error| {
            if rules::holds(Rule::FailureKept) {
                self.fail(error);
            }
            if self.config.is_acknowledged_by_sync {
                self.cut_unacknowledged();
            }
        })
    }

    /// Makes a compaction's output durable, its name too.
    pub fn sync_output(&self, output: &Segment) -> Result<()> {
        if rules::holds(Rule::OutputSynced) {
            self.sync_segment(output, output.end())?;
        }
        if !rules::holds(Rule::OutputNameSynced) {
            return Ok(());
        }
        self.storage.sync_directory().map_err(|source| self.directory_failed(&source))
    }

    /// A failed sync of the directory is one like any other: names that it was to write stay lost (R11).
    pub(super) fn directory_failed(&self, source: &io::Error) -> Error {
        let error = Error::new(Status::Io, format!("cannot sync the directory: {source}"));
        if rules::holds(Rule::DirectoryCounts) {
            self.fail(&error);
        }
        error
    }

    /// Nothing behind the durable marks was acknowledged: none of it may count at the next open (R12).
    fn cut_unacknowledged(&self) {
        if !rules::holds(Rule::TailCut) {
            return;
        }
        let appender = self.appender.lock();
        // A full segment that is durable to its end is not where history ends.
        let unfinished = appender
            .rotated
            .iter()
            .filter(|segment| segment.durable() < segment.end() || !rules::holds(Rule::OnlyUnfinishedCut));
        for segment in unfinished.chain(&appender.active) {
            segment.cut_at_durable();
        }
    }
}
