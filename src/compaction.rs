//! Compaction: copies what is live out of the worst segments and lets their files go.
//!
//! One run: look at every record of the inputs and decide; copy the survivors into an output segment;
//! sync it; point the index at the copies, each by compare-and-swap; sync the log; one manifest
//! edit; then the inputs are retired. Up to the edit everything can be undone, and a crash leaves an
//! output that nothing names.
//!
//! Tombstones survive until no older record of any key can be left. That is known after a *sweep*: from its
//! start on, every segment that existed then is looked at record by record and rewritten if it
//! holds a dead record; when all are done, tombstones from before the start are no longer needed
//! (`tombstone_floor` in the manifest). A record that expired counts as a tombstone of its seqno.
//!
//! Not here: when to run (`store::background`), how fast.
//!
//! Invariants:
//!   CO1. A tombstone or an expired record goes only if its seqno is at most the floor, or if the
//!        index holds a newer record of its key (R1).
//!   CO2. Copies keep seqno and expiry (R2).
//!   CO3. The index changes by compare-and-swap on the location that was looked at (R4).
//!   CO4. Whatever made a record dead is durable before the edit that drops it.

use crate::epoch::{EpochGuard, Epochs};
use crate::error::{Error, Result, Status};
use crate::format::KeyHasher;
use crate::format::manifest::Change;
use crate::format::record::{self, Head, Kind, Record};
use crate::format::segment::HEAD_LEN;
use crate::index::{Index, Location, Stripe};
use crate::log::scanner::Scanner;
use crate::log::{Log, Segment};
use crate::rules::{self, Rule};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What compaction works on.
#[derive(Clone, Copy)]
pub struct Compactor<'a> {
    /// The log.
    pub log: &'a Log,
    /// The index over it.
    pub index: &'a Index,
    /// For both.
    pub epochs: &'a Epochs,
    /// The hash of the store's keys.
    pub hasher: KeyHasher,
    /// What time it is.
    pub now_ms: u64,
}

/// A sweep under way: see the module.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// Tombstones up to here can go once it is done.
    seqno: u64,
    /// Segments still to be looked at.
    pending: BTreeSet<u64>,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Segments that are gone.
    pub segments: u64,
    /// Bytes of their records.
    pub input_bytes: u64,
    /// Bytes of the records that were copied.
    pub output_bytes: u64,
}

/// What becomes of a record that stays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is its key's present one.
    Live,
    /// Its time is over, and the index still points at it: a tombstone takes its place.
    Expires,
    /// It guards against older versions: a tombstone, or made one.
    Guard,
}

/// A record that stays, with what its head said when it was judged: the bytes may be damaged later, and then only
/// its copy is to be believed. Small, because a run holds one for every record that it copies.
struct Survivor<'a> {
    segment: &'a Segment,
    offset: u64,
    hash: u64,
    expires_at_ms: u64,
    value_len: u32,
    key_len: u16,
    kind: Kind,
    fate: Fate,
}

impl<'a> Survivor<'a> {
    fn new(segment: &'a Segment, offset: u64, hash: u64, head: &Head, fate: Fate) -> Self {
        let Head { kind, key_len, value_len, expires_at_ms, .. } = *head;
        Self { segment, offset, hash, expires_at_ms, value_len, key_len, kind, fate }
    }

    /// The head that was judged, but for its place in the order of writes and in a batch.
    fn head(&self) -> Head {
        let Self { kind, key_len, value_len, expires_at_ms, .. } = *self;
        Head { kind, is_in_batch: false, key_len, value_len, seqno: 0, expires_at_ms }
    }

    /// The head of its copy, likewise.
    fn copied_head(&self) -> Head {
        copied_head(&self.head(), self.fate)
    }

    fn record(&self) -> Result<Record<'a>> {
        let area = self.segment.record_area(self.segment.end())?;
        let record = area.get(self.offset as usize - HEAD_LEN..).and_then(Record::at_start_of);
        record.ok_or_else(|| Error::corrupt(&self.segment.name(), self.offset, "a record has changed"))
    }
}

/// The head of a survivor's copy.
fn copied_head(head: &Head, fate: Fate) -> Head {
    match fate {
        Fate::Live => {
            let expires_at_ms = if rules::holds(Rule::CopiesKeepExpiry) { head.expires_at_ms } else { 0 };
            Head { is_in_batch: false, expires_at_ms, ..*head }
        }
        Fate::Expires | Fate::Guard => {
            Head { kind: Kind::Tombstone, is_in_batch: false, value_len: 0, expires_at_ms: 0, ..*head }
        }
    }
}

/// Bytes of `segment` that compacting it would free for certain.
pub fn reclaimable_bytes(segment: &Segment, tombstone_floor: u64) -> u64 {
    let kept = if segment.seqno_max() > tombstone_floor { segment.tombstone_bytes() } else { 0 };
    segment.dead_bytes().saturating_sub(kept)
}

impl Sweep {
    /// Starts a sweep over the sealed ones of `segments`. `seqno_next` was the next write's before they were
    /// listed: so each record below it is in one of them, and its tombstone goes only if that one is looked at.
    pub fn start(index: &Index, seqno_next: u64, segments: &[Arc<Segment>]) -> Self {
        let mut sweep = Self { seqno: seqno_next - 1, pending: BTreeSet::new() };
        for segment in segments {
            if segment.is_sealed() && !segment.is_excluded_from_compaction() {
                sweep.pending.insert(segment.id());
            } else if segment.seqno_min() != 0 {
                sweep.seqno = sweep.seqno.min(segment.seqno_min() - 1);
            }
        }
        // A writer that has appended a tombstone but not yet changed the index would make a record dead after
        // the sweep has found it live.
        index.wait_for_writers();
        sweep
    }

    /// Whether tombstones above `floor` can go once it is done.
    pub fn is_useful(&self, floor: u64) -> bool {
        self.seqno > floor
    }

    /// The next segment to look at.
    pub fn next(&self) -> Option<u64> {
        self.pending.first().copied()
    }
}

impl<'a> Compactor<'a> {
    /// Whether every record of `segment` is live or a tombstone: then a sweep need not rewrite it. Every
    /// record is looked at.
    pub fn has_no_dead_record(&self, segment: &Segment) -> Result<bool> {
        let guard = self.epochs.enter();
        let mut scanner = Scanner::new(segment, segment.end())?;
        while let Some(found) = scanner.next_record() {
            if found.record.head.kind == Kind::Set {
                let hash = self.hasher.hash(found.record.key());
                let location = self.log.segments().location(segment, found.offset);
                if self.index.find(&guard, hash, |candidate| candidate == location).is_none() {
                    return Ok(false);
                }
            }
        }
        scanner.stop()?.map_or(Ok(true), |what| Err(damaged(segment, scanner.offset(), what)))
    }

    /// Compacts `inputs`, which are sealed. On an error nothing has changed. `pace` is told now and
    /// then how many bytes were copied since it was last told, and may sleep.
    pub fn run(
        &self,
        inputs: &[Arc<Segment>],
        sweep: Option<&mut Sweep>,
        pace: &mut dyn FnMut(u64),
    ) -> Result<Compacted> {
        self.log.check_writable()?;
        let mut survivors = Vec::new();
        for input in inputs {
            debug_assert!(input.is_sealed(), "only sealed segments are compacted");
            self.judge(input, &mut survivors, pace)?;
        }
        let output_bytes = survivors.iter().map(|survivor| survivor.copied_head().record_len()).sum();
        let output = if output_bytes == 0 { None } else { Some(self.copy(&survivors, output_bytes, pace)?) };
        let output = output.as_ref();
        let switched = match output {
            Some(output) => self.switch(&survivors, output),
            None => Vec::new(),
        };
        if !rules::holds(Rule::UnlinkAfterEdit) {
            for input in inputs {
                let _ = self.log.storage().remove(&input.name());
            }
        }
        if let Err(error) = self.commit(inputs, output, sweep) {
            if let Some(output) = output {
                self.undo(&survivors, &switched, output);
            }
            return Err(error);
        }
        for input in inputs {
            self.log.retire_segment(self.epochs, input);
        }
        // The files' room comes back with their maps, which the next run may need: two steps, if no reader stands
        // in the way.
        self.epochs.collect();
        self.epochs.collect();
        let input_bytes = inputs.iter().map(|input| input.record_bytes()).sum();
        Ok(Compacted { segments: inputs.len() as u64, input_bytes, output_bytes })
    }

    /// Looks at every record of `input` and keeps what must stay.
    fn judge(&self, input: &'a Segment, survivors: &mut Vec<Survivor<'a>>, pace: &mut dyn FnMut(u64)) -> Result<()> {
        let floor = self.log.with_manifest(|manifest| manifest.state().tombstone_floor);
        let mut scanner = Scanner::new(input, input.end())?;
        let mut looked_at = 0;
        while let Some(found) = scanner.next_record() {
            let (head, key) = (found.record.head, found.record.key());
            let hash = self.hasher.hash(key);
            let location = self.log.segments().location(input, found.offset);
            // Entered for one record at a time: what is retired meanwhile need not wait for the walk.
            let guard = self.epochs.enter();
            let is_here = |candidate| candidate == location;
            // A writer appends first and changes the index after, with the stripe locked all the while: only
            // who has the lock can tell a dead record from one that is about to live.
            let is_present = self.index.find(&guard, hash, is_here).is_some()
                || (rules::holds(Rule::JudgeLocks) && self.index.lock(hash).find(hash, is_here).is_some());
            let is_over = head.kind == Kind::Tombstone || head.is_expired(self.now_ms);
            let fate = match (is_present, is_over) {
                (true, false) => Some(Fate::Live),
                (true, true) => Some(Fate::Expires),
                (false, true) if head.seqno > floor && !self.is_superseded(&guard, hash, key) => Some(Fate::Guard),
                (false, _) => None,
            };
            let is_kept = match head.kind {
                Kind::Tombstone => rules::holds(Rule::TombstonesGuard),
                _ => rules::holds(Rule::ExpiredGuard),
            };
            if let Some(fate) = fate.filter(|fate| *fate == Fate::Live || is_kept) {
                survivors.push(Survivor::new(input, found.offset, hash, &head, fate));
            }
            looked_at += head.record_len();
            if looked_at >= PACE_BYTES {
                drop(guard);
                pace(looked_at / LOOK_COST);
                looked_at = 0;
            }
        }
        scanner.stop()?.map_or(Ok(()), |what| Err(damaged(input, scanner.offset(), what)))
    }

    /// Whether the index holds a record of `key`: it is newer than any that the index does not hold.
    fn is_superseded(&self, guard: &EpochGuard<'_>, hash: u64, key: &[u8]) -> bool {
        let is_of_key = |candidate| {
            self.log
                .record(guard, candidate)
                .is_some_and(|located| located.record.key() == key && located.record.head.kind == Kind::Set)
        };
        self.index.find(guard, hash, is_of_key).is_some()
    }

    /// Copies the survivors into a new segment and makes it durable.
    fn copy(&self, survivors: &[Survivor<'_>], bytes: u64, pace: &mut dyn FnMut(u64)) -> Result<Arc<Segment>> {
        let file_len = (HEAD_LEN as u64 + bytes).next_multiple_of(4096);
        let output = self.log.make_output_segment(file_len)?;
        let copied = (|| {
            let mut since_pace = 0;
            for survivor in survivors {
                let source = survivor.record()?;
                // Once more: damage since the record was judged must not get into a copy with a new checksum (P6).
                if !record::is_intact(source.bytes, survivor.segment.seed(), survivor.offset) {
                    return Err(damaged(survivor.segment, survivor.offset, "a record fails its check"));
                }
                let head = copied_head(&source.head, survivor.fate);
                if head.record_len() != survivor.copied_head().record_len() {
                    return Err(damaged(survivor.segment, survivor.offset, "a record has changed"));
                }
                let value = if survivor.fate == Fate::Live { source.value() } else { b"" };
                let len = head.record_len();
                let mut claim = output
                    .map()
                    .claim(len as usize)
                    .ok_or_else(|| Error::new(Status::Panic, "a compaction's output is too small"))?;
                let offset = claim.start() as u64;
                record::write(claim.bytes(), output.seed(), offset, &head, source.key(), value);
                claim.publish();
                output.note_seqno(head.seqno);
                if head.kind == Kind::Tombstone {
                    output.note_tombstone(len);
                }
                since_pace += len;
                if since_pace >= PACE_BYTES {
                    pace(since_pace);
                    since_pace = 0;
                }
            }
            self.log.sync_output(&output)
        })();
        match copied {
            Ok(()) => Ok(output),
            Err(error) => {
                self.log.unmake_segment(self.epochs, &output);
                Err(error)
            }
        }
    }

    /// Points the index at the copies, which stand in `output` one after the other; says for each survivor
    /// whether the index was changed. The inputs are not looked at again.
    fn switch(&self, survivors: &[Survivor<'_>], output: &Segment) -> Vec<bool> {
        let (segments, accounts) = (self.log.segments(), self.log.accounts());
        let mut offset = HEAD_LEN as u64;
        let mut switched = Vec::with_capacity(survivors.len());
        for survivor in survivors {
            let (head, copied) = (survivor.head(), survivor.copied_head());
            let source = segments.location(survivor.segment, survivor.offset);
            let target = segments.location(output, offset);
            offset += copied.record_len();
            let mut stripe = self.index.lock(survivor.hash);
            switched.push(match survivor.fate {
                Fate::Live if replace_seen(&mut stripe, survivor.hash, source, target) => {
                    accounts.record_dies(survivor.hash, survivor.segment, &head);
                    accounts.record_lives(survivor.hash, output, &copied);
                    true
                }
                Fate::Expires if stripe.remove(survivor.hash, source) => {
                    // A tombstone stands in the index only while its delete is being settled, and is not counted.
                    if head.kind == Kind::Set {
                        accounts.record_expires(survivor.hash, survivor.segment, &head);
                    }
                    true
                }
                _ => false,
            });
        }
        switched
    }

    /// Makes what was decided durable, in one edit.
    fn commit(&self, inputs: &[Arc<Segment>], output: Option<&Arc<Segment>>, sweep: Option<&mut Sweep>) -> Result<()> {
        // CO4: newer versions that made records dead reach the disk before the old ones leave it. It also
        // settles every write whose readers may still be shown a record of the inputs.
        if rules::holds(Rule::LogSyncedFirst) {
            self.log.sync_all()?;
        }
        let mut changes = Vec::new();
        if let Some(output) = output {
            changes.push(Change::Add { id: output.id(), file_len: output.file_len() });
            changes.push(self.log.seal_changes(output)[0]);
        }
        changes.extend(inputs.iter().map(|input| Change::Remove { id: input.id() }));
        let mut done = sweep.as_deref().cloned();
        if let Some(done) = &mut done {
            for input in inputs {
                done.pending.remove(&input.id());
            }
            changes.extend(done.floor_change());
        }
        self.log.commit(&changes)?;
        if let (Some(sweep), Some(done)) = (sweep, done) {
            *sweep = done;
        }
        if let Some(output) = output {
            output.punch_tail();
            output.set_sealed();
        }
        Ok(())
    }

    /// Takes back what `switch` did: the inputs stay, the output goes.
    fn undo(&self, survivors: &[Survivor<'_>], switched: &[bool], output: &Arc<Segment>) {
        let (segments, accounts) = (self.log.segments(), self.log.accounts());
        let mut offset = HEAD_LEN as u64;
        let mut is_overwritten = false;
        for (survivor, was_switched) in survivors.iter().zip(switched) {
            let (head, copied) = (survivor.head(), survivor.copied_head());
            let source = segments.location(survivor.segment, survivor.offset);
            let target = segments.location(output, offset);
            offset += copied.record_len();
            // An expired record that left the index stays out: nobody could see it any more.
            if *was_switched && survivor.fate == Fate::Live {
                let mut stripe = self.index.lock(survivor.hash);
                if stripe.replace(survivor.hash, target, source) {
                    accounts.record_dies(survivor.hash, output, &copied);
                    accounts.record_lives(survivor.hash, survivor.segment, &head);
                } else {
                    is_overwritten = true;
                }
            }
        }
        // Whoever wrote meanwhile has a copy as the version before its own, which readers are shown until that write is
        // durable: for ever, if it cannot be. Then the copies stay until the store is closed.
        let is_shown = is_overwritten && rules::holds(Rule::CopyKeptForReaders) && self.log.sync_all().is_err();
        if !is_shown {
            self.log.unmake_segment(self.epochs, output);
        }
    }

    /// Looks at the next segment of a sweep and rewrites it if it holds a dead record. `None` once the sweep
    /// is done and its floor is in the manifest.
    pub fn sweep_next(&self, sweep: &mut Sweep, pace: &mut dyn FnMut(u64)) -> Result<Option<Compacted>> {
        if let Some(id) = sweep.next() {
            let segment = self.log.segments().all().into_iter().find(|segment| segment.id() == id);
            // If it is gone, it was compacted meanwhile, which looked at every record too.
            if let Some(segment) = segment {
                if !self.has_no_dead_record(&segment)? {
                    return self.run(&[segment], Some(sweep), pace).map(Some);
                }
                pace(segment.record_bytes() / LOOK_COST);
            }
            sweep.pending.remove(&id);
            return Ok(Some(Compacted::default()));
        }
        let floor = sweep.floor_change();
        // Clean segments prove nothing about writes that are not durable yet.
        self.log.sync_all()?;
        self.log.commit(floor.as_slice())?;
        Ok(None)
    }
}

impl Sweep {
    /// The change that ends the sweep, once nothing is pending.
    fn floor_change(&self) -> Option<Change> {
        (self.pending.is_empty() && rules::holds(Rule::FloorRises)).then_some(Change::Advance {
            segment_id_next: 0,
            seqno_next: 0,
            clock_ms: 0,
            tombstone_floor: self.seqno,
        })
    }
}

/// Points the entry that leads to `source` at `target`: that one and no other (R4).
fn replace_seen(stripe: &mut Stripe<'_>, hash: u64, source: Location, target: Location) -> bool {
    let seen = if rules::holds(Rule::SwitchCompares) { Some(source) } else { stripe.find(hash, |_| true) };
    seen.is_some_and(|seen| stripe.replace(hash, seen, target))
}

/// A damaged segment is left alone from now on: its other keys stay readable, and copying it would have to
/// leave something out (P6).
fn damaged(segment: &Segment, offset: u64, what: &str) -> Error {
    segment.exclude_from_compaction();
    Error::corrupt(&segment.name(), offset, what)
}

/// After so many bytes `pace` is told.
const PACE_BYTES: u64 = 256 << 10;
/// Looking at a record costs this many times less than copying it.
const LOOK_COST: u64 = 4;
