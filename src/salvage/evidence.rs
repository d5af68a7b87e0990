//! What the files of a damaged store still say about it: whose they are, which of them count, and how far.
//!
//! The store's id stands in every head; what most intact heads say holds, and the manifest's word decides a tie. A
//! manifest is *whole* if all its edits are there: then it is the only list of files that counts, as ever. Of one that
//! is not, every edit that can be read is used, and every segment counts that none of them removes.
//!
//! Not here: reading records (`walk`).
//!
//! Invariants:
//!   SE1. A file of another store, or of a newer format, is never read as this one's.
//!   SE2. Nothing that a whole manifest does not name is read.

use super::Loss;
use super::walk::Bounds;
use super::window::Window;
use crate::error::{Error, Result, Status};
use crate::format::manifest::{self, Change, Edit, ManifestHead};
use crate::format::segment::{self, CLOCK_WORD, DURABLE_WORD, Durable, HEAD_LEN};
use crate::format::{FORMAT_VERSION, NUMBER_READ_END, Seed, align8, checkpoint, u32_at, u64_at};
use crate::log::manifest::{MANIFEST_NAME, is_checkpoint_name};
use crate::log::segment::{segment_id, segment_name};
use crate::rules::{self, Rule};
use crate::sort;
use crate::storage::{File, MapAccess, Storage};
use std::collections::{BTreeMap, BTreeSet};

/// No manifest of a store of the largest size comes near.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;

/// What a damaged manifest is worth: so many times its length is looked at.
const LOOK_COST_MAX: u64 = 64;

/// What becomes of a segment's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It is known where they end, and all of them count.
    Ended(u64),
    /// Part of the chain of segments that were not sealed: the history ends in one of them.
    Chained,
    /// Nothing is known but what its own head says.
    Loose,
}

/// A segment's file.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) id: u64,
    pub(super) window: Window,
    pub(super) role: Role,
    /// What the durable word says; `None` if it is damaged.
    pub(super) durable: Option<Durable>,
}

impl Source {
    /// How far its records count, and how far they were promised.
    pub(super) fn bounds(&self) -> Bounds {
        let promised = self.durable.map(|durable| durable.end);
        match self.role {
            Role::Ended(end) => Bounds { limit: end, promised: Some(end) },
            Role::Chained | Role::Loose => {
                let cut = self.durable.filter(|durable| durable.is_cut);
                Bounds { limit: cut.map_or(self.window.len(), |durable| durable.end), promised }
            }
        }
    }
}

/// All that is known before records are read.
pub(super) struct Evidence {
    pub(super) store_id: u64,
    pub(super) sources: Vec<Source>,
    pub(super) has_whole_manifest: bool,
    /// The chain's first seqno is at most this.
    pub(super) seqno_next: u64,
    pub(super) clock_ms: u64,
    /// A segment of the chain cannot be read at all.
    pub(super) has_gap: bool,
    pub(super) losses: Vec<Loss>,
}

/// What can be read of a manifest.
#[derive(Default)]
struct Told {
    segments: BTreeMap<u64, (u64, Option<u64>)>,
    removed: BTreeSet<u64>,
    seqno_next: u64,
    clock_ms: u64,
    closed: Option<(u64, u64)>,
    is_whole: bool,
}

impl Told {
    fn apply(&mut self, change: &Change) {
        match *change {
            Change::Add { id, file_len } => self.segments.entry(id).or_default().0 = file_len,
            Change::Seal { id, end, .. } => self.segments.entry(id).or_default().1 = Some(end),
            Change::Remove { id } => {
                self.segments.remove(&id);
                self.removed.insert(id);
            }
            Change::Advance { seqno_next, clock_ms, .. } => {
                self.seqno_next = self.seqno_next.max(seqno_next);
                self.clock_ms = self.clock_ms.max(clock_ms);
            }
            Change::Close { id, end, seqno_next } => {
                self.seqno_next = self.seqno_next.max(seqno_next);
                self.closed = Some((id, end));
            }
            Change::Open => self.closed = None,
        }
    }
}

/// The bytes of a whole file; of what cannot be read, nothing.
fn read_whole(storage: &dyn Storage, name: &str, len_max: u64) -> Result<Option<Vec<u8>>> {
    let Ok(file) = storage.open(name, MapAccess::ReadOnly) else { return Ok(None) };
    let Ok(len) = file.len() else { return Ok(None) };
    let mut window = Window::new(file, len.min(len_max));
    Ok(Some(window.up_to(0, len_max)?.to_vec()))
}

/// The version of a head that is intact but for having another version than this library's.
fn other_version(bytes: &[u8], file_id: u64) -> Option<u32> {
    let version = u32_at(bytes, 8);
    let checksum = Seed::new(u64_at(bytes, 16), file_id).checksum(0, bytes.get(..40)?);
    (version != FORMAT_VERSION && checksum == u32_at(bytes, 40)).then_some(version)
}

fn refuse_other_version(name: &str, bytes: &[u8], file_id: u64) -> Result<()> {
    other_version(bytes, file_id).map_or(Ok(()), |version| {
        let what = format!("{name} has format version {version}; this library knows {FORMAT_VERSION}");
        Err(Error::new(Status::Incompatible, what))
    })
}

/// A segment's file before it is known whose it is.
struct Candidate {
    name: String,
    file: Box<dyn File>,
    len: u64,
    head: Vec<u8>,
}

impl Candidate {
    /// The store and the segment that an intact head names.
    fn named(&self) -> Option<(u64, u64)> {
        let (store_id, id) = (u64_at(&self.head, 16), u64_at(&self.head, 24));
        segment::check(&self.head, store_id, id).is_ok().then_some((store_id, id))
    }
}

/// Looks at all files of `storage`.
pub(super) fn gather(storage: &dyn Storage) -> Result<Evidence> {
    let names = storage.list().map_err(|source| Error::from_io(&format!("list {}", storage.describe()), &source))?;
    let names = sort::by_key(names, |name| segment_id(name).unwrap_or(u64::MAX));
    let mut losses = Vec::new();
    let mut candidates = Vec::new();
    for name in names.iter().filter(|name| segment_id(name).is_some()) {
        let opened = storage.open(name, MapAccess::ReadOnly).and_then(|file| file.len().map(|len| (file, len)));
        match opened {
            Ok((file, len)) => {
                let mut window = Window::new(file, len);
                let head = window.up_to(0, HEAD_LEN as u64)?.to_vec();
                let id = u64_at(&head, 24);
                refuse_other_version(name, &head, id)?;
                candidates.push(Candidate { name: name.clone(), file: window.into_file(), len, head });
            }
            Err(source) => losses.push(Loss::of_file(name, 0, &format!("the file cannot be opened: {source}"))),
        }
    }
    let manifest = read_whole(storage, MANIFEST_NAME, MANIFEST_BYTES_MAX)?;
    if let Some(bytes) = &manifest {
        refuse_other_version(MANIFEST_NAME, bytes, manifest::FILE_ID)?;
    }
    if candidates.is_empty() && manifest.is_none() {
        return Err(Error::new(Status::NotFound, format!("{} holds no store", storage.describe())));
    }
    let checkpoints = names.iter().filter(|name| is_checkpoint_name(name));
    let checkpoints: Vec<_> = checkpoints.filter_map(|name| checkpoint_store_id(storage, name)).collect();
    let store_id = store_id(manifest.as_deref(), &candidates, &checkpoints).ok_or_else(|| {
        let what = "no file says intact which store this is;";
        Error::corrupt(&storage.describe(), 0, what)
    })?;
    let told = read_manifest(manifest.as_deref(), store_id, &mut losses)?;
    let evidence = Evidence {
        store_id,
        sources: Vec::new(),
        has_whole_manifest: told.is_whole,
        seqno_next: told.seqno_next.max(1),
        clock_ms: told.clock_ms,
        has_gap: false,
        losses,
    };
    Ok(assign(evidence, candidates, &told))
}

/// The store that a checkpoint's intact head names.
fn checkpoint_store_id(storage: &dyn Storage, name: &str) -> Option<u64> {
    let head = read_whole(storage, name, checkpoint::HEAD_LEN as u64).ok()??;
    let store_id = u64_at(&head, 16);
    let checksum = Seed::new(store_id, u64_at(&head, 24)).checksum(0, head.get(..52)?);
    (checksum == u32_at(&head, 52)).then_some(store_id)
}

/// Whose files these are.
fn store_id(manifest: Option<&[u8]>, candidates: &[Candidate], checkpoints: &[u64]) -> Option<u64> {
    let by_manifest = manifest.and_then(|bytes| ManifestHead::decode(bytes).ok()).map(|head| head.store_id);
    let mut votes: BTreeMap<u64, usize> = BTreeMap::new();
    let named = candidates.iter().filter_map(|candidate| Some(candidate.named()?.0));
    for vote in named.chain(by_manifest).chain(checkpoints.iter().copied()) {
        *votes.entry(vote).or_default() += 1;
    }
    if let Some((store_id, _)) = votes.into_iter().max_by_key(|&(id, count)| (count, Some(id) == by_manifest)) {
        return Some(store_id);
    }
    // No head is intact. An id that is right in spite of that makes something else hold: an edit, or a record.
    let by_damaged_manifest = manifest.map(|bytes| u64_at(bytes, 16)).filter(|&store_id| {
        let seed = Seed::new(store_id, manifest::FILE_ID);
        let edits = manifest.and_then(|bytes| bytes.get(manifest::HEAD_LEN..)).unwrap_or_default();
        matches!(manifest::decode_edit(edits, seed, manifest::HEAD_LEN as u64, 1), Edit::Whole { .. })
    });
    by_damaged_manifest.or_else(|| {
        candidates.iter().find_map(|candidate| {
            let (store_id, id) = (u64_at(&candidate.head, 16), segment_id(&candidate.name)?);
            let durable = segment::decode_durable(Seed::new(store_id, id), u64_at(&candidate.head, DURABLE_WORD));
            durable.filter(|durable| durable.end > HEAD_LEN as u64).map(|_| store_id)
        })
    })
}

fn read_manifest(bytes: Option<&[u8]>, store_id: u64, losses: &mut Vec<Loss>) -> Result<Told> {
    let mut told = Told::default();
    let mut lose = |offset, len, what: &str| losses.push(Loss::at(MANIFEST_NAME, offset, len, what));
    let Some(bytes) = bytes else {
        lose(0, 0, "the file is missing");
        return Ok(told);
    };
    let head = ManifestHead::decode(bytes);
    match head {
        Ok(head) if head.store_id != store_id => {
            lose(0, bytes.len() as u64, "the file belongs to another store");
            return Ok(told);
        }
        Ok(_) => {}
        Err(_) => lose(0, bytes.len().min(manifest::HEAD_LEN) as u64, "the head fails its check"),
    }
    let seed = Seed::new(store_id, manifest::FILE_ID);
    let (mut at, mut number, mut has_gap, mut looked_at) = (manifest::HEAD_LEN, 1, false, 0);
    let mut behind_last = at;
    while at + manifest::EDIT_HEAD_LEN <= bytes.len() {
        let here = u64_at(bytes, at + 8);
        let is_possible = here == number || (here > number && behind_last < at);
        // Edits do not overlap. What looks like many that do is made up, and would be looked at again and again.
        let len_said = manifest::edit_len(&bytes[at..]);
        let is_possible = is_possible
            && at as u64 + len_said <= bytes.len() as u64
            && looked_at <= LOOK_COST_MAX * bytes.len() as u64;
        looked_at += if is_possible { len_said } else { 0 };
        let edit = if is_possible { manifest::decode_edit(&bytes[at..], seed, at as u64, here) } else { Edit::Nothing };
        match edit {
            Edit::Whole { changes, len } => {
                if at > behind_last {
                    lose(behind_last as u64, (at - behind_last) as u64, "an edit fails its check");
                    has_gap = true;
                }
                if changes.iter().all(|change| change.is_possible(NUMBER_READ_END / 2)) {
                    changes.iter().for_each(|change| told.apply(change));
                } else {
                    lose(at as u64, len as u64, "an edit says what cannot be");
                    has_gap = true;
                }
                at += align8(len as u64) as usize;
                behind_last = at;
                number = here + 1;
            }
            Edit::Unknown => {
                let what = "MANIFEST holds an edit that this library does not know";
                return Err(Error::new(Status::Incompatible, what));
            }
            Edit::Nothing => at += 8,
        }
    }
    let durable = segment::decode_durable(seed, u64_at(bytes, DURABLE_WORD));
    if durable.is_none() && head.is_ok() {
        lose(DURABLE_WORD as u64, 8, "the durable word fails its check");
    }
    let behind_last = behind_last.min(bytes.len());
    let is_complete = match durable {
        Some(durable) if durable.end > behind_last as u64 => {
            lose(behind_last as u64, durable.end - behind_last as u64, "an edit that was durable fails its check");
            false
        }
        Some(_) => true,
        // Nobody says how many edits there were; but if nothing is behind the last, it was the last.
        None => bytes[behind_last..].iter().all(|byte| *byte == 0),
    };
    told.is_whole = !has_gap && number > 1 && is_complete;
    Ok(told)
}

/// Says of each file what becomes of it.
fn assign(mut evidence: Evidence, candidates: Vec<Candidate>, told: &Told) -> Evidence {
    let store_id = evidence.store_id;
    let mut present = BTreeSet::new();
    for candidate in candidates {
        let by_name = segment_id(&candidate.name).unwrap_or_default();
        let id = match candidate.named() {
            Some((other, _)) if other != store_id => {
                evidence.losses.push(Loss::of_file(
                    &candidate.name,
                    candidate.len,
                    "the file belongs to another store",
                ));
                continue;
            }
            Some((_, id)) => id,
            None => by_name,
        };
        let counts = if told.is_whole && rules::holds(Rule::SalvageNamed) {
            told.segments.contains_key(&id)
        } else {
            !told.removed.contains(&id) || !rules::holds(Rule::SalvageNamed)
        };
        if !counts {
            continue;
        }
        if candidate.named().is_none() {
            let len = candidate.head.len().min(DURABLE_WORD) as u64;
            evidence.losses.push(Loss::at(&candidate.name, 0, len, "the head fails its check"));
        } else if id != by_name {
            evidence.losses.push(Loss::at(&candidate.name, 24, 8, "the file holds another segment"));
        }
        let seed = Seed::new(store_id, id);
        // A word that is cut off says nothing; one that was never stored says that nothing was durable.
        let has_words = candidate.head.len() == HEAD_LEN;
        let durable = has_words.then(|| segment::decode_durable(seed, u64_at(&candidate.head, DURABLE_WORD))).flatten();
        let clock_ms = segment::decode_clock(seed, u64_at(&candidate.head, CLOCK_WORD));
        evidence.clock_ms = evidence.clock_ms.max(clock_ms.unwrap_or(0));
        let entry = told.segments.get(&id);
        let role = match (entry, told.closed) {
            (Some((_, Some(end))), _) => Role::Ended(*end),
            (_, Some((active, end))) if told.is_whole => Role::Ended(if active == id { end } else { HEAD_LEN as u64 }),
            _ if told.is_whole => Role::Chained,
            _ => Role::Loose,
        };
        if durable.is_none() && !matches!(role, Role::Ended(_)) && has_words {
            evidence.losses.push(Loss::at(&candidate.name, DURABLE_WORD as u64, 8, "the durable word fails its check"));
        }
        let needed = match role {
            Role::Ended(end) => end,
            Role::Chained => entry.map_or(0, |(file_len, _)| *file_len),
            Role::Loose => durable.map_or(HEAD_LEN as u64, |durable| durable.end),
        };
        if candidate.len < needed {
            let what = "the file ends before the records it should hold";
            evidence.losses.push(Loss::at(&candidate.name, candidate.len, needed - candidate.len, what));
            evidence.has_gap |= role == Role::Chained;
        }
        present.insert(id);
        let window = Window::new(candidate.file, candidate.len);
        evidence.sources.push(Source { name: candidate.name, id, window, role, durable });
    }
    for (id, (file_len, sealed_end)) in told.segments.iter().filter(|(id, _)| !present.contains(id)) {
        let len = match (sealed_end, told.closed) {
            (Some(end), _) => *end,
            (None, Some((active, end))) if told.is_whole => {
                if active == *id {
                    end
                } else {
                    0
                }
            }
            (None, _) => *file_len,
        };
        evidence.has_gap |= sealed_end.is_none();
        evidence.losses.push(Loss::of_file(&segment_name(*id), len, "the file is missing, or not this segment's"));
    }
    evidence
}
