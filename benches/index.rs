//! The index against sharded `RwLock<HashMap<u64, u64>>`: loads, hits and misses a second.
//!
//! `cargo bench --bench index -- [millions of keys]`. The two take turns of a few milliseconds, and each figure
//! is the median over its turns, so that what else the machine does hits both alike and mostly neither;
//! compare the figures of one row, not of two runs.

// A benchmark reads the clock; what it drops it drops to have used it.
#![allow(clippy::disallowed_methods, clippy::drop_non_drop, dropping_copy_types)]

use larder::epoch::Epochs;
use larder::index::{Index, Location};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, Barrier, RwLock};
use std::time::Instant;

const TURNS: u64 = 150;
const FINDS_PER_TURN: u64 = 20_000;

fn main() {
    let millions = std::env::args().skip(1).find_map(|argument| argument.parse::<f64>().ok()).unwrap_or(10.0);
    let count = (millions * 1e6) as u64;
    let maps = Maps::new();
    let epochs = Arc::new(Epochs::new());
    let index = Index::new(Arc::clone(&epochs));

    let load_map = rate(count, || (0..count).for_each(|key| maps.insert(mix(key), key + 1)));
    let load_index = rate(count, || {
        for key in 0..count {
            let hash = mix(key);
            index.lock(hash).insert(hash, Location::new(key + 1));
        }
    });
    println!("{count} keys, thousands a second      map     index   ratio");
    print("load", load_map, load_index);

    let find = |key: u64| {
        let hash = mix(key);
        let guard = epochs.enter();
        let found = index.find(&guard, hash, |_| true);
        guard.count_get(found.is_some());
        found.is_some()
    };
    let (hit, miss) = (|n: u64| n % count, |n: u64| n % count + count);
    for threads in [1, 2] {
        compare(&format!("hit, {threads} thread"), threads, |n| maps.get(mix(hit(n))), |n| find(hit(n)));
        compare(&format!("miss, {threads} thread"), threads, |n| maps.get(mix(miss(n))), |n| find(miss(n)));
    }

    // What of it is the guard: one for all, and none of a find's own.
    let guard = epochs.enter();
    let find_held = |key: u64| index.find(&guard, mix(key), |_| true).is_some();
    compare_here("hit, guard held", |n| maps.get(mix(hit(n))), |n| find_held(hit(n)));
    compare_here("miss, guard held", |n| maps.get(mix(miss(n))), |n| find_held(miss(n)));

    // Many keys at once: fetch ahead.
    let mut hashes = Vec::with_capacity(32);
    compare_here(
        "hit, 32 at a time",
        |n| maps.get(mix(hit(n))),
        |n| {
            hashes.push(mix(hit(n)));
            if hashes.len() < 32 {
                return true;
            }
            hashes.iter().for_each(|hash| index.prefetch(&guard, *hash));
            let hits = hashes.iter().filter(|hash| index.find_prefetched(&guard, **hash, |_| true).is_some()).count();
            guard.count_gets(32, hits as u64);
            hashes.clear();
            hits == 32
        },
    );
    println!(
        "memory: {:.2} bytes a key; gets counted: {} hits, {} misses",
        index.memory_bytes() as f64 / count as f64,
        epochs.hits(),
        epochs.gets() - epochs.hits()
    );
}

fn compare(name: &str, threads: u64, map: impl Fn(u64) -> bool + Sync, index: impl Fn(u64) -> bool + Sync) {
    let mut rates = [Vec::new(), Vec::new()];
    let barrier = Barrier::new(threads as usize);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (barrier, map, index) = (&barrier, &map, &index);
                scope.spawn(move || turns(thread, || drop(barrier.wait()), map, index))
            })
            .collect();
        for worker in workers {
            let of_thread = worker.join().unwrap_or_default();
            (0..2).for_each(|i| rates[i].extend(&of_thread[i]));
        }
    });
    let [map, index] = rates.map(|rates| median(rates) * threads as f64);
    print(name, map, index);
}

fn compare_here(name: &str, map: impl FnMut(u64) -> bool, index: impl FnMut(u64) -> bool) {
    let [map, index] = turns(0, || (), map, index).map(median);
    print(name, map, index);
}

/// The rates of the two, turn by turn, for keys in a random order.
fn turns(
    thread: u64,
    wait: impl Fn(),
    mut map: impl FnMut(u64) -> bool,
    mut index: impl FnMut(u64) -> bool,
) -> [Vec<f64>; 2] {
    let mut rates = [Vec::new(), Vec::new()];
    for turn in 0..TURNS {
        let first = (turn << 8 | thread) << 32;
        let numbers = |which: u64| (first..first + FINDS_PER_TURN).map(move |n| mix(n * 2 + which) >> 8);
        wait();
        rates[0].push(rate(FINDS_PER_TURN, || drop(black_box(numbers(0).filter(|n| map(*n)).count()))));
        wait();
        rates[1].push(rate(FINDS_PER_TURN, || drop(black_box(numbers(1).filter(|n| index(*n)).count()))));
    }
    rates
}

fn rate(count: u64, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    count as f64 / start.elapsed().as_secs_f64() / 1000.0
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn print(name: &str, map: f64, index: f64) {
    println!("{name:<28} {map:>9.0} {index:>9.0} {:>7.2}", index / map);
}

/// The usual way to share a map: by the hash into shards, each behind a lock. The shard comes from the
/// middle of the hash, for the map itself uses both ends.
struct Maps(Vec<RwLock<HashMap<u64, u64, Already>>>);

impl Maps {
    fn new() -> Self {
        Maps((0..64).map(|_| RwLock::default()).collect())
    }

    fn insert(&self, hash: u64, location: u64) {
        if let Ok(mut map) = self.0[(hash >> 40) as usize % 64].write() {
            map.insert(hash, location);
        }
    }

    fn get(&self, hash: u64) -> bool {
        self.0[(hash >> 40) as usize % 64].read().is_ok_and(|map| map.contains_key(&hash))
    }
}

/// The keys are hashes already; hashing them again would be unfair to the map.
#[derive(Default, Clone, Copy)]
struct Already(u64);

impl std::hash::BuildHasher for Already {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl std::hash::Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("the keys are numbers");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

fn mix(mut number: u64) -> u64 {
    number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}
