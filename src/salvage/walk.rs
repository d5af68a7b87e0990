//! Walks the records of one damaged segment: steps over what is broken and goes on at the next place, at a multiple of
//! 8, where a record's checksum holds.
//!
//! A checksum is bound to store, segment and offset, so what passes was written there. Bytes of a value cannot be taken
//! for a record, and a record that lies inside of what a damaged head claims is found.
//!
//! Not here: which segments there are and what was promised of them (`evidence`), what becomes of a record.
//!
//! Invariants:
//!   SW1. What lies below the promised end is visited or told as damage, byte for byte.
//!   SW2. Behind it, a segment of a chain ends where recovery ends it: at the first place that holds no record, or not
//!        the next one.
//!   SW3. A batch whose wholeness is neither seen nor promised is not visited.

use super::window::Window;
use crate::error::Result;
use crate::format::Seed;
use crate::format::record::{self, Head, Kind, Record};
use crate::format::segment::HEAD_LEN;
use crate::rules::{self, Rule};
use std::ops::Range;

const RECORD_HEAD_LEN: u64 = record::HEAD_LEN as u64;

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
}

/// Told every step of a walk.
pub(super) type Visit<'v> = dyn FnMut(Step<'_>) -> Result<()> + 'v;

impl<'a> Walk<'a> {
    pub(super) fn new(window: &'a mut Window, seed: Seed, bounds: Bounds, chain: Option<&'a mut Chain>) -> Self {
        let bounds = Bounds { limit: bounds.limit.min(window.len()), ..bounds };
        Self { window, seed, bounds, chain, is_over: false }
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
        let bytes = self.window.get(offset, head.record_len())?;
        let is_checked = rules::holds(Rule::SalvageChecked);
        Ok(bytes.is_some_and(|bytes| record::is_intact(bytes, self.seed, offset) || !is_checked).then_some(head))
    }

    /// The head at `offset`, intact or not, of a record that would end by the limit.
    fn head_at(&mut self, offset: u64) -> Result<Option<Head>> {
        let head = self.window.get(offset, RECORD_HEAD_LEN)?.and_then(Head::decode);
        Ok(head.filter(|head| offset + head.record_len() <= self.bounds.limit))
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
