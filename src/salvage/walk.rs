//! Walks the records of one damaged segment: steps over what is broken and goes on at the next place, at a multiple of
//! 8, where a record's checksum holds.
//!
//! A checksum is bound to store, segment and offset, so what passes was written there. Bytes of a value cannot be taken
//! for a record, and a record that lies inside of what a damaged head claims is found.
//!
//! What looks like heads of records may be a value that somebody chose, each claiming all that follows. So the work is
//! bounded by the length of the segment: once as many bytes as it has have failed their checks, sums of its beginnings
//! answer in place of its bytes, and so they do for what is longer than a stretch of the file.
//!
//! Not here: which segments there are and what was promised of them (`evidence`), what becomes of a record.
//!
//! Invariants:
//!   SW1. What lies below the promised end is visited or told as damage, byte for byte.
//!   SW2. Behind it, a segment of a chain ends where recovery ends it: at the first place that holds no record, or not
//!        the next one.
//!   SW3. A batch whose wholeness is neither seen nor promised is not visited.

use super::window::{STRETCH_BYTES, Window};
use crate::error::{Error, Result, Status};
use crate::format::record::{self, Head, Kind, Record};
use crate::format::segment::HEAD_LEN;
use crate::format::{GRANULE_LEN, NUMBER_READ_END, PrefixSums, Seed};
use crate::rules::{self, Rule};
use std::ops::Range;

const RECORD_HEAD_LEN: u64 = record::HEAD_LEN as u64;
/// Nothing is as new in a store that will be opened again: what is must not decide where the new store goes on.
const SEQNO_END: u64 = NUMBER_READ_END / 2;
/// No segment's records go further: the durable word could not say so.
const SEGMENT_LEN_MAX: u64 = 16 << 30;
/// How much is read at a time for sums.
const SUMMED_LEN: usize = 64 << 10;

/// What is expected of one segment.
pub(super) struct Bounds {
    /// Nothing counts from here on.
    pub(super) limit: u64,
    /// Records up to here were durable, and so there; `None` if that is not known.
    pub(super) promised: Option<u64>,
}

/// The place in the order of all writes that a chain of segments has reached.
pub(super) struct Chain {
    /// The next record's seqno.
    pub(super) seqno_next: u64,
    /// Something before is damaged: the next record may be a later one.
    pub(super) may_jump: bool,
}

/// What the walk comes across.
pub(super) enum Step<'a> {
    /// An intact record, a set or a tombstone, at its offset.
    Record(u64, Record<'a>),
    /// Bytes that hold no intact record although records were there, why, and the key if what is left names one.
    Damage(Range<u64>, &'static str, Option<&'a [u8]>),
}

/// A walk over one segment.
pub(super) struct Walk<'a> {
    window: &'a mut Window,
    seed: Seed,
    bounds: Bounds,
    /// Set for segments that were not sealed, if the manifest tells them from the others.
    chain: Option<&'a mut Chain>,
    /// What follows in this segment never happened.
    is_over: bool,
    /// Bytes of what failed its check.
    failed_bytes: u64,
    sums: PrefixSums,
}

/// Told every step of a walk.
pub(super) type Visit<'v> = dyn FnMut(Step<'_>) -> Result<()> + 'v;

impl<'a> Walk<'a> {
    pub(super) fn new(window: &'a mut Window, seed: Seed, bounds: Bounds, chain: Option<&'a mut Chain>) -> Self {
        let bounds = Bounds { limit: bounds.limit.min(window.len()).min(SEGMENT_LEN_MAX), ..bounds };
        let sums = PrefixSums::starting_at(HEAD_LEN as u64);
        Self { window, seed, bounds, chain, is_over: false, failed_bytes: 0, sums }
    }

    /// Walks to the end; where that is.
    pub(super) fn run(&mut self, visit: &mut Visit<'_>) -> Result<u64> {
        let mut at = HEAD_LEN as u64;
        while at < self.bounds.limit && !self.is_over {
            let Some(head) = self.intact_at(at)? else {
                match self.step_over(at, visit)? {
                    Some(next) => at = next,
                    None => break,
                }
                continue;
            };
            if head.kind == Kind::Batch {
                at = self.take_batch(at, &head, visit)?;
            } else if head.is_in_batch && !self.is_promised(at + head.record_len(), false) {
                // Its batch has lost its head, and may have lost more.
                self.leave_out(at..at + head.record_len(), visit)?;
                at += head.record_len();
            } else {
                self.take(at, &head, visit)?;
                at += head.record_len();
            }
        }
        Ok(at.min(self.bounds.limit))
    }

    /// The seqno of the first intact record.
    pub(super) fn first_seqno(&mut self) -> Result<Option<u64>> {
        let mut at = HEAD_LEN as u64;
        while at + RECORD_HEAD_LEN <= self.bounds.limit {
            if let Some(head) = self.intact_at(at)? {
                return Ok(Some(head.seqno));
            }
            at = self.window.skip_zeros(at + 8, self.bounds.limit)?;
        }
        Ok(None)
    }

    /// A batch that nobody can say was ever whole (SW3).
    fn leave_out(&mut self, range: Range<u64>, visit: &mut Visit<'_>) -> Result<()> {
        if self.bounds.promised.is_some() {
            // Torn: it never happened, and in a chain nothing behind it.
            self.is_over = self.chain.is_some();
            return Ok(());
        }
        if let Some(chain) = &mut self.chain {
            chain.may_jump = true;
        }
        visit(Step::Damage(range, "a batch is not whole", None))
    }

    /// Whether what ends at `end` was durable; `unknown` if nobody knows.
    fn is_promised(&self, end: u64, unknown: bool) -> bool {
        self.bounds.promised.map_or(unknown, |promised| end <= promised)
    }

    /// The head of the record at `offset`, if one is there that is intact and ends by the limit.
    fn intact_at(&mut self, offset: u64) -> Result<Option<Head>> {
        let Some(head) = self.head_at(offset)? else { return Ok(None) };
        let len = head.record_len();
        let is_late = self.failed_bytes > self.bounds.limit && len > 2 * GRANULE_LEN as u64;
        let is_intact = if is_late || len > STRETCH_BYTES {
            self.is_intact_by_sums(offset, len)?
        } else {
            self.window.get(offset, len)?.is_some_and(|bytes| record::is_intact(bytes, self.seed, offset))
        };
        if !is_intact {
            self.failed_bytes += if is_late { 0 } else { len };
        }
        Ok((is_intact || !rules::holds(Rule::SalvageChecked)).then_some(head))
    }

    /// Whether the record of `len` bytes at `offset`, which ends by the limit, is intact: for the price of two granules.
    fn is_intact_by_sums(&mut self, offset: u64, len: u64) -> Result<bool> {
        let covered = record::covered(offset, len);
        let granules = self.sums.granules_in(covered.clone());
        while self.sums.end() < granules.end {
            let mut bytes = [0; SUMMED_LEN];
            let wanted = (granules.end - self.sums.end()).min(SUMMED_LEN as u64) as usize;
            self.window.peek(&mut bytes[..wanted], self.sums.end());
            if !self.sums.extend(&bytes[..wanted]) {
                return Err(Error::new(Status::OutOfMemory, "there is no memory for the sums of a segment"));
            }
        }
        let mut behind = [0; GRANULE_LEN];
        let behind = &mut behind[..(covered.end - granules.end) as usize];
        self.window.peek(behind, granules.end);
        let head_len = granules.start - offset;
        let Some(start) = self.window.get(offset, head_len)? else { return Ok(false) };
        let before = &start[(covered.start - offset) as usize..];
        Ok(self.sums.checksum(self.seed, offset, before, granules, behind) == record::checksum_said(start))
    }

    /// The head at `offset`, intact or not, of a record that would end by the limit.
    fn head_at(&mut self, offset: u64) -> Result<Option<Head>> {
        let head = self.window.get(offset, RECORD_HEAD_LEN)?.and_then(Head::decode);
        Ok(head.filter(|head| offset + head.record_len() <= self.bounds.limit && head.seqno < SEQNO_END))
    }

    /// Visits one intact record, unless the history has ended before it.
    fn take(&mut self, at: u64, head: &Head, visit: &mut Visit<'_>) -> Result<()> {
        let end = at + head.record_len();
        let is_promised = self.is_promised(end, true);
        if let Some(chain) = &mut self.chain {
            let is_next = head.seqno == chain.seqno_next || (chain.may_jump && head.seqno > chain.seqno_next);
            // What was durable counts in any case: then it is the order that is damaged.
            if !is_next && !is_promised {
                self.is_over = true;
                return Ok(());
            }
            chain.seqno_next = chain.seqno_next.max(head.seqno + 1);
            chain.may_jump = false;
        }
        if let Some(bytes) = self.window.get(at, head.record_len())?
            && let Some(record) = Record::at_start_of(bytes)
        {
            visit(Step::Record(at, record))?;
        }
        Ok(())
    }

    /// Visits a batch if it is whole, or was promised: then its damaged records are told one by one. The place
    /// from which to go on.
    fn take_batch(&mut self, at: u64, batch: &Head, visit: &mut Visit<'_>) -> Result<u64> {
        let first = at + RECORD_HEAD_LEN;
        let end = first.saturating_add(batch.expires_at_ms);
        let members = if end <= self.bounds.limit { self.members(first, end, batch)? } else { None };
        match members {
            Some(members) => {
                let mut offset = first;
                for head in members {
                    self.take(offset, &head, visit)?;
                    offset += head.record_len();
                }
                Ok(end)
            }
            None if self.is_promised(end, false) => Ok(first),
            None => {
                let end = end.min(self.bounds.limit);
                self.leave_out(at..end, visit)?;
                Ok(end)
            }
        }
    }

    /// The heads of all records of a batch, if it is whole.
    fn members(&mut self, first: u64, end: u64, batch: &Head) -> Result<Option<Vec<Head>>> {
        let mut members = Vec::new();
        let mut at = first;
        for place in 0..u64::from(batch.value_len) {
            match self.intact_at(at)? {
                Some(head) if head.is_in_batch && Some(head.seqno) == batch.seqno.checked_add(place) => {
                    at += head.record_len();
                    members.push(head);
                }
                _ => return Ok(None),
            }
        }
        Ok((at == end).then_some(members))
    }

    /// No intact record is at `at`: tells what is damaged, and the place from which to go on; `None` at the end.
    fn step_over(&mut self, at: u64, visit: &mut Visit<'_>) -> Result<Option<u64>> {
        let limit = self.bounds.limit;
        let is_chain_behind_promise = self.chain.is_some() && self.bounds.promised.is_some_and(|end| at >= end);
        if is_chain_behind_promise {
            return Ok(None);
        }
        let claimed = self.head_at(at)?;
        let mut next = self.window.skip_zeros(at + 8, limit)?;
        while next < limit && self.intact_at(next)?.is_none() {
            next = self.window.skip_zeros(next + 8, limit)?;
        }
        let next = next.min(limit);
        // Behind the last record, only what was promised is missing.
        let damage_end = match self.bounds.promised {
            _ if next < limit => next,
            Some(promised) => promised.min(limit),
            None => match claimed {
                Some(head) => at + head.record_len(),
                None => at,
            },
        };
        if damage_end > at {
            if let Some(chain) = &mut self.chain {
                chain.may_jump = true;
            }
            let range = at..damage_end;
            let what = if self.window.is_unreadable(&range) {
                "the device cannot read it"
            } else if self.window.skip_zeros(at, damage_end)? == damage_end {
                "zeros in place of records"
            } else {
                "a record fails its check"
            };
            // Its head is to be believed if the next record begins where it ends.
            let key = match claimed {
                Some(head) if head.kind != Kind::Batch && at + head.record_len() == damage_end => {
                    self.window.get(at + RECORD_HEAD_LEN, head.key_len.into())?
                }
                _ => None,
            };
            visit(Step::Damage(range, what, key))?;
        }
        Ok((next < limit).then_some(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{MapAccess, SimulatedStorage, Storage};

    fn put(file: &mut Vec<u8>, seed: Seed, key: &[u8], value: &[u8], seqno: u64) {
        let (key_len, value_len) = (key.len() as u16, value.len() as u32);
        let head = Head { kind: Kind::Set, is_in_batch: false, key_len, value_len, seqno, expires_at_ms: 0 };
        let offset = file.len();
        file.resize(offset + head.record_len() as usize, 0);
        record::write(&mut file[offset..], seed, offset as u64, &head, key, value);
    }

    /// The seqnos that a walk visits, where damage begins, and how many bytes were computed checksums of.
    fn walk(file: &[u8], seed: Seed) -> (Vec<u64>, Vec<u64>, u64) {
        let sim = SimulatedStorage::new(1);
        sim.write_file("000001.seg", file);
        let opened = sim.open("000001.seg", MapAccess::ReadOnly).unwrap();
        let mut window = Window::new(opened, file.len() as u64);
        let bounds = Bounds { limit: file.len() as u64, promised: Some(file.len() as u64) };
        let (mut seqnos, mut damaged) = (Vec::new(), Vec::new());
        let before = crate::format::APPENDED_BYTES.get();
        let mut visit = |step: Step<'_>| {
            match step {
                Step::Record(_, found) => seqnos.push(found.head.seqno),
                Step::Damage(range, ..) => damaged.push(range.start),
            }
            Ok(())
        };
        Walk::new(&mut window, seed, bounds, None).run(&mut visit).unwrap();
        (seqnos, damaged, crate::format::APPENDED_BYTES.get() - before)
    }

    #[test]
    fn a_value_of_heads_costs_a_salvage_no_more_than_its_length_allows() {
        let mut value = Vec::new();
        for n in (0..1_u64 << 20).step_by(16) {
            value.extend_from_slice(&[0xAA, 0xBB, 0xCC, 0xDD, Kind::Set as u8, 0, 0, 0]);
            value.extend_from_slice(&((1 << 20) - n).to_le_bytes());
        }
        let (seed, mut file) = (Seed::new(1, 1), vec![0; HEAD_LEN]);
        put(&mut file, seed, b"selected", &value, 1);
        put(&mut file, seed, b"behind", b"it", 2);
        put(&mut file, seed, b"long", &vec![8; 3 << 20], 3);
        let long_at = file.len() - record::record_len(4, 3 << 20) as usize;
        put(&mut file, seed, b"last", b"", 4);
        file[HEAD_LEN + 33] ^= 1;
        let (seqnos, damaged, bytes) = walk(&file, seed);
        assert_eq!((seqnos, damaged), (vec![2, 3, 4], vec![HEAD_LEN as u64]));
        assert!(bytes < 40 * file.len() as u64, "{bytes} bytes of checksums for {}", file.len());
        file[long_at + (2 << 20)] ^= 1;
        let (seqnos, damaged, _) = walk(&file, seed);
        assert_eq!((seqnos, damaged), (vec![2, 4], vec![HEAD_LEN as u64, long_at as u64]));
    }
}
