//! The manifest: a head, then edits. What they add up to is the only list of files that counts.
//!
//! ```text
//!   0  magic "LARDMAN\0"     8  u32 format version  12  u32 zero
//!  16  u64 store id         24  u64 hash seed       32  u64 zero
//!  40  u32 checksum of 0..40                        44  u32 zero
//!  48  word: durable end (as in a segment)          56  u64 zero
//!  64  edits
//!
//! edit:  0 u32 checksum   4 u32 payload_len   8 u64 edit number   16 changes, each
//!        u64 tag and its u64 fields
//! ```
//!
//! Invariants:
//!   MF1. Edits are numbered from 1 without a gap; one is whole or not there.
//!   MF2. An edit below the durable word that does not decode is damage; above it, it never happened.

use super::{FORMAT_VERSION, Seed, u32_at, u64_at};
use crate::rules::{self, Rule};

/// Bytes of the head; edits start here.
pub const HEAD_LEN: usize = 64;
/// Offset of the durable word.
pub const DURABLE_WORD: usize = 48;
/// The file id that the manifest's checksums are bound to; segment ids start at 1.
pub const FILE_ID: u64 = 0;

const MAGIC: [u8; 8] = *b"LARDMAN\0";
const CHECKSUM: usize = 40;
/// Bytes of an edit before its changes. Zeros there are no edit.
pub const EDIT_HEAD_LEN: usize = 16;
/// No segment is longer: a batch of all the memory that there is.
const SEGMENT_FILE_LEN_MAX: u64 = 1 << 46;
/// Largest payload of one edit, bytes: far more than a store of any size needs.
const PAYLOAD_LEN_MAX: u32 = 64 << 20;

/// What the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestHead {
    /// The store's id.
    pub store_id: u64,
    /// Seed of the key hash.
    pub hash_seed: u64,
}

impl ManifestHead {
    /// The head's bytes.
    pub fn encode(&self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.store_id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.hash_seed.to_le_bytes());
        let checksum = self.seed().checksum(0, &bytes[..CHECKSUM]);
        bytes[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the head.
    pub fn decode(bytes: &[u8]) -> Result<Self, super::segment::HeadProblem> {
        use super::segment::HeadProblem;
        if bytes.len() < HEAD_LEN || bytes[..8] != MAGIC {
            return Err(HeadProblem::Damaged("the head is not that of a manifest"));
        }
        let version = u32_at(bytes, 8);
        if version != FORMAT_VERSION {
            return Err(HeadProblem::Version(version));
        }
        let head = Self { store_id: u64_at(bytes, 16), hash_seed: u64_at(bytes, 24) };
        let encoded = head.encode();
        let is_same = bytes[..DURABLE_WORD] == encoded[..DURABLE_WORD] && bytes[56..HEAD_LEN] == encoded[56..];
        is_same.then_some(head).ok_or(HeadProblem::Damaged("the head fails its check"))
    }

    /// The seed of the manifest's checksums.
    pub fn seed(&self) -> Seed {
        Seed::new(self.store_id, FILE_ID)
    }
}

/// One change of what a store consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new segment file of `file_len` bytes: active sooner or later.
    Add {
        /// Segment id.
        id: u64,
        /// Bytes reserved.
        file_len: u64,
    },
    /// A segment's records end at `end` for ever, all of them durable.
    Seal {
        /// Segment id.
        id: u64,
        /// End of its records, bytes from the start of the file.
        end: u64,
        /// Smallest seqno in it; 0 if it holds no record.
        seqno_min: u64,
        /// Largest seqno in it.
        seqno_max: u64,
    },
    /// A segment is no longer part of the store.
    Remove {
        /// Segment id.
        id: u64,
    },
    /// Numbers that only grow.
    Advance {
        /// The next segment's id is at least this.
        segment_id_next: u64,
        /// The next write's seqno is at least this.
        seqno_next: u64,
        /// The expiry clock is at least this, Unix milliseconds.
        clock_ms: u64,
        /// No record older than a tombstone up to this seqno is left anywhere.
        tombstone_floor: u64,
    },
    /// Closed in order: `id` is the active segment, its records end at `end`, all is durable.
    Close {
        /// Segment id, 0 if there was no active segment.
        id: u64,
        /// End of its records.
        end: u64,
        /// The next write's seqno.
        seqno_next: u64,
    },
    /// Opened for writing: what `Close` said no longer holds.
    Open,
}

impl Change {
    /// Whether all numbers can be those of a store, seqnos and the like below `number_end`. What comes of impossible
    /// ones is not worth thinking of: sums that overflow, later writes that are older.
    pub fn is_possible(&self, number_end: u64) -> bool {
        match *self {
            Change::Add { id, file_len } => (1..number_end).contains(&id) && file_len <= SEGMENT_FILE_LEN_MAX,
            Change::Seal { end, seqno_min, seqno_max, .. } => {
                end <= SEGMENT_FILE_LEN_MAX && seqno_min <= seqno_max && seqno_max < number_end
            }
            Change::Advance { segment_id_next, seqno_next, clock_ms, tombstone_floor } => {
                [segment_id_next, seqno_next, clock_ms, tombstone_floor].into_iter().all(|number| number < number_end)
            }
            Change::Close { seqno_next, .. } => seqno_next < number_end,
            Change::Remove { .. } | Change::Open => true,
        }
    }

    fn words(&self) -> ([u64; 5], usize) {
        match *self {
            Change::Add { id, file_len } => ([1, id, file_len, 0, 0], 3),
            Change::Seal { id, end, seqno_min, seqno_max } => ([2, id, end, seqno_min, seqno_max], 5),
            Change::Remove { id } => ([3, id, 0, 0, 0], 2),
            Change::Advance { segment_id_next, seqno_next, clock_ms, tombstone_floor } => {
                ([4, segment_id_next, seqno_next, clock_ms, tombstone_floor], 5)
            }
            Change::Close { id, end, seqno_next } => ([5, id, end, seqno_next, 0], 4),
            Change::Open => ([6, 0, 0, 0, 0], 1),
        }
    }

    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let word = |n: usize| u64_at(bytes, n * 8);
        let (change, count) = match word(0) {
            1 => (Change::Add { id: word(1), file_len: word(2) }, 3),
            2 => (Change::Seal { id: word(1), end: word(2), seqno_min: word(3), seqno_max: word(4) }, 5),
            3 => (Change::Remove { id: word(1) }, 2),
            4 => (
                Change::Advance {
                    segment_id_next: word(1),
                    seqno_next: word(2),
                    clock_ms: word(3),
                    tombstone_floor: word(4),
                },
                5,
            ),
            5 => (Change::Close { id: word(1), end: word(2), seqno_next: word(3) }, 4),
            6 => (Change::Open, 1),
            _ => return None,
        };
        (bytes.len() >= count * 8).then_some((change, count * 8))
    }
}

/// Appends the edit `number` with `changes` to `out`; it will stand at `offset` of the manifest.
pub fn encode_edit(out: &mut Vec<u8>, seed: Seed, offset: u64, number: u64, changes: &[Change]) {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&number.to_le_bytes());
    for change in changes {
        let (words, count) = change.words();
        for word in &words[..count] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
    let payload_len = (out.len() - start - EDIT_HEAD_LEN) as u32;
    assert!(payload_len <= PAYLOAD_LEN_MAX, "an edit over its limit");
    out[start + 4..start + 8].copy_from_slice(&payload_len.to_le_bytes());
    let checksum = seed.checksum(offset, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// Bytes that the edit which `bytes` begin with says that it has, as many as one can have at most.
pub fn edit_len(bytes: &[u8]) -> u64 {
    EDIT_HEAD_LEN as u64 + u64::from(u32_at(bytes, 4).min(PAYLOAD_LEN_MAX))
}

/// What stands at a place of the manifest.
#[derive(Debug, PartialEq, Eq)]
pub enum Edit {
    /// A whole edit of `len` bytes.
    Whole {
        /// Its changes.
        changes: Vec<Change>,
        /// Its bytes.
        len: usize,
    },
    /// Nothing that is an edit with this number.
    Nothing,
    /// A whole edit with a change that this library does not know.
    Unknown,
}

/// Reads the edit `number`, which would stand at `offset`, from the start of `bytes`.
pub fn decode_edit(bytes: &[u8], seed: Seed, offset: u64, number: u64) -> Edit {
    if bytes.len() < EDIT_HEAD_LEN || u64_at(bytes, 8) != number {
        return Edit::Nothing;
    }
    let payload_len = u32_at(bytes, 4);
    let len = EDIT_HEAD_LEN + payload_len as usize;
    if payload_len > PAYLOAD_LEN_MAX || !payload_len.is_multiple_of(8) || len > bytes.len() {
        return Edit::Nothing;
    }
    if u32_at(bytes, 0) != seed.checksum(offset, &bytes[4..len]) && rules::holds(Rule::EditsChecked) {
        return Edit::Nothing;
    }
    let mut changes = Vec::new();
    let mut rest = &bytes[EDIT_HEAD_LEN..len];
    while !rest.is_empty() {
        let Some((change, used)) = Change::decode(rest) else { return Edit::Unknown };
        changes.push(change);
        rest = &rest[used..];
    }
    Edit::Whole { changes, len }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_read_back_and_every_flipped_bit_is_found() {
        let head = ManifestHead { store_id: 3, hash_seed: 4 };
        assert_eq!(ManifestHead::decode(&head.encode()), Ok(head));
        let changes = [
            Change::Add { id: 1, file_len: 4096 },
            Change::Seal { id: 1, end: 128, seqno_min: 1, seqno_max: 9 },
            Change::Remove { id: 1 },
            Change::Advance { segment_id_next: 2, seqno_next: 10, clock_ms: 5, tombstone_floor: 4 },
            Change::Close { id: 2, end: 64, seqno_next: 10 },
            Change::Open,
        ];
        let mut bytes = Vec::new();
        encode_edit(&mut bytes, head.seed(), 64, 7, &changes);
        let len = bytes.len();
        assert_eq!(decode_edit(&bytes, head.seed(), 64, 7), Edit::Whole { changes: changes.to_vec(), len });
        assert_eq!(decode_edit(&bytes, head.seed(), 72, 7), Edit::Nothing);
        assert_eq!(decode_edit(&bytes, head.seed(), 64, 8), Edit::Nothing);
        for bit in 0..len * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_edit(&damaged, head.seed(), 64, 7), Edit::Nothing, "bit {bit}");
        }
        for shorter in 0..len {
            assert_eq!(decode_edit(&bytes[..shorter], head.seed(), 64, 7), Edit::Nothing);
        }
    }

    #[test]
    fn an_unknown_change_is_told_apart_from_damage() {
        let seed = Seed::new(1, FILE_ID);
        let mut bytes = Vec::new();
        encode_edit(&mut bytes, seed, 64, 1, &[Change::Open]);
        bytes[16] = 99;
        let checksum = seed.checksum(64, &bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(decode_edit(&bytes, seed, 64, 1), Edit::Unknown);
    }
}
