//! A checkpoint: the index as it was, and what of the log it covers.
//!
//! ```text
//!   0  magic "LARDIDX\0"     8  u32 version of checkpoints  12  u32 zero
//!  16  u64 store id         24  u64 file id                 32  u64 body_len
//!  40  u64 image_len        48  u32 checksum of the body
//!  52  u32 checksum of 0..52                                56  u64 zero
//!  64  image of the index; body: u64 words
//!
//! body:  seqno_next  slot_bytes  segment count  expiring count
//!        per segment: id  end  slot  live_count  live_bytes  tombstone_bytes  seqno_min  seqno_max
//!                     expiry_next_ms
//!        per segment and second in which records expire: segment id  second  count
//! ```
//!
//! The image has checksums of its own, page by page (`index::image`), so that it need not be read whole.
//!
//! Not here: whether a checkpoint fits the log (`recovery`).
//!
//! Invariants:
//!   C1. A checkpoint is never an authority (R5): whatever does not fit makes it void.

use super::{Seed, record, u64_at};
use crate::rules::{self, Rule};

/// Bytes of the head; the image starts here.
pub const HEAD_LEN: usize = 64;
/// A store with a checkpoint of another version is opened as if there were none.
const VERSION: u32 = 2;

const MAGIC: [u8; 8] = *b"LARDIDX\0";
const HEAD_CHECKSUM: usize = 52;
const SEGMENT_WORDS: usize = 9;
const EXPIRING_WORDS: usize = 3;
const FIXED_WORDS: usize = 4;

/// What a checkpoint knows of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointSegment {
    /// Segment id.
    pub id: u64,
    /// End of the records that the index covers.
    pub end: u64,
    /// Its first slot in the address space.
    pub slot: u64,
    /// Live records.
    pub live_count: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// Bytes of tombstones.
    pub tombstone_bytes: u64,
    /// Smallest seqno, 0 without records.
    pub seqno_min: u64,
    /// Largest seqno.
    pub seqno_max: u64,
    /// No live record expires before, and every record that does has left the index.
    pub expiry_next_ms: u64,
    /// (second, count) of live records that expire.
    pub expiring: Vec<(u64, u64)>,
}

/// Everything but the index's image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The index may show what was written below this seqno, and nothing from it on.
    pub seqno_next: u64,
    /// Bytes of a slot of the address space.
    pub slot_bytes: u64,
    /// The segments that are covered.
    pub segments: Vec<CheckpointSegment>,
}

/// What the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of all checkpoints of a store, the newest has the greatest. Its file is named after it.
    pub file_id: u64,
    /// Bytes of the body, which ends the file.
    pub body_len: u64,
    /// Bytes of the index's image, which starts at [`HEAD_LEN`].
    pub image_len: u64,
    /// The body's checksum.
    pub body_checksum: u32,
}

impl CheckpointSegment {
    /// Whether what is counted can be what is in a segment that ends there, written before `seqno_next`. Sums of other
    /// figures might overflow.
    pub fn is_possible(&self, seqno_next: u64) -> bool {
        let expiring = self.expiring.iter().try_fold(0, |sum: u64, (_, count)| sum.checked_add(*count));
        self.live_bytes <= self.end
            && self.tombstone_bytes <= self.end
            && self.live_count <= self.live_bytes / record::HEAD_LEN as u64
            && expiring.is_some_and(|expiring| expiring <= self.live_count)
            && self.seqno_min <= self.seqno_max
            && self.seqno_max < seqno_next
    }
}

impl Contents {
    /// The body's bytes.
    pub fn encode_body(&self) -> Vec<u8> {
        let expiring_count: usize = self.segments.iter().map(|segment| segment.expiring.len()).sum();
        let mut words = vec![self.seqno_next, self.slot_bytes, self.segments.len() as u64, expiring_count as u64];
        for s in &self.segments {
            words.extend([s.id, s.end, s.slot, s.live_count, s.live_bytes]);
            words.extend([s.tombstone_bytes, s.seqno_min, s.seqno_max, s.expiry_next_ms]);
        }
        for segment in &self.segments {
            segment.expiring.iter().for_each(|(second, count)| words.extend([segment.id, *second, *count]));
        }
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Reads a body whose checksum is right. `None` if it makes no sense all the same.
    pub fn decode_body(body: &[u8]) -> Option<Self> {
        let word = |n: usize| u64_at(body, n * 8);
        if body.len() < FIXED_WORDS * 8 {
            return None;
        }
        let segment_count = usize::try_from(word(2)).ok()?;
        let expiring_count = usize::try_from(word(3)).ok()?;
        let words = segment_count
            .checked_mul(SEGMENT_WORDS)?
            .checked_add(expiring_count.checked_mul(EXPIRING_WORDS)?)?
            .checked_add(FIXED_WORDS)?;
        if body.len() != words.checked_mul(8)? {
            return None;
        }
        let segment = |n: usize| {
            let at = FIXED_WORDS + n * SEGMENT_WORDS;
            CheckpointSegment {
                id: word(at),
                end: word(at + 1),
                slot: word(at + 2),
                live_count: word(at + 3),
                live_bytes: word(at + 4),
                tombstone_bytes: word(at + 5),
                seqno_min: word(at + 6),
                seqno_max: word(at + 7),
                expiry_next_ms: word(at + 8),
                expiring: Vec::new(),
            }
        };
        let mut segments: Vec<_> = (0..segment_count).map(segment).collect();
        if segments.windows(2).any(|pair| pair[0].id >= pair[1].id) {
            return None;
        }
        for n in 0..expiring_count {
            let at = FIXED_WORDS + segment_count * SEGMENT_WORDS + n * EXPIRING_WORDS;
            let owner = segments.binary_search_by_key(&word(at), |segment| segment.id).ok()?;
            segments[owner].expiring.push((word(at + 1), word(at + 2)));
        }
        Some(Self { seqno_next: word(0), slot_bytes: word(1), segments })
    }

    /// What is known of segment `id`.
    pub fn segment(&self, id: u64) -> Option<&CheckpointSegment> {
        self.segments.iter().find(|segment| segment.id == id)
    }
}

impl Head {
    /// The head of a checkpoint with this body.
    pub fn new(store_id: u64, file_id: u64, body: &[u8], image_len: u64) -> Self {
        let mut head = Self { file_id, body_len: body.len() as u64, image_len, body_checksum: 0 };
        head.body_checksum = Seed::new(store_id, file_id).checksum(head.body_offset(), body);
        head
    }

    /// Where the body starts.
    pub fn body_offset(&self) -> u64 {
        self.image_len.saturating_add(HEAD_LEN as u64)
    }

    /// How long the file is.
    pub fn file_len(&self) -> u64 {
        self.body_offset().saturating_add(self.body_len)
    }

    /// The head's bytes.
    pub fn encode(&self, store_id: u64) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&store_id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.file_id.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.body_len.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.image_len.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.body_checksum.to_le_bytes());
        let checksum = Seed::new(store_id, self.file_id).checksum(0, &bytes[..HEAD_CHECKSUM]);
        bytes[HEAD_CHECKSUM..HEAD_CHECKSUM + 4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the head of a checkpoint of store `store_id`. `None` on any doubt.
    pub fn decode(bytes: &[u8; HEAD_LEN], store_id: u64) -> Option<Self> {
        let head = Self {
            file_id: u64_at(bytes, 24),
            body_len: u64_at(bytes, 32),
            image_len: u64_at(bytes, 40),
            body_checksum: super::u32_at(bytes, 48),
        };
        // One right form: comparing covers magic, version, ids, checksum and every reserved byte.
        (head.encode(store_id) == *bytes || !rules::holds(Rule::CheckpointChecked)).then_some(head)
    }

    /// The contents in `body`, if that is the body of this head.
    pub fn contents(&self, store_id: u64, body: &[u8]) -> Option<Contents> {
        let checksum = Seed::new(store_id, self.file_id).checksum(self.body_offset(), body);
        if checksum != self.body_checksum && rules::holds(Rule::CheckpointChecked) {
            return None;
        }
        Contents::decode_body(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_any_flipped_bit_or_cut_makes_it_void() {
        let segment = |id: u64| CheckpointSegment {
            id,
            end: 100,
            slot: 2,
            live_count: 3,
            live_bytes: 30,
            tombstone_bytes: 4,
            seqno_min: 5,
            seqno_max: 6,
            expiry_next_ms: 7,
            expiring: vec![(8, 1), (9, 2)],
        };
        let contents = Contents { seqno_next: 9, slot_bytes: 4096, segments: vec![segment(1), segment(4)] };
        let body = contents.encode_body();
        let head = Head::new(77, 9, &body, 640);
        let bytes = head.encode(77);
        assert_eq!((Head::decode(&bytes, 77), Head::decode(&bytes, 78)), (Some(head), None));
        assert_eq!(head.file_len(), 64 + 640 + body.len() as u64);
        assert_eq!(head.contents(77, &body), Some(contents));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&damaged, 77), None, "bit {bit}");
        }
        for bit in 0..body.len() * 8 {
            let mut damaged = body.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(head.contents(77, &damaged), None, "bit {bit}");
        }
        for len in 0..body.len() {
            assert_eq!(head.contents(77, &body[..len]), None);
            assert_eq!(Contents::decode_body(&body[..len]), None);
        }
    }
}
