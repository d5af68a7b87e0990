//! Where the next segment comes from: made ahead of need by the background, or at once if there is none.
//!
//! Not here: putting it in the active one's place (`appender`).
//!
//! Invariants: L2 (see `log`), A3 (see `appender`).

use super::super::segment::Room;
use super::super::{Log, Segment};
use super::Appender;
use crate::epoch::Epochs;
use crate::error::{Error, Result, Status};
use crate::format::manifest::Change;
use crate::options::SyncMode;
use crate::rules::{self, Rule};
use crate::storage::PageSize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Smallest segment that is tried when the disk is nearly full, bytes.
const SEGMENT_BYTES_LAST_RESORT: u64 = 64 << 10;
/// With shorter intervals, syncs that write a huge page for each few records would be the disk's main work.
const HUGE_PAGES_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Pages that are asked for at once, bytes: some milliseconds' work.
const POPULATE_BYTES: usize = 8 << 20;
/// In mode `always`, a segment is written with zeros ahead unless more than this is written to the log.
const WRITTEN_BYTES_PER_MS_MAX: u64 = 64 << 10;

impl Log {
    /// Makes a segment that the manifest names: `file_len` bytes, or as many as the disk still has,
    /// but at least `wanted`.
    pub(super) fn make_listed_segment(
        &self,
        epochs: &Epochs,
        file_len: u64,
        wanted: u64,
        room: Room,
    ) -> Result<Arc<Segment>> {
        let mut file_len = file_len;
        loop {
            let made = self.make_segment(file_len, room, self.config.bytes_max_ordinary()).and_then(|segment| {
                let named = if rules::holds(Rule::NewNameSynced) { self.storage.sync_directory() } else { Ok(()) };
                let listed = named
                    .map_err(|source| self.directory_failed(&source))
                    .and_then(|()| self.commit(&[Change::Add { id: segment.id(), file_len }]));
                match listed {
                    Ok(()) => Ok(segment),
                    Err(error) => {
                        self.unmake_segment(epochs, &segment);
                        Err(error)
                    }
                }
            });
            let smaller = (file_len / 2).max(wanted.max(SEGMENT_BYTES_LAST_RESORT).next_multiple_of(4096));
            match made {
                Err(error) if error.status() == Status::NoSpace && smaller < file_len => file_len = smaller,
                result => return result,
            }
        }
    }

    /// Makes a segment file for compaction and gives it addresses; the manifest does not name it yet.
    pub fn make_output_segment(&self, file_len: u64) -> Result<Arc<Segment>> {
        let output = self.make_segment(file_len, Room::Shared, self.config.bytes_max)?;
        // All of it is written and synced once, whatever the mode.
        output.map().populate(0..file_len as usize, PageSize::Huge);
        Ok(output)
    }

    fn make_segment(&self, file_len: u64, room: Room, bytes_max: u64) -> Result<Arc<Segment>> {
        if self.config.bytes_max != 0 && self.segments.file_bytes() + file_len > bytes_max {
            return Err(Error::new(
                Status::NoSpace,
                format!("the store would take more than its max_size of {} bytes", self.config.bytes_max),
            ));
        }
        let id = self.segment_id_next.fetch_add(1, Ordering::Relaxed);
        let segment = Arc::new(Segment::create(self.storage.as_ref(), self.store_id, id, file_len, room)?);
        match self.segments.insert(&segment, None) {
            Ok(()) => Ok(segment),
            Err(error) => {
                let _ = self.storage.remove(&segment.name());
                Err(error)
            }
        }
    }

    /// How sets store into a new segment.
    pub(super) fn room(&self) -> Room {
        if self.config.is_acknowledged_by_sync { Room::Staged } else { Room::Shared }
    }

    /// What sets store into outside of mode `always`.
    fn page_size(&self) -> PageSize {
        match self.config.sync {
            SyncMode::Interval(interval) if interval < HUGE_PAGES_INTERVAL_MIN => PageSize::Usual,
            _ => PageSize::Huge,
        }
    }

    fn room_written(&self) -> Room {
        if self.config.is_acknowledged_by_sync { Room::Written } else { Room::Shared }
    }

    /// Undoes `make_segment` for a segment that nothing refers to, and that the manifest does not name.
    pub fn unmake_segment(&self, epochs: &Epochs, segment: &Arc<Segment>) {
        self.segments.remove(epochs, segment);
        // After a failed edit the manifest may name it all the same: then the file has to be there. What stays
        // behind without need is swept on the next open (R7).
        if self.failure().is_none() || !rules::holds(Rule::FailedEditKeepsFiles) {
            let _ = self.storage.remove(&segment.name());
        }
    }

    /// Sees to it that there is a segment that is not sealed: for the next write, and for the expiry clock.
    pub fn ensure_unsealed(&self, epochs: &Epochs) -> Result<()> {
        if self.appender.lock().unsealed().is_some() {
            return Ok(());
        }
        match self.prepare_ahead(epochs, &mut || ()) {
            // A full disk is met again, and reported, by the write that needs the room.
            Err(error) if error.status() != Status::NoSpace => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the next segment before it is needed, and the reserve. True if there was something to do. `pause` is called
    /// now and then while the segment's pages come, which takes long for a large one.
    pub fn prepare_ahead(&self, epochs: &Epochs, pause: &mut dyn FnMut()) -> Result<bool> {
        if self.check_writable().is_err() {
            return Ok(false);
        }
        let (lacks_prepared, lacks_reserve, file_len, prepared_ms) = {
            let appender = self.appender.lock();
            let lacks_prepared = appender.prepared.is_empty();
            (lacks_prepared, appender.reserve.is_none(), appender.segment_bytes_next, appender.prepared_ms)
        };
        let is_fast = file_len / self.storage.now_ms().saturating_sub(prepared_ms).max(1) > WRITTEN_BYTES_PER_MS_MAX;
        if lacks_prepared {
            // What is written in large pieces does not gain from blocks that were, and would be written twice.
            let room = if is_fast { self.room() } else { self.room_written() };
            let prepared = self.make_listed_segment(epochs, file_len, 0, room)?;
            {
                let mut appender = self.appender.lock();
                self.note_made(&mut appender, file_len);
                if appender.active.is_none() {
                    self.keep_clock_in(Some(&prepared));
                }
                appender.prepared.push_back(Arc::clone(&prepared));
            }
            // Sets that need the segment meanwhile meet a few pages that are not there yet, which takes them less
            // time than to make one. Not where syncs are frequent: each page would count as changed, and the next sync
            // would write them all.
            if !self.config.is_acknowledged_by_sync {
                let file_len = file_len as usize;
                for start in (0..file_len).step_by(POPULATE_BYTES) {
                    prepared.map().populate(start..file_len.min(start + POPULATE_BYTES), self.page_size());
                    pause();
                }
            }
            return Ok(true);
        }
        if lacks_reserve {
            let reserve_bytes = self.config.reserve_bytes();
            let reserve = self.make_listed_segment(epochs, reserve_bytes, reserve_bytes, self.room())?;
            let mut appender = self.appender.lock();
            if appender.active.is_none() && appender.prepared.is_empty() {
                self.keep_clock_in(Some(&reserve));
            }
            appender.reserve = Some(reserve);
            return Ok(true);
        }
        Ok(false)
    }

    /// Decides the size of the segment after one of `file_len` bytes: as large as the store and its pace ask
    /// for, so that a small store does not take much room (segments grow fourfold at most, and take a quarter
    /// of what is live or an eighth of a second of writing).
    pub(super) fn note_made(&self, appender: &mut Appender, file_len: u64) {
        let now_ms = self.storage.now_ms();
        let elapsed_ms = now_ms.saturating_sub(appender.prepared_ms).max(1);
        let by_pace = file_len.saturating_mul(125) / elapsed_ms;
        let wanted = (self.accounts.live_bytes() / 4).max(by_pace).min(file_len.saturating_mul(4));
        let wanted = wanted.clamp(self.config.segment_bytes_first, self.config.segment_bytes);
        appender.prepared_ms = now_ms;
        appender.segment_bytes_next = wanted.next_multiple_of(4096);
    }

    /// Gives the reserve's room back to the file system, for a compaction that frees more. False if there
    /// is none.
    pub fn release_reserve(&self, epochs: &Epochs) -> Result<bool> {
        let reserve = {
            let mut appender = self.appender.lock();
            let Some(reserve) = appender.reserve.take() else { return Ok(false) };
            self.keep_clock_in(appender.active.iter().chain(&appender.prepared).next());
            reserve
        };
        let clock_ms = reserve.clock_ms();
        let committed = self.commit(&[
            Change::Remove { id: reserve.id() },
            Change::Advance { segment_id_next: 0, seqno_next: 0, clock_ms, tombstone_floor: 0 },
        ]);
        if let Err(error) = committed {
            self.appender.lock().reserve.get_or_insert(reserve);
            return Err(error);
        }
        self.retire_segment(epochs, &reserve);
        Ok(true)
    }
}
