//! Bytes as every structure of the format: decoding answers or refuses, never panics, and what it takes for whole is
//! what encoding would write.

use crate::input::Input;
use larder::epoch::Epochs;
use larder::format::manifest::{Edit, ManifestHead, decode_edit, encode_edit};
use larder::format::record::{self, Head, Record};
use larder::format::{Seed, checkpoint, segment};
use larder::index::{ImageSource, Index, Location};
use std::ops::RangeInclusive;
use std::sync::Arc;

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.u8() % 6 {
        0 => records(&mut input),
        1 => edits(&mut input),
        2 => heads(&mut input),
        3 => checkpoint_head(input.rest()),
        4 => checkpoint_body(&mut input),
        _ => image(input.rest()),
    }
}

fn records(input: &mut Input<'_>) {
    let mut rest = input.rest();
    let _ = Head::decode(rest);
    while let Some(record) = Record::at_start_of(rest) {
        assert!(record.bytes.len() as u64 == record.head.record_len());
        assert!(record.key().len() + record.value().len() <= record.bytes.len());
        let _ = record::is_intact(record.bytes, Seed::new(1, 1), 64);
        rest = &rest[record.bytes.len()..];
    }
}

/// With the checksum that the bytes should have, so that what is behind it is reached.
fn edits(input: &mut Input<'_>) {
    let seed = Seed::new(1, 0);
    let (offset, number) = (u64::from(input.u16()) * 8, input.odd_u64());
    let mut bytes = input.rest().to_vec();
    if bytes.len() >= 16 {
        let payload_len = (bytes.len() - 16) / 8 * 8;
        bytes.truncate(16 + payload_len);
        bytes[4..8].copy_from_slice(&(payload_len as u32).to_le_bytes());
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        let checksum = seed.checksum(offset, &bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    }
    if let Edit::Whole { changes, len } = decode_edit(&bytes, seed, offset, number) {
        let mut again = Vec::new();
        encode_edit(&mut again, seed, offset, number, &changes);
        assert_eq!(again, bytes[..len], "an edit is not what encoding writes");
    }
}

fn heads(input: &mut Input<'_>) {
    let seed = Seed::new(1, 1);
    let word = input.u64();
    // A word of zeros is one that was never stored.
    if let Some(durable) = segment::decode_durable(seed, word).filter(|_| word != 0) {
        assert_eq!(segment::encode_durable(seed, durable), word);
    }
    let _ = segment::decode_clock(seed, word);
    let bytes = input.rest();
    let _ = segment::check(bytes, 1, 1);
    let _ = ManifestHead::decode(bytes);
}

fn checkpoint_head(bytes: &[u8]) {
    let Some((bytes, body)) = bytes.split_first_chunk::<{ checkpoint::HEAD_LEN }>() else { return };
    if let Some(head) = checkpoint::Head::decode(bytes, 1) {
        assert_eq!(head.encode(1), *bytes);
        let _ = head.contents(1, body);
    }
}

/// A body under a head that fits it.
fn checkpoint_body(input: &mut Input<'_>) {
    let body = input.rest();
    let head = checkpoint::Head::new(1, 9, body, 0);
    assert_eq!(checkpoint::Head::decode(&head.encode(1), 1), Some(head));
    if let Some(contents) = head.contents(1, body) {
        let again = contents.encode_body();
        assert_eq!(again.len(), body.len(), "a checkpoint's body is not as long as what encoding writes");
        assert_eq!(checkpoint::Contents::decode_body(&again), Some(contents));
    }
}

/// With the checksums that the bytes should have, so that what is behind them is reached.
fn image(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    mend_checksums(&mut bytes);
    let (len, source) = (bytes.len() as u64, Arc::new(Image(bytes)));
    if let Ok(index) = Index::open_image(source, len, image_seed(), Arc::new(Epochs::new())) {
        while index.load_ahead(10) {}
        if !index.has_been_damaged() {
            let mut seen = 0;
            index.for_each(|_| seen += 1);
            assert_eq!(seen, index.count());
        }
    }
}

fn image_seed() -> Seed {
    Seed::new(1, 9)
}

/// Of the page table and of each page that it names, as `index::image` says.
fn mend_checksums(bytes: &mut [u8]) {
    const FOOT_LEN: usize = 64;
    const ENTRY_LEN: usize = 32;
    let u64_at = |bytes: &[u8], at: usize| u64::from_le_bytes(std::array::from_fn(|n| bytes[at + n]));
    let Some(foot_at) = bytes.len().checked_sub(FOOT_LEN) else { return };
    let Ok(table_at) = usize::try_from(u64_at(bytes, foot_at + 24)) else { return };
    if table_at >= foot_at {
        return;
    }
    let entries: Vec<usize> = (table_at..foot_at).step_by(ENTRY_LEN).filter(|at| at + ENTRY_LEN <= foot_at).collect();
    for entry in entries {
        let page_at = u64_at(bytes, entry) as usize;
        let next = if entry + 2 * ENTRY_LEN <= foot_at { u64_at(bytes, entry + ENTRY_LEN) as usize } else { table_at };
        if let Some(page) = bytes[..table_at].get(page_at..next) {
            let checksum = image_seed().checksum(page_at as u64, page);
            bytes[entry + 24..entry + 28].copy_from_slice(&checksum.to_le_bytes());
        }
    }
    let checksum = image_seed().checksum(table_at as u64, &bytes[table_at..foot_at + 40]);
    bytes[foot_at + 40..foot_at + 44].copy_from_slice(&checksum.to_le_bytes());
}

struct Image(Vec<u8>);

impl ImageSource for Image {
    fn read(&self, bytes: &mut [u8], offset: u64) -> bool {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..));
        let from = rest.and_then(|rest| rest.get(..bytes.len()));
        from.inspect(|from| bytes.copy_from_slice(from)).is_some()
    }

    fn is_kept(&self, location: Location) -> bool {
        !location.get().is_multiple_of(7)
    }

    fn rebuild(&self, _: RangeInclusive<u64>) -> Result<Vec<(u64, Location)>, Location> {
        Err(Location::new(1))
    }
}
