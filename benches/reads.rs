//! What reads cost next to a sharded hash map in memory: hits one by one and 32 a call, misses, from one thread and
//! from two; alternating rounds, medians, ratios.
//!
//! `cargo bench --bench reads -- [keys] [rounds] [directory]`; a million keys and five rounds by default. 16-byte hashed
//! keys, 100-byte values that are copied out. Times are of this machine at this moment: read the ratios.

// A benchmark reads the clock and ends at the first surprise.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod keys;

use keys::{key, mixed};
use larder::{Options, Store, SyncMode};
use std::collections::HashMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::RwLock;
use std::time::Instant;

const SHARD_COUNT: usize = 64;
const VALUE_LEN: usize = 100;
const GROUP_LEN: usize = 32;

type Shard = RwLock<HashMap<Box<[u8]>, Box<[u8]>>>;

/// What is compared, loaded with the same keys.
struct Pair {
    store: Store,
    map: Vec<Shard>,
    count: u64,
}

impl Pair {
    fn shard(&self, key: &[u8]) -> &Shard {
        &self.map[key[0] as usize % SHARD_COUNT]
    }

    fn order(&self, seed: u64) -> impl Iterator<Item = u64> + Clone + use<> {
        let count = self.count;
        (0..count.min(2_000_000)).map(move |n| mixed(n ^ seed << 40) % count)
    }

    fn store_hits(&self, seed: u64) {
        let mut buffer = [0; VALUE_LEN];
        for n in self.order(seed) {
            let found = self.store.get_with(&key(n), |value| buffer.copy_from_slice(value)).unwrap();
            assert!(found.is_some());
            black_box(&buffer);
        }
    }

    fn map_hits(&self, seed: u64) {
        let mut buffer = [0; VALUE_LEN];
        for n in self.order(seed) {
            let key = key(n);
            buffer.copy_from_slice(&self.shard(&key).read().unwrap()[key.as_slice()]);
            black_box(&buffer);
        }
    }

    fn store_misses(&self, seed: u64) {
        for n in self.order(seed) {
            assert!(self.store.get_with(&key(n + self.count), |_| ()).unwrap().is_none());
        }
    }

    fn map_misses(&self, seed: u64) {
        for n in self.order(seed) {
            let key = key(n + self.count);
            assert!(!self.shard(&key).read().unwrap().contains_key(key.as_slice()));
        }
    }

    fn store_groups(&self, seed: u64) {
        let mut order = self.order(seed);
        let mut buffer = vec![0; GROUP_LEN * VALUE_LEN];
        loop {
            let mut keys = [[0; 16]; GROUP_LEN];
            let mut len = 0;
            for (to, n) in keys.iter_mut().zip(order.by_ref()) {
                *to = key(n);
                len += 1;
            }
            if len < GROUP_LEN {
                return;
            }
            let keys: [&[u8]; GROUP_LEN] = std::array::from_fn(|i| keys[i].as_slice());
            let answer = |i: usize, found: larder::Result<Option<&[u8]>>| {
                buffer[i * VALUE_LEN..][..VALUE_LEN].copy_from_slice(found.unwrap().unwrap());
                true
            };
            self.store.get_many_with(&keys, answer).unwrap();
            black_box(&buffer);
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let count: u64 = arguments.first().map_or(1_000_000, |count| count.parse().unwrap());
    let rounds: u64 = arguments.get(1).map_or(5, |rounds| rounds.parse().unwrap());
    let parent = arguments.get(2).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = parent.join(format!("larder-reads-{}", std::process::id()));
    let options = Options { sync: SyncMode::None, ..Options::default() };
    let map = (0..SHARD_COUNT).map(|_| RwLock::default()).collect();
    let pair = Pair { store: Store::open(&path, &options).unwrap(), map, count };
    for n in 0..count {
        let (key, mut value) = (key(n), [n as u8; VALUE_LEN]);
        value[..8].copy_from_slice(&n.to_le_bytes());
        pair.store.set(&key, &value).unwrap();
        pair.shard(&key).write().unwrap().insert(key.as_slice().into(), value.as_slice().into());
    }
    eprintln!("{count} keys are loaded, {rounds} rounds");

    type Run = fn(&Pair, u64);
    let rows: [(&str, usize, Run, Run); 5] = [
        ("get, 1 thread", 1, Pair::store_hits, Pair::map_hits),
        ("get, 2 threads", 2, Pair::store_hits, Pair::map_hits),
        ("miss, 1 thread", 1, Pair::store_misses, Pair::map_misses),
        ("32 a call, 1 thread", 1, Pair::store_groups, Pair::map_hits),
        ("32 a call, 2 threads", 2, Pair::store_groups, Pair::map_hits),
    ];
    println!("| {count} keys | Larder, ns | hash map, ns | rate, Larder to map |\n|---|---:|---:|---:|");
    for (what, threads, store, map) in rows {
        let timed = |run: Run, seed: u64| {
            let start = Instant::now();
            std::thread::scope(|scope| {
                for thread in 0..threads as u64 {
                    let pair = &pair;
                    scope.spawn(move || run(pair, seed * 64 + thread));
                }
            });
            start.elapsed().as_secs_f64() * 1e9 / (count.min(2_000_000) as f64 * threads as f64)
        };
        let (mut ours, mut theirs): (Vec<f64>, Vec<f64>) =
            (0..rounds).map(|round| (timed(store, round), timed(map, round))).unzip();
        ours.sort_by(f64::total_cmp);
        theirs.sort_by(f64::total_cmp);
        let (ours, theirs) = (ours[ours.len() / 2], theirs[theirs.len() / 2]);
        println!("| {what} | {ours:.0} | {theirs:.0} | {:.2} |", theirs / ours);
    }
    drop(pair);
    std::fs::remove_dir_all(&path).unwrap();
}
