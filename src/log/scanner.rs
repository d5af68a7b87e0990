//! Walks the records of one segment in order, checking each.
//!
//! A batch is yielded only if it is whole (R8); the first place that holds no intact record ends the
//! walk, and what that means (the end of the log, a torn tail, damage) is for the caller to say, who
//! knows how much was promised durable.
//!
//! The walk asks the system for the bytes before it looks at them, a stretch at a time: a device that cannot
//! read them is an error then, and never taken for the end of the log.
//!
//! Behind damage, what looks like heads of records may be a value that somebody chose. So the work is bounded by the
//! length of the segment, whatever is in it: see `Failed`.
//!
//! Not here: acting on what is found.

use super::segment::Segment;
use crate::error::Error;
use crate::format::record::{self, Head, Kind, Record};
use crate::format::segment::HEAD_LEN;
use crate::format::{GRANULE_LEN, NUMBER_END, PrefixSums, Seed};
use crate::rules::{self, Rule};
use std::ops::Range;

/// How much is asked for at a time.
const STRETCH_BYTES: u64 = 1 << 20;

/// One record and its place.
#[derive(Clone, Copy)]
pub struct Scanned<'a> {
    /// Offset from the start of the file.
    pub offset: u64,
    /// The record: a set or a tombstone.
    pub record: Record<'a>,
}

/// What came of looking at places that turned out to hold no record.
#[derive(Default)]
struct Failed {
    /// Bytes of what failed its check. Once they are as many as the walk has, checks of long records go by sums.
    bytes: u64,
    sums: Option<PrefixSums>,
    /// Bytes of the records of batches that are not whole. Batches that Larder wrote do not overlap, so these are never
    /// more than the walk has; of what has more, heads of batches are not believed any longer.
    batch_bytes: u64,
}

/// The walk.
pub struct Scanner<'a> {
    area: &'a [u8],
    seed: Seed,
    offset: u64,
    limit: u64,
    /// End of the batch that `offset` is in, already checked; at most `offset` outside.
    batch_end: u64,
    stop: Option<&'static str>,
    failed: Failed,
    /// Which records can be here.
    seqnos: Range<u64>,
    /// What the bytes are a part of; none in tests of bytes.
    segment: Option<&'a Segment>,
    /// Up to here the bytes are known to be readable.
    fetched: u64,
    unreadable: Option<Error>,
}

impl<'a> Scanner<'a> {
    /// Walks the records of `segment` up to `limit`.
    pub fn new(segment: &'a Segment, limit: u64) -> crate::error::Result<Self> {
        // Of a segment that still grows, or whose end is being looked for, nobody knows yet.
        let seqnos = if segment.is_sealed() { segment.seqno_min()..segment.seqno_max() + 1 } else { 1..NUMBER_END };
        let area = segment.record_area(limit)?;
        Ok(Self { segment: Some(segment), seqnos, ..Self::of_bytes(area, segment.seed()) })
    }

    /// Walks the records in `area`: the bytes of a segment's file from `HEAD_LEN` on.
    pub fn of_bytes(area: &'a [u8], seed: Seed) -> Self {
        let offset = HEAD_LEN as u64;
        let limit = offset + area.len() as u64;
        Self {
            area,
            seed,
            offset,
            limit,
            batch_end: 0,
            stop: None,
            failed: Failed::default(),
            seqnos: 1..NUMBER_END,
            segment: None,
            fetched: offset,
            unreadable: None,
        }
    }

    /// Makes sure that the bytes up to `end` can be looked at.
    #[inline]
    fn fetch(&mut self, end: u64) -> Result<(), &'static str> {
        let end = end.min(self.limit);
        if end <= self.fetched { Ok(()) } else { self.fetch_stretch(end) }
    }

    #[cold]
    fn fetch_stretch(&mut self, end: u64) -> Result<(), &'static str> {
        let end = end.max(self.fetched + STRETCH_BYTES).min(self.limit);
        if let Some(segment) = self.segment
            && let Err(error) = segment.fetch(self.fetched..end)
        {
            self.unreadable = Some(error);
            return Err("it cannot be read");
        }
        self.fetched = end;
        Ok(())
    }

    /// The same walk from the record at `offset` on.
    pub fn starting_at(mut self, offset: u64) -> Self {
        (self.offset, self.fetched) = (offset, offset);
        self
    }

    /// The bytes from `offset` on.
    fn bytes_from(&self, offset: u64) -> &'a [u8] {
        self.area.get(offset as usize - HEAD_LEN..).unwrap_or_default()
    }

    /// The place after the last whole record; of a batch that is not whole, its head.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Why the walk ended before its limit; `None` if it reached it. An error if the device cannot read what
    /// comes next, which says nothing about what is there.
    pub fn stop(&self) -> crate::error::Result<Option<&'static str>> {
        match &self.unreadable {
            Some(error) => Err(error.clone()),
            None => Ok(self.stop),
        }
    }

    /// The record at `offset`, if one is there that is intact and ends by the limit.
    fn intact_at(&mut self, offset: u64) -> Result<Record<'a>, &'static str> {
        self.fetch(offset + record::HEAD_LEN as u64)?;
        let bytes = self.bytes_from(offset);
        if bytes.iter().take(record::HEAD_LEN).all(|byte| *byte == 0) {
            return Err("there is no record");
        }
        let record = Record::at_start_of(bytes).ok_or("the head of a record makes no sense")?;
        self.fetch(offset + record.head.record_len())?;
        if !self.is_intact(&record, offset) && rules::holds(Rule::RecordsChecked) {
            return Err("a record fails its check");
        }
        if !self.seqnos.contains(&record.head.seqno) {
            return Err("a record is not one of its segment");
        }
        Ok(record)
    }

    #[inline]
    fn is_intact(&mut self, record: &Record<'_>, offset: u64) -> bool {
        let len = record.bytes.len() as u64;
        if self.failed.bytes > self.area.len() as u64 && len > 2 * GRANULE_LEN as u64 {
            return self.is_intact_by_sums(record, offset);
        }
        let is_intact = record::is_intact(record.bytes, self.seed, offset);
        if !is_intact {
            self.failed.bytes += len;
        }
        is_intact
    }

    /// The same answer for the price of two granules.
    #[cold]
    fn is_intact_by_sums(&mut self, record: &Record<'_>, offset: u64) -> bool {
        let (area, covered) = (self.area, record::covered(offset, record.bytes.len() as u64));
        let bytes = |range: Range<u64>| &area[range.start as usize - HEAD_LEN..range.end as usize - HEAD_LEN];
        // Who walks on over damage has begun with the first record.
        let sums = self.failed.sums.get_or_insert_with(|| PrefixSums::starting_at(HEAD_LEN as u64));
        let granules = sums.granules_in(covered.clone());
        if granules.end > sums.end() && !sums.extend(bytes(sums.end()..granules.end)) {
            return record::is_intact(record.bytes, self.seed, offset);
        }
        let (before, behind) = (bytes(covered.start..granules.start), bytes(granules.end..covered.end));
        sums.checksum(self.seed, offset, before, granules, behind) == record::checksum_said(record.bytes)
    }

    /// Checks all records of the batch whose head is at `offset`; its end.
    fn check_batch(&mut self, offset: u64, batch: &Head) -> Result<u64, &'static str> {
        let first = offset + record::HEAD_LEN as u64;
        let end = batch.expires_at_ms.checked_add(first);
        let end = end.filter(|end| *end <= self.limit).ok_or("a batch is not whole")?;
        if self.failed.batch_bytes > 2 * self.area.len() as u64 {
            return Err("a batch is not whole");
        }
        let mut at = first;
        let checked = self.check_members(&mut at, end, batch);
        if checked.is_err() {
            self.failed.batch_bytes += at - first;
        }
        checked
    }

    fn check_members(&mut self, at: &mut u64, end: u64, batch: &Head) -> Result<u64, &'static str> {
        for place in 0..u64::from(batch.value_len) {
            let member = self.intact_at(*at).map_err(|_| "a batch is not whole")?;
            let is_next = member.head.is_in_batch && Some(member.head.seqno) == batch.seqno.checked_add(place);
            if member.head.kind == Kind::Batch || !is_next {
                return Err("a batch holds a record that is not its own");
            }
            *at += member.head.record_len();
        }
        if *at == end { Ok(end) } else { Err("a batch and its records differ in length") }
    }

    /// The next record. `None` at the limit, or where no intact record is: see [`Scanner::stop`].
    pub fn next_record(&mut self) -> Option<Scanned<'a>> {
        while self.stop.is_none() && self.offset < self.limit {
            let is_checked = self.offset < self.batch_end;
            let found = if is_checked {
                Record::at_start_of(self.bytes_from(self.offset)).ok_or("the head of a record makes no sense")
            } else {
                self.intact_at(self.offset)
            };
            match found {
                Err(what) => self.stop = Some(what),
                Ok(record) if record.head.kind == Kind::Batch => match self.check_batch(self.offset, &record.head) {
                    Ok(end) => {
                        self.batch_end = end;
                        self.offset += record::HEAD_LEN as u64;
                    }
                    Err(_) if !rules::holds(Rule::BatchWhole) => self.offset += record::HEAD_LEN as u64,
                    Err(what) => self.stop = Some(what),
                },
                Ok(record) if record.head.is_in_batch && !is_checked && rules::holds(Rule::BatchWhole) => {
                    self.stop = Some("a batch has lost its head");
                }
                Ok(record) => {
                    let offset = self.offset;
                    self.offset += record.head.record_len();
                    return Some(Scanned { offset, record });
                }
            }
        }
        None
    }

    /// After a stop: the next place, at a multiple of 8, where an intact record starts. What lies
    /// between cannot be read. The walk goes on from there.
    pub fn skip_damage(&mut self) -> Option<u64> {
        let mut at = self.offset + 8;
        while self.unreadable.is_none() && at + record::HEAD_LEN as u64 <= self.limit {
            if let Ok(record) = self.intact_at(at)
                && (record.head.kind != Kind::Batch || self.check_batch(at, &record.head).is_ok())
            {
                self.offset = at;
                // A batch that lost its head: its records are intact, and below a durable end they count.
                self.batch_end = if record.head.is_in_batch { at + record.head.record_len() } else { 0 };
                self.stop = None;
                return Some(at);
            }
            at += 8;
        }
        self.offset = self.limit;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(file: &mut Vec<u8>, seed: Seed, head: Head, key: &[u8], value: &[u8]) {
        let offset = file.len();
        file.resize(offset + head.record_len() as usize, 0);
        record::write(&mut file[offset..], seed, offset as u64, &head, key, value);
    }

    fn head(kind: Kind, is_in_batch: bool, key: &[u8], value: &[u8], seqno: u64) -> Head {
        Head { kind, is_in_batch, key_len: key.len() as u16, value_len: value.len() as u32, seqno, expires_at_ms: 0 }
    }

    /// A single record, a batch of two, a single record.
    fn sample() -> (Seed, Vec<u8>) {
        let seed = Seed::new(1, 1);
        let mut file = vec![0; HEAD_LEN];
        put(&mut file, seed, head(Kind::Set, false, b"a", b"1", 1), b"a", b"1");
        let members = record::record_len(1, 1) + record::record_len(1, 0);
        let batch =
            Head { kind: Kind::Batch, is_in_batch: false, key_len: 0, value_len: 2, seqno: 2, expires_at_ms: members };
        put(&mut file, seed, batch, b"", b"");
        put(&mut file, seed, head(Kind::Set, true, b"b", b"2", 2), b"b", b"2");
        put(&mut file, seed, head(Kind::Tombstone, true, b"c", b"", 3), b"c", b"");
        put(&mut file, seed, head(Kind::Set, false, b"d", b"4", 4), b"d", b"4");
        (seed, file)
    }

    fn seqnos(file: &[u8], seed: Seed) -> (Vec<u64>, u64, Option<&'static str>) {
        let mut scanner = Scanner::of_bytes(&file[HEAD_LEN..], seed);
        let mut seqnos = Vec::new();
        while let Some(found) = scanner.next_record() {
            seqnos.push(found.record.head.seqno);
        }
        (seqnos, scanner.offset(), scanner.stop().unwrap())
    }

    #[test]
    fn all_records_are_found_in_order() {
        let (seed, file) = sample();
        assert_eq!(seqnos(&file, seed), (vec![1, 2, 3, 4], file.len() as u64, None));
    }

    #[test]
    fn r8_a_batch_is_whole_or_absent_at_every_truncation() {
        let (seed, file) = sample();
        for len in HEAD_LEN..file.len() {
            let mut torn = file[..len].to_vec();
            torn.resize(file.len(), 0);
            let (found, _, stop) = seqnos(&torn, seed);
            // Trailing zeros may belong to a record: then it is whole although it was cut.
            assert!(stop.is_some() || torn == file, "{len}");
            assert!([vec![], vec![1], vec![1, 2, 3], vec![1, 2, 3, 4]].contains(&found), "{len}: {found:?}");
        }
    }

    #[test]
    fn every_flipped_bit_stops_the_walk_there() {
        let (seed, file) = sample();
        for bit in HEAD_LEN * 8..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let (found, offset, stop) = seqnos(&damaged, seed);
            assert!(stop.is_some() && offset <= (bit / 8) as u64, "bit {bit}: {found:?}");
            assert!([vec![], vec![1], vec![1, 2, 3]].contains(&found), "bit {bit}: {found:?}");
        }
    }

    #[test]
    fn the_walk_goes_on_behind_damage() {
        let (seed, mut file) = sample();
        file[HEAD_LEN + 33] ^= 1;
        let mut scanner = Scanner::of_bytes(&file[HEAD_LEN..], seed);
        assert!(scanner.next_record().is_none() && scanner.stop().unwrap().is_some());
        assert!(scanner.skip_damage().is_some());
        let mut rest = Vec::new();
        while let Some(found) = scanner.next_record() {
            rest.push(found.record.head.seqno);
        }
        assert_eq!(rest, [2, 3, 4]);
    }

    /// A record whose value is heads that claim all that follows, its first byte damaged, and one record behind it.
    fn chosen_heads(len: usize) -> (Seed, Vec<u8>) {
        let mut value = Vec::new();
        while value.len() < len {
            // As dense as heads can be: the first word of one is the third of the one before. The seqno is that word.
            let value_len = (len - value.len()) as u32;
            value.extend_from_slice(&[0xAA, 0xBB, 0xCC, 0xDD, Kind::Set as u8, 0, 0, 0]);
            value.extend_from_slice(&u64::from(value_len).to_le_bytes());
        }
        let (seed, mut file) = (Seed::new(1, 1), vec![0; HEAD_LEN]);
        put(&mut file, seed, head(Kind::Set, false, b"selected", &value, 1), b"selected", &value);
        put(&mut file, seed, head(Kind::Set, false, b"behind", b"it", 2), b"behind", b"it");
        file[HEAD_LEN + 33] ^= 1;
        (seed, file)
    }

    /// The seqnos of all records that a walk over damage finds, and how many bytes it computed checksums of.
    fn found_over_damage(file: &[u8], seed: Seed) -> (Vec<u64>, u64) {
        let before = crate::format::APPENDED_BYTES.get();
        let mut scanner = Scanner::of_bytes(&file[HEAD_LEN..], seed);
        let mut found = Vec::new();
        loop {
            while let Some(record) = scanner.next_record() {
                found.push(record.record.head.seqno);
            }
            if scanner.stop().unwrap().is_none() || scanner.skip_damage().is_none() {
                return (found, crate::format::APPENDED_BYTES.get() - before);
            }
        }
    }

    #[test]
    fn a_value_of_heads_costs_a_walk_over_damage_no_more_than_its_length_allows() {
        let (seed, file) = chosen_heads(1 << 20);
        let (found, bytes) = found_over_damage(&file, seed);
        assert_eq!(found, [2]);
        assert!(bytes < 40 * file.len() as u64, "{bytes} bytes of checksums for {}", file.len());
    }

    #[test]
    fn a_long_record_behind_many_false_heads_is_found() {
        let (seed, mut file) = chosen_heads(100_000);
        let long = vec![7; 70_001];
        for seqno in 3..6 {
            put(&mut file, seed, head(Kind::Set, false, b"long", &long, seqno), b"long", &long);
        }
        let end = file.len();
        let damaged = end - 3 * record::record_len(4, 70_001) as usize;
        let (found, _) = found_over_damage(&file, seed);
        assert_eq!(found, [2, 3, 4, 5]);
        // And one that is damaged is not.
        file[damaged + 50_000] ^= 4;
        assert_eq!(found_over_damage(&file, seed).0, [2, 4, 5]);
    }

    #[test]
    fn batches_within_batches_cost_a_walk_no_more_than_its_length_allows() {
        let (seed, mut file) = (Seed::new(1, 1), vec![0; HEAD_LEN]);
        let batch_of = |seqno| Head {
            kind: Kind::Batch,
            is_in_batch: false,
            key_len: 0,
            value_len: u32::MAX,
            seqno,
            expires_at_ms: 1 << 10,
        };
        put(&mut file, seed, batch_of(1), b"", b"");
        // Each member's value ends with the head of a batch that goes on with the next member.
        for seqno in 1..20_000 {
            let offset = file.len();
            let member = head(Kind::Set, true, b"", &[0; 32], seqno);
            let mut value = [0; 32];
            record::write(&mut value, seed, offset as u64 + 32, &batch_of(seqno + 1), b"", b"");
            put(&mut file, seed, member, b"", &value);
        }
        file.resize(file.len() + 4096, 0);
        let (found, bytes) = found_over_damage(&file, seed);
        assert!(found.len() > 9_000, "{}", found.len());
        assert!(bytes < 40 * file.len() as u64, "{bytes} bytes of checksums for {}", file.len());
    }
}
