//! Checkpoints of a store that is open: so that recovery after a kill has a bounded log to replay.
//!
//! One is due when recovery would have to replay more than a bound, which grows with the index so that writing it
//! stays a small part of what the disk does. The active segment is ended first: what a checkpoint covers is
//! sealed, so nothing is added to it while the index is copied, page by page.
//!
//! Not here: writing the file (`checkpoint`), the one of a close (`open`).
//!
//! Locks: `compaction`, from the choice of the segments until the file has its name: records stay where they are.

use super::inner::Inner;
use crate::checkpoint;
use crate::error::Result;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a checkpoint waits for writes that are durable to be settled: a moment, if their threads run.
const SETTLE_WAIT: Duration = Duration::from_millis(1);
const SETTLE_WAITS_MAX: u32 = 1_000;

impl Inner {
    /// Makes a checkpoint if it is time. None is made if anything goes wrong, which is no error.
    pub(super) fn checkpoint_if_due(&self, rest: &mut dyn FnMut(Duration)) {
        if self.log.check_writable().is_err() || self.is_closing.load(Ordering::Relaxed) {
            return;
        }
        let replay_bytes: u64 = self.log.segments().all().iter().map(|segment| segment.uncovered_bytes()).sum();
        let for_index = self.index.memory_bytes().saturating_mul(self.tuning.checkpoint_index_multiple);
        let bound_bytes = self.tuning.checkpoint_bytes.max(for_index);
        let put_off_bytes = self.checkpoint_put_off_bytes.load(Ordering::Relaxed);
        // Compaction has the first turn when space is short, but not for ever.
        let is_late = replay_bytes > bound_bytes.saturating_mul(2);
        if replay_bytes <= bound_bytes.max(put_off_bytes) || (self.log.is_crowded() && !is_late) {
            return;
        }
        let Some(_nobody_moves_records) = self.compaction.try_lock() else { return };
        let put_off_bytes = match self.make_checkpoint(rest) {
            Ok(true) => 0,
            // Not yet: with the next step.
            Ok(false) => return,
            // Perhaps the disk is full. Not again before as much has been written once more.
            Err(_) => replay_bytes.saturating_add(bound_bytes),
        };
        self.checkpoint_put_off_bytes.store(put_off_bytes, Ordering::Relaxed);
    }

    /// False if it has to wait for something.
    fn make_checkpoint(&self, rest: &mut dyn FnMut(Duration)) -> Result<bool> {
        if !self.log.end_active(&self.epochs)? {
            return Ok(false);
        }
        while self.log.seal_next()? {}
        let mut covered = self.log.segments().all();
        covered.retain(|segment| segment.is_sealed());
        // Every record of theirs is in the index from here on, or was and is no more.
        self.index.wait_for_writers();
        // A tombstone stands in the index until its delete has settled; and nothing that settles comes to what
        // is sealed.
        let mut waits = 0;
        while self.has_unsettled_in_sealed() {
            if waits == SETTLE_WAITS_MAX {
                return Ok(false);
            }
            rest(SETTLE_WAIT);
            waits += 1;
        }
        let mut pace = self.pace(self.log.is_crowded(), rest);
        checkpoint::write(&self.log, &self.index, &covered, &mut |bytes| {
            pace(bytes);
            !self.is_closing.load(Ordering::Relaxed)
        })?;
        Ok(true)
    }

    fn has_unsettled_in_sealed(&self) -> bool {
        let guard = self.epochs.enter();
        let segments = self.log.segments();
        self.unsettled.any(|location| segments.resolve(&guard, location).is_none_or(|(segment, _)| segment.is_sealed()))
    }
}
