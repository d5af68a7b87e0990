//! Checkpoints: the index's image on disk, so that opening need not read the log.
//!
//! Written when the store is closed in order, used by the next open if it was made from exactly what
//! the manifest says, ignored otherwise.
//!
//! Invariants:
//!   CP1. A checkpoint is a cache (R5): every way in which it could be wrong makes it void, and then
//!        the log is replayed. Failing to write one is no error.

use crate::epoch::Epochs;
use crate::format::checkpoint::{self, Contents};
use crate::index::Index;
use crate::log::manifest::{CHECKPOINT_NAME_PREFIX, ManifestState, is_checkpoint_name};
use crate::log::{Log, Segment};
use crate::storage::{MapAccess, Storage};
use std::io;
use std::sync::Arc;

fn name(seqno_next: u64) -> String {
    format!("{CHECKPOINT_NAME_PREFIX}{seqno_next:020}")
}

/// Removes every checkpoint: from now on the log grows past them.
pub fn remove_all(storage: &dyn Storage, names: &[String]) {
    for name in names.iter().filter(|name| is_checkpoint_name(name)) {
        // One that stays is void: it does not fit the manifest any more.
        let _ = storage.remove(name);
    }
}

/// The checkpoint that was made from exactly this state, if there is one and it is whole.
pub fn load(
    storage: &dyn Storage,
    store_id: u64,
    state: &ManifestState,
    epochs: &Arc<Epochs>,
) -> Option<(Contents, Index)> {
    let closed = state.closed?;
    let file = storage.open(&name(state.seqno_next), MapAccess::ReadOnly).ok()?;
    let len = usize::try_from(file.len().ok()?).ok()?;
    if len < checkpoint::HEAD_LEN {
        return None;
    }
    let map = file.map(len, MapAccess::ReadOnly).ok()?.into_bytes();
    map.fetch(0..len).ok()?;
    let (contents, image) = checkpoint::decode(map.read(0..len)?, store_id)?;
    // Segments with records, and where these end: sealed ones, and the active one of the close.
    let mut expected = state.segments.iter().filter_map(|(&id, entry)| match entry.sealed {
        Some(sealed) => Some((id, sealed.end)),
        None => (id == closed.id).then_some((id, closed.end)),
    });
    let mut known: Vec<_> = contents.segments.iter().map(|segment| (segment.id, segment.end)).collect();
    known.sort_unstable();
    let is_exact = contents.seqno_next == state.seqno_next
        && contents.slot_bytes.is_power_of_two()
        && contents.slot_bytes >= 4096
        && known.iter().copied().eq(expected.by_ref());
    if !is_exact || !slots_are_disjoint(&contents, state) {
        return None;
    }
    let index = Index::from_image(image, Arc::clone(epochs)).ok()?;
    Some((contents, index))
}

/// Whether the segments' places in the address space make sense: taking one twice would be a panic.
fn slots_are_disjoint(contents: &Contents, state: &ManifestState) -> bool {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for segment in &contents.segments {
        let Some(entry) = state.segments.get(&segment.id) else { return false };
        let count = entry.file_len.div_ceil(contents.slot_bytes).max(1);
        spans.push((segment.slot, segment.slot.saturating_add(count)));
    }
    spans.sort_unstable();
    let slot_limit = crate::slots::SLOT_COUNT as u64;
    spans.windows(2).all(|pair| pair[0].1 <= pair[1].0) && spans.last().is_none_or(|last| last.1 <= slot_limit)
}

/// Writes the checkpoint of a store whose log takes no more writes and whose `segments` hold all records.
pub fn write(log: &Log, index: &Index, segments: &[&Segment], seqno_next: u64) -> io::Result<()> {
    let (live_count, live_bytes, expiring) = log.accounts().export();
    let contents = Contents {
        seqno_next,
        live_count,
        live_bytes,
        slot_bytes: log.segments().slot_bytes(),
        segments: segments.iter().map(|segment| segment.export_accounts()).collect(),
        expiring,
    };
    let mut image = Vec::new();
    index.write_image(&mut image)?;
    let body = contents.encode_body();
    let store_id = log.with_manifest(|manifest| manifest.head().store_id);
    let head = checkpoint::encode_head(store_id, seqno_next, &body, &image);
    let storage = log.storage().as_ref();
    let name = name(seqno_next);
    let file = storage.create(&name)?;
    let body_at = head.len() as u64;
    let written = file
        .reserve(body_at + (body.len() + image.len()) as u64)
        .and_then(|()| file.write_at(&head, 0))
        .and_then(|()| file.write_at(&body, body_at))
        .and_then(|()| file.write_at(&image, body_at + body.len() as u64))
        .and_then(|()| storage.sync_directory());
    if written.is_err() {
        let _ = storage.remove(&name);
    }
    written
}
