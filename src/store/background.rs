//! What a store does by itself: prepare segments and seal them, sync at intervals, expire, compact, load what of the
//! index is in a checkpoint only, and make the next one (`periodic`).
//!
//! Three threads: the *keeper*, on whose promptness sets depend, the *sealer*, which mostly waits for the disk, and
//! the *cleaner*, whose work can wait. Each is a loop around one step, and tests call the steps themselves.
//!
//! Invariants:
//!   B1. No thread outlives `Store::close`.
//!   B2. A step that fails leaves the store usable, or the log has noted the failure (R11).

use super::inner::Inner;
use crate::compaction::{Compacted, Compactor, Sweep, reclaimable_bytes};
use crate::error::{Error, Result, Status};
use crate::expiry;
use crate::log::Segment;
use crate::options::{CompactionMode, SyncMode};
use crate::sort;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the background looks for work that nobody announced.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// A segment is swept for expired records again after this many milliseconds at the earliest.
const SWEEP_PAUSE_MS: u64 = 250;
/// After so many bytes of work the cleaner rests, unless space is short: copying them takes about as long,
/// so that it leaves half of a processor, and the disk now and then, to others.
const BYTES_PER_REST: u64 = 1 << 20;
const REST: Duration = Duration::from_millis(2);
/// Pages of the index that are loaded before the cleaner rests: a millisecond's work.
const PAGES_PER_REST: usize = 32;

impl Inner {
    fn compactor(&self) -> Compactor<'_> {
        let now_ms = self.clock.now_ms();
        // What is judged over by this time must stay so (R3).
        self.clock.note(&self.log, now_ms);
        Compactor { log: &self.log, index: &self.index, epochs: &self.epochs, hasher: self.hasher, now_ms }
    }

    /// One step of the keeper. Also while a large segment is prepared, `is_sync_due` is asked.
    pub(super) fn keep(&self, is_sync_due: &mut dyn FnMut() -> bool) {
        let mut sync_if_due = || if is_sync_due() { self.log.sync_all() } else { Ok(()) };
        self.contained(|| {
            // The log notes what fails, and a full disk is met again, and reported, by the write that needs the room.
            let mut pause = || drop(sync_if_due());
            while self.log.prepare_ahead(&self.epochs, &mut pause).unwrap_or(false) {}
            sync_if_due()
        });
        self.judge_space();
    }

    /// One step of the sealer.
    pub(super) fn seal(&self) {
        self.contained(|| {
            while self.log.seal_next()? {
                self.judge_space();
            }
            Ok(())
        });
    }

    /// Slows sets down while the store takes more space than it may and compaction could change that.
    fn judge_space(&self) {
        let segments = self.log.segments().all();
        let live_bytes = self.log.accounts().live_bytes();
        let file_bytes: u64 = segments.iter().map(|segment| segment.disk_bytes()).sum();
        let dead_bytes: u64 = segments.iter().map(|segment| segment.dead_bytes()).sum();
        let allowed_bytes = live_bytes + live_bytes / 2 + 2 * self.log.config().segment_bytes;
        let can_shrink = dead_bytes > live_bytes / 4 + self.log.config().segment_bytes_first;
        let is_auto = self.options.compaction == CompactionMode::Auto && !self.is_closing.load(Ordering::Relaxed);
        self.log.set_crowded(is_auto && can_shrink && file_bytes > allowed_bytes && self.log.check_writable().is_ok());
    }

    /// One step of the cleaner; true if there may be more to do at once.
    pub(super) fn clean(&self, rest: &mut dyn FnMut(Duration)) -> bool {
        self.epochs.collect();
        let is_loading = self.contained(|| Ok(self.index.load_ahead(PAGES_PER_REST))).unwrap_or(false);
        if is_loading {
            rest(REST);
        } else {
            // Before the compaction, which may have something to do for ever.
            self.contained(|| {
                self.checkpoint_if_due(rest);
                Ok(())
            });
        }
        let has_compacted = self.contained(|| {
            self.expire_due();
            if self.options.compaction == CompactionMode::Auto { self.compact_some(rest) } else { Ok(false) }
        });
        is_loading || has_compacted.unwrap_or(false)
    }

    /// Runs background work: whatever goes wrong ends here.
    fn contained<R>(&self, work: impl FnOnce() -> Result<R>) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(result) => result.ok(),
            Err(_) => {
                self.log.fail(&Error::new(Status::Panic, "a bug in the background was contained"));
                None
            }
        }
    }

    /// Takes expired records out of the index, where something is due.
    fn expire_due(&self) {
        if self.log.config().is_read_only {
            return;
        }
        let now_ms = self.clock.now_ms();
        for segment in self.log.segments().all() {
            if segment.expiry_next_ms() <= now_ms && segment.is_sweep_due(now_ms, SWEEP_PAUSE_MS) {
                let count = expiry::sweep(&self.log, &self.index, self.hasher, &segment, now_ms);
                if count > 0 {
                    self.clock.note(&self.log, now_ms);
                }
            }
            if self.is_closing.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Compacts once if space is to be had; true if something was done.
    pub(super) fn compact_some(&self, rest: &mut dyn FnMut(Duration)) -> Result<bool> {
        let Some(mut sweep) = self.compaction.try_lock() else { return Ok(false) };
        let floor = self.log.with_manifest(|manifest| manifest.state().tombstone_floor);
        let sealed = self.sealed();
        let live_bytes = self.log.accounts().live_bytes();
        let dead_bytes: u64 = sealed.iter().map(|segment| reclaimable_bytes(segment, floor)).sum();
        // Of tombstones that a sweep would set free; others count as dead already.
        let guards = sealed.iter().filter(|segment| segment.seqno_max() > floor);
        let guard_bytes: u64 = guards.map(|segment| segment.tombstone_bytes()).sum();
        // Half of what design.md allows (half of the live bytes), so that there is time to do it in.
        let slack_bytes = live_bytes / 4 + self.log.config().segment_bytes_first / 2;
        let is_urgent = dead_bytes > live_bytes / 3 + self.log.config().segment_bytes;
        let mut pace = self.pace(is_urgent, rest);
        let compactor = self.compactor();
        let done = if dead_bytes > slack_bytes || sealed.iter().any(|s| s.live_bytes() == 0 && is_free(s, floor)) {
            let inputs = self.worst(&sealed, floor);
            if inputs.is_empty() { None } else { Some(self.compact_inputs(&compactor, inputs, &mut sweep, &mut pace)?) }
        } else if sweep.is_some() || guard_bytes > live_bytes / 8 + self.log.config().segment_bytes_first / 4 {
            let started = sweep.get_or_insert_with(|| self.start_sweep());
            if !started.is_useful(floor) {
                *sweep = None;
                return Ok(false);
            }
            match compactor.sweep_next(started, &mut pace) {
                Ok(Some(done)) => Some(done),
                // When there is room it goes on.
                Err(error) if error.status() == Status::NoSpace => return Err(error),
                over => {
                    // Also on damage: that segment is excluded from now on, which the next sweep accounts for.
                    *sweep = None;
                    over?
                }
            }
        } else {
            None
        };
        if let Some(done) = &done {
            self.count(done);
            self.judge_space();
        }
        Ok(done.is_some())
    }

    /// A sweep over everything that is sealed now.
    fn start_sweep(&self) -> Sweep {
        // In this order: what is appended after the first look is not the sweep's business.
        let seqno_next = self.log.seqno_next();
        Sweep::start(&self.index, seqno_next, &self.log.segments().all())
    }

    fn count(&self, done: &Compacted) {
        if done.segments > 0 {
            self.counters.compactions.fetch_add(1, Ordering::Relaxed);
            self.counters.compacted_bytes.fetch_add(done.output_bytes, Ordering::Relaxed);
        }
    }

    /// Compacts `inputs`; on a full disk, the first of them alone, and at last without the reserve.
    fn compact_inputs(
        &self,
        compactor: &Compactor<'_>,
        mut inputs: Vec<Arc<Segment>>,
        sweep: &mut Option<Sweep>,
        pace: &mut dyn FnMut(u64),
    ) -> Result<Compacted> {
        loop {
            match compactor.run(&inputs, sweep.as_mut(), pace) {
                Err(error) if error.status() == Status::NoSpace && inputs.len() > 1 => inputs.truncate(1),
                Err(error) if error.status() == Status::NoSpace && self.log.release_reserve(&self.epochs)? => {}
                Err(error) if error.status() == Status::Corrupt => {
                    // The sweep goes without what is damaged: it must not end as if it had seen it.
                    *sweep = None;
                    return Err(error);
                }
                result => return result,
            }
        }
    }

    fn sealed(&self) -> Vec<Arc<Segment>> {
        let mut all = self.log.segments().all();
        all.retain(|segment| segment.is_sealed() && !segment.is_excluded_from_compaction());
        all
    }

    /// The segments with the largest dead share, as many as one output segment can hold the rest of.
    fn worst(&self, sealed: &[Arc<Segment>], floor: u64) -> Vec<Arc<Segment>> {
        let share = |segment: &Arc<Segment>| match segment.record_bytes() {
            // Without a record all of it goes.
            0 => 1.0,
            bytes => reclaimable_bytes(segment, floor) as f64 / bytes as f64,
        };
        let shares: Vec<_> = sealed.iter().map(|segment| (share(segment), segment)).collect();
        // Of numbers that are not negative, the bits are in the same order.
        let sorted = sort::by_key(shares, |(share, _)| u64::MAX - share.max(0.0).to_bits());
        let mut kept_bytes = 0;
        let mut inputs = Vec::new();
        for (share, segment) in sorted {
            kept_bytes += segment.record_bytes() - reclaimable_bytes(segment, floor).min(segment.record_bytes());
            if share <= 0.1 || (kept_bytes > self.log.config().segment_bytes && !inputs.is_empty()) {
                break;
            }
            inputs.push(Arc::clone(segment));
        }
        inputs
    }

    /// Has the cleaner rest after every `BYTES_PER_REST`, unless space is short or the store is being closed.
    pub(super) fn pace<'a>(&'a self, is_urgent: bool, rest: &'a mut dyn FnMut(Duration)) -> impl FnMut(u64) + 'a {
        let mut bytes = 0;
        move |worked| {
            bytes += worked;
            if bytes >= BYTES_PER_REST && !is_urgent && !self.is_closing.load(Ordering::Relaxed) {
                rest(REST);
                bytes = 0;
            }
        }
    }

    /// Everything that can be reclaimed, now: tombstones too.
    pub(super) fn compact_all(&self) -> Result<()> {
        self.log.check_writable()?;
        let mut sweep = self.compaction.lock();
        self.expire_due();
        self.log.rotate_active(&self.epochs)?;
        while self.log.seal_next()? {}
        let mut no_pace = |_| {};
        *sweep = Some(self.start_sweep());
        while let Some(started) = sweep.as_mut() {
            self.check_closing()?;
            let compactor = self.compactor();
            match compactor.sweep_next(started, &mut no_pace) {
                Ok(Some(done)) => self.count(&done),
                Ok(None) => *sweep = None,
                Err(error) if error.status() == Status::NoSpace => {
                    // First what leaves least to copy, whatever its turn.
                    let floor = self.log.with_manifest(|manifest| manifest.state().tombstone_floor);
                    let inputs: Vec<_> = self.worst(&self.sealed(), floor).into_iter().take(1).collect();
                    if inputs.is_empty() {
                        return Err(error);
                    }
                    let done = self.compact_inputs(&compactor, inputs, &mut sweep, &mut no_pace)?;
                    self.count(&done);
                }
                Err(error) => {
                    *sweep = None;
                    return Err(error);
                }
            }
        }
        let floor = self.log.with_manifest(|manifest| manifest.state().tombstone_floor);
        let limit_bytes = self.log.config().segment_bytes;
        let mut inputs: Vec<Arc<Segment>> = Vec::new();
        let mut groups = Vec::new();
        let mut kept_bytes = 0;
        for segment in self.sealed() {
            let is_small = segment.record_bytes() < limit_bytes / 4;
            if reclaimable_bytes(&segment, floor) == 0 && !is_small {
                continue;
            }
            if kept_bytes + segment.live_bytes() > limit_bytes && !inputs.is_empty() {
                groups.push(std::mem::take(&mut inputs));
                kept_bytes = 0;
            }
            kept_bytes += segment.live_bytes();
            inputs.push(segment);
        }
        groups.push(inputs);
        for group in groups {
            self.check_closing()?;
            let is_pointless = group.len() < 2 && group.iter().all(|s| reclaimable_bytes(s, floor) == 0);
            if !is_pointless {
                let done = self.compact_inputs(&self.compactor(), group, &mut sweep, &mut no_pace)?;
                self.count(&done);
            }
        }
        Ok(())
    }

    fn check_closing(&self) -> Result<()> {
        if self.is_closing.load(Ordering::Relaxed) {
            return Err(Error::new(Status::Closed, "the store was closed during a long call"));
        }
        Ok(())
    }

    /// How often the keeper syncs.
    pub(super) fn sync_interval(&self) -> Option<Duration> {
        match self.options.sync {
            SyncMode::Interval(interval) => Some(interval),
            SyncMode::Always | SyncMode::None => None,
        }
    }
}

/// Whether compacting a segment without live records leaves nothing of it.
fn is_free(segment: &Segment, floor: u64) -> bool {
    segment.record_bytes() == 0 || reclaimable_bytes(segment, floor) == segment.record_bytes()
}
