//! A checkpoint: the index as it was at one moment, and what it was made from.
//!
//! ```text
//!   0  magic "LARDIDX\0"     8  u32 format version  12  u32 zero
//!  16  u64 store id         24  u64 seqno_next      32  u64 body_len
//!  40  u64 image_len        48  u32 checksum of the body and the image
//!  52  u32 checksum of 0..52                        56  u64 zero
//!  64  body: u64 words; image of the index
//!
//! body:  live_count  live_bytes  slot_bytes  segment count  expiring count
//!        per segment: id  end  slot  live_bytes  tombstone_bytes  seqno_min  seqno_max  expiry_next_ms
//!        per second in which records expire: shard  second  count
//! ```
//!
//! Invariants:
//!   C1. A checkpoint is never an authority (R5): whatever does not fit exactly makes it void.

use super::{FORMAT_VERSION, Seed, u32_at, u64_at};
use crate::rules::{self, Rule};

/// Bytes of the head; the body starts here.
pub const HEAD_LEN: usize = 64;

const MAGIC: [u8; 8] = *b"LARDIDX\0";
const HEAD_CHECKSUM: usize = 52;
const SEGMENT_WORDS: usize = 8;
const FIXED_WORDS: usize = 5;

/// What a checkpoint knows of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointSegment {
    /// Segment id.
    pub id: u64,
    /// End of the records that the index covers.
    pub end: u64,
    /// Its first slot in the address space.
    pub slot: u64,
    /// Bytes of live records.
    pub live_bytes: u64,
    /// Bytes of tombstones.
    pub tombstone_bytes: u64,
    /// Smallest seqno, 0 without records.
    pub seqno_min: u64,
    /// Largest seqno.
    pub seqno_max: u64,
    /// No live record expires before.
    pub expiry_next_ms: u64,
}

/// Everything but the index's image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The next write's seqno.
    pub seqno_next: u64,
    /// Live records.
    pub live_count: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// Bytes of a slot of the address space.
    pub slot_bytes: u64,
    /// All segments.
    pub segments: Vec<CheckpointSegment>,
    /// (shard, second, count) of records that expire.
    pub expiring: Vec<[u64; 3]>,
}

impl Contents {
    /// The body's bytes.
    pub fn encode_body(&self) -> Vec<u8> {
        let mut words = vec![
            self.live_count,
            self.live_bytes,
            self.slot_bytes,
            self.segments.len() as u64,
            self.expiring.len() as u64,
        ];
        for s in &self.segments {
            words.extend([s.id, s.end, s.slot, s.live_bytes]);
            words.extend([s.tombstone_bytes, s.seqno_min, s.seqno_max, s.expiry_next_ms]);
        }
        words.extend(self.expiring.iter().flatten());
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn decode_body(body: &[u8], seqno_next: u64) -> Option<Self> {
        let word = |n: usize| u64_at(body, n * 8);
        let segment_count = usize::try_from(word(3)).ok()?;
        let expiring_count = usize::try_from(word(4)).ok()?;
        let words = segment_count
            .checked_mul(SEGMENT_WORDS)?
            .checked_add(expiring_count.checked_mul(3)?)?
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
                live_bytes: word(at + 3),
                tombstone_bytes: word(at + 4),
                seqno_min: word(at + 5),
                seqno_max: word(at + 6),
                expiry_next_ms: word(at + 7),
            }
        };
        let expiring_at = FIXED_WORDS + segment_count * SEGMENT_WORDS;
        let expiring = |n: usize| [0, 1, 2].map(|k| word(expiring_at + n * 3 + k));
        Some(Self {
            seqno_next,
            live_count: word(0),
            live_bytes: word(1),
            slot_bytes: word(2),
            segments: (0..segment_count).map(segment).collect(),
            expiring: (0..expiring_count).map(expiring).collect(),
        })
    }
}

/// The head of a checkpoint whose body and image are `rest`, in that order.
pub fn encode_head(store_id: u64, seqno_next: u64, body: &[u8], image: &[u8]) -> [u8; HEAD_LEN] {
    let seed = Seed::new(store_id, seqno_next);
    let mut bytes = [0; HEAD_LEN];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&store_id.to_le_bytes());
    bytes[24..32].copy_from_slice(&seqno_next.to_le_bytes());
    bytes[32..40].copy_from_slice(&(body.len() as u64).to_le_bytes());
    bytes[40..48].copy_from_slice(&(image.len() as u64).to_le_bytes());
    let checksum = crc32c::crc32c_append(seed.checksum(HEAD_LEN as u64, body), image);
    bytes[48..52].copy_from_slice(&checksum.to_le_bytes());
    let checksum = seed.checksum(0, &bytes[..HEAD_CHECKSUM]);
    bytes[HEAD_CHECKSUM..HEAD_CHECKSUM + 4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads a whole checkpoint file of store `store_id`: its contents and the index's image. `None` on any doubt.
pub fn decode(bytes: &[u8], store_id: u64) -> Option<(Contents, &[u8])> {
    let head = bytes.get(..HEAD_LEN)?;
    let seqno_next = u64_at(head, 24);
    let body_end = HEAD_LEN.checked_add(usize::try_from(u64_at(head, 32)).ok()?)?;
    let image_end = body_end.checked_add(usize::try_from(u64_at(head, 40)).ok()?)?;
    if image_end != bytes.len() || u32_at(head, 8) != FORMAT_VERSION {
        return None;
    }
    let (body, image) = (&bytes[HEAD_LEN..body_end], &bytes[body_end..]);
    // One right form: comparing covers magic, ids, both checksums and every reserved byte.
    if encode_head(store_id, seqno_next, body, image) != *head && rules::holds(Rule::CheckpointChecked) {
        return None;
    }
    Some((Contents::decode_body(body, seqno_next)?, image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_any_flipped_bit_or_cut_makes_it_void() {
        let segment = CheckpointSegment {
            id: 1,
            end: 100,
            slot: 2,
            live_bytes: 3,
            tombstone_bytes: 4,
            seqno_min: 5,
            seqno_max: 6,
            expiry_next_ms: 7,
        };
        let contents = Contents {
            seqno_next: 9,
            live_count: 1,
            live_bytes: 40,
            slot_bytes: 4096,
            segments: vec![segment; 2],
            expiring: vec![[1, 2, 3]],
        };
        let image = b"image of the index";
        let body = contents.encode_body();
        let mut bytes = encode_head(77, 9, &body, image).to_vec();
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(image);
        assert_eq!(decode(&bytes, 77), Some((contents, image.as_slice())));
        assert_eq!(decode(&bytes, 78), None);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged, 77), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len], 77), None);
        }
    }
}
