//! The Rust API: one store, usable from any thread at any time.
//!
//! [`Store`] is a handle that can be closed under its users: every call enters a gate, and a close waits
//! for those inside. What it does is in the files beside this one: `inner` reads, `write` writes,
//! `open` opens and closes, `background` and `periodic` work, `verify` looks for damage.

mod background;
mod glance;
mod inner;
mod open;
mod periodic;
mod unsettled;
mod verify;
mod view;
mod write;

pub use crate::cursor::Cursor;
#[doc(hidden)]
pub use open::Opening;
pub use open::Tuning;
pub use verify::VerifyReport;
pub use view::View;

use crate::epoch::{EpochGuard, Gate, GateGuard};
use crate::error::{Error, Result, Status};
use crate::lock::Mutex;
use crate::options::Options;
use crate::stats::Stats;
use crate::storage::DiskStorage;
use inner::Inner;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Longest key, bytes.
pub const KEY_BYTES_MAX: usize = u16::MAX as usize;
/// Longest value, bytes.
pub const VALUE_BYTES_MAX: u64 = u32::MAX as u64;

/// How long a written key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// For ever.
    Forever,
    /// As long as the present version of the key (for ever if there is none).
    Keep,
    /// This many milliseconds from the call on; at least 1.
    Millis(u64),
    /// Until this moment of [`Store::now_ms`]'s clock, Unix milliseconds. A moment that has passed makes a key that
    /// has expired already.
    Until(u64),
}

/// When a set is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// In any case.
    Always,
    /// Only if the key is not live.
    IfAbsent,
    /// Only if the key is live.
    IfPresent,
}

/// How [`Store::set_with`] sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetOptions {
    /// How long the key lives.
    pub ttl: Ttl,
    /// When the set is carried out.
    pub condition: Condition,
    /// Return only when the write is durable, whatever the sync mode.
    pub sync: bool,
}

/// What [`Store::set_with`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOutcome {
    /// The value is stored under this version.
    Stored {
        /// The record's sequence number.
        version: u64,
    },
    /// Nothing changed: the key is live and was to be absent.
    Exists,
    /// Nothing changed: the key is not live and was to be present.
    NotFound,
}

/// How much longer a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtlState {
    /// There is no such key.
    Absent,
    /// The key is there but its time is over.
    Expired,
    /// The key lives for ever.
    Forever,
    /// The key lives this many milliseconds more.
    Millis(u64),
}

/// A live key's present version, for as long as [`Store::find_with`] hands it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The value, checked.
    pub value: &'a [u8],
    /// The record's sequence number.
    pub version: u64,
    /// Unix milliseconds, 0 without expiry.
    pub expires_at_ms: u64,
}

/// One operation of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchOp<'a> {
    /// Sets `key` to `value`.
    Set {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
        /// How long it lives.
        ttl: Ttl,
    },
    /// Deletes `key`; it need not be there.
    Del {
        /// The key.
        key: &'a [u8],
    },
}

/// What the handles and cursors of one open store share.
pub(crate) struct Shared {
    gate: Gate<Arc<Inner>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A call that is under way: a close waits for it.
pub(crate) struct Entered<'a>(GateGuard<'a, Arc<Inner>>);

impl Entered<'_> {
    pub(crate) fn guard(&self) -> &EpochGuard<'_> {
        self.0.epoch()
    }
}

impl Deref for Entered<'_> {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Shared {
    #[inline]
    pub(crate) fn enter(&self) -> Result<Entered<'_>> {
        self.gate.enter().map(Entered).ok_or_else(|| Error::new(Status::Closed, "the store is closed"))
    }

    /// For calls that take long: they hold up neither a close nor the freeing of memory.
    fn enter_long(&self) -> Result<Arc<Inner>> {
        Ok(Arc::clone(&self.enter()?.0))
    }
}

/// An open store. Shared by reference between threads; closed by [`Store::close`] or on drop.
///
/// Every call may come from any thread at any time, and answers `Closed` once the store is closed.
/// Writes block on I/O in mode `always` (until the group's sync) and when the log needs room that was
/// not prepared; reads never do, but for page faults.
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Opens the store in the directory `location`, or makes it there: the last component of the path
    /// only.
    ///
    /// `Busy` at once if it is open elsewhere; `Corrupt` with file and offset if what was durable is
    /// damaged; `Incompatible` for a newer format; `InvalidArgument` for a directory that is neither
    /// empty nor a store; `NotFound` where there is none and none is to be made.
    pub fn open(location: &Path, options: &Options) -> Result<Self> {
        let storage = DiskStorage::open(location, options.create, options.read_only)?;
        Self::open_in(Arc::new(storage), options, &Tuning::default())
    }

    /// Closes: ends the threads, waits for calls of other threads that are under way, syncs, writes a
    /// checkpoint, unlocks. The store is closed whatever is returned, which is the last sync's error;
    /// a second close is `Closed`.
    pub fn close(&self) -> Result<()> {
        self.shared.close()
    }

    /// Sets `key` to `value`, for ever; the record's version.
    pub fn set(&self, key: &[u8], value: &[u8]) -> Result<u64> {
        let options = SetOptions { ttl: Ttl::Forever, condition: Condition::Always, sync: false };
        match self.set_with(key, value, &options)? {
            SetOutcome::Stored { version } => Ok(version),
            SetOutcome::Exists | SetOutcome::NotFound => Err(Error::from(Status::Panic)),
        }
    }

    /// Sets `key` to `value` if the condition holds.
    pub fn set_with(&self, key: &[u8], value: &[u8], options: &SetOptions) -> Result<SetOutcome> {
        let store = self.shared.enter()?;
        store.set_with(store.guard(), key, value, options)
    }

    /// A copy of the key's value.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get_with(key, <[u8]>::to_vec)
    }

    /// Hands the checked value to `read` in place: the one read that copying reads are built of. `read`
    /// must not call into the store's `close`, which would wait for it.
    #[inline]
    pub fn get_with<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        let store = self.shared.enter()?;
        store.get_with(store.guard(), key, read)
    }

    /// As [`Store::get_with`], with what else is known of the key.
    pub fn find_with<R>(&self, key: &[u8], read: impl FnOnce(Found<'_>) -> R) -> Result<Option<R>> {
        let store = self.shared.enter()?;
        store.find_with(store.guard(), key, read)
    }

    /// Looks all keys up, overlapping their cache misses, and hands the answers to `answer` in
    /// order (position, outcome) until it returns false.
    pub fn get_many_with(
        &self,
        keys: &[&[u8]],
        answer: impl FnMut(usize, Result<Option<&[u8]>>) -> bool,
    ) -> Result<()> {
        let store = self.shared.enter()?;
        store.get_many_with(store.guard(), keys, answer)
    }

    /// The key's value in place, without a copy.
    pub fn view(&self, key: &[u8]) -> Result<Option<View>> {
        let store = self.shared.enter()?;
        store.view(store.guard(), key)
    }

    /// Whether the key is live.
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        let store = self.shared.enter()?;
        store.exists(store.guard(), key)
    }

    /// Deletes the key; false if it was not live.
    pub fn del(&self, key: &[u8]) -> Result<bool> {
        let store = self.shared.enter()?;
        store.del(store.guard(), key)
    }

    /// How much longer the key lives.
    pub fn ttl(&self, key: &[u8]) -> Result<TtlState> {
        let store = self.shared.enter()?;
        store.ttl(store.guard(), key)
    }

    /// `None` makes the key live for ever, `Some(0)` expires it at once. False if it was not live.
    pub fn expire(&self, key: &[u8], ttl_ms: Option<u64>) -> Result<bool> {
        let store = self.shared.enter()?;
        store.expire(store.guard(), key, ttl_ms)
    }

    /// As [`Store::expire`], with the moment instead of the time until it: Unix milliseconds of [`Store::now_ms`]'s
    /// clock. A moment that has passed expires the key at once.
    pub fn expire_until(&self, key: &[u8], expires_at_ms: u64) -> Result<bool> {
        let store = self.shared.enter()?;
        store.expire_with(store.guard(), key, Ttl::Until(expires_at_ms))
    }

    /// The clock by which keys expire: Unix milliseconds that never run backwards, over restarts too.
    pub fn now_ms(&self) -> Result<u64> {
        Ok(self.shared.enter()?.clock.now_ms())
    }

    /// Applies all operations or none, to crashes and to concurrent readers; where a key is named
    /// twice, the last wins. Durable on return in mode `always` or if `sync` is set.
    pub fn write(&self, ops: &[BatchOp<'_>], sync: bool) -> Result<()> {
        let store = self.shared.enter()?;
        store.write_batch(store.guard(), ops, sync)
    }

    /// How many keys are live; one whose time is over is counted for less than a second more.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> Result<u64> {
        Ok(self.shared.enter()?.len())
    }

    /// How many of the keys that [`Store::len`] counts will expire.
    pub fn expiring_len(&self) -> Result<u64> {
        Ok(self.shared.enter()?.expiring_len())
    }

    /// Makes everything durable that was written before the call. Without effect, and no error, on a
    /// store that was opened read-only.
    pub fn sync(&self) -> Result<()> {
        let store = self.shared.enter()?;
        if store.options.read_only {
            return Ok(());
        }
        match store.log.failure() {
            Some(_) => store.log.check_writable(),
            None => store.log.sync_all(),
        }
    }

    /// Reclaims all space that can be reclaimed. Blocks until that is done; other calls go on.
    pub fn compact(&self) -> Result<()> {
        self.shared.enter_long()?.compact_all()
    }

    /// Checks every record of every segment. Other calls go on.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.shared.enter_long()?.verify()
    }

    /// The figures of this moment.
    pub fn stats(&self) -> Result<Stats> {
        Ok(self.shared.enter()?.stats())
    }

    /// A walk over all live keys that begin with `prefix`.
    pub fn cursor(&self, prefix: &[u8]) -> Result<Cursor> {
        Inner::check_key(prefix)?;
        self.shared.enter()?;
        Ok(Cursor::new(Arc::clone(&self.shared), prefix))
    }

    /// One step of a walk that keeps no state: appends the keys of one page of the index whose hash is `from` or
    /// more, each with its hash, in no order, and returns the hash to go on from; `None` at the end. A walk begins
    /// with 0. It may be gone on with at any hash, and a key that is live throughout is among those of exactly one
    /// step. Some of the keys may not be live any more.
    pub fn scan_page(&self, from: u64, keys: &mut Vec<(u64, Box<[u8]>)>) -> Result<Option<u64>> {
        let store = self.shared.enter()?;
        store.scan_page(store.guard(), from, keys)
    }

    /// After a contained panic: every later write is `ReadOnly`.
    pub fn refuse_writes(&self, why: &str) {
        if let Ok(store) = self.shared.enter() {
            store.log.fail(&Error::new(Status::Panic, why));
        }
    }

    /// How the store came up; for tests and measurements.
    #[doc(hidden)]
    pub fn opening(&self) -> Result<Opening> {
        Ok(self.shared.enter()?.opening)
    }

    /// Whether the figures are what the index shows, while nobody writes; for tests.
    #[doc(hidden)]
    pub fn check_books(&self) -> std::result::Result<(), String> {
        self.shared.enter().map_err(|error| error.to_string())?.check_books()
    }

    /// One step of everything that the background would do; for tests of stores without one.
    #[doc(hidden)]
    pub fn step_background(&self) -> Result<bool> {
        self.step_background_with(&mut || {})
    }

    /// The same, with something to do wherever the background would rest.
    #[doc(hidden)]
    pub fn step_background_with(&self, rest: &mut dyn FnMut()) -> Result<bool> {
        let store = self.shared.enter_long()?;
        store.keep(&mut || false);
        store.seal();
        Ok(store.clean(&mut |_| rest()))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Whoever wants to know about errors closes explicitly.
        let _ = self.shared.close();
    }
}
