//! From the files of a store to a log and an index: which records count, and where each key's
//! present one is.
//!
//! The manifest names the segments. Sealed ones are known to their end; the others form a chain of
//! consecutive seqnos, and the first place where it breaks is the end of history: a torn tail if it
//! lies behind what was known durable, damage if it lies before (R9). Over the index of a checkpoint that fits
//! this history, only what it does not cover is replayed.
//!
//! Not here: taking the lock, reading the manifest, what a checkpoint looks like (`checkpoint`).
//!
//! Invariants:
//!   RC1. What is kept is a prefix of the history; batches are whole (R8).
//!   RC2. Before a store that was not closed in order takes a write, everything kept is durable, sealed
//!        in the manifest, and never appended to again (R10).
//!   RC3. Recovery changes no byte of a record: it can be cut short anywhere and start again.
//!   RC4. A checkpoint that does not fit is removed before the store takes a write: later, when the seqnos have
//!        gone on, it might seem to fit (R5).

mod replay;

use crate::epoch::Epochs;
use crate::error::{Error, Result};
use crate::format::KeyHasher;
use crate::format::checkpoint::Contents;
use crate::format::manifest::Change;
use crate::format::segment::{Durable, HEAD_LEN};
use crate::index::Index;
use crate::log::scanner::Scanner;
use crate::log::segments::{slot_count, slot_limit};
use crate::log::{Accounts, LogConfig, LogParts, Manifest, Segment, Segments};
use crate::rules::{self, Rule};
use crate::sort;
use crate::storage::{self, MapAccess, Storage};
use replay::{Replay, Work};
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
    /// Which checkpoint the index is from, if it is from one.
    pub base: Option<usize>,
    /// Bytes of the records that were replayed.
    pub replayed_bytes: u64,
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
    /// How many threads may work on it.
    pub thread_count: usize,
}

/// A checkpoint that may be what a recovery starts from.
pub struct Base<'a> {
    /// The file's name.
    pub name: &'a str,
    /// What it covers.
    pub contents: &'a Contents,
    /// Its index, once the segments have their places.
    pub open_index: &'a dyn Fn(&Segments) -> Option<Index>,
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

/// What a segment is to the log that goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Sealed,
    /// Unsealed so far, and to be sealed where it ended.
    Kept,
    Active,
    Prepared,
}

/// Which records there are.
struct History {
    /// Each published up to the end of its records.
    segments: Vec<(Arc<Segment>, Role)>,
    /// Segments of which nothing counts.
    discarded: Vec<Segment>,
    seqno_next: u64,
    clock_ms: u64,
    was_closed: bool,
}

impl Recovery<'_> {
    /// Opens the store that the manifest describes, over the first of `bases` that fits, or by replay of all
    /// records.
    pub fn run(&self, mut manifest: Manifest, bases: &[Base<'_>]) -> Result<Recovered> {
        let history = self.find_history(&manifest)?;
        let chosen = bases.iter().position(|base| history.fits(base.contents));
        if !self.config.is_read_only {
            for (place, base) in bases.iter().enumerate() {
                if Some(place) != chosen && !history.fits(base.contents) && rules::holds(Rule::MisfitsRemoved) {
                    // RC4: made durable by the manifest that `settle` writes.
                    let _ = self.storage.remove(base.name);
                }
            }
        }
        let base = chosen.map(|place| &bases[place]);
        let slot_bytes = base.map_or(self.config.segment_bytes, |base| base.contents.slot_bytes);
        let segments = Segments::new(slot_bytes);
        let slot_of = |id: u64| Some(base?.contents.segment(id)?.slot);
        // Those whose place is known come first, so that no other takes it.
        for is_known in [true, false] {
            for (segment, _) in history.segments.iter().filter(|(it, _)| slot_of(it.id()).is_some() == is_known) {
                segments.insert(segment, slot_of(segment.id()))?;
            }
        }
        let accounts = Accounts::new(segments.clone());
        let index_over = || self.index_over(&history, base, &segments, &accounts);
        let mut seqno_next = history.seqno_next;
        let (index, is_of_base, replayed_bytes) = if history.was_closed || self.config.is_read_only {
            index_over()?
        } else if self.thread_count > 1 {
            std::thread::scope(|scope| {
                let settling = storage::spawn_scoped(scope, "larder-settle", || self.settle(&mut manifest, &history))
                    .map_err(|source| Error::from_io("start a thread of the recovery", &source))?;
                let indexed = index_over();
                match settling.join() {
                    Ok(settled) => seqno_next = settled?,
                    Err(panic) => std::panic::resume_unwind(panic),
                }
                indexed
            })?
        } else {
            seqno_next = self.settle(&mut manifest, &history)?;
            index_over()?
        };
        let (mut active, mut prepared) = (None, Vec::new());
        for (segment, role) in history.segments {
            match role {
                Role::Sealed => {}
                Role::Kept => {
                    segment.set_sealed();
                    segment.note_punched();
                }
                Role::Active => active = Some(segment),
                Role::Prepared => prepared.push(segment),
            }
        }
        let parts = LogParts { segments, accounts, manifest, active, prepared, seqno_next };
        let base = chosen.filter(|_| is_of_base);
        Ok(Recovered { parts, index, clock_ms: history.clock_ms, base, replayed_bytes })
    }

    /// Finds out which records count. Changes nothing.
    fn find_history(&self, manifest: &Manifest) -> Result<History> {
        let store_id = manifest.head().store_id;
        let mut segments = Vec::new();
        for (&id, entry) in &manifest.state().segments {
            if let Some(sealed) = entry.sealed {
                let access = MapAccess::ReadOnly;
                let opened = Segment::open(self.storage.as_ref(), store_id, id, entry.file_len, sealed.end, access)?;
                opened.set_sealed();
                opened.note_punched();
                for seqno in [sealed.seqno_min, sealed.seqno_max] {
                    if seqno != 0 {
                        opened.note_seqno(seqno);
                    }
                }
                segments.push((Arc::new(opened), Role::Sealed));
            }
        }
        let unsealed = self.open_unsealed(manifest)?;
        let clock_ms = unsealed.iter().map(|open| open.segment.clock_ms()).max().unwrap_or(0);
        let clock_ms = clock_ms.max(manifest.state().clock_ms);
        let mut history = History { segments, discarded: Vec::new(), seqno_next: 0, clock_ms, was_closed: false };
        if let Some(closed) = manifest.state().closed {
            history.was_closed = true;
            history.seqno_next = manifest.state().seqno_next;
            for open in unsealed {
                let is_active = open.segment.id() == closed.id;
                let segment = open.segment.restart_at(if is_active { closed.end } else { HEAD_LEN as u64 });
                let role = if is_active { Role::Active } else { Role::Prepared };
                history.segments.push((Arc::new(segment), role));
            }
        } else {
            let chain = find_end(unsealed, manifest.state().seqno_next)?;
            history.seqno_next = chain.seqno_next;
            let kept = chain.kept.into_iter().map(|(segment, end)| (Arc::new(segment.restart_at(end)), Role::Kept));
            history.segments.extend(kept);
            history.discarded = chain.discarded;
        }
        Ok(history)
    }

    fn open_unsealed(&self, manifest: &Manifest) -> Result<Vec<Open>> {
        let access = if self.config.is_read_only { MapAccess::ReadOnly } else { MapAccess::ReadWrite };
        let mut unsealed = Vec::new();
        for (&id, entry) in &manifest.state().segments {
            if entry.sealed.is_none() {
                let store_id = manifest.head().store_id;
                let len = entry.file_len;
                let segment = Segment::open(self.storage.as_ref(), store_id, id, len, len, access)?;
                let mut durable = segment.durable_word()?;
                if !rules::holds(Rule::DurableWord) {
                    durable.end = HEAD_LEN as u64;
                }
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
    fn settle(&self, manifest: &mut Manifest, history: &History) -> Result<u64> {
        let mut changes = Vec::new();
        let (mut seqno_next, clock_ms) = (history.seqno_next, history.clock_ms);
        for (segment, _) in history.segments.iter().filter(|(_, role)| *role == Role::Kept) {
            let end = segment.end();
            segment.rewrite_through(end)?;
            let (seqno_min, seqno_max) = (segment.seqno_min(), segment.seqno_max());
            changes.push(Change::Seal { id: segment.id(), end, seqno_min, seqno_max });
        }
        changes.extend(history.discarded.iter().map(|segment| Change::Remove { id: segment.id() }));
        if !changes.is_empty() && rules::holds(Rule::SeqnoGap) {
            seqno_next += SEQNO_GAP_AFTER_CUT;
        }
        if !rules::holds(Rule::CutSealed) {
            changes.retain(|change| !matches!(change, Change::Seal { .. }));
        }
        let clock_ms = if rules::holds(Rule::RecoveryKeepsClock) { clock_ms } else { 0 };
        changes.push(Change::Advance { segment_id_next: 0, seqno_next, clock_ms, tombstone_floor: 0 });
        if rules::holds(Rule::ManifestRenewed) {
            manifest.renew(&changes)?
        } else {
            manifest.commit(&changes)?
        }
        for segment in &history.discarded {
            // What stays behind is swept on the next open (R7).
            let _ = self.storage.remove(&segment.name());
        }
        Ok(seqno_next)
    }

    /// The index of all records; whether it is that of `base` with what that does not cover; and how many bytes
    /// of records were replayed.
    fn index_over(
        &self,
        history: &History,
        base: Option<&Base<'_>>,
        segments: &Segments,
        accounts: &Accounts,
    ) -> Result<(Index, bool, u64)> {
        if let Some(base) = base
            && let Some(index) = (base.open_index)(segments)
        {
            let mut work = Vec::new();
            for (segment, _) in &history.segments {
                let known = base.contents.segment(segment.id());
                known.into_iter().for_each(|known| segment.import_accounts(known));
                work.push((Arc::clone(segment), known.map_or(HEAD_LEN as u64, |known| known.end)));
            }
            // Any doubt (R5): what went wrong may be the checkpoint's doing, so the log alone decides.
            if let Ok(bytes) = self.replay(&work, history.seqno_next, &index, segments, accounts)
                && !index.has_been_damaged()
            {
                return Ok((index, true, bytes));
            }
        }
        let index = Index::new(Arc::clone(self.epochs));
        history.segments.iter().for_each(|(segment, _)| segment.reset_accounts());
        let work: Vec<_> = history.segments.iter().map(|(it, _)| (Arc::clone(it), HEAD_LEN as u64)).collect();
        let bytes = self.replay(&work, history.seqno_next, &index, segments, accounts)?;
        Ok((index, false, bytes))
    }

    fn replay(
        &self,
        work: &[Work],
        seqno_end: u64,
        index: &Index,
        segments: &Segments,
        accounts: &Accounts,
    ) -> Result<u64> {
        let work: Vec<_> = work.iter().filter(|(segment, from)| *from < segment.end()).cloned().collect();
        let replay = Replay { epochs: self.epochs, hasher: self.hasher, segments, accounts, index, seqno_end };
        replay.run(&work, self.thread_count)?;
        Ok(work.iter().map(|(segment, from)| segment.end() - from).sum())
    }
}

impl History {
    /// Whether a checkpoint was made of this history: of an earlier moment of it.
    fn fits(&self, contents: &Contents) -> bool {
        let is_whole = |end: u64| end >= HEAD_LEN as u64 && end.is_multiple_of(8);
        let is_whole_history = contents.seqno_next <= self.seqno_next
            && contents.segments.iter().all(|known| known.is_possible(contents.seqno_next))
            && contents.segments.iter().all(|known| {
                let is_discarded = self.discarded.iter().any(|segment| segment.id() == known.id);
                let present = self.segments.iter().find(|(segment, _)| segment.id() == known.id);
                // One that is gone was compacted.
                is_whole(known.end) && !is_discarded && present.is_none_or(|(it, _)| known.end <= it.end())
            });
        let slot_bytes = contents.slot_bytes;
        let is_history = is_whole_history || !rules::holds(Rule::CheckpointFits);
        is_history && slot_bytes.is_power_of_two() && slot_bytes >= 4096 && self.slots_are_disjoint(contents)
    }

    /// Whether the segments' places in the address space make sense: taking one twice would be a panic.
    fn slots_are_disjoint(&self, contents: &Contents) -> bool {
        let mut spans: Vec<(u64, u64)> = Vec::new();
        for (segment, _) in &self.segments {
            if let Some(known) = contents.segment(segment.id()) {
                let count = slot_count(segment.file_len(), contents.slot_bytes);
                spans.push((known.slot, known.slot.saturating_add(count)));
            }
        }
        sort::pairs(&mut spans);
        let limit = slot_limit(contents.slot_bytes);
        spans.windows(2).all(|pair| pair[0].1 <= pair[1].0) && spans.last().is_none_or(|last| last.1 <= limit)
    }
}

fn scan(segment: &Segment, limit: u64) -> Result<Scanner<'_>> {
    Scanner::new(segment, limit)
}

/// Walks the chain of unsealed segments to the end of history.
fn find_end(unsealed: Vec<Open>, seqno_durable: u64) -> Result<Chain> {
    let unsealed = sort::by_key(unsealed, |open| open.seqno_first.unwrap_or(u64::MAX));
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
        let is_torn = what.is_some_and(|what| what != "there is no record");
        if end < durable.end || (is_torn && !rules::holds(Rule::TornTail)) {
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
