//! What an open store consists of, and how one key is read.
//!
//! Not here: writing (`write`), opening and closing (`open`), the background's work (`background`).
//!
//! Invariants:
//!   I1. Whoever changes the index holds the key's stripe from the look at the present version to the
//!       change; the append lies in between. So what is in the log and not in the index is
//!       never judged by anyone else.
//!   I2. A read takes no lock, but for the moment in which it meets a write that may be unsettled.
//!
//! Locks, in this order: `compaction` → a stripe of the index → those of the log → `unsettled`.

use super::open::{Opening, Tuning};
use super::unsettled::Unsettled;
use super::view::View;
use super::{Found, KEY_BYTES_MAX, TtlState};
use crate::compaction::Sweep;
use crate::epoch::{EpochGuard, Epochs};
use crate::error::{Error, Result, Status};
use crate::expiry::Clock;
use crate::format::KeyHasher;
use crate::format::record::{HEAD_LEN, Kind};
use crate::index::{Index, Location};
use crate::lock::Mutex;
use crate::log::{Located, Log, Signal};
use crate::options::{Options, SyncMode, VerifyReads};
use crate::stats::Stats;
use crate::storage::LockGuard;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counts since the store was opened.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) compactions: AtomicU64,
    pub(crate) compacted_bytes: AtomicU64,
}

/// An open store.
pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) tuning: Tuning,
    pub(crate) opening: Opening,
    pub(crate) log: Log,
    pub(crate) index: Index,
    pub(crate) epochs: Arc<Epochs>,
    pub(crate) hasher: KeyHasher,
    pub(crate) clock: Clock,
    pub(crate) unsettled: Unsettled,
    pub(crate) counters: Counters,
    pub(crate) pinned_views: Arc<AtomicU64>,
    /// Held by whoever compacts; the sweep that is under way.
    pub(crate) compaction: Mutex<Option<Sweep>>,
    /// After a checkpoint that failed: no other before recovery would have so many bytes to replay.
    pub(crate) checkpoint_put_off_bytes: AtomicU64,
    /// What the cleaner rests on.
    pub(crate) rest: Signal,
    /// Long work ends early.
    pub(crate) is_closing: AtomicBool,
    /// Dropped last: whoever opens the store next finds all of this gone.
    pub(crate) _lock: Option<Box<dyn LockGuard>>,
}

/// A version of a key: where it is, and the record.
pub(crate) struct Version<'g> {
    pub(crate) location: Location,
    pub(crate) located: Located<'g>,
}

/// What a lookup in the index came to.
pub(crate) struct Lookup<'g> {
    pub(crate) version: Option<Version<'g>>,
    /// Where a record is that could have been the key's but is damaged.
    damage: Option<Location>,
}

impl Inner {
    /// Refuses a key over the limit.
    #[inline]
    pub(crate) fn check_key(key: &[u8]) -> Result<()> {
        if key.len() <= KEY_BYTES_MAX {
            return Ok(());
        }
        Err(Error::new(
            Status::TooLarge,
            format!("a key of {} bytes is over the limit of {KEY_BYTES_MAX} bytes", key.len()),
        ))
    }

    /// Whether the record at `location` holds `key`; notes it in `lookup`, or that it is damaged.
    #[inline]
    pub(crate) fn is_match<'g>(
        &self,
        guard: &'g EpochGuard<'_>,
        key: &[u8],
        location: Location,
        lookup: &mut Lookup<'g>,
    ) -> bool {
        match self.log.record(guard, location) {
            Some(located) if located.record.key() == key => {
                lookup.version = Some(Version { location, located });
                true
            }
            other => {
                if self.options.verify_reads != VerifyReads::None && Self::is_damaged(other.as_ref()) {
                    lookup.damage = Some(location);
                }
                false
            }
        }
    }

    /// A candidate of the index that does not match is another key with the same hash bits, which is
    /// rare, or a damaged record, which would otherwise pass for a missing key (P6).
    #[cold]
    fn is_damaged(located: Option<&Located<'_>>) -> bool {
        located.is_none_or(|located| located.verify().is_err())
    }

    /// What to say of the damaged record at `location`.
    #[cold]
    fn damage_at(&self, guard: &EpochGuard<'_>, location: Location) -> Error {
        if let Some(error) = self.log.record(guard, location).and_then(|located| located.verify().err()) {
            return error;
        }
        match self.log.segments().resolve(guard, location) {
            Some((segment, offset)) => Error::corrupt(&segment.name(), offset, "the head of a record makes no sense"),
            None => Error::new(Status::Corrupt, "the index points at a segment that is not there"),
        }
    }

    pub(crate) fn nothing<'g>() -> Lookup<'g> {
        Lookup { version: None, damage: None }
    }

    /// The version of `key` that readers are to see, live or not.
    #[inline]
    fn visible<'g>(&self, guard: &'g EpochGuard<'_>, key: &[u8], hash: u64) -> Result<Option<Version<'g>>> {
        let mut lookup = Self::nothing();
        self.index.find(guard, hash, |location| self.is_match(guard, key, location, &mut lookup));
        match lookup.version {
            Some(version) if self.may_be_unsettled(&version) => self.settled_version(guard, version),
            None => match lookup.damage {
                None => Ok(None),
                Some(location) => Err(self.damage_at(guard, location)),
            },
            version => Ok(version),
        }
    }

    #[inline]
    pub(crate) fn may_be_unsettled(&self, version: &Version<'_>) -> bool {
        !self.is_durable_enough(version) || (version.located.record.head.is_in_batch && self.unsettled.has_batches())
    }

    /// Whether readers need not wait for a sync.
    #[inline]
    fn is_durable_enough(&self, version: &Version<'_>) -> bool {
        self.options.sync != SyncMode::Always || version.located.offset < version.located.segment.durable()
    }

    #[cold]
    fn settled_version<'g>(&self, guard: &'g EpochGuard<'_>, mut version: Version<'g>) -> Result<Option<Version<'g>>> {
        while self.may_be_unsettled(&version) {
            match self.unsettled.shown_instead(version.location, self.is_durable_enough(&version)) {
                None => break,
                Some(None) => return Ok(None),
                Some(Some(location)) => {
                    let located = self.log.record(guard, location).ok_or_else(|| {
                        Error::new(Status::Corrupt, "the version before an unsettled write is no record")
                    })?;
                    version = Version { location, located };
                }
            }
        }
        Ok(Some(version))
    }

    /// Whether readers are to see a value there.
    #[inline]
    pub(crate) fn is_live(&self, version: &Version<'_>) -> bool {
        let head = &version.located.record.head;
        if head.kind != Kind::Set {
            return false;
        }
        if head.expires_at_ms == 0 {
            return true;
        }
        let now_ms = self.clock.now_ms();
        if head.is_expired(now_ms) {
            self.clock.note(&self.log, now_ms);
            return false;
        }
        true
    }

    /// The live version of `key`, its checksum verified if reads of this kind are.
    #[inline]
    pub(crate) fn live<'g>(
        &self,
        guard: &'g EpochGuard<'_>,
        key: &[u8],
        hash: u64,
        is_verified: bool,
    ) -> Result<Option<Version<'g>>> {
        let version = self.visible(guard, key, hash)?;
        // Checked first: damage in the head could pass for an expiry.
        if let Some(version) = &version
            && is_verified
        {
            version.located.verify()?;
        }
        Ok(version.filter(|version| self.is_live(version)))
    }

    /// Reads that copy check the checksum, unless told not to.
    #[inline]
    pub(crate) fn verifies_copies(&self) -> bool {
        self.options.verify_reads != VerifyReads::None
    }

    pub(crate) fn get_with<R>(
        &self,
        guard: &EpochGuard<'_>,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        Self::check_key(key)?;
        let hash = self.hasher.hash(key);
        let found = self.value(guard, key, hash)?;
        guard.count_get(found.is_some());
        Ok(found.map(read))
    }

    pub(crate) fn find_with<R>(
        &self,
        guard: &EpochGuard<'_>,
        key: &[u8],
        read: impl FnOnce(Found<'_>) -> R,
    ) -> Result<Option<R>> {
        Self::check_key(key)?;
        let version = self.live(guard, key, self.hasher.hash(key), self.verifies_copies())?;
        guard.count_get(version.is_some());
        Ok(version.map(|version| {
            let head = &version.located.record.head;
            read(Found {
                value: version.located.record.value(),
                version: head.seqno,
                expires_at_ms: head.expires_at_ms,
            })
        }))
    }

    pub(crate) fn exists(&self, guard: &EpochGuard<'_>, key: &[u8]) -> Result<bool> {
        Self::check_key(key)?;
        let version = self.live(guard, key, self.hasher.hash(key), false)?;
        guard.count_get(version.is_some());
        Ok(version.is_some())
    }

    pub(crate) fn view(&self, guard: &EpochGuard<'_>, key: &[u8]) -> Result<Option<View>> {
        Self::check_key(key)?;
        let is_verified = self.options.verify_reads == VerifyReads::All;
        let version = self.live(guard, key, self.hasher.hash(key), is_verified)?;
        guard.count_get(version.is_some());
        let Some(Version { location, located }) = version else { return Ok(None) };
        let Some(segment) = self.log.segments().resolve_arc(guard, location) else { return Ok(None) };
        let head = located.record.head;
        let start = located.offset as usize + HEAD_LEN + usize::from(head.key_len);
        let range = start..start + head.value_len as usize;
        Ok(Some(View::new(segment, range, head.seqno, head.expires_at_ms, &self.pinned_views)))
    }

    pub(crate) fn ttl(&self, guard: &EpochGuard<'_>, key: &[u8]) -> Result<TtlState> {
        Self::check_key(key)?;
        let Some(version) = self.visible(guard, key, self.hasher.hash(key))? else { return Ok(TtlState::Absent) };
        if self.verifies_copies() {
            version.located.verify()?;
        }
        let head = version.located.record.head;
        if head.kind != Kind::Set {
            return Ok(TtlState::Absent);
        }
        if head.expires_at_ms == 0 {
            return Ok(TtlState::Forever);
        }
        let now_ms = self.clock.now_ms();
        if head.is_expired(now_ms) {
            self.clock.note(&self.log, now_ms);
            return Ok(TtlState::Expired);
        }
        Ok(TtlState::Millis(head.expires_at_ms - now_ms))
    }

    /// Looks up all `keys`, overlapping their cache misses.
    pub(crate) fn get_many_with(
        &self,
        guard: &EpochGuard<'_>,
        keys: &[&[u8]],
        mut answer: impl FnMut(usize, Result<Option<&[u8]>>) -> bool,
    ) -> Result<()> {
        const GROUP_LEN: usize = 32;
        for key in keys {
            Self::check_key(key)?;
        }
        for (group_number, group) in keys.chunks(GROUP_LEN).enumerate() {
            let mut hashes = [0; GROUP_LEN];
            for (hash, key) in hashes.iter_mut().zip(group) {
                *hash = self.hasher.hash(key);
                self.index.prefetch(guard, *hash);
            }
            let mut candidates = [None; GROUP_LEN];
            for (candidate, hash) in candidates.iter_mut().zip(&hashes[..group.len()]) {
                *candidate = self.index.find_prefetched(guard, *hash, |_| true);
                if let Some(location) = candidate {
                    self.log.segments().prefetch(guard, *location);
                }
            }
            let mut is_in_step = true;
            for (place, (key, (hash, candidate))) in group.iter().zip(hashes.iter().zip(candidates)).enumerate() {
                let found = match is_in_step.then(|| self.value_at(candidate, guard, key)).flatten() {
                    Some(found) => Ok(found),
                    None => {
                        // Looked up now. So are those behind it: no answer is older than the one before it.
                        is_in_step = false;
                        self.value(guard, key, *hash)
                    }
                };
                guard.count_get(matches!(found, Ok(Some(_))));
                if !answer(group_number * GROUP_LEN + place, found) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The keys with `prefix` on the index page that covers the hash `from`, and the hash to go on from.
    pub(crate) fn collect_keys(
        &self,
        guard: &EpochGuard<'_>,
        from: u64,
        prefix: &[u8],
        keys: &mut VecDeque<Box<[u8]>>,
        damage: &mut VecDeque<Error>,
    ) -> Option<u64> {
        let mut locations = Vec::new();
        let next = self.index.collect(from, &mut locations);
        for location in locations {
            let Some(located) = self.log.record(guard, location) else {
                damage.push_back(self.damage_at(guard, location));
                continue;
            };
            // A damaged key must not pass for another one, nor for a missing one.
            match if self.verifies_copies() { located.verify() } else { Ok(()) } {
                Err(error) => damage.push_back(error),
                Ok(()) if located.record.key().starts_with(prefix) => keys.push_back(located.record.key().into()),
                Ok(()) => {}
            }
        }
        next
    }

    pub(crate) fn scan_page(
        &self,
        guard: &EpochGuard<'_>,
        from: u64,
        keys: &mut Vec<(u64, Box<[u8]>)>,
    ) -> Result<Option<u64>> {
        let (mut found, mut damage) = (VecDeque::new(), VecDeque::new());
        let next = self.collect_keys(guard, from, b"", &mut found, &mut damage);
        if let Some(error) = damage.pop_front() {
            return Err(error);
        }
        keys.extend(found.into_iter().map(|key| (self.hasher.hash(&key), key)).filter(|(hash, _)| *hash >= from));
        Ok(next)
    }

    pub(crate) fn expiring_len(&self) -> u64 {
        self.log.accounts().expiring_count(self.clock.now_ms())
    }

    pub(crate) fn len(&self) -> u64 {
        self.log.accounts().live_count(self.clock.now_ms())
    }

    pub(crate) fn stats(&self) -> Stats {
        let segments = self.log.segments().all();
        let accounts = self.log.accounts();
        let appended = self.log.append_counts();
        Stats {
            keys: self.len(),
            live_bytes: accounts.live_bytes(),
            dead_bytes: segments.iter().map(|segment| segment.dead_bytes()).sum(),
            file_bytes: segments.iter().map(|segment| segment.disk_bytes()).sum(),
            segments: segments.len() as u64,
            mapped_bytes: segments.iter().map(|segment| segment.file_len()).sum(),
            index_bytes: self.index.memory_bytes(),
            pinned_views: self.pinned_views.load(Ordering::Relaxed),
            gets: self.epochs.gets(),
            hits: self.epochs.hits(),
            sets: appended.sets,
            dels: appended.tombstones,
            expired: accounts.expired_count(),
            syncs: self.log.sync_count(),
            compactions: self.counters.compactions.load(Ordering::Relaxed),
            compacted_bytes: self.counters.compacted_bytes.load(Ordering::Relaxed),
        }
    }
}
