//! Opening a store, and closing it.
//!
//! Open: judge the directory → lock → manifest → checkpoint, or replay → threads. Close: end the
//! threads → wait for calls under way → sync → checkpoint → manifest → unmap → unlock.
//!
//! Invariants:
//!   O1. A directory that is no store is not touched: nothing is created or removed in it.
//!   O2. What a close in order said is withdrawn, durably, before the first new write.

use super::inner::{Counters, Inner};
use super::unsettled::Unsettled;
use super::{Shared, Store, background};
use crate::checkpoint;
use crate::epoch::{Epochs, Gate};
use crate::error::{Error, Result, Status};
use crate::expiry::Clock;
use crate::format::KeyHasher;
use crate::format::manifest::Change;
use crate::index::Index;
use crate::lock::Mutex;
use crate::log::manifest::is_own_name;
use crate::log::segment::segment_id;
use crate::log::{Log, LogConfig, Manifest, Segments, Signal};
use crate::options::{Options, SEGMENT_BYTES_MIN, SyncMode};
use crate::recovery::{Base, Recovery};
use crate::rules::{self, Rule};
use crate::storage::{self, LockError, LockGuard, MapAccess, Moment, Storage};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// More threads than this do not make a recovery quicker: memory is what it waits for.
const THREADS_MAX: usize = 4;

/// What only tests change.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Size of the first segment, bytes; later ones grow to the option's size.
    pub segment_bytes_first: u64,
    /// Only these bits of a key's hash count.
    pub hash_mask: u64,
    /// Whether the store works by itself; otherwise its steps are called, and everything is done by one thread.
    pub has_background: bool,
    /// The store makes a checkpoint when recovery would have to replay more than this many bytes of records,
    pub checkpoint_bytes: u64,
    /// and more than this many times what the index takes.
    pub checkpoint_index_multiple: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            segment_bytes_first: 1 << 20,
            hash_mask: u64::MAX,
            has_background: true,
            checkpoint_bytes: 128 << 20,
            checkpoint_index_multiple: 1,
        }
    }
}

/// How a store came up; for tests and measurements.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Its index is that of a checkpoint, and what that does not cover.
    pub is_from_checkpoint: bool,
    /// Bytes of the records that were replayed.
    pub replayed_bytes: u64,
}

/// Whether the directory holds a store.
fn judge(storage: &dyn Storage, names: &[String], may_create: bool) -> Result<bool> {
    if Manifest::exists(names) {
        return Ok(true);
    }
    let place = storage.describe();
    if let Some(other) = names.iter().find(|name| !is_own_name(name)) {
        return Err(Error::new(
            Status::InvalidArgument,
            format!("{place} is not a store and not empty: it holds \"{other}\""),
        ));
    }
    if names.iter().any(|name| segment_id(name).is_some()) {
        return Err(Error::corrupt("MANIFEST", 0, "the file is missing although there are segments; the damage is"));
    }
    if !may_create {
        return Err(Error::new(Status::NotFound, format!("{place} holds no store")));
    }
    Ok(false)
}

fn busy(storage: &dyn Storage, error: LockError) -> Error {
    match error {
        LockError::Busy { pid: 0 } => {
            Error::new(Status::Busy, format!("{} is open in another process or handle", storage.describe()))
        }
        LockError::Busy { pid } => Error::new(
            Status::Busy,
            format!("{} is open in the process with pid {pid}, here or there by another handle", storage.describe()),
        ),
        LockError::Io(source) => Error::from_io(&format!("lock {}", storage.describe()), &source),
    }
}

fn config(options: &Options, tuning: &Tuning) -> LogConfig {
    LogConfig {
        segment_bytes: options.segment_bytes,
        segment_bytes_first: tuning.segment_bytes_first.min(options.segment_bytes),
        bytes_max: options.bytes_max,
        sync: options.sync,
        is_acknowledged_by_sync: options.sync == SyncMode::Always || options.acknowledged_by_sync,
        is_read_only: options.read_only,
    }
}

/// A store's directory before recovery.
struct Locked {
    manifest: Manifest,
    /// What was in the directory.
    names: Vec<String>,
    /// If the store is to be written.
    lock: Option<Box<dyn LockGuard>>,
}

/// The manifest of the store, made if there is none, the names in its directory, and the lock if it is to be written.
fn lock_and_load(storage: &Arc<dyn Storage>, options: &Options) -> Result<Locked> {
    let list = || storage.list().map_err(|source| Error::from_io(&format!("list {}", storage.describe()), &source));
    if options.read_only {
        let names = list()?;
        judge(storage.as_ref(), &names, false)?;
        storage.probe_lock().map_err(|error| busy(storage.as_ref(), error))?;
        let manifest = Manifest::load(Arc::clone(storage), MapAccess::ReadOnly)?;
        return Ok(Locked { manifest, names, lock: None });
    }
    judge(storage.as_ref(), &list()?, options.create)?;
    let lock = storage.lock().map_err(|error| busy(storage.as_ref(), error))?;
    // Once more: another process may have made the store before the lock was ours.
    let names = list()?;
    let manifest = if judge(storage.as_ref(), &names, options.create)? {
        let manifest = Manifest::load(Arc::clone(storage), MapAccess::ReadWrite)?;
        let leftovers = if rules::holds(Rule::SweptOnOpen) { manifest.leftovers(&names) } else { Vec::new() };
        for name in leftovers {
            storage.remove(&name).map_err(|source| Error::from_io(&format!("remove {name}"), &source))?;
        }
        manifest
    } else {
        Manifest::create(Arc::clone(storage))?
    };
    Ok(Locked { manifest, names, lock: Some(lock) })
}

/// The log and the index of the store that the manifest describes.
fn recover(
    storage: &Arc<dyn Storage>,
    options: &Options,
    tuning: &Tuning,
    epochs: &Arc<Epochs>,
    manifest: Manifest,
    names: &[String],
) -> Result<(Log, Index, Opening, u64)> {
    let head = *manifest.head();
    let hasher = KeyHasher::with_mask(head.hash_seed, tuning.hash_mask);
    let config = config(options, tuning);
    let was_closed = manifest.state().closed.is_some();
    let found = checkpoint::find(storage.as_ref(), head.store_id, names);
    let pages = RefCell::new(None);
    let open_index: Vec<_> = found
        .iter()
        .map(|found| {
            let pages = &pages;
            move |segments: &Segments| {
                let (index, of_index) = found.open_index(segments, epochs)?;
                *pages.borrow_mut() = Some(of_index);
                Some(index)
            }
        })
        .collect();
    let bases: Vec<_> = found
        .iter()
        .zip(&open_index)
        .map(|(found, open_index)| Base { name: &found.name, contents: &found.contents, open_index })
        .collect();
    let thread_count = if tuning.has_background { storage::processor_count().min(THREADS_MAX) } else { 1 };
    let recovery = Recovery { storage, config: &config, hasher, epochs, thread_count };
    let recovered = recovery.run(manifest, &bases)?;
    let log = Log::new(Arc::clone(storage), config, recovered.parts);
    let base = recovered.base.map(|place| &found[place]);
    if let Some((base, pages)) = base.zip(pages.take()) {
        pages.stand_by(&log, hasher, base.contents.clone());
    }
    if !options.read_only {
        if was_closed {
            log.commit(&[Change::Open])?;
        }
        let misfits = if rules::holds(Rule::MisfitsRemoved) { names } else { &[] };
        checkpoint::remove_others(storage.as_ref(), misfits, base.map(|base| base.name.as_str()));
    }
    let opening = Opening { is_from_checkpoint: base.is_some(), replayed_bytes: recovered.replayed_bytes };
    Ok((log, recovered.index, opening, recovered.clock_ms))
}

impl Store {
    /// Opens the store in `storage`; for tests.
    #[doc(hidden)]
    pub fn open_in(storage: Arc<dyn Storage>, options: &Options, tuning: &Tuning) -> Result<Self> {
        let Locked { manifest, names, lock } = lock_and_load(&storage, options)?;
        let hasher = KeyHasher::with_mask(manifest.head().hash_seed, tuning.hash_mask);
        let epochs = Arc::new(Epochs::new());
        let (log, index, opening, clock_ms) = recover(&storage, options, tuning, &epochs, manifest, &names)?;
        if !options.read_only {
            log.ensure_unsealed(&epochs)?;
        }
        let inner = Arc::new(Inner {
            options: options.clone(),
            tuning: *tuning,
            opening,
            log,
            index,
            epochs: Arc::clone(&epochs),
            hasher,
            clock: Clock::new(Arc::clone(&storage), clock_ms),
            unsettled: Unsettled::default(),
            counters: Counters::default(),
            pinned_views: Arc::new(AtomicU64::new(0)),
            compaction: Mutex::new(None),
            checkpoint_put_off_bytes: AtomicU64::new(0),
            rest: Signal::default(),
            is_closing: AtomicBool::new(false),
            _lock: lock,
        });
        let threads = if options.read_only || !tuning.has_background { Vec::new() } else { start(&inner)? };
        let shared = Shared { gate: Gate::new(epochs, inner), threads: Mutex::new(threads) };
        Ok(Self { shared: Arc::new(shared) })
    }
}

fn start(inner: &Arc<Inner>) -> Result<Vec<thread::JoinHandle<()>>> {
    let spawn = |name: &str, run: fn(&Inner)| {
        let inner = Arc::clone(inner);
        storage::spawn(name, move || run(&inner)).map_err(|source| Error::from_io("start a background thread", &source))
    };
    let mut threads = Vec::new();
    type Run = fn(&Inner);
    for (name, run) in
        [("larder-keeper", run_keeper as Run), ("larder-sealer", run_sealer), ("larder-cleaner", run_cleaner)]
    {
        match spawn(name, run) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                end_background(inner);
                threads.into_iter().for_each(|thread| drop(thread.join()));
                return Err(error);
            }
        }
    }
    Ok(threads)
}

/// Has the background's threads end with the step that they are at.
fn end_background(inner: &Inner) {
    inner.is_closing.store(true, Ordering::Release);
    inner.log.work().notify();
    inner.log.seal_work().notify();
    inner.rest.notify();
}

fn run_keeper(inner: &Inner) {
    let interval = inner.sync_interval();
    let mut synced_at = Moment::now();
    while !inner.is_closing.load(Ordering::Acquire) {
        let until_sync = interval.map(|interval| interval.saturating_sub(synced_at.elapsed()));
        inner.log.work().wait(until_sync.unwrap_or(background::TICK).min(background::TICK));
        inner.keep(&mut || {
            let is_due = interval.is_some_and(|interval| synced_at.elapsed() >= interval);
            if is_due {
                synced_at = Moment::now();
            }
            is_due
        });
    }
}

fn run_sealer(inner: &Inner) {
    while !inner.is_closing.load(Ordering::Acquire) {
        inner.log.seal_work().wait(background::TICK);
        inner.seal();
    }
}

fn run_cleaner(inner: &Inner) {
    // A close ends the rest, and lets no other begin.
    let mut rest = |duration: Duration| {
        if !inner.is_closing.load(Ordering::Acquire) {
            inner.rest.wait(duration);
        }
    };
    while !inner.is_closing.load(Ordering::Acquire) {
        if !inner.clean(&mut rest) {
            rest(background::TICK / 2);
        }
    }
}

impl Shared {
    /// See [`Store::close`].
    pub(super) fn close(&self) -> Result<()> {
        {
            let inner = self.enter()?;
            end_background(&inner);
        }
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // A panic of theirs is contained there; what is left is the end of the thread.
            let _ = thread.join();
        }
        let mut inner = self.gate.close().ok_or_else(|| Error::from(Status::Closed))?;
        let inner = loop {
            // Long calls hold a reference of their own and end soon, because `is_closing` is set.
            match Arc::try_unwrap(inner) {
                Ok(inner) => break inner,
                Err(shared) => inner = shared,
            }
            thread::sleep(Duration::from_millis(1));
        };
        let result = inner.finish();
        inner.epochs.drain();
        result
    }
}

impl Inner {
    /// Everything durable, a checkpoint written, and the manifest told.
    fn finish(&self) -> Result<()> {
        if self.log.config().is_read_only {
            return Ok(());
        }
        if let Some(first) = self.log.failure() {
            return Err(first);
        }
        self.log.sync_all()?;
        while self.log.seal_next()? {}
        let active = self.log.active_segment();
        let seqno_next = self.log.seqno_next();
        let mut covered = self.log.segments().all();
        covered
            .retain(|segment| segment.is_sealed() || active.as_ref().is_some_and(|active| active.id() == segment.id()));
        let is_covered = covered.iter().all(|segment| segment.uncovered_bytes() == 0);
        if !is_covered || !self.opening.is_from_checkpoint || self.index.has_been_damaged() {
            // A cache: without it the next open replays the log.
            let _ = checkpoint::write(&self.log, &self.index, &covered, &mut |_| true);
        }
        let (id, end) = active.as_ref().map_or((0, 0), |active| (active.id(), active.end()));
        let clock_ms = self.clock.reached_ms();
        let changes = [
            Change::Advance { segment_id_next: 0, seqno_next, clock_ms, tombstone_floor: 0 },
            Change::Close { id, end, seqno_next },
        ];
        match self.log.commit(&changes) {
            // Without the note the next open takes the log for one after a kill, and loses nothing.
            Err(error) if error.status() == Status::NoSpace => Ok(()),
            result => result,
        }
    }
}

const _: () = assert!(SEGMENT_BYTES_MIN >= 4096);
