//! What is done with an input. Each file says what must hold.

pub mod calls;
pub mod formats;
pub mod manifest;
pub mod packed;
pub mod records;
pub mod recovery;
pub mod requests;

use larder::storage::SimulatedStorage;
use larder::store::Tuning;
use larder::{Options, Result, Store, SyncMode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a store holds, by key.
type Held = BTreeMap<Vec<u8>, Vec<u8>>;

/// Segments of a page, so that a few records fill one.
const SEGMENT_BYTES: u64 = 4096;

fn options() -> Options {
    Options { sync: SyncMode::None, segment_bytes: SEGMENT_BYTES, ..Options::default() }
}

/// Opens without threads: what happens, happens in the input's order.
fn open(storage: &SimulatedStorage, options: &Options) -> Result<Store> {
    let tuning = Tuning { segment_bytes_first: SEGMENT_BYTES, has_background: false, ..Tuning::default() };
    Store::open_in(Arc::new(storage.clone()), options, &tuning)
}

/// All that can be read. What fails its check is left out: the store said so.
fn held(store: &Store) -> Held {
    let mut held = Held::new();
    let Ok(mut cursor) = store.cursor(b"") else { return held };
    let mut keys = Vec::new();
    // Damage ends a step, not the walk; a walk that does not end would be a bug of its own.
    for _ in 0..100_000 {
        match cursor.next() {
            Ok(Some((key, _))) => keys.push(key.to_vec()),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    for key in keys {
        if let Ok(Some(value)) = store.get(&key) {
            held.insert(key, value);
        }
    }
    held
}

/// A store that was opened from damaged files is a store like any other: it takes writes, keeps them over a kill, and
/// what it held before does not change. Returns what it holds in the end.
fn check_it_lives(storage: SimulatedStorage, store: Store) -> Held {
    let before = held(&store);
    let after = change_and_reopen(storage, store);
    for (key, value) in &after {
        assert_eq!(before.get(key), Some(value), "the value of {key:?} is another one after a kill");
    }
    after
}

/// Writes, compacts, kills; what the next process finds besides the new key, nothing if it is refused.
fn change_and_reopen(storage: SimulatedStorage, store: Store) -> Held {
    let _ = store.verify();
    let is_taken = store.set(b"a new key", b"and its value").is_ok();
    let _ = store.step_background();
    let _ = store.compact();
    let again = storage.kill();
    drop(store);
    // Damage in what was read lazily may be met only now.
    let Ok(store) = open(&again, &options()) else { return Held::new() };
    let mut after = held(&store);
    let new = after.remove(b"a new key".as_slice());
    if is_taken {
        assert_eq!(new.as_deref(), Some(b"and its value".as_slice()));
    }
    after
}
