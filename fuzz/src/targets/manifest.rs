//! A manifest of made-up edits whose checksums are right, over the segments of a real store: opening takes it or refuses it,
//! and whatever it takes, no value is made up. Edits that lie about where records end may show more or fewer of them.

use super::{Held, SEGMENT_BYTES, change_and_reopen, held, open, options};
use crate::input::Input;
use larder::format::manifest::{Change, DURABLE_WORD, HEAD_LEN, ManifestHead, encode_edit};
use larder::format::segment::{Durable, encode_durable};
use larder::storage::SimulatedStorage;
use std::sync::OnceLock;

/// The files of a store with several segments, closed in order.
fn files() -> &'static Vec<(String, Vec<u8>)> {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let storage = SimulatedStorage::new(2);
        let store = open(&storage, &options()).expect("a new store");
        for n in 0..12_u8 {
            store.set(&[n], &[n; 900]).expect("a set");
            store.step_background().expect("a step");
        }
        store.close().expect("a close");
        storage.names().into_iter().map(|name| (name.clone(), storage.read_file(&name))).collect()
    })
}

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let storage = SimulatedStorage::new(2);
    for (name, bytes) in files() {
        let made_up = if name == "MANIFEST" { manifest(&mut input, bytes) } else { bytes.clone() };
        storage.write_file(name, &made_up);
    }
    // What the files take is all there is: a length out of this world must not be tried.
    storage.set_space(Some(64 << 20));
    if let Ok(store) = open(&storage, &options()) {
        check_was_written(&held(&store));
        check_was_written(&change_and_reopen(storage, store));
    }
}

fn check_was_written(held: &Held) {
    for (key, value) in held {
        assert!(key.len() == 1 && *value == [key[0]; 900], "{key:?} has a value that nobody wrote");
    }
}

fn manifest(input: &mut Input<'_>, original: &[u8]) -> Vec<u8> {
    let head = ManifestHead::decode(original).expect("the head of a real store");
    // Behind the real edits, or instead of them.
    let mut end = HEAD_LEN;
    let mut number = 1;
    if input.u8() & 1 == 0 {
        while let larder::format::manifest::Edit::Whole { len, .. } =
            larder::format::manifest::decode_edit(&original[end..], head.seed(), end as u64, number)
        {
            end += len.next_multiple_of(8);
            number += 1;
        }
    }
    let mut bytes = original[..end].to_vec();
    while !input.is_over() && bytes.len() < 8192 {
        let changes: Vec<Change> = (0..1 + input.below(4)).map(|_| change(input)).collect();
        let offset = bytes.len() as u64;
        encode_edit(&mut bytes, head.seed(), offset, number, &changes);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        number += 1;
    }
    let word = encode_durable(head.seed(), Durable { end: bytes.len() as u64, is_cut: false });
    bytes[DURABLE_WORD..DURABLE_WORD + 8].copy_from_slice(&word.to_le_bytes());
    bytes.resize(original.len().max(bytes.len()), 0);
    bytes
}

fn id(input: &mut Input<'_>) -> u64 {
    if input.u8() & 7 == 0 { input.odd_u64() } else { 1 + u64::from(input.u8() % 8) }
}

fn len(input: &mut Input<'_>) -> u64 {
    if input.u8() & 3 == 0 { input.odd_u64() } else { SEGMENT_BYTES }
}

fn change(input: &mut Input<'_>) -> Change {
    match input.u8() % 6 {
        0 => Change::Add { id: id(input), file_len: len(input) },
        1 => Change::Seal { id: id(input), end: len(input), seqno_min: input.odd_u64(), seqno_max: input.odd_u64() },
        2 => Change::Remove { id: id(input) },
        3 => Change::Advance {
            segment_id_next: input.odd_u64(),
            seqno_next: input.odd_u64(),
            clock_ms: input.odd_u64(),
            tombstone_floor: input.odd_u64(),
        },
        4 => Change::Close { id: id(input), end: len(input), seqno_next: input.odd_u64() },
        _ => Change::Open,
    }
}
