//! The manifest file: which segments are live, and a few numbers that only grow.
//!
//! Edits are appended and synced one by one; the file is written anew, beside the old one and renamed
//! over it, when it is half full. Its room is reserved, so a full disk does not stop the edits that
//! free space.
//!
//! Not here: the bytes (`format::manifest`), deciding what changes.
//!
//! Invariants:
//!   MA1. `state` is what the durable edits add up to; an edit that failed is not in it.
//!   MA2. Ids of segments are never given out twice.

use super::segment::{segment_id, segment_name};
use crate::error::{Error, Result, Status};
use crate::format::manifest::{
    Change, DURABLE_WORD, EDIT_HEAD_LEN, Edit, HEAD_LEN, ManifestHead, decode_edit, edit_len, encode_edit,
};
use crate::format::segment::{Durable, HEAD_LEN as SEGMENT_HEAD_LEN, HeadProblem, decode_durable, encode_durable};
use crate::format::{FORMAT_VERSION, NUMBER_END, NUMBER_READ_END, align8, u64_at};
use crate::rules::{self, Rule};
use crate::storage::{File, MapAccess, Storage};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The manifest's name.
pub const MANIFEST_NAME: &str = "MANIFEST";
/// How the names of checkpoints begin; the seqno of 20 digits follows.
pub const CHECKPOINT_NAME_PREFIX: &str = "INDEX-";
/// What a checkpoint is called until it is durable.
pub const CHECKPOINT_NEW_NAME: &str = "INDEX.new";
const MANIFEST_NEW_NAME: &str = "MANIFEST.new";
const ROOM_BYTES: u64 = 64 << 10;
/// No manifest of a store of the largest size comes near.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// How much of it is read before it is known to hold more edits.
const READ_BYTES_FIRST: u64 = 1 << 20;

/// What the manifest says of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Bytes reserved for its file.
    pub file_len: u64,
    /// Set once it is sealed.
    pub sealed: Option<Sealed>,
}

/// What is known of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// End of its records.
    pub end: u64,
    /// Smallest seqno, 0 without records.
    pub seqno_min: u64,
    /// Largest seqno.
    pub seqno_max: u64,
}

/// How the store was last closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The active segment, 0 if there was none.
    pub id: u64,
    /// End of its records.
    pub end: u64,
}

/// What the edits add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestState {
    /// Live segments by id.
    pub segments: BTreeMap<u64, SegmentEntry>,
    /// The next segment's id.
    pub segment_id_next: u64,
    /// The next write's seqno is at least this.
    pub seqno_next: u64,
    /// The expiry clock is at least this.
    pub clock_ms: u64,
    /// No record older than a tombstone up to this seqno is left anywhere.
    pub tombstone_floor: u64,
    /// Set while nobody has opened the store for writing since it was closed in order.
    pub closed: Option<Closed>,
}

impl ManifestState {
    fn new() -> Self {
        Self {
            segments: BTreeMap::new(),
            segment_id_next: 1,
            seqno_next: 1,
            clock_ms: 0,
            tombstone_floor: 0,
            closed: None,
        }
    }

    /// False if the change contradicts what came before.
    fn apply(&mut self, change: &Change) -> bool {
        if !change.is_possible(NUMBER_END) {
            return false;
        }
        match *change {
            Change::Add { id, file_len } => {
                self.segment_id_next = self.segment_id_next.max(id + 1);
                file_len >= SEGMENT_HEAD_LEN as u64
                    && self.segments.insert(id, SegmentEntry { file_len, sealed: None }).is_none()
            }
            Change::Seal { id, end, seqno_min, seqno_max } => match self.segments.get_mut(&id) {
                Some(entry) if entry.sealed.is_none() && is_segment_end(end, entry.file_len) => {
                    entry.sealed = Some(Sealed { end, seqno_min, seqno_max });
                    true
                }
                _ => false,
            },
            Change::Remove { id } => self.segments.remove(&id).is_some(),
            Change::Advance { segment_id_next, seqno_next, clock_ms, tombstone_floor } => {
                self.segment_id_next = self.segment_id_next.max(segment_id_next);
                self.seqno_next = self.seqno_next.max(seqno_next);
                self.clock_ms = self.clock_ms.max(clock_ms);
                self.tombstone_floor = self.tombstone_floor.max(tombstone_floor);
                true
            }
            Change::Close { id, end, seqno_next } => {
                self.seqno_next = self.seqno_next.max(seqno_next);
                self.closed = Some(Closed { id, end });
                let is_active = |entry: &SegmentEntry| entry.sealed.is_none() && is_segment_end(end, entry.file_len);
                id == 0 || self.segments.get(&id).is_some_and(is_active)
            }
            Change::Open => {
                self.closed = None;
                true
            }
        }
    }

    /// Whether every record of a sealed segment is older than the next write.
    fn is_in_order(&self) -> bool {
        self.segments.values().all(|entry| entry.sealed.is_none_or(|sealed| sealed.seqno_max < self.seqno_next))
    }

    /// The changes that lead from nothing to this state.
    fn as_changes(&self) -> Vec<Change> {
        let mut changes = vec![Change::Advance {
            segment_id_next: self.segment_id_next,
            seqno_next: self.seqno_next,
            clock_ms: self.clock_ms,
            tombstone_floor: self.tombstone_floor,
        }];
        for (&id, entry) in &self.segments {
            changes.push(Change::Add { id, file_len: entry.file_len });
            if let Some(Sealed { end, seqno_min, seqno_max }) = entry.sealed {
                changes.push(Change::Seal { id, end, seqno_min, seqno_max });
            }
        }
        if let Some(Closed { id, end }) = self.closed {
            changes.push(Change::Close { id, end, seqno_next: self.seqno_next });
        }
        changes
    }
}

/// The open manifest.
pub struct Manifest {
    storage: Arc<dyn Storage>,
    head: ManifestHead,
    state: ManifestState,
    file: Box<dyn File>,
    file_len: u64,
    end: u64,
    number_next: u64,
}

impl Manifest {
    /// Makes the manifest of a new store, durably: from then on the directory is a store.
    pub fn create(storage: Arc<dyn Storage>) -> Result<Self> {
        let head = ManifestHead { store_id: storage.random_u64(), hash_seed: storage.random_u64() };
        let state = ManifestState::new();
        let (file, file_len, end) = write_new(storage.as_ref(), &head, &state)?;
        Ok(Self { storage, head, state, file, file_len, end, number_next: 2 })
    }

    /// Makes the manifest of a store whose files are there and durable: from then on the directory is that store.
    pub fn create_with(storage: &dyn Storage, head: ManifestHead, changes: &[Change]) -> Result<()> {
        let mut state = ManifestState::new();
        for change in changes {
            assert!(state.apply(change), "a change of a new manifest contradicts those before it: {change:?}");
        }
        write_new(storage, &head, &state).map(|_| ())
    }

    /// Whether the directory has a manifest.
    pub fn exists(names: &[String]) -> bool {
        names.iter().any(|name| name == MANIFEST_NAME)
    }

    /// Reads the manifest. A torn last edit is no edit; any other damage is `Corrupt`.
    pub fn load(storage: Arc<dyn Storage>, access: MapAccess) -> Result<Self> {
        let failed = |source| Error::from_io("read MANIFEST", &source);
        let file = storage.open(MANIFEST_NAME, access).map_err(failed)?;
        let file_len = file.len().map_err(failed)?;
        if !(HEAD_LEN as u64..=FILE_BYTES_MAX).contains(&file_len) {
            return Err(Error::corrupt(MANIFEST_NAME, file_len, "the file cannot have this length; it ends"));
        }
        let mut bytes = Vec::new();
        read_more(file.as_ref(), &mut bytes, READ_BYTES_FIRST.min(file_len))?;
        let head = ManifestHead::decode(&bytes).map_err(|problem| match problem {
            HeadProblem::Version(version) => Error::new(
                Status::Incompatible,
                format!("MANIFEST has format version {version}; this library knows {FORMAT_VERSION}"),
            ),
            HeadProblem::Damaged(what) => Error::corrupt(MANIFEST_NAME, 0, what),
        })?;
        let durable = decode_durable(head.seed(), u64_at(&bytes, DURABLE_WORD))
            .ok_or_else(|| Error::corrupt(MANIFEST_NAME, DURABLE_WORD as u64, "the durable word fails its check"))?;
        let mut state = ManifestState::new();
        let (mut end, mut number) = (HEAD_LEN as u64, 1);
        loop {
            let rest = bytes.get(end as usize..).unwrap_or_default();
            match decode_edit(rest, head.seed(), end, number) {
                Edit::Whole { changes, len } => {
                    let is_possible = |change: &Change| change.is_possible(NUMBER_READ_END);
                    if !changes.iter().all(|change| is_possible(change) && state.apply(change)) {
                        return Err(Error::corrupt(MANIFEST_NAME, end, "an edit contradicts those before it"));
                    }
                    end += align8(len as u64);
                    number += 1;
                }
                Edit::Nothing if may_go_on(&bytes, end) && (bytes.len() as u64) < file_len => {
                    let read_len = (bytes.len() as u64 * 2).min(file_len);
                    read_more(file.as_ref(), &mut bytes, read_len)?;
                }
                Edit::Nothing => break,
                Edit::Unknown => {
                    return Err(Error::new(
                        Status::Incompatible,
                        "MANIFEST holds an edit that this library does not know",
                    ));
                }
            }
        }
        // The first edit was synced before the file got its name, so it is never torn (R9).
        if (end < durable.end && rules::holds(Rule::ManifestDurableWord)) || number == 1 {
            return Err(Error::corrupt(MANIFEST_NAME, end, "an edit that was durable fails its check"));
        }
        if !state.is_in_order() {
            return Err(Error::corrupt(MANIFEST_NAME, end, "a segment is newer than the next write: an edit"));
        }
        Ok(Self { storage, head, state, file, file_len, end, number_next: number })
    }

    /// The store's id and hash seed.
    pub fn head(&self) -> &ManifestHead {
        &self.head
    }

    /// What the edits add up to.
    pub fn state(&self) -> &ManifestState {
        &self.state
    }

    fn state_after(&self, changes: &[Change]) -> ManifestState {
        let mut state = self.state.clone();
        for change in changes {
            assert!(state.apply(change), "a change of the manifest contradicts its state: {change:?}");
        }
        state
    }

    /// Writes `changes` as one edit and syncs it. On an error the state is unchanged; after one that is not
    /// `NoSpace`, what the next open reads may be the one or the other.
    pub fn commit(&mut self, changes: &[Change]) -> Result<()> {
        let state = self.state_after(changes);
        if self.end > self.file_len / 2 {
            match self.rewrite(&state) {
                // A full disk: the other half of the room is for the edits that free space.
                Err(error) if error.status() == Status::NoSpace => {}
                result => return result,
            }
        }
        let mut bytes = Vec::new();
        encode_edit(&mut bytes, self.head.seed(), self.end, self.number_next, changes);
        if self.end + bytes.len() as u64 > self.file_len {
            return self.rewrite(&state);
        }
        if let Err(source) = self.file.write_at(&bytes, self.end) {
            return Err(self.withdraw(Error::from_io("write MANIFEST", &source)));
        }
        self.file.sync().map_err(|source| Error::new(Status::Io, format!("cannot sync MANIFEST: {source}")))?;
        self.end += align8(bytes.len() as u64);
        self.number_next += 1;
        self.state = state;
        self.mark_durable();
        Ok(())
    }

    /// Like [`Manifest::commit`], by a process that does not know how the last one ended: after a failed sync,
    /// edits or the manifest's very name may be readable without being on the disk, and a later sync says
    /// nothing about them. So all of it is written anew.
    pub fn renew(&mut self, changes: &[Change]) -> Result<()> {
        let state = self.state_after(changes);
        match self.rewrite(&state) {
            // A full disk: in place, where room is reserved. What stays open is whether the name was lost.
            Err(error) if error.status() == Status::NoSpace => {
                let failed = |source| Error::from_io("write MANIFEST", &source);
                let mut bytes = vec![0; self.end as usize];
                self.file.read_at(&mut bytes, 0).map_err(failed)?;
                self.file.write_at(&bytes, 0).map_err(failed)?;
                self.commit(changes)
            }
            result => result,
        }
    }

    /// After a write that failed, and may have written the edit all the same: makes sure that it counts for
    /// nothing. If that fails too, the error is no longer one of mere room.
    fn withdraw(&self, error: Error) -> Error {
        if !rules::holds(Rule::EditWithdrawn) {
            return error;
        }
        let zeros = [0; EDIT_HEAD_LEN];
        match self.file.write_at(&zeros, self.end).and_then(|()| self.file.sync()) {
            Ok(()) => error,
            Err(source) => Error::new(Status::Io, format!("{error}; cannot withdraw the edit: {source}")),
        }
    }

    /// Durable with the next edit at the latest; right after a kill it is exact. The edit counts without it, so
    /// a failure is none of the edit.
    fn mark_durable(&self) {
        let word = encode_durable(self.head.seed(), Durable { end: self.end, is_cut: false });
        let _ = self.file.write_at(&word.to_le_bytes(), DURABLE_WORD as u64);
    }

    fn rewrite(&mut self, state: &ManifestState) -> Result<()> {
        let (file, file_len, end) = write_new(self.storage.as_ref(), &self.head, state)?;
        (self.file, self.file_len, self.end, self.number_next) = (file, file_len, end, 2);
        self.state = state.clone();
        Ok(())
    }

    /// Names of the directory's entries that Larder wrote and nothing counts any more (R7).
    pub fn leftovers(&self, names: &[String]) -> Vec<String> {
        let is_leftover = |name: &&String| {
            name.as_str() == MANIFEST_NEW_NAME
                || name.as_str() == CHECKPOINT_NEW_NAME
                || segment_id(name).is_some_and(|id| !self.state.segments.contains_key(&id))
        };
        names.iter().filter(is_leftover).cloned().collect()
    }
}

/// Reads `file` on, up to `len`. Most of a manifest is room, and how much of it somebody else has said.
fn read_more(file: &dyn File, bytes: &mut Vec<u8>, len: u64) -> Result<()> {
    let (start, len) = (bytes.len(), len as usize);
    if bytes.try_reserve_exact(len - start).is_err() {
        return Err(Error::new(Status::OutOfMemory, format!("there is no memory for {len} bytes of MANIFEST")));
    }
    bytes.resize(len, 0);
    file.read_at(&mut bytes[start..], start as u64).map_err(|source| Error::from_io("read MANIFEST", &source))
}

/// Whether an edit at `at` could be whole if there were more than `bytes`.
fn may_go_on(bytes: &[u8], at: u64) -> bool {
    let rest = bytes.get(at as usize..).unwrap_or_default();
    rest.len() < EDIT_HEAD_LEN || edit_len(rest) > rest.len() as u64
}

fn write_new(storage: &dyn Storage, head: &ManifestHead, state: &ManifestState) -> Result<(Box<dyn File>, u64, u64)> {
    let mut bytes = head.encode().to_vec();
    encode_edit(&mut bytes, head.seed(), HEAD_LEN as u64, 1, &state.as_changes());
    let end = bytes.len() as u64;
    let word = encode_durable(head.seed(), Durable { end, is_cut: false });
    bytes[DURABLE_WORD..DURABLE_WORD + 8].copy_from_slice(&word.to_le_bytes());
    let file_len = (end * 2).next_multiple_of(ROOM_BYTES);
    let failed = |source| Error::from_io("write MANIFEST", &source);
    // Left by a crash before the rename, if there.
    let _ = storage.remove(MANIFEST_NEW_NAME);
    let file = storage.create(MANIFEST_NEW_NAME).map_err(failed)?;
    let written = file.reserve(file_len).and_then(|()| file.write_at(&bytes, 0)).and_then(|()| file.sync());
    if let Err(source) = written {
        let _ = storage.remove(MANIFEST_NEW_NAME);
        return Err(failed(source));
    }
    storage.rename(MANIFEST_NEW_NAME, MANIFEST_NAME).map_err(failed)?;
    let named = if rules::holds(Rule::ManifestNameSynced) { storage.sync_directory() } else { Ok(()) };
    named.map_err(|source| Error::new(Status::Io, format!("cannot sync the directory: {source}")))?;
    Ok((file, file_len, end))
}

/// Whether records may end there in a file of `file_len` bytes.
fn is_segment_end(end: u64, file_len: u64) -> bool {
    (SEGMENT_HEAD_LEN as u64..=file_len).contains(&end)
}

/// Whether a name is one that Larder itself gives to files of a store.
pub fn is_own_name(name: &str) -> bool {
    name == "LOCK"
        || name == MANIFEST_NAME
        || name == MANIFEST_NEW_NAME
        || name == CHECKPOINT_NEW_NAME
        || segment_id(name).is_some_and(|id| segment_name(id) == name)
        || is_checkpoint_name(name)
}

/// Whether a name is that of a checkpoint, and not just like one: what Larder did not write stays.
pub fn is_checkpoint_name(name: &str) -> bool {
    let digits = name.strip_prefix(CHECKPOINT_NAME_PREFIX);
    digits.is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
