//! From the files of a store to a log and an index: which records count, and where each key's
//! present one is.
//!
//! The manifest names the segments. Sealed ones are known to their end; the others form a chain of
//! consecutive seqnos, and the first place where it breaks is the end of history: a torn tail if it
//! lies behind what was known durable, damage if it lies before (R9).
//!
//! Not here: taking the lock, reading the manifest, trusting a checkpoint (`checkpoint`).
//!
//! Invariants:
//!   RC1. What is kept is a prefix of the history; batches are whole (R8).
//!   RC2. Before a store that was not closed in order takes a write, everything kept is durable, sealed
//!        in the manifest, and never appended to again (R10).
//!   RC3. Recovery changes no byte of a record: it can be cut short anywhere and start again.

use crate::epoch::Epochs;
use crate::error::{Error, Result, Status};
use crate::format::KeyHasher;
use crate::format::checkpoint::{CheckpointSegment, Contents};
use crate::format::manifest::Change;
use crate::format::record::{Head, Kind};
use crate::format::segment::{Durable, HEAD_LEN};
use crate::index::{Index, Location};
use crate::log::scanner::Scanner;
use crate::log::{Accounts, LogConfig, LogParts, Manifest, Segment, Segments};
use crate::storage::{MapAccess, Storage};
use std::sync::Arc;

/// After a cut tail, this many seqnos are left out, so that those of the lost writes are not given
/// out a second time.
const SEQNO_GAP_AFTER_CUT: u64 = 1 << 20;

/// What recovery has put together.
pub struct Recovered {
    /// For the log.
    pub parts: LogParts,
    /// The index over it.
    pub index: Index,
    /// The expiry clock was at least here.
    pub clock_ms: u64,
}

/// What recovery works on.
pub struct Recovery<'a> {
    /// The store's directory.
    pub storage: &'a Arc<dyn Storage>,
    /// How the log is to be opened.
    pub config: &'a LogConfig,
    /// The hash of the store's keys.
    pub hasher: KeyHasher,
    /// For the index.
    pub epochs: &'a Arc<Epochs>,
}

/// A segment that was not sealed, with everything in its file readable.
struct Open {
    segment: Segment,
    durable: Durable,
    /// Of its first intact record.
    seqno_first: Option<u64>,
}

/// The log's unsealed part after its end was found.
#[derive(Default)]
struct Chain {
    /// Segments with records, in order, and the end of what counts in each.
    kept: Vec<(Segment, u64)>,
    /// Segments of which nothing counts.
    discarded: Vec<Segment>,
    seqno_next: u64,
}

impl Recovery<'_> {
    /// Opens the store that the manifest describes, with the index of a checkpoint that was made from
    /// exactly this state, or by replay of all records.
    pub fn run(&self, mut manifest: Manifest, checkpoint: Option<(Contents, Index)>) -> Result<Recovered> {
        let slot_bytes = checkpoint.as_ref().map_or(self.config.segment_bytes, |(contents, _)| contents.slot_bytes);
        let segments = Segments::new(slot_bytes);
        let known: &[CheckpointSegment] = checkpoint.as_ref().map_or(&[], |(contents, _)| &contents.segments);
        let slot_of = |id: u64| known.iter().find(|segment| segment.id == id).map(|segment| segment.slot);
        let store_id = manifest.head().store_id;
        let mut replayed = Vec::new();
        for (&id, entry) in &manifest.state().segments {
            if let Some(sealed) = entry.sealed {
                let access = MapAccess::ReadOnly;
                let opened = Segment::open(self.storage.as_ref(), store_id, id, entry.file_len, sealed.end, access)?;
                let segment = Arc::new(opened);
                segment.set_sealed();
                segment.note_punched();
                for seqno in [sealed.seqno_min, sealed.seqno_max] {
                    if seqno != 0 {
                        segment.note_seqno(seqno);
                    }
                }
                segments.insert(&segment, slot_of(id))?;
                replayed.push(segment);
            }
        }
        let unsealed = self.open_unsealed(&manifest)?;
        let clock_ms = unsealed.iter().map(|open| open.segment.clock_ms()).max().unwrap_or(0);
        let clock_ms = clock_ms.max(manifest.state().clock_ms);
        let (mut active, mut prepared) = (None, Vec::new());
        let mut seqno_next;
        if let Some(closed) = manifest.state().closed {
            seqno_next = manifest.state().seqno_next;
            // Those whose place is known come first, so that no other takes it.
            let (known, unknown): (Vec<_>, Vec<_>) =
                unsealed.into_iter().partition(|open| slot_of(open.segment.id()).is_some());
            for open in known.into_iter().chain(unknown) {
                let is_active = open.segment.id() == closed.id;
                let segment = Arc::new(open.segment.restart_at(if is_active { closed.end } else { HEAD_LEN as u64 }));
                segments.insert(&segment, slot_of(segment.id()))?;
                if is_active {
                    replayed.push(Arc::clone(&segment));
                    active = Some(segment);
                } else {
                    prepared.push(segment);
                }
            }
        } else {
            let chain = find_end(unsealed, manifest.state().seqno_next)?;
            seqno_next = chain.seqno_next;
            if !self.config.is_read_only {
                seqno_next = self.settle(&mut manifest, &chain, clock_ms)?;
            }
            for (segment, end) in chain.kept {
                let segment = Arc::new(segment.restart_at(end));
                segment.set_sealed();
                segment.note_punched();
                segments.insert(&segment, None)?;
                replayed.push(segment);
            }
        }
        let accounts = Accounts::new();
        let index = match checkpoint {
            Some((contents, index)) => {
                accounts.import(contents.live_count, contents.live_bytes, &contents.expiring);
                for segment in &replayed {
                    let known = contents.segments.iter().find(|known| known.id == segment.id());
                    let known = known.ok_or_else(|| Error::from(Status::Corrupt))?;
                    segment.import_accounts(known);
                }
                index
            }
            None => self.replay(&segments, &accounts, &replayed)?,
        };
        let parts = LogParts { segments, accounts, manifest, active, prepared, seqno_next };
        Ok(Recovered { parts, index, clock_ms })
    }

    fn open_unsealed(&self, manifest: &Manifest) -> Result<Vec<Open>> {
        let access = if self.config.is_read_only { MapAccess::ReadOnly } else { MapAccess::ReadWrite };
        let mut unsealed = Vec::new();
        for (&id, entry) in &manifest.state().segments {
            if entry.sealed.is_none() {
                let store_id = manifest.head().store_id;
                let len = entry.file_len;
                let segment = Segment::open(self.storage.as_ref(), store_id, id, len, len, access)?;
                let durable = segment.durable_word()?;
                if durable.end > len {
                    return Err(Error::corrupt(&segment.name(), len, "the file ends before what was made durable;"));
                }
                let mut scanner = scan(&segment, len)?;
                let seqno_first = scanner.next_record().map(|found| found.record.head.seqno);
                let stopped = scanner.stop()?;
                let is_chained = manifest.state().closed.is_none();
                if is_chained && seqno_first.is_none() && durable.end > HEAD_LEN as u64 {
                    // Said here, because without its first record the segment has no place in the chain. After a
                    // close in order there is no chain, and its other keys stay readable (P6).
                    let what = stopped.unwrap_or("records that were durable are missing");
                    return Err(Error::corrupt(&segment.name(), scanner.offset(), what));
                }
                unsealed.push(Open { segment, durable, seqno_first });
            }
        }
        Ok(unsealed)
    }

    /// Makes durable what is kept and says in the manifest where it ends (R10).
    ///
    /// What is not known durable is written once more, in place and byte for byte, because after a
    /// failed sync the pages may look clean without being on the disk; then it is synced. Returns the
    /// seqno from which the store goes on.
    fn settle(&self, manifest: &mut Manifest, chain: &Chain, clock_ms: u64) -> Result<u64> {
        let mut changes = Vec::new();
        let mut seqno_next = chain.seqno_next;
        for (segment, end) in &chain.kept {
            segment.rewrite_through(*end)?;
            let (seqno_min, seqno_max) = (segment.seqno_min(), segment.seqno_max());
            changes.push(Change::Seal { id: segment.id(), end: *end, seqno_min, seqno_max });
        }
        changes.extend(chain.discarded.iter().map(|segment| Change::Remove { id: segment.id() }));
        if !chain.kept.is_empty() || !chain.discarded.is_empty() {
            seqno_next += SEQNO_GAP_AFTER_CUT;
        }
        changes.push(Change::Advance { segment_id_next: 0, seqno_next, clock_ms, tombstone_floor: 0 });
        manifest.renew(&changes)?;
        for segment in &chain.discarded {
            // What stays behind is swept on the next open (R7).
            let _ = self.storage.remove(&segment.name());
        }
        Ok(seqno_next)
    }

    /// The index of all records of `replayed`, in whatever order they stand: the highest seqno wins (R2).
    fn replay(&self, segments: &Segments, accounts: &Accounts, replayed: &[Arc<Segment>]) -> Result<Index> {
        let index = Index::new(Arc::clone(self.epochs));
        let mut tombstones = Vec::new();
        for segment in replayed {
            let end = segment.end();
            let mut scanner = scan(segment, end)?;
            while let Some(found) = scanner.next_record() {
                let head = found.record.head;
                let hash = self.hasher.hash(found.record.key());
                let location = segments.location(segment, found.offset);
                segment.note_seqno(head.seqno);
                if head.kind == Kind::Tombstone {
                    segment.note_tombstone(head.record_len());
                    tombstones.push((hash, location));
                }
                let new = Replayed { segment, head, key: found.record.key(), location };
                if !index.has_memory_for(1) {
                    return Err(Error::new(Status::OutOfMemory, "the system has no memory for the index"));
                }
                self.replay_one(&index, segments, accounts, hash, &new);
            }
            if let Some(what) = scanner.stop()? {
                return Err(Error::corrupt(&segment.name(), scanner.offset(), what));
            }
        }
        for (hash, location) in tombstones {
            index.lock(hash).remove(hash, location);
        }
        Ok(index)
    }

    fn replay_one(&self, index: &Index, segments: &Segments, accounts: &Accounts, hash: u64, new: &Replayed<'_>) {
        let guard = self.epochs.enter();
        let mut stripe = index.lock(hash);
        let mut old = None;
        let found = stripe.find(hash, |location| match segments.record(&guard, location) {
            Some(located) if located.record.key() == new.key => {
                old = Some((located.segment, located.record.head));
                true
            }
            _ => false,
        });
        match (found, old) {
            (Some(location), Some((segment, head))) => {
                if head.seqno >= new.head.seqno {
                    return;
                }
                if head.kind == Kind::Set {
                    accounts.record_dies(segment, &head);
                }
                let is_replaced = stripe.replace(hash, location, new.location);
                debug_assert!(is_replaced, "the stripe is locked");
            }
            _ => stripe.insert(hash, new.location),
        }
        if new.head.kind == Kind::Set {
            accounts.record_lives(new.segment, &new.head);
        }
    }
}

/// A record on its way into the index.
struct Replayed<'a> {
    segment: &'a Segment,
    head: Head,
    key: &'a [u8],
    location: Location,
}

fn scan(segment: &Segment, limit: u64) -> Result<Scanner<'_>> {
    Scanner::new(segment, limit)
}

/// Walks the chain of unsealed segments to the end of history.
fn find_end(mut unsealed: Vec<Open>, seqno_durable: u64) -> Result<Chain> {
    unsealed.sort_by_key(|open| open.seqno_first.unwrap_or(u64::MAX));
    // A segment that was continued after a close in order starts before what the manifest says.
    let seqno_start = unsealed.first().and_then(|open| open.seqno_first).unwrap_or(seqno_durable).min(seqno_durable);
    let mut chain = Chain { seqno_next: seqno_start, ..Chain::default() };
    let mut is_over = false;
    for Open { segment, durable, seqno_first } in unsealed {
        if is_over || seqno_first != Some(chain.seqno_next) {
            // Behind the end of history nothing counts; nothing of it may have been durable (R9).
            if durable.end > HEAD_LEN as u64 {
                let what = "a segment that was durable does not continue the log";
                return Err(Error::corrupt(&segment.name(), HEAD_LEN as u64, what));
            }
            chain.discarded.push(segment);
            continue;
        }
        let limit = if durable.is_cut { durable.end } else { segment.file_len() };
        is_over = durable.is_cut;
        let (end, what) = {
            let mut scanner = scan(&segment, limit)?;
            let mut end = scanner.offset();
            let mut what = None;
            while let Some(found) = scanner.next_record() {
                let head = found.record.head;
                if head.seqno != chain.seqno_next {
                    what = Some("a record is not the next of the log");
                    break;
                }
                segment.note_seqno(head.seqno);
                chain.seqno_next += 1;
                end = scanner.offset();
            }
            (end, what.or(scanner.stop()?))
        };
        if end < durable.end {
            return Err(Error::corrupt(&segment.name(), end, what.unwrap_or("records that were durable are missing")));
        }
        chain.kept.push((segment, end));
    }
    if chain.seqno_next < seqno_durable {
        let name = chain.kept.last().map_or_else(|| "the log".to_owned(), |(segment, _)| segment.name());
        let end = chain.kept.last().map_or(0, |(_, end)| *end);
        return Err(Error::corrupt(&name, end, "records that were durable are missing"));
    }
    Ok(chain)
}
