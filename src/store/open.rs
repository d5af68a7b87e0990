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
use crate::log::manifest::is_own_name;
use crate::log::segment::segment_id;
use crate::log::{Log, LogConfig, Manifest, Signal};
use crate::options::{Options, SEGMENT_BYTES_MIN};
use crate::recovery::Recovery;
use crate::rules::{self, Rule};
use crate::storage::{self, LockError, LockGuard, MapAccess, Moment, Storage};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// What only tests change.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Size of the first segment, bytes; later ones grow to the option's size.
    pub segment_bytes_first: u64,
    /// Only these bits of a key's hash count.
    pub hash_mask: u64,
    /// Whether the store works by itself; otherwise its steps are called.
    pub has_background: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { segment_bytes_first: 1 << 20, hash_mask: u64::MAX, has_background: true }
    }
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
        is_read_only: options.read_only,
    }
}

/// The manifest of the store, made if there is none, and the lock if it is to be written.
fn lock_and_load(storage: &Arc<dyn Storage>, options: &Options) -> Result<(Manifest, Option<Box<dyn LockGuard>>)> {
    let list = || storage.list().map_err(|source| Error::from_io(&format!("list {}", storage.describe()), &source));
    if options.read_only {
        judge(storage.as_ref(), &list()?, false)?;
        storage.probe_lock().map_err(|error| busy(storage.as_ref(), error))?;
        return Ok((Manifest::load(Arc::clone(storage), MapAccess::ReadOnly)?, None));
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
    Ok((manifest, Some(lock)))
}

impl Store {
    /// Opens the store in `storage`; for tests.
    #[doc(hidden)]
    pub fn open_in(storage: Arc<dyn Storage>, options: &Options, tuning: &Tuning) -> Result<Self> {
        let (manifest, lock) = lock_and_load(&storage, options)?;
        let head = *manifest.head();
        let hasher = KeyHasher::with_mask(head.hash_seed, tuning.hash_mask);
        let epochs = Arc::new(Epochs::new());
        let was_closed = manifest.state().closed.is_some();
        let found = checkpoint::load(storage.as_ref(), head.store_id, manifest.state(), &epochs);
        let config = config(options, tuning);
        let recovered =
            Recovery { storage: &storage, config: &config, hasher, epochs: &epochs }.run(manifest, found)?;
        let log = Log::new(Arc::clone(&storage), config, recovered.parts);
        if was_closed && !options.read_only {
            log.commit(&[Change::Open])?;
        }
        if !options.read_only {
            let names = storage.list().unwrap_or_default();
            checkpoint::remove_all(storage.as_ref(), &names);
        }
        if !options.read_only {
            log.ensure_unsealed(&epochs)?;
        }
        let inner = Arc::new(Inner {
            options: options.clone(),
            log,
            index: recovered.index,
            epochs: Arc::clone(&epochs),
            hasher,
            clock: Clock::new(Arc::clone(&storage), recovered.clock_ms),
            unsettled: Unsettled::default(),
            counters: Counters::default(),
            pinned_views: Arc::new(AtomicU64::new(0)),
            compaction: Mutex::new(None),
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
    let keeper = spawn("larder-keeper", run_keeper)?;
    match spawn("larder-cleaner", run_cleaner) {
        Ok(cleaner) => Ok(vec![keeper, cleaner]),
        Err(error) => {
            inner.is_closing.store(true, Ordering::Release);
            inner.log.work().notify();
            let _ = keeper.join();
            Err(error)
        }
    }
}

fn run_keeper(inner: &Inner) {
    let interval = inner.sync_interval();
    let mut synced_at = Moment::now();
    while !inner.is_closing.load(Ordering::Acquire) {
        let until_sync = interval.map(|interval| interval.saturating_sub(synced_at.elapsed()));
        inner.log.work().wait(until_sync.unwrap_or(background::TICK).min(background::TICK));
        let is_sync_due = interval.is_some_and(|interval| synced_at.elapsed() >= interval);
        if is_sync_due {
            synced_at = Moment::now();
        }
        inner.keep(is_sync_due);
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
            inner.is_closing.store(true, Ordering::Release);
            inner.log.work().notify();
            inner.rest.notify();
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
        let mut segments = self.log.segments().all();
        segments
            .retain(|segment| segment.is_sealed() || active.as_ref().is_some_and(|active| active.id() == segment.id()));
        let segments: Vec<_> = segments.iter().map(|segment| segment.as_ref()).collect();
        // A cache: without it the next open replays the log.
        let _ = checkpoint::write(&self.log, &self.index, &segments, seqno_next);
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
