//! How one key, or a batch of them, is written.
//!
//! Lock the stripe → look at the present version → append → change the index → unlock → wait for the
//! sync, if the mode asks for it. A set that is made in any case looks after the append. A failure before the append
//! changes nothing (R12).

use super::inner::{Inner, Version};
use super::{BatchOp, Condition, SetOptions, SetOutcome, Ttl, VALUE_BYTES_MAX};
use crate::epoch::EpochGuard;
use crate::error::{Error, Result, Status};
use crate::format::record::Kind;
use crate::index::{Location, Stripe};
use crate::log::{Append, Located, Priority, Written};
use crate::options::SyncMode;
use crate::rules::{self, Rule};
use std::collections::HashMap;

/// A write on its way into the index.
#[derive(Clone, Copy)]
struct Indexed<'g> {
    hash: u64,
    written: Written<'g>,
}

impl Indexed<'_> {
    fn kind(&self) -> Kind {
        self.written.head.kind
    }

    fn seqno(&self) -> u64 {
        self.written.head.seqno
    }
}

impl Inner {
    fn is_always(&self) -> bool {
        self.options.sync == SyncMode::Always
    }

    fn check_value(value: &[u8]) -> Result<()> {
        if value.len() as u64 <= VALUE_BYTES_MAX {
            return Ok(());
        }
        Err(Error::new(
            Status::TooLarge,
            format!("a value of {} bytes is over the limit of {VALUE_BYTES_MAX} bytes", value.len()),
        ))
    }

    /// When a key that is written now with `ttl` expires; `present` is its live version's expiry.
    fn expires_at_ms(&self, ttl: Ttl, present: u64) -> Result<u64> {
        match ttl {
            Ttl::Forever => Ok(0),
            Ttl::Keep => Ok(present),
            // 0 would be no expiry at all, and 1 is as long ago.
            Ttl::Until(expires_at_ms) if i64::try_from(expires_at_ms).is_ok() => Ok(expires_at_ms.max(1)),
            Ttl::Until(expires_at_ms) => Err(Error::new(
                Status::InvalidArgument,
                format!("an expiry at {expires_at_ms} ms leaves the range of time"),
            )),
            Ttl::Millis(ttl_ms) => {
                let expires_at_ms = self.clock.now_ms().checked_add(ttl_ms);
                expires_at_ms.filter(|at| i64::try_from(*at).is_ok()).ok_or_else(|| {
                    Error::new(Status::InvalidArgument, format!("a TTL of {ttl_ms} ms leaves the range of time"))
                })
            }
        }
    }

    /// The expiry that `Ttl::Keep` takes over from the live version. It is written once more: damage must not
    /// get into a record with a new checksum.
    fn kept_expiry(&self, ttl: Ttl, live: Option<&Version<'_>>) -> Result<u64> {
        match live {
            Some(version) if ttl == Ttl::Keep => {
                version.located.verify()?;
                Ok(version.located.record.head.expires_at_ms)
            }
            _ => Ok(0),
        }
    }

    /// The entry of `key`, with its stripe locked: settled or not, live or not.
    fn present<'g>(
        &self,
        guard: &'g EpochGuard<'_>,
        stripe: &Stripe<'_>,
        key: &[u8],
        hash: u64,
    ) -> Option<Version<'g>> {
        let mut lookup = Self::nothing();
        stripe.find(hash, |location| self.is_match(guard, key, location, &mut lookup));
        lookup.version
    }

    /// Puts a published record into the index in place of `present`. Of a batch (`is_incomplete`) nothing is seen
    /// before all of it is there.
    fn point_index(
        &self,
        stripe: &mut Stripe<'_>,
        present: Option<&Version<'_>>,
        new: &Indexed<'_>,
        is_incomplete: bool,
    ) {
        let (Indexed { hash, written }, kind) = (*new, new.kind());
        let accounts = self.log.accounts();
        let is_settled = !self.is_always() && !is_incomplete;
        if !is_settled {
            self.unsettled.add(written.location, present.map(|version| version.location), is_incomplete);
        }
        match present {
            // A tombstone stands in the index only until it has settled.
            Some(version) if kind == Kind::Tombstone && is_settled => {
                stripe.remove(hash, version.location);
            }
            Some(version) => {
                stripe.replace(hash, version.location, written.location);
            }
            None if kind == Kind::Tombstone && is_settled => {}
            None => stripe.insert(hash, written.location),
        }
        if let Some(version) = present
            && version.located.record.head.kind == Kind::Set
        {
            accounts.record_dies(hash, version.located.segment, &version.located.record.head);
        }
        if kind == Kind::Set {
            accounts.record_lives(hash, written.segment, &written.head);
        }
    }

    /// A set that does not depend on what is there, so that it need not wait for that: the record which it replaces
    /// comes near while the new one is written.
    fn set_whatever_is_there(
        &self,
        guard: &EpochGuard<'_>,
        hash: u64,
        append: &Append<'_>,
        is_synced: bool,
    ) -> Result<u64> {
        let mut stripe = self.index.lock(hash);
        let likely = stripe.find(hash, |location| {
            self.log.segments().prefetch(guard, location);
            true
        });
        self.check_memory(1)?;
        let written = self.log.append(guard, append, Priority::Ordinary)?;
        rules::appended();
        let present = likely.and_then(|location| {
            let likely = Self::version_at(self.log.record(guard, location), append.key, location);
            likely.or_else(|| self.present(guard, &stripe, append.key, hash))
        });
        let new = Indexed { hash, written };
        self.point_index(&mut stripe, present.as_ref(), &new, false);
        drop(stripe);
        self.settle(guard, &[new], is_synced)?;
        Ok(new.seqno())
    }

    fn version_at<'g>(located: Option<Located<'g>>, key: &[u8], location: Location) -> Option<Version<'g>> {
        let located = located.filter(|located| located.record.key() == key)?;
        Some(Version { location, located })
    }

    /// Appends one record and points the index at it.
    fn write_one(
        &self,
        guard: &EpochGuard<'_>,
        mut stripe: Stripe<'_>,
        hash: u64,
        present: Option<&Version<'_>>,
        append: &Append<'_>,
        is_synced: bool,
    ) -> Result<u64> {
        let priority = if append.kind == Kind::Tombstone { Priority::Reclaiming } else { Priority::Ordinary };
        let written = self.log.append(guard, append, priority)?;
        rules::appended();
        let new = Indexed { hash, written };
        self.point_index(&mut stripe, present, &new, false);
        drop(stripe);
        self.settle(guard, &[new], is_synced)?;
        Ok(new.seqno())
    }

    /// Before the append, after which nothing may fail any more (R12): whether the index can take `count` new keys.
    fn check_memory(&self, count: usize) -> Result<()> {
        if self.index.has_memory_for(count) {
            return Ok(());
        }
        Err(Error::new(Status::OutOfMemory, "the system has no memory for the index"))
    }

    /// Waits until the writes may be acknowledged, and lets readers see them.
    fn settle(&self, guard: &EpochGuard<'_>, writes: &[Indexed<'_>], is_synced: bool) -> Result<()> {
        let Some(last) = writes.last() else { return Ok(()) };
        if self.is_always() || is_synced {
            let synced = self.log.sync_through(last.seqno());
            // A failure that came after these writes were durable is none of theirs: readers see them, and so does the
            // next open. After a failure nothing more becomes durable, so the answer stays.
            if let Err(error) = synced
                && !self.is_durable(guard, last)
            {
                if self.is_always() {
                    self.uncount(guard, writes);
                }
                return Err(error);
            }
        }
        if self.is_always() {
            for write in writes.iter().filter(|write| write.kind() == Kind::Tombstone) {
                self.index.lock(write.hash).remove(write.hash, write.written.location);
            }
            self.unsettled.settle(writes.iter().map(|write| write.written.location));
        }
        Ok(())
    }

    /// Whether the write, and so all of its batch, is durable.
    fn is_durable(&self, guard: &EpochGuard<'_>, write: &Indexed<'_>) -> bool {
        let place = self.log.segments().resolve(guard, write.written.location);
        place.is_some_and(|(segment, offset)| offset < segment.durable())
    }

    /// Takes writes out of the books that will never settle. Readers go on being shown what was before them.
    fn uncount(&self, guard: &EpochGuard<'_>, writes: &[Indexed<'_>]) {
        if !rules::holds(Rule::BooksFollow) {
            return;
        }
        let accounts = self.log.accounts();
        let set_at = |location| self.log.record(guard, location).filter(|it| it.record.head.kind == Kind::Set);
        for write in writes {
            if write.kind() == Kind::Set {
                accounts.record_dies(write.hash, write.written.segment, &write.written.head);
            }
            let previous = self.unsettled.shown_instead(write.written.location, false).flatten();
            if let Some(previous) = previous.and_then(set_at) {
                accounts.record_lives(write.hash, previous.segment, &previous.record.head);
            }
        }
    }

    /// Before an answer rests on `present`: in mode `always`, it must be durable.
    fn settle_observed(&self, present: Option<&Version<'_>>) -> Result<()> {
        match present {
            Some(version) if self.is_always() && self.may_be_unsettled(version) => {
                self.log.sync_through(version.located.record.head.seqno)
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn set_with(
        &self,
        guard: &EpochGuard<'_>,
        key: &[u8],
        value: &[u8],
        options: &SetOptions,
    ) -> Result<SetOutcome> {
        Self::check_key(key)?;
        Self::check_value(value)?;
        self.log.check_writable()?;
        self.log.wait_for_room(value.len() as u64);
        let hash = self.hasher.hash(key);
        if options.condition == Condition::Always && options.ttl != Ttl::Keep {
            let expires_at_ms = self.expires_at_ms(options.ttl, 0)?;
            let append = Append { kind: Kind::Set, key, value, expires_at_ms };
            let version = self.set_whatever_is_there(guard, hash, &append, options.sync)?;
            return Ok(SetOutcome::Stored { version });
        }
        let stripe = self.index.lock(hash);
        let present = self.present(guard, &stripe, key, hash);
        let live = present.as_ref().filter(|version| self.is_live(version));
        let refusal = match (options.condition, live.is_some()) {
            (Condition::IfAbsent, true) => Some(SetOutcome::Exists),
            (Condition::IfPresent, false) => Some(SetOutcome::NotFound),
            _ => None,
        };
        if let Some(refusal) = refusal {
            drop(stripe);
            self.settle_observed(present.as_ref())?;
            return Ok(refusal);
        }
        let expires_at_ms = self.expires_at_ms(options.ttl, self.kept_expiry(options.ttl, live)?)?;
        if present.is_none() {
            self.check_memory(1)?;
        }
        let append = Append { kind: Kind::Set, key, value, expires_at_ms };
        let version = self.write_one(guard, stripe, hash, present.as_ref(), &append, options.sync)?;
        Ok(SetOutcome::Stored { version })
    }

    pub(crate) fn del(&self, guard: &EpochGuard<'_>, key: &[u8]) -> Result<bool> {
        Self::check_key(key)?;
        self.log.check_writable()?;
        let hash = self.hasher.hash(key);
        let stripe = self.index.lock(hash);
        let present = self.present(guard, &stripe, key, hash);
        if !present.as_ref().is_some_and(|version| self.is_live(version)) {
            drop(stripe);
            self.settle_observed(present.as_ref())?;
            return Ok(false);
        }
        let append = Append { kind: Kind::Tombstone, key, value: b"", expires_at_ms: 0 };
        self.write_one(guard, stripe, hash, present.as_ref(), &append, false)?;
        Ok(true)
    }

    pub(crate) fn expire(&self, guard: &EpochGuard<'_>, key: &[u8], ttl_ms: Option<u64>) -> Result<bool> {
        self.expire_with(guard, key, ttl_ms.map_or(Ttl::Forever, Ttl::Millis))
    }

    pub(crate) fn expire_with(&self, guard: &EpochGuard<'_>, key: &[u8], ttl: Ttl) -> Result<bool> {
        Self::check_key(key)?;
        self.log.check_writable()?;
        let hash = self.hasher.hash(key);
        let stripe = self.index.lock(hash);
        let present = self.present(guard, &stripe, key, hash);
        let Some(version) = present.as_ref().filter(|version| self.is_live(version)) else {
            drop(stripe);
            self.settle_observed(present.as_ref())?;
            return Ok(false);
        };
        // The value is written once more: it must not carry damage into a record with a new checksum.
        version.located.verify()?;
        let expires_at_ms = self.expires_at_ms(ttl, version.located.record.head.expires_at_ms)?;
        if ttl == Ttl::Millis(0) {
            // Over at once is over for ever, wherever the system's clock stands after a restart (R3).
            self.clock.note(&self.log, expires_at_ms);
        }
        if expires_at_ms != version.located.record.head.expires_at_ms {
            let append = Append { kind: Kind::Set, key, value: version.located.record.value(), expires_at_ms };
            self.write_one(guard, stripe, hash, present.as_ref(), &append, false)?;
        } else {
            drop(stripe);
            self.settle_observed(present.as_ref())?;
        }
        Ok(true)
    }

    pub(crate) fn write_batch(&self, guard: &EpochGuard<'_>, ops: &[BatchOp<'_>], is_synced: bool) -> Result<()> {
        for op in ops {
            Self::check_key(op.key())?;
            if let BatchOp::Set { value, .. } = op {
                Self::check_value(value)?;
            }
        }
        self.log.check_writable()?;
        self.log.wait_for_room(ops.iter().map(BatchOp::len).sum());
        if ops.is_empty() {
            return if is_synced { self.log.sync_all() } else { Ok(()) };
        }
        let hashes: Vec<u64> = ops.iter().map(|op| self.hasher.hash(op.key())).collect();
        // Misses of the cache overlap, here those of the index and before the append those of what is replaced.
        hashes.iter().for_each(|hash| self.index.prefetch_for_write(guard, *hash));
        let mut stripes = self.index.lock_many(hashes.iter().copied());
        let mut appends = Vec::with_capacity(ops.len());
        // What an operation sees is what those before it in the same batch have done.
        let mut expiries: HashMap<&[u8], u64> = HashMap::new();
        let keeps_any = ops.iter().any(|op| matches!(op, BatchOp::Set { ttl: Ttl::Keep, .. }));
        for (op, hash) in ops.iter().zip(&hashes) {
            let append = match *op {
                BatchOp::Del { key } => Append { kind: Kind::Tombstone, key, value: b"", expires_at_ms: 0 },
                BatchOp::Set { key, value, ttl } => {
                    let present = match expiries.get(key) {
                        Some(expires_at_ms) => *expires_at_ms,
                        None if ttl == Ttl::Keep => {
                            let version = self.present(guard, stripes.stripe(*hash), key, *hash);
                            self.kept_expiry(ttl, version.as_ref().filter(|version| self.is_live(version)))?
                        }
                        None => 0,
                    };
                    Append { kind: Kind::Set, key, value, expires_at_ms: self.expires_at_ms(ttl, present)? }
                }
            };
            if keeps_any {
                expiries.insert(append.key, append.expires_at_ms);
            }
            appends.push(append);
        }
        self.check_memory(ops.len())?;
        for hash in &hashes {
            stripes.find(*hash, |location| {
                self.log.segments().prefetch(guard, location);
                true
            });
        }
        let is_freeing = appends.iter().all(|append| append.kind == Kind::Tombstone);
        let priority = if is_freeing { Priority::Reclaiming } else { Priority::Ordinary };
        let written = self.log.append_batch(guard, &appends, priority)?;
        self.unsettled.open_batch();
        let mut writes = Vec::with_capacity(ops.len());
        let own = written.first().map(|first| first.location)..=written.last().map(|last| last.location);
        // From the last on, so that the index never shows what the batch itself overwrites: a reader could still be
        // looking at it when the batch has settled.
        for ((append, hash), written) in appends.iter().zip(&hashes).zip(written).rev() {
            let new = Indexed { hash: *hash, written };
            let stripe = stripes.stripe(*hash);
            let present = self.present(guard, stripe, append.key, *hash);
            if present.as_ref().is_some_and(|version| own.contains(&Some(version.location))) {
                continue;
            }
            self.point_index(stripe, present.as_ref(), &new, true);
            writes.push(new);
        }
        writes.reverse();
        if self.is_always() {
            // It may be durable already, by the sync of another writer.
            self.unsettled.complete(writes.iter().map(|write| write.written.location));
        } else {
            self.unsettled.settle(writes.iter().map(|write| write.written.location));
            for write in writes.iter().filter(|write| write.kind() == Kind::Tombstone) {
                stripes.stripe(write.hash).remove(write.hash, write.written.location);
            }
        }
        self.unsettled.close_batch();
        drop(stripes);
        self.settle(guard, &writes, is_synced)
    }
}

impl<'a> BatchOp<'a> {
    /// Bytes of the key and the value.
    fn len(&self) -> u64 {
        match self {
            BatchOp::Set { key, value, .. } => (key.len() + value.len()) as u64,
            BatchOp::Del { key } => key.len() as u64,
        }
    }

    /// The key that it is about.
    pub fn key(&self) -> &'a [u8] {
        match self {
            BatchOp::Set { key, .. } | BatchOp::Del { key } => key,
        }
    }
}
