//! A reader of stores by somebody who has `docs/format.md` and nothing else.
//!
//! No item of the library is used here, not even its CRC32C: what agrees with the library agrees
//! through the document. Every byte that the document fixes is checked, so that a fact which is wrong
//! there shows. Times are not looked at: whoever reads decides what is over.

use std::collections::{BTreeMap, BTreeSet};

pub type Files = BTreeMap<String, Vec<u8>>;

/// CRC32C of what gave `before`, continued over `bytes`; bit by bit, as the document defines it.
pub fn crc(before: u32, bytes: &[u8]) -> u32 {
    let mut state = !before;
    for byte in bytes {
        state ^= u32::from(*byte);
        for _ in 0..8 {
            state = if state & 1 == 1 { state >> 1 ^ 0x82F6_3B78 } else { state >> 1 };
        }
    }
    !state
}

/// A file's bytes, and what its checksums are bound to.
pub struct Reader<'a> {
    bytes: &'a [u8],
    seed: u32,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], store_id: u64, file_id: u64) -> Self {
        let seed = crc(crc(0, &store_id.to_le_bytes()), &file_id.to_le_bytes());
        Self { bytes, seed }
    }

    fn checksum(&self, offset: usize, bytes: &[u8]) -> u32 {
        crc(self.seed.wrapping_add((offset as u32 / 8).wrapping_mul(0x9E37_79B1)), bytes)
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }

    /// Magic, version, the head's checksum, and the zeros between.
    fn check_head(&self, magic: &str) {
        assert_eq!(&self.bytes[..8], magic.as_bytes());
        assert_eq!((self.u32(8), self.u32(12), self.u64(32)), (1, 0, 0));
        assert_eq!(self.u32(40), self.checksum(0, &self.bytes[..40]));
        assert_eq!(self.u32(44), 0);
    }

    /// The durable word: end, and whether it is cut.
    pub fn durable(&self) -> (usize, bool) {
        let word = self.u64(48);
        if word == 0 {
            return (64, false);
        }
        let low = word as u32;
        assert_eq!((word >> 32) as u32, self.checksum(48, &low.to_le_bytes()), "the durable word's check");
        ((low & 0x7FFF_FFFF) as usize * 8, low >> 31 == 1)
    }

    /// The clock word, in milliseconds.
    pub fn clock_ms(&self) -> u64 {
        let word = self.u64(56);
        let now_ms = word & 0xFFFF_FFFF_FFFF;
        let check = self.checksum(56, &now_ms.to_le_bytes()) as u16;
        if word >> 48 == u64::from(check) { now_ms } else { 0 }
    }

    /// The record at `offset`, if an intact one is there: its length, and what it says.
    fn record(&self, offset: usize) -> Option<(usize, Record)> {
        if self.bytes.len() < offset + 32 {
            return None;
        }
        let (kind, flags) = (self.bytes[offset + 4], self.bytes[offset + 5]);
        let key_len = usize::from(u16::from_le_bytes([self.bytes[offset + 6], self.bytes[offset + 7]]));
        let value_len = self.u32(offset + 8) as usize;
        let len = if kind == 3 { 32 } else { (32 + key_len + value_len).next_multiple_of(8) };
        if !(1..=3).contains(&kind) || self.bytes.len() < offset + len {
            return None;
        }
        if self.u32(offset) != self.checksum(offset, &self.bytes[offset + 4..offset + len]) {
            return None;
        }
        let (seqno, expires_at_ms) = (self.u64(offset + 16), self.u64(offset + 24));
        assert!(flags <= 1 && self.u32(offset + 12) == 0 && seqno != 0, "the rules of a record's head");
        let (key, value) = if kind == 3 {
            assert!(key_len == 0 && value_len > 0 && flags == 0, "the rules of a batch's head");
            (Vec::new(), Vec::new())
        } else {
            assert!(kind == 1 || (value_len == 0 && expires_at_ms == 0), "the rules of a tombstone");
            let value_at = offset + 32 + key_len;
            assert!(self.bytes[value_at + value_len..offset + len].iter().all(|byte| *byte == 0), "padding");
            (self.bytes[offset + 32..value_at].to_vec(), self.bytes[value_at..value_at + value_len].to_vec())
        };
        let count = value_len;
        Some((len, Record { kind, flags, seqno, expires_at_ms, key, value, count, offset }))
    }

    /// All records from 64 to `limit`, whole batches only, and where they end. With `expected`, they
    /// must carry that seqno and those that follow, or they end there.
    pub fn records(&self, limit: usize, mut expected: Option<&mut u64>) -> (Vec<Record>, usize) {
        let (mut found, mut at) = (Vec::new(), 64);
        while let Some((len, first)) = self.record(at).filter(|(len, _)| at + len <= limit) {
            let (mut group, mut end) = (Vec::new(), at + len);
            if first.kind == 3 {
                let batch_end = end + first.expires_at_ms as usize;
                for place in 0..first.count as u64 {
                    match self.record(end) {
                        Some((len, member)) if member.flags == 1 && member.kind != 3 => {
                            assert_eq!(member.seqno, first.seqno + place, "seqnos in a batch");
                            end += len;
                            group.push(member);
                        }
                        _ => return (found, at),
                    }
                }
                if end != batch_end || end > limit {
                    return (found, at);
                }
            } else {
                assert_eq!(first.flags, 0, "a member of a batch without its head");
                group.push(first);
            }
            if let Some(expected) = &mut expected {
                if group[0].seqno != **expected {
                    return (found, at);
                }
                **expected += group.len() as u64;
            }
            found.append(&mut group);
            at = end;
        }
        (found, at)
    }
}

pub struct Record {
    pub kind: u8,
    flags: u8,
    pub seqno: u64,
    pub expires_at_ms: u64,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// Of a batch's head: how many records follow.
    count: usize,
    pub offset: usize,
}

#[derive(Default)]
pub struct Manifest {
    pub store_id: u64,
    pub hash_seed: u64,
    /// Id → reserved length, and the end if it is sealed.
    pub segments: BTreeMap<u64, (u64, Option<u64>)>,
    pub closed: Option<(u64, u64)>,
    pub seqno_next: u64,
    pub clock_ms: u64,
    /// Of all changes, whatever became of them.
    pub tags: BTreeSet<u64>,
}

pub fn manifest(bytes: &[u8]) -> Manifest {
    let store_id = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
    let reader = Reader::new(bytes, store_id, 0);
    reader.check_head("LARDMAN\0");
    let mut state = Manifest { store_id, hash_seed: reader.u64(24), ..Manifest::default() };
    let (mut at, mut number) = (64, 1);
    while at + 16 <= bytes.len() && reader.u64(at + 8) == number {
        let end = at + 16 + reader.u32(at + 4) as usize;
        if end > bytes.len() || reader.u32(at) != reader.checksum(at, &bytes[at + 4..end]) {
            break;
        }
        let mut change = at + 16;
        while change < end {
            let field = |n: usize| reader.u64(change + 8 * n);
            state.tags.insert(field(0));
            change += match field(0) {
                1 => {
                    assert_eq!(state.segments.insert(field(1), (field(2), None)), None);
                    24
                }
                2 => {
                    state.segments.get_mut(&field(1)).unwrap().1 = Some(field(2));
                    40
                }
                3 => {
                    state.segments.remove(&field(1)).unwrap();
                    16
                }
                4 => {
                    state.seqno_next = state.seqno_next.max(field(2));
                    state.clock_ms = state.clock_ms.max(field(3));
                    40
                }
                5 => {
                    state.closed = Some((field(1), field(2)));
                    state.seqno_next = state.seqno_next.max(field(3));
                    32
                }
                6 => {
                    state.closed = None;
                    8
                }
                tag => panic!("the document has no change with tag {tag}"),
            };
        }
        at = end;
        number += 1;
    }
    let (durable_end, is_cut) = reader.durable();
    assert!(at >= durable_end && !is_cut && number > 1, "the manifest ends before what is durable");
    state
}

/// A segment of the store with the records that count, and where they end.
pub struct Segment {
    pub id: u64,
    pub end: u64,
    /// A sync failed, and what is behind its end does not count.
    pub is_cut: bool,
    pub clock_ms: u64,
    pub records: Vec<Record>,
}

/// Steps 1 to 4 of "Reading a store".
pub fn segments(files: &Files) -> (Manifest, Vec<Segment>) {
    let manifest = manifest(&files["MANIFEST"]);
    let reader = |id: u64| {
        let reader = Reader::new(&files[&format!("{id:06}.seg")], manifest.store_id, id);
        reader.check_head("LARDSEG\0");
        assert_eq!((reader.u64(16), reader.u64(24)), (manifest.store_id, id));
        reader
    };
    let mut found = Vec::new();
    let mut unsealed = Vec::new();
    for (&id, &(file_len, sealed)) in &manifest.segments {
        let end = sealed.or(manifest.closed.and_then(|(active, end)| (active == id).then_some(end)));
        if let Some(end) = end {
            let (records, at) = reader(id).records(end as usize, None);
            assert_eq!(at as u64, end, "{id:06}.seg is damaged");
            found.push(Segment { id, end, records, is_cut: false, clock_ms: 0 });
        } else if manifest.closed.is_none() {
            let reader = reader(id);
            let first = reader.records(file_len as usize, None).0.first().map(|record| record.seqno);
            unsealed.push((first, id, file_len, reader));
        }
    }
    unsealed.sort_by_key(|(first, ..)| first.unwrap_or(u64::MAX));
    let mut expected = unsealed.first().and_then(|u| u.0).unwrap_or(u64::MAX).min(manifest.seqno_next);
    let mut is_over = false;
    for (first, id, file_len, reader) in unsealed {
        let (durable_end, is_cut) = reader.durable();
        if is_over || first != Some(expected) {
            assert_eq!(durable_end, 64, "{id:06}.seg was durable and does not continue the log");
            continue;
        }
        is_over = is_cut;
        let limit = if is_cut { durable_end } else { file_len as usize };
        let (records, end) = reader.records(limit, Some(&mut expected));
        assert!(end >= durable_end, "{id:06}.seg is damaged at {end}");
        found.push(Segment { id, end: end as u64, records, is_cut, clock_ms: reader.clock_ms() });
    }
    assert!(expected >= manifest.seqno_next || manifest.closed.is_some(), "durable records are missing");
    (manifest, found)
}

/// Step 5: value and expiry of every key that is not deleted.
pub fn contents(segments: &[Segment]) -> BTreeMap<Vec<u8>, (Vec<u8>, u64)> {
    let mut newest: BTreeMap<&[u8], &Record> = BTreeMap::new();
    for record in segments.iter().flat_map(|segment| &segment.records) {
        let present = newest.entry(&record.key).or_insert(record);
        if record.seqno > present.seqno {
            *present = record;
        }
    }
    let sets = newest.into_iter().filter(|(_, record)| record.kind == 1);
    sets.map(|(key, record)| (key.to_vec(), (record.value.clone(), record.expires_at_ms))).collect()
}

/// What a checkpoint says of one segment.
pub struct Placed {
    pub id: u64,
    pub end: u64,
    pub slot: u64,
}

pub struct Checkpoint {
    pub seqno_next: u64,
    pub live_count: u64,
    pub expiring_count: u64,
    pub slot_bytes: u64,
    pub segments: Vec<Placed>,
    /// Stripe, group, window, location of each entry of the index.
    pub entries: Vec<Entry>,
    /// How many of them lie at home, one line further, two lines further, and in the spill.
    pub placed: [usize; 4],
}

pub fn checkpoint(bytes: &[u8], store_id: u64, file_id: u64) -> Checkpoint {
    let reader = Reader::new(bytes, store_id, file_id);
    assert_eq!(&bytes[..8], b"LARDIDX\0");
    assert_eq!((reader.u32(8), reader.u32(12), reader.u64(56)), (2, 0, 0));
    assert_eq!((reader.u64(16), reader.u64(24)), (store_id, file_id));
    let body = 64 + reader.u64(40) as usize;
    assert_eq!(body + reader.u64(32) as usize, bytes.len());
    assert_eq!(reader.u32(48), reader.checksum(body, &bytes[body..]));
    assert_eq!(reader.u32(52), reader.checksum(0, &bytes[..52]));
    let word = |n: usize| reader.u64(body + 8 * n);
    let (segment_count, expiry_count) = (word(2) as usize, word(3) as usize);
    assert_eq!(bytes.len(), body + 8 * (4 + 9 * segment_count + 3 * expiry_count));
    let segment = |n: usize| Placed { id: word(4 + 9 * n), end: word(5 + 9 * n), slot: word(6 + 9 * n) };
    let live_count = (0..segment_count).map(|n| word(7 + 9 * n)).sum();
    let expiring = |n: usize| word(4 + 9 * segment_count + 3 * n + 2);
    let (entries, placed) = image_entries(&bytes[64..body], store_id, file_id);
    Checkpoint {
        seqno_next: word(0),
        live_count,
        expiring_count: (0..expiry_count).map(expiring).sum(),
        slot_bytes: word(1),
        segments: (0..segment_count).map(segment).collect(),
        entries,
        placed,
    }
}

type Entry = (u64, u64, u64, u64);

fn image_entries(image: &[u8], store_id: u64, file_id: u64) -> (Vec<Entry>, [usize; 4]) {
    let reader = Reader::new(image, store_id, file_id);
    assert_eq!(&image[..16], b"LARDERIX\x02\0\0\0\x06\x06\x17\x08");
    let foot = image.len() - 64;
    assert_eq!(&image[foot..foot + 8], b"XIREDRAL");
    let [page_count, entry_count, table_at, len] = [8, 16, 24, 32].map(|at| reader.u64(foot + at));
    assert_eq!((len as usize, (table_at + 32 * page_count) as usize), (image.len(), foot));
    assert_eq!(reader.u32(foot + 40), reader.checksum(table_at as usize, &image[table_at as usize..foot + 40]));
    let (mut entries, mut placed) = (Vec::new(), [0; 4]);
    for table in (0..page_count).map(|n| (table_at + 32 * n) as usize) {
        let (page, prefix) = (reader.u64(table) as usize, u64::from(reader.u32(table + 8)));
        let [stripe, depth, lines] = [12, 13, 14].map(|at| u64::from(image[table + at]));
        assert_eq!(u64::from(reader.u32(page + 8)), depth);
        assert_eq!(reader.u64(page + 16), u64::from(reader.u32(table + 16)));
        assert_eq!(reader.u64(page + 24), u64::from(reader.u32(table + 20)));
        assert!((1..=7).contains(&lines) && page.is_multiple_of(64));
        let line_count = 64 * lines as usize;
        let (tags_at, lines_at) = (page + 64, page + 64 + 8 * line_count);
        let spill = lines_at + 64 * line_count;
        // What the tags have to be, from the entries alone.
        let mut tags = vec![[0_u8; 8]; line_count];
        let mixed = |window: u64| (window * u64::from(0x9E37_79B1_u32 << 9)) & 0xFFFF_FFFF;
        let home = |window: u64| (mixed(window) * lines) >> 32;
        let line_of = |group: u64, line: u64| (group * lines + line % lines) as usize;
        for n in 0..8 * line_count {
            let word = reader.u64(lines_at + 8 * n);
            if word == 0 {
                continue;
            }
            let (window, location) = (word >> 40 & 0x7F_FFFF, word & 0xFF_FFFF_FFFF);
            assert!(location != 0 && word >> 63 == 0);
            let (group, line) = (n as u64 / 8 / lines, n as u64 / 8 % lines);
            let home = home(window);
            let distance = (line + lines - home) % lines;
            assert!(distance <= 2, "a line that is not the entry's");
            assert_eq!(window >> (23 - depth), prefix, "a page that is not the entry's");
            tags[n / 8][n % 8] |= ((mixed(window) >> 9) as u8 & 0x7F).max(1);
            if distance > 0 {
                tags[line_of(group, home)][distance as usize - 1] |= 0x80;
            }
            placed[distance as usize] += 1;
            entries.push((stripe, group, window, location));
        }
        for at in (0..reader.u64(page + 24) as usize).map(|n| spill + 16 * n) {
            let (place, word) = (reader.u64(at), reader.u64(at + 8));
            let (group, window) = (place & 63, place >> 6);
            assert_eq!(window, word >> 40 & 0x7F_FFFF);
            tags[line_of(group, home(window))][7] |= 0x80;
            placed[3] += 1;
            entries.push((stripe, group, window, word & 0xFF_FFFF_FFFF));
        }
        assert_eq!(&image[tags_at..lines_at], tags.concat(), "tags that contradict the entries");
        let end = spill + 16 * reader.u64(page + 24) as usize;
        assert!(image[end..end.next_multiple_of(64)].iter().all(|byte| *byte == 0), "padding");
        let page_bytes = &image[page..end.next_multiple_of(64)];
        assert_eq!(reader.u32(table + 24), reader.checksum(page, page_bytes));
    }
    assert_eq!(entries.len() as u64, entry_count);
    (entries, placed)
}
