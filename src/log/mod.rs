//! The log: segments on disk, records in them, and the manifest that says which of them count.
//!
//! [`Log`] puts the parts together: where a location leads (`segments`), where the next record goes
//! (`appender`), when it is durable (`sync`), and what is live (`accounts`).
//!
//! Not here: which record is a key's present one (`index`), rebuilding that after a crash
//! (`recovery`), reclaiming space (`compaction`).
//!
//! Invariants:
//!   L1. Records of the segments that are written to by sets carry consecutive seqnos, in the order
//!       of their places: what is published is always a prefix of the history.
//!   L2. A segment is named by the manifest, durably, before a record in it is acknowledged; that of a
//!       compaction is named together with its end, when all its records are durable.
//!   L3. Durable marks rise in log order: a segment is synced after the ones before it.
//!
//! Locks, in this order: an index stripe (never taken here) → `sealing` → `appender` → `segments` →
//! `manifest`, `clock_segment`.
//! `sync` has its own, held while none of the others is waited for.

pub mod accounts;
mod appender;
mod group;
pub mod manifest;
pub mod scanner;
pub mod segment;
pub mod segments;
mod sync;

pub use accounts::Accounts;
pub use appender::{Append, Priority, Written};
pub use manifest::Manifest;
pub use segment::Segment;
pub use segments::{Located, Segments};

use crate::epoch::{EpochGuard, Epochs};
use crate::error::{Error, Result, Status};
use crate::format::manifest::Change;
use crate::index::Location;
use crate::lock::Mutex;
use crate::options::SyncMode;
use crate::rules::{self, Rule};
use crate::storage::Storage;
use appender::Appender;
use group::GroupSync;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex as WaitMutex, MutexGuard as WaitGuard, PoisonError};
use std::time::Duration;

/// The longest that a small set waits because the store is crowded: long against writing it, short against what a
/// caller notices. It waits once more for every so many bytes, up to a limit.
const CROWDED_WAIT: Duration = Duration::from_micros(500);
const CROWDED_WAIT_BYTES: u64 = 8 << 10;
const CROWDED_WAITS_MAX: u64 = 20;

/// What the log is told once, when it is opened.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Size that segments grow to, bytes.
    pub segment_bytes: u64,
    /// Size of the first segment, bytes.
    pub segment_bytes_first: u64,
    /// Most bytes the segments may take; 0 is no limit.
    pub bytes_max: u64,
    /// When an acknowledged write is durable.
    pub sync: SyncMode,
    /// No write counts before a sync that covered it: so in mode `always`.
    pub is_acknowledged_by_sync: bool,
    /// Nothing may be written.
    pub is_read_only: bool,
}

impl LogConfig {
    /// Bytes of the segment that only deletes and compaction may use.
    pub fn reserve_bytes(&self) -> u64 {
        let wanted = (self.segment_bytes / 64).clamp(64 << 10, 1 << 20).min(self.segment_bytes);
        if self.bytes_max == 0 { wanted } else { wanted.min((self.bytes_max / 16).next_multiple_of(4096)) }
    }

    /// Bytes that sets may fill; the rest of `bytes_max` is for compaction to work in.
    fn bytes_max_ordinary(&self) -> u64 {
        self.bytes_max - (self.bytes_max / 8).min(self.segment_bytes)
    }
}

/// What recovery has put together.
pub struct LogParts {
    /// All segments.
    pub segments: Segments,
    /// What is live in them.
    pub accounts: Accounts,
    /// The manifest.
    pub manifest: Manifest,
    /// The segment that is appended to next; without one, the first write makes one.
    pub active: Option<Arc<Segment>>,
    /// Empty segments that the manifest names.
    pub prepared: Vec<Arc<Segment>>,
    /// The next write's seqno.
    pub seqno_next: u64,
}

/// Wakes the background when there is something to do.
///
/// Its condition variable is the standard one, as the mutexes are (`lock`).
#[derive(Default)]
pub struct Signal {
    is_set: WaitMutex<bool>,
    changed: Condvar,
}

impl Signal {
    // A flag is whole whatever its holder died of.
    fn lock(&self) -> WaitGuard<'_, bool> {
        self.is_set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep<'a>(&'a self, is_set: WaitGuard<'a, bool>, timeout: Duration) -> WaitGuard<'a, bool> {
        self.changed.wait_timeout(is_set, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes whoever waits, or the next to wait.
    pub fn notify(&self) {
        *self.lock() = true;
        self.changed.notify_one();
    }

    /// Waits until `is_over`, which whoever changes it announces by `notify_all`, or for `timeout`.
    pub fn wait_until(&self, timeout: Duration, is_over: impl Fn() -> bool) {
        let is_set = self.lock();
        if !is_over() {
            drop(self.sleep(is_set, timeout));
        }
    }

    /// Wakes everybody who waits in `wait_until`.
    pub fn notify_all(&self) {
        let _is_set = self.lock();
        self.changed.notify_all();
    }

    /// Waits for `notify`, or for `timeout`.
    pub fn wait(&self, timeout: Duration) {
        let mut is_set = self.lock();
        if !*is_set {
            is_set = self.sleep(is_set, timeout);
        }
        *is_set = false;
    }
}

/// The first failure after which no write may be acknowledged (R11).
#[derive(Default)]
pub struct Failure {
    first: Mutex<Option<Error>>,
    has_failed: AtomicBool,
}

impl Failure {
    /// See [`Log::fail`].
    pub fn note(&self, error: &Error) {
        let mut first = self.first.lock();
        first.get_or_insert_with(|| error.clone());
        self.has_failed.store(true, Ordering::Release);
    }

    /// Does what must not happen after a failure; the failure if there was one. Whoever is told of a failure finds
    /// this done before it, or never.
    pub(crate) fn unless_failed(&self, act: impl FnOnce()) -> Result<()> {
        let first = self.first.lock();
        if let Some(error) = &*first {
            return Err(error.clone());
        }
        act();
        Ok(())
    }
}

/// The log of one open store.
pub struct Log {
    storage: Arc<dyn Storage>,
    config: LogConfig,
    store_id: u64,
    segment_id_next: AtomicU64,
    segments: Segments,
    accounts: Accounts,
    /// Set when there is something to prepare.
    work: Signal,
    /// Set when there is something to seal.
    seal_work: Signal,
    /// Whether sets have to wait for space to be reclaimed, and the end of that.
    is_crowded: AtomicBool,
    room: Signal,
    appender: Mutex<Appender>,
    /// Where the expiry clock is noted. Held for a few instructions, by readers too.
    clock_segment: Mutex<Option<Arc<Segment>>>,
    /// Held while a segment is sealed: the sealer, a checkpoint, a compaction and a close may all want to.
    sealing: Mutex<()>,
    manifest: Mutex<Manifest>,
    sync: GroupSync,
    failure: Arc<Failure>,
    syncs: AtomicU64,
    /// Some segment's clock word has changed since it was synced.
    is_clock_unsynced: AtomicBool,
}

impl Log {
    /// A log over the segments that recovery has opened, of which everything is durable.
    pub fn new(storage: Arc<dyn Storage>, config: LogConfig, parts: LogParts) -> Self {
        let LogParts { segments, accounts, manifest, active, prepared, seqno_next } = parts;
        let store_id = manifest.head().store_id;
        let segment_id_next = AtomicU64::new(manifest.state().segment_id_next);
        let appender = Appender::new(&config, active, prepared, seqno_next);
        Self {
            storage,
            store_id,
            segment_id_next,
            segments,
            accounts,
            clock_segment: Mutex::new(appender.unsealed()),
            appender: Mutex::new(appender),
            sealing: Mutex::new(()),
            manifest: Mutex::new(manifest),
            sync: GroupSync::new(seqno_next - 1),
            work: Signal::default(),
            seal_work: Signal::default(),
            is_crowded: AtomicBool::new(false),
            room: Signal::default(),
            failure: Arc::default(),
            syncs: AtomicU64::new(0),
            is_clock_unsynced: AtomicBool::new(false),
            config,
        }
    }

    /// The store's directory.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// What the log was told when it was opened.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// All segments.
    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    /// What is live.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Set when there is something to prepare.
    pub fn work(&self) -> &Signal {
        &self.work
    }

    /// Set when there is something to seal.
    pub fn seal_work(&self) -> &Signal {
        &self.seal_work
    }

    /// Says whether the store takes more space than it may, so that sets give compaction time.
    pub fn set_crowded(&self, is_crowded: bool) {
        if self.is_crowded.swap(is_crowded, Ordering::AcqRel) && !is_crowded {
            self.room.notify_all();
        }
    }

    /// See [`Log::set_crowded`].
    pub fn is_crowded(&self) -> bool {
        self.is_crowded.load(Ordering::Relaxed)
    }

    /// Holds a set of `len` bytes up for a moment if the store is crowded. The caller holds no lock.
    #[inline]
    pub fn wait_for_room(&self, len: u64) {
        if self.is_crowded.load(Ordering::Relaxed) {
            let wait = CROWDED_WAIT * (1 + len / CROWDED_WAIT_BYTES).min(CROWDED_WAITS_MAX) as u32;
            self.room.wait_until(wait, || !self.is_crowded.load(Ordering::Acquire));
        }
    }

    /// Syncs of the log so far.
    pub fn sync_count(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// The record at `location`; `None` if nothing that can be a record is there, which for a location
    /// of the index means damage. The checksum is not looked at.
    #[inline]
    pub fn record<'g>(&self, guard: &'g EpochGuard<'_>, location: Location) -> Option<Located<'g>> {
        self.segments.record(guard, location)
    }

    /// Why no write may be taken; `Ok` if one may.
    #[inline]
    pub fn check_writable(&self) -> Result<()> {
        if self.config.is_read_only {
            return Err(Error::new(Status::ReadOnly, "the store was opened read-only"));
        }
        if rules::holds(Rule::WritesRefused) && self.failure.has_failed.load(Ordering::Acquire) {
            Err(self.refusal())
        } else {
            Ok(())
        }
    }

    #[cold]
    fn refusal(&self) -> Error {
        match &*self.failure.first.lock() {
            Some(first) => Error::new(
                Status::ReadOnly,
                format!("the store takes no writes until it is reopened, because of an earlier failure: {first}"),
            ),
            None => Error::from(Status::ReadOnly),
        }
    }

    /// From now on no write is taken (R11). The first failure is the one that is remembered.
    pub fn fail(&self, error: &Error) {
        self.failure.note(error);
    }

    /// The failure that made the store read-only, if any.
    pub fn failure(&self) -> Option<Error> {
        self.failure.first.lock().clone()
    }

    /// For whoever may have to call [`Log::fail`] without having the log.
    pub fn failure_note(&self) -> Arc<Failure> {
        Arc::clone(&self.failure)
    }

    /// Makes names durable. A failure is one of the log, for the names may be those of its files (R11).
    pub fn sync_directory(&self) -> Result<()> {
        self.storage.sync_directory().map_err(|source| self.directory_failed(&source))
    }

    /// Makes `changes` part of the store, durably, all or none. A failure makes the store read-only,
    /// unless there was simply no room: then the next open finds the old state for certain, else the old
    /// or the new one, and both need their files.
    pub fn commit(&self, changes: &[Change]) -> Result<()> {
        let mut manifest = self.manifest.lock();
        // With the lock held: who waited for an edit that failed must not write the next one, perhaps to a file
        // whose name another has by now (R11).
        self.check_writable()?;
        let result = manifest.commit(changes);
        if let Err(error) = &result
            && error.status() != Status::NoSpace
        {
            self.fail(error);
        }
        result
    }

    /// Reads the manifest's state.
    pub fn with_manifest<R>(&self, read: impl FnOnce(&Manifest) -> R) -> R {
        read(&self.manifest.lock())
    }

    /// Takes a segment out of the store's address space; its file must no longer be named by the
    /// manifest. Its map ends when the last reader and view have left, its slot is free after that.
    pub fn retire_segment(&self, epochs: &Epochs, segment: &Arc<Segment>) {
        self.segments.remove(epochs, segment);
        // What stays behind is swept on the next open (R7).
        let _ = self.storage.remove(&segment.name());
    }
}
