//! Bytes as every structure of the format: decoding answers or refuses, never panics, and what it takes for whole is
//! what encoding would write.

use crate::input::Input;
use larder::epoch::Epochs;
use larder::format::manifest::{Edit, ManifestHead, decode_edit, encode_edit};
use larder::format::record::{self, Head, Record};
use larder::format::{Seed, checkpoint, segment};
use larder::index::Index;
use std::sync::Arc;

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.u8() % 6 {
        0 => records(&mut input),
        1 => edits(&mut input),
        2 => heads(&mut input),
        3 => {
            let _ = checkpoint::decode(input.rest(), 1);
        }
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

/// A body and an image under a head that fits them.
fn checkpoint_body(input: &mut Input<'_>) {
    let body_len = usize::from(input.u16());
    let body = input.take(body_len);
    let image = input.rest();
    let mut bytes = checkpoint::encode_head(1, 9, body, image).to_vec();
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(image);
    if let Some((contents, found)) = checkpoint::decode(&bytes, 1) {
        assert_eq!(contents.encode_body(), body, "a checkpoint's body is not what encoding writes");
        assert_eq!(found, image);
    }
}

fn image(bytes: &[u8]) {
    if let Ok(index) = Index::from_image(bytes, Arc::new(Epochs::new())) {
        let mut seen = 0;
        index.for_each(|_| seen += 1);
        assert_eq!(seen, index.count());
    }
}
