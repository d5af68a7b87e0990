//! A segment of made-up records whose checksums are right: recovery takes what makes sense, refuses the rest, and says the
//! same each time.

use super::{SEGMENT_BYTES, check_it_lives, held, open, options};
use crate::input::Input;
use larder::format::record::{self, Head, Kind};
use larder::format::{Seed, segment};
use larder::storage::SimulatedStorage;
use std::sync::OnceLock;

/// The files of a store with one empty segment, after a kill.
fn files() -> &'static Vec<(String, Vec<u8>)> {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let storage = SimulatedStorage::new(1);
        let store = open(&storage, &options()).expect("a new store");
        store.set(b"k", b"v").expect("a set");
        let storage = storage.kill();
        drop(store);
        storage.names().into_iter().map(|name| (name.clone(), storage.read_file(&name))).collect()
    })
}

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let storage = SimulatedStorage::new(1);
    for (name, bytes) in files() {
        storage.write_file(name, bytes);
        if name == "000001.seg" {
            storage.write_file(name, &filled(&mut input, bytes));
        }
    }
    let read_only = larder::Options { read_only: true, ..options() };
    let seen = open(&storage, &read_only).map(|store| held(&store)).ok();
    let opened = open(&storage, &options());
    if let Ok(store) = opened {
        if let Some(seen) = seen {
            assert_eq!(held(&store), seen, "opened for writing it holds something else than opened for reading");
        }
        let _ = check_it_lives(storage, store);
    }
}

fn filled(input: &mut Input<'_>, original: &[u8]) -> Vec<u8> {
    let store_id = u64::from_le_bytes(original[16..24].try_into().expect("eight bytes"));
    let seed = Seed::new(store_id, 1);
    let mut bytes = original[..segment::HEAD_LEN].to_vec();
    let mut seqno = 1_u64;
    while !input.is_over() && bytes.len() < SEGMENT_BYTES as usize - 200 {
        let shape = input.u8();
        let kind = [Kind::Set, Kind::Set, Kind::Tombstone, Kind::Batch][usize::from(shape & 3)];
        let (mut key, mut value) =
            (input.take(usize::from(shape >> 4 & 7)), input.take(usize::from(shape >> 2 & 3) * 5));
        if kind != Kind::Set {
            value = b"";
        }
        if kind == Kind::Batch {
            key = b"";
        }
        if shape & 0x80 != 0 {
            seqno = seqno.wrapping_add(input.odd_u64()).max(1);
        }
        let head = Head {
            kind,
            is_in_batch: input.u8() & 1 != 0 && kind != Kind::Batch,
            key_len: key.len() as u16,
            value_len: if kind == Kind::Batch { u32::from(input.u8() % 5).max(1) } else { value.len() as u32 },
            seqno,
            expires_at_ms: if kind == Kind::Tombstone { 0 } else { input.odd_u64() },
        };
        let offset = bytes.len();
        bytes.resize(offset + head.record_len() as usize, 0);
        record::write(&mut bytes[offset..], seed, offset as u64, &head, key, value);
        seqno = seqno.saturating_add(u64::from(kind != Kind::Batch));
    }
    bytes.resize(SEGMENT_BYTES as usize, 0);
    bytes
}
