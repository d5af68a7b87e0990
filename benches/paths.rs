//! One of the store's paths, many times over: for a profiler, or for counting instructions.
//!
//! `paths OPERATION COUNT DIRECTORY` fills a store with 20,000 keys and then does the operation COUNT
//! times. `benches/instructions` runs it twice with different counts under callgrind; the difference is
//! what the operation costs, and repeats to the instruction.

// A benchmark reads the clock and ends at the first surprise.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use larder::store::{BatchOp, Ttl, Tuning};
use larder::{Options, Store, SyncMode};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

const KEY_COUNT: u64 = 20_000;

fn key(n: u64) -> [u8; 16] {
    let mut key = [0x5A; 16];
    key[..8].copy_from_slice(&(n % KEY_COUNT).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    key
}

fn run(store: &Store, operation: &str, count: u64) {
    let value = [7_u8; 100];
    match operation {
        "get" => {
            for n in 0..count {
                black_box(store.get_with(&key(n), |value| black_box(value.len())).unwrap());
            }
        }
        "miss" => {
            for n in 0..count {
                let mut key = key(n);
                key[15] = 0;
                assert!(!store.exists(&key).unwrap());
            }
        }
        "get_many" => {
            for n in 0..count / 32 {
                let keys: Vec<_> = (n * 32..n * 32 + 32).map(key).collect();
                let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
                let answer = |_, found: larder::Result<Option<&[u8]>>| black_box(found.unwrap().is_some());
                store.get_many_with(&keys, answer).unwrap();
            }
        }
        "set" => {
            for n in 0..count {
                black_box(store.set(&key(n), &value).unwrap());
            }
        }
        "batch" => {
            for n in 0..count / 32 {
                let keys: Vec<_> = (n * 32..n * 32 + 32).map(key).collect();
                let set = |key| BatchOp::Set { key, value: &value, ttl: Ttl::Forever };
                let ops: Vec<_> = keys.iter().map(|key| set(key.as_slice())).collect();
                store.write(&ops, false).unwrap();
            }
        }
        "nothing" => {}
        other => panic!("no operation {other}: get, miss, get_many, set, batch"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [operation, count, directory] = arguments.as_slice() else {
        println!("usage: paths OPERATION COUNT DIRECTORY");
        return;
    };
    let storage = larder::storage::DiskStorage::open(Path::new(directory), true, false).unwrap();
    let options = Options { sync: SyncMode::None, ..Options::default() };
    // Without the background, whose share would not repeat.
    let tuning = Tuning { segment_bytes_first: 64 << 20, has_background: false, ..Tuning::default() };
    let store = Store::open_in(Arc::new(storage), &options, &tuning).unwrap();
    for n in 0..KEY_COUNT {
        store.set(&key(n), &[7; 100]).unwrap();
    }
    run(&store, operation, count.parse().unwrap());
}
