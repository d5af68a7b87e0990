//! How long single sets take: while the store grows from nothing, while everything is overwritten and compaction
//! works beside, and likewise with a thread that reads.
//!
//! `cargo bench --bench latency -- [keys] [directory] [sync]`; two million keys by default, and `sync=none`. Each
//! operation is timed. The same thread does, in turns of a few milliseconds, the same to a sharded hash map in
//! memory, and nothing but a pause between two looks at the clock: what that row shows is the machine's doing.
//! At the end, what two threads do in the time of one.

// A benchmark reads the clock and ends at the first surprise.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod keys;

use keys::{key, mixed};
use larder::{Options, Store};
use std::collections::HashMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const VALUE_LEN: usize = 100;
const SHARD_COUNT: usize = 64;
/// Operations of one turn.
const TURN_COUNT: u64 = 5_000;
/// Buckets of one power of two: a latency is told to 1/32.
const STEP_COUNT: u64 = 32;

/// Counts by latency: linear within a power of two, so that every bucket is as exact as the others.
struct Histogram {
    counts: Vec<u64>,
    max: u64,
    total: u64,
}

impl Histogram {
    fn new() -> Self {
        Self { counts: vec![0; (64 * STEP_COUNT) as usize], max: 0, total: 0 }
    }

    fn bucket(nanos: u64) -> usize {
        if nanos < STEP_COUNT {
            return nanos as usize;
        }
        let power = u64::from(nanos.ilog2() - STEP_COUNT.ilog2());
        ((power + 1) * STEP_COUNT + (nanos >> power) - STEP_COUNT) as usize
    }

    /// The largest latency of a bucket.
    fn end(bucket: usize) -> u64 {
        let bucket = bucket as u64;
        if bucket < STEP_COUNT {
            return bucket;
        }
        let power = bucket / STEP_COUNT - 1;
        ((bucket % STEP_COUNT + STEP_COUNT + 1) << power) - 1
    }

    fn add(&mut self, latency: Duration) {
        let nanos = latency.as_nanos() as u64;
        self.counts[Self::bucket(nanos)] += 1;
        self.max = self.max.max(nanos);
        self.total += 1;
    }

    /// Microseconds that `part` of all operations took at most.
    fn quantile(&self, part: f64) -> f64 {
        let mut left = (self.total as f64 * (1.0 - part)) as u64;
        for (bucket, count) in self.counts.iter().enumerate().rev() {
            if *count > left {
                return Self::end(bucket).min(self.max) as f64 / 1e3;
            }
            left -= count;
        }
        0.0
    }

    fn over(&self, nanos: u64) -> u64 {
        self.counts[Self::bucket(nanos)..].iter().sum()
    }

    fn row(&self, what: &str, whose: &str) {
        let [p50, p99, p999, p9999] = [0.5, 0.99, 0.999, 0.9999].map(|part| self.quantile(part));
        let (max, over) = (self.max as f64 / 1e3, self.over(1_000_000));
        println!("| {what} | {whose} | {p50:.2} | {p99:.1} | {p999:.1} | {p9999:.1} | {max:.0} | {over} |");
    }
}

type Shard = RwLock<HashMap<Box<[u8]>, Box<[u8]>>>;

struct InMemory(Vec<Shard>);

impl InMemory {
    fn set(&self, key: &[u8], value: &[u8]) {
        self.0[key[0] as usize % SHARD_COUNT].write().unwrap().insert(key.into(), value.into());
    }

    fn get(&self, key: &[u8]) -> usize {
        self.0[key[0] as usize % SHARD_COUNT].read().unwrap().get(key).map_or(0, |value| value.len())
    }
}

/// Sets keys `number(0..count)`, one after the other, in turns with those it is compared with.
fn measure(what: &str, count: u64, number: impl Fn(u64) -> u64, store: &Store, map: &InMemory) {
    let mut histograms = [Histogram::new(), Histogram::new(), Histogram::new()];
    let value = [7_u8; VALUE_LEN];
    let mut turn = |whose: usize, turn: u64, operation: &dyn Fn(&[u8])| {
        for n in turn * TURN_COUNT..count.min((turn + 1) * TURN_COUNT) {
            let key = key(number(n));
            let start = Instant::now();
            operation(&key);
            histograms[whose].add(start.elapsed());
        }
    };
    for number in 0..count.div_ceil(TURN_COUNT) {
        turn(0, number, &|key| assert_ne!(store.set(key, &value).unwrap(), 0));
        turn(1, number, &|key| map.set(key, &value));
        // About as long as a set, so that the machine has as many occasions.
        turn(2, number, &|key| {
            for _ in 0..16 {
                black_box(key);
                std::hint::spin_loop();
            }
        });
    }
    for (histogram, whose) in histograms.iter().zip(["Larder", "hash map", "nothing"]) {
        histogram.row(what, whose);
    }
}

/// Operations a second of `threads` threads that call `operation` with a number of their own.
fn rate(threads: u64, operation: &(impl Fn(u64) + Sync)) -> f64 {
    let is_over = AtomicBool::new(false);
    let start = Instant::now();
    let count: u64 = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut done = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        for _ in 0..64 {
                            operation(thread << 32 | done);
                            done += 1;
                        }
                    }
                    done
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(100));
        is_over.store(true, Ordering::Relaxed);
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    count as f64 / start.elapsed().as_secs_f64()
}

/// What two threads do in the time of one, the median of several rounds.
fn scaling(what: &str, operation: impl Fn(u64) + Sync) {
    let mut ratios: Vec<f64> = (0..7)
        .map(|_| {
            let one = rate(1, &operation);
            rate(2, &operation) / one
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    println!("| {what} | {:.2} | {:.2} | {:.2} |", ratios[1], ratios[3], ratios[5]);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let count: u64 = arguments.first().map_or(2_000_000, |count| count.parse().unwrap());
    let parent = arguments.get(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let mut options = Options::default();
    options.set("sync", arguments.get(2).map_or("none", |mode| mode)).unwrap();
    let path = parent.join(format!("larder-latency-{}", std::process::id()));
    eprintln!("{count} keys in {}", path.display());
    let store = Store::open(&path, &options).unwrap();
    let map = InMemory((0..SHARD_COUNT).map(|_| RwLock::default()).collect());
    println!(
        "| sets | of | p50, µs | p99 | p99.9 | p99.99 | max | over 1 ms |\n|---|---|---:|---:|---:|---:|---:|---:|"
    );
    measure("growing", count, |n| n, &store, &map);
    let spread = |n| mixed(n + 7) % count;
    // The first time over everything is dead bytes for the second.
    measure("overwriting", 2 * count, spread, &store, &map);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in (0..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
                black_box(store.get_with(&key(spread(n)), |value| value.len()).unwrap());
            }
        });
        measure("overwriting beside a reader", count, |n| spread(n + count), &store, &map);
        is_over.store(true, Ordering::Relaxed);
    });
    let stats = store.stats().unwrap();
    eprintln!("{} compactions, {} MiB of output", stats.compactions, stats.compacted_bytes >> 20);
    println!("\n| two threads against one | q1 | median | q3 |\n|---|---:|---:|---:|");
    let get = |n| assert_eq!(store.get_with(&key(spread(n)), |value| value.len()).unwrap(), Some(VALUE_LEN));
    scaling("get, Larder", get);
    scaling("get, hash map", |n| assert_eq!(map.get(&key(spread(n))), VALUE_LEN));
    let path_of_sets = parent.join(format!("larder-latency-sets-{}", std::process::id()));
    options.set("compaction", "manual").unwrap();
    let sets = Store::open(&path_of_sets, &options).unwrap();
    scaling("set, Larder", |n| assert_ne!(sets.set(&key(spread(n)), &[8; VALUE_LEN]).unwrap(), 0));
    sets.close().unwrap();
    std::fs::remove_dir_all(&path_of_sets).unwrap();
    scaling("set, hash map", |n| map.set(&key(spread(n)), &[8; VALUE_LEN]));
    scaling("hashing alone", |n| {
        for n in n..n + 16 {
            black_box(key(n));
        }
    });
    store.close().unwrap();
    std::fs::remove_dir_all(&path).unwrap();
}
